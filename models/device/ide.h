/*
 * One IDE channel with one disk, PIO and bus-master DMA (ATA/ATAPI-6, T13/1410D; "Programming
 * Interface for Bus Master IDE Controller", revision 1.0).
 *
 * The disk keeps no data: a request goes to whoever stands behind the port, who
 * says later that it is done. In between the channel is busy: it has one request
 * at a time.
 *
 * To wire it: accesses by register (ide_find() tells which a port and a direction
 * name); `line` is INTRQ, already gated by nIEN; `start` begins a request, which
 * ide_complete() ends. Left out: see docs/models/ide.md.
 */
#ifndef VIRQSIM_DEVICE_IDE_H
#define VIRQSIM_DEVICE_IDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ide_block { IDE_COMMAND_BLOCK, IDE_CONTROL_BLOCK, IDE_BUS_MASTER_BLOCK, IDE_NO_BLOCK };

enum ide_reg {
#define REG(name, ...) IDE_##name,
#define FIELD(...)
#include "device/ide_regs.def"
#undef REG
#undef FIELD
    IDE_REG_COUNT
};

/* Masks: IDE_STATUS_BSY and so on. */
enum ide_field {
#define REG(...)
#define FIELD(reg, name, high, low, meaning)                                                   \
    IDE_##reg##_##name = ((1u << ((high) - (low) + 1)) - 1) << (low),
#include "device/ide_regs.def"
#undef REG
#undef FIELD
};

enum ide_command {
#define COMMAND(code, name, ...) IDE_##name = (code),
#include "device/ide_commands.def"
#undef COMMAND
};

enum ide_does { IDE_READ, IDE_WRITE, IDE_FLUSH, IDE_NOTHING };

struct ide_request {
    enum ide_does does;
    uint64_t lba;
    uint32_t sectors;
    uint32_t tag; /* for ide_complete() */
};

struct ide_port {
    void (*line)(struct ide_port *self, bool level);
    void (*start)(struct ide_port *self, const struct ide_request *request);
};

struct ide_row;

enum { IDE_SECTOR_WORDS = 256 };

struct ide {
    uint32_t reg[IDE_REG_COUNT];   /* STATUS and ERROR are those of the disk */
    uint8_t before[IDE_REG_COUNT]; /* of those that keep the value before */
    const struct ide_row *command; /* under way, or NULL */
    uint64_t lba;                  /* of the next sector to be moved, of `left` */
    uint32_t left;
    uint16_t word;    /* of the sector that PIO moves */
    uint32_t tag;     /* of the last request */
    bool asked;       /* and it is not done */
    bool intrq;       /* the disk asserts it, whatever nIEN says */
    bool line;        /* as the port last heard of it */
    uint64_t sectors; /* of the medium */
    struct ide_port *port;
};

void ide_init(struct ide *c, uint64_t sectors, struct ide_port *port);

/* The register at `offset` of a block for a read or a write; IDE_REG_COUNT: there is none. */
enum ide_reg ide_find(enum ide_block block, unsigned offset, bool write);

uint32_t ide_read(struct ide *c, enum ide_reg reg);
void ide_write(struct ide *c, enum ide_reg reg, uint32_t value);

/* The request of that tag is done, or has failed. False: it was given up meanwhile. */
bool ide_complete(struct ide *c, uint32_t tag, bool ok);
#endif
