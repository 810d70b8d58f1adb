/*
 * e2k: a guest's operations against its hardware context.
 *
 * Without EPIC virtualization the CEPIC's page has no mapping, so that each access
 * is intercepted by the memory unit (IME_GPA_DATA), as that to any device. With it
 * the guest's accesses are the core's own CEPIC's.
 *
 * Interrupts are taken where the guest lets them: a trap, by which the guest does
 * not learn the vector. It reads that from VECT_INTA.
 */
#include "virt/virt.h"

static struct virt_verdict stay(enum virt_path path, uint64_t value)
{
    return (struct virt_verdict){.path = path, .value = value, .retired = NO_VECTOR};
}

static struct virt_verdict e2k_leave(struct virt_cpu *v, enum virt_path path,
                                     enum exit_reason why, uint64_t info)
{
    e2k_intc_begin(&v->e2k.intc);
    if (why != EXIT_E2K_HCALL)
        e2k_intc_add(&v->e2k.intc, exit_reasons[why].number, info, 0);
    return (struct virt_verdict){
        .path = path, .reason = why, .qualification = info, .retired = NO_VECTOR};
}

static struct virt_verdict leave(struct virt_cpu *v, enum exit_reason why, uint64_t info)
{
    return e2k_leave(v, VIRT_EXIT, why, info);
}

static struct virt_verdict e2k_apic_read(struct virt_cpu *v, uint16_t offset, sim_time now)
{
    if (!v->e2k.epic)
        return leave(v, EXIT_E2K_GPA_DATA, offset);
    return stay(VIRT_DONE, cepic_read(v->cepic, offset, cepic_width(offset), now));
}

static struct virt_verdict write_icr(struct virt_cpu *v, uint64_t value)
{
    struct epic_msg msg = cepic_decode_icr(v->cepic, value);

    msg.guest = v->guest->id;
    msg.flow = v->message_flow;
    e2k_name_vector(&msg);
    e2k_send(v, &msg);
    return stay(VIRT_DONE, 0);
}

static struct virt_verdict e2k_apic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                                          sim_time now)
{
    if (!v->e2k.epic)
        return leave(v, EXIT_E2K_GPA_DATA, offset);
    if (offset == CEPIC_ICR)
        return write_icr(v, value);
    cepic_write(v->cepic, offset, cepic_width(offset), value, now);
    return stay(VIRT_DONE, 0);
}

/* There are no MSRs, no CR8, no MONITOR. */
static struct virt_verdict e2k_rdmsr(struct virt_cpu *v, uint32_t msr, sim_time now)
{
    (void)v, (void)msr, (void)now;
    return stay(VIRT_NATIVE, 0);
}

static struct virt_verdict e2k_wrmsr(struct virt_cpu *v, uint32_t msr, uint64_t value,
                                     sim_time now)
{
    (void)v, (void)msr, (void)value, (void)now;
    return stay(VIRT_NATIVE, 0);
}

static struct virt_verdict e2k_read_cr8(struct virt_cpu *v)
{
    (void)v;
    return stay(VIRT_NATIVE, 0);
}

static struct virt_verdict e2k_write_cr8(struct virt_cpu *v, uint8_t cr8)
{
    (void)v, (void)cr8;
    return stay(VIRT_NATIVE, 0);
}

/* A page of the IOEPIC whose pin is the guest's, and which is mapped. */
static bool on_own_pin(const struct virt_cpu *v, uint64_t address)
{
    const uint64_t pin = (address - E2K_IOEPIC_BASE) / IOEPIC_PIN_BYTES;

    return address >= E2K_IOEPIC_BASE && pin < 32 && v->e2k.mapped_pins >> pin & 1;
}

static struct virt_verdict e2k_instruction(struct virt_cpu *v, enum virt_instruction i,
                                           uint64_t detail)
{
    switch (i) {
    case VIRT_CPUID: /* the identification register */
        return v->e2k.virt_ctrl_cu & E2K_RR_IDR ? leave(v, EXIT_E2K_RR_IDR, 0)
                                                : stay(VIRT_NATIVE, 0);
    case VIRT_HYPERCALL:
        return leave(v, EXIT_E2K_HCALL, 0);
    case VIRT_HLT:
        return leave(v, EXIT_E2K_WAIT_TRAP, 0);
    case VIRT_WBINVD:
        return leave(v, EXIT_E2K_CACHE_FLUSH, 0);
    case VIRT_PORT_IO:
        return leave(v, EXIT_E2K_MAS_IOADDR, detail);
    case VIRT_MMIO:
        if (on_own_pin(v, detail))
            return stay(VIRT_NATIVE, 0);
        return leave(v, EXIT_E2K_GPA_DATA, detail);
    case VIRT_UNMAPPED:
        return leave(v, EXIT_E2K_GPA_DATA, detail);
    case VIRT_IRET:
        v->nmi_blocked = false;
        break;
    case VIRT_OPAQUE_MMIO: /* no plan of Elbrus has these */
    case VIRT_TRIPLE_FAULT:
    case VIRT_UNKNOWN:
    case VIRT_PAUSE:
    case VIRT_MONITOR:
    case VIRT_MWAIT:
    case VIRT_STGI:
    case VIRT_CLGI:
    case VIRT_SENDUIPI:
        break;
    }
    return stay(VIRT_NATIVE, 0);
}

static enum exit_reason reason_of(uint32_t number)
{
    for (unsigned r = 0; r < EXIT_REASON_COUNT; r++)
        if (exit_reasons[r].vendor == VIRT_E2K && exit_reasons[r].number == number)
            return (enum exit_reason)r;
    return EXIT_NONE;
}

struct virt_verdict e2k_intercept(struct virt_cpu *v, uint32_t causes, uint64_t events,
                                  unsigned entries)
{
    struct e2k_intc *i = &v->e2k.intc;

    e2k_intc_begin(i);
    for (uint32_t left = causes & ~(E2K_CONDITIONAL & ~v->e2k.virt_ctrl_cu); left;
         left &= left - 1)
        e2k_intc_add(i, (uint32_t)__builtin_ctz(left), 0, 0);
    for (unsigned n = 0; n < entries; n++)
        e2k_intc_add(i, E2K_MU + (events >> n * E2K_MU_EVENT_BITS & 31), 0, 0);
    if (!i->causes && !i->mu_count)
        return stay(VIRT_NATIVE, 0);
    return (struct virt_verdict){.path = VIRT_EXIT,
                                 .reason = reason_of(e2k_intc_nth(i, 0)),
                                 .qualification = i->causes,
                                 .retired = NO_VECTOR};
}

static uint64_t e2k_pauses_to_exit(const struct virt_cpu *v, struct virt_pauses p)
{
    (void)v, (void)p;
    return UINT64_MAX;
}

static void e2k_pauses(struct virt_cpu *v, struct virt_pauses p, uint64_t n)
{
    (void)v, (void)p, (void)n;
}

/* What comes for the guest is its CEPIC's already, and no interrupt of the host's. */
static struct virt_verdict e2k_external_interrupt(struct virt_cpu *v, uint8_t host_vector)
{
    if (host_vector == VIRT_DOORBELL)
        return stay(VIRT_DONE, 0);
    return leave(v, host_vector == VIRT_NMI ? EXIT_E2K_HV_NM_INT : EXIT_E2K_HV_INT, 0);
}

static struct virt_verdict e2k_preemption_timer(struct virt_cpu *v)
{
    return leave(v, EXIT_E2K_G_TMR, 0);
}

static const struct virt_boundary quiet = {
    .exit = {.path = VIRT_NATIVE, .retired = NO_VECTOR},
    .vector = NO_VECTOR,
};

/* The trap cannot begin: its handler's page is not mapped. What asked for it asks again. */
static struct virt_boundary meet_page(struct virt_cpu *v)
{
    struct virt_boundary b = quiet;

    v->delivery_faults = false;
    b.exit = leave(v, EXIT_E2K_GPA_INSTR, 0);
    return b;
}

static struct virt_boundary trap(struct virt_cpu *v, int vector, bool nmi)
{
    struct virt_boundary b = quiet;

    if (v->delivery_faults)
        return meet_page(v);
    if (nmi)
        v->e2k.nm_interrupt = false;
    else
        v->e2k.interrupt = false;
    v->nmi_blocked |= nmi;
    v->interrupts_enabled = false;
    b.vector = vector;
    b.nmi = nmi;
    return b;
}

static bool nonmaskable(const struct virt_cpu *v)
{
    return v->e2k.nm_interrupt || (v->e2k.epic && cepic_nonmaskable(v->cepic));
}

static struct virt_boundary e2k_boundary(struct virt_cpu *v)
{
    int vector;

    if (!v->nmi_blocked && nonmaskable(v))
        return trap(v, EPIC_NMI_VECTOR, true);
    if (!v->interrupts_enabled || !(v->e2k.epic || v->e2k.interrupt))
        return quiet;
    vector = v->cepic ? cepic_waiting(v->cepic) : lapic_pending(v->apic);
    return vector < 0 ? quiet : trap(v, vector, false);
}

/* The vector stays in CIR until the guest asks for it. */
static void e2k_inject(struct virt_cpu *v, uint8_t vector, bool nmi)
{
    (void)vector;
    if (nmi)
        v->e2k.nm_interrupt = true;
    else
        v->e2k.interrupt = true;
}

static void e2k_cancel_injection(struct virt_cpu *v)
{
    v->e2k.interrupt = v->e2k.nm_interrupt = false;
}

/* An exception in TIR waits for the guest's masks by itself: there is no window. */
static void e2k_open_window(struct virt_cpu *v, bool open)
{
    (void)v, (void)open;
}

static void e2k_set_tpr_threshold(struct virt_cpu *v, uint8_t class)
{
    (void)v, (void)class;
}

static bool never(const struct virt_cpu *v)
{
    (void)v;
    return false;
}

static bool e2k_delivers(const struct virt_cpu *v)
{
    return v->e2k.epic;
}

static bool e2k_eoi_exits(const struct virt_cpu *v, uint8_t vector)
{
    (void)vector;
    return !v->e2k.epic;
}

/* Nothing beside the CEPIC follows its registers. */
static void follow(struct virt_cpu *v)
{
    (void)v;
}

static int e2k_interrupted_delivery(const struct virt_cpu *v, bool *nmi)
{
    (void)v;
    *nmi = false;
    return NO_VECTOR;
}

const struct virt_ops virt_e2k = {
    .vendor = VIRT_E2K,
    .apic_read = e2k_apic_read,
    .apic_write = e2k_apic_write,
    .rdmsr = e2k_rdmsr,
    .wrmsr = e2k_wrmsr,
    .read_cr8 = e2k_read_cr8,
    .write_cr8 = e2k_write_cr8,
    .instruction = e2k_instruction,
    .pauses_to_exit = e2k_pauses_to_exit,
    .pauses = e2k_pauses,
    .external_interrupt = e2k_external_interrupt,
    .preemption_timer = e2k_preemption_timer,
    .boundary = e2k_boundary,
    .enter = e2k_boundary,
    .leave = e2k_leave,
    .changed = follow,
    .inject = e2k_inject,
    .cancel_injection = e2k_cancel_injection,
    .open_window = e2k_open_window,
    .open_nmi_window = e2k_open_window,
    .set_tpr_threshold = e2k_set_tpr_threshold,
    .posts = never,
    .delivers = e2k_delivers,
    .sync = follow,
    .eoi_exits = e2k_eoi_exits,
    .interrupted_delivery = e2k_interrupted_delivery,
};
