/* The MSI capability: its registers, and the messages that they let pass. */
#include "irq/msi.h"

#include "irq/pci_registers.h"

enum { LAYOUT32, LAYOUT64, ABSENT = PCI_ABSENT };
enum {
    ENABLE = 1 << 0,
    CAPABLE_SHIFT = 1,
    ALLOCATED_SHIFT = 4,
    ADDRESS64 = 1 << 7,
    MASKING = 1 << 8
};

static const struct pci_register rows[] = {
#define REG(name, offset, offset64, width, access, reset, writable, section, title)            \
    {{offset, offset64}, width, reset, writable, offsetof(struct msi_regs, name)},
#define FIELD(...)
#include "irq/msi_regs.def"
#undef REG
#undef FIELD
};

unsigned msi_length(const struct msi *m)
{
    const unsigned without_masking = m->config.address64 ? 0x0e : 0x0a;

    return m->config.masking ? (without_masking + 2) + 8 : without_masking;
}

static struct pci_registers registers(const struct msi *m)
{
    return (struct pci_registers){
        .row = rows,
        .count = sizeof rows / sizeof rows[0],
        .layout = m->config.address64 ? LAYOUT64 : LAYOUT32,
        .end = msi_length(m),
    };
}

/* The number's power of two, rounded up: what CAPABLE and ALLOCATED hold. */
static unsigned power(unsigned messages)
{
    unsigned p = 0;

    while (1u << p < messages && 1u << p < MSI_MAX_MESSAGES)
        p++;
    return p;
}

void msi_init(struct msi *m, const struct msi_config *config)
{
    *m = (struct msi){.config = *config};
    const struct pci_registers r = registers(m);
    pci_registers_reset(&r, &m->regs);
    m->regs.NEXT = config->next;
    m->regs.CONTROL |= power(config->messages) << CAPABLE_SHIFT;
    m->regs.CONTROL |= config->address64 ? ADDRESS64 : 0;
    m->regs.CONTROL |= config->masking ? MASKING : 0;
}

void msi_restore(struct msi *m, const struct msi *saved)
{
    m->regs = saved->regs;
}

/* ---- messages: PCI 3.0 "Sending Messages" ---- */

bool msi_enabled(const struct msi *m)
{
    return m->regs.CONTROL & ENABLE;
}

/* More than are wanted is undefined, and two codes are reserved: as many as there are. */
unsigned msi_allocated(const struct msi *m)
{
    const unsigned allocated = m->regs.CONTROL >> ALLOCATED_SHIFT & 7;
    const unsigned capable = m->regs.CONTROL >> CAPABLE_SHIFT & 7;

    return 1u << (allocated < capable ? allocated : capable);
}

/* The message's number takes the place of the low bits of the data. */
struct msi_message msi_compose(const struct msi *m, unsigned n)
{
    const unsigned allocated = msi_allocated(m);

    return (struct msi_message){
        .address = (uint64_t)m->regs.UPPER_ADDRESS << 32 | m->regs.ADDRESS,
        .data = (m->regs.DATA & ~(allocated - 1)) | (n & (allocated - 1)),
    };
}

static void send(struct msi *m, unsigned n)
{
    m->regs.PENDING &= ~(UINT32_C(1) << n);
    m->config.port->send(m->config.port, n, msi_compose(m, n));
}

enum msi_answer msi_raise(struct msi *m, unsigned n)
{
    const unsigned message = n & (msi_allocated(m) - 1);
    const uint32_t bit = UINT32_C(1) << message;

    if (!msi_enabled(m))
        return MSI_REFUSED;
    if (!(m->regs.MASK & bit)) {
        send(m, message);
        return MSI_SENT;
    }
    const bool fresh = !(m->regs.PENDING & bit);
    m->regs.PENDING |= bit;
    return fresh ? MSI_PENDING : MSI_COALESCED;
}

void msi_withdraw(struct msi *m, unsigned n)
{
    m->regs.PENDING &= ~(UINT32_C(1) << (n & (msi_allocated(m) - 1)));
}

/* Looks again after each message: whoever hears it may mask, raise or withdraw others. */
static void send_what_is_unmasked(struct msi *m)
{
    for (unsigned n = 0; msi_enabled(m) && n < msi_allocated(m); n++)
        if (m->regs.PENDING & ~m->regs.MASK & UINT32_C(1) << n)
            send(m, n);
}

/* ---- accesses ---- */

/* Mask bits of messages that there are not are reserved. */
static uint32_t implemented(const struct msi *m)
{
    const unsigned capable = m->regs.CONTROL >> CAPABLE_SHIFT & 7;

    return UINT32_MAX >> (MSI_MAX_MESSAGES - (1u << capable));
}

uint32_t msi_read(const struct msi *m, uint16_t offset, unsigned size)
{
    const struct pci_registers r = registers(m);

    return pci_registers_read(&r, &m->regs, offset, size);
}

void msi_write(struct msi *m, uint16_t offset, unsigned size, uint32_t value)
{
    const struct pci_registers r = registers(m);

    pci_registers_write(&r, &m->regs, offset, size, value);
    m->regs.MASK &= implemented(m);
    send_what_is_unmasked(m);
}
