/*
 * virqsim's one door: open a plan, run it, read what came out.
 *
 * Python, SystemC and whatever comes later enter here and nowhere else. The
 * library has no globals: a process may hold many simulations, and threads may
 * run different ones side by side.
 *
 * Strings returned as `char *` are the caller's, to be given to virqsim_free().
 * Times are picoseconds of simulated time since power-on.
 */
#ifndef VIRQSIM_H
#define VIRQSIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct virqsim;

struct virqsim_error {
    char message[512]; /* one line: where, what, what would be right */
};

#define VIRQSIM_NEVER UINT64_MAX

/* Reads a plan (docs/plan.md) and builds its machine; NULL and `error` filled when it is wrong. */
struct virqsim *virqsim_open(const char *plan_json, size_t length, struct virqsim_error *error);
void virqsim_close(struct virqsim *sim);

enum virqsim_state {
    VIRQSIM_RUNNING, /* there is more to do */
    VIRQSIM_ENDED,   /* every main program ended, or run.until_ns was reached */
    VIRQSIM_IDLE,   /* nothing can happen by itself, though programs have not ended: a deadlock,
                        unless the world outside acts */
    VIRQSIM_BROKEN, /* a law was broken (an interrupt lost): virqsim_results() names it */
};

/* Runs what is due before `until_ps`, at most `budget` events. */
enum virqsim_state virqsim_run(struct virqsim *sim, uint64_t until_ps, uint64_t budget);
uint64_t virqsim_now(const struct virqsim *sim);
/* When the next event is due, or the run's end if that comes first; VIRQSIM_NEVER when none is. */
uint64_t virqsim_next(const struct virqsim *sim);

/* How far the run has come, 0 to 1, for a progress bar: of the main programs' operations. */
double virqsim_progress(const struct virqsim *sim);

/*
 * Keeps the full trace in `path` from now on: the header, then 32-byte records
 * (docs/results.md). Closed by virqsim_trace_close(), which reports what went
 * wrong with the file, or by virqsim_close().
 */
bool virqsim_trace_open(struct virqsim *sim, const char *path, struct virqsim_error *error);
bool virqsim_trace_close(struct virqsim *sim, struct virqsim_error *error);

/* Counters, histograms and accounting as JSON (docs/results.md). May be asked at any time. */
char *virqsim_results(struct virqsim *sim);

/* Technologies, features, exit reasons, cost keys, trace events, guest operations, VMCS fields,
   APIC registers: as JSON, so that no list is kept twice. */
char *virqsim_describe(void);
void virqsim_free(char *string);

/* The world outside, for a host that has one. Call only between virqsim_run() calls, or from
   within the callbacks below. */

/* Drives device n's line; a rising edge makes the device act. False: there is no such device. */
bool virqsim_drive_line(struct virqsim *sim, unsigned device, bool level);

/* An access from outside to a vCPU's APIC page as it is seen by the hypervisor; no time passes.
   False: no such vCPU or register. */
bool virqsim_apic_read(struct virqsim *sim, unsigned vcpu, uint16_t offset, uint32_t *value);

/* An MSI from outside: a 32-bit write of `data` to `address` (SDM 3A "Message Signalled
   Interrupts"). False: no interrupt, since its address is not FEExxxxxH or its delivery mode is
   reserved. */
bool virqsim_msi(struct virqsim *sim, uint64_t address, uint32_t data);

/* A guest access to a region whose handler is `external`. Fills `value` for a read; returns how
   long the device takes, in picoseconds. */
typedef uint64_t virqsim_access(void *context, bool port, bool write, uint64_t address,
                                unsigned size, uint64_t *value);
void virqsim_set_external(struct virqsim *sim, virqsim_access *access, void *context);

/* Values to watch, for waveforms, by number: the name ("vcpu0.state") and the width of number n.
   False past the last. */
bool virqsim_probe(const struct virqsim *sim, unsigned n, char *name, size_t size,
                   unsigned *bits);
uint64_t virqsim_probe_value(const struct virqsim *sim, unsigned n);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
