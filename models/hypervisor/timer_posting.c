/*
 * The guest's timer on a timer of another CPU: KVM's pi_inject_timer.
 *
 * Where the guest keeps its physical CPU to itself (HLT does not exit), KVM
 * leaves the timer to a housekeeping CPU. Its handler there posts the interrupt
 * into the running guest, which does not leave: kvm_can_post_timer_interrupt(),
 * apic_timer_expired(). With an advance it is the handler that waits for the
 * deadline, so that handlers of several vCPUs queue up.
 */
#include "hypervisor/hypervisor.h"

/* The handler's time on the housekeeping CPU, up to `end`. */
static void works_until(struct vcpu *v, sim_time end)
{
    const struct hypervisor *h = v->hypervisor;

    h->housekeeping->timers_busy = time_later_of(h->housekeeping->timers_busy, end);
    v->timer_posting = true;
    event_arm(h->events, &v->timer, end);
}

static bool waits_for_deadline(const struct vcpu *v)
{
    return v->timer_awaited.ps && vcpu_in_guest_mode(v);
}

/* That it will wait is known beforehand, where the guest runs already. */
void timer_post_begin(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const uint64_t work =
        h->costs.of[COST_HOST_INTERRUPT].n + h->costs.of[COST_KVM_TIMER_EXPIRED].n;
    const sim_time start = time_later_of(hv_now(h), h->housekeeping->timers_busy);
    const sim_time done = clock_after(&h->core, start, (cycles){work});

    works_until(v, waits_for_deadline(v) ? timer_wait_from(v, done) : done);
}

/* KVM: kvm_use_posted_timer_interrupt(), else a request and a kick. */
void timer_post_end(struct vcpu *v)
{
    v->timer_posting = false;
    if (waits_for_deadline(v)) {
        works_until(v, timer_wait_from(v, hv_now(v->hypervisor)));
    } else if (vcpu_in_guest_mode(v)) {
        timer_accept(v, NULL);
    } else {
        v->request = true;
        vcpu_kick(v, NULL, v->timer_vector, v->timer_flow);
    }
}
