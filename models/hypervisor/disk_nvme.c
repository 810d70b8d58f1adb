/* A pair of queues of an NVMe controller: a doorbell for what is new, and one for what is taken. */
#include "hypervisor/disk_parts.h"

static struct disk *of_port(struct nvme_port *port)
{
    return EVENT_OWNER(port, struct disk, nvme_port);
}

static void starts(struct nvme_port *port, unsigned id)
{
    struct disk *d = of_port(port);
    struct disk_request *r = &d->request[id];

    r->name = id;
    disk_tell(d, r->number + 1); /* one that came along without a doorbell */
    disk_start(d, r);
}

static void interrupts(struct nvme_port *port)
{
    disk_interrupt(of_port(port), true);
}

static uint32_t requests(const struct disk *d)
{
    return d->nvme.size;
}

static void init(struct disk *d)
{
    d->nvme_port = (struct nvme_port){starts, interrupts};
    nvme_init(&d->nvme, d->nvme.size, d->nvme.shadow, d->nvme.threshold, d->nvme.time_ps,
              d->hypervisor->events, &d->nvme_port);
}

/* --- accesses --- */

static bool is_doorbell(const struct disk *d, const struct access *a, uint64_t offset)
{
    return a->write && a->address - d->base == offset;
}

/* What is not a doorbell of a pair is nobody's, and the same exit to QEMU. */
static bool owns(const struct disk *d, const struct access *a)
{
    return a->instruction == VIRT_MMIO && (is_doorbell(d, a, NVME_TAIL_DOORBELL(d->pair)) ||
                                           is_doorbell(d, a, NVME_HEAD_DOORBELL(d->pair)));
}

static bool is_eventfd(const struct disk *d, const struct access *a)
{
    (void)a;
    return d->ioeventfd;
}

/* QEMU: nvme_process_db() notes the doorbell and schedules a bottom half. */
static void do_access(struct disk *d, const struct access *a)
{
    if (is_doorbell(d, a, NVME_TAIL_DOORBELL(d->pair))) {
        disk_tell(d, d->issued);
        nvme_write_tail(&d->nvme, (uint16_t)a->value);
        disk_schedule(d, d->actor);
    } else if (is_doorbell(d, a, NVME_HEAD_DOORBELL(d->pair))) {
        nvme_write_head(&d->nvme, (uint16_t)a->value);
    }
}

/* An ioeventfd has no value: QEMU reads the shadow doorbells in memory, nvme_update_sq_tail(). */
static void notified(struct disk *d)
{
    nvme_process(&d->nvme);
}

static void completed(struct disk *d, struct disk_request *r)
{
    nvme_complete(&d->nvme, r->name);
}

/* --- the driver --- */

static void issue(struct disk *d, unsigned vcpu)
{
    int id;

    while (d->issued < d->asked && (id = nvme_submit(&d->nvme)) != NVME_NONE)
        d->request[id].number = disk_issue_next(d, vcpu);
    d->notifies = nvme_tell_tail(&d->nvme);
}

static struct access after_issue(const struct disk *d)
{
    return d->notifies ? disk_store(d, NVME_TAIL_DOORBELL(d->pair), 4, d->nvme.tail)
                       : guest_no_access();
}

static void seen(struct disk *d, unsigned vcpu)
{
    int id;

    for (unsigned n = 0; (id = nvme_done(&d->nvme, n)) != NVME_NONE; n++)
        disk_reached(d, d->request[id].number, TRACE_DISK_SEEN, vcpu);
}

/* Linux: nvme_poll_cq(), which gives all slots back at once. */
static uint32_t reap(struct vcpu *v, struct disk *d)
{
    uint32_t n = 0;
    int id;

    for (; (id = nvme_reap(&d->nvme)) != NVME_NONE; n++)
        disk_reap_one(v, d, d->request[id].number);
    d->gives_back = nvme_tell_head(&d->nvme);
    return n;
}

static struct access after_reap(const struct disk *d)
{
    return d->gives_back ? disk_store(d, NVME_HEAD_DOORBELL(d->pair), 4, d->nvme.head)
                         : guest_no_access();
}

static uint64_t under_way(const struct disk *d)
{
    return d->nvme.in_ring;
}

const struct disk_model disk_nvme = {
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
