/*
 * CEPIC's interrupts: acceptance, priority, acknowledgement. The registers are
 * in cepic_registers.c, the timers in cepic_timer.c.
 */
#include "irq/cepic_parts.h"

static void trace_vector(const struct cepic *c, trace_flow flow, enum trace_event event,
                         unsigned vector, uint64_t b)
{
    trace_put(c->config.trace, flow, event, c->config.index, vector, b);
}

/* ---- PMIRR ---- */

static bool set_pending(struct cepic *c, unsigned vector)
{
    const uint64_t bit = UINT64_C(1) << vector % 64;
    const bool was = c->pmirr[vector / 64] & bit;

    c->pmirr[vector / 64] |= bit;
    return !was;
}

static int highest(const struct cepic *c)
{
    for (int w = EPIC_VECTORS / 64 - 1; w >= 0; w--)
        if (c->pmirr[w])
            return w * 64 + 63 - __builtin_clzll(c->pmirr[w]);
    return -1;
}

/* ---- CIR ---- */

/* What stood in CIR and gives way goes back, unless the same vector has been sent again. */
static void put_back(struct cepic *c, struct cepic_interrupt i)
{
    if (set_pending(c, i.vector))
        c->pending_flow[i.vector] = i.flow;
    else
        trace_vector(c, i.flow, TRACE_COALESCED, i.vector, TRACE_HELD_PMIRR);
}

static unsigned core_priority(const struct cepic *c)
{
    return (unsigned)cepic_field(c, CEPIC_ROW_CPR, CEPIC_CPR_CPR);
}

/* Until the core has taken it, CIR gives way to a higher class: assumed. */
void cepic_evaluate(struct cepic *c)
{
    const int vector = highest(c);
    const unsigned floor = c->waiting ? epic_priority(c->current.vector) : core_priority(c);

    if (vector < 0 || epic_priority((unsigned)vector) <= floor ||
        !cepic_field(c, CEPIC_ROW_CTRL, CEPIC_CTRL_SOFT_EN))
        return;
    c->pmirr[vector / 64] &= ~(UINT64_C(1) << vector % 64);
    if (c->waiting)
        put_back(c, c->current);
    c->current = (struct cepic_interrupt){(uint16_t)vector, c->pending_flow[vector]};
    c->waiting = true;
}

int cepic_waiting(const struct cepic *c)
{
    return c->waiting ? c->current.vector : -1;
}

/* Linux for e2k: kvm_epic_inta(), and epic_vector_prio() for what becomes of CPR. */
uint16_t cepic_acknowledge(struct cepic *c)
{
    const struct cepic_interrupt taken = c->current;

    if (!c->waiting)
        return (uint16_t)cepic_field(c, CEPIC_ROW_SVR, CEPIC_SVR_VECT);
    c->waiting = false;
    c->service[epic_priority(taken.vector) - 1] = taken;
    bits_put(&c->reg[CEPIC_ROW_CPR], CEPIC_CPR_CPR, epic_priority(taken.vector));
    cepic_evaluate(c);
    return taken.vector;
}

/* Linux for e2k: epic_write_eoi(). The core's priority says whose end it is. */
void cepic_end(struct cepic *c, uint64_t eoi)
{
    const unsigned ended = core_priority(c);

    if (ended >= 1 && ended <= EPIC_CLASSES) {
        const struct cepic_interrupt i = c->service[ended - 1];

        c->service[ended - 1].flow = 0;
        trace_vector(c, i.flow, TRACE_EOI, i.vector, 0);
        trace_vector(c, i.flow, TRACE_RETIRED, i.vector, 0);
        c->config.port->eoi(c->config.port, i.vector);
    }
    bits_put(&c->reg[CEPIC_ROW_CPR], CEPIC_CPR_CPR, bits_get(&eoi, CEPIC_EOI_RCPR));
    cepic_evaluate(c);
}

/* ---- what cannot be masked ---- */

static uint32_t bit_of(struct bit_field field)
{
    return (uint32_t)bits_mask(field, 0);
}

uint32_t cepic_nonmaskable(const struct cepic *c)
{
    return (uint32_t)(c->reg[CEPIC_ROW_PNMIRR] & ~c->reg[CEPIC_ROW_PNMIRR_MASK]) &
           ~bit_of(CEPIC_PNMIRR_STARTUP_ENTRY);
}

trace_flow cepic_nonmaskable_flow(const struct cepic *c)
{
    const uint32_t open = cepic_nonmaskable(c);

    for (unsigned n = 0; n < CEPIC_PNMIRR_BITS; n++)
        if (open >> n & 1 && c->nonmaskable_flow[n])
            return c->nonmaskable_flow[n];
    return 0;
}

unsigned cepic_nonmaskable_count(const struct cepic *c)
{
    unsigned count = 0;

    for (unsigned n = 0; n < CEPIC_PNMIRR_BITS; n++)
        count += c->nonmaskable_flow[n] != 0;
    return count;
}

/* The flows of these causes leave PNMIRR, but for `kept`. */
static void end_nonmaskable(struct cepic *c, uint32_t bits, trace_flow kept,
                            enum trace_event event, uint64_t why)
{
    for (unsigned n = 0; n < CEPIC_PNMIRR_BITS; n++) {
        const trace_flow flow = c->nonmaskable_flow[n];

        if (!(bits >> n & 1) || !flow)
            continue;
        c->nonmaskable_flow[n] = 0;
        if (flow != kept)
            trace_vector(c, flow, event, EPIC_NMI_VECTOR, why);
    }
}

trace_flow cepic_serve_nonmaskable(struct cepic *c, uint32_t bits)
{
    const trace_flow flow = cepic_nonmaskable_flow(c);

    end_nonmaskable(c, bits, flow, TRACE_COALESCED, TRACE_HELD_NMI);
    return flow;
}

/* Software cleared them without having taken them. */
void cepic_withdraw_nonmaskable(struct cepic *c, uint32_t bits)
{
    end_nonmaskable(c, bits, 0, TRACE_REFUSED, TRACE_REFUSED_WITHDRAWN);
}

enum cepic_answer cepic_hold_nonmaskable(struct cepic *c, struct bit_field bit, unsigned vector,
                                         trace_flow flow)
{
    const bool held = cepic_field(c, CEPIC_ROW_PNMIRR, bit);

    trace_vector(c, flow, held ? TRACE_COALESCED : TRACE_PENDING, vector, TRACE_HELD_NMI);
    if (held)
        return CEPIC_COALESCED;
    c->reg[CEPIC_ROW_PNMIRR] |= bit_of(bit);
    c->nonmaskable_flow[bit.low] = flow;
    return CEPIC_ACCEPTED;
}

/* Linux for e2k: kvm_hw_epic_deliver_to_pirr(), a bit for each mode. */
static enum cepic_answer accept_nonmaskable(struct cepic *c, const struct epic_msg *msg)
{
    static const struct bit_field *const bits[] = {
        [EPIC_SMI] = &CEPIC_PNMIRR_SMI,         [EPIC_NM_SPECIAL] = &CEPIC_PNMIRR_NM_SPECIAL,
        [EPIC_NMI] = &CEPIC_PNMIRR_NMI,         [EPIC_INIT] = &CEPIC_PNMIRR_INIT,
        [EPIC_STARTUP] = &CEPIC_PNMIRR_STARTUP,
    };

    if (msg->delivery == EPIC_STARTUP)
        bits_put(&c->reg[CEPIC_ROW_PNMIRR], CEPIC_PNMIRR_STARTUP_ENTRY, msg->vector);
    return cepic_hold_nonmaskable(c, *bits[msg->delivery], msg->vector, msg->flow);
}

/* ---- acceptance ---- */

static enum cepic_answer refuse(struct cepic *c, const struct epic_msg *msg,
                                enum trace_refused why)
{
    trace_vector(c, msg->flow, TRACE_REFUSED, msg->vector, why);
    return CEPIC_REFUSED;
}

/* Linux for e2k: kvm_hw_epic_set_irq_vector() takes vector 0 for a mistake. */
static enum cepic_answer accept_fixed(struct cepic *c, const struct epic_msg *msg)
{
    if (!cepic_field(c, CEPIC_ROW_CTRL, CEPIC_CTRL_SOFT_EN))
        return refuse(c, msg, TRACE_REFUSED_DISABLED);
    if (msg->vector == 0 || msg->vector >= EPIC_VECTORS) {
        cepic_error(c, CEPIC_ESR_MS_ERR);
        return refuse(c, msg, TRACE_REFUSED_ILLEGAL_VECTOR);
    }
    if (!set_pending(c, msg->vector)) {
        trace_vector(c, msg->flow, TRACE_COALESCED, msg->vector, TRACE_HELD_PMIRR);
        return CEPIC_COALESCED;
    }
    c->pending_flow[msg->vector] = msg->flow;
    trace_vector(c, msg->flow, TRACE_PENDING, msg->vector, TRACE_HELD_PMIRR);
    cepic_evaluate(c);
    return CEPIC_ACCEPTED;
}

enum cepic_answer cepic_accept(struct cepic *c, const struct epic_msg *msg)
{
    switch (msg->delivery) {
    case EPIC_FIXED_EXT:
    case EPIC_FIXED_IPI:
        return accept_fixed(c, msg);
    case EPIC_SMI:
    case EPIC_NM_SPECIAL:
    case EPIC_NMI:
    case EPIC_INIT:
    case EPIC_STARTUP:
        return accept_nonmaskable(c, msg);
    default:
        cepic_error(c, CEPIC_ESR_MS_ERR);
        return refuse(c, msg, TRACE_REFUSED_MODE);
    }
}

/* One interrupt until software writes ESR, so that a bad vector there cannot call forth itself. */
void cepic_error(struct cepic *c, struct bit_field bit)
{
    const bool armed = c->esr_pending == 0;
    const unsigned vector = (unsigned)cepic_field(c, CEPIC_ROW_ESR2, CEPIC_ESR2_VECT);

    c->esr_pending |= bit_of(bit);
    if (armed && vector && !cepic_field(c, CEPIC_ROW_ESR2, CEPIC_ESR2_MASK)) {
        const struct epic_msg msg = {.vector = (uint16_t)vector,
                                     .dest = c->config.id,
                                     .source = c->config.index,
                                     .flow = trace_new_flow(c->config.trace)};

        trace_vector(c, msg.flow, TRACE_RAISED, vector,
                     TRACE_SOURCE(TRACE_SOURCE_IPI, c->config.index));
        trace_vector(c, msg.flow, TRACE_ROUTED, vector,
                     TRACE_PARENT(c->config.index, msg.flow));
        accept_fixed(c, &msg);
    }
}

/* Linux for e2k: restoring a guest's CEPIC. Their flows, if any, are the caller's. */
void cepic_or_pending(struct cepic *c, unsigned word, uint64_t bits)
{
    c->pmirr[word] |= bits;
    cepic_evaluate(c);
}

void cepic_or_nonmaskable(struct cepic *c, uint32_t bits)
{
    c->reg[CEPIC_ROW_PNMIRR] |= bits;
}
