/*
 * The plan's declared features: their rules into the table by which the models
 * look them up. Each access that a feature names must have one rule under every
 * combination of conditions: not none, and not two.
 */
#include <stdio.h>
#include <string.h>

#include "plan_declared.h"

enum { MAX_RULES = UINT8_MAX - 1 };

struct feature_text {
    const char *name;
    unsigned first_rule, rules; /* in the table of all */
};

struct declaring {
    struct build *b;
    struct hypothetical *h;
    struct rule_text *text; /* of all features, in the order of h->rule */
    struct feature_text *feature;
    struct place at; /* of the feature being read */
};

/* ---- cells in words ---- */

/* The conditions that the feature's rules for an access mention. */
static uint32_t mentioned(const struct declaring *d, const struct feature_text *f,
                          enum hypothetical_access a)
{
    uint32_t named = 0;

    for (unsigned r = f->first_rule; r < f->first_rule + f->rules; r++)
        if (d->text[r].access == a)
            named |= d->text[r].when.named;
    return named;
}

/* "apic=xapic and target=halted" */
static size_t print_cell(char *text, size_t size, enum hypothetical_access a, unsigned cell,
                         uint32_t named)
{
    const char *before = "";
    size_t used = 0;

    if (!named)
        return (size_t)snprintf(text, size, "anything");
    for (; named && used < size; named &= named - 1) {
        const enum hypothetical_condition c = (enum hypothetical_condition)__builtin_ctz(named);
        const struct hypothetical_condition_info *info = &hypothetical_conditions[c];

        used += (size_t)snprintf(text + used, size - used, "%s%s=%s", before, info->name,
                                 info->value[hypothetical_value_in(a, cell, c)]);
        before = " and ";
    }
    return used;
}

/* Of cells that differ only in conditions nobody mentions, the first. */
static bool stands_for_others(enum hypothetical_access a, unsigned cell, uint32_t named)
{
    for (uint32_t rest = hypothetical_accesses[a].conditions & ~named; rest; rest &= rest - 1)
        if (hypothetical_value_in(a, cell, (enum hypothetical_condition)__builtin_ctz(rest)))
            return false;
    return true;
}

/* ---- filling the table ---- */

static void refuse_overlap(struct declaring *d, const struct feature_text *f, unsigned rule,
                           unsigned cell)
{
    const enum hypothetical_access a = d->text[rule].access;
    const unsigned other = d->h->rule_of[a][cell] - 1u;
    char when[160];

    if (other < f->first_rule) {
        reader_fail(&d->b->reader, &d->at, "feature %s: %s: another feature has rules for it",
                    f->name, hypothetical_accesses[a].name);
        return;
    }
    print_cell(when, sizeof when, a, cell, mentioned(d, f, a));
    reader_fail(&d->b->reader, &d->at, "feature %s: %s: rules %u and %u both apply when %s",
                f->name, hypothetical_accesses[a].name, other - f->first_rule,
                rule - f->first_rule, when);
}

/* A rule takes the cells that it matches; one for the rest takes those that are free. */
static void place_rule(struct declaring *d, const struct feature_text *f, unsigned rule)
{
    const struct rule_text *text = &d->text[rule];
    uint8_t *rule_of = d->h->rule_of[text->access];
    bool applies = false;

    for (unsigned cell = 0; cell < hypothetical_cells(text->access); cell++) {
        if (!rule_matches(text, cell) || (text->when.otherwise && rule_of[cell]))
            continue;
        if (rule_of[cell]) {
            refuse_overlap(d, f, rule, cell);
            return;
        }
        rule_of[cell] = (uint8_t)(rule + 1);
        applies = true;
    }
    if (!applies)
        reader_fail(&d->b->reader, &d->at, "feature %s: %s: rule %u never applies", f->name,
                    hypothetical_accesses[text->access].name, rule - f->first_rule);
}

static void place_rules(struct declaring *d, const struct feature_text *f, bool otherwise)
{
    for (unsigned r = f->first_rule; r < f->first_rule + f->rules && !d->b->reader.failed; r++)
        if (d->text[r].when.otherwise == otherwise)
            place_rule(d, f, r);
}

/* ---- is it whole? ---- */

/* The first ones that fit into a line, and how many more there are. */
struct missing {
    char list[220];
    size_t used;
    unsigned left_out;
};

static void add_missing(struct missing *m, const char *before, const char *when)
{
    const size_t room_for_more = sizeof ", +999";

    if (m->left_out || m->used + strlen(before) + strlen(when) + room_for_more > sizeof m->list)
        m->left_out++;
    else
        m->used +=
            (size_t)snprintf(m->list + m->used, sizeof m->list - m->used, "%s%s", before, when);
}

static void list_cells(struct declaring *d, const struct feature_text *f,
                       enum hypothetical_access a, struct missing *m)
{
    const uint32_t named = mentioned(d, f, a);
    bool first = true;

    for (unsigned cell = 0; cell < hypothetical_cells(a); cell++) {
        char when[160], before[64] = ", ";

        if (d->h->rule_of[a][cell] || !stands_for_others(a, cell, named))
            continue;
        if (first)
            snprintf(before, sizeof before, "%s%s: undefined when ", m->used ? "; " : "",
                     hypothetical_accesses[a].name);
        first = false;
        print_cell(when, sizeof when, a, cell, named);
        add_missing(m, before, when);
    }
}

/* An access is listed where its first rule stands. */
static bool is_new(const struct declaring *d, const struct feature_text *f, unsigned rule)
{
    for (unsigned r = f->first_rule; r < rule; r++)
        if (d->text[r].access == d->text[rule].access)
            return false;
    return true;
}

/* The table holds every access that was named before, so that this one's own are looked at only. */
static void check_whole(struct declaring *d, const struct feature_text *f)
{
    struct missing m = {.used = 0};

    for (unsigned r = f->first_rule; r < f->first_rule + f->rules; r++)
        if (is_new(d, f, r))
            list_cells(d, f, d->text[r].access, &m);
    if (!m.used)
        return;
    if (m.left_out)
        snprintf(m.list + m.used, sizeof m.list - m.used, ", +%u", m.left_out);
    reader_fail(&d->b->reader, &d->at, "feature %s: %s; add a rule or when=\"otherwise\"",
                f->name, m.list);
}

/* An effect may need rules for another access, of whichever feature. */
static void check_companions(struct declaring *d, unsigned rules)
{
    for (unsigned r = 0; r < rules; r++) {
        const struct hypothetical_rule *rule = &d->text[r].rule;

        if (rule->verdict == HYPOTHETICAL_VIRTUALIZED &&
            hypothetical_effects[rule->effect].needs == HYPOTHETICAL_NEEDS_EXPIRY &&
            !hypothetical_declares(d->h, HYPOTHETICAL_TIMER_EXPIRY))
            reader_fail(&d->b->reader, &d->at,
                        "%s: the effect %s needs rules for %s, which say what becomes of it",
                        hypothetical_accesses[d->text[r].access].name,
                        hypothetical_effects[rule->effect].name,
                        hypothetical_accesses[HYPOTHETICAL_TIMER_EXPIRY].name);
    }
}

/* ---- reading ---- */

static bool is_plain(const char *name)
{
    const size_t length = strlen(name);

    return length > 0 && length <= 40 && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static void check_name(struct declaring *d, size_t index, const char *name)
{
    const struct place p = place_key(&d->at, "name");

    if (!is_plain(name))
        reader_fail(&d->b->reader, &p, "\"%.40s\" is not 1 to 40 of a-z, 0-9 and -", name);
    else if (technology_by_name(name) || feature_by_name(name) != FEATURE_COUNT)
        reader_fail(&d->b->reader, &p, "\"%s\" is not hypothetical", name);
    for (size_t i = 0; i < index; i++)
        if (strcmp(d->feature[i].name, name) == 0)
            reader_fail(&d->b->reader, &p, "\"%.40s\" is declared twice", name);
}

static void read_rules(struct declaring *d, const json_t *list, struct feature_text *f)
{
    const struct place p = place_key(&d->at, "rules");

    f->rules = (unsigned)json_array_size(list);
    if (f->rules == 0)
        reader_fail(&d->b->reader, &p, "is empty; a feature has at least one rule");
    for (unsigned r = 0; r < f->rules && !d->b->reader.failed; r++) {
        const struct place here = place_item(&p, r);

        plan_read_rule(d->b, json_array_get(list, r), &here, &d->text[f->first_rule + r]);
    }
}

static void read_feature(struct declaring *d, const json_t *json, size_t index, unsigned first)
{
    struct reader *r = &d->b->reader;
    struct feature_text *f = &d->feature[index];
    const struct place base_at = place_key(&d->at, "base");
    const char *base;

    reader_keys(r, json, &d->at, KEYS("name", "title", "base", "rules"));
    f->name = reader_string(r, json, &d->at, "name");
    f->first_rule = first;
    reader_string(r, json, &d->at, "title");
    base = reader_string(r, json, &d->at, "base");
    if (!technology_by_name(base))
        reader_fail(r, &base_at, "there is no technology \"%.40s\"", base);
    check_name(d, index, f->name);
    read_rules(d, reader_array(r, json, &d->at, "rules"), f);
    place_rules(d, f, false);
    place_rules(d, f, true);
    if (!r->failed)
        check_whole(d, f);
}

static bool watches(const struct rule_text *text)
{
    const enum hypothetical_effect e = text->rule.effect;
    const uint32_t descriptors = 1u << CONDITION_TARGET | 1u << CONDITION_OUTSTANDING;

    return text->when.named & descriptors || (text->rule.verdict == HYPOTHETICAL_VIRTUALIZED &&
                                              (e == EFFECT_POST || e == EFFECT_POST_EACH));
}

static void keep(struct declaring *d, unsigned rules)
{
    struct hypothetical_rule *rule = build_take(d->b, rules, sizeof *rule);

    for (unsigned r = 0; rule && r < rules; r++) {
        rule[r] = d->text[r].rule;
        d->h->watches |= watches(&d->text[r]);
    }
    d->h->rule = rule;
    d->h->with_apicv = feature_in(d->b->sim->machine.features, FEATURE_INTERRUPT_DELIVERY) ||
                       feature_in(d->b->sim->machine.features, FEATURE_AVIC);
    d->b->sim->machine.hypothetical = d->h;
}

static size_t count_rules(const json_t *list)
{
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(list); i++)
        n += json_array_size(json_object_get(json_array_get(list, i), "rules"));
    return n;
}

const struct technology *plan_declared_base(const struct build *b, const char *name)
{
    const json_t *list = json_object_get(b->document, "hypothetical");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *f = json_array_get(list, i);
        const char *its = json_string_value(json_object_get(f, "name"));
        const char *base = json_string_value(json_object_get(f, "base"));

        if (its && base && strcmp(its, name) == 0)
            return technology_by_name(base);
    }
    return NULL;
}

void plan_read_hypothetical(struct build *b)
{
    const json_t *list = json_object_get(b->document, "hypothetical");
    const struct place at = place_key(&plan_root, "hypothetical");
    const size_t rules = count_rules(list);
    struct declaring d = {.b = b};
    unsigned next = 0;

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &at, "an array of declared features belongs here");
    if (rules > MAX_RULES)
        reader_fail(&b->reader, &at, "%zu rules are too many (at most %d)", rules, MAX_RULES);
    if (json_array_size(list) == 0 || b->reader.failed)
        return;
    if (b->sim->plan.vendor == VIRT_E2K)
        reader_fail(&b->reader, &at, "features are declared on VMX and SVM, not on e2k");
    d.h = build_take(b, 1, sizeof *d.h);
    d.text = build_take(b, rules, sizeof *d.text);
    d.feature = build_take(b, json_array_size(list), sizeof *d.feature);
    for (size_t i = 0; i < json_array_size(list) && !b->reader.failed; i++) {
        d.at = place_item(&at, i);
        read_feature(&d, json_array_get(list, i), i, next);
        next += d.feature[i].rules;
    }
    d.at = at;
    check_companions(&d, b->reader.failed ? 0 : next);
    if (!b->reader.failed)
        keep(&d, next);
}
