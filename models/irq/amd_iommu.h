/*
 * Interrupt remapping by AMD's IOMMU in guest virtual APIC mode: AMD I/O
 * Virtualization Technology (IOMMU) Specification, order number 48882.
 *
 * An interrupt of a device goes in, a verdict comes out: pass this message, post
 * this vector in a backing page, or block. The IOMMU rings the doorbell of a vCPU
 * that runs, and logs the interrupts of one that does not, so that its hypervisor
 * may wake it. Setting the bit of IRR and sending what is to be sent are the
 * caller's.
 *
 * Left out: the device table (the caller names the entry), the event log, DMA,
 * commands and caches: every interrupt reads its entry. docs/models/amd_iommu.md.
 */
#ifndef VIRQSIM_IRQ_AMD_IOMMU_H
#define VIRQSIM_IRQ_AMD_IOMMU_H

#include "irq/irq_msg.h"

/* Offsets from the MMIO base: AMD_IOMMU_CONTROL = 0x0018, and so on. */
enum amd_iommu_offset {
#define REG(name, offset, ...) AMD_IOMMU_##name = (offset),
#include "irq/amd_iommu_regs.def"
#undef REG
};

struct amd_iommu_regs {
#define REG(name, ...) uint64_t name;
#include "irq/amd_iommu_regs.def"
#undef REG
};

struct amd_irte {
    uint64_t word[2];
};

struct amd_iommu_config {
    const struct amd_irte *table; /* software writes it */
    uint32_t entries;
    uint64_t *log; /* the memory that GA_LOG_BASE points at */
    uint32_t log_entries;
};

struct amd_iommu {
    struct amd_iommu_regs regs;
    struct amd_iommu_config config;
};

enum amd_iommu_outcome {
    AMD_IOMMU_PASS,  /* deliver `message` */
    AMD_IOMMU_POST,  /* set the bit of `vector` in the IRR of the page at `page` */
    AMD_IOMMU_BLOCK, /* nobody gets it; `reported` unless the entry suppresses that */
};

struct amd_iommu_verdict {
    uint8_t outcome; /* enum amd_iommu_outcome */
    uint8_t vector;
    bool reported;
    bool doorbell;  /* POST: ring it at `destination` */
    bool logged;    /* POST: an entry was written to the log */
    bool interrupt; /* POST: the IOMMU's own interrupt is due: the log has something new */
    uint32_t destination;
    uint64_t page;
    struct irq_msg message; /* PASS; its flow is 0 */
};

/* Power-up: nothing enabled, so that every interrupt is blocked. */
void amd_iommu_init(struct amd_iommu *u, const struct amd_iommu_config *config);

/* An interrupt of the device, by the table's entry `index`. amd_iommu_ask() changes nothing, and so
   logs nothing. */
struct amd_iommu_verdict amd_iommu_ask(const struct amd_iommu *u, uint32_t index);
struct amd_iommu_verdict amd_iommu_translate(struct amd_iommu *u, uint16_t device_id,
                                             uint32_t index);

/* Entries as Linux writes them: fixed and edge-triggered to one APIC, and posted in the page at
   `page` for a vCPU that does not run (amd_iommu_activate_guest_mode()). */
struct amd_irte amd_irte_remapped(uint8_t vector, uint32_t apic_id);
struct amd_irte amd_irte_guest(uint8_t vector, uint64_t page, uint32_t tag);
/* Linux: amd_iommu_update_ga(). The vCPU runs at `apic_id`, or does not run. */
void amd_irte_set_running(struct amd_irte *irte, bool running, uint32_t apic_id);
bool amd_irte_is_guest(const struct amd_irte *irte);

/* The next entry of the log, taken by software: its tag. False: it is empty. */
bool amd_iommu_take_log(struct amd_iommu *u, uint32_t *tag);

/* Registers by offset, whole; what is no register reads 0. */
uint64_t amd_iommu_read(const struct amd_iommu *u, uint16_t offset);
void amd_iommu_write(struct amd_iommu *u, uint16_t offset, uint64_t value);
#endif
