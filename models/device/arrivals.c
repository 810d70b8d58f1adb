/* Distances between arrivals, in integers. */
#include "device/arrivals.h"

enum { FRACTION = 32, EXP2_BITS = 16, THOUSAND = 1000 };

/* ln 2, in units of 2^-32. */
#define LN_2 UINT64_C(0xb17217f8)

/* -log2 of a number drawn evenly from (0, 1], in units of 2^-32: bit by bit, by squaring. */
static uint64_t draw_log2(struct rng *r)
{
    uint64_t n = rng_next(r), fraction = 0;

    if (n == 0)
        return 0; /* stands for 2^64, which is 1 */
    const unsigned zeros = (unsigned)__builtin_clzll(n);
    n <<= zeros;
    for (unsigned bit = 0; bit < FRACTION; bit++) {
        time_wide square = (time_wide)n * n >> 63;
        const bool one = square >> 64;

        n = (uint64_t)(square >> one);
        fraction = fraction << 1 | one;
    }
    return ((uint64_t)(zeros + 1) << FRACTION) - fraction;
}

/* 2^x, x and the result in units of 2^-32, for x below 1. */
static uint64_t exp2_fraction(uint64_t x)
{
    static const uint64_t root[EXP2_BITS] = {
        /* 2^(1/2), 2^(1/4), ... */
        0x16a09e668, 0x1306fe0a3, 0x1172b83c8, 0x10b5586d0, 0x1059b0d31, 0x102c9a3e7,
        0x10163daa0, 0x100b1afa6, 0x10058c86e, 0x1002c605e, 0x100162f39, 0x1000b175f,
        0x100058ba0, 0x10002c5cc, 0x1000162e5, 0x10000b172,
    };
    uint64_t result = UINT64_C(1) << FRACTION;

    for (unsigned bit = 0; bit < EXP2_BITS; bit++)
        if (x >> (FRACTION - 1 - bit) & 1)
            result = (uint64_t)((time_wide)result * root[bit] >> FRACTION);
    return result;
}

static uint64_t draw_exponential(struct arrivals *a)
{
    const time_wide scaled = (time_wide)a->config.gap_ps * draw_log2(&a->random);

    return (uint64_t)(scaled * LN_2 >> 2 * FRACTION);
}

/* Pareto: the least distance, times U^(-1/shape). Its mean is shape / (shape - 1) times the least. */
static uint64_t draw_pareto(struct arrivals *a)
{
    const uint64_t shape = a->config.shape;
    const uint64_t least = (uint64_t)((time_wide)a->config.gap_ps * (shape - THOUSAND) / shape);
    const uint64_t exponent = (uint64_t)((time_wide)draw_log2(&a->random) * THOUSAND / shape);
    const unsigned doublings = (unsigned)(exponent >> FRACTION);
    const time_wide value = (time_wide)least * exp2_fraction(exponent & UINT32_MAX) >> FRACTION;

    return value > UINT64_MAX >> doublings ? UINT64_MAX : (uint64_t)value << doublings;
}

void arrivals_init(struct arrivals *a, const struct arrivals_config *config)
{
    *a = (struct arrivals){
        .config = *config,
        .random = rng_stream(config->seed, config->stream),
        .last = config->from,
    };
}

/* Arrival number n of those that draw nothing, from the first. */
static uint64_t even_distance(const struct arrivals_config *c, uint64_t n)
{
    const uint64_t burst = c->kind == ARRIVALS_bursts ? c->burst : 1;
    const time_wide ps = (time_wide)(n / burst) * c->gap_ps + n % burst * c->within_ps;

    return ps > UINT64_MAX ? UINT64_MAX : (uint64_t)ps;
}

sim_time arrivals_next(struct arrivals *a)
{
    const struct arrivals_config *c = &a->config;

    if (a->given == c->count)
        return SIM_TIME_NEVER;
    switch (c->kind) {
    case ARRIVALS_listed:
        a->last = c->times[a->given];
        break;
    case ARRIVALS_poisson:
        a->last = time_plus_ps(a->last, draw_exponential(a));
        break;
    case ARRIVALS_heavy_tailed:
        a->last = time_plus_ps(a->last, draw_pareto(a));
        break;
    default:
        a->last = time_plus_ps(c->from, even_distance(c, a->given));
        break;
    }
    a->given++;
    return a->last;
}

uint32_t arrivals_in_flight(const struct arrivals *a)
{
    const struct arrivals_config *c = &a->config;

    if (c->kind != ARRIVALS_bursts || a->given == 0)
        return 0;
    const uint64_t of_burst = c->burst - 1 - (a->given - 1) % c->burst;
    const uint64_t at_all = c->count - a->given;
    return (uint32_t)(of_burst < at_all ? of_burst : at_all);
}
