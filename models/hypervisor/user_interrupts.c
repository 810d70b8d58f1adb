/*
 * User interrupts in the machine: SENDUIPI, whose post is the processor's own and
 * whose IPI the virtualization hardware sends or the hypervisor emulates, and the
 * receiver's side of it. docs/models/uintr.md.
 *
 * The main program and the handlers of user interrupts are user code, the other
 * handlers the kernel's. A plan holds the tables (sim/plan_user.c), and every
 * entry of them is valid: SENDUIPI does not fault here.
 */
#include <assert.h>

#include "hypervisor/hypervisor.h"

/* The user interrupt; its IPI, if there is one, is an interrupt of its own. */
static struct uintr_sent post(struct vcpu *v, uint64_t index)
{
    struct trace *t = v->hypervisor->trace;
    const trace_flow flow = trace_new_flow(t);

    trace_put(t, flow, TRACE_RAISED, v->index, uintr_vector_of(v->hw.user, index),
              TRACE_SOURCE(TRACE_SOURCE_USER_IPI, v->index));
    return uintr_send(v->hw.user, index, flow, v->index);
}

bool user_send(struct vcpu *v, const struct guest_insn *i)
{
    const struct uintr_sent sent = post(v, i->operand[0]);
    const struct access a = {
        .kind = ACCESS_USER_IPI, .value = VIRT_USER_IPI(sent.nv, sent.ndst), .write = true};

    assert(sent.outcome == UINTR_POSTED || sent.outcome == UINTR_NOTIFY);
    vcpu_pay(v, COST_GUEST_SENDUIPI);
    if (sent.outcome == UINTR_NOTIFY)
        return guest_perform(v, i, &a);
    guest_next(&v->guest);
    return true;
}

void user_perform(struct vcpu *v, const struct guest_insn *i)
{
    struct uintr *u = v->hw.user;

    switch (i->op) {
    case GUEST_stui:
    case GUEST_clui:
        uintr_set_uif(u, i->op == GUEST_stui);
        vcpu_pay(v, i->op == GUEST_stui ? COST_GUEST_STUI : COST_GUEST_CLUI);
        break;
    case GUEST_upid_notify:
        uintr_put(&u->upid->words, UINTR_UPID_NV, i->operand[0]);
        vcpu_pay(v, COST_GUEST_OP);
        break;
    default: /* upid_suppress */
        uintr_put(&u->upid->words, UINTR_UPID_SN, i->operand[0]);
        vcpu_pay(v, COST_GUEST_OP);
        break;
    }
    guest_next(&v->guest);
}

/* Of an injected one only the hypervisor knows the flow. */
void user_notified(struct vcpu *v, const struct virt_boundary *b)
{
    if (b->injected) {
        trace_put(v->hypervisor->trace, v->injecting_flow, TRACE_TAKEN, v->index,
                  (uint64_t)b->vector, 0);
        v->injecting = NO_VECTOR;
    }
    vcpu_pay(v, COST_HW_USER_NOTIFICATION);
}

void user_return(struct vcpu *v)
{
    const struct guest_frame *f = v->guest.frame;

    trace_put(v->hypervisor->trace, f->flow, TRACE_RETIRED, v->index, f->vector, 0);
    guest_leave_handler(&v->guest); /* RFLAGS.IF is not among what UIRET loads */
    uintr_set_uif(v->hw.user, true);
    vcpu_pay(v, COST_GUEST_UIRET);
}

bool user_takes(const struct vcpu *v, unsigned vector)
{
    return v->hw.user && vmcs_get(&v->hw.vmcs, VMCS_GUEST_UINV) == vector;
}
