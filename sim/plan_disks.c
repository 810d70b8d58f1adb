/* The plan's machine.disks: QEMU's disks, and the device of the plan by which each interrupts. */
#include <inttypes.h>

#include "hypervisor/disk.h"
#include "plan_parts.h"

/* Streams of random numbers: those of the vCPUs come first. */
enum { MAX_DISKS = 16, DISK_STREAMS = 1 << 20, QUEUE_SIZE = 128 };
#define IDE_SECTORS (UINT64_C(1) << 28)

static uint16_t read_queue_size(struct build *b, const json_t *json, const struct place *at)
{
    const uint64_t size =
        reader_uint_or(&b->reader, json, at, "queue_size", 1, VIRTQUEUE_MAX, QUEUE_SIZE);
    const struct place p = place_key(at, "queue_size");

    if (size & (size - 1))
        reader_fail(&b->reader, &p, "%" PRIu64 " is not a power of two", size);
    return (uint16_t)size;
}

/* How many requests it can have under way; the kind, and that number, are kept. */
static uint32_t count_requests(struct build *b, const json_t *json, const struct place *at,
                               struct disk *d)
{
    d->kind = (enum disk_kind)reader_choice(&b->reader, json, at, "kind", disk_kind_names,
                                            DISK_KIND_COUNT);
    return d->kind == DISK_IDE ? DISK_IDE_REQUESTS : read_queue_size(b, json, at);
}

uint32_t plan_count_disks(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "disks");
    json_t *list = json_object_get(machine, "disks")
                       ? reader_array(&b->reader, machine, at, "disks")
                       : NULL;
    const size_t count = json_array_size(list);
    uint32_t events = 0;

    if (count == 0)
        return 0;
    if (count > MAX_DISKS)
        reader_fail(&b->reader, &p, "%zu are too many (at most %d)", count, MAX_DISKS);
    h->disk = build_take(b, count, sizeof *h->disk);
    for (size_t i = 0; i < count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const uint32_t requests =
            count_requests(b, json_array_get(list, i), &here, &h->disk[i]);

        h->disk[i].request = build_take(b, requests, sizeof *h->disk[i].request);
        events += disk_events(requests);
    }
    h->disk_count = b->reader.failed ? 0 : (uint32_t)count;
    return events;
}

static bool can_interrupt(enum disk_kind disk, enum device_kind device)
{
    return (disk != DISK_NVME && device == DEVICE_LINE) ||
           (disk != DISK_IDE && device == DEVICE_MSI);
}

static const char *const interrupts_by[] = {
    [DISK_IDE] = "line",
    [DISK_VIRTIO_BLK] = "msi or line",
    [DISK_NVME] = "msi",
};

static void read_interrupt(struct build *b, const json_t *json, const struct place *at,
                           struct disk *d)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "device");
    const uint64_t n = reader_uint(&b->reader, json, at, "device", 0, UINT32_MAX);

    if (b->reader.failed)
        return;
    if (n >= hypervisor_plan_devices(h)) {
        reader_fail(&b->reader, &p, "%" PRIu64 ": the plan has %u devices", n,
                    hypervisor_plan_devices(h));
        return;
    }
    d->interrupt = &h->device[n];
    if (!can_interrupt(d->kind, d->interrupt->kind))
        reader_fail(&b->reader, &p,
                    "%" PRIu64 " is of kind %s; %s interrupts by a device of kind %s", n,
                    device_kind_names[d->interrupt->kind], disk_kind_names[d->kind],
                    interrupts_by[d->kind]);
}

static void read_latency(struct build *b, const json_t *json, const struct place *at,
                         struct disk *d)
{
    const uint64_t most = INT64_MAX / 1000;
    const uint64_t low = reader_uint(&b->reader, json, at, "latency_ns", 1, most);

    d->latency_low_ps = PS_PER_NS * low;
    d->latency_high_ps =
        PS_PER_NS * reader_uint_or(&b->reader, json, at, "latency_high_ns", low, most, low);
}

static void read_ide(struct build *b, const json_t *json, const struct place *at,
                     struct disk *d)
{
    reader_keys(&b->reader, json, at, KEYS("kind", "device", "latency_ns", "latency_high_ns"));
    ide_init(&d->ide, IDE_SECTORS, &d->ide_port);
}

static void read_blk(struct build *b, const json_t *json, const struct place *at,
                     struct disk *d)
{
    const bool intx = d->interrupt && d->interrupt->kind == DEVICE_LINE;

    reader_keys(&b->reader, json, at,
                KEYS("kind", "device", "latency_ns", "latency_high_ns", "space", "base",
                     "queue_size", "event_idx", "indirect", "ioeventfd"));
    d->port = reader_choice(&b->reader, json, at, "space", KEYS("mmio", "port"), 2);
    d->base = reader_uint(&b->reader, json, at, "base", 0,
                          d->port ? UINT16_MAX + 1 - DISK_PORTS : INT64_MAX - DISK_PAGES);
    d->ioeventfd = reader_bool_or(&b->reader, json, at, "ioeventfd", true);
    virtio_blk_init(&d->blk, read_queue_size(b, json, at),
                    reader_bool_or(&b->reader, json, at, "event_idx", true),
                    reader_bool_or(&b->reader, json, at, "indirect", true), intx, &d->blk_port);
}

static void read_nvme(struct build *b, const json_t *json, const struct place *at,
                      struct disk *d)
{
    const struct place p = place_key(at, "queue_size"),
                       shadow_at = place_key(at, "shadow_doorbells");

    reader_keys(&b->reader, json, at,
                KEYS("kind", "device", "latency_ns", "latency_high_ns", "base", "queue_size",
                     "ioeventfd", "shadow_doorbells", "pair", "coalesce", "coalesce_ns"));
    d->base = reader_uint(&b->reader, json, at, "base", 0, INT64_MAX - DISK_PAGES);
    d->ioeventfd = reader_bool_or(&b->reader, json, at, "ioeventfd", true);
    d->pair = (uint16_t)reader_uint_or(&b->reader, json, at, "pair", 1, 64, 1);
    d->nvme.shadow = reader_bool_or(&b->reader, json, at, "shadow_doorbells", true);
    if (d->ioeventfd && !d->nvme.shadow)
        reader_fail(&b->reader, &shadow_at,
                    "an ioeventfd has no value: QEMU reads it from a shadow doorbell");
    d->nvme.size = read_queue_size(b, json, at);
    d->nvme.threshold = (uint16_t)reader_uint_or(&b->reader, json, at, "coalesce", 1, 256, 1);
    d->nvme.time_ps =
        PS_PER_NS * reader_uint_or(&b->reader, json, at, "coalesce_ns", 0, INT64_MAX / 1000, 0);
    if (d->nvme.size < 2)
        reader_fail(&b->reader, &p, "1 slot is full before it is used; NVMe needs 2");
}

/* Of one NVMe controller. */
static bool are_pairs(const struct disk *d, const struct disk *o)
{
    return d->kind == DISK_NVME && o->kind == DISK_NVME && d->base == o->base &&
           d->pair != o->pair;
}

/* Two IDE channels would have the same ports, two devices the same addresses. */
static void check_place(struct build *b, const struct place *at, const struct disk *d)
{
    const struct hypervisor *h = &b->sim->machine;
    const uint64_t bytes = d->port ? DISK_PORTS : DISK_PAGES;

    for (const struct disk *o = h->disk; o < d; o++) {
        const bool same = d->kind == DISK_IDE
                              ? o->kind == DISK_IDE
                              : o->kind != DISK_IDE && o->port == d->port &&
                                    o->base < d->base + bytes && d->base < o->base + bytes;

        if (same && !are_pairs(d, o))
            reader_fail(&b->reader, at, "is where disk %u is", (unsigned)o->index);
    }
}

static void check_threads(struct build *b, const struct place *at)
{
    const struct hypervisor *h = &b->sim->machine;

    if (!host_main_loop(h) || !host_aio_pool(h))
        reader_fail(&b->reader, at,
                    "a disk needs a main-loop and an aio-worker among machine.threads");
}

typedef void read_disk(struct build *b, const json_t *json, const struct place *at,
                       struct disk *d);
static read_disk *const readers[] = {
    [DISK_IDE] = read_ide,
    [DISK_VIRTIO_BLK] = read_blk,
    [DISK_NVME] = read_nvme,
};

void plan_read_disks(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "disks");
    const json_t *list = json_object_get(machine, "disks");

    for (uint32_t i = 0; i < h->disk_count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const json_t *json = json_array_get(list, i);
        struct disk *d = &h->disk[i];

        d->index = (uint16_t)i;
        d->random = rng_stream(b->sim->plan.seed, DISK_STREAMS + i);
        read_latency(b, json, &here, d);
        read_interrupt(b, json, &here, d);
        readers[d->kind](b, json, &here, d);
        check_place(b, &here, d);
        check_threads(b, &here);
    }
}
