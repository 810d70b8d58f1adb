/* The plan (docs/plan.md): reads it, checks it, and builds the machine that it describes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "reader.h"
#include "simulation.h"

enum { MAX_VCPUS = APIC_FABRIC_MAX, MAX_WORDS = 1 << 20, MAX_HZ_LOG2 = 40 };

static const struct place root = {.parent = NULL};

struct build {
    struct reader reader;
    struct virqsim *sim;
    const json_t *document;
    struct guest_program *programs;
    size_t program_count;
    uint64_t words; /* the highest shared word named, plus one */
};

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void *take(struct build *b, size_t count, size_t size)
{
    void *p = arena_alloc(&b->sim->arena, count ? count : 1, size);

    if (!p)
        reader_fail(&b->reader, &root, "there is no memory for it");
    return p;
}

static const char *keep(struct build *b, const char *s)
{
    char *copy = take(b, 1, strlen(s) + 1);

    if (copy)
        strcpy(copy, s);
    return copy ? copy : "";
}

/* --- programs --- */

static enum guest_op op_by_name(const char *name)
{
    unsigned i = 0;

    while (i < GUEST_OP_COUNT && strcmp(guest_ops[i].name, name) != 0)
        i++;
    return (enum guest_op)i;
}

/* What an operand may be, by its name in guest_ops.def; the rest are free. */
static uint64_t operand_limit(const struct hypervisor *h, const char *operand)
{
    static const struct {
        const char *name;
        uint64_t high;
    } limits[] = {
        {"word", MAX_WORDS - 1}, {"vector", 255},         {"offset", 0xff0},     {"icr_low", UINT32_MAX},
        {"destination", UINT32_MAX}, {"port", UINT16_MAX}, {"size", 8},          {"mode", 3},
        {"id", STAMP_IDS - 1},   {"msr", UINT32_MAX},      {"divide", 128},      {"count", UINT32_MAX},
        {"times", UINT64_C(1) << 40}, {"cycles", UINT64_C(1) << 50}, {"low", UINT64_C(1) << 50},
        {"high", UINT64_C(1) << 50},
    };

    if (strcmp(operand, "device") == 0)
        return h->device_count ? h->device_count - 1 : 0;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (strcmp(operand, limits[i].name) == 0)
            return limits[i].high;
    return INT64_MAX;
}

static bool is_power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* What one operand's range cannot say. */
static void check_insn(struct build *b, const struct guest_insn *i, const struct place *at)
{
    const uint64_t *o = i->operand;
    const struct hypervisor *h = &b->sim->machine;

    if (i->op == GUEST_compute_uniform && o[0] > o[1])
        reader_fail(&b->reader, at, "low %" PRIu64 " is above high %" PRIu64, o[0], o[1]);
    if (i->op == GUEST_timer_count && o[1] && !is_power_of_two(o[1]))
        reader_fail(&b->reader, at, "divide %" PRIu64 " is not a power of two from 1 to 128", o[1]);
    if (i->op == GUEST_pv_ipi && (o[2] < 1 || o[2] > 128))
        reader_fail(&b->reader, at, "one hypercall reaches 1 to 128 destinations, not %" PRIu64, o[2]);
    if (i->op == GUEST_signal && h->device_count == 0)
        reader_fail(&b->reader, at, "the plan has no devices to signal");
    if (guest_ops[i->op].operand[0][0] == 'w' && strcmp(guest_ops[i->op].operand[0], "word") == 0 &&
        o[0] >= b->words)
        b->words = o[0] + 1;
}

static void read_insn(struct build *b, const json_t *json, const struct place *at, struct guest_insn *i)
{
    const char *name = json_is_array(json) ? json_string_value(json_array_get(json, 0)) : NULL;
    unsigned operands;

    if (!name) {
        reader_fail(&b->reader, at, "an operation is [\"name\", operand, ...]");
        return;
    }
    i->op = op_by_name(name);
    if (i->op == GUEST_OP_COUNT) {
        i->op = GUEST_pause;
        reader_fail(&b->reader, at, "there is no operation \"%.40s\"", name);
        return;
    }
    operands = guest_op_operands((enum guest_op)i->op);
    if (json_array_size(json) != operands + 1) {
        reader_fail(&b->reader, at, "%s takes %u operands, not %zu", name, operands, json_array_size(json) - 1);
        return;
    }
    for (unsigned n = 0; n < operands; n++) {
        const struct place p = place_item(at, n + 1);
        const uint64_t high = operand_limit(&b->sim->machine, guest_ops[i->op].operand[n]);

        i->operand[n] = reader_item(&b->reader, json_array_get(json, n + 1), &p, 0, high);
    }
    check_insn(b, i, at);
}

static void read_program(struct build *b, const char *name, const json_t *json, const struct place *at,
                         struct guest_program *program)
{
    const size_t count = json_array_size(json);
    struct guest_insn *insn = take(b, count, sizeof *insn);
    uint32_t offender;

    if (!json_is_array(json) || count > UINT32_MAX / 2) {
        reader_fail(&b->reader, at, "a program is an array of operations");
        return;
    }
    if (!insn)
        return;
    for (size_t i = 0; i < count && !b->reader.failed; i++) {
        const struct place p = place_item(at, i);

        read_insn(b, json_array_get(json, i), &p, &insn[i]);
    }
    *program = (struct guest_program){keep(b, name), insn, (uint32_t)count};
    if (!b->reader.failed && !guest_program_link(insn, (uint32_t)count, &offender)) {
        const struct place p = place_item(at, offender);

        reader_fail(&b->reader, &p, "repeat and end must stand in pairs, around something, and at most %d deep",
                    GUEST_LOOPS_MAX);
    }
}

static void read_programs(struct build *b)
{
    json_t *json = reader_object(&b->reader, b->document, &root, "programs");
    const struct place at = place_key(&root, "programs");
    const char *name;
    json_t *body;

    b->programs = take(b, json_object_size(json), sizeof *b->programs);
    if (!b->programs)
        return;
    json_object_foreach(json, name, body)
    {
        const struct place p = place_key(&at, name);

        read_program(b, name, body, &p, &b->programs[b->program_count++]);
    }
}

/* Programs are looked up by name once for each use; plans of replays have thousands. */
static int compare_programs(const void *a, const void *b)
{
    return strcmp(((const struct guest_program *)a)->name, ((const struct guest_program *)b)->name);
}

static const struct guest_program *find_program(struct build *b, const json_t *name, const struct place *at)
{
    const struct guest_program key = {.name = json_string_value(name)};
    const struct guest_program *found;

    if (!key.name) {
        reader_fail(&b->reader, at, "a program's name belongs here");
        return NULL;
    }
    found = b->programs && b->program_count
                ? bsearch(&key, b->programs, b->program_count, sizeof key, compare_programs)
                : NULL;
    if (!found)
        reader_fail(&b->reader, at, "there is no program \"%.60s\"", key.name);
    return found;
}

/* Operations of a program with its loops multiplied out; saturates. */
static uint64_t length_of(const struct guest_program *p)
{
    uint64_t turns[GUEST_LOOPS_MAX + 1] = {1};
    unsigned depth = 0;
    double sum = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        if (p->insn[i].op == GUEST_repeat) {
            turns[depth + 1] = turns[depth] * p->insn[i].operand[0];
            depth++;
        } else if (p->insn[i].op == GUEST_end) {
            depth--;
        } else {
            sum += (double)turns[depth];
        }
    }
    return sum > 9e18 ? UINT64_MAX / 2 : (uint64_t)sum;
}

/* --- vCPUs --- */

static void read_handler(struct build *b, struct vcpu *v, const char *key, const json_t *names,
                         const struct place *at)
{
    char *end;
    const unsigned long vector = strtoul(key, &end, 10);
    const size_t count = json_is_array(names) ? json_array_size(names) : 1;
    const struct guest_program **list = take(b, count, sizeof *list);

    if (*end || end == key || vector > 255) {
        reader_fail(&b->reader, at, "a handler's key is a vector, 0 to 255 in decimal");
        return;
    }
    if (!list || count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        list[i] = find_program(b, json_is_array(names) ? json_array_get(names, i) : names, at);
    v->guest.handler[vector] = (struct guest_handler){list, (uint32_t)count, 0};
}

/* EOI and return. */
static const struct guest_insn acknowledge_insn[] = {{.op = GUEST_eoi}};
static const struct guest_program acknowledge = {"acknowledge", acknowledge_insn, 1};
static const struct guest_program *const acknowledge_list[] = {&acknowledge};

static void read_vcpu(struct build *b, const json_t *json, const struct place *at, struct vcpu *v)
{
    struct hypervisor *h = &b->sim->machine;
    const struct place main_at = place_key(at, "program");
    const struct place handlers_at = place_key(at, "handlers");
    const struct guest_program *main;
    const char *key;
    json_t *value;

    reader_keys(&b->reader, json, at, KEYS("pin", "program", "handlers"));
    const uint64_t pin = reader_uint(&b->reader, json, at, "pin", 0, UINT32_MAX);
    if (pin >= h->pcpu_count) {
        const struct place p = place_key(at, "pin");
        reader_fail(&b->reader, &p, "%" PRIu64 " is not a physical CPU (0..%u)", pin, h->pcpu_count - 1);
        return;
    }
    main = find_program(b, json_object_get(json, "program"), &main_at);
    if (!main)
        return;
    for (unsigned n = 0; n < VECTORS; n++)
        v->guest.handler[n] = (struct guest_handler){acknowledge_list, 1, 0};
    json_object_foreach(reader_object(&b->reader, json, at, "handlers"), key, value)
    {
        const struct place p = place_key(&handlers_at, key);

        read_handler(b, v, key, value, &p);
    }
    guest_init(&v->guest, main, b->sim->plan.seed, v->index);
    b->sim->plan.operations += length_of(main);
    pcpu_add_thread(&h->pcpu[pin], &v->thread, v);
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
}

/* --- the rest of the machine --- */

static void read_load(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    json_t *list = reader_array(&b->reader, machine, at, "load");
    const struct place p = place_key(at, "load");
    struct thread *threads = take(b, json_array_size(list), sizeof *threads);

    for (size_t i = 0; threads && i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const json_t *json = json_array_get(list, i);

        reader_keys(&b->reader, json, &here, KEYS("pin"));
        const uint64_t pin = reader_uint(&b->reader, json, &here, "pin", 0, h->pcpu_count - 1);
        pcpu_add_thread(&h->pcpu[pin], &threads[i], NULL);
    }
}

static void read_regions(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    json_t *list = reader_array(&b->reader, machine, at, "regions");
    const struct place p = place_key(at, "regions");
    struct region *regions = take(b, json_array_size(list), sizeof *regions);

    for (size_t i = 0; regions && i < json_array_size(list) && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const json_t *json = json_array_get(list, i);
        struct region *r = &regions[i];

        reader_keys(&b->reader, json, &here, KEYS("space", "first", "last", "handler"));
        r->port = reader_choice(&b->reader, json, &here, "space", KEYS("mmio", "port"), 2);
        r->first = reader_uint(&b->reader, json, &here, "first", 0, INT64_MAX);
        r->last = reader_uint(&b->reader, json, &here, "last", r->first, INT64_MAX);
        r->handler = (enum region_handler)reader_choice(&b->reader, json, &here, "handler",
                                                        region_handler_names, REGION_HANDLER_COUNT);
    }
    h->region = regions;
    h->region_count = (uint32_t)json_array_size(list);
}

static void read_times(struct build *b, const json_t *json, const struct place *at, struct device *d)
{
    const json_t *list = json_object_get(json, "at_ns");
    const struct place p = place_key(at, "at_ns");
    const size_t count = json_array_size(list);
    sim_time *times = take(b, count, sizeof *times);

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &p, "an array of times in ns belongs here");
    for (size_t i = 0; times && i < count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        times[i].ps = PS_PER_NS * reader_item(&b->reader, json_array_get(list, i), &here, 0, INT64_MAX / 1000);
        if (i && times[i].ps < times[i - 1].ps)
            reader_fail(&b->reader, &here, "is earlier than the one before it");
    }
    d->at = times;
    d->at_count = (uint32_t)count;
}

static void read_devices(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    json_t *list = reader_array(&b->reader, machine, at, "devices");
    const struct place p = place_key(at, "devices");

    for (uint32_t i = 0; i < h->device_count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);
        const json_t *json = json_array_get(list, i);
        struct device *d = &h->device[i];

        reader_keys(&b->reader, json, &here, KEYS("name", "kind", "vcpu", "vector", "delay_ns", "at_ns"));
        reader_string(&b->reader, json, &here, "name");
        d->kind = (enum device_kind)reader_choice(&b->reader, json, &here, "kind", device_kind_names,
                                                  DEVICE_KIND_COUNT);
        d->vcpu = (uint16_t)reader_uint(&b->reader, json, &here, "vcpu", 0, h->vcpu_count - 1);
        d->vector = (uint8_t)(d->kind == DEVICE_NMI ? 2
                                                    : reader_uint(&b->reader, json, &here, "vector", 16, 255));
        d->delay_ps = PS_PER_NS * reader_uint_or(&b->reader, json, &here, "delay_ns", 0, INT64_MAX / 1000, 0);
        read_times(b, json, &here, d);
    }
}

static void read_hypervisor(struct build *b)
{
    struct hypervisor_policy *p = &b->sim->machine.policy;
    struct reader *r = &b->reader;
    const json_t *json = reader_object(r, b->document, &root, "hypervisor");
    const struct place at = place_key(&root, "hypervisor");

    reader_keys(r, json, &at,
                KEYS("irqchip", "halt_poll_ns", "halt_poll_grow", "halt_poll_grow_start_ns",
                     "halt_poll_shrink", "time_slice_ns"));
    p->irqchip = (enum irqchip)reader_choice(r, json, &at, "irqchip", irqchip_names, IRQCHIP_COUNT);
    p->halt_poll_ns = reader_uint(r, json, &at, "halt_poll_ns", 0, 1000000000);
    p->halt_poll_grow = reader_uint(r, json, &at, "halt_poll_grow", 0, 1000);
    p->halt_poll_grow_start_ns = reader_uint(r, json, &at, "halt_poll_grow_start_ns", 0, 1000000000);
    p->halt_poll_shrink = reader_uint(r, json, &at, "halt_poll_shrink", 0, 1000);
    p->time_slice_ns = reader_uint(r, json, &at, "time_slice_ns", 1000, 10000000000);
}

static void read_costs(struct build *b)
{
    struct reader *r = &b->reader;
    const json_t *json = reader_object(r, b->document, &root, "costs");
    const struct place at = place_key(&root, "costs");
    const struct place cycles_at = place_key(&at, "cycles");
    const char *names[COST_KEY_COUNT + 1] = {NULL};
    json_t *values;

    reader_keys(r, json, &at, KEYS("profile", "kind", "cycles"));
    b->sim->plan.profile = keep(b, reader_string(r, json, &at, "profile"));
    b->sim->plan.profile_kind = keep(b, reader_string(r, json, &at, "kind"));
    values = reader_object(r, json, &at, "cycles");
    for (unsigned i = 0; i < COST_KEY_COUNT; i++) {
        names[i] = cost_keys[i].name;
        b->sim->machine.costs.of[i].n = reader_uint(r, values, &cycles_at, names[i], 0, 1000000000);
    }
    reader_keys(r, values, &cycles_at, names);
}

/* --- technology and features --- */

static void switch_features(struct build *b, feature_set *set)
{
    const json_t *json = json_object_get(b->document, "features");
    const struct place at = place_key(&root, "features");
    const char *name;
    json_t *on;

    if (json && !json_is_object(json))
        reader_fail(&b->reader, &at, "an object of names and true or false belongs here");
    json_object_foreach((json_t *)json, name, on)
    {
        const enum feature f = feature_by_name(name);
        const struct place p = place_key(&at, name);

        if (f == FEATURE_COUNT)
            reader_fail(&b->reader, &p, "there is no such feature");
        else if (!json_is_boolean(on))
            reader_fail(&b->reader, &p, "true or false belongs here");
        else
            *set = json_is_true(on) ? *set | UINT32_C(1) << f : *set & ~(UINT32_C(1) << f);
    }
}

static void check_features(struct build *b, feature_set set)
{
    const struct place at = place_key(&root, "features");

    for (unsigned f = 0; f < FEATURE_COUNT; f++) {
        const feature_set missing = features[f].needs & ~set;

        if (feature_in(set, (enum feature)f) && missing)
            reader_fail(&b->reader, &at, "%s needs %s", features[f].name,
                        features[__builtin_ctz(missing)].name);
    }
}

/* What one vendor's hardware has, of the features that are hardware at all. */
static void check_vendor(struct build *b, const struct technology *t, feature_set set)
{
    const struct place at = place_key(&root, "features");
    const feature_set vmx_only =
        UINT32_C(1) << FEATURE_APIC_PAGE_SLOT | UINT32_C(1) << FEATURE_APIC_ACCESS_PAGE |
        UINT32_C(1) << FEATURE_VIRTUALIZE_X2APIC | UINT32_C(1) << FEATURE_APIC_REGISTERS |
        UINT32_C(1) << FEATURE_INTERRUPT_DELIVERY | UINT32_C(1) << FEATURE_POSTED_INTERRUPTS |
        UINT32_C(1) << FEATURE_IPI_VIRTUALIZATION | UINT32_C(1) << FEATURE_PREEMPTION_TIMER;

    if (t->vendor == VIRT_SVM && (set & vmx_only))
        reader_fail(&b->reader, &at, "%s is not a feature of SVM (%s)",
                    features[__builtin_ctz(set & vmx_only)].name, t->name);
}

static void read_technology(struct build *b)
{
    const char *name = reader_string(&b->reader, b->document, &root, "technology");
    const struct technology *t = technology_by_name(name);
    const struct place at = place_key(&root, "technology");
    feature_set set;

    if (!t) {
        reader_fail(&b->reader, &at, "there is no technology \"%.40s\"", name);
        return;
    }
    set = t->features;
    switch_features(b, &set);
    check_features(b, set);
    check_vendor(b, t, set);
    b->sim->plan.technology = t->name;
    b->sim->plan.vendor = t->vendor;
    b->sim->machine.features = set;
}

/* --- the whole --- */

static void read_clocks(struct build *b, const json_t *machine, const struct place *at)
{
    struct hypervisor *h = &b->sim->machine;
    const uint64_t high = UINT64_C(1) << MAX_HZ_LOG2;

    h->core = clock_of_hz(reader_uint(&b->reader, machine, at, "core_hz", 1000, high));
    h->tsc = clock_of_hz(reader_uint(&b->reader, machine, at, "tsc_hz", 1000, high));
    h->apic_bus = clock_of_hz(reader_uint(&b->reader, machine, at, "apic_timer_hz", 1000, high));
}

static size_t array_size(struct build *b, const json_t *machine, const struct place *at, const char *key,
                         size_t high)
{
    const size_t n = json_array_size(reader_array(&b->reader, machine, at, key));
    const struct place p = place_key(at, key);

    if (n > high)
        reader_fail(&b->reader, &p, "%zu are too many (at most %zu)", n, high);
    return n;
}

static void read_machine(struct build *b)
{
    struct hypervisor *h = &b->sim->machine;
    const json_t *machine = reader_object(&b->reader, b->document, &root, "machine");
    const struct place at = place_key(&root, "machine");
    const struct place vcpus_at = place_key(&at, "vcpus");

    reader_keys(&b->reader, machine, &at,
                KEYS("core_hz", "tsc_hz", "apic_timer_hz", "physical_cpus", "guest_apic", "vcpus", "load",
                     "regions", "devices"));
    read_clocks(b, machine, &at);
    h->pcpu_count = (uint32_t)reader_uint(&b->reader, machine, &at, "physical_cpus", 1, MAX_VCPUS);
    h->guest_apic = (enum lapic_mode)reader_choice(&b->reader, machine, &at, "guest_apic", guest_apic_names, 3);
    h->vcpu_count = (uint32_t)array_size(b, machine, &at, "vcpus", MAX_VCPUS);
    h->device_count = (uint32_t)array_size(b, machine, &at, "devices", UINT16_MAX);
    if (h->vcpu_count == 0)
        reader_fail(&b->reader, &vcpus_at, "is empty; a machine has at least one vCPU");
    if (b->reader.failed)
        return;
    if (!machine_allocate(b->sim)) {
        reader_fail(&b->reader, &at, "there is no memory for it");
        return;
    }
    read_programs(b);
    qsort(b->programs, b->program_count, sizeof *b->programs, compare_programs);
    read_vcpus(b, machine, &at);
    read_load(b, machine, &at);
    read_regions(b, machine, &at);
    read_devices(b, machine, &at);
}

static void read_run(struct build *b)
{
    const json_t *run = reader_object(&b->reader, b->document, &root, "run");
    const struct place at = place_key(&root, "run");
    uint64_t ns;

    reader_keys(&b->reader, run, &at, KEYS("until_ns"));
    ns = reader_uint_or(&b->reader, run, &at, "until_ns", 0, UINT64_MAX / PS_PER_NS / 2, 0);
    b->sim->plan.until = ns ? (sim_time){ns * PS_PER_NS} : SIM_TIME_NEVER;
}

/* FNV-1a over the document with its keys sorted: the same plan, however it was written. */
static uint64_t hash_of(const json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = text; c && *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    free(text);
    return hash;
}

static void read_document(struct build *b)
{
    struct virqsim *sim = b->sim;
    struct reader *r = &b->reader;
    const struct place format_at = place_key(&root, "format");

    reader_keys(r, b->document, &root,
                KEYS("format", "name", "seed", "technology", "features", "machine", "hypervisor", "costs",
                     "programs", "run"));
    if (strcmp(reader_string(r, b->document, &root, "format"), "virqsim-plan-1") != 0)
        reader_fail(r, &format_at, "must be \"virqsim-plan-1\"");
    sim->plan.name = keep(b, reader_string(r, b->document, &root, "name"));
    sim->plan.seed = reader_uint(r, b->document, &root, "seed", 0, INT64_MAX);
    sim->plan.hash = hash_of(b->document);
    read_technology(b);
    read_hypervisor(b);
    read_costs(b);
    read_run(b);
    if (!r->failed)
        read_machine(b);
}

static void allocate_words(struct build *b)
{
    struct hypervisor *h = &b->sim->machine;

    h->word_count = (uint32_t)b->words;
    h->word = take(b, b->words, sizeof *h->word);
    h->spinners = take(b, b->words, sizeof(struct vcpu *));
}

bool plan_read(struct virqsim *sim, const char *text, size_t length, struct virqsim_error *error)
{
    json_error_t where;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    struct build b = {.reader = {.error = error}, .sim = sim, .document = document};

    if (!document) {
        snprintf(error->message, sizeof error->message, "plan: line %d, column %d: %s", where.line,
                 where.column, where.text);
        return false;
    }
    if (json_is_object(document))
        read_document(&b);
    else
        reader_fail(&b.reader, &root, "the document is not a JSON object");
    if (!b.reader.failed)
        allocate_words(&b);
    json_decref(document);
    if (!b.reader.failed)
        hypervisor_init(&sim->machine, sim->plan.vendor);
    return !b.reader.failed;
}
