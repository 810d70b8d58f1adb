/* Technologies are rows of features; features are what a plan switches. */
#ifndef VIRQSIM_VIRT_TECHNOLOGY_H
#define VIRQSIM_VIRT_TECHNOLOGY_H

#include "virt/virt.h"

enum feature {
#define FEATURE(id, ...) FEATURE_##id,
#include "virt/features.def"
#undef FEATURE
    FEATURE_COUNT
};

typedef uint64_t feature_set; /* bit n: enum feature n */

/* Whose machines can have a feature. */
/* ANY is either of x86. */
enum feature_home { FEATURE_ON_ANY, FEATURE_ON_VMX, FEATURE_ON_SVM, FEATURE_ON_E2K };

/* Who must be able to do it: the GUEST together with the hypervisor. */
enum feature_maker { FEATURE_BY_HARDWARE, FEATURE_BY_HYPERVISOR, FEATURE_BY_GUEST };

struct feature_info {
    const char *name;
    enum feature_home on;
    enum feature_maker by;
    feature_set needs, excludes;
    const char *meaning;
};
extern const struct feature_info features[FEATURE_COUNT];

struct technology {
    const char *name;
    enum virt_vendor vendor;
    feature_set features;
    const char *title;
    const char *source;
};
extern const struct technology technologies[];
extern const unsigned technology_count;

const struct technology *technology_by_name(const char *name);
/* FEATURE_COUNT when there is none. */
enum feature feature_by_name(const char *name);

static inline feature_set feature_bit(enum feature f)
{
    return UINT64_C(1) << f;
}

static inline bool feature_in(feature_set s, enum feature f)
{
    return s >> f & 1;
}
#endif
