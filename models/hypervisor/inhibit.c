/*
 * The reasons for which KVM switches APICv or AVIC off, and back on when the
 * last one is gone: kvm_set_or_clear_apicv_inhibit() for the VM, and what each
 * vCPU then does before its next entry, __kvm_vcpu_update_apicv().
 *
 * The table of reasons is inhibits.def. A reason's own effect (AutoEOI, a
 * debugger's blocking, a nested guest) is not modelled, only that it inhibits.
 * Follows Linux 6.17, which is where all of these reasons are.
 */
#include "hypervisor/hypervisor.h"

const struct inhibit_info inhibits[INHIBIT_COUNT] = {
#define INHIBIT(id, vmx, svm, by, meaning, where)                                              \
    [INHIBIT_##id] = {#id, vmx, svm, INHIBIT_BY_##by, meaning, where},
#include "hypervisor/inhibits.def"
#undef INHIBIT
};

/* What APICv is, in KVM's sense of the word: what an inhibit takes away. */
static const feature_set apicv_features =
    UINT64_C(1) << FEATURE_APIC_REGISTERS | UINT64_C(1) << FEATURE_INTERRUPT_DELIVERY |
    UINT64_C(1) << FEATURE_POSTED_INTERRUPTS | UINT64_C(1) << FEATURE_IPI_VIRTUALIZATION |
    UINT64_C(1) << FEATURE_IPI_PASSTHROUGH | UINT64_C(1) << FEATURE_AVIC |
    UINT64_C(1) << FEATURE_X2AVIC;

/* The largest APIC IDs that AVIC's table of targets holds (AVIC_MAX_PHYSICAL_ID and
   X2AVIC_MAX_PHYSICAL_ID). */
enum { AVIC_MAX_ID = 0xfe, X2AVIC_MAX_ID = 0x1ff };

feature_set inhibit_features(const struct vcpu *v)
{
    const feature_set all = v->hypervisor->features;

    return v->apicv_active ? all : all & ~apicv_features;
}

inhibit_set inhibit_in_force(const struct hypervisor *h)
{
    return (h->inhibits.by_machine | h->inhibits.by_plan) & h->inhibits.heeded;
}

/* KVM_REQ_APICV_UPDATE: a vCPU that runs leaves its guest for it, one that sleeps goes on to. */
static void ask(struct vcpu *v, struct vcpu *self)
{
    const struct hypervisor *h = v->hypervisor;

    v->apicv_stale = v->request = true;
    if (v == self || !vcpu_in_guest_mode(v) || v->kicked)
        return;
    v->kicked = true;
    if (self)
        vcpu_pay(self, COST_KVM_KICK);
    host_send(v->thread.pcpu, HOST_RESCHEDULE,
              hv_after(h, h->costs.of[COST_KVM_KICK].n + h->costs.of[COST_HW_IPI].n), 0);
}

static void put_changes(const struct hypervisor *h, inhibit_set before, inhibit_set now)
{
    for (inhibit_set left = before ^ now; left; left &= left - 1) {
        const unsigned reason = (unsigned)__builtin_ctz(left);

        trace_put(h->trace, 0, TRACE_INHIBIT, TRACE_NOWHERE, reason, now >> reason & 1);
    }
}

static bool nothing_to_inhibit(const struct hypervisor *h)
{
    return h->inhibits.by_machine & INHIBIT_BIT(DISABLED);
}

/* Where there is nothing to inhibit no reason is worth a word. */
static void became(struct hypervisor *h, inhibit_set before, struct vcpu *self)
{
    const inhibit_set now = inhibit_in_force(h);

    if (nothing_to_inhibit(h))
        return;
    put_changes(h, before, now);
    if (!before == !now)
        return;
    if (self)
        vcpu_pay(self, COST_KVM_INHIBIT);
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        ask(&h->vcpu[i], self);
}

void inhibit_by_machine(struct hypervisor *h, enum inhibit reason, bool on, struct vcpu *self)
{
    const inhibit_set before = inhibit_in_force(h), bit = (inhibit_set)1 << reason;

    h->inhibits.by_machine = on ? h->inhibits.by_machine | bit : h->inhibits.by_machine & ~bit;
    became(h, before, self);
}

/* A guest that has switched its APIC off has no use for it (__kvm_vcpu_update_apicv()). */
static bool wanted(const struct hypervisor *h)
{
    return !inhibit_in_force(h) && h->guest_apic != LAPIC_MODE_DISABLED;
}

void inhibit_apply(struct vcpu *v)
{
    const bool active = wanted(v->hypervisor);

    v->apicv_stale = false;
    if (v->apicv_active == active)
        return;
    v->apicv_active = active;
    controls_set_apicv(v);
    timer_virtualize(v);
    vcpu_pay(v, COST_KVM_APICV_UPDATE);
}

/* --- what the plan asks for; and what held before anybody listened is told as time begins --- */

static void by_plan(struct hypervisor *h, const struct inhibit_change *c)
{
    const inhibit_set before = inhibit_in_force(h), bit = (inhibit_set)1 << c->reason;
    struct inhibits *n = &h->inhibits;

    n->by_plan = c->on ? n->by_plan | bit : n->by_plan & ~bit;
    became(h, before, NULL);
}

static void mark_due(struct event *e)
{
    struct hypervisor *h = EVENT_OWNER(e, struct hypervisor, inhibits.mark);

    by_plan(h, &h->inhibits.marked);
}

/* One that is still to come, comes before the next. */
void inhibit_marked(struct hypervisor *h, enum inhibit reason, bool on, cycles after)
{
    struct inhibits *n = &h->inhibits;

    if (event_is_armed(h->events, &n->mark))
        by_plan(h, &n->marked);
    n->marked = (struct inhibit_change){hv_after(h, after.n), reason, on};
    event_arm(h->events, &n->mark, n->marked.at);
}

static void due(struct event *e)
{
    struct hypervisor *h = EVENT_OWNER(e, struct hypervisor, inhibits.due);
    struct inhibits *n = &h->inhibits;

    if (!n->begun && !nothing_to_inhibit(h))
        put_changes(h, 0, inhibit_in_force(h));
    n->begun = true;
    while (n->next < n->count && !time_before(h->events->now, n->change[n->next].at))
        by_plan(h, &n->change[n->next++]);
    if (n->next < n->count)
        event_arm(h->events, e, n->change[n->next].at);
}

/* --- APIC IDs: KVM's kvm_recalculate_apic_map() --- */

enum { XAPIC_ID_SHIFT = 24, FLAT_MODEL = 0xf };

static uint8_t xapic_field(uint32_t value)
{
    return (uint8_t)(value >> XAPIC_ID_SHIFT);
}

static bool id_modified(const struct vcpu *v)
{
    return xapic_field(v->apic.regs.ID) != (uint8_t)v->index;
}

static bool same_physical_id(const struct vcpu *a, const struct vcpu *b)
{
    return xapic_field(a->apic.regs.ID) == xapic_field(b->apic.regs.ID);
}

static bool has_logical_id(const struct vcpu *v)
{
    return lapic_enabled(&v->apic) && xapic_field(v->apic.regs.LDR);
}

static bool is_flat(const struct vcpu *v)
{
    return v->apic.regs.DFR >> 28 == FLAT_MODEL;
}

/* The members that a logical ID names; in the cluster model, of its cluster (SDM 3A "Logical
   Destination Mode"). */
static uint8_t members(const struct vcpu *v)
{
    const uint8_t id = xapic_field(v->apic.regs.LDR);

    return is_flat(v) ? id : id & 0xf;
}

/* KVM's map wants one bit an APIC, a bit to one APIC, and one model for all. */
static bool logical_id_strange(const struct vcpu *v)
{
    return members(v) & (members(v) - 1);
}

static bool logical_ids_clash(const struct vcpu *a, const struct vcpu *b)
{
    const unsigned clusters = xapic_field(a->apic.regs.LDR) ^ xapic_field(b->apic.regs.LDR);

    if (is_flat(a) != is_flat(b))
        return true;
    return members(a) & members(b) && (is_flat(a) || !(clusters >> 4));
}

static inhibit_set of_pair(const struct vcpu *a, const struct vcpu *b)
{
    inhibit_set found = 0;

    if (same_physical_id(a, b))
        found |= INHIBIT_BIT(PHYSICAL_ID_ALIASED);
    if (has_logical_id(a) && has_logical_id(b) && logical_ids_clash(a, b))
        found |= INHIBIT_BIT(LOGICAL_ID_ALIASED);
    return found;
}

static inhibit_set of_ids(const struct hypervisor *h)
{
    inhibit_set found = 0;

    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        const struct vcpu *v = &h->vcpu[i];

        if (id_modified(v))
            found |= INHIBIT_BIT(APIC_ID_MODIFIED);
        if (has_logical_id(v) && logical_id_strange(v))
            found |= INHIBIT_BIT(LOGICAL_ID_ALIASED);
        for (uint32_t other = 0; other < i; other++)
            found |= of_pair(v, &h->vcpu[other]);
    }
    return found;
}

/* KVM: avic_handle_ldr_update(), avic_handle_dfr_update(), for all vCPUs at once. Where two want an
   entry, AVIC is off. */
static void fill_logical_table(struct hypervisor *h)
{
    for (unsigned n = 0; n < AVIC_LOGICAL_ENTRIES; n++)
        h->avic.logical[n].valid = false;
    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        const int index = avic_logical_index(&h->vcpu[i].apic.regs);

        if (index >= 0)
            h->avic.logical[index] = (struct avic_logical_entry){true, (uint8_t)i};
    }
}

/* In x2APIC mode IDs are read-only. */
void inhibit_check_ids(struct vcpu *self)
{
    const inhibit_set all = INHIBIT_BIT(PHYSICAL_ID_ALIASED) | INHIBIT_BIT(APIC_ID_MODIFIED) |
                            INHIBIT_BIT(LOGICAL_ID_ALIASED);
    struct hypervisor *h = self->hypervisor;
    const inhibit_set before = inhibit_in_force(h);

    if (h->guest_apic != LAPIC_MODE_XAPIC || nothing_to_inhibit(h))
        return;
    fill_logical_table(h);
    h->inhibits.by_machine = (h->inhibits.by_machine & ~all) | of_ids(h);
    became(h, before, self);
}

/* --- power-up --- */

static inhibit_set heeded_by(enum virt_vendor vendor)
{
    inhibit_set set = 0;

    for (unsigned n = 0; n < INHIBIT_COUNT; n++)
        if ((vendor == VIRT_VMX && inhibits[n].vmx) || (vendor == VIRT_SVM && inhibits[n].svm))
            set |= (inhibit_set)1 << n;
    return set;
}

/* KVM: avic_init_backing_page(): what the hardware can name, whatever the guest's mode. */
static bool ids_too_big(const struct hypervisor *h)
{
    const uint32_t last = feature_in(h->features, FEATURE_X2AVIC) ? X2AVIC_MAX_ID : AVIC_MAX_ID;

    return h->vcpu_count > last + 1;
}

static inhibit_set of_machine(const struct hypervisor *h)
{
    inhibit_set set = 0;

    if (!(h->features & apicv_features))
        return INHIBIT_BIT(DISABLED);
    if (h->policy.irqchip == IRQCHIP_USERSPACE)
        set |= INHIBIT_BIT(ABSENT);
    if (h->board && h->policy.irqchip == IRQCHIP_KERNEL && h->policy.pit_reinject)
        set |= INHIBIT_BIT(PIT_REINJ);
    if (ids_too_big(h))
        set |= INHIBIT_BIT(PHYSICAL_ID_TOO_BIG);
    return set;
}

void inhibit_init(struct hypervisor *h, enum virt_vendor vendor)
{
    struct inhibits *n = &h->inhibits;

    n->heeded = heeded_by(vendor);
    n->by_machine = of_machine(h);
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        h->vcpu[i].apicv_active = wanted(h);
    event_init(h->events, &n->due, EVENT_PHASE_CONTROLLER, due);
    event_init(h->events, &n->mark, EVENT_PHASE_CONTROLLER, mark_due);
    if (n->count || inhibit_in_force(h))
        event_arm(h->events, &n->due, (sim_time){0});
}
