/* Guests that wait, in a whole machine: what leaves the guest, and when. Every cost is 100 cycles
   of 1 ns, so that a turn of a loop of PAUSEs (a look and a PAUSE) is 200 counts of the TSC, and an
   exit that comes to nothing 500: exit, KVM's two ways, the handler, entry. */
#include <gtest/gtest.h>

#include <tuple>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

constexpr uint64_t MS = 1000000000;

uint64_t time_of(Machine &m)
{
    return (uint64_t)json_integer_value(json_object_get(m.results(), "time_ps"));
}

/* vCPU 0 spins for so many cycles; vCPU 1, on a CPU of its own, then ends that, at once. */
Plan spinner(const std::string &technology, uint64_t cycles, const std::string &pause_loop)
{
    Plan p;
    p.technology = technology;
    p.features[technology == "svm" ? "pause-filter" : "pause-loop-exiting"] = true;
    p.pause_loop = pause_loop;
    p.costs = {{"line.socket", 0}};
    p.programs = {{"waits", "[\"pause_until\",0,1]"},
                  {"works", "[\"compute\"," + std::to_string(cycles) + "],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "waits", {}}, {1, "works", {}}};
    return p;
}

uint64_t exits_of(const Plan &p)
{
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(m.exits(0), m.exits(0, p.technology == "svm" ? "pause" : "PAUSE_INSTRUCTION"));
    return m.exits(0);
}

/* A look, the PAUSE that is the seventh and 1200 counts behind the first, an exit: 1800 cycles. */
TEST(PauseLoops, AWaitIsAsManyExitsAsWindowsAndExitsFitIntoIt)
{
    const std::string fixed = R"({"gap":200,"window":1000,"grow":0})";
    EXPECT_EQ(0u, exits_of(spinner("none", 1299, fixed)));
    EXPECT_EQ(1u, exits_of(spinner("none", 1300, fixed)));
    EXPECT_EQ(1u, exits_of(spinner("none", 3100, fixed)));
    EXPECT_EQ(2u, exits_of(spinner("none", 3101, fixed)));
    EXPECT_EQ(10u, exits_of(spinner("none", 18000, fixed)));
}

TEST(PauseLoops, TheFilterCountsPausesInstead)
{
    const std::string fixed = R"({"gap":200,"window":5,"grow":0})";
    EXPECT_EQ(0u, exits_of(spinner("svm", 1299, fixed)));
    EXPECT_EQ(1u, exits_of(spinner("svm", 1300, fixed)));
    EXPECT_EQ(10u, exits_of(spinner("svm", 18000, fixed)));
}

/* Windows of 1000, 2000, 4000 and 8000: 1700, 2700, 4700 and 8700 cycles with their exits. */
TEST(PauseLoops, TheWindowGrowsWithEachExitUpToItsMaximum)
{
    EXPECT_EQ(3u, exits_of(spinner("none", 17700, R"({"gap":200,"window":1000})")));
    EXPECT_EQ(4u, exits_of(spinner("none", 17701, R"({"gap":200,"window":1000})")));
    EXPECT_EQ(6u, exits_of(spinner("none", 17701, R"({"gap":200,"window":1000,"max":2000})")));
    EXPECT_EQ(6u, exits_of(spinner("none", 17701,
                                   R"({"gap":200,"window":1000,"grow":1000,"max":2000})")))
        << "from the window on, it is an amount";
}

TEST(PauseLoops, TurnsLongerThanTheGapAreNoLoop)
{
    EXPECT_EQ(0u, exits_of(spinner("none", 1000000, R"({"gap":199,"window":1000})")));
    EXPECT_EQ(0u, exits_of(spinner("svm", 1000000, R"({"gap":199,"window":5})")));
    EXPECT_EQ(0u, exits_of(spinner("none", 1000000, ""))) << "as under KVM's gap of 128";
}

/* 12 PAUSEs of 100 cycles, the last of which lies 1100 behind the first, to an exit. */
TEST(PauseLoops, PausesOneByOneAreALoopToo)
{
    Plan p = spinner("none", 1, R"({"gap":128,"window":1000,"grow":0})");
    p.programs["waits"] = R"(["repeat",1000],["pause"],["end"])";
    EXPECT_EQ(83u, exits_of(p));
}

TEST(PauseLoops, WithPauseExitingEachTurnExits)
{
    Plan p = spinner("none", 6001, "");
    p.features = {{"pause-in-guest", false}};
    EXPECT_EQ(10u, exits_of(p)) << "600 cycles each";
}

TEST(PauseLoops, ADeclaredRuleDecidesEachTurn)
{
    Plan p = spinner("none", 6001, "");
    p.features = {};
    p.hypothetical =
        R"({"name":"mine","title":"t","base":"none","rules":[{"access":"cpu.pause","verdict":"traps","exit":"PAUSE_INSTRUCTION"}]})";
    EXPECT_EQ(10u, exits_of(p));
    p.hypothetical =
        R"({"name":"mine","title":"t","base":"none","rules":[{"access":"cpu.pause","verdict":"virtualized","effect":"nothing","costs":{"guest.op":1}}]})";
    EXPECT_EQ(0u, exits_of(p));
}

TEST(PauseLoops, TheFeatureIsTheVendorsAndNeedsPausesThatStay)
{
    Plan p = spinner("none", 1, "");
    p.features["pause-in-guest"] = false;
    EXPECT_EQ("plan: features: pause-loop-exiting needs pause-in-guest", Machine(p).error());
    p.features = {{"pause-filter", true}};
    EXPECT_EQ("plan: features: pause-filter is not a feature of VMX (none)",
              Machine(p).error());
}

/* vCPU 0 has the CPU and waits for vCPU 1, which would have to wait for its time slice. */
Plan sharing(bool ple)
{
    Plan p = spinner("none", 1000, R"({"gap":200,"window":1000})");
    p.features["pause-loop-exiting"] = ple;
    p.vcpus[1].pin = 0;
    return p;
}

TEST(DirectedYield, AWaiterGivesWayToTheOneThatItWaitsFor)
{
    Machine without(sharing(false)), with(sharing(true));
    EXPECT_EQ(VIRQSIM_ENDED, without.run());
    EXPECT_EQ(VIRQSIM_ENDED, with.run());
    EXPECT_GT(time_of(without), 2 * MS)
        << "its own slice, and one of the other's, who has ended";
    EXPECT_LT(time_of(with), MS + MS / 10) << "the other's alone";
    EXPECT_EQ(1u, with.exits(0, "PAUSE_INSTRUCTION"));
}

/* Preempted at 1 ms by a thread that would run until 2 ms; half a millisecond of work is left. */
TEST(DirectedYield, OneThatWaitsForAnotherCpuIsPutFirstThereAtOnce)
{
    Plan p = spinner("none", 1500000, R"({"gap":200,"window":1000})");
    p.load = {1};
    Machine with(p);
    p.features["pause-loop-exiting"] = false;
    Machine without(p);
    EXPECT_EQ(VIRQSIM_ENDED, without.run());
    EXPECT_EQ(VIRQSIM_ENDED, with.run());
    EXPECT_GT(time_of(without), 2 * MS + MS / 2);
    EXPECT_LT(time_of(with), MS + 6 * MS / 10);
    EXPECT_EQ(1u, without.exits(1, "EXTERNAL_INTERRUPT"));
}

TEST(DirectedYield, AHypercallYieldsToThePreemptedOneThatItNames)
{
    for (const bool offered : {false, true}) {
        Plan p = sharing(false);
        p.features = {{"pv-sched-yield", offered}};
        p.programs["works"] = R"(["repeat",2],["compute",1100000],["word_add",0,1],["end"])";
        p.programs["waits"] = R"(["spin_until",0,1],["pv_yield",1,1],["pause_until",0,2])";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(offered ? 1u : 0u, m.exits(0, "VMCALL"));
    }
}

TEST(DirectedYield, NobodyIsCalledForWhoRunsOrHasNotBeenPreempted)
{
    Plan p = spinner("none", 1000, "");
    p.features = {{"pv-sched-yield", true}};
    p.programs["waits"] = R"(["compute",500],["pv_yield",0,9],["pause_until",0,1])";
    EXPECT_EQ(0u, exits_of(p));
}

/* ---- locks ---- */

/* Each of three vCPUs takes the lock, and stamps when it has it: stamp n is of vCPU n. */
Plan contenders()
{
    Plan p;
    for (unsigned i = 0; i < 3; i++) {
        const std::string n = std::to_string(i);
        p.programs["main" + n] =
            "[\"compute\"," + std::to_string(100 * i) +
            "],[\"stamp\",0],[\"lock\",0],[\"stamp\",0],[\"compute\",20000],"
            "[\"unlock\",0]";
        p.vcpus.push_back({i, "main" + n, {}});
    }
    return p;
}

uint64_t waited(Machine &m, int vcpu)
{
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(m.results(), "stamps"), i, s)
    {
        if (json_integer_value(json_object_get(s, "vcpu")) == vcpu)
            return (uint64_t)json_integer_value(json_object_get(s, "sum_cycles"));
    }
    return 0;
}

TEST(Locks, AreHandedOnInTheOrderOfArrival)
{
    Machine m(contenders());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_LT(waited(m, 0), 1000u);
    EXPECT_NEAR(20000.0, (double)waited(m, 1), 1000.0);
    EXPECT_NEAR(40000.0, (double)waited(m, 2), 1000.0);
    EXPECT_EQ(0u, m.exits(0) + m.exits(1) + m.exits(2));
}

TEST(Locks, AHandlerMayTakeAnotherOneWhileItsProgramWaits)
{
    Plan p = contenders();
    p.programs["main1"] = R"(["lock",0],["compute",100],["unlock",0])";
    p.programs["handler"] = R"(["eoi"],["lock",2],["compute",30000],["unlock",2])";
    p.vcpus[1].handlers = {{48, "handler"}};
    p.programs["main2"] =
        R"(["compute",1000],["ipi",48,1],["lock",2],["unlock",2],["lock",0],["unlock",0])";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
}

/* Held for longer than 2^15 turns of 200 cycles. */
Plan held_long(bool pv)
{
    Plan p;
    p.features = {{"pv-unhalt", pv}};
    p.programs = {{"holds", R"(["lock",0],["word_add",2,1],["compute",8000000],["unlock",0])"},
                  {"waits", R"(["spin_until",2,1],["lock",0],["unlock",0])"}};
    p.vcpus = {{0, "holds", {}}, {1, "waits", {}}};
    return p;
}

TEST(Locks, WithPvUnhaltALongWaitIsAHaltThatTheHolderEndsByAHypercall)
{
    Machine pv(held_long(true)), plain(held_long(false));
    EXPECT_EQ(VIRQSIM_ENDED, pv.run());
    EXPECT_EQ(VIRQSIM_ENDED, plain.run());
    EXPECT_EQ(1u, pv.exits(1, "HLT"));
    EXPECT_EQ(1u, pv.exits(0, "VMCALL"));
    EXPECT_EQ(0u, plain.exits(0) + plain.exits(1));
}

TEST(Locks, AWaitOfLessThanTheThresholdIsNone)
{
    Plan p = held_long(true);
    const auto held = [&p](uint64_t cycles) {
        p.programs["holds"] = "[\"lock\",0],[\"word_add\",2,1],[\"compute\"," +
                              std::to_string(cycles) + "],[\"unlock\",0]";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        return m.exits(1, "HLT");
    };
    EXPECT_EQ(0u, held((1 << 15) * 200 - 500));
    EXPECT_EQ(1u, held((1 << 15) * 200 + 500));
}

/* The threshold counts turns, however often the loop exits or is interrupted meanwhile. */
TEST(Locks, ExitsOfTheLoopDoNotProlongTheSpin)
{
    Plan p = held_long(true);
    p.features["pause-loop-exiting"] = true;
    p.pause_loop = R"({"gap":200,"window":4000,"grow":0})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(1, "HLT"));
    /* 22 turns an exit, of which the last PAUSE is the one that exits. */
    EXPECT_EQ((1u << 15) / 22, m.exits(1, "PAUSE_INSTRUCTION"));
}

TEST(Locks, WithInterruptsOffTheKickStillEndsTheHalt)
{
    for (const char *technology : {"none", "apicv", "svm", "x2avic"})
        for (const uint64_t poll : {0, 200000}) {
            Plan p = held_long(true);
            p.technology = technology;
            p.halt_poll_ns = poll;
            p.programs["waits"] =
                R"(["spin_until",2,1],["mask"],["lock",0],["unlock",0],["unmask"])";
            Machine m(p);
            EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        }
}

TEST(Locks, PvUnhaltNeedsHaltsThatKvmSees)
{
    Plan p = held_long(true);
    p.features["hlt-in-guest"] = true;
    EXPECT_EQ("plan: features: pv-unhalt and hlt-in-guest exclude each other",
              Machine(p).error());
    p = held_long(true);
    p.irqchip = "userspace";
    p.guest_apic = "xapic";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(1)) << "QEMU does not offer it then";
}

/* Whenever the holder lets go: before the waiter halts, while it does, while it is asleep. */
TEST(Locks, AKickIsNeverLost)
{
    for (unsigned cycles = 0; cycles < 3000; cycles += 7) {
        Plan p = held_long(true);
        p.programs["holds"] = "[\"lock\",0],[\"word_add\",2,1],[\"compute\"," +
                              std::to_string((1 << 15) * 200 - 1000 + cycles) +
                              "],[\"unlock\",0]";
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << cycles;
    }
}

/* ---- MONITOR and MWAIT ---- */

Plan monitor(const std::string &technology, bool in_guest, const std::string &wait)
{
    Plan p;
    p.technology = technology;
    p.features = {{"mwait-in-guest", in_guest}};
    p.programs = {{"waits", wait},
                  {"wakes", R"(["compute",100000],["word_add",0,1])"},
                  {"handler", R"(["eoi"],["word_add",0,1])"}};
    p.vcpus = {{0, "waits", {{48, "handler"}}}, {1, "wakes", {}}};
    return p;
}

TEST(Mwait, InTheGuestIsEndedByAStoreWithoutAnExit)
{
    for (const char *technology : {"none", "svm"}) {
        Plan p = monitor(technology, true, R"(["mwait",0,1])");
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(0u, m.exits(0));
        EXPECT_GT(time_of(m), 100000u * 1000);
    }
}

TEST(Mwait, IsANopOfTwoExitsWhereKvmEmulatesIt)
{
    Machine vmx(monitor("none", false, R"(["mwait",0,1])"));
    EXPECT_EQ(VIRQSIM_ENDED, vmx.run());
    EXPECT_EQ(1u, vmx.exits(0, "MONITOR_INSTRUCTION"));
    EXPECT_EQ(1u, vmx.exits(0, "MWAIT_INSTRUCTION"));
    EXPECT_EQ(2u, vmx.exits(0));
    Machine svm(monitor("svm", false, R"(["mwait",0,1])"));
    EXPECT_EQ(VIRQSIM_ENDED, svm.run());
    EXPECT_EQ(1u, svm.exits(0, "monitor"));
    EXPECT_EQ(1u, svm.exits(0, "mwait"));
}

/* So an idle loop of it burns the CPU: 1300 cycles a turn, with two looks and STI; MWAIT comes 700
   after its beginning. */
TEST(Mwait, AsANopItMakesTheIdleLoopABusyOne)
{
    Machine m(monitor("none", false, R"(["mwait_until",0,1])"));
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(77u, m.exits(0, "MONITOR_INSTRUCTION"));
    EXPECT_EQ(77u, m.exits(0, "MWAIT_INSTRUCTION"));
}

TEST(Mwait, IsEndedByAnInterrupt)
{
    for (const char *technology : {"none", "apicv", "ipiv", "svm", "x2avic"}) {
        Plan p = monitor(technology, true, R"(["mwait_until",0,1])");
        p.programs["wakes"] = R"(["compute",100000],["ipi",48,0])";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_EQ(1u, m.latency("ipi", "count"));
        EXPECT_EQ(0u, m.exits(0, "HLT"));
    }
}

/* A store to another word is no reason; one that is not enough makes it look and wait again. */
TEST(Mwait, AStoreThatIsNotEnoughIsWaitedOut)
{
    Plan p = monitor("none", true, R"(["mwait_take",0,2])");
    p.programs["wakes"] =
        R"(["word_add",1,9],["compute",5000],["word_add",0,1],["compute",5000],["word_add",0,1])";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(0));
}

TEST(Mwait, OfTheWholeGuestLeavesAnIdleMachine)
{
    Plan p = monitor("none", true, R"(["mwait",0,1])");
    p.programs["wakes"] = R"(["compute",1])";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_IDLE, m.run());
}

/* ---- an idle HLT ---- */

TEST(IdleHlt, ExitsByANameOfItsOwnAndOnlyWhereNothingIsPending)
{
    Plan p = monitor("x2avic", false, R"(["halt_until",0,1])");
    p.programs["wakes"] = R"(["compute",100000],["ipi",48,0])";
    p.features = {{"idle-hlt", true}};
    Machine idle(p);
    EXPECT_EQ(VIRQSIM_ENDED, idle.run());
    EXPECT_EQ(1u, idle.exits(0, "idle-halt"));
    EXPECT_EQ(0u, idle.exits(0, "hlt"));

    p.programs["waits"] = R"(["mask"],["self_ipi",48],["unmask_halt"])";
    p.programs["wakes"] = R"(["compute",1])";
    Machine pending(p);
    EXPECT_EQ(VIRQSIM_ENDED, pending.run());
    EXPECT_EQ(0u, pending.exits(0, "idle-halt") + pending.exits(0, "hlt"));
    p.features = {};
    Machine plain(p);
    EXPECT_EQ(VIRQSIM_ENDED, plain.run());
    EXPECT_EQ(1u, plain.exits(0, "hlt"));
}

/* ---- whenever an interrupt arrives, it is delivered, and the wait goes on ---- */

class AnyInstantOfAWait
    : public testing::TestWithParam<std::tuple<const char *, const char *, const char *>>
{
};

TEST_P(AnyInstantOfAWait, AnInterruptThatArrivesThenIsDelivered)
{
    Plan p;
    p.technology = std::get<0>(GetParam());
    const std::string kind = std::get<1>(GetParam());
    const bool amd = p.technology == "svm" || p.technology == "x2avic";
    p.features = {{amd ? "pause-filter" : "pause-loop-exiting", true},
                  {"mwait-in-guest", true}};
    p.pause_loop =
        amd ? R"({"gap":200,"window":2,"grow":0})" : R"({"gap":200,"window":400,"grow":0})";
    p.programs = {{"main", std::get<2>(GetParam())},
                  {"handler", "[\"eoi\"],[\"word_add\",1,1]"},
                  {"other", "[\"spin_until\",1,1],[\"compute\",2000],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{60, "handler"}, {2, "handler"}}}, {1, "other", {}}};
    for (unsigned ns = 0; ns < 5000; ns += 20) {
        p.devices = "{\"name\":\"d\",\"kind\":\"" + kind +
                    "\",\"vcpu\":0,\"vector\":60,\"at_ns\":[" + std::to_string(ns) + "]}";
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << "at " << ns << " ns";
        ASSERT_GT(time_of(m), ns * 1000u);
    }
}

INSTANTIATE_TEST_SUITE_P(
    EveryMachine, AnyInstantOfAWait,
    testing::Combine(testing::Values("none", "apicv", "ipiv", "svm", "x2avic"),
                     testing::Values("msi", "nmi"),
                     testing::Values("[\"pause_until\",0,1]", "[\"mwait_until\",0,1]",
                                     "[\"mwait\",0,1],[\"mwait\",0,1],[\"pause_take\",0,1]")));

} // namespace
