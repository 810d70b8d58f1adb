/* The full trace in a file: docs/results.md, "The trace file". */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "simulation.h"

/* The file is written in blocks of this size at multiples of it, which costs the operating system
   least; a record, whose size divides the block's and the header's, is never split. */
enum { BLOCK = 1 << 18 };
static_assert(BLOCK % sizeof(struct trace_record) == 0, "a record would be split");

static void flush(struct trace_file *t)
{
    if (t->used && fwrite(t->block, t->used, 1, t->file) != 1)
        t->failed = true;
    t->used = 0;
}

static void put(struct trace_sink *sink, const struct trace_record *r)
{
    struct trace_file *t = EVENT_OWNER(sink, struct trace_file, sink);

    memcpy(t->block + t->used, r, sizeof *r);
    t->used += sizeof *r;
    if (t->used == BLOCK)
        flush(t);
}

static void put_bytes(struct trace_file *t, const void *bytes, size_t count)
{
    for (const char *b = bytes; count; b++, count--) {
        t->block[t->used++] = *b;
        if (t->used == BLOCK)
            flush(t);
    }
}

/* Of the host's threads that are no vCPUs, by number. */
static json_t *thread_kinds(const struct host_threads *threads)
{
    json_t *list = json_array();

    for (uint32_t i = 0; threads && i < threads->count; i++)
        json_array_append_new(list,
                              json_string(host_thread_kind_names[threads->thread[i].kind]));
    return list;
}

static json_t *header_json(const struct virqsim *sim)
{
    json_t *header = describe_trace();
    char hash[17];

    snprintf(hash, sizeof hash, "%016" PRIx64, sim->plan.hash);
    json_object_set_new(header, "plan_hash", json_string(hash));
    json_object_set_new(header, "name", json_string(sim->plan.name));
    json_object_set_new(header, "technology", json_string(sim->plan.technology));
    json_object_set_new(header, "core_hz", json_integer((json_int_t)sim->machine.core.hz));
    json_object_set_new(header, "tsc_hz", json_integer((json_int_t)sim->machine.tsc.hz));
    json_object_set_new(header, "vcpus", json_integer(sim->machine.vcpu_count));
    json_object_set_new(header, "threads", thread_kinds(sim->machine.threads));
    return header;
}

/* Magic, length, JSON, and spaces up to a multiple of a record's size. */
static void put_header(struct trace_file *t, const struct virqsim *sim)
{
    static const char magic[8] = "VIRQTRC1";
    json_t *header = header_json(sim);
    char *text = json_dumps(header, JSON_COMPACT | JSON_SORT_KEYS);
    const size_t length = strlen(text);
    const size_t start = sizeof magic + sizeof(uint32_t);
    const size_t padded = (start + length + 31) / 32 * 32 - start;
    const uint32_t n = (uint32_t)padded;

    put_bytes(t, magic, sizeof magic);
    put_bytes(t, &n, sizeof n);
    put_bytes(t, text, length);
    for (size_t i = length; i < padded; i++)
        put_bytes(t, " ", 1);
    free(text);
    json_decref(header);
}

static bool fail(struct virqsim_error *error, const char *path)
{
    snprintf(error->message, sizeof error->message, "trace: %s: %s", path, strerror(errno));
    return false;
}

bool virqsim_trace_open(struct virqsim *sim, const char *path, struct virqsim_error *error)
{
    struct trace_file *t = &sim->file;

    t->block = malloc(BLOCK);
    t->file = fopen(path, "wb");
    if (!t->block || !t->file) {
        fail(error, path);
        virqsim_trace_close(sim, &(struct virqsim_error){{0}});
        return false;
    }
    setvbuf(t->file, NULL, _IONBF, 0); /* the block is buffer enough */
    put_header(t, sim);
    t->sink.put = put;
    t->sink.next = sim->trace.sinks;
    sim->trace.sinks = &t->sink;
    return true;
}

bool virqsim_trace_close(struct virqsim *sim, struct virqsim_error *error)
{
    struct trace_file *t = &sim->file;
    bool ok = true;

    if (t->file) {
        flush(t);
        ok = !t->failed;
        ok = fclose(t->file) == 0 && ok;
    }
    if (sim->trace.sinks == &t->sink)
        sim->trace.sinks = t->sink.next;
    free(t->block);
    *t = (struct trace_file){0};
    return ok || fail(error, "the file could not be written");
}
