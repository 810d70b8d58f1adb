/*
 * Disks of QEMU's: an IDE channel's, a virtio block device or an NVMe controller, the raw image behind
 * it, and the way of a request from the guest's driver there and back.
 *
 * An access of the guest's reaches the device model in userspace, under the vCPU
 * thread, or, where an ioeventfd takes the notification, QEMU's main loop. The
 * device model gives each request to the pool of AIO workers, one of whom sleeps in
 * a blocking read or write. It tells the main loop, which completes the request
 * and raises the disk's interrupt, through a device of the plan: an ISA or PCI line,
 * or a message.
 *
 * The guest's end, its block layer's queue and the driver's half of a virtqueue, is
 * here too: it is memory that both share.
 */
#ifndef VIRQSIM_HYPERVISOR_DISK_H
#define VIRQSIM_HYPERVISOR_DISK_H

#include "device/ide.h"
#include "device/nvme_queue.h"
#include "device/virtio_blk.h"
#include "hypervisor/host_thread.h"

#define DISK_KINDS(KIND)                                                                       \
    KIND(IDE, "ide", "an IDE channel with one disk, by PIO and bus master")                    \
    KIND(VIRTIO_BLK, "virtio-blk", "a virtio block device with one queue")                     \
    KIND(NVME, "nvme", "an NVMe controller with one pair of queues")

enum disk_kind {
#define KIND(id, name, meaning) DISK_##id,
    DISK_KINDS(KIND) DISK_KIND_COUNT
#undef KIND
};
extern const char *const disk_kind_names[DISK_KIND_COUNT + 1];

/* A channel has one at a time; those that it gave up go on in the host. */
enum { DISK_IDE_REQUESTS = 64 };

/* The first channel's ports (PIIX3), and where QEMU's firmware puts the bus master. */
enum { DISK_IDE_COMMAND = 0x1f0, DISK_IDE_CONTROL = 0x3f6, DISK_IDE_BUS_MASTER = 0xc000 };

/* From the device's base address. Ports: the legacy interface (VIRTIO 1.2, 4.1.4.10); memory: where
   QEMU puts the parts of the present one. */
enum { DISK_PORT_NOTIFY = 16, DISK_PORT_ISR = 19, DISK_PORTS = 24 };
enum { DISK_PAGE_ISR = 0x1000, DISK_PAGE_NOTIFY = 0x3000, DISK_PAGES = 0x4000 };

/* A request's way through the host. */
struct disk_request {
    struct disk *disk;
    struct event handed; /* to the pool: when the device model has done its part */
    struct host_item work, completion;
    uint16_t where;  /* whose thread made it, for the trace */
    uint32_t number; /* the guest's, likewise */
    uint32_t name;   /* the device model's: a tag, or a head */
};

struct disk {
    struct hypervisor *hypervisor;
    uint16_t index;
    enum disk_kind kind;
    struct device *interrupt;
    struct rng random;
    uint64_t latency_low_ps, latency_high_ps; /* of the medium, drawn evenly */

    /* The guest: numbers of requests, in order. */
    uint32_t asked, issued, reaped;
    uint32_t notified;  /* of the issued ones, up to where the device has been told */
    bool notifies;      /* what was issued last asks for a notification */
    uint32_t under_way; /* IDE: the present request, or DISK_NO_REQUEST */
    bool ended;         /* and the medium has answered */

    /* virtio-blk, NVMe */
    bool port;      /* the legacy interface */
    bool ioeventfd; /* the notification is one */
    uint64_t base;
    struct host_item notification;

    struct thread *actor;         /* in the device model at present, and pays */
    cycles spent;                 /* what it has to pay before it goes on */
    struct disk_request *request; /* by head, or by tag */
    struct ide ide;
    struct ide_port ide_port;
    struct virtio_blk blk;
    struct virtio_blk_port blk_port;
    struct nvme_queue nvme;
    struct nvme_port nvme_port;
    uint16_t pair;   /* NVMe: which of its controller's; 0 is the admin queues' */
    bool gives_back; /* NVMe: what was reaped last asks for the head doorbell */
};

#define DISK_NO_REQUEST UINT32_MAX

/* Before: kind, addresses, latency and interrupt are filled, `request` has room for each request; then
   ide_init() or virtio_blk_init() with the disk's port; of NVMe, size, threshold and time. */
void disks_init(struct hypervisor *h);
/* A disk's, with so many requests: theirs, and that of NVMe's coalescing. */
static inline uint32_t disk_events(uint32_t requests)
{
    return requests + 1;
}
uint64_t disk_requests_under_way(const struct disk *d);

/* Is `a` an access to a disk, and who answers it. */
bool disk_owns(const struct hypervisor *h, const struct access *a,
               enum region_handler *handler);
/* v->access, if it is one of a disk's: in userspace, or at its ioeventfd. */
void disk_access(struct vcpu *v);
void disk_notify(struct vcpu *v);

/* disk_ask and disk_interrupt, which touch the guest's memory alone. */
void disk_ask(struct vcpu *v, const struct guest_insn *i);
void disk_seen(struct vcpu *v, const struct guest_insn *i);
/* disk_issue and disk_reap; then the access that this brings about, or ACCESS_NONE. */
void disk_drive(struct vcpu *v, const struct guest_insn *i);
struct access disk_access_of(const struct vcpu *v, const struct guest_insn *i);
#endif
