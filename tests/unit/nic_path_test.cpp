/* Network cards in the machine: what a burst of frames costs its guest, by who masks what. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

constexpr unsigned vector = 65;

/* vCPU 0 works until `frames` frames were taken, which come in bursts, a frame each 100 ns. A cost is
   100 ns, so that a delivery takes longer than a burst's next frame. */
Plan receiver(const std::string &technology, unsigned frames, unsigned burst,
              const std::string &handler, bool auto_mask, const std::string &path = "assigned",
              const std::string &moderation = "")
{
    const std::string text = std::to_string(frames);
    Plan p;

    p.technology = technology;
    p.programs = {{"main", "[\"spin_until\",0," + text + "]"}, {"handler", handler}};
    p.vcpus = {{0, "main", {{vector, "handler"}}}};
    p.nics = R"({"name":"n","path":")" + path + R"(","auto_mask":)" +
             (auto_mask ? "true" : "false") +
             (moderation.empty() ? "" : ",\"moderation\":" + moderation) +
             R"(,"queues":[{"vcpu":0,"vector":65)" + (path == "assigned" ? ",\"cpu\":0" : "") +
             R"(,"arrivals":{"kind":"bursts","from_ns":5000,"gap_ns":1000000,"within_ns":2000,)"
             R"("burst":)" +
             std::to_string(burst) + ",\"count\":" + text + "}}]}";
    return p;
}

const char *const napi = R"(["eoi"],["rx_poll",0,0,0],["rx_unmask",0])";
const char *const classic = R"(["rx_poll",0,0,0],["eoi"])";
const char *const masked = R"(["rx_poll",0,0,0],["rx_unmask",0],["eoi"])";

uint64_t of_queue(Machine &m, unsigned queue, const char *what)
{
    const json_t *row = json_array_get(json_object_get(m.results(), "queues"), queue);
    return (uint64_t)json_integer_value(json_object_get(row, what));
}

uint64_t exits_of(const Plan &p)
{
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    return m.exits(0);
}

TEST(NicPath, AnEmulatedCardInterruptsByIrqfd)
{
    Machine m(receiver("none", 4, 1, classic, false, "emulated"));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(4u, m.exits(0, "EXTERNAL_INTERRUPT", "delivery")); /* the kick */
    EXPECT_EQ(4u, m.exits(0, "MSR_WRITE", "acknowledge"));
    EXPECT_EQ(4u, of_queue(m, 0, "arrived"));
    EXPECT_EQ(4u, of_queue(m, 0, "taken"));
}

TEST(NicPath, AnAssignedCardsInterruptTakesTheWayOfAnyAssignedDevice)
{
    EXPECT_EQ(8u, exits_of(receiver("none", 4, 1, classic, false)));
    EXPECT_EQ(4u, exits_of(receiver("apicv", 4, 1, classic, false)));
    EXPECT_EQ(0u, exits_of(receiver("vtd-pi", 4, 1, classic, false)));
    EXPECT_EQ(0u, exits_of(receiver("eli", 4, 1, classic, false)));
}

TEST(NicPath, WithoutAMaskExitsGrowWithTheBurst)
{
    EXPECT_EQ(16u, exits_of(receiver("apicv", 16, 16, classic, false)));
    EXPECT_EQ(32u, exits_of(receiver("apicv", 32, 32, classic, false)));
}

/* The card masks itself (NAPI), or the host does it (masked delivery): one exit by burst. */
TEST(NicPath, WithAMaskExitsOfABurstDoNotGrowWithIt)
{
    for (unsigned burst : {1u, 16u, 64u}) {
        Plan host = receiver("apicv", 4 * burst, burst, masked, false);
        host.features["masked-delivery"] = true;
        host.cost = 1000; /* a frame takes longer than the next one's way */
        Plan card = receiver("apicv", 4 * burst, burst, napi, true);
        card.cost = 1000;
        EXPECT_EQ(4u, exits_of(host)) << burst;
        EXPECT_EQ(4u, exits_of(card)) << burst;
    }
}

/* Only a device of the host's own: what is emulated has no interrupt that the host could take. */
TEST(NicPath, MaskedDeliveryIsForAssignedCards)
{
    Plan p = receiver("apicv", 16, 16, classic, false, "emulated");
    const uint64_t without = exits_of(p);
    p.features["masked-delivery"] = true;
    EXPECT_EQ(without, exits_of(p));
}

TEST(NicPath, TheHostMasksTheQueueOnceForEachInterruptThatItTakes)
{
    Plan p = receiver("none", 8, 4, masked, false);
    p.features["masked-delivery"] = true;
    p.cost = 1000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(2u, m.exits(0, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(2u, of_queue(m, 0, "masked"));
}

/* The guest that forgets to unmask gets no more interrupts; its frames wait and are not lost. */
TEST(NicPath, AQueueThatNobodyUnmasksKeepsItsFrames)
{
    Plan p = receiver("apicv", 12, 4, classic, false);
    p.features["masked-delivery"] = true;
    p.cost = 1000;
    p.until_ns = 5000000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(4u, of_queue(m, 0, "taken"));
    EXPECT_EQ(8u, of_queue(m, 0, "waiting"));
    EXPECT_EQ(1u, m.exits(0));
}

TEST(NicPath, FramesThatFindTheRingFullAreCountedAsDropped)
{
    Plan p = receiver("none", 9, 9, "[\"eoi\"]", true);
    p.nics.insert(1, "\"ring\":5,");
    p.until_ns = 100000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(9u, of_queue(m, 0, "arrived"));
    EXPECT_EQ(4u, of_queue(m, 0, "dropped"));
    EXPECT_EQ(5u, of_queue(m, 0, "waiting"));
}

/* The poll takes two of eight, and the card, unmasked with six waiting, interrupts again. */
TEST(NicPath, APollWithABudgetLeavesTheRest)
{
    Plan p = receiver("vtd-pi", 8, 8,
                      R"(["compute",30000],["rx_poll",0,0,2],["eoi"],["rx_unmask",0])", true);
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(4u, m.latency("msi", "count"));
}

TEST(NicPath, EachPollHasItsBudgetAnew)
{
    Plan p = receiver(
        "vtd-pi", 8, 8,
        R"(["compute",30000],["rx_poll",0,0,2],["rx_poll",0,0,2],["eoi"],["rx_unmask",0])",
        true);
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(2u, m.latency("msi", "count"));
}

TEST(NicPath, MaskingIsTheHostsTime)
{
    Plan p = receiver("none", 1, 1, masked, false);
    Machine without(p);
    p.features["masked-delivery"] = true;
    Machine with(p);
    EXPECT_EQ(VIRQSIM_ENDED, without.run());
    EXPECT_EQ(VIRQSIM_ENDED, with.run());
    EXPECT_EQ(without.latency("msi", "mean_ps") + 100000, with.latency("msi", "mean_ps"));
}

TEST(NicPath, AFixedIntervalThinsInterruptsOut)
{
    EXPECT_EQ(4u, exits_of(receiver("apicv", 32, 32, classic, false, "assigned",
                                    R"({"kind":"fixed","interval_ns":20000})")));
}

TEST(NicPath, EachQueueHasItsVcpu)
{
    Plan p;
    p.technology = "none";
    p.programs = {{"first", "[\"spin_until\",0,3]"},
                  {"second", "[\"spin_until\",1,5]"},
                  {"on_first", "[\"rx_poll\",0,0,0],[\"eoi\"]"},
                  {"on_second", "[\"rx_poll\",1,1,0],[\"eoi\"]"}};
    p.vcpus = {{0, "first", {{65, "on_first"}}}, {1, "second", {{66, "on_second"}}}};
    p.nics =
        R"({"name":"n","path":"assigned","queues":[)"
        R"({"vcpu":0,"vector":65,"cpu":0,"arrivals":{"kind":"listed","at_ns":[10000,20000,30000]}},)"
        R"({"vcpu":1,"vector":66,"cpu":1,"arrivals":{"kind":"periodic","from_ns":8000,"gap_ns":9000,"count":5}}],)"
        R"("auto_mask":false})";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3u, m.exits(0, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(5u, m.exits(1, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(3u, of_queue(m, 0, "taken"));
    EXPECT_EQ(5u, of_queue(m, 1, "taken"));
}

/* Two cards and a device before them: numbers go through. */
TEST(NicPath, QueuesAreNumberedThroughAllCardsBehindTheDevices)
{
    Plan p = receiver("none", 2, 1, "[\"rx_poll\",0,1,0],[\"eoi\"]", false);
    const std::string second = p.nics;
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":80})";
    p.programs["main"] = "[\"signal\",0]," + p.programs["main"];
    p.nics = R"({"name":"idle","path":"emulated","queues":[{"vcpu":0,"vector":90,)"
             R"("arrivals":{"kind":"listed","at_ns":[]}}]},)" +
             second;
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(0u, of_queue(m, 0, "arrived"));
    EXPECT_EQ(2u, of_queue(m, 1, "taken"));
    EXPECT_EQ(3u, m.latency("msi", "count"));
}

/* The worker needs 100 ns for each frame, a wake-up and its CPU; then the guest is interrupted by irqfd. */
TEST(NicPath, AVhostWorkerBringsEachFrameInItsTime)
{
    Plan p = receiver("apicv", 8, 4, napi, true, "vhost");
    p.nics.insert(1, "\"thread\":1,");
    p.threads = R"({"kind":"main-loop","pin":2},{"kind":"vhost","pin":1})";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(0u, m.exits(0));
    EXPECT_EQ(8u, of_queue(m, 0, "taken"));
    Plan emulated = receiver("apicv", 8, 4, napi, true, "emulated");
    Machine without(emulated);
    EXPECT_EQ(VIRQSIM_ENDED, without.run());
    EXPECT_GE(of_queue(m, 0, "mean_ps"), of_queue(without, 0, "mean_ps") + 100000);
    p.nics.replace(p.nics.find("\"thread\":1"), 10, "\"thread\":0");
    EXPECT_EQ("plan: machine.nics[0].thread: 0 is no vhost worker of machine.threads",
              Machine(p).error());
}

TEST(NicPath, AVhostWorkerGoesOnUntilItsSocketIsEmpty)
{
    Plan p = receiver("apicv", 6, 6, napi, true, "vhost");
    p.nics.insert(1, "\"thread\":0,");
    p.nics.replace(p.nics.find("\"within_ns\":2000"), 16, "\"within_ns\":10");
    p.threads = R"({"kind":"vhost","pin":1})";
    p.until_ns = 100000;
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(6u, of_queue(m, 0, "taken"));
}

/* On the vCPU's own CPU it gets there when the vCPU's slice is over, or sleeps. */
TEST(NicPath, AVhostWorkerSharesItsCpu)
{
    Plan p = receiver("apicv", 1, 1, napi, true, "vhost");
    p.nics.insert(1, "\"thread\":0,");
    p.threads = R"({"kind":"vhost","pin":0})";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_GT(of_queue(m, 0, "mean_ps"), UINT64_C(900000000)); /* of a slice of 1 ms */
}

/* QEMU's main loop brings the frames, on a CPU of its own. */
Plan by_main_loop(unsigned frames, unsigned burst)
{
    Plan p = receiver("apicv", frames, burst, napi, true, "userspace");
    p.threads = R"({"kind":"main-loop","pin":1})";
    return p;
}

/* All of a burst are there before the first one's work is done. */
Plan all_at_once(unsigned frames)
{
    Plan p = by_main_loop(frames, frames);
    p.nics.replace(p.nics.find("\"within_ns\":2000"), 16, "\"within_ns\":1");
    return p;
}

/* As a vhost worker, and a turn of the loop besides. */
TEST(NicPath, TheMainLoopBringsAFrameBehindATurn)
{
    Plan p = by_main_loop(4, 1), vhost = receiver("apicv", 4, 1, napi, true, "vhost");
    vhost.nics.insert(1, "\"thread\":0,");
    vhost.threads = R"({"kind":"vhost","pin":1})";
    Machine m(p), other(vhost);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(VIRQSIM_ENDED, other.run()) << other.text();
    EXPECT_EQ(4u, of_queue(m, 0, "taken"));
    EXPECT_EQ(4u, m.thread_items(0));
    EXPECT_EQ(4u, m.latency("msi", "count"));
    EXPECT_EQ(of_queue(other, 0, "mean_ps") + 100000, of_queue(m, 0, "mean_ps"));
    EXPECT_EQ(0u, m.exits(0));
}

/* The guest's driver has its interrupts off until it finds the ring empty. */
TEST(NicPath, FramesThatTheMainLoopBringsWhileTheDriverPollsDoNotInterrupt)
{
    Plan p = all_at_once(20);
    p.programs["handler"] = R"(["eoi"],["compute",20000],["rx_poll",0,0,0],["rx_unmask",0])";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(20u, of_queue(m, 0, "taken"));
    EXPECT_EQ(1u, m.latency("msi", "count"));
}

/* A frame is 100 ns, and so is a turn, which has 50 frames at most. */
TEST(NicPath, TheMainLoopBringsUpToFiftyFramesInATurn)
{
    const auto runs_ns = [](unsigned frames) {
        Plan p = all_at_once(frames);
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(frames, m.thread_items(0));
        return m.thread_ps(0, "RUNS") / 1000;
    };
    const uint64_t one = runs_ns(2) - 200;
    EXPECT_EQ(one + 4900, runs_ns(49));
    EXPECT_EQ(one + 5000, runs_ns(50));
    EXPECT_EQ(one + 5100 + 100, runs_ns(51));
    EXPECT_EQ(one + 10000 + 100, runs_ns(100));
    EXPECT_EQ(one + 10100 + 200, runs_ns(101));
}

/* What comes while it is at work is this turn's too, and no work by itself. */
TEST(NicPath, TheMainLoopsTurnHasWhatComesMeanwhile)
{
    Plan p = all_at_once(20);
    p.nics.replace(p.nics.find("\"within_ns\":1,"), 14, "\"within_ns\":60,");
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(20u, of_queue(m, 0, "taken"));
    EXPECT_EQ(20u, m.thread_items(0));
}

/* 120 frames of the first queue, and one of a second that comes 1 us later. */
Plan two_queues(Plan p)
{
    p.programs["second"] = "[\"spin_until\",1,1]";
    p.programs["on_second"] = R"(["eoi"],["rx_poll",1,1,0],["rx_unmask",1])";
    p.vcpus.push_back({2, "second", {{66, "on_second"}}});
    p.nics.insert(p.nics.size() - 2,
                  R"(,{"vcpu":1,"vector":66,"arrivals":{"kind":"listed","at_ns":[6000]}})");
    return p;
}

uint64_t wait_of_the_second_ps(const Plan &p)
{
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(120u, of_queue(m, 0, "taken"));
    EXPECT_EQ(1u, of_queue(m, 1, "taken"));
    return of_queue(m, 1, "mean_ps");
}

/* The first turn has 50 frames, 5 us; the next one begins with the other queue. */
TEST(NicPath, AnotherQueueHasTheMainLoopBetweenTwoTurns)
{
    const uint64_t wait = wait_of_the_second_ps(two_queues(all_at_once(120)));
    EXPECT_GT(wait, UINT64_C(4500000));
    EXPECT_LT(wait, UINT64_C(6000000));
}

TEST(NicPath, QueuesOfAVhostWorkerTakeTurnsFrameByFrame)
{
    Plan p = two_queues(all_at_once(120));
    p.nics.replace(p.nics.find("userspace"), 9, "vhost\",\"thread\":0,\"name\":\"v");
    p.threads = R"({"kind":"vhost","pin":1})";
    const size_t name = p.nics.find("\"name\":\"n\",");
    p.nics.erase(name, 11);
    EXPECT_LT(wait_of_the_second_ps(p), UINT64_C(1500000));
}

/* The main loop has the global lock while it brings frames: 50 take it 5000 ns from about 5500 on. */
TEST(NicPath, AVcpuThatGoesToUserspaceWaitsForTheTurnsEnd)
{
    Plan p = all_at_once(50);
    p.programs["main"] = "[\"mask\"],[\"compute\",6000],[\"port_out\",128,1,0],[\"unmask\"]," +
                         p.programs["main"];
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(50u, of_queue(m, 0, "taken"));
    EXPECT_EQ(1u, m.number("lock_waits"));
    EXPECT_GT(m.vcpu_ps(0, "LOCKED"), UINT64_C(3000000));
    EXPECT_EQ(0u, m.thread_ps(0, "WAITS"));
}

/* And a frame waits for the vCPU that is in a device model. */
TEST(NicPath, AFrameWaitsForTheVcpuThatHasTheLock)
{
    Plan p = by_main_loop(1, 1);
    p.programs["main"] = "[\"compute\",4000],[\"port_out\",128,1,0]," + p.programs["main"];
    p.costs["user.device"] = 10000;
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, m.number("lock_waits"));
    EXPECT_GT(m.thread_ps(0, "WAITS"), UINT64_C(7000000));
    EXPECT_GT(of_queue(m, 0, "mean_ps"), UINT64_C(8000000));
}

TEST(NicPath, TheMainLoopSharesItsCpuWithTheVcpu)
{
    Plan p = by_main_loop(1, 1);
    p.threads = R"({"kind":"main-loop","pin":0})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_GT(of_queue(m, 0, "mean_ps"), UINT64_C(900000000)); /* of a slice of 1 ms */
}

TEST(NicPath, WithoutAMainLoopQemuReceivesNothing)
{
    Plan p = by_main_loop(1, 1);
    p.threads = R"({"kind":"vhost","pin":0})";
    EXPECT_EQ("plan: machine.nics[0]: QEMU receives by a main-loop among machine.threads",
              Machine(p).error());
    p.nics.insert(1, "\"thread\":0,");
    EXPECT_NE(std::string::npos, Machine(p).error().find("thread"));
}

TEST(NicPath, WhatIsWrongIsRefusedWithItsPlace)
{
    const auto refused = [](const std::string &was, const std::string &is,
                            const std::string &technology = "none") {
        Plan p = receiver(technology, 4, 2, classic, false);
        std::string json = p.json();
        const size_t at = json.find(was);
        EXPECT_NE(std::string::npos, at) << was;
        if (at != std::string::npos)
            json.replace(at, was.size(), is);
        return Machine(json).error();
    };
    const std::string card = "plan: machine.nics[0]", queue = card + ".queues[0]";
    EXPECT_EQ(queue + ".vcpu: 1 is out of range (0..0)", refused("\"vcpu\":0", "\"vcpu\":1"));
    EXPECT_EQ(queue + ".arrivals.within_ns: a burst does not end before the next one",
              refused("\"within_ns\":2000", "\"within_ns\":500001"));
    EXPECT_EQ(card + ".queues: a card has 1 to 64 queues, not 0",
              refused(R"("queues":[{"vcpu":0,"vector":65,"cpu":0,)", R"("queues":[],"x":[{)"));
    EXPECT_EQ("plan: programs.handler[0][2]: 1 is out of range (0..0)",
              refused(R"(["rx_poll",0,0,0])", R"(["rx_poll",0,1,0])"));
    EXPECT_EQ("plan: features: masked-delivery and vtd-posting exclude each other",
              refused("\"features\":{}", "\"features\":{\"masked-delivery\":true}", "vtd-pi"));
    Plan none;
    none.programs = {{"main", "[\"rx_unmask\",0]"}};
    none.vcpus = {{0, "main", {}}};
    EXPECT_EQ("plan: programs.main[0]: the plan has no network card to receive from",
              Machine(none).error());
}

} // namespace
