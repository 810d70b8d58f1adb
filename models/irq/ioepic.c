/* IOEPIC: pins, their registers, and the messages that they make. */
#include "irq/ioepic.h"

#include "port/bits.h"

#define REG(...)
#define FIELD(reg, name, high, low, meaning)                                                   \
    static const struct bit_field __attribute__((unused)) reg##_##name = {high, low};
#include "irq/ioepic_regs.def"
#undef REG
#undef FIELD

enum { BYTES = 4 };

struct row {
    uint16_t offset;
    uint32_t reset, writable, clears;
};

#define FIELD(...)
#define REG(name, offset, access, reset, writable, clears, title)                              \
    [IOEPIC_ROW_##name] = {offset, reset, writable, clears},
static const struct row rows[IOEPIC_ROWS] = {
#include "irq/ioepic_regs.def"
};
#undef REG
#undef FIELD

static uint32_t get(uint32_t reg, struct bit_field field)
{
    const uint64_t word = reg;

    return (uint32_t)bits_get(&word, field);
}

static uint32_t bit(struct bit_field field)
{
    return (uint32_t)bits_mask(field, 0);
}

/* ---- pins ---- */

struct epic_msg ioepic_message(const struct ioepic *io, unsigned pin)
{
    const uint32_t *reg = io->pin[pin];

    return (struct epic_msg){
        .vector = (uint16_t)get(reg[IOEPIC_ROW_MSG_DATA], MSG_DATA_VECTOR),
        .dest = (uint16_t)get(reg[IOEPIC_ROW_ADDR_LOW], ADDR_LOW_DST),
        .delivery = (uint8_t)get(reg[IOEPIC_ROW_MSG_DATA], MSG_DATA_DLVM),
        .shorthand = EPIC_FULL,
        .source = TRACE_NOWHERE,
    };
}

static bool asserted(const struct ioepic *io, unsigned pin)
{
    return io->level >> pin & 1;
}

static bool control(const struct ioepic *io, unsigned pin, struct bit_field field)
{
    return get(io->pin[pin][IOEPIC_ROW_INT_CTRL], field);
}

/* Linux for e2k: ioepic_service(). A level that was accepted is outstanding until its EOI. */
static void service(struct ioepic *io, unsigned pin)
{
    const struct epic_msg msg = ioepic_message(io, pin);

    if (control(io, pin, INT_CTRL_MASK))
        return;
    if (io->port->send(io->port, pin, &msg) && control(io, pin, INT_CTRL_TRIGGER))
        io->pin[pin][IOEPIC_ROW_INT_CTRL] |= bit(INT_CTRL_DELIVERY_STATUS);
}

/* kvm_ioepic_set_irq(). */
void ioepic_drive(struct ioepic *io, unsigned pin, bool level)
{
    const bool rises = level && !asserted(io, pin);
    const bool waits = level && !control(io, pin, INT_CTRL_DELIVERY_STATUS);

    io->level = (io->level & ~(UINT64_C(1) << pin)) | (uint64_t)level << pin;
    if (control(io, pin, INT_CTRL_TRIGGER) ? waits : rises)
        service(io, pin);
}

/* ---- registers ---- */

struct place {
    unsigned row, pin;
};

/* IOEPIC_ROWS: no register is there. */
static struct place find(const struct ioepic *io, uint32_t offset, unsigned size)
{
    const uint32_t rids = IOEPIC_INT_RID + io->pins * BYTES, pin = offset / IOEPIC_PIN_BYTES;

    if (size == BYTES && offset % BYTES == 0) {
        if (offset >= IOEPIC_INT_RID && offset < rids)
            return (struct place){IOEPIC_ROW_INT_RID, (offset - IOEPIC_INT_RID) / BYTES};
        for (unsigned row = 0; row < IOEPIC_ROW_INT_RID && pin < io->pins; row++)
            if (offset % IOEPIC_PIN_BYTES == rows[row].offset &&
                (pin == 0 || row >= IOEPIC_ROW_INT_CTRL))
                return (struct place){row, pin};
    }
    return (struct place){IOEPIC_ROWS, 0};
}

uint32_t ioepic_read(const struct ioepic *io, uint32_t offset, unsigned size)
{
    const struct place at = find(io, offset, size);

    return at.row == IOEPIC_ROWS ? UINT32_MAX : io->pin[at.pin][at.row];
}

/* ioepic_write_int_ctrl(): after an EOI, or unmasked, what is asserted is sent. */
static void write_int_ctrl(struct ioepic *io, unsigned pin, uint32_t value)
{
    const struct row *r = &rows[IOEPIC_ROW_INT_CTRL];
    uint32_t *reg = &io->pin[pin][IOEPIC_ROW_INT_CTRL];
    const uint32_t cleared = value & r->clears;

    if (!cleared || io->version == IOEPIC_VERSION_1)
        *reg = (*reg & ~r->writable) | (value & r->writable);
    *reg &= ~cleared;
    if (asserted(io, pin) && !control(io, pin, INT_CTRL_DELIVERY_STATUS))
        service(io, pin);
}

void ioepic_write(struct ioepic *io, uint32_t offset, unsigned size, uint32_t value)
{
    const struct place at = find(io, offset, size);

    if (at.row == IOEPIC_ROW_INT_CTRL) {
        write_int_ctrl(io, at.pin, value);
    } else if (at.row != IOEPIC_ROWS) {
        uint32_t *reg = &io->pin[at.pin][at.row];

        *reg = (*reg & ~rows[at.row].writable) | (value & rows[at.row].writable);
    }
}

void ioepic_init(struct ioepic *io, unsigned pins, unsigned version, struct ioepic_port *port)
{
    uint64_t word = 0;

    *io = (struct ioepic){.pins = (uint8_t)pins, .version = (uint8_t)version, .port = port};
    for (unsigned pin = 0; pin < pins; pin++)
        for (unsigned row = 0; row < IOEPIC_ROWS; row++)
            io->pin[pin][row] = rows[row].reset;
    bits_put(&word, VERSION_VERSION, version);
    bits_put(&word, VERSION_ENTRIES, pins);
    io->pin[0][IOEPIC_ROW_VERSION] = (uint32_t)word;
}
