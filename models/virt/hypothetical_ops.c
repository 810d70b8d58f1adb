/* The rules in front of a technology's operations: struct virt_ops. */
#include "virt/hypothetical_parts.h"

/* Declared hardware for the APIC is part of what a hypervisor switches off with APICv or AVIC. */
static bool serves_apic(const struct virt_cpu *v)
{
    return !v->hypothetical->with_apicv || v->hypothetical->base->delivers(v);
}

/* The bits of the ICR on which WRMSR faults. */
#define ICR_FAULTS UINT32_C(0xfff32000)

/* WRMSR faults on what the register cannot hold, whatever is virtualized. */
static bool faults(const struct hypothetical_act *a)
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

static struct virt_verdict apic_read(struct virt_cpu *v, uint16_t offset, sim_time now)
{
    struct hypothetical_act a = {.offset = offset, .now = now};
    struct virt_verdict verdict;

    if (v->apic->mode == LAPIC_MODE_XAPIC && serves_apic(v) && hypothetical_reads(v, &a) &&
        hypothetical_rules(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->apic_read(v, offset, now);
}

static struct virt_verdict apic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                                      sim_time now)
{
    struct hypothetical_act a = {.value = value, .offset = offset, .now = now};
    struct virt_verdict verdict;

    if (v->apic->mode == LAPIC_MODE_XAPIC && offset != LAPIC_SELF_IPI && serves_apic(v) &&
        hypothetical_writes(v, &a) && hypothetical_rules(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->apic_write(v, offset, value, now);
}

static bool is_x2apic(const struct virt_cpu *v, uint32_t msr)
{
    return v->apic->mode == LAPIC_MODE_X2APIC && msr - MSR_X2APIC_FIRST < SLOTS;
}

static struct virt_verdict rdmsr(struct virt_cpu *v, uint32_t msr, sim_time now)
{
    struct hypothetical_act a = {
        .offset = (uint16_t)((msr - MSR_X2APIC_FIRST) * SLOT_BYTES),
        .by_msr = true,
        .now = now,
    };
    struct virt_verdict verdict;

    if (is_x2apic(v, msr) && serves_apic(v) && hypothetical_reads(v, &a) &&
        hypothetical_rules(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->rdmsr(v, msr, now);
}

static struct virt_verdict wrmsr(struct virt_cpu *v, uint32_t msr, uint64_t value, sim_time now)
{
    struct hypothetical_act a = {
        .access = HYPOTHETICAL_TIMER_DEADLINE,
        .value = value,
        .offset = (uint16_t)((msr - MSR_X2APIC_FIRST) * SLOT_BYTES),
        .by_msr = true,
        .now = now,
    };
    struct virt_verdict verdict;
    const bool known = msr == MSR_TSC_DEADLINE
                           ? v->apic->mode != LAPIC_MODE_DISABLED
                           : is_x2apic(v, msr) && !faults(&a) && hypothetical_writes(v, &a);

    if (known && serves_apic(v) && hypothetical_rules(v, &a, &verdict))
        return verdict;
    return v->hypothetical->base->wrmsr(v, msr, value, now);
}

static struct virt_verdict read_cr8(struct virt_cpu *v)
{
    const struct hypothetical_act a = {.access = HYPOTHETICAL_CR8_READ, .detail = 8};
    struct virt_verdict verdict;

    return serves_apic(v) && hypothetical_rules(v, &a, &verdict)
               ? verdict
               : v->hypothetical->base->read_cr8(v);
}

static struct virt_verdict write_cr8(struct virt_cpu *v, uint8_t cr8)
{
    const struct hypothetical_act a = {
        .access = HYPOTHETICAL_CR8_WRITE, .value = (uint64_t)(cr8 & 0xf) << 4, .detail = 8};
    struct virt_verdict verdict;

    return serves_apic(v) && hypothetical_rules(v, &a, &verdict)
               ? verdict
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
    const struct hypothetical_act a = {.access = (enum hypothetical_access)(known[i] - 1),
                                       .detail = addressed ? detail : 0};
    struct virt_verdict verdict;

    if (known[i] && hypothetical_rules(v, &a, &verdict))
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
    const struct hypothetical_act a = {
        .access = notification ? HYPOTHETICAL_NOTIFICATION : HYPOTHETICAL_HOST_INTERRUPT,
        .value = host_vector,
    };
    struct virt_verdict verdict;

    if (host_vector != VIRT_DOORBELL && hypothetical_rules(v, &a, &verdict))
        return verdict;
    return base->external_interrupt(v, host_vector);
}

static struct virt_verdict preemption_timer(struct virt_cpu *v)
{
    const struct hypothetical_act a = {.access = HYPOTHETICAL_TIMER_EXPIRY};
    struct virt_verdict verdict;

    return serves_apic(v) && hypothetical_rules(v, &a, &verdict)
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
