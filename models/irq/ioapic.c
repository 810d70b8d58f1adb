/*
 * The I/O APIC: pins, redirection entries, and what leaves for the APIC bus.
 *
 * An edge is sent when the pin becomes active, or never. A level is sent
 * whenever the pin is active, the entry open and Remote IRR clear; that becomes
 * so by the pin, by a write to the entry, or by an EOI. The registers are in
 * ioapic_registers.c.
 */
#include "irq/ioapic_parts.h"

/* ---- an entry: 3.2.4 ---- */

static unsigned delivery_mode(const struct ioapic *io, unsigned pin)
{
    return (unsigned)bits_get(&io->entry[pin], ENTRY_FIELD(DELIVERY_MODE));
}

/* NMI is edge-triggered whatever the bit says, and SMI, INIT and ExtINT have to be. */
static bool has_trigger_mode(const struct ioapic *io, unsigned pin)
{
    const unsigned delivery = delivery_mode(io, pin);

    return delivery == IRQ_FIXED || delivery == IRQ_LOWEST_PRIORITY ||
           ioapic_follows(io, IOAPIC_QUIRK_LEVEL_MODES);
}

/* 011 and 110. On its way 110 would be a start-up IPI, which only a processor sends. */
static bool has_reserved_mode(const struct ioapic *io, unsigned pin)
{
    enum { RESERVED = 3 };
    const unsigned delivery = delivery_mode(io, pin);

    return (delivery == RESERVED || delivery == IRQ_STARTUP) &&
           !ioapic_follows(io, IOAPIC_QUIRK_RESERVED_MODES);
}

bool ioapic_is_level(const struct ioapic *io, unsigned pin)
{
    return (io->entry[pin] & ENTRY_BIT(TRIGGER_MODE)) && has_trigger_mode(io, pin);
}

bool ioapic_masked(const struct ioapic *io, unsigned pin)
{
    return io->entry[pin] & ENTRY_BIT(MASK);
}

bool ioapic_remote_irr(const struct ioapic *io, unsigned pin)
{
    return io->entry[pin] & ENTRY_BIT(REMOTE_IRR);
}

bool ioapic_asserted(const struct ioapic *io, unsigned pin)
{
    const bool low =
        io->entry[pin] & ENTRY_BIT(POLARITY) && !ioapic_follows(io, IOAPIC_QUIRK_ACTIVE_HIGH);

    return (io->level >> pin & 1) != low;
}

bool ioapic_open(const struct ioapic *io, unsigned pin)
{
    return ioapic_asserted(io, pin) && !ioapic_masked(io, pin);
}

struct irq_msg ioapic_message(const struct ioapic *io, unsigned pin)
{
    const uint64_t *entry = &io->entry[pin];

    return (struct irq_msg){
        .vector = (uint8_t)bits_get(entry, ENTRY_FIELD(VECTOR)),
        .delivery = (uint8_t)delivery_mode(io, pin),
        .logical = *entry & ENTRY_BIT(DESTINATION_MODE),
        .level = ioapic_is_level(io, pin),
        .dest = (uint32_t)bits_get(entry, ENTRY_FIELD(DESTINATION)),
        .source = TRACE_NOWHERE,
    };
}

/* ---- sending ---- */

static bool send(struct ioapic *io, unsigned pin)
{
    const struct irq_msg msg = ioapic_message(io, pin);

    return !has_reserved_mode(io, pin) && io->config.port->send(io->config.port, pin, &msg);
}

void ioapic_send_level(struct ioapic *io, unsigned pin)
{
    if (!ioapic_is_level(io, pin) || !ioapic_open(io, pin) || ioapic_remote_irr(io, pin))
        return;
    /* The message may meet an EOI on its way back: the bit stands before anybody hears of it. */
    io->entry[pin] |= ENTRY_BIT(REMOTE_IRR);
    if (!send(io, pin) && !ioapic_follows(io, IOAPIC_QUIRK_NOBODY))
        io->entry[pin] &= ~ENTRY_BIT(REMOTE_IRR);
}

void ioapic_evaluate(struct ioapic *io)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic_send_level(io, pin);
}

/* ---- pins ---- */

static void set_level(struct ioapic *io, unsigned pin, bool level)
{
    const uint32_t bit = UINT32_C(1) << pin;

    io->level = level ? io->level | bit : io->level & ~bit;
}

static void send_edge(struct ioapic *io, unsigned pin)
{
    if (ioapic_follows(io, IOAPIC_QUIRK_RERAISE))
        set_level(io, pin, false);
    send(io, pin);
}

static bool hears(const struct ioapic *io, unsigned pin, bool level)
{
    return ioapic_is_level(io, pin) || (level && !ioapic_masked(io, pin)) ||
           !ioapic_follows(io, IOAPIC_QUIRK_DEAF_EDGE);
}

void ioapic_drive(struct ioapic *io, unsigned pin, bool level)
{
    if (pin >= IOAPIC_PINS)
        return;
    if (pin == 0 && ioapic_follows(io, IOAPIC_QUIRK_PIN0))
        pin = 2;
    const bool before = ioapic_asserted(io, pin);

    if (hears(io, pin, level))
        set_level(io, pin, level);
    if (ioapic_is_level(io, pin))
        ioapic_send_level(io, pin);
    else if (ioapic_open(io, pin) && !before)
        send_edge(io, pin);
}

/* ---- EOI, and what does its work ---- */

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if (!ioapic_is_level(io, pin) || ioapic_message(io, pin).vector != vector)
            continue;
        io->entry[pin] &= ~ENTRY_BIT(REMOTE_IRR);
        ioapic_send_level(io, pin);
    }
}

/* Remote IRR is not software's, but an entry that becomes edge-triggered has none: systems rely on
   it to end a level whose EOI went astray (Linux, __eoi_ioapic_pin()). */
void ioapic_rewritten(struct ioapic *io, unsigned pin)
{
    if (ioapic_is_level(io, pin)) {
        ioapic_send_level(io, pin);
        return;
    }
    io->entry[pin] &= ~ENTRY_BIT(REMOTE_IRR);
    if (ioapic_open(io, pin) && ioapic_follows(io, IOAPIC_QUIRK_LEVEL_AS_EDGE))
        send_edge(io, pin);
}
