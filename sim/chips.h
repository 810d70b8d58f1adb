/* The board of interrupt controllers behind virqsim_chips_*(): chips.c and chips_state.c. */
#ifndef VIRQSIM_SIM_CHIPS_H
#define VIRQSIM_SIM_CHIPS_H

#include "irq/apic_fabric.h"
#include "irq/i8259.h"
#include "irq/ioapic.h"
#include "simulation.h"

/* The state whose changes are reported. */
struct seen {
    struct vec256 set[3]; /* VIRQSIM_IRR, VIRQSIM_ISR, VIRQSIM_TMR */
};

struct cpu {
    struct lapic apic;
    struct lapic_port port;
    struct event timer;
    struct virqsim_chips *chips;
    struct seen before;
};

struct virqsim_chips {
    struct arena arena;
    struct event_queue events;
    struct trace trace;
    struct apic_fabric fabric;
    struct cpu *cpu;
    uint32_t cpus;

    struct i8259 pic;
    struct i8259_port pic_port;
    struct ioapic ioapic;
    struct ioapic_port ioapic_port;
    uint32_t remote_irr_before; /* bit n: of entry n */
    bool accepted;              /* the message that is being routed found somebody */

    struct virqsim_chips_effect *effect;
    uint32_t effects, effects_max;
};
#endif
