/* What the parts of the remapping hardware ask of each other; nobody else's affair. */
#ifndef VIRQSIM_IRQ_REMAP_PARTS_H
#define VIRQSIM_IRQ_REMAP_PARTS_H

#include "irq/remap.h"
#include "port/bits.h"

/* REMAP_IRTE_DST, REMAP_GSTS_IRES, and so on. */
enum remap_field {
#define FIELD(structure, name, high, low, meaning) REMAP_##structure##_##name,
#include "irq/remap_fields.def"
#undef FIELD
    REMAP_FIELD_COUNT
};

extern const struct bit_field remap_fields[REMAP_FIELD_COUNT];

static inline uint64_t remap_get(const uint64_t *word, enum remap_field f)
{
    return bits_get(word, remap_fields[f]);
}

static inline void remap_put(uint64_t *word, enum remap_field f, uint64_t value)
{
    bits_put(word, remap_fields[f], value);
}

/* remap_irte.c. What entry `irte` makes of the request: the verdict's outcome and the rest. */
void remap_apply(const struct remap_words *irte, bool extended, struct remap_verdict *verdict);

/* A redirection hint asks for one of the processors named: that is what lowest priority does. */
static inline uint8_t remap_delivery(unsigned delivery, bool hint)
{
    return (uint8_t)(delivery == IRQ_FIXED && hint ? IRQ_LOWEST_PRIORITY : delivery);
}

/* remap_faults.c */
void remap_record(struct remap *u, const struct remap_verdict *verdict);
bool remap_fault_pending(const struct remap *u);
void remap_fault_clear(struct remap *u, unsigned record);
void remap_fault_serviced(struct remap *u);
void remap_fault_event(struct remap *u);
#endif
