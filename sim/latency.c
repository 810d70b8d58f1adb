/* Latency histograms: logarithmic buckets, each 1/32 of a power of two wide. */
#include "simulation.h"

static unsigned bucket_of(uint64_t ps)
{
    if (ps < 64)
        return (unsigned)ps;
    const unsigned power = 63 - (unsigned)__builtin_clzll(ps); /* at least 6 */
    return (power - 4) * 32 + (unsigned)(ps >> (power - 5) & 31);
}

uint64_t histogram_bound(unsigned bucket)
{
    if (bucket < 64)
        return bucket;
    const unsigned power = bucket / 32 + 4;
    const uint64_t step = UINT64_C(1) << (power - 5);
    return (UINT64_C(1) << power) + (bucket % 32) * step + (step - 1);
}

void latency_add(struct latency *l, uint64_t ps)
{
    if (l->count == 0 || ps < l->min)
        l->min = ps;
    if (ps > l->max)
        l->max = ps;
    l->count++;
    l->sum += ps;
    l->bucket[bucket_of(ps)]++;
}

/* The smallest bucket bound below which a share q of all values lies, but not above the maximum. */
uint64_t latency_quantile(const struct latency *l, double q)
{
    const uint64_t rank = (uint64_t)(q * (double)l->count + 0.999999);
    uint64_t seen = 0;

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen += l->bucket[b];
        if (seen && seen >= rank)
            return histogram_bound(b) < l->max ? histogram_bound(b) : l->max;
    }
    return l->max;
}
