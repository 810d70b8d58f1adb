/*
 * The guest: one operation after the other, and the interrupts in between.
 *
 * An operation takes effect when it is issued and is paid for afterwards. What
 * is being paid may be interrupted; the rest is kept in the frame and paid
 * before the next operation.
 */
#include "hypervisor/disk.h"
#include "hypervisor/epic.h"
#include "hypervisor/interception.h"
#include "hypervisor/net_send.h"
#include "hypervisor/nic_path.h"

static void word_add(struct vcpu *v, const struct guest_insn *i)
{
    struct hypervisor *h = v->hypervisor;

    h->word[i->operand[0]] += i->operand[1];
    guest_word_changed(h, i->operand[0]);
}

static void stamp(struct vcpu *v, const struct guest_insn *i)
{
    struct hypervisor *h = v->hypervisor;

    vcpu_pay(v, COST_GUEST_RDTSC);
    trace_put(h->trace, 0, TRACE_STAMP, v->index, i->operand[0],
              clock_count(&h->tsc, hv_now(h)).n);
}

static void host_interrupt_now(struct vcpu *v)
{
    host_send(v->thread.pcpu, HOST_DEVICE, hv_now(v->hypervisor), 0);
}

/* The handler returns. An interrupt that has no EOI (NMI, ExtINT) retires here. */
static void leave_handler(struct vcpu *v)
{
    const struct guest_frame *f = v->guest.frame;

    if (!f->acknowledged)
        trace_put(v->hypervisor->trace, f->flow, TRACE_RETIRED, v->index, f->vector, 0);
    v->hw.interrupts_enabled = guest_leave_handler(&v->guest);
    v->hw.user_mode = guest_in_user_mode(&v->guest);
    vcpu_pay(v, COST_GUEST_IRET);
}

/* IRET. Only an NMI's ends a state of the hardware. False: the guest left. */
static bool iret(struct vcpu *v, const struct guest_insn *i)
{
    const trace_flow flow = v->guest.frame->flow;
    const bool of_nmi = v->guest.frame->vector == 2;
    struct virt_verdict verdict = {.path = VIRT_NATIVE};

    if (of_nmi)
        verdict = v->hw.ops->instruction(&v->hw, VIRT_IRET, 0);
    leave_handler(v);
    if (!virt_exits(&verdict))
        return true;
    v->access = guest_no_access();
    vcpu_exit_by(v, &verdict, TRACE_CAUSE_ACKNOWLEDGE, flow, i);
    return false;
}

/* False: it is not such an operation. */
static bool execute_alone(struct vcpu *v, const struct guest_insn *i)
{
    switch (i->op) {
    case GUEST_compute:
        v->extra.n += i->operand[0];
        break;
    case GUEST_compute_uniform:
        v->extra.n += rng_between(&v->guest.random, i->operand[0], i->operand[1]);
        break;
    case GUEST_stamp:
        stamp(v, i);
        break;
    case GUEST_word_add:
        if (!guest_has_word(v, i->operand[0], true))
            return true;
        vcpu_pay(v, COST_GUEST_OP);
        word_add(v, i);
        break;
    case GUEST_word_read:
        if (!guest_has_word(v, i->operand[0], false))
            return true;
        vcpu_pay(v, COST_GUEST_OP);
        break;
    case GUEST_mask:
    case GUEST_unmask:
        vcpu_pay(v, COST_GUEST_OP);
        v->hw.interrupts_enabled = i->op == GUEST_unmask;
        break;
    case GUEST_signal:
        hypervisor_device_act(&v->hypervisor->device[i->operand[0]]);
        break;
    case GUEST_lower:
        hypervisor_device_lower(&v->hypervisor->device[i->operand[0]]);
        break;
    case GUEST_host_interrupt:
        host_interrupt_now(v);
        break;
    case GUEST_timer_expires:
        timer_expires(v, (cycles){i->operand[0]});
        break;
    case GUEST_inhibit:
        inhibit_marked(v->hypervisor, (enum inhibit)i->operand[0], i->operand[1],
                       (cycles){i->operand[2]});
        break;
    case GUEST_host_until:
        v->held = true;
        v->held_word = i->operand[0];
        v->held_least = i->operand[1];
        v->held_longer = i->operand[2];
        break;
    case GUEST_setup:
        v->setting_up = i->operand[0];
        break;
    case GUEST_delivery_fault:
        v->hw.delivery_faults = true;
        break;
    case GUEST_disk_ask:
        disk_ask(v, i);
        break;
    case GUEST_disk_interrupt:
        disk_seen(v, i);
        break;
    default:
        return false;
    }
    guest_next(&v->guest);
    return true;
}

static void end_of_program(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;

    if (v->program_ended)
        return;
    v->program_ended = true;
    trace_put(h->trace, 0, TRACE_PROGRAM_END, v->index, 0, 0);
    if (--h->running == 0)
        event_queue_stop(h->events);
}

/* EOI by clearing a bit in memory, where the hypervisor has offered it. */
static bool pv_eoi(struct vcpu *v)
{
    if (!v->pv_eoi)
        return false;
    v->pv_eoi = false;
    vcpu_pay(v, COST_GUEST_OP);
    guest_next(&v->guest);
    return true;
}

/* The present operation; true when the guest goes on after what it costs. */
static bool execute(struct vcpu *v, const struct guest_insn *i)
{
    struct access a;

    if (execute_alone(v, i))
        return true;
    switch (i->op) {
    case GUEST_iret:
        return iret(v, i);
    case GUEST_uiret:
        user_return(v);
        return true;
    case GUEST_senduipi:
        return user_send(v, i);
    case GUEST_stui:
    case GUEST_clui:
    case GUEST_upid_notify:
    case GUEST_upid_suppress:
        user_perform(v, i);
        return true;
    case GUEST_rx_poll:
        nic_path_poll(v, i);
        return true;
    case GUEST_rx_unmask:
        nic_path_unmask(v, i);
        return true;
    case GUEST_spin_until:
    case GUEST_spin_take:
    case GUEST_halt:
    case GUEST_unmask_halt:
    case GUEST_halt_until:
    case GUEST_halt_take:
    case GUEST_pause_until:
    case GUEST_pause_take:
    case GUEST_mwait:
    case GUEST_mwait_until:
    case GUEST_mwait_take:
    case GUEST_lock:
        return guest_wait(v, i);
    case GUEST_unlock:
        return guest_unlock(v, i);
    case GUEST_pv_yield:
        return guest_pv_yield(v, i);
    case GUEST_disk_issue:
    case GUEST_disk_reap:
        disk_drive(v, i);
        break;
    case GUEST_tx_send:
    case GUEST_tx_reap:
        tx_drive(v, i);
        break;
    case GUEST_eoi:
        if (guest_in_handler(&v->guest) && pv_eoi(v))
            return true;
        break;
    default:
        break;
    }
    a = guest_access_of(v, i, v->guest.frame->part);
    if (a.kind != ACCESS_NONE)
        return guest_perform(v, i, &a);
    guest_next(&v->guest); /* an EOI without an APIC, a device that needs no notification */
    return true;
}

/* --- interrupts in the guest --- */

/* Is this vector's end an EOI, or the handler's return? */
static bool retires_by_eoi(const struct vcpu *v, int vector, trace_flow flow)
{
    return vec_has(&v->apic.regs.ISR, (unsigned)vector) && v->apic.service_flow[vector] == flow;
}

static void handler_begins(struct vcpu *v)
{
    trace_put(v->hypervisor->trace, v->guest.frame->flow, TRACE_HANDLER, v->index,
              (uint64_t)v->delivering, 0);
    v->delivering = NO_VECTOR;
}

static void put_before_guest(struct vcpu *v, trace_flow flow, int vector, enum trace_inject how)
{
    trace_put(v->hypervisor->trace, flow, TRACE_INJECTED, v->index, (uint64_t)vector, how);
}

/* The interrupt's handler becomes the innermost frame. False: there is no room for it. */
static bool enter_handler(struct vcpu *v, const struct virt_boundary *b,
                          bool interrupts_enabled)
{
    const unsigned vector = (unsigned)b->vector;
    trace_flow flow = v->injecting_flow;

    if (v->hw.passive_context)
        return epic_trap(v, b, interrupts_enabled);
    if (b->user) {
        flow = v->hw.user->flow[vector - TRACE_USER_VECTOR(0)];
        put_before_guest(v, flow, b->vector, TRACE_INJECT_USER);
        return guest_enter_user_handler(&v->guest, vector, flow, interrupts_enabled);
    }
    if (!b->injected) {
        flow = v->apic.service_flow[vector];
        put_before_guest(v, flow, b->vector,
                         v->hw.ops->delivers(&v->hw) ? TRACE_INJECT_VIRTUAL
                                                     : TRACE_INJECT_DIRECT);
    } else {
        v->injecting = NO_VECTOR;
    }
    if (!guest_enter_handler(&v->guest, vector, flow, interrupts_enabled))
        return false;
    v->guest.frame->acknowledged = !b->nmi && retires_by_eoi(v, b->vector, flow);
    return true;
}

static enum cost_key delivery_cost(const struct vcpu *v, const struct virt_boundary *b)
{
    if (b->user)
        return COST_GUEST_USER_DELIVER;
    return b->injected || v->hw.passive_context || !v->hw.ops->delivers(&v->hw)
               ? COST_GUEST_DELIVER
               : COST_HW_VIRTUAL_DELIVER;
}

static void begin_delivery(struct vcpu *v, const struct virt_boundary *b,
                           bool interrupts_enabled)
{
    guest_spin_stop(v);
    if (b->notification) {
        user_notified(v, b);
        return;
    }
    if (v->delivering != NO_VECTOR)
        handler_begins(v); /* and is interrupted at its first instruction */
    if (!enter_handler(v, b, interrupts_enabled)) {
        v->hypervisor->crashed = v;
        event_queue_stop(v->hypervisor->events);
        return;
    }
    v->delivering = v->guest.frame->unnamed ? NO_VECTOR : b->vector;
    vcpu_pay(v, delivery_cost(v, b));
}

void guest_interrupted(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const sim_time now = hv_now(h);

    guest_spin_stop(v);
    if (!event_is_armed(h->events, &v->step))
        return;
    if (time_before(now, v->due))
        v->guest.frame->remaining +=
            clock_count(&h->core, v->due).n - clock_count(&h->core, now).n;
    event_disarm(h->events, &v->step);
    v->action = NULL;
}

/* The interrupt that an exit for the sake of delivery is about, as far as it can be told. */
static trace_flow pending_flow(const struct vcpu *v)
{
    const int vector = lapic_pending(&v->apic);

    if (v->epic)
        return epic_next_flow(v);
    return vector == NO_VECTOR ? 0 : v->apic.pending_flow[vector];
}

/* An instruction boundary. False: the guest left, or a handler begins. */
static bool boundary(struct vcpu *v)
{
    const bool enabled = v->hw.interrupts_enabled;
    const struct virt_boundary b = v->hw.ops->boundary(&v->hw);

    if (virt_exits(&b.exit)) {
        v->access = guest_no_access();
        vcpu_exit(v, &b.exit, TRACE_CAUSE_DELIVERY, pending_flow(v));
        return false;
    }
    if (b.vector == NO_VECTOR)
        return true;
    begin_delivery(v, &b, enabled);
    vcpu_continue(v, guest_run);
    return false;
}

/* Whose interrupt makes the guest leave as soon as it is entered. */
static trace_flow leaving_flow(const struct vcpu *v, const struct virt_boundary *b)
{
    if (b->exit.reason != EXIT_VMX_PREEMPTION_TIMER)
        return pending_flow(v);
    return v->immediate_exit ? v->guest.frame->flow : v->timer_flow;
}

/* The hardware has loaded the guest: what it was told to inject, then what arrived meanwhile. */
void guest_arrive(struct vcpu *v)
{
    const bool enabled = v->hw.interrupts_enabled;
    const uint64_t injected =
        v->injecting == NO_VECTOR ? TRACE_NO_VECTOR : (uint64_t)v->injecting;
    struct virt_boundary b;

    timer_arrive(v);
    if (v->hw.passive_context)
        interception_complete(v);
    v->hw.timer_expired = host_wants_exit(v);
    b = v->hw.ops->enter(&v->hw);
    v->access = guest_no_access();
    trace_put(v->hypervisor->trace, v->injecting == NO_VECTOR ? 0 : v->injecting_flow,
              TRACE_VM_ENTRY, v->index, injected, 0);
    if (b.vector != NO_VECTOR) {
        begin_delivery(v, &b, enabled);
        v->guest.frame->remaining += vcpu_owes(v); /* paid once the guest has the core */
        v->extra.n = v->stall.n = 0;
    }
    if (virt_exits(&b.exit))
        vcpu_exit(v, &b.exit, TRACE_CAUSE_DELIVERY, leaving_flow(v, &b));
    else if (!host_leaves_at_once(v))
        vcpu_take(v, VCPU_ON_ARRIVED);
}

/* Work that was interrupted, or a handler's way through the IDT. True: there was some. */
static bool pay_remaining(struct vcpu *v)
{
    struct guest_frame *f = v->guest.frame;

    if (f->remaining == 0)
        return false;
    v->stall.n += f->remaining; /* as long as it was to be */
    f->remaining = 0;
    vcpu_continue(v, guest_run);
    return true;
}

void guest_run(struct vcpu *v)
{
    const struct guest_insn *i;

    if (!boundary(v) || pay_remaining(v))
        return;
    if (v->guest.frame->unnamed) {
        epic_ask_vector(v);
        return;
    }
    if (v->delivering != NO_VECTOR)
        handler_begins(v);
    if (virt_waits(&v->hw) && guest_sleeps(v))
        return;
    i = guest_fetch(&v->guest);
    if (!i)
        end_of_program(v);
    else if (execute(v, i))
        vcpu_continue(v, guest_run);
}
