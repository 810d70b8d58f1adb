/*
 * A network card in the machine: its queues' messages become interrupts of
 * devices (assigned, through the remapping hardware, or emulated, by irqfd), and
 * the guest's driver reads the rings. What a vhost worker brings there is emulated.
 */
#ifndef VIRQSIM_HYPERVISOR_NIC_PATH_H
#define VIRQSIM_HYPERVISOR_NIC_PATH_H

#include "device/nic.h"
#include "hypervisor/host_thread.h"

/* vhost: the work for the next frame of a queue. */
struct nic_work {
    struct host_item item;
    struct nic_queue *queue;
    struct host_pool *worker;
};

struct nic_path {
    struct nic nic;
    struct nic_port port;
    struct nic_queue_config *config; /* of its queues */
    struct device *device;           /* so many, one a queue */
    struct nic_work *work;           /* and with vhost so many */
    uint32_t worker;                 /* vhost: the thread, by its number in the plan */
};

/* The plan has filled `config`, `device`, `work` and `worker`, and nic's queues, their number and
   auto_mask. */
void nic_path_init(struct hypervisor *h, struct nic_path *path);

/* Turn by turn of rx_poll; and rx_unmask. */
void nic_path_poll(struct vcpu *v, const struct guest_insn *i);
void nic_path_unmask(struct vcpu *v, const struct guest_insn *i);

/* Masked delivery: the host, on this CPU, has taken the device's interrupt. */
void nic_path_taken_by_host(struct pcpu *p, struct device *d);
#endif
