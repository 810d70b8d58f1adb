/*
 * The host's own interrupts: its periodic tick, and devices that are no guest's.
 *
 * Each reaches a physical CPU as any other interrupt does: a guest that runs there leaves, a
 * thread of the host's is delayed.
 */
#ifndef VIRQSIM_HYPERVISOR_HOST_NOISE_H
#define VIRQSIM_HYPERVISOR_HOST_NOISE_H

#include "hypervisor/hypervisor.h"

/* Interrupts of one device, at a CPU: at each of these times, or else periodic. */
struct host_source {
    struct hypervisor *hypervisor;
    struct pcpu *pcpu;
    struct event event;
    uint64_t every_ps;
    const sim_time *at;
    uint32_t at_count, at_next;
    cycles work; /* of each, behind host.interrupt: the device's softirq */
};

struct host_tick {
    struct event event;
    struct pcpu *pcpu;
};

struct host_noise {
    uint64_t tick_ps;       /* CONFIG_HZ; 0: there is none */
    struct host_tick *tick; /* by CPU */
    struct host_source *source;
    uint32_t source_count;
};

static inline uint32_t host_noise_events(uint64_t tick_ns, uint32_t pcpus, uint32_t sources)
{
    return (tick_ns ? pcpus : 0) + sources;
}
void host_noise_init(struct hypervisor *h);
/* A thread has the CPU: its tick goes on. */
void host_tick_goes_on(struct pcpu *p);
/* The work of its devices' interrupts that nobody has been charged for yet. */
cycles host_noise_work(struct pcpu *p);
#endif
