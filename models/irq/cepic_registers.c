/* CEPIC's registers: what reads return and writes do. Each is a row of cepic_regs.def. */
#include "irq/cepic_parts.h"

/* ---- the effects of writes, one for each name in cepic_regs.def ---- */

static void cepic_on_none(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)c, (void)old, (void)value, (void)now;
}

static void cepic_on_evaluate(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)old, (void)value, (void)now;
    cepic_evaluate(c);
}

static void cepic_on_eoi(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)old, (void)now;
    c->reg[CEPIC_ROW_EOI] = 0; /* write-only */
    cepic_end(c, value);
}

/* Linux for e2k writes 0 before it reads: __epic_smp_error_interrupt(). */
static void cepic_on_esr(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)old, (void)value, (void)now;
    c->reg[CEPIC_ROW_ESR] = c->esr_pending;
    c->esr_pending = 0;
}

/* A 1 clears: epic_do_nmi() writes the mask of all bits so that the next one can come. */
static void cepic_on_nonmaskable(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)now;
    c->reg[CEPIC_ROW_PNMIRR] = old & ~value;
    cepic_withdraw_nonmaskable(c, (uint32_t)value);
}

struct epic_msg cepic_decode_icr(const struct cepic *c, uint64_t icr)
{
    return (struct epic_msg){
        .vector = (uint16_t)bits_get(&icr, CEPIC_ICR_VECT),
        .dest = (uint16_t)bits_get(&icr, CEPIC_ICR_DST),
        .guest = (uint16_t)bits_get(&icr, CEPIC_ICR_GST_ID),
        .delivery = (uint8_t)bits_get(&icr, CEPIC_ICR_DLVM),
        .shorthand = (uint8_t)bits_get(&icr, CEPIC_ICR_DST_SH),
        .source = c->config.index,
    };
}

uint64_t cepic_encode_icr(const struct epic_msg *msg)
{
    uint64_t icr = 0;

    bits_put(&icr, CEPIC_ICR_VECT, msg->vector);
    bits_put(&icr, CEPIC_ICR_DST, msg->dest);
    bits_put(&icr, CEPIC_ICR_GST_ID, msg->guest);
    bits_put(&icr, CEPIC_ICR_DLVM, msg->delivery);
    bits_put(&icr, CEPIC_ICR_DST_SH, msg->shorthand);
    return icr;
}

static void cepic_on_icr(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    const struct epic_msg msg = cepic_decode_icr(c, c->reg[CEPIC_ROW_ICR]);

    (void)old, (void)value, (void)now;
    if (msg.delivery > EPIC_STARTUP)
        cepic_error(c, CEPIC_ESR_MS_ICR_ERR);
    else
        c->config.port->send(c->config.port, &msg);
}

static void cepic_on_timer_init(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)old, (void)value;
    cepic_timer_start(c, CEPIC_TIMER, now);
}

static void cepic_on_nm_timer_init(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)old, (void)value;
    cepic_timer_start(c, CEPIC_NM_TIMER, now);
}

static void cepic_on_timer_div(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)value;
    cepic_timer_divided(c, CEPIC_TIMER, old, now);
}

static void cepic_on_nm_timer_div(struct cepic *c, uint64_t old, uint64_t value, sim_time now)
{
    (void)value;
    cepic_timer_divided(c, CEPIC_NM_TIMER, old, now);
}

/* ---- the table ---- */

enum access { RO = 1, WO = 2, RW = RO | WO };
enum { NO_ROW = CEPIC_ROWS, PMIRR_BYTES = EPIC_VECTORS / 8 };

struct row {
    uint16_t offset;
    uint8_t width, access;
    uint64_t reset, writable;
    void (*effect)(struct cepic *c, uint64_t old, uint64_t value, sim_time now);
};

#define FIELD(...)
#define REG(name, offset, width, access, reset, writable, effect, title)                       \
    [CEPIC_ROW_##name] = {offset, width, access, reset, writable, cepic_on_##effect},
static const struct row rows[CEPIC_ROWS] = {
#include "irq/cepic_regs.def"
};
#undef REG
#undef FIELD

static unsigned bytes_of(unsigned row)
{
    return row == CEPIC_ROW_PMIRR ? PMIRR_BYTES : rows[row].width;
}

/* The row that an access lies in, aligned and no wider than the register. */
static unsigned row_at(uint16_t offset, unsigned size)
{
    if ((size != 4 && size != 8) || offset % size)
        return NO_ROW;
    for (unsigned row = 0; row < CEPIC_ROWS; row++)
        if (offset >= rows[row].offset && offset < rows[row].offset + bytes_of(row))
            return size <= rows[row].width ? row : NO_ROW;
    return NO_ROW;
}

static struct bit_field part(unsigned row, uint16_t offset, unsigned size)
{
    const uint16_t low = (uint16_t)(offset - rows[row].offset) % 8 * 8;

    return (struct bit_field){(uint16_t)(low + size * 8 - 1), low};
}

unsigned cepic_width(uint16_t offset)
{
    return row_at(offset, 8) == NO_ROW ? 4 : 8;
}

/* ---- reads ---- */

unsigned cepic_inta_priority(uint64_t inta)
{
    return (unsigned)bits_get(&inta, CEPIC_VECT_INTA_CPR);
}

uint64_t cepic_encode_eoi(unsigned priority)
{
    uint64_t eoi = 0;

    bits_put(&eoi, CEPIC_EOI_RCPR, priority);
    return eoi;
}

static uint64_t read_cir(const struct cepic *c)
{
    uint64_t value = 0;

    bits_put(&value, CEPIC_CIR_VECT, c->current.vector);
    bits_put(&value, CEPIC_CIR_STAT, c->waiting);
    return value;
}

static uint64_t read_inta(struct cepic *c)
{
    uint64_t value = 0;

    bits_put(&value, CEPIC_VECT_INTA_CPR, cepic_field(c, CEPIC_ROW_CPR, CEPIC_CPR_CPR));
    bits_put(&value, CEPIC_VECT_INTA_VECT, cepic_acknowledge(c));
    return value;
}

static uint64_t read_row(struct cepic *c, unsigned row, uint16_t offset, sim_time now)
{
    switch (row) {
    case CEPIC_ROW_PMIRR:
        return c->pmirr[(offset - CEPIC_PMIRR) / 8];
    case CEPIC_ROW_CIR:
        return read_cir(c);
    case CEPIC_ROW_VECT_INTA:
        return read_inta(c);
    case CEPIC_ROW_TIMER_CUR:
        return cepic_timer_current(c, CEPIC_TIMER, now);
    case CEPIC_ROW_NM_TIMER_CUR:
        return cepic_timer_current(c, CEPIC_NM_TIMER, now);
    default:
        return c->reg[row];
    }
}

uint64_t cepic_read(struct cepic *c, uint16_t offset, unsigned size, sim_time now)
{
    const unsigned row = row_at(offset, size);

    if (row == NO_ROW || !(rows[row].access & RO)) {
        cepic_error(c, CEPIC_ESR_RQ_ADDR_ERR);
        return 0;
    }
    const uint64_t value = read_row(c, row, offset, now);
    return bits_get(&value, part(row, offset, size));
}

/* ---- writes ---- */

/* Of an 8-byte register the low half acts: Linux writes CEPIC_ICR2 first, then CEPIC_ICR. */
static bool acts(unsigned row, uint16_t offset)
{
    return offset == rows[row].offset;
}

void cepic_write(struct cepic *c, uint16_t offset, unsigned size, uint64_t value, sim_time now)
{
    const unsigned row = row_at(offset, size);

    if (row == NO_ROW || !(rows[row].access & WO)) {
        cepic_error(c, CEPIC_ESR_RQ_ADDR_ERR);
        return;
    }
    const struct row *r = &rows[row];
    const uint64_t old = c->reg[row];
    uint64_t written = old;

    bits_put(&written, part(row, offset, size), value);
    written = (old & ~r->writable) | (written & r->writable);
    c->reg[row] = written;
    if (acts(row, offset))
        r->effect(c, old, value & r->writable, now);
}

/* ---- power-up: kvm_cepic_reset() ---- */

void cepic_init(struct cepic *c, const struct cepic_config *config)
{
    *c = (struct cepic){.config = *config};
    for (unsigned row = 0; row < CEPIC_ROWS; row++)
        c->reg[row] = rows[row].reset;
    for (unsigned t = 0; t < CEPIC_TIMERS; t++)
        c->deadline[t] = SIM_TIME_NEVER;
    c->reg[CEPIC_ROW_ID] = config->id & 0x3ff;
    bits_put(&c->reg[CEPIC_ROW_CTRL], CEPIC_CTRL_BSP_CORE, config->bootstrap);
    bits_put(&c->reg[CEPIC_ROW_CTRL], CEPIC_CTRL_SOFT_EN, config->enabled);
}
