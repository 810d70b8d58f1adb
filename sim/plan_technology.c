/* The plan's technology, and the features switched on top of it. */
#include <string.h>

#include "plan_parts.h"

static void switch_features(struct build *b, feature_set *set)
{
    const json_t *json = json_object_get(b->document, "features");
    const struct place at = place_key(&plan_root, "features");
    const char *name;
    json_t *on;

    if (json && !json_is_object(json))
        reader_fail(&b->reader, &at, "an object of names and true or false belongs here");
    json_object_foreach((json_t *)json, name, on)
    {
        const enum feature f = feature_by_name(name);
        const struct place p = place_key(&at, name);

        if (f == FEATURE_COUNT)
            reader_fail(&b->reader, &p, "there is no such feature");
        else if (!json_is_boolean(on))
            reader_fail(&b->reader, &p, "true or false belongs here");
        else
            *set = json_is_true(on) ? *set | feature_bit(f) : *set & ~feature_bit(f);
    }
}

/* The name of the first feature of a set that is not empty. */
static const char *first_of(feature_set set)
{
    return features[__builtin_ctzll(set)].name;
}

/* What one vendor's hardware has, of the features that are hardware at all. */
static bool at_home(enum feature f, enum virt_vendor vendor)
{
    const enum feature_home on = features[f].on;

    static const enum feature_home own[VIRT_VENDORS] = {
        [VIRT_VMX] = FEATURE_ON_VMX, [VIRT_SVM] = FEATURE_ON_SVM, [VIRT_E2K] = FEATURE_ON_E2K};

    return on == own[vendor] || (on == FEATURE_ON_ANY && vendor != VIRT_E2K);
}

static feature_set all_at_home(enum virt_vendor vendor)
{
    feature_set set = 0;

    for (unsigned f = 0; f < FEATURE_COUNT; f++)
        if (at_home((enum feature)f, vendor))
            set |= feature_bit((enum feature)f);
    return set;
}

static void check_feature(struct build *b, const struct technology *t, feature_set set,
                          enum feature f)
{
    const struct place at = place_key(&plan_root, "features");
    const feature_set missing = features[f].needs & all_at_home(t->vendor) & ~set,
                      contrary = features[f].excludes & set;

    if (!at_home(f, t->vendor))
        reader_fail(&b->reader, &at, "%s is not a feature of %s (%s)", features[f].name,
                    virt_vendor_titles[t->vendor], t->name);
    else if (missing)
        reader_fail(&b->reader, &at, "%s needs %s", features[f].name, first_of(missing));
    else if (contrary)
        reader_fail(&b->reader, &at, "%s and %s exclude each other", features[f].name,
                    first_of(contrary));
}

void plan_read_technology(struct build *b)
{
    const char *name = reader_string(&b->reader, b->document, &plan_root, "technology");
    const struct technology *built_in = technology_by_name(name);
    const struct technology *t = built_in ? built_in : plan_declared_base(b, name);
    const struct place at = place_key(&plan_root, "technology");
    feature_set set;

    if (!t) {
        reader_fail(&b->reader, &at, "there is no technology \"%.40s\"", name);
        return;
    }
    set = t->features;
    switch_features(b, &set);
    for (unsigned f = 0; f < FEATURE_COUNT; f++)
        if (feature_in(set, (enum feature)f))
            check_feature(b, t, set, (enum feature)f);
    b->sim->plan.technology = build_keep(b, name);
    b->sim->plan.vendor = t->vendor;
    b->sim->machine.features = set;
}
