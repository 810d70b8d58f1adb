/* Every list that the library knows, as JSON, so that no list is kept twice. */
#ifndef VIRQSIM_SIM_DESCRIBE_H
#define VIRQSIM_SIM_DESCRIBE_H

#include <jansson.h>

#include "simulation.h"

json_t *describe_everything(void);

/* describe_registers.c: each chip's registers and fields; where QEMU and KVM depart from them. */
json_t *describe_registers(void);
json_t *describe_quirks(void);

/* describe_hypothetical.c: what declared features are made of. */
json_t *describe_accesses(void);
json_t *describe_conditions(void);
json_t *describe_effects(void);

/* The vocabulary that a trace file carries: numbers in records index these lists. */
json_t *describe_trace(void);

/* plan_faults.c */
json_t *plan_describe_faults(void);

const char *describe_cause(enum trace_cause c);
const char *describe_source(enum trace_source s);
const char *describe_kvm_exit(enum kvm_exit e);
const char *describe_stage(enum latency_stage s);

/* The words that plans use, in the order of their enumerations. */
extern const char *const irqchip_names[IRQCHIP_COUNT];
extern const char *const region_handler_names[REGION_HANDLER_COUNT];
extern const char *const device_kind_names[DEVICE_KIND_COUNT];
enum { GUEST_EPIC = LAPIC_MODE_X2APIC + 1, GUEST_APICS };
extern const char *const guest_apic_names[GUEST_APICS]; /* by enum lapic_mode; and EPIC */
#endif
