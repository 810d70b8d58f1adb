/* The host's tick, interrupts of its own devices, and the balance that the tick keeps. */
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

/* A vCPU that works for 10 ms of its own, on CPU 0. */
Plan working(const std::string &technology)
{
    Plan p;
    p.technology = technology;
    p.programs = {
        {"main",
         "[\"stamp\",1],[\"repeat\",10000],[\"compute\",1000],[\"end\"],[\"stamp\",1]"}};
    p.vcpus = {{0, "main", {}}};
    return p;
}

uint64_t took(Machine &m)
{
    return m.stamps(0, 1, "sum_cycles");
}

class Noise : public testing::TestWithParam<const char *>
{
};

TEST_P(Noise, EachTickMakesARunningGuestLeave)
{
    Plan p = working(GetParam());
    Machine calm(p);
    EXPECT_EQ(VIRQSIM_ENDED, calm.run());
    p.tick_ns = 1000000;
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(10u, m.exits(0, "", "host")) << m.text();
    EXPECT_LT(took(calm), took(m));
}

TEST_P(Noise, ADevicesInterruptsCostTheGuestTheExitAndTheirWork)
{
    Plan p = working(GetParam());
    p.host_interrupts =
        R"({"cpu":0,"at_ns":[1000000,2000000,3000000]},{"cpu":1,"every_ns":5000})";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(3u, m.exits(0, "", "host")) << "and none of CPU 1's";
    p.host_interrupts =
        R"({"cpu":0,"at_ns":[1000000,2000000,3000000],"cycles":7000},{"cpu":1,"every_ns":5000})";
    Machine busy(p);
    EXPECT_EQ(VIRQSIM_ENDED, busy.run());
    EXPECT_EQ(took(m) + 3 * 7000, took(busy));
}

INSTANTIATE_TEST_SUITE_P(EveryTechnology, Noise,
                         testing::Values("none", "apicv", "ipiv", "eli", "svm", "x2avic"));

TEST(Noise, AHaltedGuestsCpuHasNoTick)
{
    Plan p = working("none");
    p.programs["main"] = "[\"halt_until\",0,1]";
    p.programs["handler"] = "[\"eoi\"],[\"word_add\",0,1]";
    p.vcpus[0].handlers = {{48, "handler"}};
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[50000000]})";
    Machine calm(p);
    EXPECT_EQ(VIRQSIM_ENDED, calm.run());
    p.tick_ns = 1000000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(0, "", "host"));
    const auto events = [](Machine &of) {
        return json_integer_value(json_object_get(of.results(), "events"));
    };
    EXPECT_GT(events(calm) + 10, events(m)) << "of 50 periods";
}

/* It works from 1.5 ms on: ticks come at 2 and 3 ms. */
TEST(Noise, TicksComeAtMultiplesOfTheirPeriod)
{
    Plan p = working("none");
    p.programs["main"] = "[\"halt_until\",0,1],[\"compute\",3000000]";
    p.programs["handler"] = "[\"eoi\"],[\"word_add\",0,1]";
    p.vcpus[0].handlers = {{48, "handler"}};
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[1500000]})";
    p.tick_ns = 1000000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_RUNNING, m.run(3300000000));
    EXPECT_EQ(2u, m.exits(0, "", "host"));
}

TEST(Noise, AMachineThatWaitsForEverIsFoundWaiting)
{
    Plan p = working("none");
    p.programs["main"] = "[\"spin_until\",0,1]";
    p.tick_ns = 1000000;
    p.host_interrupts = R"({"cpu":0,"every_ns":300000},{"cpu":1,"every_ns":300000})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_IDLE, m.run()) << m.text();
}

uint64_t longest(const Plan &p)
{
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    uint64_t most = 0;
    for (size_t n = 0; n < p.vcpus.size(); n++)
        most = std::max(most, m.stamps((int)n, 1, "sum_cycles"));
    return most;
}

/* Three threads that roam begin on CPU 0; CPU 1 is never without work of another. */
TEST(Noise, TheTickBalancesCpusThatAreAllBusy)
{
    Plan p = working("none");
    p.scheduler = R"({"latency_ns":6000000,"wakeup_granularity_ns":1000000})";
    p.physical_cpus = 2;
    p.load = {1};
    p.vcpus.clear();
    for (unsigned n = 0; n < 3; n++) {
        p.vcpus.push_back({0, "main", {}});
        p.vcpus.back().roams = true;
    }
    EXPECT_LT(29000000u, longest(p)) << "each has a third of CPU 0";
    p.tick_ns = 1000000;
    const uint64_t balanced = longest(p);
    EXPECT_GT(23000000u, balanced) << "one shares CPU 1, two share CPU 0";
    EXPECT_LT(19000000u, balanced);
    p.vcpus[0].roams = p.vcpus[1].roams = p.vcpus[2].roams = false;
    EXPECT_LT(29000000u, longest(p)) << "who is pinned stays";
}

TEST(Noise, APlanThatMakesNoSenseIsRefused)
{
    Plan p = working("none");
    p.host_interrupts = R"({"cpu":4,"every_ns":5000})";
    EXPECT_EQ("plan: machine.host_interrupts[0].cpu: 4 is out of range (0..3)",
              Machine(p).error());
    p.host_interrupts = R"({"cpu":0})";
    EXPECT_EQ("plan: machine.host_interrupts[0]: has no times; every_ns or at_ns belongs here",
              Machine(p).error());
}

} // namespace
