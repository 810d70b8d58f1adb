/* AVIC: the guest's accesses to its backing page, and IPIs by the table of targets. */
#include "virt/virt.h"

enum behavior { FAULT, ALLOWED, TRAP, ACCELERATED };

struct access_row {
    uint8_t read, write;
};

enum { SLOT_BYTES = 0x10, SLOTS = 0x400 / SLOT_BYTES, VECTOR_SLOTS = 8, FIRST_VECTOR = 16 };

static const struct access_row rows[SLOTS] = {
#define ACCESS(name, read, write) [LAPIC_##name / SLOT_BYTES] = {read, write},
#include "virt/avic_regs.def"
#undef ACCESS
};

/* ISR, TMR and IRR are eight registers each, and the table has the first. */
static const struct access_row *row_of(uint16_t offset)
{
    static const struct access_row reserved = {FAULT, FAULT};
    const bool vectors = offset >= LAPIC_ISR && offset < LAPIC_IRR + VECTOR_SLOTS * SLOT_BYTES;

    if (offset % SLOT_BYTES || offset / SLOT_BYTES >= SLOTS)
        return &reserved;
    return vectors ? &rows[LAPIC_ISR / SLOT_BYTES] : &rows[offset / SLOT_BYTES];
}

static struct virt_verdict done(uint64_t value)
{
    return (struct virt_verdict){.path = VIRT_DONE, .value = value, .retired = NO_VECTOR};
}

static struct virt_verdict leave(struct virt_cpu *v, enum virt_path path, enum exit_reason why,
                                 uint64_t info)
{
    v->vmcb.exit_int_info = 0;
    return (struct virt_verdict){
        .path = path, .reason = why, .qualification = info, .retired = NO_VECTOR};
}

/* ---- IPIs: 15.29.3.2 "Virtual IPIs" ---- */

static void send_to(struct virt_cpu *v, const struct irq_msg *msg, uint32_t index)
{
    const struct avic_table *t = v->avic;
    const struct avic_entry *entry = &t->entry[index];
    struct irq_msg one = *msg;

    if (v->target_count)
        one.flow = trace_new_flow(t->trace);
    trace_put(t->trace, one.flow, TRACE_ROUTED, index, one.vector,
              TRACE_PARENT(msg->source, msg->flow));
    v->target[v->target_count++] = (struct avic_target){
        .index = (uint16_t)index,
        .running = entry->running,
        .host = entry->host,
        .flow = lapic_accept(entry->backing, &one) == LAPIC_ACCEPTED ? one.flow : 0,
    };
}

enum { XAPIC_BROADCAST = 0xff, FLAT_MODEL = 0xf };

static bool is_flat(const struct lapic_regs *r)
{
    return r->DFR >> 28 == FLAT_MODEL;
}

/* The members that a logical ID or destination names, and the entry of the first it could name. */
static unsigned members_of(const struct lapic_regs *r, uint32_t id, unsigned *first)
{
    *first = is_flat(r) ? 0 : (id >> 4) * AVIC_CLUSTER_MEMBERS;
    if (*first >= AVIC_LOGICAL_ENTRIES)
        return 0;
    return is_flat(r) ? id : id & 0xf;
}

int avic_logical_index(const struct lapic_regs *r)
{
    unsigned first;
    const unsigned members = members_of(r, r->LDR >> 24, &first);
    const bool just_one = members && !(members & (members - 1));

    return just_one ? (int)first + __builtin_ctz(members) : -1;
}

/* Does the message find its targets in the logical table? */
static bool goes_by_table(const struct virt_cpu *v, const struct irq_msg *msg)
{
    return msg->logical && msg->shorthand == IRQ_NO_SHORTHAND &&
           v->apic->mode == LAPIC_MODE_XAPIC && msg->dest != XAPIC_BROADCAST;
}

/* The physical IDs of a logical destination. False: an entry is not valid, and nobody is a target. */
static bool look_up(const struct virt_cpu *v, const struct irq_msg *msg, struct vec256 *ids)
{
    unsigned first;
    unsigned left = members_of(&v->apic->regs, msg->dest, &first);

    *ids = (struct vec256){0};
    for (; left; left &= left - 1) {
        const struct avic_logical_entry *e = &v->avic->logical[first + __builtin_ctz(left)];

        if (!e->valid || e->physical_id >= v->avic->count ||
            !v->avic->entry[e->physical_id].backing)
            return false;
        vec_set(ids, e->physical_id);
    }
    return !vec_empty(ids);
}

/* `ids`: the targets that the logical table gave, or NULL. */
static bool is_meant(const struct virt_cpu *v, const struct irq_msg *msg,
                     const struct vec256 *ids, uint32_t index)
{
    const struct lapic *l = v->avic->entry[index].backing;

    if (!l)
        return false;
    if (ids)
        return index < VECTORS && vec_has(ids, index);
    switch ((enum irq_shorthand)msg->shorthand) {
    case IRQ_SELF:
        return l == v->apic;
    case IRQ_ALL_INCLUDING_SELF:
        return true;
    case IRQ_ALL_BUT_SELF:
        return l != v->apic;
    case IRQ_NO_SHORTHAND:
        break;
    }
    return apic_matches(l, msg);
}

static struct virt_verdict incomplete(struct virt_cpu *v, enum avic_incomplete why)
{
    return leave(v, VIRT_EXIT_AFTER, EXIT_SVM_AVIC_INCOMPLETE_IPI, (uint64_t)why << 32);
}

/* IRR of every target, then who of them does not run: the exit follows for all at once. */
static struct virt_verdict send(struct virt_cpu *v, const struct irq_msg *msg)
{
    const bool by_table = goes_by_table(v, msg);
    struct vec256 ids;
    bool all_run = true;

    v->target_count = 0;
    if (by_table && !look_up(v, msg, &ids))
        return incomplete(v, AVIC_INVALID_TARGET);
    for (uint32_t i = 0; i < v->avic->count; i++)
        if (is_meant(v, msg, by_table ? &ids : NULL, i))
            send_to(v, msg, i);
    for (uint32_t n = 0; n < v->target_count; n++) {
        const struct avic_target *t = &v->target[n];

        all_run &= t->running || v->avic->entry[t->index].backing == v->apic;
    }
    if (v->target_count == 0)
        return incomplete(v, AVIC_INVALID_TARGET);
    return all_run ? done(0) : incomplete(v, AVIC_NOT_RUNNING);
}

enum { ICR_LEVEL = 1 << 15 };

/* Only fixed, edge-triggered interrupts; the rest is the hypervisor's. */
static struct virt_verdict send_icr(struct virt_cpu *v, uint64_t icr)
{
    struct irq_msg msg = lapic_decode_icr(v->apic, icr);
    enum avic_incomplete why = AVIC_INVALID_TYPE;

    const bool fixed_edge = msg.delivery == IRQ_FIXED && !(icr & ICR_LEVEL);

    msg.flow = v->message_flow;
    if (fixed_edge && msg.vector >= FIRST_VECTOR)
        return send(v, &msg);
    if (fixed_edge)
        why = AVIC_INVALID_VECTOR;
    return incomplete(v, why);
}

/* ---- registers ---- */

static struct virt_verdict avic_on_icr(struct virt_cpu *v, uint64_t value)
{
    struct lapic_regs *r = &v->apic->regs;

    r->ICR_LO = (uint32_t)value;
    if (v->apic->mode == LAPIC_MODE_X2APIC)
        r->ICR_HI = (uint32_t)(value >> 32);
    return send_icr(v, (uint64_t)r->ICR_HI << 32 | r->ICR_LO);
}

static struct virt_verdict avic_on_self_ipi(struct virt_cpu *v, uint64_t value)
{
    return send_icr(v, (value & 0xff) | (uint64_t)IRQ_SELF << 18);
}

static struct virt_verdict avic_on_tpr(struct virt_cpu *v, uint64_t value)
{
    v->apic->regs.TPR = value & 0xff;
    v->vmcb.v_tpr = value >> 4 & 0xf;
    return done(0);
}

/* An edge-triggered interrupt ends here; of a level the hypervisor is told, and ends it. */
static struct virt_verdict avic_on_eoi(struct virt_cpu *v)
{
    const int vector = vec_highest(&v->apic->regs.ISR);
    struct virt_verdict verdict = done(0);

    if (vector != NO_VECTOR && vec_has(&v->apic->regs.TMR, (unsigned)vector))
        return leave(v, VIRT_EXIT_AFTER, EXIT_SVM_AVIC_NOACCEL, LAPIC_EOI);
    verdict.retired = lapic_eoi(v->apic);
    return verdict;
}

static struct virt_verdict accelerate(struct virt_cpu *v, uint16_t offset, uint64_t value)
{
    switch (offset) {
    case LAPIC_TPR:
        return avic_on_tpr(v, value);
    case LAPIC_EOI:
        return avic_on_eoi(v);
    case LAPIC_ICR_LO:
        return avic_on_icr(v, value);
    default:
        return avic_on_self_ipi(v, value);
    }
}

struct virt_verdict avic_read(struct virt_cpu *v, uint16_t offset, sim_time now)
{
    if (row_of(offset)->read == FAULT)
        return leave(v, VIRT_EXIT, EXIT_SVM_AVIC_NOACCEL, offset);
    return done(lapic_read(v->apic, offset, now));
}

struct virt_verdict avic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                               sim_time now)
{
    switch ((enum behavior)row_of(offset)->write) {
    case ALLOWED:
        lapic_write(v->apic, offset, (uint32_t)value, now);
        return done(0);
    case TRAP:
        return leave(v, VIRT_EXIT_AFTER, EXIT_SVM_AVIC_NOACCEL, offset);
    case ACCELERATED:
        return accelerate(v, offset, value);
    case FAULT:
        break;
    }
    return leave(v, VIRT_EXIT, EXIT_SVM_AVIC_NOACCEL, offset);
}
