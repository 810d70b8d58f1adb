/* CEPIC, among its own files: cepic.c (interrupts), cepic_registers.c, cepic_timer.c. */
#ifndef VIRQSIM_IRQ_CEPIC_PARTS_H
#define VIRQSIM_IRQ_CEPIC_PARTS_H

#include "irq/cepic.h"
#include "port/bits.h"

#define REG(...)
#define FIELD(reg, name, high, low, meaning)                                                   \
    static const struct bit_field __attribute__((unused)) CEPIC_##reg##_##name = {high, low};
#include "irq/cepic_regs.def"
#undef REG
#undef FIELD

/* A field of a register that only stores. */
static inline uint64_t cepic_field(const struct cepic *c, enum cepic_row row,
                                   struct bit_field field)
{
    return bits_get(&c->reg[row], field);
}

void cepic_evaluate(struct cepic *c);
void cepic_end(struct cepic *c, uint64_t eoi);
void cepic_error(struct cepic *c, struct bit_field bit);
enum cepic_answer cepic_hold_nonmaskable(struct cepic *c, struct bit_field bit, unsigned vector,
                                         trace_flow flow);
void cepic_withdraw_nonmaskable(struct cepic *c, uint32_t bits);

void cepic_timer_start(struct cepic *c, enum cepic_timer_id timer, sim_time now);
void cepic_timer_divided(struct cepic *c, enum cepic_timer_id timer, uint64_t old,
                         sim_time now);
uint32_t cepic_timer_current(const struct cepic *c, enum cepic_timer_id timer, sim_time now);
#endif
