/* The vCPU thread's table (steps.def), and what machines do that run by it. */
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <tuple>

#include "plans.h"

extern "C" {
#include "hypervisor/hypervisor.h"
}

namespace
{

using plans::Machine;
using plans::Plan;

constexpr uint64_t NS = 1000;

/* A sender and a target that spins; the handler tells the sender by a shared word. */
Plan sender_and_target(const std::string &technology, unsigned repetitions)
{
    Plan p;
    std::string sender;
    for (unsigned i = 1; i <= repetitions; i++)
        sender += "[\"ipi\",48,1],[\"spin_until\",0," + std::to_string(i) + "],";
    p.technology = technology;
    p.programs = {{"sender", sender + "[\"compute\",1]"},
                  {"target", "[\"spin_until\",0," + std::to_string(repetitions) + "]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "sender", {}}, {1, "target", {{48, "handler"}}}};
    return p;
}

TEST(Steps, EachRowIsTheOnlyOneForItsPair)
{
    std::set<std::pair<unsigned, unsigned>> seen;
    for (unsigned i = 0; i < vcpu_step_count; i++) {
        const vcpu_step &s = vcpu_steps[i];
        EXPECT_TRUE(seen.insert({s.from, s.on}).second)
            << vcpu_state_name((vcpu_state)s.from) << " on "
            << vcpu_signal_name((vcpu_signal)s.on);
        EXPECT_EQ(&s, vcpu_find_step((vcpu_state)s.from, (vcpu_signal)s.on));
    }
}

TEST(Steps, APairWithoutARowHasNone)
{
    EXPECT_EQ(nullptr, vcpu_find_step(VCPU_BLOCKED, VCPU_ON_EXIT));
    EXPECT_EQ(nullptr, vcpu_find_step(VCPU_GUEST, VCPU_ON_SCHEDULED));
}

TEST(Steps, EveryStateCanBeLeftAndReached)
{
    std::set<unsigned> from, to;
    for (unsigned i = 0; i < vcpu_step_count; i++) {
        from.insert(vcpu_steps[i].from);
        to.insert(vcpu_steps[i].to);
    }
    EXPECT_EQ((size_t)VCPU_STATE_COUNT, from.size());
    EXPECT_EQ((size_t)VCPU_STATE_COUNT, to.size());
}

TEST(RunLoop, WithoutHelpAnIpiCostsTheSenderOneExitAndTheTargetTwo)
{
    Machine m(sender_and_target("none", 10));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(10u, m.exits(0, "MSR_WRITE", "operation"));
    EXPECT_EQ(10u, m.exits(1, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(10u, m.exits(1, "MSR_WRITE", "acknowledge"));
    EXPECT_EQ(30u, m.exits(0) + m.exits(1));
}

TEST(RunLoop, IpiVirtualizationLeavesNoExitAtAll)
{
    Machine m(sender_and_target("ipiv", 10));
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(0) + m.exits(1));
    EXPECT_EQ(10u, m.latency("ipi", "count"));
}

/* hw.ipi_virtualized, hw.ipi, hw.posted and hw.virtual_deliver, at 100 ns each. */
TEST(RunLoop, AVirtualizedIpiTakesTheTimeOfItsFourParts)
{
    Machine m(sender_and_target("ipiv", 10));
    m.run();
    EXPECT_EQ(400 * NS, m.latency("ipi", "min_ps"));
    EXPECT_EQ(400 * NS, m.latency("ipi", "max_ps"));
}

TEST(RunLoop, ATargetWithInterruptsOffIsKickedThenToldByTheWindow)
{
    Plan p = sender_and_target("none", 1);
    p.programs["sender"] =
        "[\"spin_until\",1,1],[\"ipi\",48,1],[\"word_add\",2,1],[\"spin_until\",0,1]";
    p.programs["target"] =
        "[\"mask\"],[\"word_add\",1,1],[\"spin_until\",2,1],[\"unmask\"],[\"spin_until\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(1, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(1u, m.exits(1, "INTERRUPT_WINDOW", "delivery"));
}

TEST(RunLoop, AHaltedTargetIsWokenWithoutAnExitOfItsOwn)
{
    Plan p = sender_and_target("none", 1);
    p.programs["sender"] = "[\"compute\",1000000],[\"ipi\",48,1],[\"spin_until\",0,1]";
    p.programs["target"] = "[\"halt_until\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(1, "HLT", "operation"));
    EXPECT_EQ(0u, m.exits(1, "", "delivery"));
    EXPECT_EQ(1u, m.latency("ipi", "count"));
}

TEST(RunLoop, PollingShortensTheWakeUp)
{
    Plan p = sender_and_target("none", 1);
    p.programs["sender"] =
        "[\"repeat\",4],[\"compute\",30000],[\"ipi\",48,1],[\"end\"],[\"spin_until\",0,4]";
    p.programs["target"] = "[\"halt_until\",0,4]";
    Machine sleeps(p);
    p.halt_poll_ns = 200000;
    Machine polls(p);
    EXPECT_EQ(VIRQSIM_ENDED, sleeps.run());
    EXPECT_EQ(VIRQSIM_ENDED, polls.run());
    EXPECT_LT(polls.latency("ipi", "min_ps"), sleeps.latency("ipi", "min_ps"));
}

TEST(RunLoop, APreemptedTargetFindsThePostedVectorAtItsNextEntry)
{
    Plan p = sender_and_target("ipiv", 1);
    p.load = {1};
    p.time_slice_ns = 100000;
    p.programs["sender"] = "[\"compute\",150000],[\"ipi\",48,1],[\"spin_until\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(0));
    EXPECT_EQ(0u, m.exits(1, "", "delivery"));
    EXPECT_EQ(1u, m.latency("ipi", "count"));
    EXPECT_GT(m.latency("ipi", "min_ps"), 10000 * NS)
        << "it waits for the other thread's slice to end";
}

TEST(RunLoop, UserspaceInjectsAfterASignal)
{
    Plan p = sender_and_target("none", 1);
    p.guest_apic = "xapic";
    p.irqchip = "userspace";
    p.guest_apic = "xapic";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(2u, m.exits(0, "EPT_MISCONFIG", "operation"))
        << "KVM has no slot for an APIC that it does not emulate";
    EXPECT_EQ(1u, m.exits(1, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(1u, m.latency("ipi", "count"));
}

TEST(RunLoop, TheEoiOfNothingExitsOnlyWhereTheIoapicIsKvms)
{
    Plan p;
    p.technology = "apicv";
    p.programs = {{"guest", "[\"eoi\"]"}};
    p.vcpus = {{0, "guest", {}}, {1, "guest", {}}};
    Machine kernel(p);
    p.irqchip = "split";
    Machine split(p);
    EXPECT_EQ(VIRQSIM_ENDED, kernel.run());
    EXPECT_EQ(VIRQSIM_ENDED, split.run());
    EXPECT_EQ(1u, kernel.exits(0, "EOI_INDUCED"));
    EXPECT_EQ(0u, kernel.exits(1)) << "the pins that nobody programmed name APIC ID 0";
    EXPECT_EQ(0u, split.exits(0));
}

Plan alone(const std::string &technology, const std::string &irqchip, const std::string &what)
{
    Plan p;
    p.technology = technology;
    p.irqchip = irqchip;
    p.guest_apic = "xapic";
    p.programs = {{"guest", what}};
    p.vcpus = {{0, "guest", {}}};
    return p;
}

TEST(RunLoop, AMoveFromCr8ExitsWhereVmxHasNoTprShadowAndNowhereElse)
{
    const std::string reads = "[\"cr8_read\"],[\"cr8_read\"]";
    for (const char *technology : {"none", "apicv", "svm", "avic"})
        for (const char *irqchip : {"kernel", "split", "userspace"}) {
            Machine m(alone(technology, irqchip, reads));
            ASSERT_EQ(VIRQSIM_ENDED, m.run());
            const bool vmx =
                std::string(technology) == "none" || std::string(technology) == "apicv";
            const uint64_t expected = vmx && std::string(irqchip) == "userspace" ? 2 : 0;
            EXPECT_EQ(expected, m.exits(0, "CR_ACCESS", "operation")) << technology << irqchip;
            EXPECT_EQ(expected, m.exits(0)) << technology << irqchip;
            EXPECT_EQ(0u, m.userspace_exits(0));
        }
}

TEST(RunLoop, AnApicInUserspaceHearsOnlyOfACr8ThatFalls)
{
    for (const char *technology : {"none", "svm"}) {
        Machine m(alone(technology, "userspace",
                        "[\"cr8\",5],[\"cr8\",5],[\"cr8_read\"],[\"cr8\",9],[\"cr8\",2]"));
        ASSERT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(technology == std::string("svm") ? 4u : 5u, m.exits(0)) << technology;
        EXPECT_EQ(1u, m.userspace_exits(0)) << technology;
    }
}

/* Shadow page tables: the APIC's page, a device, a first touch and an interrupted delivery. */
TEST(RunLoop, WithoutNestedPagingWhatIsNotMappedIsAPageFault)
{
    const std::string accesses =
        "[\"apic_read\",32],[\"apic_write\",880,49],[\"touch\",8192],"
        "[\"mmio_read\",4096,4],[\"delivery_fault\"],[\"self_ipi\",48],"
        "[\"spin_until\",0,1]";
    for (const std::string technology : {"none", "svm"}) {
        Plan p = alone(technology, "kernel", accesses);
        p.programs["handler"] = "[\"word_add\",0,1]";
        p.vcpus = {{0, "guest", {{48, "handler"}}}};
        p.features["nested-paging"] = false;
        if (technology == "none")
            p.features["apic-access-page"] = false;
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(6u, m.exits(0, technology == "svm" ? "PF excp" : "EXCEPTION_NMI"));
        EXPECT_EQ(6u, m.exits(0)) << technology;
    }
}

TEST(RunLoop, AnApicAccessPageNeedsNoNestedPaging)
{
    Plan p = alone("apicv", "kernel", "[\"apic_read\",32],[\"apic_read\",912],[\"cr8\",3]");
    p.features["nested-paging"] = false;
    Machine m(p);
    ASSERT_EQ("", m.error());
    ASSERT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(0, "APIC_ACCESS")) << "the current count";
    EXPECT_EQ(1u, m.exits(0));
}

TEST(RunLoop, AvicNeedsNestedPaging)
{
    Plan p = alone("avic", "kernel", "[\"compute\",1]");
    p.features["nested-paging"] = false;
    EXPECT_EQ("plan: features: avic needs nested-paging", Machine(p).error());
}

TEST(RunLoop, OnlyAViolationIsRepeatedForARead)
{
    Plan p;
    p.guest_apic = "xapic";
    p.features = {{"apic-access-page", false}};
    p.programs = {{"guest", "[\"apic_read\",32],[\"apic_write\",880,49]"}};
    p.vcpus = {{0, "guest", {}}};
    Machine slot(p);
    p.features["apic-page-slot"] = false;
    Machine mmio(p);
    EXPECT_EQ(VIRQSIM_ENDED, slot.run());
    EXPECT_EQ(VIRQSIM_ENDED, mmio.run());
    EXPECT_EQ(3u, slot.exits(0, "EPT_VIOLATION"));
    EXPECT_EQ(2u, mmio.exits(0, "EPT_MISCONFIG"));
}

/* An 8259A in userspace: signal, KVM_INTERRUPT, and the exit that KVM 6.1 adds to it. */
TEST(RunLoop, AVectorFromUserspaceCostsAKickAndAnImmediateExit)
{
    Plan p;
    p.irqchip = "userspace";
    p.guest_apic = "xapic";
    p.devices =
        R"({"name":"pic","kind":"extint","vcpu":0,"vector":48,"delay_ns":1000,"at_ns":[]},)"
        R"({"name":"pic","kind":"extint","vcpu":0,"vector":49,"delay_ns":1000,"at_ns":[]})";
    p.programs = {{"guest", "[\"signal\",0],[\"spin_until\",0,1]"},
                  {"handler", "[\"word_add\",0,1]"}};
    p.vcpus = {{0, "guest", {{48, "handler"}, {49, "handler"}}}};
    Machine one(p);
    EXPECT_EQ(VIRQSIM_ENDED, one.run());
    EXPECT_EQ(1u, one.exits(0, "EXTERNAL_INTERRUPT"));
    EXPECT_EQ(1u, one.exits(0, "PREEMPTION_TIMER"));
    EXPECT_EQ(2u, one.exits(0));

    p.programs["guest"] = "[\"signal\",0],[\"signal\",1],[\"spin_until\",0,2]";
    Machine two(p);
    EXPECT_EQ(VIRQSIM_ENDED, two.run()) << "userspace asks for the window when it has one more";
    EXPECT_EQ(1u, two.exits(0, "INTERRUPT_WINDOW"));
}

TEST(RunLoop, AnInterruptedDeliveryIsDoneAgainOnce)
{
    Plan p = sender_and_target("none", 1);
    p.programs["target"] = "[\"delivery_fault\"],[\"spin_until\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(1, "EPT_VIOLATION", "delivery"));
    EXPECT_EQ(1u, m.latency("ipi", "count"));
}

TEST(RunLoop, ADeadlockIsToldFromAnEnd)
{
    Plan p = sender_and_target("none", 1);
    p.programs["target"] = "[\"mask\"],[\"halt\"],[\"compute\",1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_IDLE, m.run());
}

TEST(RunLoop, ANmiReachesAGuestWithInterruptsOffAndASecondOneToo)
{
    Plan p = sender_and_target("none", 1);
    p.devices = R"({"name":"n","kind":"nmi","vcpu":1,"delay_ns":0,"at_ns":[20000,90000]})";
    p.programs["sender"] = "[\"compute\",200000]";
    p.programs["target"] = "[\"mask\"],[\"spin_until\",0,2]";
    p.vcpus[1].handlers = {{2, "nmi"}};
    p.programs["nmi"] = "[\"word_add\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(2u, m.latency("nmi", "count"));
}

/* A HLT with interrupts off lasts until an NMI, whatever else arrives: somebody looks, and the
   guest does not go on. */
class HaltWithInterruptsOff
    : public testing::TestWithParam<std::tuple<const char *, const char *, unsigned>>
{
};

TEST_P(HaltWithInterruptsOff, IsEndedByAnNmiAlone)
{
    Plan p;
    p.technology = std::get<0>(GetParam());
    p.irqchip = std::get<1>(GetParam());
    p.halt_poll_ns = std::get<2>(GetParam());
    p.guest_apic = p.irqchip == "userspace" ? "xapic" : "x2apic";
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":60,"at_ns":[100000]},)"
                R"({"name":"e","kind":"extint","vcpu":0,"vector":61,"at_ns":[200000]})";
    p.programs = {{"main",
                   "[\"timer_mode\",50,0],[\"timer_count\",1000,1],[\"mask\"],[\"halt\"],"
                   "[\"word_add\",0,1]"},
                  {"sender", "[\"compute\",150000],[\"ipi\",70,0],[\"compute\",50000]"}};
    p.vcpus = {{0, "main", {}}, {1, "sender", {}}};
    Machine sleeps(p);
    ASSERT_EQ("", sleeps.error());
    EXPECT_EQ(VIRQSIM_IDLE, sleeps.run());
    p.devices += R"(,{"name":"n","kind":"nmi","vcpu":0,"at_ns":[400000]})";
    Machine woken(p);
    EXPECT_EQ(VIRQSIM_ENDED, woken.run());
}

INSTANTIATE_TEST_SUITE_P(EveryMachine, HaltWithInterruptsOff,
                         testing::Combine(testing::Values("none", "apicv", "ipiv", "svm",
                                                          "x2avic"),
                                          testing::Values("kernel", "userspace"),
                                          testing::Values(0u, 20000u, 1000000u)));

TEST(RunLoop, AnInterruptThatTprHoldsBackDoesNotEndAHalt)
{
    for (const char *technology : {"none", "apicv", "ipiv", "svm", "x2avic"}) {
        Plan p = sender_and_target(technology, 1);
        p.programs["sender"] = "[\"compute\",100000],[\"ipi\",48,1],[\"compute\",100000],"
                               "[\"ipi\",80,1],[\"spin_until\",0,1]";
        p.programs["target"] = "[\"tpr\",64],[\"halt\"],[\"tpr\",0],[\"spin_until\",0,2]";
        p.vcpus[1].handlers[80] = "handler";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_LT(200000 * NS, virqsim_now(m.sim())) << technology;
        EXPECT_LT(100000 * NS, m.latency("ipi", "max_ps")) << technology;
    }
}

/* A tick that comes while the thread goes to sleep anyway is spent. */
TEST(RunLoop, ATimeSliceThatEndsAsTheThreadGoesToSleepIsNotHeldAgainstItLater)
{
    std::set<uint64_t> latencies;
    for (unsigned ns = 8000; ns < 12000; ns += 50) {
        Plan p;
        p.time_slice_ns = ns;
        p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[500000]})";
        p.programs = {{"sleeper", "[\"compute\",9000],[\"halt_until\",0,1]"},
                      {"handler", "[\"eoi\"],[\"word_add\",0,1]"},
                      {"other", "[\"compute\",100000],[\"halt\"]"}};
        p.vcpus = {{0, "sleeper", {{48, "handler"}}}, {0, "other", {}}};
        Machine m(p);
        EXPECT_EQ(VIRQSIM_IDLE, m.run());
        latencies.insert(m.latency("msi", "max_ps"));
    }
    EXPECT_EQ(1u, latencies.size());
}

/* Timers: on the hardware's timer while the guest runs, on the host's otherwise. */
TEST(RunLoop, ATimerOfARunningGuestIsThePreemptionTimerOrAHostInterrupt)
{
    Plan p;
    p.programs = {
        {"main", "[\"timer_mode\",50,2],[\"tsc_deadline\",20000],[\"spin_until\",0,1]"},
        {"tick", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{50, "tick"}}}};
    Machine hardware(p);
    p.features["preemption-timer"] = false;
    Machine host(p);
    EXPECT_EQ(VIRQSIM_ENDED, hardware.run());
    EXPECT_EQ(VIRQSIM_ENDED, host.run());
    EXPECT_EQ(1u, hardware.exits(0, "PREEMPTION_TIMER", "delivery"));
    EXPECT_EQ(1u, host.exits(0, "EXTERNAL_INTERRUPT", "delivery"));
}

TEST(RunLoop, PvEoiReplacesTheEoiExit)
{
    Plan p = sender_and_target("none", 5);
    p.features["pv-eoi"] = true;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(5u, m.exits(1, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(0u, m.exits(1, "MSR_WRITE", "acknowledge"));
}

TEST(RunLoop, PreparationsOfThePlanAreCountedApart)
{
    Plan p;
    p.programs = {{"main", "[\"setup\",1],[\"cpuid\"],[\"setup\",0],[\"cpuid\"],[\"cpuid\"]"}};
    p.vcpus = {{0, "main", {}}};
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(0, "CPUID", "setup"));
    EXPECT_EQ(2u, m.exits(0, "CPUID", "operation"));
}

/* Whatever step of the run loop an interrupt meets, somebody must look at it before the guest
   runs on without it: the guest makes a trip through everything there is, then waits. */
class AnyInstant
    : public testing::TestWithParam<std::tuple<const char *, const char *, const char *>>
{
};

TEST_P(AnyInstant, AnInterruptThatArrivesThenIsDelivered)
{
    Plan p;
    p.technology = std::get<0>(GetParam());
    p.irqchip = std::get<1>(GetParam());
    const std::string kind = std::get<2>(GetParam());
    p.guest_apic = p.irqchip == "userspace" ? "xapic" : "x2apic";
    p.programs = {{"main",
                   "[\"port_out\",128,1,0],[\"cpuid\"],[\"mask\"],[\"cpuid\"],[\"unmask\"],"
                   "[\"compute\",300],[\"spin_until\",0,1]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{60, "handler"}, {2, "handler"}}}};
    for (unsigned ns = 0; ns < 6000; ns += 20) {
        p.devices = "{\"name\":\"d\",\"kind\":\"" + kind +
                    "\",\"vcpu\":0,\"vector\":60,\"at_ns\":[" + std::to_string(ns) + "]}";
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << "at " << ns << " ns";
    }
}

INSTANTIATE_TEST_SUITE_P(EveryMachine, AnyInstant,
                         testing::Combine(testing::Values("none", "apicv", "ipiv", "svm",
                                                          "x2avic"),
                                          testing::Values("kernel", "split", "userspace"),
                                          testing::Values("msi", "level", "extint", "nmi")));

/* The same for a vCPU that goes to sleep. */
class AnyInstantOfAHalt
    : public testing::TestWithParam<std::tuple<const char *, const char *, unsigned>>
{
};

TEST_P(AnyInstantOfAHalt, AnInterruptThatArrivesThenEndsIt)
{
    Plan p;
    p.technology = std::get<0>(GetParam());
    p.irqchip = std::get<1>(GetParam());
    p.halt_poll_ns = std::get<2>(GetParam());
    p.guest_apic = p.irqchip == "userspace" ? "xapic" : "x2apic";
    p.programs = {{"sleeper", "[\"halt_until\",0,1],[\"halt_until\",0,2]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "sleeper", {{48, "handler"}}}, {1, "sender", {}}};
    for (unsigned cycles = 0; cycles < 5000; cycles += 20) {
        const std::string wait = "[\"compute\"," + std::to_string(cycles) + "],[\"ipi\",48,0],";
        p.programs["sender"] = wait + "[\"spin_until\",0,1]," + wait + "[\"spin_until\",0,2]";
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << "after " << cycles << " cycles";
    }
}

INSTANTIATE_TEST_SUITE_P(
    EveryMachine, AnyInstantOfAHalt,
    testing::Combine(testing::Values("none", "apicv", "ipiv", "svm", "x2avic"),
                     testing::Values("kernel", "userspace"), testing::Values(0u, 20000u)));

/* And for one that shares its CPU: running, switched away from, waiting its turn, switched to. */
class AnyInstantOfASlice : public testing::TestWithParam<std::tuple<const char *, const char *>>
{
};

TEST_P(AnyInstantOfASlice, AnInterruptThatArrivesThenIsDelivered)
{
    Plan p;
    p.technology = std::get<0>(GetParam());
    p.irqchip = std::get<1>(GetParam());
    p.guest_apic = p.irqchip == "userspace" ? "xapic" : "x2apic";
    p.load = {0};
    p.time_slice_ns = 5000;
    p.programs = {{"main", "[\"spin_until\",0,1],[\"halt_until\",0,2]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{48, "handler"}}}, {1, "sender", {}}};
    for (unsigned cycles = 0; cycles < 14000; cycles += 35) {
        const std::string wait = "[\"compute\"," + std::to_string(cycles) + "],[\"ipi\",48,0],";
        p.programs["sender"] = wait + "[\"spin_until\",0,1]," + wait + "[\"spin_until\",0,2]";
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << "after " << cycles << " cycles";
    }
}

INSTANTIATE_TEST_SUITE_P(EveryMachine, AnyInstantOfASlice,
                         testing::Combine(testing::Values("none", "apicv", "ipiv", "svm",
                                                          "x2avic"),
                                          testing::Values("kernel", "userspace")));

} // namespace
