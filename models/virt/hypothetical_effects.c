/* The effects of declared rules, by the same functions as the modelled hardware's. */
#include "virt/hypothetical_parts.h"

static void nothing(struct virt_cpu *v, const struct hypothetical_act *a)
{
    (void)v;
    (void)a;
}

/* The value itself is nobody's concern: guests' programs do not look at it. */
static void read_register(struct virt_cpu *v, const struct hypothetical_act *a)
{
    uint64_t ignored;

    if (a->by_msr)
        lapic_rdmsr(v->apic, lapic_msr(a->offset), &ignored, a->now);
    else if (a->access != HYPOTHETICAL_CR8_READ)
        lapic_read(v->apic, a->offset, a->now);
}

static void apply(struct virt_cpu *v, const struct hypothetical_act *a)
{
    if (a->by_msr)
        lapic_wrmsr(v->apic, lapic_msr(a->offset), a->value, a->now);
    else
        lapic_write(v->apic, a->offset, (uint32_t)a->value, a->now);
}

static void set_tpr(struct virt_cpu *v, const struct hypothetical_act *a)
{
    v->apic->regs.TPR = a->value & 0xff;
    v->hypothetical->base->changed(v);
}

static void retire(struct virt_cpu *v, const struct hypothetical_act *a)
{
    struct lapic *apic = v->apic;
    const int vector = hypothetical_in_service(v);

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
static void keep_command(struct virt_cpu *v, const struct hypothetical_act *a)
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

static void set_pending(struct virt_cpu *v, const struct hypothetical_act *a)
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

static void post(struct virt_cpu *v, const struct hypothetical_act *a)
{
    keep_command(v, a);
    apic_fabric_route(v->hypothetical->fabric, &a->message, post_to, v);
}

static void arm_timer(struct virt_cpu *v, const struct hypothetical_act *a)
{
    if (a->access == HYPOTHETICAL_TIMER_DEADLINE)
        lapic_set_tsc_deadline(v->apic, a->value, a->now);
    else
        apply(v, a);
}

static void halt(struct virt_cpu *v, const struct hypothetical_act *a)
{
    (void)a;
    v->halted = true;
}

static void take_posted(struct virt_cpu *v, const struct hypothetical_act *a)
{
    v->hypothetical->base->external_interrupt(v, (uint8_t)a->value);
}

/* EXPIRE is the run loop's, which has the timer. */
void (*const hypothetical_does[EFFECT_COUNT])(struct virt_cpu *v,
                                              const struct hypothetical_act *a) = {
    [EFFECT_NOTHING] = nothing,     [EFFECT_READ] = read_register,
    [EFFECT_APPLY] = apply,         [EFFECT_SET_TPR] = set_tpr,
    [EFFECT_RETIRE] = retire,       [EFFECT_SET_PENDING] = set_pending,
    [EFFECT_POST] = post,           [EFFECT_POST_EACH] = post,
    [EFFECT_ARM_TIMER] = arm_timer, [EFFECT_EXPIRE] = nothing,
    [EFFECT_HALT] = halt,           [EFFECT_TAKE_POSTED] = take_posted,
};
