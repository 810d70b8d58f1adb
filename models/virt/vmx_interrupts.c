/*
 * The virtual-APIC state and virtual interrupts: SDM 3C sections "Virtual APIC
 * State", "Evaluation and Delivery of Virtual Interrupts" and "Posted-Interrupt
 * Processing", one function for each piece of pseudocode.
 *
 * VIRR, VISR, VTPR and VPPR are in the APIC's register file, which is the
 * virtual-APIC page; RVI and SVI are in the VMCS. Whether an interrupt is
 * pending is looked at only where the SDM says so: vmx_evaluate() and its
 * callers.
 */
#include "virt/vmx.h"

uint8_t vmx_rvi(const struct vmcs *c)
{
    return (uint8_t)vmcs_get(c, VMCS_GUEST_INTR_STATUS);
}

uint8_t vmx_svi(const struct vmcs *c)
{
    return (uint8_t)(vmcs_get(c, VMCS_GUEST_INTR_STATUS) >> 8);
}

void vmx_set_rvi(struct vmcs *c, uint8_t vector)
{
    vmcs_set(c, VMCS_GUEST_INTR_STATUS, (uint64_t)vmx_svi(c) << 8 | vector);
}

void vmx_set_svi(struct vmcs *c, uint8_t vector)
{
    vmcs_set(c, VMCS_GUEST_INTR_STATUS, (uint64_t)vector << 8 | vmx_rvi(c));
}

static void raise_rvi(struct vmcs *c, uint8_t vector)
{
    if (vector > vmx_rvi(c))
        vmx_set_rvi(c, vector);
}

/* SDM 3C "Evaluation of Pending Virtual Interrupts". */
void vmx_evaluate(struct virt_cpu *v)
{
    const uint8_t request = vmx_rvi(&v->vmcs) & VECTOR_CLASS;

    v->recognized = !vmx_has(&v->vmcs, VMX_INTERRUPT_WINDOW_EXITING) &&
                    request > (v->apic->regs.PPR & VECTOR_CLASS);
}

/* SDM 3C "PPR Virtualization". */
void vmx_ppr_virtualization(struct virt_cpu *v)
{
    struct lapic_regs *page = &v->apic->regs;
    const uint8_t svi = vmx_svi(&v->vmcs) & VECTOR_CLASS;

    page->PPR = (page->TPR & VECTOR_CLASS) >= svi ? page->TPR & 0xff : svi;
}

/* SDM 3C "TPR Virtualization". Its exit follows the instruction. */
struct virt_verdict vmx_tpr_virtualization(struct virt_cpu *v)
{
    if (!vmx_has(&v->vmcs, VMX_VIRTUAL_INTERRUPT_DELIVERY)) {
        const uint64_t threshold = vmcs_get(&v->vmcs, VMCS_TPR_THRESHOLD) & 0xf;

        if ((v->apic->regs.TPR >> 4 & 0xf) < threshold)
            return vmx_exit_after(v, EXIT_VMX_TPR_BELOW_THRESHOLD, 0);
        return vmx_stay(VIRT_DONE, 0);
    }
    vmx_ppr_virtualization(v);
    vmx_evaluate(v);
    return vmx_stay(VIRT_DONE, 0);
}

bool vmx_eoi_exits(const struct virt_cpu *v, uint8_t vector)
{
    static const enum vmcs_field bitmap[] = {
        VMCS_EOI_EXIT_BITMAP0,
        VMCS_EOI_EXIT_BITMAP1,
        VMCS_EOI_EXIT_BITMAP2,
        VMCS_EOI_EXIT_BITMAP3,
    };

    return vmcs_get(&v->vmcs, bitmap[vector / 64]) >> vector % 64 & 1;
}

/* The end of the interrupt in service, if there is one. */
static int retire(struct lapic *apic, uint8_t vector)
{
    if (!vec_has(&apic->regs.ISR, vector)) {
        trace_put(apic->config.trace, 0, TRACE_SPURIOUS_EOI, apic->config.index, 0, 0);
        return NO_VECTOR;
    }
    vec_clear(&apic->regs.ISR, vector);
    trace_put(apic->config.trace, apic->service_flow[vector], TRACE_EOI, apic->config.index,
              vector, 0);
    trace_put(apic->config.trace, apic->service_flow[vector], TRACE_RETIRED, apic->config.index,
              vector, 0);
    apic->service_flow[vector] = 0;
    return vector;
}

/* SDM 3C "EOI Virtualization", up to the EOI-exit bitmap. */
static int end_service(struct virt_cpu *v, uint8_t vector)
{
    const int retired = retire(v->apic, vector);

    vmx_set_svi(&v->vmcs, vmx_vector_or_0(vec_highest(&v->apic->regs.ISR)));
    vmx_ppr_virtualization(v);
    return retired;
}

/* SDM 3C "EOI Virtualization". The exiting case does not evaluate: the next entry will. */
struct virt_verdict vmx_eoi_virtualization(struct virt_cpu *v)
{
    const uint8_t vector = vmx_svi(&v->vmcs);
    const int retired = end_service(v, vector);
    struct virt_verdict verdict;

    if (vmx_eoi_exits(v, vector)) {
        verdict = vmx_exit_after(v, EXIT_VMX_EOI_INDUCED, vector);
    } else {
        vmx_evaluate(v);
        verdict = vmx_stay(VIRT_DONE, 0);
    }
    verdict.retired = retired;
    return verdict;
}

/* The hardware sends the IPI itself: one destination, found. */
static trace_flow route(struct virt_cpu *v, uint8_t vector, unsigned destination)
{
    trace_put(v->apic->config.trace, v->message_flow, TRACE_ROUTED, destination, vector,
              TRACE_PARENT(v->apic->config.index, v->message_flow));
    return v->message_flow;
}

void vmx_request(struct virt_cpu *v, uint8_t vector, trace_flow flow)
{
    struct lapic *apic = v->apic;

    if (!vec_has(&apic->regs.IRR, vector))
        trace_put(apic->config.trace, flow, TRACE_PENDING, apic->config.index, vector,
                  TRACE_HELD_IRR);
    lapic_set_pending(apic, vector, flow);
    raise_rvi(&v->vmcs, vector);
    vmx_evaluate(v);
}

/* SDM 3C "Self-IPI Virtualization". */
struct virt_verdict vmx_self_ipi_virtualization(struct virt_cpu *v, uint8_t vector)
{
    vmx_request(v, vector, route(v, vector, v->apic->config.index));
    return vmx_stay(VIRT_DONE, 0);
}

/* SDM 3C "IPI Virtualization". A table entry of NULL stands for an invalid PID pointer. */
struct virt_verdict vmx_ipi_virtualization(struct virt_cpu *v, uint8_t vector, uint32_t apic_id)
{
    const bool known = vector >= 16 && apic_id <= vmcs_get(&v->vmcs, VMCS_LAST_PID_INDEX);
    struct posted_descriptor *target = known ? v->pid_table[apic_id] : NULL;
    struct virt_verdict verdict = vmx_stay(VIRT_DONE, 0);

    if (!target)
        return vmx_exit_after(v, EXIT_VMX_APIC_WRITE, LAPIC_ICR_LO);
    if (posted_post(target, vector, route(v, vector, target->owner)) == POSTED_NOTIFY)
        verdict.notify = target;
    return verdict;
}

/* SDM 3C "Posted-Interrupt Processing", steps 3 to 7; step 4, the physical EOI, is nobody's
   concern here. */
void vmx_posted_interrupt_processing(struct virt_cpu *v)
{
    raise_rvi(&v->vmcs, vmx_vector_or_0(posted_sync(v->descriptor, v->apic)));
    vmx_evaluate(v);
}

/* SDM 3C "Virtual-Interrupt Delivery". */
uint8_t vmx_deliver(struct virt_cpu *v)
{
    struct lapic *apic = v->apic;
    const uint8_t vector = vmx_rvi(&v->vmcs);

    vec_set(&apic->regs.ISR, vector);
    vmx_set_svi(&v->vmcs, vector);
    apic->regs.PPR = vector & VECTOR_CLASS;
    vec_clear(&apic->regs.IRR, vector);
    vmx_set_rvi(&v->vmcs, vmx_vector_or_0(vec_highest(&apic->regs.IRR)));
    apic->service_flow[vector] = apic->pending_flow[vector];
    apic->pending_flow[vector] = 0;
    v->recognized = false;
    return vector;
}

void vmx_notification_taken(const struct lapic *apic, uint8_t vector)
{
    trace_put(apic->config.trace, apic->service_flow[vector], TRACE_TAKEN, apic->config.index,
              vector, 0);
}

/*
 * SDM 3C "Virtualizing User-Interrupt Notifications", in the place of the
 * delivery through the IDT: an EOI that does not look at the EOI-exit bitmap,
 * then the processing of the notification.
 */
void vmx_user_notification(struct virt_cpu *v, uint8_t vector)
{
    vmx_notification_taken(v->apic, vector);
    end_service(v, vector);
    vmx_evaluate(v);
    uintr_process_notification(v->user);
}
