/* Events held back: alone in a queue, and in a machine by its plan. */
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plans.h"
#include "shim.h"
extern "C" {
#include "port/explore.h"
}

namespace
{

using plans::Machine;
using plans::Plan;

/* Some events that write down when they fire; each may arm another. */
struct Bench {
    struct Event {
        event e;
        Bench *bench;
        char name;
        Event *then = nullptr;
        uint64_t after = 0;
    };
    event_queue q;
    alignas(64) unsigned char storage[4096];
    Event events[4];
    std::string fired;
    std::vector<explore_hold> holds;
    std::vector<uint32_t> past = std::vector<uint32_t>(8);
    explore x{};

    Bench()
    {
        event_queue_init(&q, storage, 4);
        for (int i = 0; i < 4; i++) {
            events[i].bench = this;
            events[i].name = (char)('a' + i);
            event_init(&q, &events[i].e, EVENT_PHASE_CPU, fire);
        }
        x.end = SIM_TIME_NEVER;
    }
    static void fire(event *e)
    {
        auto *self = (Event *)e;
        Bench *b = self->bench;
        b->fired += self->name + std::to_string(b->q.now.ps) + " ";
        if (self->then)
            event_arm(&b->q, &self->then->e, {b->q.now.ps + self->after});
    }
    void arm(int n, uint64_t at)
    {
        event_arm(&q, &events[n].e, {at});
    }
    std::string run(uint64_t window, std::vector<explore_hold> h, uint64_t until = UINT64_MAX)
    {
        holds = std::move(h);
        x.window_ps = window;
        x.hold = holds.data();
        x.hold_count = (uint32_t)holds.size();
        x.past = past.data();
        explore_run(&x, &q, {until}, UINT64_MAX);
        return fired;
    }
};

TEST(Explore, WithoutHoldsEventsFireAsTheyAlwaysDo)
{
    Bench b;
    b.arm(0, 30), b.arm(1, 10), b.arm(2, 10), b.arm(3, 20);
    EXPECT_EQ("b10 c10 d20 a30 ", b.run(0, {}));
    EXPECT_EQ(1u, b.x.places) << "b alone could have been overtaken, by c";
    EXPECT_EQ(4u, b.q.fired);
}

TEST(Explore, OneThatIsHeldBackIsOvertakenByWhatIsDueAtOnce)
{
    Bench b;
    b.arm(0, 10), b.arm(1, 10), b.arm(2, 10), b.arm(3, 20);
    EXPECT_EQ("b10 a10 c10 d20 ", b.run(0, {{0, 1}}));
    EXPECT_EQ(1u, b.past[0]);
}

TEST(Explore, ItFiresAtTheTimeOfWhoeverOvertookItLast)
{
    Bench b;
    b.arm(0, 10), b.arm(1, 14), b.arm(2, 17), b.arm(3, 30);
    EXPECT_EQ("b14 c17 a17 d30 ", b.run(10, {{0, 2}}));
    EXPECT_EQ(2u, b.past[0]);
}

TEST(Explore, NobodyIsHeldBackForLongerThanTheWindow)
{
    Bench b;
    b.arm(0, 10), b.arm(1, 14), b.arm(2, 21);
    EXPECT_EQ("b14 a14 c21 ", b.run(10, {{0, 5}}))
        << "c is due one later than the window's end";
    EXPECT_EQ(1u, b.past[0]);
}

TEST(Explore, WhatAnOvertakerArmsMayOvertakeToo)
{
    Bench b;
    b.events[1].then = &b.events[2];
    b.events[1].after = 3;
    b.arm(0, 10), b.arm(1, 12);
    EXPECT_EQ("b12 c15 a15 ", b.run(10, {{0, 2}}));
}

/* What `virqsim race` relies on: each order has exactly one schedule. */
struct Orders {
    std::vector<uint64_t> due;
    uint64_t window;
    std::map<std::string, int> schedules; /* by order */

    std::string run(const std::vector<explore_hold> &holds, std::vector<uint32_t> *past,
                    uint64_t *places)
    {
        Bench b;
        for (size_t n = 0; n < due.size(); n++)
            b.arm((int)n, due[n]);
        b.run(window, holds);
        *past = b.past;
        *places = b.x.places;
        std::string order;
        for (char c : b.fired)
            if (c >= 'a')
                order += c;
        return order;
    }
    void search(const std::vector<explore_hold> &holds)
    {
        std::vector<uint32_t> past;
        uint64_t places, ignored;
        schedules[run(holds, &past, &places)]++;
        for (uint32_t place = holds.empty() ? 0 : holds.back().place + 1; place < places;
             place++)
            for (uint32_t by = 1;; by++) {
                auto longer = holds;
                longer.push_back({place, by});
                run(longer, &past, &ignored);
                bool attained = true;
                for (size_t n = 0; n < longer.size(); n++)
                    attained = attained && past[n] == longer[n].past;
                if (!attained)
                    break;
                search(longer);
            }
    }
    /* On paper: nobody fires behind one that is due later than its own window's end. */
    std::map<std::string, int> allowed() const
    {
        std::map<std::string, int> all;
        std::string order = std::string("abcd").substr(0, due.size());
        do {
            uint64_t latest = 0;
            bool fits = true;
            for (char c : order) {
                fits = fits && latest <= due[c - 'a'] + window;
                latest = std::max(latest, due[c - 'a']);
            }
            if (fits)
                all[order] = 1;
        } while (std::next_permutation(order.begin(), order.end()));
        return all;
    }
};

TEST(Explore, EachOrderThatTheWindowAllowsHasExactlyOneSchedule)
{
    Orders at_once{{10, 10, 10, 10}, 0, {}};
    at_once.search({});
    EXPECT_EQ(24u, at_once.schedules.size()) << "4!";
    for (uint64_t seed = 0; seed < 256; seed++) {
        Orders o{{10 + seed % 4 * 5, 10 + seed / 4 % 4 * 5, 10 + seed / 16 % 4 * 5,
                  10 + seed / 64 % 4 * 5},
                 seed % 3 * 5,
                 {}};
        o.search({});
        EXPECT_EQ(o.allowed(), o.schedules) << seed;
    }
}

TEST(Explore, OneThatIsArmedAgainMeanwhileIsHeldNoLonger)
{
    Bench b;
    b.events[1].then = &b.events[0];
    b.events[1].after = 50;
    b.arm(0, 10), b.arm(1, 12), b.arm(2, 13);
    EXPECT_EQ("b12 c13 a62 ", b.run(10, {{0, 3}}));
    EXPECT_EQ(1u, b.past[0]);
}

TEST(Explore, TwoMayBeHeldBackAtTheSameTime)
{
    Bench b;
    b.arm(0, 10), b.arm(1, 11), b.arm(2, 12), b.arm(3, 13);
    EXPECT_EQ("c12 b12 d13 a13 ", b.run(10, {{0, 3}, {1, 1}}));
}

TEST(Explore, ARunInPiecesIsTheSameRun)
{
    Bench whole, pieces;
    for (Bench *b : {&whole, &pieces})
        b->arm(0, 10), b->arm(1, 14), b->arm(2, 17), b->arm(3, 30);
    whole.run(10, {{0, 2}});
    for (uint64_t until = 1; until < 40; until++)
        pieces.run(10, {{0, 2}}, until);
    EXPECT_EQ(whole.fired, pieces.fired);
}

/* ---- in a machine ---- */

/* An interrupt comes while its target makes a trip out of its guest, or goes to sleep. */
Plan trip(const std::string &technology, const std::string &what)
{
    Plan p;
    p.technology = technology;
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48})";
    p.programs = {{"main", "[\"signal\",0]," + what},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{48, "handler"}}}};
    return p;
}

/* Of all schedules that hold back one event: how many there are, and how many end with a finding. */
std::pair<unsigned, unsigned> tried(const Plan &p, uint64_t window_ps, bool ends = true)
{
    unsigned runs = 0, wrong = 0;
    struct virqsim_explored all {
    }, one{};
    Machine base(p);
    EXPECT_EQ("", base.error());
    EXPECT_TRUE(virqsim_schedule(base.sim(), window_ps, nullptr, 0));
    base.run();
    virqsim_exploration(base.sim(), &all);
    for (uint32_t place = 0; place < all.places; place++)
        for (uint32_t past = 1;; past++) {
            const virqsim_hold hold = {place, past};
            Machine m(p);
            EXPECT_TRUE(virqsim_schedule(m.sim(), window_ps, &hold, 1));
            const virqsim_state state = m.run();
            virqsim_exploration(m.sim(), &one);
            if (one.past[0] < past)
                break;
            EXPECT_NE(VIRQSIM_BROKEN, state);
            EXPECT_TRUE(state == VIRQSIM_IDLE || !one.findings) << "found where there is none";
            EXPECT_TRUE(state == VIRQSIM_ENDED || one.findings || !ends)
                << "lost, and not found";
            runs++;
            wrong += one.findings > 0;
        }
    return {runs, wrong};
}

const char *const TRIP = "[\"cpuid\"],[\"spin_until\",0,1]";
const char *const SLEEP = "[\"halt_until\",0,1]";
constexpr uint64_t WINDOW = 5000000;

class EachTechnology : public testing::TestWithParam<const char *>
{
};

TEST_P(EachTechnology, LosesNothingWheneverAnInterruptComes)
{
    for (const char *what : {TRIP, SLEEP}) {
        const auto [runs, wrong] = tried(trip(GetParam(), what), WINDOW);
        EXPECT_LT(5u, runs) << what;
        EXPECT_EQ(0u, wrong) << what;
    }
}

TEST_P(EachTechnology, LosesOneWithoutTheLookAfterInGuestMode)
{
    Plan p = trip(GetParam(), TRIP);
    p.without_rechecks = "\"kvm_vcpu_exit_request\"";
    const auto [runs, wrong] = tried(p, WINDOW);
    EXPECT_LT(0u, wrong);
    EXPECT_LT(wrong, runs) << "not whenever it comes";
}

TEST_P(EachTechnology, LosesOneWithoutTheLookBeforeTheSleep)
{
    Plan p = trip(GetParam(), SLEEP);
    p.without_rechecks = "\"kvm_vcpu_check_block\"";
    const auto [runs, wrong] = tried(p, WINDOW);
    EXPECT_LT(0u, wrong);
    EXPECT_LT(wrong, runs) << "not whenever it comes";
}

INSTANTIATE_TEST_SUITE_P(Kvm, EachTechnology,
                         testing::Values("none", "apicv", "ipiv", "vtd-pi", "svm"));

/* The IOMMU posts while another vCPU has the CPU: SN is set, and ON is not. */
TEST(Explore, WithoutOnAfterSnAPostedInterruptIsLost)
{
    Plan p;
    p.technology = "vtd-pi";
    p.devices = R"({"name":"d","kind":"assigned","vcpu":0,"vector":48,"cpu":0})";
    p.time_slice_ns = 20000;
    p.programs = {{"main", "[\"spin_until\",0,1]"},
                  {"other", "[\"compute\",1000],[\"signal\",0],[\"compute\",1000],[\"halt\"]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{48, "handler"}}}, {0, "other", {}}};
    const auto [runs, wrong] = tried(p, WINDOW, false);
    EXPECT_LT(0u, runs);
    EXPECT_EQ(0u, wrong);
    p.without_rechecks = "\"pi_set_on\"";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_IDLE, m.run());
    json_t *findings = json_object_get(m.results(), "findings");
    ASSERT_EQ(1u, json_array_size(findings));
    EXPECT_STREQ("pending",
                 json_string_value(json_object_get(json_array_get(findings, 0), "what")));
}

TEST(Explore, AScheduleInThePlanIsThatOfTheCall)
{
    Plan p = trip("apicv", TRIP);
    const virqsim_hold hold = {1, 2};
    Machine called(p);
    ASSERT_TRUE(virqsim_schedule(called.sim(), WINDOW, &hold, 1));
    called.run();
    p.schedule = R"({"window_ns":5000,"hold":[{"place":1,"past":2}]})";
    Machine planned(p);
    ASSERT_EQ("", planned.error());
    planned.run();
    struct virqsim_explored a {
    }, b{};
    virqsim_exploration(called.sim(), &a);
    virqsim_exploration(planned.sim(), &b);
    EXPECT_EQ(a.signature, b.signature);
    EXPECT_EQ(2u, b.past[0]);
    json_t *told = json_array_get(
        json_object_get(json_object_get(planned.results(), "schedule"), "hold"), 0);
    EXPECT_EQ(2u, json_array_size(json_object_get(told, "overtaken_by")));
}

TEST(Explore, AScheduleAfterTheFirstEventIsRefused)
{
    Machine m(trip("apicv", TRIP));
    m.run(VIRQSIM_NEVER, 3);
    EXPECT_FALSE(virqsim_schedule(m.sim(), 0, nullptr, 0));
}

TEST(Explore, BadSchedulesNameTheirPlace)
{
    Plan p = trip("apicv", TRIP);
    const std::map<std::string, std::string> bad = {
        {R"({"hold":[]})", "plan: run.schedule.window_ns: is missing"},
        {R"({"window_ns":1,"hold":[{"place":3,"past":0}]})",
         "plan: run.schedule.hold[0].past: 0 is out of range (1..4294967295)"},
        {R"({"window_ns":1,"hold":[{"place":3,"past":1},{"place":3,"past":1}]})",
         "plan: run.schedule.hold[1].place: 3 is out of range (4..4294967295)"},
    };
    for (const auto &[schedule, message] : bad) {
        p.schedule = schedule;
        EXPECT_EQ(message, Machine(p).error().substr(0, message.size()));
    }
    p.schedule = "";
    p.without_rechecks = "\"kvm_vcpu_block\"";
    EXPECT_EQ("plan: hypervisor.without_rechecks[0]: \"kvm_vcpu_block\" is not one of: "
              "kvm_vcpu_exit_request, kvm_vcpu_check_block, pi_set_on",
              Machine(p).error());
}

} // namespace
