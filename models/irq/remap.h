/*
 * Interrupt remapping: Intel Virtualization Technology for Directed I/O (VT-d),
 * revision 5.10 (order number D51397-018), chapter 5 "Interrupt Remapping".
 *
 * A request (the write that is an MSI, or what an I/O APIC sends) goes in, a
 * verdict comes out: pass this message, post this vector, or fault. Faults are
 * recorded as the fault registers show them. Posting itself is the caller's.
 *
 * Left out: DMA remapping, the invalidation queue and the interrupt entry cache:
 * every request reads its entry from the table. docs/models/remap.md.
 */
#ifndef VIRQSIM_IRQ_REMAP_H
#define VIRQSIM_IRQ_REMAP_H

#include "irq/irq_msg.h"

/* Fault reasons: REMAP_FAULT_NOT_PRESENT = 0x22, and so on. */
enum remap_fault {
#define FAULT(name, reason, qualified, meaning) REMAP_FAULT_##name = (reason),
#include "irq/remap_faults.def"
#undef FAULT
};

/* Offsets from the register base: REMAP_GCMD = 0x018, and so on. */
enum remap_offset {
#define REG(name, offset, ...) REMAP_##name = (offset),
#define RECORDS(name, offset, width, count, ...)                                               \
    REMAP_##name = (offset), REMAP_##name##_COUNT = (count),
#include "irq/remap_regs.def"
#undef REG
#undef RECORDS
};

struct remap_regs {
#define REG(name, ...) uint64_t name;
#define RECORDS(name, ...)
#include "irq/remap_regs.def"
#undef REG
#undef RECORDS
};

/* VT-d 9.9, SVT and SQ. */
enum remap_svt { REMAP_SVT_ANYBODY, REMAP_SVT_REQUESTER, REMAP_SVT_BUS_RANGE };
enum remap_sq {
    REMAP_SQ_ALL,          /* all 16 bits of the requester count */
    REMAP_SQ_IGNORE_BIT_2, /* of the function number */
    REMAP_SQ_IGNORE_BITS_2_TO_1,
    REMAP_SQ_IGNORE_FUNCTION,
};

/* An entry, or a fault record: 128 bits. */
struct remap_words {
    uint64_t word[2];
};

struct remap_port {
    /* A fault event, which no unit remaps. Its flow is 0. */
    void (*send)(struct remap_port *self, const struct irq_msg *msg);
};

struct remap_config {
    /* The memory that IRTA points at; the caller writes it as software would. Beyond `entries`
       no memory answers. */
    const struct remap_words *table;
    uint32_t entries;
    bool table_fails; /* memory answers every read of an entry with an error */
    struct remap_port *port;
};

enum { REMAP_ADDRESS_WIDTH = 46 }; /* the host's physical addresses, in bits */

struct remap {
    struct remap_regs regs;
    struct remap_words record[REMAP_FRCD_COUNT];
    uint8_t next_record;
    uint64_t table; /* IRTA as SIRTP found it: what is used */
    struct remap_config config;
};

/* Power-up: remapping disabled. */
void remap_init(struct remap *u, const struct remap_config *config);

/* Present entries as software writes them, for requests from anybody: fixed and edge-triggered to
   one APIC (x2APIC form), the same as an NMI, and posted in the descriptor at `descriptor`, a
   multiple of 64. */
struct remap_words remap_entry_remapped(uint8_t vector, uint32_t apic_id);
struct remap_words remap_entry_nmi(uint32_t apic_id);
struct remap_words remap_entry_posted(uint8_t vector, uint64_t descriptor, bool urgent);

enum remap_outcome {
    REMAP_PASS,  /* deliver `message` */
    REMAP_POST,  /* post `vector` in the descriptor at `descriptor` */
    REMAP_FAULT, /* blocked, for `reason` */
};

struct remap_verdict {
    uint8_t outcome; /* enum remap_outcome */
    uint8_t reason;  /* enum remap_fault, or 0 */
    bool suppressed; /* FPD of the entry that was read: the fault is not recorded */
    bool urgent;
    uint8_t vector;
    uint16_t source_id; /* the requester: bus, device, function */
    uint32_t index;     /* in the table, where the request has one; else 0 */
    uint64_t descriptor;
    struct irq_msg message; /* its flow is 0 */
};

/*
 * A DWORD write of `data` to `address`, which is in FEEx_xxxxH: its upper bits
 * are not looked at. remap_ask() changes nothing; remap_translate() records the
 * fault as well.
 */
struct remap_verdict remap_ask(const struct remap *u, uint16_t source_id, uint64_t address,
                               uint32_t data);
void remap_translate(struct remap *u, uint16_t source_id, uint64_t address, uint32_t data,
                     struct remap_verdict *verdict);

/* The same for what an I/O APIC sends on behalf of redirection table entry `rte`, in either
   format (VT-d 5.1.5.1 "I/OxAPIC Programming"). */
void remap_message(struct remap *u, uint16_t source_id, uint64_t rte,
                   struct remap_verdict *verdict);

/* The descriptor of a REMAP_POST could not be used (DESCRIPTOR_ACCESS or DESCRIPTOR_RESERVED):
   the verdict becomes that fault, recorded unless the entry's FPD forbids. */
void remap_post_failed(struct remap *u, struct remap_verdict *verdict, enum remap_fault why);

/* Registers by offset; `size` is 4, or 8 for two neighbours at once. Other sizes and unaligned
   offsets do nothing and read 0. */
uint64_t remap_read(const struct remap *u, uint16_t offset, unsigned size);
void remap_write(struct remap *u, uint16_t offset, unsigned size, uint64_t value);

/* Does extended interrupt mode hold: are destinations 32 bits wide? Also the form of NDST. */
bool remap_extended(const struct remap *u);

/* Everything but the configuration comes from `saved`; sends nothing. */
void remap_restore(struct remap *u, const struct remap *saved);
#endif
