/* The interpreter of declared rules: which access it is, which cell of its rules, what it does. */
#include "virt/hypothetical.h"

const struct hypothetical_condition_info hypothetical_conditions[CONDITION_COUNT] = {
#define CONDITION(id, name, meaning, ...) [CONDITION_##id] = {name, meaning, {__VA_ARGS__}},
#include "virt/hypothetical_conditions.def"
#undef CONDITION
};

const struct hypothetical_effect_info hypothetical_effects[EFFECT_COUNT] = {
#define EFFECT(id, name, needs, meaning)                                                       \
    [EFFECT_##id] = {name, HYPOTHETICAL_NEEDS_##needs, meaning},
#include "virt/hypothetical_effects.def"
#undef EFFECT
};

const struct hypothetical_access_info hypothetical_accesses[HYPOTHETICAL_ACCESS_COUNT] = {
#define ACCESS(id, name, conditions, effects, exits, meaning)                                  \
    [HYPOTHETICAL_##id] = {name, conditions, effects, exits, meaning},
#include "virt/hypothetical_accesses.def"
#undef ACCESS
};

_Static_assert(EXIT_REASON_COUNT <= 64, "a row's exits have a bit for each reason");

/* ---- cells: the first condition counts most ---- */

unsigned hypothetical_values(enum hypothetical_condition c)
{
    unsigned n = 0;

    while (hypothetical_conditions[c].value[n])
        n++;
    return n;
}

unsigned hypothetical_cells(enum hypothetical_access a)
{
    unsigned cells = 1;

    for (uint32_t left = hypothetical_accesses[a].conditions; left; left &= left - 1)
        cells *= hypothetical_values((enum hypothetical_condition)__builtin_ctz(left));
    return cells;
}

unsigned hypothetical_value_in(enum hypothetical_access a, unsigned cell,
                               enum hypothetical_condition c)
{
    uint32_t behind = hypothetical_accesses[a].conditions;

    if (!(behind >> c & 1))
        return 0;
    for (behind = behind >> c & ~1u; behind; behind &= behind - 1)
        cell /= hypothetical_values((enum hypothetical_condition)(c + __builtin_ctz(behind)));
    return cell % hypothetical_values(c);
}

/* ---- one access ---- */

struct act {
    enum hypothetical_access access;
    uint64_t value;  /* written; of HOST_INTERRUPT and NOTIFICATION: the vector */
    uint64_t detail; /* an instruction's */
    uint16_t offset; /* of an APIC register */
    bool by_msr;
    struct irq_msg message; /* what an ICR or self-IPI write sends */
    sim_time now;
};

enum { CLASS = 0xf0, FIRST_LEGAL_VECTOR = 16 };

/* ---- what the conditions are; each in the order of its values ---- */

static unsigned judge_apic(struct virt_cpu *v, const struct act *a)
{
    (void)a;
    return v->apic->mode == LAPIC_MODE_X2APIC;
}

static unsigned judge_vector(struct virt_cpu *v, const struct act *a)
{
    (void)v;
    return a->message.vector < FIRST_LEGAL_VECTOR;
}

/* What the descriptors of all destinations say. The sender runs, so its own descriptor has the
   notification vector of those who do. */
struct census {
    const struct virt_cpu *v;
    bool preempted, halted, any_silent;
};

static void look_at(void *context, unsigned index, const struct irq_msg *msg)
{
    struct census *c = context;
    const struct posted_descriptor *d = c->v->pid_table[index];

    (void)msg;
    c->preempted |= d->sn;
    c->halted |= d->nv != c->v->descriptor->nv;
    c->any_silent |= !d->on;
}

static unsigned judge_target(struct virt_cpu *v, const struct act *a)
{
    enum { RUNNING, PREEMPTED, HALTED, NOBODY };
    struct census c = {.v = v};

    if (apic_fabric_find(v->hypothetical->fabric, &a->message, look_at, &c) == 0)
        return NOBODY;
    return c.preempted ? PREEMPTED : c.halted ? HALTED : RUNNING;
}

static unsigned judge_outstanding(struct virt_cpu *v, const struct act *a)
{
    struct census c = {.v = v};

    return apic_fabric_find(v->hypothetical->fabric, &a->message, look_at, &c) != 0 &&
           !c.any_silent;
}

static int in_service(const struct virt_cpu *v)
{
    return vec_highest(&v->apic->regs.ISR);
}

/* The hardware's EOI of nothing is of vector 0. */
static uint8_t ending(const struct virt_cpu *v)
{
    return in_service(v) == NO_VECTOR ? 0 : (uint8_t)in_service(v);
}

static unsigned judge_eoi_exit(struct virt_cpu *v, const struct act *a)
{
    (void)a;
    return v->hypothetical->base->eoi_exits(v, ending(v));
}

static int class_of(int vector)
{
    return vector == NO_VECTOR ? 0 : vector & CLASS;
}

/* PPR as the access leaves it, its class at least. */
static int class_afterwards(const struct virt_cpu *v, const struct act *a)
{
    const bool lowers = a->access == HYPOTHETICAL_TPR || a->access == HYPOTHETICAL_CR8_WRITE;
    const int task = (lowers ? (int)a->value : (int)v->apic->regs.TPR) & CLASS;
    struct vec256 isr = v->apic->regs.ISR;
    int service;

    if (a->access == HYPOTHETICAL_EOI && in_service(v) != NO_VECTOR)
        vec_clear(&isr, ending(v));
    service = class_of(vec_highest(&isr));
    return task > service ? task : service;
}

static unsigned judge_waiting(struct virt_cpu *v, const struct act *a)
{
    return class_of(vec_highest(&v->apic->regs.IRR)) > class_afterwards(v, a);
}

static unsigned judge_interrupts(struct virt_cpu *v, const struct act *a)
{
    (void)a;
    return !v->interrupts_enabled;
}

static unsigned judge_deadline(struct virt_cpu *v, const struct act *a)
{
    enum { AHEAD, PAST, OFF };
    const struct clock *tsc = &v->apic->config.tsc_clock;

    if (a->value == 0)
        return OFF;
    return a->access == HYPOTHETICAL_TIMER_DEADLINE &&
                   !time_before(a->now, clock_edge(tsc, (cycles){a->value}))
               ? PAST
               : AHEAD;
}

static unsigned (*const judges[CONDITION_COUNT])(struct virt_cpu *v, const struct act *a) = {
    [CONDITION_APIC] = judge_apic,
    [CONDITION_VECTOR] = judge_vector,
    [CONDITION_TARGET] = judge_target,
    [CONDITION_OUTSTANDING] = judge_outstanding,
    [CONDITION_EOI_EXIT] = judge_eoi_exit,
    [CONDITION_WAITING] = judge_waiting,
    [CONDITION_INTERRUPTS] = judge_interrupts,
    [CONDITION_DEADLINE] = judge_deadline,
};

/* ---- the effects ---- */

static void nothing(struct virt_cpu *v, const struct act *a)
{
    (void)v;
    (void)a;
}

/* The value itself is nobody's concern: guests' programs do not look at it. */
static void read_register(struct virt_cpu *v, const struct act *a)
{
    uint64_t ignored;

    if (a->by_msr)
        lapic_rdmsr(v->apic, lapic_msr(a->offset), &ignored, a->now);
    else if (a->access != HYPOTHETICAL_CR8_READ)
        lapic_read(v->apic, a->offset, a->now);
}

static void apply(struct virt_cpu *v, const struct act *a)
{
    if (a->by_msr)
        lapic_wrmsr(v->apic, lapic_msr(a->offset), a->value, a->now);
    else
        lapic_write(v->apic, a->offset, (uint32_t)a->value, a->now);
}

static void set_tpr(struct virt_cpu *v, const struct act *a)
{
    v->apic->regs.TPR = a->value & 0xff;
    v->hypothetical->base->changed(v);
}

static void retire(struct virt_cpu *v, const struct act *a)
{
    struct lapic *apic = v->apic;
    const int vector = in_service(v);

    (void)a;
    if (vector == NO_VECTOR) {
        trace_put(apic->config.trace, 0, TRACE_SPURIOUS_EOI, apic->config.index, 0, 0);
        return;
    }
    vec_clear(&apic->regs.ISR, (unsigned)vector);
    trace_put(apic->config.trace, apic->service_flow[vector], TRACE_EOI, apic->config.index,
              (uint64_t)vector, 0);
    trace_put(apic->config.trace, apic->service_flow[vector], TRACE_RETIRED, apic->config.index,
              (uint64_t)vector, 0);
    apic->service_flow[vector] = 0;
    v->hypothetical->base->changed(v);
}

/* The register that a message is sent by holds what was written. */
static void keep_command(struct virt_cpu *v, const struct act *a)
{
    struct lapic_regs *r = &v->apic->regs;

    if (a->access == HYPOTHETICAL_SELF_IPI) {
        r->SELF_IPI = (uint32_t)a->value;
        return;
    }
    r->ICR_LO = (uint32_t)a->value;
    if (a->by_msr)
        r->ICR_HI = (uint32_t)(a->value >> 32);
}

static void enter_irr(void *context, unsigned index, const struct irq_msg *msg)
{
    struct virt_cpu *v = context;

    (void)index;
    lapic_accept(v->apic, msg);
}

static void set_pending(struct virt_cpu *v, const struct act *a)
{
    keep_command(v, a);
    apic_fabric_route(v->hypothetical->fabric, &a->message, enter_irr, v);
    v->hypothetical->base->changed(v);
}

/* What no APIC accepts enters no descriptor either. */
static void post_to(void *context, unsigned index, const struct irq_msg *msg)
{
    struct virt_cpu *v = context;

    if (msg->vector < FIRST_LEGAL_VECTOR) {
        trace_put(v->apic->config.trace, msg->flow, TRACE_REFUSED, index, msg->vector,
                  TRACE_REFUSED_ILLEGAL_VECTOR);
        return;
    }
    v->target[v->target_count++] = (struct avic_target){
        .index = (uint16_t)index,
        .running = posted_post(v->pid_table[index], msg->vector, msg->flow) == POSTED_NOTIFY,
        .flow = msg->flow,
    };
}

static void post(struct virt_cpu *v, const struct act *a)
{
    keep_command(v, a);
    apic_fabric_route(v->hypothetical->fabric, &a->message, post_to, v);
}

static void arm_timer(struct virt_cpu *v, const struct act *a)
{
    if (a->access == HYPOTHETICAL_TIMER_DEADLINE)
        lapic_set_tsc_deadline(v->apic, a->value, a->now);
    else
        apply(v, a);
}

static void halt(struct virt_cpu *v, const struct act *a)
{
    (void)a;
    v->halted = true;
}

static void take_posted(struct virt_cpu *v, const struct act *a)
{
    v->hypothetical->base->external_interrupt(v, (uint8_t)a->value);
}

/* EXPIRE is the run loop's, which has the timer. */
static void (*const effects[EFFECT_COUNT])(struct virt_cpu *v, const struct act *a) = {
    [EFFECT_NOTHING] = nothing,     [EFFECT_READ] = read_register,
    [EFFECT_APPLY] = apply,         [EFFECT_SET_TPR] = set_tpr,
    [EFFECT_RETIRE] = retire,       [EFFECT_SET_PENDING] = set_pending,
    [EFFECT_POST] = post,           [EFFECT_POST_EACH] = post,
    [EFFECT_ARM_TIMER] = arm_timer, [EFFECT_EXPIRE] = nothing,
    [EFFECT_HALT] = halt,           [EFFECT_TAKE_POSTED] = take_posted,
};

/* ---- the ruling ---- */

enum hypothetical_effect hypothetical_before_exit(enum exit_reason reason)
{
    switch (reason) {
    case EXIT_VMX_EOI_INDUCED:
        return EFFECT_RETIRE;
    case EXIT_VMX_TPR_BELOW_THRESHOLD:
        return EFFECT_SET_TPR;
    default:
        return EFFECT_NOTHING;
    }
}

/* SDM 3C "APIC-Write VM Exits" and those of TPR and EOI virtualization follow the access. */
static enum virt_path path_of(enum exit_reason reason)
{
    return reason == EXIT_VMX_APIC_WRITE || hypothetical_before_exit(reason) != EFFECT_NOTHING
               ? VIRT_EXIT_AFTER
               : VIRT_EXIT;
}

static uint64_t qualification_of(enum exit_reason reason, const struct act *a, uint8_t vector)
{
    switch (reason) {
    case EXIT_VMX_MSR_READ:
    case EXIT_VMX_MSR_WRITE:
    case EXIT_SVM_MSR:
        return a->access == HYPOTHETICAL_TIMER_DEADLINE ? MSR_TSC_DEADLINE
                                                        : lapic_msr(a->offset);
    case EXIT_VMX_APIC_ACCESS:
    case EXIT_VMX_APIC_WRITE:
    case EXIT_SVM_AVIC_NOACCEL:
        return a->offset;
    case EXIT_VMX_EOI_INDUCED:
        return vector;
    default:
        return a->detail;
    }
}

static struct virt_verdict leave(struct virt_cpu *v, const struct act *a,
                                 enum exit_reason reason)
{
    const uint8_t vector = ending(v);

    effects[hypothetical_before_exit(reason)](v, a);
    return v->hypothetical->base->leave(v, path_of(reason), reason,
                                        qualification_of(reason, a, vector));
}

/* The rule of this access as things are; NULL: the technology underneath has it. */
static const struct hypothetical_rule *rule_for(struct virt_cpu *v, const struct act *a)
{
    const struct hypothetical *h = v->hypothetical;
    const struct hypothetical_rule *rule;
    unsigned cell = 0;

    if (!hypothetical_declares(h, a->access))
        return NULL;
    for (uint32_t left = hypothetical_accesses[a->access].conditions; left; left &= left - 1) {
        const enum hypothetical_condition c = (enum hypothetical_condition)__builtin_ctz(left);

        cell = cell * hypothetical_values(c) + judges[c](v, a);
    }
    rule = &h->rule[h->rule_of[a->access][cell] - 1];
    return rule->verdict == HYPOTHETICAL_UNCHANGED ? NULL : rule;
}

/* False: no rule decides it. */
static bool ruled(struct virt_cpu *v, const struct act *a, struct virt_verdict *verdict)
{
    v->ruled = rule_for(v, a);
    if (!v->ruled)
        return false;
    *verdict = (struct virt_verdict){.path = VIRT_DONE, .retired = NO_VECTOR};
    if (v->ruled->verdict == HYPOTHETICAL_TRAPS)
        *verdict = leave(v, a, v->ruled->reason);
    else
        effects[v->ruled->effect](v, a);
    return true;
}

/* ---- which access it is ---- */

enum { SLOT_BYTES = 0x10, SLOTS = 0x400 / SLOT_BYTES, MSR_X2APIC_FIRST = 0x800 };

/* By the register's place; plus 1, 0 for none. */
static const uint8_t reads[SLOTS] = {
#define ACCESS(...)
#define READ(reg) [LAPIC_##reg / SLOT_BYTES] = HYPOTHETICAL_READ_##reg + 1,
#define WRITE(reg)
#include "virt/hypothetical_accesses.def"
#undef ACCESS
};

static const uint8_t writes[SLOTS] = {
#define ACCESS(...)
#define READ(reg)
#define WRITE(reg) [LAPIC_##reg / SLOT_BYTES] = HYPOTHETICAL_WRITE_##reg + 1,
#include "virt/hypothetical_accesses.def"
#undef ACCESS
    [LAPIC_TPR / SLOT_BYTES] = HYPOTHETICAL_TPR + 1,
    [LAPIC_EOI / SLOT_BYTES] = HYPOTHETICAL_EOI + 1,
    [LAPIC_ICR_LO / SLOT_BYTES] = HYPOTHETICAL_IPI_UNICAST + 1, /* or another: ipi_of() */
    [LAPIC_TIMER_INITIAL / SLOT_BYTES] = HYPOTHETICAL_TIMER_COUNT + 1,
    [LAPIC_SELF_IPI / SLOT_BYTES] = HYPOTHETICAL_SELF_IPI + 1,
};

/* ICR: delivery mode, trigger mode, delivery status and the reserved bits, all 0 in an IPI that is
   fixed and edge-triggered (SDM 3A "Interrupt Command Register (ICR)"). */
#define ICR_NOT_PLAIN UINT32_C(0xfff3b700)
/* ... and the bits on which WRMSR faults. */
#define ICR_FAULTS UINT32_C(0xfff32000)

static enum hypothetical_access ipi_of(const struct lapic *l, uint64_t icr,
                                       const struct irq_msg *m)
{
    const uint32_t everybody = l->mode == LAPIC_MODE_X2APIC ? UINT32_MAX : UINT8_MAX;

    if (icr & ICR_NOT_PLAIN)
        return HYPOTHETICAL_IPI_OTHER;
    if (m->shorthand == IRQ_SELF)
        return HYPOTHETICAL_IPI_SELF;
    if (m->shorthand != IRQ_NO_SHORTHAND || m->dest == everybody)
        return HYPOTHETICAL_IPI_BROADCAST;
    return m->logical ? HYPOTHETICAL_IPI_LOGICAL : HYPOTHETICAL_IPI_UNICAST;
}

static void prepare_ipi(const struct virt_cpu *v, struct act *a)
{
    const uint64_t icr =
        a->by_msr ? a->value : (uint64_t)v->apic->regs.ICR_HI << 32 | (uint32_t)a->value;

    a->message = lapic_decode_icr(v->apic, icr);
    a->message.flow = v->message_flow;
    a->access = ipi_of(v->apic, icr, &a->message);
}

static void prepare_self_ipi(const struct virt_cpu *v, struct act *a)
{
    a->message = (struct irq_msg){
        .vector = (uint8_t)a->value,
        .shorthand = IRQ_SELF,
        .source = v->apic->config.index,
        .flow = v->message_flow,
    };
}

/* False: it is no register that rules know. */
static bool prepare(const struct virt_cpu *v, struct act *a, const uint8_t *table)
{
    const unsigned slot = a->offset / SLOT_BYTES;

    if (a->offset % SLOT_BYTES || slot >= SLOTS)
        return false;
    if (table == reads && slot > LAPIC_ISR / SLOT_BYTES && slot < LAPIC_ESR / SLOT_BYTES)
        a->access = (enum hypothetical_access)(table[slot & ~7u] - 1);
    else if (table[slot])
        a->access = (enum hypothetical_access)(table[slot] - 1);
    else
        return false;
    if (table == writes && a->offset == LAPIC_ICR_LO)
        prepare_ipi(v, a);
    if (table == writes && a->offset == LAPIC_SELF_IPI)
        prepare_self_ipi(v, a);
    return true;
}

/* WRMSR faults on what the register cannot hold, whatever is virtualized. */
static bool faults(const struct act *a)
{
    switch (a->offset) {
    case LAPIC_EOI:
        return a->value != 0;
    case LAPIC_TPR:
    case LAPIC_SELF_IPI:
        return a->value > UINT8_MAX;
    case LAPIC_ICR_LO:
        return a->value & ICR_FAULTS;
    default:
        return a->value > UINT32_MAX;
    }
}

/* ---- struct virt_ops ---- */

/* Declared hardware for the APIC is part of what a hypervisor switches off with APICv or AVIC. */
static bool serves_apic(const struct virt_cpu *v)
{
    return !v->hypothetical->with_apicv || v->hypothetical->base->delivers(v);
}

static struct virt_verdict apic_read(struct virt_cpu *v, uint16_t offset, sim_time now)
{
    struct act a = {.offset = offset, .now = now};
    struct virt_verdict verdict;

    if (v->apic->mode == LAPIC_MODE_XAPIC && serves_apic(v) && prepare(v, &a, reads) &&
        ruled(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->apic_read(v, offset, now);
}

static struct virt_verdict apic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                                      sim_time now)
{
    struct act a = {.value = value, .offset = offset, .now = now};
    struct virt_verdict verdict;

    if (v->apic->mode == LAPIC_MODE_XAPIC && offset != LAPIC_SELF_IPI && serves_apic(v) &&
        prepare(v, &a, writes) && ruled(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->apic_write(v, offset, value, now);
}

static bool is_x2apic(const struct virt_cpu *v, uint32_t msr)
{
    return v->apic->mode == LAPIC_MODE_X2APIC && msr - MSR_X2APIC_FIRST < SLOTS;
}

static struct virt_verdict rdmsr(struct virt_cpu *v, uint32_t msr, sim_time now)
{
    struct act a = {
        .offset = (uint16_t)((msr - MSR_X2APIC_FIRST) * SLOT_BYTES),
        .by_msr = true,
        .now = now,
    };
    struct virt_verdict verdict;

    if (is_x2apic(v, msr) && serves_apic(v) && prepare(v, &a, reads) && ruled(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->rdmsr(v, msr, now);
}

static struct virt_verdict wrmsr(struct virt_cpu *v, uint32_t msr, uint64_t value, sim_time now)
{
    struct act a = {
        .access = HYPOTHETICAL_TIMER_DEADLINE,
        .value = value,
        .offset = (uint16_t)((msr - MSR_X2APIC_FIRST) * SLOT_BYTES),
        .by_msr = true,
        .now = now,
    };
    struct virt_verdict verdict;
    const bool known = msr == MSR_TSC_DEADLINE
                           ? v->apic->mode != LAPIC_MODE_DISABLED
                           : is_x2apic(v, msr) && !faults(&a) && prepare(v, &a, writes);

    if (known && serves_apic(v) && ruled(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->wrmsr(v, msr, value, now);
}

static struct virt_verdict read_cr8(struct virt_cpu *v)
{
    const struct act a = {.access = HYPOTHETICAL_CR8_READ, .detail = 8};
    struct virt_verdict verdict;

    return serves_apic(v) && ruled(v, &a, &verdict) ? verdict
                                                    : v->hypothetical->base->read_cr8(v);
}

static struct virt_verdict write_cr8(struct virt_cpu *v, uint8_t cr8)
{
    const struct act a = {
        .access = HYPOTHETICAL_CR8_WRITE, .value = (uint64_t)(cr8 & 0xf) << 4, .detail = 8};
    struct virt_verdict verdict;

    return serves_apic(v) && ruled(v, &a, &verdict) ? verdict
                                                    : v->hypothetical->base->write_cr8(v, cr8);
}

static struct virt_verdict instruction(struct virt_cpu *v, enum virt_instruction i,
                                       uint64_t detail)
{
    static const uint8_t known[VIRT_INSTRUCTIONS] = {
        [VIRT_CPUID] = HYPOTHETICAL_CPUID + 1,   [VIRT_HYPERCALL] = HYPOTHETICAL_HYPERCALL + 1,
        [VIRT_PAUSE] = HYPOTHETICAL_PAUSE + 1,   [VIRT_HLT] = HYPOTHETICAL_HLT + 1,
        [VIRT_WBINVD] = HYPOTHETICAL_WBINVD + 1, [VIRT_PORT_IO] = HYPOTHETICAL_PORT_IO + 1,
        [VIRT_MMIO] = HYPOTHETICAL_MMIO + 1,
    };
    const bool addressed = i == VIRT_PORT_IO || i == VIRT_MMIO;
    const struct act a = {.access = (enum hypothetical_access)(known[i] - 1),
                          .detail = addressed ? detail : 0};
    struct virt_verdict verdict;

    if (known[i] && ruled(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->instruction(v, i, detail);
}

/* Where a rule names PAUSE, each one of a loop is its own affair. */
static uint64_t pauses_to_exit(const struct virt_cpu *v, struct virt_pauses p)
{
    return hypothetical_declares(v->hypothetical, HYPOTHETICAL_PAUSE)
               ? 1
               : v->hypothetical->base->pauses_to_exit(v, p);
}

static struct virt_verdict external_interrupt(struct virt_cpu *v, uint8_t host_vector)
{
    const struct virt_ops *base = v->hypothetical->base;
    const bool notification = base->posts(v) && host_vector == v->descriptor->nv;
    const struct act a = {
        .access = notification ? HYPOTHETICAL_NOTIFICATION : HYPOTHETICAL_HOST_INTERRUPT,
        .value = host_vector,
    };
    struct virt_verdict verdict;

    if (host_vector != VIRT_DOORBELL && ruled(v, &a, &verdict))
        return verdict;
    return base->external_interrupt(v, host_vector);
}

static struct virt_verdict preemption_timer(struct virt_cpu *v)
{
    const struct act a = {.access = HYPOTHETICAL_TIMER_EXPIRY};
    struct virt_verdict verdict;

    return serves_apic(v) && ruled(v, &a, &verdict)
               ? verdict
               : v->hypothetical->base->preemption_timer(v);
}

void hypothetical_install(struct hypothetical *h, const struct virt_ops *base,
                          struct apic_fabric *fabric, bool apic_in_kernel)
{
    h->base = base;
    h->fabric = fabric;
    h->ops = *base;
    h->ops.instruction = instruction;
    h->ops.pauses_to_exit = pauses_to_exit;
    h->ops.external_interrupt = external_interrupt;
    if (!apic_in_kernel)
        return;
    h->ops.apic_read = apic_read;
    h->ops.apic_write = apic_write;
    h->ops.rdmsr = rdmsr;
    h->ops.wrmsr = wrmsr;
    h->ops.read_cr8 = read_cr8;
    h->ops.write_cr8 = write_cr8;
    h->ops.preemption_timer = preemption_timer;
}
