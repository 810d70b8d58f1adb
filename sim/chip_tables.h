/*
 * The chips' registers, fields and quirks as lists, from the same tables that
 * the models are built from, and so the control structures of virtualization
 * hardware. What a chip's table does not tell is NULL or 0.
 */
#ifndef VIRQSIM_SIM_CHIP_TABLES_H
#define VIRQSIM_SIM_CHIP_TABLES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chip_row {
    const char *name;
    const char *space; /* which of the chip's address spaces, or of its chips */
    unsigned offset, width;
    unsigned count, stride;              /* of a group of equal registers; 0: one register */
    const char *access, *xapic, *x2apic; /* the local APIC has an access in each mode */
    const char *read, *write;            /* what AVIC makes of an access */
    bool structure;   /* of memory: nothing resets it, and all can be written */
    const char *bits; /* where several share the place */
    uint64_t reset, writable;
    uint64_t writable_high; /* bits 127:64 of a 16-byte register */
    const char *section, *title;
};

struct chip_field {
    const char *reg, *name;
    unsigned high, low;
    const char *meaning;
};

struct chip {
    const char *name;
    const char *place; /* what `offset` is, where it is none */
    const struct chip_row *rows;
    size_t row_count;
    const struct chip_field *fields;
    size_t field_count;
};

/* Where QEMU or KVM departs from the manual, and the model can follow. */
struct chip_quirk {
    const char *chip, *id;
    bool qemu, kvm;
    const char *title;
};

extern const struct chip chips[];
extern const size_t chip_count;
extern const struct chip_quirk chip_quirks[];
extern const size_t chip_quirk_count;

/* The offset in a row of a layout that has no such register. */
#define CHIP_ABSENT UINT_MAX
#endif
