/*
 * virtio-net's transmit queues: the guest's driver puts frames into a virtqueue, a backend of the
 * host's takes them out and sends them, and tells the guest that it has.
 *
 * The backend is QEMU's main loop, which hears of frames by an exit of the vCPU's thread to
 * userspace or by an ioeventfd, or a vhost worker, by an ioeventfd.
 */
#ifndef VIRQSIM_HYPERVISOR_NET_SEND_H
#define VIRQSIM_HYPERVISOR_NET_SEND_H

#include "device/virtqueue.h"
#include "hypervisor/host_thread.h"

enum tx_backend { TX_USERSPACE, TX_IOEVENTFD, TX_VHOST, TX_BACKENDS };

struct tx_queue {
    struct hypervisor *hypervisor;
    uint16_t index;
    enum tx_backend backend;
    uint32_t worker; /* TX_VHOST: the thread, by its number in the plan */
    uint64_t base;   /* of the notification */
    struct device *interrupt;

    uint64_t asked,
        issued;      /* frames that the stack has given the driver; and that are in the ring */
    bool notifies;   /* what was issued last asks for a notification */
    sim_time *since; /* by head: when it was put there */

    struct host_pool *pool;
    struct host_item kick, batch;
    uint16_t frames; /* of the batch */
    struct virtqueue ring;
};

/* Before: backend, worker, base, interrupt, the ring, and room for its size in `since`. */
void tx_init(struct hypervisor *h);

/* tx_send and tx_reap; then the access that this brings about, or ACCESS_NONE. */
void tx_drive(struct vcpu *v, const struct guest_insn *i);
struct access tx_access_of(const struct vcpu *v, const struct guest_insn *i);

/* Is `a` a notification, and who answers it: at its ioeventfd, or in userspace. */
bool tx_owns(const struct hypervisor *h, const struct access *a, enum region_handler *handler);
void tx_notify(struct vcpu *v);
void tx_access(struct vcpu *v);

/* In the ring, or not yet there: asked for and not sent. */
uint64_t tx_waiting(const struct tx_queue *t);
#endif
