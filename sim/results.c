/* What came out, as JSON: docs/results.md. */
#include <inttypes.h>
#include <jansson.h>

#include "hypervisor/net_send.h"
#include "describe.h"
#include "device/nic.h"
#include "hypervisor/net_send.h"
#include "simulation.h"

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *exit_list(const struct counters *c)
{
    json_t *list = json_array();

    for (uint32_t v = 0; v < c->vcpu_count; v++)
        for (unsigned reason = 0; reason < EXIT_REASON_COUNT; reason++)
            for (unsigned cause = 0; cause < TRACE_CAUSE_COUNT; cause++) {
                const uint64_t n = c->vcpu[v].exits[reason][cause];

                if (n)
                    json_array_append_new(
                        list,
                        json_pack("{s:i, s:s, s:s, s:o}", "vcpu", (int)v, "reason",
                                  exit_reasons[reason].name, "cause",
                                  describe_cause((enum trace_cause)cause), "count", number(n)));
            }
    return list;
}

static void add_userspace(json_t *list, uint32_t vcpu, enum kvm_exit reason,
                          const uint64_t *by_cause)
{
    for (unsigned cause = 0; cause < TRACE_CAUSE_COUNT; cause++)
        if (by_cause[cause])
            json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:o}", "vcpu", (int)vcpu,
                                                  "reason", describe_kvm_exit(reason), "cause",
                                                  describe_cause((enum trace_cause)cause),
                                                  "count", number(by_cause[cause])));
}

static json_t *userspace_list(const struct counters *c)
{
    json_t *list = json_array();

    for (uint32_t v = 0; v < c->vcpu_count; v++)
        for (unsigned e = 0; e < KVM_EXIT_COUNT; e++)
            add_userspace(list, v, (enum kvm_exit)e, c->vcpu[v].userspace[e]);
    return list;
}

static json_t *histogram(const struct latency *l)
{
    json_t *list = json_array();

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        if (l->bucket[b])
            json_array_append_new(
                list, json_pack("[o, i]", number(histogram_bound(b)), (int)l->bucket[b]));
    return list;
}

static json_t *stage_list(const struct latency *l)
{
    json_t *list = json_array();

    for (unsigned s = 0; s < LATENCY_STAGE_COUNT; s++)
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "stage",
                                              describe_stage((enum latency_stage)s), "sum_ps",
                                              number(l->stage_sum[s]), "max_ps",
                                              number(l->stage_max[s])));
    return list;
}

static json_t *latency_list(const struct counters *c)
{
    json_t *list = json_array();

    for (unsigned s = 0; s < TRACE_SOURCE_COUNT; s++) {
        const struct latency *l = &c->latency[s];

        if (!l->count)
            continue;
        json_array_append_new(
            list,
            json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "source",
                      describe_source((enum trace_source)s), "count", number(l->count),
                      "min_ps", number(l->min), "mean_ps", number(l->sum / l->count), "p50_ps",
                      number(latency_quantile(l, 0.5)), "p99_ps",
                      number(latency_quantile(l, 0.99)), "max_ps", number(l->max), "sum_ps",
                      number(l->sum), "stages", stage_list(l), "histogram", histogram(l)));
    }
    return list;
}

static json_t *accounting(const struct virqsim *sim)
{
    const struct counters *c = &sim->counters;
    json_t *list = json_array();

    for (uint32_t v = 0; v < c->vcpu_count; v++)
        for (unsigned vector = 0; vector < c->vectors; vector++) {
            const struct account *a = &c->vcpu[v].account[vector];

            if (a->raised)
                json_array_append_new(
                    list,
                    json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "vcpu", (int)v, "vector",
                              (int)vector, "raised", number(a->raised), "delivered",
                              number(a->delivered), "coalesced", number(a->coalesced),
                              "refused", number(a->refused), "pending",
                              number(machine_pending(&sim->machine.vcpu[v], vector))));
        }
    return list;
}

/* The state that a vCPU is in counts up to now. */
static json_t *vcpu_list(const struct virqsim *sim)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < sim->counters.vcpu_count; i++) {
        const struct vcpu_counters *v = &sim->counters.vcpu[i];
        json_t *states = json_object();

        for (unsigned s = 0; s < VCPU_STATE_COUNT; s++) {
            const uint64_t open = v->state == s ? sim->events.now.ps - v->state_since : 0;

            json_object_set_new(states, vcpu_state_name((enum vcpu_state)s),
                                number(v->state_ps[s] + open));
        }
        json_array_append_new(list, json_pack("{s:i, s:o, s:o}", "vcpu", (int)i, "states_ps",
                                              states, "migrations", number(v->migrations)));
    }
    return list;
}

static json_t *thread_row(const struct virqsim *sim, uint32_t index)
{
    const struct host_thread_counters *t = &sim->counters.thread[index];
    json_t *states = json_object();

    for (unsigned s = 0; s < HOST_THREAD_STATE_COUNT; s++) {
        const uint64_t open = t->state == s ? sim->events.now.ps - t->since : 0;

        json_object_set_new(states, host_thread_state_names[s], number(t->state_ps[s] + open));
    }
    return json_pack("{s:i, s:s, s:o, s:o}", "thread", (int)index, "kind",
                     host_thread_kind_names[sim->machine.threads->thread[index].kind], "items",
                     number(t->items), "states_ps", states);
}

static json_t *thread_list(const struct virqsim *sim)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < sim->counters.thread_count; i++)
        json_array_append_new(list, thread_row(sim, i));
    return list;
}

static const char *const disk_stage_names[] = {
#define STAGE(name, meaning) #name,
    DISK_STAGES(STAGE)
#undef STAGE
};

static json_t *disk_row(const struct virqsim *sim, uint32_t index)
{
    const struct disk_counters *d = &sim->counters.disk[index];
    const struct latency *l = &d->latency;
    json_t *stages = json_object();

    for (unsigned s = 0; s < DISK_STAGE_COUNT; s++)
        json_object_set_new(stages, disk_stage_names[s], number(d->stage_sum[s]));
    return json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "disk", (int)index,
                     "kind", disk_kind_names[sim->machine.disk[index].kind], "asked",
                     number(d->asked), "requests", number(d->reaped), "sum_ps", number(l->sum),
                     "min_ps", number(l->min), "p50_ps", number(latency_quantile(l, 0.5)),
                     "p99_ps", number(latency_quantile(l, 0.99)), "max_ps", number(l->max),
                     "stages_ps", stages);
}

static json_t *disk_list(const struct virqsim *sim)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < sim->counters.disk_count; i++)
        json_array_append_new(list, disk_row(sim, i));
    return list;
}

static json_t *idle_row(const struct virqsim *sim, uint32_t index)
{
    const struct cpu_idle_counters *c = &sim->counters.cpu[index];
    const struct host_idle *idle = sim->machine.idle;
    json_t *states = json_object();

    for (unsigned s = 0; s < idle->count; s++) {
        const uint64_t open = c->state == s ? sim->events.now.ps - c->since : 0;

        json_object_set_new(states, idle->state[s].name,
                            json_pack("{s:o, s:o}", "wakeups", number(c->count[s]), "time_ps",
                                      number(c->ps[s] + open)));
    }
    return json_pack("{s:i, s:o}", "cpu", (int)index, "states", states);
}

/* Of machines with idle states. */
static json_t *idle_list(const struct virqsim *sim)
{
    json_t *list = json_array();

    for (uint32_t i = 0; sim->machine.idle && i < sim->machine.pcpu_count; i++)
        json_array_append_new(list, idle_row(sim, i));
    return list;
}

static json_t *stamp_list(const struct counters *c)
{
    json_t *list = json_array();

    for (uint32_t v = 0; v < c->vcpu_count; v++)
        for (unsigned id = 0; id < STAMP_IDS; id++) {
            const struct stamp_series *s = &c->vcpu[v].stamps[id];

            if (s->count)
                json_array_append_new(
                    list,
                    json_pack("{s:i, s:i, s:o, s:o, s:o, s:o}", "vcpu", (int)v, "id", (int)id,
                              "count", number(s->count), "sum_cycles", number(s->sum),
                              "min_cycles", number(s->min), "max_cycles", number(s->max)));
        }
    return list;
}

/* The frames of each receive queue; the latency is from the ring to the driver. */
static json_t *queue_list(const struct virqsim *sim)
{
    const struct hypervisor *h = &sim->machine;
    json_t *list = json_array();

    for (uint32_t n = 0; n < h->rx_queue_count; n++) {
        const struct queue_counters *q = &sim->counters.queue[n];
        const struct latency *l = &q->latency;

        json_array_append_new(
            list, json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "queue",
                            (int)n, "arrived", number(q->arrived + q->dropped), "taken",
                            number(l->count), "dropped", number(q->dropped), "waiting",
                            number(h->rx_queue[n]->waiting), "masked", number(q->masked),
                            "mean_ps", number(l->count ? l->sum / l->count : 0), "p50_ps",
                            number(latency_quantile(l, 0.5)), "p99_ps",
                            number(latency_quantile(l, 0.99)), "max_ps", number(l->max)));
    }
    return list;
}

/* The frames of each transmit queue; the latency is from the ring to the wire. */
static json_t *tx_list(const struct virqsim *sim)
{
    const struct hypervisor *h = &sim->machine;
    json_t *list = json_array();

    for (uint32_t n = 0; n < h->tx_queue_count; n++) {
        const struct latency *l = &sim->counters.tx[n];

        json_array_append_new(
            list, json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "tx_queue", (int)n, "sent",
                            number(l->count), "waiting", number(tx_waiting(&h->tx_queue[n])),
                            "mean_ps", number(l->count ? l->sum / l->count : 0), "p50_ps",
                            number(latency_quantile(l, 0.5)), "p99_ps",
                            number(latency_quantile(l, 0.99)), "max_ps", number(l->max)));
    }
    return list;
}

/* What is in force counts up to now. */
static json_t *inhibit_row(const struct virqsim *sim, unsigned n)
{
    const struct counters *c = &sim->counters;
    const struct inhibit_counters *i = &c->inhibits.of[n];
    const uint64_t ps = i->ps + (i->on ? sim->events.now.ps - i->since : 0);
    const uint64_t exits = i->exits + (i->on ? c->exits - i->exits_since : 0);

    return json_pack("{s:s, s:o, s:o, s:o}", "reason",
                     n == INHIBIT_ANY ? "any" : inhibits[n].name, "switches",
                     number(i->switches), "time_ps", number(ps), "exits", number(exits));
}

static json_t *inhibit_timeline(const struct inhibit_timeline *t)
{
    json_t *list = json_array();

    for (uint64_t n = 0; n < t->marks && n < INHIBIT_MARKS; n++)
        json_array_append_new(list, json_pack("{s:o, s:s, s:b}", "ps", number(t->mark[n].ps),
                                              "reason", inhibits[t->mark[n].reason].name, "on",
                                              t->mark[n].on));
    return list;
}

static json_t *inhibit_list(const struct virqsim *sim)
{
    const struct inhibit_timeline *t = &sim->counters.inhibits;
    json_t *list = json_array();

    for (unsigned n = 0; n <= INHIBIT_ANY; n++)
        if (t->of[n].switches)
            json_array_append_new(list, inhibit_row(sim, n));
    return json_pack("{s:o, s:o, s:o}", "reasons", list, "timeline", inhibit_timeline(t),
                     "marks", number(t->marks));
}

static const char *state_name(enum virqsim_state s)
{
    static const char *const names[] = {
        [VIRQSIM_RUNNING] = "running",
        [VIRQSIM_ENDED] = "ended",
        [VIRQSIM_IDLE] = "idle",
        [VIRQSIM_BROKEN] = "broken",
    };
    return names[s];
}

/* For good: by which vCPU, and what KVM_RUN returned to it. */
static json_t *stopped(const struct vcpu *v)
{
    return json_pack("{s:i, s:s}", "vcpu", (int)v->index, "kvm_exit",
                     describe_kvm_exit(v->kvm_exit));
}

char *virqsim_results(struct virqsim *sim)
{
    json_t *r = json_object();
    char hash[17];
    char *text;

    if (sim->state == VIRQSIM_RUNNING && !machine_balance(sim))
        sim->state = VIRQSIM_BROKEN;
    snprintf(hash, sizeof hash, "%016" PRIx64, sim->plan.hash);
    json_object_set_new(r, "format", json_string("virqsim-results-1"));
    json_object_set_new(r, "name", json_string(sim->plan.name));
    json_object_set_new(r, "technology", json_string(sim->plan.technology));
    json_object_set_new(r, "profile", json_string(sim->plan.profile));
    json_object_set_new(r, "profile_kind", json_string(sim->plan.profile_kind));
    json_object_set_new(r, "plan_hash", json_string(hash));
    json_object_set_new(r, "state", json_string(state_name(sim->state)));
    json_object_set_new(r, "partial", json_boolean(sim->state == VIRQSIM_RUNNING));
    json_object_set_new(r, "broken", sim->broken[0] ? json_string(sim->broken) : json_null());
    json_object_set_new(r, "time_ps", number(sim->events.now.ps));
    json_object_set_new(r, "events", number(sim->fired));
    json_object_set_new(r, "records", number(sim->counters.records));
    json_object_set_new(r, "refused_nowhere", number(sim->counters.nowhere));
    json_object_set_new(r, "exits", exit_list(&sim->counters));
    json_object_set_new(r, "userspace_exits", userspace_list(&sim->counters));
    json_object_set_new(r, "latency", latency_list(&sim->counters));
    json_object_set_new(r, "accounting", accounting(sim));
    json_object_set_new(r, "vcpus", vcpu_list(sim));
    json_object_set_new(r, "threads", thread_list(sim));
    if (sim->counters.disk_count)
        json_object_set_new(r, "disks", disk_list(sim));
    json_object_set_new(r, "idle", idle_list(sim));
    json_object_set_new(r, "lock_waits", number(sim->counters.lock_waits));
    json_object_set_new(r, "queues", queue_list(sim));
    if (sim->machine.tx_queue_count)
        json_object_set_new(r, "tx_queues", tx_list(sim));
    json_object_set_new(r, "inhibits", inhibit_list(sim));
    if (sim->machine.stopped)
        json_object_set_new(r, "stopped", stopped(sim->machine.stopped));
    json_object_set_new(r, "findings", watchdog_findings(&sim->watchdog));
    if (sim->schedule)
        json_object_set_new(r, "schedule", schedule_json(sim->schedule));
    json_object_set_new(r, "stamps", stamp_list(&sim->counters));
    text = json_dumps(r, JSON_COMPACT);
    json_decref(r);
    return text;
}
