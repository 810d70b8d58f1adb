/*
 * An interrupt line: several drivers, wired-OR, one listener.
 *
 * A driver may repeat itself; only a change of the resulting level is heard.
 * Polarity, edge or level, and masking belong to whoever listens.
 */
#ifndef VIRQSIM_PORT_WIRE_H
#define VIRQSIM_PORT_WIRE_H

#include <stdbool.h>
#include <stdint.h>

enum { WIRE_MAX_DRIVERS = 32 };

struct wire_listener {
    void (*changed)(struct wire_listener *self, bool level);
};

struct wire {
    struct wire_listener *listener; /* NULL: nobody is connected */
    uint32_t drivers;               /* bit n: driver n asserts */
};

static inline bool wire_level(const struct wire *w)
{
    return w->drivers != 0;
}

static inline void wire_drive(struct wire *w, unsigned driver, bool level)
{
    const bool before = wire_level(w);
    const uint32_t bit = UINT32_C(1) << driver;

    w->drivers = level ? w->drivers | bit : w->drivers & ~bit;
    if (w->listener && wire_level(w) != before)
        w->listener->changed(w->listener, !before);
}
#endif
