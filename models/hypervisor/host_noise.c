/*
 * The host's own interrupts.
 *
 * The tick comes at multiples of its period on each CPU that has a thread to run; a CPU without
 * one has none (NO_HZ_IDLE). It ends no slice before its time; under a fair scheduler it balances.
 *
 * Where nothing is left to happen but this, it ends: a machine that waits for ever is to be found
 * waiting, not counting ticks.
 *
 * Left out: what the tick's handler does besides (timekeeping, RCU) is in the price of an interrupt;
 * NO_HZ_FULL.
 */
#include "hypervisor/host_noise.h"

#include "hypervisor/scheduler.h"

static void tick_fired(struct event *e);
static void source_fired(struct event *e);

static bool something_else_happens(const struct hypervisor *h)
{
    const struct event_queue *q = h->events;

    for (uint32_t i = 0; i < q->count; i++)
        if (event_is_armed(q, q->events[i]) && q->events[i]->fire != tick_fired &&
            q->events[i]->fire != source_fired)
            return true;
    return false;
}

/* --- the tick --- */

static void arm_tick(struct host_tick *t)
{
    struct hypervisor *h = t->pcpu->hypervisor;
    const uint64_t period = h->noise->tick_ps, now = hv_now(h).ps;

    event_arm(h->events, &t->event, (sim_time){now - now % period + period});
}

static void tick_fired(struct event *e)
{
    struct host_tick *t = EVENT_OWNER(e, struct host_tick, event);
    struct hypervisor *h = t->pcpu->hypervisor;

    if (!t->pcpu->current || !something_else_happens(h))
        return;
    arm_tick(t);
    host_send(t->pcpu, HOST_PERIODIC, hv_now(h), 0);
}

void host_tick_goes_on(struct pcpu *p)
{
    const struct host_noise *noise = p->hypervisor->noise;
    struct host_tick *t = noise && noise->tick_ps ? &noise->tick[p->index] : NULL;

    if (t && !event_is_armed(p->hypervisor->events, &t->event))
        arm_tick(t);
}

/* --- devices --- */

static void arm_source(struct host_source *s)
{
    struct hypervisor *h = s->hypervisor;

    if (s->at_next < s->at_count)
        event_arm(h->events, &s->event, s->at[s->at_next++]);
    else if (s->every_ps)
        event_arm(h->events, &s->event, time_plus_ps(hv_now(h), s->every_ps));
}

static void source_fired(struct event *e)
{
    struct host_source *s = EVENT_OWNER(e, struct host_source, event);

    if (s->every_ps && !something_else_happens(s->hypervisor))
        return;
    arm_source(s);
    s->pcpu->device_work.n += s->work.n;
    host_send(s->pcpu, HOST_DEVICE, hv_now(s->hypervisor), 0);
}

cycles host_noise_work(struct pcpu *p)
{
    const cycles work = p->device_work;

    p->device_work.n = 0;
    return work;
}

/* --- */

void host_noise_init(struct hypervisor *h)
{
    struct host_noise *noise = h->noise;

    for (uint32_t i = 0; noise && noise->tick_ps && i < h->pcpu_count; i++) {
        noise->tick[i].pcpu = &h->pcpu[i];
        event_init(h->events, &noise->tick[i].event, EVENT_PHASE_DEVICE, tick_fired);
    }
    for (uint32_t i = 0; noise && i < noise->source_count; i++) {
        struct host_source *s = &noise->source[i];

        s->hypervisor = h;
        event_init(h->events, &s->event, EVENT_PHASE_DEVICE, source_fired);
        arm_source(s);
    }
}
