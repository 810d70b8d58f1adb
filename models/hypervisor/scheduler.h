/* The host's scheduler, for host.c; what others ask of it is in hypervisor.h. */
#ifndef VIRQSIM_HYPERVISOR_SCHEDULER_H
#define VIRQSIM_HYPERVISOR_SCHEDULER_H

#include "hypervisor/host_idle.h"

enum { SCHEDULER_WEIGHT = 1024, NICE_MIN = -20, NICE_MAX = 19 }; /* of nice 0 */

void scheduler_init(struct pcpu *p);
void scheduler_start(struct thread *t); /* runnable from the beginning */
/* The present slice is over: is it another thread's turn. */
bool scheduler_turns(struct pcpu *p);
uint32_t scheduler_weight(int nice);
/* The host's tick: a CPU that has less to do than another takes a thread that waits there. */
void scheduler_balance(struct pcpu *p);
#endif
