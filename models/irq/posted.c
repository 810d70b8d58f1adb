/* The posted-interrupt descriptor: a post by whoever has an interrupt, a sync by the target. */
#include "irq/posted.h"

bool posted_notifies(const struct posted_descriptor *d, bool urgent)
{
    return !d->on && (urgent || !d->sn);
}

bool posted_request(struct posted_descriptor *d, uint8_t vector, trace_flow flow)
{
    const bool fresh = vec_set(&d->pir, vector);

    trace_put(d->trace, flow, fresh ? TRACE_PENDING : TRACE_COALESCED, d->owner, vector,
              TRACE_HELD_PIR);
    if (fresh)
        d->flow[vector] = flow;
    return fresh;
}

bool posted_set_outstanding(struct posted_descriptor *d, bool urgent)
{
    const bool notifies = posted_notifies(d, urgent);

    if (notifies)
        d->on = true;
    return notifies;
}

static enum posted_answer post(struct posted_descriptor *d, uint8_t vector, trace_flow flow,
                               bool urgent)
{
    const bool fresh = posted_request(d, vector, flow);

    if (posted_set_outstanding(d, urgent))
        return POSTED_NOTIFY;
    return fresh ? POSTED_QUIET : POSTED_COALESCED;
}

enum posted_answer posted_post(struct posted_descriptor *d, uint8_t vector, trace_flow flow)
{
    return post(d, vector, flow, false);
}

enum posted_answer posted_post_urgent(struct posted_descriptor *d, uint8_t vector,
                                      trace_flow flow)
{
    return post(d, vector, flow, true);
}

void posted_clear_outstanding(struct posted_descriptor *d)
{
    d->on = false;
}

int posted_move(struct posted_descriptor *d, struct lapic *apic)
{
    const int highest = vec_highest(&d->pir);

    for (int v = highest; v != NO_VECTOR; v = vec_highest(&d->pir)) {
        vec_clear(&d->pir, (unsigned)v);
        lapic_set_pending(apic, (uint8_t)v, d->flow[v]);
    }
    return highest;
}

int posted_sync(struct posted_descriptor *d, struct lapic *apic)
{
    posted_clear_outstanding(d);
    return posted_move(d, apic);
}

struct irq_msg posted_notification(const struct posted_descriptor *d)
{
    return (struct irq_msg){
        .vector = d->nv,
        .delivery = IRQ_FIXED,
        .dest = d->ndst,
        .source = TRACE_NOWHERE,
    };
}

void posted_restore(struct posted_descriptor *d, const struct posted_descriptor *saved)
{
    struct trace *trace = d->trace;

    *d = *saved;
    d->trace = trace;
}
