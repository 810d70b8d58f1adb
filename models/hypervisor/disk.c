/*
 * Disks in the machine: who does what of a request's way, and what it costs.
 *
 * Left out: QEMU's block layer between the device model and the pool (a raw image
 * has no format; coroutines are in the costs); requests that it merges; Linux native
 * AIO and io_uring in place of the pool; I/O threads of virtio-blk's own.
 */
#include "hypervisor/disk.h"

const char *const disk_kind_names[] = {
#define KIND(id, name, meaning) name,
    DISK_KINDS(KIND) NULL
#undef KIND
};

static void reached(const struct disk *d, uint32_t number, enum trace_disk stage,
                    unsigned where)
{
    if (number != DISK_NO_REQUEST)
        trace_put(d->hypervisor->trace, 0, TRACE_DISK, where,
                  TRACE_DISK_REQUEST(d->index, number), stage);
}

/* --- the host: worker, main loop --- */

static void completed(struct host_item *item, struct host_thread *by)
{
    struct disk_request *r = EVENT_OWNER(item, struct disk_request, completion);
    struct disk *d = r->disk;

    (void)by;
    reached(d, r->number, TRACE_DISK_COMPLETED, TRACE_NOWHERE);
    if (d->kind == DISK_IDE)
        d->ended |= ide_complete(&d->ide, r->name, true);
    else
        virtio_blk_complete(&d->blk, r->name);
}

/* QEMU: worker_thread() schedules the pool's bottom half, by an event notifier. */
static void worked(struct host_item *item, struct host_thread *by)
{
    struct disk_request *r = EVENT_OWNER(item, struct disk_request, work);

    reached(r->disk, r->number, TRACE_DISK_DONE, TRACE_NOWHERE);
    host_submit(host_main_loop(r->disk->hypervisor), &r->completion, &by->thread);
}

static void handed(struct event *e)
{
    struct disk_request *r = EVENT_OWNER(e, struct disk_request, handed);

    reached(r->disk, r->number, TRACE_DISK_SUBMITTED, r->where);
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

/* The device model makes a request and hands it to the pool, behind those that it has made since it
   was called. */
static void start(struct disk *d, struct disk_request *r)
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

/* All that were issued before number `end` are known to the device, by vCPU `where`. */
static void tell(struct disk *d, uint32_t end, unsigned where)
{
    for (; d->notified < end; d->notified++)
        reached(d, d->notified, TRACE_DISK_NOTIFIED, where);
}

static struct disk *of_ide(struct ide_port *port)
{
    return EVENT_OWNER(port, struct disk, ide_port);
}

static struct disk *of_blk(struct virtio_blk_port *port)
{
    return EVENT_OWNER(port, struct disk, blk_port);
}

static void ide_starts(struct ide_port *port, const struct ide_request *request)
{
    struct disk *d = of_ide(port);
    struct disk_request *r = &d->request[request->tag % DISK_IDE_REQUESTS];

    r->name = request->tag;
    r->number = d->under_way;
    d->ended = false;
    reached(d, r->number, TRACE_DISK_NOTIFIED, actor_of(d));
    start(d, r);
}

static void blk_starts(struct virtio_blk_port *port, unsigned head)
{
    struct disk *d = of_blk(port);
    struct disk_request *r = &d->request[head];

    r->name = head;
    tell(d, r->number + 1, actor_of(d)); /* one that came along without a notification */
    start(d, r);
}

/* --- the interrupt --- */

static void drive(struct disk *d, bool level)
{
    if (level)
        hypervisor_device_act(d->interrupt);
    else if (d->interrupt->kind == DEVICE_LINE)
        hypervisor_device_lower(d->interrupt);
}

static void ide_line(struct ide_port *port, bool level)
{
    drive(of_ide(port), level);
}

static void blk_interrupts(struct virtio_blk_port *port, bool level)
{
    drive(of_blk(port), level);
}

/* --- accesses --- */

static bool on_ide(const struct access *a, enum ide_reg *reg)
{
    static const struct {
        uint16_t first, count;
        enum ide_block block;
    } blocks[] = {
        {DISK_IDE_COMMAND, 8, IDE_COMMAND_BLOCK},
        {DISK_IDE_CONTROL, 1, IDE_CONTROL_BLOCK},
        {DISK_IDE_BUS_MASTER, 8, IDE_BUS_MASTER_BLOCK},
    };

    for (unsigned n = 0; n < sizeof blocks / sizeof blocks[0]; n++) {
        const uint64_t offset = a->address - blocks[n].first;

        if (a->address < blocks[n].first || offset >= blocks[n].count)
            continue;
        *reg = ide_find(blocks[n].block, (unsigned)offset, a->write);
        return true;
    }
    return false;
}

static bool on_blk(const struct disk *d, const struct access *a, uint64_t *offset)
{
    *offset = a->address - d->base;
    return a->address >= d->base && *offset < (d->port ? DISK_PORTS : DISK_PAGES);
}

static bool is_notification(const struct disk *d, const struct access *a, uint64_t offset)
{
    return a->write && offset == (d->port ? DISK_PORT_NOTIFY : DISK_PAGE_NOTIFY);
}

/* The disk that an access concerns, or NULL. */
static struct disk *disk_of(const struct hypervisor *h, const struct access *a)
{
    const bool port = a->instruction == VIRT_PORT_IO;
    enum ide_reg reg;
    uint64_t offset;

    if (a->kind != ACCESS_INSTRUCTION || (!port && a->instruction != VIRT_MMIO))
        return NULL;
    for (uint32_t i = 0; i < h->disk_count; i++) {
        struct disk *d = &h->disk[i];

        if (d->kind == DISK_IDE ? port && on_ide(a, &reg)
                                : port == d->port && on_blk(d, a, &offset))
            return d;
    }
    return NULL;
}

bool disk_owns(const struct hypervisor *h, const struct access *a, enum region_handler *handler)
{
    const struct disk *d = disk_of(h, a);

    if (!d)
        return false;
    *handler = d->ioeventfd && is_notification(d, a, a->address - d->base) ? REGION_EVENTFD
                                                                           : REGION_USERSPACE;
    return true;
}

static void access_ide(struct disk *d, const struct access *a)
{
    enum ide_reg reg;

    if (!on_ide(a, &reg) || reg == IDE_REG_COUNT)
        return;
    if (a->write)
        ide_write(&d->ide, reg, (uint32_t)a->value);
    else
        ide_read(&d->ide, reg);
}

static void access_blk(struct disk *d, const struct vcpu *v)
{
    const struct access *a = &v->access;
    const uint64_t offset = a->address - d->base;

    if (is_notification(d, a, offset)) {
        tell(d, d->issued, v->index);
        virtio_blk_notified(&d->blk);
    } else if (!a->write && offset == (d->port ? DISK_PORT_ISR : DISK_PAGE_ISR)) {
        virtio_blk_read_isr(&d->blk);
    }
}

void disk_access(struct vcpu *v)
{
    struct disk *d = disk_of(v->hypervisor, &v->access);

    if (!d)
        return;
    enter(d, &v->thread, v->extra);
    if (d->kind == DISK_IDE)
        access_ide(d, &v->access);
    else
        access_blk(d, v);
}

/* QEMU: virtio_queue_host_notifier_read(), in the main loop. */
static void notified(struct host_item *item, struct host_thread *by)
{
    struct disk *d = EVENT_OWNER(item, struct disk, notification);

    enter(d, &by->thread, by->left);
    virtio_blk_notified(&d->blk);
}

/* KVM: ioeventfd_write(). */
void disk_notify(struct vcpu *v)
{
    struct disk *d = disk_of(v->hypervisor, &v->access);

    if (!d)
        return;
    tell(d, d->issued, v->index);
    host_submit(host_main_loop(v->hypervisor), &d->notification, &v->thread);
}

/* --- the guest --- */

static struct disk *named(const struct vcpu *v, const struct guest_insn *i)
{
    return &v->hypervisor->disk[i->operand[0]];
}

static void ask(struct vcpu *v, const struct guest_insn *i)
{
    struct disk *d = named(v, i);
    const uint64_t depth = i->operand[1], total = i->operand[2];

    while (d->asked - d->reaped < depth && d->asked < total) {
        reached(d, d->asked++, TRACE_DISK_ASKED, v->index);
        vcpu_pay(v, COST_GUEST_DISK_SUBMIT);
    }
}

static void issue_next(struct disk *d, unsigned where)
{
    reached(d, d->issued++, TRACE_DISK_ISSUED, where);
}

/* As many as the ring takes. */
static void issue_blk(struct disk *d, unsigned where)
{
    while (d->issued < d->asked) {
        const int head = virtio_blk_submit(&d->blk);

        if (head == VIRTQUEUE_NONE)
            break;
        d->request[head].number = d->issued;
        issue_next(d, where);
    }
    d->notifies = virtqueue_needs_notification(&d->blk.queue);
}

/* An IDE driver's port accesses follow; a second request has to wait for the first. */
static void issue_ide(struct disk *d, unsigned where)
{
    if (d->under_way != DISK_NO_REQUEST || d->issued == d->asked)
        return;
    d->under_way = d->issued;
    d->ended = false;
    issue_next(d, where);
}

void disk_issue(struct vcpu *v, const struct guest_insn *i)
{
    struct disk *d = named(v, i);

    if (d->kind == DISK_IDE)
        issue_ide(d, v->index);
    else
        issue_blk(d, v->index);
}

struct access disk_notification(const struct vcpu *v, const struct guest_insn *i)
{
    const struct disk *d = named(v, i);
    const uint64_t offset = d->port ? DISK_PORT_NOTIFY : DISK_PAGE_NOTIFY;

    if (d->kind == DISK_IDE || !d->notifies)
        return guest_no_access();
    return (struct access){.kind = ACCESS_INSTRUCTION,
                           .instruction = d->port ? VIRT_PORT_IO : VIRT_MMIO,
                           .address = d->base + offset,
                           .size = 2,
                           .write = true};
}

/* Its last request was answered, and there is no more to its command. */
static bool ide_has_ended(const struct disk *d)
{
    return d->ended && !d->ide.command;
}

/* What the handler finds when it starts is what it was called for. */
static void interrupted(struct vcpu *v, const struct guest_insn *i)
{
    struct disk *d = named(v, i);
    const struct virtqueue *q = &d->blk.queue;

    if (d->kind == DISK_IDE && ide_has_ended(d))
        reached(d, d->under_way, TRACE_DISK_SEEN, v->index);
    for (uint16_t n = q->used_seen; d->kind != DISK_IDE && n != q->used_idx; n++)
        reached(d, d->request[q->used_ring[n & (q->size - 1)]].number, TRACE_DISK_SEEN,
                v->index);
}

static void reap_one(struct vcpu *v, struct disk *d, uint32_t number)
{
    d->reaped++;
    vcpu_pay(v, COST_GUEST_DISK_REAP);
    reached(d, number, TRACE_DISK_REAPED, v->index);
}

/* Linux: virtblk_done(). */
static uint32_t reap_blk(struct vcpu *v, struct disk *d)
{
    struct virtqueue *q = &d->blk.queue;
    uint32_t n = 0;
    int head;

    do {
        virtqueue_disable_interrupts(q);
        for (; (head = virtqueue_get_used(q)) != VIRTQUEUE_NONE; n++)
            reap_one(v, d, d->request[head].number);
    } while (!virtqueue_enable_interrupts(q));
    return n;
}

static uint32_t reap_ide(struct vcpu *v, struct disk *d)
{
    if (!ide_has_ended(d) || d->under_way == DISK_NO_REQUEST)
        return 0;
    reap_one(v, d, d->under_way);
    d->under_way = DISK_NO_REQUEST;
    return 1;
}

static void reap(struct vcpu *v, const struct guest_insn *i)
{
    struct disk *d = named(v, i);
    struct hypervisor *h = v->hypervisor;

    h->word[i->operand[1]] += d->kind == DISK_IDE ? reap_ide(v, d) : reap_blk(v, d);
    guest_word_changed(h, i->operand[1]);
}

bool disk_operation(struct vcpu *v, const struct guest_insn *i)
{
    switch (i->op) {
    case GUEST_disk_ask:
        ask(v, i);
        return true;
    case GUEST_disk_interrupt:
        interrupted(v, i);
        return true;
    case GUEST_disk_reap:
        reap(v, i);
        return true;
    default:
        return false;
    }
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
    const uint32_t requests = d->kind == DISK_IDE ? DISK_IDE_REQUESTS : d->blk.queue.size;

    d->hypervisor = h;
    d->under_way = DISK_NO_REQUEST;
    d->ide_port = (struct ide_port){ide_line, ide_starts};
    d->blk_port = (struct virtio_blk_port){blk_starts, blk_interrupts};
    d->notification = (struct host_item){
        .before = h->costs.of[COST_USER_DISK_NOTIFIED], .number = d->index, .done = notified};
    for (uint32_t n = 0; n < requests; n++)
        request_init(d, &d->request[n]);
}

void disks_init(struct hypervisor *h)
{
    for (uint32_t i = 0; i < h->disk_count; i++)
        disk_init(h, &h->disk[i]);
}
