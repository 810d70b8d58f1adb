/*
 * VMX: which instructions and events leave the guest, event injection, and
 * what the hypervisor writes between an exit and an entry (SDM 3C chapters
 * "VMX Non-Root Operation", "VM Entries", "VM Exits").
 *
 * The checks that VM entry makes on control fields are left out: a VMCS that
 * they would refuse is the hypervisor model's mistake. docs/models/vmx.md says
 * what else is not here.
 */
#include "virt/vmx.h"

/* SDM 3C "VM-Entry Controls for Event Injection"; the IDT-vectoring and VM-exit information
   fields have the same format. */
#define INFO_VALID (UINT32_C(1) << 31)
enum { INFO_TYPE = 7 << 8, INFO_EXTERNAL = 0 << 8, INFO_NMI = 2 << 8, NMI_VECTOR = 2 };

struct virt_verdict vmx_stay(enum virt_path path, uint64_t value)
{
    return (struct virt_verdict){.path = path, .value = value, .retired = NO_VECTOR};
}

static struct virt_verdict leave(struct virt_cpu *v, enum virt_path path, enum exit_reason why,
                                 uint64_t qualification)
{
    vmcs_set(&v->vmcs, VMCS_EXIT_REASON, exit_reasons[why].number);
    vmcs_set(&v->vmcs, VMCS_EXIT_QUALIFICATION, qualification);
    vmcs_set(&v->vmcs, VMCS_EXIT_INTR_INFO, 0);
    vmcs_set(&v->vmcs, VMCS_IDT_VECTORING_INFO, 0);
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

static struct virt_verdict vmx_instruction(struct virt_cpu *v, enum virt_instruction i,
                                           uint64_t detail)
{
    switch (i) {
    case VIRT_CPUID:
        return vmx_exit(v, EXIT_VMX_CPUID, 0);
    case VIRT_HYPERCALL:
        return vmx_exit(v, EXIT_VMX_VMCALL, 0);
    case VIRT_PAUSE:
        return exit_if(v, has(v, VMX_PAUSE_EXITING), EXIT_VMX_PAUSE, 0);
    case VIRT_HLT:
        v->halted = !has(v, VMX_HLT_EXITING);
        return exit_if(v, !v->halted, EXIT_VMX_HLT, 0);
    case VIRT_WBINVD:
        return exit_if(v, has(v, VMX_WBINVD_EXITING), EXIT_VMX_WBINVD, 0);
    case VIRT_PORT_IO:
        return exit_if(v, has(v, VMX_UNCONDITIONAL_IO_EXITING), EXIT_VMX_IO_INSTRUCTION,
                       detail);
    case VIRT_MMIO:
        return vmx_exit(v, EXIT_VMX_EPT_MISCONFIG, detail);
    case VIRT_UNMAPPED:
        return vmx_exit(v, EXIT_VMX_EPT_VIOLATION, detail);
    case VIRT_IRET:
        v->nmi_blocked = false;
        break;
    }
    return vmx_stay(VIRT_NATIVE, 0);
}

/* SDM 3C "Other Causes of VM Exits", external interrupts; "Posted-Interrupt Processing", step 2. */
static struct virt_verdict vmx_external_interrupt(struct virt_cpu *v, uint8_t host_vector)
{
    struct virt_verdict verdict;

    if (!has(v, VMX_EXTERNAL_INTERRUPT_EXITING))
        return vmx_stay(VIRT_NATIVE, 0);
    if (has(v, VMX_PROCESS_POSTED_INTERRUPTS) &&
        host_vector == vmcs_get(&v->vmcs, VMCS_POSTED_INTR_VECTOR)) {
        vmx_posted_interrupt_processing(v);
        return vmx_stay(VIRT_DONE, 0);
    }
    verdict = vmx_exit(v, EXIT_VMX_EXTERNAL_INTERRUPT, 0);
    if (has(v, VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT))
        vmcs_set(&v->vmcs, VMCS_EXIT_INTR_INFO, INFO_VALID | INFO_EXTERNAL | host_vector);
    return verdict;
}

static struct virt_verdict vmx_preemption_timer(struct virt_cpu *v)
{
    return exit_if(v, has(v, VMX_ACTIVATE_PREEMPTION_TIMER), EXIT_VMX_PREEMPTION_TIMER, 0);
}

/* Nothing happens. A constant, since this is the answer nearly every time. */
static const struct virt_boundary quiet = {
    .exit = {.path = VIRT_NATIVE, .retired = NO_VECTOR},
    .vector = NO_VECTOR,
};

static struct virt_boundary window_exit(struct virt_cpu *v, enum exit_reason why)
{
    struct virt_boundary b = quiet;

    v->halted = false;
    b.exit = vmx_exit(v, why, 0);
    return b;
}

/*
 * Through the guest's IDT. When that meets an unmapped page, the guest leaves
 * in the middle of it, and IDT-vectoring information says of what (SDM 3C
 * "Information for VM Exits That Occur During Event Delivery").
 */
static struct virt_boundary through_idt(struct virt_cpu *v, uint32_t info, bool injected)
{
    struct virt_boundary b = quiet;

    v->halted = false;
    if (v->delivery_faults) {
        v->delivery_faults = false;
        b.exit = vmx_exit(v, EXIT_VMX_EPT_VIOLATION, 0);
        vmcs_set(&v->vmcs, VMCS_IDT_VECTORING_INFO, info);
        return b;
    }
    v->interrupts_enabled = false;
    b.vector = (uint8_t)info;
    b.nmi = (info & INFO_TYPE) == INFO_NMI;
    v->nmi_blocked |= b.nmi;
    b.injected = injected;
    return b;
}

/*
 * Highest first (SDM 3C "Virtual-Interrupt Delivery", "Other Causes of VM
 * Exits"): the NMI window; then, with the same priority because they exclude
 * each other, the interrupt window and virtual-interrupt delivery.
 */
static struct virt_boundary vmx_boundary(struct virt_cpu *v)
{
    const bool window = has(v, VMX_INTERRUPT_WINDOW_EXITING);

    if (has(v, VMX_NMI_WINDOW_EXITING) && !v->nmi_blocked && !v->shadow)
        return window_exit(v, EXIT_VMX_NMI_WINDOW);
    if (!v->interrupts_enabled || v->shadow)
        return quiet;
    if (window)
        return window_exit(v, EXIT_VMX_INTERRUPT_WINDOW);
    if (v->recognized)
        return through_idt(v, INFO_VALID | INFO_EXTERNAL | vmx_deliver(v), false);
    return quiet;
}

/* SDM 3C "VM Exits Induced by the TPR Threshold". */
static bool below_threshold(const struct virt_cpu *v)
{
    return has(v, VMX_USE_TPR_SHADOW) && has(v, VMX_VIRTUALIZE_APIC_ACCESSES) &&
           !has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY) &&
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

/* SDM 3C "Event Injection": before the guest's first instruction, and regardless of its RFLAGS.IF
   and APIC, which the hypervisor has looked at. */
static struct virt_boundary inject_event(struct virt_cpu *v)
{
    const uint32_t info = (uint32_t)vmcs_get(&v->vmcs, VMCS_ENTRY_INTR_INFO);

    if (!(info & INFO_VALID))
        return quiet;
    vmcs_set(&v->vmcs, VMCS_ENTRY_INTR_INFO, 0);
    return through_idt(v, info, true);
}

/* Event injection, then what may follow it before the first instruction. */
static struct virt_boundary vmx_enter(struct virt_cpu *v)
{
    struct virt_boundary injected, next;

    load_virtual_interrupts(v);
    injected = inject_event(v);
    if (virt_exits(&injected.exit))
        return injected;
    next = below_threshold(v) ? window_exit(v, EXIT_VMX_TPR_BELOW_THRESHOLD) : vmx_boundary(v);
    if (injected.vector == NO_VECTOR)
        return next;
    injected.exit = next.exit;
    return injected;
}

static void vmx_inject(struct virt_cpu *v, uint8_t vector, bool nmi)
{
    vmcs_set(&v->vmcs, VMCS_ENTRY_INTR_INFO,
             nmi ? INFO_VALID | INFO_NMI | NMI_VECTOR : INFO_VALID | INFO_EXTERNAL | vector);
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

static int vmx_interrupted_delivery(const struct virt_cpu *v, bool *nmi)
{
    const uint32_t info = (uint32_t)vmcs_get(&v->vmcs, VMCS_IDT_VECTORING_INFO);

    *nmi = info & INFO_VALID && (info & INFO_TYPE) == INFO_NMI;
    return info & INFO_VALID ? (int)(uint8_t)info : NO_VECTOR;
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
    .external_interrupt = vmx_external_interrupt,
    .preemption_timer = vmx_preemption_timer,
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
    .interrupted_delivery = vmx_interrupted_delivery,
};
