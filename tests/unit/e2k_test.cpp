/* Elbrus in the machine: EPIC guests with and without EPIC virtualization. */
#include <gtest/gtest.h>

#include "plans.h"
#include "random_epic.h"

namespace
{

using plans::Machine;
using plans::Plan;
using plans::random_epic;

const char *const PAGE = "mu:gpa_data";

/* vCPU 0 sends, vCPU 1 spins until its handler has run `count` times. */
Plan pair(const std::string &technology, const std::string &sender, unsigned count = 1)
{
    Plan p;
    p.technology = technology;
    p.guest_apic = "epic";
    p.programs = {{"sender", "[\"compute\",20000]," + sender},
                  {"target", "[\"spin_until\",0," + std::to_string(count) + "]"},
                  {"on", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "sender", {}}, {1, "target", {}}};
    for (unsigned vector : {2u, 48u, 300u, 700u, 1023u})
        p.vcpus[1].handlers[vector] = "on";
    return p;
}

TEST(E2k, WithoutVirtualizationEachAccessIsIntercepted)
{
    Machine m(pair("epic-sw", "[\"epic_ipi\",1023,1]"));
    ASSERT_EQ("", m.error());
    ASSERT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(2u, m.exits(0, PAGE, "operation")); /* ICR read until idle, ICR written */
    EXPECT_EQ(1u, m.exits(1, "cu:hv_int", "delivery"));
    EXPECT_EQ(1u, m.exits(1, PAGE, "delivery")); /* VECT_INTA */
    EXPECT_EQ(1u, m.exits(1, PAGE, "acknowledge"));
    EXPECT_EQ(3u, m.exits(1));
}

TEST(E2k, WithItARunningTargetIsHitWithoutAnInterception)
{
    for (const char *vector : {"48", "300", "700", "1023"}) {
        Machine m(pair("epic-hw", std::string("[\"epic_ipi\",") + vector + ",1]"));
        ASSERT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(0u, m.exits(0) + m.exits(1)) << vector;
    }
}

/* The target's CPU has another thread first, so that its row is not valid yet. */
TEST(E2k, AMissInterruptsTheHostOnTheSendersCore)
{
    Plan p = pair("epic-hw", "[\"epic_ipi\",48,1]");
    p.programs["target"] = "[\"compute\",2000000],[\"spin_until\",0,1]";
    p.programs["sender"] = "[\"compute\",1500000],[\"epic_ipi\",48,1],[\"compute\",3000000]";
    p.load = {1};
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(1u, m.exits(0, "cu:hv_int", "host"));
    EXPECT_EQ(1u, m.exits(0));
    EXPECT_EQ(0u, m.exits(1, "", "delivery"));
    EXPECT_EQ(1u, m.latency("ipi", "count"));
}

TEST(E2k, AMessageToNobodyIsRefused)
{
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Machine m(pair(technology, "[\"epic_ipi\",48,7],[\"epic_ipi\",48,1]"));
        ASSERT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(1, json_integer_value(json_object_get(m.results(), "refused_nowhere")));
    }
}

/* The second of a class waits for the first one's EOI, a higher class does not. */
TEST(E2k, AHigherClassInterruptsAHandlerThatLetsIt)
{
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Plan p = pair(technology,
                      "[\"epic_ipi\",300,1],[\"compute\",20000],[\"epic_ipi\",301,1],"
                      "[\"epic_ipi\",700,1]",
                      3);
        p.programs["low"] =
            "[\"unmask\"],[\"compute\",100000],[\"stamp\",0],[\"mask\"],[\"eoi\"],"
            "[\"word_add\",0,1]";
        p.programs["second"] = "[\"stamp\",2],[\"eoi\"],[\"word_add\",0,1]";
        p.programs["high"] = "[\"stamp\",1],[\"eoi\"],[\"word_add\",0,1]";
        p.vcpus[1].handlers = {{300, "low"}, {301, "second"}, {700, "high"}};
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(3u, m.latency("ipi", "count"));
        /* The high one's latency is far below the low handler's time; the second's is above it. */
        EXPECT_LT(m.latency("ipi", "p50_ps"), 50000000u) << technology;
        EXPECT_GT(m.latency("ipi", "max_ps"), 50000000u) << technology;
    }
}

TEST(E2k, NmisReachTheGuestWhateverItsMasks)
{
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Plan p = pair(technology, "[\"ipi\",1024,1]"); /* delivery mode NMI */
        p.programs["target"] = "[\"mask\"],[\"spin_until\",0,1]";
        p.programs["on"] = "[\"word_add\",0,1]";
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_EQ(1u, m.latency("ipi", "count"));
    }
}

/* The CPUs of an EPIC guest run already. */
TEST(E2k, AnInitGoesNowhere)
{
    const std::string icr = std::to_string(uint64_t{1} << 40 | EPIC_INIT << 13);
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Plan p = pair(technology, "[\"apic_write\",512," + icr +
                                      "],[\"compute\",900000],[\"epic_ipi\",48,1]");
        p.programs["target"] = "[\"halt_until\",0,1]";
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_EQ(1u, m.exits(1, "cu:wait_trap")) << technology;
        EXPECT_EQ(technology == std::string("epic-hw"), m.exits(0, "cu:hv_int")) << technology;
        EXPECT_EQ(1u, m.latency("ipi", "count")) << technology;
    }
}

TEST(E2k, AnIdleGuestFreesItsCoreAndIsWoken)
{
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Plan p = pair(technology, "[\"compute\",500000],[\"epic_ipi\",48,1]");
        p.programs["target"] = "[\"halt_until\",0,1]";
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_EQ(1u, m.exits(1, "cu:wait_trap", "operation"));
        EXPECT_EQ(0u, m.exits(1, "cu:hv_int"));
    }
}

TEST(E2k, TheTimersInterruptLeavesTheGuestOnlyWithoutVirtualization)
{
    for (const char *mode : {"0", "1"}) {
        const std::string arm = std::string("[\"timer_mode\",700,") + mode +
                                "],[\"timer_count\",2000,1],[\"spin_until\",0,1],"
                                "[\"timer_count\",0,0]";
        Plan p = pair("epic-sw", arm);
        p.programs["target"] = "[\"spin_until\",0,1]";
        p.vcpus[0].handlers[700] = "on";
        Machine sw(p);
        p.technology = "epic-hw";
        Machine hw(p);
        ASSERT_EQ(VIRQSIM_ENDED, sw.run());
        ASSERT_EQ(VIRQSIM_ENDED, hw.run());
        EXPECT_EQ(1u, sw.exits(0, "cu:hv_int", "delivery"));
        EXPECT_EQ(0u, hw.exits(0));
        EXPECT_EQ(1u, hw.latency("timer", "count"));
        EXPECT_GT(2000000u, hw.latency("timer", "max_ps")); /* 2 us: it is not late */
    }
}

/* A sleeper has no core, and so no timer of its own: the host's wakes it. */
TEST(E2k, ATimerWakesASleeper)
{
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Plan p = pair(technology, "[\"timer_mode\",700,0],[\"tsc_deadline\",200000],"
                                  "[\"halt_until\",0,1]");
        p.vcpus[0].handlers[700] = "on";
        p.programs["target"] = "[\"compute\",1]";
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_EQ(1u, m.latency("timer", "count"));
    }
}

/* docs/models/e2k.md: which cause each operation has. */
TEST(E2k, CausesOfInterception)
{
    const struct {
        const char *operation, *cause;
    } rows[] = {
        {"[\"cpuid\"]", "cu:rr_idr"},
        {"[\"hypercall\"]", "hcall"},
        {"[\"wbinvd\"]", "mu:cache_flush"},
        {"[\"port_out\",128,1,0]", "mu:mas_ioaddr"},
        {"[\"mmio_read\",4096,4]", PAGE},
        {"[\"touch\",8192]", PAGE},
        {"[\"host_interrupt\"],[\"compute\",10]", "cu:hv_int"},
    };
    for (const char *technology : {"epic-sw", "epic-hw"})
        for (const auto &row : rows) {
            Plan p = pair(technology, row.operation);
            p.vcpus.pop_back();
            Machine m(p);
            ASSERT_EQ(VIRQSIM_ENDED, m.run());
            EXPECT_EQ(1u, m.exits(0, row.cause)) << technology << " " << row.operation;
            EXPECT_EQ(1u, m.exits(0)) << technology << " " << row.operation;
        }
}

TEST(E2k, ATrapWhosePageIsNotMappedBeginsAgain)
{
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Plan p = pair(technology, "[\"epic_ipi\",48,1]");
        p.programs["target"] = "[\"delivery_fault\"],[\"spin_until\",0,1]";
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_EQ(1u, m.exits(1, "mu:gpa_instr"));
        EXPECT_EQ(1u, m.latency("ipi", "count"));
    }
}

TEST(E2k, WhatThereIsNotIsRefusedByName)
{
    const auto refused = [](const std::string &technology, const std::string &apic,
                            const std::string &program) {
        Plan p = pair(technology, program);
        p.guest_apic = apic;
        for (auto &v : p.vcpus)
            v.handlers.clear();
        return Machine(p).error();
    };
    EXPECT_EQ("plan: machine.guest_apic: none has no EPIC (xapic, x2apic, none)",
              refused("none", "epic", "[\"pause\"]"));
    EXPECT_EQ("plan: machine.guest_apic: a guest of epic-hw has an EPIC, or a local APIC "
              "(epic, xapic)",
              refused("epic-hw", "x2apic", "[\"pause\"]"));
    EXPECT_NE(std::string::npos,
              refused("epic-hw", "epic", "[\"cr8\",1]").find("an Elbrus guest has no cr8"));
    EXPECT_NE(std::string::npos,
              refused("none", "x2apic", "[\"epic_ipi\",48,1]").find("needs an EPIC guest"));
    EXPECT_NE(std::string::npos,
              refused("epic-sw", "epic", "[\"ipi\",2096,1]").find("no logical destinations"));
    for (unsigned mode : {1, 2, 3, 5, 6, 7})
        EXPECT_NE(
            std::string::npos,
            refused("epic-hw", "epic", "[\"ipi\"," + std::to_string(mode << 8 | 48) + ",1]")
                .find("and NMIs (4), not mode " + std::to_string(mode)))
            << mode;
    for (unsigned mode : {0, 4})
        EXPECT_EQ("", refused("epic-hw", "epic",
                              "[\"ipi\"," + std::to_string(mode << 8 | 48) + ",1]"));
    Plan p = pair("epic-hw", "[\"pause\"]");
    p.features["fastpath"] = true;
    EXPECT_EQ("plan: features: fastpath is not a feature of e2k (epic-hw)", Machine(p).error());
    p = pair("epic-hw", "[\"pause\"]");
    p.physical_cpus = 65;
    EXPECT_EQ("plan: machine.physical_cpus: 65 are too many for EPIC (at most 64)",
              Machine(p).error());
}

class RandomEpics : public testing::TestWithParam<uint64_t>
{
};

TEST_P(RandomEpics, LoseNothing)
{
    for (uint64_t seed = GetParam(); seed < GetParam() + 25; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Machine whole(random_epic(seed)), cut(random_epic(seed));
        ASSERT_EQ("", whole.error());
        whole.run(VIRQSIM_NEVER, 100000);
        const json_t *broken = json_object_get(whole.results(), "broken");
        const std::string said = json_is_string(broken) ? json_string_value(broken) : "";
        EXPECT_TRUE(said.empty() || said.find("nest more than") != std::string::npos) << said;
        for (uint64_t ps = 1; cut.run(ps * 7777777, 2000) == VIRQSIM_RUNNING && ps < 40;
             ps += 3)
            ASSERT_TRUE(json_is_null(json_object_get(cut.results(), "broken")) ||
                        !said.empty());
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomEpics, testing::Range<uint64_t>(1, 201, 25));

} // namespace
