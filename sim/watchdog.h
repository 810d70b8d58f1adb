/*
 * The watchdog: looks at the machine and at its trace, and names what is wrong.
 *
 * What lasts (an interrupt that nobody delivers) is wrong when it has lasted for
 * longer than a limit of the plan (`watchdog`), or when it is there once nothing
 * can happen any more. That last look is always taken. docs/watchdog.md.
 */
#ifndef VIRQSIM_SIM_WATCHDOG_H
#define VIRQSIM_SIM_WATCHDOG_H

#include <jansson.h>

#include "hypervisor/hypervisor.h"

enum finding_kind {
#define FINDING(id, name, what) FINDING_##id,
#include "watchdog.def"
#undef FINDING
    FINDING_COUNT
};

struct counters;

struct watchdog_limits {
    uint64_t pending_ps, notification_ps, wakeup_ps;
    uint64_t repeats; /* EOIs in a row that leave the line asserted */
};

/* Something that may be wrong: with which interrupt, and how often it was so. */
struct suspicion {
    bool on;
    int vector;
    trace_flow flow;
    uint64_t since, first_look;
    uint32_t looks;
};

struct watchdog_vcpu {
    struct suspicion pending, notification, wakeup;
};

/* One that comes again is counted. */
struct finding {
    uint8_t kind;  /* enum finding_kind */
    uint8_t state; /* enum vcpu_state, when it was found */
    uint16_t vcpu;
    int vector; /* NO_VECTOR: it is about none */
    trace_flow flow;
    uint64_t since, found, times;
};

enum { WATCHDOG_FINDINGS = 64, WATCHDOG_INPUTS = 32 /* of whatever chipset */ };

struct watchdog {
    struct trace_sink sink;
    const struct hypervisor *machine;
    const struct counters *counters; /* who know since when an interrupt is pending */
    struct watchdog_limits limits;
    struct watchdog_vcpu *vcpu;
    uint64_t look_ps, next_look;
    trace_flow line_flow[WATCHDOG_INPUTS];    /* the last interrupt of each input */
    trace_flow line_before[WATCHDOG_INPUTS];  /* and the one before */
    trace_flow line_counted[WATCHDOG_INPUTS]; /* of those, the last that has ended */
    uint64_t line_eois[WATCHDOG_INPUTS];      /* in a row, and the line was asserted still */
    uint64_t line_since[WATCHDOG_INPUTS];
    struct finding finding[WATCHDOG_FINDINGS];
    uint32_t count;
};

/* `vcpus` has an element for each vCPU. True: it has limits, and its sink is to see the trace;
   without them it looks only at rest. */
bool watchdog_init(struct watchdog *w, const struct hypervisor *machine,
                   const struct counters *counters, struct watchdog_vcpu *vcpus);
void watchdog_look(struct watchdog *w);
/* Nothing can happen any more: what is pending now is pending for ever. */
void watchdog_look_at_rest(struct watchdog *w);
/* watchdog_able.c: what the guest would take at its next instruction boundary; since when it has been
   pending. */
struct suspicion watchdog_takeable(const struct watchdog *w, const struct vcpu *v);
uint64_t watchdog_pending_since(const struct watchdog *w, uint16_t vcpu, int vector,
                                trace_flow flow);
json_t *watchdog_findings(const struct watchdog *w);
json_t *watchdog_describe(void);
#endif
