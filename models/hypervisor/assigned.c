/*
 * Assigned devices: a device of the host's that belongs to the guest. Its MSI
 * goes through the remapping hardware (irq/remap.h), whose table the hypervisor
 * has filled.
 *
 * Without posting the entry names a vector of the host and a physical CPU; the
 * host's handler there forwards the interrupt by irqfd (VFIO: vfio_msihandler()).
 * With posting the entry names the target's descriptor, and nobody's software
 * runs (KVM: vmx_pi_update_irte()). With direct interrupts the entry names the
 * guest's own vector, which a guest that runs on that CPU takes by itself. Under
 * ELI that stays so; DID makes an NMI of it while the vCPU does not run, since
 * another guest may.
 *
 * That is VT-d; AMD's IOMMU is in assigned_svm.c, and what follows without posting
 * is the same.
 */
#include "hypervisor/epic.h"
#include "hypervisor/ioepic_board.h"
#include "hypervisor/nic_path.h"

enum {
    DESCRIPTOR_SHIFT = 6, /* a descriptor takes 64 bytes */
    MSI_REMAPPABLE = 1 << 4,
    IRTA_X2APIC = 1 << 11,
    GCMD_SET_TABLE = 1 << 24,
    GCMD_ENABLE = 1 << 25,
};
#define MSI_ADDRESS UINT64_C(0xfee00000)

/* --- the remapping table --- */

/* KVM: vmx_can_use_vtd_pi(). Whatever inhibits APICv at present: vmx_sync_pir_to_irr(). */
static bool posts(const struct device *d)
{
    const struct hypervisor *h = d->hypervisor;

    return feature_in(h->features, FEATURE_VTD_POSTING) &&
           h->policy.irqchip != IRQCHIP_USERSPACE && h->guest_apic != LAPIC_MODE_DISABLED;
}

/* The descriptor's address: as if they lay in one array, by vCPU. The first page stays free. */
static uint64_t descriptor_of(uint32_t vcpu)
{
    return (uint64_t)(vcpu + 64) << DESCRIPTOR_SHIFT;
}

static uint32_t owner_of(uint64_t descriptor)
{
    return (uint32_t)(descriptor >> DESCRIPTOR_SHIFT) - 64;
}

static struct remap_words entry_of(const struct device *d, bool running)
{
    const struct hypervisor *h = d->hypervisor;
    const bool own = feature_in(h->features, FEATURE_DIRECT_INTERRUPTS);

    if (posts(d))
        return remap_entry_posted(d->vector, descriptor_of(d->vcpu), d->urgent);
    if (host_kicks_by_nmi(h) && !running)
        return remap_entry_nmi(d->cpu);
    return remap_entry_remapped(own ? d->vector : HOST_NUMBER_ASSIGNED, d->cpu);
}

void assigned_steer(struct vcpu *v, bool running)
{
    struct hypervisor *h = v->hypervisor;

    if (!host_kicks_by_nmi(h))
        return;
    for (uint32_t i = 0; i < h->device_count; i++) {
        if (h->device[i].kind != DEVICE_ASSIGNED || h->device[i].vcpu != v->index)
            continue;
        h->irte[i] = entry_of(&h->device[i], running);
        vcpu_pay(v, COST_KVM_REMAP);
    }
}

/* ELI: the guest's gate has a place in the shadow IDT. */
static void assign(struct device *d, struct remap_words *entry)
{
    *entry = entry_of(d, false);
    vec_set(&d->hypervisor->vcpu[d->vcpu].hw.guest_gates, d->vector);
}

/* Those for whom a post is to be heard of while they are preempted. */
static void find_urgent(struct hypervisor *h)
{
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        h->vcpu[i].urgent = false;
    for (const struct device *d = h->device; d < h->device + h->device_count; d++)
        if (d->kind == DEVICE_ASSIGNED && d->urgent && posts(d))
            h->vcpu[d->vcpu].urgent = true;
}

static void no_event(struct remap_port *port, const struct irq_msg *msg)
{
    (void)port; /* the hypervisor's own table has no bad entry */
    (void)msg;
}

static void vtd_init(struct hypervisor *h)
{
    const struct remap_config config = {
        .table = h->irte, .entries = h->device_count, .port = &h->remap_port};
    unsigned size = 0;

    h->remap_port.send = no_event;
    for (uint32_t i = 0; i < h->device_count; i++)
        if (h->device[i].kind == DEVICE_ASSIGNED)
            assign(&h->device[i], &h->irte[i]);
    find_urgent(h);
    while (2u << size < h->device_count)
        size++;
    remap_init(&h->remap, &config);
    remap_write(&h->remap, REMAP_IRTA, 8, IRTA_X2APIC | size);
    remap_write(&h->remap, REMAP_GCMD, 4, GCMD_SET_TABLE);
    remap_write(&h->remap, REMAP_GCMD, 4, GCMD_ENABLE);
}

void assigned_init(struct hypervisor *h)
{
    if (h->vcpu[0].hw.ops->vendor == VIRT_SVM)
        assigned_svm_init(h);
    else
        vtd_init(h);
}

void assigned_change(struct vcpu *by, struct device *d)
{
    struct hypervisor *h = d->hypervisor;

    vcpu_pay(by, COST_KVM_REMAP);
    if (h->vcpu[0].hw.ops->vendor == VIRT_SVM) {
        assigned_svm_change(d);
        return;
    }
    h->irte[d - h->device] = entry_of(d, false);
    find_urgent(h);
}

/* --- an interrupt --- */

static sim_time arrival(const struct hypervisor *h)
{
    return hv_after(h, h->costs.of[COST_HW_MSI].n);
}

static void post(struct hypervisor *h, const struct remap_verdict *verdict, trace_flow flow)
{
    struct posted_descriptor *d = &h->vcpu[owner_of(verdict->descriptor)].descriptor;

    switch (verdict->urgent ? posted_post_urgent(d, verdict->vector, flow)
                            : posted_post(d, verdict->vector, flow)) {
    case POSTED_COALESCED:
        return;
    case POSTED_QUIET:
        trace_put(h->trace, flow, TRACE_NOTIFIED, d->owner, verdict->vector,
                  TRACE_NOTIFY_LATER);
        return;
    case POSTED_NOTIFY:
        break;
    }
    deliver_notification(h, d, verdict->vector, flow, arrival(h));
}

/* It waits in the physical APIC until the host's handler forwards it. */
static void land(struct hypervisor *h, struct device *d, bool as_nmi, trace_flow flow)
{
    if (d->landed) {
        trace_put(h->trace, flow, TRACE_COALESCED, d->vcpu, hypervisor_device_vector(d),
                  TRACE_HELD_IRR);
        return;
    }
    d->landed = flow;
    d->landed_as_nmi = as_nmi;
    host_send(&h->pcpu[d->cpu], HOST_ASSIGNED, arrival(h), flow);
}

static void vtd_raise(struct device *d, trace_flow flow)
{
    struct hypervisor *h = d->hypervisor;
    const uint32_t handle = (uint32_t)(d - h->device);
    const uint64_t address =
        MSI_ADDRESS | MSI_REMAPPABLE | (handle & 0x7fff) << 5 | (handle >> 15 & 1) << 2;
    struct remap_verdict verdict;

    remap_translate(&h->remap, (uint16_t)handle, address, 0, &verdict);
    if (verdict.outcome == REMAP_POST)
        post(h, &verdict, flow);
    else
        land(h, d, verdict.message.delivery == IRQ_NMI, flow);
}

void assigned_raise(struct device *d, trace_flow flow)
{
    struct hypervisor *h = d->hypervisor;
    const enum virt_vendor vendor = h->vcpu[0].hw.ops->vendor;

    if (vendor == VIRT_VMX)
        vtd_raise(d, flow);
    else if (vendor == VIRT_E2K || !assigned_svm_raise(d, flow))
        land(h, d, false, flow);
}

struct device *assigned_landed(const struct pcpu *p)
{
    struct device *d = p->assigned;

    while (d && !d->landed)
        d = d->next_assigned;
    return d;
}

bool assigned_is_own(const struct device *d, const struct vcpu *v)
{
    return feature_in(v->hypervisor->features, FEATURE_DIRECT_INTERRUPTS) &&
           d->vcpu == v->index && !d->landed_as_nmi;
}

static struct irq_msg message_of(struct device *d)
{
    const struct irq_msg msg = {
        .vector = d->vector,
        .delivery = IRQ_FIXED,
        .dest = lapic_id(&d->hypervisor->vcpu[d->vcpu].apic),
        .source = TRACE_NOWHERE,
        .flow = d->landed,
    };

    d->landed = 0;
    return msg;
}

void assigned_take_directly(struct device *d)
{
    struct vcpu *v = &d->hypervisor->vcpu[d->vcpu];
    const struct irq_msg msg = message_of(d);

    if (lapic_accept(&v->apic, &msg) == LAPIC_ACCEPTED)
        vec_set(&v->hw.direct, msg.vector);
}

/* The host's handler: eventfd_signal(), irqfd_wakeup(), kvm_set_msi_inatomic(). */
void assigned_forward(struct pcpu *p)
{
    for (struct device *d = p->assigned; d; d = d->next_assigned) {
        struct irq_msg msg;

        if (!d->landed)
            continue;
        if (p->hypervisor->guest_epic) {
            epic_device_forward(d);
            continue;
        }
        msg = message_of(d);
        nic_path_taken_by_host(p, d);
        hypervisor_accept(&p->hypervisor->vcpu[d->vcpu], &msg, NULL);
    }
    ioepic_board_forward(p);
}
