/*
 * Exits for an address: ports, devices, pages that are not mapped. Who answers: a chip, a disk, an
 * eventfd, userspace.
 */
#include "hypervisor/disk.h"
#include "hypervisor/exits.h"
#include "hypervisor/ioepic_board.h"
#include "hypervisor/net_send.h"

const struct region *region_of(const struct hypervisor *h, bool port, uint64_t address)
{
    for (uint32_t i = 0; i < h->region_count; i++) {
        const struct region *r = &h->region[i];

        if (r->port == port && address >= r->first && address <= r->last)
            return r;
    }
    return NULL;
}

enum region_handler access_answered_by(const struct vcpu *v)
{
    const struct access *a = &v->access;
    const struct region *r =
        region_of(v->hypervisor, a->instruction == VIRT_PORT_IO, a->address);
    enum region_handler handler;

    if (ioepic_board_owns(v->hypervisor->ioepic, a))
        return REGION_KERNEL;
    if (board_owns(v->hypervisor->board, a, &handler) ||
        disk_owns(v->hypervisor, a, &handler) || tx_owns(v->hypervisor, a, &handler))
        return handler;
    return r ? r->handler : REGION_USERSPACE;
}

bool access_on_apic_page(const struct access *a)
{
    return a->kind == ACCESS_APIC_READ || a->kind == ACCESS_APIC_WRITE;
}

bool access_on_device(const struct access *a)
{
    return a->kind == ACCESS_INSTRUCTION &&
           (a->instruction == VIRT_MMIO || a->instruction == VIRT_OPAQUE_MMIO);
}

/* A port or a device's address. */
void handle_device(struct vcpu *v)
{
    const enum region_handler handler = access_answered_by(v);

    if (handler == REGION_USERSPACE || handler == REGION_EXTERNAL) {
        v->kvm_exit = v->access.instruction == VIRT_PORT_IO ? KVM_EXIT_IO : KVM_EXIT_MMIO;
        vcpu_take(v, VCPU_ON_TO_USER);
        return;
    }
    board_access(v);
    ioepic_board_access(v);
    if (handler == REGION_EVENTFD) {
        disk_notify(v);
        tx_notify(v);
    }
    guest_access_done(v);
    vcpu_take(v, VCPU_ON_RESUME);
}

/*
 * A guest-physical address that is not mapped for good: the APIC's page, a
 * device, or memory touched for the first time. KVM 6.1 lets the guest repeat a
 * read of the APIC page once before it emulates it, so that a read costs two
 * exits where the APIC-access page is not in effect (docs/accuracy.md).
 */
void handle_page(struct vcpu *v)
{
    const struct access *a = &v->access;

    if (v->exit.reason == EXIT_VMX_EPT_VIOLATION && a->kind == ACCESS_APIC_READ &&
        !v->retried) {
        v->retried = true;
        vcpu_take(v, VCPU_ON_RESUME);
        return;
    }
    v->retried = false;
    if (access_on_apic_page(a) && v->hypervisor->policy.irqchip == IRQCHIP_USERSPACE) {
        v->kvm_exit = KVM_EXIT_MMIO;
        vcpu_take(v, VCPU_ON_TO_USER);
    } else if (access_on_apic_page(a)) {
        handle_access(v);
    } else if (a->kind == ACCESS_INSTRUCTION && a->instruction == VIRT_OPAQUE_MMIO) {
        handle_internal_error(v);
    } else if (access_on_device(a)) {
        handle_device(v);
    } else {
        if (a->kind != ACCESS_NONE) /* it was the delivery of an interrupt that met the page */
            guest_access_done(v);
        vcpu_take(v, VCPU_ON_RESUME);
    }
}

/* INTC_INFO_MU names the address, the data and the register: nothing is decoded. Of a trap whose
   vector the guest asks for, no operation is under way. */
void handle_data_page(struct vcpu *v)
{
    const bool asks = v->guest.frame->unnamed;

    if (!access_on_apic_page(&v->access)) {
        handle_page(v);
        return;
    }
    exit_complete_access(v);
    if (!asks)
        guest_access_done(v);
    exit_finish(v);
}
