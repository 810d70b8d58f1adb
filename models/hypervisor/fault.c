/* Faults of the surroundings: their begin, what they do meanwhile, and their end. */
#include "hypervisor/fault.h"

#include "hypervisor/host_thread.h"
#include "hypervisor/scheduler.h"

/* The highest driver of an input is nobody's: devices take them from the lowest on. */
enum { SHORT_CIRCUIT = WIRE_MAX_DRIVERS - 1 };

static struct device *device_of(const struct fault *f)
{
    return &f->hypervisor->device[f->subject];
}

static sim_time end_of(const struct fault *f)
{
    return time_plus_ps(f->at, f->for_ps);
}

static void arm(struct fault *f, sim_time at)
{
    event_arm(f->hypervisor->events, &f->event, at);
}

static void switch_fault(struct fault *f, bool on)
{
    f->on = on;
    trace_put(f->hypervisor->trace, 0, TRACE_FAULT, TRACE_NOWHERE, f->kind, on);
}

/* --- a device --- */

static void storm(struct fault *f)
{
    const sim_time now = hv_now(f->hypervisor);

    if (!f->on)
        switch_fault(f, true);
    if (!time_before(now, end_of(f))) {
        switch_fault(f, false);
        return;
    }
    hypervisor_device_act(device_of(f));
    arm(f, time_plus_ps(now, f->every_ps));
}

static void stuck(struct fault *f)
{
    switch_fault(f, !f->on);
    hypervisor_drive(f->hypervisor, f->subject, SHORT_CIRCUIT, f->on);
    if (f->on)
        arm(f, end_of(f));
}

static void masked(struct fault *f)
{
    switch_fault(f, !f->on);
    hypervisor_device_mask(device_of(f), f->on);
    if (f->on)
        arm(f, end_of(f));
}

static void nobody(void *context, unsigned index, const struct irq_msg *msg)
{
    struct fault *f = context; /* the plan's reader has made sure that there is none */

    hypervisor_accept(&f->hypervisor->vcpu[index], msg, NULL);
}

static void absent(struct fault *f)
{
    struct hypervisor *h = f->hypervisor;
    const struct irq_msg msg = {
        .vector = f->vector,
        .delivery = IRQ_FIXED,
        .dest = f->subject,
        .source = TRACE_NOWHERE,
        .flow = trace_new_flow(h->trace),
    };

    trace_put(h->trace, msg.flow, TRACE_RAISED, TRACE_NOWHERE, msg.vector,
              TRACE_SOURCE(TRACE_SOURCE_MSI, h->device_count));
    apic_fabric_route(&h->fabric, &msg, nobody, f);
}

/* --- a thread --- */

static struct fault *of_thread(struct thread *t)
{
    return EVENT_OWNER(t, struct fault, thread);
}

static void scheduled(struct thread *t, bool switching)
{
    struct fault *f = of_thread(t);

    (void)switching;
    switch_fault(f, true);
    arm(f, time_plus_ps(hv_now(f->hypervisor), f->for_ps));
}

/* SCHED_FIFO: it runs until it sleeps. */
static void keeps_cpu(struct thread *t)
{
    (void)t;
}

static void is_not_delayed(struct thread *t, cycles by)
{
    (void)t;
    (void)by;
}

static const struct thread_ops ops = {
    .scheduled = scheduled, .slice_over = keeps_cpu, .delayed = is_not_delayed};

static void off_cpu(struct fault *f)
{
    struct hypervisor *h = f->hypervisor;
    struct pcpu *p = h->vcpu[f->subject].thread.pcpu;

    if (f->on) {
        switch_fault(f, false);
        thread_leave(&f->thread, false);
        return;
    }
    f->thread = (struct thread){.ops = &ops, .pcpu = p, .weight = SCHEDULER_WEIGHT};
    thread_seize(&f->thread);
}

static void moved(struct fault *f)
{
    trace_put(f->hypervisor->trace, 0, TRACE_FAULT, TRACE_NOWHERE, f->kind, true);
    thread_send_to(&f->hypervisor->vcpu[f->subject].thread, f->to);
}

/* What it is about to do comes so much later; if it waits for something, what follows that. */
static void stall(struct fault *f)
{
    struct hypervisor *h = f->hypervisor;
    struct host_thread *t = &h->threads->thread[f->subject];
    const cycles by = clock_count(&h->core, (sim_time){f->for_ps});

    trace_put(h->trace, 0, TRACE_FAULT, TRACE_NOWHERE, f->kind, true);
    if (t->state == HOST_THREAD_SLEEPS && event_is_armed(h->events, &t->step))
        event_arm(h->events, &t->step, time_plus_ps(event_due(h->events, &t->step), f->for_ps));
    else if (event_is_armed(h->events, &t->step))
        t->thread.ops->delayed(&t->thread, by);
    else
        t->thread.ops->pay(&t->thread, by);
}

static void happens(struct event *e)
{
    static void (*const by_kind[FAULT_COUNT])(struct fault *) = {
        [FAULT_STORM] = storm,   [FAULT_STUCK] = stuck,     [FAULT_MASKED] = masked,
        [FAULT_ABSENT] = absent, [FAULT_OFF_CPU] = off_cpu, [FAULT_STALL] = stall,
        [FAULT_MOVED] = moved,
    };
    struct fault *f = EVENT_OWNER(e, struct fault, event);

    by_kind[f->kind](f);
}

void faults_init(struct hypervisor *h)
{
    for (uint32_t i = 0; i < h->fault_count; i++) {
        h->fault[i].hypervisor = h;
        event_init(h->events, &h->fault[i].event, EVENT_PHASE_DEVICE, happens);
        arm(&h->fault[i], h->fault[i].at);
    }
}
