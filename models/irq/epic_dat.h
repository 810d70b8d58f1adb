/*
 * The Destination Address Table of EPIC: on which core a guest's core runs.
 *
 * Each PREPIC has a copy, with a row for each physical core; the hypervisor
 * writes the row of a core when it loads a guest's core there, and invalidates
 * it when it takes that off (Linux for e2k: kvm_epic_write_dat(),
 * kvm_epic_invalidate_dat(); registers CEPIC_DAT and CEPIC_DAT2). A message to a
 * guest's core that has a row goes there without an interception; without one it
 * becomes an interrupt of the host (CEPIC_EPIC_INT), docs/models/epic.md. The
 * copies are one here: the hypervisor waits for CEPIC_DAT.stat to fall.
 */
#ifndef VIRQSIM_IRQ_EPIC_DAT_H
#define VIRQSIM_IRQ_EPIC_DAT_H

#include <stdbool.h>
#include <stdint.h>

enum { EPIC_DAT_ROWS = 64, EPIC_DAT_MISS = -1 };

/* CEPIC_DAT bits 7:6. */
enum epic_dat_operation { EPIC_DAT_READ = 0, EPIC_DAT_INVALIDATE = 2, EPIC_DAT_WRITE = 3 };

struct epic_dat_row {
    bool valid;
    uint16_t guest, dest; /* CEPIC_DAT: gst_id, gst_dst */
};

struct epic_dat {
    struct epic_dat_row row[EPIC_DAT_ROWS];
};

/* The row that a physical core's number names: 64 of them, so 16 cores of each processor. */
unsigned epic_dat_index(uint16_t cepic_id);

/* What a write to CEPIC_DAT (with CEPIC_DAT2 as its upper half) does. Returns what a read then
   gives: the row for READ, 0 otherwise; stat is idle. */
uint64_t epic_dat_command(struct epic_dat *dat, uint64_t value);

/* The row, which is the physical core, of a guest's core; or EPIC_DAT_MISS. */
int epic_dat_find(const struct epic_dat *dat, uint16_t guest, uint16_t dest);
#endif
