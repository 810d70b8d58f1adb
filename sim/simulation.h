/*
 * One simulation: the machine, the readers of its trace, and the memory of
 * both. The one header that knows everybody.
 */
#ifndef VIRQSIM_SIM_SIMULATION_H
#define VIRQSIM_SIM_SIMULATION_H

#include <stdio.h>

#include "hypervisor/disk.h"
#include "hypervisor/host_idle.h"
#include "hypervisor/host_thread.h"
#include "hypervisor/ioepic_board.h"
#include "schedule.h"
#include "virqsim.h"
#include "watchdog.h"

/* Memory that lives as long as the simulation: allocated while it is built, freed together. */
struct arena {
    struct arena_block *blocks;
};
void *arena_alloc(struct arena *a, size_t count,
                  size_t size); /* zeroed; aborts the build by NULL */
void arena_free(struct arena *a);

/* --- latency.c: from RAISED to HANDLER, by source --- */

/* The steps of a delivery, in order; each names what ends the stage before it. */
#define LATENCY_STAGES(STAGE)                                                                  \
    STAGE(routed)                                                                              \
    STAGE(pending)                                                                             \
    STAGE(notified)                                                                            \
    STAGE(exited)                                                                              \
    STAGE(injected)                                                                            \
    STAGE(handler)

enum latency_stage {
#define STAGE(name) LATENCY_##name,
    LATENCY_STAGES(STAGE) LATENCY_STAGE_COUNT
#undef STAGE
};

/* Buckets 1/32 of a power of two wide. */
enum { HISTOGRAM_BUCKETS = 64 * 32 };

struct latency {
    uint64_t count, sum, min, max;
    uint64_t stage_sum[LATENCY_STAGE_COUNT], stage_max[LATENCY_STAGE_COUNT];
    uint32_t bucket[HISTOGRAM_BUCKETS];
};

uint64_t histogram_bound(unsigned bucket); /* the largest value that falls into it */
uint64_t latency_quantile(const struct latency *l, double q);
void latency_add(struct latency *l, uint64_t ps);

/* --- counters.c: exits, accounting, latencies, time in each state --- */

/* One interrupt that is on its way: when it reached each step. */
struct flight {
    trace_flow flow; /* 0: none */
    uint8_t source;  /* enum trace_source */
    uint64_t raised;
    uint64_t at[LATENCY_STAGE_COUNT]; /* earlier than raised: not reached */
};

struct account {
    uint64_t raised, delivered, coalesced, refused;
};

/* Of the chipset, or pins of the IOEPIC. */
enum { LINE_INPUTS = IOEPIC_INPUTS };
_Static_assert((int)LINE_INPUTS >= (int)CHIPSET_INPUTS, "every input has a number below it");

struct raised {
    trace_flow flow;
    uint8_t source;
    uint64_t ps;
};

struct stamp_series {
    uint64_t count, sum, min, max, last;
    bool started;
};

enum { STAMP_IDS = 16 };

/* How many interrupts of one vector can be on their way to one vCPU: in PIR, in IRR, injected;
   of a user vector: in PUIR, in UIRR, injected. */
enum { FLIGHTS = 3 };

struct vcpu_counters {
    struct raised raised[2]; /* by this vCPU and not routed yet: an ICR write, a timer */
    uint16_t exiting_vector; /* of the interrupt it was last notified of by a kick */
    uint64_t exits[EXIT_REASON_COUNT][TRACE_CAUSE_COUNT];
    uint64_t userspace[KVM_EXIT_COUNT][TRACE_CAUSE_COUNT];
    uint64_t state_ps[VCPU_STATE_COUNT];
    uint64_t state_since;
    uint8_t state;
    bool scheduled;      /* once */
    uint16_t pcpu;       /* where */
    uint64_t migrations; /* how often it came to another one */
    struct stamp_series stamps[STAMP_IDS];
    struct account *account; /* by vector */
    struct flight (*flight)[FLIGHTS];
};

/* One reason for which APICv is off, or all of them together. */
struct inhibit_counters {
    bool on;
    uint64_t since, exits_since;  /* while it is on */
    uint64_t ps, exits, switches; /* of all times before; how often it came */
};

struct inhibit_mark {
    uint64_t ps;
    uint8_t reason;
    bool on;
};

/* The results' timeline has its first marks; the trace has all of them. */
enum { INHIBIT_MARKS = 256, INHIBIT_ANY = INHIBIT_COUNT };

struct inhibit_timeline {
    struct inhibit_counters of[INHIBIT_COUNT + 1];
    struct inhibit_mark mark[INHIBIT_MARKS];
    uint32_t in_force; /* how many reasons */
    uint64_t marks;    /* also those that found no place */
};

/* A physical CPU's sleep, where the plan has idle states. */
struct cpu_idle_counters {
    uint64_t ps[IDLE_STATES_MAX], count[IDLE_STATES_MAX], since;
    uint64_t state; /* or TRACE_NOT_IDLE */
};

struct host_thread_counters {
    uint64_t state_ps[HOST_THREAD_STATE_COUNT], since, items;
    uint8_t state;
};

/* --- disk_counters.c: where the time of a disk's requests goes --- */

/* Parts of a request's time, which sum to all of it. */
#define DISK_STAGES(STAGE)                                                                     \
    STAGE(guest, "the guest: its own queue, and its code on the way down and up")              \
    STAGE(exit, "exits of the driver's accesses, and the host's interrupts meanwhile")         \
    STAGE(userspace, "QEMU: device models, and the main loop up to the pool of workers")       \
    STAGE(worker, "the pool: a wait for a worker, and its blocking call")                      \
    STAGE(completion, "back to the main loop, and its work for the request")                   \
    STAGE(injection, "from the interrupt to its handler")

enum disk_stage {
#define STAGE(name, meaning) DISK_STAGE_##name,
    DISK_STAGES(STAGE) DISK_STAGE_COUNT
#undef STAGE
};

/* Requests that were asked for and not reaped. */
enum { DISK_FLIGHTS = 1024 };

struct disk_flight {
    uint32_t number;
    uint16_t vcpu;                   /* which issued it, or saw its end */
    uint16_t reached;                /* bit n: mark n, of those below */
    uint64_t at[TRACE_DISK_STAGES];  /* the first time */
    uint64_t guest_ps, userspace_ps; /* that vCPU's, when the window under way began */
    uint64_t stage[DISK_STAGE_COUNT];
};

struct disk_counters {
    uint64_t asked, reaped;
    uint64_t stage_sum[DISK_STAGE_COUNT];
    struct latency latency;
    struct disk_flight flight[DISK_FLIGHTS]; /* by number, modulo */
};

/* A receive queue's frames: from the ring to the driver. */
struct queue_counters {
    uint64_t arrived, dropped, masked; /* in the ring; not; how often its interrupts went off */
    struct latency latency;
};

struct counters {
    struct trace_sink sink;
    struct vcpu_counters *vcpu;
    uint32_t vcpu_count, vectors;
    struct host_thread_counters *thread;
    uint32_t thread_count;
    struct disk_counters *disk;
    uint32_t disk_count;
    struct cpu_idle_counters *cpu;
    uint64_t lock_waits;             /* how often somebody slept for the global lock */
    struct raised device;            /* the last one that a device raised */
    struct raised line[LINE_INPUTS]; /* and each input of the chipset, or of the IOEPIC */
    uint64_t nowhere;                /* refused for want of a destination */
    uint64_t records;
    uint64_t exits; /* of all vCPUs */
    struct inhibit_timeline inhibits;
    struct latency latency[TRACE_SOURCE_COUNT];
    struct queue_counters *queue; /* of network cards */
    struct latency *tx;           /* of transmit queues: from the ring to the wire */
};

bool counters_init(struct counters *c, struct arena *a, const struct hypervisor *h);
void disk_counters_put(struct counters *c, const struct trace_record *r);

/* --- trace_file.c --- */

struct trace_file {
    struct trace_sink sink;
    FILE *file;
    char *block; /* of the file, being filled */
    size_t used; /* bytes of it */
    bool failed;
};

/* --- plan.c --- */

struct plan {
    const char *name, *technology, *profile, *profile_kind;
    uint64_t seed;
    enum virt_vendor vendor;
    sim_time until; /* SIM_TIME_NEVER: when the programs end */
    uint64_t hash;
    double operations; /* of all main programs, loops multiplied out, for progress */
};

struct virqsim {
    struct arena arena;
    struct event_queue events;
    struct trace trace;
    struct hypervisor machine;
    struct plan plan;
    struct counters counters;
    struct watchdog watchdog;
    struct schedule *schedule; /* NULL: events fire in their order */
    struct trace_file file;
    uint64_t fired;
    enum virqsim_state state;
    char broken[256];
};

bool plan_read(struct virqsim *sim, const char *text, size_t length,
               struct virqsim_error *error);

/* --- machine.c --- */
/* The counts in sim->machine are set; allocates what follows from them, with room for so many events
   of parts that do not. False: no memory. */
bool machine_allocate(struct virqsim *sim, uint32_t more_events);
/* Interrupts of this vector, a user vector among them (TRACE_USER_VECTOR), that are held anywhere
   on their way to this vCPU. */
uint64_t machine_pending(const struct vcpu *v, unsigned vector);
/* Checks that nothing was lost; false, and sim->broken, when something was. */
bool machine_balance(struct virqsim *sim);

#endif
