/*
 * What a guest does while it waits: for an interrupt by HLT, for a word in memory
 * by looking at it again and again, with or without PAUSE, HLT or MWAIT between
 * two looks, and for a lock.
 *
 * Locks are ticket locks, with the paravirtual slow path that Linux gave them
 * (kvm_lock_spinning(), kvm_unlock_kick()): first come, first served. Linux'
 * later queued lock keeps that order in its slow path, which is what counts here.
 */
#include "hypervisor/hypervisor.h"

static bool takes(const struct guest_insn *i)
{
    return i->op == GUEST_spin_take || i->op == GUEST_halt_take || i->op == GUEST_pause_take ||
           i->op == GUEST_mwait_take;
}

/* The idle loops look with interrupts off, and go on with them on. */
static bool is_idle_loop(const struct guest_insn *i)
{
    return i->op == GUEST_halt_until || i->op == GUEST_halt_take ||
           i->op == GUEST_mwait_until || i->op == GUEST_mwait_take;
}

static bool has_its_word(struct vcpu *v, const struct guest_insn *i)
{
    return guest_has_word(v, i->operand[0], takes(i));
}

/* A look at the word: true when it is there and the operation is complete. */
static bool word_reached(struct vcpu *v, const struct guest_insn *i)
{
    uint64_t *word = &v->hypervisor->word[i->operand[0]];

    vcpu_pay(v, COST_GUEST_OP);
    if (*word < i->operand[1])
        return false;
    if (takes(i))
        *word -= i->operand[1];
    if (is_idle_loop(i))
        v->hw.interrupts_enabled = true;
    guest_next(&v->guest);
    return true;
}

static bool wait_in_loads(struct vcpu *v, const struct guest_insn *i)
{
    if (!has_its_word(v, i) || word_reached(v, i))
        return true;
    v->extra.n = 0;
    guest_spin_start(v, i->operand[0], i->operand[1], guest_run);
    return false;
}

static bool wait_in_pauses(struct vcpu *v, const struct guest_insn *i)
{
    if (!has_its_word(v, i) || word_reached(v, i))
        return true;
    guest_pause_start(v, i, i->operand[1], UINT64_MAX);
    return false;
}

/* With interrupts on; what is pending comes first. */
static bool poll_first(struct vcpu *v, const struct guest_insn *i)
{
    if (!v->hw.interrupts_enabled) {
        v->hw.interrupts_enabled = true;
        vcpu_pay(v, COST_GUEST_OP);
        return true;
    }
    guest_poll_start(v, i);
    return false;
}

/* HLT, with what stands before it. */
static bool wait_in_hlt(struct vcpu *v, const struct guest_insn *i)
{
    if (is_idle_loop(i)) {
        guest_poll_woken(v);
        if (!has_its_word(v, i))
            return true;
        if (word_reached(v, i)) {
            v->guest.frame->turns_spun = 0;
            return true;
        }
        if (guest_poll_wanted(v))
            return poll_first(v, i);
    }
    if (i->op != GUEST_halt) {
        v->hw.interrupts_enabled = true;
        vcpu_pay(v, COST_GUEST_OP);
    }
    const struct access a = guest_access_of(v, i, 0);
    return guest_perform(v, i, &a);
}

/* MONITOR, a second look, MWAIT. */
static bool wait_in_mwait(struct vcpu *v, const struct guest_insn *i)
{
    const unsigned part = v->guest.frame->part;
    const struct access a = guest_access_of(v, i, part);

    if (!has_its_word(v, i) || word_reached(v, i))
        return true;
    if (part == 0) {
        v->waiting.monitored = i->operand[0];
        v->waiting.seen = v->hypervisor->word[i->operand[0]];
    } else if (is_idle_loop(i)) {
        v->hw.interrupts_enabled = true;
        vcpu_pay(v, COST_GUEST_OP);
    }
    return guest_perform(v, i, &a);
}

static void stored_to(struct vcpu *v)
{
    v->hw.monitor = VIRT_MONITOR_OFF;
    guest_run(v);
}

bool guest_sleeps(struct vcpu *v)
{
    const struct vcpu_waiting *w = &v->waiting;

    if (v->hw.halted)
        return true;
    if (v->hypervisor->word[w->monitored] != w->seen) {
        v->hw.monitor = VIRT_MONITOR_OFF;
        return false;
    }
    guest_spin_start(v, w->monitored, 0, stored_to);
    return true;
}

/* --- locks --- */

enum { SERVED, GIVEN }; /* a lock's words, on one line: the first one's */

/* Its ticket is served as soon as so many locks have been released. */
static bool lock_taken(struct vcpu *v, const struct guest_insn *i)
{
    uint64_t *lock = &v->hypervisor->word[i->operand[0]];
    struct guest_frame *f = v->guest.frame;

    vcpu_pay(v, COST_GUEST_OP);
    v->waiting.for_kick = false;
    if (!f->ticket) {
        f->ticket = ++lock[GIVEN];
        f->turns_spun = 0;
    }
    if (lock[SERVED] + 1 < f->ticket)
        return false;
    f->ticket = 0;
    guest_next(&v->guest);
    return true;
}

static bool wait_for_lock(struct vcpu *v, const struct guest_insn *i)
{
    struct guest_frame *f = v->guest.frame;

    if (!guest_has_word(v, i->operand[0] + SERVED, !f->ticket) || lock_taken(v, i))
        return true;
    guest_pause_start(v, i, f->ticket - 1,
                      yield_pv_unhalt(v->hypervisor) ? GUEST_SPIN_THRESHOLD - f->turns_spun
                                                     : UINT64_MAX);
    return false;
}

/* kvm_unlock_kick(): who halts for the ticket that is served now, or NULL. */
static const struct vcpu *sleeper(const struct hypervisor *h, uint64_t lock)
{
    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        const struct vcpu_waiting *w = &h->vcpu[i].waiting;

        if (w->for_kick && w->lock == lock && w->ticket == h->word[lock + SERVED] + 1)
            return &h->vcpu[i];
    }
    return NULL;
}

static bool call_about(struct vcpu *v, const struct guest_insn *i, const struct vcpu *peer)
{
    const struct access a = guest_access_of(v, i, 0);

    vcpu_pay(v, COST_GUEST_OP);
    if (!peer) {
        guest_next(&v->guest);
        return true;
    }
    v->waiting.peer = peer->index;
    return guest_perform(v, i, &a);
}

bool guest_unlock(struct vcpu *v, const struct guest_insn *i)
{
    struct hypervisor *h = v->hypervisor;
    const uint64_t lock = i->operand[0];

    if (!guest_has_word(v, lock + SERVED, true))
        return true;
    h->word[lock + SERVED]++;
    guest_word_changed(h, lock + SERVED);
    return call_about(v, i, yield_pv_unhalt(h) ? sleeper(h, lock) : NULL);
}

/* Linux: kvm_smp_send_call_func_ipi(), after the IPI; its look into the steal-time areas. */
bool guest_pv_yield(struct vcpu *v, const struct guest_insn *i)
{
    const struct hypervisor *h = v->hypervisor;
    const uint64_t first = i->operand[0], count = i->operand[1];
    const struct vcpu *peer = NULL;

    if (feature_in(h->features, FEATURE_PV_SCHED_YIELD))
        for (uint64_t n = 0; !peer && n < count && first + n < h->vcpu_count; n++)
            if (h->vcpu[first + n].waiting.preempted)
                peer = &h->vcpu[first + n];
    return call_about(v, i, peer);
}

/* --- */

bool guest_wait(struct vcpu *v, const struct guest_insn *i)
{
    switch (i->op) {
    case GUEST_spin_until:
    case GUEST_spin_take:
        return wait_in_loads(v, i);
    case GUEST_pause_until:
    case GUEST_pause_take:
        return wait_in_pauses(v, i);
    case GUEST_mwait:
    case GUEST_mwait_until:
    case GUEST_mwait_take:
        return wait_in_mwait(v, i);
    case GUEST_lock:
        return wait_for_lock(v, i);
    default:
        return wait_in_hlt(v, i);
    }
}
