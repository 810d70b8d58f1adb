/*
 * One counter of the 8254: control word, count register, counting element and
 * output latches (Intel 8254 data sheet, 231164, "Functional Description").
 *
 * It knows CLK pulses by number and no time. Its state is that after pulse
 * `pulse`; what pulses do until then is computed, however many there were.
 * Whoever writes, reads or moves GATE first advances it to the pulse of now.
 */
#ifndef VIRQSIM_DEVICE_PIT_COUNTER_H
#define VIRQSIM_DEVICE_PIT_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#define PIT_NO_PULSE UINT64_MAX

struct pit_counter {
    uint8_t control; /* RW, M and BCD, as they were written */
    bool gate;
    bool out;

    /* The count register (CR). */
    uint16_t count_register;
    uint8_t low_byte;     /* of a count whose high byte is awaited */
    bool write_high_next; /* the flip-flop of two-byte writes */
    bool count_written;   /* since the control word */
    bool null_count;      /* what was written is not in the counting element yet */

    /* The counting element (CE). */
    uint64_t pulse;
    uint64_t periods;    /* how many ended, in modes 2 and 3 */
    uint32_t initial;    /* the count that it was loaded with last */
    uint32_t element;    /* binary in both number systems; up to 65536 */
    bool loaded;         /* since the control word */
    bool load_next;      /* the next pulse loads it and does not count */
    bool half_written;   /* mode 0: a first byte stops the count until the second one */
    bool terminal_count; /* modes 0, 1, 4, 5: reached zero since it was loaded */

    /* The output latches (OL) and the status latch. */
    bool read_high_next;
    bool count_latched, status_latched;
    uint16_t latched_count;
    uint8_t latched_status;
};

/* Power-up: as a mode 0 control word for two-byte counts leaves it, OUT low; no count. */
void pit_counter_init(struct pit_counter *c, bool gate);

/* On to the state after `pulse`, which is not before the present one. */
void pit_counter_advance(struct pit_counter *c, uint64_t pulse);

/* The pulse at which OUT changes next if nobody writes; PIT_NO_PULSE: never. Changes nothing. */
uint64_t pit_counter_next_edge(const struct pit_counter *c);

/* A control word that is no command, a byte for the count, the level of GATE. */
void pit_counter_control(struct pit_counter *c, uint8_t word);
void pit_counter_write(struct pit_counter *c, uint8_t byte);
void pit_counter_gate(struct pit_counter *c, bool level);

/* Latch commands: ignored while what was latched before is not read. */
void pit_counter_latch_count(struct pit_counter *c);
void pit_counter_latch_status(struct pit_counter *c);

/* A read of the counter's port: latched status, else latched count, else the running count. */
uint8_t pit_counter_read(struct pit_counter *c);

/* The running count as software sees it (BCD where programmed so). Changes nothing. */
uint16_t pit_counter_value(const struct pit_counter *c);

/* 0 to 5. */
unsigned pit_counter_mode(const struct pit_counter *c);
#endif
