/*
 * APIC-timer virtualization: SDM 3C "Guest Timer", and what "Changes to
 * Instruction Behavior in VMX Non-Root Operation" says of IA32_TSC_DEADLINE.
 *
 * The processor has a timer of its own for the guest, the guest timer. WRMSR of
 * IA32_TSC_DEADLINE arms it; when the TSC reaches the deadline, an event of the
 * guest timer makes an interrupt pending on the virtual-APIC page. Nothing of it
 * leaves the guest.
 *
 * The hardware keeps no clock here: whoever runs the guest says when the
 * deadline has come, be it at the write itself. The guest's deadline register,
 * which is 0 outside of the guest, is its VMCS field. TSC offset and scaling are
 * left out, so that the deadline and its shadow are equal.
 */
#include "virt/vmx.h"

/* WRMSR. Without the control the MSR is the physical APIC's. */
struct virt_verdict vmx_write_deadline(struct virt_cpu *v, uint64_t tsc)
{
    if (!vmx_has(&v->vmcs, VMX_APIC_TIMER_VIRTUALIZATION))
        return vmx_stay(VIRT_NATIVE, 0);
    vmx_set_guest_deadline(v, tsc);
    return vmx_stay(VIRT_DONE, 0);
}

struct virt_verdict vmx_read_deadline(struct virt_cpu *v)
{
    if (!vmx_has(&v->vmcs, VMX_APIC_TIMER_VIRTUALIZATION))
        return vmx_stay(VIRT_NATIVE, 0);
    return vmx_stay(VIRT_DONE, vmcs_get(&v->vmcs, VMCS_GUEST_DEADLINE_SHADOW));
}

uint64_t vmx_guest_deadline(const struct virt_cpu *v)
{
    return vmcs_get(&v->vmcs, VMCS_GUEST_DEADLINE);
}

void vmx_set_guest_deadline(struct virt_cpu *v, uint64_t tsc)
{
    vmcs_set(&v->vmcs, VMCS_GUEST_DEADLINE_SHADOW, tsc);
    vmcs_set(&v->vmcs, VMCS_GUEST_DEADLINE, tsc);
}

/* SDM 3C "Guest-Timer Events". A processor in shutdown or wait-for-SIPI keeps the event. */
void vmx_guest_timer_event(struct virt_cpu *v)
{
    const trace_flow flow = v->timer_event;

    if (v->shut_down || v->waits_for_sipi)
        return;
    v->timer_event = 0;
    vmx_request(v, (uint8_t)vmcs_get(&v->vmcs, VMCS_VIRTUAL_TIMER_VECTOR), flow);
    vmx_set_guest_deadline(v, 0);
}
