/*
 * Fields by bit position, in structures of 64-bit words as memory holds them:
 * bit 64 is bit 0 of the second word. A field that is read or written as a
 * number lies within one word.
 */
#ifndef VIRQSIM_PORT_BITS_H
#define VIRQSIM_PORT_BITS_H

#include <stdint.h>

struct bit_field {
    uint16_t high, low;
};

/* The part of word n that the field takes. */
static inline uint64_t bits_mask(struct bit_field f, unsigned n)
{
    const unsigned first = n * 64, last = first + 63;
    const unsigned low = f.low > first ? f.low : first;
    const unsigned high = f.high < last ? f.high : last;

    if (high < low)
        return 0;
    return UINT64_MAX >> (63 - (high - low)) << (low - first);
}

static inline uint64_t bits_get(const uint64_t *word, struct bit_field f)
{
    return (word[f.low / 64] & bits_mask(f, f.low / 64)) >> f.low % 64;
}

static inline void bits_put(uint64_t *word, struct bit_field f, uint64_t value)
{
    const uint64_t mask = bits_mask(f, f.low / 64);
    uint64_t *w = &word[f.low / 64];

    *w = (*w & ~mask) | (value << f.low % 64 & mask);
}
#endif
