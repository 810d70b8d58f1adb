/* Declared hardware in the whole machine: what its rules cost, and the timer that it counts. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

std::string virtualized(const std::string &access, const std::string &effect, unsigned cycles)
{
    return "{\"access\":\"" + access + R"(","verdict":"virtualized","effect":")" + effect +
           R"(","cycles":{"value":)" + std::to_string(cycles) +
           R"(,"low":0,"high":100000,"kind":"assumed","source":"a test"}})";
}

std::string feature(const std::string &rules)
{
    return R"({"name":"mine","title":"mine","base":"apicv","rules":[)" + rules + "]}";
}

const std::string TIMER = virtualized("timer.deadline", "arm-timer", 40) + "," +
                          virtualized("timer.expiry", "expire", 60);

/* One vCPU with a handler for its timer. */
Plan one(const std::string &program, const std::string &hypothetical)
{
    Plan p;
    p.technology = "apicv";
    p.hypothetical = hypothetical;
    p.physical_cpus = 1;
    p.programs = {{"main", program}, {"tick", "[\"word_add\",0,1],[\"eoi\"]"}};
    p.vcpus = {{0, "main", {{48, "tick"}}}};
    return p;
}

/* Between the first two stamps, in cycles of 1 ns. */
uint64_t span(Machine &m)
{
    json_t *stamps = json_object_get(m.results(), "stamps");
    return (uint64_t)json_integer_value(
        json_object_get(json_array_get(stamps, 0), "sum_cycles"));
}

TEST(DeclaredRuns, AMulticastIsPaidForOnceForEachDestination)
{
    Plan p = one("[\"stamp\",1],[\"ipi\",2096,14],[\"stamp\",1],[\"compute\",50000]",
                 feature(virtualized("ipi.logical", "post-each", 500)));
    p.programs["idle"] = "[\"compute\",40000]";
    p.physical_cpus = 4;
    for (unsigned i = 1; i < 4; i++)
        p.vcpus.push_back({i, "idle", {}});
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(3 * 500u + 100u, span(m)); /* and guest.rdtsc */
    EXPECT_EQ(3u, m.latency("ipi", "count"));
}

TEST(DeclaredRuns, ArmingTheTimerCostsWhatItsRuleSays)
{
    Machine m(one("[\"timer_mode\",48,2],[\"stamp\",1],[\"tsc_deadline\",900000],[\"stamp\",1]",
                  feature(TIMER)));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(40u + 100u, span(m));
}

/* IA32_TSC_DEADLINE written with a time that is over: the interrupt comes at once, without an exit. */
TEST(DeclaredRuns, ADeadlineThatIsOverIsTakenInTheGuestToo)
{
    Machine m(
        one("[\"timer_mode\",48,2],[\"wrmsr\",1760,1],[\"spin_until\",0,1]", feature(TIMER)));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.latency("timer", "count"));
    EXPECT_EQ(0u, m.exits(0, "", "delivery"));
    EXPECT_EQ(1u, m.exits(0)) << "LVT_TIMER alone";
}

/* Deadlines that sweep over a CPUID's way out and in: whoever finds the timer at zero, it is never an
   exit. */
TEST(DeclaredRuns, AnExpiryDuringAnEntryIsNoExit)
{
    std::string program = "[\"timer_mode\",48,2]";
    for (unsigned n = 1; n <= 200; n++)
        program += ",[\"tsc_deadline\"," + std::to_string(40 + n * 5) +
                   "],[\"cpuid\"],[\"spin_until\",0," + std::to_string(n) + "]";
    Machine m(one(program, feature(TIMER)));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(200u, m.latency("timer", "count"));
    EXPECT_EQ(0u, m.exits(0, "PREEMPTION_TIMER"));
    EXPECT_EQ(0u, m.exits(0, "EXTERNAL_INTERRUPT"));
}

TEST(DeclaredRuns, AHaltedGuestIsWokenByItsTimer)
{
    Machine m(one("[\"timer_mode\",48,2],[\"tsc_deadline\",100000],[\"halt_until\",0,1]",
                  feature(TIMER)));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.latency("timer", "count"));
    EXPECT_EQ(1u, m.exits(0, "HLT"));
}

/* While KVM has AVIC off the declared timer is off with it, and a timer of the host takes over. */
TEST(DeclaredRuns, ATimerThatIsSwitchedOffIsTheHosts)
{
    Plan p = one("[\"timer_mode\",48,2],[\"tsc_deadline\",30000],[\"spin_until\",0,1]",
                 feature(TIMER));
    p.technology = "avic";
    p.guest_apic = "xapic";
    Machine on(p);
    ASSERT_EQ("", on.error());
    EXPECT_EQ(VIRQSIM_ENDED, on.run());
    EXPECT_EQ(0u, on.exits(0, "interrupt"));
    EXPECT_EQ(1u, on.latency("timer", "count"));
    p.inhibits = R"({"reason":"HYPERV","from_ns":0})";
    Machine off(p);
    ASSERT_EQ("", off.error());
    EXPECT_EQ(VIRQSIM_ENDED, off.run());
    EXPECT_EQ(1u, off.exits(0, "interrupt", "delivery"));
    EXPECT_EQ(1u, off.latency("timer", "count"));
}

} // namespace
