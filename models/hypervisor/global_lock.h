/*
 * QEMU's global lock (the BQL): one thread at a time is in a device model.
 *
 * A vCPU takes it for each exit that userspace handles, the main loop for each
 * of its turns. Who finds it taken sleeps (a futex), is woken when it is given
 * back, and tries again: somebody who came along on the way may have been faster.
 */
#ifndef VIRQSIM_HYPERVISOR_GLOBAL_LOCK_H
#define VIRQSIM_HYPERVISOR_GLOBAL_LOCK_H

#include "hypervisor/hypervisor.h"

struct global_lock {
    struct hypervisor *hypervisor;
    struct thread *holder; /* the present one, or the last */
    sim_time until;        /* it is taken up to here; SIM_TIME_NEVER: until it is given */
    struct thread *waiting, **waiting_end;
    struct event given;
};

enum { GLOBAL_LOCK_EVENTS = 1 };

void global_lock_init(struct hypervisor *h, struct global_lock *lock);
/* False: it is somebody else's. Without a lock in the machine everybody has it. */
bool global_lock_take(struct thread *t);
/* If `t` has it, it gives it back at `at`, which is now or when what it does now is done. */
void global_lock_give(struct thread *t, sim_time at);
/* `t` leaves its CPU until the lock is free. False: it is free by now. */
bool global_lock_wait(struct thread *t);
#endif
