/*
 * AMD's Advanced Virtual Interrupt Controller, AVIC and x2AVIC: APM 2 15.29.
 *
 * The guest's registers are a backing page, which the hardware reads and, for
 * some registers, writes; IPIs find their targets in a table by physical APIC ID
 * (a logical destination's members in one more, by logical ID) and set IRR there;
 * a running target is told by a doorbell.
 *
 * Left out: posting by the IOMMU, which is in irq/amd_iommu.h.
 */
#ifndef VIRQSIM_VIRT_AVIC_H
#define VIRQSIM_VIRT_AVIC_H

#include "irq/apic_fabric.h"

/* An entry of the physical APIC ID table (15.29.4.2): index is the guest's physical APIC ID. */
struct avic_entry {
    struct lapic *backing; /* NULL: V is 0 */
    bool running;          /* IsRunning: a doorbell to `host` reaches it */
    uint16_t host;         /* host physical APIC ID: the physical CPU's index */
};

/* The logical APIC ID table (15.29.4.3): eight entries by the flat model's bit, or four for each of
   15 clusters. xAPIC only: an x2APIC logical ID follows from the physical one. */
enum {
    AVIC_FLAT_MEMBERS = 8,
    AVIC_CLUSTER_MEMBERS = 4,
    AVIC_CLUSTERS = 15,
    AVIC_LOGICAL_ENTRIES = AVIC_CLUSTERS * AVIC_CLUSTER_MEMBERS,
};
struct avic_logical_entry {
    bool valid;
    uint8_t physical_id; /* the guest's */
};

struct avic_table {
    struct avic_entry *entry;
    uint32_t count;
    struct trace *trace;
    struct avic_logical_entry logical[AVIC_LOGICAL_ENTRIES];
};

/* Where an APIC with these registers has its entry in the logical table; -1: nowhere, since its
   logical ID does not name just one member. */
int avic_logical_index(const struct lapic_regs *r);

/* What an ICR write did to one target. */
struct avic_target {
    uint16_t index;
    bool
        running; /* the hardware sends the doorbell to `host`; else the hypervisor is to wake it */
    uint16_t host;
    trace_flow flow;
};

/* EXITINFO2[63:32] of AVIC_INCOMPLETE_IPI. */
enum avic_incomplete {
    AVIC_INVALID_TYPE,
    AVIC_NOT_RUNNING,
    AVIC_INVALID_TARGET,
    AVIC_INVALID_BACKING_PAGE,
    AVIC_INVALID_VECTOR,
};
#define AVIC_INCOMPLETE(exit_info_2) ((enum avic_incomplete)((exit_info_2) >> 32))

struct virt_cpu;
struct virt_verdict;

/* Accesses to the backing page: 15.29.3.1 "Virtual APIC Register Accesses". */
struct virt_verdict avic_read(struct virt_cpu *v, uint16_t offset, sim_time now);
struct virt_verdict avic_write(struct virt_cpu *v, uint16_t offset, uint64_t value,
                               sim_time now);
#endif
