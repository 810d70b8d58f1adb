/*
 * Host threads that are no vCPUs.
 *
 * A thread's life is a chain of actions, each behind the time that the one before
 * left to pay: look for an item (the main loop takes the global lock first),
 * work on it, sleep in it, finish it, look again.
 *
 * Left out: QEMU's pool starts a thread when all are busy, up to 64, and ends idle
 * ones after a while; here the plan says how many there are. What the main loop
 * polls before it sleeps (aio_poll's own polling) is in no cost.
 */
#include "hypervisor/host_thread.h"

const char *const host_thread_kind_names[] = {
#define KIND(id, name, meaning) name,
    HOST_THREAD_KINDS(KIND) NULL
#undef KIND
};

const char *const host_thread_state_names[] = {
#define STATE(name, meaning) #name,
    HOST_THREAD_STATES(STATE) NULL
#undef STATE
};

static struct host_thread *of_thread(struct thread *t)
{
    return EVENT_OWNER(t, struct host_thread, thread);
}

static void enter_state(struct host_thread *t, enum host_thread_state state)
{
    t->state = (uint8_t)state;
    trace_put(t->hypervisor->trace, 0, TRACE_HOST_THREAD, TRACE_NOWHERE, t->index,
              TRACE_ON_PCPU(state, t->thread.pcpu->index));
}

static void trace_work(const struct host_thread *t, enum trace_work step)
{
    trace_put(t->hypervisor->trace, 0, TRACE_HOST_WORK, TRACE_NOWHERE, t->index,
              TRACE_WORK(step, t->item->number));
}

/* --- on and off the CPU --- */

static void run(struct host_thread *t)
{
    t->due = hv_after(t->hypervisor, t->left.n);
    t->left.n = 0;
    event_arm(t->hypervisor->events, &t->step, t->due);
}

/* Pays what is left to pay, then does that. */
static void then(struct host_thread *t, void (*action)(struct host_thread *t))
{
    t->action = action;
    run(t);
}

static void leave(struct host_thread *t, enum host_thread_state state)
{
    enter_state(t, state);
    thread_leave(&t->thread, state == HOST_THREAD_READY);
}

static void wake(struct host_thread *t, cycles after)
{
    enter_state(t, HOST_THREAD_READY);
    thread_ready(&t->thread, hv_after(t->hypervisor, after.n));
}

static void scheduled(struct thread *thread, bool switching)
{
    struct host_thread *t = of_thread(thread);

    if (switching)
        host_thread_pay(t, COST_HOST_SWITCH);
    enter_state(t, HOST_THREAD_RUNS);
    run(t);
}

static void slice_over(struct thread *thread)
{
    struct host_thread *t = of_thread(thread);
    struct hypervisor *h = t->hypervisor;

    t->left =
        clock_count(&h->core, (sim_time){time_later_of(t->due, hv_now(h)).ps - hv_now(h).ps});
    event_disarm(h->events, &t->step);
    leave(t, HOST_THREAD_READY);
}

static void delayed(struct thread *thread, cycles by)
{
    struct host_thread *t = of_thread(thread);

    t->due =
        clock_after(&t->hypervisor->core, time_later_of(t->due, hv_now(t->hypervisor)), by);
    event_arm(t->hypervisor->events, &t->step, t->due);
}

static void pay(struct thread *thread, cycles cost)
{
    of_thread(thread)->left.n += cost.n;
}

/* --- items --- */

static void take_lock(struct host_thread *t);
static void served(struct host_thread *t);
static void go_on(struct host_thread *t);
static void finished(struct host_thread *t);

static void work_on(struct host_thread *t, struct host_item *item)
{
    t->item = item;
    item->by = t;
    trace_work(t, TRACE_WORK_BEGUN);
    t->left.n += item->before.n;
    then(t, served);
}

static void begin(struct host_thread *t)
{
    struct host_pool *pool = t->pool;
    struct host_item *item = pool->first;

    pool->first = item->next;
    if (!pool->first)
        pool->last = &pool->first;
    work_on(t, item);
}

static void look(struct host_thread *t)
{
    if (!t->pool->first) {
        t->action = look;
        leave(t, HOST_THREAD_ASLEEP);
    } else if (t->pool->under_lock) {
        host_thread_pay(t, COST_USER_MAIN_LOOP);
        then(t, take_lock);
    } else {
        begin(t);
    }
}

/* futex(FUTEX_WAIT): unless the lock has become free on the way there. */
static void wait_for_lock(struct host_thread *t)
{
    t->action = take_lock;
    if (global_lock_wait(&t->thread))
        leave(t, HOST_THREAD_WAITS);
    else
        take_lock(t);
}

/* What is ready now is this turn's; what comes later is another's, so that others have the lock. */
static void take_lock(struct host_thread *t)
{
    if (!global_lock_take(&t->thread)) {
        host_thread_pay(t, COST_USER_LOCK);
        then(t, wait_for_lock);
        return;
    }
    t->last_of_turn = EVENT_OWNER(t->pool->last, struct host_item, next);
    begin(t);
}

static void lock_free(struct thread *thread)
{
    enter_state(of_thread(thread), HOST_THREAD_READY);
}

static void served(struct host_thread *t)
{
    struct event_queue *q = t->hypervisor->events;
    const uint64_t ps = t->item->sleeps_ps;

    if (!ps) {
        go_on(t);
        return;
    }
    trace_work(t, TRACE_WORK_SLEEPS);
    t->action = go_on;
    if (ps != HOST_ITEM_UNTIL_WOKEN)
        event_arm(q, &t->step, time_plus_ps(q->now, ps));
    leave(t, HOST_THREAD_SLEEPS);
}

static void go_on(struct host_thread *t)
{
    if (t->item->sleeps_ps)
        trace_work(t, TRACE_WORK_GOES_ON);
    t->left.n += t->item->after.n;
    then(t, finished);
}

/* What done() made the thread pay comes before the next look, and before the lock is given. */
static void finished(struct host_thread *t)
{
    struct host_item *item = t->item;
    const bool more_of_turn = t->pool->under_lock && item != t->last_of_turn;

    trace_work(t, TRACE_WORK_DONE);
    t->item = NULL;
    item->by = NULL;
    item->queued = false;
    item->done(item, t);
    if (item->again) {
        item->again = false;
        work_on(t, item);
        return;
    }
    if (t->pool->under_lock && !more_of_turn)
        global_lock_give(&t->thread, hv_after(t->hypervisor, t->left.n));
    then(t, more_of_turn ? begin : look);
}

static void stepped(struct event *e)
{
    struct host_thread *t = EVENT_OWNER(e, struct host_thread, step);

    if (t->state == HOST_THREAD_SLEEPS)
        wake(t, t->hypervisor->costs.of[COST_HOST_INTERRUPT]);
    else
        t->action(t);
}

/* --- for those who have work --- */

static struct host_thread *idle_one(const struct host_pool *pool)
{
    struct host_thread *t = pool->members;

    while (t && t->state != HOST_THREAD_ASLEEP)
        t = t->next_member;
    return t;
}

void host_submit(struct host_pool *pool, struct host_item *item, struct thread *from)
{
    struct host_thread *t;

    if (item->queued)
        return;
    item->queued = true;
    item->next = NULL;
    *pool->last = item;
    pool->last = &item->next;
    t = idle_one(pool);
    if (!t)
        return;
    const struct costs *costs = &t->hypervisor->costs;
    const cycles price = costs->of[COST_HOST_WAKE];

    if (from)
        from->ops->pay(from, price);
    wake(t, (cycles){price.n + costs->of[COST_HW_IPI].n});
}

void host_repeat(struct host_item *item)
{
    item->queued = item->again = true;
}

void host_item_wake(struct host_item *item)
{
    stepped(&item->by->step);
}

static struct host_pool *pool_of_kind(const struct hypervisor *h, enum host_thread_kind kind)
{
    for (uint32_t i = 0; h->threads && i < h->threads->count; i++)
        if (h->threads->thread[i].kind == kind)
            return h->threads->thread[i].pool;
    return NULL;
}

struct host_pool *host_main_loop(const struct hypervisor *h)
{
    return pool_of_kind(h, HOST_THREAD_MAIN_LOOP);
}

struct host_pool *host_aio_pool(const struct hypervisor *h)
{
    return pool_of_kind(h, HOST_THREAD_AIO_WORKER);
}

struct host_pool *host_pool_of(const struct hypervisor *h, uint32_t index)
{
    return h->threads && index < h->threads->count ? h->threads->thread[index].pool : NULL;
}

/* --- the plan's own work --- */

static void arm_work(struct host_work *w)
{
    if (w->at_next < w->at_count)
        event_arm(w->thread->hypervisor->events, &w->event, w->at[w->at_next++]);
}

static void work_comes(struct event *e)
{
    struct host_work *w = EVENT_OWNER(e, struct host_work, event);

    host_submit(w->thread->pool, &w->item, NULL);
    arm_work(w);
}

static void work_done(struct host_item *item, struct host_thread *by)
{
    struct host_work *w = EVENT_OWNER(item, struct host_work, item);

    if (w->signals)
        hypervisor_device_act(w->signals);
    if (w->pauses_ps)
        vm_pause_begin(&by->hypervisor->threads->pause, &by->thread, w->pauses_ps);
}

/* --- building --- */

static const struct thread_ops ops = {scheduled, slice_over, delayed, pay, lock_free};

void host_thread_add(struct hypervisor *h, uint32_t index, enum host_thread_kind kind,
                     struct pcpu *p)
{
    struct host_thread *t = &h->threads->thread[index];
    struct host_pool *own = &h->threads->pool[index];
    struct host_pool *shared =
        kind == HOST_THREAD_AIO_WORKER ? pool_of_kind(h, HOST_THREAD_AIO_WORKER) : NULL;

    *own = (struct host_pool){.under_lock = kind == HOST_THREAD_MAIN_LOOP};
    own->last = &own->first;
    *t = (struct host_thread){
        .hypervisor = h,
        .index = (uint16_t)index,
        .kind = (uint8_t)kind,
        .pool = shared ? shared : own,
        .action = look,
    };
    t->next_member = t->pool->members;
    t->pool->members = t;
    pcpu_add_thread(p, &t->thread, &ops);
    if (own->under_lock) {
        global_lock_init(h, &h->threads->lock);
        vm_pause_init(h, &h->threads->pause);
    }
    event_init(h->events, &t->step, EVENT_PHASE_CPU, stepped);
}

void host_threads_init(struct hypervisor *h)
{
    for (uint32_t i = 0; h->threads && i < h->threads->work_count; i++) {
        struct host_work *w = &h->threads->work[i];

        w->item.number = i;
        w->item.done = work_done;
        event_init(h->events, &w->event, EVENT_PHASE_DEVICE, work_comes);
        arm_work(w);
    }
}

uint32_t host_thread_events(uint32_t threads, uint32_t works)
{
    return GLOBAL_LOCK_EVENTS + VM_PAUSE_EVENTS + threads + works;
}
