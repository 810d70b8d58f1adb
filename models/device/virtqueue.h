/*
 * A split virtqueue, both ends of it (Virtual I/O Device (VIRTIO) 1.2, 2.7): the
 * available and the used ring, and who tells whom when.
 *
 * A buffer is a chain of descriptors, known by its head; what is in it, and where,
 * is not kept. Indices count modulo 2^16, as in memory. Each end writes its own ring
 * and reads the other's, so that a plan's two ends may run at any distance.
 */
#ifndef VIRQSIM_DEVICE_VIRTQUEUE_H
#define VIRQSIM_DEVICE_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum { VIRTQUEUE_MAX = 1024, VIRTQUEUE_NONE = -1 };

/* 2.7.6, 2.7.8: in avail.flags and used.flags, where VIRTIO_F_EVENT_IDX is not negotiated. */
enum { VIRTQ_AVAIL_F_NO_INTERRUPT = 1, VIRTQ_USED_F_NO_NOTIFY = 1 };

struct virtqueue {
    uint16_t size; /* of the rings: a power of two */
    bool event_idx;

    /* Shared memory. */
    uint16_t avail_idx, avail_flags, used_event; /* the driver's */
    uint16_t used_idx, used_flags, avail_event;  /* the device's */
    uint16_t avail_ring[VIRTQUEUE_MAX], used_ring[VIRTQUEUE_MAX];

    /* The driver's own. */
    uint16_t free; /* descriptors */
    uint16_t told; /* avail_idx when it last asked whether to notify */
    uint16_t used_seen;
    uint16_t chain[VIRTQUEUE_MAX]; /* descriptors of the buffer with this head */

    /* The device's own. */
    uint16_t avail_seen;
    uint16_t signalled; /* used_idx when it last asked whether to interrupt */
    bool signalled_once;
};

/* 2.7.10: has the index `event` been passed between `before` and `now`? */
static inline bool virtqueue_need_event(uint16_t event, uint16_t now, uint16_t before)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

void virtqueue_init(struct virtqueue *q, uint16_t size, bool event_idx);

/* --- the driver's end --- */

/* A buffer of so many descriptors under `head`, which is the caller's to choose among those that
   are free. False: the ring is full. */
bool virtqueue_add(struct virtqueue *q, uint16_t head, uint16_t descriptors);
/* After some were added: does the device want to be notified? */
bool virtqueue_needs_notification(struct virtqueue *q);
/* The head of the next used buffer, or VIRTQUEUE_NONE. */
int virtqueue_get_used(struct virtqueue *q);
void virtqueue_disable_interrupts(struct virtqueue *q);
/* False: there is something used already, and no interrupt will come for it. */
bool virtqueue_enable_interrupts(struct virtqueue *q);
/* The same, when three in four of those that are under way have been used. */
bool virtqueue_enable_interrupts_delayed(struct virtqueue *q);

/* --- the device's end --- */

/* The head of the next available buffer, or VIRTQUEUE_NONE. */
int virtqueue_pop(struct virtqueue *q);
void virtqueue_push(struct virtqueue *q, uint16_t head);
/* After some were pushed: does the driver want an interrupt? */
bool virtqueue_needs_interrupt(struct virtqueue *q);
void virtqueue_disable_notifications(struct virtqueue *q);
/* False: there is something available already, and no notification will come for it. */
bool virtqueue_enable_notifications(struct virtqueue *q);
#endif
