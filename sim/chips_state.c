/* The state of the chips on the board: read without a trace, and put in their place. */
#include "chips.h"

#include <string.h>

bool virqsim_chips_pic(const struct virqsim_chips *c, uint32_t chip,
                       struct virqsim_pic_state *state)
{
    enum { ICW4_AEOI = 1 << 1 };
    const struct i8259_chip *p = &c->pic.chip[chip & 1];

    *state = (struct virqsim_pic_state){
        .level = p->level,
        .request = p->request,
        .in_service = p->in_service,
        .mask = p->mask,
        .elcr = p->elcr,
        .base = p->base,
        .highest = p->highest,
        .icw1 = p->icw1,
        .icw4 = p->icw4,
        .awaits = p->awaits == I8259_AWAITS_OCW ? 0 : (uint8_t)(p->awaits + 1),
        .auto_eoi = p->icw4 & ICW4_AEOI,
        .special_mask = p->special_mask,
        .poll = p->poll,
        .read_in_service = p->read_in_service,
        .output = i8259_output(&c->pic),
    };
    return chip < 2;
}

bool virqsim_chips_load_pic(struct virqsim_chips *c, uint32_t chip,
                            const struct virqsim_pic_state *state)
{
    if (chip >= 2)
        return false;
    i8259_load(&c->pic, chip,
               &(struct i8259_state){
                   .request = state->request,
                   .level = state->level,
                   .in_service = state->in_service,
                   .mask = state->mask,
                   .base = state->base,
                   .highest = state->highest,
                   .auto_eoi = state->auto_eoi,
               });
    return true;
}

static_assert((int)VIRQSIM_CHIPS_PINS == (int)IOAPIC_PINS, "an entry for each pin");

void virqsim_chips_ioapic(const struct virqsim_chips *c, struct virqsim_ioapic_state *state)
{
    *state = (struct virqsim_ioapic_state){
        .level = c->ioapic.level, .select = c->ioapic.select, .id = c->ioapic.id};
    memcpy(state->entry, c->ioapic.entry, sizeof state->entry);
}

/* A pin that becomes high is driven so; one that was high before is driven once more if it is
   level-triggered, since its entry may be a new one. */
void virqsim_chips_load_ioapic(struct virqsim_chips *c,
                               const struct virqsim_ioapic_state *state)
{
    struct ioapic loaded = c->ioapic;

    memcpy(loaded.entry, state->entry, sizeof loaded.entry);
    loaded.select = (uint8_t)state->select;
    loaded.id = state->id;
    loaded.level &= state->level;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        if (ioapic_is_level(&loaded, pin))
            loaded.level &= ~(UINT32_C(1) << pin);
    ioapic_restore(&c->ioapic, &loaded);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic_drive(&c->ioapic, pin, state->level >> pin & 1);
}

bool virqsim_chips_lapic(const struct virqsim_chips *c, uint32_t cpu,
                         struct virqsim_lapic_state *state)
{
    if (cpu >= c->cpus)
        return false;
    const struct lapic *l = &c->cpu[cpu].apic;
    *state = (struct virqsim_lapic_state){
        .mode = l->mode,
        .id = l->mode == LAPIC_MODE_X2APIC ? l->config.apic_id : l->regs.ID,
        .logical_id = l->mode == LAPIC_MODE_X2APIC ? lapic_logical_id(l) : l->regs.LDR,
        .ppr = lapic_ppr(l),
        .pending = lapic_pending(l),
        .extint = lapic_extint(l),
        .waits_for_sipi = l->waits_for_sipi,
    };
#define REG(name, offset, ...) state->page[(offset) >> 4] = l->regs.name;
#define VEC(name, offset, ...)                                                                 \
    for (unsigned n = 0; n < 8; n++)                                                           \
        state->page[((offset) >> 4) + n] = vec_word32(&l->regs.name, n);
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
    return true;
}

static struct vec256 vectors_at(const struct virqsim_lapic_state *state, uint16_t offset)
{
    const uint32_t *word = &state->page[offset >> 4];
    struct vec256 set;

    for (unsigned n = 0; n < 4; n++)
        set.word[n] = word[2 * n] | (uint64_t)word[2 * n + 1] << 32;
    return set;
}

bool virqsim_chips_load_lapic(struct virqsim_chips *c, uint32_t cpu,
                              const struct virqsim_lapic_state *state)
{
    if (cpu >= c->cpus)
        return false;
    struct lapic_regs *regs = &c->cpu[cpu].apic.regs;
    regs->TPR = state->page[LAPIC_TPR >> 4] & 0xff;
    regs->ISR = vectors_at(state, LAPIC_ISR);
    regs->TMR = vectors_at(state, LAPIC_TMR);
    regs->IRR = vectors_at(state, LAPIC_IRR);
    return true;
}
