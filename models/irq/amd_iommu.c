/* AMD's IOMMU: table entries, the guest virtual APIC log, and the registers of both. */
#include "irq/amd_iommu.h"

#include <stddef.h>

#include "port/bits.h"

enum amd_field {
#define FIELD(structure, name, high, low, meaning) structure##_##name,
#include "irq/amd_irte_fields.def"
#undef FIELD
    FIELD_COUNT
};

static const struct bit_field fields[FIELD_COUNT] = {
#define FIELD(structure, name, high, low, meaning) [structure##_##name] = {high, low},
#include "irq/amd_irte_fields.def"
#undef FIELD
};

static uint64_t get(const uint64_t *word, enum amd_field f)
{
    return bits_get(word, fields[f]);
}

static void put(uint64_t *word, enum amd_field f, uint64_t value)
{
    bits_put(word, fields[f], value);
}

enum { PAGE_SHIFT = 12, DEST_HIGH_SHIFT = 24, ENTRY_BYTES = 8 };
enum { TYPE_ARBITRATED = 1, GAM_VAPIC = 1, CODE_GUEST_INTERRUPT = 1 };

/* ---- the log: "Guest Virtual APIC Log" ---- */

/* Software has to give it 256 entries or more; beyond its memory nothing is read or written. */
static uint32_t log_size(const struct amd_iommu *u)
{
    const uint32_t entries = UINT32_C(1) << get(&u->regs.GA_LOG_BASE, GA_LOG_BASE_LENGTH);

    return entries < u->config.log_entries ? entries : u->config.log_entries;
}

static uint32_t following(const struct amd_iommu *u, uint64_t entry)
{
    return (uint32_t)((entry + 1) % log_size(u));
}

/* One place stays free, as equal pointers mean an empty log. */
static bool log_is_full(const struct amd_iommu *u)
{
    const uint64_t tail = get(&u->regs.GA_LOG_TAIL, GA_LOG_TAIL_OFFSET);

    return tail >= log_size(u) ||
           following(u, tail) == get(&u->regs.GA_LOG_HEAD, GA_LOG_HEAD_OFFSET);
}

static void log_entry(struct amd_iommu *u, const struct amd_irte *irte, uint16_t device_id)
{
    const uint64_t tail = get(&u->regs.GA_LOG_TAIL, GA_LOG_TAIL_OFFSET);
    uint64_t entry = 0;

    put(&entry, LOG_GA_TAG, get(irte->word, GUEST_GA_TAG));
    put(&entry, LOG_DEVICE_ID, device_id);
    put(&entry, LOG_CODE, CODE_GUEST_INTERRUPT);
    u->config.log[tail] = entry;
    put(&u->regs.GA_LOG_TAIL, GA_LOG_TAIL_OFFSET, following(u, tail));
}

/* A status bit goes up: the interrupt is due when it was down. */
static bool raise(struct amd_iommu *u, enum amd_field status)
{
    const bool was = get(&u->regs.STATUS, status);

    put(&u->regs.STATUS, status, 1);
    return !was && get(&u->regs.CONTROL, CONTROL_GA_INT_EN);
}

static void append(struct amd_iommu *u, const struct amd_irte *irte, uint16_t device_id,
                   struct amd_iommu_verdict *verdict)
{
    if (!get(&u->regs.STATUS, STATUS_GA_LOG_RUN))
        return;
    if (log_is_full(u)) {
        put(&u->regs.STATUS, STATUS_GA_LOG_RUN, 0);
        verdict->interrupt = raise(u, STATUS_GA_OVERFLOW);
        return;
    }
    log_entry(u, irte, device_id);
    verdict->logged = true;
    verdict->interrupt = raise(u, STATUS_GA_LOG_INT);
}

bool amd_iommu_take_log(struct amd_iommu *u, uint32_t *tag)
{
    const uint64_t head = get(&u->regs.GA_LOG_HEAD, GA_LOG_HEAD_OFFSET);

    if (head == get(&u->regs.GA_LOG_TAIL, GA_LOG_TAIL_OFFSET) || head >= log_size(u))
        return false;
    *tag = (uint32_t)get(&u->config.log[head], LOG_GA_TAG);
    put(&u->regs.GA_LOG_HEAD, GA_LOG_HEAD_OFFSET, following(u, head));
    return true;
}

/* ---- entries: "Interrupt Remapping Tables", "Guest Virtual APIC Interrupt Remapping" ---- */

static bool only_fields(const struct amd_irte *irte, enum amd_field first, enum amd_field last)
{
    for (unsigned n = 0; n < 2; n++) {
        uint64_t known = 0;

        for (unsigned f = first; f <= last; f++)
            known |= bits_mask(fields[f], n);
        if (irte->word[n] & ~known)
            return false;
    }
    return true;
}

static uint32_t destination(const struct amd_irte *irte)
{
    return (uint32_t)(get(irte->word, IRTE_DEST_HIGH) << DEST_HIGH_SHIFT |
                      get(irte->word, IRTE_DEST_LOW));
}

bool amd_irte_is_guest(const struct amd_irte *irte)
{
    return get(irte->word, IRTE_GUEST_MODE);
}

static bool usable(const struct amd_iommu *u, const struct amd_irte *irte)
{
    if (!get(irte->word, IRTE_VALID))
        return false;
    if (amd_irte_is_guest(irte))
        return get(&u->regs.CONTROL, CONTROL_GAM_EN) == GAM_VAPIC &&
               only_fields(irte, GUEST_VALID, GUEST_DEST_HIGH);
    return get(irte->word, IRTE_TYPE) <= TYPE_ARBITRATED &&
           only_fields(irte, IRTE_VALID, IRTE_DEST_HIGH);
}

static struct amd_iommu_verdict post(const struct amd_irte *irte)
{
    return (struct amd_iommu_verdict){
        .outcome = AMD_IOMMU_POST,
        .vector = (uint8_t)get(irte->word, GUEST_VECTOR),
        .doorbell = get(irte->word, GUEST_IS_RUN),
        .destination = destination(irte),
        .page = get(irte->word, GUEST_GA_ROOT) << PAGE_SHIFT,
    };
}

static struct amd_iommu_verdict pass(const struct amd_irte *irte)
{
    const bool arbitrated = get(irte->word, IRTE_TYPE) == TYPE_ARBITRATED;

    return (struct amd_iommu_verdict){
        .outcome = AMD_IOMMU_PASS,
        .message =
            {
                .vector = (uint8_t)get(irte->word, IRTE_VECTOR),
                .delivery = arbitrated ? IRQ_LOWEST_PRIORITY : IRQ_FIXED,
                .logical = get(irte->word, IRTE_LOGICAL),
                .dest = destination(irte),
                .source = TRACE_NOWHERE,
            },
    };
}

static const struct amd_irte *entry_at(const struct amd_iommu *u, uint32_t index)
{
    static const struct amd_irte none = {{0}};

    return index < u->config.entries ? &u->config.table[index] : &none;
}

struct amd_iommu_verdict amd_iommu_ask(const struct amd_iommu *u, uint32_t index)
{
    const struct amd_irte *irte = entry_at(u, index);

    if (!get(&u->regs.CONTROL, CONTROL_GA_EN) || !usable(u, irte))
        return (struct amd_iommu_verdict){
            .outcome = AMD_IOMMU_BLOCK,
            .reported = !get(irte->word, IRTE_SUPPRESS),
        };
    return amd_irte_is_guest(irte) ? post(irte) : pass(irte);
}

struct amd_iommu_verdict amd_iommu_translate(struct amd_iommu *u, uint16_t device_id,
                                             uint32_t index)
{
    const struct amd_irte *irte = entry_at(u, index);
    struct amd_iommu_verdict verdict = amd_iommu_ask(u, index);

    if (verdict.outcome == AMD_IOMMU_POST && !verdict.doorbell &&
        get(irte->word, GUEST_GA_LOG_INTR))
        append(u, irte, device_id, &verdict);
    return verdict;
}

static void set_destination(struct amd_irte *irte, uint32_t apic_id)
{
    put(irte->word, IRTE_DEST_LOW, apic_id);
    put(irte->word, IRTE_DEST_HIGH, apic_id >> DEST_HIGH_SHIFT);
}

struct amd_irte amd_irte_remapped(uint8_t vector, uint32_t apic_id)
{
    struct amd_irte irte = {{0}};

    put(irte.word, IRTE_VALID, 1);
    put(irte.word, IRTE_VECTOR, vector);
    set_destination(&irte, apic_id);
    return irte;
}

struct amd_irte amd_irte_guest(uint8_t vector, uint64_t page, uint32_t tag)
{
    struct amd_irte irte = {{0}};

    put(irte.word, GUEST_VALID, 1);
    put(irte.word, GUEST_GUEST_MODE, 1);
    put(irte.word, GUEST_GA_LOG_INTR, 1);
    put(irte.word, GUEST_VECTOR, vector);
    put(irte.word, GUEST_GA_ROOT, page >> PAGE_SHIFT);
    put(irte.word, GUEST_GA_TAG, tag);
    return irte;
}

void amd_irte_set_running(struct amd_irte *irte, bool running, uint32_t apic_id)
{
    put(irte->word, GUEST_IS_RUN, running);
    if (running)
        set_destination(irte, apic_id);
}

/* ---- registers ---- */

static void amd_iommu_on_none(struct amd_iommu *u)
{
    (void)u;
}

/* The log starts when it is enabled, and after an overflow only when that has been cleared. */
static void amd_iommu_on_control(struct amd_iommu *u)
{
    put(&u->regs.STATUS, STATUS_GA_LOG_RUN,
        get(&u->regs.CONTROL, CONTROL_GA_LOG_EN) && !get(&u->regs.STATUS, STATUS_GA_OVERFLOW));
}

struct row {
    uint16_t offset;
    uint64_t reset, writable, clears;
    size_t storage; /* in struct amd_iommu_regs */
    void (*on_write)(struct amd_iommu *u);
};

static const struct row rows[] = {
#define REG(name, offset, reset, writable, clears, effect, title)                              \
    {offset,                                                                                   \
     reset,                                                                                    \
     writable,                                                                                 \
     clears,                                                                                   \
     offsetof(struct amd_iommu_regs, name),                                                    \
     amd_iommu_on_##effect},
#include "irq/amd_iommu_regs.def"
#undef REG
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static uint64_t *storage(struct amd_iommu *u, const struct row *row)
{
    return (uint64_t *)((char *)&u->regs + row->storage);
}

uint64_t amd_iommu_read(const struct amd_iommu *u, uint16_t offset)
{
    for (unsigned n = 0; n < ROWS; n++)
        if (rows[n].offset == offset)
            return *(const uint64_t *)((const char *)&u->regs + rows[n].storage);
    return 0;
}

void amd_iommu_write(struct amd_iommu *u, uint16_t offset, uint64_t value)
{
    for (unsigned n = 0; n < ROWS; n++) {
        const struct row *row = &rows[n];
        uint64_t *reg = storage(u, row);

        if (row->offset != offset)
            continue;
        *reg = (*reg & ~row->writable) |
               (((value & ~row->clears) | (*reg & ~value & row->clears)) & row->writable);
        row->on_write(u);
    }
}

void amd_iommu_init(struct amd_iommu *u, const struct amd_iommu_config *config)
{
    *u = (struct amd_iommu){.config = *config};
    for (unsigned n = 0; n < ROWS; n++)
        *storage(u, &rows[n]) = rows[n].reset;
}
