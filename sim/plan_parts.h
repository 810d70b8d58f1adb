/* What the parts of the plan's reader share; each file of sim/plan*.c reads one part. */
#ifndef VIRQSIM_SIM_PLAN_PARTS_H
#define VIRQSIM_SIM_PLAN_PARTS_H

#include "describe.h"
#include "reader.h"
#include "simulation.h"

struct build {
    struct reader reader;
    struct virqsim *sim;
    const json_t *document;
    struct guest_program *programs; /* sorted by name */
    size_t program_count;
    uint64_t words;           /* the highest shared word named, plus one */
    struct uintr_upid *upids; /* of the guest, by vCPU; NULL: nobody has user interrupts */
    bool user_operations;     /* a program needs them */
    bool shuts_down;          /* a program has a triple fault */
};

/* The plan itself. */
extern const struct place plan_root;

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Memory of the simulation, zeroed, at least one item; NULL, and the plan refused, when there is none. */
void *build_take(struct build *b, size_t count, size_t size);
const char *build_keep(struct build *b, const char *s);

/* plan_programs.c */
void plan_read_programs(struct build *b);
const struct guest_program *plan_find_program(struct build *b, const json_t *name,
                                              const struct place *at);
/* Operations of a program with its loops multiplied out. */
double plan_length_of(const struct guest_program *p);

/* plan_machine.c */
void plan_read_machine(struct build *b);
/* `pin`, the physical CPU that a thread belongs to; NULL when there is none of that number. */
struct pcpu *plan_read_pin(struct build *b, const json_t *json, const struct place *at);
/* `at_ns`: ascending times. */
const sim_time *plan_read_times(struct build *b, const json_t *json, const struct place *at,
                                uint32_t *count);

/* plan_host.c */
void plan_read_scheduler(struct build *b, const json_t *hypervisor, const struct place *at);
/* `nice` and `roams` of whatever is a thread. */
void plan_read_scheduling(struct build *b, const json_t *json, const struct place *at,
                          struct thread *t);
/* How many events the host's own interrupts take. */
uint32_t plan_count_noise(struct build *b, const json_t *machine, const struct place *at);
void plan_read_host(struct build *b, const json_t *machine, const struct place *at);

/* plan_threads.c */
/* Before the machine is allocated: allocates them; the events that they need. */
uint32_t plan_count_threads(struct build *b, const json_t *machine, const struct place *at);
void plan_read_threads(struct build *b, const json_t *machine, const struct place *at);

/* plan_serial.c */
uint32_t plan_count_serial(const json_t *machine);
void plan_read_serial(struct build *b, const json_t *machine, const struct place *at);

/* plan_disks.c: as threads. Devices and threads are read before. */
uint32_t plan_count_disks(struct build *b, const json_t *machine, const struct place *at);
void plan_read_disks(struct build *b, const json_t *machine, const struct place *at);

/* plan_tx.c: likewise. */
void plan_count_tx(struct build *b, const json_t *machine, const struct place *at);
void plan_read_tx(struct build *b, const json_t *machine, const struct place *at);

/* How many vectors the guest's controller has. */
unsigned plan_vectors(const struct build *b);
/* Inputs of the machine's chipset, or pins of its IOEPIC. */
unsigned plan_inputs(const struct hypervisor *h);

/* plan_inhibits.c */
void plan_read_inhibits(struct build *b, const json_t *hypervisor, const struct place *at);

/* plan_faults.c */
uint32_t plan_count_faults(struct build *b); /* how many events they need */
void plan_read_faults(struct build *b);      /* after devices and threads */

/* plan_watch.c */
void plan_read_rechecks(struct build *b, const json_t *hypervisor, const struct place *at);
void plan_read_watchdog(struct build *b);
void plan_read_schedule(struct build *b); /* after the machine */
/* Puts a schedule in force. False: there is no memory for it. */
bool plan_schedule(struct virqsim *sim, uint64_t window_ps, const struct explore_hold *hold,
                   uint32_t count);

/* plan_user.c */
void plan_read_user_interrupts(struct build *b, const json_t *vcpu, const struct place *at,
                               struct vcpu *v);
/* When all vCPUs are read: who sends to whom. */
void plan_check_user_interrupts(struct build *b, const struct place *vcpus_at);
/* Is it an operation of a vCPU with user interrupts. */
bool plan_is_user_operation(const struct guest_insn *i);

/* plan_nics.c */
/* How many cards and queues there are: before memory is allocated for them. */
void plan_count_nics(struct build *b, const json_t *machine, const struct place *at);
void plan_read_nics(struct build *b, const json_t *machine, const struct place *at);

/* plan_technology.c */
void plan_read_technology(struct build *b);

/* plan_hypothetical.c */
void plan_read_hypothetical(struct build *b); /* after technology and costs */
/* The technology underneath the declared feature of that name; NULL: there is none. */
const struct technology *plan_declared_base(const struct build *b, const char *name);
#endif
