/*
 * Pausing the VM.
 *
 * Each vCPU gets a signal: one that is in its guest leaves, one that sleeps in
 * KVM's HLT is woken, one that is in a device model completes its instruction
 * first (userspace.c). All of them having stopped, the pause begins.
 *
 * Left out: QEMU's main loop waits meanwhile, and does nothing else; devices and
 * the guest's clock are stopped too. Here they go on.
 */
#include "hypervisor/host_thread.h"

static void stop(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;
    const sim_time at =
        hv_after(h, h->costs.of[COST_USER_SIGNAL].n + h->costs.of[COST_HW_IPI].n);

    v->stop = v->signal = true;
    if (vcpu_waits(v) && halt_ends(v)) {
        thread_wake(&v->thread, at);
    } else if (vcpu_in_guest_mode(v) && !v->kicked) {
        v->kicked = true;
        host_send(v->thread.pcpu, HOST_RESCHEDULE, at, 0);
    }
}

void vm_pause_begin(struct vm_pause *pause, struct thread *by, uint64_t ps)
{
    struct hypervisor *h = pause->hypervisor;

    if (pause->ps)
        return;
    pause->ps = ps;
    pause->stopped = 0;
    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        by->ops->pay(by, h->costs.of[COST_USER_SIGNAL]);
        stop(&h->vcpu[i]);
    }
}

void vm_pause_stopped(struct vcpu *v)
{
    struct hypervisor *h = v->hypervisor;
    struct vm_pause *pause = &h->threads->pause;

    if (++pause->stopped == h->vcpu_count)
        event_arm(h->events, &pause->end, time_plus_ps(hv_now(h), pause->ps));
}

static void pause_ends(struct event *e)
{
    struct vm_pause *pause = EVENT_OWNER(e, struct vm_pause, end);
    struct hypervisor *h = pause->hypervisor;
    const uint64_t wake = h->costs.of[COST_HOST_WAKE].n + h->costs.of[COST_HW_IPI].n;

    pause->ps = 0;
    for (uint32_t i = 0; i < h->vcpu_count; i++) {
        struct vcpu *v = &h->vcpu[i];

        v->stop = false;
        vcpu_take(v, VCPU_ON_WOKEN);
        thread_ready(&v->thread, hv_after(h, wake));
    }
}

void vm_pause_init(struct hypervisor *h, struct vm_pause *pause)
{
    *pause = (struct vm_pause){.hypervisor = h};
    event_init(h->events, &pause->end, EVENT_PHASE_CPU, pause_ends);
}
