/*
 * The same events in another order.
 *
 * No duration is known to the nanosecond, and what is due at one instant has no
 * order that a machine would keep to. So an event may be held back: it fires up
 * to a window later than it is due, and others that are due by then overtake
 * it. A schedule says which events are held back and past how many others; the
 * run that it leads to repeats like any other.
 *
 * An event can be held back where there is somebody to overtake it: another
 * event is due within the window. Each such moment of a run is a place, and
 * places are numbered in the order in which they come.
 *
 * explore_run() stands in for event_queue_run(), which knows nothing of it.
 */
#ifndef VIRQSIM_PORT_EXPLORE_H
#define VIRQSIM_PORT_EXPLORE_H

#include "port/event.h"

struct explore_hold {
    uint32_t place;
    uint32_t past; /* so many other events, or fewer where the window ends before */
};

struct explore_held {
    uint32_t slot, hold, left;
    event_key key; /* one that is armed again meanwhile is held no longer */
};

enum { EXPLORE_HELD_MAX = 8 };

struct explore {
    uint64_t window_ps;
    sim_time end;                    /* of the whole run: nobody is held back beyond it */
    const struct explore_hold *hold; /* ascending by place; the caller's */
    uint32_t hold_count;
    uint64_t places; /* how many there have been */
    uint32_t *past;  /* by hold: how many overtook it; the caller's, zeroed */
    uint32_t next;   /* hold */
    uint32_t held_count;
    struct explore_held held[EXPLORE_HELD_MAX];
    /* NULL, or told of each event that is held back (`past` false), and that overtakes it. */
    void (*tell)(struct explore *self, const struct event *e, sim_time due, uint32_t hold,
                 bool past);
};

/* As event_queue_run(); now stays where it is while somebody is held back. */
uint64_t explore_run(struct explore *x, struct event_queue *q, sim_time until, uint64_t budget);
/* As event_queue_next(). */
sim_time explore_next(const struct explore *x, const struct event_queue *q);
#endif
