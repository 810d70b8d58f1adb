/* What the parts of the disks share: disk.c has the host's side, disk_guest.c the guest's, and each kind of disk
   a file, with what is its own in both. */
#ifndef VIRQSIM_HYPERVISOR_DISK_PARTS_H
#define VIRQSIM_HYPERVISOR_DISK_PARTS_H

#include "hypervisor/disk.h"

struct disk_model {
    uint32_t (*requests)(const struct disk *d); /* that can be under way */
    void (*init)(struct disk *d);               /* its port; requests are ready */

    /* Is it an access to this disk; one that an ioeventfd takes; and what QEMU does for it. */
    bool (*owns)(const struct disk *d, const struct access *a);
    bool (*is_eventfd)(const struct disk *d, const struct access *a);
    void (*access)(struct disk *d, const struct access *a);
    void (*notified)(
        struct disk *d); /* the main loop's part, after an ioeventfd or a bottom half */
    void (*completed)(struct disk *d, struct disk_request *r);

    /* The guest's driver. */
    void (*issue)(struct disk *d, unsigned vcpu);
    void (*seen)(struct disk *d, unsigned vcpu);
    uint32_t (*reap)(struct vcpu *v, struct disk *d);
    /* The accesses that disk_issue() and disk_reap() bring about, or ACCESS_NONE. */
    struct access (*after_issue)(const struct disk *d);
    struct access (*after_reap)(const struct disk *d);
    uint64_t (*under_way)(const struct disk *d); /* issued and not reaped */
};
extern const struct disk_model disk_ide, disk_virtio_blk, disk_nvme;
const struct disk_model *disk_model_of(const struct disk *d);

/* A request has come so far; `where`: a vCPU, or NOWHERE. */
void disk_reached(const struct disk *d, uint32_t number, enum trace_disk stage, unsigned where);
/* All that were issued before number `end` are known to the device. */
void disk_tell(struct disk *d, uint32_t end);
/* The device model makes a request and hands it to the pool. */
void disk_start(struct disk *d, struct disk_request *r);
/* QEMU is to look at the queue from its main loop. */
void disk_schedule(struct disk *d, struct thread *from);
void disk_interrupt(struct disk *d, bool level);

/* The next one that was asked for is issued: its number. */
uint32_t disk_issue_next(struct disk *d, unsigned vcpu);
void disk_reap_one(struct vcpu *v, struct disk *d, uint32_t number);
/* A store of two or four bytes to the disk's registers. */
struct access disk_store(const struct disk *d, uint64_t offset, uint8_t size, uint64_t value);
#endif
