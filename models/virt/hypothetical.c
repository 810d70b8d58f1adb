/* The interpreter of declared rules: which cell of an access's rules holds, and what the rule does. */
#include "virt/hypothetical_parts.h"

const struct hypothetical_condition_info hypothetical_conditions[CONDITION_COUNT] = {
#define CONDITION(id, name, meaning, ...) [CONDITION_##id] = {name, meaning, {__VA_ARGS__}},
#include "virt/hypothetical_conditions.def"
#undef CONDITION
};

const struct hypothetical_effect_info hypothetical_effects[EFFECT_COUNT] = {
#define EFFECT(id, name, needs, meaning)                                                       \
    [EFFECT_##id] = {name, HYPOTHETICAL_NEEDS_##needs, meaning},
#include "virt/hypothetical_effects.def"
#undef EFFECT
};

const struct hypothetical_access_info hypothetical_accesses[HYPOTHETICAL_ACCESS_COUNT] = {
#define ACCESS(id, name, conditions, effects, exits, meaning)                                  \
    [HYPOTHETICAL_##id] = {name, conditions, effects, exits, meaning},
#include "virt/hypothetical_accesses.def"
#undef ACCESS
};

_Static_assert(EXIT_E2K_RR_IDR <= 64,
               "the reasons that a row names, VMX's and SVM's, have a bit each");

/* ---- cells: the first condition counts most ---- */

unsigned hypothetical_values(enum hypothetical_condition c)
{
    unsigned n = 0;

    while (hypothetical_conditions[c].value[n])
        n++;
    return n;
}

unsigned hypothetical_cells(enum hypothetical_access a)
{
    unsigned cells = 1;

    for (uint32_t left = hypothetical_accesses[a].conditions; left; left &= left - 1)
        cells *= hypothetical_values((enum hypothetical_condition)__builtin_ctz(left));
    return cells;
}

unsigned hypothetical_value_in(enum hypothetical_access a, unsigned cell,
                               enum hypothetical_condition c)
{
    uint32_t behind = hypothetical_accesses[a].conditions;

    if (!(behind >> c & 1))
        return 0;
    for (behind = behind >> c & ~1u; behind; behind &= behind - 1)
        cell /= hypothetical_values((enum hypothetical_condition)(c + __builtin_ctz(behind)));
    return cell % hypothetical_values(c);
}

/* ---- the ruling ---- */

enum hypothetical_effect hypothetical_before_exit(enum exit_reason reason)
{
    switch (reason) {
    case EXIT_VMX_EOI_INDUCED:
        return EFFECT_RETIRE;
    case EXIT_VMX_TPR_BELOW_THRESHOLD:
        return EFFECT_SET_TPR;
    default:
        return EFFECT_NOTHING;
    }
}

/* SDM 3C "APIC-Write VM Exits" and those of TPR and EOI virtualization follow the access. */
static enum virt_path path_of(enum exit_reason reason)
{
    return reason == EXIT_VMX_APIC_WRITE || hypothetical_before_exit(reason) != EFFECT_NOTHING
               ? VIRT_EXIT_AFTER
               : VIRT_EXIT;
}

static uint64_t qualification_of(enum exit_reason reason, const struct hypothetical_act *a,
                                 uint8_t vector)
{
    switch (reason) {
    case EXIT_VMX_MSR_READ:
    case EXIT_VMX_MSR_WRITE:
    case EXIT_SVM_MSR:
        return a->access == HYPOTHETICAL_TIMER_DEADLINE ? MSR_TSC_DEADLINE
                                                        : lapic_msr(a->offset);
    case EXIT_VMX_APIC_ACCESS:
    case EXIT_VMX_APIC_WRITE:
    case EXIT_SVM_AVIC_NOACCEL:
        return a->offset;
    case EXIT_VMX_EOI_INDUCED:
        return vector;
    default:
        return a->detail;
    }
}

static struct virt_verdict leave(struct virt_cpu *v, const struct hypothetical_act *a,
                                 enum exit_reason reason)
{
    const uint8_t vector = hypothetical_ending(v);

    hypothetical_does[hypothetical_before_exit(reason)](v, a);
    return v->hypothetical->base->leave(v, path_of(reason), reason,
                                        qualification_of(reason, a, vector));
}

/* The rule of this access as things are; NULL: the technology underneath has it. */
static const struct hypothetical_rule *rule_for(struct virt_cpu *v,
                                                const struct hypothetical_act *a)
{
    const struct hypothetical *h = v->hypothetical;
    const struct hypothetical_rule *rule;
    unsigned cell = 0;

    if (!hypothetical_declares(h, a->access))
        return NULL;
    for (uint32_t left = hypothetical_accesses[a->access].conditions; left; left &= left - 1) {
        const enum hypothetical_condition c = (enum hypothetical_condition)__builtin_ctz(left);

        cell = cell * hypothetical_values(c) + hypothetical_judges[c](v, a);
    }
    rule = &h->rule[h->rule_of[a->access][cell] - 1];
    return rule->verdict == HYPOTHETICAL_UNCHANGED ? NULL : rule;
}

bool hypothetical_rules(struct virt_cpu *v, const struct hypothetical_act *a,
                        struct virt_verdict *verdict)
{
    v->ruled = rule_for(v, a);
    if (!v->ruled)
        return false;
    *verdict = (struct virt_verdict){.path = VIRT_DONE, .retired = NO_VECTOR};
    if (v->ruled->verdict == HYPOTHETICAL_TRAPS)
        *verdict = leave(v, a, v->ruled->reason);
    else
        hypothetical_does[v->ruled->effect](v, a);
    return true;
}
