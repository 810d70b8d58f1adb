/* The guest's APIC timer: on the host's timers, ahead of its deadline, posted from another CPU. */
#include <gtest/gtest.h>

#include <tuple>

#include "plans.h"

extern "C" {
#include "hypervisor/hypervisor.h"
}

namespace
{

using plans::Machine;
using plans::Plan;

constexpr uint64_t NS = 1000; /* and a cycle of either clock */

/* --- the tuning: adjust_lapic_timer_advance() --- */

struct Advance : testing::Test {
    event_queue events{};
    struct trace trace {
        &events, nullptr, 0
    };
    hypervisor h{};
    vcpu v{};

    Advance()
    {
        h.trace = &trace;
        h.core = h.tsc = clock_of_hz(1000000000);
        v.hypervisor = &h;
        start();
    }
    void start(uint64_t fixed = 0)
    {
        h.policy.timer_advance_ns = fixed;
        timer_advance_init(&v);
    }
    /* The timer expired ahead of `deadline`; KVM is at the entry at `at`. When does it enter? */
    uint64_t entry(uint64_t deadline, uint64_t at)
    {
        v.timer_awaited = {deadline * NS};
        const uint64_t ps = timer_wait_from(&v, {at * NS}).ps;
        EXPECT_EQ(0u, v.timer_awaited.ps);
        return ps / NS;
    }
};

TEST_F(Advance, StartsAtAMicrosecond)
{
    EXPECT_EQ(1000u, v.timer_advance_ns);
    EXPECT_EQ(9000u, timer_ahead_of(&v, {10000 * NS}).ps / NS);
    EXPECT_EQ(0u, timer_ahead_of(&v, {999 * NS}).ps);
}

TEST_F(Advance, WaitsForTheDeadlineAndNoLonger)
{
    EXPECT_EQ(10000u, entry(10000, 9500));
    EXPECT_EQ(10400u, entry(10000, 10400));
    EXPECT_EQ(10000u, entry(10000, 10000));
}

/* KVM: __wait_lapic_expire() waits as long as the advance, which was tuned a moment before. */
TEST_F(Advance, WaitsNoLongerThanItself)
{
    EXPECT_EQ(9000u + 1000 - 125, entry(10000, 9000));
    start(300);
    EXPECT_EQ(9300u, entry(10000, 9000));
}

/* Linux: delay_tsc() looks at the TSC, pauses, and looks again. */
TEST_F(Advance, WaitsInTurns)
{
    h.costs.of[COST_KVM_DELAY] = {165};
    EXPECT_EQ(9500u + 4 * 165, entry(10000, 9500));
    EXPECT_EQ(9835u + 165, entry(10000, 9835));
    EXPECT_EQ(9999u + 165, entry(10000, 9999));
    EXPECT_EQ(10000u, entry(10000, 10000));
    start(300);
    EXPECT_EQ(9000u + 2 * 165, entry(10000, 9000)) << "as long as the advance";
}

TEST_F(Advance, GoesBackByAnEighthOfWhatItWasTooEarly)
{
    entry(10000, 9700);
    EXPECT_EQ(1000u - 300 / 8, v.timer_advance_ns);
}

TEST_F(Advance, GrowsByAnEighthOfWhatItWasTooLate)
{
    entry(10000, 10801);
    EXPECT_EQ(1000u + 801 / 8, v.timer_advance_ns);
}

TEST_F(Advance, LetsTinyDifferencesAndAccidentsPass)
{
    for (uint64_t at : {9901u, 10099u, 20001u}) {
        entry(10000, at);
        EXPECT_EQ(1000u, v.timer_advance_ns) << at;
    }
    entry(10000, 20000);
    EXPECT_EQ(1000u + 10000 / 8, v.timer_advance_ns);
    start();
    entry(10000, 10100);
    EXPECT_EQ(1000u + 100 / 8, v.timer_advance_ns);
    start();
    entry(10000, 9900);
    EXPECT_EQ(1000u - 100 / 8, v.timer_advance_ns);
}

TEST_F(Advance, BeginsAnewAboveFiveMicroseconds)
{
    for (unsigned i = 0; i < 3; i++)
        entry(10000, 20000);
    EXPECT_EQ(1000u + 3 * 1250, v.timer_advance_ns);
    entry(10000, 10000 + 8 * 250);
    EXPECT_EQ(5000u, v.timer_advance_ns);
    entry(10000, 10100);
    EXPECT_EQ(1000u, v.timer_advance_ns);
}

/* KVM's arithmetic is unsigned: less than nothing is more than the most. */
TEST_F(Advance, BeginsAnewBelowNothing)
{
    for (unsigned i = 0; i < 3; i++)
        entry(30000, 28000);
    EXPECT_EQ(250u, v.timer_advance_ns);
    entry(30000, 27000);
    EXPECT_EQ(1000u, v.timer_advance_ns);
}

TEST_F(Advance, CountsTheTscsCycles)
{
    h.tsc = clock_of_hz(2500000000);
    entry(10000, 10039); /* 97 cycles */
    EXPECT_EQ(1000u, v.timer_advance_ns);
    entry(10000, 10800); /* 2000 cycles, 800 ns */
    EXPECT_EQ(1100u, v.timer_advance_ns);
}

TEST_F(Advance, OfAFixedLengthStays)
{
    start(2000);
    entry(10000, 8500);
    EXPECT_EQ(2000u, v.timer_advance_ns);
}

/* --- machines; each cost is 100 ns --- */

/* vCPU 0 arms its timer `times` over and spins; it expires at its deadline, not ahead. */
Plan ticking(const std::string &technology, unsigned times = 1,
             const std::string &wait = "spin")
{
    Plan p;
    std::string main = R"(["timer_mode",50,2])";
    for (unsigned i = 1; i <= times; i++)
        main +=
            R"(,["tsc_deadline",20000],[")" + wait + R"(_until",0,)" + std::to_string(i) + "]";
    p.technology = technology;
    p.features["timer-advance"] = false;
    p.costs = {{"kvm.delay", 1}}; /* a wait ends at its deadline */
    p.programs = {{"main", main}, {"tick", R"(["eoi"],["word_add",0,1])"}};
    p.vcpus = {{0, "main", {{50, "tick"}}}};
    return p;
}

uint64_t slowest(Machine &m)
{
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    return m.latency("timer", "max_ps") / NS;
}

struct AdvancedTimer : testing::TestWithParam<std::tuple<const char *, bool>> {
    Plan plan(unsigned times = 1, const std::string &wait = "spin")
    {
        Plan p = ticking(std::get<0>(GetParam()), times, wait);
        if (!std::get<1>(GetParam()) && p.technology != "svm")
            p.features["preemption-timer"] = false;
        return p;
    }
};

/* The entry and the IDT are all that is left. */
TEST_P(AdvancedTimer, LeavesOnlyTheEntryBetweenTheDeadlineAndTheHandler)
{
    Plan p = plan();
    Machine before(p);
    p.features["timer-advance"] = true;
    p.timer_advance_ns = 5000;
    Machine after(p);
    EXPECT_LE(700u, slowest(before));
    EXPECT_EQ(200u, slowest(after));
    EXPECT_EQ(before.exits(0), after.exits(0));
    EXPECT_EQ(200 * NS, after.latency("timer", "sum_ps"));
}

TEST_P(AdvancedTimer, FindsItsLengthByItself)
{
    Plan p = plan(30);
    Machine before(p);
    p.features["timer-advance"] = true;
    Machine after(p);
    EXPECT_LE(700u, slowest(before));
    EXPECT_GE(200u + 100, slowest(after)); /* less than 100 cycles are not worth a change */
}

/* A sleeper's timer is one of the host, in any case. */
TEST_P(AdvancedTimer, WakesASleeperForItsDeadline)
{
    Plan p = plan(1, "halt");
    p.features["timer-advance"] = true;
    p.timer_advance_ns = 5000;
    Machine m(p);
    EXPECT_EQ(200u, slowest(m));
}

INSTANTIATE_TEST_SUITE_P(EveryMachine, AdvancedTimer,
                         testing::Combine(testing::Values("none", "apicv", "svm"),
                                          testing::Bool()));

/* KVM: start_sw_period() takes no notice of the advance, vmx_set_hv_timer() does in any mode. */
TEST(AdvancedCount, IsThePreemptionTimersAlone)
{
    for (const char *mode : {"0", "1"}) {
        Plan p;
        p.programs = {{"main", std::string(R"(["timer_mode",50,)") + mode +
                                   R"(],["timer_count",2000,1],["spin_until",0,1])"},
                      {"tick", R"(["eoi"],["word_add",0,1])"}};
        p.vcpus = {{0, "main", {{50, "tick"}}}};
        p.features["timer-advance"] = true;
        p.timer_advance_ns = 5000;
        p.costs = {{"kvm.delay", 1}};
        Machine hardware(p);
        p.features["preemption-timer"] = false;
        Machine host(p);
        EXPECT_EQ(200u, slowest(hardware)) << mode;
        EXPECT_LE(700u, slowest(host)) << mode;
    }
}

/* The vCPU sleeps when the timer would expire early: on the host it does not. */
TEST(AdvancedCount, OfASleeperIsTheHosts)
{
    Plan p;
    p.programs = {{"main", R"(["timer_mode",50,0],["timer_count",2000,1],["halt_until",0,1])"},
                  {"tick", R"(["eoi"],["word_add",0,1])"}};
    p.vcpus = {{0, "main", {{50, "tick"}}}};
    p.features["timer-advance"] = true;
    p.timer_advance_ns = 5000;
    Machine m(p);
    EXPECT_LE(700u, slowest(m));
}

TEST(AdvancedTimerOfQemu, IsNot)
{
    Plan p = ticking("none");
    p.irqchip = "userspace";
    p.guest_apic = "xapic";
    Machine before(p);
    p.features["timer-advance"] = true;
    p.timer_advance_ns = 5000;
    Machine after(p);
    EXPECT_EQ(slowest(before), slowest(after));
}

/* KVM: kvm_can_use_hv_timer(). */
TEST(PreemptionTimer, IsNotForAGuestThatHasMwait)
{
    Plan p = ticking("apicv");
    p.features["mwait-in-guest"] = true;
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(0, "PREEMPTION_TIMER"));
    EXPECT_EQ(1u, m.exits(0, "EXTERNAL_INTERRUPT"));
}

/* Linux: lapic_timer_advance, which a module parameter can switch off, and nothing else. */
TEST(TimerAdvance, IsOnWhereverKvmCounts)
{
    for (const char *technology : {"none", "apicv", "ipiv", "svm", "avic", "x2avic"}) {
        Plan p = ticking(technology);
        p.features.erase("timer-advance");
        p.timer_advance_ns = 5000;
        Machine m(p);
        EXPECT_EQ(200u, slowest(m)) << technology;
    }
}

/* KVM: handle_fastpath_set_tscdeadline() asks kvm_can_use_hv_timer(). */
TEST(FastPath, TakesADeadlineOnlyForThePreemptionTimer)
{
    const auto end = [](const std::string &technology, bool fast, bool hardware) {
        Plan p;
        p.technology = technology;
        p.programs = {{"main", R"(["timer_mode",50,2],["tsc_deadline",900000])"}};
        p.vcpus = {{0, "main", {}}};
        p.costs["kvm.fastpath"] = 50; /* on the way out and on the way in */
        p.features["fastpath"] = fast;
        if (technology != "svm")
            p.features["preemption-timer"] = hardware;
        Machine m(p);
        EXPECT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        return json_integer_value(json_object_get(m.results(), "time_ps")) / (int)NS;
    };
    EXPECT_EQ(200, end("none", false, true) - end("none", true, true))
        << "half of kvm.exit and of kvm.entry, and kvm.msr";
    EXPECT_EQ(0, end("none", false, false) - end("none", true, false));
    EXPECT_EQ(0, end("svm", false, false) - end("svm", true, false));
}

/* KVM: handle_fastpath_preemption_timer(); without APICv the interrupt is a request, and ends it. */
TEST(FastPath, TakesTheExpiryWhereItsInterruptIsPosted)
{
    const auto late = [](const std::string &technology, bool fast) {
        Plan p = ticking(technology);
        p.costs["kvm.fastpath"] = 50;
        p.features["fastpath"] = fast;
        Machine m(p);
        const uint64_t ns = slowest(m);
        EXPECT_EQ(1u, m.exits(0, "PREEMPTION_TIMER"));
        return ns;
    };
    EXPECT_EQ(100u, late("apicv", false) - late("apicv", true));
    EXPECT_EQ(late("none", false), late("none", true));
}

/* --- posted timers --- */

Plan posting(unsigned vcpus, bool advance, const std::string &wait = "spin")
{
    Plan p = ticking("apicv", 1, wait);
    p.features = {{"timer-posting", true}, {"hlt-in-guest", true}, {"timer-advance", advance}};
    p.timer_advance_ns = 5000;
    p.physical_cpus = vcpus + 1;
    p.housekeeping_cpu = (int)vcpus;
    for (unsigned i = 1; i < vcpus; i++) {
        const std::string name = "main" + std::to_string(i), word = std::to_string(i);
        p.programs[name] =
            R"(["timer_mode",50,2],["tsc_deadline",20000],["spin_until",)" + word + ",1]";
        p.programs["tick" + word] = R"(["eoi"],["word_add",)" + word + ",1]";
        p.vcpus.push_back({i, name, {{50, "tick" + word}}});
    }
    return p;
}

TEST(PostedTimer, ReachesARunningGuestWithoutAnExit)
{
    for (const char *wait : {"spin", "halt"}) {
        Machine m(posting(1, false, wait));
        /* The handler's interrupt and work, the notification and its way, posting, delivery. */
        EXPECT_EQ(600u, slowest(m)) << wait;
        EXPECT_EQ(2u, m.exits(0)) << "the mode and the deadline";
        EXPECT_EQ(2u, m.exits(0, "MSR_WRITE", "operation"));
    }
}

TEST(PostedTimer, HandlersWaitForEachOther)
{
    Machine m(posting(3, false));
    EXPECT_EQ(600u + 2 * 200, slowest(m));
    EXPECT_EQ(600 * NS, m.latency("timer", "min_ps"));
}

TEST(PostedTimer, TheHandlerWaitsForTheDeadline)
{
    Machine one(posting(1, true));
    EXPECT_EQ(400u, slowest(one));
    Machine three(posting(3, true));
    EXPECT_EQ(400u + 2 * 200, slowest(three)) << "and the others for it";
}

TEST(PostedTimer, KicksAGuestThatIsNotThere)
{
    Plan p = posting(1, false);
    p.programs["main"] = R"(["timer_mode",50,2],["tsc_deadline",2000],["port_out",128,1,0],)"
                         R"(["port_out",128,1,0],["port_out",128,1,0],["spin_until",0,1])";
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.latency("timer", "count"));
}

TEST(PostedTimer, NeedsACpuWithoutGuests)
{
    Plan p = posting(2, false);
    p.housekeeping_cpu = -1;
    EXPECT_EQ("plan: machine.housekeeping_cpu: is missing; timer-posting needs a physical CPU "
              "(0..2) that no vCPU is pinned to",
              Machine(p).error());
    p.housekeeping_cpu = 3;
    EXPECT_EQ("plan: machine.housekeeping_cpu: 3 is not a physical CPU (0..2)",
              Machine(p).error());
    p.housekeeping_cpu = 1;
    EXPECT_EQ("plan: machine.housekeeping_cpu: vCPU 1 is pinned to 1; no vCPU may be",
              Machine(p).error());
    p.housekeeping_cpu = 2;
    p.features["hlt-in-guest"] = false;
    EXPECT_EQ("plan: features: timer-posting needs hlt-in-guest", Machine(p).error());
}

/* --- APIC-timer virtualization --- */

TEST(VirtualTimer, IsArmedAndDeliveredWithoutAnExit)
{
    Plan p = ticking("apic-timer", 10);
    Machine m(p);
    /* The event, and delivery. */
    EXPECT_EQ(200u, slowest(m));
    EXPECT_EQ(200u * 10 * NS, m.latency("timer", "sum_ps"));
    EXPECT_EQ(1u, m.exits(0)) << "the mode";
    p.features["apic-timer-virtualization"] = false;
    Machine without(p);
    EXPECT_LE(700u, slowest(without));
    EXPECT_EQ(1u + 2 * 10, without.exits(0));
}

TEST(VirtualTimer, EndsAHaltWithoutAnExit)
{
    Plan p = ticking("apic-timer", 3, "halt");
    p.features["hlt-in-guest"] = true;
    Machine m(p);
    EXPECT_EQ(200u, slowest(m));
    EXPECT_EQ(1u, m.exits(0));
}

/* KVM: kvm_lapic_switch_to_sw_timer(). */
TEST(VirtualTimer, OfASleeperIsOneOfTheHost)
{
    Plan p = ticking("apic-timer", 2, "halt");
    Machine m(p);
    EXPECT_LE(700u, slowest(m));
    EXPECT_EQ(1u, m.exits(0, "MSR_WRITE"));
    EXPECT_EQ(2u, m.exits(0, "HLT"));
    EXPECT_EQ(3u, m.exits(0));
    p.features["timer-advance"] = true;
    p.timer_advance_ns = 5000;
    Machine ahead(p);
    EXPECT_EQ(200u, slowest(ahead)) << "which knows an advance";
}

TEST(VirtualTimer, IsTheHardwaresAgainWhenTheSleeperIsWokenByAnotherInterrupt)
{
    Plan p = ticking("apic-timer");
    p.programs["main"] = R"(["timer_mode",50,2],["tsc_deadline",60000],["halt"],)"
                         R"(["spin_until",0,1])";
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":60,"at_ns":[20000]})";
    Machine m(p);
    EXPECT_EQ(200u, slowest(m));
    EXPECT_EQ(2u, m.exits(0)) << "the mode, HLT";
}

TEST(VirtualTimer, ServesNoCounts)
{
    for (const char *mode : {"0", "1"}) {
        Plan p = ticking("apic-timer");
        p.programs["main"] = std::string(R"(["timer_mode",50,)") + mode +
                             R"(],["timer_count",2000,1],["spin_until",0,1])";
        Machine m(p);
        EXPECT_LE(700u, slowest(m)) << mode;
        EXPECT_EQ(1u, m.exits(0, "PREEMPTION_TIMER")) << mode;
    }
}

/* KVM: the mask in LVT_TIMER takes the timer from the hardware, and gives it back. */
TEST(VirtualTimer, IsKvmsWhileItIsMasked)
{
    Plan p = ticking("apic-timer");
    const std::string mask = R"(["apic_write",800,327730],["rdmsr",1760],)";
    p.programs["main"] = R"(["timer_mode",50,2],["tsc_deadline",60000],)" + mask +
                         R"(["timer_mode",50,2],["rdmsr",1760],["spin_until",0,1])";
    Machine m(p);
    EXPECT_EQ(200u, slowest(m)) << "the deadline outlives it";
    EXPECT_EQ(1u, m.exits(0, "MSR_READ"));
    EXPECT_EQ(4u, m.exits(0));
}

TEST(VirtualTimer, ThatExpiresWhileItIsMaskedIsNoInterrupt)
{
    Plan p = ticking("apic-timer");
    p.programs["main"] =
        R"(["timer_mode",50,2],["tsc_deadline",5000],["apic_write",800,327730],)"
        R"(["compute",20000],["timer_mode",50,2],["compute",20000])";
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.latency("timer", "count"));
}

/* Between the exit and the entry the deadline comes: KVM finds it when it takes the timer over. */
TEST(VirtualTimer, IsNotLostWhenItComesAsKvmTakesItOver)
{
    for (unsigned ns = 20; ns < 2000; ns += 20) {
        Plan p = ticking("apic-timer");
        p.programs["main"] = R"(["timer_mode",50,2],["tsc_deadline",)" + std::to_string(ns) +
                             R"(],["apic_write",800,327730],["timer_mode",50,2],)"
                             R"(["timer_mode",50,0],["compute",9000])";
        Machine m(p);
        EXPECT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        p.programs["main"] = R"(["timer_mode",50,2],["tsc_deadline",)" + std::to_string(ns) +
                             R"(],["port_out",128,1,0],["timer_mode",50,2],["spin_until",0,1])";
        Machine stays(p);
        EXPECT_EQ("", stays.error());
        EXPECT_EQ(VIRQSIM_ENDED, stays.run()) << ns;
        EXPECT_EQ(1u, stays.latency("timer", "count")) << ns;
    }
}

TEST(VirtualTimer, OfADeadlineThatHasPassedExpiresAtOnce)
{
    Plan p = ticking("apic-timer");
    p.programs["main"] =
        R"(["timer_mode",50,2],["compute",5000],["wrmsr",1760,7],["spin_until",0,1])";
    Machine m(p);
    EXPECT_EQ(200u, slowest(m));
    EXPECT_EQ(1u, m.exits(0));
}

TEST(VirtualTimer, ThatIsDisarmedDoesNotExpire)
{
    Plan p = ticking("apic-timer");
    p.programs["main"] = R"(["timer_mode",50,2],["tsc_deadline",5000],["tsc_deadline",0],)"
                         R"(["compute",20000])";
    Machine m(p);
    EXPECT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.latency("timer", "count"));
    EXPECT_EQ(1u, m.exits(0));
}

TEST(VirtualTimer, FollowsTheVectorOfItsEntry)
{
    Plan p = ticking("apic-timer");
    p.programs["main"] = R"(["timer_mode",60,2],["timer_mode",50,2],["tsc_deadline",5000],)"
                         R"(["spin_until",0,1])";
    Machine m(p);
    EXPECT_EQ(200u, slowest(m));
}

/* KVM: a change of APICv chooses the timer anew. */
TEST(VirtualTimer, IsKvmsWhileApicvIsInhibited)
{
    Plan p = ticking("apic-timer", 3);
    p.inhibits = R"({"reason":"HYPERV","from_ns":30000,"until_ns":50000})";
    Machine m(p);
    EXPECT_LE(700u, slowest(m));
    EXPECT_EQ(200u * NS, m.latency("timer", "min_ps"));
    EXPECT_EQ(1u, m.exits(0, "PREEMPTION_TIMER")) << "the second of three";
    EXPECT_EQ(3u, m.latency("timer", "count"));
}

TEST(VirtualTimer, NeedsVirtualInterruptDelivery)
{
    Plan p = ticking("none");
    p.features["apic-timer-virtualization"] = true;
    EXPECT_EQ("plan: features: apic-timer-virtualization needs virtual-interrupt-delivery",
              Machine(p).error());
}

/* --- whatever the vCPU does when it expires, it is delivered --- */

class AnyInstantOfATimer
    : public testing::TestWithParam<std::tuple<const char *, const char *, unsigned>>
{
};

TEST_P(AnyInstantOfATimer, IsDeliveredAndNotBeforeItsDeadline)
{
    const auto &[mode, end, poll] = GetParam();
    std::istringstream words(mode);
    std::string feature;
    Plan p;
    words >> p.technology;
    while (words >> feature)
        p.features[feature.substr(1)] = feature[0] == '+';
    p.halt_poll_ns = poll;
    p.physical_cpus = 2;
    p.housekeeping_cpu = 1;
    p.programs["tick"] = R"(["eoi"],["word_add",0,1])";
    p.vcpus = {{0, "main", {{50, "tick"}}}};
    for (unsigned ns = 20; ns < 6000; ns += 70) {
        p.programs["main"] =
            R"(["timer_mode",50,2],["tsc_deadline",)" + std::to_string(ns) +
            R"(],["port_out",128,1,0],["cpuid"],["mask"],["cpuid"],["unmask"],)" + end;
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << "after " << ns << " ns";
        ASSERT_EQ(1u, m.latency("timer", "count"));
        ASSERT_LT(0u, m.latency("timer", "min_ps")) << "after " << ns << " ns";
    }
}

INSTANTIATE_TEST_SUITE_P(
    EveryMode, AnyInstantOfATimer,
    testing::Combine(testing::Values("none", "none -timer-advance", "none -preemption-timer",
                                     "apicv", "apicv +mwait-in-guest",
                                     "apicv +timer-posting +hlt-in-guest -timer-advance",
                                     "apicv +timer-posting +hlt-in-guest", "svm", "x2avic",
                                     "x2avic +timer-posting +hlt-in-guest", "apic-timer",
                                     "apic-timer -timer-advance", "apic-timer +hlt-in-guest",
                                     "apic-timer +timer-posting +hlt-in-guest"),
                     testing::Values(R"(["spin_until",0,1])", R"(["halt_until",0,1])"),
                     testing::Values(0u, 20000u)));

} // namespace
