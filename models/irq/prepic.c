/* PREPIC: registers, lines, errors, and the way of a message. */
#include "irq/prepic.h"

#include "port/bits.h"

#define REG(...)
#define FIELD(reg, name, high, low, meaning)                                                   \
    static const struct bit_field __attribute__((unused)) reg##_##name = {high, low};
#include "irq/prepic_regs.def"
#undef REG
#undef FIELD

enum { BYTES = 4 };
/* Which bit of ERR_STAT an error has is not known: assumed. */
enum { ERROR_VIRT = 1 << 0 };
/* Of a CEPIC's number: the processor, and ICR's places for the rest of a message. */
static const struct bit_field PROCESSOR = {9, 8};
static const struct bit_field MSG_VECT = {9, 0}, MSG_DLVM = {15, 13}, MSG_GUEST = {31, 20},
                              MSG_DST = {49, 40};

struct row {
    uint16_t offset;
    uint32_t reset, writable, clears;
};

#define FIELD(...)
#define REG(name, offset, access, reset, writable, clears, title)                              \
    [PREPIC_ROW_##name] = {offset, reset, writable, clears},
static const struct row rows[PREPIC_ROWS] = {
#include "irq/prepic_regs.def"
};
#undef REG
#undef FIELD

static uint32_t get(uint32_t reg, struct bit_field field)
{
    const uint64_t word = reg;

    return (uint32_t)bits_get(&word, field);
}

/* ---- what it sends itself: ERR_INT and LINP have the same fields ---- */

static void send(struct prepic *p, uint32_t reg)
{
    const struct epic_msg msg = {
        .vector = (uint16_t)get(reg, LINP_VECT),
        .dest = (uint16_t)get(reg, LINP_DST),
        .delivery = (uint8_t)get(reg, LINP_DLVM),
        .shorthand = EPIC_FULL,
        .source = TRACE_NOWHERE,
    };

    if (!get(reg, LINP_MASK))
        p->port->send(p->port, &msg);
}

/* That a line is an edge is assumed. */
void prepic_drive(struct prepic *p, unsigned line, bool level)
{
    const uint8_t bit = (uint8_t)(1u << line);
    const bool rises = level && !(p->lines & bit);

    p->lines = (uint8_t)((p->lines & ~bit) | (level ? bit : 0));
    if (rises)
        send(p, p->linp[line]);
}

/* Linux for e2k: __prepic_smp_error_interrupt() reads the message, and writes the status back. */
static void error(struct prepic *p, uint32_t bit, const struct epic_msg *msg)
{
    const bool first = p->reg[PREPIC_ROW_ERR_STAT] == 0;
    uint64_t word = 0;

    p->reg[PREPIC_ROW_ERR_STAT] |= bit;
    if (!first)
        return;
    bits_put(&word, MSG_VECT, msg->vector);
    bits_put(&word, MSG_DLVM, msg->delivery);
    bits_put(&word, MSG_GUEST, msg->guest);
    bits_put(&word, MSG_DST, msg->dest);
    p->reg[PREPIC_ROW_ERR_MSG_LO] = (uint32_t)word;
    p->reg[PREPIC_ROW_ERR_MSG_HI] = (uint32_t)(word >> 32);
    send(p, p->reg[PREPIC_ROW_ERR_INT]);
}

/* ---- the way of a message ---- */

bool prepic_is_local(const struct prepic *p, uint16_t dest)
{
    return get(dest, PROCESSOR) == get(p->reg[PREPIC_ROW_ID], ID_PREPICN);
}

enum prepic_answer prepic_pass(struct prepic *p, const struct epic_msg *msg)
{
    if (!get(p->reg[PREPIC_ROW_CTRL], CTRL_EPIC_EN))
        return PREPIC_OFF;
    if (msg->guest == 0 || get(p->reg[PREPIC_ROW_CTRL2], CTRL2_VIRT_EN))
        return PREPIC_TAKEN;
    error(p, ERROR_VIRT, msg);
    return PREPIC_NOT_VIRTUAL;
}

/* ---- registers ---- */

/* PREPIC_ROWS: none is there. */
static unsigned find(uint16_t offset, unsigned size, unsigned *line)
{
    *line = 0;
    if (size != BYTES || offset % BYTES)
        return PREPIC_ROWS;
    if (offset >= PREPIC_LINP && offset < PREPIC_LINP + PREPIC_LINES * BYTES) {
        *line = (offset - PREPIC_LINP) / BYTES;
        return PREPIC_ROW_LINP;
    }
    for (unsigned row = 0; row < PREPIC_ROW_LINP; row++)
        if (offset == rows[row].offset)
            return row;
    return PREPIC_ROWS;
}

uint32_t prepic_read(const struct prepic *p, uint16_t offset, unsigned size)
{
    unsigned line;
    const unsigned row = find(offset, size, &line);

    if (row == PREPIC_ROWS)
        return 0;
    return row == PREPIC_ROW_LINP ? p->linp[line] : p->reg[row];
}

void prepic_write(struct prepic *p, uint16_t offset, unsigned size, uint32_t value)
{
    unsigned line;
    const unsigned row = find(offset, size, &line);
    uint32_t *reg;

    if (row == PREPIC_ROWS)
        return;
    reg = row == PREPIC_ROW_LINP ? &p->linp[line] : &p->reg[row];
    *reg = (*reg & ~rows[row].writable) | (value & rows[row].writable);
    *reg &= ~(value & rows[row].clears);
}

void prepic_init(struct prepic *p, unsigned processor, bool bootstrap, struct prepic_port *port)
{
    uint64_t ctrl, id = 0;

    *p = (struct prepic){.port = port};
    for (unsigned row = 0; row < PREPIC_ROWS; row++)
        p->reg[row] = rows[row].reset;
    for (unsigned line = 0; line < PREPIC_LINES; line++)
        p->linp[line] = rows[PREPIC_ROW_LINP].reset;
    ctrl = p->reg[PREPIC_ROW_CTRL];
    bits_put(&ctrl, CTRL_BSP, bootstrap);
    bits_put(&id, ID_PREPICN, processor);
    p->reg[PREPIC_ROW_CTRL] = (uint32_t)ctrl;
    p->reg[PREPIC_ROW_ID] = (uint32_t)id;
}
