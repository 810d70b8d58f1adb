/*
 * Without the hypervisor: physical interrupts that are the guest's own, and the
 * registers of the physical APIC that are passed through to it.
 *
 * What the physical APIC holds for a guest stands in the guest's own APIC, so
 * one set of registers serves for both; virt_cpu's `direct` says which of its
 * requests the physical one has. Guest and hardware then agree by themselves on
 * priorities, and an EOI that is passed through ends what it should.
 *
 * An interrupt that comes by IPI is requested when it is sent, and the guest can
 * take it when it arrives; of several on their way to a CPU all arrive with the
 * first. docs/models/direct.md has what else is assumed.
 */
#include "hypervisor/hypervisor.h"

enum { ICR_DELIVERY = 7 << 8, ICR_LEVEL_TRIGGER = 1 << 15 };

static bool by_ipi(const struct hypervisor *h)
{
    return feature_in(h->features, FEATURE_DELIVERY_BY_IPI) &&
           h->policy.irqchip != IRQCHIP_USERSPACE;
}

/* Requests whose EOI the hypervisor must see, for an I/O APIC of its own. */
static bool awaits_eoi(const struct vcpu *v)
{
    const struct lapic_regs *r = &v->apic.regs;

    for (unsigned w = 0; w < 4; w++)
        if (r->TMR.word[w] & (r->IRR.word[w] | r->ISR.word[w]))
            return true;
    return false;
}

/* --- in --- */

/* A level-triggered one needs its EOI to exit, and that an exit before it. */
bool direct_delivers(const struct vcpu *v, const struct irq_msg *msg)
{
    return by_ipi(v->hypervisor) && !msg->level &&
           (msg->delivery == IRQ_FIXED || msg->delivery == IRQ_LOWEST_PRIORITY);
}

void direct_arrived(struct vcpu *v)
{
    const struct lapic_regs *r = &v->apic.regs;

    timer_take_directly(v);
    if (!by_ipi(v->hypervisor))
        return;
    for (unsigned w = 0; w < 4; w++)
        v->hw.direct.word[w] |= r->IRR.word[w] & ~r->TMR.word[w];
}

/* DID: whatever waits goes into the physical APIC by self-IPI, so that nothing is injected and
   every EOI finds there what it ends. */
void direct_enter(struct vcpu *v)
{
    if (!by_ipi(v->hypervisor))
        return;
    for (unsigned w = 0; w < 4; w++) {
        const uint64_t waiting = v->apic.regs.IRR.word[w];

        for (uint64_t more = waiting & ~v->hw.direct.word[w]; more; more &= more - 1)
            vcpu_pay(v, COST_HW_ICR);
        v->hw.direct.word[w] |= waiting;
    }
    controls_pass_eoi(v, !awaits_eoi(v));
}

/* With interrupts on, the host's IDT takes them: they are requests of the guest's APIC as before,
   and wait for the next entry. */
void direct_leave(struct vcpu *v)
{
    for (unsigned w = 0; w < 4; w++) {
        for (uint64_t more = v->hw.direct.word[w]; more; more &= more - 1)
            vcpu_pay(v, COST_HOST_INTERRUPT);
        v->hw.direct.word[w] = 0;
    }
}

/* --- out --- */

bool direct_is_ordinary(uint64_t icr)
{
    return !(icr & (ICR_DELIVERY | ICR_LEVEL_TRIGGER)) && (uint8_t)icr >= 16;
}

static sim_time arrival(const struct vcpu *sender)
{
    const struct hypervisor *h = sender->hypervisor;

    return hv_after(h, vcpu_owes(sender) + h->costs.of[COST_HW_IPI].n);
}

/* The guest's driver posts as the hypervisor would, and does not look at SN. */
static void post(struct vcpu *target, struct vcpu *sender, uint8_t vector, trace_flow flow)
{
    struct posted_descriptor *d = &target->descriptor;

    vcpu_pay(sender, COST_GUEST_POST);
    line_take(sender, &target->line[LINE_PENDING], true);
    if (!posted_request(d, vector, flow))
        return;
    if (!posted_set_outstanding(d, true)) {
        trace_put(sender->hypervisor->trace, flow, TRACE_NOTIFIED, d->owner, vector,
                  TRACE_NOTIFY_LATER);
        return;
    }
    vcpu_pay(sender, COST_HW_ICR);
    deliver_notification(sender->hypervisor, d, vector, flow, arrival(sender));
}

/* To itself it need not travel. */
static void send(struct vcpu *target, struct vcpu *sender, const struct irq_msg *msg)
{
    if (lapic_accept(&target->apic, msg) != LAPIC_ACCEPTED)
        return;
    trace_put(sender->hypervisor->trace, msg->flow, TRACE_NOTIFIED, target->index, msg->vector,
              TRACE_NOTIFY_DIRECT);
    if (target == sender)
        vec_set(&target->hw.direct, msg->vector);
    else
        host_send(target->thread.pcpu, HOST_GUEST, arrival(sender), msg->flow);
}

/* An ICR or self-IPI write: to one destination after the other. */
static void send_all(struct vcpu *v)
{
    const bool posts = v->hw.ops->posts(&v->hw);

    if (!posts)
        vcpu_pay(v, COST_HW_ICR);
    for (uint32_t n = 0; n < v->outbox_count; n++) {
        struct vcpu *target = &v->hypervisor->vcpu[v->outbox[n].vcpu];
        struct irq_msg msg = v->message;

        msg.flow = v->outbox[n].flow;
        if (posts)
            post(target, v, msg.vector, msg.flow);
        else
            send(target, v, &msg);
    }
    v->outbox_count = 0;
}

void direct_write(struct vcpu *v, const struct access *a)
{
    const sim_time now = hv_now(v->hypervisor);

    if (a->address == MSR_TSC_DEADLINE)
        lapic_set_tsc_deadline(&v->apic, a->value, now);
    else
        lapic_wrmsr(&v->apic, (uint32_t)a->address, a->value, now);
    if (v->message_flow)
        send_all(v);
    else
        vcpu_pay(v, COST_HW_APIC_ACCESS);
}
