/*
 * An NVMe submission queue with its completion queue, both ends of them (NVM Express Base
 * Specification 1.4, "Submission Queue & Completion Queue Definition"): doorbells, the phase tag, one
 * MSI-X vector, interrupt coalescing.
 *
 * A command is known by its identifier; what it says is not kept. The driver puts it into memory
 * and writes the tail doorbell; the device takes it (nvme_process()) and starts it; a completion
 * is an entry with the phase of its round, which the driver finds by that alone and
 * gives back by the head doorbell.
 *
 * To wire it: the queue needs room for one event. `start` begins a command, which nvme_complete()
 * ends; `interrupt` is the vector's message. Left out: see docs/models/nvme_queue.md.
 */
#ifndef VIRQSIM_DEVICE_NVME_QUEUE_H
#define VIRQSIM_DEVICE_NVME_QUEUE_H

#include "port/event.h"

enum { NVME_QUEUE_MAX = 1024, NVME_NONE = -1 };

/* Doorbells, of queue pair `n`, with CAP.DSTRD 0 ("Submission Queue y Tail Doorbell"). */
#define NVME_TAIL_DOORBELL(n) (0x1000u + 8u * (n))
#define NVME_HEAD_DOORBELL(n) (0x1004u + 8u * (n))

struct nvme_port {
    void (*start)(struct nvme_port *self, unsigned id);
    void (*interrupt)(struct nvme_port *self);
};

struct nvme_entry {
    uint16_t id;
    bool phase;
};

struct nvme_queue {
    uint16_t size; /* of both rings: one slot less is what they hold */

    /* Memory: the submission ring has identifiers, the completion ring entries. */
    uint16_t submission[NVME_QUEUE_MAX];
    struct nvme_entry completion[NVME_QUEUE_MAX];

    /* The driver's own. */
    uint16_t tail, head;       /* where it goes on writing, and reading */
    bool phase;                /* of the entries that are new in this round */
    bool used[NVME_QUEUE_MAX]; /* identifiers */
    uint16_t next_id, in_ring;
    uint16_t told_tail, told_head; /* written to the doorbells, or in place of them to memory */

    /* The device's own. */
    uint16_t tail_doorbell, taken; /* how far it may read, and has */
    uint16_t head_doorbell, posted;
    bool posted_phase;
    uint16_t waiting[NVME_QUEUE_MAX], waiting_count, waiting_first; /* for room to be posted */

    /* "Updating Controller Doorbell Registers using a Shadow Doorbell Buffer": the device reads
       told_tail and told_head, and says which of them it wants to hear of. */
    bool shadow;
    uint16_t tail_event, head_event;

    /* Feature 08h, "Interrupt Coalescing". */
    uint16_t threshold; /* entries until an interrupt; 1: each */
    uint64_t time_ps;   /* or so long after the first; 0: no longer than that */
    uint16_t aggregated;
    struct event due;
    struct event_queue *events;
    struct nvme_port *port;
};

void nvme_init(struct nvme_queue *q, uint16_t size, bool shadow, uint16_t threshold,
               uint64_t time_ps, struct event_queue *events, struct nvme_port *port);

/* --- the driver's end --- */

/* A command into the ring: its identifier, or NVME_NONE: there is no room. */
int nvme_submit(struct nvme_queue *q);
/* The identifier of the next command that is done, or NVME_NONE. */
int nvme_reap(struct nvme_queue *q);

/* After some were submitted, or reaped: is the doorbell's register to be written. */
bool nvme_tell_tail(struct nvme_queue *q);
bool nvme_tell_head(struct nvme_queue *q);

/* The n-th that is done and not reaped, or NVME_NONE; changes nothing. */
int nvme_done(const struct nvme_queue *q, unsigned n);

/* --- the device's end --- */

void nvme_write_tail(struct nvme_queue *q, uint16_t tail);
void nvme_write_head(struct nvme_queue *q, uint16_t head);
/* Takes and starts what the doorbell has let it see, and posts what has found no room. With shadow
   doorbells it looks there. */
void nvme_process(struct nvme_queue *q);
void nvme_complete(struct nvme_queue *q, unsigned id);
#endif
