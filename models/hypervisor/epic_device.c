/*
 * Messages of devices for a guest with an EPIC.
 *
 * A device of the hypervisor's, and an assigned one whose interrupt the host
 * takes, go through KVM (kvm_set_epic_msi()). With passthrough an assigned
 * device's MSI has the guest's own vector and destination, since e2k has no
 * interrupt remapping (epic_msi_set_vcpu_affinity()), and the IOMMU's entry of
 * the device says whose: dte.guest, dte.id, dte.int_table (all seen; that
 * messages take the guest's number from there is inferred). A core of the guest
 * that is loaded is a hit of the Destination Address Table. A miss is put into
 * the copy of PMIRR in memory, int_table, and nobody is told: that follows from
 * KVM, which wakes a guest with assigned devices from time to time to look
 * (kvm_epic_start_idle_timer()), and whose handler of CEPIC_EPIC_INT takes the
 * sender for a vCPU that runs here (kvm_deliver_cepic_epic_interrupt()).
 */
#include "hypervisor/epic.h"

static struct epic_msg message_of(const struct device *d, trace_flow flow)
{
    const bool nmi = d->kind == DEVICE_NMI;

    return (struct epic_msg){.vector = hypervisor_device_vector(d),
                             .delivery = nmi ? EPIC_NMI : EPIC_FIXED_EXT,
                             .dest = e2k_cepic_id(d->vcpu),
                             .source = TRACE_NOWHERE,
                             .flow = flow};
}

static bool is_passed(const struct device *d)
{
    return d->kind == DEVICE_ASSIGNED &&
           feature_in(d->hypervisor->features, FEATURE_EPIC_PASSTHROUGH);
}

void epic_device_raise(struct device *d, trace_flow flow)
{
    struct vcpu *v = &d->hypervisor->vcpu[d->vcpu];
    const struct epic_msg msg = message_of(d, flow);

    if (is_passed(d))
        epic_device_sends(v, &msg);
    else if (d->kind == DEVICE_ASSIGNED)
        assigned_raise(d, flow);
    else
        epic_accept(v, &msg, NULL);
}

void epic_device_forward(struct device *d)
{
    const struct epic_msg msg = message_of(d, d->landed);

    d->landed = 0;
    epic_accept(&d->hypervisor->vcpu[d->vcpu], &msg, NULL);
}

/* --- past the host --- */

enum { DEVICES_AT = 0 }; /* the processor that has them all: assumed */

static void hit(struct vcpu *v, const struct epic_msg *msg, int core)
{
    struct hypervisor *h = v->hypervisor;

    trace_put(h->trace, msg->flow, TRACE_NOTIFIED, v->index, msg->vector, TRACE_NOTIFY_DIRECT);
    if (v->state == VCPU_POLLING && halt_ends(v))
        thread_wake(&v->thread, hv_now(h));
    host_send(&h->pcpu[core], HOST_DOORBELL,
              hv_after(h, h->costs.of[COST_HW_MSI].n + epic_hop(h, DEVICES_AT, &h->pcpu[core])),
              msg->flow);
}

/* PREPIC_CTRL2.virt_en: messages may be a guest's. */
static bool passes(struct hypervisor *h, const struct epic_msg *msg)
{
    struct epic_msg m = *msg;

    m.guest = h->guest.id;
    if (prepic_pass(&h->guest.prepic[DEVICES_AT], &m) == PREPIC_TAKEN)
        return true;
    trace_put(h->trace, m.flow, TRACE_REFUSED, TRACE_NOWHERE, m.vector, TRACE_REFUSED_DISABLED);
    return false;
}

/* Where KVM would look next, which does so every period from the beginning of the sleep. */
static void arm_check(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;
    const uint64_t period = h->policy.idle_check_ns * PS_PER_NS;
    const uint64_t slept = hv_now(h).ps - v->epic->slept_from.ps;
    const uint64_t looks = slept ? (slept + period - 1) / period : 1;

    event_arm(h->events, &v->epic->idle_check,
              time_plus_ps(v->epic->slept_from, looks * period));
}

bool epic_device_sends(struct vcpu *v, const struct epic_msg *msg)
{
    struct hypervisor *h = v->hypervisor;
    const int core = e2k_core_of(&h->guest, v->index);
    enum cepic_answer answer;

    if (!passes(h, msg))
        return false;
    answer = cepic_accept(&v->epic->cepic, msg);

    if (answer != CEPIC_ACCEPTED)
        return answer != CEPIC_REFUSED;
    if (core != EPIC_DAT_MISS)
        hit(v, msg, core);
    else
        trace_put(h->trace, msg->flow, TRACE_NOTIFIED, v->index, msg->vector,
                  TRACE_NOTIFY_LATER);
    if (v->timer_asleep)
        arm_check(v);
    return true;
}

/* --- a sleeper --- */

/* Who is only about to sleep may yet find it by itself; or not, and is looked at again. */
static void check(struct event *e)
{
    struct vcpu *v = EVENT_OWNER(e, struct epic_vcpu, idle_check)->vcpu;
    struct hypervisor *h = v->hypervisor;

    if (!v->timer_asleep)
        return;
    if (!vcpu_waits(v))
        event_arm(h->events, e, time_plus_ps(hv_now(h), h->policy.idle_check_ns * PS_PER_NS));
    else if (halt_ends(v))
        thread_wake(&v->thread, hv_after(h, h->costs.of[COST_HOST_INTERRUPT].n));
}

/* KVM: kvm_epic_start_idle_timer(). Of its looks only those are events that have something to find. */
void epic_sleeps(struct vcpu *v)
{
    v->epic->slept_from = hv_now(v->hypervisor);
}

void epic_device_init(struct vcpu *v)
{
    event_init(v->hypervisor->events, &v->epic->idle_check, EVENT_PHASE_CONTROLLER, check);
}
