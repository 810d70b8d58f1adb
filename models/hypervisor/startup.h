/*
 * INIT, start-up IPIs, and the machine's reset: how a vCPU comes to its beginning again.
 */
#ifndef VIRQSIM_HYPERVISOR_STARTUP_H
#define VIRQSIM_HYPERVISOR_STARTUP_H

#include "guest/guest.h"
#include "irq/lapic.h"

struct vcpu;

struct vcpu_startup {
    const struct guest_program *main, *after_reset;
    bool waits;         /* the plan's: it begins waiting for a SIPI */
    bool uninitialized; /* KVM_MP_STATE_UNINITIALIZED: no INIT yet, and KVM_RUN gives -EAGAIN */
    bool reset;         /* QEMU resets the machine: as an INIT, by nobody's message */
    trace_flow init, sipi;            /* those that the APIC holds; 0: none */
    uint8_t init_vector, sipi_vector; /* which they were raised with */
};

/* An INIT or a start-up IPI arrives. */
void startup_accept(struct vcpu *v, const struct irq_msg *msg, struct vcpu *sender);
/* Is there anything but running to do: wait, or be reset. */
bool startup_concerns(const struct vcpu *v);
/* One that waits for a SIPI: has something come that ends the wait. */
bool startup_wakes(const struct vcpu *v);
/* Before an entry: takes what has come. False: the vCPU does not run, and has gone another way. */
bool startup_ready(struct vcpu *v);
/* KVM_EXIT_SHUTDOWN: all vCPUs begin again. */
void startup_reset_machine(struct vcpu *by);
/* Is an INIT or a SIPI of this vector held. */
unsigned startup_pending(const struct vcpu *v, unsigned vector);
#endif
