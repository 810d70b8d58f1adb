/* The table's interpreter, and the steps of the kernel around an entry. */
#include <assert.h>

#include "hypervisor/global_lock.h"
#include "hypervisor/vm_pause.h"
#include "hypervisor/epic.h"

static void resume(struct vcpu *v);
static void inject(struct vcpu *v);
static void last_check(struct vcpu *v);
static void leave(struct vcpu *v);
static void idle(struct vcpu *v);
static void park(struct vcpu *v);
static void block(struct vcpu *v);
static void lock_sleep(struct vcpu *v);
static void stop_sleep(struct vcpu *v);

#define arrive    guest_arrive
#define run_guest guest_run
#define handle    exit_handle
#define deliver   deliver_next
#define poll      halt_wait
#define userspace userspace_run
#define COST_NONE (-1)
const struct vcpu_step vcpu_steps[] = {
#define STEP(from, on, to, cost, action)                                                       \
    {VCPU_##from, VCPU_ON_##on, VCPU_##to, COST_##cost, action, #action},
#include "hypervisor/steps.def"
#undef STEP
};
#undef arrive
#undef run_guest
#undef handle
#undef deliver
#undef poll
#undef userspace
const unsigned vcpu_step_count = sizeof vcpu_steps / sizeof vcpu_steps[0];

const char *vcpu_state_name(enum vcpu_state s)
{
    static const char *const names[] = {
#define STATE(name, meaning) #name,
        VCPU_STATES(STATE)
#undef STATE
    };
    return names[s];
}

const char *vcpu_signal_name(enum vcpu_signal s)
{
    static const char *const names[] = {
#define SIGNAL(name) #name,
        VCPU_SIGNALS(SIGNAL)
#undef SIGNAL
    };
    return names[s];
}

/* The rows' numbers, from the same table. */
enum {
#define STEP(from, on, to, cost, action) ROW_##from##_##on,
#include "hypervisor/steps.def"
#undef STEP
};

const struct vcpu_step *vcpu_find_step(enum vcpu_state from, enum vcpu_signal on)
{
    static const uint8_t row_plus_one[VCPU_STATE_COUNT][VCPU_SIGNAL_COUNT] = {
#define STEP(from, on, to, cost, action) [VCPU_##from][VCPU_ON_##on] = ROW_##from##_##on + 1,
#include "hypervisor/steps.def"
#undef STEP
    };
    const uint8_t n = row_plus_one[from][on];

    return n ? &vcpu_steps[n - 1] : NULL;
}

void vcpu_take(struct vcpu *v, enum vcpu_signal on)
{
    struct hypervisor *h = v->hypervisor;
    const struct vcpu_step *s = vcpu_find_step(v->state, on);

    assert(s && "this pair has no row in steps.def");
    if (s->to != v->state)
        trace_put(h->trace, 0, TRACE_VCPU_STATE, v->index, v->state, s->to);
    v->state = s->to;
    if (s->cost >= 0)
        v->extra.n += h->costs.of[s->cost].n;
    vcpu_continue(v, s->action);
}

/* What work takes, where the core's other thread works too. */
static uint64_t in_company(const struct vcpu *v)
{
    const struct pcpu *other = v->thread.pcpu->sibling;

    if (!other || !pcpu_works(other))
        return v->extra.n;
    return v->extra.n + v->extra.n * v->hypervisor->costs.of[COST_SMT_SHARED].n / 100;
}

/*
 * Pays v->extra and v->stall, then runs `action`. From within v's own step the wait is left
 * to step_fired(), which need not go through the queue when nothing can come
 * between; from anywhere else it is an armed event.
 */
void vcpu_continue(struct vcpu *v, void (*action)(struct vcpu *v))
{
    const uint64_t n = in_company(v) + v->stall.n;

    v->action = action;
    v->due = n ? hv_after(v->hypervisor, n) : hv_now(v->hypervisor);
    v->extra.n = v->stall.n = 0;
    if (!v->stepping)
        event_arm(v->hypervisor->events, &v->step, v->due);
}

static void step_fired(struct event *e)
{
    struct vcpu *v = EVENT_OWNER(e, struct vcpu, step);
    struct event_queue *q = v->hypervisor->events;

    v->stepping = true;
    do {
        void (*action)(struct vcpu *) = v->action;

        v->action = NULL;
        action(v);
    } while (v->action && event_advance(q, &v->step, v->due));
    v->stepping = false;
}

void vcpu_init_steps(struct vcpu *v)
{
    event_init(v->hypervisor->events, &v->step, EVENT_PHASE_CPU, step_fired);
}

/* KVM: avic_vcpu_load(), avic_vcpu_put(). The hardware is not to see one that has no AVIC at present;
   and by the erratum's remedy never one that runs. */
static void set_running(struct vcpu *v, bool running)
{
    struct hypervisor *h = v->hypervisor;
    struct avic_entry *entry = &h->avic.entry[v->index];

    entry->running =
        running && v->apicv_active && !feature_in(h->features, FEATURE_ERRATUM_1235);
    entry->host = v->thread.pcpu->index;
    if (v->epic)
        epic_set_loaded(v, running);
    assigned_svm_set_running(v, running);
}

static bool rechecks(const struct vcpu *v, enum recheck which)
{
    return !recheck_left_out(v->hypervisor->policy.without_rechecks, which);
}

/* The thread has its CPU: vmx_vcpu_load() points the descriptor here again. */
static void resume(struct vcpu *v)
{
    set_running(v, true);
    yield_scheduled(v);
    v->descriptor.sn = false;
    v->descriptor.nv = HOST_NUMBER_POSTED;
    v->descriptor.ndst = v->thread.pcpu->index;
    assigned_steer(v, true);
    timer_migrate(v);
    if (rechecks(v, RECHECK_SET_ON) && !vec_empty(&v->descriptor.pir))
        v->descriptor.on = true;
    vcpu_take(v, v->in_userspace ? VCPU_ON_TO_USER : VCPU_ON_ENTER_KVM);
}

/* KVM: vcpu_enter_guest() up to the point where it switches interrupts off. */
static void inject(struct vcpu *v)
{
    if (guest_held(v, inject))
        return;
    if (startup_concerns(v) && !startup_ready(v))
        return;
    if (v->apicv_stale) {
        inhibit_apply(v);
        assigned_svm_set_mode(v);
        set_running(v, true);
    }
    timer_check(v);
    v->request = false;
    deliver_inject(v);
    vcpu_take(v, VCPU_ON_READY);
}

/* No entry after all: interrupts on again. */
static void call_off(struct vcpu *v)
{
    deliver_cancel(v);
    host_take_pending(v, false);
}

/* KVM: vmx_sync_pir_to_irr(), which looks at PIR where ON says that there is something in it. An
   IOMMU posts even while APICv is off, and what it has posted is then injected like any other
   interrupt. */
static void take_posted(struct vcpu *v)
{
    line_take(v, &v->line[LINE_PENDING], v->descriptor.on || v->injecting != NO_VECTOR);
    if (!v->descriptor.on)
        return;
    posted_sync(&v->descriptor, &v->apic);
    if (!v->hw.ops->posts(&v->hw))
        v->request = true;
}

/* KVM: kvm_vcpu_exit_request(): somebody asked after inject() had looked. */
static bool asked_again(struct vcpu *v)
{
    if (!rechecks(v, RECHECK_REQUEST))
        return false;
    take_posted(v);
    return v->request || timer_requests(v);
}

/* KVM: interrupts off, vcpu->mode = IN_GUEST_MODE, then kvm_vcpu_exit_request(). From here on
   a kick or a notification is an interrupt to this CPU, which the guest's entry will meet. */
static void last_check(struct vcpu *v)
{
    line_take(v, &v->line[LINE_MODE], true);
    if (asked_again(v)) {
        call_off(v);
        vcpu_take(v, VCPU_ON_REQUEST);
    } else if (v->signal) {
        call_off(v);
        v->signal = false;
        v->kvm_exit = KVM_EXIT_INTR;
        vcpu_take(v, VCPU_ON_SIGNAL);
    } else if (v->reschedule) {
        call_off(v);
        v->in_userspace = false;
        vcpu_take(v, VCPU_ON_PREEMPT);
    } else {
        direct_enter(v);
        v->hw.ops->sync(&v->hw);
        timer_wait(v);
        if (v->hw.passive_context)
            epic_pay_launch(v);
        vcpu_take(v, VCPU_ON_READY);
    }
}

/* The hardware has saved the guest; KVM: vcpu->mode = OUTSIDE_GUEST_MODE. */
static void leave(struct vcpu *v)
{
    line_take(v, &v->line[LINE_MODE], true);
    if (v->hw.passive_context)
        epic_pay_interception(v);
    exit_pay(v);
    vcpu_take(v, VCPU_ON_LEFT);
}

/* `by`: the operation that left, or NULL. */
static void exit_traced(struct vcpu *v, const struct virt_verdict *why, enum trace_cause cause,
                        trace_flow flow, const struct guest_insn *by)
{
    const struct trace *t = v->hypervisor->trace;

    v->exit = *why;
    v->exit_cause = cause;
    v->immediate_exit = false;
    vcpu_pay_rule(v);
    trace_put(t, flow, TRACE_VM_EXIT, v->index,
              TRACE_EXIT(why->reason, cause) | (by ? TRACE_EXIT_BY(by->op, by->operand[0]) : 0),
              why->qualification);
    if (by && (by->operand[1] | by->operand[2]))
        trace_put(t, flow, TRACE_OPERANDS, v->index, by->operand[1], by->operand[2]);
    vcpu_take(v, VCPU_ON_EXIT);
}

void vcpu_exit(struct vcpu *v, const struct virt_verdict *why, enum trace_cause cause,
               trace_flow flow)
{
    exit_traced(v, why, cause, flow, NULL);
}

void vcpu_exit_by(struct vcpu *v, const struct virt_verdict *why, enum trace_cause cause,
                  trace_flow flow, const struct guest_insn *i)
{
    exit_traced(v, why, cause, flow, i);
}

/* KVM: vmx_needs_pi_wakeup(): others than the hypervisor post to vCPUs that do not run. */
static bool others_post(const struct hypervisor *h)
{
    return feature_in(h->features, FEATURE_IPI_VIRTUALIZATION) ||
           feature_in(h->features, FEATURE_IPI_PASSTHROUGH) ||
           feature_in(h->features, FEATURE_VTD_POSTING) ||
           (h->hypothetical && h->hypothetical->watches);
}

/* What is the guest's own only while it has its CPU. */
static void give_up(struct vcpu *v)
{
    set_running(v, false);
    assigned_steer(v, false);
    timer_migrate(v);
}

/* Off its CPU, but it would rather run: vmx_vcpu_put() suppresses notifications. What is urgent
   notifies all the same, and wakes it: no hypervisor in use does so (docs/models/posted.md). */
static void park(struct vcpu *v)
{
    give_up(v);
    v->waiting.preempted = true;
    if (others_post(v->hypervisor))
        v->descriptor.sn = true;
    if (v->urgent)
        v->descriptor.nv = HOST_NUMBER_WAKEUP;
    vcpu_take(v, VCPU_ON_PREEMPT);
    thread_leave(&v->thread, true);
}

/* Off its CPU, asleep: the descriptor names the wake-up vector, unless it is too late to sleep. */
static void block(struct vcpu *v)
{
    give_up(v);
    if (others_post(v->hypervisor)) {
        v->descriptor.nv = HOST_NUMBER_WAKEUP;
        v->descriptor.sn = false;
    }
    if (rechecks(v, RECHECK_BLOCK) && halt_ends(v)) {
        halt_woken(v);
        vcpu_take(v, VCPU_ON_WOKEN);
        return;
    }
    vcpu_take(v, VCPU_ON_BLOCK);
    thread_leave(&v->thread, false);
}

/* Off its CPU until the lock is free; which it may have become on the way. Not preempted, and not
   in KVM: whoever posts meanwhile sets bits, and the next entry finds them. */
static void lock_sleep(struct vcpu *v)
{
    give_up(v);
    if (!global_lock_wait(&v->thread)) {
        vcpu_take(v, VCPU_ON_WOKEN);
        return;
    }
    vcpu_take(v, VCPU_ON_LOCK);
    thread_leave(&v->thread, false);
}

/* Off its CPU until the VM goes on; which it may do already. */
static void stop_sleep(struct vcpu *v)
{
    give_up(v);
    if (!v->stop) {
        vcpu_take(v, VCPU_ON_WOKEN);
        return;
    }
    vcpu_take(v, VCPU_ON_STOP);
    thread_leave(&v->thread, false);
    vm_pause_stopped(v);
}

/* Nothing to do until somebody schedules or wakes the thread. */
static void idle(struct vcpu *v)
{
    (void)v;
}
