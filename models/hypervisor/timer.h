/*
 * The guest's APIC timer on the host's timers, and elsewhere.
 */
#ifndef VIRQSIM_HYPERVISOR_TIMER_H
#define VIRQSIM_HYPERVISOR_TIMER_H

#include "cost/cost.h"
#include "port/event.h"
#include "port/trace.h"

struct hypervisor;
struct vcpu;

/* --- timer.c --- */
void timer_init(struct vcpu *v);
/* An expiry becomes an interrupt on its way, `message` for the trace; or it comes to nothing. */
void timer_raise(struct vcpu *v, uint16_t vector, uint32_t message);
void timer_refuse(struct vcpu *v, enum trace_refused why);
void timer_set(struct vcpu *v, sim_time deadline);
void timer_expires(struct vcpu *v, cycles after); /* an armed timer's deadline moves */
/* The end of an entry: an expiry on the way in that the hardware keeps from being an exit. */
void timer_arrive(struct vcpu *v);
void timer_check(struct vcpu *v); /* what expired becomes pending in the APIC */
void timer_accept(struct vcpu *v, struct vcpu *sender);
bool timer_in_hardware(
    const struct vcpu *v); /* the preemption timer, or one that is declared */
/* Expired, and the hardware's timer will say so at the entry; or KVM is to look before it. */
bool timer_wants_exit(const struct vcpu *v);
bool timer_requests(const struct vcpu *v);
void timer_sleeps(struct vcpu *v); /* the vCPU is about to wait for an interrupt */
void timer_wakes(struct vcpu *v);
bool timer_is_direct(const struct vcpu *v); /* it is the physical APIC's, and the guest's own */
void timer_take_directly(struct vcpu *v);   /* which has expired, while the guest runs */
void timer_migrate(struct vcpu *v); /* from the physical APIC to a timer of the host, or back */

/* --- timer_advance.c --- */
void timer_advance_init(struct vcpu *v);
sim_time timer_ahead_of(const struct vcpu *v, sim_time deadline);
/* Whoever brings the interrupt arrives at `at`: until when to wait. Tunes the advance. */
sim_time timer_wait_from(struct vcpu *v, sim_time at);
void timer_wait(struct vcpu *v); /* right before an entry: that wait, to be paid by v */

/* --- timer_posting.c --- */
void timer_post_begin(struct vcpu *v); /* the timer fires */
void timer_post_end(struct vcpu *v);   /* its handler is done */

/* --- timer_virtual.c --- */
void timer_virtualize(struct vcpu *v);  /* on or off, after the guest has changed its APIC */
void timer_guest_wrote(struct vcpu *v); /* IA32_TSC_DEADLINE, without an exit */
/* The guest's deadline to a timer of KVM's, and back. */
void timer_to_host(struct vcpu *v);
void timer_to_guest(struct vcpu *v);
#endif
