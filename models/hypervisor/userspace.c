/*
 * Userspace: QEMU's kvm_cpu_exec(), a switch on KVM_RUN's reason around the
 * call. With the interrupt controllers in userspace it also asks its APIC for
 * the vector before each KVM_RUN (kvm_arch_pre_run).
 *
 * Each return takes QEMU's global lock, where the machine has one (a main loop is
 * among its threads): for the device, or in the outer loop, which -EINTR returns to.
 */
#include "hypervisor/disk.h"
#include "hypervisor/interception.h"
#include "hypervisor/net_send.h"
#include "hypervisor/serial.h"

/* Its local APIC has something for the guest. */
static bool apic_has(const struct vcpu *v)
{
    return v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE &&
           lapic_pending(&v->apic) != NO_VECTOR;
}

/* QEMU: cpu_get_pic_interrupt(): the local APIC's vector, else the 8259A's. */
static void interrupt_kvm(struct vcpu *v)
{
    if (apic_has(v)) {
        v->user_vector = lapic_acknowledge(&v->apic);
        v->user_flow = v->apic.service_flow[v->user_vector];
    } else {
        v->user_vector = extint_take(v, &v->user_flow);
    }
    vcpu_pay(v, COST_USER_INTERRUPT);
}

/* What userspace's controllers have; with a split irqchip the 8259A is one of them. */
static bool has_more(const struct vcpu *v)
{
    return v->hypervisor->policy.irqchip != IRQCHIP_KERNEL && (apic_has(v) || extint_waits(v));
}

/* KVM_INTERRUPT when the guest can take one, a request for the window for what it cannot take yet. */
static void before_run(struct vcpu *v)
{
    const bool able = !startup_concerns(v) && !v->hw.gif_clear && v->hw.interrupts_enabled &&
                      v->user_vector == NO_VECTOR && v->reinject == NO_VECTOR;

    if (able && has_more(v))
        interrupt_kvm(v);
    v->window_wanted = has_more(v);
}

static void enter_kvm(struct vcpu *v)
{
    if (v->reschedule) {
        v->in_userspace = true;
        vcpu_take(v, VCPU_ON_PREEMPT);
        return;
    }
    v->in_userspace = v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE && startup_concerns(v);
    if (v->in_userspace && !startup_ready(v))
        return;
    v->in_userspace = false;
    vcpu_take(v, VCPU_ON_ENTER_KVM);
}

/* Behind what is left to pay. */
static void give_lock(struct vcpu *v)
{
    global_lock_give(&v->thread, hv_after(v->hypervisor, vcpu_owes(v)));
}

/* An I/O instruction is complete only when KVM has run once more. Who is to stop kicks itself before
   that (kvm_cpu_kick_self()): KVM_RUN completes the instruction, and returns -EINTR at once. */
static void run_again(struct vcpu *v)
{
    v->signal = v->stop;
    before_run(v);
    give_lock(v);
    vcpu_pay(v, COST_USER_ENTRY);
    vcpu_continue(v, enter_kvm);
}

/* A device outside answers; its time is the vCPU's. */
static void ask_external(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;
    const struct access *a = &v->access;
    const bool port = a->instruction == VIRT_PORT_IO;
    const struct region *r = region_of(h, port, a->address);
    uint64_t value = a->value, ps;

    if (!r || r->handler != REGION_EXTERNAL || !h->external)
        return;
    ps = h->external(h->external_context, port, a->write, a->address, a->size, &value);
    v->stall.n += clock_count(&h->core, (sim_time){ps}).n;
    if (!a->write && v->hw.passive_context)
        interception_replace(v, value);
}

/* KVM_EXIT_IO and KVM_EXIT_MMIO: the device model, or the APIC in userspace. */
static void device_access(struct vcpu *v)
{
    const bool apic = v->access.kind != ACCESS_INSTRUCTION;

    vcpu_pay(v, apic ? COST_USER_APIC : COST_USER_DEVICE);
    if (apic)
        exit_complete_access(v);
    else
        ask_external(v);
    board_access(v);
    disk_access(v);
    tx_access(v);
    serial_access(v);
    msix_entry_access(v);
    guest_access_done(v);
    if (v->outbox_count) {
        v->after_outbox = run_again;
        deliver_next(v);
        return;
    }
    run_again(v);
}

static void halted(struct vcpu *v)
{
    vcpu_pay(v, COST_USER_HALT);
    halt_begin(v);
    if (halt_ends(v)) {
        run_again(v);
        return;
    }
    give_lock(v);
    v->in_userspace = true;
    vcpu_take(v, VCPU_ON_BLOCK);
}

/* The outer loop, qemu_wait_io_event(): stop here, if somebody asked. */
static void interrupted(struct vcpu *v)
{
    if (!v->stop) {
        run_again(v);
        return;
    }
    give_lock(v);
    v->in_userspace = v->stopped = true;
    vcpu_take(v, VCPU_ON_STOP);
}

static bool has_halted(const struct vcpu *v)
{
    return v->exit.reason == EXIT_VMX_HLT || v->exit.reason == EXIT_SVM_HLT ||
           v->exit.reason == EXIT_SVM_IDLE_HLT;
}

/* The VM goes on. One that had halted still does: mp_state has not changed. */
static void go_on(struct vcpu *v)
{
    v->in_userspace = v->stopped = false;
    if (!has_halted(v) || halt_ends(v)) {
        run_again(v);
        return;
    }
    vcpu_pay(v, COST_USER_ENTRY);
    halt_begin(v);
    timer_sleeps(v);
    v->in_userspace = v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE;
    vcpu_take(v, VCPU_ON_BLOCK);
}

/* QEMU: vm_stop(RUN_STATE_INTERNAL_ERROR), or the end of the process. Nothing runs again. */
static void stop_for_good(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;

    give_lock(v);
    h->stopped = v;
    event_queue_stop(h->events);
}

/* QEMU: qemu_system_reset_request(). */
static void shut_down(struct vcpu *v)
{
    if (v->hypervisor->policy.no_reboot) {
        stop_for_good(v);
        return;
    }
    startup_reset_machine(v);
    run_again(v);
}

static void handle_reason(struct vcpu *v)
{
    switch (v->kvm_exit) {
    case KVM_RUN_EAGAIN:
    case KVM_EXIT_INTR:
        interrupted(v);
        break;
    case KVM_EXIT_IO:
    case KVM_EXIT_MMIO:
        device_access(v);
        break;
    case KVM_EXIT_HLT:
        halted(v);
        break;
    case KVM_EXIT_SHUTDOWN:
        shut_down(v);
        break;
    case KVM_EXIT_UNKNOWN:
    case KVM_EXIT_INTERNAL_ERROR:
        stop_for_good(v);
        break;
    case KVM_EXIT_IOAPIC_EOI:
        vcpu_pay(v, COST_USER_DEVICE);
        board_eoi_arrived(v, v->eoi_vector);
        run_again(v);
        break;
    default:
        run_again(v);
        break;
    }
}

/* With the lock; whoever finds it taken sleeps, and comes back here. */
static void locked(struct vcpu *v)
{
    v->wants_lock = !global_lock_take(&v->thread);
    v->in_userspace = v->wants_lock;
    if (!v->wants_lock) {
        handle_reason(v);
        return;
    }
    vcpu_pay(v, COST_USER_LOCK);
    vcpu_take(v, VCPU_ON_LOCK);
}

void userspace_run(struct vcpu *v)
{
    if (v->wants_lock) {
        locked(v);
        return;
    }
    if (v->stopped) {
        go_on(v);
        return;
    }
    if (v->in_userspace) { /* it was waiting here, not in KVM_RUN */
        v->in_userspace = false;
        run_again(v);
        return;
    }
    trace_put(v->hypervisor->trace, 0, TRACE_USERSPACE, v->index, v->kvm_exit, v->exit_cause);
    locked(v);
}

/* QEMU: cpu_interrupt(): a wake-up for a thread that waits, a signal for any other, wherever it
   is: it may just have looked for interrupts, and KVM_RUN then returns at once. */
void userspace_interrupt(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow)
{
    struct hypervisor *h = v->hypervisor;

    if (vcpu_waits(v)) { /* in userspace, or in KVM's HLT, which the signal ends too */
        v->signal = h->policy.irqchip == IRQCHIP_SPLIT;
        vcpu_kick(v, sender, vector, flow);
        return;
    }
    if (v == sender) {
        trace_put(h->trace, flow, TRACE_NOTIFIED, v->index, vector, TRACE_NOTIFY_NOT_NEEDED);
        return;
    }
    v->signal = true;
    trace_put(h->trace, flow, TRACE_NOTIFIED, v->index, vector, TRACE_NOTIFY_SIGNAL);
    if (vcpu_in_guest_mode(v) && !v->kicked) {
        v->kicked = true;
        host_send(v->thread.pcpu, HOST_RESCHEDULE,
                  hv_after(h, h->costs.of[COST_USER_SIGNAL].n + h->costs.of[COST_HW_IPI].n),
                  flow);
    }
}
