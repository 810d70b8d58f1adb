/* A virtio block device: what comes in by the queue goes to the medium, what is done goes back. */
#include "device/virtio_blk.h"

void virtio_blk_init(struct virtio_blk *b, uint16_t size, bool event_idx, bool indirect,
                     bool intx, struct virtio_blk_port *port)
{
    *b = (struct virtio_blk){
        .descriptors = indirect ? VIRTIO_BLK_INDIRECT : VIRTIO_BLK_CHAIN,
        .intx = intx,
        .port = port,
    };
    virtqueue_init(&b->queue, size, event_idx);
}

/* Heads are free in the order in which requests end; any head whose descriptors are free will do. */
static uint16_t free_head(struct virtio_blk *b)
{
    const uint16_t mask = (uint16_t)(b->queue.size - 1);

    while (b->queue.chain[b->next_head])
        b->next_head = (uint16_t)(b->next_head + 1) & mask;
    return b->next_head;
}

int virtio_blk_submit(struct virtio_blk *b)
{
    uint16_t head;

    if (b->queue.free < b->descriptors)
        return VIRTQUEUE_NONE;
    head = free_head(b);
    virtqueue_add(&b->queue, head, b->descriptors);
    return head;
}

/* QEMU: virtio_blk_handle_vq(): no notifications while it takes requests, and a last look after. */
void virtio_blk_notified(struct virtio_blk *b)
{
    int head;

    do {
        virtqueue_disable_notifications(&b->queue);
        while ((head = virtqueue_pop(&b->queue)) != VIRTQUEUE_NONE)
            b->port->start(b->port, (unsigned)head);
    } while (!virtqueue_enable_notifications(&b->queue));
}

void virtio_blk_complete(struct virtio_blk *b, unsigned head)
{
    virtqueue_push(&b->queue, (uint16_t)head);
    if (!virtqueue_needs_interrupt(&b->queue))
        return;
    b->isr |= VIRTIO_ISR_QUEUE;
    b->port->interrupt(b->port, true);
}

uint8_t virtio_blk_read_isr(struct virtio_blk *b)
{
    const uint8_t isr = b->isr;

    b->isr = 0;
    if (b->intx && isr)
        b->port->interrupt(b->port, false);
    return isr;
}
