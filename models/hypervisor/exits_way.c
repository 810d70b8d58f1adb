/* How a handler ends: at once into the guest, by the run loop's whole way, or after its messages. */
#include "hypervisor/exits.h"

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
bool exit_takes_fastpath(const struct vcpu *v)
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
void exit_go_back(struct vcpu *v, bool fast)
{
    if (fast)
        vcpu_pay(v, COST_KVM_FASTPATH);
    vcpu_take(v, fast ? VCPU_ON_REENTER : VCPU_ON_RESUME);
}

void exit_go_on(struct vcpu *v)
{
    if (v->eoi_for_userspace) { /* KVM_REQ_IOAPIC_EOI_EXIT */
        v->eoi_for_userspace = false;
        v->kvm_exit = KVM_EXIT_IOAPIC_EOI;
        vcpu_take(v, VCPU_ON_TO_USER);
        return;
    }
    exit_go_back(v, exit_takes_fastpath(v) && !v->held);
}

/* The message of an ICR write goes to one destination after the other, then the guest goes on. */
void exit_finish(struct vcpu *v)
{
    if (v->outbox_count == 0) {
        exit_go_on(v);
        return;
    }
    v->after_outbox = exit_go_on;
    deliver_next(v);
}
