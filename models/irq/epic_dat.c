#include "irq/epic_dat.h"

#include "port/bits.h"

/* union cepic_dat of epic_regs.h. */
static const struct bit_field OPERATION = {7, 6}, INDEX = {29, 20}, GUEST_DEST = {49, 40},
                              GUEST = {63, 52};

/* cepic_id_full_to_short(): bits 9:8 the processor, 3:0 the core. */
unsigned epic_dat_index(uint16_t cepic_id)
{
    return (cepic_id >> 8 & 3) << 4 | (cepic_id & 15);
}

static uint64_t row_value(const struct epic_dat_row *row)
{
    uint64_t value = 0;

    if (!row->valid)
        return 0;
    bits_put(&value, GUEST_DEST, row->dest);
    bits_put(&value, GUEST, row->guest);
    return value;
}

uint64_t epic_dat_command(struct epic_dat *dat, uint64_t value)
{
    struct epic_dat_row *row = &dat->row[epic_dat_index((uint16_t)bits_get(&value, INDEX))];

    switch (bits_get(&value, OPERATION)) {
    case EPIC_DAT_READ:
        return row_value(row);
    case EPIC_DAT_INVALIDATE:
        row->valid = false;
        break;
    case EPIC_DAT_WRITE:
        *row = (struct epic_dat_row){true, (uint16_t)bits_get(&value, GUEST),
                                     (uint16_t)bits_get(&value, GUEST_DEST)};
        break;
    default: /* reserved */
        break;
    }
    return 0;
}

int epic_dat_find(const struct epic_dat *dat, uint16_t guest, uint16_t dest)
{
    for (int n = 0; n < EPIC_DAT_ROWS; n++) {
        const struct epic_dat_row *row = &dat->row[n];

        if (row->valid && row->guest == guest && row->dest == dest)
            return n;
    }
    return EPIC_DAT_MISS;
}
