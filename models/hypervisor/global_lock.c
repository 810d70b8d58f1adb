/*
 * QEMU's global lock.
 *
 * A holder knows when it gives the lock back as it does so, which may be later
 * than now: the event that tells the first waiter exists only where one waits.
 *
 * Left out: spinning before sleeping (pthread's mutex does not), and what an
 * interrupt of the host's adds to a vCPU's last microseconds with the lock.
 */
#include "hypervisor/global_lock.h"

static bool is_free(const struct global_lock *l)
{
    return !time_before(hv_now(l->hypervisor), l->until);
}

/* One waiter is woken, at the holder's expense; the others wait for that one to give it back. */
static void tell_first(struct event *e)
{
    struct global_lock *l = EVENT_OWNER(e, struct global_lock, given);
    struct hypervisor *h = l->hypervisor;
    const cycles wake = h->costs.of[COST_HOST_WAKE];
    struct thread *t = l->waiting;

    if (!is_free(l)) /* somebody was faster, and will give it back too */
        return;
    l->waiting = t->next;
    if (!l->waiting)
        l->waiting_end = &l->waiting;
    if (l->holder->pcpu->current == l->holder)
        l->holder->ops->delayed(l->holder, wake);
    t->ops->lock_free(t);
    thread_ready(t, hv_after(h, wake.n + h->costs.of[COST_HW_IPI].n));
}

void global_lock_init(struct hypervisor *h, struct global_lock *lock)
{
    *lock = (struct global_lock){.hypervisor = h};
    lock->waiting_end = &lock->waiting;
    h->lock = lock;
    event_init(h->events, &lock->given, EVENT_PHASE_CPU, tell_first);
}

bool global_lock_take(struct thread *t)
{
    struct global_lock *l = t->pcpu->hypervisor->lock;

    if (!l)
        return true;
    if (!is_free(l))
        return false;
    l->holder = t;
    l->until = SIM_TIME_NEVER;
    return true;
}

void global_lock_give(struct thread *t, sim_time at)
{
    struct hypervisor *h = t->pcpu->hypervisor;
    struct global_lock *l = h->lock;

    if (!l || l->holder != t || l->until.ps != SIM_TIME_NEVER.ps)
        return;
    l->until = at;
    if (l->waiting)
        event_arm(h->events, &l->given, at);
}

bool global_lock_wait(struct thread *t)
{
    struct hypervisor *h = t->pcpu->hypervisor;
    struct global_lock *l = h->lock;

    if (is_free(l))
        return false;
    t->next = NULL;
    *l->waiting_end = t;
    l->waiting_end = &t->next;
    event_arm(h->events, &l->given, l->until);
    return true;
}
