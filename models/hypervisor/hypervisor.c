/* Putting the machine together: who knows whom, and the first events. */
#include "hypervisor/hypervisor.h"

static struct vcpu *vcpu_of_port(struct lapic_port *port)
{
    return EVENT_OWNER(port, struct vcpu, apic_port);
}

static void apic_sends(struct lapic_port *port, const struct irq_msg *msg)
{
    struct vcpu *v = vcpu_of_port(port);
    struct irq_msg m = *msg;

    m.flow = v->message_flow;
    deliver_route(v, &m);
}

/* The I/O APICs, when there are some, hear of it here. */
static void apic_broadcasts_eoi(struct lapic_port *port, uint8_t vector)
{
    (void)port;
    (void)vector;
}

static void apic_arms_timer(struct lapic_port *port, sim_time deadline)
{
    timer_set(vcpu_of_port(port), deadline);
}

/* --- devices --- */

static enum trace_source source_of(const struct device *d)
{
    static const enum trace_source sources[DEVICE_KIND_COUNT] = {
        [DEVICE_MSI] = TRACE_SOURCE_MSI,
        [DEVICE_LEVEL] = TRACE_SOURCE_LEVEL,
        [DEVICE_EXTINT] = TRACE_SOURCE_EXTINT,
        [DEVICE_NMI] = TRACE_SOURCE_NMI,
    };
    return sources[d->kind];
}

/* An 8259A's output rises; KVM looks for its vector before the next entry. */
static void raise_extint(struct vcpu *v, uint8_t vector, trace_flow flow)
{
    struct hypervisor *h = v->hypervisor;

    if (!vec_set(&v->extint, vector)) {
        trace_put(h->trace, flow, TRACE_COALESCED, v->index, vector, TRACE_HELD_EXTINT);
        return;
    }
    v->extint_flow[vector] = flow;
    trace_put(h->trace, flow, TRACE_PENDING, v->index, vector, TRACE_HELD_EXTINT);
    v->request = true;
    if (h->policy.irqchip == IRQCHIP_USERSPACE)
        userspace_interrupt(v, NULL, vector, flow);
    else
        vcpu_kick(v, NULL, vector, flow);
}

static void raise_once(struct device *d)
{
    struct hypervisor *h = d->hypervisor;
    struct vcpu *v = &h->vcpu[d->vcpu];
    const trace_flow flow = trace_new_flow(h->trace);
    const uint8_t vector = d->kind == DEVICE_NMI ? 2 : d->vector;
    const struct irq_msg msg = {
        .vector = vector,
        .delivery = d->kind == DEVICE_NMI ? IRQ_NMI : IRQ_FIXED,
        .level = d->kind == DEVICE_LEVEL,
        .dest = lapic_id(&v->apic),
        .source = TRACE_NOWHERE,
        .flow = flow,
    };

    trace_put(h->trace, flow, TRACE_RAISED, TRACE_NOWHERE, vector,
              TRACE_SOURCE(source_of(d), (uint64_t)(d - h->device)));
    trace_put(h->trace, flow, TRACE_ROUTED, d->vcpu, vector, TRACE_PARENT(TRACE_NOWHERE, flow));
    if (d->kind == DEVICE_EXTINT)
        raise_extint(v, vector, flow);
    else
        hypervisor_accept(v, &msg, NULL);
}

static void device_arrived(struct event *e)
{
    struct device *d = EVENT_OWNER(e, struct device, arrival);

    for (; d->acts; d->acts--)
        raise_once(d);
}

void hypervisor_device_act(struct device *d)
{
    struct event_queue *q = d->hypervisor->events;

    d->acts++;
    if (!event_is_armed(q, &d->arrival))
        event_arm(q, &d->arrival, time_plus_ps(q->now, d->delay_ps));
}

static void device_by_plan(struct event *e)
{
    struct device *d = EVENT_OWNER(e, struct device, plan);

    hypervisor_device_act(d);
    if (++d->at_next < d->at_count)
        event_arm(d->hypervisor->events, e, d->at[d->at_next]);
}

static void device_line(struct wire_listener *l, bool level)
{
    if (level)
        hypervisor_device_act(EVENT_OWNER(l, struct device, listener));
}

static void device_init(struct hypervisor *h, struct device *d)
{
    d->hypervisor = h;
    d->listener.changed = device_line;
    d->line = (struct wire){.listener = &d->listener};
    event_init(h->events, &d->arrival, EVENT_PHASE_DEVICE, device_arrived);
    event_init(h->events, &d->plan, EVENT_PHASE_DEVICE, device_by_plan);
    if (d->at_count)
        event_arm(h->events, &d->plan, d->at[0]);
}

/* --- vCPUs --- */

static void apic_init(struct hypervisor *h, struct vcpu *v)
{
    const struct lapic_config config = {
        .index = v->index,
        .apic_id = v->index,
        .bootstrap = v->index == 0,
        .mode = h->guest_apic,
        .software_enabled = true,
        .bus_clock = h->apic_bus,
        .tsc_clock = h->tsc,
        .trace = h->trace,
        .port = &v->apic_port,
    };

    v->apic_port = (struct lapic_port){apic_sends, apic_broadcasts_eoi, apic_arms_timer};
    lapic_init(&v->apic, &config);
    h->fabric.apic[v->index] = &v->apic;
}

static void hardware_init(struct hypervisor *h, struct vcpu *v, enum virt_vendor vendor)
{
    v->hw.ops = vendor == VIRT_VMX ? &virt_vmx : &virt_svm;
    v->hw.apic = &v->apic;
    v->hw.descriptor = &v->descriptor;
    v->hw.pid_table = h->pid_table;
    v->hw.interrupts_enabled = true;
    v->descriptor = (struct posted_descriptor){
        .nv = HOST_NUMBER_POSTED,
        .ndst = v->thread.pcpu->index,
        .owner = v->index,
        .trace = h->trace,
    };
    h->pid_table[v->index] = &v->descriptor;
    controls_set(v);
}

static void vcpu_init(struct hypervisor *h, struct vcpu *v, enum virt_vendor vendor)
{
    v->state = VCPU_PARKED;
    v->in_userspace = true;
    v->delivering = v->reinject = v->injecting = v->user_vector = NO_VECTOR;
    timer_init(v);
    halt_poll_init(v);
    apic_init(h, v);
    hardware_init(h, v, vendor);
}

uint32_t hypervisor_events(uint32_t vcpus, uint32_t pcpus, uint32_t devices)
{
    return vcpus * 3 + pcpus * (2 + HOST_VECTOR_COUNT) + devices * 2;
}

void hypervisor_init(struct hypervisor *h, enum virt_vendor vendor)
{
    h->fabric.count = h->vcpu_count;
    h->fabric.trace = h->trace;
    h->running = h->vcpu_count;
    for (uint32_t i = 0; i < h->vcpu_count;
         i++) /* the busiest events side by side in the queue */
        vcpu_init_steps(&h->vcpu[i]);
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        vcpu_init(h, &h->vcpu[i], vendor);
    for (uint32_t i = 0; i < h->device_count; i++)
        device_init(h, &h->device[i]);
}
