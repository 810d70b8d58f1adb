/*
 * The exit handlers: a table indexed by exit reason, as in KVM.
 *
 * A row says what the handler costs before it acts, whether it decodes the
 * guest's instruction first, and what it does. A handler ends by taking a step:
 * back into the guest, to userspace, or to wait.
 */
#include <assert.h>

#include "hypervisor/disk.h"
#include "hypervisor/epic.h"

enum { MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff };

struct exit_handler {
    void (*act)(struct vcpu *v);
    int cost;    /* enum cost_key, or BY_ACCESS */
    bool decode; /* the instruction must be fetched and decoded */
};
enum { BY_ACCESS = -1 };

const struct region *region_of(const struct hypervisor *h, bool port, uint64_t address)
{
    for (uint32_t i = 0; i < h->region_count; i++) {
        const struct region *r = &h->region[i];

        if (r->port == port && address >= r->first && address <= r->last)
            return r;
    }
    return NULL;
}

static enum region_handler answered_by(const struct vcpu *v)
{
    const struct access *a = &v->access;
    const struct region *r =
        region_of(v->hypervisor, a->instruction == VIRT_PORT_IO, a->address);
    enum region_handler handler;

    if (board_owns(v->hypervisor->board, a, &handler) || disk_owns(v->hypervisor, a, &handler))
        return handler;
    return r ? r->handler : REGION_USERSPACE;
}

/* --- what an access costs --- */

/* The APIC register that an access concerns, or 0. */
static uint16_t apic_offset(const struct access *a)
{
    if (a->kind == ACCESS_APIC_READ || a->kind == ACCESS_APIC_WRITE)
        return (uint16_t)a->address;
    if (a->kind == ACCESS_USER_IPI || a->address == MSR_PV_ICR)
        return LAPIC_ICR_LO;
    if (a->address >= MSR_X2APIC_FIRST && a->address <= MSR_X2APIC_LAST)
        return (uint16_t)(a->address - MSR_X2APIC_FIRST) << 4;
    return 0;
}

static enum cost_key apic_cost(const struct access *a)
{
    const uint16_t offset = apic_offset(a);

    if (offset == 0)
        return a->address == MSR_TSC_DEADLINE ? COST_KVM_APIC : COST_KVM_MSR;
    if (a->write && (offset == LAPIC_ICR_LO || offset == LAPIC_SELF_IPI))
        return COST_KVM_ICR;
    return a->write && offset == LAPIC_EOI ? COST_KVM_EOI : COST_KVM_APIC;
}

static enum cost_key device_cost(const struct vcpu *v)
{
    const bool port = v->access.instruction == VIRT_PORT_IO;

    if (answered_by(v) == REGION_EVENTFD)
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

/* --- the fast path --- */

/* KVM: handle_fastpath_set_msr_irqoff(): a TSC deadline for the preemption timer, or an ICR write
   that is fixed, physical, without shorthand and not a broadcast. */
static bool is_fast_write(const struct vcpu *v)
{
    const struct access *a = &v->access;

    if (a->kind != ACCESS_MSR_WRITE)
        return false;
    if (a->address == MSR_TSC_DEADLINE)
        return v->apic.mode != LAPIC_MODE_DISABLED && timer_in_hardware(v);
    if (a->address != lapic_msr(LAPIC_ICR_LO))
        return false;
    const struct irq_msg m = lapic_decode_icr(&v->apic, a->value);
    return m.delivery == IRQ_FIXED && !m.logical && m.shorthand == IRQ_NO_SHORTHAND &&
           m.dest != UINT32_MAX;
}

/* What is handled with interrupts still off. An expiry of the preemption timer is where its interrupt
   goes into PIR, not into a request: handle_fastpath_preemption_timer(), apic_timer_expired(). */
static bool takes_fastpath(const struct vcpu *v)
{
    if (!feature_in(v->hypervisor->features, FEATURE_FASTPATH) || !virt_exits(&v->exit))
        return false;
    switch (v->exit.reason) {
    case EXIT_VMX_MSR_WRITE:
    case EXIT_SVM_MSR:
        return is_fast_write(v);
    case EXIT_VMX_PREEMPTION_TIMER:
        return timer_wants_exit(v) && v->hw.ops->posts(&v->hw);
    default:
        return false;
    }
}

/* Into the guest again: at once, or by the run loop's whole way. */
static void go_back(struct vcpu *v, bool fast)
{
    if (fast)
        vcpu_pay(v, COST_KVM_FASTPATH);
    vcpu_take(v, fast ? VCPU_ON_REENTER : VCPU_ON_RESUME);
}

static void go_on(struct vcpu *v)
{
    if (v->eoi_for_userspace) { /* KVM_REQ_IOAPIC_EOI_EXIT */
        v->eoi_for_userspace = false;
        v->kvm_exit = KVM_EXIT_IOAPIC_EOI;
        vcpu_take(v, VCPU_ON_TO_USER);
        return;
    }
    go_back(v, takes_fastpath(v) && !v->held);
}

/* --- emulation --- */

static void apic_write(struct vcpu *v, uint16_t offset, uint64_t value)
{
    lapic_write(&v->apic, offset, (uint32_t)value, hv_now(v->hypervisor));
}

/* KVM: kvm_apic_write_nodecode(): the hardware has written the page's ICR. */
static void send_from_page(struct vcpu *v)
{
    const struct lapic_regs *page = &v->apic.regs;

    if (v->apic.mode == LAPIC_MODE_X2APIC)
        lapic_wrmsr(&v->apic, lapic_msr(LAPIC_ICR_LO),
                    (uint64_t)page->ICR_HI << 32 | page->ICR_LO, hv_now(v->hypervisor));
    else
        apic_write(v, LAPIC_ICR_LO, page->ICR_LO);
}

void exit_complete_access(struct vcpu *v)
{
    const struct access *a = &v->access;
    const sim_time now = hv_now(v->hypervisor);
    uint64_t ignored;

    if (v->epic || v->guest.frame->unnamed) {
        epic_complete(v);
        return;
    }
    switch (a->kind) {
    case ACCESS_APIC_WRITE:
        apic_write(v, (uint16_t)a->address, a->value);
        break;
    case ACCESS_MSR_WRITE:
        if (a->address == MSR_TSC_DEADLINE)
            lapic_set_tsc_deadline(&v->apic, a->value, now);
        else if (apic_offset(a))
            lapic_wrmsr(&v->apic, lapic_msr(apic_offset(a)), a->value, now);
        break;
    case ACCESS_CR8_WRITE:
        apic_write(v, LAPIC_TPR, a->value << 4);
        break;
    case ACCESS_APIC_READ:
        lapic_read(&v->apic, (uint16_t)a->address, now);
        break;
    case ACCESS_MSR_READ:
        if (apic_offset(a))
            lapic_rdmsr(&v->apic, (uint32_t)a->address, &ignored, now);
        break;
    case ACCESS_USER_IPI:
        send_from_page(v);
        break;
    case ACCESS_CR8_READ: /* leaves no trace in the APIC */
    case ACCESS_INSTRUCTION:
    case ACCESS_NONE:
        break;
    }
}

/* KVM: __pv_send_ipi() finds each destination in a table of APIC IDs, where no ID is everybody's. */
static bool is_one_apic(const struct vcpu *v, uint32_t id)
{
    return id != (v->apic.mode == LAPIC_MODE_X2APIC ? UINT32_MAX : UINT8_MAX);
}

/* KVM_HC_SEND_IPI: the destinations of one call, by APIC ID. */
static void pv_ipi(struct vcpu *v, const struct guest_insn *i)
{
    struct hypervisor *h = v->hypervisor;
    struct irq_msg m = {
        .vector = (uint8_t)i->operand[0], .delivery = IRQ_FIXED, .source = v->index};

    m.flow = trace_new_flow(h->trace);
    trace_put(h->trace, m.flow, TRACE_RAISED, v->index, m.vector,
              TRACE_SOURCE(TRACE_SOURCE_IPI, v->index));
    for (uint32_t n = 0; n < i->operand[2]; n++) {
        if (n)
            m.flow = trace_new_flow(h->trace);
        m.dest = (uint32_t)i->operand[1] + n;
        if (is_one_apic(v, m.dest))
            deliver_route(v, &m);
    }
}

/* --- the handlers --- */

/* The message of an ICR write goes to one destination after the other, then the guest goes on. */
static void finish(struct vcpu *v)
{
    if (v->outbox_count == 0) {
        go_on(v);
        return;
    }
    v->after_outbox = go_on;
    deliver_next(v);
}

/* KVM: the writes that make the map of APICs dirty. */
static bool changes_ids(const struct access *a)
{
    return a->kind == ACCESS_APIC_WRITE && (a->address == LAPIC_ID || a->address == LAPIC_LDR ||
                                            a->address == LAPIC_DFR || a->address == LAPIC_SVR);
}

static void complete_access(struct vcpu *v)
{
    exit_complete_access(v);
    if (changes_ids(&v->access))
        inhibit_check_ids(v);
    timer_virtualize(v);
    if (vec_empty(&v->apic.regs.ISR))
        controls_set_direct(v, true);
    if (!v->access_done)
        guest_access_done(v);
    finish(v);
}

/* KVM: avic_incomplete_ipi_interception(). IRRs are set where the target was only not running. */
static void incomplete_ipi(struct vcpu *v)
{
    const enum avic_incomplete why = AVIC_INCOMPLETE(v->exit.qualification);

    if (why == AVIC_INVALID_TYPE || why == AVIC_INVALID_TARGET) {
        complete_access(v);
        return;
    }
    if (why == AVIC_NOT_RUNNING)
        deliver_wakeups(v, (uint8_t)v->access.value);
    if (!v->access_done)
        guest_access_done(v);
    finish(v);
}

/* The interrupt that made the guest leave has been taken by the host: host_take_pending(). */
static void host_interrupt(struct vcpu *v)
{
    vcpu_take(v, VCPU_ON_RESUME);
}

static void preemption_timer(struct vcpu *v)
{
    const bool fast = takes_fastpath(v) && !v->held;

    if (fast)
        timer_check(v);
    go_back(v, fast);
}

static void window(struct vcpu *v)
{
    deliver_close_window(v);
    if (v->window_wanted) {
        v->window_wanted = false;
        v->kvm_exit = KVM_EXIT_IRQ_WINDOW_OPEN;
        vcpu_take(v, VCPU_ON_TO_USER);
        return;
    }
    vcpu_take(v, VCPU_ON_RESUME);
}

static void nmi_window(struct vcpu *v)
{
    v->hw.ops->open_nmi_window(&v->hw, false);
    vcpu_take(v, VCPU_ON_RESUME);
}

/* KVM looks for interrupts before an entry only on request, and there is none: the interrupt was
   seen before, and its window is asked for. So the entry meets the window instead of injecting. */
static void enter_unprepared(struct vcpu *v)
{
    vcpu_pay(v, COST_KVM_ENTRY);
    vcpu_take(v, VCPU_ON_REENTER);
}

static void halt(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    bool ends;

    guest_access_done(v);
    if (h->policy.irqchip == IRQCHIP_USERSPACE) {
        v->kvm_exit = KVM_EXIT_HLT;
        vcpu_take(v, VCPU_ON_TO_USER);
        return;
    }
    line_take(v, &v->line[LINE_BOOKS], true); /* mp_state */
    halt_begin(v);
    ends = halt_ends(v);
    if (ends)
        v->waiting.pv_unhalt = false;
    if (ends && v->window_open)
        enter_unprepared(v);
    else if (ends)
        vcpu_take(v, VCPU_ON_RESUME);
    else {
        timer_sleeps(v);
        vcpu_take(v, halt_polls(v) ? VCPU_ON_POLL : VCPU_ON_BLOCK);
    }
}

/* A port or a device's address. */
static void device(struct vcpu *v)
{
    const enum region_handler handler = answered_by(v);

    if (handler == REGION_USERSPACE || handler == REGION_EXTERNAL) {
        v->kvm_exit = v->access.instruction == VIRT_PORT_IO ? KVM_EXIT_IO : KVM_EXIT_MMIO;
        vcpu_take(v, VCPU_ON_TO_USER);
        return;
    }
    board_access(v);
    if (handler == REGION_EVENTFD)
        disk_notify(v);
    guest_access_done(v);
    vcpu_take(v, VCPU_ON_RESUME);
}

static bool on_apic_page(const struct access *a)
{
    return a->kind == ACCESS_APIC_READ || a->kind == ACCESS_APIC_WRITE;
}

static bool on_device(const struct access *a)
{
    return a->kind == ACCESS_INSTRUCTION && a->instruction == VIRT_MMIO;
}

/*
 * A guest-physical address that is not mapped for good: the APIC's page, a
 * device, or memory touched for the first time. KVM 6.1 lets the guest repeat a
 * read of the APIC page once before it emulates it, so that a read costs two
 * exits where the APIC-access page is not in effect (docs/accuracy.md).
 */
static void page(struct vcpu *v)
{
    const struct access *a = &v->access;

    if (v->exit.reason == EXIT_VMX_EPT_VIOLATION && a->kind == ACCESS_APIC_READ &&
        !v->retried) {
        v->retried = true;
        vcpu_take(v, VCPU_ON_RESUME);
        return;
    }
    v->retried = false;
    if (on_apic_page(a) && v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE) {
        v->kvm_exit = KVM_EXIT_MMIO;
        vcpu_take(v, VCPU_ON_TO_USER);
    } else if (on_apic_page(a)) {
        complete_access(v);
    } else if (on_device(a)) {
        device(v);
    } else {
        if (a->kind != ACCESS_NONE) /* it was the delivery of an interrupt that met the page */
            guest_access_done(v);
        vcpu_take(v, VCPU_ON_RESUME);
    }
}

/* INTC_INFO_MU names the address, the data and the register: nothing is decoded. Of a trap whose
   vector the guest asks for, no operation is under way. */
static void data_page(struct vcpu *v)
{
    const bool asks = v->guest.frame->unnamed;

    if (!on_apic_page(&v->access)) {
        page(v);
        return;
    }
    exit_complete_access(v);
    if (!asks)
        guest_access_done(v);
    finish(v);
}

/* An exception that the hypervisor wants to see. */
static void exception(struct vcpu *v)
{
    if (met_host(v))
        host_interrupt(v);
    else
        page(v);
}

/* KVM: handle_cr(), cr8_write_interception(). An APIC in userspace hears of a write that lowers the
   priority, which may let an interrupt in; a read is answered from KVM's copy. */
static void cr8(struct vcpu *v)
{
    const uint32_t before = v->apic.regs.TPR >> 4;
    const bool userspace = v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE;

    exit_complete_access(v);
    guest_access_done(v);
    if (userspace && v->apic.regs.TPR >> 4 < before) {
        v->kvm_exit = KVM_EXIT_SET_TPR;
        vcpu_take(v, VCPU_ON_TO_USER);
    } else {
        vcpu_take(v, VCPU_ON_RESUME);
    }
}

static void simple(struct vcpu *v)
{
    guest_access_done(v);
    vcpu_take(v, VCPU_ON_RESUME);
}

/* KVM: kvm_emulate_hypercall(). */
static void hypercall(struct vcpu *v)
{
    const struct guest_insn *i = guest_fetch(&v->guest);
    bool leaves = false;

    if (i->op == GUEST_pv_ipi)
        pv_ipi(v, i);
    if (i->op == GUEST_unlock)
        yield_kick(v);
    if (i->op == GUEST_unlock || i->op == GUEST_pv_yield)
        leaves = yield_to_peer(v);
    guest_access_done(v);
    if (leaves)
        vcpu_take(v, VCPU_ON_PREEMPT);
    else
        finish(v);
}

/* KVM: handle_pause(), pause_interception(). */
static void pause_loop(struct vcpu *v)
{
    const bool leaves = yield_on_spin(v);

    guest_access_done(v);
    vcpu_take(v, leaves ? VCPU_ON_PREEMPT : VCPU_ON_RESUME);
}

/* After the access: the EOI of a vector that an I/O APIC waits for. */
static void eoi_induced(struct vcpu *v)
{
    board_eoi(v, (uint8_t)v->exit.qualification);
    go_on(v);
}

static const struct exit_handler handlers[EXIT_REASON_COUNT] = {
    [EXIT_VMX_EXCEPTION_NMI] = {exception, BY_ACCESS, true},
    [EXIT_VMX_EXTERNAL_INTERRUPT] = {host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_VMX_INTERRUPT_WINDOW] = {window, COST_KVM_WINDOW, false},
    [EXIT_VMX_NMI_WINDOW] = {nmi_window, COST_KVM_WINDOW, false},
    [EXIT_VMX_CPUID] = {simple, COST_KVM_CPUID, false},
    [EXIT_VMX_HLT] = {halt, COST_KVM_HALT, false},
    [EXIT_VMX_VMCALL] = {hypercall, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_CR_ACCESS] = {cr8, COST_KVM_CR8, false},
    [EXIT_VMX_IO_INSTRUCTION] = {device, BY_ACCESS, false},
    [EXIT_VMX_MSR_READ] = {complete_access, BY_ACCESS, false},
    [EXIT_VMX_MSR_WRITE] = {complete_access, BY_ACCESS, false},
    [EXIT_VMX_MWAIT] = {simple, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_MONITOR] = {simple, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_PAUSE] = {pause_loop, COST_KVM_ON_SPIN, false},
    [EXIT_VMX_TPR_BELOW_THRESHOLD] = {host_interrupt, COST_KVM_WINDOW, false},
    [EXIT_VMX_APIC_ACCESS] = {complete_access, BY_ACCESS, true},
    [EXIT_VMX_EOI_INDUCED] = {eoi_induced, COST_KVM_EOI, false},
    [EXIT_VMX_EPT_VIOLATION] = {page, COST_KVM_PAGE_FAULT, true},
    [EXIT_VMX_EPT_MISCONFIG] = {page, BY_ACCESS, true},
    [EXIT_VMX_PREEMPTION_TIMER] = {preemption_timer, COST_KVM_PREEMPTION_TIMER, false},
    [EXIT_VMX_WBINVD] = {simple, COST_KVM_HYPERCALL, false},
    [EXIT_VMX_APIC_WRITE] = {complete_access, BY_ACCESS, false},
    [EXIT_SVM_WRITE_CR8] = {cr8, COST_KVM_CR8, false},
    [EXIT_SVM_PAGE_FAULT] = {page, BY_ACCESS, true},
    [EXIT_SVM_INTR] = {host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_SVM_VINTR] = {window, COST_KVM_WINDOW, false},
    [EXIT_SVM_CPUID] = {simple, COST_KVM_CPUID, false},
    [EXIT_SVM_IRET] = {nmi_window, COST_KVM_WINDOW, false},
    [EXIT_SVM_PAUSE] = {pause_loop, COST_KVM_ON_SPIN, false},
    [EXIT_SVM_HLT] = {halt, COST_KVM_HALT, false},
    [EXIT_SVM_IO] = {device, BY_ACCESS, false},
    [EXIT_SVM_MSR] = {complete_access, BY_ACCESS, false},
    [EXIT_SVM_VMMCALL] = {hypercall, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_WBINVD] = {simple, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_MONITOR] = {simple, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_MWAIT] = {simple, COST_KVM_HYPERCALL, false},
    [EXIT_SVM_IDLE_HLT] = {halt, COST_KVM_HALT, false},
    [EXIT_SVM_NPF] = {page, BY_ACCESS, true},
    [EXIT_SVM_AVIC_INCOMPLETE_IPI] = {incomplete_ipi, BY_ACCESS, false},
    [EXIT_SVM_AVIC_NOACCEL] = {complete_access, BY_ACCESS, false},
    [EXIT_E2K_RR_IDR] = {simple, COST_KVM_CPUID, false},
    [EXIT_E2K_HV_INT] = {host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_E2K_HV_NM_INT] = {host_interrupt, COST_KVM_HOST_INTERRUPT, false},
    [EXIT_E2K_G_TMR] = {host_interrupt, COST_KVM_PREEMPTION_TIMER, false},
    [EXIT_E2K_WAIT_TRAP] = {halt, COST_KVM_HALT, false},
    [EXIT_E2K_HCALL] = {hypercall, COST_KVM_HYPERCALL, false},
    [EXIT_E2K_GPA_DATA] = {data_page, BY_ACCESS, false},
    [EXIT_E2K_GPA_INSTR] = {page, COST_KVM_PAGE_FAULT, false},
    [EXIT_E2K_MAS_IOADDR] = {device, BY_ACCESS, false},
    [EXIT_E2K_CACHE_FLUSH] = {simple, COST_KVM_HYPERCALL, false},
};

void exit_pay(struct vcpu *v)
{
    const struct exit_handler *handler = &handlers[v->exit.reason];

    assert(handler->act && "this exit has no handler");
    vcpu_pay(v, takes_fastpath(v) ? COST_KVM_FASTPATH : COST_KVM_EXIT);
    if (handler->decode && (on_apic_page(&v->access) || on_device(&v->access)))
        vcpu_pay(v, COST_KVM_DECODE);
    if (handler->cost != BY_ACCESS)
        vcpu_pay(v, (enum cost_key)handler->cost);
    if (handler->cost == BY_ACCESS || (handler->decode && on_apic_page(&v->access)))
        vcpu_pay(v, access_cost(v));
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
    handlers[v->exit.reason].act(v);
}
