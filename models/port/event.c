/*
 * The tournament behind the event queue.
 *
 * Every slot has a key, and keys play in fours: the least of four goes up to
 * the next level, and so on to one winner. All levels lie in one array,
 *
 *     keys[3]        the winner of all
 *     keys[4..7]     the root node, whose winner is keys[3]
 *     keys[8..23]    the level below it: four nodes, whose winners are keys[4..7]
 *     ...
 *     keys[leaves..] one key for each slot
 *
 * so that the four players of a node share a cache line, and the winner of the
 * node that holds keys[i] is keys[i / 4 + 2]. A key that changes replays its
 * matches on the way up, with the three others of each node: these are loaded
 * and compared without waiting for the level below, so a level costs one
 * comparison.
 *
 * While an event fires, its key stays where it is, stale: nearly always the
 * handler arms the event again, and then one replay does the work of two. The
 * tournament remains consistent about its keys at all times; whoever asks it
 * while `firing` names a slot must leave that slot's key out. As long as the
 * event that fires would fire next again, event_advance() leaves the tournament
 * alone: the least of the other keys is the same until a key changes.
 *
 * Serial numbers have 44 bits. At 50 million armings a second, which is more
 * than a whole simulation reaches, they last 2^44 / 5e7 s = 97 hours of one run.
 */
#include <assert.h>
#include "port/event.h"

enum { WAYS = 4, WINNER = 3, ROOT = 4, NOT_FIRING = EVENT_SLOTS_MAX };
enum { SLOT_BITS = 18, PHASE_SHIFT = 62 };
enum { CACHED_SLOTS = 4096 };

static const event_key key_never = ~(event_key)0;

static inline uint64_t key_ps(event_key key)
{
    return (uint64_t)(key >> 64);
}

static inline uint32_t key_slot(event_key key)
{
    return (uint32_t)key & (EVENT_SLOTS_MAX - 1);
}

/* The key of `e` if it were armed now for `at`. */
static inline event_key key_if_armed(const struct event_queue *q, const struct event *e,
                                     sim_time at)
{
    const uint64_t order = (uint64_t)e->phase << PHASE_SHIFT | q->serial << SLOT_BITS | e->slot;

    return (event_key)at.ps << 64 | order;
}

/* Who wins is as good as random. Told so, compilers make it a conditional move, not a branch. */
static inline event_key key_least(event_key a, event_key b)
{
    return __builtin_expect_with_probability(a < b, 1, 0.5) ? a : b;
}

/* The least of the three keys that keys[i] plays against. */
static inline event_key least_rival(const event_key *keys, uint32_t i)
{
    return key_least(key_least(keys[i ^ 1], keys[i ^ 2]), keys[i ^ 3]);
}

static inline uint32_t winner_of(uint32_t i)
{
    return i / WAYS + 2;
}

/* Gives the slot its key and plays every match on the way up: for one that won them all. */
static inline void replay_all(struct event_queue *q, uint32_t slot, event_key key)
{
    event_key *const keys = q->keys;
    uint32_t i = q->leaves + slot;

    q->rival_known = false;
    keys[i] = key;
    while (i != WINNER) {
        key = key_least(key, least_rival(keys, i));
        i = winner_of(i);
        keys[i] = key;
    }
}

/* Does a slot that gave up the key `before` for `key` leave this winner where it is? */
static inline bool winner_stands(event_key winner, event_key before, event_key key)
{
    return winner != before && winner < key;
}

/* Plays the matches from keys[i] up, as far as winners change. Not inline: it is the rarer part. */
static __attribute__((noinline)) void climb(event_key *keys, uint32_t i, event_key before)
{
    do {
        const event_key key = key_least(keys[i], least_rival(keys, i));

        i = winner_of(i);
        keys[i] = key;
    } while (i != WINNER && !winner_stands(keys[winner_of(i)], before, keys[i]));
}

/* The same for any slot: it ends below a winner who was another and still is. */
static inline void replay(struct event_queue *q, uint32_t slot, event_key key)
{
    event_key *const keys = q->keys;
    const uint32_t i = q->leaves + slot;
    const event_key before = keys[i], winner = keys[winner_of(i)];

    q->rival_known = false;
    keys[i] = key;
    if (!winner_stands(winner, before, key))
        climb(keys, i, before);
}

/* The least key of all slots but one. */
static event_key least_but(const struct event_queue *q, uint32_t slot)
{
    event_key key = key_never;

    for (uint32_t i = q->leaves + slot; i != WINNER; i = winner_of(i))
        key = key_least(key, least_rival(q->keys, i));
    return key;
}

/* Takes the stale key, if there is one, out of the tournament. */
static void retire_stale_key(struct event_queue *q)
{
    if (q->firing != NOT_FIRING)
        replay_all(q, q->firing, key_never);
    q->firing = NOT_FIRING;
}

/* The number of levels follows the capacity: up to four events meet in the root. */
static uint32_t first_leaf(uint32_t capacity)
{
    uint32_t leaves = ROOT;

    for (uint32_t width = WAYS; width < capacity; width *= WAYS)
        leaves += width;
    return leaves;
}

static size_t keys_needed(uint32_t capacity)
{
    return first_leaf(capacity) + ((size_t)capacity + WAYS - 1) / WAYS * WAYS;
}

size_t event_queue_bytes(uint32_t capacity)
{
    return keys_needed(capacity) * sizeof(event_key) + capacity * sizeof(struct event *);
}

void event_queue_init(struct event_queue *q, void *storage, uint32_t capacity)
{
    const size_t keys = keys_needed(capacity);

    *q = (struct event_queue){
        .capacity = capacity,
        .leaves = first_leaf(capacity),
        .firing = NOT_FIRING,
        .keys = storage,
    };
    for (size_t i = 0; i < keys; i++)
        q->keys[i] = key_never;
    q->events = (struct event **)(void *)(q->keys + keys);
}

void event_init(struct event_queue *q, struct event *e, enum event_phase phase,
                void (*fire)(struct event *self))
{
    assert(q->count < q->capacity);
    *e = (struct event){fire, q->count, (uint8_t)phase};
    q->events[q->count++] = e;
}

void event_arm(struct event_queue *q, struct event *e, sim_time at)
{
    assert(!time_before(at, q->now));
    const event_key key = key_if_armed(q, e, at);

    q->serial++;
    if (q->firing == e->slot) {
        q->firing = NOT_FIRING;
        replay_all(q, e->slot, key);
    } else {
        replay(q, e->slot, key);
    }
}

void event_disarm(struct event_queue *q, struct event *e)
{
    replay(q, e->slot, key_never);
}

sim_time event_due(const struct event_queue *q, const struct event *e)
{
    if (q->firing == e->slot)
        return SIM_TIME_NEVER;
    return (sim_time){key_ps(q->keys[q->leaves + e->slot])};
}

bool event_is_armed(const struct event_queue *q, const struct event *e)
{
    return time_before(event_due(q, e), SIM_TIME_NEVER);
}

/* The least key that the event which fires has to beat. */
static inline event_key rival_of_firing(struct event_queue *q)
{
    if (!q->rival_known) {
        q->rival = least_but(q, q->firing);
        q->rival_known = true;
    }
    return q->rival;
}

bool event_advance(struct event_queue *q, struct event *e, sim_time at)
{
    const event_key key = key_if_armed(q, e, at);

    if (q->firing != e->slot) { /* from here on it is */
        retire_stale_key(q);
        q->firing = e->slot;
    }
    if (!time_before(at, q->until) || q->fired >= q->fired_end || rival_of_firing(q) < key) {
        event_arm(q, e, at);
        return false;
    }
    q->now = at;
    q->fired++;
    return true;
}

sim_time event_queue_next(const struct event_queue *q)
{
    const event_key next = q->firing == NOT_FIRING ? q->keys[WINNER] : least_but(q, q->firing);

    return (sim_time){key_ps(next)};
}

/*
 * The handler will most likely arm its own event. In a queue that outgrows the
 * nearer caches, what fires next is worth knowing early, too.
 */
static inline void prefetch(const struct event_queue *q)
{
    __builtin_prefetch(&q->keys[q->leaves + q->firing]);
    if (q->capacity <= CACHED_SLOTS)
        return;
    const uint32_t next = key_slot(least_but(q, q->firing));
    if (next < q->count) {
        __builtin_prefetch(&q->keys[q->leaves + next]);
        __builtin_prefetch(q->events[next]);
    }
}

uint64_t event_queue_run(struct event_queue *q, sim_time until, uint64_t budget)
{
    const uint64_t before = q->fired;

    q->until = until;
    q->fired_end = budget < UINT64_MAX - before ? before + budget : UINT64_MAX;
    while (q->fired < q->fired_end && key_ps(q->keys[WINNER]) < until.ps) {
        const event_key key = q->keys[WINNER];
        struct event *const e = q->events[key_slot(key)];

        q->now = (sim_time){key_ps(key)};
        q->firing = key_slot(key);
        q->fired++;
        prefetch(q);
        e->fire(e);
        retire_stale_key(q);
    }
    if (q->fired < q->fired_end && until.ps != UINT64_MAX)
        q->now = time_later_of(q->now, until);
    return q->fired - before;
}
