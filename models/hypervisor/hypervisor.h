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
 *   msix_entry.c    where a device's message goes, as the guest writes it
 *   assigned.c   devices that belong to the guest, through the remapping hardware
 *   epic.h       the guest of an Elbrus machine, in files of its own
 *   ioepic_board.c  and the pins of its IOEPIC
 *   direct.c     what the guest and the physical APIC do without the hypervisor
 *   assigned_svm.c  the same behind AMD's IOMMU
 *   nic_path.c   network cards, and what a guest's driver does with their queues
 *   net_send.c   virtio-net's transmit queues
 *   board.c      the 8259A pair and the I/O APIC, in the kernel or in userspace
 *   timer.c      the guest's APIC timer on the host's timers
 *   timer_advance.c  ahead of its deadline, and the wait for it
 *   timer_posting.c  on another CPU's timer, posted from there
 *   timer_virtual.c  on the hardware's own, which the guest arms
 *   halt_poll.c  waiting for an interrupt
 *   guest_poll.c    the guest's own polling, before its HLT
 *   yield.c      vCPUs that spin give way to those that should run
 *   userspace.c  QEMU
 *   startup.c    INIT, start-up IPIs, the machine's reset
 *   host.c       physical CPUs and their interrupts
 *   scheduler.c  and their threads
 *   host_noise.c the host's tick, and its devices' interrupts
 *   fault.c      what a plan makes go wrong around all this
 *   host_thread.c   threads that are no vCPUs: QEMU's main loop, workers
 *   global_lock.c   QEMU's global lock
 *   vm_pause.c      all vCPUs stop, and go on
 *   disk.c       disks of QEMU's, and the guest's end of them
 *   serial.c     QEMU's serial port
 *   host_idle.c     how deep a physical CPU sleeps
 *   controls.c   features and policy to control bits
 *   inhibit.c    why APICv or AVIC is off, and the way there and back
 *
 * This header has the vCPU and the machine, and what the files above offer each
 * other; host.h, timer.h, board.h, plan_device.h, access.h and inhibit.h, which it
 * includes, have theirs.
 */
#ifndef VIRQSIM_HYPERVISOR_HYPERVISOR_H
#define VIRQSIM_HYPERVISOR_HYPERVISOR_H

#include "cost/cost.h"
#include "guest/guest.h"
#include "hypervisor/access.h"
#include "hypervisor/board.h"
#include "hypervisor/host.h"
#include "hypervisor/inhibit.h"
#include "hypervisor/plan_device.h"
#include "hypervisor/rechecks.h"
#include "hypervisor/startup.h"
#include "hypervisor/timer.h"
#include "irq/amd_iommu.h"
#include "irq/apic_fabric.h"
#include "irq/remap.h"
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

/* KVM_RUN's reasons for returning to userspace, by KVM's names; KVM_RUN_EAGAIN: it gave -EAGAIN. */
#define KVM_EXITS(REASON)                                                                      \
    REASON(KVM_EXIT_IO)                                                                        \
    REASON(KVM_EXIT_MMIO)                                                                      \
    REASON(KVM_EXIT_HLT)                                                                       \
    REASON(KVM_EXIT_SET_TPR)                                                                   \
    REASON(KVM_EXIT_IRQ_WINDOW_OPEN)                                                           \
    REASON(KVM_EXIT_IOAPIC_EOI)                                                                \
    REASON(KVM_EXIT_SHUTDOWN)                                                                  \
    REASON(KVM_EXIT_UNKNOWN)                                                                   \
    REASON(KVM_EXIT_INTERNAL_ERROR)                                                            \
    REASON(KVM_RUN_EAGAIN)                                                                     \
    REASON(KVM_EXIT_INTR)

enum kvm_exit {
#define REASON(name) name,
    KVM_EXITS(REASON) KVM_EXIT_COUNT
#undef REASON
};

enum irqchip { IRQCHIP_KERNEL, IRQCHIP_SPLIT, IRQCHIP_USERSPACE, IRQCHIP_COUNT };

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
    bool urgent;         /* devices with URG interrupt it: not to wait for its time slice */
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
    struct vcpu_startup startup;
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
    uint64_t time_slice_ns, tick_ns;
    uint64_t timer_advance_ns; /* 0: KVM's tuning */
    struct pause_loop_policy pause_loop;
    struct guest_poll_policy guest_poll;
    struct scheduler_policy scheduler;
    bool no_reboot;    /* QEMU: -no-reboot */
    bool pit_reinject; /* KVM's own PIT counts on EOIs, and injects lost ticks again */
    recheck_set without_rechecks;
    uint64_t idle_check_ns; /* e2k: how long a guest with assigned devices sleeps at most */
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
    struct host_noise
        *noise; /* (host_noise.h) the host's own interrupts; NULL: none but the plan's */
    struct host_idle *idle; /* (host_idle.h) NULL: every CPU sleeps as lightly as it can */
    struct device *device;
    uint32_t device_count;
    struct disk *disk;         /* disk.h */
    struct tx_queue *tx_queue; /* net_send.h */
    uint32_t tx_queue_count;
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
    struct ioepic_board *ioepic; /* (ioepic_board.h) NULL: none */
    struct remap remap;          /* for assigned devices: entry n is device n's */
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
    const struct vcpu
        *stopped; /* QEMU has stopped the VM for good, because of this one's kvm_exit */
    const struct vcpu *unhandled; /* KVM has no handler for v->exit, and the host gives up */
    uint32_t running;             /* main programs that have not ended */
    uint32_t last_boosted;        /* the vCPU that somebody who spun gave way to */

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
/* One that spins reads the line again, which somebody has written; it waits for that anyway. */
void line_copy(struct vcpu *v, struct cache_line *l);
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
/* The guest has moved its interrupt: the remapping entry follows, at `by`'s expense. */
void assigned_change(struct vcpu *by, struct device *d);
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
/* The device is another vCPU's from now on. */
void assigned_svm_change(struct device *d);
void assigned_svm_read_log(struct hypervisor *h); /* the handler of the IOMMU's interrupt */

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

/* --- hypervisor.c --- */
/* Before: every array allocated, every plain field filled, pcpu_init() and pcpu_add_thread() done.
   Wires the parts and arms the first events. */
void hypervisor_init(struct hypervisor *h, enum virt_vendor vendor);
uint32_t hypervisor_events(uint32_t vcpus, uint32_t pcpus, uint32_t devices, uint32_t queues);
/* An input of the chipset, or a pin of the IOEPIC, by one of its drivers. */
void hypervisor_drive(struct hypervisor *h, unsigned input, unsigned driver, bool level);
/* The devices that the plan lists as such. */
static inline uint32_t hypervisor_plan_devices(const struct hypervisor *h)
{
    return h->device_count - h->rx_queue_count;
}
#endif
