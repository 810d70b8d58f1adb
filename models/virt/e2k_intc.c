#include "virt/e2k_intc.h"

void e2k_intc_begin(struct e2k_intc *i)
{
    i->causes = 0;
    i->cu_count = i->mu_count = 0;
}

static void append(struct e2k_intc_entry *entries, uint8_t *count, unsigned most,
                   struct e2k_intc_entry entry)
{
    if (*count < most)
        entries[(*count)++] = entry;
}

void e2k_intc_add(struct e2k_intc *i, uint32_t number, uint64_t address, uint64_t data)
{
    struct e2k_intc_entry entry = {.address = address, .data = data};

    if (number >= E2K_MU) {
        entry.event = (uint8_t)(number - E2K_MU);
        append(i->mu, &i->mu_count, E2K_INTC_MU_ENTRIES, entry);
        return;
    }
    i->causes |= E2K_CAUSE(number);
    if (E2K_CAUSE(number) == E2K_RR_IDR) {
        entry.event = E2K_ICE_READ_CU;
        append(i->cu, &i->cu_count, E2K_INTC_CU_ENTRIES, entry);
    }
}

/* Groups of the header's bits, in their order; the memory unit's entries come after the second.
   hv_nm_int and exc_nm_interrupt; hv_int and exc_interrupt; conditional events; unconditional ones;
   the other exceptions. */
static const uint32_t groups[] = {
    E2K_CAUSE(25) | E2K_CAUSE(22), E2K_CAUSE(24) | E2K_CAUSE(21), UINT32_C(0x0000ffff),
    UINT32_C(0xfc000000),          UINT32_C(0x001f0000),
};
enum { GROUPS_BEFORE_MU = 2, GROUPS = sizeof groups / sizeof groups[0] };

static uint32_t nth_bit(uint32_t word, unsigned n)
{
    while (n--)
        word &= word - 1;
    return (uint32_t)__builtin_ctz(word);
}

uint32_t e2k_intc_nth(const struct e2k_intc *i, unsigned n)
{
    for (unsigned group = 0; group < GROUPS; group++) {
        const uint32_t mine = i->causes & groups[group];
        const unsigned count = (unsigned)__builtin_popcount(mine);

        if (group == GROUPS_BEFORE_MU) {
            if (n < i->mu_count)
                return E2K_MU + i->mu[n].event;
            n -= i->mu_count;
        }
        if (n < count)
            return nth_bit(mine, n);
        n -= count;
    }
    return E2K_INTC_END;
}
