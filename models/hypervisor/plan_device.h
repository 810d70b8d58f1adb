/*
 * Whatever raises interrupts from outside the vCPUs, as a plan names it (hypervisor.c).
 */
#ifndef VIRQSIM_HYPERVISOR_PLAN_DEVICE_H
#define VIRQSIM_HYPERVISOR_PLAN_DEVICE_H

#include "irq/msix.h"
#include "port/event.h"
#include "port/trace.h"
#include "port/wire.h"

struct hypervisor;
/* MSI, LEVEL, EXTINT, NMI: an interrupt straight to a vCPU. LINE: an input of the chipset.
   ASSIGNED: a physical MSI, through the remapping hardware. */
enum device_kind {
    DEVICE_MSI,
    DEVICE_LEVEL,
    DEVICE_EXTINT,
    DEVICE_NMI,
    DEVICE_LINE,
    DEVICE_ASSIGNED,
    DEVICE_KIND_COUNT
};

struct nic_queue; /* device/nic.h */
struct nic_path;  /* hypervisor/nic_path.h */

/* Whatever raises interrupts from outside the vCPUs. */
struct device {
    struct hypervisor *hypervisor;
    enum device_kind kind;
    uint16_t vcpu;
    uint8_t vector;
    uint16_t epic_vector; /* in its place, where the guest has an EPIC */
    uint8_t gsi, driver;  /* LINE: the input, and which of its drivers this is */
    bool line_assigned;   /* LINE: of a device of the host's that is the guest's (e2k) */
    uint16_t cpu;         /* ASSIGNED: the physical CPU that it reaches without posting */
    trace_flow landed;    /* and the interrupt that waits there for the host's handler, or 0 */
    bool landed_as_nmi;   /* which the remapping entry has made an NMI of */
    struct nic_queue *queue;      /* of a network card, whose interrupt this is; or NULL */
    struct device *next_assigned; /* of the same CPU */
    struct device *next_of_vcpu;  /* ASSIGNED, behind AMD's IOMMU: of the same vCPU */
    uint64_t delay_ps;
    uint64_t pulse_ps;    /* LINE: how long it stays asserted; 0: until it is lowered */
    struct event arrival; /* of the signal at the interrupt controller */
    uint32_t acts;        /* how many signals that arrival stands for */
    struct event plan;    /* the next of the times below */
    struct event fall;    /* the end of a pulse */
    const sim_time *at;
    uint32_t at_count, at_next;
    struct wire line; /* driven from outside (SystemC) */
    struct wire_listener listener;
    bool masked;         /* its vector, at the device */
    trace_flow withheld; /* and the interrupt that waits for the end of that; or 0 */
    bool urgent;         /* ASSIGNED: URG of its entry, where the IOMMU posts */
    uint64_t table;      /* MSI, ASSIGNED: where the guest finds its MSI-X entry; or 0 */
    struct msix_entry entry;
};

/* What its interrupts have in the guest's controller. */
uint16_t hypervisor_device_vector(const struct device *d);
void hypervisor_device_act(struct device *d);
void hypervisor_device_lower(struct device *d); /* LINE: its condition is gone */
/* MSI, ASSIGNED: what it raises waits in the device, or goes out. */
void hypervisor_device_mask(struct device *d, bool masked);

/* --- msix_entry.c --- */
struct vcpu;
void msix_entry_init(struct device *d);
/* v->access, if it is a store to the entry of a device. */
void msix_entry_access(struct vcpu *v);
#endif
