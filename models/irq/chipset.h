/*
 * A PC's interrupt controllers, wired: the 8259A pair and the I/O APIC behind
 * one set of inputs, with the interrupts' flows.
 *
 * Inputs are numbered as global system interrupts (ACPI 6.5 "Global System
 * Interrupts"): 0 to 15 are the ISA lines and reach both controllers, 16 to 23
 * the I/O APIC alone. Input 0, the PIT's, is pin 2 of the I/O APIC, whose pin 0
 * takes the 8259A's INTR (Intel MP specification 1.4, figure 3-5); input 2 is
 * the cascade, and nobody's.
 */
#ifndef VIRQSIM_IRQ_CHIPSET_H
#define VIRQSIM_IRQ_CHIPSET_H

#include "irq/i8259.h"
#include "irq/ioapic.h"
#include "port/wire.h"

enum { CHIPSET_INPUTS = IOAPIC_PINS, CHIPSET_EXTINT_PIN = 0, CHIPSET_TIMER_PIN = 2 };

struct chipset_port {
    /* INTR, for the CPUs' LINT0. Its requests are routed to vCPU `extint_target` already. */
    void (*intr)(struct chipset_port *self, bool level);
    /* The I/O APIC sends; the message has its flow, ExtINT has none. False: nobody accepted it. */
    bool (*send)(struct chipset_port *self, const struct irq_msg *msg);
};

struct chipset_input {
    struct wire_listener listener;
    struct wire wire;
    struct chipset *chipset;
    trace_flow flow; /* of the present assertion, until a controller makes it its own; or 0 */
};

struct chipset {
    struct i8259 pic;
    struct ioapic ioapic;
    struct i8259_port pic_port;
    struct ioapic_port ioapic_port;
    struct chipset_input input[CHIPSET_INPUTS];
    trace_flow pic_flow[I8259_LINES]; /* whose interrupt an unmasked request is, or 0 */
    uint8_t pic_vector[I8259_LINES];  /* and the vector it was routed to */
    uint16_t extint_target;           /* the vCPU that takes INTR; `where` of those requests */
    struct trace *trace;
    struct chipset_port *port;
};

/* Power-up. `ioapic_version` is IOAPIC_VERSION_*. */
void chipset_init(struct chipset *c, uint8_t ioapic_version, struct trace *trace,
                  struct chipset_port *port);

/* Drives input `gsi` (0 to 23) as driver number `driver` (0 to 31): several make a wired-OR. */
void chipset_drive(struct chipset *c, unsigned gsi, unsigned driver, bool level);

/* At power-up: `driver` asserts the input already, which is nobody's interrupt. */
void chipset_start_asserted(struct chipset *c, unsigned gsi, unsigned driver);

/* The registers: ports of the 8259A pair, and the I/O APIC's page by offset. */
uint8_t chipset_port_read(struct chipset *c, uint16_t port);
void chipset_port_write(struct chipset *c, uint16_t port, uint8_t value);
uint32_t chipset_page_read(struct chipset *c, uint16_t offset, unsigned size);
void chipset_page_write(struct chipset *c, uint16_t offset, unsigned size, uint32_t value);

/* An EOI message from a local APIC. */
void chipset_eoi(struct chipset *c, uint8_t vector);

/* The INTA cycles by the CPU that INTR reaches: the vector, and whose interrupt it is. What
   nobody requests any more is the spurious vector, with a flow of its own. */
uint8_t chipset_acknowledge(struct chipset *c, trace_flow *flow);

/* The request that INTR stands for: its flow and vector; 0 when nothing is requested. */
trace_flow chipset_request(const struct chipset *c, uint8_t *vector);

/* Another vCPU takes INTR from now on: an ExtINT entry of the I/O APIC names it. */
void chipset_set_extint_target(struct chipset *c, uint16_t vcpu);

/* How many interrupts of `vector` the 8259A holds for the vCPU that INTR reaches. */
unsigned chipset_pending(const struct chipset *c, unsigned vector);
#endif
