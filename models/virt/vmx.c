/*
 * VMX: which instructions and events leave the guest, and what the hypervisor
 * writes between an exit and an entry (SDM 3C chapters "VMX Non-Root
 * Operation", "VM Exits"). docs/models/vmx.md says what is not here.
 */
#include "virt/vmx.h"

enum { NMI_VECTOR = 2 };

struct virt_verdict vmx_stay(enum virt_path path, uint64_t value)
{
    return (struct virt_verdict){.path = path, .value = value, .retired = NO_VECTOR};
}

/* SDM 3C "Saving Control Registers, Debug Registers, and MSRs", and "Loading Host Control
   Registers, Debug Registers, MSRs": UINV. */
static void save_uinv(struct virt_cpu *v)
{
    vmcs_set(&v->vmcs, VMCS_GUEST_UINV, v->user->uinv);
    if (vmx_has(&v->vmcs, VMX_CLEAR_UINV))
        v->user->uinv = 0;
}

/* SDM 3C "Clearing Address-Range Monitoring": an exit ends it, and with it the state that MWAIT
   enters, which no field keeps. */
static struct virt_verdict leave(struct virt_cpu *v, enum virt_path path, enum exit_reason why,
                                 uint64_t qualification)
{
    v->monitor = VIRT_MONITOR_OFF;
    vmcs_set(&v->vmcs, VMCS_EXIT_REASON, exit_reasons[why].number);
    vmcs_set(&v->vmcs, VMCS_EXIT_QUALIFICATION, qualification);
    vmcs_set(&v->vmcs, VMCS_EXIT_INTR_INFO, 0);
    vmcs_set(&v->vmcs, VMCS_IDT_VECTORING_INFO, 0);
    if (v->user)
        save_uinv(v);
    return (struct virt_verdict){
        .path = path,
        .reason = why,
        .qualification = qualification,
        .retired = NO_VECTOR,
    };
}

struct virt_verdict vmx_exit(struct virt_cpu *v, enum exit_reason why, uint64_t qualification)
{
    return leave(v, VIRT_EXIT, why, qualification);
}

/* SDM 3C "Exceptions" under "Other Causes of VM Exits": with #PF in the exception bitmap, and mask and
   match of the error code both 0, every page fault exits. A hypervisor without EPT sets it so. */
struct virt_verdict vmx_page_exit(struct virt_cpu *v, enum exit_reason ept, uint64_t address)
{
    const bool exits = vmcs_get(&v->vmcs, VMCS_EXCEPTION_BITMAP) >> VMX_PAGE_FAULT & 1;
    struct virt_verdict verdict = vmx_exit(v, exits ? EXIT_VMX_EXCEPTION_NMI : ept, address);

    if (exits)
        vmcs_set(&v->vmcs, VMCS_EXIT_INTR_INFO,
                 VMX_INFO_VALID | VMX_INFO_ERROR_CODE | VMX_INFO_EXCEPTION | VMX_PAGE_FAULT);
    return verdict;
}

struct virt_verdict vmx_exit_after(struct virt_cpu *v, enum exit_reason why,
                                   uint64_t qualification)
{
    return leave(v, VIRT_EXIT_AFTER, why, qualification);
}

static bool has(const struct virt_cpu *v, enum vmx_control c)
{
    return vmx_has(&v->vmcs, c);
}

/* SDM 3C "Instructions That Cause VM Exits": here those that one control decides. */
static struct virt_verdict exit_if(struct virt_cpu *v, bool exits, enum exit_reason why,
                                   uint64_t detail)
{
    return exits ? vmx_exit(v, why, detail) : vmx_stay(VIRT_NATIVE, 0);
}

/* SDM 3C "Instructions That Cause VM Exits Conditionally", HLT: else the activity state changes. */
static struct virt_verdict execute_hlt(struct virt_cpu *v)
{
    v->halted = !has(v, VMX_HLT_EXITING);
    return exit_if(v, !v->halted, EXIT_VMX_HLT, 0);
}

static struct virt_verdict execute_monitor(struct virt_cpu *v)
{
    if (has(v, VMX_MONITOR_EXITING))
        return vmx_exit(v, EXIT_VMX_MONITOR, 0);
    v->monitor = VIRT_MONITOR_ARMED;
    return vmx_stay(VIRT_NATIVE, 0);
}

/* SDM 3C table "Exit Qualification for MWAIT": whether a range was being watched; if none is, MWAIT
   does nothing. */
static struct virt_verdict execute_mwait(struct virt_cpu *v)
{
    const bool armed = v->monitor == VIRT_MONITOR_ARMED;

    if (has(v, VMX_MWAIT_EXITING))
        return vmx_exit(v, EXIT_VMX_MWAIT, armed);
    if (armed)
        v->monitor = VIRT_MONITOR_WAITING;
    return vmx_stay(VIRT_NATIVE, 0);
}

/* SDM 3C "Changes to Instruction Behavior in VMX Non-Root Operation": with NMI exiting, IRET ends
   virtual-NMI blocking, and no other. */
static void execute_iret(struct virt_cpu *v)
{
    if (!has(v, VMX_NMI_EXITING) || has(v, VMX_VIRTUAL_NMIS))
        v->nmi_blocked = false;
}

static struct virt_verdict vmx_instruction(struct virt_cpu *v, enum virt_instruction i,
                                           uint64_t detail)
{
    switch (i) {
    case VIRT_CPUID:
        return vmx_exit(v, EXIT_VMX_CPUID, 0);
    case VIRT_HYPERCALL:
        return vmx_exit(v, EXIT_VMX_VMCALL, 0);
    case VIRT_PAUSE:
        return vmx_pause(v, detail);
    case VIRT_HLT:
        return execute_hlt(v);
    case VIRT_MONITOR:
        return execute_monitor(v);
    case VIRT_MWAIT:
        return execute_mwait(v);
    case VIRT_WBINVD:
        return exit_if(v, has(v, VMX_WBINVD_EXITING), EXIT_VMX_WBINVD, 0);
    case VIRT_STGI: /* SVM's */
    case VIRT_CLGI:
        break;
    case VIRT_PORT_IO:
        return exit_if(v, has(v, VMX_UNCONDITIONAL_IO_EXITING), EXIT_VMX_IO_INSTRUCTION,
                       detail);
    case VIRT_TRIPLE_FAULT: /* SDM 3C "Other Causes of VM Exits" */
        return vmx_exit(v, EXIT_VMX_TRIPLE_FAULT, 0);
    case VIRT_UNKNOWN:
        return vmx_exit(v, EXIT_VMX_ENCLS, 0);
    case VIRT_MMIO:
    case VIRT_OPAQUE_MMIO:
        return vmx_page_exit(v, EXIT_VMX_EPT_MISCONFIG, detail);
    case VIRT_UNMAPPED:
        return vmx_page_exit(v, EXIT_VMX_EPT_VIOLATION, detail);
    case VIRT_SENDUIPI:
        return vmx_senduipi(v, (uint8_t)detail, (uint32_t)(detail >> 32));
    case VIRT_IRET:
        execute_iret(v);
        break;
    }
    return vmx_stay(VIRT_NATIVE, 0);
}

static struct virt_verdict interruption_exit(struct virt_cpu *v, enum exit_reason why,
                                             uint32_t info)
{
    const struct virt_verdict verdict = vmx_exit(v, why, 0);

    vmcs_set(&v->vmcs, VMCS_EXIT_INTR_INFO, VMX_INFO_VALID | info);
    return verdict;
}

/* SDM 3C "Other Causes of VM Exits": non-maskable interrupts. */
static struct virt_verdict meet_nmi(struct virt_cpu *v)
{
    return has(v, VMX_NMI_EXITING)
               ? interruption_exit(v, EXIT_VMX_EXCEPTION_NMI, VMX_INFO_NMI | NMI_VECTOR)
               : vmx_stay(VIRT_NATIVE, 0);
}

/* External interrupts do not exit: through the IDT. That of a hypervisor has gates that are not
   present, and the exception bitmap the bit for what they raise. */
static struct virt_verdict meet_idt(struct virt_cpu *v, uint8_t vector)
{
    const bool exits = vmcs_get(&v->vmcs, VMCS_EXCEPTION_BITMAP) >> VMX_NOT_PRESENT & 1;

    return v->shadow_idt && exits && !vec_has(&v->guest_gates, vector)
               ? interruption_exit(v, EXIT_VMX_EXCEPTION_NMI,
                                   VMX_INFO_ERROR_CODE | VMX_INFO_EXCEPTION | VMX_NOT_PRESENT)
               : vmx_stay(VIRT_NATIVE, 0);
}

/* SDM 3C "Other Causes of VM Exits", external interrupts; "Posted-Interrupt Processing", step 2. */
static struct virt_verdict vmx_external_interrupt(struct virt_cpu *v, uint8_t host_vector)
{
    if (host_vector == VIRT_NMI)
        return meet_nmi(v);
    if (!has(v, VMX_EXTERNAL_INTERRUPT_EXITING))
        return meet_idt(v, host_vector);
    if (has(v, VMX_PROCESS_POSTED_INTERRUPTS) &&
        host_vector == vmcs_get(&v->vmcs, VMCS_POSTED_INTR_VECTOR)) {
        vmx_posted_interrupt_processing(v);
        return vmx_stay(VIRT_DONE, 0);
    }
    if (has(v, VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT))
        return interruption_exit(v, EXIT_VMX_EXTERNAL_INTERRUPT,
                                 VMX_INFO_EXTERNAL | host_vector);
    return vmx_exit(v, EXIT_VMX_EXTERNAL_INTERRUPT, 0);
}

static struct virt_verdict vmx_preemption_timer(struct virt_cpu *v)
{
    return exit_if(v, has(v, VMX_ACTIVATE_PREEMPTION_TIMER), EXIT_VMX_PREEMPTION_TIMER, 0);
}

static void vmx_inject(struct virt_cpu *v, uint8_t vector, bool nmi)
{
    vmcs_set(&v->vmcs, VMCS_ENTRY_INTR_INFO,
             nmi ? VMX_INFO_VALID | VMX_INFO_NMI | NMI_VECTOR
                 : VMX_INFO_VALID | VMX_INFO_EXTERNAL | vector);
}

static void vmx_cancel_injection(struct virt_cpu *v)
{
    vmcs_set(&v->vmcs, VMCS_ENTRY_INTR_INFO, 0);
}

static void vmx_open_window(struct virt_cpu *v, bool open)
{
    vmx_control(&v->vmcs, VMX_INTERRUPT_WINDOW_EXITING, open);
}

static void vmx_open_nmi_window(struct virt_cpu *v, bool open)
{
    vmx_control(&v->vmcs, VMX_NMI_WINDOW_EXITING, open);
}

static void vmx_set_tpr_threshold(struct virt_cpu *v, uint8_t class)
{
    vmcs_set(&v->vmcs, VMCS_TPR_THRESHOLD, class);
}

static bool vmx_posts(const struct virt_cpu *v)
{
    return has(v, VMX_PROCESS_POSTED_INTERRUPTS);
}

static bool vmx_delivers(const struct virt_cpu *v)
{
    return has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY);
}

static void vmx_sync(struct virt_cpu *v)
{
    vmx_set_rvi(&v->vmcs, vmx_vector_or_0(vec_highest(&v->apic->regs.IRR)));
    vmx_set_svi(&v->vmcs, vmx_vector_or_0(vec_highest(&v->apic->regs.ISR)));
}

/* SDM 3C "Virtual APIC State": what each piece of virtualized state brings along. */
static void vmx_changed(struct virt_cpu *v)
{
    vmx_sync(v);
    if (!has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY))
        return;
    vmx_ppr_virtualization(v);
    vmx_evaluate(v);
}

static int vmx_interrupted_delivery(const struct virt_cpu *v, bool *nmi)
{
    const uint32_t info = (uint32_t)vmcs_get(&v->vmcs, VMCS_IDT_VECTORING_INFO);

    *nmi = info & VMX_INFO_VALID && (info & VMX_INFO_TYPE) == VMX_INFO_NMI;
    return info & VMX_INFO_VALID ? (int)(uint8_t)info : NO_VECTOR;
}

const struct virt_ops virt_vmx = {
    .vendor = VIRT_VMX,
    .apic_read = vmx_apic_read,
    .apic_write = vmx_apic_write,
    .rdmsr = vmx_rdmsr,
    .wrmsr = vmx_wrmsr,
    .read_cr8 = vmx_read_cr8,
    .write_cr8 = vmx_write_cr8,
    .instruction = vmx_instruction,
    .pauses_to_exit = vmx_pauses_to_exit,
    .pauses = vmx_pauses,
    .external_interrupt = vmx_external_interrupt,
    .preemption_timer = vmx_preemption_timer,
    .guest_deadline = vmx_guest_deadline,
    .set_guest_deadline = vmx_set_guest_deadline,
    .boundary = vmx_boundary,
    .enter = vmx_enter,
    .inject = vmx_inject,
    .cancel_injection = vmx_cancel_injection,
    .open_window = vmx_open_window,
    .open_nmi_window = vmx_open_nmi_window,
    .set_tpr_threshold = vmx_set_tpr_threshold,
    .posts = vmx_posts,
    .delivers = vmx_delivers,
    .sync = vmx_sync,
    .eoi_exits = vmx_eoi_exits,
    .leave = leave,
    .changed = vmx_changed,
    .interrupted_delivery = vmx_interrupted_delivery,
};
