/*
 * PREPIC: the interrupt controller of an Elbrus processor.
 *
 * It stands between its cores' CEPICs and the rest of the machine: a message to
 * a core of its own it hands over, any other goes to the PREPIC of the processor
 * that the destination's number names. Six lines of the processor's own (LINP:
 * host controller, IOMMU, uncore, IPCC, power) and its errors make messages.
 *
 * Names, offsets and fields are those of the Linux kernel for e2k; what is
 * inferred or assumed is named in docs/models/epic.md.
 */
#ifndef VIRQSIM_IRQ_PREPIC_H
#define VIRQSIM_IRQ_PREPIC_H

#include <stdbool.h>

#include "irq/epic_msg.h"

enum { PREPIC_LINES = 6, PREPIC_PROCESSORS = 4 };

/* Offsets among the processor's registers. */
enum prepic_offset {
#define REG(name, offset, ...) PREPIC_##name = (offset),
#define FIELD(...)
#include "irq/prepic_regs.def"
#undef REG
#undef FIELD
};

enum prepic_row {
#define REG(name, ...) PREPIC_ROW_##name,
#define FIELD(...)
#include "irq/prepic_regs.def"
#undef REG
#undef FIELD
    PREPIC_ROWS
};

struct prepic_port {
    /* A line, or an error: its flow is 0, the owner knows whose interrupt it is. */
    void (*send)(struct prepic_port *self, const struct epic_msg *msg);
};

struct prepic {
    uint32_t reg[PREPIC_ROWS]; /* of LINP the first */
    uint32_t linp[PREPIC_LINES];
    uint8_t lines; /* bit n: line n is asserted */
    struct prepic_port *port;
};

void prepic_init(struct prepic *p, unsigned processor, bool bootstrap,
                 struct prepic_port *port);

/* Four bytes. Elsewhere, and with another size, a read gives 0 and a write does nothing. */
uint32_t prepic_read(const struct prepic *p, uint16_t offset, unsigned size);
void prepic_write(struct prepic *p, uint16_t offset, unsigned size, uint32_t value);

/* A rising line sends its message unless it is masked. */
void prepic_drive(struct prepic *p, unsigned line, bool level);

/* Is a core of this processor meant; else the message goes on to another PREPIC. */
bool prepic_is_local(const struct prepic *p, uint16_t dest);

enum prepic_answer { PREPIC_TAKEN, PREPIC_OFF, PREPIC_NOT_VIRTUAL };
/* May the message pass: it is off, or a guest's where virtualization is (which is an error). */
enum prepic_answer prepic_pass(struct prepic *p, const struct epic_msg *msg);
#endif
