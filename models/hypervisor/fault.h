/*
 * Faults of the surroundings, as events of a plan: faults.def.
 *
 * Each has a begin and, where it lasts, an end. The machine around it is the one
 * that is always there: nothing in it knows of a fault but a device whose vector
 * is masked. What is interrupted, delayed or refused is so by the ordinary ways.
 */
#ifndef VIRQSIM_HYPERVISOR_FAULT_H
#define VIRQSIM_HYPERVISOR_FAULT_H

#include "hypervisor/hypervisor.h"

enum fault_kind {
#define FAULT(id, name, subject, meaning) FAULT_##id,
#include "hypervisor/faults.def"
#undef FAULT
    FAULT_COUNT
};

struct fault {
    struct hypervisor *hypervisor;
    uint8_t kind;     /* enum fault_kind */
    uint32_t subject; /* a device, an input, an APIC ID, a vCPU or a host thread */
    sim_time at;
    uint64_t for_ps, every_ps;
    uint8_t vector;  /* ABSENT */
    struct pcpu *to; /* MOVED */

    struct event event;
    bool on;
    struct thread thread; /* OFF_CPU: who has the CPU */
};

void faults_init(struct hypervisor *h);
/* The plan's faults, `count` of them, take so many events. */
static inline uint32_t fault_events(uint32_t count)
{
    return count;
}
#endif
