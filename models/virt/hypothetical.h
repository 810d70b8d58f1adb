/*
 * Hypothetical features: hardware that a plan declares instead of a file here.
 *
 * A declaration is a set of rules: which access, under which condition, is
 * virtualized or leaves the guest, at what cost, with what effect. All three
 * vocabularies are tables (hypothetical_accesses.def, _conditions.def,
 * _effects.def). The rules stand before the operations of the technology
 * underneath, which keeps every access that no rule names: install() puts them
 * into a copy of its struct virt_ops, so a machine without declarations has none
 * of this on its way.
 *
 * An access that is named has a rule for each cell: each combination of values
 * of its conditions. Whoever fills the table sees to that (sim/plan_hypothetical.c).
 *
 * Left out: what docs/hypothetical.md says cannot be expressed.
 */
#ifndef VIRQSIM_VIRT_HYPOTHETICAL_H
#define VIRQSIM_VIRT_HYPOTHETICAL_H

#include "virt/virt.h"

enum hypothetical_condition {
#define CONDITION(id, ...) CONDITION_##id,
#include "virt/hypothetical_conditions.def"
#undef CONDITION
    CONDITION_COUNT
};

enum hypothetical_effect {
#define EFFECT(id, ...) EFFECT_##id,
#include "virt/hypothetical_effects.def"
#undef EFFECT
    EFFECT_COUNT
};

enum hypothetical_access {
#define ACCESS(id, ...) HYPOTHETICAL_##id,
#include "virt/hypothetical_accesses.def"
#undef ACCESS
    HYPOTHETICAL_ACCESS_COUNT
};

enum { CONDITION_VALUES = 4, HYPOTHETICAL_CELLS = 64 };

struct hypothetical_condition_info {
    const char *name, *meaning;
    const char *value[CONDITION_VALUES + 1]; /* NULL past the last */
};
extern const struct hypothetical_condition_info hypothetical_conditions[CONDITION_COUNT];

/* What there must be beside an effect. */
enum hypothetical_needs {
    HYPOTHETICAL_NEEDS_NONE,
    HYPOTHETICAL_NEEDS_DELIVERY,
    HYPOTHETICAL_NEEDS_POSTING,
    HYPOTHETICAL_NEEDS_EXPIRY,
};

struct hypothetical_effect_info {
    const char *name;
    enum hypothetical_needs needs;
    const char *meaning;
};
extern const struct hypothetical_effect_info hypothetical_effects[EFFECT_COUNT];

struct hypothetical_access_info {
    const char *name;
    uint32_t conditions, effects; /* bit n: enumerator n */
    uint64_t exits;               /* bit n: enum exit_reason n */
    const char *meaning;
};
extern const struct hypothetical_access_info hypothetical_accesses[HYPOTHETICAL_ACCESS_COUNT];

/* How many values a condition has; how many cells an access has, and which value a condition has
   in one of them (0 for a condition that is not the access's). */
unsigned hypothetical_values(enum hypothetical_condition c);
unsigned hypothetical_cells(enum hypothetical_access a);
unsigned hypothetical_value_in(enum hypothetical_access a, unsigned cell,
                               enum hypothetical_condition c);

#define HYPOTHETICAL_VERDICTS(VERDICT)                                                         \
    VERDICT(UNCHANGED, "unchanged", "as the technology underneath has it")                     \
    VERDICT(VIRTUALIZED, "virtualized", "the guest goes on")                                   \
    VERDICT(TRAPS, "traps", "the guest leaves, with an exit reason")

enum hypothetical_verdict {
#define VERDICT(id, name, meaning) HYPOTHETICAL_##id,
    HYPOTHETICAL_VERDICTS(VERDICT) HYPOTHETICAL_VERDICT_COUNT
#undef VERDICT
};

struct hypothetical_rule {
    enum hypothetical_verdict verdict;
    enum hypothetical_effect effect; /* of VIRTUALIZED */
    enum exit_reason reason;         /* of TRAPS */
    cycles cost; /* VIRTUALIZED: in place of the hardware's; TRAPS: on top of the exit's */
};

/* The effect that an exit after the access has had by then; EFFECT_NOTHING when the handler is to
   complete the access. */
enum hypothetical_effect hypothetical_before_exit(enum exit_reason reason);

/* All features that a plan declares, together. */
struct hypothetical {
    const struct hypothetical_rule *rule;
    uint8_t rule_of[HYPOTHETICAL_ACCESS_COUNT][HYPOTHETICAL_CELLS]; /* plus 1; 0: no rule */
    bool watches; /* a rule looks at other vCPUs' descriptors, or posts into them */
    bool
        with_apicv; /* the technology underneath delivers: without that, no rules for the APIC */

    struct apic_fabric *fabric;  /* who is meant by a message */
    const struct virt_ops *base; /* the technology underneath */
    struct virt_ops ops;         /* its operations, those with rules replaced */
};

static inline bool hypothetical_declares(const struct hypothetical *h,
                                         enum hypothetical_access a)
{
    return h->rule_of[a][0];
}

/* The rules in front of `base`. Without an APIC in the hypervisor's kernel part the accesses to
   it are not the hardware's to virtualize, and stay as they are. */
void hypothetical_install(struct hypothetical *h, const struct virt_ops *base,
                          struct apic_fabric *fabric, bool apic_in_kernel);
#endif
