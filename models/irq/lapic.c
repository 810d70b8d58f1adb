/*
 * The local APIC's interrupts: acceptance, priorities, acknowledgement.
 *
 * A message enters through lapic_accept(), waits in IRR, moves to ISR when the
 * core takes it, and leaves with EOI. The registers are in lapic_registers.c,
 * the timer in lapic_timer.c, the local vector table's inputs in lapic_lint.c,
 * power-up, INIT and IA32_APIC_BASE in lapic_reset.c.
 */
#include "irq/lapic_parts.h"

enum { CLASS = 0xf0 };

static void trace_vector(const struct lapic *l, trace_flow flow, enum trace_event event,
                         uint8_t vector, uint64_t b)
{
    trace_put(l->config.trace, flow, event, l->config.index, vector, b);
}

/* ---- errors: SDM 3A "Error Handling" ---- */

struct irq_msg lapic_self_message(const struct lapic *l, uint8_t vector)
{
    return (struct irq_msg){
        .vector = vector,
        .delivery = IRQ_FIXED,
        .shorthand = IRQ_SELF,
        .dest = lapic_id(l),
        .source = l->config.index,
    };
}

/* One interrupt for all errors until software writes ESR, which arms the mechanism again: so
   an LVT Error entry with an illegal vector cannot call forth itself. */
void lapic_error(struct lapic *l, uint32_t bit)
{
    const bool armed = l->esr_pending == 0;

    l->esr_pending |= bit;
    if (armed && !(l->regs.LVT_ERROR & LAPIC_LVT_MASKED))
        lapic_raise(l, l->regs.LVT_ERROR, false);
}

void lapic_not_accepted(struct lapic *l)
{
    if (l->config.p6)
        lapic_error(l, LAPIC_ESR_SEND_ACCEPT);
}

/* SDM 3A "Valid Interrupt Vectors". */
bool lapic_legal(const struct lapic *l, uint8_t vector)
{
    return vector >= LAPIC_FIRST_VECTOR || lapic_follows(l, LAPIC_QUIRK_LOW_VECTORS);
}

/* ---- acceptance: SDM 3A "Interrupt Acceptance for Fixed Interrupts" ---- */

static enum lapic_answer refuse(const struct lapic *l, const struct irq_msg *msg,
                                enum trace_refused why, enum lapic_answer answer)
{
    trace_vector(l, msg->flow, TRACE_REFUSED, msg->vector, why);
    return answer;
}

/* TMR before IRR: whoever sees the request must see how it was triggered. */
enum lapic_answer lapic_check(struct lapic *l, const struct irq_msg *msg)
{
    if (!lapic_enabled(l) && !lapic_follows(l, LAPIC_QUIRK_DISABLED_ACCEPTS))
        return refuse(l, msg, TRACE_REFUSED_DISABLED, LAPIC_DISABLED);
    if (msg->deassert && lapic_follows(l, LAPIC_QUIRK_ICR_DEASSERT))
        return refuse(l, msg, TRACE_REFUSED_MODE, LAPIC_IGNORED);
    if (!lapic_legal(l, msg->vector)) {
        refuse(l, msg, TRACE_REFUSED_ILLEGAL_VECTOR, LAPIC_ILLEGAL_VECTOR);
        lapic_error(l, LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
        return LAPIC_ILLEGAL_VECTOR;
    }
    if (msg->level)
        vec_set(&l->regs.TMR, msg->vector);
    else
        vec_clear(&l->regs.TMR, msg->vector);
    return LAPIC_ACCEPTED;
}

static bool request(struct lapic *l, uint8_t vector, trace_flow flow)
{
    if (!vec_set(&l->regs.IRR, vector)) {
        trace_vector(l, flow, TRACE_COALESCED, vector, TRACE_HELD_IRR);
        return false;
    }
    l->pending_flow[vector] = flow;
    return true;
}

static enum lapic_answer accept_fixed(struct lapic *l, const struct irq_msg *msg)
{
    const enum lapic_answer answer = lapic_check(l, msg);

    if (answer != LAPIC_ACCEPTED)
        return answer;
    if (!request(l, msg->vector, msg->flow))
        return LAPIC_COALESCED;
    trace_vector(l, msg->flow, TRACE_PENDING, msg->vector, TRACE_HELD_IRR);
    return LAPIC_ACCEPTED;
}

enum lapic_answer lapic_accept_nmi(struct lapic *l, const struct irq_msg *msg)
{
    const bool held = l->nmi_pending;

    trace_vector(l, msg->flow, held ? TRACE_COALESCED : TRACE_PENDING, msg->vector,
                 TRACE_HELD_NMI);
    if (held)
        return LAPIC_COALESCED;
    l->nmi_pending = true;
    l->nmi_flow = msg->flow;
    return LAPIC_ACCEPTED;
}

/* INIT level de-assert only ever mattered to the APIC bus's arbitration. */
static enum lapic_answer accept_init(struct lapic *l, const struct irq_msg *msg)
{
    if (msg->deassert)
        return refuse(l, msg, TRACE_REFUSED_MODE, LAPIC_IGNORED);
    l->init_pending = true;
    l->sipi_pending = false;
    return LAPIC_ACCEPTED;
}

/* A core that neither waits for it nor is about to discards it. */
static enum lapic_answer accept_sipi(struct lapic *l, const struct irq_msg *msg)
{
    if (!l->waits_for_sipi && !l->init_pending)
        return refuse(l, msg, TRACE_REFUSED_MODE, LAPIC_IGNORED);
    l->sipi_pending = true;
    l->sipi_vector = msg->vector;
    return LAPIC_ACCEPTED;
}

/* The interrupt is the 8259A's request, which has a flow of its own: the message's, if it has one,
   ends here. */
static enum lapic_answer accept_extint(struct lapic *l, const struct irq_msg *msg)
{
    const bool enabled = lapic_enabled(l);

    if (lapic_follows(l, LAPIC_QUIRK_EXTINT_FIXED))
        return accept_fixed(l, msg);
    if (msg->flow)
        refuse(l, msg, enabled ? TRACE_REFUSED_MODE : TRACE_REFUSED_DISABLED, LAPIC_IGNORED);
    if (!enabled)
        return LAPIC_DISABLED;
    if (lapic_follows(l, LAPIC_QUIRK_EXTINT_IGNORED))
        return LAPIC_IGNORED;
    l->extint_message = true;
    return LAPIC_INTA;
}

/* Those that bypass IRR. A software-disabled APIC still takes NMI, SMI, INIT and SIPI: SDM 3A
   "Local APIC State After It Has Been Software Disabled". */
static enum lapic_answer accept_other(struct lapic *l, const struct irq_msg *msg)
{
    switch ((enum irq_delivery)msg->delivery) {
    case IRQ_NMI:
        return lapic_accept_nmi(l, msg);
    case IRQ_INIT:
        return accept_init(l, msg);
    case IRQ_STARTUP:
        return accept_sipi(l, msg);
    case IRQ_EXTINT:
        return accept_extint(l, msg);
    case IRQ_SMI:
        l->smi_pending = true;
        break;
    default: /* the reserved code */
        break;
    }
    return refuse(l, msg, TRACE_REFUSED_MODE, LAPIC_IGNORED);
}

enum lapic_answer lapic_accept(struct lapic *l, const struct irq_msg *msg)
{
    if (l->mode == LAPIC_MODE_DISABLED)
        return refuse(l, msg, TRACE_REFUSED_DISABLED, LAPIC_DISABLED);
    if (msg->delivery == IRQ_FIXED || msg->delivery == IRQ_LOWEST_PRIORITY)
        return accept_fixed(l, msg);
    return accept_other(l, msg);
}

void lapic_set_pending(struct lapic *l, uint8_t vector, trace_flow flow)
{
    request(l, vector, flow);
}

/* ---- priorities and service: SDM 3A "Task and Processor Priorities" ---- */

static uint32_t class_of(const struct vec256 *v)
{
    const int highest = vec_highest(v);

    return highest == NO_VECTOR ? 0 : (uint32_t)highest & CLASS;
}

uint8_t lapic_ppr(const struct lapic *l)
{
    const uint32_t in_service = class_of(&l->regs.ISR);

    return (uint8_t)((l->regs.TPR & CLASS) >= in_service ? l->regs.TPR : in_service);
}

/* SDM 3A "Lowest Priority Delivery Mode". */
uint8_t lapic_apr(const struct lapic *l)
{
    const uint32_t request = class_of(&l->regs.IRR), in_service = class_of(&l->regs.ISR);
    const uint32_t task = l->regs.TPR & CLASS, held = task & in_service;

    if (task >= request && task > in_service)
        return (uint8_t)l->regs.TPR;
    return (uint8_t)(held > request ? held : request);
}

static bool takes_by_quirk(const struct lapic *l, int vector)
{
    const uint8_t ppr = lapic_ppr(l);

    if (!lapic_enabled(l) && lapic_follows(l, LAPIC_QUIRK_DISABLED_HOLDS))
        return false;
    if (ppr == 0 && lapic_follows(l, LAPIC_QUIRK_ZERO_PPR))
        return true;
    return (vector & CLASS) > (ppr & CLASS);
}

bool lapic_takes(const struct lapic *l, int vector)
{
    if (vector == NO_VECTOR || l->mode == LAPIC_MODE_DISABLED)
        return false;
    if (l->config.quirks)
        return takes_by_quirk(l, vector);
    return (vector & CLASS) > (lapic_ppr(l) & CLASS);
}

int lapic_pending(const struct lapic *l)
{
    const int highest = vec_highest(&l->regs.IRR);

    return lapic_takes(l, highest) ? highest : NO_VECTOR;
}

void lapic_serve(struct lapic *l, uint8_t vector)
{
    vec_clear(&l->regs.IRR, vector);
    vec_set(&l->regs.ISR, vector);
    l->service_flow[vector] = l->pending_flow[vector];
    l->pending_flow[vector] = 0;
}

uint8_t lapic_acknowledge(struct lapic *l)
{
    const int vector = lapic_pending(l);

    if (vector == NO_VECTOR)
        return (uint8_t)l->regs.SVR;
    lapic_serve(l, (uint8_t)vector);
    return (uint8_t)vector;
}

/* SDM 3A "Signaling Interrupt Servicing Completion". */
int lapic_eoi(struct lapic *l)
{
    const int highest = vec_highest(&l->regs.ISR);

    if (highest == NO_VECTOR) {
        trace_vector(l, 0, TRACE_SPURIOUS_EOI, 0, 0);
        return NO_VECTOR;
    }
    const uint8_t vector = (uint8_t)highest;
    const trace_flow flow = l->service_flow[vector];
    vec_clear(&l->regs.ISR, vector);
    l->service_flow[vector] = 0;
    trace_vector(l, flow, TRACE_EOI, vector, 0);
    trace_vector(l, flow, TRACE_RETIRED, vector, 0);
    if (vec_has(&l->regs.TMR, vector) && !(l->regs.SVR & LAPIC_SVR_SUPPRESS_EOI_BROADCAST))
        l->config.port->broadcast_eoi(l->config.port, vector);
    lapic_lint_eoi(l, vector);
    return vector;
}

/* ---- who am I ---- */

uint32_t lapic_logical_id(const struct lapic *l)
{
    if (l->mode != LAPIC_MODE_X2APIC)
        return l->regs.LDR >> 24;
    return l->config.apic_id >> 4 << 16 | UINT32_C(1) << (l->config.apic_id & 15);
}
