/*
 * Looks are taken at records of the trace, at least a quarter of the shortest limit apart: a
 * record is written in the middle of things, so nothing is wrong that one look alone has seen.
 */
#include <inttypes.h>

#include "hypervisor/ioepic_board.h"
#include "simulation.h"

static const struct {
    const char *name, *what;
} kinds[] = {
#define FINDING(id, name, what) {name, what},
#include "watchdog.def"
#undef FINDING
};

enum { LOOKS_A_LIMIT = 4 };

static uint64_t now_of(const struct watchdog *w)
{
    return w->machine->events->now.ps;
}

static void find(struct watchdog *w, enum finding_kind kind, uint16_t vcpu,
                 const struct suspicion *why)
{
    struct finding *f;

    for (uint32_t i = 0; i < w->count; i++) {
        f = &w->finding[i];
        if (f->kind == kind && f->vcpu == vcpu && f->vector == why->vector) {
            f->times++;
            return;
        }
    }
    if (w->count == WATCHDOG_FINDINGS)
        return;
    w->finding[w->count++] = (struct finding){
        .kind = (uint8_t)kind,
        .state = w->machine->vcpu[vcpu].state,
        .vcpu = vcpu,
        .vector = why->vector,
        .flow = why->flow,
        .since = why->since,
        .found = now_of(w),
        .times = 1,
    };
}

/* --- what lasts --- */

/* An interrupt of the host's is about to reach the vCPU's CPU, or waits there. */
static bool is_being_told(const struct hypervisor *h, const struct vcpu *v)
{
    const struct pcpu *p = v->thread.pcpu;

    if (p->pending)
        return true;
    for (unsigned n = 0; n < HOST_VECTOR_COUNT; n++)
        if (event_is_armed(h->events, &p->arrival[n].event))
            return true;
    return false;
}

/* True: it has lasted for longer than the limit, or for ever. A guest that masks interrupts in
   between and takes none when it does not is no excuse. */
static bool lasts(struct watchdog *w, struct suspicion *known, const struct suspicion *seen,
                  uint64_t limit, bool for_ever)
{
    if (!seen->on)
        return false;
    if (known->flow != seen->flow || known->vector != seen->vector || !known->on) {
        *known = *seen;
        known->first_look = now_of(w);
    }
    known->looks++;
    return for_ever || (known->looks >= LOOKS_A_LIMIT && now_of(w) - known->first_look > limit);
}

/* A sleeper's interrupt is a missed wake-up, not an interrupt pending for long. */
static void look_at(struct watchdog *w, const struct vcpu *v, bool for_ever)
{
    const struct hypervisor *h = w->machine;
    struct watchdog_vcpu *known = &w->vcpu[v->index];
    const bool told = is_being_told(h, v), asleep = v->state == VCPU_BLOCKED;
    struct suspicion waits = watchdog_takeable(w, v), unseen = {.vector = NO_VECTOR},
                     slept = unseen;

    if (v->descriptor.on && v->state == VCPU_GUEST && !told) {
        const int vector = vec_highest(&v->descriptor.pir);

        unseen = (struct suspicion){.on = true, .vector = vector, .since = now_of(w)};
        if (vector != NO_VECTOR) {
            unseen.flow = v->descriptor.flow[vector];
            unseen.since = watchdog_pending_since(w, v->index, vector, unseen.flow);
        }
        waits.on = false;
    }
    if (asleep && waits.on && !told)
        slept = waits;
    waits.on = waits.on && !asleep;
    if (lasts(w, &known->notification, &unseen, w->limits.notification_ps, for_ever))
        find(w, FINDING_NOTIFICATION, v->index, &known->notification);
    if (lasts(w, &known->wakeup, &slept, w->limits.wakeup_ps, for_ever))
        find(w, FINDING_WAKEUP, v->index, &known->wakeup);
    if (lasts(w, &known->pending, &waits, w->limits.pending_ps, for_ever))
        find(w, FINDING_PENDING, v->index, &known->pending);
}

static void look(struct watchdog *w, bool for_ever)
{
    for (uint32_t i = 0; i < w->machine->vcpu_count; i++)
        look_at(w, &w->machine->vcpu[i], for_ever);
}

void watchdog_look(struct watchdog *w)
{
    if (w->look_ps)
        look(w, false);
}

void watchdog_look_at_rest(struct watchdog *w)
{
    look(w, true);
}

/* --- what happens --- */

static void line_raised(struct watchdog *w, const struct trace_record *r)
{
    const uint32_t gsi = (uint32_t)r->b;

    if (TRACE_SOURCE_KIND(r->b) != TRACE_SOURCE_LINE || gsi >= WATCHDOG_INPUTS)
        return;
    w->line_before[gsi] = w->line_flow[gsi];
    w->line_flow[gsi] = r->flow;
}

/* Whose end this is. To an 8259A the guest says so before its handler returns, and the next one
   has been raised by then. */
static bool is_of_line(const struct watchdog *w, unsigned gsi, trace_flow flow)
{
    return flow && w->line_counted[gsi] != flow &&
           (w->line_flow[gsi] == flow || w->line_before[gsi] == flow);
}

static bool line_is_high(const struct hypervisor *h, unsigned gsi)
{
    if (h->ioepic)
        return wire_level(&h->ioepic->input[gsi].wire);
    return h->board && gsi < CHIPSET_INPUTS && wire_level(&h->board->chipset.input[gsi].wire);
}

/* The 8259A's inputs that are level-triggered, by ELCR. */
static bool pic_has_level(const struct hypervisor *h, unsigned gsi)
{
    return h->board && gsi < I8259_LINES &&
           h->board->chipset.pic.chip[gsi / 8].elcr >> gsi % 8 & 1;
}

/* A line that is asserted after the EOI brings the interrupt again; a handler that still has work
   does so for a while. */
static void acknowledged(struct watchdog *w, const struct trace_record *r)
{
    const struct vcpu *v = &w->machine->vcpu[r->where];
    const bool by_trigger =
        v->epic || (r->a < VECTORS && vec_has(&v->apic.regs.TMR, (unsigned)r->a));

    for (unsigned gsi = 0; gsi < WATCHDOG_INPUTS; gsi++) {
        if (!is_of_line(w, gsi, r->flow) || !(by_trigger || pic_has_level(w->machine, gsi)))
            continue;
        w->line_counted[gsi] = r->flow;
        if (!line_is_high(w->machine, gsi)) {
            w->line_eois[gsi] = 0;
            continue;
        }
        if (w->line_eois[gsi]++ == 0)
            w->line_since[gsi] = r->ps;
        if (w->line_eois[gsi] >= w->limits.repeats)
            find(w, FINDING_LIVELOCK, r->where,
                 &(struct suspicion){
                     .vector = (int)r->a, .flow = r->flow, .since = w->line_since[gsi]});
    }
}

static void put(struct trace_sink *sink, const struct trace_record *r)
{
    struct watchdog *w = EVENT_OWNER(sink, struct watchdog, sink);

    switch ((enum trace_event)r->event) {
    case TRACE_RAISED:
        line_raised(w, r);
        break;
    case TRACE_EOI:
    case TRACE_RETIRED: /* of an 8259A's interrupt there is no other end */
        if (r->where < w->machine->vcpu_count)
            acknowledged(w, r);
        break;
    case TRACE_SPURIOUS_EOI:
        find(w, FINDING_EOI, r->where,
             &(struct suspicion){.vector = NO_VECTOR, .since = r->ps});
        break;
    default:
        break;
    }
    if (r->ps >= w->next_look) {
        look(w, false);
        w->next_look = r->ps + w->look_ps;
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool watchdog_init(struct watchdog *w, const struct hypervisor *machine,
                   const struct counters *counters, struct watchdog_vcpu *vcpus)
{
    const struct watchdog_limits *l = &w->limits;

    w->sink.put = put;
    w->machine = machine;
    w->counters = counters;
    w->vcpu = vcpus;
    w->look_ps = least(l->pending_ps, least(l->notification_ps, l->wakeup_ps)) / LOOKS_A_LIMIT;
    return w->look_ps;
}

/* --- in words --- */

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static void line_of(const struct watchdog *w, const struct finding *f, char *line, size_t size)
{
    const bool user = f->vector >= VECTORS && !w->machine->guest_epic;
    char vector[32] = "", times[48] = "";

    if (f->vector != NO_VECTOR)
        snprintf(vector, sizeof vector, ", %svector %d", user ? "user " : "",
                 user ? f->vector - (int)TRACE_USER_VECTOR(0) : f->vector);
    if (f->times > 1)
        snprintf(times, sizeof times, ", seen %" PRIu64 " times", f->times);
    snprintf(line, size, "vCPU %u (%s)%s: %s, since %" PRIu64 ".%03u ns%s", f->vcpu,
             vcpu_state_name((enum vcpu_state)f->state), vector, kinds[f->kind].what,
             f->since / 1000, (unsigned)(f->since % 1000), times);
}

json_t *watchdog_findings(const struct watchdog *w)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < w->count; i++) {
        const struct finding *f = &w->finding[i];
        char line[320];

        line_of(w, f, line, sizeof line);
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:o, s:i, s:o, s:o, s:o, s:s}", "what",
                            kinds[f->kind].name, "vcpu", (int)f->vcpu, "vector",
                            f->vector == NO_VECTOR ? json_null() : json_integer(f->vector),
                            "flow", (int)f->flow, "since_ps", number(f->since), "found_ps",
                            number(f->found), "times", number(f->times), "line", line));
    }
    return list;
}

json_t *watchdog_describe(void)
{
    json_t *list = json_array();

    for (unsigned n = 0; n < FINDING_COUNT; n++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", kinds[n].name, "meaning", kinds[n].what));
    return list;
}
