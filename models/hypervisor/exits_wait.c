/* Exits of a guest that waits or asks, and those that only make it look: HLT, PAUSE, hypercalls,
   windows, the preemption timer, the host's interrupts. */
#include "hypervisor/exits.h"

void handle_simple(struct vcpu *v)
{
    guest_access_done(v);
    vcpu_take(v, VCPU_ON_RESUME);
}

/* The interrupt that made the guest leave has been taken by the host: host_take_pending(). */
void handle_host_interrupt(struct vcpu *v)
{
    vcpu_take(v, VCPU_ON_RESUME);
}

void handle_preemption_timer(struct vcpu *v)
{
    const bool fast = exit_takes_fastpath(v) && !v->held;

    if (fast)
        timer_check(v);
    exit_go_back(v, fast);
}

/* KVM: svm_set_gif(). What waits for an STGI is looked for before the entry. */
void handle_gif(struct vcpu *v)
{
    struct vmcb *b = &v->hw.vmcb;

    v->hw.gif_clear = v->exit.reason == EXIT_SVM_CLGI;
    if (!v->hw.gif_clear)
        svm_intercept(b, SVM_STGI, !b->vgif);
    handle_simple(v);
}

void handle_window(struct vcpu *v)
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

void handle_nmi_window(struct vcpu *v)
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

void handle_halt(struct vcpu *v)
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

/* KVM: handle_pause(), pause_interception(). */
void handle_pause(struct vcpu *v)
{
    const bool leaves = yield_on_spin(v);

    guest_access_done(v);
    vcpu_take(v, leaves ? VCPU_ON_PREEMPT : VCPU_ON_RESUME);
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

/* KVM: kvm_emulate_hypercall(). */
void handle_hypercall(struct vcpu *v)
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
        exit_finish(v);
}
