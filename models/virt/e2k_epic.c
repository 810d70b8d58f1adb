/* A guest's messages by the Destination Address Table. */
#include "virt/virt.h"

void e2k_name_vector(struct epic_msg *msg)
{
    if (msg->delivery > EPIC_FIXED_IPI)
        msg->vector = EPIC_NMI_VECTOR;
}

bool e2k_is_meant(const struct e2k_guest *g, const struct epic_msg *msg, uint32_t index)
{
    const bool self = g->cepic[index]->config.index == msg->source;

    switch ((enum epic_shorthand)msg->shorthand) {
    case EPIC_FULL:
        return msg->dest == e2k_cepic_id(index);
    case EPIC_SELF:
        return self;
    case EPIC_ALL_BUT_SELF:
        return !self;
    case EPIC_ALL_INCLUDING_SELF:
        break;
    }
    return true;
}

int e2k_core_of(const struct e2k_guest *g, uint32_t index)
{
    return epic_dat_find(&g->dat, g->id, e2k_cepic_id(index));
}

/* The core itself has no need of the table. */
static int core_of(const struct e2k_guest *g, uint32_t index, uint16_t source)
{
    return index == source ? source : e2k_core_of(g, index);
}

static void send_to(struct virt_cpu *v, const struct epic_msg *msg, uint32_t index)
{
    const struct e2k_guest *g = v->guest;
    const int core = core_of(g, index, msg->source);
    const bool hit = core != EPIC_DAT_MISS;
    struct epic_msg one = *msg;

    if (v->target_count)
        one.flow = trace_new_flow(g->trace);
    trace_put(g->trace, one.flow, TRACE_ROUTED, index, one.vector,
              TRACE_PARENT(msg->source, msg->flow));
    if (msg->delivery >= EPIC_INIT) {
        trace_put(g->trace, one.flow, TRACE_REFUSED, index, one.vector, TRACE_REFUSED_MODE);
        return;
    }
    if (hit && cepic_accept(g->cepic[index], &one) != CEPIC_ACCEPTED)
        one.flow = 0;
    v->target[v->target_count++] = (struct avic_target){
        .index = (uint16_t)index, .running = hit, .host = (uint16_t)core, .flow = one.flow};
    if (hit)
        return;
    v->e2k.epic_int = true;
    v->e2k.epic_int2 = *msg;
}

void e2k_send(struct virt_cpu *v, const struct epic_msg *msg)
{
    const struct e2k_guest *g = v->guest;

    v->target_count = 0;
    for (uint32_t i = 0; i < g->count; i++)
        if (e2k_is_meant(g, msg, i))
            send_to(v, msg, i);
    if (v->target_count == 0)
        trace_put(g->trace, msg->flow, TRACE_REFUSED, TRACE_NOWHERE, msg->vector,
                  TRACE_REFUSED_NO_DESTINATION);
}
