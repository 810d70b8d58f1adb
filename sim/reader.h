/*
 * Reading JSON with one-line errors that name the place: the first thing that
 * is wrong is kept, and everything read after it is a harmless default, so the
 * caller reads on and asks once at the end.
 */
#ifndef VIRQSIM_SIM_READER_H
#define VIRQSIM_SIM_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "virqsim.h"

struct reader {
    struct virqsim_error *error;
    bool failed;
};

/* Where a value stands, "machine.vcpus[3]": a chain up to the root, put into words only for an
   error. It borrows its parent and its key, so it is a local of whoever reads the value. */
struct place {
    const char *key;            /* NULL: item `index` of an array */
    const struct place *parent; /* NULL: the root */
    size_t index;
};

static inline struct place place_key(const struct place *parent, const char *key)
{
    return (struct place){.key = key, .parent = parent};
}

static inline struct place place_item(const struct place *parent, size_t index)
{
    return (struct place){.parent = parent, .index = index};
}

void reader_fail(struct reader *r, const struct place *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes a message one line of plain text, whatever names and pieces of names it quotes. */
void reader_tidy(struct virqsim_error *error);

/* `known` is a NULL-terminated list; any other key of the object is an error. */
void reader_keys(struct reader *r, const json_t *object, const struct place *at,
                 const char *const *known);

/* A member that must be there, of its type and in its range. */
json_t *reader_object(struct reader *r, const json_t *parent, const struct place *at,
                      const char *key);
json_t *reader_array(struct reader *r, const json_t *parent, const struct place *at,
                     const char *key);
const char *reader_string(struct reader *r, const json_t *parent, const struct place *at,
                          const char *key);
uint64_t reader_uint(struct reader *r, const json_t *parent, const struct place *at,
                     const char *key, uint64_t low, uint64_t high);

/* The same with a default. */
uint64_t reader_uint_or(struct reader *r, const json_t *parent, const struct place *at,
                        const char *key, uint64_t low, uint64_t high, uint64_t otherwise);

bool reader_bool_or(struct reader *r, const json_t *parent, const struct place *at,
                    const char *key, bool otherwise);

/* A string that is one of `names`; its index. */
unsigned reader_choice(struct reader *r, const json_t *parent, const struct place *at,
                       const char *key, const char *const *names, unsigned count);

/* The same of a string that stands by itself. */
unsigned reader_item_choice(struct reader *r, const json_t *value, const struct place *at,
                            const char *const *names, unsigned count);

/* An integer that stands by itself, as in an array. */
uint64_t reader_item(struct reader *r, const json_t *value, const struct place *at,
                     uint64_t low, uint64_t high);
#endif
