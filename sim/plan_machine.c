/* The plan's machine: CPUs, vCPUs with their programs, regions and devices. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "hypervisor/epic.h"
#include "plan_parts.h"

/* An xAPIC ID has eight bits, and the last one is everybody's. */
enum { MAX_VCPUS = APIC_FABRIC_MAX, MAX_XAPICS = 255, MAX_HZ_LOG2 = 40, NMI_VECTOR = 2 };
_Static_assert((int)MAX_VCPUS <= (int)CPUS_MAX, "a cache line knows every CPU");

/* --- vCPUs --- */

unsigned plan_vectors(const struct build *b)
{
    return b->sim->machine.guest_epic ? EPIC_VECTORS : VECTORS;
}

static void read_handler(struct build *b, struct vcpu *v, const char *key, const json_t *names,
                         const struct place *at)
{
    char *end;
    const unsigned long vector = strtoul(key, &end, 10);
    const size_t count = json_is_array(names) ? json_array_size(names) : 1;
    const struct guest_program **list = build_take(b, count, sizeof *list);

    if (*end || !isdigit((unsigned char)key[0]) || vector >= plan_vectors(b) ||
        (vector < 16 && vector != NMI_VECTOR)) {
        reader_fail(&b->reader, at,
                    "a handler's key is a vector, 16 to %u in decimal, or 2 for NMIs",
                    plan_vectors(b) - 1);
        return;
    }
    if (count == 0)
        reader_fail(&b->reader, at,
                    "is an empty list; name a program, or leave the vector out");
    if (!list || count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        list[i] =
            plan_find_program(b, json_is_array(names) ? json_array_get(names, i) : names, at);
    v->guest.handler[vector] = (struct guest_handler){list, (uint32_t)count, 0};
}

/* EOI and return. */
static const struct guest_insn acknowledge_insn[] = {{.op = GUEST_eoi}};
static const struct guest_program acknowledge = {"acknowledge", acknowledge_insn, 1};
static const struct guest_program *const acknowledge_list[] = {&acknowledge};

struct pcpu *plan_read_pin(struct build *b, const json_t *json, const struct place *at)
{
    const struct hypervisor *h = &b->sim->machine;
    const json_t *pin = json_object_get(json, "pin");
    const json_int_t n = json_integer_value(pin);
    const struct place p = place_key(at, "pin");

    if (!json_is_integer(pin)) {
        reader_uint(&b->reader, json, at, "pin", 0, 0); /* says what is wrong with it */
        return NULL;
    }
    if (n < 0 || n >= h->pcpu_count) {
        reader_fail(&b->reader, &p, "%" JSON_INTEGER_FORMAT " is not a physical CPU (0..%u)", n,
                    h->pcpu_count - 1);
        return NULL;
    }
    return &h->pcpu[n];
}

/* How it begins, and begins again. */
static void read_startup(struct build *b, const json_t *json, const struct place *at,
                         struct vcpu *v, const struct guest_program *main)
{
    struct vcpu_startup *s = &v->startup;
    const struct hypervisor *h = &b->sim->machine;
    const struct place waits_at = place_key(at, "waits_for_sipi");
    const struct place again_at = place_key(at, "after_reset");
    const json_t *again = json_object_get(json, "after_reset");

    s->main = s->after_reset = main;
    s->waits = s->uninitialized = reader_bool_or(&b->reader, json, at, "waits_for_sipi", false);
    if (s->waits && v->index == 0)
        reader_fail(&b->reader, &waits_at, "vCPU 0 starts the machine, and waits for nobody");
    else if (s->waits && h->guest_apic == LAPIC_MODE_DISABLED)
        reader_fail(&b->reader, &waits_at, "a start-up IPI needs a local APIC");
    if (again)
        s->after_reset = plan_find_program(b, again, &again_at);
}

static void read_vcpu(struct build *b, const json_t *json, const struct place *at,
                      struct vcpu *v)
{
    const struct place main_at = place_key(at, "program");
    const struct place handlers_at = place_key(at, "handlers");
    const struct guest_program *main;
    const char *key;
    json_t *value;

    reader_keys(&b->reader, json, at,
                KEYS("pin", "program", "handlers", "user_interrupts", "nice", "roams",
                     "waits_for_sipi", "after_reset"));
    struct pcpu *const pin = plan_read_pin(b, json, at);
    if (!pin)
        return;
    main = plan_find_program(b, json_object_get(json, "program"), &main_at);
    if (!main)
        return;
    for (unsigned n = 0; n < plan_vectors(b); n++)
        v->guest.handler[n] = (struct guest_handler){acknowledge_list, 1, 0};
    json_object_foreach(reader_object(&b->reader, json, at, "handlers"), key, value)
    {
        const struct place p = place_key(&handlers_at, key);

        read_handler(b, v, key, value, &p);
    }
    plan_read_user_interrupts(b, json, at, v);
    read_startup(b, json, at, v, main);
    guest_init(&v->guest, main, b->sim->plan.seed, v->index);
    b->sim->plan.operations += plan_length_of(main);
    pcpu_add_vcpu(pin, v);
    plan_read_scheduling(b, json, at, &v->thread);
}

/* A machine that shuts down, is reset, and shuts down again has no end. */
static void check_resets(struct build *b)
{
    const struct hypervisor *h = &b->sim->machine;
    const struct place hypervisor_at = place_key(&plan_root, "hypervisor");
    const struct place at = place_key(&hypervisor_at, "no_reboot");
    bool ends = h->policy.no_reboot || b->sim->plan.until.ps != SIM_TIME_NEVER.ps;

    if (b->reader.failed)
        return;
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        ends |= h->vcpu[i].startup.after_reset != h->vcpu[i].startup.main;
    if (b->shuts_down && !ends)
        reader_fail(
            &b->reader, &at,
            "a program has a triple_fault, and the machine that is reset would come to it "
            "again and again: true, an after_reset of a vCPU, or run.until_ns belongs here");
}

static void read_vcpus(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    json_t *list = reader_array(&b->reader, machine, at, "vcpus");
    const struct place p = place_key(at, "vcpus");

    for (uint32_t i = 0; i < h->vcpu_count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        read_vcpu(b, json_array_get(list, i), &here, &h->vcpu[i]);
    }
    plan_check_user_interrupts(b, &p);
}

/* --- the rest of the machine --- */

static void read_load(struct build *b, const json_t *machine, const struct place *at)
{
    json_t *list = reader_array(&b->reader, machine, at, "load");
    const struct place p = place_key(at, "load");
    struct thread *threads = build_take(b, json_array_size(list), sizeof *threads);

    for (size_t i = 0; threads && i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const json_t *json = json_array_get(list, i);

        reader_keys(&b->reader, json, &here, KEYS("pin", "nice", "roams"));
        struct pcpu *const pin = plan_read_pin(b, json, &here);
        if (!pin)
            return;
        pcpu_add_load(pin, &threads[i]);
        plan_read_scheduling(b, json, &here, &threads[i]);
    }
}

/* A vCPU on the CPU that guests leave their timers to. */
static const struct vcpu *lodger_of(const struct hypervisor *h, const struct pcpu *p)
{
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        if (h->vcpu[i].thread.pcpu == p)
            return &h->vcpu[i];
    return NULL;
}

static void read_housekeeping(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "housekeeping_cpu");
    const struct vcpu *lodger;

    if (b->reader.failed)
        return;
    if (!json_object_get(machine, "housekeeping_cpu")) {
        if (feature_in(h->features, FEATURE_TIMER_POSTING))
            reader_fail(
                &b->reader, &p,
                "is missing; timer-posting needs a physical CPU (0..%u) that no vCPU is "
                "pinned to",
                h->pcpu_count - 1);
        return;
    }
    const uint64_t n = reader_uint(&b->reader, machine, at, "housekeeping_cpu", 0, UINT32_MAX);
    if (b->reader.failed)
        return;
    if (n >= h->pcpu_count) {
        reader_fail(&b->reader, &p, "%" PRIu64 " is not a physical CPU (0..%u)", n,
                    h->pcpu_count - 1);
        return;
    }
    h->housekeeping = &h->pcpu[n];
    lodger = lodger_of(h, h->housekeeping);
    if (lodger)
        reader_fail(&b->reader, &p, "vCPU %u is pinned to %" PRIu64 "; no vCPU may be",
                    lodger->index, n);
}

static void read_regions(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    json_t *list = reader_array(&b->reader, machine, at, "regions");
    const struct place p = place_key(at, "regions");
    struct region *regions = build_take(b, json_array_size(list), sizeof *regions);

    for (size_t i = 0; regions && i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const json_t *json = json_array_get(list, i);
        struct region *r = &regions[i];

        reader_keys(&b->reader, json, &here, KEYS("space", "first", "last", "handler"));
        r->port = reader_choice(&b->reader, json, &here, "space", KEYS("mmio", "port"), 2);
        r->first = reader_uint(&b->reader, json, &here, "first", 0, INT64_MAX);
        r->last = reader_uint(&b->reader, json, &here, "last", r->first, INT64_MAX);
        r->handler = (enum region_handler)reader_choice(
            &b->reader, json, &here, "handler", region_handler_names, REGION_HANDLER_COUNT);
    }
    h->region = regions;
    h->region_count = (uint32_t)json_array_size(list);
}

const sim_time *plan_read_times(struct build *b, const json_t *json, const struct place *at,
                                uint32_t *number)
{
    const json_t *list = json_object_get(json, "at_ns");
    const struct place p = place_key(at, "at_ns");
    const size_t count = json_array_size(list);
    sim_time *times = build_take(b, count, sizeof *times);

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &p, "an array of times in ns belongs here");
    for (size_t i = 0; times && i < count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        times[i].ps = PS_PER_NS * reader_item(&b->reader, json_array_get(list, i), &here, 0,
                                              INT64_MAX / 1000);
        if (i && times[i].ps < times[i - 1].ps)
            reader_fail(&b->reader, &here, "is earlier than the one before it");
    }
    *number = (uint32_t)count;
    return times;
}

/* Which of its input's drivers a device is; the first one is the chipset's own PIT. */
static uint8_t driver_number(const struct hypervisor *h, const struct device *d)
{
    uint8_t n = BOARD_FIRST_DRIVER;

    for (const struct device *other = h->device; other < d; other++)
        if (other->kind == DEVICE_LINE && other->gsi == d->gsi)
            n++;
    return n;
}

unsigned plan_inputs(const struct hypervisor *h)
{
    return h->ioepic ? IOEPIC_INPUTS : CHIPSET_INPUTS;
}

/* Of an Elbrus machine: the host's device may be the guest's. */
static void read_assigned_line(struct build *b, const json_t *json, const struct place *at,
                               struct device *d)
{
    const struct hypervisor *h = &b->sim->machine;

    reader_keys(
        &b->reader, json, at,
        KEYS("name", "kind", "gsi", "delay_ns", "pulse_ns", "at_ns", "assigned", "cpu"));
    d->line_assigned = reader_bool_or(&b->reader, json, at, "assigned", false);
    if (d->line_assigned)
        d->cpu = (uint16_t)reader_uint(&b->reader, json, at, "cpu", 0, h->pcpu_count - 1);
    else if (json_object_get(json, "cpu"))
        reader_fail(&b->reader, at, "has a cpu, and is not assigned");
}

static void read_line(struct build *b, const json_t *json, const struct place *at,
                      struct device *d)
{
    const struct hypervisor *h = &b->sim->machine;
    const struct place gsi_at = place_key(at, "gsi");

    if (h->ioepic)
        read_assigned_line(b, json, at, d);
    else
        reader_keys(&b->reader, json, at,
                    KEYS("name", "kind", "gsi", "delay_ns", "pulse_ns", "at_ns"));
    d->gsi = (uint8_t)reader_uint(&b->reader, json, at, "gsi", 0, plan_inputs(h) - 1);
    d->pulse_ps =
        PS_PER_NS * reader_uint_or(&b->reader, json, at, "pulse_ns", 0, INT64_MAX / 1000, 0);
    if (!h->board && !h->ioepic)
        reader_fail(&b->reader, at, "has a line, and the machine has no chipset");
    else if (h->board && d->gsi == I8259_CASCADE)
        reader_fail(&b->reader, &gsi_at, "2 is the 8259A's cascade; no device is there");
    else if (b->reader.failed || (d->driver = driver_number(h, d)) < WIRE_MAX_DRIVERS)
        return;
    reader_fail(&b->reader, &gsi_at, "more than %d devices share it",
                WIRE_MAX_DRIVERS - BOARD_FIRST_DRIVER);
}

/* Its entry of an MSI-X table in memory, of four DWORDs. */
static void read_table(struct build *b, const json_t *json, const struct place *at,
                       struct device *d)
{
    const struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "table");

    if (!json_object_get(json, "table"))
        return;
    d->table = reader_uint(&b->reader, json, at, "table", MSIX_ENTRY_BYTES, INT64_MAX);
    if (d->table % MSIX_ENTRY_BYTES)
        reader_fail(&b->reader, &p, "%" PRIu64 " is no multiple of %d", d->table,
                    MSIX_ENTRY_BYTES);
    else if (b->sim->plan.vendor == VIRT_E2K || h->guest_apic == LAPIC_MODE_DISABLED)
        reader_fail(&b->reader, &p, "the guest has no local APIC to send a message to");
    else if (feature_in(h->features, FEATURE_DIRECT_INTERRUPTS))
        reader_fail(&b->reader, &p, "the guest's interrupts are those of its CPUs");
    for (const struct device *other = h->device; other < d; other++)
        if (d->table && other->table == d->table)
            reader_fail(&b->reader, &p, "another device's entry is there");
}

static void read_source(struct build *b, const json_t *json, const struct place *at,
                        struct device *d)
{
    const struct hypervisor *h = &b->sim->machine;

    if (d->kind == DEVICE_ASSIGNED)
        reader_keys(&b->reader, json, at,
                    KEYS("name", "kind", "vcpu", "vector", "cpu", "delay_ns", "at_ns", "urgent",
                         "table"));
    else if (d->kind == DEVICE_MSI)
        reader_keys(&b->reader, json, at,
                    KEYS("name", "kind", "vcpu", "vector", "delay_ns", "at_ns", "table"));
    else
        reader_keys(&b->reader, json, at,
                    KEYS("name", "kind", "vcpu", "vector", "delay_ns", "at_ns"));
    d->vcpu = (uint16_t)reader_uint(&b->reader, json, at, "vcpu", 0, h->vcpu_count - 1);
    d->epic_vector =
        (uint16_t)(d->kind == DEVICE_NMI
                       ? NMI_VECTOR
                       : reader_uint(&b->reader, json, at, "vector", 16, plan_vectors(b) - 1));
    d->vector = (uint8_t)d->epic_vector;
    if (d->kind == DEVICE_ASSIGNED)
        d->cpu = (uint16_t)reader_uint(&b->reader, json, at, "cpu", 0, h->pcpu_count - 1);
    d->urgent = reader_bool_or(&b->reader, json, at, "urgent", false);
    read_table(b, json, at, d);
}

static void read_devices(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    json_t *list = reader_array(&b->reader, machine, at, "devices");
    const struct place p = place_key(at, "devices");

    for (uint32_t i = 0; i < hypervisor_plan_devices(h) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const json_t *json = json_array_get(list, i);
        struct device *d = &h->device[i];

        reader_string(&b->reader, json, &here, "name");
        d->kind = (enum device_kind)reader_choice(&b->reader, json, &here, "kind",
                                                  device_kind_names, DEVICE_KIND_COUNT);
        if (b->sim->plan.vendor == VIRT_E2K &&
            (d->kind == DEVICE_EXTINT || d->kind == DEVICE_LEVEL))
            reader_fail(
                &b->reader, &here,
                "an Elbrus machine has devices of the kinds line, assigned, msi and nmi");
        else if (d->kind == DEVICE_LINE)
            read_line(b, json, &here, d);
        else
            read_source(b, json, &here, d);
        d->delay_ps = PS_PER_NS * reader_uint_or(&b->reader, json, &here, "delay_ns", 0,
                                                 INT64_MAX / 1000, 0);
        d->at = plan_read_times(b, json, &here, &d->at_count);
    }
}

/* Of an Elbrus machine: the IOEPIC, for a guest that has an EPIC. */
static void read_ioepic(struct build *b, const json_t *json, const struct place *at)
{
    static const char *const names[] = {"v1", "v2"};
    struct hypervisor *h = &b->sim->machine;

    reader_keys(&b->reader, json, at, KEYS("ioepic"));
    if (!h->guest_epic)
        reader_fail(&b->reader, at,
                    "a guest of an Elbrus machine with a local APIC has no chipset here");
    h->ioepic = build_take(b, 1, sizeof *h->ioepic);
    if (h->ioepic)
        h->ioepic->version = (uint8_t)(IOEPIC_VERSION_1 +
                                       reader_choice(&b->reader, json, at, "ioepic", names, 2));
}

/* The 8259A pair and the I/O APIC, where the plan has them. */
static void read_chipset(struct build *b, const json_t *machine, const struct place *at)
{
    static const char *const names[] = {"82093aa", "ich9"};
    static const uint8_t versions[] = {IOAPIC_VERSION_11, IOAPIC_VERSION_20};
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "chipset");
    const json_t *json = json_object_get(machine, "chipset");

    if (!json || b->reader.failed)
        return;
    reader_object(&b->reader, machine, at, "chipset");
    if (b->sim->plan.vendor == VIRT_E2K) {
        read_ioepic(b, json, &p);
        return;
    }
    reader_keys(&b->reader, json, &p, KEYS("ioapic", "hpet"));
    h->board = build_take(b, 1, sizeof *h->board);
    if (!h->board)
        return;
    h->board->has_hpet = reader_bool_or(&b->reader, json, &p, "hpet", false);
    h->board->ioapic_version =
        versions[reader_choice(&b->reader, json, &p, "ioapic", names, 2)];
}

/* Which CPUs are threads of a core, and which cores are in a socket: numbered one after the other. */
static void read_topology(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "topology");
    const json_t *json = json_object_get(machine, "topology");
    uint64_t sockets = 1, threads = 1;

    if (json) {
        reader_object(&b->reader, machine, at, "topology");
        reader_keys(&b->reader, json, &p, KEYS("sockets", "threads_per_core"));
        sockets =
            reader_uint(&b->reader, json, &p, "sockets", 1,
                        b->sim->plan.vendor == VIRT_E2K ? PREPIC_PROCESSORS : SOCKETS_MAX);
        threads = reader_uint(&b->reader, json, &p, "threads_per_core", 1, 2);
    }
    for (uint32_t i = 0; i < h->pcpu_count && !b->reader.failed; i++) {
        const uint64_t cores = (h->pcpu_count + threads - 1) / threads;

        h->pcpu[i].core = (uint16_t)(i / threads);
        h->pcpu[i].socket = (uint8_t)(h->pcpu[i].core * sockets / cores);
        if (threads == 2 && (i ^ 1) < h->pcpu_count)
            h->pcpu[i].sibling = &h->pcpu[i ^ 1];
    }
}

/* --- the whole --- */

static void read_clocks(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const uint64_t high = UINT64_C(1) << MAX_HZ_LOG2;

    h->core = clock_of_hz(reader_uint(&b->reader, machine, at, "core_hz", 1000, high));
    h->tsc = clock_of_hz(reader_uint(&b->reader, machine, at, "tsc_hz", 1000, high));
    h->apic_bus =
        clock_of_hz(reader_uint(&b->reader, machine, at, "apic_timer_hz", 1000, high));
}

static size_t array_size(struct build *b, const json_t *machine, const struct place *at,
                         const char *key, size_t high)
{
    const size_t n = json_array_size(reader_array(&b->reader, machine, at, key));
    const struct place p = place_key(at, key);

    if (n > high)
        reader_fail(&b->reader, &p, "%zu are too many (at most %zu)", n, high);
    return n;
}

/* What the guest's driver uses, on a machine that has it. */
static void read_guest_apic(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place p = place_key(at, "guest_apic");
    const bool e2k = b->sim->plan.vendor == VIRT_E2K;
    const unsigned choice =
        reader_choice(&b->reader, machine, at, "guest_apic", guest_apic_names, GUEST_APICS);

    h->guest_epic = choice == GUEST_EPIC;
    h->guest_apic = h->guest_epic ? LAPIC_MODE_DISABLED : (enum lapic_mode)choice;
    if (b->reader.failed || (h->guest_epic && e2k))
        return;
    if (e2k && h->guest_apic != LAPIC_MODE_XAPIC)
        reader_fail(&b->reader, &p, "a guest of %s has an EPIC, or a local APIC (epic, xapic)",
                    b->sim->plan.technology);
    else if (h->guest_epic)
        reader_fail(&b->reader, &p, "%s has no EPIC (xapic, x2apic, none)",
                    b->sim->plan.technology);
}

/* What an EPIC guest has not: see docs/models/e2k.md. */
static void check_epic(struct build *b, const json_t *machine, const struct place *at)
{
    const struct hypervisor *h = &b->sim->machine;
    const struct place cpus_at = place_key(at, "physical_cpus");
    static const char *const absent[] = {"disks", "nics", "tx_queues", "serial"};
    const struct place vcpus_at = place_key(at, "vcpus");

    if (b->sim->plan.vendor != VIRT_E2K || b->reader.failed)
        return;
    if (h->pcpu_count > E2K_CORES)
        reader_fail(&b->reader, &cpus_at, "%u are too many for EPIC (at most %d)",
                    h->pcpu_count, E2K_CORES);
    if (h->vcpu_count > E2K_CORES)
        reader_fail(&b->reader, &vcpus_at, "%u are too many for EPIC (at most %d)",
                    h->vcpu_count, E2K_CORES);
    for (size_t n = 0; n < sizeof absent / sizeof absent[0]; n++) {
        const struct place p = place_key(at, absent[n]);

        const json_t *given = json_object_get(machine, absent[n]);

        if (json_object_size(given) + json_array_size(given))
            reader_fail(&b->reader, &p, "there is none in an Elbrus machine yet");
    }
    if (h->policy.irqchip != IRQCHIP_KERNEL)
        reader_fail(&b->reader, at, "is an Elbrus machine, whose irqchip is the kernel's");
}

void plan_read_machine(struct build *b)
{
    struct hypervisor *h = &b->sim->machine;
    const json_t *machine = reader_object(&b->reader, b->document, &plan_root, "machine");
    const struct place at = place_key(&plan_root, "machine");
    const struct place vcpus_at = place_key(&at, "vcpus");
    const struct place apic_at = place_key(&at, "guest_apic");

    reader_keys(&b->reader, machine, &at,
                KEYS("core_hz", "tsc_hz", "apic_timer_hz", "physical_cpus", "housekeeping_cpu",
                     "guest_apic", "vcpus", "load", "threads", "regions", "devices", "disks",
                     "nics", "tx_queues", "serial", "chipset", "topology", "idle_states",
                     "guest_poll", "host_interrupts"));
    read_clocks(b, machine, &at);
    h->pcpu_count =
        (uint32_t)reader_uint(&b->reader, machine, &at, "physical_cpus", 1, MAX_VCPUS);
    read_guest_apic(b, machine, &at);
    if (h->guest_apic == LAPIC_MODE_X2APIC && h->policy.irqchip == IRQCHIP_USERSPACE)
        reader_fail(&b->reader, &apic_at,
                    "a userspace irqchip has no x2APIC for its guests, and QEMU takes it away "
                    "(xapic, none)");
    h->vcpu_count = (uint32_t)array_size(
        b, machine, &at, "vcpus", h->guest_apic == LAPIC_MODE_XAPIC ? MAX_XAPICS : MAX_VCPUS);
    plan_count_nics(b, machine, &at);
    plan_count_tx(b, machine, &at);
    h->device_count =
        h->rx_queue_count + (uint32_t)array_size(b, machine, &at, "devices", UINT16_MAX / 2);
    if (h->vcpu_count == 0)
        reader_fail(&b->reader, &vcpus_at, "is empty; a machine has at least one vCPU");
    check_epic(b, machine, &at);
    if (b->reader.failed)
        return;
    const uint32_t events = plan_count_threads(b, machine, &at) +
                            plan_count_disks(b, machine, &at) + plan_count_faults(b) +
                            plan_count_serial(machine) + plan_count_noise(b, machine, &at) +
                            (h->guest_epic ? h->vcpu_count * EPIC_EVENTS_OF_VCPU : 0);
    if (b->reader.failed)
        return;
    if (!machine_allocate(b->sim, events)) {
        reader_fail(&b->reader, &at, "there is no memory for it");
        return;
    }
    read_topology(b, machine, &at);
    read_chipset(b, machine, &at);
    read_devices(b, machine, &at);
    plan_read_programs(b);
    read_vcpus(b, machine, &at);
    read_load(b, machine, &at);
    plan_read_threads(b, machine, &at);
    plan_read_nics(b, machine, &at);
    plan_read_disks(b, machine, &at);
    plan_read_tx(b, machine, &at);
    plan_read_serial(b, machine, &at);
    plan_read_host(b, machine, &at);
    read_housekeeping(b, machine, &at);
    plan_read_faults(b);
    check_resets(b);
    read_regions(b, machine, &at);
}
