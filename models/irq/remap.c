/*
 * Interrupt requests: VT-d 5.1.4 "Interrupt-Remapping Hardware Operation". The
 * format, the index, the entry; what the entry says is in remap_irte.c, what
 * becomes of faults in remap_faults.c.
 */
#include "irq/remap_parts.h"

enum { IRTE_BYTES = 16, HANDLE_BITS = 15 };

const struct bit_field remap_fields[REMAP_FIELD_COUNT] = {
#define FIELD(structure, name, high, low, meaning) [REMAP_##structure##_##name] = {high, low},
#include "irq/remap_fields.def"
#undef FIELD
};

bool remap_extended(const struct remap *u)
{
    return remap_get(&u->table, REMAP_IRTA_EIME);
}

/* ---- compatibility format ---- */

static struct irq_msg compatibility_message(uint64_t address, uint64_t data)
{
    const bool level = remap_get(&data, REMAP_MESSAGE_TRIGGER);

    return (struct irq_msg){
        .vector = (uint8_t)remap_get(&data, REMAP_MESSAGE_VECTOR),
        .delivery = remap_delivery((unsigned)remap_get(&data, REMAP_MESSAGE_DELIVERY),
                                   remap_get(&address, REMAP_COMPAT_RH)),
        .logical = remap_get(&address, REMAP_COMPAT_DM),
        .level = level,
        .deassert = level && !remap_get(&data, REMAP_MESSAGE_ASSERT),
        .dest = (uint32_t)remap_get(&address, REMAP_COMPAT_DESTINATION),
        .source = TRACE_NOWHERE,
    };
}

static bool compatibility_passes(const struct remap *u)
{
    return !remap_extended(u) && remap_get(&u->regs.GSTS, REMAP_GSTS_CFIS);
}

/* ---- remappable format ---- */

/* VT-d 5.1.3 "Interrupt Remapping Table". The sum may need 17 bits; it is then beyond every
   table. */
static uint32_t interrupt_index(uint64_t address, uint64_t data)
{
    const uint64_t handle = remap_get(&address, REMAP_ADDRESS_HANDLE) |
                            remap_get(&address, REMAP_ADDRESS_HANDLE_HIGH) << HANDLE_BITS;

    if (!remap_get(&address, REMAP_ADDRESS_SHV))
        return (uint32_t)handle;
    return (uint32_t)(handle + remap_get(&data, REMAP_DATA_SUBHANDLE));
}

static bool index_in_table(const struct remap *u, uint32_t index)
{
    const uint64_t base = u->table & ~UINT64_C(0xfff);
    const uint64_t entries = UINT64_C(2) << remap_get(&u->table, REMAP_IRTA_S);

    return index < entries && base + (uint64_t)index * IRTE_BYTES < UINT64_C(1)
                                                                        << REMAP_ADDRESS_WIDTH;
}

static void fault(struct remap_verdict *verdict, enum remap_fault why)
{
    verdict->outcome = REMAP_FAULT;
    verdict->reason = (uint8_t)why;
}

static void remap_request(const struct remap *u, uint64_t address, uint64_t data,
                          struct remap_verdict *verdict)
{
    if (remap_get(&address, REMAP_ADDRESS_SHV) && remap_get(&data, REMAP_DATA_RESERVED)) {
        fault(verdict, REMAP_FAULT_REQUEST_RESERVED);
        return;
    }
    verdict->index = interrupt_index(address, data);
    if (!index_in_table(u, verdict->index))
        fault(verdict, REMAP_FAULT_INDEX);
    else if (u->config.table_fails || verdict->index >= u->config.entries)
        fault(verdict, REMAP_FAULT_ENTRY_ACCESS);
    else
        remap_apply(&u->config.table[verdict->index], remap_extended(u), verdict);
}

struct remap_verdict remap_ask(const struct remap *u, uint16_t source_id, uint64_t address,
                               uint32_t data)
{
    struct remap_verdict verdict = {.outcome = REMAP_PASS, .source_id = source_id};
    const bool enabled = remap_get(&u->regs.GSTS, REMAP_GSTS_IRES);

    if (enabled && remap_get(&address, REMAP_ADDRESS_FORMAT))
        remap_request(u, address, data, &verdict);
    else if (enabled && !compatibility_passes(u))
        fault(&verdict, REMAP_FAULT_COMPATIBILITY_BLOCKED);
    else
        verdict.message = compatibility_message(address, data);
    return verdict;
}

void remap_translate(struct remap *u, uint16_t source_id, uint64_t address, uint32_t data,
                     struct remap_verdict *verdict)
{
    *verdict = remap_ask(u, source_id, address, data);
    if (verdict->outcome == REMAP_FAULT)
        remap_record(u, verdict);
}

/* The I/O APIC does not know of formats: bits 63:48 of its entry leave as bits 19:4 of the
   address, the destination mode as bit 2, "lowest priority" as bit 3 (ICH9 data sheet, table
   "Interrupt Message Address Format"). The subhandle is not valid as long as software leaves
   the delivery mode 0, as VT-d 5.1.5.1 asks. */
void remap_message(struct remap *u, uint16_t source_id, uint64_t rte,
                   struct remap_verdict *verdict)
{
    const uint64_t delivery = remap_get(&rte, REMAP_RTE_DELIVERY);
    uint64_t address = UINT64_C(0xfee00000) | remap_get(&rte, REMAP_RTE_ADDRESS_19_4) << 4;
    uint64_t data = 0;

    remap_put(&address, REMAP_COMPAT_DM, remap_get(&rte, REMAP_RTE_INDEX_HIGH));
    remap_put(&address, REMAP_COMPAT_RH, delivery == IRQ_LOWEST_PRIORITY);
    remap_put(&data, REMAP_MESSAGE_VECTOR, remap_get(&rte, REMAP_RTE_VECTOR));
    remap_put(&data, REMAP_MESSAGE_DELIVERY, delivery);
    remap_put(&data, REMAP_MESSAGE_ASSERT, 1);
    remap_put(&data, REMAP_MESSAGE_TRIGGER, remap_get(&rte, REMAP_RTE_TRIGGER));
    remap_translate(u, source_id, address, (uint32_t)data, verdict);
}

void remap_post_failed(struct remap *u, struct remap_verdict *verdict, enum remap_fault why)
{
    fault(verdict, why);
    remap_record(u, verdict);
}
