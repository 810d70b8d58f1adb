/* The host's fair scheduler; a cycle is a nanosecond, a cost 100. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;
using plans::Vcpu;

constexpr uint64_t NS = 1000;

/* So many vCPUs that compute, all on CPU 0 at first. */
Plan busy(unsigned vcpus, unsigned physical_cpus, bool roam)
{
    Plan p;
    p.programs = {{"main", "[\"compute\",500000000]"}};
    p.scheduler = R"({"latency_ns":100000,"wakeup_granularity_ns":20000})";
    p.time_slice_ns = 50000;
    p.physical_cpus = physical_cpus;
    p.until_ns = 20000000;
    p.cost = 1;
    for (unsigned i = 0; i < vcpus; i++) {
        Vcpu v{0, "main", {}};
        v.roams = roam;
        p.vcpus.push_back(v);
    }
    return p;
}

double share(Machine &m, size_t vcpu)
{
    return (double)m.vcpu_ps(vcpu, "GUEST") / (double)m.number("time_ps");
}

uint64_t migrations(Machine &m, size_t vcpu)
{
    return (uint64_t)json_integer_value(json_object_get(
        json_array_get(json_object_get(m.results(), "vcpus"), vcpu), "migrations"));
}

TEST(Scheduler, EqualsHaveEqualShares)
{
    Machine m(busy(4, 1, false));
    ASSERT_EQ("", m.error());
    m.run();
    for (size_t v = 0; v < 4; v++)
        EXPECT_NEAR(0.25, share(m, v), 0.01);
}

/* Nice 5 weighs 335 and nice 0 weighs 1024 (sched_prio_to_weight). */
TEST(Scheduler, SharesFollowWeights)
{
    Plan p = busy(2, 1, false);
    p.vcpus[1].nice = 5;
    Machine m(p);
    m.run();
    EXPECT_NEAR(1024.0 / (1024 + 335), share(m, 0), 0.01);
    EXPECT_NEAR(335.0 / (1024 + 335), share(m, 1), 0.01);
}

TEST(Scheduler, TheLightestThreadIsNotStarved)
{
    Plan p = busy(3, 1, false);
    p.vcpus[0].nice = p.vcpus[1].nice = -20;
    p.vcpus[2].nice = 19;
    p.until_ns = 2000000000;
    Machine m(p);
    m.run();
    EXPECT_GT(m.vcpu_ps(2, "GUEST"), 0u);
}

TEST(Scheduler, ThreadsThatRoamFindEveryCpu)
{
    Machine pinned(busy(4, 4, false)), roaming(busy(4, 4, true));
    pinned.run();
    roaming.run();
    EXPECT_NEAR(0.25, share(pinned, 3), 0.01);
    for (size_t v = 0; v < 4; v++)
        EXPECT_GT(share(roaming, v), 0.95) << "vCPU " << v;
}

TEST(Scheduler, ACpuThatRunsOutOfWorkTakesWhatWaitsElsewhere)
{
    Plan p = busy(3, 2, true);
    p.programs["short"] = "[\"compute\",1000000],[\"mask\"],[\"halt\"]";
    p.vcpus[1].program = "short";
    p.vcpus[1].pin = 1;
    Machine m(p);
    m.run();
    EXPECT_GT(share(m, 0), 0.9);
    EXPECT_GT(share(m, 2), 0.9);
}

/* A device interrupts a vCPU that sleeps; another vCPU computes on the same CPU. */
Plan woken(uint64_t granularity_ns)
{
    Plan p = busy(2, 1, false);
    p.programs["sleeper"] = "[\"repeat\",50],[\"halt_take\",0,1],[\"end\"]";
    p.programs["handler"] = "[\"word_add\",0,1],[\"eoi\"]";
    p.vcpus[1].program = "sleeper";
    p.vcpus[1].handlers = {{48, "handler"}};
    std::string times;
    for (unsigned n = 0; n < 50; n++)
        times += (n ? "," : "") + std::to_string(100000 + n * 370000);
    p.devices = R"({"name":"d","kind":"msi","vcpu":1,"vector":48,"at_ns":[)" + times + "]}";
    p.time_slice_ns = 3000000;
    p.scheduler = R"({"latency_ns":24000000,"wakeup_granularity_ns":)" +
                  std::to_string(granularity_ns) + "}";
    return p;
}

TEST(Scheduler, WhoWakesUpPreemptsWhoWasChargedMore)
{
    Machine at_once(woken(10000)), at_the_end_of_the_slice(woken(1000000000));
    at_once.run();
    at_the_end_of_the_slice.run();
    EXPECT_LT(at_once.latency("msi", "p50_ps"), 1000 * NS);
    EXPECT_GT(at_the_end_of_the_slice.latency("msi", "p50_ps"), 100000 * NS);
}

/* The sleeper has gone to sleep on CPU 0, where another thread computes, before CPU 1 was idle. */
TEST(Scheduler, WhoWakesUpGoesToACpuThatHasNothingToDo)
{
    Plan p = woken(1000000000);
    p.physical_cpus = 2;
    p.time_slice_ns = 20000;
    p.vcpus[1].roams = true;
    p.programs["short"] = "[\"compute\",90000],[\"mask\"],[\"halt\"]";
    p.vcpus.push_back({1, "short", {}});
    Machine m(p);
    m.run();
    EXPECT_EQ(50u, m.latency("msi", "count"));
    EXPECT_LT(m.latency("msi", "max_ps"), 1000 * NS);
    EXPECT_EQ(1u, migrations(m, 1));
}

/* It has slept for 10 ms and runs for 10: by half a latency more than its half of them. */
TEST(Scheduler, SleepIsNotSavedUp)
{
    Plan p = busy(2, 1, false);
    p.programs["late"] = "[\"halt_take\",0,1],[\"compute\",500000000]";
    p.programs["handler"] = "[\"word_add\",0,1],[\"eoi\"]";
    p.vcpus[1] = {0, "late", {{48, "handler"}}};
    p.devices = R"({"name":"d","kind":"msi","vcpu":1,"vector":48,"at_ns":[10000000]})";
    Machine m(p);
    m.run();
    EXPECT_NEAR(0.75, share(m, 0), 0.01);
    EXPECT_NEAR(0.25, share(m, 1), 0.01);
}

/* The time for which a vCPU would run and does not, which Linux' guests call steal. */
TEST(Scheduler, StealIsTheTimeInTheQueue)
{
    Machine m(busy(2, 1, false));
    m.run();
    const double stolen = (double)m.vcpu_ps(0, "PARKED") / (double)m.number("time_ps");
    EXPECT_NEAR(0.5, stolen, 0.01);
}

/* Two share CPU 0 until CPU 1 has nothing more to do; then one of them goes there, and stays. */
TEST(Scheduler, MigrationsAreCounted)
{
    Plan p = busy(3, 2, true);
    p.programs["short"] = "[\"compute\",1000000],[\"mask\"],[\"halt\"]";
    p.vcpus[1].program = "short";
    p.vcpus[1].pin = 1;
    Machine roam(p), stay(busy(2, 2, false));
    roam.run();
    stay.run();
    EXPECT_EQ(1u, migrations(roam, 0) + migrations(roam, 2));
    EXPECT_EQ(0u, migrations(stay, 0) + migrations(stay, 1));
}

/* CPU 1's own thread has run for 10 ms and sleeps; one that has run less comes from CPU 0. It must not
   be ahead by those 10 ms when the other one wakes up. */
TEST(Scheduler, WhoComesFromAnotherCpuIsNoBetterOffThanThoseWhoAreThere)
{
    Plan p = busy(3, 2, true);
    p.programs["sleeper"] = "[\"compute\",10000000],[\"halt_take\",0,1],[\"compute\",3000000]";
    p.programs["handler"] = "[\"word_add\",0,1],[\"eoi\"]";
    p.vcpus[1] = {1, "sleeper", {{48, "handler"}}};
    p.devices = R"({"name":"d","kind":"msi","vcpu":1,"vector":48,"at_ns":[12000000]})";
    Machine m(p);
    m.run();
    EXPECT_EQ(1u, migrations(m, 0) + migrations(m, 2));
    EXPECT_EQ(1u, m.latency("msi", "count"));
    EXPECT_LT(m.latency("msi", "max_ps"), 1000000 * NS);
}

/* IPI virtualization posts by the descriptor's NDST: it names the CPU to which the target has gone. */
TEST(Scheduler, AVcpuThatHasMigratedIsNotifiedWhereItRuns)
{
    Plan p = busy(3, 2, true);
    p.technology = "ipiv";
    p.programs["sender"] =
        "[\"compute\",2000000],[\"ipi\",48,0],[\"ipi\",48,2],[\"compute\",500000000]";
    p.programs["handler"] = "[\"eoi\"]";
    p.vcpus[1].program = "sender";
    p.vcpus[0].handlers = p.vcpus[2].handlers = {{48, "handler"}};
    Machine m(p);
    m.run();
    EXPECT_EQ(2u, m.latency("ipi", "count"));
    EXPECT_EQ(nullptr, json_string_value(json_object_get(m.results(), "broken")));
}

TEST(Scheduler, NiceAndRoamsNeedAFairScheduler)
{
    Plan p = busy(1, 1, true);
    p.scheduler = "";
    EXPECT_EQ("plan: machine.vcpus[0].roams: is for a fair scheduler; hypervisor.scheduler is "
              "missing",
              Machine(p).error());
    p.scheduler = "{}";
    p.vcpus[0].nice = 20;
    EXPECT_EQ("plan: machine.vcpus[0].nice: a whole number belongs here, -20 to 19",
              Machine(p).error());
}

} // namespace
