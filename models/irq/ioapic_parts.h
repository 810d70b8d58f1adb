/* What the I/O APIC's files share, and nobody else needs. */
#ifndef VIRQSIM_IRQ_IOAPIC_PARTS_H
#define VIRQSIM_IRQ_IOAPIC_PARTS_H

#include "irq/ioapic.h"
#include "port/bits.h"

#define FIELD(reg, name, high, low, meaning)                                                   \
    reg##_##name##_HIGH = (high), reg##_##name##_LOW = (low),
#define REG(...)
enum {
#include "irq/ioapic_regs.def"
};
#undef REG
#undef FIELD

#define ENTRY_FIELD(name) ((struct bit_field){REDTBL_##name##_HIGH, REDTBL_##name##_LOW})
#define ENTRY_BIT(name)   (UINT64_C(1) << REDTBL_##name##_LOW)

static inline bool ioapic_follows(const struct ioapic *io, enum ioapic_quirk quirk)
{
    return io->config.quirks >> quirk & 1;
}

/* Asserted and not masked. */
bool ioapic_open(const struct ioapic *io, unsigned pin);

/* Sends a level that is open and was not accepted yet; nothing otherwise. */
void ioapic_send_level(struct ioapic *io, unsigned pin);

/* The entry was written: what becomes of Remote IRR, and of a level that waits. */
void ioapic_rewritten(struct ioapic *io, unsigned pin);
#endif
