/*
 * The local APIC's timer: SDM 3A "APIC Timer".
 *
 * Nothing counts. The timer is the instant at which it expires next, and the
 * current count is worked out from that when somebody reads it.
 */
#include "irq/lapic_parts.h"

/* LVT_TIMER bits 18:17. The reserved code 3 counts once, like ONE_SHOT. */
enum timer_mode { ONE_SHOT, PERIODIC, TSC_DEADLINE };

static enum timer_mode timer_mode(uint32_t lvt)
{
    return (enum timer_mode)(lvt >> 17 & 3);
}

/* SDM 3A figure "Divide Configuration Register": bits 3, 1 and 0 are 0 for 2 to 6 for 128, and
   7 for 1. */
static uint32_t divisor(uint32_t divide)
{
    const uint32_t code = (divide >> 1 & 4) | (divide & 3);

    return code == 7 ? 1 : UINT32_C(2) << code;
}

static bool timer_runs(const struct lapic *l)
{
    return l->timer_deadline.ps != SIM_TIME_NEVER.ps;
}

static void set_deadline(struct lapic *l, sim_time deadline, sim_time now)
{
    l->timer_deadline = deadline;
    l->config.port->timer_armed(l->config.port, time_later_of(now, deadline));
}

void lapic_timer_disarm(struct lapic *l)
{
    l->tsc_deadline = 0;
    if (timer_runs(l))
        set_deadline(l, SIM_TIME_NEVER, SIM_TIME_NEVER);
}

/* `count` steps of the divided bus clock from an instant on. */
static sim_time counted_down(const struct lapic *l, sim_time from, uint32_t count)
{
    const uint64_t ticks = (uint64_t)count * divisor(l->regs.TIMER_DIVIDE);

    return clock_after(&l->config.bus_clock, from, (cycles){ticks});
}

/* How many steps of so many bus cycles are left: the last one is not over before its end. */
static uint32_t steps_left(const struct lapic *l, uint32_t step, sim_time now)
{
    if (!timer_runs(l) || !time_before(now, l->timer_deadline))
        return 0;
    const struct clock *bus = &l->config.bus_clock;
    const uint64_t ticks = clock_count(bus, l->timer_deadline).n - clock_count(bus, now).n;

    return (uint32_t)((ticks + step - 1) / step);
}

uint32_t lapic_timer_current(const struct lapic *l, sim_time now)
{
    if (timer_mode(l->regs.LVT_TIMER) == TSC_DEADLINE)
        return 0;
    return steps_left(l, divisor(l->regs.TIMER_DIVIDE), now);
}

/* Between one-shot and periodic the count goes on; to or from TSC-deadline mode disarms. */
void lapic_on_lvt_timer(struct lapic *l, uint32_t old, sim_time now)
{
    const bool was = timer_mode(old) == TSC_DEADLINE;
    const bool is = timer_mode(l->regs.LVT_TIMER) == TSC_DEADLINE;

    lapic_on_lvt(l, old, now);
    if (was != is)
        lapic_timer_disarm(l);
}

/* Starts the count, or stops it with 0; ignored in TSC-deadline mode. */
void lapic_on_timer_initial(struct lapic *l, uint32_t old, sim_time now)
{
    if (timer_mode(l->regs.LVT_TIMER) == TSC_DEADLINE)
        l->regs.TIMER_INITIAL = old;
    else if (l->regs.TIMER_INITIAL == 0)
        lapic_timer_disarm(l);
    else
        set_deadline(l, counted_down(l, now, l->regs.TIMER_INITIAL), now);
}

/* The steps that are left take their new length; the one under way begins anew. */
void lapic_on_timer_divide(struct lapic *l, uint32_t old, sim_time now)
{
    if (timer_mode(l->regs.LVT_TIMER) == TSC_DEADLINE)
        return;
    const uint32_t left = steps_left(l, divisor(old), now);
    if (left && old != l->regs.TIMER_DIVIDE)
        set_deadline(l, counted_down(l, now, left), now);
}

/* SDM 3A "TSC-Deadline Mode". */
uint64_t lapic_tsc_deadline(const struct lapic *l)
{
    return l->tsc_deadline;
}

void lapic_set_tsc_deadline(struct lapic *l, uint64_t tsc, sim_time now)
{
    if (timer_mode(l->regs.LVT_TIMER) != TSC_DEADLINE)
        return;
    if (tsc == 0) {
        lapic_timer_disarm(l);
        return;
    }
    l->tsc_deadline = tsc;
    set_deadline(l, time_later_of(now, clock_edge(&l->config.tsc_clock, (cycles){tsc})), now);
}

/* A period begins where the last one ended, however late its owner comes: no drift. */
bool lapic_timer_expired(struct lapic *l, sim_time now, struct irq_msg *msg)
{
    const sim_time due = l->timer_deadline;

    if (time_before(now, due))
        return false;
    l->tsc_deadline = 0;
    l->timer_deadline = SIM_TIME_NEVER;
    if (timer_mode(l->regs.LVT_TIMER) == PERIODIC && l->regs.TIMER_INITIAL)
        set_deadline(l, counted_down(l, due, l->regs.TIMER_INITIAL), now);
    *msg = lapic_self_message(l, (uint8_t)l->regs.LVT_TIMER);
    return !(l->regs.LVT_TIMER & LAPIC_LVT_MASKED);
}
