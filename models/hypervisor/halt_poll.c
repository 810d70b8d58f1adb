/*
 * Waiting for an interrupt: poll for a while, then sleep.
 *
 * The window follows KVM's kvm_vcpu_halt() (Documentation/virt/kvm/halt-polling.rst):
 * it grows when a sleep was shorter than the longest window allowed, shrinks
 * when it was longer, and stays when polling caught the wake-up.
 */
#include "hypervisor/epic.h"

static void poll_ended(struct event *e)
{
    struct vcpu *v = EVENT_OWNER(e, struct vcpu, poll_end);

    vcpu_take(v, VCPU_ON_BLOCK);
}

void halt_poll_init(struct vcpu *v)
{
    event_init(v->hypervisor->events, &v->poll_end, EVENT_PHASE_CPU, poll_ended);
}

/* An expiry becomes an interrupt only when the vCPU has woken up, but it would wake for it. */
static int timer_to_come(const struct vcpu *v)
{
    const bool masked = v->apic.regs.LVT_TIMER & LAPIC_LVT_MASKED;

    return v->timer_due && !masked ? v->timer_vector : NO_VECTOR;
}

/* KVM: kvm_vcpu_has_events(): is there something that the guest would take now? */
static bool finds_interrupt(const struct vcpu *v)
{
    if (v->stop) /* a signal: KVM_RUN returns */
        return true;
    if (v->epic)
        return epic_wakes(v);
    if (startup_concerns(v))
        return startup_wakes(v);
    if (v->reinject != NO_VECTOR || v->waiting.pv_unhalt)
        return true;
    if (v->hw.gif_clear)
        return false;
    if (v->apic.nmi_pending && !v->hw.nmi_blocked)
        return true;
    return v->hw.interrupts_enabled &&
           (extint_waits(v) || lapic_takes(&v->apic, vec_highest(&v->descriptor.pir)) ||
            lapic_takes(&v->apic, vec_highest(&v->apic.regs.IRR)) ||
            lapic_takes(&v->apic, timer_to_come(v)));
}

/* Who finds nothing has looked, all the same: the next one to post notifies it again. */
bool halt_ends(struct vcpu *v)
{
    if (finds_interrupt(v))
        return true;
    if (v->hw.ops->posts(&v->hw))
        posted_sync(&v->descriptor, &v->apic);
    return false;
}

/* KVM: kvm_arch_no_poll(): a guest that polls by itself has said so in MSR_KVM_POLL_CONTROL. */
bool halt_polls(const struct vcpu *v)
{
    return v->poll_ns && !feature_in(v->hypervisor->features, FEATURE_GUEST_HALT_POLL);
}

void halt_begin(struct vcpu *v)
{
    v->halted_at = hv_now(v->hypervisor);
    v->polled = false;
}

/* A thread that polls gives way to one that has work. */
void halt_wait(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;

    if (halt_ends(v)) {
        v->polled = true;
        vcpu_pay(v, COST_KVM_POLL_WAKE);
        halt_woken(v);
        vcpu_take(v, VCPU_ON_WOKEN);
    } else if (v->thread.pcpu->queue) {
        vcpu_take(v, VCPU_ON_BLOCK);
    } else {
        event_arm(h->events, &v->poll_end, time_plus_ps(hv_now(h), v->poll_ns * PS_PER_NS));
    }
}

void halt_poll_yield(struct vcpu *v)
{
    event_disarm(v->hypervisor->events, &v->poll_end);
    vcpu_take(v, VCPU_ON_BLOCK);
}

static uint64_t grown(const struct hypervisor_policy *p, uint64_t window)
{
    uint64_t ns = window * p->halt_poll_grow;

    if (p->halt_poll_grow == 0)
        return window;
    if (ns < p->halt_poll_grow_start_ns)
        ns = p->halt_poll_grow_start_ns;
    return ns > p->halt_poll_ns ? p->halt_poll_ns : ns;
}

static uint64_t shrunk(const struct hypervisor_policy *p, uint64_t window)
{
    const uint64_t ns = p->halt_poll_shrink ? window / p->halt_poll_shrink : 0;

    return ns < p->halt_poll_grow_start_ns ? 0 : ns;
}

static uint64_t adjusted(const struct vcpu *v, uint64_t halted_ns)
{
    const struct hypervisor_policy *p = &v->hypervisor->policy;

    if (p->halt_poll_ns == 0)
        return 0;
    if (halted_ns <= v->poll_ns)
        return v->poll_ns;
    if (v->poll_ns && halted_ns > p->halt_poll_ns)
        return shrunk(p, v->poll_ns);
    if (v->poll_ns < p->halt_poll_ns && halted_ns < p->halt_poll_ns)
        return grown(p, v->poll_ns);
    return v->poll_ns;
}

void halt_woken(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;
    const uint64_t ns = (hv_now(h).ps - v->halted_at.ps) / PS_PER_NS;
    const uint64_t before = v->poll_ns;

    event_disarm(h->events, &v->poll_end);
    line_take(v, &v->line[LINE_BOOKS], true); /* KVM: vcpu_block() sets mp_state back */
    timer_wakes(v);
    v->waiting.pv_unhalt = false;
    if (v->apic.waits_for_sipi) /* it had not halted */
        return;
    trace_put(h->trace, 0, TRACE_WAKEUP, v->index, ns, v->polled);
    v->poll_ns = adjusted(v, ns);
    if (v->poll_ns != before)
        trace_put(h->trace, 0, TRACE_HALT_POLL, v->index, v->poll_ns, before);
}
