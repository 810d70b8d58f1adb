/*
 * virtio-net's transmit queues, both ends.
 *
 * The backend takes what is in the ring in batches, with notifications off, and looks again before
 * it switches them on. Left out: what is in a frame, and how long the wire takes; offloads; QEMU's
 * tx timer; vhost's polling before it sleeps. docs/models/nic.md.
 */
#include "hypervisor/net_send.h"

enum { BATCH = 64 }; /* Linux: VHOST_NET_BATCH */

/* --- the backend --- */

static struct tx_queue *of_kick(struct host_item *item)
{
    return EVENT_OWNER(item, struct tx_queue, kick);
}

/* QEMU: virtio_net_tx_bh(); vhost: handle_tx(). What comes after this look is for the next batch. */
static void begin_batch(struct tx_queue *t, struct thread *from)
{
    const struct costs *costs = &t->hypervisor->costs;
    const cycles each =
        costs->of[t->backend == TX_VHOST ? COST_HOST_VHOST_FRAME : COST_USER_NET_FRAME];
    const uint16_t there = (uint16_t)(t->ring.avail_idx - t->ring.avail_seen);

    if (t->batch.queued)
        return;
    virtqueue_disable_notifications(&t->ring);
    t->frames = there < BATCH ? there : BATCH;
    t->batch.before = (cycles){t->frames * each.n};
    host_submit(t->pool, &t->batch, from);
}

static void kicked(struct host_item *item, struct host_thread *by)
{
    begin_batch(of_kick(item), &by->thread);
}

static void send_one(struct tx_queue *t)
{
    struct hypervisor *h = t->hypervisor;
    const int head = virtqueue_pop(&t->ring);

    trace_put(h->trace, 0, TRACE_FRAME_SENT, TRACE_NOWHERE, t->index,
              hv_now(h).ps - t->since[head].ps);
    virtqueue_push(&t->ring, (uint16_t)head);
}

static void sent(struct host_item *item, struct host_thread *by)
{
    struct tx_queue *t = EVENT_OWNER(item, struct tx_queue, batch);

    for (uint16_t n = 0; n < t->frames; n++)
        send_one(t);
    if (virtqueue_needs_interrupt(&t->ring))
        hypervisor_device_act(t->interrupt);
    if (t->ring.avail_seen != t->ring.avail_idx || !virtqueue_enable_notifications(&t->ring))
        begin_batch(t, &by->thread);
}

/* --- the notification --- */

static struct tx_queue *queue_of(const struct hypervisor *h, const struct access *a)
{
    if (a->kind != ACCESS_INSTRUCTION || a->instruction != VIRT_MMIO || !a->write)
        return NULL;
    for (uint32_t i = 0; i < h->tx_queue_count; i++)
        if (h->tx_queue[i].base == a->address)
            return &h->tx_queue[i];
    return NULL;
}

bool tx_owns(const struct hypervisor *h, const struct access *a, enum region_handler *handler)
{
    const struct tx_queue *t = queue_of(h, a);

    if (!t)
        return false;
    *handler = t->backend == TX_USERSPACE ? REGION_USERSPACE : REGION_EVENTFD;
    return true;
}

void tx_notify(struct vcpu *v)
{
    struct tx_queue *t = queue_of(v->hypervisor, &v->access);

    if (t)
        host_submit(t->pool, &t->kick, &v->thread);
}

/* QEMU: virtio_net_handle_tx_bh(), under the vCPU's thread. */
void tx_access(struct vcpu *v)
{
    struct tx_queue *t = queue_of(v->hypervisor, &v->access);

    if (t)
        begin_batch(t, &v->thread);
}

/* --- the driver --- */

/* As many as the ring takes; the rest waits in the stack. */
static void fill(struct vcpu *v, struct tx_queue *t)
{
    for (; t->issued < t->asked; t->issued++) {
        const uint16_t head = (uint16_t)(t->issued % t->ring.size);

        if (!virtqueue_add(&t->ring, head, 1))
            break;
        t->since[head] = hv_now(v->hypervisor);
        vcpu_pay(v, COST_GUEST_TX_FRAME);
    }
    t->notifies = virtqueue_needs_notification(&t->ring);
}

/* Linux: free_old_xmit_skbs(). */
static void reap(struct vcpu *v, struct tx_queue *t, uint64_t word)
{
    struct hypervisor *h = v->hypervisor;
    uint64_t n = 0;

    for (; virtqueue_get_used(&t->ring) != VIRTQUEUE_NONE; n++)
        vcpu_pay(v, COST_GUEST_TX_REAP);
    if (!n)
        return;
    h->word[word] += n;
    guest_word_changed(h, word);
}

/* Linux: start_xmit(), which would rather hear of many at once. */
static void transmit(struct vcpu *v, struct tx_queue *t, uint64_t frames, uint64_t word)
{
    do
        reap(v, t, word);
    while (!virtqueue_enable_interrupts_delayed(&t->ring));
    t->asked += frames;
    fill(v, t);
}

/* Linux: skb_xmit_done() and virtnet_poll_tx(). */
static void interrupted(struct vcpu *v, struct tx_queue *t, uint64_t word)
{
    do {
        virtqueue_disable_interrupts(&t->ring);
        reap(v, t, word);
    } while (!virtqueue_enable_interrupts(&t->ring));
    fill(v, t);
}

void tx_drive(struct vcpu *v, const struct guest_insn *i)
{
    struct tx_queue *t = &v->hypervisor->tx_queue[i->operand[0]];

    if (i->op == GUEST_tx_send)
        transmit(v, t, i->operand[2], i->operand[1]);
    else
        interrupted(v, t, i->operand[1]);
}

struct access tx_access_of(const struct vcpu *v, const struct guest_insn *i)
{
    const struct tx_queue *t = &v->hypervisor->tx_queue[i->operand[0]];

    if (!t->notifies)
        return guest_no_access();
    return (struct access){.kind = ACCESS_INSTRUCTION,
                           .instruction = VIRT_MMIO,
                           .address = t->base,
                           .value = t->index,
                           .size = 2,
                           .write = true};
}

/* --- */

uint64_t tx_waiting(const struct tx_queue *t)
{
    return t->asked - t->issued + (uint16_t)(t->ring.avail_idx - t->ring.avail_seen);
}

void tx_init(struct hypervisor *h)
{
    for (uint32_t i = 0; i < h->tx_queue_count; i++) {
        struct tx_queue *t = &h->tx_queue[i];

        t->hypervisor = h;
        t->index = (uint16_t)i;
        t->pool = t->backend == TX_VHOST ? host_pool_of(h, t->worker) : host_main_loop(h);
        t->kick = (struct host_item){.number = i, .done = kicked};
        if (t->backend == TX_IOEVENTFD)
            t->kick.before = h->costs.of[COST_USER_DISK_NOTIFIED];
        t->batch = (struct host_item){.number = i, .done = sent};
    }
}
