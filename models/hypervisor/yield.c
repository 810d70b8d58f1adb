/*
 * Directed yields: a vCPU that spins, or asks to, gives way to one that has
 * work and no CPU. KVM cannot know who holds a lock; it takes turns among those
 * that were preempted, and passes over those that were found spinning themselves.
 *
 * Guests here are in kernel mode all the time, so that KVM's preference for those
 * that were preempted there leaves nobody out.
 */
#include "hypervisor/hypervisor.h"

/* KVM: kvm_vcpu_on_spin() gives up where so many yields had no point. */
enum { TRIES = 3 };

/* --- the window --- */

static void set_window(struct vcpu *v, uint64_t window)
{
    const uint64_t before = v->waiting.pause_window;

    if (window == before)
        return;
    v->waiting.pause_window = window;
    controls_set_pause_window(v);
    trace_put(v->hypervisor->trace, 0, TRACE_PLE_WINDOW, v->index, window, before);
}

/* KVM: __grow_ple_window(). */
static void grow_window(struct vcpu *v)
{
    const struct pause_loop_policy *p = &v->hypervisor->policy.pause_loop;
    const feature_set in_use =
        feature_bit(FEATURE_PAUSE_LOOP_EXITING) | feature_bit(FEATURE_PAUSE_FILTER);
    const uint64_t now = v->waiting.pause_window;
    const uint64_t grown = p->grow < p->window ? now * p->grow : now + p->grow;

    if (v->hypervisor->features & in_use)
        set_window(v, p->grow == 0 ? p->window : grown > p->max ? p->max : grown);
}

/* KVM: __shrink_ple_window(). */
static void shrink_window(struct vcpu *v)
{
    const struct pause_loop_policy *p = &v->hypervisor->policy.pause_loop;
    const uint64_t now = v->waiting.pause_window;
    const uint64_t less = p->shrink < p->window ? p->shrink ? now / p->shrink : 0
                          : now < p->shrink     ? 0
                                                : now - p->shrink;

    set_window(v, less < p->window ? p->window : less);
}

void yield_window_init(struct vcpu *v)
{
    v->waiting.pause_window = v->hypervisor->policy.pause_loop.window;
    controls_set_pause_window(v);
}

/* --- who --- */

/* KVM: vcpu->ready: preempted or woken, and in a queue. */
static bool is_ready(const struct vcpu *v)
{
    return v->state == VCPU_PARKED;
}

/* KVM: kvm_vcpu_eligible_for_directed_yield(): one that gave way while it span is passed over every
   other time. */
static bool is_eligible(struct vcpu *v)
{
    struct vcpu_waiting *w = &v->waiting;
    const bool eligible = !w->in_spin_loop || w->eligible;

    if (w->in_spin_loop)
        w->eligible = !w->eligible;
    return eligible;
}

/* --- and how --- */

static bool boost(struct vcpu *v, struct vcpu *target)
{
    vcpu_pay(v, COST_KVM_YIELD);
    if (!thread_yield_to(&v->thread, &target->thread))
        return false;
    trace_put(v->hypervisor->trace, 0, TRACE_YIELD, v->index, target->index, 0);
    return true;
}

/* KVM: kvm_vcpu_on_spin(), from the one after the last that was helped. */
static bool help_another(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;
    unsigned tries = TRIES;

    for (uint32_t n = 1; n <= h->vcpu_count; n++) {
        struct vcpu *other = &h->vcpu[(h->last_boosted + n) % h->vcpu_count];

        if (other == v || !is_ready(other) || !is_eligible(other))
            continue;
        if (boost(v, other)) {
            h->last_boosted = other->index;
            return true;
        }
        if (--tries == 0)
            break;
    }
    return false;
}

bool yield_on_spin(struct vcpu *v)
{
    grow_window(v);
    v->waiting.eligible = false;
    v->waiting.in_spin_loop = help_another(v) && v->thread.pcpu->queue;
    return v->waiting.in_spin_loop; /* alone on its CPU, it goes on */
}

/* KVM: kvm_sched_yield(), which does not try where nobody else wants this CPU. */
bool yield_to_peer(struct vcpu *v)
{
    struct vcpu *peer = &v->hypervisor->vcpu[v->waiting.peer];

    return v->thread.pcpu->queue && peer != v && is_ready(peer) && boost(v, peer);
}

/* KVM: kvm_arch_sched_in(). */
void yield_scheduled(struct vcpu *v)
{
    v->waiting.preempted = v->waiting.in_spin_loop = v->waiting.eligible = false;
    if (!v->in_userspace)
        shrink_window(v);
}

/* --- paravirtual locks --- */

/* KVM hides the feature where HLT does not exit, QEMU where the APIC is its own. */
bool yield_pv_unhalt(const struct hypervisor *h)
{
    return feature_in(h->features, FEATURE_PV_UNHALT) && h->policy.irqchip != IRQCHIP_USERSPACE;
}

/* KVM: kvm_pv_kick_cpu_op(): not an interrupt, but what ends a HLT. */
void yield_kick(struct vcpu *v)
{
    struct vcpu *peer = &v->hypervisor->vcpu[v->waiting.peer];

    peer->waiting.pv_unhalt = true;
    peer->request = true;
    vcpu_kick(peer, v, 0, 0);
}
