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
    VIRQSIM_BROKEN, /* a law, or the guest crashed, or the host gave up: results say which */
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

/* One vCPU as it is now, as JSON (docs/explain.md): its APIC's registers with IRR, ISR and TMR as sets
   of vectors, the posted-interrupt descriptor, VMCS or VMCB, the guest's flags, its thread and CPU,
   and the chips before it. Changes nothing. NULL: no such vCPU. */
char *virqsim_vcpu_state(const struct virqsim *sim, unsigned vcpu);

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

/*
 * The same machine, its events in another order (docs/race.md). An event that is held back fires
 * after `past` others that are due within the window, or when the window ends.
 */
enum { VIRQSIM_HOLDS = 8 };

struct virqsim_hold {
    uint32_t
        place; /* the run's n-th moment at which another event could overtake the next one */
    uint32_t past;
};

/* Before the first virqsim_run(); ascending by place. False: too many, or too late. */
bool virqsim_schedule(struct virqsim *sim, uint64_t window_ps, const struct virqsim_hold *hold,
                      uint32_t count);

struct virqsim_explored {
    uint64_t places;              /* how many such moments there were */
    uint64_t signature;           /* of what every vCPU went through, but for the times */
    uint32_t findings;            /* of the watchdog */
    uint32_t past[VIRQSIM_HOLDS]; /* by hold: how many events did overtake */
};

/* What came of it; all zero without a schedule. */
void virqsim_exploration(const struct virqsim *sim, struct virqsim_explored *explored);

/* Values to watch, for waveforms, by number: the name ("vcpu0.state") and the width of number n.
   False past the last. */
bool virqsim_probe(const struct virqsim *sim, unsigned n, char *name, size_t size,
                   unsigned *bits);
uint64_t virqsim_probe_value(const struct virqsim *sim, unsigned n);

/*
 * The interrupt controllers alone, on a board without a machine: an 8259A pair, an I/O APIC, and
 * a local APIC for each CPU, from power-on. INT drives LINT0 of every CPU. Operations come one at
 * a time from the CPUs' buses and from devices' lines; nothing runs by itself but the APIC
 * timers, and time passes in VIRQSIM_WAIT only. The CPUs take NMI, INIT and start-up IPIs at
 * once, and an interrupt when VIRQSIM_TAKE says so; EOI is an operation like others.
 */
struct virqsim_chips;

enum { VIRQSIM_CHIPS_CPUS = 64, VIRQSIM_CHIPS_PINS = 24 };

enum virqsim_follows { VIRQSIM_MANUALS, VIRQSIM_QEMU, VIRQSIM_KVM };

struct virqsim_chips_config {
    uint32_t cpus; /* 0: the I/O APIC's messages leave the board, which accepts them all */
    uint32_t apic_id[VIRQSIM_CHIPS_CPUS]; /* the first CPU is the bootstrap processor */
    uint32_t ioapic_version;              /* 11H or 20H */
    uint32_t follows;                     /* enum virqsim_follows: with whose quirks */
    bool x2apic;                          /* CPUID announces x2APIC */
    bool wait_for_sipi;                   /* all CPUs but the first do */
};

/* NULL, and `error` filled: the configuration is wrong, or there is no memory. */
struct virqsim_chips *virqsim_chips_open(const struct virqsim_chips_config *config,
                                         struct virqsim_error *error);
void virqsim_chips_close(struct virqsim_chips *chips);

/* `cpu` performs the first group; `address` is a port, a physical address, an MSR, or the number
   of a line or pin; `value` what is written, a level, an MSI's data, or milliseconds. */
enum virqsim_chips_operation {
    VIRQSIM_PORT_READ,
    VIRQSIM_PORT_WRITE,
    VIRQSIM_MEMORY_READ, /* of `size` bytes: 1, 2, 4 */
    VIRQSIM_MEMORY_WRITE,
    VIRQSIM_MSR_READ,
    VIRQSIM_MSR_WRITE,
    VIRQSIM_TAKE, /* the interrupt window opens for one interrupt: its vector */

    VIRQSIM_LINE, /* an input of the 8259A pair, 0 to 15 */
    VIRQSIM_PIN,  /* an input of the I/O APIC, 0 to 23 */
    VIRQSIM_MSI,
    VIRQSIM_INT,  /* the level of the 8259A pair's output */
    VIRQSIM_INTA, /* an acknowledge cycle of the 8259A pair, whatever INT says: the vector */
    VIRQSIM_WAIT,
};

enum virqsim_chips_status {
    VIRQSIM_DONE,     /* there is no result */
    VIRQSIM_VALUE,    /* the result is in `result` */
    VIRQSIM_FROM_PIC, /* so is the vector, which the 8259A pair gave */
    VIRQSIM_OPEN_BUS, /* nobody answered: all ones */
    VIRQSIM_NOTHING,  /* VIRQSIM_TAKE: there was no interrupt to take */
    VIRQSIM_FAULT,    /* #GP(0) */
    VIRQSIM_TOO_BUSY, /* VIRQSIM_WAIT: ended early, timers expired too often */
    VIRQSIM_REFUSED,  /* no such CPU, line, pin, size or operation; nothing was done */
};

enum virqsim_chips_status virqsim_chips_do(struct virqsim_chips *chips,
                                           enum virqsim_chips_operation operation, uint32_t cpu,
                                           uint32_t size, uint64_t address, uint64_t value,
                                           uint64_t *result);

/* What came of the last operation. Vector bits and Remote IRR: as it left them, if that differs
   from how it found them. */
enum virqsim_chips_effect_kind {
    VIRQSIM_IRR, /* where: the CPU's index; vector; on */
    VIRQSIM_ISR,
    VIRQSIM_TMR,
    VIRQSIM_REMOTE_IRR, /* where: the pin; on */
    VIRQSIM_MESSAGE, /* where: the pin; vector, delivery, dest, logical; on: level-triggered */
    VIRQSIM_NMI,     /* where: the CPU's index */
    VIRQSIM_INITIALIZED, /* it waits for a start-up IPI now */
    VIRQSIM_STARTED,     /* vector: of the page at which it starts */
};

struct virqsim_chips_effect {
    uint32_t kind; /* enum virqsim_chips_effect_kind */
    uint32_t where;
    uint32_t dest;
    uint8_t vector, delivery;
    bool on, logical;
};

const struct virqsim_chips_effect *virqsim_chips_effects(const struct virqsim_chips *chips,
                                                         uint32_t *count);

/* The chips' state, which changes nothing; and such a state put in its place, which takes effect
   at once. False: there is no such chip or CPU. */
struct virqsim_pic_state {
    uint8_t level, request, in_service, mask, elcr, base, highest;
    uint8_t icw1, icw4, awaits; /* awaits: the ICW that is expected at A0 = 1; 0: none */
    bool auto_eoi, special_mask, poll, read_in_service;
    bool output; /* INT of the pair */
};
bool virqsim_chips_pic(const struct virqsim_chips *chips, uint32_t chip,
                       struct virqsim_pic_state *state);
/* As after an initialization for 8086 mode that ended with level, request, in_service, mask, base,
   highest and auto_eoi; the rest of `state` is not looked at. */
bool virqsim_chips_load_pic(struct virqsim_chips *chips, uint32_t chip,
                            const struct virqsim_pic_state *state);

struct virqsim_ioapic_state {
    uint64_t entry[VIRQSIM_CHIPS_PINS];
    uint32_t level; /* bit n: pin n is high */
    uint32_t select, id;
};
void virqsim_chips_ioapic(const struct virqsim_chips *chips,
                          struct virqsim_ioapic_state *state);
void virqsim_chips_load_ioapic(struct virqsim_chips *chips,
                               const struct virqsim_ioapic_state *state);

struct virqsim_lapic_state {
    uint32_t mode;     /* 0: disabled, 1: xAPIC, 2: x2APIC */
    uint32_t page[64]; /* the registers, by offset / 16 */
    uint32_t id, logical_id, ppr;
    int32_t pending; /* the vector that it would deliver, or -1 */
    bool extint;     /* it asks for an acknowledge cycle of the 8259A pair */
    bool waits_for_sipi;
};
bool virqsim_chips_lapic(const struct virqsim_chips *chips, uint32_t cpu,
                         struct virqsim_lapic_state *state);
/* TPR, ISR, TMR and IRR of the page; the rest of `state` is not looked at. */
bool virqsim_chips_load_lapic(struct virqsim_chips *chips, uint32_t cpu,
                              const struct virqsim_lapic_state *state);

/*
 * The lines of a recorded trace in any tool's form (docs/replay.md): where each thing stands in a
 * line, not what it means. Names (of events, and of the reasons of kvm_exit) are numbered as they
 * first appear; memory does not grow with the text.
 */
struct virqsim_lines;

enum virqsim_line_kind {
    VIRQSIM_LINE_OTHER, /* prose, a tool's own words, the rest of a line that was folded */
    VIRQSIM_LINE_EVENT,
    VIRQSIM_LINE_FOLDED, /* its writer folded it behind the time: the event is on the next */
    VIRQSIM_LINE_COMMENT,
    VIRQSIM_LINE_EMPTY,
};

enum virqsim_line_flag {
    VIRQSIM_LINE_COUNTED = 1, /* its time is a number without a fraction: a clock's count */
};

struct virqsim_line {
    uint64_t time_ns;           /* VIRQSIM_NEVER: it has none */
    uint32_t start, length;     /* of the line in the text, without its end */
    uint32_t payload;           /* where the event's own text begins; it ends with the line */
    uint32_t task, task_length; /* the thread's name */
    int32_t pid, process; /* the thread's number, and its process's; -1: the line has none */
    int32_t cpu, vcpu;    /* -1 likewise */
    uint16_t kind;        /* enum virqsim_line_kind */
    uint16_t event;       /* a name's number + 1 */
    uint16_t reason;      /* of kvm_exit, a name's number + 1; 0: not there */
    uint16_t flags;       /* enum virqsim_line_flag */
};

/* NULL: there is no memory. */
struct virqsim_lines *virqsim_lines_open(void);
void virqsim_lines_close(struct virqsim_lines *lines);
/* Takes the whole lines of a text, at most `capacity`; returns how many, and in `used` how many
   bytes they were. What is left is to come again, with more behind it. */
size_t virqsim_lines_take(struct virqsim_lines *lines, const char *text, size_t length,
                          struct virqsim_line *out, size_t capacity, size_t *used);
/* Name number n; NULL: there are not so many yet. Lives as long as `lines`. */
const char *virqsim_lines_name(const struct virqsim_lines *lines, uint32_t n);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
