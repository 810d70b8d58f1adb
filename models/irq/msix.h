/*
 * The MSI-X capability of a PCI function, its table and its pending bits: PCI Local Bus
 * Specification 3.0, 6.8.2 "MSI-X Capability and Table Structures" and 6.8.3 "MSI and MSI-X
 * Operation".
 *
 * Table and pending bits are the owner's storage, since a function has between 1 and 2048 entries.
 * Where they are in memory is the owner's decoding too. docs/models/msi.md.
 *
 * Left out: steering tags in the table, a later addition of PCI Express.
 */
#ifndef VIRQSIM_IRQ_MSIX_H
#define VIRQSIM_IRQ_MSIX_H

#include "irq/msi.h"

enum { MSIX_MAX_ENTRIES = 2048, MSIX_LENGTH = 0x0c, MSIX_ENTRY_BYTES = 16 };

struct msix_regs {
#define REG(name, ...) uint32_t name;
#define ENTRY(...)
#define PBA(...)
#define FIELD(...)
#include "irq/msix_regs.def"
#undef REG
#undef ENTRY
};

struct msix_entry {
#define REG(...)
#define ENTRY(name, ...) uint32_t name;
#include "irq/msix_regs.def"
#undef REG
#undef ENTRY
#undef PBA
#undef FIELD
};

/* How many 64-bit words of pending bits so many entries have. */
#define MSIX_PENDING_WORDS(entries) (((entries) + 63u) / 64u)

struct msix_config {
    uint16_t entries;         /* 1 to MSIX_MAX_ENTRIES */
    struct msix_entry *table; /* so many entries */
    uint64_t *pending;        /* MSIX_PENDING_WORDS() */
    uint32_t table_at;        /* where software finds them: an offset, a multiple of 8, */
    uint32_t pending_at;      /* plus the number of the BAR */
    uint8_t next;             /* pointer to the next capability */
    struct msi_port *port;
};

struct msix {
    struct msix_regs regs;
    struct msix_config config;
};

/* Reset: disabled, every entry masked, nothing pending. */
void msix_init(struct msix *m, const struct msix_config *config);

/* Everything but the configuration comes from `saved`: its table and pending bits too, which are
   copied from its storage to this one's. `saved` has as many entries. Sends nothing. */
void msix_restore(struct msix *m, const struct msix *saved);

/* The capability, by offset and size in bytes (1, 2 or 4; others do nothing and read 0). */
uint32_t msix_read(const struct msix *m, uint16_t offset, unsigned size);
void msix_write(struct msix *m, uint16_t offset, unsigned size, uint32_t value);

/* The structures in memory, by offset from their start: whole aligned DWORDs and QWORDs. Other
   accesses do nothing and read 0, and so do those beyond the last entry; nor does a write to the
   pending bits do anything. */
uint64_t msix_table_read(const struct msix *m, uint32_t offset, unsigned size);
void msix_table_write(struct msix *m, uint32_t offset, unsigned size, uint64_t value);
uint64_t msix_pending_read(const struct msix *m, uint32_t offset, unsigned size);

/* As msi_raise() and msi_withdraw(), for entry n of the table. */
enum msi_answer msix_raise(struct msix *m, unsigned n);
void msix_withdraw(struct msix *m, unsigned n);

/* While MSI-X is enabled the function keeps off its INTx pin, and off MSI. */
bool msix_enabled(const struct msix *m);

/* By entry; an entry that there is not is masked, and never pending. Change nothing. */
bool msix_masked(const struct msix *m, unsigned n);
bool msix_pending(const struct msix *m, unsigned n);
#endif
