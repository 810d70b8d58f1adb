/*
 * Network cards: from a queue's message to an interrupt, and the guest's driver.
 *
 * Masked delivery, "system 7" of docs/systems/: the host masks the queue when it
 * takes its interrupt, before it makes the vector pending in the vCPU.
 */
#include "hypervisor/nic_path.h"

enum { TAP_BATCH = 50 }; /* QEMU: tap_send(), lest it keep the global lock */

static void message_goes_out(struct nic_port *port, unsigned queue)
{
    struct nic_path *path = EVENT_OWNER(port, struct nic_path, port);

    hypervisor_device_act(&path->device[queue]);
}

/* --- virtio-net: a thread of the host's brings the frames --- */

/* QEMU: tap_send() and virtio_net_receive(), an interrupt for each frame; vhost: handle_rx(). */
static void brought(struct host_item *item, struct host_thread *by)
{
    struct nic_work *w = EVENT_OWNER(item, struct nic_work, item);
    const bool turn_over = ++w->frames == w->most;

    nic_deliver(w->queue);
    if (w->queue->ready < w->queue->waiting && !turn_over) {
        host_repeat(item);
        return;
    }
    w->frames = 0;
    if (w->queue->ready < w->queue->waiting)
        host_submit(w->pool, item, &by->thread);
}

/* The tap device or the socket wakes the thread, from the handler of the real card. */
static void received(struct nic_port *port, unsigned queue)
{
    struct nic_path *path = EVENT_OWNER(port, struct nic_path, port);

    host_submit(path->work[queue].pool, &path->work[queue].item, NULL);
}

static void backend_init(struct hypervisor *h, struct nic_path *path)
{
    const bool vhost = path->backend == NIC_VHOST;
    const struct nic_work work = {
        .item = {.before = h->costs.of[vhost ? COST_HOST_VHOST_FRAME : COST_USER_NET_FRAME],
                 .done = brought},
        .pool = vhost ? host_pool_of(h, path->worker) : host_main_loop(h),
        .most = vhost ? 1 : TAP_BATCH,
    };

    path->port.received = received;
    for (unsigned n = 0; n < path->nic.queues; n++) {
        path->work[n] = work;
        path->work[n].item.number = n;
        path->work[n].queue = &path->nic.queue[n];
    }
}

/* --- */

void nic_path_init(struct hypervisor *h, struct nic_path *path)
{
    path->port.interrupt = message_goes_out;
    if (path->backend != NIC_NO_BACKEND)
        backend_init(h, path);
    path->nic.events = h->events;
    path->nic.trace = h->trace;
    path->nic.port = &path->port;
    nic_init(&path->nic, path->config);
    for (unsigned n = 0; n < path->nic.queues; n++) {
        path->device[n].queue = &path->nic.queue[n];
        h->rx_queue[path->nic.queue[n].number] = &path->nic.queue[n];
    }
}

/* One descriptor a turn, so that interrupts find the loop between two frames. */
void nic_path_poll(struct vcpu *v, const struct guest_insn *i)
{
    struct hypervisor *h = v->hypervisor;
    const uint64_t word = i->operand[0], budget = i->operand[2];
    struct guest_frame *f = v->guest.frame;

    vcpu_pay(v, COST_GUEST_RX_LOOK);
    if (nic_take(h->rx_queue[i->operand[1]], v->index)) {
        vcpu_pay(v, COST_GUEST_RX_FRAME);
        h->word[word]++;
        guest_word_changed(h, word);
        if (++f->polled != budget)
            return;
    }
    f->polled = 0;
    guest_next(&v->guest);
}

void nic_path_unmask(struct vcpu *v, const struct guest_insn *i)
{
    vcpu_pay(v, COST_GUEST_RX_UNMASK);
    nic_unmask(v->hypervisor->rx_queue[i->operand[0]]);
    guest_next(&v->guest);
}

void nic_path_taken_by_host(struct pcpu *p, struct device *d)
{
    if (!d->queue || !feature_in(p->hypervisor->features, FEATURE_MASKED_DELIVERY))
        return;
    nic_mask(d->queue);
    if (p->current && p->current->vcpu)
        vcpu_pay(p->current->vcpu, COST_KVM_RX_MASK);
}
