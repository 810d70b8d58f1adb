/* A pair of NVMe queues: who may read how far, and when an interrupt is due. */
#include "device/nvme_queue.h"

#include "device/virtqueue.h"

static uint16_t after(const struct nvme_queue *q, uint16_t index)
{
    return index + 1u == q->size ? 0 : (uint16_t)(index + 1);
}

/* --- the driver --- */

/* "Queue Size", "Full Queue": full is one slot before empty. The driver counts what it has in the
   ring by what was completed. */
int nvme_submit(struct nvme_queue *q)
{
    uint16_t id = q->next_id;

    if (q->in_ring + 1u == q->size)
        return NVME_NONE;
    while (q->used[id])
        id = after(q, id);
    q->used[id] = true;
    q->next_id = after(q, id);
    q->in_ring++;
    q->submission[q->tail] = id;
    q->tail = after(q, q->tail);
    return id;
}

/* "Phase Tag": an entry is new when its phase is that of the round. */
int nvme_reap(struct nvme_queue *q)
{
    const struct nvme_entry e = q->completion[q->head];

    if (e.phase != q->phase)
        return NVME_NONE;
    q->head = after(q, q->head);
    if (q->head == 0)
        q->phase = !q->phase;
    q->used[e.id] = false;
    q->in_ring--;
    return e.id;
}

int nvme_done(const struct nvme_queue *q, unsigned n)
{
    const unsigned slot = (q->head + n) % q->size;
    const bool phase = q->phase ^ (q->head + n >= q->size);

    return n < q->size && q->completion[slot].phase == phase ? q->completion[slot].id
                                                             : NVME_NONE;
}

/* Linux: nvme_dbbuf_update_and_check_event(), whose rule is that of virtqueues. */
static bool tell(const struct nvme_queue *q, uint16_t now, uint16_t *told, uint16_t event)
{
    const uint16_t before = *told;

    *told = now;
    return now != before && (!q->shadow || virtqueue_need_event(event, now, before));
}

bool nvme_tell_tail(struct nvme_queue *q)
{
    return tell(q, q->tail, &q->told_tail, q->tail_event);
}

bool nvme_tell_head(struct nvme_queue *q)
{
    return tell(q, q->head, &q->told_head, q->head_event);
}

/* --- the interrupt --- */

static void interrupt(struct nvme_queue *q)
{
    q->aggregated = 0;
    event_disarm(q->events, &q->due);
    q->port->interrupt(q->port);
}

static void time_is_over(struct event *e)
{
    interrupt(EVENT_OWNER(e, struct nvme_queue, due));
}

static void aggregate(struct nvme_queue *q)
{
    q->aggregated++;
    if (q->aggregated >= q->threshold)
        interrupt(q);
    else if (!event_is_armed(q->events, &q->due))
        event_arm(q->events, &q->due, time_plus_ps(q->events->now, q->time_ps));
}

/* --- the device --- */

static bool is_full(const struct nvme_queue *q)
{
    return after(q, q->posted) == q->head_doorbell;
}

static void post(struct nvme_queue *q, uint16_t id)
{
    q->completion[q->posted] = (struct nvme_entry){id, q->posted_phase};
    q->posted = after(q, q->posted);
    if (q->posted == 0)
        q->posted_phase = !q->posted_phase;
    aggregate(q);
}

/* QEMU: nvme_update_cq_eventidx(), nvme_update_cq_head(). */
static void look_at_head(struct nvme_queue *q)
{
    if (!q->shadow)
        return;
    q->head_event = q->head_doorbell;
    q->head_doorbell = q->told_head;
}

/* QEMU: nvme_update_sq_eventidx(), nvme_update_sq_tail(). */
static void look_at_tail(struct nvme_queue *q)
{
    if (!q->shadow)
        return;
    q->tail_event = q->tail_doorbell;
    q->tail_doorbell = q->told_tail;
}

static void post_waiting(struct nvme_queue *q)
{
    while (q->waiting_count) {
        look_at_head(q);
        if (is_full(q))
            return;
        post(q, q->waiting[q->waiting_first]);
        q->waiting_first = after(q, q->waiting_first);
        q->waiting_count--;
    }
}

/* A doorbell beyond the ring is an error of the driver's: nothing changes. */
void nvme_write_tail(struct nvme_queue *q, uint16_t tail)
{
    if (tail < q->size)
        q->tail_doorbell = tail;
}

void nvme_write_head(struct nvme_queue *q, uint16_t head)
{
    if (head >= q->size)
        return;
    q->head_doorbell = head;
    post_waiting(q);
}

void nvme_process(struct nvme_queue *q)
{
    if (q->shadow)
        q->head_doorbell = q->told_head; /* QEMU: nvme_cq_notifier() */
    post_waiting(q);
    look_at_tail(q);
    while (q->taken != q->tail_doorbell) {
        const uint16_t id = q->submission[q->taken];

        q->taken = after(q, q->taken);
        q->port->start(q->port, id);
        look_at_tail(q);
    }
}

void nvme_complete(struct nvme_queue *q, unsigned id)
{
    q->waiting[(q->waiting_first + q->waiting_count) % q->size] = (uint16_t)id;
    q->waiting_count++;
    post_waiting(q);
}

void nvme_init(struct nvme_queue *q, uint16_t size, bool shadow, uint16_t threshold,
               uint64_t time_ps, struct event_queue *events, struct nvme_port *port)
{
    *q = (struct nvme_queue){
        .size = size,
        .phase = true,
        .posted_phase = true,
        .shadow = shadow,
        .threshold = threshold,
        .time_ps = time_ps,
        .events = events,
        .port = port,
    };
    event_init(events, &q->due, EVENT_PHASE_DEVICE, time_is_over);
}
