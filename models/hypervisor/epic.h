/*
 * A vCPU with an EPIC guest: its CEPIC, and what the hypervisor and the guest's
 * own driver have to do with it. Linux for e2k: arch/e2k/kvm/cepic.c, irq_comm.c;
 * the guest's arch/l/kernel/epic.
 *
 *   epic.c        delivery, injection, the guest's trap
 *   epic_guest.c  the guest's driver: operations to accesses
 *   epic_timer.c  the CEPIC's timers
 *   epic_device.c  messages of devices, assigned ones above all
 */
#ifndef VIRQSIM_HYPERVISOR_EPIC_H
#define VIRQSIM_HYPERVISOR_EPIC_H

#include "hypervisor/hypervisor.h"

struct epic_vcpu {
    struct vcpu *vcpu;
    struct cepic cepic;
    struct cepic_port port;
    bool loaded;             /* it has its core: with EPIC virtualization, a row of the table */
    struct epic_msg message; /* under way to the destinations in the vCPU's outbox */
    uint8_t before[GUEST_FRAMES_MAX]; /* the guest's note of CPR, a trap's by its depth */
    trace_flow served;                /* what cannot be masked, and whose handler begins */
    struct event
        nm_timer; /* the non-maskable timer, where the hardware has one for the guest */
    bool nm_due;  /* it ran out while the vCPU had no core */
    struct event idle_check; /* KVM looks at what the hardware has put into a sleeper's PMIRR */
    sim_time slept_from;     /* where the looks are counted from */
};

/* Events of an EPIC guest, beside those that every guest has. */
enum { EPIC_EVENTS_OF_VCPU = 2 };

/* --- epic.c --- */
void epic_machine_init(struct hypervisor *h); /* the PREPICs */
void epic_init(struct hypervisor *h, struct vcpu *v);
/* What a message takes longer from one processor to a core of another, in cycles. */
uint64_t epic_hop(const struct hypervisor *h, unsigned processor, const struct pcpu *to);
/* It gets its core, or loses it. */
void epic_set_loaded(struct vcpu *v, bool loaded);
/* False: it refuses the message. */
bool epic_accept(struct vcpu *target, const struct epic_msg *msg, struct vcpu *sender);
/* Of the message under way, one destination. */
void epic_hand_over(struct vcpu *sender, const struct destination *d);
/* The guest's ICR was written without an interception: its targets are told, or the host is. */
void epic_tell_targets(struct vcpu *sender);
/* CEPIC_EPIC_INT at a core. */
void epic_take_missed(struct pcpu *p);
uint32_t epic_missed(const struct vcpu *sender, unsigned vcpu, unsigned vector);
/* Before an entry: what waits becomes an exception. */
void epic_inject(struct vcpu *v);
/* Does it end a halt. */
bool epic_wakes(const struct vcpu *v);
/* The flow of what would be taken next, or 0. */
trace_flow epic_next_flow(const struct vcpu *v);
/* A trap begins. False: there is no room for its frame. */
bool epic_trap(struct vcpu *v, const struct virt_boundary *b, bool interrupts_enabled);
/* The guest asks which vector the trap is for; nothing of its program runs until it knows. */
void epic_ask_vector(struct vcpu *v);
/* An intercepted access is completed. */
void epic_complete(struct vcpu *v);
enum cost_key epic_cost(const struct access *a);
/* Interrupts of that vector which its controller holds. */
uint64_t epic_pending(const struct vcpu *v, unsigned vector);

/* The context switch of e2k beside hw.exit and hw.entry. */
void epic_pay_interception(struct vcpu *v);
void epic_pay_launch(struct vcpu *v);

/* --- epic_guest.c --- */
struct access epic_access_of(const struct vcpu *v, const struct guest_insn *i, unsigned part);

/* --- epic_device.c --- */
/* A device of the hypervisor's, or the host's irqfd: through KVM. */
void epic_device_raise(struct device *d, trace_flow flow);
/* A message of an assigned device, which the IOMMU has given the guest's number. */
bool epic_device_sends(struct vcpu *target, const struct epic_msg *msg);
void epic_device_init(struct vcpu *v);
/* The host's handler of an assigned device that interrupted the host. */
void epic_device_forward(struct device *d);
void epic_sleeps(struct vcpu *v); /* it is about to */

/* --- epic_timer.c --- */
void epic_nm_timer_init(struct vcpu *v);
void epic_nm_timer_armed(struct vcpu *v, sim_time deadline);
void epic_nm_timer_loaded(struct vcpu *v); /* what ran out meanwhile comes with the load */
void epic_timer_armed(struct vcpu *v, sim_time deadline);
void epic_timer_fired(struct vcpu *v);
void epic_timer_take(struct vcpu *v, struct vcpu *sender);
bool epic_timer_wakes(const struct vcpu *v);
#endif
