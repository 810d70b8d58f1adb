/*
 * User interrupts: SDM 3A chapter "User Interrupts", SDM 2 "SENDUIPI".
 *
 * A sender posts a user vector into the target's descriptor (UPID) and notifies
 * it by an ordinary interrupt, which the target's processor takes for a
 * notification when its vector is UINV: what was posted becomes requests (UIRR),
 * and those are delivered to user code as long as UIF allows it, without the
 * kernel. This file is one logical processor's part of that; sending the
 * notification, and what VMX makes of it, are vmx_interrupts.c's.
 *
 * Left out: CPL, canonical addresses, the stack frame of a delivery, the XSAVE
 * state component and the MSRs. docs/models/uintr.md.
 */
#ifndef VIRQSIM_VIRT_UINTR_H
#define VIRQSIM_VIRT_UINTR_H

#include "port/trace.h"

enum { UINTR_VECTORS = TRACE_USER_VECTORS, UINTR_UPID_SIZE = 64 };

enum uintr_field {
#define FIELD(structure, name, high, low, section, meaning) UINTR_##structure##_##name,
#include "virt/uintr_fields.def"
#undef FIELD
    UINTR_FIELD_COUNT
};

/* A UITT entry, or the part of a UPID that is defined: 128 bits of memory. */
struct uintr_words {
    uint64_t word[2];
};
uint64_t uintr_get(const struct uintr_words *w, enum uintr_field f);
void uintr_put(struct uintr_words *w, enum uintr_field f, uint64_t value);

/* A UPID, and what memory does not hold: whose it is, and the flows of what is posted. */
struct uintr_upid {
    struct uintr_words words;
    uint16_t owner; /* vCPU, `where` of trace records */
    trace_flow flow[UINTR_VECTORS];
    struct trace *trace;
};

/* A logical processor with CR4.UINTR = 1. */
struct uintr {
    uint64_t uirr; /* bit n: user vector n requests service */
    bool uif;
    uint8_t uinv;
    struct uintr_upid *upid; /* UPIDADDR */
    /* UITTADDR, and as many entries as UITTSZ + 1; 0: IA32_UINTR_TT[0], "SENDUIPI is enabled", is 0. */
    const struct uintr_words *uitt;
    uint32_t uitt_entries;
    /* The memory that UPIDADDRs point into: the n-th UPID is at linear address n * 64. */
    struct uintr_upid *memory;
    uint32_t memory_upids;
    trace_flow flow[UINTR_VECTORS]; /* of the requests in UIRR */
};

/* --- SENDUIPI --- */

enum uintr_outcome {
    UINTR_POSTED, /* PUIR has it; ON or SN was set: nobody is notified */
    UINTR_NOTIFY, /* and an ordinary IPI with vector NV goes to NDST */
    UINTR_UD,     /* #UD: SENDUIPI is not enabled */
    UINTR_GP,     /* #GP(0): beyond UITTSZ, not valid, or a reserved bit is set */
    UINTR_PF,     /* #PF: no memory at UPIDADDR */
};

struct uintr_sent {
    enum uintr_outcome outcome;
    uint8_t nv;
    uint32_t ndst;
};

/* SDM 2 "SENDUIPI", of entry `index`. `flow` was raised by `sender`; unless there is a fault,
   writes its ROUTED, and PENDING or COALESCED, to the trace. */
struct uintr_sent uintr_send(struct uintr *u, uint64_t index, trace_flow flow, uint16_t sender);

/* The flow that would be raised: the user vector of a valid entry, for the trace. */
uint8_t uintr_vector_of(const struct uintr *u, uint64_t index);

/* --- the receiver --- */

/* SDM 3A "User-Interrupt Notification Processing": ON is cleared, PUIR becomes UIRR. */
void uintr_process_notification(struct uintr *u);

/* SDM 3A "User-Interrupt Recognition" and "User-Interrupt Delivery", as far as UIRR and UIF go. */
static inline bool uintr_pending(const struct uintr *u)
{
    return u->uirr && u->uif;
}

/* The delivery of the highest request: its user vector. Something must be pending. */
uint8_t uintr_deliver(struct uintr *u);

/* UIRET and STUI set UIF, CLUI clears it. */
static inline void uintr_set_uif(struct uintr *u, bool uif)
{
    u->uif = uif;
}
#endif
