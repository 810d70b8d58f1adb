/*
 * The driver of an EPIC guest: what Linux for e2k does with its CEPIC for an
 * operation that other guests do with a local APIC.
 *
 * An IPI reads ICR until that is idle and then writes it, whole; an EOI carries the
 * priority that VECT_INTA gave (arch/l/kernel/epic: epic_send_IPI(),
 * ack_epic_irq(), cepic_timer_set_oneshot()). The TPR's class becomes CPR's, of
 * which there are fewer. There is no TSC deadline: the driver counts down to it.
 */
#include "hypervisor/epic.h"

enum { CPR_SHIFT = 8, TIMER_MASKED = 1 << 16, TIMER_PERIODIC = 1 << 17 };
enum { MODE_PERIODIC = 1, MODE_MASKED = 3, NMI_VECTOR = 2 };

static struct access reading(uint16_t offset)
{
    return (struct access){.kind = ACCESS_APIC_READ, .address = offset};
}

static struct access writing(uint16_t offset, uint64_t value)
{
    return (struct access){
        .kind = ACCESS_APIC_WRITE, .address = offset, .value = value, .write = true};
}

/* An x86 ICR's low half says the same, in other places. */
static struct epic_msg message_of(const struct guest_insn *i)
{
    static const uint8_t shorthand[] = {
        [IRQ_NO_SHORTHAND] = EPIC_FULL,
        [IRQ_SELF] = EPIC_SELF,
        [IRQ_ALL_INCLUDING_SELF] = EPIC_ALL_INCLUDING_SELF,
        [IRQ_ALL_BUT_SELF] = EPIC_ALL_BUT_SELF,
    };
    const uint64_t icr = i->operand[0];
    struct epic_msg m = {.delivery = EPIC_FIXED_IPI};

    if (i->op == GUEST_epic_ipi) {
        m.vector = (uint16_t)icr;
        m.dest = e2k_cepic_id((unsigned)i->operand[1]);
    } else if (i->op == GUEST_self_ipi) {
        m.vector = (uint16_t)icr;
        m.shorthand = EPIC_SELF;
    } else {
        m.vector = icr & 0xff;
        m.shorthand = shorthand[icr >> 18 & 3];
        m.dest = e2k_cepic_id((unsigned)i->operand[1]);
        if ((icr >> 8 & 7) == IRQ_NMI)
            m.delivery = EPIC_NMI, m.vector = NMI_VECTOR;
    }
    return m;
}

static struct access ipi_access(const struct guest_insn *i, unsigned part)
{
    const struct epic_msg m = message_of(i);

    if (part == 0)
        return reading(CEPIC_ICR);
    return part == 1 ? writing(CEPIC_ICR, cepic_encode_icr(&m)) : guest_no_access();
}

static uint64_t lvtt(uint64_t vector, uint64_t mode)
{
    if (mode == MODE_MASKED)
        return vector | TIMER_MASKED;
    return mode == MODE_PERIODIC ? vector | TIMER_PERIODIC : vector;
}

/* As of a local APIC's: bits 3, 1 and 0; 0BH divides by 1. */
static uint64_t divide_code(uint64_t divisor)
{
    const unsigned code = ((unsigned)__builtin_ctzll(divisor) + 7) % 8;

    return (code & 3) | (code & 4) << 1;
}

static struct access count_access(const struct guest_insn *i, unsigned part)
{
    const uint64_t divisor = i->operand[1];

    if (part == 0 && divisor)
        return writing(CEPIC_TIMER_DIV, divide_code(divisor));
    return part == (divisor ? 1 : 0) ? writing(CEPIC_TIMER_INIT, i->operand[0])
                                     : guest_no_access();
}

/* The driver never divides: a count is a tick of the timer's clock, and at least one. */
static struct access deadline_access(const struct vcpu *v, const struct guest_insn *i,
                                     unsigned part)
{
    const struct hypervisor *h = v->hypervisor;
    const sim_time now = hv_now(h);
    const sim_time due = clock_after(&h->tsc, now, (cycles){i->operand[0]});
    const uint64_t count = clock_count(&h->apic_bus, due).n - clock_count(&h->apic_bus, now).n;

    if (part == 0)
        return writing(CEPIC_TIMER_DIV, divide_code(1));
    if (part > 1)
        return guest_no_access();
    return writing(CEPIC_TIMER_INIT, i->operand[0] && !count ? 1 : count);
}

struct access epic_access_of(const struct vcpu *v, const struct guest_insn *i, unsigned part)
{
    switch (i->op) {
    case GUEST_ipi:
    case GUEST_self_ipi:
    case GUEST_epic_ipi:
        return ipi_access(i, part);
    case GUEST_timer_count:
        return count_access(i, part);
    case GUEST_tsc_deadline:
        return deadline_access(v, i, part);
    default:
        break;
    }
    if (part > 0)
        return guest_no_access();
    switch (i->op) {
    case GUEST_eoi:
        if (v->guest.frame->vector == NMI_VECTOR)
            return guest_no_access(); /* PNMIRR's bit is cleared already */
        return writing(CEPIC_EOI, cepic_encode_eoi(v->epic->before[v->guest.depth]));
    case GUEST_tpr:
        return writing(CEPIC_CPR, i->operand[0] >> 5 << CPR_SHIFT);
    case GUEST_apic_read:
        return reading((uint16_t)i->operand[0]);
    case GUEST_apic_write:
        return writing((uint16_t)i->operand[0], i->operand[1]);
    default: /* timer_mode */
        return writing(CEPIC_TIMER_LVTT, lvtt(i->operand[0], i->operand[1]));
    }
}
