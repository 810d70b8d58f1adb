/* Costs: the keys, and a profile's values for them. Data with a source: see profiles/. */
#ifndef VIRQSIM_COST_COST_H
#define VIRQSIM_COST_COST_H

#include "port/time.h"

enum cost_key {
#define COST(id, name, meaning) COST_##id,
#include "cost/cost_keys.def"
#undef COST
    COST_KEY_COUNT
};

struct cost_key_info {
    const char *name;
    const char *meaning;
};
extern const struct cost_key_info cost_keys[COST_KEY_COUNT];

struct costs {
    cycles of[COST_KEY_COUNT];
};
#endif
