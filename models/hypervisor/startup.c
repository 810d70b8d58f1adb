/*
 * INIT, start-up IPIs (SDM 3A "MP Initialization Protocol Algorithm"), and QEMU's reset of the
 * machine.
 *
 * KVM keeps a vCPU's kvm_mp_state: UNINITIALIZED, until the first INIT; INIT_RECEIVED; RUNNABLE.
 * Here the APIC knows that it waits for a SIPI, and `uninitialized` the rest. Whoever waits sleeps
 * in KVM_RUN, or in userspace if the controllers are there; the first INIT makes KVM_RUN return
 * -EAGAIN, and userspace calls again.
 *
 * Left out: user interrupts, devices and the chipset are not reset; guest memory stays as it is.
 * QEMU stops all vCPUs before a reset; here each is reset where it looks next.
 */
#include "hypervisor/hypervisor.h"

enum { NMI_VECTOR = 2 };

/* KVM: svm_apic_init_signal_blocked(): it waits for the guest's STGI. */
static bool init_comes(const struct vcpu *v)
{
    return v->apic.init_pending && !v->hw.gif_clear;
}

bool startup_concerns(const struct vcpu *v)
{
    return v->apic.waits_for_sipi || init_comes(v) || v->startup.reset;
}

bool startup_wakes(const struct vcpu *v)
{
    return init_comes(v) || v->apic.sipi_pending || v->startup.reset;
}

unsigned startup_pending(const struct vcpu *v, unsigned vector)
{
    const struct vcpu_startup *s = &v->startup;

    return (s->init && vector == s->init_vector) + (s->sipi && vector == s->sipi_vector);
}

/* --- messages --- */

static void ends(struct vcpu *v, trace_flow *flow, unsigned vector, enum trace_event how,
                 uint64_t why)
{
    if (*flow)
        trace_put(v->hypervisor->trace, *flow, how, v->index, vector, why);
    *flow = 0;
}

static void tell(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow)
{
    v->request = true;
    if (v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE)
        userspace_interrupt(v, sender, vector, flow);
    else
        vcpu_kick(v, sender, vector, flow);
}

/* The INIT makes a SIPI that came before it void: SDM 3A "Interrupt Command Register (ICR)". */
void startup_accept(struct vcpu *v, const struct irq_msg *msg, struct vcpu *sender)
{
    struct vcpu_startup *s = &v->startup;
    const bool init = msg->delivery == IRQ_INIT;
    trace_flow *held = init ? &s->init : &s->sipi;

    if (lapic_accept(&v->apic, msg) != LAPIC_ACCEPTED)
        return;
    if (init)
        ends(v, &s->sipi, s->sipi_vector, TRACE_REFUSED, TRACE_REFUSED_WITHDRAWN);
    if (*held) {
        trace_put(v->hypervisor->trace, msg->flow, TRACE_COALESCED, v->index, msg->vector,
                  TRACE_HELD_STARTUP);
        return;
    }
    *held = msg->flow;
    *(init ? &s->init_vector : &s->sipi_vector) = msg->vector;
    trace_put(v->hypervisor->trace, msg->flow, TRACE_PENDING, v->index, msg->vector,
              TRACE_HELD_STARTUP);
    tell(v, sender, msg->vector, msg->flow);
}

/* --- the reset --- */

static void refuse(struct vcpu *v, int *vector, trace_flow flow)
{
    if (*vector != NO_VECTOR)
        ends(v, &flow, (unsigned)*vector, TRACE_REFUSED, TRACE_REFUSED_DISABLED);
    *vector = NO_VECTOR;
}

/* What was on its way to the guest and had not reached its handler. */
static void drop_interrupts(struct vcpu *v)
{
    refuse(v, &v->delivering, v->guest.frame->flow);
    refuse(v, &v->injecting, v->injecting_flow);
    refuse(v, &v->reinject, v->reinject_flow);
    refuse(v, &v->user_vector, v->user_flow);
    posted_sync(&v->descriptor, &v->apic);
    if (v->timer_due || v->hw.timer_event)
        timer_refuse(v, TRACE_REFUSED_DISABLED);
    v->timer_due = false;
    v->hw.timer_event = 0;
}

static void reset_hardware(struct vcpu *v)
{
    struct virt_cpu *hw = &v->hw;

    hw->interrupts_enabled = hw->user_mode = true;
    hw->shadow = hw->mov_ss_shadow = hw->nmi_blocked = hw->halted = false;
    hw->delivery_faults = hw->gif_clear = false;
    hw->monitor = VIRT_MONITOR_OFF;
    hw->pause_loop = (struct virt_pause_loop){0};
}

static void reset_bookkeeping(struct vcpu *v)
{
    if (v->window_open)
        deliver_close_window(v);
    v->window_wanted = v->pv_eoi = v->pv_eoi_offered = v->held = v->retried = false;
    v->immediate_exit = v->injecting_nmi = v->reinject_nmi = v->setting_up = false;
    v->waiting.pausing = v->waiting.for_kick = v->waiting.pv_unhalt = false;
    v->exit = (struct virt_verdict){0};
    v->access = guest_no_access();
}

static void reset(struct vcpu *v, const struct guest_program *program)
{
    drop_interrupts(v);
    lapic_take_init(&v->apic);
    reset_hardware(v);
    reset_bookkeeping(v);
    guest_restart(&v->guest, program);
    if (v->program_ended)
        v->hypervisor->running++;
    v->program_ended = false;
    controls_set_direct(v, true);
    inhibit_check_ids(v);
}

static void reset_with_machine(struct vcpu *v)
{
    struct vcpu_startup *s = &v->startup;

    ends(v, &s->init, s->init_vector, TRACE_REFUSED, TRACE_REFUSED_WITHDRAWN);
    ends(v, &s->sipi, s->sipi_vector, TRACE_REFUSED, TRACE_REFUSED_WITHDRAWN);
    s->reset = false;
    v->apic.init_pending = true;
    v->apic.sipi_pending = false;
    s->main = s->after_reset;
    reset(v, s->main);
    v->apic.waits_for_sipi = s->waits;
    s->uninitialized = s->waits;
}

static bool kick_for_reset(struct vcpu *v)
{
    v->startup.reset = v->request = true;
    if (v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE)
        v->signal = true;
    return vcpu_waits(v) || (vcpu_in_guest_mode(v) && !v->kicked);
}

/* QEMU: qemu_system_reset(). */
void startup_reset_machine(struct vcpu *by)
{
    struct hypervisor *h = by->hypervisor;

    by->startup.reset = true;
    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        struct vcpu *v = &h->vcpu[i];

        if (v == by || !kick_for_reset(v))
            continue;
        vcpu_pay(by, COST_USER_SIGNAL);
        vcpu_kick(v, by, NMI_VECTOR, 0);
    }
}

/* --- before an entry --- */

/* KVM: kvm_apic_accept_events(). Where no INIT has come it takes no SIPI, though the processor of
   SDM 3A "MP Initialization Protocol Algorithm" would. */
static void accept_events(struct vcpu *v)
{
    struct vcpu_startup *s = &v->startup;
    uint8_t page;

    if (s->reset)
        reset_with_machine(v);
    if (init_comes(v)) {
        ends(v, &s->init, s->init_vector, TRACE_TAKEN, 0);
        reset(v, s->main);
        s->uninitialized = false;
    }
    if (s->uninitialized) {
        v->apic.sipi_pending = false;
        ends(v, &s->sipi, s->sipi_vector, TRACE_REFUSED, TRACE_REFUSED_MODE);
    } else if (lapic_take_sipi(&v->apic, &page)) {
        ends(v, &s->sipi, s->sipi_vector, TRACE_TAKEN, 0);
    }
}

static bool returns_to_userspace(struct vcpu *v, enum kvm_exit why)
{
    if (v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE)
        return false; /* it is there already */
    v->kvm_exit = why;
    vcpu_take(v, VCPU_ON_TO_USER);
    return true;
}

bool startup_ready(struct vcpu *v)
{
    const bool woken = v->startup.uninitialized && startup_wakes(v), signal = v->signal;

    accept_events(v);
    if (woken && returns_to_userspace(v, KVM_RUN_EAGAIN))
        return false;
    if (!v->apic.waits_for_sipi)
        return true;
    v->signal = false;
    if (signal && returns_to_userspace(v, KVM_EXIT_INTR))
        return false;
    halt_begin(v);
    vcpu_take(v, VCPU_ON_BLOCK);
    return false;
}
