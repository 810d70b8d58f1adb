/*
 * What a guest would take at its next instruction boundary, whatever its controller is: a local APIC,
 * an 8259A, an EPIC, or its own user interrupts.
 */
#include "simulation.h"

#include "hypervisor/epic.h"

enum { NMI_VECTOR = 2 };

/* Of an interrupt that the counters have lost sight of, now. */
uint64_t watchdog_pending_since(const struct watchdog *w, uint16_t vcpu, int vector,
                                trace_flow flow)
{
    const struct flight *f = w->counters->vcpu[vcpu].flight[vector];

    for (unsigned n = 0; n < FLIGHTS; n++)
        if (f[n].flow == flow)
            return f[n].at[LATENCY_pending];
    return w->machine->events->now.ps;
}

static struct suspicion nothing(void)
{
    return (struct suspicion){.vector = NO_VECTOR};
}

static struct suspicion waiting(const struct watchdog *w, const struct vcpu *v, int vector,
                                trace_flow flow)
{
    return (struct suspicion){.on = true,
                              .vector = vector,
                              .flow = flow,
                              .since = watchdog_pending_since(w, v->index, vector, flow)};
}

/* The lowest of the 8259A's inputs that asks; or, without a chipset, of its stand-ins. */
static struct suspicion by_pic(const struct watchdog *w, const struct vcpu *v)
{
    const struct board *board = v->hypervisor->board;
    unsigned vector = 0;

    for (unsigned line = 0; board_extint(v) && line < I8259_LINES; line++)
        if (board->chipset.pic_flow[line])
            return waiting(w, v, board->chipset.pic_vector[line],
                           board->chipset.pic_flow[line]);
    while (vector < VECTORS && !vec_has(&v->extint, vector))
        vector++;
    return vector < VECTORS ? waiting(w, v, (int)vector, v->extint_flow[vector]) : nothing();
}

static struct suspicion by_epic(const struct watchdog *w, const struct vcpu *v)
{
    const struct cepic *c = &v->epic->cepic;

    if (cepic_nonmaskable(c) && !v->hw.nmi_blocked)
        return waiting(w, v, NMI_VECTOR, cepic_nonmaskable_flow(c));
    if (!v->hw.interrupts_enabled || cepic_waiting(c) < 0)
        return nothing();
    return waiting(w, v, cepic_waiting(c), c->current.flow);
}

/* Posted, its notification sent to a processor that is in user code, and neither there nor processed;
   or requested, and not delivered. */
static struct suspicion by_user(const struct watchdog *w, const struct vcpu *v)
{
    const struct uintr *u = v->hw.user;
    const bool able = u && u->uif && v->hw.interrupts_enabled && guest_in_user_mode(&v->guest);
    const struct uintr_words *upid = able ? &u->upid->words : NULL;
    const bool told = vec_has(&v->apic.regs.IRR, u ? u->uinv : 0) ||
                      vec_has(&v->descriptor.pir, u ? u->uinv : 0);
    const bool sent = able && !told && uintr_get(upid, UINTR_UPID_ON) &&
                      uintr_get(upid, UINTR_UPID_NV) == u->uinv;
    const uint64_t posted = sent ? uintr_get(upid, UINTR_UPID_PUIR) : 0;
    const uint64_t requests = able ? u->uirr : 0;
    unsigned bit;

    if (!(requests | posted))
        return nothing();
    bit = 63 - (unsigned)__builtin_clzll(requests ? requests : posted);
    return waiting(w, v, (int)TRACE_USER_VECTOR(bit),
                   requests ? u->flow[bit] : u->upid->flow[bit]);
}

static struct suspicion by_apic(const struct watchdog *w, const struct vcpu *v)
{
    const int posted = vec_highest(&v->descriptor.pir), held = vec_highest(&v->apic.regs.IRR);
    const int highest = posted > held ? posted : held;

    if (!lapic_takes(&v->apic, highest))
        return nothing();
    return waiting(w, v, highest,
                   posted > held ? v->descriptor.flow[highest] : v->apic.pending_flow[highest]);
}

struct suspicion watchdog_takeable(const struct watchdog *w, const struct vcpu *v)
{
    struct suspicion s;

    if (startup_concerns(v)) /* it waits for INIT or a start-up IPI, and takes nothing else */
        return nothing();
    if (v->epic)
        return by_epic(w, v);
    if (v->hw.gif_clear)
        return nothing();
    if (v->apic.nmi_pending && !v->hw.nmi_blocked)
        return waiting(w, v, NMI_VECTOR, v->apic.nmi_flow);
    if (!v->hw.interrupts_enabled || v->hw.shadow)
        return nothing();
    s = by_apic(w, v);
    if (!s.on)
        s = by_pic(w, v);
    return s.on ? s : by_user(w, v);
}
