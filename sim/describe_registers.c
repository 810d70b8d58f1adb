/*
 * The chips' registers, fields and quirks as JSON. Values are text, as wide as
 * their register: 64 bits do not fit into every JSON reader's numbers.
 */
#include <inttypes.h>
#include <stdio.h>

#include "chip_tables.h"
#include "describe.h"

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

static json_t *describe_row(const struct chip_row *r)
{
    json_t *o = json_object();

    set_text(o, "name", r->name);
    set_text(o, "space", r->space);
    json_object_set_new(o, "offset", json_integer(r->offset));
    set_text(o, "bits", r->bits);
    if (r->width)
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
    set_text(o, "read", r->read);
    set_text(o, "write", r->write);
    if (!r->structure) {
        set_value(o, "reset", 0, r->reset, r->width);
        set_value(o, "writable", r->writable_high, r->writable, r->width);
    }
    set_text(o, "section", r->section);
    set_text(o, "title", r->title);
    return o;
}

static json_t *describe_field(const struct chip_field *f)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:s}", "register", f->reg, "name", f->name, "high",
                     (int)f->high, "low", (int)f->low, "meaning", f->meaning);
}

static json_t *describe_chip(const struct chip *c)
{
    json_t *rows = json_array(), *fields = json_array();

    for (size_t i = 0; i < c->row_count; i++)
        if (c->rows[i].offset != CHIP_ABSENT)
            json_array_append_new(rows, describe_row(&c->rows[i]));
    for (size_t i = 0; i < c->field_count; i++)
        json_array_append_new(fields, describe_field(&c->fields[i]));
    return json_pack("{s:s, s:s*, s:o, s:o}", "chip", c->name, "place", c->place, "rows", rows,
                     "fields", fields);
}

json_t *describe_registers(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < chip_count; i++)
        json_array_append_new(list, describe_chip(&chips[i]));
    return list;
}

json_t *describe_quirks(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < chip_quirk_count; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:b, s:s}", "chip", chip_quirks[i].chip, "id",
                            chip_quirks[i].id, "qemu", chip_quirks[i].qemu, "kvm",
                            chip_quirks[i].kvm, "title", chip_quirks[i].title));
    return list;
}
