/*
 * The CEPIC's timer of a guest. Emulated it is a timer of the host. With EPIC
 * virtualization it counts in the core's CEPIC while the guest is loaded there,
 * and its interrupt does not leave the guest; KVM stops it when it takes the vCPU
 * off, has a timer of its own wake one that sleeps (kvm_epic_start_idle_timer()),
 * and starts it again (kvm_epic_timer_start()). That it then is where it would have
 * been is assumed: an expiry meanwhile comes with the load.
 */
#include "hypervisor/epic.h"

static bool is_masked(const struct vcpu *v)
{
    enum { MASK = 1 << 16 };

    return v->epic->cepic.reg[CEPIC_ROW_TIMER_LVTT] & MASK;
}

static uint16_t vector_of(const struct vcpu *v)
{
    return v->epic->cepic.reg[CEPIC_ROW_TIMER_LVTT] & (EPIC_VECTORS - 1);
}

static void guest_armed(struct vcpu *v, sim_time deadline)
{
    const bool stopped = deadline.ps == SIM_TIME_NEVER.ps;

    trace_put(v->hypervisor->trace, 0, TRACE_TIMER_ARMED, v->index, stopped ? 0 : deadline.ps,
              0);
    if (v->timer_due)
        timer_refuse(v, TRACE_REFUSED_REARMED);
    if (!stopped && !v->hw.e2k.epic)
        vcpu_pay(v, COST_KVM_TIMER_ARM);
}

void epic_timer_armed(struct vcpu *v, sim_time deadline)
{
    const struct hypervisor *h = v->hypervisor;

    if (!v->timer_internal)
        guest_armed(v, deadline);
    v->timer_deadline = deadline;
    if (deadline.ps == SIM_TIME_NEVER.ps)
        event_disarm(h->events, &v->timer);
    else
        event_arm(h->events, &v->timer, time_later_of(hv_now(h), deadline));
}

/* False: the guest masked it or moved its vector meanwhile. */
static bool expire(struct vcpu *v, struct epic_msg *msg)
{
    const sim_time due = time_later_of(hv_now(v->hypervisor), v->timer_deadline);
    bool made;

    v->timer_due = false;
    v->timer_internal = true;
    made = cepic_timer_expired(&v->epic->cepic, due, msg);
    v->timer_internal = false;
    if (!made || msg->vector != v->timer_vector) {
        timer_refuse(v, TRACE_REFUSED_MASKED);
        return false;
    }
    msg->flow = v->timer_flow;
    return true;
}

void epic_timer_take(struct vcpu *v, struct vcpu *sender)
{
    struct epic_msg msg;

    if (expire(v, &msg))
        epic_accept(v, &msg, sender);
}

/* The core's CEPIC has an interrupt; a thread that polls sees it. */
static void show_guest(struct vcpu *v)
{
    if (v->state == VCPU_POLLING && halt_ends(v))
        thread_wake(&v->thread, hv_now(v->hypervisor));
    if (v->state != VCPU_GUEST)
        return;
    guest_interrupted(v);
    vcpu_continue(v, guest_run);
}

static void expire_in_guest(struct vcpu *v)
{
    struct epic_msg msg;

    if (!expire(v, &msg) || cepic_accept(&v->epic->cepic, &msg) != CEPIC_ACCEPTED)
        return;
    show_guest(v);
}

void epic_timer_fired(struct vcpu *v)
{
    timer_raise(v, vector_of(v), vector_of(v));
    v->timer_due = true;
    if (v->hw.e2k.epic && v->epic->loaded)
        expire_in_guest(v);
    else
        host_send(v->thread.pcpu, HOST_TIMER, hv_now(v->hypervisor), v->timer_flow);
}

bool epic_timer_wakes(const struct vcpu *v)
{
    return v->timer_due && !is_masked(v);
}

/* --- the non-maskable timer --- */

static void nm_expire(struct vcpu *v)
{
    struct trace *t = v->hypervisor->trace;
    const trace_flow flow = trace_new_flow(t);

    v->epic->nm_due = false;
    trace_put(t, flow, TRACE_RAISED, v->index, EPIC_NMI_VECTOR,
              TRACE_SOURCE(TRACE_SOURCE_TIMER, v->index));
    trace_put(t, flow, TRACE_ROUTED, v->index, EPIC_NMI_VECTOR, TRACE_PARENT(v->index, flow));
    cepic_nm_timer_expired(&v->epic->cepic, hv_now(v->hypervisor), flow);
}

static void nm_fired(struct event *e)
{
    struct vcpu *v = EVENT_OWNER(e, struct epic_vcpu, nm_timer)->vcpu;

    if (!v->epic->loaded) {
        v->epic->nm_due = true;
        return;
    }
    nm_expire(v);
    show_guest(v);
}

/* KVM's idle timer knows only the other one: this one wakes nobody. */
void epic_nm_timer_loaded(struct vcpu *v)
{
    if (v->epic->nm_due)
        nm_expire(v);
}

/* KVM emulates no such timer: its registers only store. */
void epic_nm_timer_armed(struct vcpu *v, sim_time deadline)
{
    const struct hypervisor *h = v->hypervisor;

    if (!v->hw.e2k.epic)
        return;
    v->epic->nm_due = false;
    if (deadline.ps == SIM_TIME_NEVER.ps)
        event_disarm(h->events, &v->epic->nm_timer);
    else
        event_arm(h->events, &v->epic->nm_timer, time_later_of(hv_now(h), deadline));
}

void epic_nm_timer_init(struct vcpu *v)
{
    event_init(v->hypervisor->events, &v->epic->nm_timer, EVENT_PHASE_CONTROLLER, nm_fired);
}
