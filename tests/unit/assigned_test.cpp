/* Assigned devices in the machine: forwarded by the host, or posted by the remapping hardware. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

/* vCPU 0 takes `times` interrupts of a device; vCPU 1, on CPU 1, is where its backend runs. */
Plan device_of_vcpu0(const std::string &technology, unsigned cpu, unsigned times,
                     const std::string &wait = "spin_until")
{
    Plan p;
    std::string backend, target;
    for (unsigned n = 1; n <= times; n++) {
        backend += "[\"compute\",200000],[\"signal\",0],";
        target += "[\"" + wait + "\",0," + std::to_string(n) + "],";
    }
    p.technology = technology;
    p.devices = R"({"name":"vf","kind":"assigned","vcpu":0,"vector":65,"cpu":)" +
                std::to_string(cpu) + "}";
    p.programs = {{"target", target + "[\"compute\",1]"},
                  {"backend", backend + "[\"compute\",1]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "target", {{65, "handler"}}}, {1, "backend", {}}};
    return p;
}

TEST(Assigned, WithoutHelpTheHostForwardsItAtTheCostOfAnExitAndAnEoi)
{
    Machine m(device_of_vcpu0("none", 0, 3));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3u, m.exits(0, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(3u, m.exits(0, "MSR_WRITE", "acknowledge"));
    EXPECT_EQ(6u, m.exits(0));
    EXPECT_EQ(3u, m.latency("msi", "count"));
}

TEST(Assigned, AtAnotherCpuItDisturbsThatCpuAndIsThenAKickOrAPost)
{
    Machine none(device_of_vcpu0("none", 1, 3)), apicv(device_of_vcpu0("apicv", 1, 3));
    EXPECT_EQ(VIRQSIM_ENDED, none.run());
    EXPECT_EQ(3u, none.exits(1, "EXTERNAL_INTERRUPT", "host"));
    EXPECT_EQ(3u, none.exits(0, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(VIRQSIM_ENDED, apicv.run());
    EXPECT_EQ(3u, apicv.exits(1, "EXTERNAL_INTERRUPT", "host"));
    EXPECT_EQ(0u, apicv.exits(0));
}

TEST(Assigned, PostedByTheIommuItDisturbsNobody)
{
    for (unsigned cpu : {0u, 1u, 3u}) {
        Machine m(device_of_vcpu0("vtd-pi", cpu, 3));
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(0u, m.exits(0) + m.exits(1));
        EXPECT_EQ(3u, m.latency("msi", "count"));
    }
}

TEST(Assigned, ASleeperIsWokenByTheWakeUpVectorOrByTheHostsHandler)
{
    for (const char *technology : {"none", "apicv", "ipiv", "vtd-pi", "svm", "x2avic"}) {
        for (uint64_t poll : {0u, 1000000u}) {
            Plan p = device_of_vcpu0(technology, 0, 3, "halt_until");
            p.halt_poll_ns = poll;
            Machine m(p);
            EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology << m.text();
            EXPECT_EQ(3u, m.latency("msi", "count")) << technology;
        }
    }
}

TEST(Assigned, ForAPreemptedTargetNotificationIsSuppressedAndPirIsTakenAtItsNextEntry)
{
    Plan p = device_of_vcpu0("vtd-pi", 0, 3);
    p.load = {0};
    p.time_slice_ns = 150000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3u, m.latency("msi", "count"));
    EXPECT_LT(50000000u, m.latency("msi", "max_ps"));
}

TEST(Assigned, ASecondMsiBeforeTheHostLooksIsOne)
{
    Plan p = device_of_vcpu0("none", 0, 1);
    p.programs["backend"] =
        "[\"compute\",200000],[\"signal\",0],[\"compute\",20],[\"signal\",0]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_NE(m.text().find("\"coalesced\":1"), std::string::npos) << m.text();
}

TEST(Assigned, WithAnApicThatIsNotInTheKernelNothingIsPosted)
{
    Plan p = device_of_vcpu0("vtd-pi", 0, 2);
    p.irqchip = "userspace";
    p.guest_apic = "xapic";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(2u, m.latency("msi", "count"));
    EXPECT_LE(2u, m.exits(0, "EXTERNAL_INTERRUPT"));
}

/* Exit-less interrupts: two exits without, one with delivery only, none with both. */
TEST(Assigned, EliTakesAwayTheDeliverysExitAndThenTheEois)
{
    for (auto [eoi, exits] : {std::pair<bool, uint64_t>{false, 3}, {true, 0}}) {
        Plan p = device_of_vcpu0("eli", 0, 3);
        p.features["direct-eoi"] = eoi;
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(exits, m.exits(0));
        EXPECT_EQ(exits, m.exits(0, "MSR_WRITE", "acknowledge"));
        EXPECT_EQ(3u, m.latency("msi", "count"));
    }
}

/* What is not the guest's meets a gate that is not present; what is injected is acknowledged with
   an exit, and then the EOI is the guest's again. */
TEST(Assigned, UnderEliOtherInterruptsLeaveTheGuestAsExceptions)
{
    Plan p = device_of_vcpu0("eli", 0, 2);
    p.devices += R"(,{"name":"virtio","kind":"msi","vcpu":0,"vector":70})";
    p.programs["backend"] =
        "[\"compute\",200000],[\"signal\",1],[\"compute\",200000],[\"signal\",0]";
    p.vcpus[0].handlers[70] = "handler";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, m.exits(0, "EXCEPTION_NMI", "delivery"));
    EXPECT_EQ(1u, m.exits(0, "MSR_WRITE", "acknowledge"));
    EXPECT_EQ(2u, m.exits(0));
}

TEST(Assigned, UnderEliAGuestWithInterruptsOffTakesItLaterWithoutAWindow)
{
    Plan p = device_of_vcpu0("eli", 0, 1);
    p.programs["target"] = "[\"mask\"],[\"compute\",400000],[\"unmask\"],[\"spin_until\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(0u, m.exits(0));
    EXPECT_LT(190000000u, m.latency("msi", "max_ps"));
}

TEST(Assigned, EliAndVirtualInterruptDeliveryExcludeEachOther)
{
    Plan p = device_of_vcpu0("eli", 0, 1);
    p.features["virtual-interrupt-delivery"] = true;
    EXPECT_EQ(
        "plan: features: direct-interrupts and virtual-interrupt-delivery exclude each other",
        Machine(p).error());
}

TEST(Assigned, TheCpuMustExist)
{
    Plan p = device_of_vcpu0("none", 7, 1);
    EXPECT_NE(Machine(p).error().find("machine.devices[0].cpu"), std::string::npos);
    p = device_of_vcpu0("svm", 0, 1);
    p.features["vtd-posting"] = true;
    EXPECT_NE(Machine(p).error(), "");
}

} // namespace
