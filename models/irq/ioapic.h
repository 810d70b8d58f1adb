/*
 * The I/O APIC: Intel 82093AA data sheet (order number 290566), and version 20H
 * with its EOI register (Intel ICH9 data sheet, "I/O APIC Registers").
 *
 * A pin has a level; a redirection entry says what message it makes. Messages
 * leave through the port, which is the APIC bus; an EOI comes back from it.
 * Accepted at once by the bus: delivery status always reads idle.
 */
#ifndef VIRQSIM_IRQ_IOAPIC_H
#define VIRQSIM_IRQ_IOAPIC_H

#include "irq/irq_msg.h"

enum { IOAPIC_PINS = 24, IOAPIC_VERSION_11 = 0x11, IOAPIC_VERSION_20 = 0x20 };
#define IOAPIC_BASE 0xfec00000u

/* Where a reference departs from the data sheet, and may be followed; a bit each. */
enum ioapic_quirk {
#define QUIRK(name, id, qemu, kvm, title) IOAPIC_QUIRK_##name,
#include "irq/ioapic_quirks.def"
#undef QUIRK
    IOAPIC_QUIRK_COUNT
};

struct ioapic_port {
    /* Pin `pin` sends `msg`; its flow is 0, the owner knows whose interrupt it is. ExtINT: the
       receiver runs the INTA cycle. False: no local APIC accepted it. */
    bool (*send)(struct ioapic_port *self, unsigned pin, const struct irq_msg *msg);
};

struct ioapic_config {
    uint8_t version; /* IOAPIC_VERSION_* */
    /* Bits 55:48 of an entry can be written, as the remappable format asks for (VT-d 5.1.5.1);
       whoever remaps reads `entry`. ICH10 has them read-only. */
    bool extended_destination;
    uint32_t quirks; /* of enum ioapic_quirk */
    struct ioapic_port *port;
};

struct ioapic {
    uint64_t entry[IOAPIC_PINS]; /* redirection table, Remote IRR (bit 14) included */
    uint32_t level;              /* bit n: pin n is asserted (high) */
    uint8_t select;              /* IOREGSEL */
    uint32_t id;                 /* IOAPICID */
    struct ioapic_config config;
};

void ioapic_init(struct ioapic *io, const struct ioapic_config *config);

/* Drives pin `pin` (0 to 23); `level` is the electrical level, which the entry's polarity reads. */
void ioapic_drive(struct ioapic *io, unsigned pin, bool level);

/* Sends whatever is asserted, open and not accepted yet: after state was loaded. */
void ioapic_evaluate(struct ioapic *io);

/* IOREGSEL, IOWIN, and the EOI register of version 20H, by offset in the page. Registers have 4
   bytes, IOREGSEL of version 20H one of them: with another size, and elsewhere, a read gives 0 and
   a write does nothing. */
uint32_t ioapic_read(const struct ioapic *io, uint16_t offset, unsigned size);
void ioapic_write(struct ioapic *io, uint16_t offset, unsigned size, uint32_t value);

/* An EOI broadcast by a local APIC: Remote IRR of every level entry with this vector is cleared;
   what is still asserted is sent again. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

/* What an entry would send: for tables, EOI-exit bitmaps and irqfd routes. Changes nothing. */
struct irq_msg ioapic_message(const struct ioapic *io, unsigned pin);
bool ioapic_masked(const struct ioapic *io, unsigned pin);
bool ioapic_is_level(const struct ioapic *io, unsigned pin);
bool ioapic_remote_irr(const struct ioapic *io, unsigned pin);
/* Asserted, as the entry's polarity reads the pin. */
bool ioapic_asserted(const struct ioapic *io, unsigned pin);

/* Everything but the configuration comes from `saved`; sends nothing. */
void ioapic_restore(struct ioapic *io, const struct ioapic *saved);
#endif
