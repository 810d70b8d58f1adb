/*
 * The interrupt controllers on a board of their own: the part of virqsim.h for
 * those who drive chips operation by operation, and compare them with others.
 *
 * Left out: everything that has no pin or register here (PIT, interrupt
 * remapping), LINT1, and time on the wires.
 */
#include "chips.h"

#include <stdlib.h>

#include "irq/msi_message.h"

/* What QEMU and KVM announce: six LVT entries, no suppression of EOI broadcasts. */
enum { LAPIC_VERSION_ANNOUNCED = 0x00050014 };
enum { TIMER_HZ = 1000000000 };
enum { MSR_APIC_BASE = 0x1b, MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff };
enum { LINT0 };

/* How many timer expiries a VIRQSIM_WAIT may take: some seconds of wall time at most. */
enum { WAIT_BUDGET = 20000000 };

/* ---- quirks ---- */

static bool has_quirk(uint32_t follows, bool qemu, bool kvm)
{
    return (follows == VIRQSIM_QEMU && qemu) || (follows == VIRQSIM_KVM && kvm);
}

static uint32_t lapic_quirks(uint32_t follows)
{
    uint32_t set = 0;

#define QUIRK(name, id, qemu, kvm, title)                                                      \
    set |= (uint32_t)has_quirk(follows, qemu, kvm) << LAPIC_QUIRK_##name;
#include "irq/lapic_quirks.def"
#undef QUIRK
    return set;
}

static uint32_t i8259_quirks(uint32_t follows)
{
    uint32_t set = 0;

#define QUIRK(name, id, qemu, kvm, title)                                                      \
    set |= (uint32_t)has_quirk(follows, qemu, kvm) << I8259_QUIRK_##name;
#include "irq/i8259_quirks.def"
#undef QUIRK
    return set;
}

static uint32_t ioapic_quirks(uint32_t follows)
{
    uint32_t set = 0;

#define QUIRK(name, id, qemu, kvm, title)                                                      \
    set |= (uint32_t)has_quirk(follows, qemu, kvm) << IOAPIC_QUIRK_##name;
#include "irq/ioapic_quirks.def"
#undef QUIRK
    return set;
}

/* ---- what came of an operation ---- */

static void note(struct virqsim_chips *c, struct virqsim_chips_effect effect)
{
    if (c->effects < c->effects_max)
        c->effect[c->effects++] = effect;
}

static struct seen see(const struct lapic *l)
{
    return (struct seen){{l->regs.IRR, l->regs.ISR, l->regs.TMR}};
}

static uint32_t remote_irrs(const struct ioapic *io)
{
    uint32_t set = 0;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        set |= (uint32_t)ioapic_remote_irr(io, pin) << pin;
    return set;
}

static void note_bits(struct virqsim_chips *c, uint32_t kind, uint32_t cpu,
                      const struct vec256 *before, const struct vec256 *after)
{
    for (unsigned word = 0; word < 4; word++) {
        uint64_t changed = before->word[word] ^ after->word[word];

        for (; changed; changed &= changed - 1) {
            const unsigned vector = word * 64 + (unsigned)__builtin_ctzll(changed);
            note(c, (struct virqsim_chips_effect){.kind = kind,
                                                  .where = cpu,
                                                  .vector = (uint8_t)vector,
                                                  .on = vec_has(after, vector)});
        }
    }
}

static void note_changes(struct virqsim_chips *c)
{
    const uint32_t now = remote_irrs(&c->ioapic);
    uint32_t changed = now ^ c->remote_irr_before;

    for (uint32_t i = 0; i < c->cpus; i++) {
        const struct seen after = see(&c->cpu[i].apic);
        for (uint32_t kind = VIRQSIM_IRR; kind <= VIRQSIM_TMR; kind++)
            note_bits(c, kind, i, &c->cpu[i].before.set[kind], &after.set[kind]);
    }
    for (; changed; changed &= changed - 1) {
        const uint32_t pin = (uint32_t)__builtin_ctz(changed);
        note(c, (struct virqsim_chips_effect){
                    .kind = VIRQSIM_REMOTE_IRR, .where = pin, .on = now >> pin & 1});
    }
}

static void remember(struct virqsim_chips *c)
{
    c->effects = 0;
    c->remote_irr_before = remote_irrs(&c->ioapic);
    for (uint32_t i = 0; i < c->cpus; i++)
        c->cpu[i].before = see(&c->cpu[i].apic);
}

/* What a core does without being asked for, in the order in which it looks at events. */
static void cores_act(struct virqsim_chips *c)
{
    for (uint32_t i = 0; i < c->cpus; i++) {
        struct lapic *l = &c->cpu[i].apic;
        const bool waited = l->waits_for_sipi;
        uint8_t page;

        if (lapic_take_init(l) && l->waits_for_sipi && !waited)
            note(c, (struct virqsim_chips_effect){.kind = VIRQSIM_INITIALIZED, .where = i});
        if (lapic_take_sipi(l, &page))
            note(c, (struct virqsim_chips_effect){
                        .kind = VIRQSIM_STARTED, .where = i, .vector = page});
        if (l->nmi_pending && !l->waits_for_sipi) {
            l->nmi_pending = false;
            note(c, (struct virqsim_chips_effect){.kind = VIRQSIM_NMI, .where = i});
        }
    }
}

/* ---- the wiring ---- */

static void accept(void *context, unsigned index, const struct irq_msg *msg)
{
    struct virqsim_chips *c = context;
    const enum lapic_answer answer = lapic_accept(&c->cpu[index].apic, msg);

    c->accepted |=
        answer == LAPIC_ACCEPTED || answer == LAPIC_COALESCED || answer == LAPIC_INTA;
}

/* False: nobody accepted it. */
static bool route(struct virqsim_chips *c, struct irq_msg msg)
{
    msg.flow = trace_new_flow(&c->trace);
    c->accepted = false;
    apic_fabric_route(&c->fabric, &msg, accept, c);
    return c->accepted;
}

static struct cpu *cpu_of(struct lapic_port *port)
{
    return EVENT_OWNER(port, struct cpu, port);
}

static void apic_sends(struct lapic_port *port, const struct irq_msg *msg)
{
    route(cpu_of(port)->chips, *msg);
}

static void apic_ends(struct lapic_port *port, uint8_t vector)
{
    ioapic_eoi(&cpu_of(port)->chips->ioapic, vector);
}

static void apic_arms(struct lapic_port *port, sim_time deadline)
{
    event_arm(&cpu_of(port)->chips->events, &cpu_of(port)->timer, deadline);
}

static void timer_fires(struct event *e)
{
    struct cpu *cpu = EVENT_OWNER(e, struct cpu, timer);
    struct irq_msg msg;

    if (lapic_timer_expired(&cpu->apic, cpu->chips->events.now, &msg))
        route(cpu->chips, msg);
}

static bool ioapic_sends(struct ioapic_port *port, unsigned pin, const struct irq_msg *msg)
{
    struct virqsim_chips *c = EVENT_OWNER(port, struct virqsim_chips, ioapic_port);

    note(c, (struct virqsim_chips_effect){.kind = VIRQSIM_MESSAGE,
                                          .where = pin,
                                          .vector = msg->vector,
                                          .delivery = msg->delivery,
                                          .dest = msg->dest,
                                          .logical = msg->logical,
                                          .on = msg->level});
    return c->cpus == 0 || route(c, *msg);
}

static void pic_output(struct i8259_port *port, bool level)
{
    struct virqsim_chips *c = EVENT_OWNER(port, struct virqsim_chips, pic_port);

    for (uint32_t i = 0; i < c->cpus; i++)
        lapic_lint(&c->cpu[i].apic, LINT0, level);
}

/* ---- power-on ---- */

static bool allocate(struct virqsim_chips *c)
{
    const uint32_t slots = c->cpus ? c->cpus : 1;
    void *queue = arena_alloc(&c->arena, 1, event_queue_bytes(slots));

    c->cpu = arena_alloc(&c->arena, slots, sizeof *c->cpu);
    c->fabric.apic = arena_alloc(&c->arena, slots, sizeof *c->fabric.apic);
    c->effects_max = 2 * IOAPIC_PINS + IOAPIC_PINS + c->cpus * (3 * VECTORS + 3);
    c->effect = arena_alloc(&c->arena, c->effects_max, sizeof *c->effect);
    if (!queue || !c->cpu || !c->fabric.apic || !c->effect)
        return false;
    event_queue_init(&c->events, queue, slots);
    return true;
}

static void power_cpu(struct virqsim_chips *c, uint32_t i,
                      const struct virqsim_chips_config *config)
{
    struct cpu *cpu = &c->cpu[i];

    cpu->chips = c;
    cpu->port = (struct lapic_port){apic_sends, apic_ends, apic_arms};
    event_init(&c->events, &cpu->timer, EVENT_PHASE_CONTROLLER, timer_fires);
    lapic_init(&cpu->apic, &(struct lapic_config){
                               .index = (uint16_t)i,
                               .apic_id = config->apic_id[i],
                               .bootstrap = i == 0,
                               .mode = LAPIC_MODE_XAPIC,
                               .waits_for_sipi = i > 0 && config->wait_for_sipi,
                               .version = LAPIC_VERSION_ANNOUNCED,
                               .no_x2apic = !config->x2apic,
                               .quirks = lapic_quirks(config->follows),
                               .bus_clock = clock_of_hz(TIMER_HZ),
                               .tsc_clock = clock_of_hz(TIMER_HZ),
                               .trace = &c->trace,
                               .port = &cpu->port,
                           });
    c->fabric.apic[i] = &cpu->apic;
}

static void power_on(struct virqsim_chips *c, const struct virqsim_chips_config *config)
{
    c->trace.events = &c->events;
    c->fabric.count = c->cpus;
    c->fabric.trace = &c->trace;
    c->pic_port.output = pic_output;
    c->ioapic_port.send = ioapic_sends;
    for (uint32_t i = 0; i < c->cpus; i++)
        power_cpu(c, i, config);
    i8259_init(&c->pic, &c->pic_port, i8259_quirks(config->follows));
    ioapic_init(&c->ioapic, &(struct ioapic_config){
                                .version = (uint8_t)config->ioapic_version,
                                .quirks = ioapic_quirks(config->follows),
                                .port = &c->ioapic_port,
                            });
}

/* What is wrong with it; NULL: nothing. */
static const char *wrong_with(const struct virqsim_chips_config *config)
{
    if (config->cpus > VIRQSIM_CHIPS_CPUS)
        return "chips: there are too many CPUs (0 to 64)";
    if (config->ioapic_version != IOAPIC_VERSION_11 &&
        config->ioapic_version != IOAPIC_VERSION_20)
        return "chips: the I/O APIC's version is neither 0x11 nor 0x20";
    if (config->follows > VIRQSIM_KVM)
        return "chips: no such quirks";
    return NULL;
}

struct virqsim_chips *virqsim_chips_open(const struct virqsim_chips_config *config,
                                         struct virqsim_error *error)
{
    const char *wrong = wrong_with(config);
    struct virqsim_chips *c = wrong ? NULL : calloc(1, sizeof *c);

    if (c)
        c->cpus = config->cpus;
    if (!c || !allocate(c)) {
        snprintf(error->message, sizeof error->message, "%s",
                 wrong ? wrong : "chips: there is no memory for them");
        virqsim_chips_close(c);
        return NULL;
    }
    power_on(c, config);
    return c;
}

void virqsim_chips_close(struct virqsim_chips *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    free(c);
}

/* ---- operations: an access ---- */

/* As it stands in virqsim_chips_do()'s arguments. */
struct operation {
    uint32_t size;
    uint64_t address, value;
};

static bool in_ioapic(uint64_t address)
{
    return address >> 12 == IOAPIC_BASE >> 12;
}

static enum virqsim_chips_status memory_read(struct virqsim_chips *c, struct lapic *l,
                                             struct operation o, uint64_t *result)
{
    const uint16_t offset = o.address & 0xfff;

    if (l && lapic_claims(l, o.address))
        *result = lapic_page_read(l, offset, o.size, c->events.now);
    else if (in_ioapic(o.address))
        *result = ioapic_read(&c->ioapic, offset, o.size);
    else {
        *result = UINT32_MAX >> (32 - 8 * o.size);
        return VIRQSIM_OPEN_BUS;
    }
    return VIRQSIM_VALUE;
}

static enum virqsim_chips_status memory_write(struct virqsim_chips *c, struct lapic *l,
                                              struct operation o)
{
    const uint16_t offset = o.address & 0xfff;

    if (l && lapic_claims(l, o.address))
        lapic_page_write(l, offset, o.size, (uint32_t)o.value, c->events.now);
    else if (in_ioapic(o.address))
        ioapic_write(&c->ioapic, offset, o.size, (uint32_t)o.value);
    return VIRQSIM_DONE;
}

static enum virqsim_chips_status msr_read(struct virqsim_chips *c, struct lapic *l,
                                          struct operation o, uint64_t *result)
{
    bool allowed = true;

    if (o.address == MSR_APIC_BASE)
        *result = lapic_base(l);
    else if (o.address == MSR_TSC_DEADLINE)
        *result = lapic_tsc_deadline(l);
    else
        allowed = o.address >= MSR_X2APIC_FIRST && o.address <= MSR_X2APIC_LAST &&
                  lapic_rdmsr(l, (uint32_t)o.address, result, c->events.now);
    return allowed ? VIRQSIM_VALUE : VIRQSIM_FAULT;
}

static enum virqsim_chips_status msr_write(struct virqsim_chips *c, struct lapic *l,
                                           struct operation o)
{
    bool allowed = true;

    if (o.address == MSR_APIC_BASE)
        allowed = lapic_set_base(l, o.value);
    else if (o.address == MSR_TSC_DEADLINE)
        lapic_set_tsc_deadline(l, o.value, c->events.now);
    else
        allowed = o.address >= MSR_X2APIC_FIRST && o.address <= MSR_X2APIC_LAST &&
                  lapic_wrmsr(l, (uint32_t)o.address, o.value, c->events.now);
    return allowed ? VIRQSIM_DONE : VIRQSIM_FAULT;
}

/* ---- operations: interrupts ---- */

static enum virqsim_chips_status inta(struct virqsim_chips *c, uint64_t *result)
{
    *result = i8259_acknowledge(&c->pic).vector;
    return VIRQSIM_FROM_PIC;
}

/* The 8259A pair's interrupt comes before those of the local APIC, which keeps its own. */
static enum virqsim_chips_status take(struct virqsim_chips *c, struct lapic *l,
                                      uint64_t *result)
{
    if (!l)
        return i8259_output(&c->pic) ? inta(c, result) : VIRQSIM_NOTHING;
    if (l->waits_for_sipi)
        return VIRQSIM_NOTHING;
    if (lapic_extint(l)) {
        lapic_acknowledge_extint(l);
        return inta(c, result);
    }
    if (lapic_pending(l) == NO_VECTOR)
        return VIRQSIM_NOTHING;
    *result = lapic_acknowledge(l);
    return VIRQSIM_VALUE;
}

/* A write that is no interrupt message reaches nobody. */
static enum virqsim_chips_status msi(struct virqsim_chips *c, struct operation o)
{
    struct irq_msg msg;

    if (msi_decode(&(struct msi_message){o.address, (uint32_t)o.value}, &msg))
        route(c, msg);
    return VIRQSIM_DONE;
}

static enum virqsim_chips_status wait(struct virqsim_chips *c, uint64_t ms)
{
    const uint64_t ps_per_ms = PS_PER_SECOND / 1000;
    const sim_time until =
        time_plus_ps(c->events.now, ms < UINT64_MAX / ps_per_ms ? ms * ps_per_ms : UINT64_MAX);

    return event_queue_run(&c->events, until, WAIT_BUDGET) < WAIT_BUDGET ? VIRQSIM_DONE
                                                                         : VIRQSIM_TOO_BUSY;
}

static bool drive(struct virqsim_chips *c, enum virqsim_chips_operation operation,
                  struct operation o)
{
    if (operation == VIRQSIM_LINE && o.address < I8259_LINES)
        i8259_drive(&c->pic, (unsigned)o.address, o.value & 1);
    else if (operation == VIRQSIM_PIN && o.address < IOAPIC_PINS)
        ioapic_drive(&c->ioapic, (unsigned)o.address, o.value & 1);
    else
        return false;
    return true;
}

/* ---- operations: which one ---- */

/* Is there what the operation needs: a CPU, an access of that size? */
static bool makes_sense(const struct virqsim_chips *c, enum virqsim_chips_operation operation,
                        uint32_t cpu, uint32_t size)
{
    switch (operation) {
    case VIRQSIM_MSR_READ:
    case VIRQSIM_MSR_WRITE:
        return cpu < c->cpus;
    case VIRQSIM_MEMORY_READ:
    case VIRQSIM_MEMORY_WRITE:
        return size == 1 || size == 2 || size == 4;
    case VIRQSIM_TAKE:
        return cpu < c->cpus || c->cpus == 0;
    default:
        return true;
    }
}

static enum virqsim_chips_status perform(struct virqsim_chips *c,
                                         enum virqsim_chips_operation operation,
                                         struct lapic *l, struct operation o, uint64_t *result)
{
    switch (operation) {
    case VIRQSIM_PORT_READ:
        *result = i8259_read(&c->pic, (uint16_t)o.address);
        return i8259_owns((uint16_t)o.address) ? VIRQSIM_VALUE : VIRQSIM_OPEN_BUS;
    case VIRQSIM_PORT_WRITE:
        i8259_write(&c->pic, (uint16_t)o.address, (uint8_t)o.value);
        return VIRQSIM_DONE;
    case VIRQSIM_MEMORY_READ:
        return memory_read(c, l, o, result);
    case VIRQSIM_MEMORY_WRITE:
        return memory_write(c, l, o);
    case VIRQSIM_MSR_READ:
        return msr_read(c, l, o, result);
    case VIRQSIM_MSR_WRITE:
        return msr_write(c, l, o);
    case VIRQSIM_TAKE:
        return take(c, l, result);
    case VIRQSIM_MSI:
        return msi(c, o);
    case VIRQSIM_INT:
        *result = i8259_output(&c->pic);
        return VIRQSIM_VALUE;
    case VIRQSIM_INTA:
        return inta(c, result);
    case VIRQSIM_WAIT:
        return wait(c, o.value);
    case VIRQSIM_LINE:
    case VIRQSIM_PIN:
        return drive(c, operation, o) ? VIRQSIM_DONE : VIRQSIM_REFUSED;
    }
    return VIRQSIM_REFUSED;
}

enum virqsim_chips_status virqsim_chips_do(struct virqsim_chips *c,
                                           enum virqsim_chips_operation operation, uint32_t cpu,
                                           uint32_t size, uint64_t address, uint64_t value,
                                           uint64_t *result)
{
    struct lapic *l = cpu < c->cpus ? &c->cpu[cpu].apic : NULL;
    enum virqsim_chips_status status = VIRQSIM_REFUSED;

    *result = 0;
    remember(c);
    if (makes_sense(c, operation, cpu, size))
        status = perform(c, operation, l, (struct operation){size, address, value}, result);
    cores_act(c);
    note_changes(c);
    return status;
}

const struct virqsim_chips_effect *virqsim_chips_effects(const struct virqsim_chips *c,
                                                         uint32_t *count)
{
    *count = c->effects;
    return c->effect;
}
