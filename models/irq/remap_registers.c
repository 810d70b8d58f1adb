/*
 * The remapping hardware's registers: what reads return and writes do, in
 * 32-bit halves (VT-d 11.2 "Software Access to Registers": a 64-bit register may be
 * accessed as two). Each is a row of remap_regs.def and, where a write does more than store,
 * the function that the row names.
 */
#include "irq/remap_parts.h"

#include <stddef.h>

enum access { RO, WO, RW };
enum { RECORD_BYTES = 16 };

/* ---- the effects of writes, one for each name in remap_regs.def ---- */

static void remap_on_none(struct remap *u)
{
    (void)u;
}

/* SIRTP is a command, IRE and CFI are states; GCMD itself keeps nothing. Without remapping the
   fault records start over (VT-d 7.2.1 "Primary Fault Logging"). */
static void remap_on_gcmd(struct remap *u)
{
    const uint64_t command = u->regs.GCMD;

    u->regs.GCMD = 0;
    if (remap_get(&command, REMAP_GCMD_SIRTP)) {
        u->table = u->regs.IRTA;
        remap_put(&u->regs.GSTS, REMAP_GSTS_IRTPS, 1);
    }
    remap_put(&u->regs.GSTS, REMAP_GSTS_IRES, remap_get(&command, REMAP_GCMD_IRE));
    remap_put(&u->regs.GSTS, REMAP_GSTS_CFIS, remap_get(&command, REMAP_GCMD_CFI));
    if (!remap_get(&command, REMAP_GCMD_IRE))
        u->next_record = 0;
}

static void remap_on_fsts(struct remap *u)
{
    remap_fault_serviced(u);
}

static void remap_on_fectl(struct remap *u)
{
    remap_fault_event(u);
}

/* ---- rows ---- */

struct row {
    uint16_t offset;
    uint8_t width;
    enum access access;
    uint64_t reset, writable, clears;
    size_t storage; /* in struct remap_regs */
    void (*on_write)(struct remap *u);
};

static const struct row rows[] = {
#define REG(name, offset, width, access, reset, writable, clears, effect, section, title)      \
    {offset,                                                                                   \
     width,                                                                                    \
     access,                                                                                   \
     reset,                                                                                    \
     writable,                                                                                 \
     clears,                                                                                   \
     offsetof(struct remap_regs, name),                                                        \
     remap_on_##effect},
#define RECORDS(name, ...)
#include "irq/remap_regs.def"
#undef REG
#undef RECORDS
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const struct row *row_at(unsigned offset)
{
    for (unsigned n = 0; n < ROWS; n++)
        if (offset >= rows[n].offset && offset < (unsigned)rows[n].offset + rows[n].width)
            return &rows[n];
    return NULL;
}

static uint64_t *storage(struct remap *u, const struct row *row)
{
    return (uint64_t *)(void *)((char *)&u->regs + row->storage);
}

static uint64_t stored(const struct remap *u, const struct row *row)
{
    return *(const uint64_t *)(const void *)((const char *)&u->regs + row->storage);
}

void remap_init(struct remap *u, const struct remap_config *config)
{
    *u = (struct remap){.config = *config};
    for (unsigned n = 0; n < ROWS; n++)
        *storage(u, &rows[n]) = rows[n].reset;
}

void remap_restore(struct remap *u, const struct remap *saved)
{
    const struct remap_config config = u->config;

    *u = *saved;
    u->config = config;
}

/* ---- accesses of 32 bits ---- */

static bool is_record(unsigned offset)
{
    return offset >= REMAP_FRCD && offset < REMAP_FRCD + REMAP_FRCD_COUNT * RECORD_BYTES;
}

static uint32_t half(uint64_t value, unsigned offset)
{
    return (uint32_t)(value >> offset % 8 * 8);
}

static uint32_t read_record(const struct remap *u, unsigned offset)
{
    const struct remap_words *r = &u->record[(offset - REMAP_FRCD) / RECORD_BYTES];

    return half(r->word[offset / 8 % 2], offset);
}

/* PPF is the OR of every F, and stored nowhere else. */
static uint64_t register_value(const struct remap *u, const struct row *row)
{
    uint64_t value = stored(u, row);

    if (row->offset == REMAP_FSTS)
        remap_put(&value, REMAP_FSTS_PPF, remap_fault_pending(u));
    return value;
}

static uint32_t read_half(const struct remap *u, unsigned offset)
{
    const struct row *row = row_at(offset);

    if (is_record(offset))
        return read_record(u, offset);
    if (!row || row->access == WO)
        return 0;
    return half(register_value(u, row), offset - row->offset);
}

/* F is all that a write reaches in a record. */
static void write_record(struct remap *u, unsigned offset, uint32_t value)
{
    const uint64_t word[2] = {0, (uint64_t)value << 32};

    if (offset % RECORD_BYTES == RECORD_BYTES - 4 && remap_get(word, REMAP_FRCD_F))
        remap_fault_clear(u, (offset - REMAP_FRCD) / RECORD_BYTES);
}

static void write_half(struct remap *u, unsigned offset, uint32_t value)
{
    const struct row *row = row_at(offset);
    unsigned shift;
    uint64_t written, stores, *word;

    if (is_record(offset))
        write_record(u, offset, value);
    if (!row || row->access == RO)
        return;
    shift = (offset - row->offset) * 8;
    written = (uint64_t)value << shift;
    stores = row->writable & ~row->clears & UINT64_C(0xffffffff) << shift;
    word = storage(u, row);
    *word = ((*word & ~stores) | (written & stores)) & ~(written & row->clears);
    row->on_write(u);
}

/* ---- accesses as software makes them ---- */

static bool possible(uint16_t offset, unsigned size)
{
    return (size == 4 || size == 8) && offset % size == 0;
}

uint64_t remap_read(const struct remap *u, uint16_t offset, unsigned size)
{
    if (!possible(offset, size))
        return 0;
    if (size == 4)
        return read_half(u, offset);
    return read_half(u, offset) | (uint64_t)read_half(u, offset + 4u) << 32;
}

void remap_write(struct remap *u, uint16_t offset, unsigned size, uint64_t value)
{
    if (!possible(offset, size))
        return;
    write_half(u, offset, (uint32_t)value);
    if (size == 8)
        write_half(u, offset + 4u, (uint32_t)(value >> 32));
}
