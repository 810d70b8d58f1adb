/*
 * The VMX-preemption timer's value and rate: SDM 3C "VMX-Preemption Timer" (in
 * the chapters on non-root operation and on entries), "Saving Non-Register State".
 *
 * The timer counts down by 1 whenever bit X of the TSC changes. The hardware
 * keeps no count here: what it would read follows from the TSC at the entry.
 * Its priority among other events is in vmx_entry.c.
 */
#include "virt/vmx.h"

/* X: IA32_VMX_MISC bits 4:0, as Intel's processors report it. */
enum { TIMER_RATE = 5 };

static uint64_t ticks_between(uint64_t from, uint64_t to)
{
    return (to >> TIMER_RATE) - (from >> TIMER_RATE);
}

uint64_t vmx_timer_deadline(const struct virt_cpu *v, uint64_t entered)
{
    const uint64_t value = vmcs_get(&v->vmcs, VMCS_PREEMPTION_TIMER);

    return value ? ((entered >> TIMER_RATE) + value) << TIMER_RATE : entered;
}

void vmx_timer_save(struct virt_cpu *v, uint64_t entered, uint64_t left)
{
    const uint64_t value = vmcs_get(&v->vmcs, VMCS_PREEMPTION_TIMER);
    const uint64_t ticks = ticks_between(entered, left);

    if (vmx_has(&v->vmcs, VMX_SAVE_PREEMPTION_TIMER))
        vmcs_set(&v->vmcs, VMCS_PREEMPTION_TIMER, ticks < value ? value - ticks : 0);
}
