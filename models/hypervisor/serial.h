/*
 * QEMU's serial port: a 16550 on a PC's first port, whose bytes take no time, and the device of the
 * plan by which it interrupts.
 */
#ifndef VIRQSIM_HYPERVISOR_SERIAL_H
#define VIRQSIM_HYPERVISOR_SERIAL_H

#include "device/uart16550.h"
#include "hypervisor/hypervisor.h"

enum { SERIAL_PORTS = 8, SERIAL_EVENTS = 2 };

struct serial {
    struct device *interrupt;
    uint16_t base;
    struct uart16550 uart;
    struct uart16550_port port;
};

/* Before: base and interrupt. Nothing, where the plan has none. */
void serial_init(struct hypervisor *h);
/* v->access, if it is one of its ports. */
void serial_access(struct vcpu *v);
#endif
