/*
 * The fabric between the APICs: SDM 3A "Determining IPI Destination".
 *
 * apic_matches() is the whole truth and would do alone; where_to_look() only
 * keeps it from asking a thousand APICs about a message that names one.
 */
#include "irq/apic_fabric.h"

/* ---- does this APIC answer? ---- */

enum { XAPIC_BROADCAST = 0xff, FLAT = 0xf, CLUSTER = 0x0, ALL_CLUSTERS = 0xf };
#define X2APIC_BROADCAST UINT32_MAX

/* SDM 3A "Physical Destination Mode". */
static bool matches_physical(const struct lapic *l, uint32_t dest)
{
    const uint32_t broadcast =
        l->mode == LAPIC_MODE_X2APIC ? X2APIC_BROADCAST : XAPIC_BROADCAST;

    return dest == broadcast || dest == lapic_id(l);
}

/* SDM 3A "Logical Destination Mode": the two models of the DFR; its other codes match nothing.
 */
static bool matches_logical_xapic(const struct lapic *l, uint32_t dest)
{
    const uint32_t id = lapic_logical_id(l), model = l->regs.DFR >> 28;

    if (dest == XAPIC_BROADCAST && lapic_follows(l, LAPIC_QUIRK_LOGICAL_FF))
        return true;
    if (model == FLAT)
        return (dest & id) != 0;
    if (model != CLUSTER || !(dest & id & 0xf))
        return false;
    if (dest >> 4 == ALL_CLUSTERS && !lapic_follows(l, LAPIC_QUIRK_CLUSTER_F))
        return true;
    return dest >> 4 == id >> 4;
}

/* SDM 3A "Logical Destination Mode in x2APIC Mode". */
static bool matches_logical_x2apic(const struct lapic *l, uint32_t dest)
{
    const uint32_t id = lapic_logical_id(l);

    if (dest == X2APIC_BROADCAST)
        return true;
    return dest >> 16 == id >> 16 && (dest & id & 0xffff);
}

bool apic_matches(const struct lapic *l, const struct irq_msg *msg)
{
    if (l->mode == LAPIC_MODE_DISABLED)
        return false;
    if (!msg->logical)
        return matches_physical(l, msg->dest);
    if (l->mode == LAPIC_MODE_X2APIC)
        return matches_logical_x2apic(l, msg->dest);
    return matches_logical_xapic(l, msg->dest);
}

static bool is_meant(const struct apic_fabric *f, const struct irq_msg *msg, uint32_t index)
{
    switch ((enum irq_shorthand)msg->shorthand) {
    case IRQ_SELF:
        return index == msg->source;
    case IRQ_ALL_INCLUDING_SELF:
        return true;
    case IRQ_ALL_BUT_SELF:
        return index != msg->source;
    case IRQ_NO_SHORTHAND:
        break;
    }
    return apic_matches(f->apic[index], msg);
}

/* ---- where to look ---- */

struct span {
    uint32_t first, end;
};

/* Nobody else has this x2APIC ID: those are unique, and no register changes them. */
static bool is_at_its_index(const struct apic_fabric *f, uint32_t id)
{
    return id < f->count && f->apic[id]->mode == LAPIC_MODE_X2APIC &&
           lapic_id(f->apic[id]) == id;
}

/* A cluster is sixteen IDs in a row; the members that are meant, when they sit in a row too. */
static struct span cluster_or(const struct apic_fabric *f, uint32_t dest, struct span otherwise)
{
    const uint32_t first = dest >> 16 << 4;
    struct span span = otherwise;

    for (uint32_t members = dest & 0xffff; members; members &= members - 1) {
        const uint32_t id = first + (uint32_t)__builtin_ctz(members);
        if (!is_at_its_index(f, id))
            return otherwise;
        span = (struct span){first, id + 1};
    }
    return span;
}

/* Everybody, unless the APICs that are meant sit at the indices that their IDs suggest. */
static struct span where_to_look(const struct apic_fabric *f, const struct irq_msg *msg)
{
    const struct span everybody = {0, f->count};
    const uint32_t dest = msg->dest;

    if (msg->shorthand == IRQ_SELF && msg->source < f->count)
        return (struct span){msg->source, msg->source + 1u};
    if (msg->shorthand != IRQ_NO_SHORTHAND || dest == X2APIC_BROADCAST)
        return everybody;
    if (msg->logical)
        return cluster_or(f, dest, everybody);
    return is_at_its_index(f, dest) ? (struct span){dest, dest + 1} : everybody;
}

/* ---- who gets it ---- */

/* SDM 3A "Lowest Priority Delivery Mode": a P6 processor that has this interrupt pending or in
   service, unless its SVR says not to look. Later processors know no focus. */
static bool is_focus(const struct lapic *l, uint8_t vector)
{
    return l->config.p6 && !(l->regs.SVR & LAPIC_SVR_NO_FOCUS) &&
           (vec_has(&l->regs.IRR, vector) || vec_has(&l->regs.ISR, vector));
}

static uint8_t priority_of(const struct lapic *l)
{
    return l->config.p6 ? lapic_apr(l) : lapic_ppr(l);
}

/* One of those who are meant: the first focus; else the one with the lowest priority, of equals
   the one with the lowest index. f->count when nobody can take it. */
static uint32_t lowest_priority(const struct apic_fabric *f, const struct irq_msg *msg,
                                struct span span)
{
    uint32_t best = f->count;

    for (uint32_t i = span.first; i < span.end; i++) {
        if (!is_meant(f, msg, i) || !lapic_enabled(f->apic[i]))
            continue;
        if (is_focus(f->apic[i], msg->vector))
            return i;
        if (best == f->count || priority_of(f->apic[i]) < priority_of(f->apic[best]))
            best = i;
    }
    return best;
}

static void nobody(struct apic_fabric *f, const struct irq_msg *msg)
{
    trace_put(f->trace, msg->flow, TRACE_REFUSED, TRACE_NOWHERE, msg->vector,
              TRACE_REFUSED_NO_DESTINATION);
    if (msg->source < f->count)
        lapic_not_accepted(f->apic[msg->source]);
}

/* Of APICs with one xAPIC ID each gets a physical message, unless a reference says otherwise. */
static bool is_the_last(const struct apic_fabric *f, const struct irq_msg *msg, uint32_t index)
{
    const bool names_one = msg->shorthand == IRQ_NO_SHORTHAND && !msg->logical;

    return names_one && lapic_follows(f->apic[index], LAPIC_QUIRK_ONE_ID) &&
           msg->dest == lapic_id(f->apic[index]) && msg->dest != XAPIC_BROADCAST;
}

unsigned apic_fabric_route(struct apic_fabric *f, const struct irq_msg *msg,
                           apic_fabric_accept *accept, void *context)
{
    struct span span = where_to_look(f, msg);
    struct irq_msg one = *msg;
    unsigned found = 0;

    if (msg->delivery == IRQ_LOWEST_PRIORITY) {
        const uint32_t best = lowest_priority(f, msg, span);
        span = best == f->count ? (struct span){0, 0} : (struct span){best, best + 1};
    }
    for (uint32_t i = span.first; i < span.end; i++) {
        if (!is_meant(f, msg, i))
            continue;
        if (found++)
            one.flow = trace_new_flow(f->trace);
        trace_put(f->trace, one.flow, TRACE_ROUTED, i, msg->vector,
                  TRACE_PARENT(msg->source, msg->flow));
        accept(context, i, &one);
        if (is_the_last(f, msg, i))
            break;
    }
    if (!found)
        nobody(f, msg);
    return found;
}

unsigned apic_fabric_find(const struct apic_fabric *f, const struct irq_msg *msg,
                          apic_fabric_accept *found, void *context)
{
    const struct span span = where_to_look(f, msg);
    unsigned count = 0;

    for (uint32_t i = span.first; i < span.end; i++) {
        if (!is_meant(f, msg, i))
            continue;
        found(context, i, msg);
        count++;
        if (is_the_last(f, msg, i))
            break;
    }
    return count;
}
