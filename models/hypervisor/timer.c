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
           v->hypervisor->policy.irqchip != IRQCHIP_USERSPACE && !vcpu_waits(v);
}

/* An expiry that came to nothing: no interrupt is made of it. */
static void refuse(struct vcpu *v, enum trace_refused why)
{
    v->timer_due = false;
    trace_put(v->hypervisor->trace, v->timer_flow, TRACE_REFUSED, v->index, v->timer_vector,
              why);
}

static void raise(struct vcpu *v)
{
    struct trace *t = v->hypervisor->trace;

    v->timer_due = true;
    v->timer_vector = (uint8_t)v->apic.regs.LVT_TIMER;
    v->timer_flow = trace_new_flow(t);
    trace_put(t, v->timer_flow, TRACE_RAISED, v->index, v->apic.regs.LVT_TIMER,
              TRACE_SOURCE(TRACE_SOURCE_TIMER, v->index));
    trace_put(t, v->timer_flow, TRACE_ROUTED, v->index, v->timer_vector,
              TRACE_PARENT(v->index, v->timer_flow));
}

/* The expiry goes into the APIC, unless the guest masked or moved its vector meanwhile. */
static void accept(struct vcpu *v, struct vcpu *sender)
{
    struct irq_msg msg;
    bool made;

    v->timer_due = false;
    v->timer_expiring = true;
    made = lapic_timer_expired(&v->apic, hv_now(v->hypervisor), &msg);
    v->timer_expiring = false;
    if (!made || msg.vector != v->timer_vector) {
        refuse(v, TRACE_REFUSED_MASKED);
        return;
    }
    msg.flow = v->timer_flow;
    hypervisor_accept(v, &msg, sender);
}

static void fired(struct event *e)
{
    struct vcpu *v = EVENT_OWNER(e, struct vcpu, timer);
    const struct hypervisor *h = v->hypervisor;

    raise(v);
    if (h->policy.irqchip == IRQCHIP_USERSPACE) {
        accept(v, NULL); /* QEMU's main loop has the timer, and raises the interrupt */
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

/* The guest armed or stopped its timer; a period that starts anew is not its doing. */
static void guest_armed(struct vcpu *v, sim_time deadline)
{
    const bool stopped = deadline.ps == SIM_TIME_NEVER.ps;

    trace_put(v->hypervisor->trace, 0, TRACE_TIMER_ARMED, v->index, stopped ? 0 : deadline.ps,
              0);
    if (v->timer_due)
        refuse(v, TRACE_REFUSED_REARMED);
    if (!stopped)
        vcpu_pay(v, COST_KVM_TIMER_ARM);
}

void timer_set(struct vcpu *v, sim_time deadline)
{
    const struct hypervisor *h = v->hypervisor;
    const sim_time now = hv_now(h);

    if (!v->timer_expiring)
        guest_armed(v, deadline);
    v->timer_soft = !time_before(now, deadline);
    if (deadline.ps == SIM_TIME_NEVER.ps)
        event_disarm(h->events, &v->timer);
    else
        event_arm(h->events, &v->timer, time_later_of(now, deadline));
}

void timer_expires(struct vcpu *v, cycles after)
{
    const struct hypervisor *h = v->hypervisor;

    if (!event_is_armed(h->events, &v->timer))
        return;
    v->apic.timer_deadline = hv_after(h, after.n);
    event_arm(h->events, &v->timer, v->apic.timer_deadline);
}

void timer_check(struct vcpu *v)
{
    if (!v->timer_due)
        return;
    vcpu_pay(v, COST_KVM_TIMER_EXPIRED);
    accept(v, v);
}
