/*
 * Entries of the interrupt remapping table: VT-d 9.9 and 9.10 "Interrupt
 * Remapping Table Entry (IRTE)", looked at in the order of 5.1.4
 * "Interrupt-Remapping Hardware Operation": present, the source, the format, and
 * then what the entry says.
 */
#include "irq/remap_parts.h"

enum { DST_XAPIC_SHIFT = 8, PDAL_SHIFT = 6 };

/* IRTE's and POSTED's rows, in the table's order. */
static bool only_fields(const struct remap_words *irte, enum remap_field first,
                        enum remap_field last)
{
    for (unsigned n = 0; n < 2; n++) {
        uint64_t known = 0;

        for (unsigned f = first; f <= last; f++)
            known |= bits_mask(remap_fields[f], n);
        if (irte->word[n] & ~known)
            return false;
    }
    return true;
}

/* The codes that 9.9 does not list; 6 would be a startup IPI. */
static bool delivery_reserved(const struct remap_words *irte)
{
    const uint64_t delivery = remap_get(irte->word, REMAP_IRTE_DLM);

    return delivery == 3 || delivery == IRQ_STARTUP;
}

static bool destination_reserved(const struct remap_words *irte)
{
    return remap_get(irte->word, REMAP_IRTE_DST) != remap_get(irte->word, REMAP_IRTE_DST_XAPIC)
                                                        << DST_XAPIC_SHIFT;
}

static uint64_t descriptor_address(const struct remap_words *irte)
{
    return remap_get(irte->word, REMAP_POSTED_PDAH) << 32 |
           remap_get(irte->word, REMAP_POSTED_PDAL) << PDAL_SHIFT;
}

static bool reserved_bits_set(const struct remap_words *irte, bool extended)
{
    if (remap_get(irte->word, REMAP_IRTE_IM))
        return !only_fields(irte, REMAP_POSTED_P, REMAP_POSTED_PDAH) ||
               descriptor_address(irte) >> REMAP_ADDRESS_WIDTH;
    return !only_fields(irte, REMAP_IRTE_P, REMAP_IRTE_SVT) || delivery_reserved(irte) ||
           (!extended && destination_reserved(irte));
}

/* SID, SQ and SVT are where they are in both kinds of entry. */
static bool source_allowed(const struct remap_words *irte, uint16_t source_id)
{
    static const uint16_t counts[] = {
        [REMAP_SQ_ALL] = 0xffff,
        [REMAP_SQ_IGNORE_BIT_2] = 0xfffb,
        [REMAP_SQ_IGNORE_BITS_2_TO_1] = 0xfff9,
        [REMAP_SQ_IGNORE_FUNCTION] = 0xfff8,
    };
    const unsigned sid = (unsigned)remap_get(irte->word, REMAP_IRTE_SID);
    const unsigned bus = source_id >> 8;

    switch (remap_get(irte->word, REMAP_IRTE_SVT)) {
    case REMAP_SVT_ANYBODY:
        return true;
    case REMAP_SVT_REQUESTER:
        return !((sid ^ source_id) & counts[remap_get(irte->word, REMAP_IRTE_SQ)]);
    case REMAP_SVT_BUS_RANGE: /* SID: the first bus and the last */
        return bus >= sid >> 8 && bus <= (sid & 0xff);
    default: /* a reserved code allows nobody */
        return false;
    }
}

static void post(const struct remap_words *irte, struct remap_verdict *verdict)
{
    verdict->outcome = REMAP_POST;
    verdict->vector = (uint8_t)remap_get(irte->word, REMAP_POSTED_VV);
    verdict->urgent = remap_get(irte->word, REMAP_POSTED_URG);
    verdict->descriptor = descriptor_address(irte);
}

/* The other delivery modes are edge triggered whatever TM says. */
static bool level_triggered(const struct remap_words *irte, unsigned delivery)
{
    return remap_get(irte->word, REMAP_IRTE_TM) &&
           (delivery == IRQ_FIXED || delivery == IRQ_LOWEST_PRIORITY);
}

static void pass(const struct remap_words *irte, bool extended, struct remap_verdict *verdict)
{
    const unsigned delivery = (unsigned)remap_get(irte->word, REMAP_IRTE_DLM);

    verdict->outcome = REMAP_PASS;
    verdict->message = (struct irq_msg){
        .vector = (uint8_t)remap_get(irte->word, REMAP_IRTE_V),
        .delivery = remap_delivery(delivery, remap_get(irte->word, REMAP_IRTE_RH)),
        .logical = remap_get(irte->word, REMAP_IRTE_DM),
        .level = level_triggered(irte, delivery),
        .dest =
            (uint32_t)remap_get(irte->word, extended ? REMAP_IRTE_DST : REMAP_IRTE_DST_XAPIC),
        .source = TRACE_NOWHERE,
    };
}

/* FPD counts whatever P says. */
void remap_apply(const struct remap_words *irte, bool extended, struct remap_verdict *verdict)
{
    verdict->suppressed = remap_get(irte->word, REMAP_IRTE_FPD);
    verdict->outcome = REMAP_FAULT;
    if (!remap_get(irte->word, REMAP_IRTE_P))
        verdict->reason = REMAP_FAULT_NOT_PRESENT;
    else if (!source_allowed(irte, verdict->source_id))
        verdict->reason = REMAP_FAULT_SOURCE;
    else if (reserved_bits_set(irte, extended))
        verdict->reason = REMAP_FAULT_ENTRY_RESERVED;
    else if (remap_get(irte->word, REMAP_IRTE_IM))
        post(irte, verdict);
    else
        pass(irte, extended, verdict);
}

/* ---- entries as software writes them ---- */

struct remap_words remap_entry_remapped(uint8_t vector, uint32_t apic_id)
{
    struct remap_words irte = {{0}};

    remap_put(irte.word, REMAP_IRTE_P, 1);
    remap_put(irte.word, REMAP_IRTE_V, vector);
    remap_put(irte.word, REMAP_IRTE_DST, apic_id);
    return irte;
}

struct remap_words remap_entry_nmi(uint32_t apic_id)
{
    struct remap_words irte = remap_entry_remapped(0, apic_id);

    remap_put(irte.word, REMAP_IRTE_DLM, IRQ_NMI);
    return irte;
}

struct remap_words remap_entry_posted(uint8_t vector, uint64_t descriptor, bool urgent)
{
    struct remap_words irte = {{0}};

    remap_put(irte.word, REMAP_POSTED_P, 1);
    remap_put(irte.word, REMAP_POSTED_IM, 1);
    remap_put(irte.word, REMAP_POSTED_URG, urgent);
    remap_put(irte.word, REMAP_POSTED_VV, vector);
    remap_put(irte.word, REMAP_POSTED_PDAL, descriptor >> 6);
    remap_put(irte.word, REMAP_POSTED_PDAH, descriptor >> 32);
    return irte;
}
