/* The exit handlers by group, and how they end. exits.c has their table. */
#ifndef VIRQSIM_HYPERVISOR_EXITS_H
#define VIRQSIM_HYPERVISOR_EXITS_H

#include "hypervisor/hypervisor.h"

/* --- exits_way.c --- */

/* It is handled with interrupts still off, in the innermost loop. */
bool exit_takes_fastpath(const struct vcpu *v);
void exit_go_back(struct vcpu *v, bool fast);
void exit_go_on(struct vcpu *v);
void exit_finish(struct vcpu *v); /* after the messages of the access, one after the other */

/* --- exits_apic.c --- */

uint16_t
access_apic_offset(const struct access *a); /* of the register that it concerns, or 0 */
void handle_access(struct vcpu *v);
void handle_incomplete_ipi(struct vcpu *v);
void handle_eoi_induced(struct vcpu *v);
void handle_cr8(struct vcpu *v);

/* --- exits_address.c --- */

enum region_handler access_answered_by(const struct vcpu *v);
bool access_on_apic_page(const struct access *a);
bool access_on_device(const struct access *a);
void handle_device(struct vcpu *v);
void handle_page(struct vcpu *v);
void handle_data_page(struct vcpu *v);

/* --- exits_end.c --- */

/* KVM can do nothing about it but tell userspace. */
void handle_shutdown(struct vcpu *v);
void handle_unknown(struct vcpu *v);
void handle_internal_error(struct vcpu *v);

/* --- exits_wait.c --- */

void handle_simple(struct vcpu *v);
void handle_host_interrupt(struct vcpu *v);
void handle_preemption_timer(struct vcpu *v);
void handle_gif(struct vcpu *v);
void handle_window(struct vcpu *v);
void handle_nmi_window(struct vcpu *v);
void handle_halt(struct vcpu *v);
void handle_pause(struct vcpu *v);
void handle_hypercall(struct vcpu *v);
#endif
