/*
 * CEPIC's two timers: one makes a maskable interrupt, the other a bit of
 * PNMIRR. They are those of a local APIC (Linux for e2k programs 0BH to divide
 * by 1, as there): a write of the initial count starts them, 0 stops them.
 *
 * Nothing counts: a timer is the instant at which it expires next.
 */
#include "irq/cepic_parts.h"

struct timer_rows {
    enum cepic_row lvtt, init, div;
};

static const struct timer_rows rows[CEPIC_TIMERS] = {
    [CEPIC_TIMER] = {CEPIC_ROW_TIMER_LVTT, CEPIC_ROW_TIMER_INIT, CEPIC_ROW_TIMER_DIV},
    [CEPIC_NM_TIMER] = {CEPIC_ROW_NM_TIMER_LVTT, CEPIC_ROW_NM_TIMER_INIT,
                        CEPIC_ROW_NM_TIMER_DIV},
};

static unsigned divisor_of(uint64_t div)
{
    const unsigned code = (div >> 1 & 4) | (div & 3);

    return code == 7 ? 1 : 2u << code;
}

static unsigned divisor(const struct cepic *c, enum cepic_timer_id timer)
{
    return divisor_of(c->reg[rows[timer].div]);
}

static void set_deadline(struct cepic *c, enum cepic_timer_id timer, sim_time deadline)
{
    c->deadline[timer] = deadline;
    c->config.port->timer_armed(c->config.port, timer, deadline);
}

static sim_time counted_down(const struct cepic *c, enum cepic_timer_id timer, sim_time from,
                             uint64_t count)
{
    return clock_after(&c->config.clock, from, (cycles){count * divisor(c, timer)});
}

void cepic_timer_start(struct cepic *c, enum cepic_timer_id timer, sim_time now)
{
    const uint64_t count = c->reg[rows[timer].init];

    set_deadline(c, timer, count ? counted_down(c, timer, now, count) : SIM_TIME_NEVER);
}

static uint32_t left(const struct cepic *c, enum cepic_timer_id timer, unsigned divisor,
                     sim_time now)
{
    const sim_time due = c->deadline[timer];

    if (due.ps == SIM_TIME_NEVER.ps || !time_before(now, due))
        return 0;
    const uint64_t ticks =
        clock_count(&c->config.clock, due).n - clock_count(&c->config.clock, now).n;
    return (uint32_t)((ticks + divisor - 1) / divisor);
}

uint32_t cepic_timer_current(const struct cepic *c, enum cepic_timer_id timer, sim_time now)
{
    return left(c, timer, divisor(c, timer), now);
}

/* The steps that are left take their new length. */
void cepic_timer_divided(struct cepic *c, enum cepic_timer_id timer, uint64_t old, sim_time now)
{
    const uint32_t steps = left(c, timer, divisor_of(old), now);

    if (steps && divisor(c, timer) != divisor_of(old))
        set_deadline(c, timer, counted_down(c, timer, now, steps));
}

/* A period begins where the last one ended, however late its owner comes: no drift. */
static bool ran_out(struct cepic *c, enum cepic_timer_id timer, sim_time now)
{
    const sim_time due = c->deadline[timer];
    const bool periodic = bits_get(&c->reg[rows[timer].lvtt], CEPIC_TIMER_LVTT_MODE);

    if (time_before(now, due))
        return false;
    c->deadline[timer] = SIM_TIME_NEVER;
    if (periodic && c->reg[rows[timer].init])
        set_deadline(c, timer, counted_down(c, timer, due, c->reg[rows[timer].init]));
    return true;
}

void cepic_nm_timer_expired(struct cepic *c, sim_time now, trace_flow flow)
{
    if (ran_out(c, CEPIC_NM_TIMER, now))
        cepic_hold_nonmaskable(c, CEPIC_PNMIRR_NM_TIMER, EPIC_NMI_VECTOR, flow);
}

bool cepic_timer_expired(struct cepic *c, sim_time now, struct epic_msg *msg)
{
    const uint64_t lvtt = c->reg[CEPIC_ROW_TIMER_LVTT];

    if (!ran_out(c, CEPIC_TIMER, now))
        return false;
    *msg = (struct epic_msg){
        .vector = (uint16_t)bits_get(&lvtt, CEPIC_TIMER_LVTT_VECT),
        .dest = c->config.id,
        .shorthand = EPIC_SELF,
        .source = c->config.index,
    };
    return !bits_get(&lvtt, CEPIC_TIMER_LVTT_MASK);
}
