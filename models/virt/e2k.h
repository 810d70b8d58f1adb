/*
 * Elbrus (e2k): the part of a guest's hardware context that interrupts touch.
 *
 * glaunch enters the guest, an interception leaves it. What intercepts is in
 * VIRT_CTRL_CU; why it did, in INTC_INFO_CU (the control unit: events and
 * exceptions) and INTC_INFO_MU (the memory unit: accesses that found no page).
 * Interrupts for the guest are exceptions, exc_interrupt and exc_nm_interrupt:
 * either the hypervisor adds one to the trap information registers (TIR), or the
 * core's CEPIC, loaded with the guest's number and base, asks for it by itself.
 *
 * A message to a core of the guest finds the physical one in the Destination
 * Address Table (irq/epic_dat.h). Names are those of the Linux kernel for e2k;
 * docs/models/e2k.md says what is known and what is assumed.
 */
#ifndef VIRQSIM_VIRT_E2K_H
#define VIRQSIM_VIRT_E2K_H

#include "irq/cepic.h"
#include "irq/epic_dat.h"
#include "irq/ioepic.h"
#include "irq/prepic.h"
#include "virt/e2k_intc.h"

enum { E2K_CORES = EPIC_DAT_ROWS };

/* Of a guest's IOEPIC: IOEPIC_DEFAULT_BASE_ADDRESS. */
#define E2K_IOEPIC_BASE UINT64_C(0xfec00000)

struct e2k {
    bool g_preempt_tmr; /* G_PREEMPT_TMR.v: the guest's time quantum is counted by the core */
    uint32_t virt_ctrl_cu; /* VIRT_CTRL_CU: which conditional events and exceptions intercept */
    /* PREPIC_CTRL2.virt_en, and the core's CEPIC has GSTBASE and GSTID: the guest's accesses reach
       it, its interrupts come from it. */
    bool epic;
    bool interrupt, nm_interrupt; /* the hypervisor's, in TIR; NMI alone */
    uint32_t mapped_pins;         /* pages of the IOEPIC that are the guest's, a pin each */
    /* CEPIC_EPIC_INT is pending for the host: EPIC_INT2 has the message whose targets missed. */
    bool epic_int;
    struct epic_msg epic_int2;
    struct e2k_intc intc; /* of the last interception */
};

/* One guest, as the machine's PREPICs know it. */
struct e2k_guest {
    struct cepic **cepic; /* by vCPU */
    uint32_t count;       /* at most E2K_CORES */
    uint16_t id;          /* GSTID */
    struct epic_dat dat;
    struct prepic prepic[PREPIC_PROCESSORS];
    struct prepic_port prepic_port;
    struct trace *trace;
};

/* A core's number, of the machine's or of a guest's, from its index: bits 9:8 the processor. */
static inline uint16_t e2k_cepic_id(unsigned index)
{
    return (uint16_t)((index >> 4) << 8 | (index & 15));
}

/* In the trace, and where the guest looks for its handler, what cannot be masked is vector 2. */
void e2k_name_vector(struct epic_msg *msg);
/* Is the core of that index meant by the message. */
bool e2k_is_meant(const struct e2k_guest *g, const struct epic_msg *msg, uint32_t index);

struct virt_cpu;
/* One wide instruction with these causes: INTC_INFO_CU's header, and the event codes of so many
   entries of INTC_INFO_MU, five bits each. */
struct virt_verdict e2k_intercept(struct virt_cpu *v, uint32_t causes, uint64_t events,
                                  unsigned entries);
/* The guest's CEPIC sends: a hit sets PMIRR over there, a miss is the host's to deliver. Both go
   into v->target. */
void e2k_send(struct virt_cpu *v, const struct epic_msg *msg);
/* The physical core where that core of the guest runs, or EPIC_DAT_MISS. */
int e2k_core_of(const struct e2k_guest *g, uint32_t index);
#endif
