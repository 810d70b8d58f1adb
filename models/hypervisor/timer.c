/*
 * The guest's APIC timer on the host's timers (docs/models/timer.md).
 *
 * KVM runs it on the VMX-preemption timer while the vCPU does not sleep, where
 * it has one (an exit of its own, PREEMPTION_TIMER), and on a timer of the host
 * otherwise, whose interrupt makes a guest leave like any other; or on a timer
 * of another CPU, whose handler posts the interrupt (timer_posting.c); or
 * nowhere, where the hardware has one that the guest arms (timer_virtual.c).
 * With QEMU's APIC it is QEMU's. A timer that the plan declares stands in the
 * place of the preemption timer; its rules say whether the guest leaves for it.
 *
 * A timer that is passed through is the physical APIC's. While the vCPU has its
 * CPU the expiry is an interrupt there, with the guest's vector; while it has
 * not, a timer of the host stands in.
 */
#include "hypervisor/epic.h"

/* Who counts. SPENT: nobody, since the deadline had passed when it was armed. IN_GUEST, IN_APIC: the
   hardware's virtual timer and the physical one, which then fire at once. */
enum timer_place {
    IN_USERSPACE,
    IN_GUEST,
    IN_APIC,
    SPENT,
    ON_HOUSEKEEPING,
    ON_PREEMPTION_TIMER,
    ON_HOST
};

bool timer_is_direct(const struct vcpu *v)
{
    return feature_in(v->hypervisor->features, FEATURE_DIRECT_TIMER) &&
           v->hypervisor->policy.irqchip != IRQCHIP_USERSPACE &&
           !v->hypervisor->declared_timer && v->apic.mode != LAPIC_MODE_DISABLED;
}

/* KVM: kvm_can_use_hv_timer(). The timer stops in C-states deeper than C2 (SDM 3C "VMX-Preemption
   Timer"), and a guest that has MWAIT may choose one. */
static bool may_stop_it(const struct hypervisor *h)
{
    return feature_in(h->features, FEATURE_MWAIT_IN_GUEST);
}

/* KVM: kvm_can_use_apic_virt_timer(), kvm_can_post_timer_interrupt(), kvm_can_use_hv_timer(); a
   vCPU that sleeps needs a timer that wakes it. */
static enum timer_place counted_by(const struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;

    if (h->policy.irqchip == IRQCHIP_USERSPACE)
        return IN_USERSPACE;
    if (h->declared_timer && !v->timer_asleep)
        return ON_PREEMPTION_TIMER;
    if (timer_is_direct(v))
        return IN_APIC;
    if (v->timer_virtual)
        return v->timer_asleep ? ON_HOST : IN_GUEST;
    if (feature_in(h->features, FEATURE_TIMER_POSTING) && v->apicv_active)
        return ON_HOUSEKEEPING;
    if (feature_in(h->features, FEATURE_PREEMPTION_TIMER) && !v->timer_asleep &&
        !may_stop_it(h))
        return ON_PREEMPTION_TIMER;
    return ON_HOST;
}

static enum timer_place place_of(const struct vcpu *v)
{
    const enum timer_place place = counted_by(v);

    return v->timer_soft && place > SPENT ? SPENT : place;
}

bool timer_in_hardware(const struct vcpu *v)
{
    return counted_by(v) == ON_PREEMPTION_TIMER;
}

bool timer_wants_exit(const struct vcpu *v)
{
    return v->timer_due && place_of(v) == ON_PREEMPTION_TIMER;
}

bool timer_requests(const struct vcpu *v)
{
    return v->timer_due && !v->timer_posting && place_of(v) != ON_PREEMPTION_TIMER;
}

/* KVM: vmx_set_hv_timer() subtracts the advance in every mode, start_sw_tscdeadline() in its own,
   start_sw_period() not at all. Of a timer that the plan declares KVM knows nothing. */
static bool runs_ahead(const struct vcpu *v)
{
    const enum timer_place place = counted_by(v);

    return feature_in(v->hypervisor->features, FEATURE_TIMER_ADVANCE) && place > SPENT &&
           !v->hypervisor->declared_timer &&
           (place == ON_PREEMPTION_TIMER || lapic_tsc_deadline(&v->apic));
}

/* --- expiry --- */

void timer_refuse(struct vcpu *v, enum trace_refused why)
{
    v->timer_due = false;
    trace_put(v->hypervisor->trace, v->timer_flow, TRACE_REFUSED, v->index, v->timer_vector,
              why);
}

void timer_raise(struct vcpu *v, uint16_t vector, uint32_t message)
{
    struct trace *t = v->hypervisor->trace;

    v->timer_vector = vector;
    v->timer_flow = trace_new_flow(t);
    trace_put(t, v->timer_flow, TRACE_RAISED, v->index, message,
              TRACE_SOURCE(TRACE_SOURCE_TIMER, v->index));
    trace_put(t, v->timer_flow, TRACE_ROUTED, v->index, vector,
              TRACE_PARENT(v->index, v->timer_flow));
}

static void raise(struct vcpu *v)
{
    struct trace *t = v->hypervisor->trace;

    timer_raise(v, v->apic.regs.LVT_TIMER & 0xff, v->apic.regs.LVT_TIMER);
    v->timer_due = place_of(v) != IN_GUEST;
    if (!runs_ahead(v))
        return;
    v->timer_awaited = v->timer_deadline;
    if (time_before(hv_now(v->hypervisor), v->timer_deadline))
        trace_put(t, v->timer_flow, TRACE_DEADLINE, v->index, v->timer_vector,
                  v->timer_deadline.ps);
}

/* The interrupt that an expiry makes. False: the guest masked or moved its vector meanwhile. */
static bool expire(struct vcpu *v, struct irq_msg *msg)
{
    const sim_time due = time_later_of(hv_now(v->hypervisor), v->timer_deadline);
    bool made;

    v->timer_due = false;
    v->timer_internal = true;
    made = lapic_timer_expired(&v->apic, due, msg);
    v->timer_internal = false;
    if (!made || msg->vector != v->timer_vector) {
        timer_refuse(v, TRACE_REFUSED_MASKED);
        return false;
    }
    msg->flow = v->timer_flow;
    return true;
}

void timer_accept(struct vcpu *v, struct vcpu *sender)
{
    struct irq_msg msg;

    if (expire(v, &msg))
        hypervisor_accept(v, &msg, sender);
}

/* Hardware that the plan declares puts the expiry into the APIC by itself. */
static void expire_in_guest(struct vcpu *v)
{
    struct irq_msg msg;

    if (expire(v, &msg) && lapic_accept(&v->apic, &msg) == LAPIC_ACCEPTED)
        v->hw.ops->changed(&v->hw);
    vcpu_pay_rule(v);
}

void timer_take_directly(struct vcpu *v)
{
    struct irq_msg msg;

    if (v->timer_due && timer_is_direct(v) && expire(v, &msg) &&
        lapic_accept(&v->apic, &msg) == LAPIC_ACCEPTED)
        vec_set(&v->hw.direct, msg.vector);
}

/* It had expired when it was armed: KVM goes on as if a timer had fired. */
static void tell(struct vcpu *v)
{
    v->request = true;
    if (vcpu_waits(v))
        vcpu_kick(v, v, v->timer_vector, v->timer_flow);
}

static void by_host(struct vcpu *v)
{
    host_send(v->thread.pcpu, HOST_TIMER, hv_now(v->hypervisor), v->timer_flow);
}

static void by_apic(struct vcpu *v)
{
    const bool has_its_cpu = v->thread.pcpu->current == &v->thread;

    host_send(v->thread.pcpu, has_its_cpu ? HOST_GUEST : HOST_TIMER, hv_now(v->hypervisor),
              v->timer_flow);
}

/* Declared hardware that is switched off leaves the timer to the host, where nothing else has it. */
static void meet_guest(struct vcpu *v)
{
    const struct virt_verdict verdict = v->hw.ops->preemption_timer(&v->hw);

    if (verdict.path == VIRT_NATIVE) {
        by_host(v);
        return;
    }
    guest_interrupted(v);
    if (virt_exits(&verdict)) {
        vcpu_exit(v, &verdict, TRACE_CAUSE_DELIVERY, v->timer_flow);
        return;
    }
    expire_in_guest(v);
    vcpu_continue(v, guest_run);
}

/* Only a declared timer's rule keeps it in the guest; else the entry meets the timer at zero. */
void timer_arrive(struct vcpu *v)
{
    struct virt_verdict verdict;

    if (!v->hypervisor->declared_timer || !timer_wants_exit(v))
        return;
    verdict = v->hw.ops->preemption_timer(&v->hw);
    if (verdict.path == VIRT_DONE)
        expire_in_guest(v);
}

/* Outside of the guest, the entry finds it. */
static void guest_event(struct vcpu *v)
{
    v->hw.timer_event = v->timer_flow;
    if (v->state != VCPU_GUEST)
        return;
    guest_interrupted(v);
    vcpu_pay(v, COST_HW_TIMER_EVENT);
    vcpu_continue(v, guest_run);
}

static void fired(struct event *e)
{
    struct vcpu *v = EVENT_OWNER(e, struct vcpu, timer);

    if (v->epic) {
        epic_timer_fired(v);
        return;
    }
    if (v->timer_posting) {
        timer_post_end(v);
        return;
    }
    raise(v);
    switch (place_of(v)) {
    case IN_GUEST:
        guest_event(v);
        break;
    case IN_USERSPACE: /* QEMU's main loop has the timer, and raises the interrupt */
        timer_accept(v, NULL);
        break;
    case SPENT:
        tell(v);
        break;
    case ON_HOUSEKEEPING:
        timer_post_begin(v);
        break;
    case ON_PREEMPTION_TIMER: /* outside of the guest, the entry finds it at zero */
        if (v->state == VCPU_GUEST)
            meet_guest(v);
        break;
    case IN_APIC:
        by_apic(v);
        break;
    case ON_HOST:
        by_host(v);
        break;
    }
}

void timer_init(struct vcpu *v)
{
    event_init(v->hypervisor->events, &v->timer, EVENT_PHASE_CONTROLLER, fired);
    timer_advance_init(v);
}

void timer_check(struct vcpu *v)
{
    if (!v->timer_due || v->timer_posting)
        return;
    vcpu_pay(v, COST_KVM_TIMER_EXPIRED);
    if (v->epic)
        epic_timer_take(v, v);
    else
        timer_accept(v, v);
}

/* --- arming --- */

static void arm(struct vcpu *v, sim_time deadline)
{
    const struct hypervisor *h = v->hypervisor;
    const sim_time now = hv_now(h);

    v->timer_deadline = deadline;
    v->timer_posting = false;
    if (deadline.ps == SIM_TIME_NEVER.ps) {
        event_disarm(h->events, &v->timer);
        return;
    }
    const sim_time at = runs_ahead(v) ? timer_ahead_of(v, deadline) : deadline;

    v->timer_soft = !v->hw.ruled && !time_before(now, at);
    event_arm(h->events, &v->timer, time_later_of(now, at));
}

/* The guest armed or stopped its timer; a period that starts anew is not its doing. Where a rule
   kept that in the guest, KVM had no work with it. */
static void guest_armed(struct vcpu *v, sim_time deadline)
{
    const bool stopped = deadline.ps == SIM_TIME_NEVER.ps;

    trace_put(v->hypervisor->trace, 0, TRACE_TIMER_ARMED, v->index, stopped ? 0 : deadline.ps,
              0);
    if (v->timer_due)
        timer_refuse(v, TRACE_REFUSED_REARMED);
    if (!stopped && !v->hw.ruled && !timer_is_direct(v))
        vcpu_pay(v, COST_KVM_TIMER_ARM);
}

void timer_set(struct vcpu *v, sim_time deadline)
{
    if (!v->timer_internal)
        guest_armed(v, deadline);
    arm(v, deadline);
}

void timer_expires(struct vcpu *v, cycles after)
{
    const struct hypervisor *h = v->hypervisor;

    if (!event_is_armed(h->events, &v->timer))
        return;
    v->timer_deadline = hv_after(h, after.n);
    if (place_of(v) == IN_GUEST)
        v->hw.ops->set_guest_deadline(&v->hw, clock_count(&h->tsc, v->timer_deadline).n);
    else if (v->epic)
        v->epic->cepic.deadline[CEPIC_TIMER] = v->timer_deadline;
    else
        v->apic.timer_deadline = v->timer_deadline;
    event_arm(h->events, &v->timer, v->timer_deadline);
}

/* --- sleep --- */

static bool is_armed(const struct vcpu *v)
{
    return event_is_armed(v->hypervisor->events, &v->timer);
}

void timer_migrate(struct vcpu *v)
{
    if (is_armed(v) && timer_is_direct(v))
        vcpu_pay(v, COST_KVM_TIMER_ARM);
}

/* KVM: kvm_lapic_switch_to_sw_timer(). */
void timer_sleeps(struct vcpu *v)
{
    const enum timer_place place = place_of(v);

    v->timer_asleep = true;
    if (v->epic)
        epic_sleeps(v);
    if (!is_armed(v) && !v->hw.timer_event)
        return;
    if (place == IN_GUEST)
        timer_to_host(v);
    else if (place == ON_PREEMPTION_TIMER)
        arm(v, v->timer_deadline);
    else
        return;
    vcpu_pay(v, COST_KVM_TIMER_ARM);
}

/* KVM: kvm_lapic_switch_to_hv_timer(), kvm_lapic_switch_to_apic_virt_timer(). */
void timer_wakes(struct vcpu *v)
{
    v->timer_asleep = false;
    if (!is_armed(v))
        return;
    if (place_of(v) == IN_GUEST)
        timer_to_guest(v);
    else if (place_of(v) == ON_PREEMPTION_TIMER)
        arm(v, v->timer_deadline);
}
