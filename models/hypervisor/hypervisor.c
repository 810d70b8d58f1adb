/* Putting the machine together: who knows whom, and the first events. */
#include "hypervisor/fault.h"
#include "hypervisor/host_noise.h"
#include "hypervisor/disk.h"
#include "hypervisor/serial.h"
#include "hypervisor/epic.h"
#include "hypervisor/ioepic_board.h"
#include "hypervisor/net_send.h"
#include "hypervisor/nic_path.h"

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

static void apic_broadcasts_eoi(struct lapic_port *port, uint8_t vector)
{
    board_eoi(vcpu_of_port(port), vector);
}

static void apic_arms_timer(struct lapic_port *port, sim_time deadline)
{
    timer_set(vcpu_of_port(port), deadline);
}

/* --- devices --- */

static enum trace_source source_of(const struct device *d)
{
    static const enum trace_source sources[DEVICE_KIND_COUNT] = {
        [DEVICE_MSI] = TRACE_SOURCE_MSI,       [DEVICE_LEVEL] = TRACE_SOURCE_LEVEL,
        [DEVICE_EXTINT] = TRACE_SOURCE_EXTINT, [DEVICE_NMI] = TRACE_SOURCE_NMI,
        [DEVICE_LINE] = TRACE_SOURCE_LINE,     [DEVICE_ASSIGNED] = TRACE_SOURCE_MSI,
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
    extint_tell(v, NULL, vector, flow);
}

uint16_t hypervisor_device_vector(const struct device *d)
{
    return d->kind == DEVICE_NMI ? 2 : d->hypervisor->guest_epic ? d->epic_vector : d->vector;
}

/* It leaves the device. */
static void send(struct device *d, trace_flow flow)
{
    struct hypervisor *h = d->hypervisor;
    struct vcpu *v = &h->vcpu[d->vcpu];
    const uint8_t vector = (uint8_t)hypervisor_device_vector(d);
    const struct irq_msg msg = {
        .vector = vector,
        .delivery = d->kind == DEVICE_NMI ? IRQ_NMI : IRQ_FIXED,
        .level = d->kind == DEVICE_LEVEL,
        .dest = lapic_id(&v->apic),
        .source = TRACE_NOWHERE,
        .flow = flow,
    };

    if (v->epic)
        epic_device_raise(d, flow);
    else if (d->kind == DEVICE_ASSIGNED)
        assigned_raise(d, flow);
    else if (d->kind == DEVICE_EXTINT)
        raise_extint(v, vector, flow);
    else
        hypervisor_accept(v, &msg, NULL);
}

/* PCI 3.0 "Per-vector Masking": one pending bit. */
static void withhold(struct device *d, trace_flow flow)
{
    trace_put(d->hypervisor->trace, flow, d->withheld ? TRACE_COALESCED : TRACE_PENDING,
              d->vcpu, hypervisor_device_vector(d), TRACE_HELD_PBA);
    if (!d->withheld)
        d->withheld = flow;
}

void hypervisor_device_mask(struct device *d, bool masked)
{
    const trace_flow flow = d->withheld;

    d->masked = masked;
    if (masked || !flow)
        return;
    d->withheld = 0;
    send(d, flow);
}

static void raise_once(struct device *d)
{
    struct hypervisor *h = d->hypervisor;
    const trace_flow flow = trace_new_flow(h->trace);

    trace_put(h->trace, flow, TRACE_RAISED, TRACE_NOWHERE, hypervisor_device_vector(d),
              TRACE_SOURCE(source_of(d), (uint64_t)(d - h->device)));
    trace_put(h->trace, flow, TRACE_ROUTED, d->vcpu, hypervisor_device_vector(d),
              TRACE_PARENT(TRACE_NOWHERE, flow));
    if (d->masked)
        withhold(d, flow);
    else
        send(d, flow);
}

/* --- devices with a line --- */

void hypervisor_drive(struct hypervisor *h, unsigned input, unsigned driver, bool level)
{
    if (h->ioepic)
        ioepic_board_drive(h->ioepic, input, driver, level);
    else
        board_drive(h->board, input, driver, level);
}

static void drive(const struct device *d, bool level)
{
    hypervisor_drive(d->hypervisor, d->gsi, d->driver, level);
}

/* However often it has a reason to: the line is asserted, and the guest finds all reasons. */
static void assert_line(struct device *d)
{
    struct event_queue *q = d->hypervisor->events;

    drive(d, true);
    if (d->pulse_ps)
        event_arm(q, &d->fall, time_plus_ps(q->now, d->pulse_ps));
}

static void pulse_ended(struct event *e)
{
    drive(EVENT_OWNER(e, struct device, fall), false);
}

void hypervisor_device_lower(struct device *d)
{
    event_disarm(d->hypervisor->events, &d->fall);
    event_disarm(d->hypervisor->events, &d->arrival); /* it was on its way up */
    d->acts = 0;
    drive(d, false);
}

/* --- */

static void device_arrived(struct event *e)
{
    struct device *d = EVENT_OWNER(e, struct device, arrival);

    if (d->kind == DEVICE_LINE) {
        d->acts = 0;
        assert_line(d);
        return;
    }
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
    struct device *d = EVENT_OWNER(l, struct device, listener);

    if (level)
        hypervisor_device_act(d);
    else if (d->kind == DEVICE_LINE)
        hypervisor_device_lower(d);
}

static void device_init(struct hypervisor *h, struct device *d)
{
    d->hypervisor = h;
    d->listener.changed = device_line;
    if (d->kind == DEVICE_ASSIGNED) {
        d->next_assigned = h->pcpu[d->cpu].assigned;
        h->pcpu[d->cpu].assigned = d;
    }
    msix_entry_init(d);
    if (d->line_assigned)
        ioepic_board_assign(h, d->gsi, d->cpu);
    d->line = (struct wire){.listener = &d->listener};
    event_init(h->events, &d->arrival, EVENT_PHASE_DEVICE, device_arrived);
    event_init(h->events, &d->plan, EVENT_PHASE_DEVICE, device_by_plan);
    event_init(h->events, &d->fall, EVENT_PHASE_DEVICE, pulse_ended);
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
        .waits_for_sipi = v->startup.waits,
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

static const struct virt_ops *const hardware[VIRT_VENDORS] = {
    [VIRT_VMX] = &virt_vmx, [VIRT_SVM] = &virt_svm, [VIRT_E2K] = &virt_e2k};

static void hardware_init(struct hypervisor *h, struct vcpu *v, enum virt_vendor vendor)
{
    v->hw.ops = hardware[vendor];
    v->hw.hypothetical = h->hypothetical;
    if (h->hypothetical)
        v->hw.ops = &h->hypothetical->ops;
    v->hw.apic = &v->apic;
    v->hw.descriptor = &v->descriptor;
    v->hw.pid_table = h->pid_table;
    v->hw.avic = &h->avic;
    h->avic.entry[v->index].backing = &v->apic;
    v->hw.interrupts_enabled = v->hw.user_mode = true;
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
    if (v->epic)
        epic_init(h, v);
    hardware_init(h, v, vendor);
}

/* What the plan declares stands in front of the technology's hardware. */
static void hypothetical_init(struct hypervisor *h, enum virt_vendor vendor)
{
    const bool apic_in_kernel = controls_apic_in_kernel(h);

    if (!h->hypothetical)
        return;
    hypothetical_install(h->hypothetical, hardware[vendor], &h->fabric, apic_in_kernel);
    h->declared_timer =
        apic_in_kernel && hypothetical_declares(h->hypothetical, HYPOTHETICAL_TIMER_EXPIRY);
}

enum { INHIBIT_EVENTS = 2 };

uint32_t hypervisor_events(uint32_t vcpus, uint32_t pcpus, uint32_t devices, uint32_t queues)
{
    return BOARD_EVENTS + INHIBIT_EVENTS + vcpus * 3 + pcpus * (2 + HOST_VECTOR_COUNT) +
           devices * 3 + queues * NIC_EVENTS_OF_QUEUE;
}

void hypervisor_init(struct hypervisor *h, enum virt_vendor vendor)
{
    h->fabric.count = h->vcpu_count;
    h->fabric.trace = h->trace;
    h->avic.count = h->vcpu_count;
    h->avic.trace = h->trace;
    h->guest.count = h->vcpu_count;
    h->guest.id = 1;
    h->guest.trace = h->trace;
    h->running = h->vcpu_count;
    hypothetical_init(h, vendor);
    for (uint32_t i = 0; i < h->vcpu_count;
         i++) /* the busiest events side by side in the queue */
        vcpu_init_steps(&h->vcpu[i]);
    board_init(h);
    ioepic_board_init(h);
    epic_machine_init(h);
    inhibit_init(h, vendor);
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        vcpu_init(h, &h->vcpu[i], vendor);
    for (uint32_t i = 0; i < h->device_count; i++)
        device_init(h, &h->device[i]);
    for (uint32_t i = 0; i < h->nic_count; i++)
        nic_path_init(h, &h->nic[i]);
    assigned_init(h);
    host_threads_init(h);
    host_noise_init(h);
    faults_init(h);
    disks_init(h);
    tx_init(h);
    serial_init(h);
}
