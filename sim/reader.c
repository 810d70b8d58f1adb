#include "reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The parents first; the length, which is more than `size` when it did not fit. */
static size_t place_print(const struct place *at, char *text, size_t size)
{
    size_t used;
    int more;

    if (!at->parent)
        return 0;
    used = place_print(at->parent, text, size);
    if (used >= size)
        return used;
    if (at->key)
        more = snprintf(text + used, size - used, "%s%.50s", used ? "." : "", at->key);
    else
        more = snprintf(text + used, size - used, "[%zu]", at->index);
    return used + (size_t)more;
}

void reader_tidy(struct virqsim_error *error)
{
    for (char *c = error->message; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?';
}

void reader_fail(struct reader *r, const struct place *at, const char *format, ...)
{
    char where[160] = "", what[320];
    va_list args;

    if (r->failed)
        return;
    r->failed = true;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    place_print(at, where, sizeof where);
    snprintf(r->error->message, sizeof r->error->message, "plan: %s%s%s", where,
             where[0] ? ": " : "", what);
    reader_tidy(r->error);
}

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

static bool listed(const char *key, const char *const *known)
{
    for (; *known; known++)
        if (strcmp(key, *known) == 0)
            return true;
    return false;
}

void reader_keys(struct reader *r, const json_t *object, const struct place *at,
                 const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        char list[240] = "";
        size_t used = 0;

        if (listed(key, known))
            continue;
        for (const char *const *k = known; *k && used < sizeof list; k++)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                     k == known ? "" : ", ", *k);
        const struct place p = place_key(at, key);
        reader_fail(r, &p, "no such key; there are: %s", list);
    }
}

static json_t *member(struct reader *r, const json_t *parent, const struct place *at,
                      const char *key, bool needed)
{
    json_t *v = json_object_get(parent, key);
    const struct place p = place_key(at, key);

    if (!v && needed)
        reader_fail(r, &p, "is missing");
    return v;
}

json_t *reader_object(struct reader *r, const json_t *parent, const struct place *at,
                      const char *key)
{
    json_t *v = member(r, parent, at, key, true);
    const struct place p = place_key(at, key);

    if (v && !json_is_object(v))
        reader_fail(r, &p, "is %s; an object belongs here", type_name(v));
    return json_is_object(v) ? v : NULL;
}

json_t *reader_array(struct reader *r, const json_t *parent, const struct place *at,
                     const char *key)
{
    json_t *v = member(r, parent, at, key, true);
    const struct place p = place_key(at, key);

    if (v && !json_is_array(v))
        reader_fail(r, &p, "is %s; an array belongs here", type_name(v));
    return json_is_array(v) ? v : NULL;
}

const char *reader_string(struct reader *r, const json_t *parent, const struct place *at,
                          const char *key)
{
    const json_t *v = member(r, parent, at, key, true);
    const struct place p = place_key(at, key);

    if (v && !json_is_string(v))
        reader_fail(r, &p, "is %s; a string belongs here", type_name(v));
    return json_is_string(v) ? json_string_value(v) : "";
}

uint64_t reader_item(struct reader *r, const json_t *value, const struct place *at,
                     uint64_t low, uint64_t high)
{
    if (!json_is_integer(value)) {
        reader_fail(r, at, "is %s; an integer belongs here", type_name(value));
        return low;
    }
    const json_int_t n = json_integer_value(value);
    if (n < 0 || (uint64_t)n < low || (uint64_t)n > high) {
        reader_fail(r, at,
                    "%" JSON_INTEGER_FORMAT " is out of range (%" PRIu64 "..%" PRIu64 ")", n,
                    low, high);
        return low;
    }
    return (uint64_t)n;
}

uint64_t reader_uint(struct reader *r, const json_t *parent, const struct place *at,
                     const char *key, uint64_t low, uint64_t high)
{
    const json_t *v = member(r, parent, at, key, true);
    const struct place p = place_key(at, key);

    return v ? reader_item(r, v, &p, low, high) : low;
}

uint64_t reader_uint_or(struct reader *r, const json_t *parent, const struct place *at,
                        const char *key, uint64_t low, uint64_t high, uint64_t otherwise)
{
    return json_object_get(parent, key) ? reader_uint(r, parent, at, key, low, high)
                                        : otherwise;
}

bool reader_bool_or(struct reader *r, const json_t *parent, const struct place *at,
                    const char *key, bool otherwise)
{
    const json_t *v = json_object_get(parent, key);
    const struct place p = place_key(at, key);

    if (v && !json_is_boolean(v))
        reader_fail(r, &p, "true or false belongs here");
    return v ? json_is_true(v) : otherwise;
}

static unsigned choice(struct reader *r, const char *s, const struct place *at,
                       const char *const *names, unsigned count)
{
    char list[200] = "";
    size_t used = 0;

    for (unsigned i = 0; i < count; i++) {
        if (strcmp(s, names[i]) == 0)
            return i;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                     names[i]);
    }
    reader_fail(r, at, "\"%.60s\" is not one of: %s", s, list);
    return 0;
}

unsigned reader_item_choice(struct reader *r, const json_t *value, const struct place *at,
                            const char *const *names, unsigned count)
{
    if (!json_is_string(value))
        reader_fail(r, at, "is %s; a string belongs here", type_name(value));
    return choice(r, json_is_string(value) ? json_string_value(value) : "", at, names, count);
}

unsigned reader_choice(struct reader *r, const json_t *parent, const struct place *at,
                       const char *key, const char *const *names, unsigned count)
{
    const struct place p = place_key(at, key);

    return choice(r, reader_string(r, parent, at, key), &p, names, count);
}
