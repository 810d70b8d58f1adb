/* The MSI-X capability, its table and its pending bits, and the messages that they let pass. */
#include "irq/msix.h"

#include "irq/pci_registers.h"

enum { ENABLE = 1 << 15, FUNCTION_MASK = 1 << 14, ENTRY_MASK = 1 };
enum { WORD_BYTES = 4, ENTRY_WORDS = MSIX_ENTRY_BYTES / WORD_BYTES };

#define PBA(...)
#define FIELD(...)

#define ENTRY(...)
static const struct pci_register rows[] = {
#define REG(name, offset, width, access, reset, writable, section, title)                      \
    {{offset, offset}, width, reset, writable, offsetof(struct msix_regs, name)},
#include "irq/msix_regs.def"
#undef REG
};
#undef ENTRY

#define REG(...)
static const uint32_t writable_word[ENTRY_WORDS] = {
#define ENTRY(name, offset, width, access, reset, writable, section, title)                    \
    [(offset) / WORD_BYTES] = (writable),
#include "irq/msix_regs.def"
#undef ENTRY
};

static const struct msix_entry entry_at_reset = {
#define ENTRY(name, offset, width, access, reset, writable, section, title) .name = (reset),
#include "irq/msix_regs.def"
#undef ENTRY
};

#define ENTRY(name, offset, width, access, reset, writable, section, title)                    \
    static_assert(offsetof(struct msix_entry, name) == (offset), "its place in the entry");
#include "irq/msix_regs.def"
#undef ENTRY
#undef REG

static_assert(sizeof(struct msix_entry) == MSIX_ENTRY_BYTES, "four DWORDs");

static const struct pci_registers registers = {
    .row = rows, .count = sizeof rows / sizeof rows[0], .end = MSIX_LENGTH};

static void copy(struct msix *m, const struct msix_entry *table, const uint64_t *pending)
{
    for (unsigned n = 0; n < m->config.entries; n++)
        m->config.table[n] = table[n];
    for (unsigned n = 0; n < MSIX_PENDING_WORDS(m->config.entries); n++)
        m->config.pending[n] = pending[n];
}

void msix_init(struct msix *m, const struct msix_config *config)
{
    *m = (struct msix){.config = *config};
    pci_registers_reset(&registers, &m->regs);
    m->regs.NEXT = config->next;
    m->regs.CONTROL |= config->entries - 1u;
    m->regs.TABLE = config->table_at;
    m->regs.PENDING_BITS = config->pending_at;
    for (unsigned n = 0; n < config->entries; n++)
        config->table[n] = entry_at_reset;
    for (unsigned n = 0; n < MSIX_PENDING_WORDS(config->entries); n++)
        config->pending[n] = 0;
}

void msix_restore(struct msix *m, const struct msix *saved)
{
    m->regs = saved->regs;
    copy(m, saved->config.table, saved->config.pending);
}

/* ---- messages: PCI 3.0 "Sending Messages", "Per-vector Masking and Function Masking" ---- */

static uint64_t bit_of(unsigned n)
{
    return UINT64_C(1) << n % 64;
}

bool msix_enabled(const struct msix *m)
{
    return m->regs.CONTROL & ENABLE;
}

bool msix_masked(const struct msix *m, unsigned n)
{
    return n >= m->config.entries || m->regs.CONTROL & FUNCTION_MASK ||
           m->config.table[n].VECTOR_CONTROL & ENTRY_MASK;
}

bool msix_pending(const struct msix *m, unsigned n)
{
    return n < m->config.entries && m->config.pending[n / 64] & bit_of(n);
}

static void send(struct msix *m, unsigned n)
{
    const struct msix_entry *e = &m->config.table[n];
    const struct msi_message write = {(uint64_t)e->UPPER_ADDRESS << 32 | e->ADDRESS, e->DATA};

    m->config.pending[n / 64] &= ~bit_of(n);
    m->config.port->send(m->config.port, n, write);
}

enum msi_answer msix_raise(struct msix *m, unsigned n)
{
    if (!msix_enabled(m) || n >= m->config.entries)
        return MSI_REFUSED;
    if (!msix_masked(m, n)) {
        send(m, n);
        return MSI_SENT;
    }
    const bool fresh = !msix_pending(m, n);
    m->config.pending[n / 64] |= bit_of(n);
    return fresh ? MSI_PENDING : MSI_COALESCED;
}

void msix_withdraw(struct msix *m, unsigned n)
{
    if (n < m->config.entries)
        m->config.pending[n / 64] &= ~bit_of(n);
}

static void send_if_unmasked(struct msix *m, unsigned n)
{
    if (msix_enabled(m) && msix_pending(m, n) && !msix_masked(m, n))
        send(m, n);
}

/* ---- the capability ---- */

uint32_t msix_read(const struct msix *m, uint16_t offset, unsigned size)
{
    return pci_registers_read(&registers, &m->regs, offset, size);
}

/* Looks again after each message: whoever hears it may mask, raise or withdraw others. */
void msix_write(struct msix *m, uint16_t offset, unsigned size, uint32_t value)
{
    pci_registers_write(&registers, &m->regs, offset, size, value);
    for (unsigned n = 0; n < m->config.entries; n++)
        send_if_unmasked(m, n);
}

/* ---- the table and the pending bits ---- */

/* PCI 3.0 6.8.2: anything but a whole aligned DWORD or QWORD is undefined. */
static bool possible(uint32_t offset, unsigned size)
{
    return (size == 4 || size == 8) && offset % size == 0;
}

static uint32_t *table_word(const struct msix *m, uint32_t offset)
{
    const unsigned n = offset / MSIX_ENTRY_BYTES;

    if (n >= m->config.entries)
        return NULL;
    return (uint32_t *)(void *)&m->config.table[n] + offset / WORD_BYTES % ENTRY_WORDS;
}

static uint32_t read_table_word(const struct msix *m, uint32_t offset)
{
    const uint32_t *word = table_word(m, offset);

    return word ? *word : 0;
}

static void write_table_word(struct msix *m, uint32_t offset, uint32_t value)
{
    const uint32_t writable = writable_word[offset / WORD_BYTES % ENTRY_WORDS];
    uint32_t *word = table_word(m, offset);

    if (word)
        *word = (*word & ~writable) | (value & writable);
}

uint64_t msix_table_read(const struct msix *m, uint32_t offset, unsigned size)
{
    if (!possible(offset, size))
        return 0;
    if (size == 4)
        return read_table_word(m, offset);
    return read_table_word(m, offset) | (uint64_t)read_table_word(m, offset + 4) << 32;
}

/* Both halves of a QWORD first, the message afterwards: data that comes with the unmasking is
   what is sent. */
void msix_table_write(struct msix *m, uint32_t offset, unsigned size, uint64_t value)
{
    if (!possible(offset, size))
        return;
    write_table_word(m, offset, (uint32_t)value);
    if (size == 8)
        write_table_word(m, offset + 4, (uint32_t)(value >> 32));
    send_if_unmasked(m, offset / MSIX_ENTRY_BYTES);
}

uint64_t msix_pending_read(const struct msix *m, uint32_t offset, unsigned size)
{
    const unsigned n = offset / 8;

    if (!possible(offset, size) || n >= MSIX_PENDING_WORDS(m->config.entries))
        return 0;
    if (size == 8)
        return m->config.pending[n];
    return (uint32_t)(m->config.pending[n] >> offset % 8 * 8);
}
