/*
 * Telling a vCPU of an interrupt.
 *
 * Arrival: hypervisor_accept() puts the vector where it will be found (PIR
 * when posted interrupts are processed, IRR otherwise) and makes sure that
 * somebody looks: a notification or a kick for a vCPU in its guest, a wake-up
 * for one that waits, nothing for one whose next entry looks anyway.
 *
 * Injection: deliver_inject() runs before each entry, and puts what is pending
 * into the control structure, or asks for a window.
 */
#include "hypervisor/epic.h"

/* A kick for the sake of no interrupt (yield_kick()) is none's stage. */
static void notified(struct vcpu *target, unsigned vector, trace_flow flow,
                     enum trace_notify how)
{
    if (!flow)
        return;
    trace_put(target->hypervisor->trace, flow, TRACE_NOTIFIED, target->index, vector, how);
}

/* The sender's time: a vCPU pays on its own clock, a device's thread is nobody's here. */
static void sender_pays(struct vcpu *sender, enum cost_key key)
{
    if (sender)
        vcpu_pay(sender, key);
}

/* So many cycles after what the sender has to do before. */
static sim_time after_sender(const struct hypervisor *h, const struct vcpu *sender, uint64_t n)
{
    return hv_after(h, n + (sender ? vcpu_owes(sender) : 0));
}

/* The target's memory: the APIC's bookkeeping, what is pending, and whether it is in its guest.
   What is counted up is read before it is written. */
static void reach(struct vcpu *v, struct vcpu *sender)
{
    if (sender) {
        line_take(sender, &v->line[LINE_BOOKS], false);
        line_take(sender, &v->line[LINE_BOOKS], true);
        line_take(sender, &v->line[LINE_PENDING], true);
        line_take(sender, &v->line[LINE_MODE], false);
    } else {
        line_lose(&v->line[LINE_PENDING]);
        line_lose(&v->line[LINE_BOOKS]);
    }
}

/* One that polls looks at memory all the time; only a sleeper costs its waker something. */
static bool wake_if_waiting(struct vcpu *v, struct vcpu *sender, unsigned vector,
                            trace_flow flow)
{
    const struct hypervisor *h = v->hypervisor;
    uint64_t n = 0;

    if (!vcpu_waits(v) || !halt_ends(v))
        return false;
    if (v->state == VCPU_BLOCKED) {
        sender_pays(sender, COST_KVM_WAKE);
        n = h->costs.of[COST_HW_IPI].n + (sender ? 0 : h->costs.of[COST_KVM_WAKE].n);
    }
    notified(v, vector, flow, TRACE_NOTIFY_WAKE);
    thread_wake(&v->thread, after_sender(h, sender, n));
    return true;
}

/* An interrupt to the CPU where the target is in its guest; it takes a while to arrive. */
static void send(struct vcpu *v, struct vcpu *sender, enum host_vector vector, trace_flow flow)
{
    const struct hypervisor *h = v->hypervisor;

    sender_pays(sender, COST_KVM_KICK);
    host_send(
        v->thread.pcpu, vector,
        after_sender(h, sender,
                     h->costs.of[COST_HW_IPI].n + (sender ? 0 : h->costs.of[COST_KVM_KICK].n)),
        flow);
}

/* KVM: kvm_arch_vcpu_should_kick() exchanges the mode of one that does not sleep, whatever it was. */
static void exchange_mode(struct vcpu *v, struct vcpu *sender)
{
    if (sender && sender != v && v->state != VCPU_BLOCKED)
        line_take(sender, &v->line[LINE_MODE], true);
}

/* KVM: kvm_vcpu_kick(). */
void vcpu_kick(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow)
{
    exchange_mode(v, sender);
    if (wake_if_waiting(v, sender, vector, flow))
        return;
    if (v == sender || v->kicked || !vcpu_in_guest_mode(v)) {
        notified(v, vector, flow, TRACE_NOTIFY_NOT_NEEDED);
        return;
    }
    v->kicked = true;
    notified(v, vector, flow, TRACE_NOTIFY_KICK);
    send(v, sender, HOST_RESCHEDULE, flow);
}

/* A thread that polls sees the descriptor in memory at once, before the interrupt reaches it. */
void deliver_notification(struct hypervisor *h, const struct posted_descriptor *d,
                          unsigned vector, trace_flow flow, sim_time at)
{
    struct vcpu *target = &h->vcpu[d->owner];
    const bool wakes = d->nv == HOST_NUMBER_WAKEUP || target->state == VCPU_POLLING;

    notified(target, vector, flow, wakes ? TRACE_NOTIFY_WAKE : TRACE_NOTIFY_POSTED);
    if (target->state == VCPU_POLLING && halt_ends(target))
        thread_wake(&target->thread, hv_now(h));
    host_send(&h->pcpu[d->ndst], d->nv == HOST_NUMBER_WAKEUP ? HOST_WAKEUP : HOST_POSTED, at,
              flow);
}

/* KVM: vmx_deliver_posted_interrupt(). */
static void post(struct vcpu *v, const struct irq_msg *msg, struct vcpu *sender)
{
    sender_pays(sender, COST_KVM_POST);
    reach(v, sender);
    switch (posted_post(&v->descriptor, msg->vector, msg->flow)) {
    case POSTED_COALESCED:
        return;
    case POSTED_QUIET:
        notified(v, msg->vector, msg->flow, TRACE_NOTIFY_LATER);
        return;
    case POSTED_NOTIFY:
        break;
    }
    if (!feature_in(v->hypervisor->features, FEATURE_WAKE_AFTER_POST) && !vcpu_in_guest_mode(v))
        exchange_mode(v, sender);
    if (wake_if_waiting(v, sender, msg->vector, msg->flow))
        return;
    if (v == sender || !vcpu_in_guest_mode(v)) {
        notified(v, msg->vector, msg->flow, TRACE_NOTIFY_NOT_NEEDED);
        return;
    }
    notified(v, msg->vector, msg->flow, TRACE_NOTIFY_POSTED);
    send(v, sender, HOST_POSTED, msg->flow);
}

/* KVM: svm_complete_interrupt_delivery(). With AVIC a doorbell or a wake-up: IRR says the rest. */
void deliver_ring(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow)
{
    if (!v->hw.ops->delivers(&v->hw)) {
        v->request = true;
        vcpu_kick(v, sender, vector, flow);
        return;
    }
    if (wake_if_waiting(v, sender, vector, flow))
        return;
    if (v == sender || !vcpu_in_guest_mode(v)) {
        notified(v, vector, flow, TRACE_NOTIFY_NOT_NEEDED);
        return;
    }
    notified(v, vector, flow, v->epic ? TRACE_NOTIFY_DIRECT : TRACE_NOTIFY_DOORBELL);
    send(v, sender, HOST_DOORBELL, flow);
}

void deliver_doorbells(struct vcpu *sender, unsigned vector)
{
    struct hypervisor *h = sender->hypervisor;
    const uint64_t n = h->costs.of[COST_HW_IPI_VIRTUALIZED].n + h->costs.of[COST_HW_IPI].n;

    for (uint32_t i = 0; i < sender->hw.target_count; i++) {
        const struct avic_target *t = &sender->hw.target[i];
        struct vcpu *v = &h->vcpu[t->index];

        if (!t->flow || !t->running || v == sender)
            continue;
        notified(v, vector, t->flow, TRACE_NOTIFY_DOORBELL);
        line_claim(&v->line[LINE_PENDING], sender->thread.pcpu, true);
        if (v->state == VCPU_POLLING && halt_ends(v))
            thread_wake(&v->thread, hv_now(h));
        host_send(&h->pcpu[t->host], HOST_DOORBELL, after_sender(h, sender, n), t->flow);
    }
}

/* KVM: avic_kick_target_vcpus(). */
void deliver_wakeups(struct vcpu *sender, unsigned vector)
{
    for (uint32_t i = 0; i < sender->hw.target_count; i++) {
        const struct avic_target *t = &sender->hw.target[i];

        if (t->flow && !t->running)
            deliver_ring(&sender->hypervisor->vcpu[t->index], sender, vector, t->flow);
    }
}

/* DID: a running guest gets the interrupt itself; before any entry there is a self-IPI. */
static void interrupt(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow)
{
    if (wake_if_waiting(v, sender, vector, flow))
        return;
    if (v == sender || !vcpu_in_guest_mode(v)) {
        notified(v, vector, flow, TRACE_NOTIFY_NOT_NEEDED);
        return;
    }
    notified(v, vector, flow, TRACE_NOTIFY_DIRECT);
    send(v, sender, HOST_GUEST, flow);
}

/* Into IRR, or into the pending flag of NMI. */
static void set_pending(struct vcpu *v, const struct irq_msg *msg, struct vcpu *sender)
{
    sender_pays(sender, COST_KVM_ACCEPT);
    reach(v, sender);
    if (msg->delivery == IRQ_INIT || msg->delivery == IRQ_STARTUP) {
        startup_accept(v, msg, sender);
        return;
    }
    if (lapic_accept(&v->apic, msg) != LAPIC_ACCEPTED)
        return;
    if (v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE) {
        userspace_interrupt(v, sender, msg->vector, msg->flow);
        return;
    }
    if (direct_delivers(v, msg)) {
        interrupt(v, sender, msg->vector, msg->flow);
        return;
    }
    if (v->hw.ops->vendor == VIRT_SVM && v->hw.ops->delivers(&v->hw) &&
        msg->delivery != IRQ_NMI) {
        deliver_ring(v, sender, msg->vector, msg->flow);
        return;
    }
    v->request = true;
    vcpu_kick(v, sender, msg->vector, msg->flow);
}

void hypervisor_accept(struct vcpu *target, const struct irq_msg *msg, struct vcpu *sender)
{
    const bool fixed = msg->delivery == IRQ_FIXED || msg->delivery == IRQ_LOWEST_PRIORITY;

    if (!fixed || !target->hw.ops->posts(&target->hw))
        set_pending(target, msg, sender);
    else if (lapic_check(&target->apic, msg) == LAPIC_ACCEPTED)
        post(target, msg, sender);
}

/* --- messages --- */

static void collect(void *context, unsigned index, const struct irq_msg *msg)
{
    struct vcpu *sender = context;

    sender->message = *msg;
    sender->outbox[sender->outbox_count++] = (struct destination){(uint16_t)index, msg->flow};
}

/* SDM 3A "Interrupt Command Register (ICR)": an NMI is vector 2, whatever the vector field says. */
void deliver_route(struct vcpu *sender, const struct irq_msg *msg)
{
    struct irq_msg m = *msg;

    if (m.delivery == IRQ_NMI)
        m.vector = 2;
    apic_fabric_route(&sender->hypervisor->fabric, &m, collect, sender);
}

void deliver_next(struct vcpu *sender)
{
    const struct destination *d = &sender->outbox[sender->outbox_next++];
    struct irq_msg msg = sender->message;

    msg.flow = d->flow;
    if (sender->epic)
        epic_hand_over(sender, d);
    else
        hypervisor_accept(&sender->hypervisor->vcpu[d->vcpu], &msg, sender);
    if (sender->outbox_next < sender->outbox_count) {
        vcpu_take(sender, VCPU_ON_CONTINUE);
        return;
    }
    sender->outbox_count = sender->outbox_next = 0;
    sender->after_outbox(sender);
}

/* --- injection --- */

bool extint_waits(const struct vcpu *v)
{
    return !vec_empty(&v->extint) || board_extint(v);
}

/* KVM: pic_unlock(); QEMU: pic_irq_request(), which has to signal the thread. */
void extint_tell(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow)
{
    v->request = true;
    if (v->hypervisor->policy.irqchip == IRQCHIP_KERNEL)
        vcpu_kick(v, sender, vector, flow);
    else
        userspace_interrupt(v, sender, vector, flow);
}

/* A chipset's; else the lowest vector that devices have raised as an 8259A would: its inputs are
   in order of priority. */
int extint_take(struct vcpu *v, trace_flow *flow)
{
    unsigned w = 0, vector;

    if (board_extint(v))
        return board_acknowledge(v, flow);
    while (!v->extint.word[w])
        w++;
    vector = w * 64 + (unsigned)__builtin_ctzll(v->extint.word[w]);
    vec_clear(&v->extint, vector);
    *flow = v->extint_flow[vector];
    return (int)vector;
}

/* After a vector from userspace KVM 6.1 leaves the guest at once, since it takes the interrupt
   for one still pending (docs/accuracy.md). */
static void inject_vector(struct vcpu *v, int vector, bool nmi, trace_flow flow)
{
    v->injecting = vector;
    v->injecting_nmi = nmi;
    v->injecting_flow = flow;
    v->hw.ops->inject(&v->hw, (uint8_t)vector, nmi);
    v->immediate_exit = v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE && !nmi;
    vcpu_pay(v, COST_KVM_INJECT);
    trace_put(v->hypervisor->trace, flow, TRACE_INJECTED, v->index, (uint64_t)vector,
              TRACE_INJECT_EVENT);
}

static void inject_again(struct vcpu *v)
{
    const int vector = v->reinject;

    v->reinject = NO_VECTOR;
    inject_vector(v, vector, v->reinject_nmi, v->reinject_flow);
}

static void inject_nmi(struct vcpu *v)
{
    v->apic.nmi_pending = false;
    inject_vector(v, 2, true, v->apic.nmi_flow);
}

/* Userspace has taken the vector off its controllers already. */
static void inject_extint(struct vcpu *v)
{
    trace_flow flow = v->user_flow;
    const int vector = v->user_vector != NO_VECTOR ? v->user_vector : extint_take(v, &flow);

    v->user_vector = NO_VECTOR;
    inject_vector(v, vector, false, flow);
}

/* KVM: apic_sync_pv_eoi_to_guest(): only for the one interrupt in service, with nothing behind it,
   whose EOI nobody else waits for. Direct interrupts wait for it. */
static void offer_pv_eoi(struct vcpu *v, unsigned vector)
{
    if (!feature_in(v->hypervisor->features, FEATURE_PV_EOI) ||
        feature_in(v->hypervisor->features, FEATURE_DIRECT_INTERRUPTS) ||
        vec_highest(&v->apic.regs.IRR) != NO_VECTOR || vec_has(&v->apic.regs.TMR, vector))
        return;
    v->pv_eoi_offered = v->pv_eoi = true;
}

static void inject_from_apic(struct vcpu *v)
{
    const uint8_t vector = lapic_acknowledge(&v->apic);

    inject_vector(v, vector, false, v->apic.service_flow[vector]);
    if (user_takes(v, vector)) {
        lapic_eoi(&v->apic); /* an injected notification has no EOI: docs/models/uintr.md */
        return;
    }
    controls_set_direct(v, false);
    offer_pv_eoi(v, vector);
}

/* What the APIC alone has for the guest; the hardware finds it by itself under
   virtual-interrupt delivery, and in the physical APIC; userspace's APIC injects as an 8259A
   does. */
static bool apic_injects(const struct vcpu *v)
{
    return !v->hw.ops->delivers(&v->hw) &&
           !feature_in(v->hypervisor->features, FEATURE_DELIVERY_BY_IPI) &&
           v->hypervisor->policy.irqchip != IRQCHIP_USERSPACE;
}

/* KVM: kvm_cpu_has_extint(): its own 8259A's output, or what userspace has given it. */
static bool has_extint(const struct vcpu *v)
{
    return v->user_vector != NO_VECTOR ||
           (v->hypervisor->policy.irqchip == IRQCHIP_KERNEL && extint_waits(v));
}

static bool interrupt_waits(const struct vcpu *v)
{
    return has_extint(v) || v->window_wanted ||
           (apic_injects(v) && lapic_pending(&v->apic) != NO_VECTOR);
}

/* KVM: update_cr8_intercept(): an interrupt that TPR holds back asks to be told when it falls. */
static void update_tpr_threshold(struct vcpu *v)
{
    const int vector = apic_injects(v) ? vec_highest(&v->apic.regs.IRR) : NO_VECTOR;
    const unsigned class = vector == NO_VECTOR ? 0 : (unsigned)vector >> 4;

    if (!feature_in(v->hypervisor->features, FEATURE_TPR_SHADOW) ||
        v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE)
        return; /* every access exits anyway */
    v->hw.ops->set_tpr_threshold(&v->hw, (uint8_t)(v->apic.regs.TPR >> 4 >= class ? class : 0));
}

/* KVM: svm_enable_irq_window(): V_IRQ and AVIC exclude each other, so AVIC is off until the last
   window has opened. */
static void open_window(struct vcpu *v, bool open)
{
    struct hypervisor *h = v->hypervisor;
    const uint32_t before = h->windows;

    h->windows += (uint32_t)open - (uint32_t)v->window_open;
    v->window_open = open;
    if (!before != !h->windows)
        inhibit_by_machine(h, INHIBIT_IRQWIN, h->windows, v);
    v->hw.ops->open_window(&v->hw, open);
}

/* KVM: svm_enable_irq_window(): without vGIF the hardware does not know of the guest's GIF, whose
   STGI exits and so tells. */
static bool stgi_tells(const struct vcpu *v)
{
    return v->hw.gif_clear && !v->hw.vmcb.vgif;
}

/* KVM: kvm_check_and_inject_events(): first what was cut short, then NMI, 8259A, APIC. */
void deliver_inject(struct vcpu *v)
{
    const bool gif = !v->hw.gif_clear;
    const bool open = gif && v->hw.interrupts_enabled && !v->hw.shadow;

    if (v->hw.passive_context) {
        epic_inject(v);
        return;
    }
    if (v->reinject != NO_VECTOR)
        inject_again(v);
    else if (gif && v->apic.nmi_pending && !v->hw.nmi_blocked)
        inject_nmi(v);
    else if (open && has_extint(v))
        inject_extint(v);
    else if (open && apic_injects(v) && lapic_pending(&v->apic) != NO_VECTOR)
        inject_from_apic(v);
    open_window(v, interrupt_waits(v) && !stgi_tells(v));
    v->hw.ops->open_nmi_window(&v->hw, v->apic.nmi_pending);
    update_tpr_threshold(v);
}

void deliver_close_window(struct vcpu *v)
{
    open_window(v, false);
}

void deliver_cancel(struct vcpu *v)
{
    if (v->injecting == NO_VECTOR)
        return;
    v->hw.ops->cancel_injection(&v->hw);
    v->reinject = v->injecting;
    v->reinject_nmi = v->injecting_nmi;
    v->reinject_flow = v->injecting_flow;
    v->injecting = NO_VECTOR;
    v->immediate_exit = false;
}
