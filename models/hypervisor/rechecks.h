/* The looks that KVM takes once more, and that a plan can leave out: rechecks.def. */
#ifndef VIRQSIM_HYPERVISOR_RECHECKS_H
#define VIRQSIM_HYPERVISOR_RECHECKS_H

#include <stdbool.h>
#include <stdint.h>

enum recheck {
#define RECHECK(id, name, where, what) RECHECK_##id,
#include "hypervisor/rechecks.def"
#undef RECHECK
    RECHECK_COUNT
};

typedef uint32_t recheck_set; /* bit n: enum recheck n */

static inline bool recheck_left_out(recheck_set set, enum recheck which)
{
    return set >> which & 1;
}
#endif
