/*
 * The posted-interrupt descriptor: a set of pending vectors in memory, with ON
 * (outstanding notification), SN (suppress notification), NV (the notification
 * vector) and NDST (the physical CPU to notify).
 *
 * Three parties share it. A CPU posts (SDM 3C "IPI Virtualization"), and so does
 * the remapping hardware (VT-d 5.2.3 "Interrupt-Posting Hardware Operation"), which
 * knows urgent requests; the target's CPU takes what was posted (SDM 3C
 * "Posted-Interrupt Processing"). docs/models/posted.md.
 */
#ifndef VIRQSIM_IRQ_POSTED_H
#define VIRQSIM_IRQ_POSTED_H

#include "irq/lapic.h"

struct posted_descriptor {
    struct vec256 pir;
    bool on, sn;
    uint8_t nv;
    uint32_t ndst;  /* APIC ID of the physical CPU; a machine may use the CPU's index */
    uint16_t owner; /* vCPU, `where` of trace records */
    trace_flow flow[VECTORS];
    struct trace *trace;
};

enum posted_answer {
    POSTED_NOTIFY,    /* ON was 0 and nothing suppresses: ON is now 1, send NV to NDST */
    POSTED_QUIET,     /* the PIR bit is new, but ON or SN was set: send nothing */
    POSTED_COALESCED, /* the PIR bit was set already, and so was ON or SN */
};

/* Would a request be notified: ON = 0, and SN = 0 or the request is urgent. Changes nothing. */
bool posted_notifies(const struct posted_descriptor *d, bool urgent);

/* Sets the PIR bit, then ON when a notification is due. Writes PENDING or COALESCED to the
   trace. The urgent form is for IRTEs with URG set: SN does not hold its notification back. */
enum posted_answer posted_post(struct posted_descriptor *d, uint8_t vector, trace_flow flow);
enum posted_answer posted_post_urgent(struct posted_descriptor *d, uint8_t vector,
                                      trace_flow flow);

/* Clears ON, then moves PIR into the APIC's IRR (SDM 3C "Posted-Interrupt Processing", steps
   3 and 5). Returns the highest vector moved, or NO_VECTOR. */
int posted_sync(struct posted_descriptor *d, struct lapic *apic);

/*
 * The same in its steps, for agents that others may come between: hardware posts
 * in one atomic access, software in two. PIR before ON, and ON before PIR: in
 * that order no vector is lost, whatever the others do in between.
 */
bool posted_request(struct posted_descriptor *d, uint8_t vector, trace_flow flow); /* new? */
bool posted_set_outstanding(struct posted_descriptor *d, bool urgent); /* notification due? */
void posted_clear_outstanding(struct posted_descriptor *d);
int posted_move(struct posted_descriptor *d, struct lapic *apic);

/* The notification: NV to NDST, fixed, edge, physical (VT-d 5.2.3 "Interrupt-Posting
   Hardware Operation"). Its flow is 0. */
struct irq_msg posted_notification(const struct posted_descriptor *d);

/* ---- as memory holds it ---- */

enum posted_field {
#define FIELD(structure, name, high, low, meaning) POSTED_##structure##_##name,
#include "irq/posted_fields.def"
#undef FIELD
    POSTED_FIELD_COUNT
};

struct posted_memory {
    uint64_t word[8];
};

/* `x2apic` is the form of NDST; in xAPIC form its low 8 bits are kept. */
struct posted_memory posted_pack(const struct posted_descriptor *d, bool x2apic);

/* Owner, flows and trace stay. False, and nothing changes, when a reserved bit is set: fault
   reason 28H of the remapping hardware. A CPU does not check (SDM 3C "Posted-Interrupt
   Processing": those bits are software's). */
bool posted_unpack(struct posted_descriptor *d, const struct posted_memory *m, bool x2apic);

/* Everything but the trace comes from `saved`. */
void posted_restore(struct posted_descriptor *d, const struct posted_descriptor *saved);
#endif
