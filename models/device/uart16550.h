/*
 * The 16550 UART of a PC's serial port (PC16550D data sheet, National Semiconductor).
 *
 * A byte takes its time on the line, by the divisor and the format; with `instant`, none, as in
 * QEMU. The interrupt is a level: THR empty, data, a time-out of the receiver's FIFO, an overrun.
 *
 * To wire it: the queue needs room for two events; `line` is INTR, gated by OUT2 as on a PC; `send`
 * has each byte when it has left; uart16550_receive() is one that has arrived.
 * Left out: see docs/models/uart16550.md.
 */
#ifndef VIRQSIM_DEVICE_UART16550_H
#define VIRQSIM_DEVICE_UART16550_H

#include "port/event.h"

enum uart16550_reg {
#define REG(name, ...) UART_##name,
#define FIELD(...)
#include "device/uart16550_regs.def"
#undef REG
#undef FIELD
    UART_REG_COUNT
};

/* Masks: UART_LSR_DR and so on. */
enum uart16550_field {
#define REG(...)
#define FIELD(reg, name, high, low, meaning)                                                   \
    UART_##reg##_##name = ((1u << ((high) - (low) + 1)) - 1) << (low),
#include "device/uart16550_regs.def"
#undef REG
#undef FIELD
};

/* Table IV, "Interrupt Control Functions": IIR bits 3:0. */
enum uart16550_interrupt {
    UART_INT_NONE = 1,
    UART_INT_THRE = 2,
    UART_INT_DATA = 4,
    UART_INT_LINE = 6,
    UART_INT_TIMEOUT = 12,
};

enum { UART_FIFO = 16, UART_HZ = 1843200 };

struct uart16550_fifo {
    uint8_t byte[UART_FIFO], count, first;
};

struct uart16550_port {
    void (*line)(struct uart16550_port *self, bool level);
    void (*send)(struct uart16550_port *self, uint8_t byte);
};

struct uart16550 {
    uint8_t reg[UART_REG_COUNT];
    struct uart16550_fifo in, out;
    uint8_t shifting; /* the byte on the line */
    bool thre;        /* the interrupt of an empty THR is pending */
    bool timeout;
    bool line;
    bool instant;
    struct clock clock;
    struct event shifted, waited;
    struct event_queue *events;
    struct uart16550_port *port;
};

void uart16550_init(struct uart16550 *u, bool instant, struct event_queue *events,
                    struct uart16550_port *port);

/* Offsets 0 to 7; any other: a read gives FFH, a write does nothing. */
uint8_t uart16550_read(struct uart16550 *u, unsigned offset);
void uart16550_write(struct uart16550 *u, unsigned offset, uint8_t value);
void uart16550_receive(struct uart16550 *u, uint8_t byte);

/* How long a byte is on the line; 0: a divisor of 0, or `instant`. */
uint64_t uart16550_byte_ps(const struct uart16550 *u);
#endif
