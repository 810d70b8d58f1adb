/*
 * The local vector table's inputs: the pins LINT0 and LINT1, and the sources
 * inside the processor (SDM 3A "Local Vector Table").
 *
 * An edge is a change of the pin while its entry is open; a level asks as long
 * as it lasts, one request at a time: Remote IRR. The delivery status of an
 * entry always reads idle.
 */
#include "irq/lapic_parts.h"

enum { LINT0, LINT1 };

static uint32_t *entry_of(struct lapic *l, unsigned pin)
{
    return pin == LINT0 ? &l->regs.LVT_LINT0 : &l->regs.LVT_LINT1;
}

static uint8_t delivery_of(uint32_t lvt)
{
    return lvt >> 8 & 7;
}

static bool is_masked(uint32_t lvt)
{
    return lvt & LAPIC_LVT_MASKED;
}

/* The trigger mode is that of fixed interrupts only, and "level-sensitive interrupts are not
   supported for LINT1". */
static bool is_level_sensitive(unsigned pin, uint32_t lvt)
{
    return pin == LINT0 && delivery_of(lvt) == IRQ_FIXED && lvt & LAPIC_LVT_LEVEL;
}

static bool is_asserted(const struct lapic *l, unsigned pin, uint32_t lvt)
{
    return l->pin[pin].level != !!(lvt & LAPIC_LVT_ACTIVE_LOW);
}

/* ---- what an entry raises ---- */

static struct irq_msg raise(struct lapic *l, uint32_t lvt, bool level)
{
    enum { NMI_VECTOR = 2 };
    struct trace *t = l->config.trace;
    struct irq_msg msg = lapic_self_message(l, (uint8_t)lvt);

    msg.delivery = delivery_of(lvt);
    msg.level = level;
    msg.flow = trace_new_flow(t);
    if (msg.delivery == IRQ_NMI)
        msg.vector = NMI_VECTOR;
    trace_put(t, msg.flow, TRACE_RAISED, msg.source, lvt,
              TRACE_SOURCE(TRACE_SOURCE_IPI, msg.source));
    trace_put(t, msg.flow, TRACE_ROUTED, msg.source, msg.vector,
              TRACE_PARENT(msg.source, msg.flow));
    return msg;
}

enum lapic_answer lapic_raise(struct lapic *l, uint32_t lvt, bool level)
{
    const struct irq_msg msg = raise(l, lvt, level);
    const enum lapic_answer answer = lapic_accept(l, &msg);

    if (msg.delivery == IRQ_INIT) /* no interrupt, and nobody else ends its flow */
        trace_put(l->config.trace, msg.flow, TRACE_REFUSED, msg.source, msg.vector,
                  TRACE_REFUSED_MODE);
    return answer;
}

/* The other modes are reserved, or ExtINT: a level that lapic_extint() reads. */
static bool pin_raises(uint8_t delivery)
{
    return delivery == IRQ_FIXED || delivery == IRQ_SMI || delivery == IRQ_NMI ||
           delivery == IRQ_INIT;
}

/* Thermal sensor, performance counters and CMCI have no INIT either. */
static bool source_raises(uint8_t delivery)
{
    return delivery == IRQ_FIXED || delivery == IRQ_SMI || delivery == IRQ_NMI;
}

/* ---- level: Remote IRR ---- */

static void set_awaits(struct lapic *l, unsigned pin, int vector)
{
    uint32_t *entry = entry_of(l, pin);

    l->pin[pin].awaits = (int16_t)vector;
    if (vector == NO_VECTOR)
        *entry &= ~(uint32_t)LAPIC_LVT_REMOTE_IRR;
    else
        *entry |= LAPIC_LVT_REMOTE_IRR;
}

/* A level that is asserted, open and not yet accepted becomes a request. */
static void sense_level(struct lapic *l, unsigned pin)
{
    const uint32_t lvt = *entry_of(l, pin);

    if (!is_level_sensitive(pin, lvt) || !is_asserted(l, pin, lvt) || is_masked(lvt) ||
        l->pin[pin].awaits != NO_VECTOR)
        return;
    const enum lapic_answer answer = lapic_raise(l, lvt, true);
    if (answer == LAPIC_ACCEPTED || answer == LAPIC_COALESCED)
        set_awaits(l, pin, (uint8_t)lvt);
}

/* The vector that was accepted counts, whatever the entry says meanwhile. */
void lapic_lint_eoi(struct lapic *l, uint8_t vector)
{
    for (unsigned pin = 0; pin < LAPIC_PINS; pin++) {
        if (l->pin[pin].awaits != vector)
            continue;
        set_awaits(l, pin, NO_VECTOR);
        sense_level(l, pin);
    }
}

/* Remote IRR is not software's to write; it ends with the trigger mode that gives it a meaning,
   and a level that the entry opens to is seen. */
static void entry_written(struct lapic *l, unsigned pin)
{
    uint32_t *entry = entry_of(l, pin);

    if (!is_level_sensitive(pin, *entry))
        l->pin[pin].awaits = NO_VECTOR;
    else if (l->pin[pin].awaits != NO_VECTOR)
        *entry |= LAPIC_LVT_REMOTE_IRR;
    sense_level(l, pin);
}

void lapic_on_lint0(struct lapic *l, uint32_t old, sim_time now)
{
    lapic_on_lvt(l, old, now);
    entry_written(l, LINT0);
}

void lapic_on_lint1(struct lapic *l, uint32_t old, sim_time now)
{
    lapic_on_lvt(l, old, now);
    entry_written(l, LINT1);
}

/* With the entries; the pins keep their levels. */
void lapic_lint_reset(struct lapic *l)
{
    l->pin[LINT0].awaits = l->pin[LINT1].awaits = NO_VECTOR;
}

/* ---- the pins ---- */

/* SDM 3A "Enabling or Disabling the Local APIC": without an APIC they are INTR and NMI. */
static void drive_disabled(struct lapic *l, unsigned pin, bool level)
{
    if (pin != LINT1 || !level)
        return;
    const struct irq_msg msg = raise(l, IRQ_NMI << 8, false);
    lapic_accept_nmi(l, &msg);
}

void lapic_lint(struct lapic *l, unsigned pin, bool level)
{
    if (pin >= LAPIC_PINS || l->pin[pin].level == level)
        return;
    const uint32_t lvt = *entry_of(l, pin);

    l->pin[pin].level = level;
    if (l->mode == LAPIC_MODE_DISABLED)
        drive_disabled(l, pin, level);
    else if (is_level_sensitive(pin, lvt))
        sense_level(l, pin);
    else if (is_asserted(l, pin, lvt) && !is_masked(lvt) && pin_raises(delivery_of(lvt)))
        lapic_raise(l, lvt, false);
}

/* An ExtINT entry is level-sensitive, always. */
static bool pin_asks(const struct lapic *l, unsigned pin, uint32_t lvt)
{
    return delivery_of(lvt) == IRQ_EXTINT && !is_masked(lvt) && is_asserted(l, pin, lvt);
}

bool lapic_extint(const struct lapic *l)
{
    if (l->mode == LAPIC_MODE_DISABLED)
        return l->pin[LINT0].level;
    return l->extint_message || pin_asks(l, LINT0, l->regs.LVT_LINT0) ||
           pin_asks(l, LINT1, l->regs.LVT_LINT1);
}

void lapic_acknowledge_extint(struct lapic *l)
{
    l->extint_message = false;
}

/* ---- the other sources ---- */

static uint32_t *source_entry(struct lapic *l, uint16_t lvt)
{
    switch (lvt) {
    case LAPIC_LVT_CMCI:
        return lapic_has_cmci(l) ? &l->regs.LVT_CMCI : NULL;
    case LAPIC_LVT_THERMAL:
        return &l->regs.LVT_THERMAL;
    case LAPIC_LVT_PERF:
        return &l->regs.LVT_PERF;
    default:
        return NULL;
    }
}

/* "When the local APIC handles a performance-monitoring counters interrupt, it automatically
   sets the mask flag." */
void lapic_local_event(struct lapic *l, uint16_t lvt)
{
    uint32_t *entry = source_entry(l, lvt);

    if (!entry || l->mode == LAPIC_MODE_DISABLED || is_masked(*entry))
        return;
    const uint32_t value = *entry;
    if (lvt == LAPIC_LVT_PERF)
        *entry |= LAPIC_LVT_MASKED;
    if (source_raises(delivery_of(value)))
        lapic_raise(l, value, false);
}
