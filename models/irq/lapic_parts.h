/* What the parts of the local APIC ask of each other; nobody else's affair. */
#ifndef VIRQSIM_IRQ_LAPIC_PARTS_H
#define VIRQSIM_IRQ_LAPIC_PARTS_H

#include "irq/lapic.h"

/* SDM 3A "Valid Interrupt Vectors": 0 to 15 are reserved and make an error. */
enum { LAPIC_FIRST_VECTOR = 16 };

/* lapic.c */
void lapic_error(struct lapic *l, uint32_t esr_bit);
bool lapic_legal(const struct lapic *l, uint8_t vector);
struct irq_msg lapic_self_message(const struct lapic *l, uint8_t vector);
enum lapic_answer lapic_accept_nmi(struct lapic *l, const struct irq_msg *msg);

/* lapic_lint.c. An interrupt of an LVT entry: to this APIC itself, without travelling. */
enum lapic_answer lapic_raise(struct lapic *l, uint32_t lvt, bool level);
void lapic_on_lint0(struct lapic *l, uint32_t old, sim_time now);
void lapic_on_lint1(struct lapic *l, uint32_t old, sim_time now);
void lapic_lint_reset(struct lapic *l);
void lapic_lint_eoi(struct lapic *l, uint8_t vector);

/* lapic_registers.c. The effect of a write finds the new value in the register; `old` is what
   was there before, which is the new value too where virtualization hardware wrote first. */
bool lapic_has_cmci(const struct lapic *l);
void lapic_on_lvt(struct lapic *l, uint32_t old, sim_time now);

/* lapic_timer.c */
void lapic_on_lvt_timer(struct lapic *l, uint32_t old, sim_time now);
void lapic_on_timer_initial(struct lapic *l, uint32_t old, sim_time now);
void lapic_on_timer_divide(struct lapic *l, uint32_t old, sim_time now);
uint32_t lapic_timer_current(const struct lapic *l, sim_time now);

/* Disarmed, and as the registers say. */
void lapic_timer_reset(struct lapic *l);
#endif
