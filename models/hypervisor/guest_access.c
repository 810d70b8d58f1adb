/*
 * What a guest's operations do to its surroundings: each is one access or more,
 * put to the hardware, whose verdict says what it costs and whether the guest
 * leaves.
 */
#include "hypervisor/disk.h"
#include "hypervisor/epic.h"
#include "hypervisor/net_send.h"
#include "hypervisor/ioepic_board.h"

static enum trace_cause cause_of(const struct vcpu *v, const struct guest_insn *i)
{
    if (!guest_in_handler(&v->guest))
        return v->setting_up ? TRACE_CAUSE_SETUP : TRACE_CAUSE_OPERATION;
    return i->op == GUEST_eoi || board_controls(v->hypervisor->board, &v->access) ||
                   ioepic_board_owns(v->hypervisor->ioepic, &v->access)
               ? TRACE_CAUSE_ACKNOWLEDGE
               : TRACE_CAUSE_HANDLER;
}

/* --- what an operation does to its surroundings --- */

static struct access instruction(enum virt_instruction i, uint64_t address, uint64_t size,
                                 uint64_t value, bool write)
{
    return (struct access){ACCESS_INSTRUCTION, i, address, value, (uint8_t)size, write};
}

/* A register of the guest's APIC, the way the guest's mode reaches it. */
static struct access apic(const struct vcpu *v, bool write, uint16_t offset, uint64_t value)
{
    if (v->apic.mode == LAPIC_MODE_X2APIC)
        return (struct access){.kind = write ? ACCESS_MSR_WRITE : ACCESS_MSR_READ,
                               .address = lapic_msr(offset),
                               .value = value,
                               .write = write};
    return (struct access){.kind = write ? ACCESS_APIC_WRITE : ACCESS_APIC_READ,
                           .address = offset,
                           .value = value,
                           .write = write};
}

static struct access msr(bool write, uint64_t index, uint64_t value)
{
    return (struct access){.kind = write ? ACCESS_MSR_WRITE : ACCESS_MSR_READ,
                           .address = index,
                           .value = value,
                           .write = write};
}

struct access guest_no_access(void)
{
    return (struct access){.kind = ACCESS_NONE};
}

/* SDM 3A "Local Interrupts and APIC Timer": LVT timer mode bits 18:17, mask bit 16. */
static uint64_t lvt_timer(uint64_t vector, uint64_t mode)
{
    return vector | (mode == 3 ? UINT64_C(1) << 16 : mode << 17);
}

/* SDM 3A "Divide Configuration Register": bits 3, 1 and 0; 1011b divides by 1. */
static uint64_t divide_code(uint64_t divisor)
{
    const unsigned log2 = (unsigned)__builtin_ctzll(divisor);
    const unsigned code = (log2 + 7) % 8;

    return (code & 3) | (code & 4) << 1;
}

/* A guest that has the physical ICR writes there what that may send, and asks for all else. */
static struct access x2apic_icr(const struct vcpu *v, uint64_t value)
{
    return v->pv_icr && !direct_is_ordinary(value) ? msr(true, MSR_PV_ICR, value)
                                                   : apic(v, true, LAPIC_ICR_LO, value);
}

static struct access ipi_access(const struct vcpu *v, const struct guest_insn *i, unsigned part)
{
    const uint64_t low = i->operand[0], dest = i->operand[1];
    const bool shorthand = low >> 18 & 3;

    if (v->apic.mode == LAPIC_MODE_X2APIC)
        return part == 0 ? x2apic_icr(v, low | dest << 32) : guest_no_access();
    if (part == 0 && !shorthand)
        return apic(v, true, LAPIC_ICR_HI, dest << 24);
    return part == (shorthand ? 0 : 1) ? apic(v, true, LAPIC_ICR_LO, low) : guest_no_access();
}

static struct access self_ipi_access(const struct vcpu *v, const struct guest_insn *i,
                                     unsigned part)
{
    if (part > 0)
        return guest_no_access();
    if (v->apic.mode == LAPIC_MODE_X2APIC)
        return apic(v, true, LAPIC_SELF_IPI, i->operand[0]);
    return apic(v, true, LAPIC_ICR_LO, i->operand[0] | IRQ_SELF << 18);
}

static struct access timer_count_access(const struct vcpu *v, const struct guest_insn *i,
                                        unsigned part)
{
    const uint64_t divisor = i->operand[1];

    if (part == 0 && divisor)
        return apic(v, true, LAPIC_TIMER_DIVIDE, divide_code(divisor));
    return part == (divisor ? 1 : 0) ? apic(v, true, LAPIC_TIMER_INITIAL, i->operand[0])
                                     : guest_no_access();
}

static uint64_t tsc_now(const struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;

    return clock_count(&h->tsc, hv_now(h)).n;
}

static struct access tsc_deadline_access(const struct vcpu *v, const struct guest_insn *i)
{
    const uint64_t now = tsc_now(v);

    return msr(true, MSR_TSC_DEADLINE, i->operand[0] ? now + i->operand[0] : 0);
}

static struct access mwait_access(unsigned part)
{
    static const enum virt_instruction parts[] = {VIRT_MONITOR, VIRT_MWAIT};

    return part < 2 ? instruction(parts[part], 0, 0, 0, false) : guest_no_access();
}

/* Operations on the guest's interrupt controller and its timer. */
static bool is_for_controller(const struct guest_insn *i)
{
    switch (i->op) {
    case GUEST_ipi:
    case GUEST_self_ipi:
    case GUEST_epic_ipi:
    case GUEST_eoi:
    case GUEST_tpr:
    case GUEST_apic_read:
    case GUEST_apic_write:
    case GUEST_timer_mode:
    case GUEST_timer_count:
    case GUEST_tsc_deadline:
        return true;
    default:
        return false;
    }
}

/* Access number `part` of an operation; ACCESS_NONE when it has no more. */
struct access guest_access_of(const struct vcpu *v, const struct guest_insn *i, unsigned part)
{
    const uint64_t *o = i->operand;

    if (v->epic && is_for_controller(i))
        return epic_access_of(v, i, part);
    switch (i->op) {
    case GUEST_ipi:
        return ipi_access(v, i, part);
    case GUEST_self_ipi:
        return self_ipi_access(v, i, part);
    case GUEST_timer_count:
        return timer_count_access(v, i, part);
    case GUEST_mwait:
    case GUEST_mwait_until:
    case GUEST_mwait_take:
        return mwait_access(part);
    default:
        break;
    }
    if (part > 0)
        return guest_no_access();
    switch (i->op) {
    case GUEST_eoi:
        return v->apic.mode == LAPIC_MODE_DISABLED ? guest_no_access()
                                                   : apic(v, true, LAPIC_EOI, 0);
    case GUEST_tpr:
        return apic(v, true, LAPIC_TPR, o[0]);
    case GUEST_apic_read:
        return apic(v, false, (uint16_t)o[0], 0);
    case GUEST_apic_write:
        return apic(v, true, (uint16_t)o[0], o[1]);
    case GUEST_timer_mode:
        return apic(v, true, LAPIC_LVT_TIMER, lvt_timer(o[0], o[1]));
    case GUEST_tsc_deadline:
        return tsc_deadline_access(v, i);
    case GUEST_cr8:
        return (struct access){.kind = ACCESS_CR8_WRITE, .value = o[0], .write = true};
    case GUEST_cr8_read:
        return (struct access){.kind = ACCESS_CR8_READ};
    case GUEST_rdmsr:
        return msr(false, o[0], 0);
    case GUEST_wrmsr:
        return msr(true, o[0], o[1]);
    case GUEST_port_in:
        return instruction(VIRT_PORT_IO, o[0], o[1], 0, false);
    case GUEST_port_out:
        return instruction(VIRT_PORT_IO, o[0], o[1], o[2], true);
    case GUEST_mmio_read:
        return instruction(VIRT_MMIO, o[0], o[1], 0, false);
    case GUEST_mmio_write:
        return instruction(VIRT_MMIO, o[0], o[1], o[2], true);
    case GUEST_touch:
        return instruction(VIRT_UNMAPPED, o[0], 8, 0, true);
    case GUEST_disk_issue:
    case GUEST_disk_reap:
        return disk_access_of(v, i);
    case GUEST_tx_send:
    case GUEST_tx_reap:
        return tx_access_of(v, i);
    case GUEST_cpuid:
        return instruction(VIRT_CPUID, 0, 0, 0, false);
    case GUEST_hypercall:
    case GUEST_pv_ipi:
    case GUEST_pv_yield:
    case GUEST_unlock:
        return instruction(VIRT_HYPERCALL, 0, 0, 0, false);
    case GUEST_pause:
        return instruction(VIRT_PAUSE, tsc_now(v), 0, 0, false);
    case GUEST_opaque_mmio:
        return instruction(VIRT_OPAQUE_MMIO, o[0], 0, 0, false);
    case GUEST_triple_fault:
        return instruction(VIRT_TRIPLE_FAULT, 0, 0, 0, false);
    case GUEST_unknown_exit:
        return instruction(VIRT_UNKNOWN, 0, 0, 0, false);
    case GUEST_intercept:
        return (struct access){
            .kind = ACCESS_INTERCEPT, .address = o[0], .value = o[1], .size = (uint8_t)o[2]};
    case GUEST_wbinvd:
        return instruction(VIRT_WBINVD, 0, 0, 0, false);
    case GUEST_stgi:
        return instruction(VIRT_STGI, 0, 0, 0, false);
    case GUEST_clgi:
        return instruction(VIRT_CLGI, 0, 0, 0, false);
    case GUEST_halt:
    case GUEST_unmask_halt:
    case GUEST_halt_until:
    case GUEST_halt_take:
        return instruction(VIRT_HLT, 0, 0, 0, false);
    default:
        return guest_no_access();
    }
}

/* Does this access send a message: the ICR's low half, or the self-IPI register. */
static bool sends(const struct vcpu *v, const struct access *a)
{
    if (v->epic)
        return a->kind == ACCESS_APIC_WRITE && a->address == CEPIC_ICR;
    if (!a->write || v->apic.mode == LAPIC_MODE_DISABLED)
        return false;
    if (a->kind == ACCESS_USER_IPI)
        return true;
    if (a->kind == ACCESS_APIC_WRITE)
        return a->address == LAPIC_ICR_LO;
    return a->kind == ACCESS_MSR_WRITE && v->apic.mode == LAPIC_MODE_X2APIC &&
           (a->address == lapic_msr(LAPIC_ICR_LO) || a->address == lapic_msr(LAPIC_SELF_IPI) ||
            a->address == MSR_PV_ICR);
}

static struct virt_verdict wrmsr(struct vcpu *v, const struct access *a, sim_time now)
{
    const struct virt_verdict verdict =
        v->hw.ops->wrmsr(&v->hw, (uint32_t)a->address, a->value, now);

    if (a->address == MSR_TSC_DEADLINE && verdict.path == VIRT_DONE && !v->hw.ruled)
        timer_guest_wrote(v); /* a declared rule has armed the APIC's */
    return verdict;
}

static struct virt_verdict put_to_hardware(struct vcpu *v, const struct access *a)
{
    struct virt_cpu *hw = &v->hw;
    const sim_time now = hv_now(v->hypervisor);

    switch (a->kind) {
    case ACCESS_APIC_READ:
        return hw->ops->apic_read(hw, (uint16_t)a->address, now);
    case ACCESS_APIC_WRITE:
        return hw->ops->apic_write(hw, (uint16_t)a->address, a->value, now);
    case ACCESS_MSR_READ:
        return hw->ops->rdmsr(hw, (uint32_t)a->address, now);
    case ACCESS_MSR_WRITE:
        return wrmsr(v, a, now);
    case ACCESS_CR8_READ:
        return hw->ops->read_cr8(hw);
    case ACCESS_CR8_WRITE:
        return hw->ops->write_cr8(hw, (uint8_t)a->value);
    case ACCESS_USER_IPI:
        return hw->ops->instruction(hw, VIRT_SENDUIPI, a->value);
    case ACCESS_INTERCEPT:
        return e2k_intercept(hw, (uint32_t)a->address, a->value, a->size);
    case ACCESS_INSTRUCTION:
    case ACCESS_NONE:
        break;
    }
    return hw->ops->instruction(hw, a->instruction, a->address);
}

static enum cost_key cost_of_access(const struct access *a)
{
    switch (a->kind) {
    case ACCESS_CR8_WRITE:
        return COST_GUEST_CR8;
    case ACCESS_CR8_READ:
        return COST_GUEST_CR8_READ;
    case ACCESS_APIC_READ:
    case ACCESS_APIC_WRITE:
        return COST_HW_APIC_PAGE;
    case ACCESS_INSTRUCTION:
        return a->instruction == VIRT_PAUSE ? COST_GUEST_PAUSE : COST_GUEST_OP;
    default:
        return COST_HW_APIC_ACCESS;
    }
}

/* What the hardware charges for an access that stays in the guest. */
static void pay_hardware(struct vcpu *v, const struct access *a,
                         const struct virt_verdict *verdict)
{
    if (vcpu_pay_rule(v))
        return;
    if (verdict->notify)
        vcpu_pay(v, COST_HW_IPI_VIRTUALIZED);
    if (!verdict->notify || a->kind == ACCESS_APIC_WRITE)
        vcpu_pay(v, cost_of_access(a));
}

/* IPI virtualization posted to another vCPU: this CPU sends the notification, when it has paid for
   the instruction. */
static void notify(struct vcpu *v, const struct posted_descriptor *d, unsigned vector)
{
    struct hypervisor *h = v->hypervisor;

    line_claim(&h->vcpu[d->owner].line[LINE_PENDING], v->thread.pcpu, true);
    deliver_notification(h, d, vector, v->message_flow,
                         hv_after(h, vcpu_owes(v) + h->costs.of[COST_HW_IPI].n));
}

/* The destinations that the hardware has given a message to. */
static void tell_targets(struct vcpu *v, unsigned vector)
{
    if (v->epic)
        epic_tell_targets(v);
    else if (v->hw.ruled)
        declared_notify(v, vector);
    else
        deliver_doorbells(v, vector);
}

/* One access of the present operation. False: the guest left. */
bool guest_perform(struct vcpu *v, const struct guest_insn *i, const struct access *a)
{
    struct virt_verdict verdict;
    bool native;

    v->access = *a;
    if (sends(v, a)) {
        v->message_flow = trace_new_flow(v->hypervisor->trace);
        v->hw.message_flow = v->message_flow;
        v->hw.target_count = 0;
        trace_put(v->hypervisor->trace, v->message_flow, TRACE_RAISED, v->index, a->value,
                  TRACE_SOURCE(TRACE_SOURCE_IPI, v->index));
    } else {
        v->message_flow = 0;
    }
    verdict = put_to_hardware(v, a);
    native = verdict.path == VIRT_NATIVE && a->kind == ACCESS_MSR_WRITE;
    if (native)
        direct_write(v, a);
    else if (verdict.path == VIRT_NATIVE)
        ioepic_board_access(v); /* a page of it that the guest has */
    v->access_done = verdict.path == VIRT_EXIT_AFTER;
    if (verdict.path != VIRT_EXIT)
        guest_access_done(v);
    if (v->message_flow && v->hw.target_count)
        tell_targets(v, (uint8_t)a->value);
    if (virt_exits(&verdict)) {
        if (v->access_done && a->kind == ACCESS_APIC_WRITE)
            vcpu_pay(v, COST_HW_APIC_PAGE); /* which the exit comes after */
        vcpu_exit_by(v, &verdict, cause_of(v, i),
                     v->message_flow ? v->message_flow : v->guest.frame->flow, i);
        return false;
    }
    v->held = false;
    if (!native)
        pay_hardware(v, a, &verdict);
    if (verdict.notify)
        notify(v, verdict.notify, (unsigned)a->value & 0xff);
    return true;
}

bool guest_waits_for_word(const struct guest_insn *i)
{
    switch (i->op) {
    case GUEST_halt_until:
    case GUEST_halt_take:
    case GUEST_pause_until:
    case GUEST_pause_take:
    case GUEST_mwait_until:
    case GUEST_mwait_take:
    case GUEST_lock:
        return true;
    default:
        return false;
    }
}

void guest_access_done(struct vcpu *v)
{
    const struct guest_insn *i = guest_fetch(&v->guest);

    v->guest.frame->part++;
    if (guest_access_of(v, i, v->guest.frame->part).kind != ACCESS_NONE)
        return;
    if (guest_waits_for_word(i))
        v->guest.frame->part = 0;
    else
        guest_next(&v->guest);
}
