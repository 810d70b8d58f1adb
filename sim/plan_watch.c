/* What of a plan is about a hypervisor with a fault, other orders of events, and who watches. */
#include <string.h>

#include "plan_parts.h"

void plan_read_rechecks(struct build *b, const json_t *hypervisor, const struct place *at)
{
    static const char *const names[] = {
#define RECHECK(id, name, where, what) name,
#include "hypervisor/rechecks.def"
#undef RECHECK
    };
    const json_t *list = json_object_get(hypervisor, "without_rechecks");
    const struct place p = place_key(at, "without_rechecks");

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &p, "an array of names belongs here");
    for (size_t i = 0; i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const unsigned which = reader_item_choice(&b->reader, json_array_get(list, i), &here,
                                                  names, RECHECK_COUNT);

        b->sim->machine.policy.without_rechecks |= (recheck_set)1 << which;
    }
}

/* --- the watchdog's limits --- */

void plan_read_watchdog(struct build *b)
{
    enum {
        PENDING_NS = 10000000,
        NOTIFICATION_NS = 100000,
        WAKEUP_NS = 100000,
        REPEATS = 1000
    };
    struct watchdog_limits *l = &b->sim->watchdog.limits;
    struct reader *r = &b->reader;
    const struct place at = place_key(&plan_root, "watchdog");
    const json_t *json;

    if (!json_object_get(b->document, "watchdog"))
        return;
    json = reader_object(r, b->document, &plan_root, "watchdog");
    reader_keys(r, json, &at, KEYS("pending_ns", "notification_ns", "wakeup_ns", "repeats"));
    l->pending_ps =
        PS_PER_NS * reader_uint_or(r, json, &at, "pending_ns", 1, INT64_MAX / 1000, PENDING_NS);
    l->notification_ps = PS_PER_NS * reader_uint_or(r, json, &at, "notification_ns", 1,
                                                    INT64_MAX / 1000, NOTIFICATION_NS);
    l->wakeup_ps =
        PS_PER_NS * reader_uint_or(r, json, &at, "wakeup_ns", 1, INT64_MAX / 1000, WAKEUP_NS);
    l->repeats = reader_uint_or(r, json, &at, "repeats", 1, UINT32_MAX, REPEATS);
}

/* --- other orders --- */

bool plan_schedule(struct virqsim *sim, uint64_t window_ps, const struct explore_hold *hold,
                   uint32_t count)
{
    struct schedule *s = arena_alloc(&sim->arena, 1, sizeof *s);
    uint64_t *story = arena_alloc(&sim->arena, sim->machine.vcpu_count, sizeof *story);

    if (!s || !story)
        return false;
    s->explore.window_ps = window_ps;
    s->explore.end = sim->plan.until;
    s->explore.hold_count = count;
    memcpy(s->hold, hold, count * sizeof *hold);
    schedule_init(s, &sim->machine, story);
    s->sink.next = sim->trace.sinks;
    sim->trace.sinks = &s->sink;
    sim->schedule = s;
    return true;
}

static struct explore_hold read_hold(struct build *b, const json_t *json,
                                     const struct place *at, uint64_t least)
{
    struct explore_hold hold;

    reader_keys(&b->reader, json, at, KEYS("place", "past"));
    hold.place = (uint32_t)reader_uint(&b->reader, json, at, "place", least, UINT32_MAX);
    hold.past = (uint32_t)reader_uint(&b->reader, json, at, "past", 1, UINT32_MAX);
    return hold;
}

void plan_read_schedule(struct build *b)
{
    const json_t *run = json_object_get(b->document, "run");
    const struct place run_at = place_key(&plan_root, "run");
    const struct place at = place_key(&run_at, "schedule"), list_at = place_key(&at, "hold");
    struct explore_hold hold[VIRQSIM_HOLDS];
    const json_t *json, *list;
    uint64_t window;

    if (!json_object_get(run, "schedule"))
        return;
    json = reader_object(&b->reader, run, &run_at, "schedule");
    reader_keys(&b->reader, json, &at, KEYS("window_ns", "hold"));
    window = reader_uint(&b->reader, json, &at, "window_ns", 0, INT64_MAX / 1000);
    list = reader_array(&b->reader, json, &at, "hold");
    if (json_array_size(list) > VIRQSIM_HOLDS)
        reader_fail(&b->reader, &list_at, "%zu are too many (at most %d)",
                    json_array_size(list), VIRQSIM_HOLDS);
    for (size_t i = 0; i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&list_at, i);

        hold[i] = read_hold(b, json_array_get(list, i), &here, i ? hold[i - 1].place + 1u : 0);
    }
    if (!b->reader.failed &&
        !plan_schedule(b->sim, window * PS_PER_NS, hold, (uint32_t)json_array_size(list)))
        reader_fail(&b->reader, &at, "there is no memory for it");
}
