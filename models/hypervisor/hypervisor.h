/*
 * The hypervisor: QEMU's loop around KVM's loop around the hardware.
 *
 * Each vCPU is a host thread that runs a table of steps (steps.def). A step
 * takes time, which is a cost; at its end an action decides what is next. While
 * a vCPU is in the guest its operations are put to the hardware (virt/virt.h),
 * whose verdict says whether it leaves. Interrupts for a vCPU come in through
 * hypervisor_accept(): it decides between posting, kicking, waking and letting
 * the target find it by itself.
 *
 * Threads share physical CPUs (host.c); the host's interrupts to those CPUs are
 * events with a latency. All of it is one purely sequential simulation.
 *
 *   run_loop.c   the table's interpreter, and the kernel's steps
 *   guest_run.c  the guest: one operation after the other, and interrupts between
 *   guest_access.c  what an operation does to its surroundings
 *   guest_wait.c    what a guest does while it waits: HLT, PAUSE, MWAIT, locks
 *   guest_pause.c   loops of PAUSEs, in one event each
 *   guest_words.c   vCPUs that wait for each other in memory
 *   user_interrupts.c  SENDUIPI, and what its receiver does
 *   lines.c      whose cache that memory is in
 *   exits.c      the exit handlers
 *   deliver.c    telling a vCPU of an interrupt
 *   declared.c   what hardware that the plan declares costs, and whom it notifies
 *   assigned.c   devices that belong to the guest, through the remapping hardware
 *   epic.h       the guest of an Elbrus machine, in files of its own
 *   direct.c     what the guest and the physical APIC do without the hypervisor
 *   assigned_svm.c  the same behind AMD's IOMMU
 *   nic_path.c   network cards, and what a guest's driver does with their queues
 *   board.c      the 8259A pair and the I/O APIC, in the kernel or in userspace
 *   timer.c      the guest's APIC timer on the host's timers
 *   timer_advance.c  ahead of its deadline, and the wait for it
 *   timer_posting.c  on another CPU's timer, posted from there
 *   timer_virtual.c  on the hardware's own, which the guest arms
 *   halt_poll.c  waiting for an interrupt
 *   guest_poll.c    the guest's own polling, before its HLT
 *   yield.c      vCPUs that spin give way to those that should run
 *   userspace.c  QEMU
 *   host.c       physical CPUs and their interrupts
 *   scheduler.c  and their threads
 *   fault.c      what a plan makes go wrong around all this
 *   host_thread.c   threads that are no vCPUs: QEMU's main loop, workers
 *   global_lock.c   QEMU's global lock
 *   vm_pause.c      all vCPUs stop, and go on
 *   disk.c       disks of QEMU's, and the guest's end of them
 *   serial.c     QEMU's serial port
 *   host_idle.c     how deep a physical CPU sleeps
 *   controls.c   features and policy to control bits
 *   inhibit.c    why APICv or AVIC is off, and the way there and back
 */
#ifndef VIRQSIM_HYPERVISOR_HYPERVISOR_H
#define VIRQSIM_HYPERVISOR_HYPERVISOR_H

#include "cost/cost.h"
#include "device/hpet.h"
#include "device/pit.h"
#include "guest/guest.h"
#include "hypervisor/rechecks.h"
#include "irq/amd_iommu.h"
#include "irq/apic_fabric.h"
#include "irq/chipset.h"
#include "irq/remap.h"
#include "port/wire.h"
#include "virt/hypothetical.h"
#include "virt/technology.h"

#define VCPU_STATES(STATE)                                                                     \
    STATE(PARKED, "runnable, but another thread has the physical CPU")                         \
    STATE(LOADING, "the physical CPU switches to this thread")                                 \
    STATE(USERSPACE, "userspace (QEMU) works for it")                                          \
    STATE(PREPARE, "KVM looks after requests and pending interrupts")                          \
    STATE(COMMIT, "interrupts off, the last check before the entry")                           \
    STATE(ENTERING, "the hardware loads guest state")                                          \
    STATE(GUEST, "the guest runs")                                                             \
    STATE(EXITING, "the hardware saves guest state")                                           \
    STATE(HANDLE, "KVM's exit handler works")                                                  \
    STATE(POLLING, "halted, the thread polls for an interrupt")                                \
    STATE(PARKING, "the thread is being taken off its physical CPU")                           \
    STATE(BLOCKED, "halted, the thread sleeps")                                                \
    STATE(LOCKED, "the thread sleeps until userspace's global lock is free")                   \
    STATE(STOPPED, "the VM is paused: the thread sleeps in userspace")

enum vcpu_state {
#define STATE(name, meaning) VCPU_##name,
    VCPU_STATES(STATE) VCPU_STATE_COUNT
#undef STATE
};

#define VCPU_SIGNALS(SIGNAL)                                                                   \
    SIGNAL(SCHEDULED)                                                                          \
    SIGNAL(ENTER_KVM)                                                                          \
    SIGNAL(TO_USER)                                                                            \
    SIGNAL(READY)                                                                              \
    SIGNAL(REQUEST)                                                                            \
    SIGNAL(SIGNAL)                                                                             \
    SIGNAL(PREEMPT)                                                                            \
    SIGNAL(ARRIVED)                                                                            \
    SIGNAL(EXIT)                                                                               \
    SIGNAL(LEFT)                                                                               \
    SIGNAL(CONTINUE)                                                                           \
    SIGNAL(RESUME)                                                                             \
    SIGNAL(REENTER)                                                                            \
    SIGNAL(POLL)                                                                               \
    SIGNAL(BLOCK)                                                                              \
    SIGNAL(LOCK)                                                                               \
    SIGNAL(STOP)                                                                               \
    SIGNAL(WOKEN)

enum vcpu_signal {
#define SIGNAL(name) VCPU_ON_##name,
    VCPU_SIGNALS(SIGNAL) VCPU_SIGNAL_COUNT
#undef SIGNAL
};

/* KVM_RUN's reasons for returning to userspace, by KVM's names. */
#define KVM_EXITS(REASON)                                                                      \
    REASON(KVM_EXIT_IO)                                                                        \
    REASON(KVM_EXIT_MMIO)                                                                      \
    REASON(KVM_EXIT_HLT)                                                                       \
    REASON(KVM_EXIT_SET_TPR)                                                                   \
    REASON(KVM_EXIT_IRQ_WINDOW_OPEN)                                                           \
    REASON(KVM_EXIT_IOAPIC_EOI)                                                                \
    REASON(KVM_EXIT_INTR)

enum kvm_exit {
#define REASON(name) name,
    KVM_EXITS(REASON) KVM_EXIT_COUNT
#undef REASON
};

enum irqchip { IRQCHIP_KERNEL, IRQCHIP_SPLIT, IRQCHIP_USERSPACE, IRQCHIP_COUNT };

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

/* What a guest does to its surroundings, until it is complete. */
enum access_kind {
    ACCESS_NONE,
    ACCESS_APIC_READ, /* address: the offset in the page */
    ACCESS_APIC_WRITE,
    ACCESS_MSR_READ, /* address: the MSR */
    ACCESS_MSR_WRITE,
    ACCESS_CR8_READ,
    ACCESS_CR8_WRITE,
    ACCESS_USER_IPI,    /* SENDUIPI's ordinary IPI; value: VIRT_USER_IPI */
    ACCESS_INSTRUCTION, /* instruction; address: port, address or nothing */
};

struct access {
    enum access_kind kind;
    enum virt_instruction instruction;
    uint64_t address, value;
    uint8_t size;
    bool write;
};

/* Who answers a port or an MMIO address. */
enum region_handler {
    REGION_USERSPACE,
    REGION_KERNEL,
    REGION_EVENTFD,
    REGION_EXTERNAL,
    REGION_HANDLER_COUNT
};

struct region {
    bool port;
    uint64_t first, last;
    enum region_handler handler;
};

/* MSI, LEVEL, EXTINT, NMI: an interrupt straight to a vCPU. LINE: an input of the chipset.
   ASSIGNED: a physical MSI, through the remapping hardware. */
enum device_kind {
    DEVICE_MSI,
    DEVICE_LEVEL,
    DEVICE_EXTINT,
    DEVICE_NMI,
    DEVICE_LINE,
    DEVICE_ASSIGNED,
    DEVICE_KIND_COUNT
};

struct nic_queue; /* device/nic.h */
struct nic_path;  /* hypervisor/nic_path.h */

/* Whatever raises interrupts from outside the vCPUs. */
struct device {
    struct hypervisor *hypervisor;
    enum device_kind kind;
    uint16_t vcpu;
    uint8_t vector;
    uint16_t epic_vector; /* in its place, where the guest has an EPIC */
    uint8_t gsi, driver;  /* LINE: the input, and which of its drivers this is */
    uint16_t cpu;         /* ASSIGNED: the physical CPU that it reaches without posting */
    trace_flow landed;    /* and the interrupt that waits there for the host's handler, or 0 */
    bool landed_as_nmi;   /* which the remapping entry has made an NMI of */
    struct nic_queue *queue;      /* of a network card, whose interrupt this is; or NULL */
    struct device *next_assigned; /* of the same CPU */
    struct device *next_of_vcpu;  /* ASSIGNED, behind AMD's IOMMU: of the same vCPU */
    uint64_t delay_ps;
    uint64_t pulse_ps;    /* LINE: how long it stays asserted; 0: until it is lowered */
    struct event arrival; /* of the signal at the interrupt controller */
    uint32_t acts;        /* how many signals that arrival stands for */
    struct event plan;    /* the next of the times below */
    struct event fall;    /* the end of a pulse */
    const sim_time *at;
    uint32_t at_count, at_next;
    struct wire line; /* driven from outside (SystemC) */
    struct wire_listener listener;
    bool masked;         /* its vector, at the device */
    trace_flow withheld; /* and the interrupt that waits for the end of that; or 0 */
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
    sim_time timers_busy;    /* until when it handles timers of guests on other CPUs */
};

/* Of an input's drivers, the board's own come first, then the plan's devices. */
enum { BOARD_DRIVER_PIT, BOARD_DRIVER_HPET, BOARD_FIRST_DRIVER };
enum { BOARD_EVENTS = 2 }; /* the PIT's and the HPET's */

/* What stands on a PC's board beside the CPUs: the chipset, and whose access it is answering. */
struct board {
    struct hypervisor *hypervisor;
    struct chipset chipset;
    struct chipset_port port;
    uint8_t ioapic_version;
    struct pit pit;
    struct wire_listener pit_out;
    bool pit_level; /* what OUT 0 says, whoever stands in for it */
    bool has_hpet;
    struct hpet hpet;
    struct hpet_port hpet_port;
    struct vcpu *actor; /* NULL: a device */
};

struct destination {
    uint16_t vcpu;
    trace_flow flow;
};

/* What a vCPU does while it waits, and what the hypervisor knows of it. */
struct vcpu_waiting {
    /* Spinning with PAUSE: the loop under way. */
    bool pausing;
    bool exits;    /* its end is an exit; else the guest gives up */
    uint64_t from; /* the first PAUSE, in cycles of the core clock */
    struct virt_pauses pauses;

    /* MONITOR's word, and its value then. */
    uint64_t monitored, seen;

    /* A lock's waiter in HLT: pv_kick() is to find it. */
    bool for_kick;
    uint64_t lock, ticket;
    uint16_t peer;  /* whom the hypercall under way is about */
    bool pv_unhalt; /* KVM: pv.pv_unhalted: kicked, and not yet awake */

    /* Polling before HLT: how long at most, and since when it has halted (0: it has not). */
    uint64_t poll_limit_ns;
    sim_time halted_since;

    /* KVM: spin_loop, and what the guest sees in its steal-time area. */
    bool in_spin_loop, eligible, preempted;
    uint64_t pause_window; /* the present PLE_Window, or filter count */
};

struct vcpu {
    struct hypervisor *hypervisor;
    uint16_t index;
    uint8_t state; /* enum vcpu_state */

    /* The step under way: `step` fires when its cost is paid, then `action` runs. */
    struct event step;
    void (*action)(struct vcpu *v);
    cycles extra;  /* what the last action left to pay: work of the core */
    cycles stall;  /* and waiting, which no thread beside it makes longer */
    sim_time due;  /* when that is paid */
    bool stepping; /* within step's fire() */

    /* Why it left the guest, and what it was about to do. */
    struct virt_verdict exit;
    enum trace_cause exit_cause;
    struct access access;
    bool access_done; /* the hardware completed it before the exit */
    bool kicked;      /* vcpu->mode is EXITING_GUEST_MODE: an interrupt is on its way already */
    bool retried;     /* an APIC read that KVM lets the guest repeat */

    /* Requests, as KVM keeps them: looked at before each entry. */
    bool request;        /* KVM_REQ_EVENT: look for interrupts again */
    bool signal;         /* the thread has a signal: KVM_RUN returns -EINTR */
    bool reschedule;     /* its time slice is over */
    bool in_userspace;   /* where to resume after being parked */
    bool wants_lock;     /* and there it waits for the global lock */
    bool stop, stopped;  /* QEMU: cpu->stop, asked for, and done */
    bool window_wanted;  /* userspace waits for the interrupt window */
    bool window_open;    /* the hardware is to say when the guest can take an interrupt */
    bool immediate_exit; /* leave again right after this entry */
    bool apicv_active;   /* APICv or AVIC, as its control structure has it */
    bool apicv_stale;    /* KVM_REQ_APICV_UPDATE: the VM's reasons against it have changed */
    enum kvm_exit kvm_exit;

    /* In the guest. */
    bool program_ended; /* the main program */
    bool setting_up;    /* what it does is preparation */
    bool spinning;      /* waits for a shared word */
    uint64_t spin_least;
    uint64_t spin_longer;
    void (*spin_then)(struct vcpu *v); /* what follows the wait */
    bool held; /* the host is to keep it at its next exit, until a word is reached */
    uint64_t held_word, held_least, held_longer;
    struct vcpu *spin_next, **spin_link; /* those who wait for the same word */
    int delivering;          /* the vector whose handler is about to start, or NO_VECTOR */
    trace_flow message_flow; /* of the ICR write under way */
    bool pv_icr; /* it has the physical ICR for ordinary IPIs, and MSR_PV_ICR for all others */
    bool pv_eoi_offered, pv_eoi; /* the hypervisor's note, and the bit in guest memory */

    /* Interrupts on their way in, besides the APIC's. */
    struct vec256 extint;    /* 8259A's: the vectors its acknowledge cycles would give */
    trace_flow *extint_flow; /* by vector */
    int user_vector;         /* KVM_INTERRUPT's, not injected yet, or NO_VECTOR */
    trace_flow user_flow;
    bool eoi_for_userspace; /* a split I/O APIC is to hear of the EOI of eoi_vector */
    uint8_t eoi_vector;
    int reinject; /* a delivery that an exit interrupted, or NO_VECTOR */
    bool reinject_nmi;
    bool injecting_nmi;
    int injecting; /* event injection at the next entry, or NO_VECTOR */
    trace_flow injecting_flow, reinject_flow;

    /* Timer. */
    struct event timer;
    sim_time timer_deadline;   /* the guest's; the event may be ahead of it */
    sim_time timer_awaited;    /* it expired ahead of this; 0: there is nothing to wait for */
    uint64_t timer_advance_ns; /* how far ahead */
    bool timer_due;            /* expired, not yet looked at */
    bool timer_internal;       /* KVM moves the timer: what follows is not the guest's arming */
    bool timer_soft;           /* it had expired when it was armed: no timer was started */
    bool timer_asleep;         /* the vCPU sleeps, and the timer is to wake it */
    bool timer_virtual;        /* the guest arms the hardware's own, without an exit */
    bool timer_posting;        /* its handler is at work on the housekeeping CPU */
    uint16_t timer_vector;     /* and what it was to be */
    trace_flow timer_flow;

    /* Halt polling. */
    struct event poll_end;
    uint64_t poll_ns; /* the present window */
    sim_time halted_at;
    bool polled;

    /* Messages under way to several destinations. */
    struct irq_msg message;
    struct destination *outbox;
    uint32_t outbox_count, outbox_next;
    void (*after_outbox)(struct vcpu *v);

    struct vcpu_waiting waiting;
    struct epic_vcpu *epic; /* an EPIC guest's (epic.h); NULL: it has a local APIC, or none */
    struct cache_line line[VCPU_LINES];

    struct virt_cpu hw;
    struct lapic apic;
    struct lapic_port apic_port;
    struct posted_descriptor descriptor;
    struct device *assigned; /* to it, behind AMD's IOMMU */
    struct thread thread;
    struct guest guest;
};

/* KVM's ple_gap, ple_window, ...; on SVM pause_filter_thresh, pause_filter_count, ... */
struct pause_loop_policy {
    uint64_t gap, window, grow, shrink, max;
};

/* The haltpoll governor's parameters, in the guest. */
struct guest_poll_policy {
    uint64_t ns, grow, grow_start_ns, shrink;
};

/* Linux' CFS; not fair: in turns. */
struct scheduler_policy {
    bool fair;
    uint64_t latency_ns, wakeup_granularity_ns;
};

struct hypervisor_policy {
    enum irqchip irqchip;
    uint64_t halt_poll_ns, halt_poll_grow, halt_poll_grow_start_ns, halt_poll_shrink;
    uint64_t time_slice_ns;
    uint64_t timer_advance_ns; /* 0: KVM's tuning */
    struct pause_loop_policy pause_loop;
    struct guest_poll_policy guest_poll;
    struct scheduler_policy scheduler;
    bool pit_reinject; /* KVM's own PIT counts on EOIs, and injects lost ticks again */
    recheck_set without_rechecks;
};

/* --- why APICv or AVIC is off: inhibits.def --- */

enum inhibit {
#define INHIBIT(id, ...) INHIBIT_##id,
#include "hypervisor/inhibits.def"
#undef INHIBIT
    INHIBIT_COUNT
};

typedef uint32_t inhibit_set; /* bit n: enum inhibit n */
#define INHIBIT_BIT(id) ((inhibit_set)1 << INHIBIT_##id)

enum inhibit_by { INHIBIT_BY_MACHINE, INHIBIT_BY_PLAN };

struct inhibit_info {
    const char *name; /* KVM's */
    bool vmx, svm;    /* who heeds it */
    enum inhibit_by by;
    const char *meaning, *where;
};
extern const struct inhibit_info inhibits[INHIBIT_COUNT];

/* Of the plan's: a reason comes, or goes. */
struct inhibit_change {
    sim_time at;
    enum inhibit reason;
    bool on;
};

struct inhibits {
    inhibit_set heeded, by_machine, by_plan;
    const struct inhibit_change *change; /* ascending */
    uint32_t count, next;
    struct event due;
    bool begun;
};

struct hypervisor {
    struct event_queue *events;
    struct trace *trace;
    struct costs costs;
    struct clock core, tsc, apic_bus;
    feature_set features;
    struct hypothetical *hypothetical; /* the features that the plan declares; NULL: none */
    bool declared_timer;               /* and among them what becomes of the guest's timer */
    struct hypervisor_policy policy;
    enum lapic_mode guest_apic; /* LAPIC_MODE_DISABLED: the guest uses only the 8259A */

    struct vcpu *vcpu;
    uint32_t vcpu_count;
    struct pcpu *pcpu;
    uint32_t pcpu_count;
    struct pcpu *housekeeping; /* for the host's timers, where they are posted from; or NULL */
    struct board *board;       /* NULL: no 8259A and no I/O APIC; devices stand for them */
    struct fault *fault;       /* of the plan's (fault.h) */
    uint32_t fault_count;
    struct host_threads *threads; /* those that are no vCPUs (host_thread.h); NULL: none */
    struct global_lock *lock;     /* NULL: nobody but vCPUs works in userspace */
    struct host_idle *idle; /* (host_idle.h) NULL: every CPU sleeps as lightly as it can */
    struct device *device;
    uint32_t device_count;
    struct disk *disk;     /* disk.h */
    struct serial *serial; /* serial.h; NULL: none */
    uint32_t disk_count;
    struct nic_path *nic; /* network cards; their queues are the last of the devices */
    uint32_t nic_count;
    struct nic_queue **rx_queue; /* of all of them */
    uint32_t rx_queue_count;
    const struct region *region;
    uint32_t region_count;
    struct apic_fabric fabric;
    struct posted_descriptor **pid_table; /* by APIC ID */
    struct avic_table avic;
    bool guest_epic; /* the guest's controller is an EPIC; guest_apic says DISABLED */
    struct e2k_guest guest;
    struct remap remap; /* for assigned devices: entry n is device n's */
    struct remap_words *irte;
    struct remap_port remap_port;
    struct amd_iommu amd_iommu; /* the same on AMD's machines */
    struct amd_irte *amd_irte;
    uint64_t *ga_log; /* GA_LOG_ENTRIES */
    struct inhibits inhibits;
    uint32_t windows; /* vCPUs that wait for an interrupt window */

    uint64_t *word; /* shared memory of the guest */
    struct cache_line *word_line;
    struct vcpu **spinners; /* by word */
    uint32_t word_count;
    const struct vcpu *crashed; /* its handlers nested without end; the run is over */
    uint32_t running;           /* main programs that have not ended */
    uint32_t last_boosted;      /* the vCPU that somebody who spun gave way to */

    /* A region whose handler is external; NULL: reads give 0 and take no time. */
    uint64_t (*external)(void *context, bool port, bool write, uint64_t address, unsigned size,
                         uint64_t *value);
    void *external_context;
};

/* --- run_loop.c --- */

struct vcpu_step {
    uint8_t from, on, to;
    int16_t cost; /* enum cost_key, or -1 */
    void (*action)(struct vcpu *v);
    const char *action_name;
};
extern const struct vcpu_step vcpu_steps[];
extern const unsigned vcpu_step_count;
const char *vcpu_state_name(enum vcpu_state s);
const char *vcpu_signal_name(enum vcpu_signal s);
/* The row for a pair, or NULL when it cannot happen. */
const struct vcpu_step *vcpu_find_step(enum vcpu_state from, enum vcpu_signal on);

/* Takes the row for (state, on): the state changes at once, the cost starts to be paid. */
void vcpu_take(struct vcpu *v, enum vcpu_signal on);
/* Pays v->extra in the present state, then runs `action`. */
void vcpu_continue(struct vcpu *v, void (*action)(struct vcpu *v));
void vcpu_init_steps(struct vcpu *v);
/* Between last check and the end of an exit: KVM's vcpu->mode is not OUTSIDE_GUEST_MODE. */
static inline bool vcpu_in_guest_mode(const struct vcpu *v)
{
    return v->state == VCPU_ENTERING || v->state == VCPU_GUEST || v->state == VCPU_EXITING;
}
static inline bool vcpu_waits(const struct vcpu *v)
{
    return v->state == VCPU_POLLING || v->state == VCPU_BLOCKED;
}
/* --- declared.c: what a declared feature has done, seen from outside --- */
uint64_t declared_cost(const struct vcpu *v); /* of the rule in v->hw.ruled, in cycles */
/* Notifications of what it has posted. */
void declared_notify(struct vcpu *sender, unsigned vector);

/* The guest leaves; `cause` and `flow` say for whose sake. */
void vcpu_exit(struct vcpu *v, const struct virt_verdict *why, enum trace_cause cause,
               trace_flow flow);
/* And by an operation of its own. */
void vcpu_exit_by(struct vcpu *v, const struct virt_verdict *why, enum trace_cause cause,
                  trace_flow flow, const struct guest_insn *i);
static inline void vcpu_pay(struct vcpu *v, enum cost_key key)
{
    v->extra.n += v->hypervisor->costs.of[key].n;
}
/* A declared feature's rule decided the last operation: its cost. False: none did. */
static inline bool vcpu_pay_rule(struct vcpu *v)
{
    if (!v->hw.ruled)
        return false;
    v->extra.n += declared_cost(v);
    v->hw.ruled = NULL;
    return true;
}
/* What its present action has left it to pay so far. */
static inline uint64_t vcpu_owes(const struct vcpu *v)
{
    return v->extra.n + v->stall.n;
}
static inline sim_time hv_now(const struct hypervisor *h)
{
    return h->events->now;
}
static inline sim_time hv_after(const struct hypervisor *h, uint64_t n)
{
    return clock_after(&h->core, h->events->now, (cycles){n});
}

/* --- guest_access.c --- */

/* Access number `part` of an operation; ACCESS_NONE when it has no more. */
struct access guest_access_of(const struct vcpu *v, const struct guest_insn *i, unsigned part);
struct access guest_no_access(void);
/* Puts one access of the present operation to the hardware. False: the guest left. */
bool guest_perform(struct vcpu *v, const struct guest_insn *i, const struct access *a);
/* After an exit of such an operation the guest looks at the word again. */
bool guest_waits_for_word(const struct guest_insn *i);

/* --- guest_wait.c --- */
/* One of the operations that wait. False: the guest left, or waits to be told. */
bool guest_wait(struct vcpu *v, const struct guest_insn *i);
/* HLT or MWAIT without an exit is under way. False: it is over. */
bool guest_sleeps(struct vcpu *v);
/* A lock is handed on: false, the guest left for the hypercall. */
bool guest_unlock(struct vcpu *v, const struct guest_insn *i);
bool guest_pv_yield(struct vcpu *v, const struct guest_insn *i);

/* --- guest_pause.c --- */
/* Spins with PAUSE until word `i->operand[0]` is at least `least`; where the loop ends without
   that after so many turns more, the guest halts. */
void guest_pause_start(struct vcpu *v, const struct guest_insn *i, uint64_t least,
                       uint64_t turns);
void guest_pause_stop(struct vcpu *v);
uint64_t guest_pause_turn(const struct hypervisor *h); /* of such a loop, in cycles */

/* --- user_interrupts.c --- */
/* SENDUIPI. False: the guest left. */
bool user_send(struct vcpu *v, const struct guest_insn *i);
/* STUI and CLUI; what the guest's kernel writes into its descriptor. */
void user_perform(struct vcpu *v, const struct guest_insn *i);
/* A notification was processed at an instruction boundary or by an entry. */
void user_notified(struct vcpu *v, const struct virt_boundary *b);
void user_return(struct vcpu *v); /* UIRET */
/* Does the guest's processor take this vector for a notification: nobody will acknowledge it. */
bool user_takes(const struct vcpu *v, unsigned vector);

/* --- lines.c --- */
/* Has this CPU's core a copy, or for a write the only one. */
static inline bool line_here(const struct cache_line *l, const struct pcpu *p, bool write)
{
    return (l->holders[p->core / 64] >> (p->core % 64) & 1) && (!write || l->alone);
}
void line_fetch(struct vcpu *v, struct cache_line *l, bool write); /* which is not here */
/* The vCPU's CPU reads or writes the line, and waits for it. */
static inline void line_take(struct vcpu *v, struct cache_line *l, bool write)
{
    if (!line_here(l, v->thread.pcpu, write))
        line_fetch(v, l, write);
}
/* The same, where the wait is part of what it pays for already. */
void line_claim(struct cache_line *l, const struct pcpu *p, bool write);
/* A thread that is not modelled wrote it. */
void line_lose(struct cache_line *l);

/* --- guest_poll.c --- */
/* Before the idle loop's HLT: is it to poll first, or again. Else HLT follows. */
bool guest_poll_wanted(struct vcpu *v);
void guest_poll_start(struct vcpu *v, const struct guest_insn *i);
void guest_poll_ended(struct vcpu *v); /* nothing came: HLT follows */
void guest_poll_woken(struct vcpu *v); /* the idle loop goes on: the limit grows or shrinks */

/* --- guest_words.c --- */
/* Is the word's line here for the present operation; else it is under way. */
bool guest_has_word(struct vcpu *v, uint64_t word, bool write);
void guest_spin_start(struct vcpu *v, uint64_t word, uint64_t least,
                      void (*then)(struct vcpu *v));
void guest_spin_stop(struct vcpu *v);

/* --- guest_run.c --- */
void guest_arrive(struct vcpu *v); /* the end of an entry: what was injected, what arrived */
void guest_run(struct vcpu *v);    /* on with the guest's operations */
void guest_access_done(
    struct vcpu *v); /* the hypervisor completed the access: go on behind it */
void guest_interrupted(
    struct vcpu *v); /* stop the guest's clock; what is left of its work is kept */
void guest_word_changed(struct hypervisor *h, uint64_t word);
/* The host keeps the vCPU, as the guest's program asked; `then` follows. False: no reason to wait. */
bool guest_held(struct vcpu *v, void (*then)(struct vcpu *v));

/* --- exits.c --- */
void exit_handle(struct vcpu *v);          /* after HANDLE's cost */
void exit_pay(struct vcpu *v);             /* that cost */
void exit_complete_access(struct vcpu *v); /* emulate v->access; fills the outbox for an IPI */
const struct region *region_of(const struct hypervisor *h, bool port, uint64_t address);

/* --- deliver.c --- */
void hypervisor_accept(struct vcpu *target, const struct irq_msg *msg, struct vcpu *sender);
void deliver_route(struct vcpu *sender, const struct irq_msg *msg);
void deliver_next(struct vcpu *sender); /* the action of HANDLE/CONTINUE */
/* IRR, or what stands for it, has an interrupt: hardware that delivers is told, or a waiting thread
   is woken, or the vCPU is kicked. */
void deliver_ring(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow);
/* Has an 8259A a vector for it; and the acknowledge cycle that gives the vector. */
bool extint_waits(const struct vcpu *v);
int extint_take(struct vcpu *v, trace_flow *flow);
/* An 8259A's output rose: the vCPU is to look. */
void extint_tell(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow);
void vcpu_kick(struct vcpu *v, struct vcpu *sender, unsigned vector, trace_flow flow);
/* An IPI that the hardware has put into IRRs: doorbells to those that run, from `sender`'s CPU. */
void deliver_doorbells(struct vcpu *sender, unsigned vector);
/* And of those that do not run, KVM wakes who waits. */
void deliver_wakeups(struct vcpu *sender, unsigned vector);
void deliver_inject(struct vcpu *v); /* pending interrupts into the control structure */
void deliver_close_window(struct vcpu *v);
void deliver_cancel(struct vcpu *v); /* and back, when the entry is called off */

/* A descriptor was posted to, and its notification is due: to the CPU that it names, at `at`. */
void deliver_notification(struct hypervisor *h, const struct posted_descriptor *d,
                          unsigned vector, trace_flow flow, sim_time at);

/* --- assigned.c --- */
void assigned_init(struct hypervisor *h);
void assigned_raise(struct device *d, trace_flow flow); /* its flow is routed already */
/* Of the devices whose MSI waits at this CPU, one, or NULL. */
struct device *assigned_landed(const struct pcpu *p);
/* Is it an interrupt with `v`'s own vector? */
bool assigned_is_own(const struct device *d, const struct vcpu *v);
/* The guest's own IDT takes it: the physical APIC holds it for the guest. */
void assigned_take_directly(struct device *d);
void assigned_forward(struct pcpu *p);
/* The vCPU's devices interrupt it directly from now on, or the hypervisor: their entries change. */
void assigned_steer(struct vcpu *v, bool running);

/* --- direct.c --- */

/* The hypervisor's own, for what a guest that has the physical ICR must not send there (NMI, INIT,
   SIPI). The number is ours: the RFC's is not known. */
enum { MSR_PV_ICR = 0x4b564d20 };

/* The host's interrupts go to other CPUs, and what must reach this one is an NMI. */
static inline bool host_kicks_by_nmi(const struct hypervisor *h)
{
    return feature_in(h->features, FEATURE_DIRECT_INTERRUPTS) &&
           !feature_in(h->features, FEATURE_SHADOW_IDT);
}
/* Is this message delivered by an IPI with the guest's own vector? */
bool direct_delivers(const struct vcpu *v, const struct irq_msg *msg);
/* The guest's write to a register that is passed through takes effect, and is paid. */
void direct_write(struct vcpu *v, const struct access *a);
/* An ordinary IPI: fixed, edge-triggered, of a legal vector. */
bool direct_is_ordinary(uint64_t icr);
/* A vector of the guest's own arrived while it runs. */
void direct_arrived(struct vcpu *v);
/* Before an entry: self-IPIs. After an exit: the host takes what its APIC holds. */
void direct_enter(struct vcpu *v);
void direct_leave(struct vcpu *v);

/* --- assigned_svm.c --- */
enum { GA_LOG_ENTRIES = 512 };
void assigned_svm_init(struct hypervisor *h);
/* False: it is not posted. */
bool assigned_svm_raise(struct device *d, trace_flow flow);
/* The table's entries follow v->apicv_active, and where the vCPU runs. */
void assigned_svm_set_mode(struct vcpu *v);
void assigned_svm_set_running(struct vcpu *v, bool running);
void assigned_svm_read_log(struct hypervisor *h); /* the handler of the IOMMU's interrupt */

/* --- board.c --- */
void board_init(struct hypervisor *h); /* nothing, where the plan has no chipset */
/* Is `a` an access to one of the chips, and who answers. */
bool board_owns(const struct board *board, const struct access *a,
                enum region_handler *handler);
/* Is it one to an interrupt controller: what a handler does there acknowledges its interrupt. */
bool board_controls(const struct board *board, const struct access *a);
void board_access(struct vcpu *v); /* v->access, if it is one of the chips' */
void board_drive(struct board *board, unsigned gsi, unsigned driver, bool level);
bool board_extint(const struct vcpu *v);
uint8_t board_acknowledge(struct vcpu *v, trace_flow *flow);
/* An EOI of the local APIC, on its way to the I/O APIC; and there. */
void board_eoi(struct vcpu *v, uint8_t vector);
void board_eoi_arrived(struct vcpu *v, uint8_t vector);
/* Adds the vectors whose EOI an I/O APIC waits for. */
void board_eoi_exits(const struct vcpu *v, struct vec256 *vectors);

/* --- yield.c --- */
/* A loop of PAUSEs exited. True: the thread gives up its CPU. */
bool yield_on_spin(struct vcpu *v);
/* KVM_HC_SCHED_YIELD, to the vCPU that v->waiting.peer names. */
bool yield_to_peer(struct vcpu *v);
/* KVM_HC_KICK_CPU, but for the yield that follows it. */
void yield_kick(struct vcpu *v);
void yield_scheduled(struct vcpu *v); /* its thread has a CPU again */
void yield_window_init(struct vcpu *v);
bool yield_pv_unhalt(
    const struct hypervisor *h); /* the guest is offered KVM_FEATURE_PV_UNHALT */

/* --- timer.c --- */
void timer_init(struct vcpu *v);
/* An expiry becomes an interrupt on its way, `message` for the trace; or it comes to nothing. */
void timer_raise(struct vcpu *v, uint16_t vector, uint32_t message);
void timer_refuse(struct vcpu *v, enum trace_refused why);
void timer_set(struct vcpu *v, sim_time deadline);
void timer_expires(struct vcpu *v, cycles after); /* an armed timer's deadline moves */
/* The end of an entry: an expiry on the way in that the hardware keeps from being an exit. */
void timer_arrive(struct vcpu *v);
void timer_check(struct vcpu *v); /* what expired becomes pending in the APIC */
void timer_accept(struct vcpu *v, struct vcpu *sender);
bool timer_in_hardware(
    const struct vcpu *v); /* the preemption timer, or one that is declared */
/* Expired, and the hardware's timer will say so at the entry; or KVM is to look before it. */
bool timer_wants_exit(const struct vcpu *v);
bool timer_requests(const struct vcpu *v);
void timer_sleeps(struct vcpu *v); /* the vCPU is about to wait for an interrupt */
void timer_wakes(struct vcpu *v);
bool timer_is_direct(const struct vcpu *v); /* it is the physical APIC's, and the guest's own */
void timer_take_directly(struct vcpu *v);   /* which has expired, while the guest runs */
void timer_migrate(struct vcpu *v); /* from the physical APIC to a timer of the host, or back */

/* --- timer_advance.c --- */
void timer_advance_init(struct vcpu *v);
sim_time timer_ahead_of(const struct vcpu *v, sim_time deadline);
/* Whoever brings the interrupt arrives at `at`: until when to wait. Tunes the advance. */
sim_time timer_wait_from(struct vcpu *v, sim_time at);
void timer_wait(struct vcpu *v); /* right before an entry: that wait, to be paid by v */

/* --- timer_posting.c --- */
void timer_post_begin(struct vcpu *v); /* the timer fires */
void timer_post_end(struct vcpu *v);   /* its handler is done */

/* --- timer_virtual.c --- */
void timer_virtualize(struct vcpu *v);  /* on or off, after the guest has changed its APIC */
void timer_guest_wrote(struct vcpu *v); /* IA32_TSC_DEADLINE, without an exit */
/* The guest's deadline to a timer of KVM's, and back. */
void timer_to_host(struct vcpu *v);
void timer_to_guest(struct vcpu *v);

/* --- halt_poll.c --- */
void halt_begin(struct vcpu *v);       /* the clock of the polling window starts */
bool halt_ends(struct vcpu *v);        /* something is pending that the guest would take */
bool halt_polls(const struct vcpu *v); /* first, as the window and the guest have it */
void halt_wait(struct vcpu *v);        /* poll, then block */
void halt_poll_init(struct vcpu *v);
void halt_poll_yield(struct vcpu *v); /* another thread wants the CPU: sleep instead */
void halt_woken(struct vcpu *v);      /* from polling or sleep: the window grows or shrinks */

/* --- userspace.c --- */
void userspace_run(struct vcpu *v);
void userspace_interrupt(struct vcpu *target, struct vcpu *sender, unsigned vector,
                         trace_flow flow);

/* --- host.c, scheduler.c --- */
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
/* Linux: set_cpus_allowed_ptr(). It runs there alone from now on; who sleeps goes when it wakes up. */
void thread_send_to(struct thread *t, struct pcpu *to);
void thread_leave(struct thread *t, bool runnable); /* off its CPU, which takes the next one */
/* `to`, which waits for its CPU, is to be the next there, at once. False: there is no point in it,
   since neither CPU has another thread. */
bool thread_yield_to(struct thread *from, struct thread *to);
void hypervisor_device_act(struct device *d);
void hypervisor_device_lower(struct device *d); /* LINE: its condition is gone */
/* MSI, ASSIGNED: what it raises waits in the device, or goes out. */
void hypervisor_device_mask(struct device *d, bool masked);

/* --- controls.c --- */
/* Writes control bits and MSR bitmaps from features and policy. */
void controls_set(struct vcpu *v);
/* The guest's APIC, if it uses one, is KVM's. */
bool controls_apic_in_kernel(const struct hypervisor *h);
/* Physical interrupts and their EOIs are the guest's, or exit: injection mode. */
void controls_set_direct(struct vcpu *v, bool direct);
/* The EOI alone. */
void controls_pass_eoi(struct vcpu *v, bool pass);
/* Those of them that make up APICv or AVIC, from v->apicv_active. */
void controls_set_apicv(struct vcpu *v);
/* APIC-timer virtualization, with the vector that LVT_TIMER has now. */
void controls_set_virtual_timer(struct vcpu *v, bool on);
/* The present window of PAUSE-loop exiting, or count of the filter. */
void controls_set_pause_window(struct vcpu *v);
/* The EOI-exit bitmap again, after an I/O APIC's entries have changed. */
void controls_set_eoi_exits(struct vcpu *v);

/* --- inhibit.c --- */
/* Before controls_set(). Of the plan there are changes and policy. */
void inhibit_init(struct hypervisor *h, enum virt_vendor vendor);
inhibit_set inhibit_in_force(const struct hypervisor *h);
/* The features of the machine, without those that the vCPU has to do without at present. */
feature_set inhibit_features(const struct vcpu *v);
/* A cause in the machine comes or goes; `self` pays for it, NULL: nobody. */
void inhibit_by_machine(struct hypervisor *h, enum inhibit reason, bool on, struct vcpu *self);
/* A guest wrote an APIC register that IDs are made of. */
void inhibit_check_ids(struct vcpu *self);
/* The vCPU's control structure follows the reasons, before its next entry. */
void inhibit_apply(struct vcpu *v);

/* --- hypervisor.c --- */
/* Before: every array allocated, every plain field filled, pcpu_init() and pcpu_add_thread() done.
   Wires the parts and arms the first events. */
void hypervisor_init(struct hypervisor *h, enum virt_vendor vendor);
uint32_t hypervisor_events(uint32_t vcpus, uint32_t pcpus, uint32_t devices, uint32_t queues);
/* The devices that the plan lists as such. */
static inline uint32_t hypervisor_plan_devices(const struct hypervisor *h)
{
    return h->device_count - h->rx_queue_count;
}
#endif
