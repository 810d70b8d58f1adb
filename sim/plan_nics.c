/* The plan's network cards: machine.nics, their queues, moderation and arrivals. */
#include "device/nic.h"
#include "hypervisor/nic_path.h"
#include "plan_parts.h"

enum { DEFAULT_RING = 512, DEFAULT_FRAME_BYTES = 1500, MOST_FRAMES = 1 << 30 };
#define MOST_NS          (INT64_MAX / 1000)
#define MOST_GAP_NS      (UINT64_C(1) << 46) /* 2^56 ps: docs of struct arrivals_config */
#define DEFAULT_EPOCH_NS 200000000           /* vIC's */

#define KIND(name, ...) #name,
static const char *const arrivals_names[] = {ARRIVALS_KINDS(KIND)};
static const char *const moderation_names[] = {MODERATION_KINDS(KIND)};
#undef KIND

void plan_count_nics(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const json_t *list = json_object_get(machine, "nics");
    const struct place p = place_key(at, "nics");

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &p, "an array of network cards belongs here");
    for (size_t i = 0; i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const struct place queues_at = place_key(&here, "queues");
        const size_t queues =
            json_array_size(reader_array(&b->reader, json_array_get(list, i), &here, "queues"));

        if (queues < 1 || queues > NIC_QUEUES_MAX)
            reader_fail(&b->reader, &queues_at, "a card has 1 to %d queues, not %zu",
                        NIC_QUEUES_MAX, queues);
        h->rx_queue_count += (uint32_t)queues;
        if (h->rx_queue_count > UINT16_MAX / 2)
            reader_fail(&b->reader, &p, "these are too many queues");
    }
    h->nic_count = (uint32_t)json_array_size(list);
}

/* --- arrivals --- */

static const sim_time *read_listed(struct build *b, const json_t *json, const struct place *at,
                                   uint64_t *count)
{
    const json_t *list = reader_array(&b->reader, json, at, "at_ns");
    const struct place p = place_key(at, "at_ns");
    sim_time *times = build_take(b, json_array_size(list), sizeof *times);

    *count = json_array_size(list);
    for (size_t i = 0; times && i < *count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        times[i].ps =
            PS_PER_NS * reader_item(&b->reader, json_array_get(list, i), &here, 0, MOST_NS);
        if (i && times[i].ps < times[i - 1].ps)
            reader_fail(&b->reader, &here, "is earlier than the one before it");
    }
    return times;
}

static void read_burst(struct build *b, const json_t *json, const struct place *at,
                       struct arrivals_config *c)
{
    const struct place p = place_key(at, "within_ns");

    c->burst = (uint32_t)reader_uint(&b->reader, json, at, "burst", 1, MOST_FRAMES);
    c->within_ps =
        PS_PER_NS * reader_uint_or(&b->reader, json, at, "within_ns", 0, UINT32_MAX, 0);
    if ((time_wide)c->within_ps * c->burst > c->gap_ps)
        reader_fail(&b->reader, &p, "a burst does not end before the next one");
}

static void read_arrivals(struct build *b, const json_t *queue, const struct place *above,
                          struct arrivals_config *c)
{
    struct reader *r = &b->reader;
    const json_t *json = reader_object(r, queue, above, "arrivals");
    const struct place at = place_key(above, "arrivals");

    c->kind = (enum arrivals_kind)reader_choice(r, json, &at, "kind", arrivals_names,
                                                ARRIVALS_KIND_COUNT);
    if (c->kind == ARRIVALS_listed) {
        reader_keys(r, json, &at, KEYS("kind", "at_ns"));
        c->times = read_listed(b, json, &at, &c->count);
        return;
    }
    reader_keys(r, json, &at,
                c->kind == ARRIVALS_bursts
                    ? KEYS("kind", "from_ns", "gap_ns", "count", "burst", "within_ns")
                : c->kind == ARRIVALS_heavy_tailed
                    ? KEYS("kind", "from_ns", "gap_ns", "count", "shape_thousandths")
                    : KEYS("kind", "from_ns", "gap_ns", "count"));
    c->from.ps = PS_PER_NS * reader_uint_or(r, json, &at, "from_ns", 0, MOST_NS, 0);
    c->gap_ps = PS_PER_NS * reader_uint(r, json, &at, "gap_ns", 1, MOST_GAP_NS);
    c->count = reader_uint(r, json, &at, "count", 0, MOST_FRAMES);
    c->burst = 1;
    if (c->kind == ARRIVALS_bursts)
        read_burst(b, json, &at, c);
    c->shape = (uint32_t)reader_uint_or(r, json, &at, "shape_thousandths", 1001, 100000, 1500);
}

/* --- moderation --- */

static void read_moderation(struct build *b, const json_t *nic, const struct place *above,
                            struct moderation_config *c)
{
    static const char *const keys[MODERATION_KIND_COUNT][3] = {
        [MODERATION_none] = {"kind"},
        [MODERATION_fixed] = {"kind", "interval_ns"},
        [MODERATION_adaptive] = {"kind", "frame_bytes"},
        [MODERATION_vic] = {"kind", "epoch_ns"},
    };
    struct reader *r = &b->reader;
    const struct place at = place_key(above, "moderation");
    const json_t *json = json_object_get(nic, "moderation");

    if (!json)
        return;
    reader_object(r, nic, above, "moderation");
    c->kind = (enum moderation_kind)reader_choice(r, json, &at, "kind", moderation_names,
                                                  MODERATION_KIND_COUNT);
    reader_keys(r, json, &at, keys[c->kind]);
    if (c->kind == MODERATION_fixed)
        c->interval_ps = PS_PER_NS * reader_uint(r, json, &at, "interval_ns", 1, MOST_GAP_NS);
    c->frame_bytes = (uint32_t)reader_uint_or(r, json, &at, "frame_bytes", 1, UINT16_MAX,
                                              DEFAULT_FRAME_BYTES);
    c->epoch_ps =
        PS_PER_NS * reader_uint_or(r, json, &at, "epoch_ns", 1, MOST_GAP_NS, DEFAULT_EPOCH_NS);
}

/* --- a card --- */

static void read_queue(struct build *b, const json_t *json, const struct place *at,
                       struct device *d, struct nic_queue_config *c)
{
    const struct hypervisor *h = &b->sim->machine;
    struct reader *r = &b->reader;

    reader_keys(r, json, at,
                d->kind == DEVICE_ASSIGNED ? KEYS("vcpu", "vector", "cpu", "arrivals")
                                           : KEYS("vcpu", "vector", "arrivals"));
    d->vcpu = (uint16_t)reader_uint(r, json, at, "vcpu", 0, h->vcpu_count - 1);
    d->vector = (uint8_t)reader_uint(r, json, at, "vector", 16, 255);
    if (d->kind == DEVICE_ASSIGNED)
        d->cpu = (uint16_t)reader_uint(r, json, at, "cpu", 0, h->pcpu_count - 1);
    read_arrivals(b, json, at, &c->arrivals);
    c->arrivals.seed = b->sim->plan.seed;
    c->arrivals.stream = (uint64_t)1 << 32 | c->number; /* behind those of the vCPUs */
    c->ring = build_take(b, c->size, sizeof *c->ring);
}

/* Which worker of the plan's threads brings its frames. */
static void read_worker(struct build *b, const json_t *json, const struct place *at,
                        struct nic_path *path)
{
    const struct host_threads *all = b->sim->machine.threads;
    const struct place p = place_key(at, "thread");

    path->worker = (uint32_t)reader_uint(&b->reader, json, at, "thread", 0, UINT16_MAX);
    if (!b->reader.failed && (!all || path->worker >= all->count ||
                              all->thread[path->worker].kind != HOST_THREAD_VHOST))
        reader_fail(&b->reader, &p, "%u is no vhost worker of machine.threads", path->worker);
}

static void read_backend(struct build *b, const json_t *json, const struct place *at,
                         struct nic_path *path)
{
    if (path->backend == NIC_NO_BACKEND)
        return;
    if (path->backend == NIC_VHOST)
        read_worker(b, json, at, path);
    else if (!b->reader.failed && !host_main_loop(&b->sim->machine))
        reader_fail(&b->reader, at, "QEMU receives by a main-loop among machine.threads");
    path->work = build_take(b, path->nic.queues, sizeof *path->work);
}

static void read_queues(struct build *b, const json_t *json, const struct place *at,
                        struct nic_path *path, uint32_t first)
{
    const json_t *queues = json_object_get(json, "queues");
    const struct place p = place_key(at, "queues");

    for (size_t i = 0; i < json_array_size(queues) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        path->config[i].number = (uint16_t)(first + i);
        read_queue(b, json_array_get(queues, i), &here, &path->device[i], &path->config[i]);
    }
}

enum { ASSIGNED, EMULATED, USERSPACE, VHOST, PATHS };

static const enum nic_backend backend_of[PATHS] = {
    [USERSPACE] = NIC_USERSPACE,
    [VHOST] = NIC_VHOST,
};

static void read_nic(struct build *b, const json_t *json, const struct place *at,
                     struct nic_path *path, uint32_t first)
{
    static const char *const paths[PATHS] = {"assigned", "emulated", "userspace", "vhost"};
    struct hypervisor *h = &b->sim->machine;
    struct reader *r = &b->reader;
    const size_t count = json_array_size(json_object_get(json, "queues"));
    const unsigned how = reader_choice(r, json, at, "path", paths, PATHS);
    struct moderation_config moderation = {.kind = MODERATION_none};
    uint32_t ring;

    reader_keys(r, json, at,
                how == VHOST ? KEYS("name", "path", "auto_mask", "ring", "delay_ns",
                                    "moderation", "queues", "thread")
                             : KEYS("name", "path", "auto_mask", "ring", "delay_ns",
                                    "moderation", "queues"));
    reader_string(r, json, at, "name");
    path->nic.auto_mask = reader_bool_or(r, json, at, "auto_mask", true);
    ring = (uint32_t)reader_uint_or(r, json, at, "ring", 1, NIC_RING_MAX, DEFAULT_RING);
    const uint64_t delay_ns = reader_uint_or(r, json, at, "delay_ns", 0, MOST_NS, 0);
    read_moderation(b, json, at, &moderation);
    path->nic.queues = (uint16_t)count;
    path->nic.queue = build_take(b, count, sizeof *path->nic.queue);
    path->config = build_take(b, count, sizeof *path->config);
    path->device = &h->device[hypervisor_plan_devices(h) + first];
    path->backend = backend_of[how];
    read_backend(b, json, at, path);
    for (size_t i = 0; i < count && !r->failed; i++) {
        path->device[i].kind = how == ASSIGNED ? DEVICE_ASSIGNED : DEVICE_MSI;
        path->device[i].delay_ps = PS_PER_NS * delay_ns;
        path->config[i].size = ring;
        path->config[i].moderation = moderation;
    }
    read_queues(b, json, at, path, first);
}

void plan_read_nics(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const json_t *list = json_object_get(machine, "nics");
    const struct place p = place_key(at, "nics");
    uint32_t first = 0;

    for (uint32_t i = 0; i < h->nic_count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        read_nic(b, json_array_get(list, i), &here, &h->nic[i], first);
        first += h->nic[i].nic.queues;
    }
}
