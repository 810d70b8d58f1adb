/*
 * The exit handlers: a table indexed by exit reason, as in KVM.
 *
 * A row says what the handler costs before it acts, whether it decodes the
 * guest's instruction first, and what it does. A handler ends by taking a step:
 * back into the guest, to userspace, or to wait.
 */
#include <assert.h>

#include "hypervisor/epic.h"
#include "hypervisor/exits.h"
#include "hypervisor/interception.h"

struct exit_handler {
    void (*act)(struct vcpu *v);
    int cost;    /* enum cost_key, or BY_ACCESS */
    bool decode; /* the instruction must be fetched and decoded */
};
enum { BY_ACCESS = -1 };

/* --- what an access costs --- */

static enum cost_key apic_cost(const struct access *a)
{
    const uint16_t offset = access_apic_offset(a);

    if (offset == 0)
        return a->address == MSR_TSC_DEADLINE ? COST_KVM_APIC : COST_KVM_MSR;
    if (a->write && (offset == LAPIC_ICR_LO || offset == LAPIC_SELF_IPI))
        return COST_KVM_ICR;
    return a->write && offset == LAPIC_EOI ? COST_KVM_EOI : COST_KVM_APIC;
}

static enum cost_key device_cost(const struct vcpu *v)
{
    const bool port = v->access.instruction == VIRT_PORT_IO;

    if (access_answered_by(v) == REGION_EVENTFD)
        return port ? COST_KVM_EVENTFD_PIO : COST_KVM_EVENTFD_MMIO;
    if (!port)
        return COST_KVM_MMIO;
    return v->access.write ? COST_KVM_PIO_OUT : COST_KVM_PIO_IN;
}

/* Of the exceptions that exit all but page faults are interrupts of the host's: NMIs, and gates of
   ELI's shadow IDT that are not present. */
static bool met_host(const struct vcpu *v)
{
    return v->exit.reason == EXIT_VMX_EXCEPTION_NMI &&
           (uint8_t)vmcs_get(&v->hw.vmcs, VMCS_EXIT_INTR_INFO) != VMX_PAGE_FAULT;
}

static enum cost_key access_cost(const struct vcpu *v)
{
    if (met_host(v))
        return COST_KVM_HOST_INTERRUPT;
    if (v->access.kind == ACCESS_CR8_READ || v->access.kind == ACCESS_CR8_WRITE)
        return COST_KVM_CR8;
    if (v->access.kind == ACCESS_NONE || v->access.instruction == VIRT_UNMAPPED)
        return COST_KVM_PAGE_FAULT;
    if (v->access.kind == ACCESS_INSTRUCTION)
        return device_cost(v);
    return v->epic ? epic_cost(&v->access) : apic_cost(&v->access);
}

/* An exception that the hypervisor wants to see. */
static void handle_exception(struct vcpu *v)
{
    if (met_host(v))
        handle_host_interrupt(v);
    else
        handle_page(v);
}

static const struct exit_handler handlers[EXIT_REASON_COUNT] = {
    [EXIT_VMX_EXCEPTION_NMI] = {handle_exception, BY_ACCESS, true},
    [EXIT_VMX_EXTERNAL_INTERRUPT] = {handle_host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_VMX_INTERRUPT_WINDOW] = {handle_window, COST_KVM_WINDOW, false},
    [EXIT_VMX_NMI_WINDOW] = {handle_nmi_window, COST_KVM_WINDOW, false},
    [EXIT_VMX_CPUID] = {handle_simple, COST_KVM_CPUID, false},
    [EXIT_VMX_HLT] = {handle_halt, COST_KVM_HALT, false},
    [EXIT_VMX_VMCALL] = {handle_hypercall, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_CR_ACCESS] = {handle_cr8, COST_KVM_CR8, false},
    [EXIT_VMX_IO_INSTRUCTION] = {handle_device, BY_ACCESS, false},
    [EXIT_VMX_MSR_READ] = {handle_access, BY_ACCESS, false},
    [EXIT_VMX_MSR_WRITE] = {handle_access, BY_ACCESS, false},
    [EXIT_VMX_MWAIT] = {handle_simple, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_MONITOR] = {handle_simple, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_PAUSE] = {handle_pause, COST_KVM_ON_SPIN, false},
    [EXIT_VMX_TPR_BELOW_THRESHOLD] = {handle_host_interrupt, COST_KVM_WINDOW, false},
    [EXIT_VMX_APIC_ACCESS] = {handle_access, BY_ACCESS, true},
    [EXIT_VMX_EOI_INDUCED] = {handle_eoi_induced, COST_KVM_EOI, false},
    [EXIT_VMX_EPT_VIOLATION] = {handle_page, COST_KVM_PAGE_FAULT, true},
    [EXIT_VMX_EPT_MISCONFIG] = {handle_page, BY_ACCESS, true},
    [EXIT_VMX_PREEMPTION_TIMER] = {handle_preemption_timer, COST_KVM_PREEMPTION_TIMER, false},
    [EXIT_VMX_TRIPLE_FAULT] = {handle_shutdown, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_ENCLS] = {handle_unknown, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_WBINVD] = {handle_simple, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_APIC_WRITE] = {handle_access, BY_ACCESS, false},
    [EXIT_SVM_WRITE_CR8] = {handle_cr8, COST_KVM_CR8, false},
    [EXIT_SVM_PAGE_FAULT] = {handle_page, BY_ACCESS, true},
    [EXIT_SVM_INTR] = {handle_host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_SVM_VINTR] = {handle_window, COST_KVM_WINDOW, false},
    [EXIT_SVM_CPUID] = {handle_simple, COST_KVM_CPUID, false},
    [EXIT_SVM_IRET] = {handle_nmi_window, COST_KVM_WINDOW, false},
    [EXIT_SVM_PAUSE] = {handle_pause, COST_KVM_ON_SPIN, false},
    [EXIT_SVM_HLT] = {handle_halt, COST_KVM_HALT, false},
    [EXIT_SVM_IO] = {handle_device, BY_ACCESS, false},
    [EXIT_SVM_MSR] = {handle_access, BY_ACCESS, false},
    [EXIT_SVM_VMMCALL] = {handle_hypercall, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_FERR_FREEZE] = {handle_internal_error, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_SHUTDOWN] = {handle_shutdown, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_STGI] = {handle_gif, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_CLGI] = {handle_gif, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_WBINVD] = {handle_simple, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_MONITOR] = {handle_simple, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_MWAIT] = {handle_simple, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_IDLE_HLT] = {handle_halt, COST_KVM_HALT, false},
    [EXIT_SVM_NPF] = {handle_page, BY_ACCESS, true},
    [EXIT_SVM_AVIC_INCOMPLETE_IPI] = {handle_incomplete_ipi, BY_ACCESS, false},
    [EXIT_SVM_AVIC_NOACCEL] = {handle_access, BY_ACCESS, false},
    [EXIT_E2K_RR_IDR] = {interception_identify, COST_KVM_CPUID, false},
    [EXIT_E2K_HV_INT] = {handle_host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_E2K_HV_NM_INT] = {handle_host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_E2K_G_TMR] = {handle_host_interrupt, COST_KVM_PREEMPTION_TIMER, false},
    [EXIT_E2K_WAIT_TRAP] = {handle_halt, COST_KVM_HALT, false},
    [EXIT_E2K_HCALL] = {handle_hypercall, COST_KVM_HYPERCALL, false},
    [EXIT_E2K_GPA_DATA] = {handle_data_page, BY_ACCESS, false},
    [EXIT_E2K_GPA_INSTR] = {handle_page, COST_KVM_PAGE_FAULT, false},
    [EXIT_E2K_MAS_IOADDR] = {handle_device, BY_ACCESS, false},
    [EXIT_E2K_CACHE_FLUSH] = {handle_simple, COST_KVM_HYPERCALL, false},
};

static bool is_msr(const struct access *a)
{
    return a->kind == ACCESS_MSR_READ || a->kind == ACCESS_MSR_WRITE;
}

/* A register of the APIC that is an MSR is first one MSR among all (kvm_set_msr_common()); an ICR
   write is a register's access, and then a search for the destinations. KVM's
   handle_fastpath_set_x2apic_icr_irqoff() begins with the search. */
static void pay_access(struct vcpu *v, bool fast)
{
    const enum cost_key key = access_cost(v);

    if (is_msr(&v->access) && key != COST_KVM_MSR && !fast)
        vcpu_pay(v, COST_KVM_MSR);
    if (key == COST_KVM_ICR && !fast)
        vcpu_pay(v, COST_KVM_APIC);
    vcpu_pay(v, key);
}

void exit_pay(struct vcpu *v)
{
    const struct exit_handler *handler = &handlers[v->exit.reason];
    const bool fast = exit_takes_fastpath(v);

    if (v->access.kind == ACCESS_INTERCEPT) {
        interception_pay(v);
        return;
    }
    assert(handler->act && "this exit has no handler");
    vcpu_pay(v, fast ? COST_KVM_FASTPATH : COST_KVM_EXIT);
    if (handler->decode && (access_on_apic_page(&v->access) || access_on_device(&v->access)))
        vcpu_pay(v, COST_KVM_DECODE);
    if (handler->cost != BY_ACCESS)
        vcpu_pay(v, (enum cost_key)handler->cost);
    if (handler->cost == BY_ACCESS || (handler->decode && access_on_apic_page(&v->access)))
        pay_access(v, fast);
}

/* KVM: apic_sync_pv_eoi_from_guest(): the guest cleared the bit, so it acknowledged. */
static void notice_pv_eoi(struct vcpu *v)
{
    if (!v->pv_eoi_offered)
        return;
    v->pv_eoi_offered = false;
    if (!v->pv_eoi)
        lapic_eoi(&v->apic);
    v->pv_eoi = false;
}

/* KVM: vmx_complete_interrupts(): a delivery that the exit interrupted is done again. An NMI's
   blocking, in effect already, would keep it from being injected. */
static void notice_interrupted_delivery(struct vcpu *v)
{
    bool nmi;
    const int vector = v->hw.ops->interrupted_delivery(&v->hw, &nmi);

    if (vector == NO_VECTOR)
        return;
    if (nmi)
        v->hw.nmi_blocked = false;
    v->reinject = vector;
    v->reinject_nmi = nmi;
    v->reinject_flow =
        v->injecting == vector ? v->injecting_flow : v->apic.service_flow[vector];
    v->injecting = NO_VECTOR;
}

void exit_handle(struct vcpu *v)
{
    v->kicked = false;
    notice_interrupted_delivery(v);
    notice_pv_eoi(v);
    direct_leave(v);
    host_take_pending(v, v->exit.reason == EXIT_VMX_EXTERNAL_INTERRUPT || met_host(v) ||
                             v->exit.reason == EXIT_SVM_INTR ||
                             v->exit.reason == EXIT_E2K_HV_INT ||
                             v->exit.reason == EXIT_E2K_G_TMR);
    if (v->access.kind == ACCESS_INTERCEPT)
        interception_handle(v);
    else
        handlers[v->exit.reason].act(v);
}
