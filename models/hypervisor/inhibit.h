/*
 * Why APICv or AVIC is off (inhibits.def), and the way there and back (inhibit.c).
 */
#ifndef VIRQSIM_HYPERVISOR_INHIBIT_H
#define VIRQSIM_HYPERVISOR_INHIBIT_H

#include "port/event.h"
#include "virt/technology.h"

struct hypervisor;
struct vcpu;

enum inhibit {
#define INHIBIT(id, ...) INHIBIT_##id,
#include "hypervisor/inhibits.def"
#undef INHIBIT
    INHIBIT_COUNT
};

typedef uint32_t inhibit_set; /* bit n: enum inhibit n */
#define INHIBIT_BIT(id) ((inhibit_set)1 << INHIBIT_##id)

enum inhibit_by { INHIBIT_BY_MACHINE, INHIBIT_BY_PLAN };

struct inhibit_info {
    const char *name; /* KVM's */
    bool vmx, svm;    /* who heeds it */
    enum inhibit_by by;
    const char *meaning, *where;
};
extern const struct inhibit_info inhibits[INHIBIT_COUNT];

/* Of the plan's: a reason comes, or goes. */
struct inhibit_change {
    sim_time at;
    enum inhibit reason;
    bool on;
};

struct inhibits {
    inhibit_set heeded, by_machine, by_plan;
    const struct inhibit_change *change; /* ascending */
    uint32_t count, next;
    struct event due;
    bool begun;
    struct event mark; /* by a program, of a change that is to come */
    struct inhibit_change marked;
};

/* Before controls_set(). Of the plan there are changes and policy. */
void inhibit_init(struct hypervisor *h, enum virt_vendor vendor);
inhibit_set inhibit_in_force(const struct hypervisor *h);
/* The features of the machine, without those that the vCPU has to do without at present. */
feature_set inhibit_features(const struct vcpu *v);
/* A cause in the machine comes or goes; `self` pays for it, NULL: nobody. */
void inhibit_by_machine(struct hypervisor *h, enum inhibit reason, bool on, struct vcpu *self);
/* A mark in a program: a reason comes or goes, after so many cycles. */
void inhibit_marked(struct hypervisor *h, enum inhibit reason, bool on, cycles after);
/* A guest wrote an APIC register that IDs are made of. */
void inhibit_check_ids(struct vcpu *self);
/* The vCPU's control structure follows the reasons, before its next entry. */
void inhibit_apply(struct vcpu *v);
#endif
