/* Holding events back in a machine: what they are called, and whether it made a difference. */
#include "schedule.h"

#include <stdio.h>

#include "hypervisor/fault.h"

/* --- names --- */

static const char *const fault_names[] = {
#define FAULT(id, name, subject, meaning) name,
#include "hypervisor/faults.def"
#undef FAULT
};

static const char *const host_vector_names[] = {
#define VECTOR(name, number, meaning) #name,
    HOST_VECTORS(VECTOR)
#undef VECTOR
};

static bool name_of_vcpu(const struct vcpu *v, const struct event *e, char *name)
{
    const char *what = NULL;

    if (e == &v->timer)
        what = "its timer expires";
    else if (e == &v->poll_end)
        what = "its polling ends";
    else if (e == &v->step)
        what = vcpu_state_name((enum vcpu_state)v->state);
    if (what)
        snprintf(name, SCHEDULE_NAME, "vCPU %u: %s%s", v->index,
                 e == &v->step ? "a step in " : "", what);
    return what != NULL;
}

static bool name_of_pcpu(const struct pcpu *p, const struct event *e, char *name)
{
    if (e == &p->slice || e == &p->dispatch) {
        snprintf(name, SCHEDULE_NAME, "CPU %u: %s", p->index,
                 e == &p->slice ? "a time slice ends" : "it leaves its idle state");
        return true;
    }
    for (unsigned n = 0; n < HOST_VECTOR_COUNT; n++)
        if (e == &p->arrival[n].event) {
            snprintf(name, SCHEDULE_NAME, "CPU %u: interrupt %s arrives", p->index,
                     host_vector_names[n]);
            return true;
        }
    return false;
}

static bool name_of_device(const struct hypervisor *h, uint32_t n, const struct event *e,
                           char *name)
{
    const struct device *d = &h->device[n];
    const char *const what = e == &d->arrival ? "its interrupt arrives"
                             : e == &d->plan  ? "it acts"
                             : e == &d->fall  ? "its pulse ends"
                                              : NULL;

    if (what)
        snprintf(name, SCHEDULE_NAME, "device %u: %s", n, what);
    return what != NULL;
}

static bool name_of_fault(const struct fault *f, const struct event *e, char *name)
{
    if (e != &f->event)
        return false;
    snprintf(name, SCHEDULE_NAME, "fault: %s", fault_names[f->kind]);
    return true;
}

static void name_event(const struct hypervisor *h, const struct event *e, char *name)
{
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        if (name_of_vcpu(&h->vcpu[i], e, name))
            return;
    for (uint32_t i = 0; i < h->pcpu_count; i++)
        if (name_of_pcpu(&h->pcpu[i], e, name))
            return;
    for (uint32_t i = 0; i < h->device_count; i++)
        if (name_of_device(h, i, e, name))
            return;
    for (uint32_t i = 0; i < h->fault_count; i++)
        if (name_of_fault(&h->fault[i], e, name))
            return;
    snprintf(name, SCHEDULE_NAME, "the board or the host: event %u", e->slot);
}

static void tell(struct explore *x, const struct event *e, sim_time due, uint32_t hold,
                 bool past)
{
    struct schedule *s = EVENT_OWNER(x, struct schedule, explore);
    struct schedule_told *t = &s->told[hold];

    if (!past) {
        t->due_ps = due.ps;
        name_event(s->machine, e, t->name);
    } else if (s->past[hold] <= SCHEDULE_TOLD) {
        name_event(s->machine, e, t->past[s->past[hold] - 1]);
    }
}

/* --- did it make a difference --- */

/* Records whose payload is a time, or a number that depends on it. */
static bool is_a_measurement(enum trace_event e)
{
    return e == TRACE_STAMP || e == TRACE_WAKEUP || e == TRACE_HALT_POLL ||
           e == TRACE_TIMER_ARMED || e == TRACE_TIMER_ADVANCE || e == TRACE_DEADLINE ||
           e == TRACE_PLE_WINDOW;
}

static uint64_t mixed(uint64_t hash, uint64_t n)
{
    hash = (hash ^ n) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static void put(struct trace_sink *sink, const struct trace_record *r)
{
    struct schedule *s = EVENT_OWNER(sink, struct schedule, sink);
    uint64_t *story;

    if (r->where >= s->machine->vcpu_count || is_a_measurement((enum trace_event)r->event))
        return;
    story = &s->story[r->where];
    *story = mixed(mixed(*story, r->event), r->a);
    if (r->event != TRACE_ROUTED) /* whose second word has the number of a flow */
        *story = mixed(*story, r->b);
}

void schedule_init(struct schedule *s, const struct hypervisor *machine, uint64_t *story)
{
    s->sink.put = put;
    s->machine = machine;
    s->story = story;
    s->explore.hold = s->hold;
    s->explore.past = s->past;
    s->explore.tell = tell;
}

uint64_t schedule_signature(const struct schedule *s)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < s->machine->vcpu_count; i++)
        hash = mixed(hash, s->story[i]);
    return hash;
}

/* --- in words --- */

static json_t *hold_json(const struct schedule *s, uint32_t n)
{
    const struct schedule_told *t = &s->told[n];
    json_t *past = json_array();

    for (uint32_t i = 0; i < s->past[n] && i < SCHEDULE_TOLD; i++)
        json_array_append_new(past, json_string(t->past[i]));
    return json_pack("{s:i, s:i, s:s, s:I, s:o}", "place", (int)s->hold[n].place, "past",
                     (int)s->hold[n].past, "event", t->name, "due_ps", (json_int_t)t->due_ps,
                     "overtaken_by", past);
}

json_t *schedule_json(const struct schedule *s)
{
    json_t *list = json_array();

    for (uint32_t n = 0; n < s->explore.hold_count; n++)
        json_array_append_new(list, hold_json(s, n));
    return json_pack("{s:I, s:I, s:o}", "window_ns",
                     (json_int_t)(s->explore.window_ps / PS_PER_NS), "places",
                     (json_int_t)s->explore.places, "hold", list);
}
