/*
 * An EPIC guest's interrupts under KVM for e2k.
 *
 * Without EPIC virtualization KVM emulates the CEPIC: what waits there becomes
 * exc_interrupt before an entry (kvm_epic_set_irq(), kvm_wake_up_irq()). With it
 * the hardware delivers to a core that is loaded; a message that misses interrupts
 * the host on the sender's core (CEPIC_EPIC_INT), which sets the bit in the
 * target's copy of PMIRR and wakes it (kvm_deliver_cepic_epic_interrupt()). The
 * copy and the register are one here.
 */
#include <assert.h>

#include "hypervisor/epic.h"
#include "hypervisor/interception.h"
#include "hypervisor/ioepic_board.h"

enum { NMI_VECTOR = EPIC_NMI_VECTOR, LEGACY_VECTOR = 0xff0 };

static struct epic_vcpu *of_port(struct cepic_port *port)
{
    return EVENT_OWNER(port, struct epic_vcpu, port);
}

/* --- out of the emulated CEPIC --- */

static void collect(struct vcpu *sender, uint32_t target, trace_flow flow)
{
    const struct epic_msg *m = &sender->epic->message;

    trace_put(sender->hypervisor->trace, flow, TRACE_ROUTED, target, m->vector,
              TRACE_PARENT(m->source, m->flow));
    sender->outbox[sender->outbox_count++] = (struct destination){(uint16_t)target, flow};
}

static void route(struct vcpu *sender, const struct epic_msg *msg)
{
    struct hypervisor *h = sender->hypervisor;

    sender->epic->message = *msg;
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        if (e2k_is_meant(&h->guest, msg, i))
            collect(sender, i, sender->outbox_count ? trace_new_flow(h->trace) : msg->flow);
    if (sender->outbox_count == 0)
        trace_put(h->trace, msg->flow, TRACE_REFUSED, TRACE_NOWHERE, msg->vector,
                  TRACE_REFUSED_NO_DESTINATION);
}

static void sends(struct cepic_port *port, const struct epic_msg *msg)
{
    struct vcpu *v = of_port(port)->vcpu;
    struct epic_msg m = *msg;

    m.flow = v->message_flow;
    e2k_name_vector(&m);
    route(v, &m);
}

/* Of a CEPIC in hardware KVM hears nothing. */
static void ends(struct cepic_port *port, uint16_t vector)
{
    struct vcpu *v = of_port(port)->vcpu;

    if (!v->hw.e2k.epic)
        ioepic_board_ended(v, vector);
}

static void arms(struct cepic_port *port, enum cepic_timer_id timer, sim_time deadline)
{
    if (timer == CEPIC_TIMER)
        epic_timer_armed(of_port(port)->vcpu, deadline);
    else
        epic_nm_timer_armed(of_port(port)->vcpu, deadline);
}

/* Linux for e2k: __setup_prepic(), prepic_set_virt_en(). The lines and errors are the host's. */
static void host_takes(struct prepic_port *port, const struct epic_msg *msg)
{
    (void)port, (void)msg;
}

void epic_machine_init(struct hypervisor *h)
{
    enum { VIRT_EN = 1 << 12 };

    h->guest.prepic_port.send = host_takes;
    for (unsigned n = 0; n < PREPIC_PROCESSORS; n++) {
        prepic_init(&h->guest.prepic[n], n, n == 0, &h->guest.prepic_port);
        if (feature_in(h->features, FEATURE_EPIC_VIRTUALIZATION))
            prepic_write(&h->guest.prepic[n], PREPIC_CTRL2, 4, VIRT_EN);
    }
}

/* A core's number names its processor; which core of it, does not matter to a PREPIC. */
uint64_t epic_hop(const struct hypervisor *h, unsigned processor, const struct pcpu *to)
{
    const uint16_t dest = (uint16_t)(to->socket << 8);

    return prepic_is_local(&h->guest.prepic[processor], dest) ? 0
                                                              : h->costs.of[COST_HW_EPIC_HOP].n;
}

void epic_init(struct hypervisor *h, struct vcpu *v)
{
    struct epic_vcpu *e = v->epic;
    const struct cepic_config config = {
        .index = v->index,
        .id = e2k_cepic_id(v->index),
        .bootstrap = v->index == 0,
        .enabled = true,
        .clock = h->apic_bus,
        .trace = h->trace,
        .port = &e->port,
    };

    e->vcpu = v;
    e->port = (struct cepic_port){sends, ends, arms};
    cepic_init(&e->cepic, &config);
    h->guest.cepic[v->index] = &e->cepic;
    v->hw.cepic = &e->cepic;
    v->hw.guest = &h->guest;
    epic_nm_timer_init(v);
    epic_device_init(v);
}

/* --- in --- */

/* The emulated CEPIC knows fixed messages and NMIs (__epic_accept_irq()); PNMIRR has a bit for each
   mode (kvm_hw_epic_deliver_to_pirr()), of which INIT and STARTUP make no interrupt. */
static bool takes_mode(const struct vcpu *v, unsigned delivery)
{
    if (delivery <= EPIC_FIXED_IPI || delivery == EPIC_NMI)
        return true;
    return v->hw.e2k.epic && delivery < EPIC_INIT;
}

/* KVM: kvm_irq_delivery_to_hw_epic(), kvm_irq_delivery_to_sw_epic(). */
bool epic_accept(struct vcpu *target, const struct epic_msg *msg, struct vcpu *sender)
{
    enum cepic_answer answer;

    if (sender)
        vcpu_pay(sender, target->hw.e2k.epic ? COST_KVM_POST : COST_KVM_ACCEPT);
    if (!takes_mode(target, msg->delivery)) {
        trace_put(target->hypervisor->trace, msg->flow, TRACE_REFUSED, target->index,
                  msg->vector, TRACE_REFUSED_MODE);
        return false;
    }
    answer = cepic_accept(&target->epic->cepic, msg);
    if (answer == CEPIC_ACCEPTED)
        deliver_ring(target, sender, msg->vector, msg->flow);
    return answer != CEPIC_REFUSED;
}

void epic_hand_over(struct vcpu *sender, const struct destination *d)
{
    struct epic_msg msg = sender->epic->message;

    msg.flow = d->flow;
    epic_accept(&sender->hypervisor->vcpu[d->vcpu], &msg, sender);
}

/* KVM: kvm_epic_write_dat(), kvm_epic_invalidate_dat(). */
void epic_set_loaded(struct vcpu *v, bool loaded)
{
    struct epic_dat_row *row;

    v->epic->loaded = loaded;
    if (!v->hw.e2k.epic)
        return;
    row = &v->hypervisor->guest.dat.row[v->thread.pcpu->index];
    *row = (struct epic_dat_row){loaded, v->hypervisor->guest.id, e2k_cepic_id(v->index)};
    if (loaded)
        epic_nm_timer_loaded(v);
}

static void hit(struct vcpu *sender, const struct avic_target *t, sim_time at)
{
    struct hypervisor *h = sender->hypervisor;
    struct vcpu *v = &h->vcpu[t->index];

    if (!t->flow || v == sender)
        return;
    trace_put(h->trace, t->flow, TRACE_NOTIFIED, v->index, sender->epic->message.vector,
              TRACE_NOTIFY_DIRECT);
    if (v->state == VCPU_POLLING && halt_ends(v))
        thread_wake(&v->thread, hv_now(h));
    host_send(&h->pcpu[t->host], HOST_DOORBELL, at, t->flow);
}

/* A miss comes back before the sender's next instruction: the guest's driver waits until ICR is
   idle before it writes it again. */
void epic_tell_targets(struct vcpu *sender)
{
    struct hypervisor *h = sender->hypervisor;
    const uint64_t write = sender->extra.n + h->costs.of[COST_HW_APIC_PAGE].n;
    const unsigned processor = sender->thread.pcpu->socket;

    sender->epic->message = cepic_decode_icr(&sender->epic->cepic, sender->access.value);
    e2k_name_vector(&sender->epic->message);
    for (uint32_t n = 0; n < sender->hw.target_count; n++) {
        const struct avic_target *t = &sender->hw.target[n];

        if (t->running)
            hit(sender, t,
                hv_after(h, write + h->costs.of[COST_HW_IPI].n +
                                epic_hop(h, processor, &h->pcpu[t->host])));
    }
    if (sender->hw.e2k.epic_int)
        host_send(sender->thread.pcpu, HOST_EPIC, hv_after(h, write), 0);
}

static void deliver_missed(struct vcpu *sender)
{
    struct epic_msg msg = sender->hw.e2k.epic_int2;

    sender->hw.e2k.epic_int = false;
    for (uint32_t n = 0; n < sender->hw.target_count; n++) {
        const struct avic_target *t = &sender->hw.target[n];

        msg.flow = t->flow;
        if (!t->running)
            epic_accept(&sender->hypervisor->vcpu[t->index], &msg, sender);
    }
}

static struct vcpu *missed_on(const struct pcpu *p)
{
    for (struct thread *t = p->threads; t; t = t->sibling)
        if (t->vcpu && t->vcpu->hw.e2k.epic_int)
            return t->vcpu;
    return NULL;
}

/* From the beginning each time: who was woken may have gone to another CPU. */
void epic_take_missed(struct pcpu *p)
{
    struct vcpu *v;

    while ((v = missed_on(p)))
        deliver_missed(v);
}

uint32_t epic_missed(const struct vcpu *sender, unsigned vcpu, unsigned vector)
{
    uint32_t count = 0;

    if (!sender->hw.e2k.epic_int || sender->hw.e2k.epic_int2.vector != vector)
        return 0;
    for (uint32_t n = 0; n < sender->hw.target_count; n++)
        count += !sender->hw.target[n].running && sender->hw.target[n].index == vcpu;
    return count;
}

/* --- glaunch and interception --- */

/* What the hardware does not switch: AAU, CTPRs, loop and global registers (hv_glaunch.c). */
void epic_pay_interception(struct vcpu *v)
{
    vcpu_pay(v, COST_HW_STACKS);
    vcpu_pay(v, COST_KVM_PASSIVE_SAVE);
}

void epic_pay_launch(struct vcpu *v)
{
    vcpu_pay(v, COST_KVM_PASSIVE_RESTORE);
    if (v->hw.e2k.g_preempt_tmr)
        vcpu_pay(v, COST_KVM_QUANTUM);
}

/* --- before an entry --- */

/* The guest's controller is an EPIC, or a local APIC. */
static int next_vector(const struct vcpu *v)
{
    return v->epic ? cepic_waiting(&v->epic->cepic) : lapic_pending(&v->apic);
}

static bool nmi_waits(const struct vcpu *v)
{
    return v->epic ? cepic_nonmaskable(&v->epic->cepic) != 0 : v->apic.nmi_pending;
}

static trace_flow nmi_flow(const struct vcpu *v)
{
    return v->epic ? cepic_nonmaskable_flow(&v->epic->cepic) : v->apic.nmi_flow;
}

trace_flow epic_next_flow(const struct vcpu *v)
{
    const int vector = next_vector(v);

    if (vector < 0)
        return 0;
    return v->epic ? v->epic->cepic.current.flow : v->apic.pending_flow[vector];
}

static void inject_one(struct vcpu *v, unsigned vector, bool nmi, trace_flow flow)
{
    v->hw.ops->inject(&v->hw, (uint8_t)vector, nmi);
    vcpu_pay(v, COST_KVM_INJECT);
    trace_put(v->hypervisor->trace, flow, TRACE_INJECTED, v->index, vector, TRACE_INJECT_EVENT);
}

/* KVM: pending VIRQs come last, as exc_interrupt in a free TIR (arch/e2k/kvm/hv_intercepts.c). */
void epic_inject(struct vcpu *v)
{
    const int vector = next_vector(v);

    if (v->hw.ops->delivers(&v->hw))
        return;
    if (nmi_waits(v) && !v->hw.nmi_blocked && !v->hw.e2k.nm_interrupt)
        inject_one(v, NMI_VECTOR, true, nmi_flow(v));
    if (vector >= 0 && !v->hw.e2k.interrupt)
        inject_one(v, (unsigned)vector, false, epic_next_flow(v));
}

bool epic_wakes(const struct vcpu *v)
{
    const struct cepic *c = &v->epic->cepic;

    if (cepic_nonmaskable(c) && !v->hw.nmi_blocked)
        return true;
    return v->hw.interrupts_enabled && (c->waiting || epic_timer_wakes(v));
}

/* --- the guest's trap --- */

bool epic_trap(struct vcpu *v, const struct virt_boundary *b, bool interrupts_enabled)
{
    if (v->hw.ops->delivers(&v->hw))
        trace_put(v->hypervisor->trace, b->nmi ? nmi_flow(v) : epic_next_flow(v),
                  TRACE_INJECTED, v->index, (uint64_t)b->vector, TRACE_INJECT_VIRTUAL);
    return guest_enter_trap(&v->guest, b->nmi ? NMI_VECTOR : 0, interrupts_enabled);
}

static void learn(struct vcpu *v, unsigned vector, trace_flow flow)
{
    guest_name_trap(&v->guest, vector, flow);
    v->guest.frame->acknowledged = vector != NMI_VECTOR;
    v->delivering = (int)vector;
}

/* The local APIC of a legacy guest: a read of its vector register. Where that is, is assumed. */
static struct access legacy_question(void)
{
    return (struct access){.kind = ACCESS_APIC_READ, .address = LEGACY_VECTOR};
}

static void legacy_answer(struct vcpu *v)
{
    unsigned vector = NMI_VECTOR;

    if (v->guest.frame->vector == NMI_VECTOR)
        v->apic.nmi_pending = false;
    else
        vector = lapic_acknowledge(&v->apic);
    interception_replace(v, vector);
    learn(v, vector, vector == NMI_VECTOR ? v->apic.nmi_flow : v->apic.service_flow[vector]);
}

/* epic_do_nmi() reads PNMIRR, and clears what it saw; only the clearing is an access here. */
static struct access question(const struct vcpu *v)
{
    const bool nmi = v->guest.frame->vector == NMI_VECTOR;

    return (struct access){
        .kind = nmi ? ACCESS_APIC_WRITE : ACCESS_APIC_READ,
        .address = nmi ? CEPIC_PNMIRR : CEPIC_VECT_INTA,
        .value = nmi ? cepic_nonmaskable(&v->epic->cepic) : 0,
        .write = nmi,
    };
}

/* CIR may have given way to a higher class since the trap began: the guest goes by what it reads. */
static void answer(struct vcpu *v, trace_flow flow, uint64_t inta)
{
    if (v->guest.frame->vector == NMI_VECTOR) {
        learn(v, NMI_VECTOR, v->epic->served);
        return;
    }
    v->epic->before[v->guest.depth] = (uint8_t)cepic_inta_priority(inta);
    learn(v, inta & (EPIC_VECTORS - 1), flow);
}

/* The trap's handler clears all that it saw: one trap for them. */
static void serve_nonmaskable(struct vcpu *v)
{
    if (v->guest.frame->unnamed && v->access.write)
        v->epic->served = cepic_serve_nonmaskable(&v->epic->cepic, (uint32_t)v->access.value);
}

void epic_ask_vector(struct vcpu *v)
{
    const trace_flow flow = epic_next_flow(v);
    const struct access a = v->epic ? question(v) : legacy_question();
    struct virt_verdict verdict;

    v->access = a;
    v->access_done = false;
    v->message_flow = 0;
    if (v->hw.e2k.epic)
        serve_nonmaskable(v);
    verdict =
        a.write
            ? v->hw.ops->apic_write(&v->hw, (uint16_t)a.address, a.value, hv_now(v->hypervisor))
            : v->hw.ops->apic_read(&v->hw, (uint16_t)a.address, hv_now(v->hypervisor));
    if (virt_exits(&verdict)) {
        vcpu_exit(v, &verdict, TRACE_CAUSE_DELIVERY, flow);
        return;
    }
    answer(v, flow, verdict.value);
    vcpu_pay(v, COST_HW_APIC_PAGE);
    vcpu_continue(v, guest_run);
}

/* --- the intercepted access --- */

void epic_complete(struct vcpu *v)
{
    const struct access *a = &v->access;
    const trace_flow flow = epic_next_flow(v);
    const uint16_t offset = (uint16_t)a->address;
    uint64_t value = 0;

    if (!v->epic) {
        legacy_answer(v);
        return;
    }
    struct cepic *const c = &v->epic->cepic;
    serve_nonmaskable(v);
    if (a->write)
        cepic_write(c, offset, cepic_width(offset), a->value, hv_now(v->hypervisor));
    else
        value = cepic_read(c, offset, cepic_width(offset), hv_now(v->hypervisor));
    if (!a->write)
        interception_replace(v, value);
    if (v->guest.frame->unnamed)
        answer(v, flow, value);
}

enum cost_key epic_cost(const struct access *a)
{
    if (a->write && a->address == CEPIC_ICR)
        return COST_KVM_ICR;
    return a->write && a->address == CEPIC_EOI ? COST_KVM_EOI : COST_KVM_APIC;
}

/* --- the books --- */

uint64_t epic_pending(const struct vcpu *v, unsigned vector)
{
    const struct cepic *c = &v->epic->cepic;

    if (vector == NMI_VECTOR)
        return cepic_nonmaskable_count(c);
    return (c->pmirr[vector / 64] >> vector % 64 & 1) +
           (c->waiting && c->current.vector == vector);
}
