/* What the local APIC's registers and its timer ask of each other; nobody else's affair. */
#ifndef VIRQSIM_IRQ_LAPIC_TIMER_H
#define VIRQSIM_IRQ_LAPIC_TIMER_H

#include "irq/lapic.h"

/* The effects of writes: the register holds its new value, `old` is the one before. */
void lapic_on_lvt_timer(struct lapic *l, uint32_t old, sim_time now);
void lapic_on_timer_initial(struct lapic *l, uint32_t old, sim_time now);
void lapic_on_timer_divide(struct lapic *l, uint32_t old, sim_time now);

/* What TIMER_CURRENT shows. */
uint32_t lapic_timer_current(const struct lapic *l, sim_time now);
void lapic_timer_disarm(struct lapic *l);

/* A fixed interrupt from this APIC to itself. */
struct irq_msg lapic_self_message(const struct lapic *l, uint8_t vector);
/* An LVT entry was written: its mask stays set while the APIC is software-disabled. */
void lapic_on_lvt(struct lapic *l, uint32_t old, sim_time now);
#endif
