/*
 * The guest's accesses to its APIC: SDM 3C sections "Virtualizing CR8-Based TPR
 * Accesses", "Virtualizing Memory-Mapped APIC Accesses" and "Virtualizing
 * MSR-Based APIC Accesses".
 *
 * Accesses are 32 bits wide and aligned, and data, not instruction fetches:
 * the other conditions of an APIC-access exit do not occur.
 */
#include "virt/vmx.h"

#define APIC_PAGE UINT64_C(0xfee00000)

enum {
    MSR_X2APIC_FIRST = 0x800,
    MSR_IN_BITMAP = 64, /* virt_cpu's part of the MSR bitmap */
};

/* Registers as a set: they are 10H apart, and there are 40H places. */
#define AT(register)  (UINT64_C(1) << ((LAPIC_##register) >> 4))
#define ALL(register) (UINT64_C(0xff) << ((LAPIC_##register) >> 4))

/* SDM 3C "Virtualizing Writes to the APIC-Access Page", with APIC-register virtualization. */
static const uint64_t register_writes =
    AT(ID) | AT(TPR) | AT(EOI) | AT(LDR) | AT(DFR) | AT(SVR) | AT(ESR) | AT(ICR_LO) |
    AT(ICR_HI) | AT(LVT_TIMER) | AT(LVT_THERMAL) | AT(LVT_PERF) | AT(LVT_LINT0) |
    AT(LVT_LINT1) | AT(LVT_ERROR) | AT(TIMER_INITIAL) | AT(TIMER_DIVIDE);

/* ... "Virtualizing Reads from the APIC-Access Page": PPR and the timer's current count are
   not among them. */
static const uint64_t register_reads_only = AT(VERSION) | ALL(ISR) | ALL(TMR) | ALL(IRR);

static bool has(const struct virt_cpu *v, enum vmx_control c)
{
    return vmx_has(&v->vmcs, c);
}

static bool in_set(uint64_t set, uint16_t offset)
{
    return !(offset & 0xf) && offset < 0x400 && set >> (offset >> 4) & 1;
}

static uint64_t virtualized_reads(const struct virt_cpu *v)
{
    uint64_t set = AT(TPR);

    if (!has(v, VMX_USE_TPR_SHADOW))
        return 0;
    if (has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY))
        set |= AT(EOI) | AT(ICR_LO);
    if (has(v, VMX_APIC_REGISTER_VIRTUALIZATION))
        set |= register_writes | register_reads_only;
    return set;
}

static uint64_t virtualized_writes(const struct virt_cpu *v)
{
    uint64_t set = AT(TPR);

    if (!has(v, VMX_USE_TPR_SHADOW))
        return 0;
    if (has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY))
        set |= AT(EOI) | AT(ICR_LO);
    if (has(v, VMX_IPI_VIRTUALIZATION))
        set |= AT(ICR_LO);
    if (has(v, VMX_APIC_REGISTER_VIRTUALIZATION))
        set |= register_writes;
    return set;
}

/* What the virtual-APIC page holds, without the effects that reading a real APIC has. */
static uint32_t page_read(const struct lapic_regs *page, uint16_t offset)
{
#define REG(name, at, ...)                                                                     \
    if (offset == (at))                                                                        \
        return page->name;
#define VEC(name, at, ...)                                                                     \
    if (offset >= (at) && offset < (at) + 0x80)                                                \
        return vec_word32(&page->name, (unsigned)(offset - (at)) >> 4);
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
    return 0;
}

static void page_write(struct lapic_regs *page, uint16_t offset, uint32_t value)
{
    switch (offset) {
#define REG(name, at, ...)                                                                     \
    case at:                                                                                   \
        page->name = value;                                                                    \
        break;
#define VEC(...)
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
    }
}

/* What is not the APIC-access page goes through the page tables like any other address. */
static struct virt_verdict meet_page(struct virt_cpu *v, uint16_t offset)
{
    return vmx_page_exit(v,
                         v->apic_page_is_mmio ? EXIT_VMX_EPT_MISCONFIG : EXIT_VMX_EPT_VIOLATION,
                         APIC_PAGE + offset);
}

struct virt_verdict vmx_apic_read(struct virt_cpu *v, uint16_t offset, sim_time now)
{
    (void)now;
    if (!has(v, VMX_VIRTUALIZE_APIC_ACCESSES))
        return meet_page(v, offset);
    if (!in_set(virtualized_reads(v), offset))
        return vmx_exit(v, EXIT_VMX_APIC_ACCESS, offset);
    return vmx_stay(VIRT_DONE, page_read(&v->apic->regs, offset));
}

static struct virt_verdict write_tpr(struct virt_cpu *v, uint32_t value)
{
    v->apic->regs.TPR = value & 0xff;
    return vmx_tpr_virtualization(v);
}

static struct virt_verdict write_eoi(struct virt_cpu *v)
{
    v->apic->regs.EOI = 0;
    return vmx_eoi_virtualization(v);
}

/*
 * SDM 3C "APIC-Write Emulation", what an ICR must be: reserved bits and the
 * delivery status (12) clear, edge-triggered (15), fixed (10:8); a self-IPI has
 * that shorthand (19:18) and a legal vector, any other IPI no shorthand and a
 * physical destination (11). On the reserved bits WRMSR faults.
 */
#define ICR_SELF_IPI_BITS UINT32_C(0xffffb700)
#define ICR_SELF_IPI      UINT32_C(0x00040000)
#define ICR_IPI_BITS      UINT32_C(0xffffbf00)
#define ICR_LEGAL_VECTOR  UINT32_C(0x000000f0)
#define ICR_RESERVED      UINT32_C(0xfff32000)

static bool is_self_ipi(uint32_t icr)
{
    return (icr & ICR_SELF_IPI_BITS) == ICR_SELF_IPI && icr & ICR_LEGAL_VECTOR;
}

static bool is_unicast(uint32_t icr)
{
    return !(icr & ICR_IPI_BITS);
}

/* SDM 3C "APIC-Write Emulation", page offset 300H; the page holds the value already. */
static struct virt_verdict write_icr(struct virt_cpu *v)
{
    const uint32_t icr = v->apic->regs.ICR_LO;

    if (has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY) && is_self_ipi(icr))
        return vmx_self_ipi_virtualization(v, (uint8_t)icr);
    if (has(v, VMX_IPI_VIRTUALIZATION) && is_unicast(icr))
        return vmx_ipi_virtualization(v, (uint8_t)icr, v->apic->regs.ICR_HI >> 24);
    return vmx_exit_after(v, EXIT_VMX_APIC_WRITE, LAPIC_ICR_LO);
}

/* SDM 3C "APIC-Write Emulation". */
static struct virt_verdict emulate_write(struct virt_cpu *v, uint16_t offset, uint32_t value)
{
    page_write(&v->apic->regs, offset, value);
    switch (offset) {
    case LAPIC_TPR:
        return write_tpr(v, value);
    case LAPIC_EOI:
        if (has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY))
            return write_eoi(v);
        break;
    case LAPIC_ICR_LO:
        return write_icr(v);
    case LAPIC_ICR_HI:
        v->apic->regs.ICR_HI &= 0xff000000;
        return vmx_stay(VIRT_DONE, 0);
    }
    return vmx_exit_after(v, EXIT_VMX_APIC_WRITE, offset);
}

struct virt_verdict vmx_apic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                                   sim_time now)
{
    (void)now;
    if (!has(v, VMX_VIRTUALIZE_APIC_ACCESSES))
        return meet_page(v, offset);
    if (!in_set(virtualized_writes(v), offset))
        return vmx_exit(v, EXIT_VMX_APIC_ACCESS, offset);
    return emulate_write(v, offset, (uint32_t)value);
}

/* Of all MSRs only the APIC's and the deadline are ever passed through. */
static bool msr_exits(const struct virt_cpu *v, uint64_t x2apic_bitmap, uint32_t msr)
{
    const uint32_t n = msr - MSR_X2APIC_FIRST;

    return !has(v, VMX_USE_MSR_BITMAPS) || n >= MSR_IN_BITMAP || x2apic_bitmap >> n & 1;
}

static bool passes_deadline(const struct virt_cpu *v, uint32_t msr)
{
    return msr == MSR_TSC_DEADLINE && has(v, VMX_USE_MSR_BITMAPS) && !v->tsc_deadline_exits;
}

/* The model's page does not hold what the APIC derives; a hypervisor would keep it there. */
static uint64_t page_rdmsr(struct lapic *apic, uint32_t msr, sim_time now)
{
    const uint16_t offset = (uint16_t)((msr & 0xff) << 4);

    switch (offset) {
    case LAPIC_ID:
    case LAPIC_LDR:
    case LAPIC_PPR:
        return lapic_read(apic, offset, now);
    case LAPIC_ICR_LO:
        return (uint64_t)apic->regs.ICR_HI << 32 | apic->regs.ICR_LO;
    default:
        return page_read(&apic->regs, offset);
    }
}

/* SDM 3C "Virtualizing MSR-Based APIC Accesses": RDMSR. */
struct virt_verdict vmx_rdmsr(struct virt_cpu *v, uint32_t msr, sim_time now)
{
    if (passes_deadline(v, msr))
        return vmx_read_deadline(v);
    if (msr_exits(v, v->x2apic_read_exits, msr))
        return vmx_exit(v, EXIT_VMX_MSR_READ, msr);
    if (has(v, VMX_VIRTUALIZE_X2APIC_MODE) &&
        (has(v, VMX_APIC_REGISTER_VIRTUALIZATION) || msr == lapic_msr(LAPIC_TPR)))
        return vmx_stay(VIRT_DONE, page_rdmsr(v->apic, msr, now));
    return vmx_stay(VIRT_NATIVE, 0);
}

static struct virt_verdict wrmsr_icr(struct virt_cpu *v, uint64_t value)
{
    const uint32_t icr = (uint32_t)value;

    if (icr & ICR_RESERVED)
        return vmx_stay(VIRT_NATIVE, 0);
    v->apic->regs.ICR_LO = icr;
    v->apic->regs.ICR_HI = (uint32_t)(value >> 32);
    if (!is_unicast(icr))
        return vmx_exit_after(v, EXIT_VMX_APIC_WRITE, LAPIC_ICR_LO);
    return vmx_ipi_virtualization(v, (uint8_t)icr, v->apic->regs.ICR_HI);
}

/*
 * SDM 3C "Virtualizing MSR-Based APIC Accesses": WRMSR. A value with reserved
 * bits faults as it does without virtualization: VIRT_NATIVE.
 */
static struct virt_verdict wrmsr_virtualized(struct virt_cpu *v, uint32_t msr, uint64_t value)
{
    const bool delivery = has(v, VMX_VIRTUAL_INTERRUPT_DELIVERY);

    if (msr == lapic_msr(LAPIC_TPR) && value <= 0xff)
        return write_tpr(v, (uint32_t)value);
    if (msr == lapic_msr(LAPIC_EOI) && delivery && value == 0)
        return write_eoi(v);
    if (msr == lapic_msr(LAPIC_SELF_IPI) && delivery && value <= 0xff) {
        v->apic->regs.SELF_IPI = (uint32_t)value;
        if (value < 16)
            return vmx_exit_after(v, EXIT_VMX_APIC_WRITE, LAPIC_SELF_IPI);
        return vmx_self_ipi_virtualization(v, (uint8_t)value);
    }
    if (msr == lapic_msr(LAPIC_ICR_LO) && has(v, VMX_IPI_VIRTUALIZATION))
        return wrmsr_icr(v, value);
    return vmx_stay(VIRT_NATIVE, 0);
}

struct virt_verdict vmx_wrmsr(struct virt_cpu *v, uint32_t msr, uint64_t value, sim_time now)
{
    (void)now;
    if (passes_deadline(v, msr))
        return vmx_write_deadline(v, value);
    if (msr_exits(v, v->x2apic_write_exits, msr))
        return vmx_exit(v, EXIT_VMX_MSR_WRITE, msr);
    if (has(v, VMX_VIRTUALIZE_X2APIC_MODE))
        return wrmsr_virtualized(v, msr, value);
    return vmx_stay(VIRT_NATIVE, 0);
}

/*
 * SDM 3C "Virtualizing SENDUIPI": its IPI is fixed and physical, to an 8-bit APIC
 * ID in NDST[15:8] as an xAPIC has it, or to the 32-bit one of an x2APIC.
 */
struct virt_verdict vmx_senduipi(struct virt_cpu *v, uint8_t vector, uint32_t ndst)
{
    const bool xapic = has(v, VMX_VIRTUALIZE_APIC_ACCESSES);
    const uint32_t apic_id = xapic ? ndst >> 8 & 0xff : ndst;

    if (!has(v, VMX_USE_TPR_SHADOW))
        return vmx_stay(VIRT_NATIVE, 0);
    v->apic->regs.ICR_LO = vector;
    v->apic->regs.ICR_HI = xapic ? apic_id << 24 : apic_id;
    if (has(v, VMX_IPI_VIRTUALIZATION))
        return vmx_ipi_virtualization(v, vector, apic_id);
    return vmx_exit_after(v, EXIT_VMX_APIC_WRITE, LAPIC_ICR_LO);
}

/* SDM 3C "Virtualizing CR8-Based TPR Accesses"; the exiting controls come first. */
struct virt_verdict vmx_read_cr8(struct virt_cpu *v)
{
    if (has(v, VMX_CR8_STORE_EXITING))
        return vmx_exit(v, EXIT_VMX_CR_ACCESS, 8);
    if (has(v, VMX_USE_TPR_SHADOW))
        return vmx_stay(VIRT_DONE, v->apic->regs.TPR >> 4 & 0xf);
    return vmx_stay(VIRT_NATIVE, 0);
}

struct virt_verdict vmx_write_cr8(struct virt_cpu *v, uint8_t cr8)
{
    if (has(v, VMX_CR8_LOAD_EXITING))
        return vmx_exit(v, EXIT_VMX_CR_ACCESS, 8);
    if (has(v, VMX_USE_TPR_SHADOW))
        return write_tpr(v, (uint32_t)cr8 << 4);
    return vmx_stay(VIRT_NATIVE, 0);
}
