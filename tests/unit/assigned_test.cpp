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
    for (const char *technology :
         {"none", "apicv", "ipiv", "vtd-pi", "svm", "x2avic", "x2avic-pi"}) {
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

TEST(Assigned, PostedByAmdsIommuItDisturbsNobodyThatRuns)
{
    for (unsigned cpu : {0u, 1u, 3u}) {
        Machine m(device_of_vcpu0("x2avic-pi", cpu, 3));
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(0u, m.exits(0) + m.exits(1));
        EXPECT_EQ(3u, m.latency("msi", "count"));
        /* hw.msi, hw.virtual_deliver and the handler's first instruction, 100 ns each */
        EXPECT_GE(300000u, m.latency("msi", "max_ps"));
    }
    Machine forwarded(device_of_vcpu0("x2avic", 0, 3));
    EXPECT_EQ(VIRQSIM_ENDED, forwarded.run());
    EXPECT_EQ(3u, forwarded.exits(0, "interrupt", "delivery"));
}

TEST(Assigned, AmdsIommuLogsForASleeperAndItsInterruptComesToCpu0)
{
    Plan p = device_of_vcpu0("avic-pi", 1, 3, "halt_until");
    p.guest_apic = "xapic";
    p.vcpus[0].pin = 1;
    p.vcpus[1].pin = 0; /* the backend runs where the IOMMU's interrupt arrives */
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3u, m.latency("msi", "count"));
    EXPECT_EQ(3u, m.exits(1, "interrupt", "host"));
    EXPECT_EQ(0u, m.exits(0, "interrupt"));
}

TEST(Assigned, ForAPreemptedTargetOfAmdsIrrHasItAndItsNextEntryTakesIt)
{
    Plan p = device_of_vcpu0("x2avic-pi", 0, 3);
    p.load = {0};
    p.time_slice_ns = 150000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3u, m.latency("msi", "count"));
    EXPECT_LT(50000000u, m.latency("msi", "max_ps"));
}

/* Linux keeps IsRun of the IOMMU's entries true to the facts; what the erratum hides is the table
   that IPIs use. */
TEST(Assigned, TheErratumsRemedyDoesNotHideAVcpuFromTheIommu)
{
    Plan p = device_of_vcpu0("x2avic-pi", 1, 3);
    p.features["erratum-1235"] = true;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(0u, m.exits(0) + m.exits(1));
}

TEST(Assigned, WithoutAvicForAWhileTheHostForwardsAndThenTheIommuPostsAgain)
{
    Plan p = device_of_vcpu0("x2avic-pi", 0, 3); /* about 200, 400 and 600 us */
    p.inhibits = R"({"reason":"HYPERV","from_ns":300000,"until_ns":500000})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3u, m.latency("msi", "count"));
    EXPECT_EQ(1u, m.exits(0, "interrupt", "delivery"));
    EXPECT_EQ(1u, m.exits(0, "msr", "acknowledge"));
}

/* 600 interrupts at once for a sleeper: the log is full, and one bit of IRR has them all. The driver
   starts the log again, or nobody would be woken for the one that follows. */
TEST(Assigned, AnOverflowOfTheLogLosesNoInterruptAndNoWakeUp)
{
    Plan p = device_of_vcpu0("x2avic-pi", 1, 0);
    p.programs = {{"target", "[\"halt_until\",0,2]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"},
                  {"backend", "[\"compute\",100000],[\"repeat\",600],[\"signal\",0],[\"end\"],"
                              "[\"compute\",100000],[\"signal\",0],[\"compute\",1000]"}};
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(2u, m.latency("msi", "count"));
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
