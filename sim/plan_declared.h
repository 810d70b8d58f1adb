/* The plan's declared features (docs/hypothetical.md), while they are read. */
#ifndef VIRQSIM_SIM_PLAN_DECLARED_H
#define VIRQSIM_SIM_PLAN_DECLARED_H

#include "plan_parts.h"

/* When a rule applies: a set of values for each condition, or wherever no other rule does. */
struct rule_when {
    bool otherwise;
    uint32_t named;                  /* the conditions that it names; bit n: condition n */
    uint8_t values[CONDITION_COUNT]; /* bit n: value n will do */
};

struct rule_text {
    enum hypothetical_access access;
    struct rule_when when;
    struct hypothetical_rule rule;
};

static inline bool rule_matches(const struct rule_text *r, unsigned cell)
{
    for (uint32_t left = r->when.named; left; left &= left - 1) {
        const enum hypothetical_condition c = (enum hypothetical_condition)__builtin_ctz(left);

        if (!(r->when.values[c] >> hypothetical_value_in(r->access, cell, c) & 1))
            return false;
    }
    return true;
}

/* plan_rule.c: one rule, its words and what fits together; costs are resolved. */
void plan_read_rule(struct build *b, const json_t *json, const struct place *at,
                    struct rule_text *text);
#endif
