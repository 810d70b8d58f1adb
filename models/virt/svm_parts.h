/* SVM, among its own files: svm.c, and svm_pause.c, the filter before the PAUSE intercept. */
#ifndef VIRQSIM_VIRT_SVM_PARTS_H
#define VIRQSIM_VIRT_SVM_PARTS_H

#include "virt/virt.h"

/* --- svm_pause.c --- */

/* One PAUSE, at this TSC: true where it is intercepted. */
bool svm_pause(struct virt_cpu *v, uint64_t tsc);
/* VMRUN. */
void svm_pause_reset(struct virt_cpu *v);
/* As in struct virt_ops. */
uint64_t svm_pauses_to_exit(const struct virt_cpu *v, struct virt_pauses p);
void svm_pauses(struct virt_cpu *v, struct virt_pauses p, uint64_t n);
#endif
