/*
 * The checks of VM entry on what concerns interrupts: SDM 3C "Checks on VMX
 * Controls" and "Checks on the Guest State Area". The table is vmx_checks.def.
 *
 * Left out: reserved bits of the controls (the model has no others), everything
 * that is not about interrupts, and SMM.
 */
#include <stddef.h>

#include "virt/vmx.h"

const struct vmx_check vmx_checks[VMX_CHECK_COUNT] = {
#define CHECK(name, section, failure, condition, meaning)                                      \
    {#name, section, VMX_INVALID_##failure, meaning},
#include "virt/vmx_checks.def"
#undef CHECK
};

/* The widest that a processor's physical addresses can be. */
enum { PHYSICAL_ADDRESS_BITS = 52 };

static bool is_aligned(uint64_t address, uint64_t size)
{
    return address % size == 0 && address >> PHYSICAL_ADDRESS_BITS == 0;
}

static bool is_page(uint64_t address)
{
    return is_aligned(address, 4096);
}

/* SDM 3C "VM-Entry Controls for Event Injection": interruption types. */
enum { TYPE_EXTERNAL = 0, TYPE_NMI = 2, TYPE_EXCEPTION = 3 };
enum { VECTOR_DB = 1, VECTOR_MC = 18 };
#define EVENT_RESERVED_BITS UINT32_C(0x7ffff000)

/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP: SDM 3A "Exceptions and Interrupts". */
static bool pushes_error_code(unsigned vector)
{
    return vector < 32 && UINT32_C(0x00227d00) >> vector & 1;
}

static bool is_active(const struct virt_cpu *v)
{
    return !v->halted && !v->shut_down && !v->waits_for_sipi;
}

static bool wakes_shutdown(unsigned type, unsigned vector)
{
    return type == TYPE_NMI || (type == TYPE_EXCEPTION && vector == VECTOR_MC);
}

static bool wakes_hlt(unsigned type, unsigned vector)
{
    return type == TYPE_EXTERNAL || wakes_shutdown(type, vector) ||
           (type == TYPE_EXCEPTION && vector == VECTOR_DB);
}

/* The table's words. */
#define ON(control)      vmx_has(c, VMX_##control)
#define GET(field)       vmcs_get(c, VMCS_##field)
#define VTPR             (v->apic->regs.TPR)
#define THRESHOLD_COUNTS (ON(USE_TPR_SHADOW) && !ON(VIRTUAL_INTERRUPT_DELIVERY))
#define EVENT            ((uint32_t)GET(ENTRY_INTR_INFO))
#define INJECTS          (EVENT & VMX_INFO_VALID)
#define TYPE             (EVENT >> 8 & 7)
#define VECTOR           (EVENT & 0xff)
#define HAS_ERROR_CODE   ((EVENT >> 11 & 1) != 0)

static bool holds(const struct virt_cpu *v, enum vmx_check_id id)
{
    const struct vmcs *c = &v->vmcs;

    switch (id) {
#define CHECK(name, section, failure, condition, meaning)                                      \
    case VMX_CHECK_##name:                                                                     \
        return condition;
#include "virt/vmx_checks.def"
#undef CHECK
    case VMX_CHECK_COUNT:
        break;
    }
    return true;
}

const struct vmx_check *vmx_check_entry(const struct virt_cpu *v)
{
    for (unsigned n = 0; n < VMX_CHECK_COUNT; n++)
        if (!holds(v, (enum vmx_check_id)n))
            return &vmx_checks[n];
    return NULL;
}
