/* A set of vectors: 256 bits, with searches from the top, as interrupt priorities want. */
#ifndef VIRQSIM_PORT_VEC256_H
#define VIRQSIM_PORT_VEC256_H

#include <stdbool.h>
#include <stdint.h>

enum { VECTORS = 256, NO_VECTOR = -1 };

struct vec256 {
    uint64_t word[4];
};

static inline bool vec_has(const struct vec256 *v, unsigned vector)
{
    return v->word[vector / 64] >> vector % 64 & 1;
}

/* True when the bit was clear before. */
static inline bool vec_set(struct vec256 *v, unsigned vector)
{
    const uint64_t bit = UINT64_C(1) << vector % 64;
    const bool was = v->word[vector / 64] & bit;

    v->word[vector / 64] |= bit;
    return !was;
}

static inline void vec_clear(struct vec256 *v, unsigned vector)
{
    v->word[vector / 64] &= ~(UINT64_C(1) << vector % 64);
}

static inline bool vec_empty(const struct vec256 *v)
{
    return !(v->word[0] | v->word[1] | v->word[2] | v->word[3]);
}

/* The highest vector in the set, or NO_VECTOR. */
static inline int vec_highest(const struct vec256 *v)
{
    for (int w = 3; w >= 0; w--)
        if (v->word[w])
            return w * 64 + 63 - __builtin_clzll(v->word[w]);
    return NO_VECTOR;
}

/* The 32 bits that a register at vector word n (0 to 7) shows. */
static inline uint32_t vec_word32(const struct vec256 *v, unsigned n)
{
    return (uint32_t)(v->word[n / 2] >> n % 2 * 32);
}
#endif
