/* An interrupt message: what travels between an ICR or an MSI and a local APIC. */
#ifndef VIRQSIM_IRQ_IRQ_MSG_H
#define VIRQSIM_IRQ_IRQ_MSG_H

#include "port/trace.h"

/* SDM 3A "Interrupt Command Register (ICR)", bits 10:8; the same codes in MSI data. */
enum irq_delivery {
    IRQ_FIXED = 0,
    IRQ_LOWEST_PRIORITY = 1,
    IRQ_SMI = 2,
    IRQ_NMI = 4,
    IRQ_INIT = 5,
    IRQ_STARTUP = 6,
    IRQ_EXTINT = 7, /* not in an ICR */
};

/* ICR bits 19:18. */
enum irq_shorthand { IRQ_NO_SHORTHAND, IRQ_SELF, IRQ_ALL_INCLUDING_SELF, IRQ_ALL_BUT_SELF };

struct irq_msg {
    uint8_t vector;
    uint8_t delivery;  /* enum irq_delivery */
    uint8_t shorthand; /* enum irq_shorthand */
    bool logical;      /* destination mode */
    bool level;        /* trigger mode: level */
    bool deassert;     /* level 0: an INIT level de-assert */
    uint32_t dest;     /* 8 bits in xAPIC mode, 32 in x2APIC mode */
    uint16_t source;   /* index of the sending APIC in its fabric, or TRACE_NOWHERE */
    trace_flow flow;
};
#endif
