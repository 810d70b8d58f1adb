/*
 * The guest's timer ahead of its deadline: KVM's lapic_timer_advance_ns.
 *
 * From the host's timer to the guest takes time. So KVM lets the timer expire
 * that much earlier, puts the interrupt before the guest, and waits right
 * before the entry until the deadline has come: kvm_wait_lapic_expire(). How
 * much it is, it learns at each wait: adjust_lapic_timer_advance().
 */
#include "hypervisor/hypervisor.h"

/* Of Linux's arch/x86/kvm/lapic.c; the first two are in TSC cycles. */
enum {
    ADJUST_LEAST = 100,
    ADJUST_MOST = 10000,
    ADJUST_STEP = 8,
    FIRST_NS = 1000,
    MOST_NS = 5000,
    NS_PER_SECOND = 1000000000,
};

void timer_advance_init(struct vcpu *v)
{
    const uint64_t fixed = v->hypervisor->policy.timer_advance_ns;

    v->timer_advance_ns = fixed ? fixed : FIRST_NS;
}

static sim_time earlier_of(sim_time a, sim_time b)
{
    return time_before(a, b) ? a : b;
}

sim_time timer_ahead_of(const struct vcpu *v, sim_time deadline)
{
    const uint64_t ahead = v->timer_advance_ns * PS_PER_NS;

    return (sim_time){deadline.ps > ahead ? deadline.ps - ahead : 0};
}

static uint64_t tsc_at(const struct vcpu *v, sim_time t)
{
    return clock_count(&v->hypervisor->tsc, t).n;
}

/* An eighth of what the deadline was missed by; neither tiny differences nor accidents count. */
static uint64_t adjusted(const struct vcpu *v, uint64_t arrived, uint64_t deadline)
{
    const bool late = arrived > deadline;
    const uint64_t missed = late ? arrived - deadline : deadline - arrived;
    const uint64_t part = missed * NS_PER_SECOND / v->hypervisor->tsc.hz / ADJUST_STEP;
    uint64_t ns;

    if (missed < ADJUST_LEAST || missed > ADJUST_MOST)
        return v->timer_advance_ns;
    ns = late ? v->timer_advance_ns + part : v->timer_advance_ns - part;
    return ns > MOST_NS ? FIRST_NS : ns;
}

static void tune(struct vcpu *v, sim_time at)
{
    const uint64_t before = v->timer_advance_ns;

    if (v->hypervisor->policy.timer_advance_ns)
        return;
    v->timer_advance_ns = adjusted(v, tsc_at(v, at), tsc_at(v, v->timer_awaited));
    if (v->timer_advance_ns != before)
        trace_put(v->hypervisor->trace, 0, TRACE_TIMER_ADVANCE, v->index, v->timer_advance_ns,
                  before);
}

/* Cycles of the core's clock, begun ones too. */
static uint64_t cycles_between(const struct hypervisor *h, sim_time from, sim_time to)
{
    const cycles last = clock_count(&h->core, to);
    const uint64_t whole = last.n - clock_count(&h->core, from).n;

    return whole + time_before(clock_edge(&h->core, last), to);
}

/* Linux: __delay() looks at the TSC once a turn, and so ends with the turn that meets `end`. */
static sim_time whole_turns(const struct hypervisor *h, sim_time at, sim_time end)
{
    const uint64_t turn = h->costs.of[COST_KVM_DELAY].n;
    const uint64_t wanted = cycles_between(h, at, end);

    if (turn <= 1)
        return end;
    return clock_after(&h->core, at, (cycles){(wanted + turn - 1) / turn * turn});
}

/* KVM: __wait_lapic_expire(). */
sim_time timer_wait_from(struct vcpu *v, sim_time at)
{
    const sim_time deadline = v->timer_awaited;
    sim_time longest;

    tune(v, at);
    v->timer_awaited = (sim_time){0};
    if (!time_before(at, deadline))
        return at;
    longest = time_plus_ps(at, v->timer_advance_ns * PS_PER_NS);
    return whole_turns(v->hypervisor, at, earlier_of(deadline, longest));
}

/* KVM: lapic_timer_int_injected(). What hardware delivers waits in IRR, a self-IPI in the physical
   one; what the entry injects is in ISR. */
static bool is_before_guest(const struct vcpu *v)
{
    const unsigned vector = v->apic.regs.LVT_TIMER & 0xff;
    const bool requested = v->hw.ops->delivers(&v->hw) ||
                           feature_in(v->hypervisor->features, FEATURE_DELIVERY_BY_IPI);

    return vec_has(requested ? &v->apic.regs.IRR : &v->apic.regs.ISR, vector);
}

void timer_wait(struct vcpu *v)
{
    const sim_time now = hv_now(v->hypervisor);

    if (v->timer_awaited.ps == 0 || !is_before_guest(v))
        return;
    v->stall.n += cycles_between(v->hypervisor, now, timer_wait_from(v, now));
}
