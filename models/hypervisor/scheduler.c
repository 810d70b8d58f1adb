/*
 * The host's scheduler: who has which physical CPU, and for how long.
 *
 * By default threads share a CPU in turn, a time slice each, and stay on it. A
 * plan may ask for a fair scheduler, which is Linux' CFS in short: a thread is
 * charged for its time by its weight (nice), the one that was charged least is
 * next, a thread that wakes up preempts one that was charged enough more, and
 * threads that are not pinned go to CPUs that have nothing to do.
 *
 * A directed yield puts its target at the head of its queue, and ends the slice
 * of whoever runs there.
 *
 * Left out: what waits behind a thread that roams has to wait for the end of its
 * slice, though another CPU is idle (Linux' active balance is later still); groups, real-time classes, the balance of loads between CPUs that
 * are all busy, caches and nodes in the choice of a CPU, and the fairness by
 * which Linux may refuse a directed yield.
 */
#include "hypervisor/scheduler.h"

#include "hypervisor/host_noise.h"

/* Behind those that are as entitled to the CPU: in turns everybody is, and that is the end. */
static void enqueue(struct pcpu *p, struct thread *t)
{
    struct thread **link = p->yielded && p->queue ? &p->queue->next : &p->queue;

    if (p->hypervisor->policy.scheduler.fair)
        while (*link && (*link)->vruntime <= t->vruntime)
            link = &(*link)->next;
    else
        link = p->queue_end;
    t->next = *link;
    *link = t;
    if (!t->next)
        p->queue_end = &t->next;
}

static struct thread *dequeue(struct pcpu *p)
{
    struct thread *t = p->queue;

    if (!t)
        return NULL;
    p->queue = t->next;
    if (!p->queue)
        p->queue_end = &p->queue;
    return t;
}

/* A slice ends only where somebody waits for it to end. */
static void limit_slice(struct pcpu *p)
{
    struct hypervisor *h = p->hypervisor;

    if (p->current && p->queue && !event_is_armed(h->events, &p->slice))
        event_arm(h->events, &p->slice,
                  time_plus_ps(hv_now(h), h->policy.time_slice_ns * PS_PER_NS));
}

/* --- fairness --- */

/* Linux: sched_prio_to_weight[], nice -20 to 19: a step is a tenth of the CPU. */
static const uint32_t weights[NICE_MAX - NICE_MIN + 1] = {
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
    9548,  7620,  6100,  4904,  3906,  3121,  2501,  1991,  1586,  1277,
    1024,  820,   655,   526,   423,   335,   272,   215,   172,   137,
    110,   87,    70,    56,    45,    36,    29,    23,    18,    15,
};

uint32_t scheduler_weight(int nice)
{
    return weights[nice - NICE_MIN];
}

static uint64_t weighted(uint64_t ps, const struct thread *t)
{
    return (uint64_t)((time_wide)ps * SCHEDULER_WEIGHT / t->weight);
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Linux: update_curr(), update_min_vruntime(). */
static void account(struct pcpu *p)
{
    struct thread *t = p->current;
    const sim_time now = hv_now(p->hypervisor);
    uint64_t least;

    if (!p->hypervisor->policy.scheduler.fair || !t)
        return;
    t->vruntime += weighted(now.ps - t->since.ps, t);
    t->since = now;
    least = p->queue && p->queue->vruntime < t->vruntime ? p->queue->vruntime : t->vruntime;
    if (least > p->least)
        p->least = least;
}

/* Linux: place_entity(): who has slept gets no more for it than half the scheduling latency. */
static void place_sleeper(struct thread *t)
{
    const struct scheduler_policy *s = &t->pcpu->hypervisor->policy.scheduler;
    const uint64_t floor = less(t->pcpu->least, s->latency_ns * PS_PER_NS / 2);

    if (s->fair && t->vruntime < floor)
        t->vruntime = floor;
}

/* Linux: wakeup_preempt_entity(). The interrupt that tells the CPU arrives at `at`. */
static void preempt_for(const struct thread *t, sim_time at)
{
    struct pcpu *p = t->pcpu;
    struct hypervisor *h = p->hypervisor;
    const struct scheduler_policy *s = &h->policy.scheduler;

    if (!s->fair || !p->current ||
        less(p->current->vruntime, t->vruntime) <=
            weighted(s->wakeup_granularity_ns * PS_PER_NS, t))
        return;
    if (time_before(at, event_due(h->events, &p->slice)))
        event_arm(h->events, &p->slice, at);
}

/* Its time is over; under a fair scheduler only if another is more entitled to it. */
bool scheduler_turns(struct pcpu *p)
{
    if (p->current && p->current->goes_to)
        return true;
    if (!p->current || !p->queue)
        return false;
    account(p);
    if (!p->hypervisor->policy.scheduler.fair || p->queue->vruntime < p->current->vruntime ||
        p->yielded)
        return true;
    limit_slice(p);
    return false;
}

/* --- from CPU to CPU --- */

static bool is_idle(const struct pcpu *p)
{
    return !p->current && !p->queue;
}

static bool is_open_to(const struct pcpu *p, const struct thread *t)
{
    return t->roams && p != p->hypervisor->housekeeping;
}

/* Its own CPU, if there is no other. */
static struct pcpu *idle_cpu_for(const struct thread *t)
{
    const struct hypervisor *h = t->pcpu->hypervisor;

    for (uint32_t n = 1; t->roams && n < h->pcpu_count; n++) {
        struct pcpu *p = &h->pcpu[(t->pcpu->index + n) % h->pcpu_count];

        if (is_idle(p) && is_open_to(p, t))
            return p;
    }
    return t->pcpu;
}

/* Not in any queue. What it is entitled to is counted from where its CPU's threads are. */
static void move(struct thread *t, struct pcpu *to)
{
    struct thread **link = &t->pcpu->threads;

    if (to == t->pcpu)
        return;
    while (*link != t)
        link = &(*link)->sibling;
    *link = t->sibling;
    t->sibling = to->threads;
    to->threads = t;
    t->vruntime = to->least + less(t->vruntime, t->pcpu->least);
    t->pcpu = to;
    t->goes_to = NULL;
    t->moved = true;
}

static void unqueue(struct thread *t)
{
    struct pcpu *p = t->pcpu;
    struct thread **link = &p->queue;

    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    if (!t->next)
        p->queue_end = link;
}

static void tell_idle(struct pcpu *p, sim_time at)
{
    struct hypervisor *h = p->hypervisor;

    if (!p->current && !event_is_armed(h->events, &p->dispatch))
        event_arm(
            h->events, &p->dispatch,
            clock_after(&h->core, at,
                        (cycles){h->costs.of[COST_HOST_IDLE_EXIT].n + host_idle_end(p).n}));
}

/* It has lost its CPU to another thread: it waits there, or goes where nobody is. */
static void push(struct thread *t)
{
    const struct hypervisor *h = t->pcpu->hypervisor;

    move(t, t->goes_to ? t->goes_to : idle_cpu_for(t));
    enqueue(t->pcpu, t);
    limit_slice(t->pcpu);
    if (t->moved)
        tell_idle(t->pcpu, hv_after(h, h->costs.of[COST_HW_IPI].n));
}

/* Linux: newidle_balance(): a CPU that has nothing to do takes what waits elsewhere. */
static void pull(struct pcpu *p)
{
    const struct hypervisor *h = p->hypervisor;

    for (uint32_t n = 1; n < h->pcpu_count; n++) {
        const struct pcpu *from = &h->pcpu[(p->index + n) % h->pcpu_count];

        for (struct thread *t = from->current ? from->queue : NULL; t; t = t->next) {
            if (!is_open_to(p, t))
                continue;
            unqueue(t);
            move(t, p);
            enqueue(p, t);
            return;
        }
    }
}

static uint64_t load_of(const struct pcpu *p)
{
    uint64_t load = p->current ? p->current->weight : 0;

    for (const struct thread *t = p->queue; t; t = t->next)
        load += t->weight;
    return load;
}

static struct pcpu *busiest_but(const struct pcpu *p)
{
    const struct hypervisor *h = p->hypervisor;
    struct pcpu *busiest = NULL;

    for (uint32_t n = 1; n < h->pcpu_count; n++) {
        struct pcpu *other = &h->pcpu[(p->index + n) % h->pcpu_count];

        if (!busiest || load_of(other) > load_of(busiest))
            busiest = other;
    }
    return busiest;
}

/* Linux: load_balance(). A thread moves where that leaves both CPUs less apart. */
void scheduler_balance(struct pcpu *p)
{
    struct pcpu *from = p->hypervisor->policy.scheduler.fair ? busiest_but(p) : NULL;

    for (struct thread *t = from && from->current ? from->queue : NULL; t; t = t->next) {
        if (!is_open_to(p, t) || load_of(from) <= load_of(p) + t->weight)
            continue;
        unqueue(t);
        move(t, p);
        enqueue(p, t);
        limit_slice(p);
        return;
    }
}

static void trace_thread(const struct pcpu *p, const struct thread *t, bool on)
{
    if (t->vcpu)
        trace_put(p->hypervisor->trace, 0, TRACE_THREAD, t->vcpu->index, p->index, on);
}

static void run_next(struct pcpu *p, bool switching)
{
    if (!p->queue)
        pull(p);
    p->current = dequeue(p);
    if (!p->current) {
        host_idle_begin(p);
        return;
    }
    p->current->since = hv_now(p->hypervisor);
    if (p->current->moved)
        p->current->ops->pay(p->current, p->hypervisor->costs.of[COST_HOST_MIGRATE]);
    p->current->moved = p->yielded = false;
    trace_thread(p, p->current, true);
    limit_slice(p);
    host_tick_goes_on(p);
    p->current->ops->scheduled(p->current, switching);
}

void thread_leave(struct thread *t, bool runnable)
{
    struct pcpu *p = t->pcpu;

    trace_thread(p, t, false);
    if (t->vcpu)
        t->vcpu->reschedule = false; /* that is what is happening */
    account(p);
    p->current = NULL;
    event_disarm(p->hypervisor->events, &p->slice);
    if (runnable && (p->queue || t->goes_to))
        push(t);
    else if (runnable)
        enqueue(p, t);
    run_next(p, true);
}

static void put_at_head(struct pcpu *p, struct thread *t)
{
    p->yielded = true;
    t->next = p->queue;
    p->queue = t;
    if (!t->next)
        p->queue_end = &t->next;
}

static void move_to_head(struct pcpu *p, struct thread *t)
{
    unqueue(t);
    put_at_head(p, t);
}

/* The scheduler of another CPU is told; whoever runs there has had its slice. */
static void end_slice(struct pcpu *p, struct vcpu *sender)
{
    struct hypervisor *h = p->hypervisor;
    const sim_time at = hv_after(h, h->costs.of[COST_KVM_KICK].n + h->costs.of[COST_HW_IPI].n);

    vcpu_pay(sender, COST_KVM_KICK);
    if (time_before(at, event_due(h->events, &p->slice)))
        event_arm(h->events, &p->slice, at);
}

/* Linux: yield_to(), which has no point where either queue has its one thread. */
bool thread_yield_to(struct thread *from, struct thread *to)
{
    struct pcpu *p = to->pcpu;

    if (!from->pcpu->queue && !p->current && p->queue == to && !to->next)
        return false;
    move_to_head(p, to);
    if (p != from->pcpu && p->current)
        end_slice(p, from->vcpu);
    return true;
}

static void dispatch(struct event *e)
{
    struct pcpu *p = EVENT_OWNER(e, struct pcpu, dispatch);

    if (!p->current)
        run_next(p, false);
}

void thread_wake(struct thread *t, sim_time at)
{
    struct vcpu *v = t->vcpu;
    const struct clock *core = &v->hypervisor->core;

    v->polled = v->state == VCPU_POLLING;
    if (v->polled) { /* it sees then what it waits for */
        v->stall.n += clock_count(core, at).n - clock_count(core, hv_now(v->hypervisor)).n;
        vcpu_pay(v, COST_KVM_POLL_WAKE);
    }
    halt_woken(v);
    vcpu_take(v, VCPU_ON_WOKEN);
    if (!v->polled)
        thread_ready(t, at);
}

void thread_ready(struct thread *t, sim_time at)
{
    struct pcpu *p;

    if (t->goes_to)
        move(t, t->goes_to);
    else if (!is_idle(t->pcpu))
        move(t, idle_cpu_for(t));
    p = t->pcpu;
    account(p);
    place_sleeper(t);
    enqueue(p, t);
    limit_slice(p);
    preempt_for(t, at);
    if (p->current && p->current->vcpu && p->current->vcpu->state == VCPU_POLLING)
        halt_poll_yield(p->current->vcpu);
    tell_idle(p, at);
}

/* Whoever has the CPU has had its slice, whatever it is entitled to. */
static void end_slice_now(struct pcpu *p)
{
    struct event_queue *q = p->hypervisor->events;

    if (p->current && p->current->vcpu && p->current->vcpu->state == VCPU_POLLING)
        halt_poll_yield(p->current->vcpu);
    if (p->current)
        event_arm(q, &p->slice, q->now);
    else
        tell_idle(p, q->now);
}

void thread_seize(struct thread *t)
{
    account(t->pcpu);
    put_at_head(t->pcpu, t);
    end_slice_now(t->pcpu);
}

void thread_urge(struct thread *t)
{
    account(t->pcpu);
    move_to_head(t->pcpu, t);
    end_slice_now(t->pcpu);
}

static bool is_queued(const struct thread *t)
{
    const struct thread *other = t->pcpu->queue;

    while (other && other != t)
        other = other->next;
    return other != NULL;
}

void thread_send_to(struct thread *t, struct pcpu *to)
{
    t->roams = false;
    t->goes_to = to == t->pcpu ? NULL : to;
    if (!t->goes_to)
        return;
    if (t->pcpu->current == t) {
        end_slice_now(t->pcpu);
    } else if (is_queued(t)) {
        unqueue(t);
        push(t);
    }
}

void scheduler_init(struct pcpu *p)
{
    event_init(p->hypervisor->events, &p->dispatch, EVENT_PHASE_CPU, dispatch);
    event_arm(p->hypervisor->events, &p->dispatch, (sim_time){0});
}

void scheduler_start(struct thread *t)
{
    enqueue(t->pcpu, t);
}
