/* The VM is paused by QEMU's main loop, and goes on; a cycle is a nanosecond, a cost 100. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

constexpr uint64_t NS = 1000;

/* One vCPU with this program, whose VM is paused at `at_ns` for 50 us. */
Plan paused(const std::string &program, uint64_t at_ns)
{
    Plan p;
    p.programs = {{"main", program}};
    p.vcpus = {{0, "main", {}}};
    p.threads = R"({"kind":"main-loop","pin":1,"work":[{"at_ns":[)" + std::to_string(at_ns) +
                R"(],"cycles":10,"pauses_ns":50000}]})";
    p.until_ns = 1000000;
    return p;
}

TEST(VmPause, AVcpuInItsGuestLeavesStopsAndGoesOn)
{
    Machine m(paused("[\"compute\",300000],[\"compute\",1]", 100000));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(50000 * NS, m.vcpu_ps(0, "STOPPED"));
    EXPECT_EQ(1u, m.userspace_exits(0, "KVM_EXIT_INTR"));
    EXPECT_EQ(1u, m.exits(0, "EXTERNAL_INTERRUPT"));
}

/* Wherever in an I/O instruction's way to the device model the signal comes, the instruction
   is executed once: KVM is entered to complete it before the thread stops. */
TEST(VmPause, AnIoInstructionIsCompleteBeforeTheThreadStops)
{
    unsigned met = 0;
    for (unsigned ns = 20000; ns < 22000; ns += 50) {
        Machine m(
            paused("[\"compute\",20000],[\"port_out\",128,1,0],[\"compute\",200000]", ns));
        ASSERT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(1u, m.userspace_exits(0, "KVM_EXIT_IO"));
        EXPECT_EQ(1u, m.userspace_exits(0, "KVM_EXIT_INTR"));
        EXPECT_EQ(50000 * NS, m.vcpu_ps(0, "STOPPED"));
        met += m.exits(0) == 1; /* no exit but the instruction's own: it kicked itself */
    }
    EXPECT_GT(met, 5u);
}

TEST(VmPause, OneThatHasHaltedStillDoesAfterwards)
{
    for (const char *irqchip : {"kernel", "userspace"}) {
        Plan p = paused("[\"halt\"],[\"compute\",1]", 100000);
        p.irqchip = irqchip;
        p.guest_apic = "xapic";
        p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[600000]})";
        p.programs["handler"] = "[\"stamp\",0],[\"eoi\"]";
        p.vcpus[0].handlers = {{48, "handler"}};
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << irqchip;
        EXPECT_EQ(1u, m.exits(0, "HLT")) << irqchip;
        EXPECT_GT(m.number("time_ps"), 600000 * NS) << irqchip << ": it woke up by itself";
    }
}

TEST(VmPause, AnInterruptThatCameMeanwhileIsTakenWhenItGoesOn)
{
    Plan p = paused("[\"halt\"],[\"compute\",1]", 100000);
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[120000]})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_GT(m.latency("msi", "min_ps"), 30000 * NS);
    EXPECT_LT(m.latency("msi", "min_ps"), 35000 * NS);
}

TEST(VmPause, WaitsForTheLastVcpu)
{
    Plan p = paused("[\"compute\",300000]", 100000);
    p.vcpus = {{0, "main", {}}, {2, "main", {}}, {2, "main", {}}};
    p.time_slice_ns = 40000;
    p.until_ns = 0;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    for (int v = 0; v < 3; v++)
        EXPECT_GE(m.vcpu_ps(v, "STOPPED"), 50000 * NS);
    EXPECT_EQ(50000 * NS, std::min(m.vcpu_ps(1, "STOPPED"), m.vcpu_ps(2, "STOPPED")));
}

TEST(VmPause, IsTheMainLoopsAffair)
{
    Plan p = paused("[\"compute\",1]", 1);
    p.threads = R"({"kind":"vhost","pin":1,"work":[{"at_ns":[1],"cycles":1,"pauses_ns":5}]})";
    EXPECT_EQ(
        "plan: machine.threads[0].work[0].pauses_ns: is for the main loop, which pauses the VM",
        Machine(p).error());
}

} // namespace
