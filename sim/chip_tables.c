/* The rows of every chip's table, <chip>_regs.def and <chip>_quirks.def, in one form. */
#include "chip_tables.h"

#include "device/hpet.h"
#include "irq/cepic.h"
#include "irq/prepic.h"
#include "irq/lapic.h"
#include "virt/svm.h"
#include "virt/vmcs.h"

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

static const struct chip_row prepic_rows[] = {
#define REG(name, offset, may, reset, writable, clears, title)                                 \
    {ROW(name, offset, 4, reset, writable, title), .access = #may,                             \
     .count = (offset) == PREPIC_LINP ? PREPIC_LINES : 0,                                      \
     .stride = (offset) == PREPIC_LINP ? 4 : 0},
#define FIELD(...)
#include "irq/prepic_regs.def"
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

static const struct chip_row ide_rows[] = {
#define REG(name, block, offset, width, may, reset, writable, effect, title)                   \
    {ROW(name, offset, width, reset, writable, title), .access = #may, .space = #block},
#define FIELD(...)
#include "device/ide_regs.def"
#undef REG
#undef FIELD
};

static const char *const dlab[] = {"DLAB = 0", "DLAB = 1", "any"};
static const struct chip_row uart16550_rows[] = {
#define REG(name, offset, where_dlab, may, reset, writable, effect, title)                     \
    {ROW(name, offset, 1, reset, writable, title), .access = #may, .space = dlab[where_dlab]},
#define FIELD(...)
#include "device/uart16550_regs.def"
#undef REG
#undef FIELD
};

static const struct chip_row amd_iommu_rows[] = {
#define REG(name, offset, reset, writable, clears, effect, title)                              \
    {ROW(name, offset, 8, reset, writable, title), .access = (writable) ? "RW" : "RO"},
#include "irq/amd_iommu_regs.def"
#undef REG
};

/* --- control structures: no reset, and all of it can be written --- */

#define IN_MEMORY(entry, at, text)                                                             \
    .name = #entry, .offset = (at), .structure = true, .title = (text)

static const struct chip_row vmcs_rows[] = {
#define WIDTH_16      2
#define WIDTH_32      4
#define WIDTH_64      8
#define WIDTH_NATURAL 8
#define FIELD(encoding, name, bytes, group, what)                                              \
    {IN_MEMORY(name, encoding, what), .width = (bytes), .space = #group},
#include "virt/vmcs_fields.def"
#undef FIELD
#undef WIDTH_16
#undef WIDTH_32
#undef WIDTH_64
#undef WIDTH_NATURAL
};

static const struct chip_field vmcs_controls[] = {
#define CONTROL(word, bit, name, title) {#word, #name, bit, bit, title},
    VMX_CONTROLS(CONTROL)
#undef CONTROL
};

static const struct chip_row vmcb_rows[] = {
#define FIELD(name, offset, high, low, value, what)                                            \
    {IN_MEMORY(name, offset, what), .bits = (high) == (low) ? #high : #high ":" #low},
#include "virt/vmcb_fields.def"
#undef FIELD
};

static const struct chip_field vmcb_intercepts[] = {
#define WORD_0                     "CR_INTERCEPTS"
#define WORD_2                     "EXCEPTIONS"
#define WORD_3                     "INTERCEPTS_1"
#define WORD_4                     "INTERCEPTS_2"
#define WORD_5                     "INTERCEPTS_3"
#define INTERCEPT(name, word, bit) {WORD_##word, #name, bit, bit, #name " leaves the guest"},
    SVM_INTERCEPTS(INTERCEPT)
#undef INTERCEPT
#undef WORD_0
#undef WORD_2
#undef WORD_3
#undef WORD_4
#undef WORD_5
};

static const struct chip_row avic_rows[] = {
#define ACCESS(register, on_read, on_write)                                                    \
    {.name = #register,                                                                        \
     .offset = LAPIC_##register,                                                               \
     .structure = true,                                                                        \
     .read = #on_read,                                                                         \
     .write = #on_write},
#include "virt/avic_regs.def"
#undef ACCESS
};

static const struct chip_field avic_fields[] = {
#define FIELD(structure, name, high, low, meaning) {#structure, #name, high, low, meaning},
#include "virt/avic_fields.def"
#undef FIELD
};

static const struct chip_field uintr_fields[] = {
#define FIELD(structure, name, high, low, section, meaning)                                    \
    {#structure, #name, high, low, meaning},
#include "virt/uintr_fields.def"
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

static const struct chip_field prepic_fields[] = {
#include "irq/prepic_regs.def"
};

static const struct chip_field ioepic_fields[] = {
#include "irq/ioepic_regs.def"
};

static const struct chip_field posted_fields[] = {
#include "irq/posted_fields.def"
};

static const struct chip_field ide_fields[] = {
#include "device/ide_regs.def"
};

static const struct chip_field uart16550_fields[] = {
#include "device/uart16550_regs.def"
};

static const struct chip_field amd_iommu_fields[] = {
#include "irq/amd_irte_fields.def"
};

#undef REG
#undef TIMER
#undef ENTRY
#undef PBA
#undef FIELD

#define LISTS(rows, fields) rows, COUNT(rows), fields, COUNT(fields)
#define CHIP(chip)                                                                             \
    {                                                                                          \
#chip, NULL, LISTS(chip##_rows, chip##_fields)                                         \
    }
#define STRUCTURE(name)                                                                        \
    {                                                                                          \
#name, NULL, NULL, 0, name##_fields, COUNT(name##_fields)                              \
    }

const struct chip chips[] = {
    CHIP(lapic),
    CHIP(i8259),
    CHIP(ioapic),
    CHIP(msi),
    CHIP(msix),
    CHIP(pirq),
    CHIP(pit),
    CHIP(hpet),
    CHIP(ide),
    CHIP(uart16550),
    CHIP(cepic),
    CHIP(ioepic),
    CHIP(prepic),
    CHIP(remap),
    CHIP(amd_iommu),
    {"vmcs", "encoding", LISTS(vmcs_rows, vmcs_controls)},
    {"vmcb", NULL, LISTS(vmcb_rows, vmcb_intercepts)},
    CHIP(avic),
    STRUCTURE(posted),
    STRUCTURE(uintr),
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
