/*
 * Disks in the machine: who does what of a request's way, and what it costs.
 *
 * A request's coroutine in QEMU is two pieces of work: up to where it yields to the
 * pool, on the thread that took the request (disk_start), and from where the main loop
 * resumes it (completed).
 * Left out: QEMU's block layer between the device model and the pool (a raw image
 * has no format); requests that it merges; Linux native AIO and io_uring in place of
 * the pool; I/O threads of virtio-blk's own.
 */
#include "hypervisor/disk_parts.h"

const char *const disk_kind_names[] = {
#define KIND(id, name, meaning) name,
    DISK_KINDS(KIND) NULL
#undef KIND
};

const struct disk_model *disk_model_of(const struct disk *d)
{
    static const struct disk_model *const models[] = {
        [DISK_IDE] = &disk_ide,
        [DISK_VIRTIO_BLK] = &disk_virtio_blk,
        [DISK_NVME] = &disk_nvme,
    };
    return models[d->kind];
}

void disk_reached(const struct disk *d, uint32_t number, enum trace_disk stage, unsigned where)
{
    if (number != DISK_NO_REQUEST)
        trace_put(d->hypervisor->trace, 0, TRACE_DISK, where,
                  TRACE_DISK_REQUEST(d->index, number), stage);
}

/* --- the host: worker, main loop --- */

static void completed(struct host_item *item, struct host_thread *by)
{
    struct disk_request *r = EVENT_OWNER(item, struct disk_request, completion);

    (void)by;
    disk_reached(r->disk, r->number, TRACE_DISK_COMPLETED, TRACE_NOWHERE);
    disk_model_of(r->disk)->completed(r->disk, r);
}

/* QEMU: worker_thread() schedules the pool's bottom half, by an event notifier. */
static void worked(struct host_item *item, struct host_thread *by)
{
    struct disk_request *r = EVENT_OWNER(item, struct disk_request, work);

    disk_reached(r->disk, r->number, TRACE_DISK_DONE, TRACE_NOWHERE);
    host_submit(host_main_loop(r->disk->hypervisor), &r->completion, &by->thread);
}

static void handed(struct event *e)
{
    struct disk_request *r = EVENT_OWNER(e, struct disk_request, handed);

    disk_reached(r->disk, r->number, TRACE_DISK_SUBMITTED, r->where);
    host_submit(host_aio_pool(r->disk->hypervisor), &r->work, NULL);
}

/* The vCPU whose thread is in the device model; NOWHERE: the main loop is. */
static uint16_t actor_of(const struct disk *d)
{
    return d->actor->vcpu ? d->actor->vcpu->index : TRACE_NOWHERE;
}

static void pay(struct disk *d, enum cost_key key)
{
    const cycles cost = d->hypervisor->costs.of[key];

    d->actor->ops->pay(d->actor, cost);
    d->spent.n += cost.n;
}

/* Behind those that it has made since it was called. */
void disk_start(struct disk *d, struct disk_request *r)
{
    struct hypervisor *h = d->hypervisor;

    r->where = actor_of(d);
    r->work.sleeps_ps = rng_between(&d->random, d->latency_low_ps, d->latency_high_ps);
    pay(d, COST_USER_DISK_SUBMIT);
    event_arm(h->events, &r->handed, hv_after(h, d->spent.n));
    pay(d, COST_HOST_WAKE);
}

/* `actor` enters the device model, with so much to pay already. */
static void enter(struct disk *d, struct thread *actor, cycles owed)
{
    d->actor = actor;
    d->spent = owed;
}

void disk_tell(struct disk *d, uint32_t end)
{
    for (; d->notified < end; d->notified++)
        disk_reached(d, d->notified, TRACE_DISK_NOTIFIED, actor_of(d));
}

void disk_interrupt(struct disk *d, bool level)
{
    if (level)
        hypervisor_device_act(d->interrupt);
    else if (d->interrupt->kind == DEVICE_LINE)
        hypervisor_device_lower(d->interrupt);
}

/* --- accesses --- */

/* The disk that an access concerns, or NULL. */
static struct disk *disk_of(const struct hypervisor *h, const struct access *a)
{
    if (a->kind != ACCESS_INSTRUCTION ||
        (a->instruction != VIRT_PORT_IO && a->instruction != VIRT_MMIO))
        return NULL;
    for (uint32_t i = 0; i < h->disk_count; i++)
        if (disk_model_of(&h->disk[i])->owns(&h->disk[i], a))
            return &h->disk[i];
    return NULL;
}

bool disk_owns(const struct hypervisor *h, const struct access *a, enum region_handler *handler)
{
    const struct disk *d = disk_of(h, a);

    if (!d)
        return false;
    *handler = disk_model_of(d)->is_eventfd(d, a) ? REGION_EVENTFD : REGION_USERSPACE;
    return true;
}

void disk_access(struct vcpu *v)
{
    struct disk *d = disk_of(v->hypervisor, &v->access);

    if (!d)
        return;
    enter(d, &v->thread, v->extra);
    disk_model_of(d)->access(d, &v->access);
}

static void notified(struct host_item *item, struct host_thread *by)
{
    struct disk *d = EVENT_OWNER(item, struct disk, notification);

    enter(d, &by->thread, by->left);
    disk_model_of(d)->notified(d);
}

void disk_schedule(struct disk *d, struct thread *from)
{
    host_submit(host_main_loop(d->hypervisor), &d->notification, from);
}

/* KVM: ioeventfd_write(). */
void disk_notify(struct vcpu *v)
{
    struct disk *d = disk_of(v->hypervisor, &v->access);

    if (!d)
        return;
    enter(d, &v->thread, v->extra);
    disk_tell(d, d->issued);
    disk_schedule(d, &v->thread);
}

uint64_t disk_requests_under_way(const struct disk *d)
{
    return d->asked - d->issued + disk_model_of(d)->under_way(d);
}

/* --- building --- */

static void request_init(struct disk *d, struct disk_request *r)
{
    const struct costs *costs = &d->hypervisor->costs;

    *r = (struct disk_request){.disk = d, .number = DISK_NO_REQUEST};
    event_init(d->hypervisor->events, &r->handed, EVENT_PHASE_DEVICE, handed);
    r->work = (struct host_item){.before = costs->of[COST_HOST_DISK_CALL],
                                 .after = costs->of[COST_HOST_DISK_RETURN],
                                 .number = d->index,
                                 .done = worked};
    r->completion = (struct host_item){
        .before = costs->of[COST_USER_DISK_COMPLETE], .number = d->index, .done = completed};
}

static void disk_init(struct hypervisor *h, struct disk *d)
{
    d->hypervisor = h;
    d->notification = (struct host_item){
        .before = h->costs.of[COST_USER_DISK_NOTIFIED], .number = d->index, .done = notified};
    for (uint32_t n = 0; n < disk_model_of(d)->requests(d); n++)
        request_init(d, &d->request[n]);
    disk_model_of(d)->init(d);
}

void disks_init(struct hypervisor *h)
{
    for (uint32_t i = 0; i < h->disk_count; i++)
        disk_init(h, &h->disk[i]);
}
