/*
 * The event kernel: one queue of future events.
 *
 * A model embeds `struct event` in its own state and registers it once, which
 * gives it a slot. Arming then allocates nothing and cannot fail, and an armed
 * event can be moved or disarmed for the price of arming it: interrupt models
 * re-arm and cancel timers all the time.
 *
 * Order is total: time, then phase, then the order of arming. The same plan
 * gives the same order everywhere.
 *
 * The queue does not own the clock. Its host (a plain loop, SystemC) does: it
 * asks for the next instant and lets the queue run up to, and not including,
 * an instant of its choice.
 *
 * Inside is a tournament tree over the slots, four to a node: a node's four
 * keys fill one cache line, a key is 16 bytes, and the winner is at the root.
 */
#ifndef VIRQSIM_PORT_EVENT_H
#define VIRQSIM_PORT_EVENT_H

#include <stddef.h>
#include "port/time.h"

/* What happens first inside one instant, and why. */
#define EVENT_PHASES(PHASE)                                                                    \
    PHASE(DEVICE, "devices finish work and move their lines")                                  \
    PHASE(CONTROLLER, "controllers arbitrate what the devices raised; messages arrive")        \
    PHASE(CPU, "cores take what has arrived; entries, exits and steps complete")               \
    PHASE(OBSERVER, "whoever measures looks at the instant once it is over")

enum event_phase {
#define PHASE(name, why) EVENT_PHASE_##name,
    EVENT_PHASES(PHASE)
#undef PHASE
};

struct event {
    void (*fire)(struct event *self);
    uint32_t slot;
    uint8_t phase;
};

/* 128 bits, most significant first: time, phase, serial number of the arming, slot. */
__extension__ typedef unsigned __int128 event_key;

struct event_queue {
    sim_time now;
    sim_time until;     /* where the present event_queue_run() ends */
    uint64_t fired;     /* events since power-on */
    uint64_t fired_end; /* the count at which the present event_queue_run() ends */
    uint64_t serial;    /* armings since power-on */
    uint32_t count, capacity;
    uint32_t leaves;  /* where the slots' own keys begin among the keys */
    uint32_t firing;  /* the slot whose event fires and was not armed again; its key is stale */
    bool rival_known; /* no key has changed since `rival` was looked up */
    event_key rival;  /* the least key of all slots but `firing` */
    event_key *keys;  /* the overall winner, then the root's level, the slots' own last */
    struct event **events; /* by slot */
};

enum { EVENT_SLOTS_MAX = 1 << 18 };

/* How many bytes of storage, aligned to 64, a queue for `capacity` events needs. */
size_t event_queue_bytes(uint32_t capacity);

/* `storage` stays the caller's. capacity is 1 to EVENT_SLOTS_MAX. */
void event_queue_init(struct event_queue *q, void *storage, uint32_t capacity);

/* Registers `e`, disarmed, in the next free slot; the caller keeps within the capacity. */
void event_init(struct event_queue *q, struct event *e, enum event_phase phase,
                void (*fire)(struct event *self));

/*
 * Arms `e`, or moves it when it is armed already. `at` is not before now.
 * Arming for SIM_TIME_NEVER disarms.
 */
void event_arm(struct event_queue *q, struct event *e, sim_time at);
void event_disarm(struct event_queue *q, struct event *e);
bool event_is_armed(const struct event_queue *q, const struct event *e);

/* When `e` is due; SIM_TIME_NEVER when it is not armed. */
sim_time event_due(const struct event_queue *q, const struct event *e);

/*
 * Moves time on to `at`, from within an event's fire(), exactly as if `e` had
 * been armed for then and had fired next; true when that is what would have
 * happened. Otherwise arms `e` and returns false, and the caller returns to the
 * queue. Thus a step that nothing can disturb costs no trip through the queue,
 * and no run can tell the difference.
 */
bool event_advance(struct event_queue *q, struct event *e, sim_time at);

/* When the next event is due; SIM_TIME_NEVER when none is armed. */
sim_time event_queue_next(const struct event_queue *q);

/*
 * Fires what is due before `until`, at most `budget` events; returns how many
 * fired. When budget is left over, now == until afterwards (now keeps its value
 * for SIM_TIME_NEVER: a run without an end stops at its last event). Not to be
 * called from within fire().
 */
uint64_t event_queue_run(struct event_queue *q, sim_time until, uint64_t budget);

/* Makes the present event_queue_run() return after the event that is firing. */
static inline void event_queue_stop(struct event_queue *q)
{
    q->fired_end = q->fired;
}

/* The model that embeds `member`, given a pointer to the member. */
#define EVENT_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#endif
