/*
 * The I/O APIC: pins, redirection entries, and what leaves for the APIC bus.
 *
 * An edge is sent when the pin becomes active, or never. A level is sent
 * whenever the pin is active, the entry open and Remote IRR clear; that becomes
 * so by the pin, by a write to the entry, or by an EOI.
 */
#include "irq/ioapic.h"

#include "port/bits.h"

#define FIELD(reg, name, high, low, meaning)                                                   \
    reg##_##name##_HIGH = (high), reg##_##name##_LOW = (low),
#define REG(...)
enum {
#include "irq/ioapic_regs.def"
};
#undef REG
#undef FIELD

#define ENTRY_FIELD(name) ((struct bit_field){REDTBL_##name##_HIGH, REDTBL_##name##_LOW})
#define ENTRY_BIT(name)   (UINT64_C(1) << REDTBL_##name##_LOW)

#define RESERVED_LOW  0xfffe0000u
#define RESERVED_HIGH 0x00ffffffu

static bool follows(const struct ioapic *io, enum ioapic_quirk quirk)
{
    return io->config.quirks >> quirk & 1;
}

/* ---- an entry ---- */

static bool has_trigger_mode(unsigned delivery)
{
    return delivery == IRQ_FIXED || delivery == IRQ_LOWEST_PRIORITY;
}

/* 3.2.4: NMI is edge-triggered whatever the bit says, and SMI, INIT and ExtINT have to be. */
bool ioapic_is_level(const struct ioapic *io, unsigned pin)
{
    return (io->entry[pin] & ENTRY_BIT(TRIGGER_MODE)) &&
           has_trigger_mode((unsigned)bits_get(&io->entry[pin], ENTRY_FIELD(DELIVERY_MODE)));
}

bool ioapic_masked(const struct ioapic *io, unsigned pin)
{
    return io->entry[pin] & ENTRY_BIT(MASK);
}

bool ioapic_remote_irr(const struct ioapic *io, unsigned pin)
{
    return io->entry[pin] & ENTRY_BIT(REMOTE_IRR);
}

bool ioapic_asserted(const struct ioapic *io, unsigned pin)
{
    const bool low =
        io->entry[pin] & ENTRY_BIT(POLARITY) && !follows(io, IOAPIC_QUIRK_ACTIVE_HIGH);

    return (io->level >> pin & 1) != low;
}

struct irq_msg ioapic_message(const struct ioapic *io, unsigned pin)
{
    const uint64_t *entry = &io->entry[pin];

    return (struct irq_msg){
        .vector = (uint8_t)bits_get(entry, ENTRY_FIELD(VECTOR)),
        .delivery = (uint8_t)bits_get(entry, ENTRY_FIELD(DELIVERY_MODE)),
        .logical = *entry & ENTRY_BIT(DESTINATION_MODE),
        .level = ioapic_is_level(io, pin),
        .dest = (uint32_t)bits_get(entry, ENTRY_FIELD(DESTINATION)),
        .source = TRACE_NOWHERE,
    };
}

/* ---- sending ---- */

static bool send(struct ioapic *io, unsigned pin)
{
    const struct irq_msg msg = ioapic_message(io, pin);

    return io->config.port->send(io->config.port, pin, &msg);
}

static void send_level(struct ioapic *io, unsigned pin)
{
    if (!ioapic_is_level(io, pin) || !ioapic_asserted(io, pin) || ioapic_masked(io, pin) ||
        ioapic_remote_irr(io, pin))
        return;
    /* The message may meet an EOI on its way back: the bit stands before anybody hears of it. */
    io->entry[pin] |= ENTRY_BIT(REMOTE_IRR);
    if (!send(io, pin) && !follows(io, IOAPIC_QUIRK_NOBODY))
        io->entry[pin] &= ~ENTRY_BIT(REMOTE_IRR);
}

void ioapic_evaluate(struct ioapic *io)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        send_level(io, pin);
}

/* ---- pins ---- */

static void set_level(struct ioapic *io, unsigned pin, bool level)
{
    const uint32_t bit = UINT32_C(1) << pin;

    io->level = level ? io->level | bit : io->level & ~bit;
}

void ioapic_drive(struct ioapic *io, unsigned pin, bool level)
{
    if (pin >= IOAPIC_PINS)
        return;
    if (pin == 0 && follows(io, IOAPIC_QUIRK_PIN0))
        pin = 2;
    const bool before = ioapic_asserted(io, pin);

    set_level(io, pin, level);
    if (ioapic_is_level(io, pin))
        send_level(io, pin);
    else if (ioapic_asserted(io, pin) && (!before || follows(io, IOAPIC_QUIRK_RERAISE)) &&
             !ioapic_masked(io, pin))
        send(io, pin);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if (!ioapic_is_level(io, pin) || ioapic_message(io, pin).vector != vector)
            continue;
        io->entry[pin] &= ~ENTRY_BIT(REMOTE_IRR);
        send_level(io, pin);
    }
}

/* ---- registers ---- */

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

/* The redirection entries' rows are pin 0's. */
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
        return follows(io, IOAPIC_QUIRK_ONES) ? UINT32_MAX : 0;
    }
}

/* Remote IRR is not software's, but an entry that becomes edge-triggered has none: systems rely on
   it to end a level whose EOI went astray (Linux, __eoi_ioapic_pin()). */
static void write_low(struct ioapic *io, unsigned pin, uint32_t value)
{
    const uint32_t keep = follows(io, IOAPIC_QUIRK_KEEP_RESERVED) ? RESERVED_LOW : 0;
    const uint64_t writable = rows[ROW_REDTBL_LO].writable | keep;
    const bool was_level = ioapic_is_level(io, pin);

    io->entry[pin] = (io->entry[pin] & ~writable) | (value & writable);
    if (!ioapic_is_level(io, pin))
        io->entry[pin] &= ~ENTRY_BIT(REMOTE_IRR);
    else if (!was_level && follows(io, IOAPIC_QUIRK_FORGETS_LEVEL))
        set_level(io, pin, false);
    send_level(io, pin);
}

static void write_high(struct ioapic *io, unsigned pin, uint32_t value)
{
    const uint32_t keep = follows(io, IOAPIC_QUIRK_KEEP_RESERVED) ? RESERVED_HIGH : 0;
    const uint64_t writable = (uint64_t)(rows[ROW_REDTBL_HI].writable | keep) << 32;

    io->entry[pin] = (io->entry[pin] & ~writable) | ((uint64_t)value << 32 & writable);
    send_level(io, pin);
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

/* 3.0: registers are accessed as 32 bits; anything else reaches none. */
static bool reaches(const struct ioapic *io, unsigned row, uint16_t offset, unsigned size)
{
    if (rows[row].offset != offset ||
        (row == ROW_EOI && io->config.version < IOAPIC_VERSION_20))
        return false;
    return size == 4 || (size < 4 && follows(io, IOAPIC_QUIRK_SELECT_PART));
}

static uint32_t part(uint32_t value, unsigned size)
{
    return size < 4 ? value & ((UINT32_C(1) << 8 * size) - 1) : value;
}

uint32_t ioapic_read(struct ioapic *io, uint16_t offset, unsigned size)
{
    if (reaches(io, ROW_IOREGSEL, offset, size))
        return part(io->select, size);
    if (reaches(io, ROW_IOWIN, offset, size))
        return part(read_indirect(io), size);
    return 0;
}

void ioapic_write(struct ioapic *io, uint16_t offset, unsigned size, uint32_t value)
{
    value = part(value, size);
    if (reaches(io, ROW_IOREGSEL, offset, size))
        io->select = (uint8_t)value;
    else if (reaches(io, ROW_IOWIN, offset, size))
        write_indirect(io, value);
    else if (reaches(io, ROW_EOI, offset, size) &&
             (value <= UINT8_MAX || !follows(io, IOAPIC_QUIRK_EOI_WIDE)))
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
