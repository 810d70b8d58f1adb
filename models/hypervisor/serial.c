/*
 * The serial port in the machine. Left out: who reads what is sent; QEMU writes it to a
 * character device in the vCPU's thread.
 */
#include "hypervisor/serial.h"

static void line(struct uart16550_port *port, bool level)
{
    const struct serial *s = EVENT_OWNER(port, struct serial, port);

    if (level)
        hypervisor_device_act(s->interrupt);
    else
        hypervisor_device_lower(s->interrupt);
}

static void send(struct uart16550_port *port, uint8_t byte)
{
    (void)port, (void)byte;
}

void serial_init(struct hypervisor *h)
{
    struct serial *s = h->serial;

    if (!s)
        return;
    s->port = (struct uart16550_port){line, send};
    uart16550_init(&s->uart, true, h->events, &s->port);
}

void serial_access(struct vcpu *v)
{
    struct serial *s = v->hypervisor->serial;
    const struct access *a = &v->access;

    if (!s || a->kind != ACCESS_INSTRUCTION || a->instruction != VIRT_PORT_IO ||
        a->address < s->base || a->address - s->base >= SERIAL_PORTS)
        return;
    if (a->write)
        uart16550_write(&s->uart, (unsigned)(a->address - s->base), (uint8_t)a->value);
    else
        uart16550_read(&s->uart, (unsigned)(a->address - s->base));
}
