/*
 * Exits after which the guest does not go on: KVM can but tell userspace, which resets or stops
 * the machine (userspace.c).
 */
#include "hypervisor/exits.h"

static void tell_userspace(struct vcpu *v, enum kvm_exit why)
{
    v->kvm_exit = why;
    vcpu_take(v, VCPU_ON_TO_USER);
}

/* KVM: handle_triple_fault(), shutdown_interception(). */
void handle_shutdown(struct vcpu *v)
{
    tell_userspace(v, KVM_EXIT_SHUTDOWN);
}

/* KVM: handle_encls(), where the guest was not given SGX: a reason that nobody asked for. */
void handle_unknown(struct vcpu *v)
{
    tell_userspace(v, KVM_EXIT_UNKNOWN);
}

/* KVM: KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON of svm_handle_invalid_exit(), and
   KVM_INTERNAL_ERROR_EMULATION of handle_emulation_failure(). */
void handle_internal_error(struct vcpu *v)
{
    tell_userspace(v, KVM_EXIT_INTERNAL_ERROR);
}
