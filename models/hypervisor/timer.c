/*
 * The guest's APIC timer on the host's timers.
 *
 * KVM runs it on the VMX-preemption timer while the vCPU runs, where it has
 * one (an exit of its own, PREEMPTION_TIMER), and on a timer of the host
 * otherwise, whose interrupt makes a guest leave like any other.
 */
#include "hypervisor/hypervisor.h"

bool timer_in_hardware(const struct vcpu *v)
{
    return feature_in(v->hypervisor->features, FEATURE_PREEMPTION_TIMER) && !v->timer_soft &&
           v->hypervisor->policy.irqchip != IRQCHIP_USERSPACE && v->state != VCPU_POLLING &&
           v->state != VCPU_BLOCKED;
}

static void raise(struct vcpu *v)
{
    struct trace *t = v->hypervisor->trace;
    const uint64_t vector = v->apic.regs.LVT_TIMER & 0xff;

    v->timer_due = true;
    v->timer_flow = trace_new_flow(t);
    trace_put(t, v->timer_flow, TRACE_RAISED, v->index, v->apic.regs.LVT_TIMER,
              TRACE_SOURCE(TRACE_SOURCE_TIMER, v->index));
    trace_put(t, v->timer_flow, TRACE_ROUTED, v->index, vector,
              TRACE_PARENT(v->index, v->timer_flow));
}

/* Userspace's APIC has its timers in QEMU's main loop, which then raises the interrupt. */
static void userspace_expired(struct vcpu *v)
{
    struct irq_msg msg;

    v->timer_due = false;
    if (!lapic_timer_expired(&v->apic, hv_now(v->hypervisor), &msg))
        return;
    msg.flow = v->timer_flow;
    hypervisor_accept(v->hypervisor, v, &msg, NULL);
}

static void fired(struct event *e)
{
    struct vcpu *v = EVENT_OWNER(e, struct vcpu, timer);
    const struct hypervisor *h = v->hypervisor;

    raise(v);
    if (h->policy.irqchip == IRQCHIP_USERSPACE) {
        userspace_expired(v);
    } else if (!timer_in_hardware(v)) {
        host_send(v->thread.pcpu, HOST_TIMER, hv_now(h), v->timer_flow);
    } else if (v->state == VCPU_GUEST) {
        const struct virt_verdict verdict = v->hw.ops->preemption_timer(&v->hw);

        guest_interrupted(v);
        vcpu_exit(v, &verdict, TRACE_CAUSE_DELIVERY, v->timer_flow);
    }
    /* Elsewhere the entry finds the hardware's timer at zero. */
}

void timer_init(struct vcpu *v)
{
    event_init(v->hypervisor->events, &v->timer, EVENT_PHASE_CONTROLLER, fired);
}

void timer_set(struct vcpu *v, sim_time deadline)
{
    const struct hypervisor *h = v->hypervisor;
    const sim_time now = hv_now(h);

    trace_put(h->trace, 0, TRACE_TIMER_ARMED, v->index,
              deadline.ps == SIM_TIME_NEVER.ps ? 0 : deadline.ps, 0);
    if (deadline.ps == SIM_TIME_NEVER.ps) {
        event_disarm(h->events, &v->timer);
        return;
    }
    v->timer_soft = !time_before(now, deadline);
    event_arm(h->events, &v->timer, time_later_of(now, deadline));
    vcpu_pay(v, COST_KVM_TIMER_ARM);
}

void timer_check(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;
    struct irq_msg msg;

    if (!v->timer_due)
        return;
    v->timer_due = false;
    vcpu_pay(v, COST_KVM_TIMER_EXPIRED);
    if (lapic_timer_expired(&v->apic, hv_now(h), &msg)) {
        msg.flow = v->timer_flow;
        hypervisor_accept(h, v, &msg, v);
    } else {
        trace_put(h->trace, v->timer_flow, TRACE_REFUSED, v->index, v->apic.regs.LVT_TIMER & 0xff,
                  TRACE_REFUSED_MASKED);
    }
}
