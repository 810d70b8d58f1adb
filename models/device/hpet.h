/*
 * The high precision event timers: one 64-bit up-counter and three comparators
 * (IA-PC HPET specification, revision 1.0a).
 *
 * Nothing ticks: the main counter and the comparators of periodic timers are
 * computed when they are looked at, and one event is armed for the next match
 * that somebody can see.
 *
 * To wire it: the queue needs room for one event; hpet_owns() tells the
 * addresses. `line` drives chipset input `number`: the route that software
 * chose, or 0 and 8 when the timers stand in for the 8254 and the RTC. While
 * `legacy` says so, those two are cut off from their inputs. `message` is a
 * memory write, an MSI. Left out: several blocks, and timers that have only 32
 * bits or no periodic mode.
 */
#ifndef VIRQSIM_DEVICE_HPET_H
#define VIRQSIM_DEVICE_HPET_H

#include "port/event.h"

enum { HPET_TIMERS = 3, HPET_BYTES = 0x400, HPET_TIMER_STRIDE = 0x20 };
#define HPET_BASE 0xfed00000u /* usual; ACPI tells software */

/* The lines of the legacy replacement: IRQ 0 (the I/O APIC's input 2) and IRQ 8. */
enum { HPET_LINE_PIT = 0, HPET_LINE_RTC = 8 };

/* Usual clocks: chipsets', and QEMU's. At least 10 MHz (2.3.4, COUNTER_CLK_PERIOD). */
enum { HPET_HZ_CHIPSET = 14318180, HPET_HZ_QEMU = 100000000 };

/* Offsets, those of timer 0: HPET_GCAP_ID = 0x000, HPET_TIM_CONF = 0x100, and so on. */
enum hpet_offset {
#define REG(name, offset, ...)   HPET_##name = (offset),
#define TIMER(name, offset, ...) HPET_##name = (offset),
#define FIELD(...)
#include "device/hpet_regs.def"
#undef REG
#undef TIMER
#undef FIELD
};

enum {
    HPET_ENABLE = 1 << 0, /* GEN_CONF */
    HPET_LEGACY = 1 << 1,
    HPET_LEVEL = 1 << 1, /* TIM_CONF */
    HPET_INTERRUPT = 1 << 2,
    HPET_PERIODIC = 1 << 3,
    HPET_VALUE_SET = 1 << 6,
    HPET_32_BIT = 1 << 8,
    HPET_ROUTE_SHIFT = 9,
    HPET_ROUTE = 0x1f << HPET_ROUTE_SHIFT,
    HPET_FSB = 1 << 14,
    HPET_FSB_CAPABLE = 1 << 15,
};

struct hpet_port {
    /* Line `number` is asserted or not; level-triggered timers share lines, wired-OR. An edge is
       `true` and at once `false`. */
    void (*line)(struct hpet_port *self, unsigned number, bool level);
    /* FSB_EN_CNF: write `data` to `address`. */
    void (*message)(struct hpet_port *self, uint32_t address, uint32_t data);
    /* The legacy replacement began or ended. */
    void (*legacy)(struct hpet_port *self, bool replaces);
};

struct hpet_config {
    struct clock clock;
    uint32_t routes[HPET_TIMERS]; /* INT_ROUTE_CAP */
    bool fsb;                     /* FSB_INT_DEL_CAP, of every timer */
    struct event_queue *events;
    struct hpet_port *port; /* required */
};

struct hpet_regs {
#define REG(name, ...) uint64_t name;
#define TIMER(...)
#define FIELD(...)
#include "device/hpet_regs.def"
#undef REG
#undef TIMER
#undef FIELD
};

struct hpet_timer {
#define REG(...)
#define TIMER(name, ...) uint64_t name;
#define FIELD(...)
#include "device/hpet_regs.def"
#undef REG
#undef TIMER
#undef FIELD
    uint64_t period; /* what was last written to TIM_COMP */
};

struct hpet {
    struct hpet_regs regs; /* with its timers, as at clock edge `tick` */
    struct hpet_timer timer[HPET_TIMERS];
    uint64_t tick;
    uint32_t lines; /* asserted, and the legacy replacement, as the port last heard */
    bool legacy;
    struct event match;
    struct hpet_config config;
};

/* Power-up: halted at 0, nothing asserted. Registers its event with the queue. */
void hpet_init(struct hpet *h, const struct hpet_config *config);

/* An access of 4 bytes at a multiple of 4, or of 8 at a multiple of 8, by offset from the base.
   Others, and reserved registers: a read gives 0, a write does nothing. Time is the queue's. */
uint64_t hpet_read(struct hpet *h, uint16_t offset, unsigned size);
void hpet_write(struct hpet *h, uint16_t offset, unsigned size, uint64_t value);

static inline bool hpet_owns(uint64_t address)
{
    return address >= HPET_BASE && address < HPET_BASE + HPET_BYTES;
}

/* Do timers 0 and 1 stand in for the 8254 and the RTC? 2.3.5, LEG_RT_CNF: both bits are set. */
static inline bool hpet_replaces_legacy(const struct hpet *h)
{
    return (h->regs.GEN_CONF & HPET_ENABLE) && (h->regs.GEN_CONF & HPET_LEGACY);
}

/* Registers and timers come from `saved`, with its time, which is not after now; arms the event,
   and tells the port of what differs from what it heard last. */
void hpet_restore(struct hpet *h, const struct hpet *saved);
#endif
