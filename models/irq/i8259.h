/*
 * The 8259A interrupt controller, two of them cascaded as in a PC (Intel
 * 8259A data sheet, order number 231468-003; edge/level registers: Intel 82371SB
 * (PIIX3) data sheet, "Interrupt Controller Registers").
 *
 * Lines 0 to 7 are the master's inputs, 8 to 15 the slave's; the slave's INT is
 * the master's input 2. The pair knows levels, not interrupts: who raised a
 * line, and whose interrupt it was, is its owner's affair.
 */
#ifndef VIRQSIM_IRQ_I8259_H
#define VIRQSIM_IRQ_I8259_H

#include <stdbool.h>
#include <stdint.h>

enum { I8259_LINES = 16, I8259_CASCADE = 2, I8259_NO_LINE = -1 };

/* Where a reference departs from the data sheet, and may be followed; a bit each. */
enum i8259_quirk {
#define QUIRK(name, id, qemu, kvm, title) I8259_QUIRK_##name,
#include "irq/i8259_quirks.def"
#undef QUIRK
    I8259_QUIRK_COUNT
};

/* What the chip takes a write to A0 = 1 for. */
enum i8259_awaits { I8259_AWAITS_OCW, I8259_AWAITS_ICW2, I8259_AWAITS_ICW3, I8259_AWAITS_ICW4 };

struct i8259_chip {
    uint8_t level;      /* the inputs as they are */
    uint8_t request;    /* IRR */
    uint8_t in_service; /* ISR */
    uint8_t mask;       /* IMR */
    uint8_t elcr;       /* the inputs that are level triggered, whatever LTIM says */
    uint8_t base;       /* T7 to T3 of ICW2, in place */
    uint8_t highest;    /* the input with the highest priority */
    uint8_t edge;       /* edge sense latches: the input rose, and was not acknowledged since */
    uint8_t icw1, icw4;
    uint8_t cascade;  /* ICW3: the master's inputs that have a slave, or the slave's identity */
    uint8_t awaits;   /* enum i8259_awaits */
    bool initialized; /* the last ICW was seen: ready to accept interrupt requests */
    bool rotate_in_auto_eoi, special_mask;
    bool poll;            /* the next read is a poll; until then IRR is frozen */
    bool read_in_service; /* a read of A0 = 0 gives ISR */
};

struct i8259_port {
    /* The master's INT output changed. */
    void (*output)(struct i8259_port *self, bool level);
};

struct i8259 {
    struct i8259_chip chip[2]; /* master, slave */
    bool output;               /* INT, as the port last heard of it */
    uint32_t quirks;           /* of enum i8259_quirk */
    struct i8259_port *port;   /* required */
};

/* Power-up: no ICW seen, nothing requested, all lines low. */
void i8259_init(struct i8259 *pic, struct i8259_port *port, uint32_t quirks);

/* Drives input `line` (0 to 15; 2 is the cascade, and is ignored). */
void i8259_drive(struct i8259 *pic, unsigned line, bool level);

/* Ports 20H, 21H, A0H, A1H, 4D0H, 4D1H; others: a read gives FFH, a write does nothing. A read
   changes nothing but for a poll. */
uint8_t i8259_read(struct i8259 *pic, uint16_t port);
void i8259_write(struct i8259 *pic, uint16_t port, uint8_t value);
bool i8259_owns(uint16_t port);

/* INT; and the line whose vector the next INTA would give, or I8259_NO_LINE. Change nothing. */
bool i8259_output(const struct i8259 *pic);
int i8259_pending(const struct i8259 *pic);

struct i8259_answer {
    uint8_t vector;
    int8_t line; /* I8259_NO_LINE: nothing was requested any more, the spurious IR7 */
};
/* The two INTA pulses (8086 mode), whatever INT says. */
struct i8259_answer i8259_acknowledge(struct i8259 *pic);

/* By line: what IRR, ISR and IMR of both chips say; the vector of a line, by ICW2. */
uint16_t i8259_requests(const struct i8259 *pic);
uint16_t i8259_in_service(const struct i8259 *pic);
uint16_t i8259_masked(const struct i8259 *pic);
uint8_t i8259_vector(const struct i8259 *pic, unsigned line);

/*
 * State from elsewhere: a snapshot of another implementation, a recorded log. The chip (0: master)
 * is then as after an initialization for 8086 mode that ended with these values; ELCR stays, and
 * is where level-triggered inputs are looked up. What is requested has a line that is high.
 */
struct i8259_state {
    uint8_t request, level, in_service, mask;
    uint8_t base;    /* bits 7 to 3 */
    uint8_t highest; /* the input with the highest priority, 0 to 7 */
    bool auto_eoi;
};
void i8259_load(struct i8259 *pic, unsigned chip, const struct i8259_state *state);

/* Everything but the port and the quirks comes from `saved`; tells the port when INT differs. */
void i8259_restore(struct i8259 *pic, const struct i8259 *saved);
#endif
