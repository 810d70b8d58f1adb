/* The rows of every chip's table, <chip>_regs.def and <chip>_quirks.def, in one form. */
#include "chip_tables.h"

#include "device/hpet.h"
#include "irq/cepic.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The columns that every chip's table has. */
#define ROW(reg, at, bytes, at_reset, mask, text)                                              \
    .name = #reg, .offset = (at), .width = (bytes), .reset = (at_reset), .writable = (mask),   \
    .title = (text)

static const struct chip_row lapic_rows[] = {
#define REG(name, offset, in_xapic, in_x2apic, reset, writable, status, effect, title)         \
    {ROW(name, offset, 4, reset, writable, title), .xapic = #in_xapic, .x2apic = #in_x2apic},
#define VEC(name, offset, title)                                                               \
    {ROW(name, offset, 4, 0, 0, title), .xapic = "RO", .x2apic = "RO", .count = 8,             \
     .stride = 16},
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
};

static const struct chip_field lapic_fields[] = {
#define FIELD(reg, name, high, low, meaning) {#reg, #name, high, low, meaning},
#include "irq/lapic_fields.def"
#undef FIELD
};

static const struct chip_row i8259_rows[] = {
#define REG(name, port, width, may, reset, writable, chip, awaits, select, match, effect,      \
            where, title)                                                                      \
    {ROW(name, port, width, reset, writable, title), .access = #may, .space = #chip,           \
     .section = (where)},
#define FIELD(...)
#include "irq/i8259_regs.def"
#undef REG
#undef FIELD
};

static const struct chip_row ioapic_rows[] = {
#define REG(name, where_it_is, offset, width, may, reset, writable, where, title)              \
    {ROW(name, offset, width, reset, writable, title), .access = #may, .section = (where),     \
     .space = #where_it_is},
#define FIELD(...)
#include "irq/ioapic_regs.def"
#undef REG
#undef FIELD
};

static const struct chip_row pit_rows[] = {
#define REG(name, port, width, may, reset, writable, select, match, effect, where, title)      \
    {ROW(name, port, width, reset, writable, title), .access = #may, .section = (where)},
#define FIELD(...)
#include "device/pit_regs.def"
#undef REG
#undef FIELD
};

static const struct chip_row hpet_rows[] = {
#define REG(name, offset, width, may, reset, writable, effect, where, title)                   \
    {ROW(name, offset, width, reset, writable, title), .access = #may, .section = (where)},
#define TIMER(name, offset, width, may, reset, writable, effect, where, title)                 \
    {ROW(name, offset, width, reset, writable, title), .access = #may, .section = (where),     \
     .count = HPET_TIMERS, .stride = HPET_TIMER_STRIDE},
#define FIELD(...)
#include "device/hpet_regs.def"
#undef REG
#undef TIMER
#undef FIELD
};

static const struct chip_row remap_rows[] = {
#define REG(name, offset, width, may, reset, writable, clears, effect, where, title)           \
    {ROW(name, offset, width, reset, writable, title), .access = #may, .section = (where)},
/* A record's F, bit 127, is all that software changes. */
#define RECORDS(name, offset, width, records, may, where, title)                               \
    {ROW(name, offset, width, 0, 0, title),                                                    \
     .access = #may,                                                                           \
     .section = (where),                                                                       \
     .count = (records),                                                                       \
     .stride = (width),                                                                        \
     .writable_high = UINT64_C(1) << 63},
#include "irq/remap_regs.def"
#undef REG
#undef RECORDS
};

#define ABSENT CHIP_ABSENT
static const struct chip_row msi_rows[] = {
#define FIELD(...)
#define REG(name, at, at64, width, may, reset, writable, where, title)                         \
    {ROW(name, at, width, reset, writable, title), .access = #may, .section = (where),         \
     .space = "32"},
#include "irq/msi_regs.def"
#undef REG
#define REG(name, at, at64, width, may, reset, writable, where, title)                         \
    {ROW(name, at64, width, reset, writable, title), .access = #may, .section = (where),       \
     .space = "64"},
#include "irq/msi_regs.def"
#undef REG
#undef FIELD
};

static const struct chip_row msix_rows[] = {
#define FIELD(...)
#define IN(part, name, offset, width, may, reset, writable, where, title)                      \
    {ROW(name, offset, width, reset, writable, title), .access = #may, .section = (where),     \
     .space = (part)},
#define REG(...)   IN("config", __VA_ARGS__)
#define ENTRY(...) IN("table", __VA_ARGS__)
#define PBA(...)   IN("pba", __VA_ARGS__)
#include "irq/msix_regs.def"
#undef REG
#undef ENTRY
#undef PBA
#undef IN
#undef FIELD
};

static const struct chip_row pirq_rows[] = {
#define FIELD(...)
#define REG(name, piix3, ich9, width, may, reset, writable, where, title)                      \
    {ROW(name, piix3, width, reset, writable, title), .access = #may, .section = (where),      \
     .space = "PIIX3"},
#include "irq/pirq_regs.def"
#undef REG
#define REG(name, piix3, ich9, width, may, reset, writable, where, title)                      \
    {ROW(name, ich9, width, reset, writable, title), .access = #may, .section = (where),       \
     .space = "ICH9"},
#include "irq/pirq_regs.def"
#undef REG
#undef FIELD
};

/* The one group of equal registers: PMIRR. */
static const struct chip_row cepic_rows[] = {
#define REG(name, offset, width, may, reset, writable, effect, title)                          \
    {ROW(name, offset, width, reset, writable, title), .access = #may,                         \
     .count = (offset) == CEPIC_PMIRR ? EPIC_VECTORS / 64 : 0,                                 \
     .stride = (offset) == CEPIC_PMIRR ? (width) : 0},
#define FIELD(...)
#include "irq/cepic_regs.def"
#undef REG
#undef FIELD
};

static const struct chip_row ioepic_rows[] = {
#define REG(name, offset, may, reset, writable, clears, title)                                 \
    {ROW(name, offset, 4, reset, writable, title), .access = #may},
#define FIELD(...)
#include "irq/ioepic_regs.def"
#undef REG
#undef FIELD
};

#define REG(...)
#define TIMER(...)
#define ENTRY(...)
#define PBA(...)
#define FIELD(reg, name, high, low, meaning) {#reg, #name, high, low, meaning},

static const struct chip_field i8259_fields[] = {
#include "irq/i8259_regs.def"
};

static const struct chip_field ioapic_fields[] = {
#include "irq/ioapic_regs.def"
};

static const struct chip_field pit_fields[] = {
#include "device/pit_regs.def"
};

static const struct chip_field hpet_fields[] = {
#include "device/hpet_regs.def"
};

static const struct chip_field remap_fields[] = {
#include "irq/remap_fields.def"
};

static const struct chip_field msi_fields[] = {
#include "irq/msi_regs.def"
};

static const struct chip_field msix_fields[] = {
#include "irq/msix_regs.def"
};

static const struct chip_field pirq_fields[] = {
#include "irq/pirq_regs.def"
};

static const struct chip_field cepic_fields[] = {
#include "irq/cepic_regs.def"
};

static const struct chip_field ioepic_fields[] = {
#include "irq/ioepic_regs.def"
};

static const struct chip_field posted_fields[] = {
#include "irq/posted_fields.def"
};

#undef REG
#undef TIMER
#undef ENTRY
#undef PBA
#undef FIELD

#define CHIP(chip)                                                                             \
    {                                                                                          \
#chip, chip##_rows, COUNT(chip##_rows), chip##_fields, COUNT(chip##_fields)            \
    }

const struct chip chips[] = {
    CHIP(lapic),  CHIP(i8259), CHIP(ioapic),
    CHIP(msi),    CHIP(msix),  CHIP(pirq),
    CHIP(pit),    CHIP(hpet),  CHIP(cepic),
    CHIP(ioepic), CHIP(remap), {"posted", NULL, 0, posted_fields, COUNT(posted_fields)},
};

const size_t chip_count = COUNT(chips);

const struct chip_quirk chip_quirks[] = {
#define QUIRK(name, id, qemu, kvm, title) {"i8259", id, qemu, kvm, title},
#include "irq/i8259_quirks.def"
#undef QUIRK
#define QUIRK(name, id, qemu, kvm, title) {"ioapic", id, qemu, kvm, title},
#include "irq/ioapic_quirks.def"
#undef QUIRK
#define QUIRK(name, id, qemu, kvm, title) {"lapic", id, qemu, kvm, title},
#include "irq/lapic_quirks.def"
#undef QUIRK
};
const size_t chip_quirk_count = COUNT(chip_quirks);
