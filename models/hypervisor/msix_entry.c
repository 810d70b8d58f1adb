/*
 * A device's entry of the MSI-X table, which QEMU keeps: each access of the guest's
 * to it is an exit to userspace. The guest moves an interrupt to another vCPU as
 * Linux does (pci_write_msg_msix()): it masks the entry, writes address and data,
 * and unmasks it; QEMU then changes the VM's route (KVM_SET_GSI_ROUTING), and of an
 * assigned device the entry of the remapping table follows (vmx_pi_update_irte()).
 *
 * A message that waits meanwhile, in the device or for the host's handler, goes
 * where the route then leads. It goes on as a flow of its own, whose parent is the
 * one that was refused as rerouted.
 *
 * An entry that names no vCPU by its physical APIC ID stays masked: docs/models/msi.md.
 */
#include "hypervisor/hypervisor.h"
#include "irq/msi_message.h"

static struct device *device_at(struct hypervisor *h, uint64_t address)
{
    for (uint32_t i = 0; i < hypervisor_plan_devices(h); i++)
        if (h->device[i].table && address - h->device[i].table < MSIX_ENTRY_BYTES)
            return &h->device[i];
    return NULL;
}

/* Where the entry says that the device's message goes; NULL: to no single vCPU. */
static struct vcpu *target_of(const struct device *d, struct irq_msg *msg)
{
    const struct msi_message m = {(uint64_t)d->entry.UPPER_ADDRESS << 32 | d->entry.ADDRESS,
                                  d->entry.DATA};
    struct hypervisor *h = d->hypervisor;

    if (!msi_decode(&m, msg) || msg->delivery != IRQ_FIXED || msg->logical || msg->level ||
        msg->vector < 16)
        return NULL;
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        if (lapic_id(&h->vcpu[i].apic) == msg->dest)
            return &h->vcpu[i];
    return NULL;
}

static void reroute(const struct device *d, trace_flow *waiting, const struct vcpu *to,
                    uint8_t vector)
{
    struct trace *t = d->hypervisor->trace;
    const trace_flow before = *waiting;

    if (!before)
        return;
    *waiting = trace_new_flow(t);
    trace_put(t, before, TRACE_REFUSED, d->vcpu, d->vector, TRACE_REFUSED_REROUTED);
    trace_put(t, *waiting, TRACE_ROUTED, to->index, vector,
              TRACE_PARENT(TRACE_NOWHERE, before));
}

static void change_route(struct device *d, struct vcpu *to, uint8_t vector)
{
    if (to->index == d->vcpu && vector == d->vector)
        return;
    reroute(d, &d->withheld, to, vector);
    reroute(d, &d->landed, to, vector);
    d->vcpu = to->index;
    d->epic_vector = d->vector = vector;
}

/* QEMU: msix_handle_mask_update(). */
static void mask_changed(struct vcpu *by, struct device *d)
{
    const bool masked = d->entry.VECTOR_CONTROL & 1;
    struct irq_msg msg;
    struct vcpu *to = masked ? NULL : target_of(d, &msg);

    vcpu_pay(by, COST_USER_MSI_ROUTE);
    if (to) {
        change_route(d, to, msg.vector);
        if (d->kind == DEVICE_ASSIGNED)
            assigned_change(by, d);
    }
    hypervisor_device_mask(d, !to);
}

void msix_entry_access(struct vcpu *v)
{
    const struct access *a = &v->access;
    struct device *d;
    uint32_t before;

    if (a->kind != ACCESS_INSTRUCTION || a->instruction != VIRT_MMIO || !a->write)
        return;
    d = device_at(v->hypervisor, a->address);
    if (!d || a->size != 4)
        return;
    before = d->entry.VECTOR_CONTROL;
    switch (a->address - d->table) {
    case offsetof(struct msix_entry, ADDRESS):
        d->entry.ADDRESS = (uint32_t)a->value & ~3u;
        break;
    case offsetof(struct msix_entry, UPPER_ADDRESS):
        d->entry.UPPER_ADDRESS = (uint32_t)a->value;
        break;
    case offsetof(struct msix_entry, DATA):
        d->entry.DATA = (uint32_t)a->value;
        break;
    case offsetof(struct msix_entry, VECTOR_CONTROL):
        d->entry.VECTOR_CONTROL = a->value & 1;
        break;
    default:
        return;
    }
    if (before != d->entry.VECTOR_CONTROL)
        mask_changed(v, d);
}

/* What the guest's driver had written when the run begins. */
void msix_entry_init(struct device *d)
{
    const struct irq_msg msg = {.vector = d->vector,
                                .delivery = IRQ_FIXED,
                                .dest = lapic_id(&d->hypervisor->vcpu[d->vcpu].apic)};
    struct msi_message m;

    if (!d->table || !msi_encode(&msg, &m))
        return;
    d->entry = (struct msix_entry){.ADDRESS = (uint32_t)m.address, .DATA = m.data};
}
