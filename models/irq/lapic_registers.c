/*
 * The local APIC's registers: what reads return and writes do, by offset and
 * by MSR. Each is a row of lapic_regs.def and, where a write does more than
 * store, the function that the row names.
 */
#include "irq/lapic_parts.h"

/* ---- the effects of writes, one for each name in lapic_regs.def ---- */

static void lapic_on_none(struct lapic *l, uint32_t old, sim_time now)
{
    (void)l, (void)old, (void)now;
}

/* To be stored is all that happens to the value. */
static void lapic_on_store(struct lapic *l, uint32_t old, sim_time now)
{
    (void)l, (void)old, (void)now;
}

static void lapic_on_eoi(struct lapic *l, uint32_t old, sim_time now)
{
    (void)old, (void)now;
    lapic_eoi(l);
}

/* SDM 3A "Local APIC State After It Has Been Software Disabled": all masks are set, and stay.
 */
void lapic_on_lvt(struct lapic *l, uint32_t old, sim_time now)
{
    (void)old, (void)now;
    if (lapic_enabled(l) || lapic_follows(l, LAPIC_QUIRK_DISABLED_LVT))
        return;
    l->regs.LVT_CMCI |= LAPIC_LVT_MASKED;
    l->regs.LVT_TIMER |= LAPIC_LVT_MASKED;
    l->regs.LVT_THERMAL |= LAPIC_LVT_MASKED;
    l->regs.LVT_PERF |= LAPIC_LVT_MASKED;
    l->regs.LVT_LINT0 |= LAPIC_LVT_MASKED;
    l->regs.LVT_LINT1 |= LAPIC_LVT_MASKED;
    l->regs.LVT_ERROR |= LAPIC_LVT_MASKED;
}

/* SDM 3A "Spurious Interrupt": P6 processors have the vector's low four bits wired to 1. */
static void lapic_on_svr(struct lapic *l, uint32_t old, sim_time now)
{
    if (l->config.p6)
        l->regs.SVR |= 0xf;
    lapic_on_lvt(l, old, now);
}

/* A read shows what had gathered when ESR was last written. */
static void lapic_on_esr(struct lapic *l, uint32_t old, sim_time now)
{
    (void)old, (void)now;
    l->regs.ESR = l->esr_pending;
    if (!lapic_follows(l, LAPIC_QUIRK_STICKY_ESR))
        l->esr_pending = 0;
}

/* A processor that cannot send redirectable IPIs sends nothing. An illegal vector is noted; the message leaves all the same, and its receiver refuses it. */
static void send_ipi(struct lapic *l, const struct irq_msg *msg)
{
    const bool redirectable = msg->delivery == IRQ_LOWEST_PRIORITY;

    if (redirectable && l->config.no_redirectable) {
        lapic_error(l, LAPIC_ESR_REDIRECTABLE_IPI);
        return;
    }
    if ((redirectable || msg->delivery == IRQ_FIXED) && !lapic_legal(l, msg->vector))
        lapic_error(l, LAPIC_ESR_SEND_ILLEGAL_VECTOR);
    l->config.port->send(l->config.port, msg);
}

/* SDM 3A "Interrupt Command Register (ICR)": trigger mode and level matter to INIT only. */
struct irq_msg lapic_decode_icr(const struct lapic *l, uint64_t icr)
{
    const uint8_t delivery = icr >> 8 & 7;
    const bool has_level = delivery == IRQ_INIT || lapic_follows(l, LAPIC_QUIRK_ICR_LEVEL);
    const bool level = has_level && icr >> 15 & 1;

    return (struct irq_msg){
        .vector = icr & 0xff,
        .delivery = delivery,
        .shorthand = icr >> 18 & 3,
        .logical = icr >> 11 & 1,
        .level = level,
        .deassert = level && !(icr >> 14 & 1),
        .dest = (uint32_t)(l->mode == LAPIC_MODE_X2APIC ? icr >> 32 : icr >> 56),
        .source = l->config.index,
    };
}

static uint64_t icr_value(const struct lapic *l)
{
    return (uint64_t)l->regs.ICR_HI << 32 | l->regs.ICR_LO;
}

static void lapic_on_icr(struct lapic *l, uint32_t old, sim_time now)
{
    (void)old, (void)now;
    const struct irq_msg msg = lapic_decode_icr(l, icr_value(l));
    send_ipi(l, &msg);
}

/* SDM 3A "SELF IPI Register": a fixed, edge-triggered interrupt to this core. */
static void lapic_on_self_ipi(struct lapic *l, uint32_t old, sim_time now)
{
    (void)old, (void)now;
    const struct irq_msg msg = lapic_self_message(l, (uint8_t)l->regs.SELF_IPI);
    send_ipi(l, &msg);
}

/* ---- the table, by offset / 10H ---- */

enum access { NONE, RO = 1, WO = 2, RW = RO | WO };

struct lapic_row {
    uint8_t access[3];                /* by enum lapic_mode */
    uint32_t fixed, writable, status; /* fixed: the other bits, as they read */
    size_t storage;                   /* in struct lapic_regs */
    void (*effect)(struct lapic *l, uint32_t old, sim_time now);
};

enum { SLOTS = 0x400 / 0x10, SLOT_BYTES = 0x10, VEC_WORDS = 8, LVT_STATUS_IDLE = 1 << 12 };

/* clang-format off */
#define REG(name, offset, xapic, x2apic, reset, writable, status, effect, title)               \
    [(offset) / SLOT_BYTES] = {{NONE, xapic, x2apic}, (reset) & ~(writable), writable, status, \
                               offsetof(struct lapic_regs, name), lapic_on_##effect},
#define WORD(name, offset, n)                                                                  \
    [(offset) / SLOT_BYTES + (n)] = {{NONE, RO, RO}, 0, 0, 0,                                  \
                                     offsetof(struct lapic_regs, name), lapic_on_none},
#define VEC(name, offset, title)                                                               \
    WORD(name, offset, 0) WORD(name, offset, 1) WORD(name, offset, 2) WORD(name, offset, 3)    \
    WORD(name, offset, 4) WORD(name, offset, 5) WORD(name, offset, 6) WORD(name, offset, 7)
/* clang-format on */
static const struct lapic_row rows[SLOTS] = {
#include "irq/lapic_regs.def"
};
#undef REG
#undef WORD
#undef VEC

static const struct lapic_row *row_at(uint16_t offset)
{
    return &rows[offset / SLOT_BYTES];
}

/* SDM 3A "Local APIC Version Register": the number of LVT entries less one, bit 24. */
bool lapic_has_cmci(const struct lapic *l)
{
    return (l->regs.VERSION >> 16 & 0xff) >= 6;
}

static bool has_suppression(const struct lapic *l)
{
    return l->regs.VERSION >> 24 & 1;
}

static bool is_lvt(const struct lapic_row *row)
{
    return row->status & LVT_STATUS_IDLE && row != row_at(LAPIC_ICR_LO);
}

static uint32_t svr_bits(const struct lapic *l)
{
    uint32_t bits = 0x1ff;

    if (has_suppression(l))
        bits |= LAPIC_SVR_SUPPRESS_EOI_BROADCAST;
    if (l->config.p6 || lapic_follows(l, LAPIC_QUIRK_SVR_FOCUS))
        bits |= LAPIC_SVR_NO_FOCUS;
    return bits;
}

/* The table's bits, but for what the processor lacks and what a reference keeps besides. */
static uint32_t writable_bits(const struct lapic *l, const struct lapic_row *row)
{
    const bool is_icr = row == row_at(LAPIC_ICR_LO);

    if (row == row_at(LAPIC_SVR))
        return svr_bits(l);
    if (!l->config.quirks)
        return row->writable;
    if (lapic_follows(l, LAPIC_QUIRK_WHOLE_REGISTERS) &&
        (is_lvt(row) || is_icr || row == row_at(LAPIC_ICR_HI)))
        return UINT32_MAX;
    if (lapic_follows(l, LAPIC_QUIRK_LVT_STATUS) && is_lvt(row))
        return row->writable | row->status;
    if (lapic_follows(l, LAPIC_QUIRK_ICR_RESERVED) && is_icr)
        return ~row->status;
    return row->writable;
}

/* The register at this offset, when software may do `want` to it in the present mode. */
static const struct lapic_row *find_row(const struct lapic *l, uint32_t offset,
                                        enum access want)
{
    if (offset % SLOT_BYTES || offset / SLOT_BYTES >= SLOTS)
        return NULL;
    const struct lapic_row *row = &rows[offset / SLOT_BYTES];
    if (offset == LAPIC_LVT_CMCI && !lapic_has_cmci(l))
        return NULL;
    return row->access[l->mode] & want ? row : NULL;
}

static uint32_t *storage(struct lapic *l, const struct lapic_row *row)
{
    return (uint32_t *)(void *)((char *)&l->regs + row->storage);
}

static uint32_t read_row(struct lapic *l, const struct lapic_row *row, uint16_t offset,
                         sim_time now)
{
    const unsigned word = offset / SLOT_BYTES % VEC_WORDS;

    switch (offset) {
    case LAPIC_ID:
        return l->mode == LAPIC_MODE_X2APIC ? l->config.apic_id : l->regs.ID;
    case LAPIC_LDR:
        return l->mode == LAPIC_MODE_X2APIC ? lapic_logical_id(l) : l->regs.LDR;
    case LAPIC_APR:
        return l->config.p6 ? lapic_apr(l) : 0;
    case LAPIC_PPR:
        return lapic_ppr(l);
    case LAPIC_ESR:
        return lapic_follows(l, LAPIC_QUIRK_STICKY_ESR) ? l->esr_pending : l->regs.ESR;
    case LAPIC_TIMER_CURRENT:
        return lapic_timer_current(l, now);
    default:
        break;
    }
    if (offset >= LAPIC_ISR && offset < LAPIC_TMR)
        return vec_word32(&l->regs.ISR, word);
    if (offset >= LAPIC_TMR && offset < LAPIC_IRR)
        return vec_word32(&l->regs.TMR, word);
    if (offset >= LAPIC_IRR && offset < LAPIC_ESR)
        return vec_word32(&l->regs.IRR, word);
    return *storage(l, row);
}

static void write_row(struct lapic *l, const struct lapic_row *row, uint32_t value,
                      sim_time now)
{
    uint32_t *reg = storage(l, row);
    const uint32_t old = *reg;

    *reg = row->fixed | (value & writable_bits(l, row));
    row->effect(l, old, now);
}

/* SDM 3A table "ESR Flags": only xAPIC mode has illegal addresses; x2APIC mode has #GP. */
static void note_illegal_address(struct lapic *l, uint16_t offset)
{
    if (l->mode == LAPIC_MODE_XAPIC && !find_row(l, offset, RW) &&
        !lapic_follows(l, LAPIC_QUIRK_SILENT_ADDRESSES))
        lapic_error(l, LAPIC_ESR_ILLEGAL_REGISTER);
}

uint32_t lapic_read(struct lapic *l, uint16_t offset, sim_time now)
{
    const struct lapic_row *row = find_row(l, offset, RO);

    if (l->mode == LAPIC_MODE_DISABLED)
        return UINT32_MAX;
    if (row)
        return read_row(l, row, offset, now);
    note_illegal_address(l, offset);
    return 0;
}

void lapic_write(struct lapic *l, uint16_t offset, uint32_t value, sim_time now)
{
    const struct lapic_row *row = find_row(l, offset, WO);

    if (row)
        write_row(l, row, value, now);
    else
        note_illegal_address(l, offset);
}

/* ---- as a core sees the page: SDM 3A "Accessing the Local APIC Registers" ---- */

/* Only aligned 32-bit accesses are defined: any other one reaches an address between the
   registers. */
static uint16_t addressed(uint16_t offset, unsigned size)
{
    return size == 4 ? offset : (uint16_t)(offset | 1);
}

static uint32_t narrow(uint32_t value, uint16_t offset, unsigned size)
{
    const uint32_t mask = (UINT32_C(1) << size * 8) - 1;

    return value >> offset % SLOT_BYTES * 8 & mask;
}

uint32_t lapic_page_read(struct lapic *l, uint16_t offset, unsigned size, sim_time now)
{
    const uint16_t within = offset % SLOT_BYTES;

    if (l->mode != LAPIC_MODE_XAPIC)
        return UINT32_MAX;
    if (lapic_follows(l, LAPIC_QUIRK_NARROW_READS) && size && size < 4 && within + size <= 4)
        return narrow(lapic_read(l, (uint16_t)(offset - within), now), offset, size);
    return lapic_read(l, addressed(offset, size), now);
}

void lapic_page_write(struct lapic *l, uint16_t offset, unsigned size, uint32_t value,
                      sim_time now)
{
    if (l->mode == LAPIC_MODE_XAPIC)
        lapic_write(l, addressed(offset, size), value, now);
}

/* ---- the same as MSRs: SDM 3A "Accessing APIC Registers Using x2APIC Mode" ---- */

static const struct lapic_row *find_msr(const struct lapic *l, uint32_t msr, enum access want)
{
    const uint32_t first = lapic_msr(0);

    if (l->mode != LAPIC_MODE_X2APIC || msr < first || msr - first >= SLOTS)
        return NULL;
    return find_row(l, (msr - first) * SLOT_BYTES, want);
}

bool lapic_rdmsr(struct lapic *l, uint32_t msr, uint64_t *value, sim_time now)
{
    const struct lapic_row *row = find_msr(l, msr, RO);

    if (!row)
        return false;
    if (msr == lapic_msr(LAPIC_ICR_LO))
        *value = icr_value(l);
    else
        *value = read_row(l, row, (uint16_t)((msr - lapic_msr(0)) * SLOT_BYTES), now);
    return true;
}

/* SDM 3A "Reserved Bit Checking". The ICR's upper half is the destination, all of it. */
static bool is_reserved(const struct lapic *l, const struct lapic_row *row, uint64_t value)
{
    const bool is_icr = row == row_at(LAPIC_ICR_LO);
    const bool checked = is_icr || row == row_at(LAPIC_ESR) || row == row_at(LAPIC_SELF_IPI);

    if (!is_icr && value >> 32)
        return true;
    if (!checked && lapic_follows(l, LAPIC_QUIRK_X2_RESERVED))
        return false;
    const uint32_t writable = row == row_at(LAPIC_SVR) ? svr_bits(l) : row->writable;
    return (uint32_t)value & ~(writable | row->status);
}

bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t value, sim_time now)
{
    const struct lapic_row *row = find_msr(l, msr, WO);

    if (!row || is_reserved(l, row, value))
        return false;
    if (row == row_at(LAPIC_ICR_LO))
        l->regs.ICR_HI = (uint32_t)(value >> 32);
    write_row(l, row, (uint32_t)value, now);
    return true;
}
