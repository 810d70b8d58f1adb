/* An EPIC message: what travels between CEPICs, PREPICs and IOEPICs of an Elbrus machine. */
#ifndef VIRQSIM_IRQ_EPIC_MSG_H
#define VIRQSIM_IRQ_EPIC_MSG_H

#include "port/trace.h"

/* Whatever cannot be masked goes by the number of an NMI, in the trace and in the guest's table of
   handlers. */
enum { EPIC_VECTORS = 1024, EPIC_CLASSES = 4, EPIC_NMI_VECTOR = 2 };

/* Delivery modes: ICR bits 15:13 (epicdef.h, CEPIC_ICR_DLVM_*). */
enum epic_delivery {
    EPIC_FIXED_EXT,
    EPIC_FIXED_IPI,
    EPIC_SMI,
    EPIC_NM_SPECIAL,
    EPIC_NMI,
    EPIC_INIT,
    EPIC_STARTUP,
};

/* ICR bits 11:10 (CEPIC_ICR_DST_*). FULL: the destination is the whole of its number. */
enum epic_shorthand { EPIC_FULL, EPIC_SELF, EPIC_ALL_BUT_SELF, EPIC_ALL_INCLUDING_SELF };

struct epic_msg {
    uint16_t vector;   /* 0 to 1023; bits 9:8 are the class */
    uint16_t dest;     /* a CEPIC's number, of the guest below */
    uint16_t guest;    /* 0: the host */
    uint16_t source;   /* index of the sender in its machine, or TRACE_NOWHERE */
    uint8_t delivery;  /* enum epic_delivery */
    uint8_t shorthand; /* enum epic_shorthand */
    trace_flow flow;
};

/* The classes are 1 to 4 where they are compared with a core's priority (Linux for e2k:
   epic_vector_prio()). */
static inline unsigned epic_priority(unsigned vector)
{
    return 1 + (vector >> 8 & 3);
}
#endif
