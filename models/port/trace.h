/*
 * The trace: the only thing a model tells about itself.
 *
 * Statistics, histograms, files and figures are all readers of this stream. A
 * model keeps no counters of its own, so a number and its evidence cannot
 * disagree; and a reader never changes the run.
 */
#ifndef VIRQSIM_PORT_TRACE_H
#define VIRQSIM_PORT_TRACE_H

#include <assert.h>
#include "port/event.h"

enum trace_event {
#define EVENT(name, a, b, meaning) TRACE_##name,
#include "port/trace_events.def"
#undef EVENT
    TRACE_EVENT_COUNT
};

enum trace_held {
    TRACE_HELD_IRR,
    TRACE_HELD_PIR,
    TRACE_HELD_NMI,
    TRACE_HELD_EXTINT,
    TRACE_HELD_PUIR,    /* a user interrupt, in its descriptor */
    TRACE_HELD_UIRR,    /* and in its processor */
    TRACE_HELD_PMIRR,   /* of an EPIC */
    TRACE_HELD_PBA,     /* in the device, whose vector is masked */
    TRACE_HELD_STARTUP, /* the APIC's flags for INIT and SIPI */
};
enum trace_refused {
    TRACE_REFUSED_NO_DESTINATION,
    TRACE_REFUSED_DISABLED,
    TRACE_REFUSED_ILLEGAL_VECTOR,
    TRACE_REFUSED_MASKED,
    TRACE_REFUSED_REARMED,   /* the timer was armed again before its expiry was looked at */
    TRACE_REFUSED_MODE,      /* a delivery mode that makes no interrupt: INIT, SIPI, SMI */
    TRACE_REFUSED_WITHDRAWN, /* the request went away before anybody took it */
    TRACE_REFUSED_REROUTED,  /* it goes on to another destination, as another flow */
};
enum trace_notify {
    TRACE_NOTIFY_NOT_NEEDED, /* the target looks by itself before its next entry */
    TRACE_NOTIFY_KICK,       /* a reschedule interrupt to its CPU */
    TRACE_NOTIFY_POSTED,     /* the posted-interrupt notification vector */
    TRACE_NOTIFY_WAKE,       /* it was blocked or polling */
    TRACE_NOTIFY_SIGNAL,     /* userspace signals the vCPU thread */
    TRACE_NOTIFY_DOORBELL,   /* AVIC's signal to the CPU where it runs */
    TRACE_NOTIFY_LATER,      /* ON or SN was set: no notification was sent */
    TRACE_NOTIFY_DIRECT,     /* a physical interrupt with the guest's own vector */
};
enum trace_inject {
    TRACE_INJECT_EVENT,
    TRACE_INJECT_VIRTUAL,
    TRACE_INJECT_DIRECT, /* the physical interrupt itself, through the guest's IDT */
    TRACE_INJECT_USER,   /* user-interrupt delivery */
};

/* What raised an interrupt, and which one of its kind: RAISED's second word. */
enum trace_source {
    TRACE_SOURCE_IPI,
    TRACE_SOURCE_TIMER,
    TRACE_SOURCE_MSI,
    TRACE_SOURCE_LEVEL,
    TRACE_SOURCE_EXTINT,
    TRACE_SOURCE_NMI,
    TRACE_SOURCE_LINE, /* an input of the chipset, by its GSI */
    TRACE_SOURCE_USER_IPI,
    TRACE_SOURCE_COUNT
};
#define TRACE_SOURCE(kind, index) ((uint64_t)(kind) << 32 | (uint64_t)(index))
#define TRACE_SOURCE_KIND(b)      ((enum trace_source)((b) >> 32))

/* ROUTED's second word: the flow that RAISED named, and the vCPU (or NOWHERE) that raised it. */
#define TRACE_PARENT(source, flow) ((uint64_t)(flow) | (uint64_t)(source) << 32)
#define TRACE_PARENT_FLOW(b)       ((trace_flow)(b))
#define TRACE_PARENT_SOURCE(b)     ((uint16_t)((b) >> 32))

/* The vector word of a user interrupt: user vectors stand behind the 256 of the IDT. */
enum { TRACE_USER_VECTORS = 64, TRACE_VECTORS = 256 + TRACE_USER_VECTORS };
#define TRACE_USER_VECTOR(vector) (256u + (vector))
/* In a machine with EPICs all vectors are theirs. */
enum { TRACE_EPIC_VECTORS = 1024 };

/* Why an exit happened, seen from the operation that pays for it. */
enum trace_cause {
    TRACE_CAUSE_OPERATION,   /* the guest's main program did something that exits */
    TRACE_CAUSE_DELIVERY,    /* an interrupt was on its way to its handler */
    TRACE_CAUSE_ACKNOWLEDGE, /* the handler's acknowledgement */
    TRACE_CAUSE_HANDLER,     /* something else that a handler did */
    TRACE_CAUSE_HOST,        /* the host's own interrupts and scheduling */
    TRACE_CAUSE_SETUP,       /* the plan's own preparations: nobody's price */
    TRACE_CAUSE_COUNT
};

#define TRACE_NOT_IDLE UINT64_C(0xffffffff)

/* What became of a piece of a host thread's work. */
enum trace_work {
    TRACE_WORK_BEGUN,
    TRACE_WORK_SLEEPS, /* a blocking call */
    TRACE_WORK_GOES_ON,
    TRACE_WORK_DONE,
    TRACE_WORK_COUNT
};
#define TRACE_WORK(step, number)   ((uint64_t)(step) | (uint64_t)(number) << 32)
#define TRACE_ON_PCPU(state, pcpu) ((uint64_t)(state) | (uint64_t)(pcpu) << 32)
#define TRACE_WORK_STEP(b)         ((enum trace_work)(uint32_t)(b))
#define TRACE_HOST_THREAD_STATE(b) ((uint32_t)(b))

/* The way of a disk's request. */
enum trace_disk {
    TRACE_DISK_ASKED,     /* the application wants it */
    TRACE_DISK_ISSUED,    /* the guest's driver begins with it */
    TRACE_DISK_NOTIFIED,  /* the device has heard of it */
    TRACE_DISK_SUBMITTED, /* the device model has given it to the pool of workers */
    TRACE_DISK_DONE,      /* a worker's blocking call has returned */
    TRACE_DISK_COMPLETED, /* the device shows its result, and interrupts */
    TRACE_DISK_SEEN,      /* the guest's handler has begun */
    TRACE_DISK_REAPED,    /* and has taken the result */
    TRACE_DISK_STAGES
};
#define TRACE_DISK_REQUEST(disk, number) ((uint64_t)(disk) << 32 | (uint64_t)(number))
#define TRACE_DISK_NUMBER(a)             ((uint32_t)(a))
#define TRACE_DISK_INDEX(a)              ((uint32_t)((a) >> 32))

/* An interrupt's number, from when it is raised to its end; 0: no interrupt's. */
typedef uint32_t trace_flow;

#define TRACE_NOWHERE             0xffffu
#define TRACE_NO_VECTOR           0xffffffffu
#define TRACE_EXIT(reason, cause) ((uint64_t)(reason) | (uint64_t)(cause) << 16)
#define TRACE_EXIT_REASON(a)      ((uint16_t)(a))
#define TRACE_EXIT_CAUSE(a)       ((enum trace_cause)((a) >> 16 & 0xff))

/* The guest's operation that exits, as the vocabulary of the guest numbers it, and the low half of
   its first operand; without it, no operation did. */
#define TRACE_EXIT_BY(op, operand)                                                             \
    ((uint64_t)((op) + 1) << 24 | (uint64_t)(uint32_t)(operand) << 32)

struct trace_record {
    uint64_t ps;
    trace_flow flow;
    uint16_t event; /* enum trace_event */
    uint16_t where;
    uint64_t a, b;
};
static_assert(sizeof(struct trace_record) == 32, "the file format says 32");

struct trace_sink {
    void (*put)(struct trace_sink *self, const struct trace_record *record);
    struct trace_sink *next;
};

/* What every model holds a pointer to. */
struct trace {
    const struct event_queue *events; /* whose time the records carry */
    struct trace_sink *sinks;
    trace_flow flows; /* how many were given out */
};

static inline void trace_put(const struct trace *t, trace_flow flow, enum trace_event event,
                             unsigned where, uint64_t a, uint64_t b)
{
    const struct trace_record record = {
        t->events->now.ps, flow, (uint16_t)event, (uint16_t)where, a, b,
    };
    for (struct trace_sink *s = t->sinks; s; s = s->next)
        s->put(s, &record);
}

static inline trace_flow trace_new_flow(struct trace *t)
{
    return ++t->flows;
}

/* "VM_EXIT", for people and for file headers. */
const char *trace_event_name(enum trace_event event);
#endif
