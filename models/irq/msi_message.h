/*
 * A message signalled interrupt on its way: the memory write that a device makes, and the
 * interrupt message that it is. SDM 3A "Message Signalled Interrupts".
 *
 * Left out: destination IDs of 15 bits, which some hypervisors read from address bits 11:5.
 * docs/models/msi.md.
 */
#ifndef VIRQSIM_IRQ_MSI_MESSAGE_H
#define VIRQSIM_IRQ_MSI_MESSAGE_H

#include "irq/irq_msg.h"

/* A DWORD written to memory. */
struct msi_message {
    uint64_t address;
    uint32_t data;
};

/* Fills `msg` (its flow is 0, its source TRACE_NOWHERE). False: no interrupt message, since the
   address is not 00000000FEExxxxxH or the delivery mode is reserved. */
bool msi_decode(const struct msi_message *m, struct irq_msg *msg);

/* The other way, redirection hint set for lowest priority alone. False: no write says this: a
   shorthand, a destination above FFH, a startup IPI, an INIT level de-assert. */
bool msi_encode(const struct irq_msg *msg, struct msi_message *m);
#endif
