/*
 * PAUSE (SDM 3C "Instructions That Cause VM Exits Conditionally"), at CPL 0,
 * where all guests here spin.
 *
 * With "PAUSE-loop exiting", a PAUSE that follows the one before by more than
 * PLE_Gap is the first of a loop, and so is the first after an entry. One that
 * comes more than PLE_Window after the first of its loop exits. Both are counts
 * of the TSC. "PAUSE exiting" comes before all that.
 */
#include "virt/vmx.h"

static bool begins_loop(const struct virt_cpu *v, uint64_t tsc)
{
    const struct virt_pause_loop *loop = &v->pause_loop;

    return !loop->any || tsc - loop->last > vmcs_get(&v->vmcs, VMCS_PLE_GAP);
}

/* How long the loop that a PAUSE is of has lasted. */
static uint64_t lasted(const struct virt_cpu *v, uint64_t tsc)
{
    return begins_loop(v, tsc) ? 0 : tsc - v->pause_loop.first;
}

uint64_t vmx_pauses_to_exit(const struct virt_cpu *v, struct virt_pauses p)
{
    const uint64_t window = vmcs_get(&v->vmcs, VMCS_PLE_WINDOW);
    const uint64_t before = lasted(v, p.tsc);

    if (vmx_has(&v->vmcs, VMX_PAUSE_EXITING))
        return 1;
    if (!vmx_has(&v->vmcs, VMX_PAUSE_LOOP_EXITING))
        return UINT64_MAX;
    if (before > window)
        return 1;
    return p.turn > vmcs_get(&v->vmcs, VMCS_PLE_GAP) ? UINT64_MAX
                                                     : (window - before) / p.turn + 2;
}

void vmx_pauses(struct virt_cpu *v, struct virt_pauses p, uint64_t n)
{
    struct virt_pause_loop *loop = &v->pause_loop;

    if (n == 0)
        return;
    if (begins_loop(v, p.tsc))
        loop->first = p.tsc;
    loop->any = true;
    loop->last = p.tsc + (n - 1) * p.turn;
    if (n > 1 && p.turn > vmcs_get(&v->vmcs, VMCS_PLE_GAP))
        loop->first = loop->last;
}

struct virt_verdict vmx_pause(struct virt_cpu *v, uint64_t tsc)
{
    const struct virt_pauses one = {tsc, 1};

    if (vmx_pauses_to_exit(v, one) == 1)
        return vmx_exit(v, EXIT_VMX_PAUSE, 0);
    vmx_pauses(v, one, 1);
    return vmx_stay(VIRT_NATIVE, 0);
}
