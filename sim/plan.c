/* The plan (docs/plan.md): reads it, checks it, and builds the machine that it describes. */
#include <stdlib.h>
#include <string.h>

#include "plan_parts.h"

const struct place plan_root = {.parent = NULL};

void *build_take(struct build *b, size_t count, size_t size)
{
    void *p = arena_alloc(&b->sim->arena, count ? count : 1, size);

    if (!p)
        reader_fail(&b->reader, &plan_root, "there is no memory for it");
    return p;
}

const char *build_keep(struct build *b, const char *s)
{
    const size_t size = strlen(s) + 1;
    char *copy = build_take(b, 1, size);

    return copy ? memcpy(copy, s, size) : "";
}

/* By default what KVM's modules set: kvm-intel's ple_*, kvm-amd's pause_filter_*. */
static void read_pause_loop(struct build *b, const json_t *hypervisor,
                            const struct place *above)
{
    static const struct pause_loop_policy defaults[] = {
        [VIRT_VMX] = {128, 4096, 2, 0, UINT32_MAX},
        [VIRT_SVM] = {128, 3000, 2, 0, UINT16_MAX},
        [VIRT_E2K] = {0, 1, 0, 0, UINT32_MAX}, /* no loop exits */
    };
    const struct pause_loop_policy *kvm = &defaults[b->sim->plan.vendor];
    struct pause_loop_policy *p = &b->sim->machine.policy.pause_loop;
    struct reader *r = &b->reader;
    const struct place at = place_key(above, "pause_loop");
    const json_t *json = NULL;

    if (json_object_get(hypervisor, "pause_loop"))
        json = reader_object(r, hypervisor, above, "pause_loop");
    reader_keys(r, json, &at, KEYS("gap", "window", "grow", "shrink", "max"));
    p->max = reader_uint_or(r, json, &at, "max", 1, kvm->max, kvm->max);
    p->gap = reader_uint_or(r, json, &at, "gap", 0, kvm->max, kvm->gap);
    p->window = reader_uint_or(r, json, &at, "window", 1, p->max,
                               kvm->window < p->max ? kvm->window : p->max);
    p->grow = reader_uint_or(r, json, &at, "grow", 0, kvm->max, kvm->grow);
    p->shrink = reader_uint_or(r, json, &at, "shrink", 0, kvm->max, kvm->shrink);
}

/* KVM for e2k: VCPU_IDLE_TIMEOUT, in jiffies; that it is one, at 100 Hz, is assumed. */
enum { IDLE_CHECK_NS = 10000000 };

static void read_hypervisor(struct build *b)
{
    struct hypervisor_policy *p = &b->sim->machine.policy;
    struct reader *r = &b->reader;
    const json_t *json = reader_object(r, b->document, &plan_root, "hypervisor");
    const struct place at = place_key(&plan_root, "hypervisor");

    reader_keys(r, json, &at,
                KEYS("irqchip", "halt_poll_ns", "halt_poll_grow", "halt_poll_grow_start_ns",
                     "halt_poll_shrink", "time_slice_ns", "tick_ns", "timer_advance_ns",
                     "pit_reinject", "no_reboot", "inhibits", "pause_loop", "without_rechecks",
                     "scheduler", "idle_check_ns"));
    p->irqchip =
        (enum irqchip)reader_choice(r, json, &at, "irqchip", irqchip_names, IRQCHIP_COUNT);
    p->halt_poll_ns = reader_uint(r, json, &at, "halt_poll_ns", 0, 1000000000);
    p->halt_poll_grow = reader_uint(r, json, &at, "halt_poll_grow", 0, 1000);
    p->halt_poll_grow_start_ns =
        reader_uint(r, json, &at, "halt_poll_grow_start_ns", 0, 1000000000);
    p->halt_poll_shrink = reader_uint(r, json, &at, "halt_poll_shrink", 0, 1000);
    p->time_slice_ns = reader_uint(r, json, &at, "time_slice_ns", 1000, 10000000000);
    p->tick_ns = reader_uint_or(r, json, &at, "tick_ns", 10000, 1000000000, 0);
    p->timer_advance_ns = reader_uint_or(r, json, &at, "timer_advance_ns", 0, 1000000, 0);
    p->idle_check_ns =
        reader_uint_or(r, json, &at, "idle_check_ns", 1000, 10000000000, IDLE_CHECK_NS);
    p->pit_reinject = reader_bool_or(r, json, &at, "pit_reinject", false);
    p->no_reboot = reader_bool_or(r, json, &at, "no_reboot", false);
    plan_read_inhibits(b, json, &at);
    plan_read_rechecks(b, json, &at);
    read_pause_loop(b, json, &at);
    plan_read_scheduler(b, json, &at);
}

static void read_costs(struct build *b)
{
    struct reader *r = &b->reader;
    const json_t *json = reader_object(r, b->document, &plan_root, "costs");
    const struct place at = place_key(&plan_root, "costs");
    const struct place cycles_at = place_key(&at, "cycles");
    const char *names[COST_KEY_COUNT + 1] = {NULL};
    json_t *values;

    reader_keys(r, json, &at, KEYS("profile", "kind", "cycles"));
    b->sim->plan.profile = build_keep(b, reader_string(r, json, &at, "profile"));
    b->sim->plan.profile_kind = build_keep(b, reader_string(r, json, &at, "kind"));
    values = reader_object(r, json, &at, "cycles");
    for (unsigned i = 0; i < COST_KEY_COUNT; i++) {
        names[i] = cost_keys[i].name;
        b->sim->machine.costs.of[i].n =
            reader_uint(r, values, &cycles_at, names[i], 0, 1000000000);
    }
    reader_keys(r, values, &cycles_at, names);
}

static void read_run(struct build *b)
{
    const json_t *run = reader_object(&b->reader, b->document, &plan_root, "run");
    const struct place at = place_key(&plan_root, "run");
    uint64_t ns;

    reader_keys(&b->reader, run, &at, KEYS("until_ns", "schedule"));
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
    const struct place format_at = place_key(&plan_root, "format");

    reader_keys(r, b->document, &plan_root,
                KEYS("format", "name", "seed", "technology", "features", "hypothetical",
                     "machine", "hypervisor", "costs", "programs", "run", "watchdog",
                     "faults"));
    if (strcmp(reader_string(r, b->document, &plan_root, "format"), "virqsim-plan-1") != 0)
        reader_fail(r, &format_at, "must be \"virqsim-plan-1\"");
    sim->plan.name = build_keep(b, reader_string(r, b->document, &plan_root, "name"));
    sim->plan.seed = reader_uint(r, b->document, &plan_root, "seed", 0, INT64_MAX);
    sim->plan.hash = hash_of(b->document);
    plan_read_technology(b);
    read_hypervisor(b);
    read_costs(b);
    plan_read_hypothetical(b);
    read_run(b);
    plan_read_watchdog(b);
    if (!r->failed)
        plan_read_machine(b);
    if (!r->failed)
        plan_read_schedule(b);
}

static void allocate_words(struct build *b)
{
    struct hypervisor *h = &b->sim->machine;

    h->word_count = (uint32_t)b->words;
    h->word = build_take(b, b->words, sizeof *h->word);
    h->word_line = build_take(b, b->words, sizeof *h->word_line);
    h->spinners = build_take(b, b->words, sizeof(struct vcpu *));
}

bool plan_read(struct virqsim *sim, const char *text, size_t length,
               struct virqsim_error *error)
{
    json_error_t where;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    struct build b = {.reader = {.error = error}, .sim = sim, .document = document};

    if (!document) {
        snprintf(error->message, sizeof error->message, "plan: line %d, column %d: %s",
                 where.line, where.column, where.text);
        reader_tidy(error);
        return false;
    }
    if (json_is_object(document))
        read_document(&b);
    else
        reader_fail(&b.reader, &plan_root, "the document is not a JSON object");
    if (!b.reader.failed)
        allocate_words(&b);
    json_decref(document);
    if (!b.reader.failed)
        hypervisor_init(&sim->machine, sim->plan.vendor);
    return !b.reader.failed;
}
