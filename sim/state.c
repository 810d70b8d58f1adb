/*
 * A vCPU's registers, and what stands around them, as JSON: docs/explain.md,
 * "The state of a vCPU". A reader like the trace's sinks: it changes nothing.
 */
#include <jansson.h>

#include "describe.h"
#include "hypervisor/epic.h"
#include "simulation.h"
#include "virt/vmx.h"

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *time_or_null(sim_time t)
{
    return t.ps == SIM_TIME_NEVER.ps ? json_null() : number(t.ps);
}

static json_t *vector_or_null(int vector)
{
    return vector == NO_VECTOR ? json_null() : json_integer(vector);
}

static json_t *vectors(const struct vec256 *set)
{
    json_t *list = json_array();

    for (unsigned v = 0; v < VECTORS; v++)
        if (vec_has(set, v))
            json_array_append_new(list, json_integer(v));
    return list;
}

static json_t *bits(uint32_t word, unsigned count)
{
    json_t *list = json_array();

    for (unsigned n = 0; n < count; n++)
        if (word >> n & 1)
            json_array_append_new(list, json_integer(n));
    return list;
}

/* The vectors of a set, and whose interrupt each is. */
static json_t *flows(const struct vec256 *set, const trace_flow *flow)
{
    json_t *of = json_object();
    char vector[4];

    for (unsigned v = 0; v < VECTORS; v++) {
        if (!vec_has(set, v))
            continue;
        snprintf(vector, sizeof vector, "%u", v);
        json_object_set_new(of, vector, number(flow[v]));
    }
    return of;
}

/* --- the thread, and its physical CPU --- */

/* What KVM looks at before an entry: REQUEST(name, field of the vCPU). */
#define REQUESTS(REQUEST)                                                                      \
    REQUEST("event", request)                                                                  \
    REQUEST("signal", signal)                                                                  \
    REQUEST("reschedule", reschedule)                                                          \
    REQUEST("interrupt window for userspace", window_wanted)

static json_t *requests(const struct vcpu *v)
{
    json_t *list = json_array();

#define REQUEST(name, field)                                                                   \
    if (v->field)                                                                              \
        json_array_append_new(list, json_string(name));
    REQUESTS(REQUEST)
#undef REQUEST
    return list;
}

static json_t *thread(const struct vcpu *v)
{
    const struct event_queue *q = v->hypervisor->events;

    return json_pack(
        "{s:s, s:b, s:o, s:s, s:s, s:s, s:b, s:o, s:b}", "state",
        vcpu_state_name((enum vcpu_state)v->state), "on_cpu",
        v->thread.pcpu->current == &v->thread, "until_ps", time_or_null(event_due(q, &v->step)),
        "last_exit", exit_reasons[v->exit.reason].name, "last_exit_cause",
        describe_cause(v->exit_cause), "last_kvm_exit", describe_kvm_exit(v->kvm_exit),
        "kicked", v->kicked, "requests", requests(v), "held", v->held);
}

/* The host's interrupts to this CPU: on their way, and arrived while interrupts were off. */
static json_t *pcpu(const struct pcpu *p)
{
    static const char *const names[] = {
#define VECTOR(name, vector, meaning) #name,
        HOST_VECTORS(VECTOR)
#undef VECTOR
    };
    json_t *arriving = json_object(), *pending = json_array();

    for (unsigned n = 0; n < HOST_VECTOR_COUNT; n++) {
        const struct event *e = &p->arrival[n].event;

        if (event_is_armed(p->hypervisor->events, e))
            json_object_set_new(arriving, names[n],
                                number(event_due(p->hypervisor->events, e).ps));
        if (p->pending >> n & 1)
            json_array_append_new(pending, json_string(names[n]));
    }
    return json_pack("{s:i, s:o, s:o, s:o}", "number", (int)p->index, "runs",
                     p->current && p->current->vcpu ? json_integer(p->current->vcpu->index)
                                                    : json_null(),
                     "arriving_ps", arriving, "pending", pending);
}

/* --- the guest, and the hardware around it --- */

static const char *activity(const struct vcpu *v)
{
    const struct virt_cpu *hw = &v->hw;

    if (hw->waits_for_sipi || v->apic.waits_for_sipi)
        return "wait-for-SIPI";
    if (hw->shut_down)
        return "shutdown";
    return hw->halted ? "HLT" : "active";
}

static json_t *guest(const struct vcpu *v)
{
    const struct virt_cpu *hw = &v->hw;
    json_t *handlers = json_array();

    for (const struct guest_frame *f = v->guest.frames + 1; f <= v->guest.frame; f++)
        json_array_append_new(handlers, json_integer(f->vector));
    return json_pack("{s:b, s:b, s:b, s:b, s:s, s:o, s:b, s:b}", "IF", hw->interrupts_enabled,
                     "shadow", hw->shadow, "mov_ss_shadow", hw->mov_ss_shadow, "nmi_blocked",
                     hw->nmi_blocked, "activity", activity(v), "handlers", handlers, "spinning",
                     v->spinning, "ended", v->program_ended);
}

/* With virtual-interrupt delivery PPR is a register of the virtual-APIC page; else it follows. */
static uint8_t ppr(const struct vcpu *v)
{
    const bool stored =
        v->hw.ops->vendor == VIRT_VMX && vmx_has(&v->hw.vmcs, VMX_VIRTUAL_INTERRUPT_DELIVERY);

    return stored ? (uint8_t)v->apic.regs.PPR : lapic_ppr(&v->apic);
}

/* The guest's, whoever counts: its APIC, or hardware that the guest arms by itself. */
static json_t *timer_deadline(const struct vcpu *v)
{
    const bool armed = event_is_armed(v->hypervisor->events, &v->timer);

    if (!v->timer_virtual)
        return time_or_null(v->apic.timer_deadline);
    return armed ? number(v->timer_deadline.ps) : json_null();
}

static json_t *apic(const struct vcpu *v)
{
    const struct lapic *l = &v->apic;
    json_t *a = json_object(), *carried = json_object();

    json_object_set_new(a, "mode", json_string(guest_apic_names[l->mode]));
    json_object_set_new(a, "enabled", json_boolean(lapic_enabled(l)));
#define REG(name, ...) json_object_set_new(a, #name, number(l->regs.name));
#define VEC(name, ...) json_object_set_new(a, #name, vectors(&l->regs.name));
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
    json_object_set_new(a, "PPR", json_integer(ppr(v)));
    json_object_set_new(a, "nmi_pending", json_boolean(l->nmi_pending));
    json_object_set_new(a, "extint", json_boolean(lapic_extint(l)));
    json_object_set_new(a, "timer_deadline_ps", timer_deadline(v));
    json_object_set_new(a, "timer_expired", json_boolean(v->timer_due || v->hw.timer_event));
    json_object_set_new(carried, "IRR", flows(&l->regs.IRR, l->pending_flow));
    json_object_set_new(carried, "ISR", flows(&l->regs.ISR, l->service_flow));
    json_object_set_new(a, "flows", carried);
    return a;
}

static json_t *descriptor(const struct posted_descriptor *d)
{
    return json_pack("{s:o, s:b, s:b, s:i, s:i, s:{s:o}}", "PIR", vectors(&d->pir), "ON", d->on,
                     "SN", d->sn, "NV", (int)d->nv, "NDST", (int)d->ndst, "flows", "PIR",
                     flows(&d->pir, d->flow));
}

static json_t *vmx_control_names(const struct vmcs *c)
{
    json_t *list = json_array();

    for (unsigned n = 0; n < VMX_CONTROL_COUNT; n++)
        if (vmx_has(c, (enum vmx_control)n))
            json_array_append_new(list, json_string(vmx_control_title((enum vmx_control)n)));
    return list;
}

static json_t *vmx(const struct virt_cpu *hw)
{
    const struct vmcs *c = &hw->vmcs;
    struct vec256 eoi_exits;

    for (unsigned w = 0; w < 4; w++)
        eoi_exits.word[w] = vmcs_get(c, (enum vmcs_field)(VMCS_EOI_EXIT_BITMAP0 + w));
    return json_pack("{s:i, s:i, s:b, s:i, s:o, s:o}", "RVI",
                     (int)(vmcs_get(c, VMCS_GUEST_INTR_STATUS) & 0xff), "SVI",
                     (int)(vmcs_get(c, VMCS_GUEST_INTR_STATUS) >> 8), "recognized",
                     hw->recognized, "TPR_threshold", (int)vmcs_get(c, VMCS_TPR_THRESHOLD),
                     "EOI_exit_bitmap", vectors(&eoi_exits), "controls", vmx_control_names(c));
}

/* The vCPU's entry of the physical APIC ID table: what other CPUs' IPIs find. */
static json_t *avic_entry(const struct vcpu *v)
{
    const struct avic_entry *e = &v->hw.avic->entry[v->index];

    return v->hw.vmcb.avic ? json_pack("{s:b, s:i}", "IsRunning", e->running, "host", e->host)
                           : json_null();
}

static json_t *svm(const struct vcpu *v)
{
    const struct vmcb *b = &v->hw.vmcb;
    static const char *const names[SVM_INTERCEPT_COUNT] = {
#define INTERCEPT(name, word, bit) #name,
        SVM_INTERCEPTS(INTERCEPT)
#undef INTERCEPT
    };
    json_t *intercepts = json_array();

    for (unsigned n = 0; n < SVM_INTERCEPT_COUNT; n++)
        if (svm_intercepts(b, (enum svm_intercept)n))
            json_array_append_new(intercepts, json_string(names[n]));
    return json_pack("{s:b, s:i, s:b, s:b, s:b, s:b, s:o, s:o}", "GIF", !v->hw.gif_clear,
                     "V_TPR", (int)b->v_tpr, "V_IRQ", b->v_irq, "V_IGN_TPR", b->v_ign_tpr,
                     "V_INTR_MASKING", b->v_intr_masking, "AVIC", b->avic, "avic_entry",
                     avic_entry(v), "intercepts", intercepts);
}

static json_t *e2k(const struct vcpu *v)
{
    const struct e2k *hw = &v->hw.e2k;

    return json_pack("{s:b, s:b, s:b, s:b, s:b}", "epic", hw->epic, "exc_interrupt",
                     hw->interrupt, "exc_nm_interrupt", hw->nm_interrupt, "CEPIC_EPIC_INT",
                     hw->epic_int, "asks_vector", v->guest.frame->unnamed);
}

static json_t *pmirr(const struct cepic *c)
{
    json_t *pending = json_array();

    for (unsigned n = 0; n < EPIC_VECTORS; n++)
        if (c->pmirr[n / 64] >> n % 64 & 1)
            json_array_append_new(pending, json_integer(n));
    return pending;
}

/* Registers that hold what was written, and on which delivery depends. */
#define CEPIC_SHOWN(REG) REG(CTRL) REG(PNMIRR) REG(PNMIRR_MASK) REG(TIMER_LVTT)

/* An EPIC guest's controller: what CIR holds, what pends. */
static json_t *epic(const struct vcpu *v)
{
    const struct cepic *c = &v->epic->cepic;
    json_t *e = json_object();

#define REG(name) json_object_set_new(e, #name, number(c->reg[CEPIC_ROW_##name]));
    CEPIC_SHOWN(REG)
#undef REG
    json_object_set_new(e, "CIR", vector_or_null(cepic_waiting(c)));
    json_object_set_new(e, "PMIRR", pmirr(c));
    json_object_set_new(e, "CPR", json_integer((json_int_t)(c->reg[CEPIC_ROW_CPR] >> 8)));
    json_object_set_new(e, "nonmaskable", json_boolean(cepic_nonmaskable(c)));
    json_object_set_new(e, "timer_deadline_ps", time_or_null(c->deadline[CEPIC_TIMER]));
    json_object_set_new(e, "timer_expired", json_boolean(v->timer_due));
    json_object_set_new(e, "loaded", json_boolean(v->epic->loaded));
    return e;
}

/* What the hypervisor has in hand for the next entry, beside the APIC. */
static json_t *in_hand(const struct vcpu *v)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:b}", "injecting", vector_or_null(v->injecting),
                     "again", vector_or_null(v->reinject), "from_userspace",
                     vector_or_null(v->user_vector), "extint", vectors(&v->extint),
                     "window_open", v->window_open);
}

/* --- the board --- */

static json_t *pin(const struct ioapic *io, unsigned n)
{
    const struct irq_msg m = ioapic_message(io, n);

    return json_pack("{s:i, s:i, s:i, s:b, s:b, s:b, s:b, s:b, s:i}", "pin", (int)n, "vector",
                     (int)m.vector, "delivery", (int)m.delivery, "masked", ioapic_masked(io, n),
                     "level", ioapic_is_level(io, n), "remote_irr", ioapic_remote_irr(io, n),
                     "asserted", ioapic_asserted(io, n), "logical", m.logical, "destination",
                     (int)m.dest);
}

static json_t *board(const struct board *b)
{
    const struct chipset *c = &b->chipset;
    json_t *pins = json_array(), *pic_vectors = json_array();

    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        json_array_append_new(pins, pin(&c->ioapic, n));
    for (unsigned line = 0; line < I8259_LINES; line++)
        json_array_append_new(pic_vectors, json_integer(i8259_vector(&c->pic, line)));
    return json_pack("{s:o, s:{s:o, s:o, s:o, s:o, s:o, s:i}}", "ioapic", pins, "pic",
                     "requests", bits(i8259_requests(&c->pic), I8259_LINES), "in_service",
                     bits(i8259_in_service(&c->pic), I8259_LINES), "masked",
                     bits(i8259_masked(&c->pic), I8259_LINES), "vectors", pic_vectors, "next",
                     i8259_output(&c->pic) ? vector_or_null(i8259_pending(&c->pic))
                                           : json_null(),
                     "cpu", (int)c->extint_target);
}

char *virqsim_vcpu_state(const struct virqsim *sim, unsigned vcpu)
{
    const struct hypervisor *h = &sim->machine;
    const struct vcpu *v;
    json_t *s;
    char *text;

    if (vcpu >= h->vcpu_count)
        return NULL;
    v = &h->vcpu[vcpu];
    s = json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "time_ps", number(sim->events.now.ps),
                  "vcpu", (int)vcpu, "thread", thread(v), "pcpu", pcpu(v->thread.pcpu), "guest",
                  guest(v), "apic", apic(v), "hypervisor", in_hand(v));
    if (v->hw.ops->posts(&v->hw))
        json_object_set_new(s, "posted", descriptor(&v->descriptor));
    if (v->epic)
        json_object_set_new(s, "epic", epic(v));
    if (v->hw.ops->vendor == VIRT_VMX)
        json_object_set_new(s, "vmx", vmx(&v->hw));
    else if (v->hw.ops->vendor == VIRT_SVM)
        json_object_set_new(s, "svm", svm(v));
    else
        json_object_set_new(s, "e2k", e2k(v));
    if (h->board)
        json_object_set_new(s, "board", board(h->board));
    text = json_dumps(s, JSON_COMPACT);
    json_decref(s);
    return text;
}
