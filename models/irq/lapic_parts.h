/* What the parts of the local APIC ask of each other; nobody else's affair. */
#ifndef VIRQSIM_IRQ_LAPIC_PARTS_H
#define VIRQSIM_IRQ_LAPIC_PARTS_H

#include "irq/lapic.h"

/* SDM 3A "Valid Interrupt Vectors": 0 to 15 are reserved and make an error. */
enum { LAPIC_FIRST_VECTOR = 16 };

/* lapic.c */
void lapic_error(struct lapic *l, uint32_t esr_bit);
struct irq_msg lapic_self_message(const struct lapic *l, uint8_t vector);

/* lapic_registers.c. The effect of a write finds the new value in the register; `old` is what
   was there before, which is the new value too where virtualization hardware wrote first. */
void lapic_on_lvt(struct lapic *l, uint32_t old, sim_time now);

/* lapic_timer.c */
void lapic_on_lvt_timer(struct lapic *l, uint32_t old, sim_time now);
void lapic_on_timer_initial(struct lapic *l, uint32_t old, sim_time now);
void lapic_on_timer_divide(struct lapic *l, uint32_t old, sim_time now);
uint32_t lapic_timer_current(const struct lapic *l, sim_time now);

/* Disarmed, and as the registers say. */
void lapic_timer_reset(struct lapic *l);
#endif
