/* Exits for the APIC's sake: accesses to its registers, IPIs, EOIs, the task priority. */
#include "hypervisor/epic.h"
#include "hypervisor/exits.h"

enum { MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff };

uint16_t access_apic_offset(const struct access *a)
{
    if (a->kind == ACCESS_APIC_READ || a->kind == ACCESS_APIC_WRITE)
        return (uint16_t)a->address;
    if (a->kind == ACCESS_USER_IPI || a->address == MSR_PV_ICR)
        return LAPIC_ICR_LO;
    if (a->address >= MSR_X2APIC_FIRST && a->address <= MSR_X2APIC_LAST)
        return (uint16_t)(a->address - MSR_X2APIC_FIRST) << 4;
    return 0;
}

static void apic_write(struct vcpu *v, uint16_t offset, uint64_t value)
{
    lapic_write(&v->apic, offset, (uint32_t)value, hv_now(v->hypervisor));
}

/* KVM: kvm_apic_write_nodecode(): the hardware has written the page's ICR. */
static void send_from_page(struct vcpu *v)
{
    const struct lapic_regs *page = &v->apic.regs;

    if (v->apic.mode == LAPIC_MODE_X2APIC)
        lapic_wrmsr(&v->apic, lapic_msr(LAPIC_ICR_LO),
                    (uint64_t)page->ICR_HI << 32 | page->ICR_LO, hv_now(v->hypervisor));
    else
        apic_write(v, LAPIC_ICR_LO, page->ICR_LO);
}

void exit_complete_access(struct vcpu *v)
{
    const struct access *a = &v->access;
    const sim_time now = hv_now(v->hypervisor);
    uint64_t ignored;

    if (v->epic || v->guest.frame->unnamed) {
        epic_complete(v);
        return;
    }
    switch (a->kind) {
    case ACCESS_APIC_WRITE:
        apic_write(v, (uint16_t)a->address, a->value);
        break;
    case ACCESS_MSR_WRITE:
        if (a->address == MSR_TSC_DEADLINE)
            lapic_set_tsc_deadline(&v->apic, a->value, now);
        else if (access_apic_offset(a))
            lapic_wrmsr(&v->apic, lapic_msr(access_apic_offset(a)), a->value, now);
        break;
    case ACCESS_CR8_WRITE:
        apic_write(v, LAPIC_TPR, a->value << 4);
        break;
    case ACCESS_APIC_READ:
        lapic_read(&v->apic, (uint16_t)a->address, now);
        break;
    case ACCESS_MSR_READ:
        if (access_apic_offset(a))
            lapic_rdmsr(&v->apic, (uint32_t)a->address, &ignored, now);
        break;
    case ACCESS_USER_IPI:
        send_from_page(v);
        break;
    case ACCESS_CR8_READ: /* leaves no trace in the APIC */
    case ACCESS_INTERCEPT:
    case ACCESS_INSTRUCTION:
    case ACCESS_NONE:
        break;
    }
}

/* KVM: the writes that make the map of APICs dirty. */
static bool changes_ids(const struct access *a)
{
    return a->kind == ACCESS_APIC_WRITE && (a->address == LAPIC_ID || a->address == LAPIC_LDR ||
                                            a->address == LAPIC_DFR || a->address == LAPIC_SVR);
}

void handle_access(struct vcpu *v)
{
    exit_complete_access(v);
    if (changes_ids(&v->access))
        inhibit_check_ids(v);
    timer_virtualize(v);
    if (vec_empty(&v->apic.regs.ISR))
        controls_set_direct(v, true);
    if (!v->access_done)
        guest_access_done(v);
    exit_finish(v);
}

/* KVM: avic_incomplete_ipi_interception(). IRRs are set where the target was only not running. */
void handle_incomplete_ipi(struct vcpu *v)
{
    const enum avic_incomplete why = AVIC_INCOMPLETE(v->exit.qualification);

    if (why == AVIC_INVALID_TYPE || why == AVIC_INVALID_TARGET) {
        handle_access(v);
        return;
    }
    if (why == AVIC_NOT_RUNNING)
        deliver_wakeups(v, (uint8_t)v->access.value);
    if (!v->access_done)
        guest_access_done(v);
    exit_finish(v);
}

/* After the access: the EOI of a vector that an I/O APIC waits for. */
void handle_eoi_induced(struct vcpu *v)
{
    board_eoi(v, (uint8_t)v->exit.qualification);
    exit_go_on(v);
}

/* KVM: handle_cr(), cr8_write_interception(). An APIC in userspace hears of a write that lowers the
   priority, which may let an interrupt in; a read is answered from KVM's copy. */
void handle_cr8(struct vcpu *v)
{
    const uint32_t before = v->apic.regs.TPR >> 4;
    const bool userspace = v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE;

    exit_complete_access(v);
    guest_access_done(v);
    if (userspace && v->apic.regs.TPR >> 4 < before) {
        v->kvm_exit = KVM_EXIT_SET_TPR;
        vcpu_take(v, VCPU_ON_TO_USER);
    } else {
        vcpu_take(v, VCPU_ON_RESUME);
    }
}
