/*
 * The wiring of a PC's interrupt controllers.
 *
 * An assertion of an input gets its flow when it rises. The controller that
 * makes an interrupt of it takes the flow over; where both do, or one does so
 * twice (a level that is still high after its EOI), the further ones are raised
 * anew. An assertion that nobody took ends when the input falls.
 */
#include "irq/chipset.h"

static unsigned gsi_of(const struct chipset *c, const struct chipset_input *input)
{
    return (unsigned)(input - c->input);
}

static unsigned pin_of(unsigned gsi)
{
    return gsi == 0 ? CHIPSET_TIMER_PIN : gsi;
}

static unsigned gsi_of_pin(unsigned pin)
{
    return pin == CHIPSET_TIMER_PIN ? 0 : pin;
}

static trace_flow raise(struct chipset *c, unsigned gsi)
{
    const trace_flow flow = trace_new_flow(c->trace);

    trace_put(c->trace, flow, TRACE_RAISED, TRACE_NOWHERE, gsi,
              TRACE_SOURCE(TRACE_SOURCE_LINE, gsi));
    return flow;
}

/* The flow of an interrupt that a controller makes of this input. */
static trace_flow claim(struct chipset *c, unsigned gsi)
{
    const trace_flow flow = c->input[gsi].flow;

    c->input[gsi].flow = 0;
    return flow ? flow : raise(c, gsi);
}

/* --- the 8259A's interrupts --- */

static void put_pic(const struct chipset *c, trace_flow flow, enum trace_event event,
                    uint8_t vector, uint64_t b)
{
    trace_put(c->trace, flow, event, c->extint_target, vector, b);
}

static void route(struct chipset *c, trace_flow flow, uint8_t vector)
{
    put_pic(c, flow, TRACE_ROUTED, vector, TRACE_PARENT(TRACE_NOWHERE, flow));
    put_pic(c, flow, TRACE_PENDING, vector, TRACE_HELD_EXTINT);
}

static void requested(struct chipset *c, unsigned line)
{
    const trace_flow flow = claim(c, line);

    c->pic_flow[line] = flow;
    c->pic_vector[line] = i8259_vector(&c->pic, line);
    route(c, flow, c->pic_vector[line]);
}

static void withdrawn(struct chipset *c, unsigned line)
{
    put_pic(c, c->pic_flow[line], TRACE_REFUSED, c->pic_vector[line], TRACE_REFUSED_WITHDRAWN);
    c->pic_flow[line] = 0;
}

/* What the pair requests now, beside what was known: a request that is masked or whose line is
   in service is nobody's interrupt yet. */
static void follow_pic(struct chipset *c)
{
    const unsigned in_service = i8259_in_service(&c->pic);
    const unsigned requests = i8259_requests(&c->pic);
    const unsigned open = requests & ~i8259_masked(&c->pic) & ~in_service;

    for (unsigned line = 0; line < I8259_LINES; line++) {
        if (line == I8259_CASCADE)
            continue;
        if (c->pic_flow[line] && !(requests >> line & 1))
            withdrawn(c, line);
        else if (!c->pic_flow[line] && open >> line & 1)
            requested(c, line);
    }
}

/* A vector that was not the one routed: ICW2 was rewritten meanwhile, or it is spurious. */
static trace_flow raise_taken(struct chipset *c, unsigned line, uint8_t vector)
{
    const trace_flow flow = raise(c, line);

    route(c, flow, vector);
    return flow;
}

/* The flow leaves before the request does: nobody shall take it for withdrawn. */
uint8_t chipset_acknowledge(struct chipset *c, trace_flow *flow)
{
    enum { SPURIOUS = 7 };
    const int pending = i8259_pending(&c->pic);
    const unsigned line = pending == I8259_NO_LINE ? SPURIOUS : (unsigned)pending;
    const trace_flow routed = pending == I8259_NO_LINE ? 0 : c->pic_flow[line];
    const uint8_t routed_to = c->pic_vector[line];
    struct i8259_answer answer;

    if (routed)
        c->pic_flow[line] = 0;
    answer = i8259_acknowledge(&c->pic);
    follow_pic(c);
    if (routed && routed_to == answer.vector) {
        *flow = routed;
        return answer.vector;
    }
    if (routed)
        put_pic(c, routed, TRACE_REFUSED, routed_to, TRACE_REFUSED_WITHDRAWN);
    *flow = raise_taken(c, line, answer.vector);
    return answer.vector;
}

trace_flow chipset_request(const struct chipset *c, uint8_t *vector)
{
    const int line = i8259_pending(&c->pic);

    if (line == I8259_NO_LINE)
        return 0;
    *vector = c->pic_vector[line];
    return c->pic_flow[line];
}

void chipset_set_extint_target(struct chipset *c, uint16_t vcpu)
{
    if (c->extint_target == vcpu)
        return;
    for (unsigned line = 0; line < I8259_LINES; line++)
        if (c->pic_flow[line])
            withdrawn(c, line);
    c->extint_target = vcpu;
    follow_pic(c);
}

unsigned chipset_pending(const struct chipset *c, unsigned vector)
{
    unsigned n = 0;

    for (unsigned line = 0; line < I8259_LINES; line++)
        n += c->pic_flow[line] && c->pic_vector[line] == vector;
    return n;
}

static void pic_output(struct i8259_port *port, bool level)
{
    struct chipset *c = EVENT_OWNER(port, struct chipset, pic_port);

    follow_pic(c); /* whoever hears of INTR finds its requests routed */
    ioapic_drive(&c->ioapic, CHIPSET_EXTINT_PIN, level);
    c->port->intr(c->port, level);
}

/* --- the I/O APIC's --- */

/* An ExtINT message is no interrupt of its own: the receiver asks the 8259A for one. */
static void end_as_extint(struct chipset *c, unsigned pin)
{
    const unsigned gsi = gsi_of_pin(pin);

    if (pin != CHIPSET_EXTINT_PIN)
        trace_put(c->trace, claim(c, gsi), TRACE_REFUSED, TRACE_NOWHERE, gsi,
                  TRACE_REFUSED_MODE);
}

static bool ioapic_sends(struct ioapic_port *port, unsigned pin, const struct irq_msg *msg)
{
    struct chipset *c = EVENT_OWNER(port, struct chipset, ioapic_port);
    struct irq_msg m = *msg;

    m.source = TRACE_NOWHERE;
    if (m.delivery == IRQ_EXTINT)
        end_as_extint(c, pin);
    else
        m.flow = pin == CHIPSET_EXTINT_PIN ? raise(c, pin) : claim(c, gsi_of_pin(pin));
    return c->port->send(c->port, &m);
}

/* --- inputs --- */

static void changed(struct wire_listener *listener, bool level)
{
    struct chipset_input *input = EVENT_OWNER(listener, struct chipset_input, listener);
    struct chipset *c = input->chipset;
    const unsigned gsi = gsi_of(c, input);

    if (level)
        input->flow = raise(c, gsi);
    if (gsi < I8259_LINES)
        i8259_drive(&c->pic, gsi, level);
    ioapic_drive(&c->ioapic, pin_of(gsi), level);
    follow_pic(c);
    if (level || !input->flow)
        return;
    trace_put(c->trace, input->flow, TRACE_REFUSED, TRACE_NOWHERE, gsi, TRACE_REFUSED_MASKED);
    input->flow = 0;
}

void chipset_drive(struct chipset *c, unsigned gsi, unsigned driver, bool level)
{
    if (gsi < CHIPSET_INPUTS && gsi != I8259_CASCADE)
        wire_drive(&c->input[gsi].wire, driver, level);
}

void chipset_start_asserted(struct chipset *c, unsigned gsi, unsigned driver)
{
    c->input[gsi].wire.drivers |= UINT32_C(1) << driver;
    i8259_drive(&c->pic, gsi, true);
    ioapic_drive(&c->ioapic, pin_of(gsi), true);
}

/* --- registers --- */

uint8_t chipset_port_read(struct chipset *c, uint16_t port)
{
    const uint8_t value = i8259_read(&c->pic, port);

    follow_pic(c); /* a poll takes a request */
    return value;
}

void chipset_port_write(struct chipset *c, uint16_t port, uint8_t value)
{
    i8259_write(&c->pic, port, value);
    follow_pic(c);
}

uint32_t chipset_page_read(struct chipset *c, uint16_t offset, unsigned size)
{
    return ioapic_read(&c->ioapic, offset, size);
}

void chipset_page_write(struct chipset *c, uint16_t offset, unsigned size, uint32_t value)
{
    ioapic_write(&c->ioapic, offset, size, value);
}

void chipset_eoi(struct chipset *c, uint8_t vector)
{
    ioapic_eoi(&c->ioapic, vector);
}

void chipset_init(struct chipset *c, uint8_t ioapic_version, struct trace *trace,
                  struct chipset_port *port)
{
    const struct ioapic_config config = {.version = ioapic_version, .port = &c->ioapic_port};

    *c = (struct chipset){
        .pic_port = {pic_output}, .ioapic_port = {ioapic_sends}, .trace = trace, .port = port};
    for (unsigned gsi = 0; gsi < CHIPSET_INPUTS; gsi++) {
        struct chipset_input *input = &c->input[gsi];

        input->chipset = c;
        input->listener.changed = changed;
        input->wire.listener = &input->listener;
    }
    i8259_init(&c->pic, &c->pic_port, 0);
    ioapic_init(&c->ioapic, &config);
}
