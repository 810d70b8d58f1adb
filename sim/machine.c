/* The machine's memory, and the law that no interrupt is lost. */
#include <inttypes.h>

#include "device/nic.h"
#include "hypervisor/epic.h"
#include "hypervisor/host_thread.h"
#include "hypervisor/net_send.h"
#include "hypervisor/nic_path.h"
#include "simulation.h"

/* What `broken` begins with, where no guest and no host is to blame but the models are. */
#define LAW "the run broke a law: "

static bool allocate_vcpu(struct arena *a, struct hypervisor *h, struct vcpu *v, uint16_t index)
{
    v->hypervisor = h;
    v->index = index;
    v->outbox = arena_alloc(a, h->vcpu_count > 128 ? h->vcpu_count : 128, sizeof *v->outbox);
    v->hw.target = arena_alloc(a, h->vcpu_count, sizeof *v->hw.target);
    v->extint_flow = arena_alloc(a, VECTORS, sizeof *v->extint_flow);
    v->guest.handler =
        arena_alloc(a, h->guest_epic ? EPIC_VECTORS : VECTORS, sizeof *v->guest.handler);
    v->epic = h->guest_epic ? arena_alloc(a, 1, sizeof *v->epic) : NULL;
    return v->outbox && v->hw.target && v->extint_flow && v->guest.handler &&
           (v->epic || !h->guest_epic);
}

/* Its limits are the plan's. */
static bool set_watchdog(struct virqsim *sim)
{
    struct watchdog *w = &sim->watchdog;

    if (watchdog_init(w, &sim->machine, &sim->counters,
                      arena_alloc(&sim->arena, sim->machine.vcpu_count, sizeof *w->vcpu)))
        sim->counters.sink.next = &w->sink;
    return w->vcpu != NULL;
}

bool machine_allocate(struct virqsim *sim, uint32_t more_events)
{
    struct hypervisor *h = &sim->machine;
    struct arena *a = &sim->arena;
    const uint32_t events =
        hypervisor_events(h->vcpu_count, h->pcpu_count, h->device_count, h->rx_queue_count) +
        more_events;
    void *queue = arena_alloc(a, 1, event_queue_bytes(events));

    h->vcpu = arena_alloc(a, h->vcpu_count, sizeof *h->vcpu);
    h->pcpu = arena_alloc(a, h->pcpu_count, sizeof *h->pcpu);
    h->device = arena_alloc(a, h->device_count, sizeof *h->device);
    h->nic = arena_alloc(a, h->nic_count, sizeof *h->nic);
    h->rx_queue = arena_alloc(a, h->rx_queue_count, sizeof(struct nic_queue *));
    h->fabric.apic = arena_alloc(a, h->vcpu_count, sizeof *h->fabric.apic);
    h->irte = arena_alloc(a, h->device_count + 1, sizeof *h->irte);
    h->amd_irte = arena_alloc(a, h->device_count + 1, sizeof *h->amd_irte);
    h->ga_log = arena_alloc(a, GA_LOG_ENTRIES, sizeof *h->ga_log);
    h->guest.cepic = arena_alloc(a, h->vcpu_count, sizeof *h->guest.cepic);
    h->avic.entry = arena_alloc(a, h->vcpu_count, sizeof *h->avic.entry);
    h->pid_table = arena_alloc(a, h->vcpu_count, sizeof *h->pid_table);
    if (!queue || !h->vcpu || !h->pcpu || !h->device || !h->nic || !h->rx_queue ||
        !h->fabric.apic || !h->pid_table || !h->avic.entry || !h->guest.cepic || !h->irte ||
        !h->amd_irte || !h->ga_log)
        return false;
    event_queue_init(&sim->events, queue, events);
    sim->trace = (struct trace){.events = &sim->events};
    h->events = &sim->events;
    h->trace = &sim->trace;
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        if (!allocate_vcpu(a, h, &h->vcpu[i], (uint16_t)i))
            return false;
    for (uint32_t i = 0; i < h->pcpu_count; i++)
        pcpu_init(h, &h->pcpu[i], (uint16_t)i);
    if (!counters_init(&sim->counters, a, h))
        return false;
    sim->trace.sinks = &sim->counters.sink;
    return set_watchdog(sim);
}

static unsigned message_vector(const struct vcpu *sender)
{
    return sender->epic ? sender->epic->message.vector : sender->message.vector;
}

/* A message that its sender has routed but not yet handed over. */
static uint64_t in_outboxes(const struct hypervisor *h, unsigned vcpu, unsigned vector)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        const struct vcpu *s = &h->vcpu[i];

        for (uint32_t d = s->outbox_next; d < s->outbox_count; d++)
            n += s->outbox[d].vcpu == vcpu && message_vector(s) == vector;
    }
    return n;
}

/* A delivery that met an unmapped page, and that the exit handler has not noticed yet. */
static bool cut_short(const struct vcpu *v, int vector)
{
    bool nmi;

    return (v->state == VCPU_EXITING || v->state == VCPU_HANDLE) && v->injecting == NO_VECTOR &&
           v->reinject != vector && v->hw.ops->interrupted_delivery(&v->hw, &nmi) == vector;
}

/* MSIs that wait in a device that is masked; of assigned ones, for the host's handler. */
static uint64_t before_apics(const struct hypervisor *h, unsigned vcpu, unsigned vector)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < h->device_count; i++) {
        const struct device *d = &h->device[i];

        n += d->landed && d->vcpu == vcpu && hypervisor_device_vector(d) == vector;
        n += d->withheld && d->vcpu == vcpu && hypervisor_device_vector(d) == vector;
    }
    return n;
}

/* In the descriptor, requested, or about to reach its handler. */
static uint64_t pending_for_user(const struct vcpu *v, unsigned vector)
{
    const struct uintr *u = v->hw.user;
    const unsigned bit = vector - TRACE_USER_VECTOR(0);

    return (uintr_get(&u->upid->words, UINTR_UPID_PUIR) >> bit & 1) + (u->uirr >> bit & 1) +
           (v->delivering == (int)vector);
}

/* What missed its core, and waits for the host to take CEPIC_EPIC_INT. */
static uint64_t in_epic_int2(const struct hypervisor *h, unsigned vcpu, unsigned vector)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < h->vcpu_count; i++)
        n += epic_missed(&h->vcpu[i], vcpu, vector);
    return n;
}

static uint64_t pending_for_epic(const struct vcpu *v, unsigned vector)
{
    return in_outboxes(v->hypervisor, v->index, vector) +
           before_apics(v->hypervisor, v->index, vector) +
           in_epic_int2(v->hypervisor, v->index, vector) + epic_pending(v, vector) +
           (v->delivering == (int)vector) + (v->timer_due && v->timer_vector == vector);
}

/* Read off the machine's registers, not off the trace: the two must agree. */
uint64_t machine_pending(const struct vcpu *v, unsigned vector)
{
    const int number = (int)vector;
    uint64_t n;

    if (v->epic)
        return pending_for_epic(v, vector);
    if (vector >= VECTORS)
        return pending_for_user(v, vector);
    n = in_outboxes(v->hypervisor, v->index, vector);
    n += before_apics(v->hypervisor, v->index, vector);
    n += vec_has(&v->apic.regs.IRR, vector);
    n += vec_has(&v->descriptor.pir, vector);
    n += vec_has(&v->extint, vector);
    n += v->hypervisor->board && v->index == v->hypervisor->board->chipset.extint_target
             ? chipset_pending(&v->hypervisor->board->chipset, vector)
             : 0;
    n += v->user_vector == number;
    n += v->injecting == number;
    n += v->reinject == number;
    n += v->delivering == number;
    n += startup_pending(v, vector);
    n += cut_short(v, number);
    n += vector == 2 && v->apic.nmi_pending;
    n += (v->timer_due || v->hw.timer_event) && v->timer_vector == vector;
    return n;
}

/* Of every queue: arrived = taken + dropped + waiting. */
static bool balance_frames(struct virqsim *sim)
{
    for (uint32_t n = 0; n < sim->machine.rx_queue_count; n++) {
        const struct queue_counters *q = &sim->counters.queue[n];
        const uint64_t waiting = sim->machine.rx_queue[n]->waiting;

        if (q->arrived == q->latency.count + waiting)
            continue;
        snprintf(sim->broken, sizeof sim->broken,
                 LAW "queue %" PRIu32 ": %" PRIu64 " frames in its ring, but %" PRIu64
                     " taken + %" PRIu64 " waiting",
                 n, q->arrived, q->latency.count, waiting);
        return false;
    }
    return true;
}

/* Of every transmit queue: asked = sent + waiting. */
static bool balance_sent(struct virqsim *sim)
{
    for (uint32_t n = 0; n < sim->machine.tx_queue_count; n++) {
        const struct tx_queue *t = &sim->machine.tx_queue[n];
        const uint64_t sent = sim->counters.tx[n].count;

        if (t->asked == sent + tx_waiting(t))
            continue;
        snprintf(sim->broken, sizeof sim->broken,
                 LAW "transmit queue %" PRIu32 ": %" PRIu64 " frames, but %" PRIu64
                     " sent + %" PRIu64 " waiting",
                 n, t->asked, sent, tx_waiting(t));
        return false;
    }
    return true;
}

/* Whatever was asked of a disk is done or under way. */
static bool balance_disks(struct virqsim *sim)
{
    for (uint32_t i = 0; i < sim->machine.disk_count; i++) {
        const struct disk_counters *c = &sim->counters.disk[i];
        const uint64_t under_way = disk_requests_under_way(&sim->machine.disk[i]);

        if (c->asked == c->reaped + under_way)
            continue;
        snprintf(sim->broken, sizeof sim->broken,
                 LAW "disk %" PRIu32 ": %" PRIu64 " requests, but %" PRIu64 " done + %" PRIu64
                     " under way",
                 i, c->asked, c->reaped, under_way);
        return false;
    }
    return true;
}

/* The books are right; but the host has met what it cannot handle. */
static bool ended_well(struct virqsim *sim)
{
    const struct vcpu *v = sim->machine.unhandled;

    if (!v)
        return true;
    snprintf(sim->broken, sizeof sim->broken,
             "the host gave up: vcpu %u left its guest by %s, for which KVM has no handler",
             v->index, exit_reasons[v->exit.reason].name);
    return false;
}

bool machine_balance(struct virqsim *sim)
{
    const struct hypervisor *h = &sim->machine;

    if (h->crashed) {
        snprintf(sim->broken, sizeof sim->broken,
                 "the guest crashed: vcpu %u: its handlers nest more than %d deep: they unmask "
                 "interrupts after the EOI faster than they return",
                 h->crashed->index, GUEST_FRAMES_MAX - 2);
        return false;
    }
    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        for (unsigned vector = 0; vector < sim->counters.vectors; vector++) {
            const struct account *a = &sim->counters.vcpu[i].account[vector];
            const uint64_t pending = a->raised ? machine_pending(&h->vcpu[i], vector) : 0;

            if (a->raised == a->delivered + a->coalesced + a->refused + pending)
                continue;
            snprintf(sim->broken, sizeof sim->broken,
                     LAW "vcpu %" PRIu32 " vector %u: %" PRIu64 " raised, but %" PRIu64
                         " delivered + %" PRIu64 " coalesced + %" PRIu64 " refused + %" PRIu64
                         " pending",
                     i, vector, a->raised, a->delivered, a->coalesced, a->refused, pending);
            return false;
        }
    }
    return balance_frames(sim) && balance_sent(sim) && balance_disks(sim) && ended_well(sim);
}
