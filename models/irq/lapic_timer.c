/*
 * The local APIC's timer: SDM 3A "APIC Timer".
 *
 * Nothing counts. The timer is the instant at which it expires next, and the
 * current count is worked out from that when somebody reads it.
 */
#include "irq/lapic_parts.h"

/* LVT_TIMER bits 18:17. The reserved code 3 counts once, like ONE_SHOT. */
enum { ONE_SHOT, PERIODIC, TSC_DEADLINE };

static uint8_t mode_of(uint32_t lvt)
{
    return lvt >> 17 & 3;
}

/* SDM 3A figure "Divide Configuration Register": bits 3, 1 and 0 are 0 for 2 to 6 for 128, and
   7 for 1. */
static uint8_t divisor_of(uint32_t divide)
{
    const uint32_t code = (divide >> 1 & 4) | (divide & 3);

    return (uint8_t)(code == 7 ? 1 : 2 << code);
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

static void disarm(struct lapic *l)
{
    l->tsc_deadline = 0;
    if (timer_runs(l))
        set_deadline(l, SIM_TIME_NEVER, SIM_TIME_NEVER);
}

void lapic_timer_reset(struct lapic *l)
{
    disarm(l);
    l->timer_mode = mode_of(l->regs.LVT_TIMER);
    l->timer_divisor = divisor_of(l->regs.TIMER_DIVIDE);
}

/* `count` steps of the divided bus clock from an instant on. */
static sim_time counted_down(const struct lapic *l, sim_time from, uint32_t count)
{
    const uint64_t ticks = (uint64_t)count * l->timer_divisor;

    return clock_after(&l->config.bus_clock, from, (cycles){ticks});
}

/* A step is not over before its end, so what is begun still counts. */
uint32_t lapic_timer_current(const struct lapic *l, sim_time now)
{
    const struct clock *bus = &l->config.bus_clock;

    if (l->timer_mode == TSC_DEADLINE || !timer_runs(l) || !time_before(now, l->timer_deadline))
        return 0;
    const uint64_t ticks = clock_count(bus, l->timer_deadline).n - clock_count(bus, now).n;
    return (uint32_t)((ticks + l->timer_divisor - 1) / l->timer_divisor);
}

/* Between one-shot and periodic the count goes on; to or from TSC-deadline mode disarms. */
void lapic_on_lvt_timer(struct lapic *l, uint32_t old, sim_time now)
{
    const uint8_t mode = mode_of(l->regs.LVT_TIMER);

    lapic_on_lvt(l, old, now);
    if ((mode == TSC_DEADLINE) != (l->timer_mode == TSC_DEADLINE))
        disarm(l);
    l->timer_mode = mode;
}

/* Starts the count, or stops it with 0; ignored in TSC-deadline mode. */
void lapic_on_timer_initial(struct lapic *l, uint32_t old, sim_time now)
{
    if (l->timer_mode == TSC_DEADLINE)
        l->regs.TIMER_INITIAL = old;
    else if (l->regs.TIMER_INITIAL == 0)
        disarm(l);
    else
        set_deadline(l, counted_down(l, now, l->regs.TIMER_INITIAL), now);
}

/* The steps that are left take their new length; the one under way begins anew. */
void lapic_on_timer_divide(struct lapic *l, uint32_t old, sim_time now)
{
    const uint8_t divisor = divisor_of(l->regs.TIMER_DIVIDE);
    const uint32_t left = lapic_timer_current(l, now);

    (void)old;
    if (divisor == l->timer_divisor)
        return;
    l->timer_divisor = divisor;
    if (left)
        set_deadline(l, counted_down(l, now, left), now);
}

/* SDM 3A "TSC-Deadline Mode". */
uint64_t lapic_tsc_deadline(const struct lapic *l)
{
    return l->tsc_deadline;
}

void lapic_set_tsc_deadline(struct lapic *l, uint64_t tsc, sim_time now)
{
    if (l->timer_mode != TSC_DEADLINE)
        return;
    if (tsc == 0) {
        disarm(l);
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
    if (l->timer_mode == PERIODIC && l->regs.TIMER_INITIAL)
        set_deadline(l, counted_down(l, due, l->regs.TIMER_INITIAL), now);
    *msg = lapic_self_message(l, (uint8_t)l->regs.LVT_TIMER);
    return !(l->regs.LVT_TIMER & LAPIC_LVT_MASKED);
}
