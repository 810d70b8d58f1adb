/*
 * The guest's timer on the hardware's own: APIC-timer virtualization under KVM
 * ("[PATCH v2 00/36] KVM: VMX APIC timer virtualization support", 2026).
 *
 * While the guest has a TSC deadline that is not masked, it writes and reads
 * IA32_TSC_DEADLINE without an exit, and KVM has no timer at all. The hardware
 * serves nothing else: a count, or a masked timer, is KVM's again, and so is
 * the deadline of a vCPU that sleeps.
 */
#include "hypervisor/hypervisor.h"

enum { TSC_DEADLINE = 2 }; /* LVT_TIMER bits 18:17 */

/* KVM: kvm_can_use_apic_virt_timer(), vmx_can_use_apic_virt_timer(). A timer that the plan declares
   stands in its place. */
static bool is_usable(const struct vcpu *v)
{
    const uint32_t lvt = v->apic.regs.LVT_TIMER;

    return v->hypervisor->policy.irqchip != IRQCHIP_USERSPACE && v->hw.ops->delivers(&v->hw) &&
           !v->hypervisor->declared_timer && (lvt >> 17 & 3) == TSC_DEADLINE &&
           !(lvt & LAPIC_LVT_MASKED);
}

/* The event that stands for the hardware's timer. */
static void watch(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const uint64_t tsc = v->hw.ops->guest_deadline(&v->hw);

    if (tsc == 0) {
        event_disarm(h->events, &v->timer);
        return;
    }
    v->timer_deadline = time_later_of(hv_now(h), clock_edge(&h->tsc, (cycles){tsc}));
    event_arm(h->events, &v->timer, v->timer_deadline);
}

void timer_guest_wrote(struct vcpu *v)
{
    watch(v);
    trace_put(v->hypervisor->trace, 0, TRACE_TIMER_ARMED, v->index,
              v->hw.ops->guest_deadline(&v->hw) ? v->timer_deadline.ps : 0, 0);
}

static void set_apics_deadline(struct vcpu *v, uint64_t tsc)
{
    v->timer_internal = true;
    lapic_set_tsc_deadline(&v->apic, tsc, hv_now(v->hypervisor));
    v->timer_internal = false;
}

/* An expiry that no entry has found yet is KVM's, too: no timer is to fire for it again. */
void timer_to_host(struct vcpu *v)
{
    const uint64_t tsc = v->hw.ops->guest_deadline(&v->hw);
    const bool came = v->hw.timer_event;

    v->hw.timer_event = 0;
    v->hw.ops->set_guest_deadline(&v->hw, 0);
    event_disarm(v->hypervisor->events, &v->timer);
    set_apics_deadline(v, tsc);
    if (!came)
        return;
    v->timer_due = true;
    event_disarm(v->hypervisor->events, &v->timer);
}

/* What has expired already becomes pending by KVM. */
void timer_to_guest(struct vcpu *v)
{
    const uint64_t tsc = lapic_tsc_deadline(&v->apic);

    if (v->timer_due)
        return;
    set_apics_deadline(v, 0);
    v->hw.ops->set_guest_deadline(&v->hw, tsc);
    watch(v);
}

/* KVM: apic_update_apic_virt_timer(). */
void timer_virtualize(struct vcpu *v)
{
    bool usable;

    if (!feature_in(v->hypervisor->features, FEATURE_APIC_TIMER))
        return;
    usable = is_usable(v);
    if (usable || v->timer_virtual)
        controls_set_virtual_timer(v, usable);
    if (usable == v->timer_virtual)
        return;
    v->timer_virtual = usable;
    if (usable)
        timer_to_guest(v);
    else
        timer_to_host(v);
}
