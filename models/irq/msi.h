/*
 * The MSI capability of a PCI function: PCI Local Bus Specification 3.0, 6.8.1 "MSI Capability
 * Structure" and 6.8.3 "MSI and MSI-X Operation".
 *
 * The function says "message n"; the capability sends it, or keeps it pending while it is masked.
 * What is sent is a memory write: who it interrupts is in irq/msi_message.h, what interrupt
 * remapping makes of it in irq/remap.h. docs/models/msi.md.
 *
 * Left out: extended message data, a later addition of PCI Express.
 */
#ifndef VIRQSIM_IRQ_MSI_H
#define VIRQSIM_IRQ_MSI_H

#include "irq/msi_message.h"

enum { MSI_MAX_MESSAGES = 32, MSI_MAX_LENGTH = 0x18 };

/* One word per row of the table. */
struct msi_regs {
#define REG(name, ...) uint32_t name;
#define FIELD(...)
#include "irq/msi_regs.def"
#undef REG
#undef FIELD
};

/* MSI and MSI-X send through the same. */
struct msi_port {
    /* The function writes `write.data` to `write.address`. `n` is the message, or the entry of
       the MSI-X table; the owner knows whose interrupt it is. */
    void (*send)(struct msi_port *self, unsigned n, struct msi_message write);
};

struct msi_config {
    uint8_t messages; /* that the function wants: 1, 2, 4, 8, 16 or 32 */
    bool address64;
    bool masking; /* per-vector masking */
    uint8_t next; /* pointer to the next capability */
    struct msi_port *port;
};

struct msi {
    struct msi_regs regs;
    struct msi_config config;
};

/* Reset: disabled, nothing masked, nothing pending. A number of messages between two powers of
   two is the next power. */
void msi_init(struct msi *m, const struct msi_config *config);

/* Everything but the configuration comes from `saved`; sends nothing. */
void msi_restore(struct msi *m, const struct msi *saved);

/* How many bytes of configuration space the capability takes. */
unsigned msi_length(const struct msi *m);

/* Accesses by offset in the capability and size in bytes (1, 2 or 4; others do nothing and read
   0). Bytes beyond the capability read 0. A write sends what it unmasked. */
uint32_t msi_read(const struct msi *m, uint16_t offset, unsigned size);
void msi_write(struct msi *m, uint16_t offset, unsigned size, uint32_t value);

enum msi_answer {
    MSI_SENT,
    MSI_PENDING,   /* masked: it will be sent when it is unmasked */
    MSI_COALESCED, /* masked, and pending already */
    MSI_REFUSED,   /* disabled, or no such entry: the function may use INTx, or nothing */
};

/* The function has cause for message n. Where fewer are allocated, n counts modulo these. */
enum msi_answer msi_raise(struct msi *m, unsigned n);

/* The causes of message n are satisfied: it is pending no more ("Per-vector Masking and Function
   Masking"). */
void msi_withdraw(struct msi *m, unsigned n);

/* While MSI is enabled the function keeps off its INTx pin. */
bool msi_enabled(const struct msi *m);

/* How many messages software allocated: 1 to config.messages. */
unsigned msi_allocated(const struct msi *m);

/* What message n would write now. Changes nothing. */
struct msi_message msi_compose(const struct msi *m, unsigned n);
#endif
