/* The pins of an Elbrus machine's IOEPIC: from a device's line to the messages of the guest. */
#include "hypervisor/ioepic_board.h"

#include "hypervisor/epic.h"
#include "hypervisor/interception.h"

enum { FIRST_INTX = 16, LAST_INTX = 19 };

static unsigned pin_of(const struct ioepic_input *i)
{
    return (unsigned)(i - i->board->input);
}

static trace_flow raise(const struct ioepic_board *b, unsigned pin)
{
    struct trace *t = b->hypervisor->trace;
    const trace_flow flow = trace_new_flow(t);

    trace_put(t, flow, TRACE_RAISED, TRACE_NOWHERE, pin, TRACE_SOURCE(TRACE_SOURCE_LINE, pin));
    return flow;
}

/* Of the message that a pin sends; a level that is still there after its EOI is raised anew. */
static trace_flow claim(struct ioepic_input *i)
{
    const trace_flow flow = i->flow;

    i->flow = 0;
    return flow ? flow : raise(i->board, pin_of(i));
}

/* --- messages --- */

static struct vcpu *meant(struct hypervisor *h, const struct epic_msg *msg)
{
    for (uint32_t n = 0; n < h->vcpu_count; n++)
        if (e2k_is_meant(&h->guest, msg, n))
            return &h->vcpu[n];
    return NULL;
}

/* Linux for e2k: ioepic_deliver_to_cepic(). The guest's own pin sends by the hardware. */
static bool send(struct ioepic_port *port, unsigned pin, const struct epic_msg *msg)
{
    struct ioepic_board *b = EVENT_OWNER(port, struct ioepic_board, port);
    struct hypervisor *h = b->hypervisor;
    struct vcpu *target = meant(h, msg);
    struct epic_msg m = *msg;

    m.flow = claim(&b->input[pin]);
    if (!target) {
        trace_put(h->trace, m.flow, TRACE_REFUSED, TRACE_NOWHERE, m.vector,
                  TRACE_REFUSED_NO_DESTINATION);
        return false;
    }
    e2k_name_vector(&m);
    trace_put(h->trace, m.flow, TRACE_ROUTED, target->index, m.vector,
              TRACE_PARENT(TRACE_NOWHERE, m.flow));
    if (b->input[pin].owner == IOEPIC_PASSED)
        return epic_device_sends(target, &m);
    return epic_accept(target, &m, b->actor);
}

/* --- pins --- */

/* The host's own IOEPIC: its message reaches the CPU, whose handler masks the pin. */
static void land(struct ioepic_input *i)
{
    struct hypervisor *h = i->board->hypervisor;

    if (i->landed || i->masked)
        return;
    i->landed = true;
    host_send(&h->pcpu[i->cpu], HOST_ASSIGNED, hv_after(h, h->costs.of[COST_HW_MSI].n),
              i->flow);
}

static void changed(struct wire_listener *listener, bool level)
{
    struct ioepic_input *i = EVENT_OWNER(listener, struct ioepic_input, listener);
    const struct ioepic_board *b = i->board;

    if (level)
        i->flow = raise(b, pin_of(i));
    if (i->owner != IOEPIC_FORWARDED)
        ioepic_drive(&i->board->ioepic, pin_of(i), level);
    else if (level)
        land(i);
    if (level || !i->flow)
        return;
    trace_put(b->hypervisor->trace, i->flow, TRACE_REFUSED, TRACE_NOWHERE, pin_of(i),
              TRACE_REFUSED_MASKED);
    i->flow = 0;
}

void ioepic_board_drive(struct ioepic_board *b, unsigned pin, unsigned driver, bool level)
{
    wire_drive(&b->input[pin].wire, driver, level);
}

bool ioepic_board_landed(const struct pcpu *p, trace_flow *flow)
{
    const struct ioepic_board *b = p->hypervisor->ioepic;

    for (unsigned pin = 0; b && pin < IOEPIC_INPUTS; pin++)
        if (b->input[pin].landed && b->input[pin].cpu == p->index) {
            *flow = b->input[pin].flow;
            return true;
        }
    return false;
}

/* Linux for e2k: vfio_intx_handler() masks and signals, irqfd asserts the guest's pin. */
void ioepic_board_forward(struct pcpu *p)
{
    struct ioepic_board *b = p->hypervisor->ioepic;

    for (unsigned pin = 0; b && pin < IOEPIC_INPUTS; pin++) {
        struct ioepic_input *i = &b->input[pin];

        if (!i->landed || i->cpu != p->index)
            continue;
        i->landed = false;
        i->masked = true;
        ioepic_drive(&b->ioepic, pin, true);
    }
}

/* Linux for e2k: ioepic_notify_acked_irq(), irqfd_resampler_ack(): the guest's pin falls, and the
   host's is open again. */
static void acknowledged(struct ioepic_board *b, unsigned pin)
{
    struct ioepic_input *i = &b->input[pin];

    if (i->owner != IOEPIC_FORWARDED)
        return;
    i->masked = false;
    ioepic_drive(&b->ioepic, pin, false);
    if (wire_level(&i->wire))
        land(i);
}

/* Linux for e2k: kvm_ioepic_update_eoi(): every pin with that vector. */
void ioepic_board_ended(struct vcpu *v, uint16_t vector)
{
    struct ioepic_board *b = v->hypervisor->ioepic;

    if (!b)
        return;
    b->actor = v;
    for (unsigned pin = 0; pin < IOEPIC_INPUTS; pin++)
        if (ioepic_message(&b->ioepic, pin).vector == vector)
            acknowledged(b, pin);
    b->actor = NULL;
}

/* Linux for e2k: ioepic_set_vcpu_affinity(): the pins of PCI's INTx are not passed. */
static bool passes(const struct hypervisor *h, unsigned pin)
{
    return feature_in(h->features, FEATURE_EPIC_PASSTHROUGH) &&
           (pin < FIRST_INTX || pin > LAST_INTX);
}

void ioepic_board_assign(struct hypervisor *h, unsigned pin, uint16_t cpu)
{
    h->ioepic->input[pin].owner = passes(h, pin) ? IOEPIC_PASSED : IOEPIC_FORWARDED;
    h->ioepic->input[pin].cpu = cpu;
}

/* --- the registers --- */

bool ioepic_board_owns(const struct ioepic_board *b, const struct access *a)
{
    return b && a->kind == ACCESS_INSTRUCTION && a->instruction == VIRT_MMIO &&
           a->address >= E2K_IOEPIC_BASE &&
           a->address - E2K_IOEPIC_BASE < (uint64_t)IOEPIC_INPUTS * IOEPIC_PIN_BYTES;
}

uint32_t ioepic_board_mapped(const struct hypervisor *h)
{
    uint32_t pins = 0;

    for (uint32_t i = 0; i < hypervisor_plan_devices(h); i++)
        if (h->device[i].line_assigned && passes(h, h->device[i].gsi))
            pins |= UINT32_C(1) << h->device[i].gsi;
    return feature_in(h->features, FEATURE_IOEPIC_DIRECT_MAP) ? pins : 0;
}

/* Linux for e2k: ioepic_write_int_ctrl() tells of the acknowledgement before it takes effect. */
static void write(struct ioepic_board *b, uint32_t offset, const struct access *a)
{
    const unsigned pin = offset / IOEPIC_PIN_BYTES;
    const bool control = offset % IOEPIC_PIN_BYTES == IOEPIC_INT_CTRL && a->size == 4;

    if (control && a->value & IOEPIC_EOI)
        acknowledged(b, pin);
    ioepic_write(&b->ioepic, offset, a->size, (uint32_t)a->value);
}

void ioepic_board_access(struct vcpu *v)
{
    struct ioepic_board *b = v->hypervisor->ioepic;
    const struct access *a = &v->access;

    if (!ioepic_board_owns(b, a))
        return;
    b->actor = v;
    if (a->write)
        write(b, (uint32_t)(a->address - E2K_IOEPIC_BASE), a);
    else
        interception_replace(
            v, ioepic_read(&b->ioepic, (uint32_t)(a->address - E2K_IOEPIC_BASE), a->size));
    b->actor = NULL;
}

void ioepic_board_init(struct hypervisor *h)
{
    struct ioepic_board *b = h->ioepic;

    if (!b)
        return;
    b->hypervisor = h;
    b->port.send = send;
    for (unsigned pin = 0; pin < IOEPIC_INPUTS; pin++) {
        struct ioepic_input *i = &b->input[pin];

        i->board = b;
        i->listener.changed = changed;
        i->wire.listener = &i->listener;
    }
    ioepic_init(&b->ioepic, IOEPIC_INPUTS, b->version, &b->port);
}
