/*
 * How deep an idle physical CPU sleeps, and how long it takes to wake up.
 *
 * The plan's machine.idle_states is what Linux' intel_idle or ACPI know of the
 * CPU: for each state its exit latency, and the target residency below which it
 * is not worth while. The first one's latency is part of host.idle_exit.
 */
#ifndef VIRQSIM_HYPERVISOR_HOST_IDLE_H
#define VIRQSIM_HYPERVISOR_HOST_IDLE_H

#include "hypervisor/hypervisor.h"

enum { IDLE_STATES_MAX = 10, IDLE_INTERVALS = 8 };

struct idle_state {
    const char *name;
    uint64_t exit_ns, residency_ns;
};

/* One CPU's. */
struct cpu_idle {
    bool asleep;
    uint8_t state;
    sim_time since;
    uint64_t interval_ns[IDLE_INTERVALS]; /* the last ones */
    uint32_t intervals;                   /* how many there were */
};

struct host_idle {
    struct idle_state state[IDLE_STATES_MAX]; /* from the lightest */
    unsigned count;
    struct cpu_idle *cpu;
};

/* Both do nothing in a machine whose plan has no idle states. */
void host_idle_begin(struct pcpu *p);
/* Cycles, beside host.idle_exit. */
cycles host_idle_end(struct pcpu *p);
#endif
