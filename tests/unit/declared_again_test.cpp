/*
 * Hardware that exists, declared again: over a technology without it, rules that
 * say what the manual says give the same run as the model of it does, whatever
 * the guests do. Costs are the same keys, so that times are the same too.
 */
#include <algorithm>
#include <gtest/gtest.h>

#include "plans.h"
#include "random_plan.h"

namespace
{

using plans::Machine;
using plans::Plan;

/* rule("eoi", "eoi-exit", {"clear"}, ...) */
std::string rule(const std::string &access, const std::string &when, const std::string &then)
{
    return "{\"access\":\"" + access + "\"," + (when.empty() ? "" : "\"when\":" + when + ",") +
           then + "}";
}

std::string virtualized(const std::string &effect, const std::string &cost)
{
    return R"("verdict":"virtualized","effect":")" + effect + R"(","costs":{")" + cost +
           "\":1}";
}

std::string traps(const std::string &exit)
{
    return R"("verdict":"traps","exit":")" + exit + "\"";
}

const std::string otherwise = "\"otherwise\"", unchanged = "\"verdict\":\"unchanged\"";

std::string feature(const std::vector<std::string> &rules)
{
    std::string s;
    for (const std::string &r : rules)
        s += (s.empty() ? "" : ",") + r;
    return R"({"name":"again","title":"again","base":"apicv","rules":[)" + s + "]}";
}

/* SDM 3C "IPI Virtualization"; what is no unicast exits behind the write, since the MSR passes. */
std::string ipi_virtualization()
{
    std::vector<std::string> rules = {
        rule(
            "ipi.unicast",
            R"({"apic":["x2apic"],"vector":["legal"],"target":["running","halted"],"outstanding":["no"]})",
            virtualized("post", "hw.ipi_virtualized")),
        rule(
            "ipi.unicast",
            R"({"apic":["xapic"],"vector":["legal"],"target":["running","halted"],"outstanding":["no"]})",
            virtualized("post", "hw.apic_page\":1,\"hw.ipi_virtualized")),
        rule("ipi.unicast",
             R"({"vector":["legal"],"target":["running","halted"],"outstanding":["yes"]})",
             virtualized("post", "hw.apic_access")),
        rule("ipi.unicast", R"({"vector":["legal"],"target":["preempted"]})",
             virtualized("post", "hw.apic_access")),
        rule("ipi.unicast", otherwise, traps("APIC_WRITE")),
    };
    for (const char *other : {"ipi.logical", "ipi.broadcast", "ipi.self", "ipi.other"}) {
        rules.push_back(rule(other, R"({"apic":["x2apic"]})", traps("APIC_WRITE")));
        rules.push_back(rule(other, R"({"apic":["xapic"]})", unchanged));
    }
    return feature(rules);
}

/* SDM 3C "EOI Virtualization". */
std::string eoi_virtualization()
{
    return feature({rule("eoi", R"({"eoi-exit":["set"]})", traps("EOI_INDUCED")),
                    rule("eoi", otherwise, virtualized("retire", "hw.apic_access"))});
}

/* SDM 3C "TPR Virtualization", "Self-IPI Virtualization". */
std::string tpr_and_self_ipi()
{
    return feature({
        rule("tpr", "", virtualized("set-tpr", "hw.apic_access")),
        rule("cr8.write", "", virtualized("set-tpr", "guest.cr8")),
        rule("cr8.read", "", virtualized("read", "guest.cr8_read")),
        rule("self_ipi", "", virtualized("set-pending", "hw.apic_access")),
        rule("ipi.self", R"({"apic":["xapic"]})", virtualized("set-pending", "hw.apic_access")),
        rule("ipi.self", R"({"apic":["x2apic"]})", unchanged),
    });
}

/* SDM 3C "VMX-Preemption Timer", "Posted-Interrupt Processing", and HLT without HLT exiting. */
std::string preemption_timer()
{
    return feature({rule("timer.expiry", "", traps("PREEMPTION_TIMER"))});
}

std::string posted_interrupt_processing()
{
    return feature({rule("notification", "", virtualized("take-posted", "hw.posted"))});
}

std::string halt_in_guest()
{
    return feature({rule("cpu.hlt", "", virtualized("halt", "guest.op"))});
}

/* SDM 3C "Virtualizing MSR-Based APIC Accesses" and the exits of those that are not. */
std::string exits_as_they_are()
{
    return feature({
        rule("timer.deadline", "", traps("MSR_WRITE")),
        rule("timer.count", R"({"apic":["x2apic"]})", traps("MSR_WRITE")),
        rule("timer.count", R"({"apic":["xapic"]})", traps("APIC_WRITE")),
        rule("write.LVT_TIMER", R"({"apic":["x2apic"]})", traps("MSR_WRITE")),
        rule("write.LVT_TIMER", R"({"apic":["xapic"]})", traps("APIC_WRITE")),
        rule("read.VERSION", "", virtualized("read", "hw.apic_access")),
        rule("cpu.cpuid", "", traps("CPUID")),
        rule("cpu.hypercall", "", traps("VMCALL")),
        rule("cpu.hlt", "", traps("HLT")),
        rule("port.io", "", traps("IO_INSTRUCTION")),
        rule("mmio", "", traps("EPT_MISCONFIG")),
        rule("host.interrupt", "", traps("EXTERNAL_INTERRUPT")),
    });
}

/* The results, but for the names of what they are of. */
std::string outcome(const Plan &plan)
{
    Machine m(plan);
    EXPECT_EQ("", m.error());
    m.run();
    json_t *results = m.results();
    json_object_del(results, "technology");
    json_object_del(results, "plan_hash");
    char *text = json_dumps(results, JSON_COMPACT | JSON_SORT_KEYS);
    const std::string copy(text);
    free(text);
    return copy;
}

bool clears_gif(const Plan &plan)
{
    return std::any_of(plan.programs.begin(), plan.programs.end(), [](const auto &program) {
        return program.second.find("[\"clgi\"]") != std::string::npos;
    });
}

struct Again {
    const char *name;
    std::string built_in; /* the technology that has it */
    const char *off;      /* on apicv: the feature that is switched off; "" for none */
    const char *on;       /* on the built-in one: the feature that is switched on */
    std::string (*declaration)();
};

class DeclaredAgain : public testing::TestWithParam<Again>
{
};

TEST_P(DeclaredAgain, GivesTheSameRunAsTheModel)
{
    const bool differs = GetParam().built_in != "apicv" || *GetParam().off || *GetParam().on;
    unsigned told_apart = 0;

    for (uint64_t seed = 0; seed < 60; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Plan plan = plans::random_plan(seed);
        if (plan.features.count("user-interrupts"))
            continue; /* their IPI is no access that can be declared */
        if (clears_gif(plan))
            continue; /* not on VMX */
        plan.hypothetical = "";
        plan.features = {{"timer-advance", false}}; /* of a declared timer KVM knows nothing */
        if (plan.irqchip == "userspace")
            plan.irqchip = "kernel"; /* QEMU's APIC is no hardware */
        Plan built_in = plan, bare = plan, declared = plan;
        built_in.technology = GetParam().built_in;
        if (*GetParam().on)
            built_in.features[GetParam().on] = true;
        bare.technology = declared.technology = "apicv";
        if (*GetParam().off)
            bare.features[GetParam().off] = declared.features[GetParam().off] = false;
        declared.technology = "again";
        declared.hypothetical = GetParam().declaration();
        const std::string wanted = outcome(built_in);
        EXPECT_EQ(wanted, outcome(declared));
        if (differs)
            told_apart += wanted != outcome(bare);
    }
    if (differs) {
        EXPECT_GT(told_apart, 15u) << "the plans do not tell the feature from its absence";
    }
}

INSTANTIATE_TEST_SUITE_P(
    Hardware, DeclaredAgain,
    testing::Values(Again{"ipi", "ipiv", "", "", ipi_virtualization},
                    Again{"eoi", "apicv", "", "", eoi_virtualization},
                    Again{"tpr", "apicv", "", "", tpr_and_self_ipi},
                    Again{"timer", "apicv", "preemption-timer", "", preemption_timer},
                    Again{"posted", "apicv", "", "", posted_interrupt_processing},
                    Again{"halt", "apicv", "", "hlt-in-guest", halt_in_guest},
                    Again{"exits", "apicv", "", "", exits_as_they_are}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace
