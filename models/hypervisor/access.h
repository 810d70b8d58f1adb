/*
 * What a guest does to its surroundings, and who answers.
 */
#ifndef VIRQSIM_HYPERVISOR_ACCESS_H
#define VIRQSIM_HYPERVISOR_ACCESS_H

#include "virt/virt.h"

/* What a guest does to its surroundings, until it is complete. */
enum access_kind {
    ACCESS_NONE,
    ACCESS_APIC_READ, /* address: the offset in the page */
    ACCESS_APIC_WRITE,
    ACCESS_MSR_READ, /* address: the MSR */
    ACCESS_MSR_WRITE,
    ACCESS_CR8_READ,
    ACCESS_CR8_WRITE,
    ACCESS_USER_IPI,  /* SENDUIPI's ordinary IPI; value: VIRT_USER_IPI */
    ACCESS_INTERCEPT, /* address: causes; value: event codes; size: how many (e2k_intercept()) */
    ACCESS_INSTRUCTION, /* instruction; address: port, address or nothing */
};

struct access {
    enum access_kind kind;
    enum virt_instruction instruction;
    uint64_t address, value;
    uint8_t size;
    bool write;
};

/* Who answers a port or an MMIO address. */
enum region_handler {
    REGION_USERSPACE,
    REGION_KERNEL,
    REGION_EVENTFD,
    REGION_EXTERNAL,
    REGION_HANDLER_COUNT
};

struct region {
    bool port;
    uint64_t first, last;
    enum region_handler handler;
};
#endif
