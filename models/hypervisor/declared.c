/*
 * Hardware that the plan declares (virt/hypothetical.h), where the run loop meets
 * it: what its rules cost, and the notifications of what it has posted.
 *
 * Interrupts to several destinations are sent and paid for one after the other,
 * so the last destination is told later than the first.
 */
#include "hypervisor/hypervisor.h"

uint64_t declared_cost(const struct vcpu *v)
{
    const struct hypothetical_rule *rule = v->hw.ruled;
    const bool each = rule->effect == EFFECT_POST_EACH && v->hw.target_count;

    return rule->cost.n * (each ? v->hw.target_count : 1);
}

void declared_notify(struct vcpu *sender, unsigned vector)
{
    struct hypervisor *h = sender->hypervisor;
    uint64_t spent = 0;

    for (uint32_t i = 0; i < sender->hw.target_count; i++) {
        const struct avic_target *t = &sender->hw.target[i];

        spent += sender->hw.ruled->cost.n;
        if (!t->running)
            continue;
        line_claim(&h->vcpu[t->index].line[LINE_PENDING], sender->thread.pcpu, true);
        deliver_notification(h, &h->vcpu[t->index].descriptor, vector, t->flow,
                             hv_after(h, spent + h->costs.of[COST_HW_IPI].n));
    }
}
