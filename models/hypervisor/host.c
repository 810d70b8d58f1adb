/*
 * The host: physical CPUs, the interrupts that reach them, and what a vCPU is to
 * the scheduler (scheduler.c).
 *
 * Left out: what an interrupt that wakes nobody costs a CPU that sleeps.
 */
#include "hypervisor/epic.h"
#include "hypervisor/host_noise.h"
#include "hypervisor/ioepic_board.h"
#include "hypervisor/scheduler.h"

static const uint8_t host_numbers[] = {
#define VECTOR(name, number, meaning) [HOST_##name] = (number),
    HOST_VECTORS(VECTOR)
#undef VECTOR
};

static struct vcpu *vcpu_on(const struct pcpu *p)
{
    return p->current ? p->current->vcpu : NULL;
}

/* A guest that halts or pauses does not, nor one whose program is over. */
bool pcpu_works(const struct pcpu *p)
{
    const struct vcpu *v = vcpu_on(p);
    const bool idles = v && v->state == VCPU_GUEST &&
                       (virt_waits(&v->hw) || v->waiting.pausing || v->program_ended);

    return p->current && !idles;
}

/* --- what the host's handlers do --- */

static void wake_from_interrupt(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const bool polls = v->state == VCPU_POLLING; /* and the interrupt delays it anyway */

    if (halt_ends(v))
        thread_wake(&v->thread, hv_after(h, polls ? 0 : h->costs.of[COST_HOST_INTERRUPT].n));
}

/* KVM: pi_wakeup_handler(): whoever sleeps here and has a notification outstanding. And, which is not
   KVM's, whoever is preempted here and has an urgent one. */
static void wake_posted(struct pcpu *p)
{
    for (struct thread *t = p->threads, *next; t; t = next) {
        next = t->sibling; /* woken, it may go to another CPU */
        if (!t->vcpu || !t->vcpu->descriptor.on)
            continue;
        if (vcpu_waits(t->vcpu))
            wake_from_interrupt(t->vcpu);
        else if (t->vcpu->state == VCPU_PARKED && t->vcpu->urgent)
            thread_urge(t);
    }
}

/* A guest's timer ran on a timer of this CPU. */
static void timers_expired(struct pcpu *p)
{
    for (struct thread *t = p->threads, *next; t; t = next) {
        next = t->sibling;
        if (!t->vcpu || !t->vcpu->timer_due)
            continue;
        t->vcpu->request = true;
        if (vcpu_waits(t->vcpu))
            wake_from_interrupt(t->vcpu);
    }
}

/* A vector of the guest's own met the host: what came by IPI is in the guest's APIC already. */
static void guest_vector(struct pcpu *p)
{
    timers_expired(p);
    for (struct thread *t = p->threads, *next; t; t = next) {
        next = t->sibling;
        if (t->vcpu && vcpu_waits(t->vcpu))
            wake_from_interrupt(t->vcpu);
    }
}

static void slice_over(struct pcpu *p)
{
    if (scheduler_turns(p))
        p->current->ops->slice_over(p->current);
}

static void run_handler(struct pcpu *p, enum host_vector vector)
{
    switch (vector) {
    case HOST_WAKEUP:
        wake_posted(p);
        break;
    case HOST_TIMER:
        timers_expired(p);
        break;
    case HOST_TICK:
        slice_over(p);
        break;
    case HOST_PERIODIC:
        scheduler_balance(p);
        break;
    case HOST_ASSIGNED:
        assigned_forward(p);
        break;
    case HOST_GUEST:
        guest_vector(p);
        break;
    case HOST_EPIC:
        epic_take_missed(p);
        break;
    case HOST_GA_LOG:
        assigned_svm_read_log(p->hypervisor);
        break;
    case HOST_DOORBELL:   /* nobody's: no guest runs */
    case HOST_RESCHEDULE: /* a kick: leaving the guest was all it wanted */
    case HOST_POSTED:     /* too late for the guest; the next entry takes PIR */
    case HOST_DEVICE:
    case HOST_VECTOR_COUNT:
        break;
    }
}

/* --- interrupts --- */

/* For whose sake an interrupt of the host makes this guest leave. */
static enum trace_cause cause_of(const struct vcpu *v, enum host_vector vector, trace_flow flow)
{
    static const uint32_t for_guests = 1u << HOST_RESCHEDULE | 1u << HOST_TIMER |
                                       1u << HOST_ASSIGNED | 1u << HOST_POSTED |
                                       1u << HOST_GUEST;
    const bool guests =
        for_guests >> vector & 1 && flow && (vector != HOST_TIMER || v->timer_due);

    return guests ? TRACE_CAUSE_DELIVERY : TRACE_CAUSE_HOST;
}

/* As what an interrupt of the host's reaches a CPU where a guest runs. */
static struct virt_verdict put_to_hardware(struct vcpu *v, enum host_vector vector)
{
    const bool nmi = vector != HOST_GUEST && host_kicks_by_nmi(v->hypervisor);

    if (vector == HOST_TICK && v->hw.passive_context && v->hw.e2k.g_preempt_tmr)
        return v->hw.ops->preemption_timer(&v->hw);

    return v->hw.ops->external_interrupt(&v->hw, nmi ? VIRT_NMI : host_numbers[vector]);
}

/* True: the guest leaves, and the handler runs once the host has the CPU. */
static bool left_for(struct pcpu *p, struct vcpu *v, enum host_vector vector,
                     const struct virt_verdict *verdict, trace_flow flow)
{
    const enum trace_cause cause = cause_of(v, vector, flow);

    if (!virt_exits(verdict)) {
        p->pending &= (uint16_t) ~(1u << vector);
        return false;
    }
    p->pending |= (uint16_t)(1u << vector);
    v->access = guest_no_access();
    vcpu_exit(v, verdict, cause, cause == TRACE_CAUSE_DELIVERY ? flow : 0);
    return true;
}

static bool meet_pin(struct pcpu *p, struct vcpu *v)
{
    trace_flow flow;

    if (!ioepic_board_landed(p, &flow))
        return false;
    const struct virt_verdict verdict = put_to_hardware(v, HOST_ASSIGNED);
    return left_for(p, v, HOST_ASSIGNED, &verdict, flow);
}

/* Several may have landed here, and for several guests. */
static bool meet_assigned(struct pcpu *p, struct vcpu *v)
{
    struct device *d;

    while ((d = assigned_landed(p))) {
        const struct virt_verdict verdict =
            assigned_is_own(d, v) ? v->hw.ops->external_interrupt(&v->hw, d->vector)
                                  : put_to_hardware(v, HOST_ASSIGNED);

        if (left_for(p, v, HOST_ASSIGNED, &verdict, d->vcpu == v->index ? d->landed : 0))
            return true;
        if (verdict.path != VIRT_NATIVE)
            return false; /* a rule that the plan declares keeps it from the guest */
        assigned_take_directly(d);
    }
    return meet_pin(p, v);
}

/* The hardware meets a host interrupt while it runs the guest. True: the guest left. */
static bool meet(struct pcpu *p, struct vcpu *v, enum host_vector vector)
{
    struct virt_verdict verdict;

    if (vector == HOST_ASSIGNED)
        return meet_assigned(p, v);
    verdict = put_to_hardware(v, vector);
    if (left_for(p, v, vector, &verdict, p->arrival[vector].flow))
        return true;
    if (verdict.path == VIRT_NATIVE) {
        direct_arrived(v);
        return false;
    }
    line_claim(&v->line[LINE_PENDING], p, true);
    if (!vcpu_pay_rule(v))
        vcpu_pay(v, COST_HW_POSTED);
    return false;
}

static bool about_to_enter_or_in_guest(const struct vcpu *v)
{
    return v->state == VCPU_COMMIT || vcpu_in_guest_mode(v);
}

/* The host's own interrupts go to other CPUs. What a timer means for a guest that runs here comes
   from there, as an NMI. */
static bool is_elsewhere(struct pcpu *p, const struct vcpu *v, enum host_vector vector)
{
    if (!host_kicks_by_nmi(p->hypervisor))
        return false;
    if (vector != HOST_TIMER || (v && v->timer_due && about_to_enter_or_in_guest(v)))
        return vector == HOST_DEVICE || vector == HOST_PERIODIC;
    timers_expired(p);
    return true;
}

static void arrive(struct pcpu *p, enum host_vector vector)
{
    cycles delay = p->hypervisor->costs.of[COST_HOST_INTERRUPT];
    struct vcpu *v = vcpu_on(p);
    struct thread *t;

    if (vector == HOST_DOORBELL && !(v && v->state == VCPU_GUEST))
        return; /* the next entry looks at IRR by itself */
    if (is_elsewhere(p, v, vector))
        return;
    if (v && v->state == VCPU_GUEST) {
        guest_interrupted(v);
        if (!meet(p, v, vector))
            vcpu_continue(v, guest_run);
        return;
    }
    if (v && about_to_enter_or_in_guest(v)) {
        p->pending |= (uint16_t)(1u << vector);
        return;
    }
    t = p->current;
    run_handler(p, vector);
    delay.n += host_noise_work(p).n;
    if (t && t == p->current)
        t->ops->delayed(t, delay);
}

static void arrival_fired(struct event *e)
{
    struct pcpu_arrival *a = EVENT_OWNER(e, struct pcpu_arrival, event);

    arrive(a->pcpu, (enum host_vector)(a - a->pcpu->arrival));
}

static void slice_fired(struct event *e)
{
    arrive(EVENT_OWNER(e, struct pcpu, slice), HOST_TICK);
}

/* One that is on its way already arrives no later for being sent again. */
void host_send(struct pcpu *p, enum host_vector vector, sim_time at, trace_flow flow)
{
    struct event_queue *q = p->hypervisor->events;
    struct pcpu_arrival *a = &p->arrival[vector];

    if (event_is_armed(q, &a->event) && !time_before(at, event_due(q, &a->event)))
        return;
    a->flow = flow;
    event_arm(q, &a->event, at);
}

void host_take_pending(struct vcpu *v, bool first_is_paid)
{
    struct pcpu *p = v->thread.pcpu;

    while (p->pending) {
        const unsigned vector = (unsigned)__builtin_ctz(p->pending);

        p->pending &= (uint16_t) ~(1u << vector);
        if (!first_is_paid)
            vcpu_pay(v, COST_HOST_INTERRUPT);
        first_is_paid = false;
        v->extra.n += host_noise_work(p).n;
        run_handler(p, (enum host_vector)vector);
    }
}

bool host_wants_exit(const struct vcpu *v)
{
    return v->immediate_exit || timer_wants_exit(v);
}

bool host_leaves_at_once(struct vcpu *v)
{
    struct pcpu *p = v->thread.pcpu;
    struct virt_verdict verdict;

    for (uint16_t left = p->pending; left; left &= (uint16_t)(left - 1))
        if (meet(p, v, (enum host_vector)__builtin_ctz(left)))
            return true;
    if (!host_wants_exit(v))
        return false;
    verdict = put_to_hardware(v, HOST_RESCHEDULE);
    vcpu_exit(v, &verdict, TRACE_CAUSE_DELIVERY,
              v->immediate_exit ? v->guest.frame->flow : v->timer_flow);
    return true;
}

void pcpu_init(struct hypervisor *h, struct pcpu *p, uint16_t index)
{
    *p = (struct pcpu){.hypervisor = h, .index = index};
    p->queue_end = &p->queue;
    event_init(h->events, &p->slice, EVENT_PHASE_CONTROLLER, slice_fired);
    scheduler_init(p);
    for (unsigned i = 0; i < HOST_VECTOR_COUNT; i++) {
        p->arrival[i].pcpu = p;
        event_init(h->events, &p->arrival[i].event, EVENT_PHASE_CONTROLLER, arrival_fired);
    }
}

/* --- a vCPU as a thread --- */

static void vcpu_scheduled(struct thread *t, bool switching)
{
    if (switching)
        vcpu_pay(t->vcpu, COST_HOST_SWITCH);
    vcpu_take(t->vcpu, VCPU_ON_SCHEDULED);
}

static void vcpu_slice_over(struct thread *t)
{
    if (t->vcpu->state == VCPU_POLLING)
        halt_poll_yield(t->vcpu);
    else
        t->vcpu->reschedule = true;
}

/* The host itself is interrupted: what it was doing takes that much longer. */
static void vcpu_delayed(struct thread *t, cycles by)
{
    struct vcpu *v = t->vcpu;
    struct hypervisor *h = v->hypervisor;

    if (!event_is_armed(h->events, &v->step))
        return;
    v->due = clock_after(&h->core, time_later_of(v->due, hv_now(h)), by);
    event_arm(h->events, &v->step, v->due);
}

static void vcpu_pays(struct thread *t, cycles cost)
{
    t->vcpu->extra.n += cost.n;
}

static void vcpu_lock_free(struct thread *t)
{
    vcpu_take(t->vcpu, VCPU_ON_WOKEN);
}

static const struct thread_ops vcpu_ops = {vcpu_scheduled, vcpu_slice_over, vcpu_delayed,
                                           vcpu_pays, vcpu_lock_free};

/* --- and one that always wants to run, and does nothing that can be measured --- */

static void load_scheduled(struct thread *t, bool switching)
{
    (void)t;
    (void)switching;
}

static void load_slice_over(struct thread *t)
{
    thread_leave(t, true);
}

static void load_costs(struct thread *t, cycles n)
{
    (void)t;
    (void)n;
}

static const struct thread_ops load_ops = {
    .scheduled = load_scheduled,
    .slice_over = load_slice_over,
    .delayed = load_costs,
    .pay = load_costs,
};

/* --- */

void pcpu_add_thread(struct pcpu *p, struct thread *t, const struct thread_ops *ops)
{
    *t = (struct thread){
        .ops = ops, .pcpu = p, .sibling = p->threads, .weight = SCHEDULER_WEIGHT};
    p->threads = t;
}

void pcpu_add_vcpu(struct pcpu *p, struct vcpu *v)
{
    pcpu_add_thread(p, &v->thread, &vcpu_ops);
    v->thread.vcpu = v;
    scheduler_start(&v->thread);
}

void pcpu_add_load(struct pcpu *p, struct thread *t)
{
    pcpu_add_thread(p, t, &load_ops);
    scheduler_start(t);
}
