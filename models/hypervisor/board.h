/*
 * What stands on a PC's board beside the CPUs: the chipset and the timers, in the kernel or in
 * userspace (board.c).
 */
#ifndef VIRQSIM_HYPERVISOR_BOARD_H
#define VIRQSIM_HYPERVISOR_BOARD_H

#include "device/hpet.h"
#include "device/pit.h"
#include "hypervisor/access.h"
#include "irq/chipset.h"

struct hypervisor;
struct vcpu;

/* Of an input's drivers, the board's own come first, then the plan's devices. */
enum { BOARD_DRIVER_PIT, BOARD_DRIVER_HPET, BOARD_FIRST_DRIVER };
enum { BOARD_EVENTS = 2 }; /* the PIT's and the HPET's */

/* What stands on a PC's board beside the CPUs: the chipset, and whose access it is answering. */
struct board {
    struct hypervisor *hypervisor;
    struct chipset chipset;
    struct chipset_port port;
    uint8_t ioapic_version;
    struct pit pit;
    struct wire_listener pit_out;
    bool pit_level; /* what OUT 0 says, whoever stands in for it */
    bool has_hpet;
    struct hpet hpet;
    struct hpet_port hpet_port;
    struct vcpu *actor; /* NULL: a device */
};

void board_init(struct hypervisor *h); /* nothing, where the plan has no chipset */
/* Is `a` an access to one of the chips, and who answers. */
bool board_owns(const struct board *board, const struct access *a,
                enum region_handler *handler);
/* Is it one to an interrupt controller: what a handler does there acknowledges its interrupt. */
bool board_controls(const struct board *board, const struct access *a);
void board_access(struct vcpu *v); /* v->access, if it is one of the chips' */
void board_drive(struct board *board, unsigned gsi, unsigned driver, bool level);
bool board_extint(const struct vcpu *v);
uint8_t board_acknowledge(struct vcpu *v, trace_flow *flow);
/* An EOI of the local APIC, on its way to the I/O APIC; and there. */
void board_eoi(struct vcpu *v, uint8_t vector);
void board_eoi_arrived(struct vcpu *v, uint8_t vector);
/* Adds the vectors whose EOI an I/O APIC waits for. */
void board_eoi_exits(const struct vcpu *v, struct vec256 *vectors);
#endif
