/*
 * Host threads that are no vCPUs: QEMU's main loop, its pool of AIO workers,
 * and vhost's workers.
 *
 * They work off items. An item takes its service time on the CPU, may sleep in
 * a blocking call in between, and ends with a call of done(). A thread without
 * an item sleeps (ppoll, a condition variable, an eventfd); whoever submits one
 * wakes it, and pays for that. Awake, it shares its physical CPU with vCPUs and
 * everybody else under the host's scheduler (host.c): it waits for a time slice,
 * is interrupted, and loses its CPU in the middle of an item.
 *
 *   struct request { struct host_item item; ... };
 *
 *   r->item.before = (cycles){3000};        // on the CPU
 *   r->item.sleeps_ps = 80000 * PS_PER_NS;  // then a blocking write
 *   r->item.done = written;                 // in the worker's context
 *   host_submit(host_aio_pool(h), &r->item, &v->thread);
 *
 *   static void written(struct host_item *i, struct host_thread *by)
 *   {
 *       ...
 *       host_submit(host_main_loop(h), &r->completion, &by->thread);
 *   }
 *
 * The plan's machine.threads says which there are. Where one is missing, the
 * accessors below give NULL, and whoever builds a device that needs one refuses
 * the plan.
 */
#ifndef VIRQSIM_HYPERVISOR_HOST_THREAD_H
#define VIRQSIM_HYPERVISOR_HOST_THREAD_H

#include "hypervisor/global_lock.h"
#include "hypervisor/vm_pause.h"

#define HOST_THREAD_KINDS(KIND)                                                                \
    KIND(MAIN_LOOP, "main-loop",                                                               \
         "QEMU's main loop: event notifiers, timers and bottom halves, under the global lock") \
    KIND(AIO_WORKER, "aio-worker",                                                             \
         "one of QEMU's pool that does blocking reads and writes; one queue for all of them")  \
    KIND(VHOST, "vhost", "a vhost worker, in the kernel: a queue of its own")

enum host_thread_kind {
#define KIND(id, name, meaning) HOST_THREAD_##id,
    HOST_THREAD_KINDS(KIND) HOST_THREAD_KIND_COUNT
#undef KIND
};

#define HOST_THREAD_STATES(STATE)                                                              \
    STATE(ASLEEP, "it has nothing to do")                                                      \
    STATE(READY, "runnable: waits for its physical CPU")                                       \
    STATE(RUNS, "it has its physical CPU")                                                     \
    STATE(SLEEPS, "in the middle of an item: a blocking call")                                 \
    STATE(WAITS, "for the global lock")

enum host_thread_state {
#define STATE(name, meaning) HOST_THREAD_##name,
    HOST_THREAD_STATES(STATE) HOST_THREAD_STATE_COUNT
#undef STATE
};

struct host_thread;

/* A blocking call that ends when host_item_wake() says so. */
#define HOST_ITEM_UNTIL_WOKEN UINT64_MAX

/* Embedded in what it is about. The submitter fills the first part, before each submission. */
struct host_item {
    cycles before;      /* on the CPU */
    uint64_t sleeps_ps; /* then it sleeps for so long; 0: it does not */
    cycles after;       /* and this again on the CPU */
    uint32_t number;    /* for the trace: the submitter's own */
    /* It is over, and may be submitted again. What it asks of others, host_submit() among it, is
       paid by the thread. */
    void (*done)(struct host_item *self, struct host_thread *by);

    struct host_item *next;
    struct host_thread *by; /* who works on it */
    bool queued;            /* submitted, and not over */
    bool again;             /* by host_repeat() */
};

/* Threads that share one queue of items. */
struct host_pool {
    struct host_item *first, **last;
    struct host_thread *members;
    bool under_lock; /* its turns take the global lock */
};

struct host_thread {
    struct thread thread;
    struct hypervisor *hypervisor;
    uint16_t index; /* in machine.threads */
    uint8_t kind, state;
    struct host_pool *pool;
    struct host_thread *next_member;
    struct host_item *item;               /* it works on this */
    const struct host_item *last_of_turn; /* MAIN_LOOP: the lock goes back behind this one */

    /* On the CPU: `step` fires when `left` is paid. In a blocking call: when that ends. */
    struct event step;
    void (*action)(struct host_thread *t);
    cycles left;
    sim_time due;
};

/* Work that a plan gives a thread by itself: at each of these times an item. */
struct host_work {
    struct host_item item;
    struct host_thread *thread;
    struct device *signals; /* what it acts through when it is done; or NULL */
    uint64_t pauses_ps;     /* MAIN_LOOP: and then it pauses the VM so long; or 0 */
    struct event event;
    const sim_time *at;
    uint32_t at_count, at_next;
};

struct host_threads {
    struct host_thread *thread;
    uint32_t count;
    struct host_pool
        *pool; /* pool n is thread n's, but for the AIO workers, who share a pool */
    struct host_work *work;
    uint32_t work_count;
    struct global_lock lock;
    struct vm_pause pause;
};

extern const char *const host_thread_kind_names[HOST_THREAD_KIND_COUNT + 1];
extern const char *const host_thread_state_names[HOST_THREAD_STATE_COUNT + 1];

/* The main loop, all AIO workers, or thread `index` of the plan; NULL: there is none. */
struct host_pool *host_main_loop(const struct hypervisor *h);
struct host_pool *host_aio_pool(const struct hypervisor *h);
struct host_pool *host_pool_of(const struct hypervisor *h, uint32_t index);

/* `from` is on its CPU and pays for the wake-up, if there is one; NULL: an interrupt of the host's,
   or the world outside. An item that is queued already stays where it is, as an eventfd that was
   not read yet. */
void host_submit(struct host_pool *pool, struct host_item *item, struct thread *from);
/* From within done(): its thread goes on with the same item, ahead of all others and in the same turn. */
void host_repeat(struct host_item *item);
/* The blocking call that `item` is in, HOST_ITEM_UNTIL_WOKEN, is over. */
void host_item_wake(struct host_item *item);

/* Beside the price of its item: from within done(). */
static inline void host_thread_pay(struct host_thread *t, enum cost_key key)
{
    t->left.n += t->hypervisor->costs.of[key].n;
}

/* Building: the arrays allocated, kinds and CPUs known. */
void host_thread_add(struct hypervisor *h, uint32_t index, enum host_thread_kind kind,
                     struct pcpu *p);
void host_threads_init(struct hypervisor *h); /* arms the plan's work */
uint32_t host_thread_events(uint32_t threads, uint32_t works);
#endif
