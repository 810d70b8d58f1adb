/* The plan's faults: what goes wrong around the guest, when, and for how long. */
#include "hypervisor/fault.h"

#include <string.h>

#include "plan_parts.h"

enum { MAX_FAULTS = 1024, OFF_CPU_NS = 100000000 };

static const struct {
    const char *name, *subject;
} faults[] = {
#define FAULT(id, name, subject, meaning) {name, subject},
#include "hypervisor/faults.def"
#undef FAULT
};

uint32_t plan_count_faults(struct build *b)
{
    const json_t *list = json_object_get(b->document, "faults");
    const struct place p = place_key(&plan_root, "faults");
    const size_t count = json_array_size(list);

    if (list && !json_is_array(list))
        reader_fail(&b->reader, &p, "an array of faults belongs here");
    if (count > MAX_FAULTS)
        reader_fail(&b->reader, &p, "%zu are too many (at most %d)", count, MAX_FAULTS);
    if (b->reader.failed || count == 0)
        return 0;
    b->sim->machine.fault = build_take(b, count, sizeof *b->sim->machine.fault);
    b->sim->machine.fault_count = (uint32_t)count;
    return fault_events((uint32_t)count);
}

/* Of the inputs, the cascade is nobody's. */
static uint32_t read_input(struct build *b, const json_t *json, const struct place *at)
{
    const struct place gsi_at = place_key(at, "gsi");
    const struct hypervisor *h = &b->sim->machine;
    const uint64_t gsi = reader_uint(&b->reader, json, at, "gsi", 0, plan_inputs(h) - 1);

    if (h->ioepic)
        return (uint32_t)gsi;
    if (!h->board)
        reader_fail(&b->reader, at, "is about a line, and the machine has no chipset");
    else if (gsi == I8259_CASCADE)
        reader_fail(&b->reader, &gsi_at, "2 is the 8259A's cascade; no device is there");
    return (uint32_t)gsi;
}

static uint32_t read_index(struct build *b, const json_t *json, const struct place *at,
                           const char *key, uint32_t count)
{
    const struct place p = place_key(at, key);

    if (count == 0)
        reader_fail(&b->reader, &p, "the machine has none");
    return (uint32_t)reader_uint(&b->reader, json, at, key, 0, count ? count - 1 : 0);
}

/* A message's destination is eight bits in xAPIC mode, and the last ID of either is everybody's. */
static uint32_t read_absent(struct build *b, const json_t *json, const struct place *at,
                            struct fault *f)
{
    const struct hypervisor *h = &b->sim->machine;
    const uint64_t last = h->guest_apic == LAPIC_MODE_X2APIC ? UINT32_MAX - 1 : 254;

    f->vector = (uint8_t)reader_uint(&b->reader, json, at, "vector", 16, 255);
    return (uint32_t)reader_uint(&b->reader, json, at, "apic_id", h->vcpu_count, last);
}

/* Where interrupts are the guest's own, its CPU is its own for good. */
static uint32_t read_moved(struct build *b, const json_t *json, const struct place *at,
                           struct fault *f)
{
    struct hypervisor *h = &b->sim->machine;
    const uint32_t cpu = read_index(b, json, at, "cpu", h->pcpu_count);

    f->to = &h->pcpu[cpu];
    if (f->to == h->housekeeping)
        reader_fail(&b->reader, at, "moves a vCPU to the housekeeping CPU");
    if (feature_in(h->features, FEATURE_DIRECT_INTERRUPTS))
        reader_fail(&b->reader, at, "moves a vCPU whose interrupts are those of its CPU");
    return read_index(b, json, at, faults[f->kind].subject, h->vcpu_count);
}

static uint32_t read_subject(struct build *b, const json_t *json, const struct place *at,
                             struct fault *f)
{
    const struct hypervisor *h = &b->sim->machine;
    const char *key = faults[f->kind].subject;

    switch ((enum fault_kind)f->kind) {
    case FAULT_STUCK:
        return read_input(b, json, at);
    case FAULT_ABSENT:
        return read_absent(b, json, at, f);
    case FAULT_MOVED:
        return read_moved(b, json, at, f);
    case FAULT_OFF_CPU:
        return read_index(b, json, at, key, h->vcpu_count);
    case FAULT_STALL:
        return read_index(b, json, at, key, h->threads ? h->threads->count : 0);
    default:
        return read_index(b, json, at, key, hypervisor_plan_devices(h));
    }
}

static bool has_a_message(const struct device *d)
{
    return d->kind == DEVICE_MSI || d->kind == DEVICE_ASSIGNED;
}

static void read_fault(struct build *b, const json_t *json, const struct place *at,
                       struct fault *f)
{
    struct reader *r = &b->reader;
    const uint64_t most = INT64_MAX / 1000;
    const char *names[FAULT_COUNT];
    const struct place device_at = place_key(at, "device");

    for (unsigned n = 0; n < FAULT_COUNT; n++)
        names[n] = faults[n].name;
    f->kind = (uint8_t)reader_choice(r, json, at, "kind", names, FAULT_COUNT);
    if (r->failed)
        return;
    if (f->kind == FAULT_STORM)
        reader_keys(r, json, at, KEYS("kind", "at_ns", "for_ns", "device", "every_ns"));
    else if (f->kind == FAULT_MOVED)
        reader_keys(r, json, at, KEYS("kind", "at_ns", "vcpu", "cpu"));
    else if (f->kind == FAULT_ABSENT)
        reader_keys(r, json, at, KEYS("kind", "at_ns", "apic_id", "vector"));
    else
        reader_keys(r, json, at, KEYS("kind", "at_ns", "for_ns", faults[f->kind].subject));
    f->at.ps = PS_PER_NS * reader_uint(r, json, at, "at_ns", 0, most);
    f->subject = read_subject(b, json, at, f);
    if (f->kind == FAULT_OFF_CPU)
        f->for_ps = PS_PER_NS * reader_uint_or(r, json, at, "for_ns", 1, most, OFF_CPU_NS);
    else if (f->kind != FAULT_ABSENT && f->kind != FAULT_MOVED)
        f->for_ps = PS_PER_NS * reader_uint(r, json, at, "for_ns", 1, most);
    if (f->kind == FAULT_STORM)
        f->every_ps = PS_PER_NS * reader_uint(r, json, at, "every_ns", 1, most);
    if (!r->failed && f->kind == FAULT_MASKED &&
        !has_a_message(&b->sim->machine.device[f->subject]))
        reader_fail(r, &device_at,
                    "%u sends no messages; an msi or assigned device belongs here", f->subject);
}

void plan_read_faults(struct build *b)
{
    const json_t *list = json_object_get(b->document, "faults");
    const struct place p = place_key(&plan_root, "faults");

    for (uint32_t i = 0; i < b->sim->machine.fault_count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        read_fault(b, json_array_get(list, i), &here, &b->sim->machine.fault[i]);
    }
}

json_t *plan_describe_faults(void)
{
    json_t *list = json_array();

#define FAULT(id, name, subject, meaning)                                                      \
    json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", name, "subject", subject, \
                                          "meaning", meaning));
#include "hypervisor/faults.def"
#undef FAULT
    return list;
}
