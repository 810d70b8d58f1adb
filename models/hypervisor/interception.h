/*
 * Interceptions of e2k with several causes, the values that the hypervisor hands
 * back, and causes for which it has no handler (interceptions.def).
 */
#ifndef VIRQSIM_HYPERVISOR_INTERCEPTION_H
#define VIRQSIM_HYPERVISOR_INTERCEPTION_H

#include "hypervisor/hypervisor.h"

enum interception_fate {
    INTERCEPTION_UNKNOWN,
    INTERCEPTION_HANDLED,
    INTERCEPTION_COMPLAINED,
    INTERCEPTION_FATAL,
};
enum interception_fate interception_fate(enum exit_reason reason);

/* The costs of all causes; and what becomes of them, in KVM's order. */
void interception_pay(struct vcpu *v);
void interception_handle(struct vcpu *v);
/* The identification register was read: the guest gets its own core's number. */
void interception_identify(struct vcpu *v);
/* The entry of the read under way gets this value, with which the hardware completes it. */
void interception_replace(struct vcpu *v, uint64_t value);
void interception_complete(struct vcpu *v); /* at the entry */
#endif
