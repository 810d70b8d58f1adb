/* Which of the accesses that rules know it is: by the register, and of an ICR by what it sends. */
#include "virt/hypothetical_parts.h"

/* By the register's place; plus 1, 0 for none. */
static const uint8_t reads[SLOTS] = {
#define ACCESS(...)
#define READ(reg) [LAPIC_##reg / SLOT_BYTES] = HYPOTHETICAL_READ_##reg + 1,
#define WRITE(reg)
#include "virt/hypothetical_accesses.def"
#undef ACCESS
};

static const uint8_t writes[SLOTS] = {
#define ACCESS(...)
#define READ(reg)
#define WRITE(reg) [LAPIC_##reg / SLOT_BYTES] = HYPOTHETICAL_WRITE_##reg + 1,
#include "virt/hypothetical_accesses.def"
#undef ACCESS
    [LAPIC_TPR / SLOT_BYTES] = HYPOTHETICAL_TPR + 1,
    [LAPIC_EOI / SLOT_BYTES] = HYPOTHETICAL_EOI + 1,
    [LAPIC_ICR_LO / SLOT_BYTES] = HYPOTHETICAL_IPI_UNICAST + 1, /* or another: ipi_of() */
    [LAPIC_TIMER_INITIAL / SLOT_BYTES] = HYPOTHETICAL_TIMER_COUNT + 1,
    [LAPIC_SELF_IPI / SLOT_BYTES] = HYPOTHETICAL_SELF_IPI + 1,
};

/* ICR: delivery mode, trigger mode, delivery status and the reserved bits, all 0 in an IPI that is
   fixed and edge-triggered (SDM 3A "Interrupt Command Register (ICR)"). */
#define ICR_NOT_PLAIN UINT32_C(0xfff3b700)

static enum hypothetical_access ipi_of(const struct lapic *l, uint64_t icr,
                                       const struct irq_msg *m)
{
    const uint32_t everybody = l->mode == LAPIC_MODE_X2APIC ? UINT32_MAX : UINT8_MAX;

    if (icr & ICR_NOT_PLAIN)
        return HYPOTHETICAL_IPI_OTHER;
    if (m->shorthand == IRQ_SELF)
        return HYPOTHETICAL_IPI_SELF;
    if (m->shorthand != IRQ_NO_SHORTHAND || m->dest == everybody)
        return HYPOTHETICAL_IPI_BROADCAST;
    return m->logical ? HYPOTHETICAL_IPI_LOGICAL : HYPOTHETICAL_IPI_UNICAST;
}

static void prepare_ipi(const struct virt_cpu *v, struct hypothetical_act *a)
{
    const uint64_t icr =
        a->by_msr ? a->value : (uint64_t)v->apic->regs.ICR_HI << 32 | (uint32_t)a->value;

    a->message = lapic_decode_icr(v->apic, icr);
    a->message.flow = v->message_flow;
    a->access = ipi_of(v->apic, icr, &a->message);
}

static void prepare_self_ipi(const struct virt_cpu *v, struct hypothetical_act *a)
{
    a->message = (struct irq_msg){
        .vector = (uint8_t)a->value,
        .shorthand = IRQ_SELF,
        .source = v->apic->config.index,
        .flow = v->message_flow,
    };
}

static bool named(const struct virt_cpu *v, struct hypothetical_act *a, const uint8_t *table)
{
    const unsigned slot = a->offset / SLOT_BYTES;

    if (a->offset % SLOT_BYTES || slot >= SLOTS)
        return false;
    if (table == reads && slot > LAPIC_ISR / SLOT_BYTES && slot < LAPIC_ESR / SLOT_BYTES)
        a->access = (enum hypothetical_access)(table[slot & ~7u] - 1);
    else if (table[slot])
        a->access = (enum hypothetical_access)(table[slot] - 1);
    else
        return false;
    if (table == writes && a->offset == LAPIC_ICR_LO)
        prepare_ipi(v, a);
    if (table == writes && a->offset == LAPIC_SELF_IPI)
        prepare_self_ipi(v, a);
    return true;
}

bool hypothetical_reads(const struct virt_cpu *v, struct hypothetical_act *a)
{
    return named(v, a, reads);
}

bool hypothetical_writes(const struct virt_cpu *v, struct hypothetical_act *a)
{
    return named(v, a, writes);
}
