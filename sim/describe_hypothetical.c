/* The words of declared features: accesses, conditions and effects, from the models' tables. */
#include "describe.h"

static json_t *condition_names(uint32_t set)
{
    json_t *list = json_array();

    for (; set; set &= set - 1)
        json_array_append_new(list,
                              json_string(hypothetical_conditions[__builtin_ctz(set)].name));
    return list;
}

static json_t *effect_names(uint32_t set)
{
    json_t *list = json_array();

    for (; set; set &= set - 1)
        json_array_append_new(list, json_string(hypothetical_effects[__builtin_ctz(set)].name));
    return list;
}

static json_t *exit_names(uint64_t set)
{
    json_t *list = json_array();

    for (; set; set &= set - 1)
        json_array_append_new(list, json_string(exit_reasons[__builtin_ctzll(set)].name));
    return list;
}

json_t *describe_accesses(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < HYPOTHETICAL_ACCESS_COUNT; i++) {
        const struct hypothetical_access_info *a = &hypothetical_accesses[i];

        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:s}", "name", a->name,
                                              "conditions", condition_names(a->conditions),
                                              "effects", effect_names(a->effects), "exits",
                                              exit_names(a->exits), "meaning", a->meaning));
    }
    return list;
}

json_t *describe_conditions(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < CONDITION_COUNT; i++) {
        const struct hypothetical_condition_info *c = &hypothetical_conditions[i];
        json_t *values = json_array();

        for (unsigned n = 0; c->value[n]; n++)
            json_array_append_new(values, json_string(c->value[n]));
        json_array_append_new(list, json_pack("{s:s, s:o, s:s}", "name", c->name, "values",
                                              values, "meaning", c->meaning));
    }
    return list;
}

json_t *describe_effects(void)
{
    static const char *const needs[] = {
        [HYPOTHETICAL_NEEDS_NONE] = "",
        [HYPOTHETICAL_NEEDS_DELIVERY] = "virtual-interrupt-delivery or avic",
        [HYPOTHETICAL_NEEDS_POSTING] = "posted-interrupts",
        [HYPOTHETICAL_NEEDS_EXPIRY] = "rules for timer.expiry",
    };
    json_t *list = json_array();

    for (unsigned i = 0; i < EFFECT_COUNT; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s}", "name", hypothetical_effects[i].name,
                                        "needs", needs[hypothetical_effects[i].needs],
                                        "meaning", hypothetical_effects[i].meaning));
    return list;
}
