/* The posted-interrupt descriptor as its 64 bytes in memory: posted_fields.def. */
#include "irq/posted.h"

#include <string.h>

#include "port/bits.h"

enum { WORDS = 8, NDST_XAPIC_SHIFT = 8 };

static const struct bit_field fields[POSTED_FIELD_COUNT] = {
#define FIELD(structure, name, high, low, meaning) [POSTED_##structure##_##name] = {high, low},
#include "irq/posted_fields.def"
#undef FIELD
};

static_assert(sizeof(struct posted_memory) == 64, "VT-d: \"a 64-byte structure\"");

static uint64_t get(const struct posted_memory *m, enum posted_field f)
{
    return bits_get(m->word, fields[f]);
}

static void put(struct posted_memory *m, enum posted_field f, uint64_t value)
{
    bits_put(m->word, fields[f], value);
}

struct posted_memory posted_pack(const struct posted_descriptor *d, bool x2apic)
{
    struct posted_memory m = {{0}};

    memcpy(m.word, d->pir.word, sizeof d->pir.word);
    put(&m, POSTED_PID_ON, d->on);
    put(&m, POSTED_PID_SN, d->sn);
    put(&m, POSTED_PID_NV, d->nv);
    put(&m, x2apic ? POSTED_PID_NDST : POSTED_PID_NDST_XAPIC, d->ndst);
    return m;
}

static bool reserved_bits_set(const struct posted_memory *m, bool x2apic)
{
    for (unsigned n = 0; n < WORDS; n++) {
        uint64_t known = 0;

        for (unsigned f = 0; f < POSTED_FIELD_COUNT; f++)
            known |= bits_mask(fields[f], n);
        if (m->word[n] & ~known)
            return true;
    }
    return !x2apic && get(m, POSTED_PID_NDST) != get(m, POSTED_PID_NDST_XAPIC)
                                                     << NDST_XAPIC_SHIFT;
}

bool posted_unpack(struct posted_descriptor *d, const struct posted_memory *m, bool x2apic)
{
    if (reserved_bits_set(m, x2apic))
        return false;
    memcpy(d->pir.word, m->word, sizeof d->pir.word);
    d->on = get(m, POSTED_PID_ON);
    d->sn = get(m, POSTED_PID_SN);
    d->nv = (uint8_t)get(m, POSTED_PID_NV);
    d->ndst = (uint32_t)get(m, x2apic ? POSTED_PID_NDST : POSTED_PID_NDST_XAPIC);
    return true;
}
