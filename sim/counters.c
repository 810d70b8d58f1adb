/*
 * The reader of the trace that is always on: it counts exits, keeps the books
 * of every interrupt, and measures the time from RAISED to HANDLER stage by
 * stage. An interrupt on its way is found by its destination and vector.
 */
#include "simulation.h"

static void raised(struct counters *c, const struct trace_record *r)
{
    const enum trace_source source = TRACE_SOURCE_KIND(r->b);
    struct raised *slot = &c->device;

    if (source == TRACE_SOURCE_LINE)
        slot = &c->line[r->a];
    else if (r->where != TRACE_NOWHERE)
        slot = &c->vcpu[r->where].raised[source == TRACE_SOURCE_TIMER];
    *slot = (struct raised){.flow = r->flow, .source = (uint8_t)source, .ps = r->ps};
}

/* A line's interrupt may be routed long after it was raised: when it is unmasked. */
static const struct raised *parent_outside(const struct counters *c, trace_flow flow)
{
    for (unsigned gsi = 0; gsi < LINE_INPUTS && c->device.flow != flow; gsi++)
        if (c->line[gsi].flow == flow)
            return &c->line[gsi];
    return &c->device;
}

static const struct raised *parent_of(const struct counters *c, uint64_t b)
{
    const uint16_t source = TRACE_PARENT_SOURCE(b);
    const struct raised *of_vcpu;

    if (source == TRACE_NOWHERE)
        return parent_outside(c, TRACE_PARENT_FLOW(b));
    of_vcpu = c->vcpu[source].raised;
    return &of_vcpu[of_vcpu[1].flow == TRACE_PARENT_FLOW(b)];
}

static struct account *account_of(struct counters *c, const struct trace_record *r)
{
    return &c->vcpu[r->where].account[r->a];
}

static struct flight *find(struct counters *c, unsigned vcpu, unsigned vector, trace_flow flow)
{
    struct flight *f = c->vcpu[vcpu].flight[vector];

    for (unsigned i = 0; i < FLIGHTS; i++)
        if (f[i].flow == flow)
            return &f[i];
    return NULL;
}

/* One destination of a message; its flow starts where the message was raised. */
static void routed(struct counters *c, const struct trace_record *r)
{
    const struct raised *parent = parent_of(c, r->b);
    struct flight *f = find(c, r->where, (unsigned)r->a, 0);

    account_of(c, r)->raised++;
    if (!f)
        return;
    *f = (struct flight){.flow = r->flow, .source = parent->source, .raised = parent->ps};
    f->at[LATENCY_routed] = r->ps;
    if (parent->source ==
        TRACE_SOURCE_TIMER) /* its expiry makes the guest leave, without a kick */
        c->vcpu[r->where].exiting_vector = (uint16_t)r->a;
}

static struct flight *flight_of(struct counters *c, const struct trace_record *r)
{
    return r->flow ? find(c, r->where, (unsigned)r->a, r->flow) : NULL;
}

static void reached(struct counters *c, const struct trace_record *r, enum latency_stage stage)
{
    struct flight *f = flight_of(c, r);

    if (f)
        f->at[stage] = r->ps;
}

/* The guest waits from here on; what came before took none of its time. */
static void deadline(struct counters *c, const struct trace_record *r)
{
    struct flight *f = flight_of(c, r);

    if (f)
        f->raised = r->b;
}

static void ended(struct counters *c, const struct trace_record *r)
{
    struct flight *f = flight_of(c, r);

    if (f)
        f->flow = 0;
}

/* The parts add up to the whole: a step that was skipped takes no time. */
static void handler(struct counters *c, const struct trace_record *r)
{
    struct flight *f = flight_of(c, r);
    struct latency *l;
    uint64_t before;

    account_of(c, r)->delivered++;
    if (!f)
        return;
    l = &c->latency[f->source];
    before = f->raised;
    f->at[LATENCY_handler] = r->ps;
    for (unsigned s = 0; s < LATENCY_STAGE_COUNT; s++) {
        if (f->at[s] < before)
            continue;
        const uint64_t part = f->at[s] - before;
        l->stage_sum[s] += part;
        if (part > l->stage_max[s])
            l->stage_max[s] = part;
        before = f->at[s];
    }
    latency_add(l, before - f->raised);
    f->flow = 0;
}

/* An exit carries the flow it happened for; which vector that is, its flight knows. */
static void exited(struct counters *c, const struct trace_record *r)
{
    struct vcpu_counters *v = &c->vcpu[r->where];
    struct flight *f;

    v->exits[TRACE_EXIT_REASON(r->a)][TRACE_EXIT_CAUSE(r->a)]++;
    c->exits++;
    if (TRACE_EXIT_CAUSE(r->a) != TRACE_CAUSE_DELIVERY || !r->flow)
        return;
    f = find(c, r->where, v->exiting_vector, r->flow);
    if (f)
        f->at[LATENCY_exited] = r->ps;
}

/* Remembered for the exit that a kick, a signal or the guest's timer brings about. */
static void notified(struct counters *c, const struct trace_record *r)
{
    c->vcpu[r->where].exiting_vector = (uint16_t)r->a;
    reached(c, r, LATENCY_notified);
}

static void state(struct counters *c, const struct trace_record *r)
{
    struct vcpu_counters *v = &c->vcpu[r->where];

    v->state_ps[v->state] += r->ps - v->state_since;
    v->state_since = r->ps;
    v->state = (uint8_t)r->b;
    c->lock_waits += r->b == VCPU_LOCKED;
}

static void thread(struct counters *c, const struct trace_record *r)
{
    struct vcpu_counters *v = &c->vcpu[r->where];

    if (!r->b)
        return;
    v->migrations += v->scheduled && v->pcpu != r->a;
    v->scheduled = true;
    v->pcpu = (uint16_t)r->a;
}

static void cpu_idle(struct counters *c, const struct trace_record *r)
{
    struct cpu_idle_counters *i = &c->cpu[r->a];

    if (i->state != TRACE_NOT_IDLE) {
        i->ps[i->state] += r->ps - i->since;
        i->count[i->state]++;
    }
    i->since = r->ps;
    i->state = r->b;
}

static void host_thread(struct counters *c, const struct trace_record *r)
{
    struct host_thread_counters *t = &c->thread[r->a];

    t->state_ps[t->state] += r->ps - t->since;
    t->since = r->ps;
    t->state = (uint8_t)TRACE_HOST_THREAD_STATE(r->b);
    c->lock_waits += t->state == HOST_THREAD_WAITS;
}

/* Differences between the stamps of one series. */
static void stamp(struct counters *c, const struct trace_record *r)
{
    struct stamp_series *s = &c->vcpu[r->where].stamps[r->a % STAMP_IDS];
    const uint64_t span = r->b - s->last;

    s->last = r->b;
    if (!s->started) {
        s->started = true;
        return;
    }
    if (s->count == 0 || span < s->min)
        s->min = span;
    if (span > s->max)
        s->max = span;
    s->count++;
    s->sum += span;
}

/* As another flow, which counts from where this one was raised. */
static void goes_on(struct counters *c, const struct trace_record *r)
{
    const struct flight *f = flight_of(c, r);

    if (f)
        c->device = (struct raised){.flow = r->flow, .source = f->source, .ps = f->raised};
}

static void refused(struct counters *c, const struct trace_record *r)
{
    if (r->where == TRACE_NOWHERE) {
        c->nowhere++;
        return;
    }
    account_of(c, r)->refused++;
    if (r->b == TRACE_REFUSED_REROUTED)
        goes_on(c, r);
    ended(c, r);
}

static void switch_inhibit(struct counters *c, struct inhibit_counters *i, uint64_t ps, bool on)
{
    if (on == i->on)
        return;
    i->on = on;
    if (on) {
        i->switches++;
        i->since = ps;
        i->exits_since = c->exits;
        return;
    }
    i->ps += ps - i->since;
    i->exits += c->exits - i->exits_since;
}

static void inhibit(struct counters *c, const struct trace_record *r)
{
    struct inhibit_timeline *t = &c->inhibits;

    t->in_force += r->b ? 1u : -1u;
    switch_inhibit(c, &t->of[r->a], r->ps, r->b);
    switch_inhibit(c, &t->of[INHIBIT_ANY], r->ps, t->in_force);
    if (t->marks < INHIBIT_MARKS)
        t->mark[t->marks] = (struct inhibit_mark){r->ps, (uint8_t)r->a, r->b};
    t->marks++;
}

static void put(struct trace_sink *sink, const struct trace_record *r)
{
    struct counters *c = EVENT_OWNER(sink, struct counters, sink);

    c->records++;
    switch ((enum trace_event)r->event) {
    case TRACE_RAISED:
        raised(c, r);
        break;
    case TRACE_ROUTED:
        routed(c, r);
        break;
    case TRACE_DEADLINE:
        deadline(c, r);
        break;
    case TRACE_PENDING:
        reached(c, r, LATENCY_pending);
        break;
    case TRACE_NOTIFIED:
        notified(c, r);
        break;
    case TRACE_INJECTED:
        reached(c, r, LATENCY_injected);
        break;
    case TRACE_HANDLER:
        handler(c, r);
        break;
    case TRACE_TAKEN:
        account_of(c, r)->delivered++;
        ended(c, r);
        break;
    case TRACE_COALESCED:
        account_of(c, r)->coalesced++;
        ended(c, r);
        break;
    case TRACE_REFUSED:
        refused(c, r);
        break;
    case TRACE_VM_EXIT:
        exited(c, r);
        break;
    case TRACE_USERSPACE:
        c->vcpu[r->where].userspace[r->a][r->b]++;
        break;
    case TRACE_VCPU_STATE:
        state(c, r);
        break;
    case TRACE_THREAD:
        thread(c, r);
        break;
    case TRACE_CPU_IDLE:
        cpu_idle(c, r);
        break;
    case TRACE_HOST_THREAD:
        host_thread(c, r);
        break;
    case TRACE_HOST_WORK:
        c->thread[r->a].items += TRACE_WORK_STEP(r->b) == TRACE_WORK_DONE;
        break;
    case TRACE_DISK:
        disk_counters_put(c, r);
        break;
    case TRACE_INHIBIT:
        inhibit(c, r);
        break;
    case TRACE_STAMP:
        stamp(c, r);
        break;
    case TRACE_FRAME:
        c->queue[r->a].arrived++;
        break;
    case TRACE_FRAME_DROPPED:
        c->queue[r->a].dropped++;
        break;
    case TRACE_FRAME_TAKEN:
        latency_add(&c->queue[r->a].latency, r->b);
        break;
    case TRACE_FRAME_SENT:
        latency_add(&c->tx[r->a], r->b);
        break;
    case TRACE_QUEUE_MASK:
        c->queue[r->a].masked += r->b;
        break;
    default:
        break;
    }
}

static bool init_vcpu(struct vcpu_counters *v, struct arena *a, uint32_t vectors)
{
    v->account = arena_alloc(a, vectors, sizeof *v->account);
    v->flight = arena_alloc(a, vectors, sizeof *v->flight);
    return v->account && v->flight;
}

bool counters_init(struct counters *c, struct arena *a, const struct hypervisor *h)
{
    const uint32_t threads = h->threads ? h->threads->count : 0;

    c->sink.put = put;
    c->vcpu_count = h->vcpu_count;
    c->vectors = h->guest_epic ? TRACE_EPIC_VECTORS : TRACE_VECTORS;
    c->thread_count = threads;
    c->disk_count = h->disk_count;
    c->vcpu = arena_alloc(a, h->vcpu_count, sizeof *c->vcpu);
    c->cpu = arena_alloc(a, h->pcpu_count, sizeof *c->cpu);
    c->thread = arena_alloc(a, threads, sizeof *c->thread);
    c->disk = arena_alloc(a, h->disk_count, sizeof *c->disk);
    c->queue = arena_alloc(a, h->rx_queue_count, sizeof *c->queue);
    c->tx = arena_alloc(a, h->tx_queue_count, sizeof *c->tx);
    for (uint32_t i = 0; c->vcpu && i < h->vcpu_count; i++)
        if (!init_vcpu(&c->vcpu[i], a, c->vectors))
            return false;
    for (uint32_t i = 0; c->cpu && i < h->pcpu_count; i++)
        c->cpu[i].state = TRACE_NOT_IDLE;
    return c->vcpu && c->cpu && c->thread && c->disk && c->queue && c->tx;
}
