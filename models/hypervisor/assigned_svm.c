/*
 * Assigned devices behind AMD's IOMMU (irq/amd_iommu.h), whose table the hypervisor
 * keeps in step with its vCPUs: entries of guest mode as long as the vCPU has
 * AVIC, with IsRun and the destination of the moment (avic_vcpu_load(),
 * avic_vcpu_put(), amd_iommu_update_ga()), remapped ones otherwise, for the host's
 * handler to forward.
 *
 * An interrupt for a vCPU that does not run goes into its backing page and into
 * the IOMMU's log, whose own interrupt makes the driver's thread wake the vCPU
 * (iommu_poll_ga_log(), avic_ga_log_notifier()).
 */
#include "hypervisor/hypervisor.h"

/* 2^9 entries, as in Linux; CPU 0 has the IOMMU's interrupt as long as nobody moves it. */
enum { GA_LOG_LENGTH = 9, IOMMU_CPU = 0 };
enum { GA_EN = 1 << 17, GAM_VAPIC = 1 << 25, GA_LOG_EN = 1 << 28, GA_INT_EN = 1 << 29 };
enum { GA_OVERFLOW = 1 << 9, GA_LOG_INT = 1 << 10 };
enum { PAGE_SHIFT = 12 };

static_assert(GA_LOG_ENTRIES == 1 << GA_LOG_LENGTH,
              "the log's memory is what the IOMMU is told");

/* As if the backing pages lay in one array, by vCPU. The first page stays free. */
static uint64_t page_of(const struct vcpu *v)
{
    return (uint64_t)(v->index + 1) << PAGE_SHIFT;
}

static struct vcpu *owner_of(struct hypervisor *h, uint64_t page)
{
    return &h->vcpu[(page >> PAGE_SHIFT) - 1];
}

static struct amd_irte *entry_of(const struct device *d)
{
    return &d->hypervisor->amd_irte[d - d->hypervisor->device];
}

/* KVM: amd_iommu_activate_guest_mode(), amd_iommu_deactivate_guest_mode(). */
void assigned_svm_set_mode(struct vcpu *v)
{
    const bool posted =
        feature_in(v->hypervisor->features, FEATURE_IOMMU_AVIC) && v->apicv_active;

    for (const struct device *d = v->assigned; d; d = d->next_of_vcpu)
        *entry_of(d) = posted ? amd_irte_guest(d->vector, page_of(v), v->index)
                              : amd_irte_remapped(HOST_NUMBER_ASSIGNED, d->cpu);
}

void assigned_svm_set_running(struct vcpu *v, bool running)
{
    for (const struct device *d = v->assigned; d; d = d->next_of_vcpu)
        if (amd_irte_is_guest(entry_of(d)))
            amd_irte_set_running(entry_of(d), running, v->thread.pcpu->index);
}

static void give_to_vcpu(struct device *d)
{
    struct vcpu *v = &d->hypervisor->vcpu[d->vcpu];

    d->next_of_vcpu = v->assigned;
    v->assigned = d;
}

static void take_from(struct vcpu *v, const struct device *d)
{
    struct device **link = &v->assigned;

    while (*link && *link != d)
        link = &(*link)->next_of_vcpu;
    if (*link)
        *link = d->next_of_vcpu;
}

/* KVM: svm_ir_list_del() and svm_ir_list_add(), which looks whether the vCPU runs already. */
void assigned_svm_change(struct device *d)
{
    struct hypervisor *h = d->hypervisor;
    struct vcpu *v = &h->vcpu[d->vcpu];

    for (uint32_t i = 0; i < h->vcpu_count; i++)
        take_from(&h->vcpu[i], d);
    give_to_vcpu(d);
    assigned_svm_set_mode(v);
    assigned_svm_set_running(v, v->thread.pcpu->current == &v->thread);
}

void assigned_svm_init(struct hypervisor *h)
{
    const struct amd_iommu_config config = {.table = h->amd_irte,
                                            .entries = h->device_count,
                                            .log = h->ga_log,
                                            .log_entries = GA_LOG_ENTRIES};

    amd_iommu_init(&h->amd_iommu, &config);
    amd_iommu_write(&h->amd_iommu, AMD_IOMMU_GA_LOG_BASE, (uint64_t)GA_LOG_LENGTH << 56);
    amd_iommu_write(&h->amd_iommu, AMD_IOMMU_CONTROL,
                    GA_EN | GAM_VAPIC | GA_LOG_EN | GA_INT_EN);
    for (uint32_t i = 0; i < h->device_count; i++) {
        struct device *d = &h->device[i];

        if (d->kind != DEVICE_ASSIGNED)
            continue;
        give_to_vcpu(d);
    }
    for (uint32_t i = 0; i < h->vcpu_count; i++)
        assigned_svm_set_mode(&h->vcpu[i]);
}

/* --- an interrupt --- */

static void ring(struct vcpu *v, const struct amd_iommu_verdict *verdict, trace_flow flow)
{
    struct hypervisor *h = v->hypervisor;

    trace_put(h->trace, flow, TRACE_NOTIFIED, v->index, verdict->vector, TRACE_NOTIFY_DOORBELL);
    if (v->state == VCPU_POLLING && halt_ends(v))
        thread_wake(&v->thread, hv_now(h));
    host_send(&h->pcpu[verdict->destination], HOST_DOORBELL,
              hv_after(h, h->costs.of[COST_HW_MSI].n), flow);
}

static void post(struct hypervisor *h, const struct amd_iommu_verdict *verdict, trace_flow flow)
{
    struct vcpu *v = owner_of(h, verdict->page);
    const struct irq_msg msg = {
        .vector = verdict->vector,
        .delivery = IRQ_FIXED,
        .dest = lapic_id(&v->apic),
        .source = TRACE_NOWHERE,
        .flow = flow,
    };
    const bool pending = lapic_accept(&v->apic, &msg) == LAPIC_ACCEPTED;

    if (verdict->interrupt)
        host_send(&h->pcpu[IOMMU_CPU], HOST_GA_LOG, hv_after(h, h->costs.of[COST_HW_MSI].n),
                  flow);
    if (!pending)
        return;
    if (verdict->doorbell)
        ring(v, verdict, flow);
    else
        trace_put(h->trace, flow, TRACE_NOTIFIED, v->index, verdict->vector,
                  vcpu_waits(v) ? TRACE_NOTIFY_WAKE : TRACE_NOTIFY_LATER);
}

bool assigned_svm_raise(struct device *d, trace_flow flow)
{
    struct hypervisor *h = d->hypervisor;
    const uint32_t index = (uint32_t)(d - h->device);
    const struct amd_iommu_verdict verdict =
        amd_iommu_translate(&h->amd_iommu, (uint16_t)index, index);

    if (verdict.outcome != AMD_IOMMU_POST)
        return false;
    post(h, &verdict, flow);
    return true;
}

/* --- the log --- */

/* Linux: amd_iommu_restart_ga_log(). */
static void restart(struct amd_iommu *u)
{
    const uint64_t control = amd_iommu_read(u, AMD_IOMMU_CONTROL);

    amd_iommu_write(u, AMD_IOMMU_CONTROL, control & ~(uint64_t)(GA_LOG_EN | GA_INT_EN));
    amd_iommu_write(u, AMD_IOMMU_STATUS, GA_OVERFLOW);
    amd_iommu_write(u, AMD_IOMMU_CONTROL, control);
}

/* KVM: avic_ga_log_notifier(). For one that does not wait the next entry looks at IRR anyway. */
static void wake(struct vcpu *v)
{
    const struct hypervisor *h = v->hypervisor;

    if (vcpu_waits(v) && halt_ends(v))
        thread_wake(&v->thread, hv_after(h, h->costs.of[COST_HOST_INTERRUPT].n +
                                                h->costs.of[COST_HOST_GA_LOG].n));
}

void assigned_svm_read_log(struct hypervisor *h)
{
    const bool overflow = amd_iommu_read(&h->amd_iommu, AMD_IOMMU_STATUS) & GA_OVERFLOW;
    uint32_t tag;

    amd_iommu_write(&h->amd_iommu, AMD_IOMMU_STATUS, GA_LOG_INT);
    while (amd_iommu_take_log(&h->amd_iommu, &tag))
        wake(&h->vcpu[tag]);
    if (overflow)
        restart(&h->amd_iommu);
}
