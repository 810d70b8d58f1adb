/* Features and policy to control bits: KVM's setup of a vCPU's VMCS or VMCB. */
#include "hypervisor/ioepic_board.h"
#include "hypervisor/hypervisor.h"

/* x2APIC MSRs by their bit in the bitmaps. */
#define MSR_BIT(offset) (UINT64_C(1) << ((offset) >> 4))

/* KVM: vmx_update_msr_bitmap_x2apic(). What is virtualized need not exit; the current count is
   never virtualized. */
static void x2apic_bitmaps(struct virt_cpu *hw, feature_set f)
{
    hw->x2apic_read_exits = hw->x2apic_write_exits = ~UINT64_C(0);
    if (!feature_in(f, FEATURE_VIRTUALIZE_X2APIC))
        return;
    hw->x2apic_read_exits &= ~MSR_BIT(LAPIC_TPR);
    hw->x2apic_write_exits &= ~MSR_BIT(LAPIC_TPR);
    if (feature_in(f, FEATURE_APIC_REGISTERS))
        hw->x2apic_read_exits = MSR_BIT(LAPIC_TIMER_CURRENT);
    if (feature_in(f, FEATURE_INTERRUPT_DELIVERY))
        hw->x2apic_write_exits &= ~(MSR_BIT(LAPIC_EOI) | MSR_BIT(LAPIC_SELF_IPI));
    if (feature_in(f, FEATURE_IPI_VIRTUALIZATION))
        hw->x2apic_write_exits &= ~MSR_BIT(LAPIC_ICR_LO);
}

/*
 * Level-triggered vectors: the hypervisor must see their EOI to lower the I/O
 * APIC's remote IRR. KVM: ioapic_scan_entry(). Without a chipset in the plan,
 * KVM's own I/O APIC still asks for the pins of the RTC and the PIT, whose
 * entries read vector 0 for APIC ID 0. The EOI of nothing is of vector 0 to the
 * hardware, and so exits there.
 */
static struct vec256 eoi_exits(const struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    struct vec256 vectors = {{0}};

    if (h->policy.irqchip == IRQCHIP_KERNEL && v->index == 0 && !h->board)
        vec_set(&vectors, 0);
    for (uint32_t i = 0; i < h->device_count; i++)
        if (h->device[i].kind == DEVICE_LEVEL && h->device[i].vcpu == v->index)
            vec_set(&vectors, h->device[i].vector);
    board_eoi_exits(v, &vectors);
    return vectors;
}

void controls_set_eoi_exits(struct vcpu *v)
{
    const struct vec256 vectors = eoi_exits(v);

    for (unsigned w = 0; w < 4; w++)
        vmcs_set(&v->hw.vmcs, (enum vmcs_field)(VMCS_EOI_EXIT_BITMAP0 + w), vectors.word[w]);
}

void controls_pass_eoi(struct vcpu *v, bool pass)
{
    if (!feature_in(v->hypervisor->features, FEATURE_DIRECT_EOI))
        return;
    if (pass)
        v->hw.x2apic_write_exits &= ~MSR_BIT(LAPIC_EOI);
    else
        v->hw.x2apic_write_exits |= MSR_BIT(LAPIC_EOI);
}

/* ELI: direct mode and injection mode. The EOI of what the hypervisor has injected must reach it,
   and so until then must every physical interrupt, whose EOI would be mistaken for that one. */
void controls_set_direct(struct vcpu *v, bool direct)
{
    if (!feature_in(v->hypervisor->features, FEATURE_DIRECT_INTERRUPTS))
        return;
    vmx_control(&v->hw.vmcs, VMX_EXTERNAL_INTERRUPT_EXITING, !direct);
    controls_pass_eoi(v, direct);
}

void controls_set_virtual_timer(struct vcpu *v, bool on)
{
    vmx_control(&v->hw.vmcs, VMX_APIC_TIMER_VIRTUALIZATION, on);
    vmcs_set(&v->hw.vmcs, VMCS_VIRTUAL_TIMER_VECTOR, v->apic.regs.LVT_TIMER & 0xff);
    v->hw.tsc_deadline_exits = !on;
}

static void vmx_apic_controls(struct vmcs *c, feature_set f, bool x2apic, bool apic_in_kernel)
{
    const bool shadow = feature_in(f, FEATURE_TPR_SHADOW) && apic_in_kernel;
    const bool virtualized = shadow && (x2apic ? feature_in(f, FEATURE_VIRTUALIZE_X2APIC)
                                               : feature_in(f, FEATURE_APIC_ACCESS_PAGE));

    vmx_control(c, VMX_USE_TPR_SHADOW, shadow);
    vmx_control(c, VMX_CR8_LOAD_EXITING, !shadow);
    vmx_control(c, VMX_CR8_STORE_EXITING, !shadow);
    vmx_control(c, VMX_VIRTUALIZE_APIC_ACCESSES, virtualized && !x2apic);
    vmx_control(c, VMX_VIRTUALIZE_X2APIC_MODE, virtualized && x2apic);
    vmx_control(c, VMX_APIC_REGISTER_VIRTUALIZATION,
                shadow && feature_in(f, FEATURE_APIC_REGISTERS));
    vmx_control(c, VMX_VIRTUAL_INTERRUPT_DELIVERY,
                shadow && feature_in(f, FEATURE_INTERRUPT_DELIVERY));
    vmx_control(c, VMX_PROCESS_POSTED_INTERRUPTS,
                shadow && feature_in(f, FEATURE_POSTED_INTERRUPTS));
    vmx_control(c, VMX_IPI_VIRTUALIZATION, shadow && feature_in(f, FEATURE_IPI_VIRTUALIZATION));
}

bool controls_apic_in_kernel(const struct hypervisor *h)
{
    return h->policy.irqchip != IRQCHIP_USERSPACE && h->guest_apic != LAPIC_MODE_DISABLED;
}

/* The APIC's registers that are the guest's own, where it has an x2APIC. */
static void pass_registers(struct vcpu *v, feature_set f)
{
    const bool x2apic = controls_apic_in_kernel(v->hypervisor) &&
                        v->hypervisor->guest_apic == LAPIC_MODE_X2APIC;
    const bool icr = x2apic && feature_in(f, FEATURE_DIRECT_IPI);

    v->pv_icr = x2apic && (icr || feature_in(f, FEATURE_IPI_PASSTHROUGH));
    if (v->pv_icr)
        v->hw.x2apic_write_exits &= ~MSR_BIT(LAPIC_ICR_LO);
    if (icr)
        v->hw.x2apic_write_exits &= ~MSR_BIT(LAPIC_SELF_IPI);
    if (!timer_is_direct(v))
        return;
    v->hw.tsc_deadline_exits = false;
    v->hw.x2apic_write_exits &= ~MSR_BIT(LAPIC_TIMER_INITIAL);
    v->hw.x2apic_read_exits &= ~MSR_BIT(LAPIC_TIMER_CURRENT);
}

/* KVM: vmx_refresh_apicv_exec_ctrl(). The TPR shadow stays. */
static void vmx_set_apicv(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const feature_set f = inhibit_features(v);

    vmx_apic_controls(&v->hw.vmcs, f, h->guest_apic == LAPIC_MODE_X2APIC,
                      controls_apic_in_kernel(h));
    x2apic_bitmaps(&v->hw, f);
    pass_registers(v, f);
    controls_set_direct(v, vec_empty(&v->apic.regs.ISR));
}

void controls_set_pause_window(struct vcpu *v)
{
    const feature_set f = v->hypervisor->features;

    if (v->hw.ops->vendor == VIRT_VMX)
        vmcs_set(&v->hw.vmcs, VMCS_PLE_WINDOW, v->waiting.pause_window);
    else if (v->hw.ops->vendor == VIRT_SVM)
        v->hw.vmcb.pause_count =
            feature_in(f, FEATURE_PAUSE_FILTER) ? (uint16_t)v->waiting.pause_window : 0;
}

/* What a guest waits with. */
static void vmx_set_waiting(struct vcpu *v)
{
    const feature_set f = v->hypervisor->features;
    struct vmcs *c = &v->hw.vmcs;

    vmx_control(c, VMX_HLT_EXITING, !feature_in(f, FEATURE_HLT_IN_GUEST));
    vmx_control(c, VMX_MONITOR_EXITING, !feature_in(f, FEATURE_MWAIT_IN_GUEST));
    vmx_control(c, VMX_MWAIT_EXITING, !feature_in(f, FEATURE_MWAIT_IN_GUEST));
    vmx_control(c, VMX_PAUSE_EXITING, !feature_in(f, FEATURE_PAUSE_IN_GUEST));
    vmx_control(c, VMX_PAUSE_LOOP_EXITING, feature_in(f, FEATURE_PAUSE_LOOP_EXITING));
    vmcs_set(c, VMCS_PLE_GAP, v->hypervisor->policy.pause_loop.gap);
}

static void vmx_set(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const feature_set f = h->features;
    struct vmcs *c = &v->hw.vmcs;

    v->hw.shadow_idt = feature_in(f, FEATURE_SHADOW_IDT);
    vmx_control(c, VMX_EXTERNAL_INTERRUPT_EXITING, true);
    vmx_control(c, VMX_NMI_EXITING, true);
    vmx_control(c, VMX_VIRTUAL_NMIS, true);
    vmx_control(c, VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT, true);
    vmx_control(c, VMX_ACTIVATE_PREEMPTION_TIMER,
                feature_in(f, FEATURE_PREEMPTION_TIMER) || h->declared_timer);
    vmx_set_waiting(v);
    vmx_control(c, VMX_UNCONDITIONAL_IO_EXITING, true);
    vmx_control(c, VMX_USE_MSR_BITMAPS, true);
    vmx_control(c, VMX_WBINVD_EXITING, true);
    vmcs_set(c, VMCS_EXCEPTION_BITMAP,
             (uint32_t)!feature_in(f, FEATURE_NESTED_PAGING) << VMX_PAGE_FAULT |
                 (uint32_t)v->hw.shadow_idt << VMX_NOT_PRESENT);
    vmx_control(c, VMX_LOAD_UINV, v->hw.user != NULL);
    vmx_control(c, VMX_CLEAR_UINV, v->hw.user != NULL);
    vmcs_set(c, VMCS_GUEST_UINV, v->hw.user ? v->hw.user->uinv : 0);
    vmcs_set(c, VMCS_POSTED_INTR_VECTOR, HOST_NUMBER_POSTED);
    vmcs_set(c, VMCS_LAST_PID_INDEX, h->vcpu_count - 1);
    controls_set_eoi_exits(v);
    vmx_set_apicv(v);
    v->hw.apic_page_is_mmio =
        !controls_apic_in_kernel(h) || !feature_in(f, FEATURE_APIC_PAGE_SLOT);
}

/*
 * KVM: avic_set_x2apic_msr_interception(): the MSRs that x2AVIC serves. LVT_TIMER
 * is not among them, since a TSC deadline in it would be #GP, nor SELF_IPI; of ISR,
 * TMR and IRR only the first register is.
 */
static const uint16_t x2avic_serves[] = {
    LAPIC_ID,          LAPIC_VERSION,       LAPIC_TPR,           LAPIC_APR,
    LAPIC_PPR,         LAPIC_EOI,           LAPIC_RRD,           LAPIC_LDR,
    LAPIC_DFR,         LAPIC_SVR,           LAPIC_ISR,           LAPIC_TMR,
    LAPIC_IRR,         LAPIC_ESR,           LAPIC_ICR_LO,        LAPIC_ICR_HI,
    LAPIC_LVT_THERMAL, LAPIC_LVT_PERF,      LAPIC_LVT_LINT0,     LAPIC_LVT_LINT1,
    LAPIC_LVT_ERROR,   LAPIC_TIMER_INITIAL, LAPIC_TIMER_CURRENT, LAPIC_TIMER_DIVIDE,
};

static uint64_t x2avic_exits(void)
{
    uint64_t exits = ~UINT64_C(0);

    for (unsigned i = 0; i < sizeof x2avic_serves / sizeof x2avic_serves[0]; i++)
        exits &= ~MSR_BIT(x2avic_serves[i]);
    return exits;
}

/* KVM: avic_activate_vmcb(), avic_deactivate_vmcb(). Without x2AVIC an x2APIC guest's registers are
   software's, and AVIC delivers ("hybrid mode"). */
static void svm_set_avic(struct vcpu *v)
{
    const feature_set f = inhibit_features(v);
    const bool x2avic =
        feature_in(f, FEATURE_X2AVIC) && v->hypervisor->guest_apic == LAPIC_MODE_X2APIC;

    v->hw.vmcb.avic = v->apicv_active && feature_in(f, FEATURE_AVIC);
    v->hw.vmcb.x2avic = v->apicv_active && x2avic;
    v->hw.x2apic_read_exits = v->hw.x2apic_write_exits = x2avic ? x2avic_exits() : ~UINT64_C(0);
}

static void svm_set_waiting(struct vcpu *v)
{
    const feature_set f = v->hypervisor->features;
    const bool idle = feature_in(f, FEATURE_IDLE_HLT);
    struct vmcb *b = &v->hw.vmcb;

    svm_intercept(b, SVM_HLT, !idle && !feature_in(f, FEATURE_HLT_IN_GUEST));
    svm_intercept(b, SVM_IDLE_HLT, idle);
    svm_intercept(b, SVM_MONITOR, !feature_in(f, FEATURE_MWAIT_IN_GUEST));
    svm_intercept(b, SVM_MWAIT, !feature_in(f, FEATURE_MWAIT_IN_GUEST));
    svm_intercept(b, SVM_PAUSE,
                  !feature_in(f, FEATURE_PAUSE_IN_GUEST) ||
                      feature_in(f, FEATURE_PAUSE_FILTER));
    b->pause_threshold = (uint16_t)v->hypervisor->policy.pause_loop.gap;
}

static void svm_set(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    static const enum svm_intercept always[] = {
        SVM_INTR, SVM_NMI, SVM_CPUID, SVM_IOIO, SVM_MSR, SVM_VMMCALL, SVM_WBINVD, SVM_VMRUN,
    };
    struct vmcb *b = &v->hw.vmcb;

    for (unsigned i = 0; i < sizeof always / sizeof always[0]; i++)
        svm_intercept(b, always[i], true);
    svm_set_waiting(v);
    svm_intercept(b, SVM_PF, !feature_in(h->features, FEATURE_NESTED_PAGING));
    svm_intercept(b, SVM_CR8_WRITE,
                  !feature_in(h->features, FEATURE_TPR_SHADOW) ||
                      h->policy.irqchip == IRQCHIP_USERSPACE);
    b->v_intr_masking = true;
    b->v_nmi_enable = feature_in(h->features, FEATURE_VNMI);
    b->vgif = feature_in(h->features, FEATURE_VGIF);
    svm_intercept(b, SVM_STGI, !b->vgif);
    svm_intercept(b, SVM_CLGI, !b->vgif);
    svm_set_avic(v);
}

/* KVM: kvm_hv_setup_ctxt_state(), kvm_hv_epic_load(). */
static void e2k_set(struct vcpu *v)
{
    v->hw.passive_context = true;
    v->hw.e2k.virt_ctrl_cu = E2K_RR_IDR | E2K_RW_SCLKR | E2K_RW_SCLKM3 | E2K_VIRT | E2K_HCEM;
    v->hw.e2k.g_preempt_tmr = feature_in(v->hypervisor->features, FEATURE_GUEST_QUANTUM);
    v->hw.e2k.epic =
        v->epic && feature_in(v->hypervisor->features, FEATURE_EPIC_VIRTUALIZATION);
    v->hw.e2k.mapped_pins = ioepic_board_mapped(v->hypervisor);
}

void controls_set(struct vcpu *v)
{
    static void (*const set[VIRT_VENDORS])(struct vcpu * v) = {
        [VIRT_VMX] = vmx_set, [VIRT_SVM] = svm_set, [VIRT_E2K] = e2k_set};

    v->hw.tsc_deadline_exits = true;
    set[v->hw.ops->vendor](v);
    yield_window_init(v);
}

void controls_set_apicv(struct vcpu *v)
{
    if (v->hw.ops->vendor == VIRT_VMX)
        vmx_set_apicv(v);
    else if (v->hw.ops->vendor == VIRT_SVM)
        svm_set_avic(v);
}
