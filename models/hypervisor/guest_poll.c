/*
 * A guest that polls before it halts: Linux' cpuidle-haltpoll with its governor.
 *
 * The idle loop spins with PAUSE for as long as the limit says; whoever stores
 * to the word that it waits for, or interrupts it, spares it the exit and the
 * wake-up. The limit follows the time spent in HLT: it grows where polling
 * longer would have caught the wake-up, and shrinks where nothing would have
 * (adjust_poll_limit()). The time in HLT counts from the instruction to the
 * idle loop's next turn.
 */
#include "hypervisor/hypervisor.h"

static uint64_t adjusted(const struct guest_poll_policy *p, uint64_t limit, uint64_t halted_ns)
{
    uint64_t ns = limit;

    if (halted_ns > limit && halted_ns <= p->ns) {
        ns *= p->grow;
        if (ns < p->grow_start_ns)
            ns = p->grow_start_ns;
        return ns > p->ns ? p->ns : ns;
    }
    if (halted_ns > p->ns)
        return p->shrink ? limit / p->shrink : 0;
    return limit;
}

void guest_poll_woken(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    struct vcpu_waiting *w = &v->waiting;
    const uint64_t before = w->poll_limit_ns;

    if (!w->halted_since.ps)
        return;
    w->poll_limit_ns = adjusted(&h->policy.guest_poll, before,
                                (hv_now(h).ps - w->halted_since.ps) / PS_PER_NS);
    w->halted_since.ps = 0;
    if (w->poll_limit_ns != before)
        trace_put(h->trace, 0, TRACE_GUEST_POLL, v->index, w->poll_limit_ns, before);
}

void guest_poll_ended(struct vcpu *v)
{
    if (feature_in(v->hypervisor->features, FEATURE_GUEST_HALT_POLL))
        v->waiting.halted_since = hv_now(v->hypervisor);
}

static uint64_t turns_of(const struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const sim_time limit = {v->waiting.poll_limit_ns * PS_PER_NS};

    return clock_count(&h->core, limit).n / guest_pause_turn(h);
}

bool guest_poll_wanted(struct vcpu *v)
{
    struct guest_frame *f = v->guest.frame;

    if (!feature_in(v->hypervisor->features, FEATURE_GUEST_HALT_POLL))
        return false;
    if (f->turns_spun < turns_of(v))
        return true;
    f->turns_spun = 0;
    guest_poll_ended(v);
    return false;
}

void guest_poll_start(struct vcpu *v, const struct guest_insn *i)
{
    guest_pause_start(v, i, i->operand[1], turns_of(v) - v->guest.frame->turns_spun);
}
