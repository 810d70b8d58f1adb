/*
 * A virtio block device with one request queue (VIRTIO 1.2, 5.2), over PCI (4.1): the
 * notification, the ISR status, the interrupt.
 *
 * To wire it: virtio_blk_notified() is what the notification's reader does, whoever that is;
 * `start` begins a request, which virtio_blk_complete() ends. `interrupt` is an MSI-X message,
 * or with `intx` the level of a line. The driver's half (virtio_blk_submit() and so on)
 * is the guest's.
 */
#ifndef VIRQSIM_DEVICE_VIRTIO_BLK_H
#define VIRQSIM_DEVICE_VIRTIO_BLK_H

#include "device/virtqueue.h"

/* 5.2.6: header, data, status; one descriptor where VIRTIO_F_INDIRECT_DESC is negotiated. */
enum { VIRTIO_BLK_CHAIN = 3, VIRTIO_BLK_INDIRECT = 1 };
enum { VIRTIO_ISR_QUEUE = 1 };

struct virtio_blk_port {
    void (*start)(struct virtio_blk_port *self, unsigned head);
    void (*interrupt)(struct virtio_blk_port *self, bool level);
};

struct virtio_blk {
    struct virtqueue queue;
    uint16_t descriptors; /* of a request */
    uint16_t next_head;   /* the driver's; heads go round */
    bool intx;
    uint8_t isr;
    struct virtio_blk_port *port;
};

/* `size`: of the queue; `indirect`: VIRTIO_F_INDIRECT_DESC. */
void virtio_blk_init(struct virtio_blk *b, uint16_t size, bool event_idx, bool indirect,
                     bool intx, struct virtio_blk_port *port);

/* The driver: a request into the ring. Its head, or VIRTQUEUE_NONE: the ring is full. */
int virtio_blk_submit(struct virtio_blk *b);

/* The device: takes what is available, and what becomes available meanwhile. */
void virtio_blk_notified(struct virtio_blk *b);
/* The request under `head` is done. */
void virtio_blk_complete(struct virtio_blk *b, unsigned head);
/* The guest reads the ISR status, which lowers the line (4.1.4.5). */
uint8_t virtio_blk_read_isr(struct virtio_blk *b);
#endif
