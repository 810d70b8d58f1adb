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
            *set = json_is_true(on) ? *set | UINT32_C(1) << f : *set & ~(UINT32_C(1) << f);
    }
}

static void check_features(struct build *b, feature_set set)
{
    const struct place at = place_key(&plan_root, "features");

    for (unsigned f = 0; f < FEATURE_COUNT; f++) {
        const feature_set missing = features[f].needs & ~set;

        if (feature_in(set, (enum feature)f) && missing)
            reader_fail(&b->reader, &at, "%s needs %s", features[f].name,
                        features[__builtin_ctz(missing)].name);
    }
}

/* SDM 3C "Checks on VM-Execution Control Fields": the CPU delivers virtual interrupts only where
   external ones exit, and the shadow IDT is for those that do not. */
static void check_exclusive(struct build *b, feature_set set)
{
    const struct place at = place_key(&plan_root, "features");

    if (feature_in(set, FEATURE_ELI_DELIVERY) && feature_in(set, FEATURE_INTERRUPT_DELIVERY))
        reader_fail(&b->reader, &at, "%s and %s exclude each other",
                    features[FEATURE_ELI_DELIVERY].name,
                    features[FEATURE_INTERRUPT_DELIVERY].name);
}

/* What one vendor's hardware has, of the features that are hardware at all. */
static void check_vendor(struct build *b, const struct technology *t, feature_set set)
{
    const struct place at = place_key(&plan_root, "features");
    const feature_set vmx_only =
        UINT32_C(1) << FEATURE_APIC_PAGE_SLOT | UINT32_C(1) << FEATURE_APIC_ACCESS_PAGE |
        UINT32_C(1) << FEATURE_VIRTUALIZE_X2APIC | UINT32_C(1) << FEATURE_APIC_REGISTERS |
        UINT32_C(1) << FEATURE_INTERRUPT_DELIVERY | UINT32_C(1) << FEATURE_POSTED_INTERRUPTS |
        UINT32_C(1) << FEATURE_IPI_VIRTUALIZATION | UINT32_C(1) << FEATURE_VTD_POSTING |
        UINT32_C(1) << FEATURE_ELI_DELIVERY | UINT32_C(1) << FEATURE_ELI_EOI |
        UINT32_C(1) << FEATURE_PREEMPTION_TIMER;

    const feature_set svm_only = UINT32_C(1) << FEATURE_AVIC | UINT32_C(1) << FEATURE_X2AVIC |
                                 UINT32_C(1) << FEATURE_ERRATUM_1235;

    if (t->vendor == VIRT_SVM && (set & vmx_only))
        reader_fail(&b->reader, &at, "%s is not a feature of SVM (%s)",
                    features[__builtin_ctz(set & vmx_only)].name, t->name);
    if (t->vendor == VIRT_VMX && (set & svm_only))
        reader_fail(&b->reader, &at, "%s is not a feature of VMX (%s)",
                    features[__builtin_ctz(set & svm_only)].name, t->name);
}

void plan_read_technology(struct build *b)
{
    const char *name = reader_string(&b->reader, b->document, &plan_root, "technology");
    const struct technology *t = technology_by_name(name);
    const struct place at = place_key(&plan_root, "technology");
    feature_set set;

    if (!t) {
        reader_fail(&b->reader, &at, "there is no technology \"%.40s\"", name);
        return;
    }
    set = t->features;
    switch_features(b, &set);
    check_features(b, set);
    check_exclusive(b, set);
    check_vendor(b, t, set);
    b->sim->plan.technology = t->name;
    b->sim->plan.vendor = t->vendor;
    b->sim->machine.features = set;
}
