/* What a guest on KVM sees of VMX's rules for exits from HLT and from the midst of a delivery. */
#include "plans.h"

#include <gtest/gtest.h>

using plans::Machine;
using plans::Plan;

struct VmxGuest : testing::TestWithParam<const char *> {
    /* vCPU 0 runs `main`; an NMI counts in word 0, vectors 48 and 50 in word 1. */
    static Plan guest(const std::string &main)
    {
        Plan p;

        p.technology = GetParam();
        p.programs = {{"main", main},
                      {"nmi", R"(["word_add",0,1])"},
                      {"fixed", R"(["eoi"],["word_add",1,1])"}};
        p.vcpus = {{0, "main", {{2, "nmi"}, {48, "fixed"}, {50, "fixed"}}}};
        return p;
    }
};

/* SDM 3C "Architectural State Before a VM Exit": the NMI blocks NMIs although its delivery was
   interrupted; KVM unblocks them, else the entry that injects it again would fail. */
TEST_P(VmxGuest, AnNmiWhoseDeliveryWasInterruptedIsInjectedAgainAndSoIsTheNext)
{
    Plan p = guest(R"(["mask"],["delivery_fault"],["spin_until",0,1],)"
                   R"(["delivery_fault"],["spin_until",0,2])");
    p.devices = R"({"name":"n","kind":"nmi","vcpu":0,"delay_ns":0,"at_ns":[20000,90000]})";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(2u, m.exits(0, "EPT_VIOLATION"));
    EXPECT_EQ(2u, m.latency("nmi", "count"));
}

/* SDM 3C "Saving Non-Register State": the exit leaves HLT in the activity state, and the next
   entry's event ends it. */
TEST_P(VmxGuest, ATimerThatExitsFromHltEndsItByItsInterrupt)
{
    Plan p = guest(R"(["timer_mode",50,0],["timer_count",1000,1],["halt"],["spin_until",1,1])");
    p.features["hlt-in-guest"] = true;
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(0, "PREEMPTION_TIMER"));
    EXPECT_EQ(0u, m.exits(0, "HLT"));
}

TEST_P(VmxGuest, AnExternalInterruptThatIsNotTheGuestsDoesNotEndHlt)
{
    Plan p = guest(R"(["halt"],["cpuid"])");
    p.features["hlt-in-guest"] = true;
    p.vcpus.push_back({0, "other", {}}); /* shares the CPU, whose ticks are the host's */
    p.programs["other"] = R"(["compute",3000000])";
    p.until_ns = 5000000;
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(0, "CPUID")) << "nobody wakes vCPU 0";
    EXPECT_LT(0u, m.exits(0, "EXTERNAL_INTERRUPT"));
}

TEST_P(VmxGuest, AnNmiEndsHltWithInterruptsOff)
{
    Plan p = guest(R"(["mask"],["halt"],["spin_until",0,1])");
    p.features["hlt-in-guest"] = true;
    p.devices = R"({"name":"n","kind":"nmi","vcpu":0,"delay_ns":0,"at_ns":[50000]},)"
                R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[20000]})";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.latency("msi", "count"));
}

INSTANTIATE_TEST_SUITE_P(Technologies, VmxGuest, testing::Values("none", "apicv", "ipiv"),
                         [](const auto &i) { return std::string(i.param); });
