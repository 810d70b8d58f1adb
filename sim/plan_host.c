/* What the plan says of sleep and of who runs: idle states, the guest's polling, the scheduler. */
#include "hypervisor/host_noise.h"
#include "hypervisor/scheduler.h"
#include "plan_parts.h"

static void read_state(struct build *b, const json_t *json, const struct place *at,
                       struct idle_state *state)
{
    struct reader *r = &b->reader;

    reader_keys(r, json, at, KEYS("name", "exit_ns", "residency_ns"));
    state->name = build_keep(b, reader_string(r, json, at, "name"));
    state->exit_ns = reader_uint(r, json, at, "exit_ns", 0, 1000000000);
    state->residency_ns = reader_uint(r, json, at, "residency_ns", 0, INT64_MAX / 1000);
}

static void read_idle_states(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "idle_states");
    const json_t *list;
    size_t count;

    if (!json_object_get(machine, "idle_states") || b->reader.failed)
        return;
    list = reader_array(&b->reader, machine, at, "idle_states");
    count = json_array_size(list);
    if (count == 0 || count > IDLE_STATES_MAX) {
        reader_fail(&b->reader, &p, "has %zu states; 1 to %d belong here", count,
                    IDLE_STATES_MAX);
        return;
    }
    h->idle = build_take(b, 1, sizeof *h->idle);
    if (!h->idle)
        return;
    h->idle->count = (unsigned)count;
    h->idle->cpu = build_take(b, h->pcpu_count, sizeof *h->idle->cpu);
    for (size_t i = 0; i < count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        struct idle_state *state = &h->idle->state[i];

        read_state(b, json_array_get(list, i), &here, state);
        if (i && (state->exit_ns < state[-1].exit_ns ||
                  state->residency_ns < state[-1].residency_ns))
            reader_fail(&b->reader, &here, "is lighter than the one before it");
    }
}

/* By default what the haltpoll governor sets. */
static void read_guest_poll(struct build *b, const json_t *machine, const struct place *above)
{
    struct guest_poll_policy *p = &b->sim->machine.policy.guest_poll;
    struct reader *r = &b->reader;
    const struct place at = place_key(above, "guest_poll");
    const json_t *json = NULL;
    const uint64_t most = INT64_MAX / 1000;

    if (json_object_get(machine, "guest_poll"))
        json = reader_object(r, machine, above, "guest_poll");
    reader_keys(r, json, &at, KEYS("ns", "grow", "grow_start_ns", "shrink"));
    p->ns = reader_uint_or(r, json, &at, "ns", 0, most, 200000);
    p->grow = reader_uint_or(r, json, &at, "grow", 0, UINT32_MAX, 2);
    p->grow_start_ns = reader_uint_or(r, json, &at, "grow_start_ns", 0, most, 50000);
    p->shrink = reader_uint_or(r, json, &at, "shrink", 0, UINT32_MAX, 2);
}

/* By default what Linux 6.1 has on eight CPUs and more. */
void plan_read_scheduler(struct build *b, const json_t *hypervisor, const struct place *above)
{
    struct scheduler_policy *p = &b->sim->machine.policy.scheduler;
    struct reader *r = &b->reader;
    const struct place at = place_key(above, "scheduler");
    const uint64_t most = INT64_MAX / 1000;
    const json_t *json;

    if (!json_object_get(hypervisor, "scheduler"))
        return;
    json = reader_object(r, hypervisor, above, "scheduler");
    reader_keys(r, json, &at, KEYS("latency_ns", "wakeup_granularity_ns"));
    p->fair = true;
    p->latency_ns = reader_uint_or(r, json, &at, "latency_ns", 0, most, 24000000);
    p->wakeup_granularity_ns =
        reader_uint_or(r, json, &at, "wakeup_granularity_ns", 0, most, 4000000);
}

void plan_read_scheduling(struct build *b, const json_t *json, const struct place *at,
                          struct thread *t)
{
    const struct hypervisor *h = &b->sim->machine;
    const struct place nice_at = place_key(at, "nice"), roams_at = place_key(at, "roams");
    const json_t *nice = json_object_get(json, "nice");

    if (b->reader.failed)
        return;
    if (nice && (!json_is_integer(nice) || json_integer_value(nice) < NICE_MIN ||
                 json_integer_value(nice) > NICE_MAX))
        reader_fail(&b->reader, &nice_at, "a whole number belongs here, %d to %d", NICE_MIN,
                    NICE_MAX);
    else if (nice)
        t->weight = scheduler_weight((int)json_integer_value(nice));
    t->roams = reader_bool_or(&b->reader, json, at, "roams", false);
    if ((nice || t->roams) && !h->policy.scheduler.fair)
        reader_fail(&b->reader, nice ? &nice_at : &roams_at,
                    "is for a fair scheduler; hypervisor.scheduler is missing");
    else if (t->roams && feature_in(h->features, FEATURE_DIRECT_INTERRUPTS))
        reader_fail(&b->reader, &roams_at,
                    "is not for a guest that has its CPU's interrupts (direct-interrupts)");
}

/* The host's tick, and interrupts of devices that are no guest's. */
static void read_source(struct build *b, const json_t *json, const struct place *at,
                        struct host_source *s)
{
    const struct hypervisor *h = &b->sim->machine;
    struct reader *r = &b->reader;

    reader_keys(r, json, at, KEYS("cpu", "every_ns", "at_ns", "cycles"));
    s->pcpu = &h->pcpu[reader_uint(r, json, at, "cpu", 0, h->pcpu_count - 1)];
    s->every_ps = PS_PER_NS * reader_uint_or(r, json, at, "every_ns", 1000, 1000000000000, 0);
    s->work.n = reader_uint_or(r, json, at, "cycles", 0, 1000000000, 0);
    if (json_object_get(json, "at_ns"))
        s->at = plan_read_times(b, json, at, &s->at_count);
    if (!r->failed && !s->every_ps && !s->at_count)
        reader_fail(r, at, "has no times; every_ns or at_ns belongs here");
}

uint32_t plan_count_noise(struct build *b, const json_t *machine, const struct place *at)
{
    const struct hypervisor *h = &b->sim->machine;
    const json_t *list = json_object_get(machine, "host_interrupts");

    if (list)
        list = reader_array(&b->reader, machine, at, "host_interrupts");
    return host_noise_events(h->policy.tick_ns, h->pcpu_count, (uint32_t)json_array_size(list));
}

static void read_noise(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "host_interrupts");
    const json_t *list = json_object_get(machine, "host_interrupts");
    const uint32_t count = (uint32_t)json_array_size(list);
    struct host_noise *noise;

    if (b->reader.failed || (!count && !h->policy.tick_ns))
        return;
    noise = build_take(b, 1, sizeof *noise);
    if (!noise)
        return;
    noise->tick_ps = h->policy.tick_ns * PS_PER_NS;
    noise->tick = build_take(b, noise->tick_ps ? h->pcpu_count : 0, sizeof *noise->tick);
    noise->source = build_take(b, count, sizeof *noise->source);
    noise->source_count = count;
    h->noise = noise;
    for (uint32_t i = 0; noise->source && i < count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        read_source(b, json_array_get(list, i), &here, &noise->source[i]);
    }
}

void plan_read_host(struct build *b, const json_t *machine, const struct place *at)
{
    read_noise(b, machine, at);
    read_idle_states(b, machine, at);
    read_guest_poll(b, machine, at);
}
