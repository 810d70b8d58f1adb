/*
 * Random numbers: counter-based, one stream a consumer, so that a new consumer
 * does not shift another's draws. The mixing function is SplitMix64's
 * finalizer (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014).
 */
#ifndef VIRQSIM_PORT_RNG_H
#define VIRQSIM_PORT_RNG_H

#include <stdint.h>

struct rng {
    uint64_t key;
    uint64_t drawn;
};

static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline struct rng rng_stream(uint64_t seed, uint64_t stream)
{
    return (struct rng){rng_mix(seed + UINT64_C(0x9e3779b97f4a7c15) * (stream + 1)), 0};
}

static inline uint64_t rng_next(struct rng *r)
{
    return rng_mix(r->key + UINT64_C(0x9e3779b97f4a7c15) * ++r->drawn);
}

/* Evenly from low..high, both included; low <= high. Off by less than 2^-64 * (high - low). */
static inline uint64_t rng_between(struct rng *r, uint64_t low, uint64_t high)
{
    __extension__ typedef unsigned __int128 wide;
    const uint64_t span = high - low;

    if (span == UINT64_MAX)
        return rng_next(r);
    return low + (uint64_t)((wide)rng_next(r) * (span + 1) >> 64);
}
#endif
