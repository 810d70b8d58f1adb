/*
 * A run in another order of its events (port/explore.h), as the plan's run.schedule or
 * virqsim_schedule() has it: who is held back, and past whom.
 */
#ifndef VIRQSIM_SIM_SCHEDULE_H
#define VIRQSIM_SIM_SCHEDULE_H

#include <jansson.h>

#include "port/explore.h"
#include "port/trace.h"
#include "virqsim.h"

struct hypervisor;

enum { SCHEDULE_TOLD = 16, SCHEDULE_NAME = 64 };

/* What an event was called when it was held back, and who overtook it: the first of them. */
struct schedule_told {
    uint64_t due_ps;
    char name[SCHEDULE_NAME];
    char past[SCHEDULE_TOLD][SCHEDULE_NAME];
};

struct schedule {
    struct trace_sink sink;
    const struct hypervisor *machine;
    struct explore explore;
    struct explore_hold hold[VIRQSIM_HOLDS];
    uint32_t past[VIRQSIM_HOLDS];
    struct schedule_told told[VIRQSIM_HOLDS];
    uint64_t *story; /* of each vCPU, a hash of what the trace tells of it, without times */
};

/* `story` has an element for each vCPU; window and holds are set. */
void schedule_init(struct schedule *s, const struct hypervisor *machine, uint64_t *story);
uint64_t schedule_signature(const struct schedule *s);
json_t *schedule_json(const struct schedule *s);
#endif
