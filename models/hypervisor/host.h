/*
 * The host: physical CPUs, the interrupts that reach them, the cache lines that they take from
 * each other, and the threads that share them (host.c, scheduler.c).
 */
#ifndef VIRQSIM_HYPERVISOR_HOST_H
#define VIRQSIM_HYPERVISOR_HOST_H

#include "port/event.h"
#include "port/trace.h"
#include "virt/virt.h"

struct hypervisor;
struct vcpu;
struct device;

/* Interrupts of the host's own, to a physical CPU. Numbers as Linux gives them. */
#define HOST_VECTORS(VECTOR)                                                                   \
    VECTOR(RESCHEDULE, 0xfd, "kick a vCPU, or schedule")                                       \
    VECTOR(DOORBELL, VIRT_DOORBELL,                                                            \
           "AVIC's signal: no vector, and nothing for a CPU without a guest")                  \
    VECTOR(POSTED, 0xf2, "posted-interrupt notification")                                      \
    VECTOR(WAKEUP, 0xf1, "a descriptor of a blocked vCPU was posted to")                       \
    VECTOR(TIMER, 0xec, "a timer of the host expired: a guest's APIC timer")                   \
    VECTOR(TICK, 0xec, "the scheduler's: the time slice is over")                              \
    VECTOR(ASSIGNED, 0x24,                                                                     \
           "an assigned device, whose interrupt the host forwards to its guest")               \
    VECTOR(GUEST, 0x10, "stands for any vector of the guest's own: an IPI, or its timer")      \
    VECTOR(GA_LOG, 0x23, "AMD's IOMMU has logged an interrupt for a vCPU that does not run")   \
    VECTOR(EPIC, 0x25,                                                                         \
           "CEPIC_EPIC_INT: a message for a core of the guest that has none at present")       \
    VECTOR(PERIODIC, 0xec, "the host's periodic tick")                                         \
    VECTOR(DEVICE, 0x22, "a device of the host's own")

enum host_vector {
#define VECTOR(name, number, meaning) HOST_##name,
    HOST_VECTORS(VECTOR) HOST_VECTOR_COUNT
#undef VECTOR
};

enum {
#define VECTOR(name, number, meaning) HOST_NUMBER_##name = (number),
    HOST_VECTORS(VECTOR)
#undef VECTOR
};

struct thread;

/* What the scheduler tells a thread, and what others ask of it. */
struct thread_ops {
    void (*scheduled)(struct thread *t, bool switching); /* it has its CPU */
    void (*slice_over)(struct thread *t);                /* and is to give it up */
    void (*delayed)(struct thread *t, cycles by);        /* by an interrupt of the host's */
    void (*pay)(struct thread *t, cycles cost);          /* something that it did for others */
    void (*lock_free)(struct thread *t); /* it runs again, and tries once more */
};

struct thread {
    const struct thread_ops *ops;
    struct vcpu *vcpu; /* NULL: it is none's */
    struct pcpu *pcpu;
    struct thread *next;    /* in its CPU's run queue, or waiting for the global lock */
    struct thread *sibling; /* among all threads of its CPU */

    /* For a fair scheduler. */
    uint32_t weight;
    bool roams;           /* it may run on any CPU */
    struct pcpu *goes_to; /* it is to leave its CPU for this one; or NULL */
    bool moved;           /* it has come to this one, and did not run yet */
    uint64_t vruntime;    /* picoseconds of CPU time, as many more as its weight is less */
    sim_time since;       /* that much is charged */
};

enum { CPUS_MAX = 1024, SOCKETS_MAX = 8 };

/* Memory that several CPUs read and write, as far as it is worth waiting for. */
struct cache_line {
    uint64_t holders[CPUS_MAX / 64]; /* cores that have it */
    cycles comes;                    /* when the last one who asked has it */
    uint8_t sockets;                 /* of the holders, a bit each; 0: nobody has touched it */
    bool alone;                      /* there is one holder */
};

/* What others touch when they tell a vCPU of an interrupt. */
enum vcpu_line {
    LINE_PENDING, /* PIR and ON of the posted-interrupt descriptor, or the APIC page's IRR */
    LINE_MODE,    /* struct kvm_vcpu: mode, requests */
    LINE_BOOKS,   /* struct kvm_vcpu_arch: apic_arb_prio, mp_state */
    VCPU_LINES
};

/* An interrupt on its way to a CPU. */
struct pcpu_arrival {
    struct event event;
    struct pcpu *pcpu;
    trace_flow flow;
};

struct pcpu {
    struct hypervisor *hypervisor;
    uint16_t index;
    uint16_t core;
    uint8_t socket;
    struct pcpu *sibling;              /* the core's other thread, or NULL */
    struct thread *current;            /* NULL: idle */
    struct thread *threads;            /* all of them */
    struct thread *queue, **queue_end; /* runnable, waiting */
    struct event slice;                /* the present time slice's end */
    uint64_t least;        /* of its threads' vruntime, and never less than before */
    bool yielded;          /* the head of the queue is to be next, whoever it is */
    struct event dispatch; /* an idle CPU has been woken */
    struct pcpu_arrival arrival[HOST_VECTOR_COUNT];
    struct device *assigned; /* whose interrupts reach this CPU */
    uint16_t pending;        /* bit n: host vector n arrived while interrupts were off */
    cycles device_work;      /* of the host's own devices' interrupts, not paid yet */
    sim_time timers_busy;    /* until when it handles timers of guests on other CPUs */
};

void pcpu_init(struct hypervisor *h, struct pcpu *p, uint16_t index);
/* A vCPU's thread; one that always wants to run; any other, which sleeps at first. */
void pcpu_add_vcpu(struct pcpu *p, struct vcpu *v);
void pcpu_add_load(struct pcpu *p, struct thread *t);
void pcpu_add_thread(struct pcpu *p, struct thread *t, const struct thread_ops *ops);
void host_send(struct pcpu *p, enum host_vector vector, sim_time at, trace_flow flow);
/* Interrupts on again. Where one of them was the exit's reason, it is in that handler's cost. */
void host_take_pending(struct vcpu *v, bool first_is_paid);
/* At an entry: KVM wants the guest to leave at once, or its timer ran out meanwhile. */
bool host_wants_exit(const struct vcpu *v);
/* ... something pending made the guest leave. */
bool host_leaves_at_once(struct vcpu *v);
/* Does the CPU's thread work, so that the core's other one is slower. */
bool pcpu_works(const struct pcpu *p);
void thread_wake(struct thread *t, sim_time at); /* a vCPU that waits for an interrupt */
/* One that slept is runnable; its CPU, where that is idle, hears of it at `at`. */
void thread_ready(struct thread *t, sim_time at);
/* The same of a real-time thread, which goes before all others, and stays as long as it wants. */
void thread_seize(struct thread *t);
/* One that waits for its CPU is the next there, at once. */
void thread_urge(struct thread *t);
/* Linux: set_cpus_allowed_ptr(). It runs there alone from now on; who sleeps goes when it wakes up. */
void thread_send_to(struct thread *t, struct pcpu *to);
void thread_leave(struct thread *t, bool runnable); /* off its CPU, which takes the next one */
/* `to`, which waits for its CPU, is to be the next there, at once. False: there is no point in it,
   since neither CPU has another thread. */
bool thread_yield_to(struct thread *from, struct thread *to);
#endif
