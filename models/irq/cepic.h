/*
 * CEPIC: the interrupt controller of an Elbrus core (EPIC, since Elbrus-16C).
 *
 * A fixed message sets its bit of 1024 in PMIRR. The highest one whose class is
 * above the core's priority stands in CIR, where the core reads it by VECT_INTA,
 * which also raises the core's priority to that class. EOI carries the priority
 * that the core had before, and the next one comes up. There is no in-service
 * register: what is in service, the core's priority and the kernel's own stack
 * say. What cannot be masked has a bit in PNMIRR.
 *
 * No manual is public. Names, offsets, fields and the order of events are those
 * that the Linux kernel for e2k relies on; what is inferred or assumed is named
 * in docs/models/epic.md.
 *
 * The core reads time from whoever calls; nothing ticks (as irq/lapic.h). Time,
 * delivery and the machine around it come through the port.
 */
#ifndef VIRQSIM_IRQ_CEPIC_H
#define VIRQSIM_IRQ_CEPIC_H

#include "irq/epic_msg.h"
#include "port/time.h"

/* Offsets in the CEPIC's page: CEPIC_CTRL, CEPIC_ID, ... */
enum cepic_offset {
#define REG(name, offset, ...) CEPIC_##name = (offset),
#define FIELD(...)
#include "irq/cepic_regs.def"
#undef REG
#undef FIELD
};

/* The rows of cepic_regs.def. */
enum cepic_row {
#define REG(name, ...) CEPIC_ROW_##name,
#define FIELD(...)
#include "irq/cepic_regs.def"
#undef REG
#undef FIELD
    CEPIC_ROWS
};

enum cepic_timer_id { CEPIC_TIMER, CEPIC_NM_TIMER, CEPIC_TIMERS };

enum { CEPIC_PNMIRR_BITS = 18 };

enum cepic_answer { CEPIC_ACCEPTED, CEPIC_COALESCED, CEPIC_REFUSED };

struct cepic_port {
    /* ICR was written. */
    void (*send)(struct cepic_port *self, const struct epic_msg *msg);
    /* An EOI: Linux's KVM tells the IOEPIC by it which vector has ended. */
    void (*eoi)(struct cepic_port *self, uint16_t vector);
    /* cepic_timer_expired() is due then, or SIM_TIME_NEVER: not any more. */
    void (*timer_armed)(struct cepic_port *self, enum cepic_timer_id timer, sim_time deadline);
};

struct cepic_config {
    uint16_t index; /* in the machine, and in its trace */
    uint16_t id;    /* bits 9:8 the processor, 7:0 the core */
    bool bootstrap; /* CTRL.bsp_core */
    bool enabled;   /* CTRL.soft_en, as a kernel leaves it */
    struct clock
        clock; /* what the timers count; Linux assumes 100 MHz where firmware is silent */
    struct trace *trace;
    struct cepic_port *port;
};

struct cepic_interrupt {
    uint16_t vector;
    trace_flow flow;
};

struct cepic {
    uint64_t reg[CEPIC_ROWS]; /* those that only store */
    uint64_t pmirr[EPIC_VECTORS / 64];
    bool waiting;                                 /* CIR.STAT ... */
    struct cepic_interrupt current;               /* ... and what stands there */
    struct cepic_interrupt service[EPIC_CLASSES]; /* taken and not ended, by class */
    uint32_t esr_pending;
    sim_time deadline[CEPIC_TIMERS];
    struct cepic_config config;
    trace_flow pending_flow[EPIC_VECTORS];          /* of PMIRR's bits */
    trace_flow nonmaskable_flow[CEPIC_PNMIRR_BITS]; /* of PNMIRR's, or 0 */
};

void cepic_init(struct cepic *c, const struct cepic_config *config);

/* A message for this core. Fixed ones are refused while CTRL.soft_en is 0. */
enum cepic_answer cepic_accept(struct cepic *c, const struct epic_msg *msg);

/* The vector that waits for the core, or -1; and what waits that cannot be masked, by the bits of
   PNMIRR that PNMIRR_MASK does not hold back. */
int cepic_waiting(const struct cepic *c);
uint32_t cepic_nonmaskable(const struct cepic *c);

/* The flow of the first of those, or 0; and how many causes in PNMIRR have one. */
trace_flow cepic_nonmaskable_flow(const struct cepic *c);
unsigned cepic_nonmaskable_count(const struct cepic *c);
/* The causes in `bits` are served by one trap, and their bits about to be cleared: the flow whose
   handler it is, or 0; the others end here. */
trace_flow cepic_serve_nonmaskable(struct cepic *c, uint32_t bits);

/* VECT_INTA is read: the core takes the vector. Without one, SVR's, and nothing changes. */
uint16_t cepic_acknowledge(struct cepic *c);

/* 4 or 8 bytes at an offset in the page, as the register is wide; 8-byte ones also by halves.
   Elsewhere a read gives 0, a write does nothing, and ESR.RQ_ADDR_ERR is noted. */
uint64_t cepic_read(struct cepic *c, uint16_t offset, unsigned size, sim_time now);
void cepic_write(struct cepic *c, uint16_t offset, unsigned size, uint64_t value, sim_time now);

/* How many bytes the register there has; 4 where there is none. */
unsigned cepic_width(uint16_t offset);

/* The message that an ICR of this value sends; and the value for a message. */
struct epic_msg cepic_decode_icr(const struct cepic *c, uint64_t icr);
uint64_t cepic_encode_icr(const struct epic_msg *msg);

/* What CPR was before, in a value of VECT_INTA; and the value of EOI that makes it that again. */
unsigned cepic_inta_priority(uint64_t inta);
uint64_t cepic_encode_eoi(unsigned priority);

/* At or after the deadline last told to timer_armed(). True: `msg` is the interrupt, which the
   timer's owner delivers. The other timer's, of that flow, goes into PNMIRR. */
bool cepic_timer_expired(struct cepic *c, sim_time now, struct epic_msg *msg);
void cepic_nm_timer_expired(struct cepic *c, sim_time now, trace_flow flow);

/* CEPIC_PMIRR_OR and CEPIC_PNMIRR_OR: what gathered in memory while the guest did not run. */
void cepic_or_pending(struct cepic *c, unsigned word, uint64_t bits);
void cepic_or_nonmaskable(struct cepic *c, uint32_t bits);
#endif
