/*
 * A network card in the machine: its queues' messages become interrupts of
 * devices (assigned, through the remapping hardware, or emulated, by irqfd), and
 * the guest's driver reads the rings. What QEMU's main loop or a vhost worker brings there is
 * emulated: virtio-net's receive queues.
 */
#ifndef VIRQSIM_HYPERVISOR_NIC_PATH_H
#define VIRQSIM_HYPERVISOR_NIC_PATH_H

#include "device/nic.h"
#include "hypervisor/host_thread.h"

/* Who brings the frames: nobody, they are there when they arrive; QEMU's main loop; a vhost worker. */
enum nic_backend { NIC_NO_BACKEND, NIC_USERSPACE, NIC_VHOST };

/* With a backend: the work for the next frame of a queue. */
struct nic_work {
    struct host_item item;
    struct nic_queue *queue;
    struct host_pool *pool;
    uint16_t frames, most; /* so many in a turn, and then it is others' */
};

struct nic_path {
    struct nic nic;
    struct nic_port port;
    struct nic_queue_config *config; /* of its queues */
    struct device *device;           /* so many, one a queue */
    enum nic_backend backend;
    struct nic_work *work; /* and with one so many */
    uint32_t worker;       /* NIC_VHOST: the thread, by its number in the plan */
};

/* The plan has filled `config`, `device`, `backend`, `work` and `worker`, and nic's queues, their number and
   auto_mask. */
void nic_path_init(struct hypervisor *h, struct nic_path *path);

/* Turn by turn of rx_poll; and rx_unmask. */
void nic_path_poll(struct vcpu *v, const struct guest_insn *i);
void nic_path_unmask(struct vcpu *v, const struct guest_insn *i);

/* Masked delivery: the host, on this CPU, has taken the device's interrupt. */
void nic_path_taken_by_host(struct pcpu *p, struct device *d);
#endif
