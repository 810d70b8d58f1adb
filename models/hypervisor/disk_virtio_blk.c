/* A virtio block device: requests are in a virtqueue, and each end says whether it wants to be told. */
#include "hypervisor/disk_parts.h"

static struct disk *of_port(struct virtio_blk_port *port)
{
    return EVENT_OWNER(port, struct disk, blk_port);
}

static void starts(struct virtio_blk_port *port, unsigned head)
{
    struct disk *d = of_port(port);
    struct disk_request *r = &d->request[head];

    r->name = head;
    disk_tell(d, r->number + 1); /* one that came along without a notification */
    disk_start(d, r);
}

static void interrupts(struct virtio_blk_port *port, bool level)
{
    disk_interrupt(of_port(port), level);
}

static uint32_t requests(const struct disk *d)
{
    return d->blk.queue.size;
}

static void init(struct disk *d)
{
    d->blk_port = (struct virtio_blk_port){starts, interrupts};
}

/* --- accesses --- */

static bool owns(const struct disk *d, const struct access *a)
{
    return d->port == (a->instruction == VIRT_PORT_IO) && a->address >= d->base &&
           a->address - d->base < (d->port ? DISK_PORTS : DISK_PAGES);
}

static uint64_t notification(const struct disk *d)
{
    return d->port ? DISK_PORT_NOTIFY : DISK_PAGE_NOTIFY;
}

static bool is_notification(const struct disk *d, const struct access *a)
{
    return a->write && a->address - d->base == notification(d);
}

static bool is_eventfd(const struct disk *d, const struct access *a)
{
    return d->ioeventfd && is_notification(d, a);
}

static void do_access(struct disk *d, const struct access *a)
{
    if (is_notification(d, a)) {
        disk_tell(d, d->issued);
        virtio_blk_notified(&d->blk);
    } else if (!a->write && a->address - d->base == (d->port ? DISK_PORT_ISR : DISK_PAGE_ISR)) {
        virtio_blk_read_isr(&d->blk);
    }
}

/* QEMU: virtio_queue_host_notifier_read(). */
static void notified(struct disk *d)
{
    virtio_blk_notified(&d->blk);
}

static void completed(struct disk *d, struct disk_request *r)
{
    virtio_blk_complete(&d->blk, r->name);
}

/* --- the driver --- */

/* As many as the ring takes. */
static void issue(struct disk *d, unsigned vcpu)
{
    int head;

    while (d->issued < d->asked && (head = virtio_blk_submit(&d->blk)) != VIRTQUEUE_NONE)
        d->request[head].number = disk_issue_next(d, vcpu);
    d->notifies = virtqueue_needs_notification(&d->blk.queue);
}

static struct access after_issue(const struct disk *d)
{
    return d->notifies ? disk_store(d, notification(d), 2, 0) : guest_no_access();
}

static void seen(struct disk *d, unsigned vcpu)
{
    const struct virtqueue *q = &d->blk.queue;

    for (uint16_t n = q->used_seen; n != q->used_idx; n++)
        disk_reached(d, d->request[q->used_ring[n & (q->size - 1)]].number, TRACE_DISK_SEEN,
                     vcpu);
}

/* Linux: virtblk_done(). */
static uint32_t reap(struct vcpu *v, struct disk *d)
{
    struct virtqueue *q = &d->blk.queue;
    uint32_t n = 0;
    int head;

    do {
        virtqueue_disable_interrupts(q);
        for (; (head = virtqueue_get_used(q)) != VIRTQUEUE_NONE; n++)
            disk_reap_one(v, d, d->request[head].number);
    } while (!virtqueue_enable_interrupts(q));
    return n;
}

static struct access after_reap(const struct disk *d)
{
    (void)d;
    return guest_no_access();
}

static uint64_t under_way(const struct disk *d)
{
    uint64_t n = 0;

    for (unsigned head = 0; head < d->blk.queue.size; head++)
        n += d->blk.queue.chain[head] != 0;
    return n;
}

const struct disk_model disk_virtio_blk = {
    .requests = requests,
    .init = init,
    .owns = owns,
    .is_eventfd = is_eventfd,
    .access = do_access,
    .notified = notified,
    .completed = completed,
    .issue = issue,
    .seen = seen,
    .reap = reap,
    .after_issue = after_issue,
    .after_reap = after_reap,
    .under_way = under_way,
};
