/* One rule of a declared feature: its words, and whether they fit together. */
#include <inttypes.h>
#include <string.h>

#include "plan_declared.h"

enum { MAX_COST = 1000000000, MAX_TIMES = 1000 };

/* ---- words ---- */

static void read_access(struct build *b, const json_t *json, const struct place *at,
                        struct rule_text *text)
{
    const char *name = reader_string(&b->reader, json, at, "access");
    const struct place p = place_key(at, "access");
    unsigned a = 0;

    while (a < HYPOTHETICAL_ACCESS_COUNT && strcmp(name, hypothetical_accesses[a].name) != 0)
        a++;
    if (a == HYPOTHETICAL_ACCESS_COUNT) {
        reader_fail(&b->reader, &p, "there is no access \"%.40s\"", name);
        a = 0;
    }
    text->access = (enum hypothetical_access)a;
}

static const struct hypothetical_access_info *row_of(const struct rule_text *text)
{
    return &hypothetical_accesses[text->access];
}

static enum hypothetical_condition read_condition(struct build *b, const char *name,
                                                  const struct place *at,
                                                  const struct rule_text *text)
{
    unsigned c = 0;

    while (c < CONDITION_COUNT && strcmp(name, hypothetical_conditions[c].name) != 0)
        c++;
    if (c == CONDITION_COUNT)
        reader_fail(&b->reader, at, "there is no condition \"%.40s\"", name);
    else if (!(row_of(text)->conditions >> c & 1))
        reader_fail(&b->reader, at, "%s does not depend on %s", row_of(text)->name, name);
    return (enum hypothetical_condition)c;
}

static unsigned read_value(struct build *b, const json_t *json, const struct place *at,
                           enum hypothetical_condition c)
{
    const struct hypothetical_condition_info *info = &hypothetical_conditions[c];
    const char *name = json_string_value(json);

    for (unsigned n = 0; name && info->value[n]; n++)
        if (strcmp(name, info->value[n]) == 0)
            return n;
    reader_fail(&b->reader, at, "\"%.40s\" is no value of %s", name ? name : "", info->name);
    return 0;
}

static void read_values(struct build *b, const char *name, const json_t *list,
                        const struct place *at, struct rule_text *text)
{
    const enum hypothetical_condition c = read_condition(b, name, at, text);

    if (!json_is_array(list) || json_array_size(list) == 0)
        reader_fail(&b->reader, at, "a list of values belongs here, one at least");
    for (size_t i = 0; i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place p = place_item(at, i);

        text->when.values[c] |= (uint8_t)(1u << read_value(b, json_array_get(list, i), &p, c));
    }
    if (!b->reader.failed)
        text->when.named |= 1u << c;
}

static void read_when(struct build *b, const json_t *json, const struct place *at,
                      struct rule_text *text)
{
    json_t *when = json_object_get(json, "when");
    const struct place p = place_key(at, "when");
    const char *name;
    json_t *list;

    if (!when)
        return;
    text->when.otherwise =
        json_is_string(when) && strcmp(json_string_value(when), "otherwise") == 0;
    if (!text->when.otherwise && !json_is_object(when))
        reader_fail(
            &b->reader, &p,
            "\"otherwise\" or an object of conditions and lists of values belongs here");
    json_object_foreach(when, name, list)
    {
        const struct place here = place_key(&p, name);

        if (!b->reader.failed)
            read_values(b, name, list, &here, text);
    }
}

/* ---- what it does ---- */

static bool in_set(feature_set set, enum feature f)
{
    return feature_in(set, f);
}

static const char *missing_for(const struct build *b, enum hypothetical_needs needs)
{
    const feature_set set = b->sim->machine.features;

    if (needs == HYPOTHETICAL_NEEDS_POSTING && !in_set(set, FEATURE_POSTED_INTERRUPTS))
        return "posted-interrupts";
    if (needs == HYPOTHETICAL_NEEDS_DELIVERY && !in_set(set, FEATURE_INTERRUPT_DELIVERY) &&
        !in_set(set, FEATURE_AVIC))
        return b->sim->plan.vendor == VIRT_VMX ? "virtual-interrupt-delivery" : "avic";
    return NULL;
}

static void read_effect(struct build *b, const json_t *json, const struct place *at,
                        struct rule_text *text)
{
    const char *name = reader_string(&b->reader, json, at, "effect"), *missing;
    const struct place p = place_key(at, "effect");
    unsigned e = 0;

    while (e < EFFECT_COUNT && strcmp(name, hypothetical_effects[e].name) != 0)
        e++;
    text->rule.effect = e < EFFECT_COUNT ? (enum hypothetical_effect)e : EFFECT_NOTHING;
    if (e == EFFECT_COUNT) {
        reader_fail(&b->reader, &p, "there is no effect \"%.40s\"", name);
        return;
    }
    missing = missing_for(b, hypothetical_effects[e].needs);
    if (!(row_of(text)->effects >> e & 1))
        reader_fail(&b->reader, &p, "%s cannot have the effect %s", row_of(text)->name, name);
    else if (missing)
        reader_fail(&b->reader, &p, "%s needs %s, which %s has not", name, missing,
                    b->sim->plan.technology);
}

static void read_exit(struct build *b, const json_t *json, const struct place *at,
                      struct rule_text *text)
{
    const char *name = reader_string(&b->reader, json, at, "exit");
    const struct place p = place_key(at, "exit");
    const enum exit_reason reason = exit_reason_by_name(name);

    text->rule.reason = reason;
    if (reason == EXIT_NONE)
        reader_fail(&b->reader, &p, "there is no exit reason \"%.40s\"", name);
    else if (exit_reasons[reason].vendor != b->sim->plan.vendor)
        reader_fail(&b->reader, &p, "%s is an exit of %s, and %s is %s", name,
                    virt_vendor_titles[exit_reasons[reason].vendor], b->sim->plan.technology,
                    virt_vendor_titles[b->sim->plan.vendor]);
    else if (!(row_of(text)->exits >> reason & 1))
        reader_fail(&b->reader, &p, "%s cannot leave with %s", row_of(text)->name, name);
}

/* ---- what it costs ---- */

static enum cost_key cost_by_name(const char *name)
{
    unsigned k = 0;

    while (k < COST_KEY_COUNT && strcmp(name, cost_keys[k].name) != 0)
        k++;
    return (enum cost_key)k;
}

/* So many times what a key of the plan's profile costs. */
static uint64_t read_costs(struct build *b, const json_t *json, const struct place *at)
{
    const struct place p = place_key(at, "costs");
    const char *name;
    json_t *times;
    uint64_t sum = 0;

    if (!json_object_get(json, "costs"))
        return 0;
    json_object_foreach(reader_object(&b->reader, json, at, "costs"), name, times)
    {
        const enum cost_key k = cost_by_name(name);
        const struct place here = place_key(&p, name);

        if (k == COST_KEY_COUNT)
            reader_fail(&b->reader, &here, "there is no such cost");
        else
            sum += b->sim->machine.costs.of[k].n *
                   reader_item(&b->reader, times, &here, 0, MAX_TIMES);
    }
    return sum;
}

/* A number that no profile has: with its range, and why it was assumed. */
static uint64_t read_cycles(struct build *b, const json_t *json, const struct place *at)
{
    static const char *const kinds[] = {"assumed"};
    const struct place p = place_key(at, "cycles");
    const struct place source_at = place_key(&p, "source");
    struct reader *r = &b->reader;
    uint64_t low, value;

    if (!json_object_get(json, "cycles"))
        return 0;
    json = reader_object(r, json, at, "cycles");
    reader_keys(r, json, &p, KEYS("value", "low", "high", "kind", "source"));
    low = reader_uint(r, json, &p, "low", 0, MAX_COST);
    value = reader_uint(r, json, &p, "value", low, MAX_COST);
    reader_uint(r, json, &p, "high", value, MAX_COST);
    reader_choice(r, json, &p, "kind", kinds, 1);
    if (!reader_string(r, json, &p, "source")[0])
        reader_fail(r, &source_at, "is empty; say why this number was assumed");
    return value;
}

static void read_cost(struct build *b, const json_t *json, const struct place *at,
                      struct rule_text *text)
{
    const bool any = json_object_get(json, "costs") || json_object_get(json, "cycles");

    text->rule.cost.n = read_costs(b, json, at) + read_cycles(b, json, at);
    if (text->rule.verdict == HYPOTHETICAL_VIRTUALIZED && !any)
        reader_fail(&b->reader, at, "%s is virtualized at no cost; give costs or cycles",
                    row_of(text)->name);
}

/* ---- the whole ---- */

static void read_verdict(struct build *b, const json_t *json, const struct place *at,
                         struct rule_text *text)
{
    static const char *const names[] = {
#define VERDICT(id, name, meaning) name,
        HYPOTHETICAL_VERDICTS(VERDICT)
#undef VERDICT
    };
    static const char *const keys[][8] = {
        [HYPOTHETICAL_UNCHANGED] = {"access", "when", "verdict"},
        [HYPOTHETICAL_VIRTUALIZED] = {"access", "when", "verdict", "effect", "costs", "cycles"},
        [HYPOTHETICAL_TRAPS] = {"access", "when", "verdict", "exit", "costs", "cycles"},
    };

    text->rule.verdict = (enum hypothetical_verdict)reader_choice(
        &b->reader, json, at, "verdict", names, HYPOTHETICAL_VERDICT_COUNT);
    if (!b->reader.failed)
        reader_keys(&b->reader, json, at, keys[text->rule.verdict]);
}

/* Hardware without a timer for its guest has nothing that could stay unchanged. */
static void check_timer(struct build *b, const struct place *at, const struct rule_text *text)
{
    if (text->access == HYPOTHETICAL_TIMER_EXPIRY &&
        text->rule.verdict == HYPOTHETICAL_UNCHANGED &&
        !in_set(b->sim->machine.features, FEATURE_PREEMPTION_TIMER))
        reader_fail(&b->reader, at, "%s: unchanged needs preemption-timer, which %s has not",
                    row_of(text)->name, b->sim->plan.technology);
}

void plan_read_rule(struct build *b, const json_t *json, const struct place *at,
                    struct rule_text *text)
{
    if (!json_is_object(json)) {
        reader_fail(&b->reader, at, "a rule is an object");
        return;
    }
    read_access(b, json, at, text);
    read_verdict(b, json, at, text);
    if (!b->reader.failed)
        read_when(b, json, at, text);
    if (text->rule.verdict == HYPOTHETICAL_VIRTUALIZED)
        read_effect(b, json, at, text);
    else if (text->rule.verdict == HYPOTHETICAL_TRAPS)
        read_exit(b, json, at, text);
    read_cost(b, json, at, text);
    check_timer(b, at, text);
}
