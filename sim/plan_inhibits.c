/* The plan's reasons against APICv or AVIC: hypervisor.inhibits, each from one time to another. */
#include <stdlib.h>

#include "plan_parts.h"

enum { MOST = 4096 };

/* One interval: two changes. */
static void read_inhibit(struct build *b, const json_t *json, const struct place *at,
                         struct inhibit_change *change)
{
    const struct place until_at = place_key(at, "until_ns");
    const char *names[INHIBIT_COUNT];
    uint64_t until;

    for (unsigned n = 0; n < INHIBIT_COUNT; n++)
        names[n] = inhibits[n].name;
    reader_keys(&b->reader, json, at, KEYS("reason", "from_ns", "until_ns"));
    change[0].reason = change[1].reason =
        (enum inhibit)reader_choice(&b->reader, json, at, "reason", names, INHIBIT_COUNT);
    change[0].on = true;
    change[0].at.ps =
        PS_PER_NS * reader_uint_or(&b->reader, json, at, "from_ns", 0, INT64_MAX / 1000, 0);
    until = reader_uint_or(&b->reader, json, at, "until_ns", 0, INT64_MAX / 1000, 0);
    change[1].at = until ? (sim_time){PS_PER_NS * until} : SIM_TIME_NEVER;
    if (until && !time_before(change[0].at, change[1].at))
        reader_fail(&b->reader, &until_at, "is not later than from_ns");
}

/* What ends comes before what begins at the same time. */
static int by_time(const void *a, const void *b)
{
    const struct inhibit_change *x = a, *y = b;

    if (x->at.ps != y->at.ps)
        return x->at.ps < y->at.ps ? -1 : 1;
    return x->on != y->on ? x->on - y->on : (int)x->reason - (int)y->reason;
}

/* Nothing says how two intervals of one reason would add up. */
static void refuse_overlaps(struct build *b, const struct inhibits *n, const struct place *at)
{
    for (uint32_t i = 0; i + 2 < n->count; i += 2)
        for (uint32_t j = i + 2; j < n->count; j += 2) {
            const struct inhibit_change *x = &n->change[i], *y = &n->change[j];
            const struct place here = place_item(at, j / 2);

            if (x->reason == y->reason && time_before(x[0].at, y[1].at) &&
                time_before(y[0].at, x[1].at))
                reader_fail(&b->reader, &here, "%s is in force already, by [%u]",
                            inhibits[x->reason].name, i / 2);
        }
}

void plan_read_inhibits(struct build *b, const json_t *hypervisor, const struct place *at)
{
    const json_t *list = json_object_get(hypervisor, "inhibits");
    const struct place p = place_key(at, "inhibits");
    const size_t size = json_array_size(list);
    struct inhibit_change *change = build_take(b, 2 * size, sizeof *change);

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &p, "an array of reasons and times belongs here");
    if (size > MOST)
        reader_fail(&b->reader, &p, "%zu are too many (at most %d)", size, MOST);
    for (size_t i = 0; change && i < size && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        read_inhibit(b, json_array_get(list, i), &here, &change[2 * i]);
    }
    if (b->reader.failed)
        return;
    b->sim->machine.inhibits.change = change;
    b->sim->machine.inhibits.count = (uint32_t)(2 * size);
    refuse_overlaps(b, &b->sim->machine.inhibits, &p);
    qsort(change, 2 * size, sizeof *change, by_time);
}
