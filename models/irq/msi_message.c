/* Address and data of a message signalled interrupt, and what they say: the fields of msi_regs.def.
   Bit 14 of the data (LEVEL) is written and not read: a device sends asserted messages alone. */
#include "irq/msi_message.h"

#include "port/bits.h"

enum msi_field {
#define REG(...)
#define FIELD(reg, name, high, low, meaning) MSI_##reg##_##name,
#include "irq/msi_regs.def"
#undef FIELD
    MSI_FIELD_COUNT
};

static const struct bit_field fields[MSI_FIELD_COUNT] = {
#define FIELD(reg, name, high, low, meaning) [MSI_##reg##_##name] = {high, low},
#include "irq/msi_regs.def"
#undef FIELD
#undef REG
};

enum { MSI_BASE = 0xfee };

static unsigned get(uint64_t word, enum msi_field f)
{
    return (unsigned)bits_get(&word, fields[f]);
}

static void put(uint64_t *word, enum msi_field f, uint64_t value)
{
    bits_put(word, fields[f], value);
}

/* SDM 3A "Message Data Register Format". */
static bool reserved_mode(unsigned delivery)
{
    return delivery == 3 || delivery == IRQ_STARTUP;
}

/* The others are edge triggered whatever the trigger mode says. */
static bool may_be_level(unsigned delivery)
{
    return delivery == IRQ_FIXED || delivery == IRQ_LOWEST_PRIORITY;
}

/* RH asks for one of the processors named, which is what lowest priority does to a fixed
   interrupt. NMI, SMI, INIT and ExtINT go to every one of them. */
static unsigned redirected(unsigned delivery, bool hint)
{
    return hint && delivery == IRQ_FIXED ? IRQ_LOWEST_PRIORITY : delivery;
}

bool msi_decode(const struct msi_message *m, struct irq_msg *msg)
{
    const unsigned delivery = get(m->data, MSI_DATA_DELIVERY);

    if (m->address >> 32 || get(m->address, MSI_ADDRESS_BASE) != MSI_BASE)
        return false;
    if (reserved_mode(delivery))
        return false;
    *msg = (struct irq_msg){
        .vector = (uint8_t)get(m->data, MSI_DATA_VECTOR),
        .delivery = (uint8_t)redirected(delivery, get(m->address, MSI_ADDRESS_RH)),
        .logical = get(m->address, MSI_ADDRESS_DM),
        .level = get(m->data, MSI_DATA_TRIGGER) && may_be_level(delivery),
        .dest = get(m->address, MSI_ADDRESS_DEST),
        .source = TRACE_NOWHERE,
    };
    return true;
}

bool msi_encode(const struct irq_msg *msg, struct msi_message *m)
{
    uint64_t address = 0, data = 0;

    if (msg->shorthand != IRQ_NO_SHORTHAND || msg->dest > 0xff || msg->deassert ||
        reserved_mode(msg->delivery))
        return false;
    put(&address, MSI_ADDRESS_BASE, MSI_BASE);
    put(&address, MSI_ADDRESS_DEST, msg->dest);
    put(&address, MSI_ADDRESS_RH, msg->delivery == IRQ_LOWEST_PRIORITY);
    put(&address, MSI_ADDRESS_DM, msg->logical);
    put(&data, MSI_DATA_TRIGGER, msg->level && may_be_level(msg->delivery));
    put(&data, MSI_DATA_LEVEL, 1);
    put(&data, MSI_DATA_DELIVERY, msg->delivery);
    put(&data, MSI_DATA_VECTOR, msg->vector);
    *m = (struct msi_message){address, (uint32_t)data};
    return true;
}
