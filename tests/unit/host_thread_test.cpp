/* Host threads that are no vCPUs, and QEMU's global lock; a cycle is a nanosecond, a cost 100. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

constexpr uint64_t NS = 1000, COST = 100 * NS;

/* One vCPU that computes for a millisecond on CPU 0, and what stands beside it. */
Plan with_threads(const std::string &threads)
{
    Plan p;
    p.programs = {{"main", "[\"compute\",1000000]"}};
    p.vcpus = {{0, "main", {}}};
    p.threads = threads;
    p.until_ns = 1000000;
    return p;
}

/* Woken after host.wake and hw.ipi, the CPU's idle exit; the item; it looks again. */
TEST(HostThread, WorksOffAnItemAndSleepsAgain)
{
    Machine m(
        with_threads(R"({"kind":"vhost","pin":1,"work":[{"at_ns":[1000],"cycles":5000}]})"));
    ASSERT_EQ("", m.error());
    m.run();
    EXPECT_EQ(1u, m.thread_items(0));
    EXPECT_EQ(5000 * NS, m.thread_ps(0, "RUNS"));
    EXPECT_EQ(3 * COST, m.thread_ps(0, "READY"));
    EXPECT_EQ((1000000 - 5000 - 300) * NS, m.thread_ps(0, "ASLEEP"));
}

/* The end of the call is an interrupt of the host's, and the CPU was idle meanwhile. */
TEST(HostThread, LeavesItsCpuInABlockingCall)
{
    Machine m(with_threads(
        R"({"kind":"aio-worker","pin":1,"work":[{"at_ns":[1000],"cycles":10,"sleep_ns":7000,"after_cycles":20}]})"));
    m.run();
    EXPECT_EQ(7000 * NS, m.thread_ps(0, "SLEEPS"));
    EXPECT_EQ(30 * NS, m.thread_ps(0, "RUNS"));
    EXPECT_EQ(5 * COST, m.thread_ps(0, "READY"))
        << "wake, IPI and idle exit; interrupt and idle exit";
}

TEST(HostThread, APieceThatComesBeforeTheLastIsDoneIsTheSame)
{
    Machine m(with_threads(
        R"({"kind":"vhost","pin":1,"work":[{"at_ns":[0,100,200,9000],"cycles":5000}]})"));
    m.run();
    EXPECT_EQ(2u, m.thread_items(0));
}

TEST(HostThread, SharesItsCpuWithAVcpuInTimeSlices)
{
    Plan p =
        with_threads(R"({"kind":"vhost","pin":0,"work":[{"at_ns":[50000],"cycles":250000}]})");
    p.time_slice_ns = 100000;
    Machine m(p);
    m.run();
    EXPECT_EQ(1u, m.thread_items(0));
    /* 250000 of its own, and a switch each of the three times that it is scheduled. */
    EXPECT_EQ((250000 + 300) * NS, m.thread_ps(0, "RUNS"));
    EXPECT_GT(m.vcpu_ps(0, "PARKED"), 249000 * NS);
    EXPECT_GT(m.thread_ps(0, "READY"), 290000 * NS);
}

TEST(HostThread, WorkersOfThePoolShareItsItemsAndWorkSideBySide)
{
    const std::string work =
        R"("work":[{"at_ns":[1000],"cycles":50000},{"at_ns":[1000],"cycles":50000}]})";
    Machine one(with_threads(R"({"kind":"aio-worker","pin":1,)" + work));
    Machine two(
        with_threads(R"({"kind":"aio-worker","pin":1},{"kind":"aio-worker","pin":2,)" + work));
    one.run();
    two.run();
    EXPECT_EQ(2u, one.thread_items(0));
    EXPECT_EQ(1u, two.thread_items(0));
    EXPECT_EQ(1u, two.thread_items(1));
}

TEST(HostThread, ItsDeviceInterruptsTheGuestWhenItIsDone)
{
    Plan p = with_threads(
        R"({"kind":"vhost","pin":1,"work":[{"at_ns":[1000],"cycles":5000,"signals":0}]})");
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48})";
    Machine m(p);
    m.run();
    EXPECT_EQ(1u, m.latency("msi", "count"));
}

/* The vCPU's device access meets the main loop's turn, and waits for its end. */
Plan contended(unsigned held_ns)
{
    Plan p = with_threads(R"({"kind":"main-loop","pin":1,"work":[{"at_ns":[0],"cycles":)" +
                          std::to_string(held_ns) + "}]}");
    p.programs["main"] = "[\"compute\",5000],[\"port_out\",128,1,0],[\"compute\",100]";
    return p;
}

TEST(GlobalLock, AVcpuThatFindsItTakenSleepsUntilItIsFree)
{
    Machine m(contended(100000));
    ASSERT_EQ("", m.error());
    m.run();
    EXPECT_EQ(1u, m.number("lock_waits"));
    EXPECT_GT(m.vcpu_ps(0, "LOCKED"), 90000 * NS);
    EXPECT_LT(m.vcpu_ps(0, "LOCKED"), 100000 * NS);
    EXPECT_EQ(1u, m.userspace_exits(0)) << "one return of KVM_RUN, however long it waits";
}

TEST(GlobalLock, CostsNothingWhereNobodyElseHasIt)
{
    Machine beside(contended(10));
    Plan p = contended(10);
    p.threads = "";
    Machine alone(p);
    beside.run();
    alone.run();
    EXPECT_EQ(0u, beside.number("lock_waits"));
    EXPECT_EQ(alone.vcpu_ps(0, "USERSPACE"), beside.vcpu_ps(0, "USERSPACE"));
    EXPECT_EQ(alone.number("time_ps"), beside.number("time_ps"));
}

/* And the other way round: turns of the main loop begin while vCPUs are in device models. */
TEST(GlobalLock, TheMainLoopWaitsForVcpus)
{
    Plan p = contended(10);
    std::string times = "0";
    for (unsigned ns = 7300; ns < 300000; ns += 7300)
        times += "," + std::to_string(ns);
    p.cost = 1000;
    p.programs["main"] = "[\"repeat\",40],[\"port_out\",128,1,0],[\"end\"],[\"compute\",100]";
    p.threads =
        R"({"kind":"main-loop","pin":1,"work":[{"at_ns":[)" + times + R"(],"cycles":50}]})";
    p.physical_cpus = 16;
    p.vcpus.clear();
    for (unsigned pin = 2; pin < 16; pin++) /* enough that it is hardly ever free */
        p.vcpus.push_back({pin, "main", {}});
    Machine m(p);
    m.run();
    EXPECT_GT(m.thread_ps(0, "WAITS"), 0u);
    EXPECT_GT(m.thread_items(0), 0u);
}

/* Everybody is woken in turn, and none is forgotten. */
TEST(GlobalLock, ManyWaitersAllGetIt)
{
    Plan p = contended(100000);
    p.programs["main"] = "[\"compute\",5000],[\"repeat\",5],[\"port_out\",128,1,0],[\"end\"]";
    p.vcpus = {{0, "main", {}}, {2, "main", {}}, {3, "main", {}}};
    p.until_ns = 0;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    for (int v = 0; v < 3; v++)
        EXPECT_EQ(5u, m.userspace_exits(v));
    EXPECT_GE(m.number("lock_waits"), 3u);
}

/* Its price is paid once, and the lock is held from the first item to the last. */
TEST(GlobalLock, WhatIsReadyTogetherIsOneTurn)
{
    Plan p =
        with_threads(R"({"kind":"main-loop","pin":1,"work":[{"at_ns":[1000],"cycles":5000},)"
                     R"({"at_ns":[1000],"cycles":7000}]})");
    Machine m(p);
    m.run();
    EXPECT_EQ(2u, m.thread_items(0));
    EXPECT_EQ((5000 + 7000) * NS + COST, m.thread_ps(0, "RUNS"));
}

/* What is submitted during a turn waits for the next one: who comes just between two turns finds the
   lock free, though the main loop has more to do. */
TEST(GlobalLock, IsGivenBackBetweenTwoTurns)
{
    bool found = false;
    for (unsigned ns = 49000; ns < 51500 && !found; ns += 20) {
        Plan p = contended(1);
        p.programs["main"] = "[\"compute\"," + std::to_string(ns) +
                             "],[\"port_out\",128,1,0],[\"compute\",200000]";
        p.threads = R"({"kind":"main-loop","pin":1,"work":[{"at_ns":[0],"cycles":50000},)"
                    R"({"at_ns":[10000],"cycles":50000}]})";
        Machine m(p);
        m.run();
        ASSERT_EQ(2u, m.thread_items(0));
        found = m.vcpu_ps(0, "LOCKED") == 0;
    }
    EXPECT_TRUE(found);
}

class WrongThreads : public testing::TestWithParam<std::pair<const char *, const char *>>
{
};

TEST_P(WrongThreads, AreRefusedWithThePlace)
{
    Machine m(with_threads(GetParam().first));
    EXPECT_EQ(std::string("plan: machine.threads") + GetParam().second, m.error());
}

INSTANTIATE_TEST_SUITE_P(
    Plans, WrongThreads,
    testing::Values(
        std::make_pair(R"({"kind":"main-loop","pin":1},{"kind":"main-loop","pin":2})",
                       "[1]: is a second main loop; QEMU has one"),
        std::make_pair(R"({"kind":"vhost","pin":4})",
                       "[0].pin: 4 is not a physical CPU (0..3)"),
        std::make_pair(R"({"kind":"vhost","pin":1,"work":[{"at_ns":[5,4],"cycles":1}]})",
                       "[0].work[0].at_ns[1]: is earlier than the one before it"),
        std::make_pair(
            R"({"kind":"vhost","pin":1,"work":[{"at_ns":[5],"cycles":1,"signals":0}]})",
            "[0].work[0]: signals a device, and the machine has none")));

} // namespace
