/*
 * A guest that spins with PAUSE. A turn of its loop is a PAUSE and a look at the
 * word; however many turns it takes, a wait is one event or none: the hardware
 * says which PAUSE will exit, and the word's list says when it changes.
 */
#include "hypervisor/hypervisor.h"

/* Never 0, so that time goes on in machines where nothing costs anything. */
static uint64_t at_least_1(uint64_t n)
{
    return n ? n : 1;
}

static uint64_t look_cycles(const struct hypervisor *h)
{
    return at_least_1(h->costs.of[COST_GUEST_OP].n);
}

uint64_t guest_pause_turn(const struct hypervisor *h)
{
    return look_cycles(h) + h->costs.of[COST_GUEST_PAUSE].n;
}

static uint64_t core_now(const struct hypervisor *h)
{
    return clock_count(&h->core, hv_now(h)).n;
}

/* In counts of the TSC. */
static struct virt_pauses pauses_from(const struct hypervisor *h, sim_time first)
{
    const uint64_t turn = (uint64_t)((time_wide)guest_pause_turn(h) * h->tsc.hz / h->core.hz);

    return (struct virt_pauses){clock_count(&h->tsc, first).n, at_least_1(turn)};
}

/* PAUSEs begun before now. */
static uint64_t turns_done(const struct vcpu *v)
{
    const uint64_t now = core_now(v->hypervisor), turn = guest_pause_turn(v->hypervisor);

    return now > v->waiting.from ? (now - v->waiting.from + turn - 1) / turn : 0;
}

/* The PAUSE that exits; or the guest has had enough, and halts until it is kicked. */
static void loop_over(struct vcpu *v)
{
    const struct guest_insn *i = guest_fetch(&v->guest);
    struct vcpu_waiting *w = &v->waiting;
    struct access a = {.kind = ACCESS_INSTRUCTION, .instruction = VIRT_HLT};

    if (w->exits) {
        a.instruction = VIRT_PAUSE;
        a.address = w->pauses.tsc + turns_done(v) * w->pauses.turn;
    }
    guest_spin_stop(v);
    if (w->exits) {
        v->guest.frame->turns_spun++;
    } else {
        w->for_kick = i->op == GUEST_lock;
        w->lock = i->operand[0];
        w->ticket = v->guest.frame->ticket;
        v->guest.frame->turns_spun = 0;
        if (!w->for_kick)
            guest_poll_ended(v);
    }
    if (guest_perform(v, i, &a))
        vcpu_continue(v, guest_run);
}

void guest_pause_start(struct vcpu *v, const struct guest_insn *i, uint64_t least,
                       uint64_t turns)
{
    const struct hypervisor *h = v->hypervisor;
    struct vcpu_waiting *w = &v->waiting;
    uint64_t number;

    v->extra.n = 0;
    v->stall.n = look_cycles(h);
    w->from = core_now(h) + v->stall.n;
    w->pauses = pauses_from(h, hv_after(h, v->stall.n));
    number = v->hw.ops->pauses_to_exit(&v->hw, w->pauses);
    w->exits = number <= turns;
    guest_spin_start(v, i->operand[0], least, guest_run);
    w->pausing = true;
    if (w->exits && number == UINT64_MAX) {
        v->stall.n = 0; /* until it is told */
        return;
    }
    v->stall.n += (w->exits ? number - 1 : turns) * guest_pause_turn(h);
    vcpu_continue(v, loop_over);
}

void guest_pause_stop(struct vcpu *v)
{
    const uint64_t turns = turns_done(v);

    v->waiting.pausing = false;
    v->guest.frame->turns_spun += turns;
    v->hw.ops->pauses(&v->hw, v->waiting.pauses, turns);
    event_disarm(v->hypervisor->events, &v->step);
}
