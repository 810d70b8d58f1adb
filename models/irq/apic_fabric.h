/*
 * The fabric between the APICs: who is meant by a message.
 *
 * SDM 3A "Determining IPI Destination", "Lowest Priority Delivery Mode". The
 * fabric resolves; what acceptance means is the receiver's affair (a core's
 * APIC takes it, a hypervisor may post it), so it calls back for each one.
 */
#ifndef VIRQSIM_IRQ_APIC_FABRIC_H
#define VIRQSIM_IRQ_APIC_FABRIC_H

#include "irq/lapic.h"

enum { APIC_FABRIC_MAX = 1024 };

struct apic_fabric {
    struct lapic **apic; /* by index; the caller's array */
    uint32_t count;      /* at most APIC_FABRIC_MAX */
    struct trace *trace;
};

typedef void apic_fabric_accept(void *context, unsigned index, const struct irq_msg *msg);

/*
 * Resolves `msg` and calls `accept` for each destination, in ascending order of
 * index. The first destination keeps msg->flow, each further one gets a flow of
 * its own; each is announced by ROUTED (where: the destination; b: its parent,
 * msg->flow). Without a destination: REFUSED, where NOWHERE. Returns how many.
 */
unsigned apic_fabric_route(struct apic_fabric *f, const struct irq_msg *msg,
                           apic_fabric_accept *accept, void *context);

/* The same destinations of a fixed message, in the same order, without a word to the trace. */
unsigned apic_fabric_find(const struct apic_fabric *f, const struct irq_msg *msg,
                          apic_fabric_accept *found, void *context);

/* Does `l` answer to this destination (no shorthand)? Three cases: physical, logical flat
   or cluster by DFR, x2APIC cluster. */
bool apic_matches(const struct lapic *l, const struct irq_msg *msg);
#endif
