/*
 * IOEPIC in an Elbrus machine: the pins that the plan's devices drive, the page
 * of registers that the guest's driver reaches, and whose each pin is.
 *
 * KVM emulates the guest's IOEPIC in the kernel (Linux for e2k:
 * arch/e2k/kvm/ioepic.c). A pin of an assigned device is the host's IOEPIC's:
 * with passthrough the guest's own, otherwise the host takes its interrupt and
 * asserts the guest's pin until that has acknowledged.
 */
#ifndef VIRQSIM_HYPERVISOR_IOEPIC_BOARD_H
#define VIRQSIM_HYPERVISOR_IOEPIC_BOARD_H

#include "hypervisor/access.h"
#include "irq/ioepic.h"
#include "port/wire.h"

struct hypervisor;
struct vcpu;
struct pcpu;

/* IO_EPIC_NR_REGS. */
enum { IOEPIC_INPUTS = 32 };

/* Whose a pin is. */
enum ioepic_owner {
    IOEPIC_EMULATED,  /* of a device of the hypervisor's */
    IOEPIC_FORWARDED, /* the host's: its handler asserts the guest's pin */
    IOEPIC_PASSED,    /* the host's, programmed by the guest */
};

struct ioepic_input {
    struct ioepic_board *board;
    struct wire wire;
    struct wire_listener listener;
    trace_flow flow; /* of the present assertion, until a message has it; or 0 */
    uint8_t owner;   /* enum ioepic_owner */
    uint16_t cpu;    /* FORWARDED: the physical CPU that the host's interrupt reaches */
    bool landed;     /* and it has: the host's handler is to run */
    bool masked;     /* and has masked its pin, until the guest acknowledges */
};

struct ioepic_board {
    struct hypervisor *hypervisor;
    struct ioepic ioepic;
    struct ioepic_port port;
    uint8_t version; /* IOEPIC_VERSION_* */
    struct ioepic_input input[IOEPIC_INPUTS];
    struct vcpu *actor; /* whose access is being answered; NULL: a device */
};

void ioepic_board_init(struct hypervisor *h); /* nothing, where the plan has no IOEPIC */
void ioepic_board_drive(struct ioepic_board *b, unsigned pin, unsigned driver, bool level);
/* A device of the host's drives the pin, which is to be the guest's. */
void ioepic_board_assign(struct hypervisor *h, unsigned pin, uint16_t cpu);
bool ioepic_board_owns(const struct ioepic_board *b, const struct access *a);
/* The pins whose page is the guest's, a bit each: accesses there are not intercepted. */
uint32_t ioepic_board_mapped(const struct hypervisor *h);
void ioepic_board_access(struct vcpu *v); /* v->access, if it is one of the IOEPIC's */
/* The CEPIC that KVM emulates says that this vector has ended. */
void ioepic_board_ended(struct vcpu *v, uint16_t vector);
/* Has a pin of an assigned device interrupted the host there; whose flow, or 0. */
bool ioepic_board_landed(const struct pcpu *p, trace_flow *flow);
/* The host's handler of that. */
void ioepic_board_forward(struct pcpu *p);
#endif
