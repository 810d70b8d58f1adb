/*
 * When frames arrive: at even distances, at random, in bursts, with a heavy tail, or as listed.
 *
 * Random distances are drawn with integers, from logarithms of 32 fractional bits, so that the
 * same seed gives the same times on any machine. docs/models/nic.md.
 */
#ifndef VIRQSIM_DEVICE_ARRIVALS_H
#define VIRQSIM_DEVICE_ARRIVALS_H

#include "port/rng.h"
#include "port/time.h"

#define ARRIVALS_KINDS(KIND)                                                                   \
    KIND(periodic, "at even distances")                                                        \
    KIND(poisson, "at exponentially distributed distances")                                    \
    KIND(bursts, "several close together, the bursts at even distances")                       \
    KIND(heavy_tailed, "at distances with a Pareto distribution")                              \
    KIND(listed, "at the times of a list")

enum arrivals_kind {
#define KIND(name, meaning) ARRIVALS_##name,
    ARRIVALS_KINDS(KIND) ARRIVALS_KIND_COUNT
#undef KIND
};

/* A mean distance is below 2^57 ps. Of a heavy tail the exponent is above 1, else it has no mean. */
struct arrivals_config {
    enum arrivals_kind kind;
    sim_time from;         /* nothing arrives before */
    uint64_t gap_ps;       /* mean distance; of bursts: from one's begin to the next one's */
    uint32_t burst;        /* bursts: how many frames one has */
    uint64_t within_ps;    /* and their distance; burst * within_ps is not above gap_ps */
    uint32_t shape;        /* heavy_tailed: the exponent, in thousandths */
    uint64_t count;        /* how many arrive in all */
    const sim_time *times; /* listed: so many, ascending */
    uint64_t seed, stream; /* of the random draws */
};

struct arrivals {
    struct arrivals_config config;
    struct rng random;
    uint64_t given;
    sim_time last;
};

void arrivals_init(struct arrivals *a, const struct arrivals_config *config);

/* The time of the next one; SIM_TIME_NEVER: there is none. */
sim_time arrivals_next(struct arrivals *a);

/* How many of the last one's burst are still to come: 0 where there are no bursts. */
uint32_t arrivals_in_flight(const struct arrivals *a);
#endif
