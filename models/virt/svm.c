/*
 * SVM. Without AVIC (avic.c) every access to the APIC is intercepted, and
 * interrupts reach the guest by event injection; V_IRQ with its intercept serves as an interrupt
 * window, the IRET intercept as an NMI window (APM 2 chapter "Secure Virtual
 * Machine").
 *
 * V_TPR and the APIC's TPR are kept equal here, at CR8 writes and at VMRUN: KVM
 * copies one to the other around every entry and exit, so that nobody can see
 * them differ.
 *
 * With V_NMI_ENABLE an NMI that cannot be taken waits in V_NMI_PENDING, and IRET is
 * not intercepted ("NMI Virtualization").
 *
 * Left out: GIF and VGIF, V_INTR_PRIO other than KVM's, and V_INTR_VECTOR (V_IRQ is
 * always intercepted).
 */
#include <assert.h>

#include "virt/svm_parts.h"

#define APIC_PAGE UINT64_C(0xfee00000)

enum {
    MSR_X2APIC_FIRST = 0x800,
    MSR_IN_BITMAP = 64, /* virt_cpu's part of the MSR permission map */
};

/* APM 2 "Event Injection", the format of EVENTINJ and EXITINTINFO. */
#define EVENT_VALID (UINT32_C(1) << 31)
enum { EVENT_TYPE = 7 << 8, EVENT_INTR = 0 << 8, EVENT_NMI = 2 << 8, NMI_VECTOR = 2 };

static bool is_nmi(uint32_t event)
{
    return event & EVENT_VALID && (event & EVENT_TYPE) == EVENT_NMI;
}

struct intercept {
    unsigned word;
    uint32_t bit;
};

static const struct intercept intercepts[SVM_INTERCEPT_COUNT] = {
#define INTERCEPT(name, word, bit) {word, UINT32_C(1) << (bit)},
    SVM_INTERCEPTS(INTERCEPT)
#undef INTERCEPT
};

bool svm_intercepts(const struct vmcb *b, enum svm_intercept i)
{
    return b->intercepts[intercepts[i].word] & intercepts[i].bit;
}

void svm_intercept(struct vmcb *b, enum svm_intercept i, bool on)
{
    if (on)
        b->intercepts[intercepts[i].word] |= intercepts[i].bit;
    else
        b->intercepts[intercepts[i].word] &= ~intercepts[i].bit;
}

static struct virt_verdict stay(enum virt_path path, uint64_t value)
{
    return (struct virt_verdict){.path = path, .value = value, .retired = NO_VECTOR};
}

static struct virt_verdict svm_leave(struct virt_cpu *v, enum virt_path path,
                                     enum exit_reason why, uint64_t info)
{
    v->vmcb.exit_int_info = 0;
    v->monitor = VIRT_MONITOR_OFF;
    return (struct virt_verdict){
        .path = path,
        .reason = why,
        .qualification = info,
        .retired = NO_VECTOR,
    };
}

static struct virt_verdict leave(struct virt_cpu *v, enum exit_reason why, uint64_t info)
{
    return svm_leave(v, VIRT_EXIT, why, info);
}

static struct virt_verdict leave_if(struct virt_cpu *v, enum svm_intercept i,
                                    enum exit_reason why, uint64_t info)
{
    return svm_intercepts(&v->vmcb, i) ? leave(v, why, info) : stay(VIRT_NATIVE, 0);
}

/* An address that the hypervisor's page tables do not map: a nested page fault, or under shadow page
   tables, for which #PF is intercepted, a page fault (APM 2 "Exception Intercepts"). */
static struct virt_verdict meet_page(struct virt_cpu *v, uint64_t address)
{
    return leave(v, svm_intercepts(&v->vmcb, SVM_PF) ? EXIT_SVM_PAGE_FAULT : EXIT_SVM_NPF,
                 address);
}

static struct virt_verdict svm_apic_read(struct virt_cpu *v, uint16_t offset, sim_time now)
{
    if (v->vmcb.avic)
        return avic_read(v, offset, now);
    return meet_page(v, APIC_PAGE + offset);
}

static struct virt_verdict svm_apic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                                          sim_time now)
{
    if (v->vmcb.avic)
        return avic_write(v, offset, value, now);
    return meet_page(v, APIC_PAGE + offset);
}

/* APM 2 "MSR Intercepts": the MSR_PROT intercept, then the permission map. */
static struct virt_verdict msr_access(struct virt_cpu *v, uint32_t msr, uint64_t x2apic_map)
{
    const uint32_t n = msr - MSR_X2APIC_FIRST;

    if (n < MSR_IN_BITMAP && !(x2apic_map >> n & 1))
        return stay(VIRT_NATIVE, 0);
    return leave_if(v, SVM_MSR, EXIT_SVM_MSR, msr);
}

/* APM 2 15.29.10 "x2AVIC": an x2APIC MSR that the map passes is the backing page's. */
static bool is_x2avic(const struct virt_cpu *v, uint32_t msr, uint64_t x2apic_map)
{
    const uint32_t n = msr - MSR_X2APIC_FIRST;

    return v->vmcb.avic && v->apic->mode == LAPIC_MODE_X2APIC && n < MSR_IN_BITMAP &&
           !(x2apic_map >> n & 1);
}

static uint16_t offset_of(uint32_t msr)
{
    return (uint16_t)((msr - MSR_X2APIC_FIRST) << 4);
}

static struct virt_verdict svm_rdmsr(struct virt_cpu *v, uint32_t msr, sim_time now)
{
    if (is_x2avic(v, msr, v->x2apic_read_exits))
        return avic_read(v, offset_of(msr), now);
    return msr_access(v, msr, v->x2apic_read_exits);
}

static struct virt_verdict svm_wrmsr(struct virt_cpu *v, uint32_t msr, uint64_t value,
                                     sim_time now)
{
    if (is_x2avic(v, msr, v->x2apic_write_exits))
        return avic_write(v, offset_of(msr), value, now);
    if (msr == MSR_TSC_DEADLINE && !v->tsc_deadline_exits)
        return stay(VIRT_NATIVE, 0);
    return msr_access(v, msr, v->x2apic_write_exits);
}

/* APM 2 "Virtualizing APIC.TPR": with V_INTR_MASKING, CR8 is V_TPR. */
static struct virt_verdict svm_read_cr8(struct virt_cpu *v)
{
    return v->vmcb.v_intr_masking ? stay(VIRT_DONE, v->vmcb.v_tpr) : stay(VIRT_NATIVE, 0);
}

static struct virt_verdict svm_write_cr8(struct virt_cpu *v, uint8_t cr8)
{
    if (svm_intercepts(&v->vmcb, SVM_CR8_WRITE))
        return leave(v, EXIT_SVM_WRITE_CR8, 0);
    if (!v->vmcb.v_intr_masking)
        return stay(VIRT_NATIVE, 0);
    v->vmcb.v_tpr = cr8 & 0xf;
    v->apic->regs.TPR = (uint32_t)v->vmcb.v_tpr << 4;
    return stay(VIRT_DONE, 0);
}

/* KVM lets the intercepted IRET run and takes NMIs as open behind it. Exit and IRET are one here:
   the exit follows. */
static struct virt_verdict svm_iret(struct virt_cpu *v)
{
    struct virt_verdict verdict = leave_if(v, SVM_IRET, EXIT_SVM_IRET, 0);

    if (virt_exits(&verdict))
        verdict.path = VIRT_EXIT_AFTER;
    v->nmi_blocked = false;
    return verdict;
}

/* What V_INTR says: V_IRQ, or under AVIC an interrupt of the backing page. */
static bool virtual_interrupt_pending(const struct virt_cpu *v)
{
    return v->vmcb.v_irq || (v->vmcb.avic && lapic_pending(v->apic) != NO_VECTOR);
}

/* APM 2 "Instruction Intercepts", table 15-7: HLT's own intercept first; that of an idle HLT only
   where nothing would end it at once. */
static struct virt_verdict svm_hlt(struct virt_cpu *v)
{
    if (svm_intercepts(&v->vmcb, SVM_HLT))
        return leave(v, EXIT_SVM_HLT, 0);
    if (svm_intercepts(&v->vmcb, SVM_IDLE_HLT) && !virtual_interrupt_pending(v))
        return leave(v, EXIT_SVM_IDLE_HLT, 0);
    v->halted = true;
    return stay(VIRT_NATIVE, 0);
}

static struct virt_verdict svm_monitor(struct virt_cpu *v)
{
    if (svm_intercepts(&v->vmcb, SVM_MONITOR))
        return leave(v, EXIT_SVM_MONITOR, 0);
    v->monitor = VIRT_MONITOR_ARMED;
    return stay(VIRT_NATIVE, 0);
}

/* Without a range to watch it does nothing (APM 3 "MWAIT"). */
static struct virt_verdict svm_mwait(struct virt_cpu *v)
{
    const bool armed = v->monitor == VIRT_MONITOR_ARMED;

    if (svm_intercepts(&v->vmcb, SVM_MWAIT))
        return leave(v, EXIT_SVM_MWAIT, armed);
    if (armed)
        v->monitor = VIRT_MONITOR_WAITING;
    return stay(VIRT_NATIVE, 0);
}

/* APM 2 "Virtual GIF": STGI and CLGI that are not intercepted act on V_GIF. */
static struct virt_verdict svm_gif(struct virt_cpu *v, enum svm_intercept i,
                                   enum exit_reason why)
{
    if (svm_intercepts(&v->vmcb, i))
        return leave(v, why, 0);
    v->gif_clear = i == SVM_CLGI;
    return stay(v->vmcb.vgif ? VIRT_DONE : VIRT_NATIVE, 0);
}

static struct virt_verdict svm_instruction(struct virt_cpu *v, enum virt_instruction i,
                                           uint64_t detail)
{
    switch (i) {
    case VIRT_CPUID:
        return leave_if(v, SVM_CPUID, EXIT_SVM_CPUID, 0);
    case VIRT_HYPERCALL:
        return leave_if(v, SVM_VMMCALL, EXIT_SVM_VMMCALL, 0);
    case VIRT_PAUSE:
        return svm_pause(v, detail) ? leave(v, EXIT_SVM_PAUSE, 0) : stay(VIRT_NATIVE, 0);
    case VIRT_HLT:
        return svm_hlt(v);
    case VIRT_MONITOR:
        return svm_monitor(v);
    case VIRT_MWAIT:
        return svm_mwait(v);
    case VIRT_WBINVD:
        return leave_if(v, SVM_WBINVD, EXIT_SVM_WBINVD, 0);
    case VIRT_STGI:
        return svm_gif(v, SVM_STGI, EXIT_SVM_STGI);
    case VIRT_CLGI:
        return svm_gif(v, SVM_CLGI, EXIT_SVM_CLGI);
    case VIRT_PORT_IO:
        return leave_if(v, SVM_IOIO, EXIT_SVM_IO, detail);
    case VIRT_TRIPLE_FAULT: /* APM 2 "Shutdown Intercept" */
        return leave(v, EXIT_SVM_SHUTDOWN, 0);
    case VIRT_UNKNOWN:
        return leave(v, EXIT_SVM_FERR_FREEZE, 0);
    case VIRT_MMIO:
    case VIRT_OPAQUE_MMIO:
    case VIRT_UNMAPPED:
        return meet_page(v, detail);
    case VIRT_IRET:
        return svm_iret(v);
    case VIRT_SENDUIPI: /* no processor with SVM has it */
        break;
    }
    return stay(VIRT_NATIVE, 0);
}

/* The vector stays in the physical APIC until the host enables interrupts. A doorbell is none: it
   makes the hardware look at IRR, which it does at the next boundary. */
static struct virt_verdict svm_external_interrupt(struct virt_cpu *v, uint8_t host_vector)
{
    if (host_vector == VIRT_DOORBELL)
        return stay(VIRT_DONE, 0);
    return leave_if(v, SVM_INTR, EXIT_SVM_INTR, 0);
}

static struct virt_verdict svm_preemption_timer(struct virt_cpu *v)
{
    (void)v;
    return stay(VIRT_NATIVE, 0);
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
    b.exit = leave(v, why, 0);
    return b;
}

/* APM 2 "Virtual Interrupts". */
static bool interrupt_window_open(const struct virt_cpu *v)
{
    const struct vmcb *b = &v->vmcb;

    return b->v_irq && svm_intercepts(b, SVM_VINTR) && v->interrupts_enabled &&
           (b->v_ign_tpr || b->v_tpr < SVM_V_INTR_PRIO);
}

/* APM 2 "Virtual Interrupt Delivery": IRR against PPR, by the backing page. */
static struct virt_boundary deliver_by_avic(struct virt_cpu *v)
{
    struct virt_boundary b = quiet;

    if (!v->interrupts_enabled || lapic_pending(v->apic) == NO_VECTOR)
        return b;
    v->halted = false;
    v->monitor = VIRT_MONITOR_OFF;
    if (v->delivery_faults) {
        v->delivery_faults = false;
        b.exit = meet_page(v, 0);
        return b; /* IRR keeps the vector */
    }
    b.vector = lapic_acknowledge(v->apic);
    v->interrupts_enabled = false;
    return b;
}

/* APM 2 "NMI Virtualization": V_NMI_PENDING is taken when V_NMI_MASK is clear. A fault on the way leaves
   EXITINTINFO behind, as of an injected one. */
static struct virt_boundary deliver_virtual_nmi(struct virt_cpu *v)
{
    struct virt_boundary b = quiet;

    v->vmcb.v_nmi_pending = false;
    v->apic->nmi_pending = false;
    v->apic->service_flow[NMI_VECTOR] = v->apic->nmi_flow;
    v->halted = false;
    v->nmi_blocked = true;
    if (v->delivery_faults) {
        v->delivery_faults = false;
        b.exit = meet_page(v, 0);
        v->vmcb.exit_int_info = EVENT_VALID | EVENT_NMI | NMI_VECTOR;
        return b;
    }
    v->interrupts_enabled = false;
    b.vector = NMI_VECTOR;
    b.nmi = true;
    return b;
}

/* An NMI that waits although no handler holds it up makes KVM step over one instruction; the exit
   of that step is counted as one of the IRET intercept. */
static struct virt_boundary svm_boundary(struct virt_cpu *v)
{
    if (v->shadow || v->gif_clear)
        return quiet;
    if (v->vmcb.v_nmi_pending && !v->nmi_blocked)
        return deliver_virtual_nmi(v);
    if (svm_intercepts(&v->vmcb, SVM_IRET) && !v->nmi_blocked)
        return window_exit(v, EXIT_SVM_IRET);
    if (interrupt_window_open(v))
        return window_exit(v, EXIT_SVM_VINTR);
    return v->vmcb.avic ? deliver_by_avic(v) : quiet;
}

/* APM 2 "Event Injection"; a fault on the way leaves EXITINTINFO behind. */
static struct virt_boundary inject_event(struct virt_cpu *v)
{
    const uint32_t event = v->vmcb.event_inj;
    struct virt_boundary b = quiet;

    v->vmcb.event_inj = 0;
    v->halted = false;
    if (v->delivery_faults) {
        v->delivery_faults = false;
        b.exit = meet_page(v, 0);
        v->vmcb.exit_int_info = event;
        return b;
    }
    v->interrupts_enabled = false;
    b.vector = (uint8_t)event;
    b.nmi = is_nmi(event);
    v->nmi_blocked |= b.nmi;
    b.injected = true;
    return b;
}

/* VMRUN. An injected event leaves IF=0, so that no window follows it. */
static struct virt_boundary svm_enter(struct virt_cpu *v)
{
    assert(!svm_check_entry(&v->vmcb));
    v->vmcb.v_tpr = v->apic->regs.TPR >> 4 & 0xf;
    svm_pause_reset(v);
    return v->vmcb.event_inj & EVENT_VALID ? inject_event(v) : svm_boundary(v);
}

static void svm_inject(struct virt_cpu *v, uint8_t vector, bool nmi)
{
    v->vmcb.event_inj =
        nmi ? EVENT_VALID | EVENT_NMI | NMI_VECTOR : EVENT_VALID | EVENT_INTR | vector;
    if (nmi && !v->vmcb.v_nmi_enable)
        svm_intercept(&v->vmcb, SVM_IRET, true);
}

static void svm_cancel_injection(struct virt_cpu *v)
{
    v->vmcb.event_inj = 0;
}

static void svm_open_window(struct virt_cpu *v, bool open)
{
    v->vmcb.v_irq = open;
    svm_intercept(&v->vmcb, SVM_VINTR, open);
}

/* The IRET of an NMI's handler is intercepted whether or not another NMI waits: there is no other
   way to learn when NMIs are open again (KVM: svm_inject_nmi()). With virtual NMIs the hardware knows
   (KVM: svm_set_vnmi_pending()). Where GIF holds it up, the guest's STGI is intercepted, vGIF or not
   (KVM: svm_enable_nmi_window()). */
static void svm_open_nmi_window(struct virt_cpu *v, bool open)
{
    const bool under_way = v->nmi_blocked || is_nmi(v->vmcb.event_inj);

    if (v->vmcb.v_nmi_enable) {
        v->vmcb.v_nmi_pending = open;
        return;
    }
    if (v->gif_clear && !under_way) {
        svm_intercept(&v->vmcb, SVM_STGI, open || !v->vmcb.vgif);
        return;
    }
    svm_intercept(&v->vmcb, SVM_IRET, open || under_way);
}

/* There is no threshold: every write of CR8 is intercepted while one is wanted. */
static void svm_set_tpr_threshold(struct virt_cpu *v, uint8_t class)
{
    svm_intercept(&v->vmcb, SVM_CR8_WRITE, class != 0);
}

static bool never(const struct virt_cpu *v)
{
    (void)v;
    return false;
}

static bool svm_delivers(const struct virt_cpu *v)
{
    return v->vmcb.avic;
}

/* Nothing in the VMCB follows IRR or ISR. */
static void svm_sync(struct virt_cpu *v)
{
    (void)v;
}

/* A level-triggered vector's: AVIC leaves it to the hypervisor (15.29.3.1, EOI). */
static bool svm_eoi_exits(const struct virt_cpu *v, uint8_t vector)
{
    return vec_has(&v->apic->regs.TMR, vector);
}

/* AVIC looks at IRR, ISR and TPR at each boundary by itself. */
static void svm_changed(struct virt_cpu *v)
{
    v->vmcb.v_tpr = v->apic->regs.TPR >> 4 & 0xf;
}

static int svm_interrupted_delivery(const struct virt_cpu *v, bool *nmi)
{
    const uint32_t info = v->vmcb.exit_int_info;

    *nmi = is_nmi(info);
    return info & EVENT_VALID ? (int)(uint8_t)info : NO_VECTOR;
}

const struct virt_ops virt_svm = {
    .vendor = VIRT_SVM,
    .apic_read = svm_apic_read,
    .apic_write = svm_apic_write,
    .rdmsr = svm_rdmsr,
    .wrmsr = svm_wrmsr,
    .read_cr8 = svm_read_cr8,
    .write_cr8 = svm_write_cr8,
    .instruction = svm_instruction,
    .pauses_to_exit = svm_pauses_to_exit,
    .pauses = svm_pauses,
    .external_interrupt = svm_external_interrupt,
    .preemption_timer = svm_preemption_timer,
    .boundary = svm_boundary,
    .enter = svm_enter,
    .inject = svm_inject,
    .cancel_injection = svm_cancel_injection,
    .open_window = svm_open_window,
    .open_nmi_window = svm_open_nmi_window,
    .set_tpr_threshold = svm_set_tpr_threshold,
    .posts = never,
    .delivers = svm_delivers,
    .sync = svm_sync,
    .eoi_exits = svm_eoi_exits,
    .leave = svm_leave,
    .changed = svm_changed,
    .interrupted_delivery = svm_interrupted_delivery,
};
