#include "cost/cost.h"

const struct cost_key_info cost_keys[COST_KEY_COUNT] = {
#define COST(id, name, meaning) [COST_##id] = {name, meaning},
#include "cost/cost_keys.def"
#undef COST
};
