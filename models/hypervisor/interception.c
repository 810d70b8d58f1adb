#include "hypervisor/interception.h"

#include "hypervisor/exits.h"

static const struct {
    uint16_t cost; /* enum cost_key */
    uint8_t fate;  /* enum interception_fate */
} causes[EXIT_REASON_COUNT] = {
#define INTERCEPTION(exit, cost, fate, what) [EXIT_##exit] = {COST_##cost, INTERCEPTION_##fate},
#include "hypervisor/interceptions.def"
#undef INTERCEPTION
};

enum interception_fate interception_fate(enum exit_reason reason)
{
    return (enum interception_fate)causes[reason].fate;
}

static enum exit_reason reason_of(uint32_t number)
{
    for (unsigned r = 0; r < EXIT_REASON_COUNT; r++)
        if (exit_reasons[r].vendor == VIRT_E2K && exit_reasons[r].number == number)
            return (enum exit_reason)r;
    return EXIT_NONE;
}

/* The nth cause, or EXIT_NONE. A code that is reserved has no name either. */
static enum exit_reason nth(const struct vcpu *v, unsigned n)
{
    return reason_of(e2k_intc_nth(&v->hw.e2k.intc, n));
}

void interception_pay(struct vcpu *v)
{
    enum exit_reason reason;

    vcpu_pay(v, COST_KVM_EXIT);
    for (unsigned n = 0; (reason = nth(v, n)) != EXIT_NONE; n++)
        vcpu_pay(v, (enum cost_key)causes[reason].cost);
}

/* Linux for e2k: do_read_cu_idr(). Of the register only the core's number matters here. */
static void identify(struct vcpu *v)
{
    struct e2k_intc_entry *entry = &v->hw.e2k.intc.cu[0];

    entry->data = e2k_cepic_id(v->index);
    entry->replaced = true;
}

static void give_up(struct vcpu *v, enum exit_reason reason)
{
    v->exit.reason = reason;
    v->hypervisor->unhandled = v;
    event_queue_stop(v->hypervisor->events);
}

void interception_handle(struct vcpu *v)
{
    enum exit_reason reason;

    for (unsigned n = 0; (reason = nth(v, n)) != EXIT_NONE; n++) {
        trace_put(v->hypervisor->trace, 0, TRACE_INTERCEPTED, v->index, reason, n);
        if (reason == EXIT_E2K_RR_IDR)
            identify(v);
        if (causes[reason].fate != INTERCEPTION_FATAL)
            continue;
        give_up(v, reason);
        return;
    }
    handle_simple(v);
}

void interception_identify(struct vcpu *v)
{
    identify(v);
    handle_simple(v);
}

void interception_replace(struct vcpu *v, uint64_t value)
{
    struct e2k_intc *i = &v->hw.e2k.intc;

    if (!i->mu_count)
        return; /* the access was not intercepted */
    i->mu[0].data = value;
    i->mu[0].replaced = true;
}

static void complete(const struct vcpu *v, const struct e2k_intc_entry *entry, uint64_t base)
{
    if (!entry->replaced)
        return;
    trace_put(v->hypervisor->trace, 0, TRACE_COMPLETED, v->index, entry->data,
              base ? base + entry->event : 0);
}

/* Linux for e2k: restore_intc_info_mu(), restore_intc_info_cu(), before glaunch. */
void interception_complete(struct vcpu *v)
{
    struct e2k_intc *i = &v->hw.e2k.intc;

    for (unsigned n = 0; n < i->mu_count; n++)
        complete(v, &i->mu[n], E2K_MU);
    for (unsigned n = 0; n < i->cu_count; n++)
        complete(v, &i->cu[n], 0);
    e2k_intc_begin(i);
}
