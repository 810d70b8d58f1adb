/*
 * The I/O APIC's registers: IOREGSEL, IOWIN and what it shows, and the EOI
 * register of version 20H. Each is a row of ioapic_regs.def.
 */
#include "irq/ioapic_parts.h"

enum access { NONE, RO = 1, WO = 2, RW = RO | WO };
enum space { DIRECT, INDIRECT };

struct row {
    uint8_t space, offset, access;
    uint32_t reset, writable;
};

#define FIELD(...)
#define REG(name, ...) ROW_##name,
enum {
#include "irq/ioapic_regs.def"
#undef REG
    ROW_COUNT
};
#define REG(name, space, offset, width, access, reset, writable, section, title)               \
    [ROW_##name] = {space, offset, access, reset, writable},
static const struct row rows[ROW_COUNT] = {
#include "irq/ioapic_regs.def"
};
#undef REG
#undef FIELD

/* Bits 31:17 and 55:32 of an entry. */
#define RESERVED_LOW  0xfffe0000u
#define RESERVED_HIGH 0x00ffffffu
#define EXTENDED_HIGH 0x00ff0000u /* 55:48 */

/* ---- behind the window ---- */

/* The redirection entries' rows are pin 0's. ROW_COUNT: a reserved index. */
static unsigned row_of_index(unsigned index)
{
    const unsigned first = rows[ROW_REDTBL_LO].offset;

    if (index >= first && index < first + 2 * IOAPIC_PINS)
        return ROW_REDTBL_LO + (index - first) % 2;
    for (unsigned row = 0; row < ROW_COUNT; row++)
        if (rows[row].space == INDIRECT && rows[row].offset == index)
            return row;
    return ROW_COUNT;
}

static unsigned pin_of_index(unsigned index)
{
    return (index - rows[ROW_REDTBL_LO].offset) / 2;
}

static uint32_t read_indirect(const struct ioapic *io)
{
    switch (row_of_index(io->select)) {
    case ROW_ID:
    case ROW_ARB: /* 3.2.3: a write of ID loads it, and nothing else here does */
        return io->id;
    case ROW_VER:
        return (rows[ROW_VER].reset & ~0xffu) | io->config.version;
    case ROW_REDTBL_LO:
        return (uint32_t)io->entry[pin_of_index(io->select)];
    case ROW_REDTBL_HI:
        return (uint32_t)(io->entry[pin_of_index(io->select)] >> 32);
    default:
        return ioapic_follows(io, IOAPIC_QUIRK_ONES) ? UINT32_MAX : 0;
    }
}

static void write_low(struct ioapic *io, unsigned pin, uint32_t value)
{
    const uint32_t keep = ioapic_follows(io, IOAPIC_QUIRK_KEEP_RESERVED) ? RESERVED_LOW : 0;
    const uint64_t writable = rows[ROW_REDTBL_LO].writable | keep;

    io->entry[pin] = (io->entry[pin] & ~writable) | (value & writable);
    ioapic_rewritten(io, pin);
}

static void write_high(struct ioapic *io, unsigned pin, uint32_t value)
{
    const uint32_t keep = ioapic_follows(io, IOAPIC_QUIRK_KEEP_RESERVED) ? RESERVED_HIGH : 0;
    const uint32_t extended = io->config.extended_destination ? EXTENDED_HIGH : 0;
    const uint64_t writable = (uint64_t)(rows[ROW_REDTBL_HI].writable | extended | keep) << 32;

    io->entry[pin] = (io->entry[pin] & ~writable) | ((uint64_t)value << 32 & writable);
    ioapic_rewritten(io, pin);
}

static void write_indirect(struct ioapic *io, uint32_t value)
{
    switch (row_of_index(io->select)) {
    case ROW_ID:
        io->id = value & rows[ROW_ID].writable;
        break;
    case ROW_REDTBL_LO:
        write_low(io, pin_of_index(io->select), value);
        break;
    case ROW_REDTBL_HI:
        write_high(io, pin_of_index(io->select), value);
        break;
    default:
        break;
    }
}

/* ---- the page ---- */

/* 3.0: registers are accessed as 32 bits; anything else reaches none. But of version 20H IOREGSEL
   is a byte (ICH10 data sheet, 13.5.2), so that every access reaches the whole of it. */
static bool has_size(const struct ioapic *io, unsigned row, unsigned size)
{
    const bool narrow = size == 1 || size == 2;

    if (narrow && row == ROW_IOREGSEL)
        return io->config.version >= IOAPIC_VERSION_20 ||
               ioapic_follows(io, IOAPIC_QUIRK_SELECT_PART);
    if (narrow && row == ROW_IOWIN)
        return ioapic_follows(io, IOAPIC_QUIRK_WINDOW_PART);
    return size == 4;
}

static bool reaches(const struct ioapic *io, unsigned row, uint16_t offset, unsigned size)
{
    return rows[row].offset == offset && has_size(io, row, size) &&
           (row != ROW_EOI || io->config.version >= IOAPIC_VERSION_20);
}

static uint32_t part(uint32_t value, unsigned size)
{
    return size < 4 ? value & ((UINT32_C(1) << 8 * size) - 1) : value;
}

uint32_t ioapic_read(const struct ioapic *io, uint16_t offset, unsigned size)
{
    if (reaches(io, ROW_IOREGSEL, offset, size))
        return io->select;
    if (reaches(io, ROW_IOWIN, offset, size))
        return part(read_indirect(io), size);
    return 0;
}

void ioapic_write(struct ioapic *io, uint16_t offset, unsigned size, uint32_t value)
{
    if (reaches(io, ROW_IOREGSEL, offset, size))
        io->select = (uint8_t)value;
    else if (reaches(io, ROW_IOWIN, offset, size))
        write_indirect(io, part(value, size));
    else if (reaches(io, ROW_EOI, offset, size) &&
             (value <= UINT8_MAX || !ioapic_follows(io, IOAPIC_QUIRK_EOI_WIDE)))
        ioapic_eoi(io, (uint8_t)value);
}

/* ---- power-up ---- */

void ioapic_init(struct ioapic *io, const struct ioapic_config *config)
{
    *io = (struct ioapic){.config = *config};
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        io->entry[pin] = rows[ROW_REDTBL_LO].reset | (uint64_t)rows[ROW_REDTBL_HI].reset << 32;
}

void ioapic_restore(struct ioapic *io, const struct ioapic *saved)
{
    const struct ioapic_config config = io->config;

    *io = *saved;
    io->config = config;
}
