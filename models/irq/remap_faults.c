/*
 * Faults: VT-d 7.2.1 "Primary Fault Logging" and 7.3 "Non-Recoverable Fault
 * Event". Eight records, used in turn; when the one whose turn it is still holds a
 * fault, PFO is set and nothing is recorded until software clears PFO.
 */
#include "irq/remap_parts.h"

bool remap_fault_pending(const struct remap *u)
{
    for (unsigned n = 0; n < REMAP_FRCD_COUNT; n++)
        if (remap_get(u->record[n].word, REMAP_FRCD_F))
            return true;
    return false;
}

/* VT-d 5.1.6 "Remapping Hardware Event Interrupt Programming": the address is in compatibility
   format, and in x2APIC mode the upper address holds bits 31:8 of the destination. */
static struct irq_msg event_message(const struct remap *u)
{
    const uint64_t address = u->regs.FEADDR, data = u->regs.FEDATA;
    const uint32_t upper = remap_extended(u) ? (uint32_t)u->regs.FEUADDR & ~UINT32_C(0xff) : 0;

    return (struct irq_msg){
        .vector = (uint8_t)remap_get(&data, REMAP_EVENT_VECTOR),
        .delivery = remap_delivery((unsigned)remap_get(&data, REMAP_EVENT_LOWEST),
                                   remap_get(&address, REMAP_COMPAT_RH)),
        .logical = remap_get(&address, REMAP_COMPAT_DM),
        .dest = upper | (uint32_t)remap_get(&address, REMAP_COMPAT_DESTINATION),
        .source = TRACE_NOWHERE,
    };
}

/* A condition waits in FECTL.IP while FECTL.IM is set. */
void remap_fault_event(struct remap *u)
{
    struct irq_msg msg;

    if (remap_get(&u->regs.FECTL, REMAP_FECTL_IM) || !remap_get(&u->regs.FECTL, REMAP_FECTL_IP))
        return;
    remap_put(&u->regs.FECTL, REMAP_FECTL_IP, 0);
    msg = event_message(u);
    u->config.port->send(u->config.port, &msg);
}

/* Software has cleared what made the event: it need not come any more. */
void remap_fault_serviced(struct remap *u)
{
    if (!remap_fault_pending(u) && !remap_get(&u->regs.FSTS, REMAP_FSTS_PFO))
        remap_put(&u->regs.FECTL, REMAP_FECTL_IP, 0);
}

void remap_fault_clear(struct remap *u, unsigned record)
{
    remap_put(u->record[record].word, REMAP_FRCD_F, 0);
    remap_fault_serviced(u);
}

static struct remap_words record_of(const struct remap_verdict *verdict)
{
    struct remap_words r = {{0}};

    remap_put(r.word, REMAP_FRCD_INDEX, verdict->index);
    remap_put(r.word, REMAP_FRCD_SID, verdict->source_id);
    remap_put(r.word, REMAP_FRCD_FR, verdict->reason);
    remap_put(r.word, REMAP_FRCD_F, 1);
    return r;
}

/* Only the first fault after software's last service is a new condition. */
void remap_record(struct remap *u, const struct remap_verdict *verdict)
{
    struct remap_words *next = &u->record[u->next_record];

    if (verdict->suppressed || remap_get(&u->regs.FSTS, REMAP_FSTS_PFO))
        return;
    if (remap_get(next->word, REMAP_FRCD_F)) {
        remap_put(&u->regs.FSTS, REMAP_FSTS_PFO, 1);
        return;
    }
    if (!remap_fault_pending(u)) {
        remap_put(&u->regs.FSTS, REMAP_FSTS_FRI, u->next_record);
        remap_put(&u->regs.FECTL, REMAP_FECTL_IP, 1);
    }
    *next = record_of(verdict);
    u->next_record = (uint8_t)((u->next_record + 1) % REMAP_FRCD_COUNT);
    remap_fault_event(u);
}
