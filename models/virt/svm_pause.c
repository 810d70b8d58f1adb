/*
 * The filter before the PAUSE intercept (APM 2 15.14.4 "Pause Intercept
 * Filtering").
 *
 * VMRUN loads a counter. Without a threshold each PAUSE counts down, and the one
 * that reaches 0 exits. With one, a PAUSE that follows the one before by more
 * cycles than that loads the counter anew; any other counts down, and exits
 * where it would fall below 0. A count of 0 means every PAUSE.
 *
 * Assumed: cycles are the TSC's, two PAUSEs exactly a threshold apart are of
 * one loop, and the first after VMRUN follows none, so that it loads the counter.
 */
#include "virt/svm_parts.h"

void svm_pause_reset(struct virt_cpu *v)
{
    v->pause_loop.any = false;
    v->pause_loop.left = v->vmcb.pause_count;
}

static bool begins_loop(const struct virt_cpu *v, uint64_t tsc)
{
    return !v->pause_loop.any || tsc - v->pause_loop.last > v->vmcb.pause_threshold;
}

uint64_t svm_pauses_to_exit(const struct virt_cpu *v, struct virt_pauses p)
{
    const struct vmcb *b = &v->vmcb;
    const bool apart = p.turn > b->pause_threshold;

    if (!svm_intercepts(b, SVM_PAUSE))
        return UINT64_MAX;
    if (b->pause_count == 0)
        return 1;
    if (b->pause_threshold == 0)
        return v->pause_loop.left;
    if (begins_loop(v, p.tsc))
        return apart ? UINT64_MAX : b->pause_count + UINT64_C(2);
    if (v->pause_loop.left == 0)
        return 1;
    return apart ? UINT64_MAX : v->pause_loop.left + UINT64_C(1);
}

void svm_pauses(struct virt_cpu *v, struct virt_pauses p, uint64_t n)
{
    const struct vmcb *b = &v->vmcb;
    struct virt_pause_loop *loop = &v->pause_loop;
    const bool anew = b->pause_threshold && begins_loop(v, p.tsc);

    if (n == 0 || !svm_intercepts(b, SVM_PAUSE))
        return;
    if (b->pause_threshold && n > 1 && p.turn > b->pause_threshold)
        loop->left = b->pause_count;
    else
        loop->left = (anew ? b->pause_count + 1u : loop->left) - (uint32_t)n;
    loop->any = true;
    loop->last = p.tsc + (n - 1) * p.turn;
}

bool svm_pause(struct virt_cpu *v, uint64_t tsc)
{
    const struct virt_pauses one = {tsc, 1};

    if (svm_pauses_to_exit(v, one) == 1)
        return true;
    svm_pauses(v, one, 1);
    return false;
}
