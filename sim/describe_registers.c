/*
 * The chips' registers, fields and quirks as lists, from the same tables that
 * the models are built from: <chip>_regs.def and <chip>_quirks.def.
 *
 * Values are text, as wide as their register: 64 bits do not fit into every
 * JSON reader's numbers. What a chip's table does not tell is left out.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "describe.h"
#include "device/hpet.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct row {
    const char *name;
    const char *space; /* which of the chip's address spaces, or of its chips */
    unsigned offset, width;
    unsigned count, stride;              /* of a group of equal registers; 0: one register */
    const char *access, *xapic, *x2apic; /* the local APIC has an access in each mode */
    uint64_t reset, writable;
    uint64_t writable_high; /* bits 127:64 of a 16-byte register */
    const char *section, *title;
};

struct field {
    const char *reg, *name;
    unsigned high, low;
    const char *meaning;
};

struct chip {
    const char *name;
    const struct row *rows;
    size_t row_count;
    const struct field *fields;
    size_t field_count;
};

/* The columns that every chip's table has. */
#define ROW(reg, at, bytes, at_reset, mask, text)                                              \
    .name = #reg, .offset = (at), .width = (bytes), .reset = (at_reset), .writable = (mask),   \
    .title = (text)

static const struct row lapic_rows[] = {
#define REG(name, offset, in_xapic, in_x2apic, reset, writable, status, effect, title)         \
    {ROW(name, offset, 4, reset, writable, title), .xapic = #in_xapic, .x2apic = #in_x2apic},
#define VEC(name, offset, title)                                                               \
    {ROW(name, offset, 4, 0, 0, title), .xapic = "RO", .x2apic = "RO", .count = 8,             \
     .stride = 16},
#include "irq/lapic_regs.def"
#undef REG
#undef VEC
};

static const struct row i8259_rows[] = {
#define REG(name, port, width, may, reset, writable, chip, awaits, select, match, effect,      \
            where, title)                                                                      \
    {ROW(name, port, width, reset, writable, title), .access = #may, .space = #chip,           \
     .section = (where)},
#define FIELD(...)
#include "irq/i8259_regs.def"
#undef REG
#undef FIELD
};

static const struct row pit_rows[] = {
#define REG(name, port, width, may, reset, writable, select, match, effect, where, title)      \
    {ROW(name, port, width, reset, writable, title), .access = #may, .section = (where)},
#define FIELD(...)
#include "device/pit_regs.def"
#undef REG
#undef FIELD
};

static const struct row hpet_rows[] = {
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

static const struct row remap_rows[] = {
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

#define REG(...)
#define TIMER(...)
#define FIELD(reg, name, high, low, meaning) {#reg, #name, high, low, meaning},

static const struct field i8259_fields[] = {
#include "irq/i8259_regs.def"
};

static const struct field pit_fields[] = {
#include "device/pit_regs.def"
};

static const struct field hpet_fields[] = {
#include "device/hpet_regs.def"
};

static const struct field remap_fields[] = {
#include "irq/remap_fields.def"
};

static const struct field posted_fields[] = {
#include "irq/posted_fields.def"
};

#undef REG
#undef TIMER
#undef FIELD

#define CHIP(chip)                                                                             \
    {                                                                                          \
#chip, chip##_rows, COUNT(chip##_rows), chip##_fields, COUNT(chip##_fields)            \
    }

static const struct chip chips[] = {
    {"lapic", lapic_rows, COUNT(lapic_rows), NULL, 0},
    CHIP(i8259),
    CHIP(pit),
    CHIP(hpet),
    CHIP(remap),
    {"posted", NULL, 0, posted_fields, COUNT(posted_fields)},
};

static const struct quirk {
    const char *chip, *id;
    bool qemu, kvm;
    const char *title;
} quirks[] = {
#define QUIRK(name, id, qemu, kvm, title) {"i8259", id, qemu, kvm, title},
#include "irq/i8259_quirks.def"
#undef QUIRK
#define QUIRK(name, id, qemu, kvm, title) {"lapic", id, qemu, kvm, title},
#include "irq/lapic_quirks.def"
#undef QUIRK
};

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

static void set_value(json_t *object, const char *key, uint64_t high, uint64_t low,
                      unsigned width)
{
    char digits[33];

    if (width > 8)
        snprintf(digits, sizeof digits, "%016" PRIX64 "%016" PRIX64, high, low);
    else
        snprintf(digits, sizeof digits, "%0*" PRIX64, (int)(2 * width), low);
    json_object_set_new(object, key, json_string(digits));
}

static json_t *describe_row(const struct row *r)
{
    json_t *o = json_object();

    set_text(o, "name", r->name);
    set_text(o, "space", r->space);
    json_object_set_new(o, "offset", json_integer(r->offset));
    json_object_set_new(o, "width", json_integer(r->width));
    if (r->count) {
        json_object_set_new(o, "count", json_integer(r->count));
        json_object_set_new(o, "stride", json_integer(r->stride));
    }
    set_text(o, "access", r->access);
    set_text(o, "xapic", r->xapic);
    set_text(o, "x2apic", r->x2apic);
    if (r->x2apic)
        json_object_set_new(o, "msr", json_integer(lapic_msr((uint16_t)r->offset)));
    set_value(o, "reset", 0, r->reset, r->width);
    set_value(o, "writable", r->writable_high, r->writable, r->width);
    set_text(o, "section", r->section);
    set_text(o, "title", r->title);
    return o;
}

static json_t *describe_field(const struct field *f)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:s}", "register", f->reg, "name", f->name, "high",
                     (int)f->high, "low", (int)f->low, "meaning", f->meaning);
}

static json_t *describe_chip(const struct chip *c)
{
    json_t *rows = json_array(), *fields = json_array();

    for (size_t i = 0; i < c->row_count; i++)
        json_array_append_new(rows, describe_row(&c->rows[i]));
    for (size_t i = 0; i < c->field_count; i++)
        json_array_append_new(fields, describe_field(&c->fields[i]));
    return json_pack("{s:s, s:o, s:o}", "chip", c->name, "rows", rows, "fields", fields);
}

json_t *describe_registers(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < COUNT(chips); i++)
        json_array_append_new(list, describe_chip(&chips[i]));
    return list;
}

json_t *describe_quirks(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < COUNT(quirks); i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b, s:b, s:s}", "chip", quirks[i].chip,
                                        "id", quirks[i].id, "qemu", quirks[i].qemu, "kvm",
                                        quirks[i].kvm, "title", quirks[i].title));
    return list;
}
