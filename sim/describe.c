#include "describe.h"
#include "virt/vmx.h"

const char *const irqchip_names[IRQCHIP_COUNT] = {
    [IRQCHIP_KERNEL] = "kernel",
    [IRQCHIP_SPLIT] = "split",
    [IRQCHIP_USERSPACE] = "userspace",
};
const char *const region_handler_names[REGION_HANDLER_COUNT] = {
    [REGION_USERSPACE] = "userspace",
    [REGION_KERNEL] = "kernel",
    [REGION_EVENTFD] = "eventfd",
    [REGION_EXTERNAL] = "external",
};
const char *const device_kind_names[DEVICE_KIND_COUNT] = {
    [DEVICE_MSI] = "msi", [DEVICE_LEVEL] = "level", [DEVICE_EXTINT] = "extint",
    [DEVICE_NMI] = "nmi", [DEVICE_LINE] = "line",   [DEVICE_ASSIGNED] = "assigned",
};
const char *const guest_apic_names[GUEST_APICS] = {
    [LAPIC_MODE_DISABLED] = "none",
    [LAPIC_MODE_XAPIC] = "xapic",
    [LAPIC_MODE_X2APIC] = "x2apic",
    [GUEST_EPIC] = "epic",
};

static const char *const causes[] = {"operation", "delivery", "acknowledge",
                                     "handler",   "host",     "setup"};
static const char *const sources[TRACE_SOURCE_COUNT] = {"ipi",    "timer", "msi",  "level",
                                                        "extint", "nmi",   "line", "user-ipi"};
static const char *const held[] = {"IRR",  "PIR",   "NMI", "ExtINT", "PUIR",
                                   "UIRR", "PMIRR", "PBA", "STARTUP"};
static const char *const refused[] = {"no destination", "disabled", "illegal vector",
                                      "masked",         "re-armed", "not an interrupt",
                                      "withdrawn",      "rerouted"};
static const char *const notify[] = {"not needed", "kick",     "posted", "wake",
                                     "signal",     "doorbell", "later",  "direct"};
static const char *const inject[] = {"event injection", "virtual-interrupt delivery", "direct",
                                     "user-interrupt delivery"};
static const char *const stages[] = {
#define STAGE(name) #name,
    LATENCY_STAGES(STAGE)
#undef STAGE
};
static const char *const work_steps[] = {
    [TRACE_WORK_BEGUN] = "begun",
    [TRACE_WORK_SLEEPS] = "sleeps",
    [TRACE_WORK_GOES_ON] = "goes on",
    [TRACE_WORK_DONE] = "done",
};

static const char *const disk_stages[] = {
    [TRACE_DISK_ASKED] = "asked",       [TRACE_DISK_ISSUED] = "issued",
    [TRACE_DISK_NOTIFIED] = "notified", [TRACE_DISK_SUBMITTED] = "submitted",
    [TRACE_DISK_DONE] = "done",         [TRACE_DISK_COMPLETED] = "completed",
    [TRACE_DISK_SEEN] = "seen",         [TRACE_DISK_REAPED] = "reaped",
};

static const char *const kvm_exits[] = {
#define REASON(name) #name,
    KVM_EXITS(REASON)
#undef REASON
};

const char *describe_cause(enum trace_cause c)
{
    return causes[c];
}

const char *describe_source(enum trace_source s)
{
    return sources[s];
}

const char *describe_kvm_exit(enum kvm_exit e)
{
    return kvm_exits[e];
}

const char *describe_stage(enum latency_stage s)
{
    return stages[s];
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static json_t *strings(const char *const *s, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(s[i]));
    return list;
}

static const char *vendor_name(enum virt_vendor v)
{
    static const char *const names[VIRT_VENDORS] = {
        [VIRT_VMX] = "vmx", [VIRT_SVM] = "svm", [VIRT_E2K] = "e2k"};

    return names[v];
}

static json_t *feature_names(feature_set set)
{
    json_t *list = json_array();

    for (unsigned f = 0; f < FEATURE_COUNT; f++)
        if (feature_in(set, (enum feature)f))
            json_array_append_new(list, json_string(features[f].name));
    return list;
}

static json_t *technology_list(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < technology_count; i++) {
        const struct technology *t = &technologies[i];

        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s, s:s}", "name", t->name,
                                              "vendor", vendor_name(t->vendor), "features",
                                              feature_names(t->features), "title", t->title,
                                              "source", t->source));
    }
    return list;
}

static json_t *feature_list(void)
{
    static const char *const homes[] = {[FEATURE_ON_ANY] = "any",
                                        [FEATURE_ON_VMX] = "vmx",
                                        [FEATURE_ON_SVM] = "svm",
                                        [FEATURE_ON_E2K] = "e2k"};
    static const char *const makers[] = {"hardware", "hypervisor", "guest"};
    json_t *list = json_array();

    for (unsigned f = 0; f < FEATURE_COUNT; f++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o, s:s}", "name",
                                              features[f].name, "on", homes[features[f].on],
                                              "by", makers[features[f].by], "needs",
                                              feature_names(features[f].needs), "excludes",
                                              feature_names(features[f].excludes), "meaning",
                                              features[f].meaning));
    return list;
}

static json_t *exit_reason_list(void)
{
    json_t *list = json_array();

    for (unsigned i = EXIT_NONE + 1; i < EXIT_REASON_COUNT; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:s}", "name", exit_reasons[i].name, "vendor",
                            vendor_name(exit_reasons[i].vendor), "number",
                            (int)exit_reasons[i].number, "meaning", exit_reasons[i].meaning));
    return list;
}

static json_t *cost_list(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < COST_KEY_COUNT; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", cost_keys[i].name,
                                              "meaning", cost_keys[i].meaning));
    return list;
}

static json_t *trace_event_list(void)
{
    json_t *list = json_array();

#define EVENT(name, a, b, meaning)                                                             \
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", #name, "a", a, "b",  \
                                          b, "meaning", meaning));
#include "port/trace_events.def"
#undef EVENT
    return list;
}

static json_t *operation_list(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < GUEST_OP_COUNT; i++) {
        const enum guest_op op = (enum guest_op)i;

        json_array_append_new(
            list, json_pack("{s:s, s:o, s:s}", "name", guest_ops[i].name, "operands",
                            strings(guest_ops[i].operand, guest_op_operands(op)), "meaning",
                            guest_ops[i].what));
    }
    return list;
}

static const char *vmx_failure(enum vmx_failure f)
{
    return f == VMX_INVALID_CONTROL ? "VM-instruction error 7" : "exit reason 33";
}

static json_t *check(const char *vendor, const char *name, const char *section,
                     const char *failure, const char *meaning)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "vendor", vendor, "section",
                     section, "failure", failure, "meaning", meaning);
}

/* What VM entries and VMRUN check, in their order. */
static json_t *check_list(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < VMX_CHECK_COUNT; i++)
        json_array_append_new(list,
                              check("vmx", vmx_checks[i].name, vmx_checks[i].section,
                                    vmx_failure(vmx_checks[i].failure), vmx_checks[i].meaning));
    for (unsigned i = 0; i < SVM_CHECK_COUNT; i++)
        json_array_append_new(list, check("svm", svm_checks[i].name, svm_checks[i].section,
                                          "VMEXIT_INVALID", svm_checks[i].meaning));
    return list;
}

static json_t *inhibit_list(void)
{
    static const char *const by[] = {"machine", "plan"};
    json_t *list = json_array();

    for (unsigned i = 0; i < INHIBIT_COUNT; i++) {
        const struct inhibit_info *n = &inhibits[i];

        json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:s, s:s, s:s}", "name", n->name,
                                              "vmx", n->vmx, "svm", n->svm, "by", by[n->by],
                                              "meaning", n->meaning, "where", n->where));
    }
    return list;
}

static json_t *inhibit_names(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < INHIBIT_COUNT; i++)
        json_array_append_new(list, json_string(inhibits[i].name));
    return list;
}

static json_t *recheck_list(void)
{
    json_t *list = json_array();

#define RECHECK(id, name, where, what)                                                         \
    json_array_append_new(                                                                     \
        list, json_pack("{s:s, s:s, s:s}", "name", name, "where", where, "meaning", what));
#include "hypervisor/rechecks.def"
#undef RECHECK
    return list;
}

static json_t *state_list(void)
{
    json_t *list = json_array();

#define STATE(name, meaning)                                                                   \
    json_array_append_new(list, json_pack("{s:s, s:s}", "name", #name, "meaning", meaning));
    VCPU_STATES(STATE)
#undef STATE
    return list;
}

static json_t *state_names(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < VCPU_STATE_COUNT; i++)
        json_array_append_new(list, json_string(vcpu_state_name((enum vcpu_state)i)));
    return list;
}

static json_t *exit_reason_names(void)
{
    json_t *list = json_array();

    json_array_append_new(list, json_string("NONE"));
    for (unsigned i = EXIT_NONE + 1; i < EXIT_REASON_COUNT; i++)
        json_array_append_new(list, json_string(exit_reasons[i].name));
    return list;
}

static json_t *operation_names(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < GUEST_OP_COUNT; i++)
        json_array_append_new(list, json_string(guest_ops[i].name));
    return list;
}

json_t *describe_trace(void)
{
    json_t *d = json_object();

    json_object_set_new(d, "events", trace_event_list());
    json_object_set_new(d, "exit_reasons", exit_reason_names());
    json_object_set_new(d, "operations", operation_names());
    json_object_set_new(d, "states", state_names());
    json_object_set_new(d, "inhibits", inhibit_names());
    json_object_set_new(d, "causes", strings(causes, COUNT(causes)));
    json_object_set_new(d, "sources", strings(sources, COUNT(sources)));
    json_object_set_new(d, "held", strings(held, COUNT(held)));
    json_object_set_new(d, "refused", strings(refused, COUNT(refused)));
    json_object_set_new(d, "notify", strings(notify, COUNT(notify)));
    json_object_set_new(d, "inject", strings(inject, COUNT(inject)));
    json_object_set_new(d, "kvm_exits", strings(kvm_exits, COUNT(kvm_exits)));
    json_object_set_new(d, "host_thread_states",
                        strings(host_thread_state_names, HOST_THREAD_STATE_COUNT));
    json_object_set_new(d, "disk_stages", strings(disk_stages, COUNT(disk_stages)));
    json_object_set_new(d, "work", strings(work_steps, COUNT(work_steps)));
    return d;
}

json_t *describe_everything(void)
{
    json_t *d = json_object();

    json_object_set_new(d, "technologies", technology_list());
    json_object_set_new(d, "features", feature_list());
    json_object_set_new(d, "exit_reasons", exit_reason_list());
    json_object_set_new(d, "costs", cost_list());
    json_object_set_new(d, "accesses", describe_accesses());
    json_object_set_new(d, "conditions", describe_conditions());
    json_object_set_new(d, "effects", describe_effects());
    json_object_set_new(d, "trace_events", trace_event_list());
    json_object_set_new(d, "guest_operations", operation_list());
    json_object_set_new(d, "vcpu_states", state_list());
    json_object_set_new(d, "inhibits", inhibit_list());
    json_object_set_new(d, "rechecks", recheck_list());
    json_object_set_new(d, "faults", plan_describe_faults());
    json_object_set_new(d, "findings", watchdog_describe());
    json_object_set_new(d, "checks", check_list());
    json_object_set_new(d, "registers", describe_registers());
    json_object_set_new(d, "quirks", describe_quirks());
    json_object_set_new(d, "latency_stages", strings(stages, COUNT(stages)));
    json_object_set_new(d, "sources", strings(sources, COUNT(sources)));
    json_object_set_new(d, "kvm_exits", strings(kvm_exits, COUNT(kvm_exits)));
    json_object_set_new(d, "irqchips", strings(irqchip_names, IRQCHIP_COUNT));
    json_object_set_new(d, "regions", strings(region_handler_names, REGION_HANDLER_COUNT));
    json_object_set_new(d, "devices", strings(device_kind_names, DEVICE_KIND_COUNT));
    json_object_set_new(d, "disks", strings(disk_kind_names, DISK_KIND_COUNT));
    json_object_set_new(d, "host_threads",
                        strings(host_thread_kind_names, HOST_THREAD_KIND_COUNT));
    json_object_set_new(d, "host_thread_states",
                        strings(host_thread_state_names, HOST_THREAD_STATE_COUNT));
    json_object_set_new(d, "guest_apics", strings(guest_apic_names, COUNT(guest_apic_names)));
    return d;
}
