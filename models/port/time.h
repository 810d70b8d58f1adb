/*
 * Time and cycles: two types that do not mix.
 *
 * `sim_time` is picoseconds since power-on; `cycles` counts the ticks of one
 * clock. Only a `struct clock` converts, from absolute counts, with integers:
 * a cycle's edge is computed from its number, so no error accumulates.
 */
#ifndef VIRQSIM_PORT_TIME_H
#define VIRQSIM_PORT_TIME_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t ps;
} sim_time;

typedef struct {
    uint64_t n;
} cycles;

/* Later than every instant of a run: what an event that is not armed is due at. */
#define SIM_TIME_NEVER ((sim_time){UINT64_MAX})
#define PS_PER_NS      1000u
#define PS_PER_SECOND  1000000000000u

static inline bool time_before(sim_time a, sim_time b)
{
    return a.ps < b.ps;
}

static inline sim_time time_later_of(sim_time a, sim_time b)
{
    return a.ps < b.ps ? b : a;
}

/* Saturates at SIM_TIME_NEVER. */
static inline sim_time time_plus_ps(sim_time t, uint64_t ps)
{
    return t.ps > UINT64_MAX - ps ? SIM_TIME_NEVER : (sim_time){t.ps + ps};
}

__extension__ typedef unsigned __int128 time_wide;

/*
 * A clock whose edge 0 is power-on. Conversions go through the number of the
 * edge, never through a rounded period, so a clock does not drift. `period_ps`
 * is the period where it is a whole number of picoseconds and 0 elsewhere: a
 * shortcut past a 128-bit division, with the same answers.
 */
struct clock {
    uint64_t hz;
    uint64_t period_ps;
};

static inline struct clock clock_of_hz(uint64_t hz)
{
    return (struct clock){hz, PS_PER_SECOND % hz ? 0 : PS_PER_SECOND / hz};
}

/* The first instant of cycle n; SIM_TIME_NEVER when that is past the end of time. */
static inline sim_time clock_edge(const struct clock *c, cycles n)
{
    const time_wide ps = c->period_ps ? (time_wide)n.n * c->period_ps
                                      : ((time_wide)n.n * PS_PER_SECOND + c->hz - 1) / c->hz;
    return ps >= UINT64_MAX ? SIM_TIME_NEVER : (sim_time){(uint64_t)ps};
}

/* The number of the last edge at or before t. */
static inline cycles clock_count(const struct clock *c, sim_time t)
{
    if (c->period_ps)
        return (cycles){t.ps / c->period_ps};
    return (cycles){(uint64_t)((time_wide)t.ps * c->hz / PS_PER_SECOND)};
}

/* n cycles after the last edge at or before t, but never before t. */
static inline sim_time clock_after(const struct clock *c, sim_time t, cycles n)
{
    const cycles edge = clock_count(c, t);
    if (n.n > UINT64_MAX - edge.n)
        return SIM_TIME_NEVER;
    return time_later_of(t, clock_edge(c, (cycles){edge.n + n.n}));
}
#endif
