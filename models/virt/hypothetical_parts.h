/* What the files of the interpreter of declared rules share. */
#ifndef VIRQSIM_VIRT_HYPOTHETICAL_PARTS_H
#define VIRQSIM_VIRT_HYPOTHETICAL_PARTS_H

#include "virt/hypothetical.h"

enum {
    FIRST_LEGAL_VECTOR = 16,
    SLOT_BYTES = 0x10, /* from one register of the APIC to the next */
    SLOTS = 0x400 / SLOT_BYTES,
    MSR_X2APIC_FIRST = 0x800,
};

/* One access. */
struct hypothetical_act {
    enum hypothetical_access access;
    uint64_t value;  /* written; of HOST_INTERRUPT and NOTIFICATION: the vector */
    uint64_t detail; /* an instruction's */
    uint16_t offset; /* of an APIC register */
    bool by_msr;
    struct irq_msg message; /* what an ICR or self-IPI write sends */
    sim_time now;
};

/* --- hypothetical_judges.c --- */

extern unsigned (*const hypothetical_judges[CONDITION_COUNT])(struct virt_cpu *v,
                                                              const struct hypothetical_act *a);
int hypothetical_in_service(const struct virt_cpu *v);
uint8_t hypothetical_ending(const struct virt_cpu *v); /* what an EOI would end */

/* --- hypothetical_effects.c --- */

extern void (*const hypothetical_does[EFFECT_COUNT])(struct virt_cpu *v,
                                                     const struct hypothetical_act *a);

/* --- hypothetical_names.c: which access a read or write of a->offset is. False: of no register that
   rules know. --- */

bool hypothetical_reads(const struct virt_cpu *v, struct hypothetical_act *a);
bool hypothetical_writes(const struct virt_cpu *v, struct hypothetical_act *a);

/* --- hypothetical.c --- */

/* Does what the rule of the access says. False: no rule decides it. */
bool hypothetical_rules(struct virt_cpu *v, const struct hypothetical_act *a,
                        struct virt_verdict *verdict);
#endif
