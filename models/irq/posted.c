/* The posted-interrupt descriptor: a post by whoever has an interrupt, a sync by the target. */
#include "irq/posted.h"

enum posted_answer posted_post(struct posted_descriptor *d, uint8_t vector, trace_flow flow)
{
    const bool fresh = vec_set(&d->pir, vector);

    trace_put(d->trace, flow, fresh ? TRACE_PENDING : TRACE_COALESCED, d->owner, vector,
              TRACE_HELD_PIR);
    if (fresh)
        d->flow[vector] = flow;
    if (!d->on && !d->sn) {
        d->on = true;
        return POSTED_NOTIFY;
    }
    return fresh ? POSTED_QUIET : POSTED_COALESCED;
}

int posted_sync(struct posted_descriptor *d, struct lapic *apic)
{
    const int highest = vec_highest(&d->pir);

    d->on = false;
    for (int v = highest; v != NO_VECTOR; v = vec_highest(&d->pir)) {
        vec_clear(&d->pir, (unsigned)v);
        lapic_set_pending(apic, (uint8_t)v, d->flow[v]);
    }
    return highest;
}
