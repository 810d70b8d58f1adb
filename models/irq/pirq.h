/*
 * PCI interrupts on their way to the interrupt controllers: the pins INTA# to INTD# of each
 * device, the lines PIRQA# to PIRQH# on which the board joins them, and the bridge's registers
 * that say which inputs these lines drive (Intel 82371SB (PIIX3) and ICH9 data sheets).
 *
 * Levels here are logical: true is asserted, which is low on the wire. docs/models/pirq.md.
 *
 * Left out: ICH9's registers that route the pins of its own devices, 25 to 31; the steering of
 * ISA interrupts by MBIRQ; serial interrupts.
 */
#ifndef VIRQSIM_IRQ_PIRQ_H
#define VIRQSIM_IRQ_PIRQ_H

#include "port/wire.h"

enum { PIRQ_LINES = 8, PIRQ_DEVICES = 32, PIRQ_NOT_ROUTED = -1, PIRQ_IOAPIC_PIN = 16 };

/* The pins of a device. */
enum pirq_pin { PIRQ_INTA, PIRQ_INTB, PIRQ_INTC, PIRQ_INTD, PIRQ_PINS };

enum pirq_board {
    PIRQ_PIIX3, /* PIRQA# to PIRQD#, to the 8259A pair alone; the slots of QEMU's i440FX */
    PIRQ_ICH9, /* PIRQA# to PIRQH#, also to I/O APIC inputs 16 to 23; the slots of QEMU's Q35 */
};

/* One word per row of the table. */
struct pirq_regs {
#define REG(name, ...) uint32_t name;
#define FIELD(...)
#include "irq/pirq_regs.def"
#undef REG
#undef FIELD
};

struct pirq_port {
    /* Interrupt `irq` is asserted now, or no more: 3 to 15 is that input of the 8259A pair, 16 to
       23 that of the I/O APIC. Heard for changes alone. */
    void (*output)(struct pirq_port *self, unsigned irq, bool level);
};

struct pirq_config {
    enum pirq_board board;
    struct pirq_port *port;
};

struct pirq {
    struct pirq_regs regs;
    struct wire line[PIRQ_LINES]; /* a device drives each line with the bit of its number */
    uint32_t output;              /* bit n: irq n is asserted, as the port last heard of it */
    struct pirq_config config;
};

/* Reset: nothing asserted, nothing routed to the 8259A pair. */
void pirq_init(struct pirq *p, const struct pirq_config *config);

/* Everything but the configuration comes from `saved`; the port hears nothing. */
void pirq_restore(struct pirq *p, const struct pirq *saved);

/* Device `device` (0 to 31) asserts its pin, or lets it go. Functions that share a pin are one
   driver: their device says what they say together. Other devices and pins do nothing. */
void pirq_drive(struct pirq *p, unsigned device, enum pirq_pin pin, bool level);

/* The line (0: PIRQA#) that this pin of this device (0 to 31) is wired to. */
unsigned pirq_line(enum pirq_board board, unsigned device, enum pirq_pin pin);

/* The input of the 8259A pair that `line` drives, or PIRQ_NOT_ROUTED. */
int pirq_route(const struct pirq *p, unsigned line);

/* Accesses to the bridge's configuration space, by offset and size in bytes (1, 2 or 4; others do
   nothing and read 0). Offsets without a route control register read 0. A route that changes
   takes its level along: the input that it leaves falls, then the other one rises. */
uint32_t pirq_read(const struct pirq *p, uint16_t offset, unsigned size);
void pirq_write(struct pirq *p, uint16_t offset, unsigned size, uint32_t value);
#endif
