/*
 * VMX, among its own files.
 *
 *   vmx.c             which instructions and events exit, and the hypervisor's side
 *   vmx_entry.c       entries and instruction boundaries: event injection, thresholds,
 *                     windows, in the order of their priority
 *   vmx_checks.c      what an entry checks of the VMCS and of the guest's state
 *   vmx_timer.c       the VMX-preemption timer's value and rate
 *   vmx_apic_timer.c  the guest's TSC deadline without exits
 *   vmx_pause.c       PAUSE exiting and PAUSE-loop exiting
 *   vmx_apic.c        which accesses to the APIC are virtualized, and how far
 *   vmx_interrupts.c  what a virtualized access does: TPR, PPR, EOI and IPI
 *                     virtualization; evaluation and delivery; posted interrupts
 */
#ifndef VIRQSIM_VIRT_VMX_H
#define VIRQSIM_VIRT_VMX_H

#include "virt/virt.h"

enum { VECTOR_CLASS = 0xf0 }; /* bits 7:4 of a vector or a TPR: its priority class */

/* "highest index of bit set, else 0", of what vec_highest() found. */
static inline uint8_t vmx_vector_or_0(int vector)
{
    return vector == NO_VECTOR ? 0 : (uint8_t)vector;
}

/* SDM 3C "VM-Entry Controls for Event Injection"; the IDT-vectoring and VM-exit information
   fields have the same format. */
#define VMX_INFO_VALID (UINT32_C(1) << 31)
enum {
    VMX_INFO_TYPE = 7 << 8,
    VMX_INFO_EXTERNAL = 0 << 8,
    VMX_INFO_NMI = 2 << 8,
    VMX_INFO_EXCEPTION = 3 << 8,
    VMX_INFO_ERROR_CODE = 1 << 11,
};

/* --- vmx.c: verdicts. The two that exit also fill the VM-exit information fields. --- */
struct virt_verdict vmx_stay(enum virt_path path, uint64_t value);
struct virt_verdict vmx_exit(struct virt_cpu *v, enum exit_reason why, uint64_t qualification);
/* An address that the hypervisor's page tables do not map: the exit of EPT, or a page fault. */
struct virt_verdict vmx_page_exit(struct virt_cpu *v, enum exit_reason ept, uint64_t address);
struct virt_verdict vmx_exit_after(struct virt_cpu *v, enum exit_reason why,
                                   uint64_t qualification);

/* --- vmx_entry.c: as in struct virt_ops --- */
struct virt_boundary vmx_enter(struct virt_cpu *v);
struct virt_boundary vmx_boundary(struct virt_cpu *v);

/* --- vmx_checks.c --- */

enum vmx_check_id {
#define CHECK(name, ...) VMX_CHECK_##name,
#include "virt/vmx_checks.def"
#undef CHECK
    VMX_CHECK_COUNT
};

enum vmx_failure {
    VMX_INVALID_CONTROL = 7,      /* VMfailValid with this VM-instruction error */
    VMX_INVALID_GUEST_STATE = 33, /* the entry fails with this exit reason, and bit 31 */
};

struct vmx_check {
    const char *name;
    const char *section;
    enum vmx_failure failure;
    const char *meaning;
};
extern const struct vmx_check vmx_checks[VMX_CHECK_COUNT];

/* The first check that an entry would fail now, or NULL. */
const struct vmx_check *vmx_check_entry(const struct virt_cpu *v);

/* --- vmx_pause.c: as in struct virt_ops --- */
struct virt_verdict vmx_pause(struct virt_cpu *v, uint64_t tsc);
uint64_t vmx_pauses_to_exit(const struct virt_cpu *v, struct virt_pauses p);
void vmx_pauses(struct virt_cpu *v, struct virt_pauses p, uint64_t n);

/* --- vmx_timer.c; times are the TSC's --- */

/* When the timer, loaded by an entry at `entered`, counts down to 0. */
uint64_t vmx_timer_deadline(const struct virt_cpu *v, uint64_t entered);
/* An exit at `left`: the field receives what is left of the count, where the control says so. */
void vmx_timer_save(struct virt_cpu *v, uint64_t entered, uint64_t left);

/* --- vmx_apic_timer.c --- */
struct virt_verdict vmx_write_deadline(struct virt_cpu *v, uint64_t tsc);
struct virt_verdict vmx_read_deadline(struct virt_cpu *v);
void vmx_guest_timer_event(struct virt_cpu *v); /* that is pending */
/* As in struct virt_ops. */
uint64_t vmx_guest_deadline(const struct virt_cpu *v);
void vmx_set_guest_deadline(struct virt_cpu *v, uint64_t tsc);

/* --- vmx_interrupts.c --- */

/* RVI and SVI, the two halves of the guest interrupt status. */
uint8_t vmx_rvi(const struct vmcs *c);
uint8_t vmx_svi(const struct vmcs *c);
void vmx_set_rvi(struct vmcs *c, uint8_t vector);
void vmx_set_svi(struct vmcs *c, uint8_t vector);

void vmx_ppr_virtualization(struct virt_cpu *v);
struct virt_verdict vmx_tpr_virtualization(struct virt_cpu *v);
struct virt_verdict vmx_eoi_virtualization(struct virt_cpu *v);
bool vmx_eoi_exits(const struct virt_cpu *v, uint8_t vector);
struct virt_verdict vmx_self_ipi_virtualization(struct virt_cpu *v, uint8_t vector);
struct virt_verdict vmx_ipi_virtualization(struct virt_cpu *v, uint8_t vector,
                                           uint32_t apic_id);
void vmx_posted_interrupt_processing(struct virt_cpu *v);
/* Of a vector that vmx_deliver() gave, which is UINV. */
void vmx_user_notification(struct virt_cpu *v, uint8_t vector);
/* The interrupt in service ends as the notification of user interrupts: TAKEN. */
void vmx_notification_taken(const struct lapic *apic, uint8_t vector);

void vmx_evaluate(struct virt_cpu *v);
/* A vector that the processor itself makes pending: VIRR, RVI, evaluation. */
void vmx_request(struct virt_cpu *v, uint8_t vector, trace_flow flow);
/* Of the recognized virtual interrupt: the state changes; the caller delivers the vector. */
uint8_t vmx_deliver(struct virt_cpu *v);

/* --- vmx_apic.c: the accesses, as in struct virt_ops --- */
struct virt_verdict vmx_apic_read(struct virt_cpu *v, uint16_t offset, sim_time now);
struct virt_verdict vmx_apic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                                   sim_time now);
struct virt_verdict vmx_rdmsr(struct virt_cpu *v, uint32_t msr, sim_time now);
struct virt_verdict vmx_wrmsr(struct virt_cpu *v, uint32_t msr, uint64_t value, sim_time now);
/* The ordinary IPI that SENDUIPI sends. */
struct virt_verdict vmx_senduipi(struct virt_cpu *v, uint8_t vector, uint32_t ndst);
struct virt_verdict vmx_read_cr8(struct virt_cpu *v);
struct virt_verdict vmx_write_cr8(struct virt_cpu *v, uint8_t cr8);
#endif
