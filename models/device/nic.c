/* Rings, masks and messages of a network card's receive queues. */
#include "device/nic.h"

/* ---- interrupts ---- */

static void set_mask(struct nic_queue *q, bool masked)
{
    if (q->masked != masked)
        trace_put(q->nic->trace, 0, TRACE_QUEUE_MASK, TRACE_NOWHERE, q->number, masked);
    q->masked = masked;
}

static void message_out(struct msi_port *port, unsigned entry, struct msi_message write)
{
    struct nic *nic = EVENT_OWNER(port, struct nic, msi);

    (void)write; /* where it goes is the owner's affair */
    nic->port->interrupt(nic->port, entry);
}

/* Where there is a reason and no mask: now, or when the moderation allows it. */
static void interrupt(struct nic_queue *q)
{
    struct event_queue *events = q->nic->events;

    if (!q->cause || q->masked)
        return;
    if (time_before(events->now, q->moderation.free_at)) {
        event_arm(events, &q->throttle, q->moderation.free_at);
        return;
    }
    q->cause = false;
    if (q->nic->auto_mask)
        set_mask(q, true);
    moderation_sent(&q->moderation, events->now);
    msix_raise(&q->nic->msix, q->index);
}

static void throttle_ended(struct event *e)
{
    interrupt(EVENT_OWNER(e, struct nic_queue, throttle));
}

void nic_mask(struct nic_queue *q)
{
    set_mask(q, true);
}

void nic_unmask(struct nic_queue *q)
{
    set_mask(q, false);
    q->cause = q->ready > 0;
    interrupt(q);
}

/* ---- frames ---- */

/* The next one is in the ring; `in_flight` are behind it. */
static void enter_ring(struct nic_queue *q, uint32_t in_flight)
{
    q->ready++;
    if (moderation_wants(&q->moderation, q->nic->events->now, in_flight))
        q->cause = true;
    interrupt(q);
}

static void frame_arrived(struct event *e)
{
    struct nic_queue *q = EVENT_OWNER(e, struct nic_queue, arrival);
    struct event_queue *events = q->nic->events;
    const bool full = q->waiting == q->size;
    const uint32_t in_flight = arrivals_in_flight(&q->arrivals);
    struct nic_port *port = q->nic->port;

    trace_put(q->nic->trace, 0, full ? TRACE_FRAME_DROPPED : TRACE_FRAME, TRACE_NOWHERE,
              q->number, q->arrived++);
    if (!full)
        q->ring[(q->head + q->waiting++) % q->size] = events->now;
    event_arm(events, &q->arrival, time_later_of(events->now, arrivals_next(&q->arrivals)));
    if (full)
        return;
    if (port->received)
        port->received(port, q->index);
    else
        enter_ring(q, in_flight);
}

bool nic_deliver(struct nic_queue *q)
{
    if (q->ready == q->waiting)
        return false;
    enter_ring(q, q->waiting - q->ready - 1);
    return true;
}

bool nic_take(struct nic_queue *q, unsigned vcpu)
{
    struct nic *nic = q->nic;

    if (q->ready == 0) {
        moderation_taken(&q->moderation, q->taken);
        q->taken = 0;
        return false;
    }
    trace_put(nic->trace, 0, TRACE_FRAME_TAKEN, vcpu, q->number,
              nic->events->now.ps - q->ring[q->head].ps);
    q->head = (q->head + 1) % q->size;
    q->waiting--;
    q->ready--;
    q->taken++;
    return true;
}

/* ---- */

static void queue_init(struct nic *nic, unsigned n, const struct nic_queue_config *config)
{
    struct nic_queue *q = &nic->queue[n];

    *q = (struct nic_queue){
        .nic = nic,
        .index = (uint16_t)n,
        .number = config->number,
        .ring = config->ring,
        .size = config->size,
    };
    arrivals_init(&q->arrivals, &config->arrivals);
    moderation_init(&q->moderation, &config->moderation);
    event_init(nic->events, &q->arrival, EVENT_PHASE_DEVICE, frame_arrived);
    event_init(nic->events, &q->throttle, EVENT_PHASE_DEVICE, throttle_ended);
    event_arm(nic->events, &q->arrival, arrivals_next(&q->arrivals));
    msix_table_write(&nic->msix,
                     n * MSIX_ENTRY_BYTES + offsetof(struct msix_entry, VECTOR_CONTROL), 4, 0);
}

void nic_init(struct nic *nic, const struct nic_queue_config *config)
{
    const struct msix_config msix = {
        .entries = nic->queues,
        .table = nic->table,
        .pending = &nic->pending,
        .port = &nic->msi,
    };
    enum { CONTROL = 2, ENABLE = 1 << 15 };

    nic->msi.send = message_out;
    msix_init(&nic->msix, &msix);
    for (unsigned n = 0; n < nic->queues; n++)
        queue_init(nic, n, &config[n]);
    msix_write(&nic->msix, CONTROL, 2, ENABLE);
}
