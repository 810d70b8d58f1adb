/* What the conditions of declared rules are: each is judged by what the hardware would see. */
#include "virt/hypothetical_parts.h"

enum { CLASS = 0xf0 };

int hypothetical_in_service(const struct virt_cpu *v)
{
    return vec_highest(&v->apic->regs.ISR);
}

/* The hardware's EOI of nothing is of vector 0. */
uint8_t hypothetical_ending(const struct virt_cpu *v)
{
    return hypothetical_in_service(v) == NO_VECTOR ? 0 : (uint8_t)hypothetical_in_service(v);
}

/* Each answers in the order of its values. */

static unsigned judge_apic(struct virt_cpu *v, const struct hypothetical_act *a)
{
    (void)a;
    return v->apic->mode == LAPIC_MODE_X2APIC;
}

static unsigned judge_vector(struct virt_cpu *v, const struct hypothetical_act *a)
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

static unsigned judge_target(struct virt_cpu *v, const struct hypothetical_act *a)
{
    enum { RUNNING, PREEMPTED, HALTED, NOBODY };
    struct census c = {.v = v};

    if (apic_fabric_find(v->hypothetical->fabric, &a->message, look_at, &c) == 0)
        return NOBODY;
    return c.preempted ? PREEMPTED : c.halted ? HALTED : RUNNING;
}

static unsigned judge_outstanding(struct virt_cpu *v, const struct hypothetical_act *a)
{
    struct census c = {.v = v};

    return apic_fabric_find(v->hypothetical->fabric, &a->message, look_at, &c) != 0 &&
           !c.any_silent;
}

static unsigned judge_eoi_exit(struct virt_cpu *v, const struct hypothetical_act *a)
{
    (void)a;
    return v->hypothetical->base->eoi_exits(v, hypothetical_ending(v));
}

static int class_of(int vector)
{
    return vector == NO_VECTOR ? 0 : vector & CLASS;
}

/* PPR as the access leaves it, its class at least. */
static int class_afterwards(const struct virt_cpu *v, const struct hypothetical_act *a)
{
    const bool lowers = a->access == HYPOTHETICAL_TPR || a->access == HYPOTHETICAL_CR8_WRITE;
    const int task = (lowers ? (int)a->value : (int)v->apic->regs.TPR) & CLASS;
    struct vec256 isr = v->apic->regs.ISR;
    int service;

    if (a->access == HYPOTHETICAL_EOI && hypothetical_in_service(v) != NO_VECTOR)
        vec_clear(&isr, hypothetical_ending(v));
    service = class_of(vec_highest(&isr));
    return task > service ? task : service;
}

static unsigned judge_waiting(struct virt_cpu *v, const struct hypothetical_act *a)
{
    return class_of(vec_highest(&v->apic->regs.IRR)) > class_afterwards(v, a);
}

static unsigned judge_interrupts(struct virt_cpu *v, const struct hypothetical_act *a)
{
    (void)a;
    return !v->interrupts_enabled;
}

static unsigned judge_deadline(struct virt_cpu *v, const struct hypothetical_act *a)
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

unsigned (*const hypothetical_judges[CONDITION_COUNT])(struct virt_cpu *v,
                                                       const struct hypothetical_act *a) = {
    [CONDITION_APIC] = judge_apic,
    [CONDITION_VECTOR] = judge_vector,
    [CONDITION_TARGET] = judge_target,
    [CONDITION_OUTSTANDING] = judge_outstanding,
    [CONDITION_EOI_EXIT] = judge_eoi_exit,
    [CONDITION_WAITING] = judge_waiting,
    [CONDITION_INTERRUPTS] = judge_interrupts,
    [CONDITION_DEADLINE] = judge_deadline,
};
