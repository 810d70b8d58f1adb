/* The plan's programs: operations by name, their operands checked, loops linked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "plan_parts.h"

enum { MAX_WORDS = 1 << 20 };

static enum guest_op op_by_name(const char *name)
{
    unsigned i = 0;

    while (i < GUEST_OP_COUNT && strcmp(guest_ops[i].name, name) != 0)
        i++;
    return (enum guest_op)i;
}

/* What an operand may be, by its name in guest_ops.def; the rest are free. */
static uint64_t operand_limit(const struct build *b, const char *operand)
{
    const struct hypervisor *h = &b->sim->machine;
    static const struct {
        const char *name;
        uint64_t high;
    } limits[] = {
        {"word", MAX_WORDS - 1},
        {"lock", MAX_WORDS - 2},
        {"offset", 0xff0},
        {"icr_low", UINT32_MAX},
        {"destination", UINT32_MAX},
        {"port", UINT16_MAX},
        {"size", 8},
        {"frames", 1 << 20},
        {"mode", 3},
        {"on", 1},
        {"reason", INHIBIT_COUNT - 1},
        {"id", STAMP_IDS - 1},
        {"msr", UINT32_MAX},
        {"divide", 128},
        {"count", UINT32_MAX},
        {"times", UINT64_C(1) << 40},
        {"depth", DISK_FLIGHTS},
        {"total", UINT32_MAX - 1},
        {"cycles", UINT64_C(1) << 50},
        {"causes", UINT32_MAX},
        {"events", (UINT64_C(1) << E2K_INTC_MU_ENTRIES * E2K_MU_EVENT_BITS) - 1},
        {"entries", E2K_INTC_MU_ENTRIES},
        {"low", UINT64_C(1) << 50},
        {"high", UINT64_C(1) << 50},
    };

    if (strcmp(operand, "disk") == 0)
        return h->disk_count ? h->disk_count - 1 : 0;
    if (strcmp(operand, "vector") == 0)
        return plan_vectors(b) - 1;
    if (strcmp(operand, "device") == 0)
        return hypervisor_plan_devices(h) ? hypervisor_plan_devices(h) - 1 : 0;
    if (strcmp(operand, "tx_queue") == 0)
        return h->tx_queue_count ? h->tx_queue_count - 1 : 0;
    if (strcmp(operand, "queue") == 0)
        return h->rx_queue_count ? h->rx_queue_count - 1 : 0;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (strcmp(operand, limits[i].name) == 0)
            return limits[i].high;
    return INT64_MAX;
}

static bool is_power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* IN and OUT move up to four bytes, a load or a store eight. */
static void check_size(struct build *b, const struct guest_insn *i, const struct place *at)
{
    const bool port = i->op == GUEST_port_in || i->op == GUEST_port_out;
    const bool memory = i->op == GUEST_mmio_read || i->op == GUEST_mmio_write;
    const uint64_t size = i->operand[1];

    if (port && (!is_power_of_two(size) || size > 4))
        reader_fail(&b->reader, at, "size %" PRIu64 " is not 1, 2 or 4", size);
    if (memory && !is_power_of_two(size))
        reader_fail(&b->reader, at, "size %" PRIu64 " is not 1, 2, 4 or 8", size);
}

static void count_words(struct build *b, const struct guest_insn *i)
{
    for (unsigned n = 0; n < guest_op_operands((enum guest_op)i->op); n++) {
        const char *name = guest_ops[i->op].operand[n];
        const uint64_t words = strcmp(name, "lock") == 0   ? 2
                               : strcmp(name, "word") == 0 ? 1
                                                           : 0;

        if (words && i->operand[n] + words > b->words)
            b->words = i->operand[n] + words;
    }
}

/* What Elbrus or VMX has not, and what only Elbrus has. */
static void check_home(struct build *b, const struct guest_insn *i, const struct place *at)
{
    static const enum guest_op x86[] = {
        GUEST_cr8,      GUEST_cr8_read,     GUEST_rdmsr,       GUEST_wrmsr,
        GUEST_pv_ipi,   GUEST_mwait,        GUEST_mwait_until, GUEST_mwait_take,
        GUEST_pv_yield, GUEST_triple_fault, GUEST_opaque_mmio, GUEST_unknown_exit};
    const bool epic = b->sim->machine.guest_epic, e2k = b->sim->plan.vendor == VIRT_E2K;

    if (!e2k && i->op == GUEST_intercept)
        reader_fail(&b->reader, at, "%s has no interceptions of e2k", b->sim->plan.technology);
    if (!epic && i->op == GUEST_epic_ipi)
        reader_fail(&b->reader, at, "epic_ipi needs an EPIC guest");
    if (e2k && !epic && i->op == GUEST_tsc_deadline)
        reader_fail(&b->reader, at, "an Elbrus guest's local APIC has no TSC deadline");
    if (b->sim->plan.vendor != VIRT_SVM && (i->op == GUEST_stgi || i->op == GUEST_clgi))
        reader_fail(&b->reader, at, "%s needs SVM, where hypervisors have it",
                    guest_ops[i->op].name);
    for (size_t n = 0; e2k && n < sizeof x86 / sizeof x86[0]; n++)
        if (i->op == x86[n])
            reader_fail(&b->reader, at, "an Elbrus guest has no %s", guest_ops[i->op].name);
}

/* Of what an x86 ICR can say, what an EPIC's guest sends too (epic_guest.c). */
static void check_epic_ipi(struct build *b, const struct guest_insn *i, const struct place *at)
{
    const unsigned mode = i->operand[0] >> 8 & 7;

    if (!b->sim->machine.guest_epic || i->op != GUEST_ipi)
        return;
    if (i->operand[0] >> 11 & 1)
        reader_fail(&b->reader, at, "an EPIC has no logical destinations");
    if (mode != IRQ_FIXED && mode != IRQ_NMI)
        reader_fail(&b->reader, at,
                    "an EPIC guest sends fixed IPIs (mode 0) and NMIs (4), not mode %u%s", mode,
                    mode == IRQ_INIT ? ", INIT" : "");
}

/* A wait for an event is an operation of its own; two event codes are reserved. */
static void check_interception(struct build *b, const struct guest_insn *i,
                               const struct place *at)
{
    enum { RESERVED_6 = 6, RESERVED_7 };
    const uint64_t unknown = i->operand[0] & ~(E2K_KNOWN_CAUSES & ~E2K_WAIT_TRAP);

    if (unknown)
        reader_fail(&b->reader, at, "bit %d of INTC_INFO_CU's header is no instruction's cause",
                    __builtin_ctzll(unknown));
    for (unsigned n = 0; n < i->operand[2]; n++) {
        const unsigned event = i->operand[1] >> n * E2K_MU_EVENT_BITS & 31;

        if (event >= E2K_MU_EVENTS || event == RESERVED_6 || event == RESERVED_7)
            reader_fail(&b->reader, at, "INTC_INFO_MU has no event code %u", event);
    }
}

/* What one operand's range cannot say. */
static void check_insn(struct build *b, const struct guest_insn *i, const struct place *at)
{
    const uint64_t *o = i->operand;
    const struct hypervisor *h = &b->sim->machine;

    if (i->op == GUEST_intercept)
        check_interception(b, i, at);
    if (i->op == GUEST_compute_uniform && o[0] > o[1])
        reader_fail(&b->reader, at, "low %" PRIu64 " is above high %" PRIu64, o[0], o[1]);
    if (i->op == GUEST_timer_count && o[1] && !is_power_of_two(o[1]))
        reader_fail(&b->reader, at, "divide %" PRIu64 " is not a power of two from 1 to 128",
                    o[1]);
    if (i->op == GUEST_pv_ipi && (o[2] < 1 || o[2] > 128))
        reader_fail(&b->reader, at, "one hypercall reaches 1 to 128 destinations, not %" PRIu64,
                    o[2]);
    if (i->op == GUEST_pv_yield && o[1] < 1)
        reader_fail(&b->reader, at, "a yield is to one of at least 1 APIC ID");
    if ((i->op == GUEST_rx_poll || i->op == GUEST_rx_unmask) && h->rx_queue_count == 0)
        reader_fail(&b->reader, at, "the plan has no network card to receive from");
    if (strcmp(guest_ops[i->op].operand[0], "tx_queue") == 0 && h->tx_queue_count == 0)
        reader_fail(&b->reader, at, "the plan has no transmit queue to send by");
    if (i->op == GUEST_signal && hypervisor_plan_devices(h) == 0)
        reader_fail(&b->reader, at, "the plan has no devices to signal");
    if (i->op == GUEST_lower &&
        (o[0] >= hypervisor_plan_devices(h) || h->device[o[0]].kind != DEVICE_LINE))
        reader_fail(&b->reader, at, "device %" PRIu64 " has no line to lower", o[0]);
    if (strcmp(guest_ops[i->op].operand[0], "disk") == 0 && h->disk_count == 0)
        reader_fail(&b->reader, at, "the plan has no disks");
    check_size(b, i, at);
    check_home(b, i, at);
    check_epic_ipi(b, i, at);
    b->shuts_down |= i->op == GUEST_triple_fault;
    b->user_operations |= plan_is_user_operation(i);
    count_words(b, i);
}

static void read_insn(struct build *b, const json_t *json, const struct place *at,
                      struct guest_insn *i)
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
        reader_fail(&b->reader, at, "%s takes %u operands, not %zu", name, operands,
                    json_array_size(json) - 1);
        return;
    }
    for (unsigned n = 0; n < operands; n++) {
        const struct place p = place_item(at, n + 1);
        const uint64_t high = operand_limit(b, guest_ops[i->op].operand[n]);

        i->operand[n] = reader_item(&b->reader, json_array_get(json, n + 1), &p, 0, high);
    }
    check_insn(b, i, at);
}

static void read_program(struct build *b, const char *name, const json_t *json,
                         const struct place *at, struct guest_program *program)
{
    const size_t count = json_array_size(json);
    struct guest_insn *insn = build_take(b, count, sizeof *insn);
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
    *program = (struct guest_program){build_keep(b, name), insn, (uint32_t)count};
    if (!b->reader.failed && !guest_program_link(insn, (uint32_t)count, &offender)) {
        const struct place p = place_item(at, offender);

        reader_fail(&b->reader, &p,
                    "repeat and end must stand in pairs, around something, and at most %d deep",
                    GUEST_LOOPS_MAX);
    }
}

/* Programs are looked up by name once for each use; plans of replays have thousands. */
static int compare_programs(const void *a, const void *b)
{
    return strcmp(((const struct guest_program *)a)->name,
                  ((const struct guest_program *)b)->name);
}

void plan_read_programs(struct build *b)
{
    json_t *json = reader_object(&b->reader, b->document, &plan_root, "programs");
    const struct place at = place_key(&plan_root, "programs");
    const char *name;
    json_t *body;

    b->programs = build_take(b, json_object_size(json), sizeof *b->programs);
    if (!b->programs)
        return;
    json_object_foreach(json, name, body)
    {
        const struct place p = place_key(&at, name);

        read_program(b, name, body, &p, &b->programs[b->program_count++]);
    }
    if (!b->reader.failed)
        qsort(b->programs, b->program_count, sizeof *b->programs, compare_programs);
}

const struct guest_program *plan_find_program(struct build *b, const json_t *name,
                                              const struct place *at)
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

double plan_length_of(const struct guest_program *p)
{
    double turns[GUEST_LOOPS_MAX + 1] = {1};
    unsigned depth = 0;
    double sum = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        if (p->insn[i].op == GUEST_repeat) {
            turns[depth + 1] = turns[depth] * (double)p->insn[i].operand[0];
            depth++;
        } else if (p->insn[i].op == GUEST_end) {
            depth--;
        } else {
            sum += turns[depth];
        }
    }
    return sum;
}
