/*
 * The posted-interrupt descriptor (SDM 3C "Posted-Interrupt Processing", table
 * "Format of Posted-Interrupt Descriptor"): a set of pending vectors in memory,
 * with ON (outstanding notification), SN (suppress notification), NV (the
 * notification vector) and NDST (the physical CPU to notify).
 */
#ifndef VIRQSIM_IRQ_POSTED_H
#define VIRQSIM_IRQ_POSTED_H

#include "irq/lapic.h"

struct posted_descriptor {
    struct vec256 pir;
    bool on, sn;
    uint8_t nv;
    uint16_t ndst;  /* index of the physical CPU, standing for its APIC ID */
    uint16_t owner; /* vCPU, `where` of trace records */
    trace_flow flow[VECTORS];
    struct trace *trace;
};

enum posted_answer {
    POSTED_NOTIFY,    /* ON was 0 and SN is 0: ON is now 1, send NV to NDST */
    POSTED_QUIET,     /* the PIR bit is new, but ON or SN was set: send nothing */
    POSTED_COALESCED, /* the PIR bit was set already, and so was ON or SN */
};

/* Sets the PIR bit, then ON when a notification is due (the order of SDM 3C "IPI
   Virtualization"). Writes PENDING or COALESCED to the trace. */
enum posted_answer posted_post(struct posted_descriptor *d, uint8_t vector, trace_flow flow);

/* Clears ON, then moves PIR into the APIC's IRR (SDM 3C "Posted-Interrupt Processing", steps
   3 and 5). Returns the highest vector moved, or NO_VECTOR. */
int posted_sync(struct posted_descriptor *d, struct lapic *apic);
#endif
