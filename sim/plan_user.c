/* The plan's user interrupts: what a guest's kernel has set up for its vCPUs before it runs. */
#include <inttypes.h>

#include "plan_parts.h"

enum { DEFAULT_UINV = 236, NDST_XAPIC_SHIFT = 8 };

/* A handler that returns at once. */
static const struct guest_program nothing = {"nothing", NULL, 0};
static const struct guest_program *const nothing_list[] = {&nothing};

static uint32_t ndst_of(const struct hypervisor *h, uint32_t vcpu)
{
    return h->guest_apic == LAPIC_MODE_X2APIC ? vcpu : vcpu << NDST_XAPIC_SHIFT;
}

/* All descriptors, at the linear addresses that the tables name: vCPU n's is at n * 64. */
static struct uintr_upid *descriptors(struct build *b)
{
    const struct hypervisor *h = &b->sim->machine;

    if (!b->upids)
        b->upids = build_take(b, h->vcpu_count, sizeof *b->upids);
    return b->upids;
}

static struct uintr_words read_target(struct build *b, const json_t *json,
                                      const struct place *at)
{
    struct uintr_words entry = {{0}};
    uint64_t vcpu, vector;

    reader_keys(&b->reader, json, at, KEYS("vcpu", "vector"));
    vcpu = reader_uint(&b->reader, json, at, "vcpu", 0, b->sim->machine.vcpu_count - 1);
    vector = reader_uint(&b->reader, json, at, "vector", 0, UINTR_VECTORS - 1);
    uintr_put(&entry, UINTR_UITTE_V, 1);
    uintr_put(&entry, UINTR_UITTE_UV, vector);
    uintr_put(&entry, UINTR_UITTE_UPIDADDR, vcpu * UINTR_UPID_SIZE);
    return entry;
}

static void read_targets(struct build *b, const json_t *json, const struct place *at,
                         struct uintr *u)
{
    const json_t *list = reader_array(&b->reader, json, at, "targets");
    const struct place p = place_key(at, "targets");
    const size_t count = json_array_size(list);
    struct uintr_words *entries = build_take(b, count, sizeof *entries);

    for (size_t i = 0; entries && i < count && !b->reader.failed; i++) {
        const struct place here = place_item(&p, i);

        entries[i] = read_target(b, json_array_get(list, i), &here);
    }
    u->uitt = entries;
    u->uitt_entries = (uint32_t)count;
}

static void set_descriptor(struct build *b, struct vcpu *v, struct uintr *u)
{
    const struct hypervisor *h = &b->sim->machine;
    struct uintr_upid *upid = &b->upids[v->index];

    upid->owner = v->index;
    upid->trace = h->trace;
    uintr_put(&upid->words, UINTR_UPID_NV, u->uinv);
    uintr_put(&upid->words, UINTR_UPID_NDST, ndst_of(h, v->index));
    u->upid = upid;
    u->memory = b->upids;
    u->memory_upids = h->vcpu_count;
}

/* What the hypervisor can offer them with. */
static bool offered(struct build *b, const struct place *at)
{
    const struct hypervisor *h = &b->sim->machine;

    if (!feature_in(h->features, FEATURE_USER_INTERRUPTS))
        reader_fail(&b->reader, at, "needs the feature %s",
                    features[FEATURE_USER_INTERRUPTS].name);
    else if (h->guest_apic == LAPIC_MODE_DISABLED || h->policy.irqchip == IRQCHIP_USERSPACE)
        reader_fail(&b->reader, at,
                    "needs a local APIC in the kernel: without the TPR shadow SENDUIPI would "
                    "write the physical ICR");
    return !b->reader.failed;
}

void plan_read_user_interrupts(struct build *b, const json_t *vcpu, const struct place *at,
                               struct vcpu *v)
{
    const struct place p = place_key(at, "user_interrupts");
    const struct place handler_at = place_key(&p, "handler");
    const json_t *json = json_object_get(vcpu, "user_interrupts"), *handler;
    const struct guest_program **list;
    struct uintr *u;

    v->guest.user_handler = (struct guest_handler){nothing_list, 1, 0};
    if (!json || !offered(b, &p))
        return;
    reader_object(&b->reader, vcpu, at, "user_interrupts");
    reader_keys(&b->reader, json, &p, KEYS("uinv", "handler", "targets"));
    u = build_take(b, 1, sizeof *u);
    list = build_take(b, 1, sizeof *list);
    if (!u || !list || !descriptors(b))
        return;
    u->uif = true;
    u->uinv =
        (uint8_t)reader_uint_or(&b->reader, json, &p, "uinv", 16, VECTORS - 1, DEFAULT_UINV);
    handler = json_object_get(json, "handler");
    if (handler) {
        list[0] = plan_find_program(b, handler, &handler_at);
        v->guest.user_handler = (struct guest_handler){list, 1, 0};
    }
    read_targets(b, json, &p, u);
    set_descriptor(b, v, u);
    v->hw.user = u;
}

/* --- what only the whole can say --- */

bool plan_is_user_operation(const struct guest_insn *i)
{
    return i->op == GUEST_senduipi || i->op == GUEST_stui || i->op == GUEST_clui ||
           i->op == GUEST_upid_notify || i->op == GUEST_upid_suppress;
}

static void check_program(struct build *b, const struct guest_program *program,
                          const struct vcpu *v, const struct place *at)
{
    const struct uintr *u = v->hw.user;

    for (uint32_t n = 0; n < program->count && !b->reader.failed; n++) {
        const struct guest_insn *i = &program->insn[n];

        if (plan_is_user_operation(i) && !u)
            reader_fail(&b->reader, at,
                        "has no user_interrupts, and its program \"%.60s\" has %s",
                        program->name, guest_ops[i->op].name);
        else if (i->op == GUEST_senduipi && i->operand[0] >= u->uitt_entries)
            reader_fail(&b->reader, at,
                        "its program \"%.60s\" has senduipi %" PRIu64
                        ", and its user_interrupts have %u targets",
                        program->name, i->operand[0], u->uitt_entries);
    }
}

static void check_programs(struct build *b, const struct vcpu *v, const struct place *at)
{
    check_program(b, v->guest.frames[0].program, v, at);
    for (unsigned n = 0; n < VECTORS; n++)
        for (uint32_t i = 0; i < v->guest.handler[n].count; i++)
            check_program(b, v->guest.handler[n].programs[i], v, at);
    check_program(b, v->guest.user_handler.programs[0], v, at);
}

static void check_targets(struct build *b, const struct vcpu *v, const struct place *at)
{
    const struct hypervisor *h = &b->sim->machine;
    const struct uintr *u = v->hw.user;

    for (uint32_t n = 0; u && n < u->uitt_entries; n++) {
        const uint64_t vcpu = uintr_get(&u->uitt[n], UINTR_UITTE_UPIDADDR) / UINTR_UPID_SIZE;

        if (!h->vcpu[vcpu].hw.user)
            reader_fail(&b->reader, at,
                        "a target is vCPU %" PRIu64 ", which has no user_interrupts", vcpu);
    }
}

void plan_check_user_interrupts(struct build *b, const struct place *vcpus_at)
{
    const struct hypervisor *h = &b->sim->machine;

    for (uint32_t i = 0; i < h->vcpu_count && !b->reader.failed; i++) {
        const struct place at = place_item(vcpus_at, i);

        if (b->user_operations)
            check_programs(b, &h->vcpu[i], &at);
        check_targets(b, &h->vcpu[i], &at);
    }
}
