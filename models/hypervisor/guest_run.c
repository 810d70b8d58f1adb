/*
 * The guest: one operation after the other, each put to the hardware, whose
 * verdict says what it costs and whether the guest leaves.
 *
 * An operation takes effect when it is issued and is paid for afterwards. What
 * is being paid may be interrupted; the rest is kept in the frame and paid
 * before the next operation.
 */
#include <assert.h>

#include "hypervisor/hypervisor.h"

enum { MSR_TSC_DEADLINE = 0x6e0 };

static enum trace_cause cause_of(const struct vcpu *v, const struct guest_insn *i)
{
    if (!guest_in_handler(&v->guest))
        return TRACE_CAUSE_OPERATION;
    return i->op == GUEST_eoi ? TRACE_CAUSE_ACKNOWLEDGE : TRACE_CAUSE_HANDLER;
}

/* --- what an operation does to its surroundings --- */

static struct access instruction(enum virt_instruction i, uint64_t address, uint64_t size, uint64_t value, bool write)
{
    return (struct access){ACCESS_INSTRUCTION, i, address, value, (uint8_t)size, write};
}

/* A register of the guest's APIC, the way the guest's mode reaches it. */
static struct access apic(const struct vcpu *v, bool write, uint16_t offset, uint64_t value)
{
    if (v->apic.mode == LAPIC_MODE_X2APIC)
        return (struct access){.kind = write ? ACCESS_MSR_WRITE : ACCESS_MSR_READ,
                               .address = lapic_msr(offset), .value = value, .write = write};
    return (struct access){.kind = write ? ACCESS_APIC_WRITE : ACCESS_APIC_READ,
                           .address = offset, .value = value, .write = write};
}

static struct access msr(bool write, uint64_t index, uint64_t value)
{
    return (struct access){.kind = write ? ACCESS_MSR_WRITE : ACCESS_MSR_READ,
                           .address = index, .value = value, .write = write};
}

static struct access none(void)
{
    return (struct access){.kind = ACCESS_NONE};
}

/* SDM 3A "Local Interrupts and APIC Timer": LVT timer mode bits 18:17, mask bit 16. */
static uint64_t lvt_timer(uint64_t vector, uint64_t mode)
{
    return vector | (mode == 3 ? UINT64_C(1) << 16 : mode << 17);
}

/* SDM 3A "Divide Configuration Register": bits 3, 1 and 0; 1011b divides by 1. */
static uint64_t divide_code(uint64_t divisor)
{
    const unsigned log2 = (unsigned)__builtin_ctzll(divisor);
    const unsigned code = (log2 + 7) % 8;

    return (code & 3) | (code & 4) << 1;
}

static struct access ipi_access(const struct vcpu *v, const struct guest_insn *i, unsigned part)
{
    const uint64_t low = i->operand[0], dest = i->operand[1];
    const bool shorthand = low >> 18 & 3;

    if (v->apic.mode == LAPIC_MODE_X2APIC)
        return part == 0 ? apic(v, true, LAPIC_ICR_LO, low | dest << 32) : none();
    if (part == 0 && !shorthand)
        return apic(v, true, LAPIC_ICR_HI, dest << 24);
    return part == (shorthand ? 0 : 1) ? apic(v, true, LAPIC_ICR_LO, low) : none();
}

static struct access self_ipi_access(const struct vcpu *v, const struct guest_insn *i, unsigned part)
{
    if (part > 0)
        return none();
    if (v->apic.mode == LAPIC_MODE_X2APIC)
        return apic(v, true, LAPIC_SELF_IPI, i->operand[0]);
    return apic(v, true, LAPIC_ICR_LO, i->operand[0] | IRQ_SELF << 18);
}

static struct access timer_count_access(const struct vcpu *v, const struct guest_insn *i, unsigned part)
{
    const uint64_t divisor = i->operand[1];

    if (part == 0 && divisor)
        return apic(v, true, LAPIC_TIMER_DIVIDE, divide_code(divisor));
    return part == (divisor ? 1 : 0) ? apic(v, true, LAPIC_TIMER_INITIAL, i->operand[0]) : none();
}

static struct access tsc_deadline_access(const struct vcpu *v, const struct guest_insn *i)
{
    const struct hypervisor *h = v->hypervisor;
    const uint64_t now = clock_count(&h->tsc, hv_now(h)).n;

    return msr(true, MSR_TSC_DEADLINE, i->operand[0] ? now + i->operand[0] : 0);
}

/* Access number `part` of an operation; ACCESS_NONE when it has no more. */
static struct access access_of(const struct vcpu *v, const struct guest_insn *i, unsigned part)
{
    const uint64_t *o = i->operand;

    switch (i->op) {
    case GUEST_ipi:
        return ipi_access(v, i, part);
    case GUEST_self_ipi:
        return self_ipi_access(v, i, part);
    case GUEST_timer_count:
        return timer_count_access(v, i, part);
    default:
        break;
    }
    if (part > 0)
        return none();
    switch (i->op) {
    case GUEST_eoi:
        return v->apic.mode == LAPIC_MODE_DISABLED ? none() : apic(v, true, LAPIC_EOI, 0);
    case GUEST_tpr:
        return apic(v, true, LAPIC_TPR, o[0]);
    case GUEST_apic_read:
        return apic(v, false, (uint16_t)o[0], 0);
    case GUEST_apic_write:
        return apic(v, true, (uint16_t)o[0], o[1]);
    case GUEST_timer_mode:
        return apic(v, true, LAPIC_LVT_TIMER, lvt_timer(o[0], o[1]));
    case GUEST_tsc_deadline:
        return tsc_deadline_access(v, i);
    case GUEST_cr8:
        return (struct access){.kind = ACCESS_CR8_WRITE, .value = o[0], .write = true};
    case GUEST_rdmsr:
        return msr(false, o[0], 0);
    case GUEST_wrmsr:
        return msr(true, o[0], o[1]);
    case GUEST_port_in:
        return instruction(VIRT_PORT_IO, o[0], o[1], 0, false);
    case GUEST_port_out:
        return instruction(VIRT_PORT_IO, o[0], o[1], o[2], true);
    case GUEST_mmio_read:
        return instruction(VIRT_MMIO, o[0], o[1], 0, false);
    case GUEST_mmio_write:
        return instruction(VIRT_MMIO, o[0], o[1], o[2], true);
    case GUEST_touch:
        return instruction(VIRT_UNMAPPED, o[0], 8, 0, true);
    case GUEST_cpuid:
        return instruction(VIRT_CPUID, 0, 0, 0, false);
    case GUEST_hypercall:
    case GUEST_pv_ipi:
        return instruction(VIRT_HYPERCALL, 0, 0, 0, false);
    case GUEST_pause:
        return instruction(VIRT_PAUSE, 0, 0, 0, false);
    case GUEST_wbinvd:
        return instruction(VIRT_WBINVD, 0, 0, 0, false);
    case GUEST_halt:
    case GUEST_unmask_halt:
    case GUEST_halt_until:
    case GUEST_halt_take:
        return instruction(VIRT_HLT, 0, 0, 0, false);
    default:
        return none();
    }
}

/* Does this access send a message: the ICR's low half, or the self-IPI register. */
static bool sends(const struct vcpu *v, const struct access *a)
{
    if (!a->write || v->apic.mode == LAPIC_MODE_DISABLED)
        return false;
    if (a->kind == ACCESS_APIC_WRITE)
        return a->address == LAPIC_ICR_LO;
    return a->kind == ACCESS_MSR_WRITE &&
           (a->address == lapic_msr(LAPIC_ICR_LO) || a->address == lapic_msr(LAPIC_SELF_IPI));
}

static struct virt_verdict put_to_hardware(struct vcpu *v, const struct access *a)
{
    struct virt_cpu *hw = &v->hw;
    const sim_time now = hv_now(v->hypervisor);

    switch (a->kind) {
    case ACCESS_APIC_READ:
        return hw->ops->apic_read(hw, (uint16_t)a->address, now);
    case ACCESS_APIC_WRITE:
        return hw->ops->apic_write(hw, (uint16_t)a->address, (uint32_t)a->value, now);
    case ACCESS_MSR_READ:
        return hw->ops->rdmsr(hw, (uint32_t)a->address, now);
    case ACCESS_MSR_WRITE:
        return hw->ops->wrmsr(hw, (uint32_t)a->address, a->value, now);
    case ACCESS_CR8_WRITE:
        return hw->ops->write_cr8(hw, (uint8_t)a->value);
    case ACCESS_INSTRUCTION:
    case ACCESS_NONE:
        break;
    }
    return hw->ops->instruction(hw, a->instruction, a->address);
}

/* What the hardware charges for an access that stays in the guest. */
static enum cost_key cost_in_guest(const struct access *a, const struct virt_verdict *verdict)
{
    if (verdict->notify)
        return COST_HW_IPI_VIRTUALIZED;
    if (a->kind == ACCESS_CR8_WRITE)
        return COST_GUEST_CR8;
    return a->kind == ACCESS_INSTRUCTION ? COST_GUEST_OP : COST_HW_APIC_ACCESS;
}

/* IPI virtualization posted to another vCPU: this CPU sends the notification. */
static void notify(struct vcpu *v, const struct posted_descriptor *d, unsigned vector)
{
    struct hypervisor *h = v->hypervisor;
    const bool wakes = d->nv == HOST_NUMBER_WAKEUP;

    trace_put(h->trace, v->message_flow, TRACE_NOTIFIED, d->owner, vector,
              wakes ? TRACE_NOTIFY_WAKE : TRACE_NOTIFY_POSTED);
    host_send(&h->pcpu[d->ndst], wakes ? HOST_WAKEUP : HOST_POSTED,
              hv_after(h, h->costs.of[COST_HW_IPI_VIRTUALIZED].n + h->costs.of[COST_HW_IPI].n),
              v->message_flow);
}

/* One access of the present operation. False: the guest left. */
static bool perform(struct vcpu *v, const struct guest_insn *i, const struct access *a)
{
    struct virt_verdict verdict;

    v->access = *a;
    if (sends(v, a)) {
        v->message_flow = trace_new_flow(v->hypervisor->trace);
        v->hw.message_flow = v->message_flow;
        trace_put(v->hypervisor->trace, v->message_flow, TRACE_RAISED, v->index, a->value,
                  TRACE_SOURCE(TRACE_SOURCE_IPI, v->index));
    } else {
        v->message_flow = 0;
    }
    verdict = put_to_hardware(v, a);
    v->access_done = verdict.path == VIRT_EXIT_AFTER;
    if (verdict.path != VIRT_EXIT)
        guest_access_done(v);
    if (virt_exits(&verdict)) {
        vcpu_exit(v, &verdict, cause_of(v, i),
                  v->message_flow ? v->message_flow : v->guest.frame->flow);
        return false;
    }
    v->held = false;
    vcpu_pay(v, cost_in_guest(a, &verdict));
    if (verdict.notify)
        notify(v, verdict.notify, (unsigned)a->value & 0xff);
    return true;
}

static bool halts_for_word(const struct guest_insn *i)
{
    return i->op == GUEST_halt_until || i->op == GUEST_halt_take;
}

void guest_access_done(struct vcpu *v)
{
    const struct guest_insn *i = guest_fetch(&v->guest);
    const bool again = halts_for_word(i); /* back to the look at the word */

    v->guest.frame->part++;
    if (again)
        v->guest.frame->part = 0;
    else if (access_of(v, i, v->guest.frame->part).kind == ACCESS_NONE)
        guest_next(&v->guest);
}

/* --- operations that do not leave the core --- */

static void spin_stop(struct vcpu *v)
{
    if (!v->spinning)
        return;
    v->spinning = false;
    *v->spin_link = v->spin_next;
    if (v->spin_next)
        v->spin_next->spin_link = v->spin_link;
}

static void spin_start(struct vcpu *v, uint64_t word, uint64_t least, void (*then)(struct vcpu *v))
{
    struct vcpu **head = &v->hypervisor->spinners[word];

    v->spinning = true;
    v->spin_longer = 0;
    v->spin_then = then;
    v->spin_word = word;
    v->spin_least = least;
    v->spin_next = *head;
    v->spin_link = head;
    if (*head)
        (*head)->spin_link = &v->spin_next;
    *head = v;
}

void guest_word_changed(struct hypervisor *h, uint64_t word)
{
    struct vcpu *next;

    for (struct vcpu *v = h->spinners[word]; v; v = next) {
        next = v->spin_next;
        if (h->word[word] < v->spin_least)
            continue;
        spin_stop(v);
        vcpu_pay(v, COST_GUEST_WORD);
        v->extra.n += v->spin_longer;
        vcpu_continue(v, v->spin_then);
    }
}

bool guest_held(struct vcpu *v, void (*then)(struct vcpu *v))
{
    if (!v->held)
        return false;
    v->held = false;
    if (v->hypervisor->word[v->held_word] < v->held_least) {
        spin_start(v, v->held_word, v->held_least, then);
        v->spin_longer = v->held_longer;
    } else {
        v->extra.n += v->held_longer;
        vcpu_continue(v, then);
    }
    return true;
}

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
    trace_put(h->trace, 0, TRACE_STAMP, v->index, i->operand[0], clock_count(&h->tsc, hv_now(h)).n);
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
    vcpu_pay(v, COST_GUEST_IRET);
}

/* IRET. Only an NMI's ends a state of the hardware. False: the guest left. */
static bool iret(struct vcpu *v)
{
    const trace_flow flow = v->guest.frame->flow;
    const bool of_nmi = v->guest.frame->vector == 2;
    struct virt_verdict verdict = {.path = VIRT_NATIVE};

    if (of_nmi)
        verdict = v->hw.ops->instruction(&v->hw, VIRT_IRET, 0);
    leave_handler(v);
    if (!virt_exits(&verdict))
        return true;
    v->access = none();
    vcpu_exit(v, &verdict, TRACE_CAUSE_ACKNOWLEDGE, flow);
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
        vcpu_pay(v, COST_GUEST_OP);
        word_add(v, i);
        break;
    case GUEST_mask:
    case GUEST_unmask:
        vcpu_pay(v, COST_GUEST_OP);
        v->hw.interrupts_enabled = i->op == GUEST_unmask;
        break;
    case GUEST_signal:
        hypervisor_device_act(&v->hypervisor->device[i->operand[0]]);
        break;
    case GUEST_host_interrupt:
        host_interrupt_now(v);
        break;
    case GUEST_timer_expires:
        timer_expires(v, (cycles){i->operand[0]});
        break;
    case GUEST_host_until:
        v->held = true;
        v->held_word = i->operand[0];
        v->held_least = i->operand[1];
        v->held_longer = i->operand[2];
        break;
    case GUEST_delivery_fault:
        v->hw.delivery_faults = true;
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

/* Waiting for a word: true when it is there and the operation is complete. */
static bool word_reached(struct vcpu *v, const struct guest_insn *i)
{
    uint64_t *word = &v->hypervisor->word[i->operand[0]];

    vcpu_pay(v, COST_GUEST_OP);
    if (*word < i->operand[1])
        return false;
    if (i->op == GUEST_spin_take || i->op == GUEST_halt_take)
        *word -= i->operand[1];
    if (halts_for_word(i))
        v->hw.interrupts_enabled = true;
    guest_next(&v->guest);
    return true;
}

/* HLT, with what stands before it. */
static bool execute_halt(struct vcpu *v, const struct guest_insn *i)
{
    if (halts_for_word(i) && word_reached(v, i))
        return true;
    if (i->op != GUEST_halt) {
        v->hw.interrupts_enabled = true;
        vcpu_pay(v, COST_GUEST_OP);
    }
    const struct access a = access_of(v, i, 0);
    return perform(v, i, &a);
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
        return iret(v);
    case GUEST_spin_until:
    case GUEST_spin_take:
        if (word_reached(v, i))
            return true;
        v->extra.n = 0;
        spin_start(v, i->operand[0], i->operand[1], guest_run);
        return false;
    case GUEST_halt:
    case GUEST_unmask_halt:
    case GUEST_halt_until:
    case GUEST_halt_take:
        return execute_halt(v, i);
    case GUEST_eoi:
        if (guest_in_handler(&v->guest) && pv_eoi(v))
            return true;
        break;
    default:
        break;
    }
    a = access_of(v, i, v->guest.frame->part);
    if (a.kind != ACCESS_NONE)
        return perform(v, i, &a);
    guest_next(&v->guest); /* an EOI of a guest without an APIC */
    return true;
}

/* --- interrupts in the guest --- */

/* Is this vector's end an EOI, or the handler's return? */
static bool retires_by_eoi(const struct vcpu *v, int vector, trace_flow flow)
{
    return vec_has(&v->apic.regs.ISR, (unsigned)vector) &&
           v->apic.service_flow[vector] == flow;
}

static void handler_begins(struct vcpu *v)
{
    trace_put(v->hypervisor->trace, v->guest.frame->flow, TRACE_HANDLER, v->index,
              (uint64_t)v->delivering, 0);
    v->delivering = NO_VECTOR;
}

static void begin_delivery(struct vcpu *v, const struct virt_boundary *b, bool interrupts_enabled)
{
    trace_flow flow = v->injecting_flow;

    spin_stop(v);
    if (v->delivering != NO_VECTOR)
        handler_begins(v); /* and is interrupted at its first instruction, by an NMI */
    if (!b->injected) {
        flow = v->apic.service_flow[b->vector];
        trace_put(v->hypervisor->trace, flow, TRACE_INJECTED, v->index, (uint64_t)b->vector,
                  TRACE_INJECT_VIRTUAL);
    } else {
        v->injecting = NO_VECTOR;
    }
    if (!guest_enter_handler(&v->guest, (unsigned)b->vector, flow, interrupts_enabled)) {
        v->hypervisor->crashed = v;
        event_queue_stop(v->hypervisor->events);
        return;
    }
    v->guest.frame->acknowledged = !b->nmi && retires_by_eoi(v, b->vector, flow);
    v->delivering = b->vector;
    vcpu_pay(v, b->injected ? COST_GUEST_DELIVER : COST_HW_VIRTUAL_DELIVER);
}

void guest_interrupted(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;
    const sim_time now = hv_now(h);

    spin_stop(v);
    if (!event_is_armed(h->events, &v->step))
        return;
    if (time_before(now, v->due))
        v->guest.frame->remaining += clock_count(&h->core, v->due).n - clock_count(&h->core, now).n;
    event_disarm(h->events, &v->step);
    v->action = NULL;
}

/* The interrupt that an exit for the sake of delivery is about, as far as it can be told. */
static trace_flow pending_flow(const struct vcpu *v)
{
    const int vector = lapic_pending(&v->apic);

    return vector == NO_VECTOR ? 0 : v->apic.pending_flow[vector];
}

/* An instruction boundary. False: the guest left, or a handler begins. */
static bool boundary(struct vcpu *v)
{
    const bool enabled = v->hw.interrupts_enabled;
    const struct virt_boundary b = v->hw.ops->boundary(&v->hw);

    if (virt_exits(&b.exit)) {
        v->access = none();
        vcpu_exit(v, &b.exit, TRACE_CAUSE_DELIVERY, pending_flow(v));
        return false;
    }
    if (b.vector == NO_VECTOR)
        return true;
    begin_delivery(v, &b, enabled);
    vcpu_continue(v, guest_run);
    return false;
}

void guest_look(struct vcpu *v)
{
    guest_interrupted(v);
    vcpu_continue(v, guest_run);
}

/* The hardware has loaded the guest: what it was told to inject, then what arrived meanwhile. */
void guest_arrive(struct vcpu *v)
{
    const bool enabled = v->hw.interrupts_enabled;
    const struct virt_boundary b = v->hw.ops->enter(&v->hw);
    const uint64_t injected = v->injecting == NO_VECTOR ? TRACE_NO_VECTOR : (uint64_t)v->injecting;

    v->access = none();
    trace_put(v->hypervisor->trace, v->injecting == NO_VECTOR ? 0 : v->injecting_flow,
              TRACE_VM_ENTRY, v->index, injected, 0);
    if (b.vector != NO_VECTOR) {
        begin_delivery(v, &b, enabled);
        v->guest.frame->remaining = v->extra.n; /* paid once the guest has the core */
        v->extra.n = 0;
    }
    if (virt_exits(&b.exit))
        vcpu_exit(v, &b.exit, TRACE_CAUSE_DELIVERY, pending_flow(v));
    else if (!host_leaves_at_once(v))
        vcpu_take(v, VCPU_ON_ARRIVED);
}

/* Work that was interrupted, or a handler's way through the IDT. True: there was some. */
static bool pay_remaining(struct vcpu *v)
{
    struct guest_frame *f = v->guest.frame;

    if (f->remaining == 0)
        return false;
    v->extra.n += f->remaining;
    f->remaining = 0;
    vcpu_continue(v, guest_run);
    return true;
}

void guest_run(struct vcpu *v)
{
    const struct guest_insn *i;

    if (!boundary(v) || pay_remaining(v))
        return;
    if (v->delivering != NO_VECTOR)
        handler_begins(v);
    if (v->hw.halted)
        return; /* HLT without an exit: until an interrupt */
    i = guest_fetch(&v->guest);
    if (!i)
        end_of_program(v);
    else if (execute(v, i))
        vcpu_continue(v, guest_run);
}
