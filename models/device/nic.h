/*
 * The receive side of a network card with several queues: each has a ring of
 * descriptors, an MSI-X vector, a bit that switches its interrupts off, and
 * interrupt moderation (moderation.h). What arrives, and when, is arrivals.h's.
 *
 * The facts are those of Intel's 82599 and its kin: up to 64 vectors, rings of
 * up to 4096 descriptors, EITR, and a mask that an interrupt sets by itself
 * (EIAM). A virtio card with event suppression is the same to its driver; its
 * frames come into the ring when a backend has brought them there.
 *
 * Left out: sending; what is in a frame, and how a queue is chosen for it (each has
 * arrivals of its own); descriptors that the driver has not given back; registers
 * by address. docs/models/nic.md.
 */
#ifndef VIRQSIM_DEVICE_NIC_H
#define VIRQSIM_DEVICE_NIC_H

#include "device/arrivals.h"
#include "device/moderation.h"
#include "irq/msix.h"
#include "port/trace.h"

enum { NIC_QUEUES_MAX = 64, NIC_RING_MAX = 4096 };

struct nic;

struct nic_queue {
    struct nic *nic;
    uint16_t index;        /* in the card: entry of the MSI-X table */
    uint16_t number;       /* in the machine: what the trace calls it */
    struct event arrival;  /* of the next frame */
    struct event throttle; /* the moderation's counter comes to 0 */
    struct arrivals arrivals;
    struct moderation moderation;
    sim_time *ring; /* when each frame that waits arrived */
    uint32_t size, head;
    uint32_t waiting;   /* frames that have arrived and were not taken */
    uint32_t ready;     /* of these, in the guest's ring; the rest are the backend's */
    uint32_t taken;     /* since the ring was last found empty */
    uint64_t arrived;   /* in the ring or not */
    bool masked, cause; /* its interrupts are off; there is a reason for one */
};

struct nic_port {
    /* A queue's MSI-X message goes out. */
    void (*interrupt)(struct nic_port *port, unsigned queue);
    /* A frame has come to a card that is software: it is to nic_deliver() it. NULL: a real card,
       whose frames are in the ring when they arrive. */
    void (*received)(struct nic_port *port, unsigned queue);
};

struct nic {
    struct msix msix;
    struct msi_port msi;
    struct msix_entry table[NIC_QUEUES_MAX];
    uint64_t pending;
    struct nic_queue *queue;
    uint16_t queues;
    bool auto_mask; /* an interrupt masks its queue */
    struct event_queue *events;
    struct trace *trace;
    struct nic_port *port;
};

struct nic_queue_config {
    uint16_t number;
    sim_time *ring; /* storage, of so many frames */
    uint32_t size;
    struct arrivals_config arrivals;
    struct moderation_config moderation;
};

enum { NIC_EVENTS_OF_QUEUE = 2 };

/* Before: events, trace, port, auto_mask, and storage for `queues` in `queue`. Registers
   NIC_EVENTS_OF_QUEUE events for each, and arms the first arrivals. MSI-X is on, nothing masked. */
void nic_init(struct nic *nic, const struct nic_queue_config *config);

/* The backend puts its oldest frame into the guest's ring. False: it has none. */
bool nic_deliver(struct nic_queue *q);

/* The driver, on this vCPU, takes the oldest frame out of the ring. False: there is none. */
bool nic_take(struct nic_queue *q, unsigned vcpu);

/* Its interrupts off, by whoever writes the register; and on: frames that wait are a reason. */
void nic_mask(struct nic_queue *q);
void nic_unmask(struct nic_queue *q);
#endif
