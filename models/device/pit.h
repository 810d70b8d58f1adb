/*
 * The 8254 programmable interval timer of a PC, and what port 61H does with its
 * counter 2 (Intel 8254 data sheet, order number 231164; Intel ICH9 data sheet
 * (316972), "NMI Status and Control Register").
 *
 * Counters 0 and 1 have GATE tied high; port 61H drives that of counter 2. CLK
 * is 1 193 182 Hz, its edge 0 is power-on. Nothing ticks: counts are computed
 * when they are read, and one event is armed for the next change of OUT 0.
 *
 * To wire it: the queue needs room for one event; the ports are those that
 * pit_owns() names, a byte each (a wider access is its bytes, lowest port
 * first); `output` is OUT 0 and goes to the ISA line IRQ 0, chipset input 0,
 * except while an HPET stands in for it (hpet_replaces_legacy()). OUT 1 and
 * OUT 2 go nowhere. Left out: the speaker's sound, and the NMIs of port 61H.
 */
#ifndef VIRQSIM_DEVICE_PIT_H
#define VIRQSIM_DEVICE_PIT_H

#include "device/pit_counter.h"
#include "port/event.h"
#include "port/wire.h"

enum { PIT_COUNTERS = 3, PIT_HZ = 1193182 };

/* Ports, as software addresses them: PIT_COUNTER_0 = 0x40, and so on. */
enum pit_port_number {
#define REG(name, port, ...) PIT_##name = (port),
#define FIELD(...)
#include "device/pit_regs.def"
#undef REG
#undef FIELD
};

struct pit {
    struct pit_counter counter[PIT_COUNTERS];
    uint8_t nmi_sc; /* what port 61H stores */
    bool output;    /* OUT 0, as the listener last heard of it */
    struct clock clock;
    struct event edge;
    struct event_queue *events;
    struct wire_listener *listener; /* NULL: nobody is connected */
};

/* Power-up, and what firmware does to counter 1: refresh every 18 pulses. Counters 0 and 2 are
   not programmed, their OUT is low. Registers its event with the queue. */
void pit_init(struct pit *p, struct event_queue *events, struct wire_listener *listener);

/* Ports 40H to 43H and 61H; others: a read gives FFH, a write does nothing. Time is the queue's. */
bool pit_owns(uint16_t port);
uint8_t pit_read(struct pit *p, uint16_t port);
void pit_write(struct pit *p, uint16_t port, uint8_t value);

/* The level of OUT of a counter (0 to 2) now. Changes nothing. */
bool pit_output(const struct pit *p, unsigned counter);

/* The counters and port 61H come from `saved`, with its time; arms the event, and tells the
   listener when OUT 0 differs from what it heard last. */
void pit_restore(struct pit *p, const struct pit *saved);
#endif
