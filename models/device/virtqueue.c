/* A split virtqueue: what each end writes, and when it tells the other. */
#include "device/virtqueue.h"

void virtqueue_init(struct virtqueue *q, uint16_t size, bool event_idx)
{
    *q = (struct virtqueue){.size = size, .event_idx = event_idx, .free = size};
}

static uint16_t slot(const struct virtqueue *q, uint16_t index)
{
    return index & (uint16_t)(q->size - 1);
}

/* --- the driver --- */

bool virtqueue_add(struct virtqueue *q, uint16_t head, uint16_t descriptors)
{
    if (descriptors > q->free)
        return false;
    q->free = (uint16_t)(q->free - descriptors);
    q->chain[head] = descriptors;
    q->avail_ring[slot(q, q->avail_idx)] = head;
    q->avail_idx++;
    return true;
}

/* 2.7.13.4: by avail_event, or by the flag. */
bool virtqueue_needs_notification(struct virtqueue *q)
{
    const uint16_t before = q->told;

    q->told = q->avail_idx;
    if (q->event_idx)
        return virtqueue_need_event(q->avail_event, q->avail_idx, before);
    return q->avail_idx != before && !(q->used_flags & VIRTQ_USED_F_NO_NOTIFY);
}

int virtqueue_get_used(struct virtqueue *q)
{
    uint16_t head;

    if (q->used_seen == q->used_idx)
        return VIRTQUEUE_NONE;
    head = q->used_ring[slot(q, q->used_seen++)];
    q->free = (uint16_t)(q->free + q->chain[head]);
    q->chain[head] = 0;
    /* Linux: virtqueue_get_buf(): with interrupts on, the next one is asked for at once. */
    if (q->event_idx && !(q->avail_flags & VIRTQ_AVAIL_F_NO_INTERRUPT))
        q->used_event = q->used_seen;
    return head;
}

/* Linux: virtqueue_disable_cb(). With event indices the event is left where it is, in the past. */
void virtqueue_disable_interrupts(struct virtqueue *q)
{
    q->avail_flags |= VIRTQ_AVAIL_F_NO_INTERRUPT;
}

bool virtqueue_enable_interrupts(struct virtqueue *q)
{
    q->avail_flags &= (uint16_t)~VIRTQ_AVAIL_F_NO_INTERRUPT;
    q->used_event = q->used_seen;
    return q->used_seen == q->used_idx;
}

/* Linux: virtqueue_enable_cb_delayed(). */
bool virtqueue_enable_interrupts_delayed(struct virtqueue *q)
{
    const uint16_t most = (uint16_t)((uint16_t)(q->avail_idx - q->used_seen) * 3 / 4);

    q->avail_flags &= (uint16_t)~VIRTQ_AVAIL_F_NO_INTERRUPT;
    q->used_event = (uint16_t)(q->used_seen + most);
    return (uint16_t)(q->used_idx - q->used_seen) <= most;
}

/* --- the device --- */

int virtqueue_pop(struct virtqueue *q)
{
    if (q->avail_seen == q->avail_idx)
        return VIRTQUEUE_NONE;
    /* QEMU: virtqueue_pop(): the event follows what was taken, unless notifications are off. */
    const uint16_t head = q->avail_ring[slot(q, q->avail_seen++)];
    if (q->event_idx && !(q->used_flags & VIRTQ_USED_F_NO_NOTIFY))
        q->avail_event = q->avail_seen;
    return head;
}

void virtqueue_push(struct virtqueue *q, uint16_t head)
{
    q->used_ring[slot(q, q->used_idx)] = head;
    q->used_idx++;
}

/* 2.7.7.2: by used_event, or by the flag. The first time there is nothing to compare with. */
bool virtqueue_needs_interrupt(struct virtqueue *q)
{
    const uint16_t before = q->signalled;
    const bool first = !q->signalled_once;

    q->signalled = q->used_idx;
    q->signalled_once = true;
    if (q->event_idx)
        return first || virtqueue_need_event(q->used_event, q->used_idx, before);
    return (first || q->used_idx != before) && !(q->avail_flags & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

/* With event indices the flag is the device's own note: the driver looks at avail_event alone. */
void virtqueue_disable_notifications(struct virtqueue *q)
{
    q->used_flags |= VIRTQ_USED_F_NO_NOTIFY;
}

bool virtqueue_enable_notifications(struct virtqueue *q)
{
    q->used_flags &= (uint16_t)~VIRTQ_USED_F_NO_NOTIFY;
    q->avail_event = q->avail_seen;
    return q->avail_seen == q->avail_idx;
}
