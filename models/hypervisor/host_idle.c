/*
 * The idle governor, and the price of waking up.
 *
 * A stand-in for Linux' menu governor: the CPU will sleep as long as it did on
 * average the last eight times, but not past the next timer of a guest that has
 * slept here; of the states whose target residency that covers, the deepest.
 *
 * Left out: menu's care for outliers and for performance, the tick, latency
 * limits (PM QoS), and package states that other CPUs have a say in.
 */
#include "hypervisor/host_idle.h"

static uint64_t until_next_timer(const struct pcpu *p)
{
    const struct hypervisor *h = p->hypervisor;
    uint64_t ns = UINT64_MAX;

    for (const struct thread *t = p->threads; t; t = t->sibling) {
        const sim_time due = t->vcpu ? event_due(h->events, &t->vcpu->timer) : SIM_TIME_NEVER;

        if (due.ps != SIM_TIME_NEVER.ps && (due.ps - hv_now(h).ps) / PS_PER_NS < ns)
            ns = (due.ps - hv_now(h).ps) / PS_PER_NS;
    }
    return ns;
}

static uint64_t typical_interval(const struct cpu_idle *c)
{
    const uint32_t known = c->intervals < IDLE_INTERVALS ? c->intervals : IDLE_INTERVALS;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < known; i++)
        sum += c->interval_ns[i];
    return known ? sum / known : UINT64_MAX;
}

static unsigned choose(const struct host_idle *idle, uint64_t predicted_ns)
{
    unsigned n = 0;

    while (n + 1 < idle->count && idle->state[n + 1].residency_ns <= predicted_ns)
        n++;
    return n;
}

void host_idle_begin(struct pcpu *p)
{
    struct hypervisor *h = p->hypervisor;
    struct host_idle *idle = h->idle;
    uint64_t timer, typical;
    struct cpu_idle *c;

    if (!idle)
        return;
    c = &idle->cpu[p->index];
    timer = until_next_timer(p);
    typical = typical_interval(c);
    c->asleep = true;
    c->since = hv_now(h);
    c->state = (uint8_t)choose(idle, timer < typical ? timer : typical);
    trace_put(h->trace, 0, TRACE_CPU_IDLE, TRACE_NOWHERE, p->index, c->state);
}

cycles host_idle_end(struct pcpu *p)
{
    struct hypervisor *h = p->hypervisor;
    struct host_idle *idle = h->idle;
    struct cpu_idle *c = idle ? &idle->cpu[p->index] : NULL;
    uint64_t ns;

    if (!c || !c->asleep)
        return (cycles){0};
    c->asleep = false;
    c->interval_ns[c->intervals++ % IDLE_INTERVALS] = (hv_now(h).ps - c->since.ps) / PS_PER_NS;
    trace_put(h->trace, 0, TRACE_CPU_IDLE, TRACE_NOWHERE, p->index, TRACE_NOT_IDLE);
    ns = idle->state[c->state].exit_ns - idle->state[0].exit_ns;
    return clock_count(&h->core, (sim_time){ns * PS_PER_NS});
}
