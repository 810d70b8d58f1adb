/* Holding events back: between the queue and its events. */
#include "port/explore.h"

enum { NOBODY = EVENT_SLOTS_MAX };

static event_key key_of(const struct event_queue *q, uint32_t slot)
{
    return q->keys[q->leaves + slot];
}

static uint64_t due_of(const struct event_queue *q, uint32_t slot)
{
    return (uint64_t)(key_of(q, slot) >> 64);
}

static bool is_held(const struct explore *x, uint32_t slot)
{
    for (uint32_t i = 0; i < x->held_count; i++)
        if (x->held[i].slot == slot)
            return true;
    return false;
}

/* Who would fire next if `but` did not, nor any event that is held back. */
static uint32_t first_but(const struct explore *x, const struct event_queue *q, uint32_t but)
{
    uint32_t first = NOBODY;

    for (uint32_t slot = 0; slot < q->count; slot++)
        if (slot != but && due_of(q, slot) != UINT64_MAX && !is_held(x, slot) &&
            (first == NOBODY || key_of(q, slot) < key_of(q, first)))
            first = slot;
    return first;
}

static void let_go(struct explore *x, uint32_t i)
{
    x->held[i] = x->held[--x->held_count];
}

static void forget_moved(struct explore *x, const struct event_queue *q)
{
    for (uint32_t i = x->held_count; i-- > 0;)
        if (key_of(q, x->held[i].slot) != x->held[i].key)
            let_go(x, i);
}

static bool out_of_time(const struct explore *x, const struct event_queue *q, uint32_t slot,
                        uint32_t next)
{
    return next == NOBODY || due_of(q, next) >= x->end.ps ||
           due_of(q, next) > due_of(q, slot) + x->window_ps;
}

/* Of the events held back, the first that has been overtaken often enough; NOBODY: none has. */
static uint32_t first_overtaken(const struct explore *x)
{
    uint32_t found = NOBODY;

    for (uint32_t i = 0; i < x->held_count; i++)
        if (x->held[i].left == 0 && (found == NOBODY || x->held[i].hold < x->held[found].hold))
            found = i;
    return found;
}

/* Or the first that cannot wait for `next`: no more than so many could overtake it. */
static uint32_t first_out_of_time(const struct explore *x, const struct event_queue *q,
                                  uint32_t next)
{
    uint32_t found = NOBODY;

    for (uint32_t i = 0; i < x->held_count; i++)
        if (out_of_time(x, q, x->held[i].slot, next) &&
            (found == NOBODY || x->held[i].hold < x->held[found].hold))
            found = i;
    return found;
}

static uint32_t first_to_let_go(const struct explore *x, const struct event_queue *q,
                                uint32_t next)
{
    const uint32_t overtaken = first_overtaken(x);

    return overtaken != NOBODY ? overtaken : first_out_of_time(x, q, next);
}

/* The place is there whether or not somebody is held back at it. */
static bool hold_back(struct explore *x, const struct event_queue *q, uint32_t slot)
{
    const uint64_t place = x->places++;
    const uint32_t n = x->next;

    if (n == x->hold_count || x->hold[n].place != place || x->held_count == EXPLORE_HELD_MAX)
        return false;
    x->held[x->held_count++] = (struct explore_held){slot, n, x->hold[n].past, key_of(q, slot)};
    x->next++;
    if (x->tell)
        x->tell(x, q->events[slot], (sim_time){due_of(q, slot)}, n, false);
    return true;
}

/* The event that fires next, and the hold that it comes out of, NOBODY for none; NOBODY: no event
   before `until`. */
static uint32_t next_of(struct explore *x, const struct event_queue *q, uint64_t until,
                        uint32_t *hold)
{
    *hold = NOBODY;
    for (;;) {
        const uint32_t next = first_but(x, q, NOBODY);
        const uint32_t late = first_to_let_go(x, q, next);

        if (late != NOBODY) {
            const uint32_t slot = x->held[late].slot;

            *hold = x->held[late].hold;
            let_go(x, late);
            return slot;
        }
        if (next == NOBODY || due_of(q, next) >= until)
            return NOBODY;
        if (out_of_time(x, q, next, first_but(x, q, next)) || !hold_back(x, q, next))
            return next;
    }
}

/* One that was held back before another one was is not late by going first of the two. So the
   numbers of overtakers name an order, as in Lehmer's code of a permutation. */
static void overtake(struct explore *x, const struct event_queue *q, uint32_t slot,
                     uint32_t hold)
{
    for (uint32_t i = 0; i < x->held_count; i++) {
        struct explore_held *h = &x->held[i];

        if (h->hold > hold)
            continue;
        h->left--;
        x->past[h->hold]++;
        if (x->tell)
            x->tell(x, q->events[slot], (sim_time){due_of(q, slot)}, h->hold, true);
    }
}

sim_time explore_next(const struct explore *x, const struct event_queue *q)
{
    const uint32_t next = first_but(x, q, NOBODY);

    if (first_to_let_go(x, q, next) != NOBODY)
        return q->now;
    return next == NOBODY ? SIM_TIME_NEVER : time_later_of(q->now, (sim_time){due_of(q, next)});
}

uint64_t explore_run(struct explore *x, struct event_queue *q, sim_time until, uint64_t budget)
{
    const uint64_t before = q->fired;

    q->until = (sim_time){0}; /* event_advance() leaves each step to us */
    q->fired_end = budget < UINT64_MAX - before ? before + budget : UINT64_MAX;
    while (q->fired < q->fired_end) {
        uint32_t hold;
        const uint32_t slot = next_of(x, q, until.ps, &hold);

        if (slot == NOBODY)
            break;
        struct event *const e = q->events[slot];
        const sim_time due = {due_of(q, slot)};

        overtake(x, q, slot, hold);
        event_disarm(q, e);
        q->now = time_later_of(q->now, due);
        q->fired++;
        e->fire(e);
        forget_moved(x, q);
    }
    if (q->fired < q->fired_end && until.ps != UINT64_MAX && x->held_count == 0)
        q->now = time_later_of(q->now, until);
    return q->fired - before;
}
