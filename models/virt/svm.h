/*
 * The part of a VMCB that interrupts touch: intercepts, V_IRQ, V_TPR, EVENTINJ
 * (APM 2 15.9 "Instruction Intercepts", 15.13 "Exception, Interrupt and Abort
 * Intercepts", 15.14.4 "Pause Intercept Filtering", 15.20 "Event Injection", 15.21 "Interrupt and Local APIC
 * Support"). AVIC's own is in avic.h.
 */
#ifndef VIRQSIM_VIRT_SVM_H
#define VIRQSIM_VIRT_SVM_H

#include <stdbool.h>
#include <stdint.h>

/* INTERCEPT(name, vector of the VMCB intercept words, bit): APM 2 appendix B, table B-1. */
#define SVM_INTERCEPTS(INTERCEPT)                                                              \
    INTERCEPT(CR8_WRITE, 0, 24)                                                                \
    INTERCEPT(PF, 2, 14)                                                                       \
    INTERCEPT(INTR, 3, 0)                                                                      \
    INTERCEPT(NMI, 3, 1)                                                                       \
    INTERCEPT(VINTR, 3, 4)                                                                     \
    INTERCEPT(CPUID, 3, 18)                                                                    \
    INTERCEPT(IRET, 3, 20)                                                                     \
    INTERCEPT(PAUSE, 3, 23)                                                                    \
    INTERCEPT(HLT, 3, 24)                                                                      \
    INTERCEPT(IOIO, 3, 27)                                                                     \
    INTERCEPT(MSR, 3, 28)                                                                      \
    INTERCEPT(VMRUN, 4, 0)                                                                     \
    INTERCEPT(VMMCALL, 4, 1)                                                                   \
    INTERCEPT(STGI, 4, 4)                                                                      \
    INTERCEPT(CLGI, 4, 5)                                                                      \
    INTERCEPT(WBINVD, 4, 9)                                                                    \
    INTERCEPT(MONITOR, 4, 10)                                                                  \
    INTERCEPT(MWAIT, 4, 11)                                                                    \
    INTERCEPT(IDLE_HLT, 5, 6)

enum svm_intercept {
#define INTERCEPT(name, word, bit) SVM_##name,
    SVM_INTERCEPTS(INTERCEPT)
#undef INTERCEPT
        SVM_INTERCEPT_COUNT
};

struct vmcb {
    uint32_t intercepts[6]; /* offsets 000h to 014h */
    uint16_t
        pause_threshold;  /* offset 03Ch: cycles between two PAUSEs of a loop; 0: count alone */
    uint16_t pause_count; /* offset 03Eh: PAUSEs of a loop until one is intercepted; 0: each */
    uint8_t v_tpr;        /* offset 060h bits 7:0 */
    bool v_irq;           /* bit 8: a virtual interrupt is pending */
    bool v_ign_tpr;       /* bit 20 */
    bool v_intr_masking;  /* bit 24: the guest's IF masks virtual interrupts only */
    bool vgif;            /* bit 25; V_GIF, bit 9, is virt_cpu's gif_clear, inverted */
    bool v_nmi_enable;    /* bit 26 */
    bool v_nmi_pending;   /* bit 11; V_NMI_MASK, bit 12, is virt_cpu's nmi_blocked */
    bool x2avic;          /* bit 30 */
    bool avic;            /* bit 31 */
    uint32_t exit_int_info; /* offset 088h */
    uint32_t event_inj;     /* offset 0A8h */
};

/* KVM's V_INTR_PRIO, always. */
enum { SVM_V_INTR_PRIO = 15 };

/* --- svm_checks.c: the fields by name, and what VMRUN checks of them --- */

enum vmcb_field {
#define FIELD(name, ...) VMCB_##name,
#include "virt/vmcb_fields.def"
#undef FIELD
    VMCB_FIELD_COUNT
};

struct vmcb_field_info {
    const char *name;
    uint16_t offset;
    uint8_t high, low; /* bits of the 64 at that offset */
    const char *what_for;
};
extern const struct vmcb_field_info vmcb_fields[VMCB_FIELD_COUNT];
uint64_t vmcb_get(const struct vmcb *b, enum vmcb_field f);

enum svm_check_id {
#define CHECK(name, ...) SVM_CHECK_##name,
#include "virt/svm_checks.def"
#undef CHECK
    SVM_CHECK_COUNT
};

struct svm_check {
    const char *name, *section, *meaning;
};
extern const struct svm_check svm_checks[SVM_CHECK_COUNT];
/* The first check that VMRUN would fail, or NULL. */
const struct svm_check *svm_check_entry(const struct vmcb *b);

bool svm_intercepts(const struct vmcb *b, enum svm_intercept i);
void svm_intercept(struct vmcb *b, enum svm_intercept i, bool on);
#endif
