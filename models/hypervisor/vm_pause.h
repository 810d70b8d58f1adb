/*
 * The VM is paused and goes on, as for a snapshot: QEMU's pause_all_vcpus() and
 * resume_all_vcpus().
 */
#ifndef VIRQSIM_HYPERVISOR_VM_PAUSE_H
#define VIRQSIM_HYPERVISOR_VM_PAUSE_H

#include "hypervisor/hypervisor.h"

struct vm_pause {
    struct hypervisor *hypervisor;
    struct event end;
    uint64_t ps; /* how long, once all have stopped; 0: it is not paused */
    uint32_t stopped;
};

enum { VM_PAUSE_EVENTS = 1 };

void vm_pause_init(struct hypervisor *h, struct vm_pause *pause);
/* `by`, a thread on its CPU, asks all vCPUs to stop. One pause at a time: another is the same. */
void vm_pause_begin(struct vm_pause *pause, struct thread *by, uint64_t ps);
void vm_pause_stopped(struct vcpu *v);
#endif
