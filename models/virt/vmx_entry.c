/*
 * Entries and instruction boundaries: what is delivered to the guest, or leaves
 * it, before its next instruction (SDM 3C "Event Injection", "Special Features
 * of VM Entry", "Other Causes of VM Exits").
 *
 * Highest first: event injection, the TPR threshold, the VMX-preemption timer,
 * the NMI window; the guest timer; then, with the same priority because they
 * exclude each other, the interrupt window and virtual-interrupt delivery; below
 * external interrupts, user interrupts. For external interrupts the run loop asks
 * afterwards: one that finds a user interrupt's handler begun loses nothing.
 */
#include <assert.h>

#include "virt/vmx.h"

static bool has(const struct virt_cpu *v, enum vmx_control c)
{
    return vmx_has(&v->vmcs, c);
}

/* Nothing happens. A constant, since this is the answer nearly every time. */
static const struct virt_boundary quiet = {
    .exit = {.path = VIRT_NATIVE, .retired = NO_VECTOR},
    .vector = NO_VECTOR,
};

/* Out of an inactive state too, but the activity-state field still says which it was (SDM 3C
   "Saving Non-Register State"). */
static struct virt_boundary leave(struct virt_cpu *v, enum exit_reason why)
{
    struct virt_boundary b = quiet;

    b.exit = vmx_exit(v, why, 0);
    return b;
}

/*
 * Through the guest's IDT. When that meets an unmapped page, the guest leaves
 * in the middle of it, and IDT-vectoring information says of what (SDM 3C
 * "Information for VM Exits That Occur During Event Delivery"). The processor
 * is active and NMIs are blocked by then, but RFLAGS is as it was (SDM 3C
 * "Architectural State Before a VM Exit").
 */
static struct virt_boundary through_idt(struct virt_cpu *v, uint32_t info, bool injected)
{
    struct virt_boundary b = quiet;
    const bool nmi = (info & VMX_INFO_TYPE) == VMX_INFO_NMI;

    v->halted = v->shut_down = v->shadow = v->mov_ss_shadow = false;
    v->monitor = VIRT_MONITOR_OFF;
    v->nmi_blocked |= nmi;
    if (v->delivery_faults) {
        v->delivery_faults = false;
        b.exit = vmx_page_exit(v, EXIT_VMX_EPT_VIOLATION, 0);
        vmcs_set(&v->vmcs, VMCS_IDT_VECTORING_INFO, info);
        return b;
    }
    v->interrupts_enabled = v->user_mode = false;
    b.vector = (uint8_t)info;
    b.nmi = nmi;
    b.injected = injected;
    return b;
}

/* Blocking by STI, too: of NMI windows a processor may leave that out, this one does not. */
static bool in_shadow(const struct virt_cpu *v)
{
    return v->shadow || v->mov_ss_shadow;
}

/* SDM 3A "User-Interrupt Notification Identification", for what comes out of an APIC and for what
   an entry injects. */
static bool is_notification(const struct virt_cpu *v, unsigned vector)
{
    return v->user && v->user->uinv == vector;
}

/* Nothing is delivered, and a processor in HLT stays there (SDM 3A "User-Interrupt Notification
   Processing"). One in MWAIT is active, as it is after posted-interrupt processing. */
static struct virt_boundary notification(struct virt_cpu *v, uint8_t vector, bool injected)
{
    struct virt_boundary b = quiet;

    v->monitor = VIRT_MONITOR_OFF;
    b.vector = vector;
    b.injected = injected;
    b.notification = true;
    return b;
}

/* SDM 3A "User-Interrupt Delivery": neither RFLAGS.IF nor STI blocks it, and HLT, which is not user
   code's, does not end for it. */
static struct virt_boundary deliver_user(struct virt_cpu *v)
{
    struct virt_boundary b = quiet;

    if (!v->user_mode || !uintr_pending(v->user) || v->mov_ss_shadow || virt_waits(v) ||
        v->shut_down)
        return b;
    b.vector = (int)TRACE_USER_VECTOR(uintr_deliver(v->user));
    b.user = true;
    v->shadow = false;
    return b;
}

/* Nothing else is due. */
static inline struct virt_boundary at_last(struct virt_cpu *v)
{
    return v->user ? deliver_user(v) : quiet;
}

/* What the physical APIC has for the guest itself. */
static struct virt_boundary deliver_direct(struct virt_cpu *v)
{
    const int vector = vec_highest(&v->direct);

    if (!lapic_takes(v->apic, vector))
        return at_last(v);
    vec_clear(&v->direct, (unsigned)vector);
    lapic_serve(v->apic, (uint8_t)vector);
    if (!is_notification(v, (unsigned)vector))
        return through_idt(v, VMX_INFO_VALID | VMX_INFO_EXTERNAL | (uint32_t)vector, false);
    vmx_notification_taken(v->apic, (uint8_t)vector);
    lapic_eoi(v->apic);
    uintr_process_notification(v->user);
    return notification(v, (uint8_t)vector, false);
}

static struct virt_boundary deliver_virtual(struct virt_cpu *v)
{
    const uint8_t vector = vmx_deliver(v);

    if (!is_notification(v, vector))
        return through_idt(v, VMX_INFO_VALID | VMX_INFO_EXTERNAL | vector, false);
    vmx_user_notification(v, vector);
    return notification(v, vector, false);
}

static bool takes_interrupts(const struct virt_cpu *v)
{
    return v->interrupts_enabled && !in_shadow(v) && !v->shut_down;
}

/* What makes the guest leave before anything else happens at this boundary. */
static inline enum exit_reason due_first(const struct virt_cpu *v)
{
    if (v->timer_expired && has(v, VMX_ACTIVATE_PREEMPTION_TIMER))
        return EXIT_VMX_PREEMPTION_TIMER;
    if (has(v, VMX_NMI_WINDOW_EXITING) && !v->nmi_blocked && !in_shadow(v))
        return EXIT_VMX_NMI_WINDOW;
    return EXIT_NONE;
}

struct virt_boundary vmx_boundary(struct virt_cpu *v)
{
    enum exit_reason why;

    if (v->waits_for_sipi)
        return quiet;
    why = due_first(v);
    if (why != EXIT_NONE)
        return leave(v, why);
    if (v->timer_event)
        vmx_guest_timer_event(v);
    if (!takes_interrupts(v))
        return at_last(v);
    if (has(v, VMX_INTERRUPT_WINDOW_EXITING))
        return leave(v, EXIT_VMX_INTERRUPT_WINDOW);
    if (v->recognized)
        return deliver_virtual(v);
    return vec_empty(&v->direct) ? at_last(v) : deliver_direct(v);
}

/* SDM 3C "VM Exits Induced by the TPR Threshold". */
static bool below_threshold(const struct virt_cpu *v)
{
    return has(v, VMX_USE_TPR_SHADOW) && has(v, VMX_VIRTUALIZE_APIC_ACCESSES) &&
           !has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY) && !v->shut_down && !v->waits_for_sipi &&
           (vmcs_get(&v->vmcs, VMCS_TPR_THRESHOLD) & 0xf) > (v->apic->regs.TPR >> 4 & 0xf);
}

/* SDM 3C "Updating Non-Register State": with virtual-interrupt delivery, an entry computes VPPR
   and evaluates. */
static void load_virtual_interrupts(struct virt_cpu *v)
{
    v->recognized = false;
    if (!has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY))
        return;
    vmx_ppr_virtualization(v);
    vmx_evaluate(v);
}

/* SDM 3C "Event Injection": before the guest's first instruction, and regardless of its APIC,
   which the hypervisor has looked at. */
static struct virt_boundary inject_event(struct virt_cpu *v)
{
    const uint32_t info = (uint32_t)vmcs_get(&v->vmcs, VMCS_ENTRY_INTR_INFO);

    if (!(info & VMX_INFO_VALID))
        return quiet;
    vmcs_set(&v->vmcs, VMCS_ENTRY_INTR_INFO, 0);
    if ((info & VMX_INFO_TYPE) != VMX_INFO_EXTERNAL || !is_notification(v, (uint8_t)info))
        return through_idt(v, info, true);
    uintr_process_notification(v->user);
    return notification(v, (uint8_t)info, true);
}

/* Nothing more is delivered at the same boundary, but the guest may leave. */
static struct virt_boundary after_notification(struct virt_cpu *v)
{
    enum exit_reason why = due_first(v);

    if (why == EXIT_NONE && takes_interrupts(v) && has(v, VMX_INTERRUPT_WINDOW_EXITING))
        why = EXIT_VMX_INTERRUPT_WINDOW;
    return why == EXIT_NONE ? quiet : leave(v, why);
}

/* Event injection, then what may follow it before the first instruction. An entry that the checks
   would refuse is the hypervisor model's mistake. */
struct virt_boundary vmx_enter(struct virt_cpu *v)
{
    struct virt_boundary injected, next;

    assert(!vmx_check_entry(v));
    v->pause_loop.any = false;
    if (v->user && has(v, VMX_LOAD_UINV))
        v->user->uinv = (uint8_t)vmcs_get(&v->vmcs, VMCS_GUEST_UINV);
    load_virtual_interrupts(v);
    injected = inject_event(v);
    if (virt_exits(&injected.exit))
        return injected;
    if (below_threshold(v))
        next = leave(v, EXIT_VMX_TPR_BELOW_THRESHOLD);
    else
        next = injected.notification ? after_notification(v) : vmx_boundary(v);
    if (injected.vector == NO_VECTOR)
        return next;
    injected.exit = next.exit;
    return injected;
}
