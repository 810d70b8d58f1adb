/*
 * IOEPIC: the interrupt controller for the device pins of an Elbrus machine.
 *
 * Each pin has a page of registers that say what message its assertion makes:
 * like an MSI, with a delivery status that an EOI by a write ends. Names,
 * offsets and behaviour are those that the Linux kernel for e2k relies on and
 * its KVM emulates (arch/e2k/kvm/ioepic.c); docs/models/epic.md tells what is
 * assumed.
 */
#ifndef VIRQSIM_IRQ_IOEPIC_H
#define VIRQSIM_IRQ_IOEPIC_H

#include "irq/epic_msg.h"

enum {
    IOEPIC_MOST_PINS = 64,
    IOEPIC_PIN_BYTES = 0x1000,
    IOEPIC_EOI = 1 << 12, /* INT_CTRL.DELIVERY_STATUS, written */
    IOEPIC_VERSION_1 = 1,
    IOEPIC_VERSION_2
};

/* Offsets in a pin's page. */
enum ioepic_offset {
#define REG(name, offset, ...) IOEPIC_##name = (offset),
#define FIELD(...)
#include "irq/ioepic_regs.def"
#undef REG
#undef FIELD
};

struct ioepic_port {
    /* Pin `pin` sends `msg`; its flow is 0, the owner knows whose interrupt it is. False: no CEPIC
       accepted it. */
    bool (*send)(struct ioepic_port *self, unsigned pin, const struct epic_msg *msg);
};

/* The rows of ioepic_regs.def; a pin has those from INT_CTRL on. */
enum ioepic_row {
#define REG(name, ...) IOEPIC_ROW_##name,
#define FIELD(...)
#include "irq/ioepic_regs.def"
#undef REG
#undef FIELD
    IOEPIC_ROWS
};

struct ioepic {
    uint32_t pin[IOEPIC_MOST_PINS][IOEPIC_ROWS]; /* ID and VERSION are pin 0's */
    uint64_t level;                              /* bit n: pin n is asserted */
    uint8_t pins, version;
    struct ioepic_port *port;
};

/* pins: 1 to IOEPIC_MOST_PINS; version: IOEPIC_VERSION_*. Every pin is masked. */
void ioepic_init(struct ioepic *io, unsigned pins, unsigned version, struct ioepic_port *port);

/* A rising edge, or a level while none is outstanding, sends the pin's message unless masked. */
void ioepic_drive(struct ioepic *io, unsigned pin, bool level);

/* Four bytes at an offset from the first page. Elsewhere, and with another size, a read gives all
   ones and a write does nothing. */
uint32_t ioepic_read(const struct ioepic *io, uint32_t offset, unsigned size);
void ioepic_write(struct ioepic *io, uint32_t offset, unsigned size, uint32_t value);

/* What the pin sends. Changes nothing. */
struct epic_msg ioepic_message(const struct ioepic *io, unsigned pin);
#endif
