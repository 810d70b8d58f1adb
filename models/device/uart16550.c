/* The 16550: two FIFOs, a shift register, and which of its interrupts goes first. */
#include "device/uart16550.h"

/* --- the FIFOs: of one byte where they are off --- */

static bool fifos_on(const struct uart16550 *u)
{
    return u->reg[UART_FCR] & UART_FCR_ENABLE;
}

static unsigned depth(const struct uart16550 *u)
{
    return fifos_on(u) ? UART_FIFO : 1;
}

static void push(struct uart16550_fifo *f, uint8_t byte)
{
    f->byte[(f->first + f->count++) % UART_FIFO] = byte;
}

static uint8_t pull(struct uart16550_fifo *f)
{
    const uint8_t byte = f->byte[f->first];

    f->first = (uint8_t)((f->first + 1) % UART_FIFO);
    f->count--;
    return byte;
}

/* --- the interrupt --- */

static unsigned trigger(const struct uart16550 *u)
{
    static const uint8_t bytes[] = {1, 4, 8, 14};

    return fifos_on(u) ? bytes[u->reg[UART_FCR] >> 6] : 1;
}

/* "Interrupt Control Functions": the highest priority first. */
static enum uart16550_interrupt pending(const struct uart16550 *u)
{
    const uint8_t enabled = u->reg[UART_IER];

    if (enabled & UART_IER_ELSI && u->reg[UART_LSR] & UART_LSR_OE)
        return UART_INT_LINE;
    if (enabled & UART_IER_ERBFI && u->in.count >= trigger(u))
        return UART_INT_DATA;
    if (enabled & UART_IER_ERBFI && u->timeout)
        return UART_INT_TIMEOUT;
    if (enabled & UART_IER_ETBEI && u->thre)
        return UART_INT_THRE;
    return UART_INT_NONE;
}

static void settle(struct uart16550 *u)
{
    const bool level = pending(u) != UART_INT_NONE && u->reg[UART_MCR] & UART_MCR_OUT2 &&
                       !(u->reg[UART_MCR] & UART_MCR_LOOP);

    if (level == u->line)
        return;
    u->line = level;
    u->port->line(u->port, level);
}

/* --- time on the line --- */

/* A start bit, 5 to 8 data bits, parity, one stop bit or two, of 16 clocks each by the divisor. */
uint64_t uart16550_byte_ps(const struct uart16550 *u)
{
    const uint8_t format = u->reg[UART_LCR];
    const unsigned bits = 1 + 5 + (format & UART_LCR_WORD) + !!(format & UART_LCR_PARITY) + 1 +
                          !!(format & UART_LCR_STOP);
    const unsigned divisor = u->reg[UART_DLM] << 8 | u->reg[UART_DLL];

    return u->instant ? 0 : clock_edge(&u->clock, (cycles){16ull * divisor * bits}).ps;
}

/* "FIFO Interrupt Mode Operation": the last byte came or was read four characters ago. */
static void restart_timeout(struct uart16550 *u)
{
    u->timeout = false;
    event_disarm(u->events, &u->waited);
    if (fifos_on(u) && u->in.count)
        event_arm(u->events, &u->waited,
                  time_plus_ps(u->events->now, 4 * uart16550_byte_ps(u)));
}

static void waited(struct event *e)
{
    struct uart16550 *u = EVENT_OWNER(e, struct uart16550, waited);

    u->timeout = true;
    settle(u);
}

static void shift_next(struct uart16550 *u)
{
    if (!u->out.count)
        return;
    u->shifting = pull(&u->out);
    u->reg[UART_LSR] &= (uint8_t)~UART_LSR_TEMT;
    if (!u->out.count) {
        u->reg[UART_LSR] |= UART_LSR_THRE;
        u->thre = true;
    }
    event_arm(u->events, &u->shifted, time_plus_ps(u->events->now, uart16550_byte_ps(u)));
}

static void shifted(struct event *e)
{
    struct uart16550 *u = EVENT_OWNER(e, struct uart16550, shifted);

    if (u->reg[UART_MCR] & UART_MCR_LOOP)
        uart16550_receive(u, u->shifting);
    else
        u->port->send(u->port, u->shifting);
    if (u->out.count)
        shift_next(u);
    else
        u->reg[UART_LSR] |= UART_LSR_TEMT;
    settle(u);
}

/* --- the effects of writes, one for each name in uart16550_regs.def --- */

typedef void effect(struct uart16550 *u, enum uart16550_reg reg, uint8_t value);

static void uart_on_none(struct uart16550 *u, enum uart16550_reg reg, uint8_t value)
{
    (void)u, (void)reg, (void)value;
}

static void uart_on_keep(struct uart16550 *u, enum uart16550_reg reg, uint8_t value)
{
    u->reg[reg] = value;
}

static void uart_on_mcr(struct uart16550 *u, enum uart16550_reg reg, uint8_t value)
{
    u->reg[reg] = value;
    settle(u);
}

/* A byte for a FIFO that is full is lost. */
static void uart_on_thr(struct uart16550 *u, enum uart16550_reg reg, uint8_t value)
{
    (void)reg;
    u->thre = false;
    if (u->out.count < depth(u)) {
        push(&u->out, value);
        u->reg[UART_LSR] &= (uint8_t)~UART_LSR_THRE;
    }
    settle(u); /* the line falls before it rises again: an edge for the 8259A */
    if (!event_is_armed(u->events, &u->shifted))
        shift_next(u);
    settle(u);
}

/* Enabled while the THR is empty, its interrupt is pending at once. */
static void uart_on_ier(struct uart16550 *u, enum uart16550_reg reg, uint8_t value)
{
    const bool enabled = value & ~u->reg[reg] & UART_IER_ETBEI;

    u->reg[reg] = value;
    if (enabled && u->reg[UART_LSR] & UART_LSR_THRE)
        u->thre = true;
    settle(u);
}

static void clear_in(struct uart16550 *u)
{
    u->in = (struct uart16550_fifo){.count = 0};
    u->reg[UART_LSR] &= (uint8_t)~UART_LSR_DR;
}

static void clear_out(struct uart16550 *u)
{
    if (u->out.count)
        u->thre = true;
    u->out = (struct uart16550_fifo){.count = 0};
    u->reg[UART_LSR] |= UART_LSR_THRE;
}

/* "FIFO Control Register": the other bits count only with bit 0; its change clears both. */
static void uart_on_fcr(struct uart16550 *u, enum uart16550_reg reg, uint8_t value)
{
    const bool changes = (value ^ u->reg[reg]) & UART_FCR_ENABLE;
    const bool on = value & UART_FCR_ENABLE;

    u->reg[reg] = on ? value & (UART_FCR_ENABLE | UART_FCR_TRIGGER) : 0;
    if (changes || (on && value & UART_FCR_CLEAR_R))
        clear_in(u);
    if (changes || (on && value & UART_FCR_CLEAR_T))
        clear_out(u);
    restart_timeout(u);
    settle(u);
}

/* --- the table --- */

enum access { RO = 1, WO = 2, RW = RO | WO };
enum { EITHER = 2 };

static const struct uart_row {
    uint8_t offset, dlab, access, reset, writable;
    effect *effect;
} rows[UART_REG_COUNT] = {
#define REG(name, offset, dlab, access, reset, writable, effect, title)                        \
    {offset, dlab, access, reset, writable, uart_on_##effect},
#define FIELD(...)
#include "device/uart16550_regs.def"
#undef REG
#undef FIELD
};

static enum uart16550_reg find(const struct uart16550 *u, unsigned offset, enum access want)
{
    const unsigned dlab = !!(u->reg[UART_LCR] & UART_LCR_DLAB);
    unsigned i = 0;

    while (i < UART_REG_COUNT && !(rows[i].offset == offset && rows[i].access & want &&
                                   (rows[i].dlab == EITHER || rows[i].dlab == dlab)))
        i++;
    return (enum uart16550_reg)i;
}

/* --- the interface --- */

void uart16550_init(struct uart16550 *u, bool instant, struct event_queue *events,
                    struct uart16550_port *port)
{
    *u = (struct uart16550){
        .instant = instant,
        .clock = clock_of_hz(UART_HZ),
        .events = events,
        .port = port,
    };
    for (unsigned i = 0; i < UART_REG_COUNT; i++)
        u->reg[i] = rows[i].reset;
    event_init(events, &u->shifted, EVENT_PHASE_DEVICE, shifted);
    event_init(events, &u->waited, EVENT_PHASE_DEVICE, waited);
}

static uint8_t read_rbr(struct uart16550 *u)
{
    const uint8_t byte = u->in.count ? pull(&u->in) : u->reg[UART_RBR];

    u->reg[UART_RBR] = byte;
    if (!u->in.count)
        u->reg[UART_LSR] &= (uint8_t)~UART_LSR_DR;
    restart_timeout(u);
    settle(u);
    return byte;
}

/* A read that shows the interrupt of an empty THR acknowledges it. */
static uint8_t read_iir(struct uart16550 *u)
{
    const uint8_t shown = (uint8_t)(pending(u) | (fifos_on(u) ? UART_IIR_FIFOS : 0));

    if (pending(u) == UART_INT_THRE)
        u->thre = false;
    settle(u);
    return shown;
}

static uint8_t read_lsr(struct uart16550 *u)
{
    const uint8_t shown = u->reg[UART_LSR];

    u->reg[UART_LSR] &= (uint8_t)~UART_LSR_OE;
    settle(u);
    return shown;
}

uint8_t uart16550_read(struct uart16550 *u, unsigned offset)
{
    const enum uart16550_reg reg = find(u, offset, RO);

    switch (reg) {
    case UART_RBR:
        return read_rbr(u);
    case UART_IIR:
        return read_iir(u);
    case UART_LSR:
        return read_lsr(u);
    case UART_REG_COUNT:
        return 0xff;
    default:
        return u->reg[reg];
    }
}

void uart16550_write(struct uart16550 *u, unsigned offset, uint8_t value)
{
    const enum uart16550_reg reg = find(u, offset, WO);

    if (reg != UART_REG_COUNT)
        rows[reg].effect(u, reg, value & rows[reg].writable);
}

/* "Line Status Register": what arrives at a full FIFO is lost; without FIFOs the new byte stays. */
void uart16550_receive(struct uart16550 *u, uint8_t byte)
{
    const bool full = u->in.count == depth(u);

    if (full)
        u->reg[UART_LSR] |= UART_LSR_OE;
    if (full && !fifos_on(u))
        pull(&u->in);
    if (u->in.count < depth(u))
        push(&u->in, byte);
    u->reg[UART_LSR] |= UART_LSR_DR;
    restart_timeout(u);
    settle(u);
}
