/* The plan's machine.threads: host threads that are no vCPUs, and work of their own. */
#include "hypervisor/host_thread.h"
#include "plan_parts.h"

enum { MAX_THREADS = 1024 };

/* Of a list that may be missing. */
static size_t list_size(struct build *b, const json_t *parent, const struct place *at,
                        const char *key)
{
    return json_object_get(parent, key)
               ? json_array_size(reader_array(&b->reader, parent, at, key))
               : 0;
}

uint32_t plan_count_threads(struct build *b, const json_t *machine, const struct place *at)
{
    const struct place p = place_key(at, "threads");
    const size_t count = list_size(b, machine, at, "threads");
    const json_t *list = json_object_get(machine, "threads");
    struct host_threads *threads;
    size_t works = 0;

    if (count == 0)
        return 0;
    if (count > MAX_THREADS)
        reader_fail(&b->reader, &p, "%zu are too many (at most %d)", count, MAX_THREADS);
    for (size_t i = 0; i < count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        works += list_size(b, json_array_get(list, i), &here, "work");
    }
    threads = build_take(b, 1, sizeof *threads);
    if (b->reader.failed)
        return 0;
    threads->count = (uint32_t)count;
    threads->work_count = (uint32_t)works;
    threads->thread = build_take(b, count, sizeof *threads->thread);
    threads->pool = build_take(b, count, sizeof *threads->pool);
    threads->work = build_take(b, works, sizeof *threads->work);
    b->sim->machine.threads = threads;
    return host_thread_events(threads->count, threads->work_count);
}

static void read_work(struct build *b, const json_t *json, const struct place *at,
                      struct host_thread *t, struct host_work *w)
{
    struct hypervisor *h = &b->sim->machine;
    struct host_item *item = &w->item;
    const uint64_t most = INT64_MAX / 1000;
    const struct place pauses_at = place_key(at, "pauses_ns");

    reader_keys(&b->reader, json, at,
                KEYS("at_ns", "cycles", "sleep_ns", "after_cycles", "signals", "pauses_ns"));
    w->thread = t;
    w->at = plan_read_times(b, json, at, &w->at_count);
    item->before.n = reader_uint(&b->reader, json, at, "cycles", 0, UINT32_MAX);
    item->sleeps_ps = PS_PER_NS * reader_uint_or(&b->reader, json, at, "sleep_ns", 0, most, 0);
    item->after.n = reader_uint_or(&b->reader, json, at, "after_cycles", 0, UINT32_MAX, 0);
    w->pauses_ps = PS_PER_NS * reader_uint_or(&b->reader, json, at, "pauses_ns", 0, most, 0);
    if (w->pauses_ps && t->kind != HOST_THREAD_MAIN_LOOP)
        reader_fail(&b->reader, &pauses_at, "is for the main loop, which pauses the VM");
    if (!json_object_get(json, "signals") || b->reader.failed)
        return;
    if (hypervisor_plan_devices(h) == 0) {
        reader_fail(&b->reader, at, "signals a device, and the machine has none");
        return;
    }
    w->signals = &h->device[reader_uint(&b->reader, json, at, "signals", 0,
                                        hypervisor_plan_devices(h) - 1)];
}

/* Returns the number of works read before and with it. */
static uint32_t read_thread(struct build *b, const json_t *json, const struct place *at,
                            uint32_t index, uint32_t works)
{
    struct hypervisor *h = &b->sim->machine;
    struct host_threads *all = h->threads;
    const json_t *list = json_object_get(json, "work");
    const struct place p = place_key(at, "work");
    enum host_thread_kind kind;
    struct pcpu *pin;

    reader_keys(&b->reader, json, at, KEYS("kind", "pin", "work", "nice", "roams"));
    kind = (enum host_thread_kind)reader_choice(&b->reader, json, at, "kind",
                                                host_thread_kind_names, HOST_THREAD_KIND_COUNT);
    pin = plan_read_pin(b, json, at);
    if (b->reader.failed)
        return works;
    if (kind == HOST_THREAD_MAIN_LOOP && host_main_loop(h)) {
        reader_fail(&b->reader, at, "is a second main loop; QEMU has one");
        return works;
    }
    host_thread_add(h, index, kind, pin);
    plan_read_scheduling(b, json, at, &all->thread[index].thread);
    for (size_t i = 0; i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        read_work(b, json_array_get(list, i), &here, &all->thread[index], &all->work[works++]);
    }
    return works;
}

void plan_read_threads(struct build *b, const json_t *machine, const struct place *at)
{
    const json_t *list = json_object_get(machine, "threads");
    const struct place p = place_key(at, "threads");
    uint32_t works = 0;

    for (uint32_t i = 0; i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        works = read_thread(b, json_array_get(list, i), &here, i, works);
    }
}
