/* The plan's machine.tx_queues: virtio-net's transmit queues. */
#include <inttypes.h>

#include "hypervisor/net_send.h"
#include "plan_parts.h"

enum { MAX_TX_QUEUES = 64, QUEUE_SIZE = 256 };

void plan_count_tx(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "tx_queues");
    const json_t *list = json_object_get(machine, "tx_queues");
    const size_t count = json_array_size(list);

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &p, "an array of transmit queues belongs here");
    if (count > MAX_TX_QUEUES)
        reader_fail(&b->reader, &p, "%zu are too many (at most %d)", count, MAX_TX_QUEUES);
    if (b->reader.failed || !count)
        return;
    h->tx_queue = build_take(b, count, sizeof *h->tx_queue);
    h->tx_queue_count = (uint32_t)count;
}

static void read_interrupt(struct build *b, const json_t *json, const struct place *at,
                           struct tx_queue *t)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "device");
    const uint64_t n = reader_uint(&b->reader, json, at, "device", 0, UINT32_MAX);

    if (b->reader.failed)
        return;
    if (n >= hypervisor_plan_devices(h) || h->device[n].kind != DEVICE_MSI)
        reader_fail(&b->reader, &p, "%" PRIu64 " is no device of kind msi", n);
    else
        t->interrupt = &h->device[n];
}

static void read_backend(struct build *b, const json_t *json, const struct place *at,
                         struct tx_queue *t)
{
    static const char *const names[TX_BACKENDS] = {"userspace", "ioeventfd", "vhost"};
    const struct hypervisor *h = &b->sim->machine;
    const struct host_threads *all = h->threads;
    const struct place p = place_key(at, "thread");

    t->backend =
        (enum tx_backend)reader_choice(&b->reader, json, at, "backend", names, TX_BACKENDS);
    if (t->backend != TX_VHOST) {
        if (!b->reader.failed && !host_main_loop(h))
            reader_fail(&b->reader, at, "QEMU sends by a main-loop among machine.threads");
        return;
    }
    t->worker = (uint32_t)reader_uint(&b->reader, json, at, "thread", 0, UINT16_MAX);
    if (!b->reader.failed &&
        (!all || t->worker >= all->count || all->thread[t->worker].kind != HOST_THREAD_VHOST))
        reader_fail(&b->reader, &p, "%u is no vhost worker of machine.threads", t->worker);
}

static void read_queue(struct build *b, const json_t *json, const struct place *at,
                       struct tx_queue *t)
{
    const struct hypervisor *h = &b->sim->machine;
    const struct place size_at = place_key(at, "queue_size"), base_at = place_key(at, "base");
    const uint64_t size =
        reader_uint_or(&b->reader, json, at, "queue_size", 1, VIRTQUEUE_MAX, QUEUE_SIZE);

    read_backend(b, json, at, t);
    reader_keys(&b->reader, json, at,
                t->backend == TX_VHOST
                    ? KEYS("backend", "device", "base", "queue_size", "event_idx", "thread")
                    : KEYS("backend", "device", "base", "queue_size", "event_idx"));
    read_interrupt(b, json, at, t);
    t->base = reader_uint(&b->reader, json, at, "base", 0, INT64_MAX);
    if (size & (size - 1))
        reader_fail(&b->reader, &size_at, "%" PRIu64 " is not a power of two", size);
    for (const struct tx_queue *o = h->tx_queue; o < t; o++)
        if (o->base == t->base)
            reader_fail(&b->reader, &base_at, "another transmit queue is notified there");
    t->since = build_take(b, size, sizeof *t->since);
    virtqueue_init(&t->ring, (uint16_t)size,
                   reader_bool_or(&b->reader, json, at, "event_idx", true));
}

void plan_read_tx(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "tx_queues");
    const json_t *list = json_object_get(machine, "tx_queues");

    for (uint32_t i = 0; i < h->tx_queue_count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        read_queue(b, json_array_get(list, i), &here, &h->tx_queue[i]);
    }
}
