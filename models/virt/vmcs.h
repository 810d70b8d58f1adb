/* A VMCS: values by name, the table that says what each one is, and the control bits. */
#ifndef VIRQSIM_VIRT_VMCS_H
#define VIRQSIM_VIRT_VMCS_H

#include <stdbool.h>
#include <stdint.h>

enum vmcs_field {
#define FIELD(encoding, name, width, group, what) VMCS_##name,
#include "virt/vmcs_fields.def"
#undef FIELD
    VMCS_FIELD_COUNT
};

/* The encodings' own codes: bits 14:13 and bits 11:10. */
enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };
enum vmcs_group { VMCS_CONTROL, VMCS_READ_ONLY, VMCS_GUEST, VMCS_HOST };

struct vmcs_field_info {
    const char *name;
    uint32_t encoding;
    enum vmcs_width width;
    enum vmcs_group group;
    const char *what_for;
};
extern const struct vmcs_field_info vmcs_fields[VMCS_FIELD_COUNT];

struct vmcs {
    uint64_t value[VMCS_FIELD_COUNT];
};

static inline uint64_t vmcs_get(const struct vmcs *v, enum vmcs_field f)
{
    return v->value[f];
}

/* Truncates to the field's width, as the core does. */
void vmcs_set(struct vmcs *v, enum vmcs_field f, uint64_t value);

/* CONTROL(field, bit, name, title): titles as in SDM 3C "VM-Execution Control Fields". */
#define VMX_CONTROLS(CONTROL)                                                                  \
    CONTROL(PIN_CONTROLS, 0, EXTERNAL_INTERRUPT_EXITING, "external-interrupt exiting")         \
    CONTROL(PIN_CONTROLS, 3, NMI_EXITING, "NMI exiting")                                       \
    CONTROL(PIN_CONTROLS, 5, VIRTUAL_NMIS, "virtual NMIs")                                     \
    CONTROL(PIN_CONTROLS, 6, ACTIVATE_PREEMPTION_TIMER, "activate VMX-preemption timer")       \
    CONTROL(PIN_CONTROLS, 7, PROCESS_POSTED_INTERRUPTS, "process posted interrupts")           \
    CONTROL(PRIMARY_CONTROLS, 2, INTERRUPT_WINDOW_EXITING, "interrupt-window exiting")         \
    CONTROL(PRIMARY_CONTROLS, 7, HLT_EXITING, "HLT exiting")                                   \
    CONTROL(PRIMARY_CONTROLS, 10, MWAIT_EXITING, "MWAIT exiting")                              \
    CONTROL(PRIMARY_CONTROLS, 12, RDTSC_EXITING, "RDTSC exiting")                              \
    CONTROL(PRIMARY_CONTROLS, 17, ACTIVATE_TERTIARY, "activate tertiary controls")             \
    CONTROL(PRIMARY_CONTROLS, 19, CR8_LOAD_EXITING, "CR8-load exiting")                        \
    CONTROL(PRIMARY_CONTROLS, 20, CR8_STORE_EXITING, "CR8-store exiting")                      \
    CONTROL(PRIMARY_CONTROLS, 21, USE_TPR_SHADOW, "use TPR shadow")                            \
    CONTROL(PRIMARY_CONTROLS, 22, NMI_WINDOW_EXITING, "NMI-window exiting")                    \
    CONTROL(PRIMARY_CONTROLS, 24, UNCONDITIONAL_IO_EXITING, "unconditional I/O exiting")       \
    CONTROL(PRIMARY_CONTROLS, 28, USE_MSR_BITMAPS, "use MSR bitmaps")                          \
    CONTROL(PRIMARY_CONTROLS, 29, MONITOR_EXITING, "MONITOR exiting")                          \
    CONTROL(PRIMARY_CONTROLS, 30, PAUSE_EXITING, "PAUSE exiting")                              \
    CONTROL(PRIMARY_CONTROLS, 31, ACTIVATE_SECONDARY, "activate secondary controls")           \
    CONTROL(SECONDARY_CONTROLS, 0, VIRTUALIZE_APIC_ACCESSES, "virtualize APIC accesses")       \
    CONTROL(SECONDARY_CONTROLS, 4, VIRTUALIZE_X2APIC_MODE, "virtualize x2APIC mode")           \
    CONTROL(SECONDARY_CONTROLS, 6, WBINVD_EXITING, "WBINVD exiting")                           \
    CONTROL(SECONDARY_CONTROLS, 8, APIC_REGISTER_VIRTUALIZATION,                               \
            "APIC-register virtualization")                                                    \
    CONTROL(SECONDARY_CONTROLS, 9, VIRTUAL_INTERRUPT_DELIVERY, "virtual-interrupt delivery")   \
    CONTROL(SECONDARY_CONTROLS, 10, PAUSE_LOOP_EXITING, "PAUSE-loop exiting")                  \
    CONTROL(TERTIARY_CONTROLS, 4, IPI_VIRTUALIZATION, "IPI virtualization")                    \
    CONTROL(TERTIARY_CONTROLS, 8, APIC_TIMER_VIRTUALIZATION, "APIC-timer virtualization")      \
    CONTROL(EXIT_CONTROLS, 15, ACKNOWLEDGE_INTERRUPT_ON_EXIT, "acknowledge interrupt on exit") \
    CONTROL(EXIT_CONTROLS, 22, SAVE_PREEMPTION_TIMER, "save VMX-preemption timer value")       \
    CONTROL(EXIT_CONTROLS, 27, CLEAR_UINV, "clear UINV")                                       \
    CONTROL(ENTRY_CONTROLS, 19, LOAD_UINV, "load UINV")

/* The bits of the exception bitmap, which are the vectors. */
enum { VMX_NOT_PRESENT = 11, VMX_PAGE_FAULT = 14 };

enum vmx_control {
#define CONTROL(field, bit, name, title) VMX_##name,
    VMX_CONTROLS(CONTROL)
#undef CONTROL
        VMX_CONTROL_COUNT
};

enum vmx_control_bit {
#define CONTROL(field, bit, name, title) VMX_##name##_BIT = (bit),
    VMX_CONTROLS(CONTROL)
#undef CONTROL
};

/* The secondary and tertiary words count only while a primary control activates them. */
static inline bool vmx_word_active(const struct vmcs *v, enum vmcs_field word)
{
    const uint64_t primary = v->value[VMCS_PRIMARY_CONTROLS];

    if (word == VMCS_SECONDARY_CONTROLS)
        return primary >> VMX_ACTIVATE_SECONDARY_BIT & 1;
    if (word == VMCS_TERTIARY_CONTROLS)
        return primary >> VMX_ACTIVATE_TERTIARY_BIT & 1;
    return true;
}

/* Is the control in effect? Inline, since most operations ask it, of a control they name. */
static inline bool vmx_has(const struct vmcs *v, enum vmx_control c)
{
    switch (c) {
#define CONTROL(field, bit, name, title)                                                       \
    case VMX_##name:                                                                           \
        return v->value[VMCS_##field] >> (bit)&1 && vmx_word_active(v, VMCS_##field);
        VMX_CONTROLS(CONTROL)
#undef CONTROL
    default:
        return false;
    }
}

/* Sets or clears the bit; setting one of a secondary or tertiary word also activates the word. */
void vmx_control(struct vmcs *v, enum vmx_control c, bool on);
const char *vmx_control_title(enum vmx_control c);
#endif
