#include <string.h>

#include "virt/technology.h"

const struct feature_info features[FEATURE_COUNT] = {
#define FEATURE(id, name, on, by, needs, excludes, meaning)                                    \
    [FEATURE_##id] = {name, FEATURE_ON_##on, FEATURE_BY_##by, needs, excludes, meaning},
#include "virt/features.def"
#undef FEATURE
};

_Static_assert(FEATURE_COUNT <= 64, "a feature_set has a bit for each feature");

const struct technology technologies[] = {
#define TECHNOLOGY(name, vendor, set, title, source) {name, vendor, set, title, source},
#include "virt/technologies.def"
#undef TECHNOLOGY
};
const unsigned technology_count = sizeof technologies / sizeof technologies[0];

const struct technology *technology_by_name(const char *name)
{
    for (unsigned i = 0; i < technology_count; i++)
        if (strcmp(technologies[i].name, name) == 0)
            return &technologies[i];
    return NULL;
}

enum feature feature_by_name(const char *name)
{
    unsigned f = 0;

    while (f < FEATURE_COUNT && strcmp(features[f].name, name) != 0)
        f++;
    return (enum feature)f;
}
