/* IOEPIC in an Elbrus machine: pins, assigned devices, and who leaves the guest for them. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

const char *const PAGE = "mu:gpa_data";
enum : unsigned { EDGE = 0, LEVEL = 1 << 15, MASKED = 1 << 16, EOI = 1 << 12 };

std::string store(unsigned pin, unsigned offset, unsigned value)
{
    return "[\"mmio_write\"," + std::to_string(0xfec00000 + pin * 0x1000 + offset) + ",4," +
           std::to_string(value) + "]";
}

/* As Linux programs a pin: ioepic_write_entry(). */
std::string route(unsigned pin, unsigned vector, unsigned destination, unsigned control)
{
    return store(pin, 0x24, vector) + "," + store(pin, 0x2c, destination << 6) + "," +
           store(pin, 0x20, control);
}

std::string line(unsigned pin, const std::string &more = "")
{
    return R"({"name":"d","kind":"line","gsi":)" + std::to_string(pin) + more + "}";
}

/* vCPU 0 programs pin 5 for vector 600 of vCPU 1 and has its device act; vCPU 1 handles it. */
Plan pin_plan(const std::string &technology, unsigned control, const std::string &handler,
              const std::string &more = "", unsigned pin = 5)
{
    Plan p;
    p.technology = technology;
    p.guest_apic = "epic";
    p.chipset = R"({"ioepic":"v2"})";
    p.devices = line(pin, more);
    p.programs = {{"driver", "[\"setup\",1]," + route(pin, 600, 1, control) +
                                 ",[\"setup\",0],[\"compute\",20000],[\"signal\",0],"
                                 "[\"spin_until\",0,1],[\"compute\",20000]"},
                  {"target", "[\"spin_until\",0,1],[\"compute\",20000]"},
                  {"on", handler}};
    p.vcpus = {{0, "driver", {}}, {1, "target", {}}};
    p.vcpus[1].handlers[600] = "on";
    return p;
}

const std::string EDGE_HANDLER = "[\"lower\",0],[\"eoi\"],[\"word_add\",0,1]";
std::string level_handler(unsigned pin = 5)
{
    return "[\"lower\",0],[\"eoi\"]," + store(pin, 0x20, EOI) + ",[\"word_add\",0,1]";
}

void ends(Machine &m)
{
    ASSERT_EQ("", m.error());
    ASSERT_EQ(VIRQSIM_ENDED, m.run(VIRQSIM_NEVER, 100000));
    ASSERT_TRUE(json_is_null(json_object_get(m.results(), "broken")));
}

TEST(IoepicBoard, AnEdgeCostsWhatItsControllerCosts)
{
    Machine sw(pin_plan("epic-sw", EDGE, EDGE_HANDLER));
    ends(sw);
    EXPECT_EQ(1u, sw.exits(1, "cu:hv_int", "delivery"));
    EXPECT_EQ(1u, sw.exits(1, PAGE, "delivery"));
    EXPECT_EQ(1u, sw.exits(1, PAGE, "acknowledge"));
    EXPECT_EQ(3u, sw.exits(1));
    EXPECT_EQ(1u, sw.latency("line", "count"));

    Machine hw(pin_plan("epic-hw", EDGE, EDGE_HANDLER));
    ends(hw);
    EXPECT_EQ(0u, hw.exits(1)) << "KVM sends it by its own ICR";
    EXPECT_EQ(3u, hw.exits(0, PAGE, "setup")) << "the emulated IOEPIC is intercepted";
}

/* The level's EOI is a store to the IOEPIC, and that is KVM's. */
TEST(IoepicBoard, ALevelHasAnEoiOfItsOwn)
{
    Machine hw(pin_plan("epic-hw", LEVEL, level_handler()));
    ends(hw);
    EXPECT_EQ(1u, hw.exits(1, PAGE, "acknowledge"));
    EXPECT_EQ(1u, hw.exits(1));
    EXPECT_EQ(1u, hw.latency("line", "count"));
}

TEST(IoepicBoard, ALevelThatStaysComesAgain)
{
    Plan p =
        pin_plan("epic-hw", LEVEL, "[\"eoi\"]," + store(5, 0x20, EOI) + ",[\"word_add\",0,1]");
    p.programs["driver"] = "[\"setup\",1]," + route(5, 600, 1, LEVEL) +
                           ",[\"setup\",0],[\"signal\",0],[\"spin_until\",0,3],[\"lower\",0]";
    p.programs["target"] = "[\"spin_until\",0,3],[\"compute\",50000]";
    Machine m(p);
    ends(m);
    EXPECT_LE(3u, m.latency("line", "count"));
}

/* Without the store to INT_CTRL the level is outstanding for ever. */
TEST(IoepicBoard, WithoutItsEoiALevelDoesNotComeAgain)
{
    Plan p = pin_plan("epic-hw", LEVEL, EDGE_HANDLER);
    p.programs["driver"] += ",[\"signal\",0],[\"compute\",100000]";
    p.programs["target"] += ",[\"compute\",300000]";
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.latency("line", "count"));
}

TEST(IoepicBoard, AMaskedPinWaitsForItsMask)
{
    Plan p = pin_plan("epic-hw", MASKED, EDGE_HANDLER);
    p.programs["driver"] = route(5, 600, 1, MASKED) + ",[\"signal\",0],[\"compute\",90000]," +
                           store(5, 0x20, EDGE) + ",[\"spin_until\",0,1]";
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.latency("line", "count"));
    EXPECT_LT(90000000u, m.latency("line", "max_ps"));
}

TEST(IoepicBoard, APinForNobodyIsRefused)
{
    Plan p = pin_plan("epic-hw", EDGE, EDGE_HANDLER);
    p.programs["driver"] = route(5, 600, 9, EDGE) + ",[\"signal\",0],[\"compute\",90000]";
    p.programs["target"] = "[\"compute\",90000]";
    Machine m(p);
    ends(m);
    EXPECT_EQ(1, json_integer_value(json_object_get(m.results(), "refused_nowhere")));
}

/* ---- assigned devices ---- */

const std::string ASSIGNED = R"(,"assigned":true,"cpu":1)";

/* The pin is the guest's: nobody leaves on the way, and the level's EOI only for its page. */
TEST(IoepicBoard, APassedPinDeliversWithoutTheHost)
{
    for (unsigned pin : {5u, 15u, 20u}) {
        Machine m(pin_plan("epic-hw", LEVEL, level_handler(pin), ASSIGNED, pin));
        ends(m);
        EXPECT_EQ(0u, m.exits(1, "", "delivery")) << pin;
        EXPECT_EQ(1u, m.exits(1, PAGE, "acknowledge")) << pin;
        EXPECT_EQ(1u, m.exits(1)) << pin;
    }

    Plan p = pin_plan("epic-hw", LEVEL, level_handler(), ASSIGNED);
    p.features["ioepic-direct-map"] = true;
    Machine mapped(p);
    ends(mapped);
    EXPECT_EQ(0u, mapped.exits(1));
    EXPECT_EQ(0u, mapped.exits(0));
    EXPECT_EQ(1u, mapped.latency("line", "count"));
}

/* Only that pin's page is mapped. */
TEST(IoepicBoard, AMappedPageIsThePinsAlone)
{
    Plan p = pin_plan("epic-hw", EDGE, EDGE_HANDLER, ASSIGNED);
    p.features["ioepic-direct-map"] = true;
    p.programs["driver"] = store(4, 0x24, 601) + "," + p.programs["driver"];
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.exits(0, PAGE, "operation"));
    EXPECT_EQ(1u, m.exits(0));
}

/* The host takes it, masks its pin, and asserts the guest's. */
TEST(IoepicBoard, WithoutPassthroughTheHostForwards)
{
    for (unsigned pin : {5u, 16u, 17u, 19u}) { /* 16 to 19 are INTx, never passed */
        Plan p = pin_plan("epic-hw", LEVEL, level_handler(pin), ASSIGNED, pin);
        p.features["epic-passthrough"] = pin != 5;
        Machine m(p);
        ends(m);
        EXPECT_EQ(1u, m.exits(1, "cu:hv_int")) << pin;
        EXPECT_EQ(1u, m.exits(1, PAGE, "acknowledge")) << pin;
        EXPECT_EQ(1u, m.latency("line", "count")) << pin;
    }
}

/* The host's handler has masked its pin: what bounces until the acknowledgement is not seen. */
TEST(IoepicBoard, AForwardedLevelThatBouncesComesOnce)
{
    Plan p = pin_plan("epic-hw", LEVEL, level_handler(17), ASSIGNED, 17);
    p.programs["driver"] = "[\"setup\",1]," + route(17, 600, 1, LEVEL) +
                           ",[\"setup\",0],[\"signal\",0],[\"compute\",50000],[\"lower\",0],"
                           "[\"signal\",0],[\"spin_until\",0,1],[\"compute\",50000]";
    p.programs["target"] = "[\"mask\"],[\"compute\",200000],[\"unmask\"],[\"spin_until\",0,1],"
                           "[\"compute\",50000]";
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.exits(1, "cu:hv_int"));
}

/* The guest's acknowledgement opens the host's pin again. */
TEST(IoepicBoard, AForwardedLevelThatStaysComesAgain)
{
    for (const char *technology : {"epic-sw", "epic-hw"}) {
        Plan p =
            pin_plan(technology, LEVEL,
                     "[\"eoi\"]," + store(17, 0x20, EOI) + ",[\"word_add\",0,1]", ASSIGNED, 17);
        p.programs["driver"] =
            "[\"setup\",1]," + route(17, 600, 1, LEVEL) +
            ",[\"setup\",0],[\"signal\",0],[\"spin_until\",0,3],[\"lower\",0]";
        p.programs["target"] = "[\"spin_until\",0,3],[\"compute\",50000]";
        Machine m(p);
        ends(m);
        EXPECT_LE(3u, m.latency("line", "count")) << technology;
    }
}

/* The EOI of a lower or a higher vector, on another vCPU, acknowledges no pin. */
TEST(IoepicBoard, AnotherVectorsEoiLeavesTheHostsPinMasked)
{
    Plan p = pin_plan("epic-sw", LEVEL, level_handler(17), ASSIGNED, 17);
    p.programs["driver"] = "[\"setup\",1]," + route(17, 600, 1, LEVEL) +
                           ",[\"setup\",0],[\"signal\",0],[\"compute\",50000],"
                           "[\"self_ipi\",599],[\"self_ipi\",601],[\"spin_until\",1,2]";
    p.programs["target"] = "[\"mask\"],[\"compute\",300000],[\"unmask\"],[\"spin_until\",0,1]";
    p.programs["other"] = "[\"eoi\"],[\"word_add\",1,1]";
    p.vcpus[0].handlers = {{599, "other"}, {601, "other"}};
    Machine m(p);
    ends(m);
    EXPECT_EQ(2u, m.latency("ipi", "count"));
    EXPECT_EQ(1u, m.exits(1, "cu:hv_int"));
    EXPECT_EQ(1u, m.latency("line", "count"));
}

/* ---- MSIs of assigned devices ---- */

Plan msi_plan(const std::string &technology, const std::string &target)
{
    Plan p;
    p.technology = technology;
    p.guest_apic = "epic";
    p.devices = R"({"name":"d","kind":"assigned","vcpu":0,"vector":700,"cpu":0,)"
                R"("at_ns":[300000]})";
    p.programs = {{"guest", target}, {"on", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "guest", {{700, "on"}}}};
    return p;
}

TEST(EpicDevice, AHitStaysInTheGuest)
{
    Machine hw(msi_plan("epic-hw", "[\"spin_until\",0,1]"));
    ends(hw);
    EXPECT_EQ(0u, hw.exits(0));
    EXPECT_EQ(1u, hw.latency("msi", "count"));

    Plan p = msi_plan("epic-hw", "[\"spin_until\",0,1]");
    p.features["epic-passthrough"] = false;
    Machine forwarded(p);
    ends(forwarded);
    EXPECT_EQ(1u, forwarded.exits(0, "cu:hv_int", "delivery"));
    EXPECT_EQ(1u, forwarded.exits(0));

    Machine sw(msi_plan("epic-sw", "[\"spin_until\",0,1]"));
    ends(sw);
    EXPECT_EQ(1u, sw.exits(0, "cu:hv_int", "delivery"));
    EXPECT_EQ(3u, sw.exits(0));
}

/* Nobody is told of what the hardware puts into PMIRR's copy: KVM looks from time to time. */
TEST(EpicDevice, AMissOfASleeperWaitsForKvmsLook)
{
    Machine hw(msi_plan("epic-hw", "[\"halt_until\",0,1]"));
    ends(hw);
    EXPECT_EQ(1u, hw.latency("msi", "count"));
    EXPECT_LT(UINT64_C(9000000000), hw.latency("msi", "max_ps"));
    EXPECT_GT(UINT64_C(10500000000), hw.latency("msi", "max_ps"));

    Plan p = msi_plan("epic-hw", "[\"halt_until\",0,1]");
    p.features["epic-passthrough"] = false;
    Machine told(p);
    ends(told);
    EXPECT_GT(UINT64_C(100000000), told.latency("msi", "max_ps"));
}

/* KVM looks every 10 ms from when the vCPU fell asleep, whenever the message comes. */
TEST(EpicDevice, TheLooksAreCountedFromTheBeginningOfTheSleep)
{
    Machine early(msi_plan("epic-hw", "[\"halt_until\",0,1]"));
    ends(early);
    Plan p = msi_plan("epic-hw", "[\"halt_until\",0,1]");
    p.devices = R"({"name":"d","kind":"assigned","vcpu":0,"vector":700,"cpu":0,)"
                R"("at_ns":[15000000]})";
    Machine late(p);
    ends(late);
    EXPECT_EQ(early.latency("msi", "max_ps") + UINT64_C(300000000) + UINT64_C(10000000000),
              late.latency("msi", "max_ps") + UINT64_C(15000000000));
}

TEST(EpicDevice, AGuestThatWaitsForEverIsFoundWaiting)
{
    Plan p = msi_plan("epic-hw", "[\"halt_until\",0,2]");
    for (uint64_t tick_ns : {0, 1000000}) {
        p.tick_ns = tick_ns;
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_IDLE, m.run()) << m.text();
        EXPECT_EQ(1u, m.latency("msi", "count"));
    }
}

/* It comes while the vCPU leaves its core, which takes two of KVM's looks, and nobody looks then. */
TEST(EpicDevice, AHitThatTheSleeperOverlooksIsFoundByALook)
{
    Plan p = msi_plan("epic-hw", "[\"halt_until\",0,1]");
    p.costs["host.vcpu_put"] = 25000000;
    Machine seen(p);
    ends(seen);
    p.without_rechecks = R"("kvm_vcpu_check_block")";
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.latency("msi", "count"));
    EXPECT_LT(UINT64_C(4000000000), m.latency("msi", "max_ps") - seen.latency("msi", "max_ps"));
    EXPECT_GT(UINT64_C(6000000000), m.latency("msi", "max_ps") - seen.latency("msi", "max_ps"));
}

/* One that polls sees the copy in memory. */
TEST(EpicDevice, AMissOfOneThatPollsIsSeen)
{
    Plan p = msi_plan("epic-hw", "[\"halt_until\",0,1]");
    p.halt_poll_ns = 1000000;
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.latency("msi", "count"));
}

/* A guest without assigned devices is not looked at. */
TEST(EpicDevice, TheHostsHandlerForwardsOnceForSeveral)
{
    Plan p = msi_plan("epic-sw", "[\"spin_until\",0,1],[\"compute\",900000]");
    p.devices = R"({"name":"d","kind":"assigned","vcpu":0,"vector":700,"cpu":0,)"
                R"("at_ns":[300000,300000]})";
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.latency("msi", "count")) << "the second met the first in the host's CEPIC";
}

/* ---- what cannot be masked ---- */

Plan nm_plan(const std::string &technology, const std::string &guest)
{
    Plan p;
    p.technology = technology;
    p.guest_apic = "epic";
    p.programs = {{"guest", guest}, {"on", "[\"word_add\",0,1]"}};
    p.vcpus = {{0, "guest", {{2, "on"}}}};
    return p;
}

const char *const NM_TIMER_INIT = "[\"apic_write\",656,11],[\"apic_write\",624,2000]";

TEST(EpicNonMaskable, TheTimerInterruptsAGuestThatMasks)
{
    Machine hw(
        nm_plan("epic-hw", std::string(NM_TIMER_INIT) + ",[\"mask\"],[\"spin_until\",0,1]"));
    ends(hw);
    EXPECT_EQ(0u, hw.exits(0));
    EXPECT_EQ(1u, hw.latency("timer", "count"));

    /* KVM's emulated CEPIC has no such timer. */
    Machine sw(nm_plan("epic-sw", std::string(NM_TIMER_INIT) + ",[\"compute\",90000]"));
    ends(sw);
    EXPECT_EQ(0u, sw.latency("timer", "count"));
}

TEST(EpicNonMaskable, PeriodicTheTimerComesUntilItsCountIsZero)
{
    Machine m(nm_plan("epic-hw", "[\"apic_write\",608,131072]," + std::string(NM_TIMER_INIT) +
                                     ",[\"spin_until\",0,3],[\"apic_write\",624,0],"
                                     "[\"compute\",900000]"));
    ends(m);
    EXPECT_EQ(3u, m.latency("timer", "count"));
}

/* KVM's idle timer counts only the maskable one. */
TEST(EpicNonMaskable, TheTimerWakesNobodyAndComesWithTheLoad)
{
    Plan p = nm_plan("epic-hw", std::string(NM_TIMER_INIT) + ",[\"halt_until\",0,1]");
    p.programs["waker"] = "[\"compute\",5000000],[\"epic_ipi\",48,0]";
    p.programs["woken"] = "[\"eoi\"]";
    p.vcpus[0].handlers[48] = "woken";
    p.vcpus.push_back({1, "waker", {}});
    Machine m(p);
    ends(m);
    EXPECT_EQ(1u, m.latency("timer", "count"));
    EXPECT_EQ(1u, m.latency("ipi", "count"));
    EXPECT_EQ(1u, m.exits(0, "cu:wait_trap"));
}

/* SMI and the special one, by ICR to oneself: CEPIC has them, KVM's emulation has not. */
TEST(EpicNonMaskable, OtherModesReachOnlyTheHardwaresCepic)
{
    for (unsigned mode : {2u, 3u}) {
        const std::string icr = std::to_string(mode << 13 | 1 << 10);
        Machine hw(nm_plan("epic-hw",
                           "[\"mask\"],[\"apic_write\",512," + icr + "],[\"spin_until\",0,1]"));
        ends(hw);
        Machine sw(nm_plan("epic-sw", "[\"apic_write\",512," + icr + "],[\"compute\",90000]"));
        ends(sw);
        EXPECT_EQ(0u, sw.latency("ipi", "count")) << mode;
    }
}

/* Held back by PNMIRR_MASK, they come when it opens, and one trap serves both. */
TEST(EpicNonMaskable, OneTrapServesWhatWasHeldBack)
{
    const std::string nmi = std::to_string(4 << 13 | 1 << 10);
    const std::string smi = std::to_string(2 << 13 | 1 << 10);
    Machine m(nm_plan("epic-hw", "[\"apic_write\",720,1536],[\"apic_write\",512," + nmi +
                                     "],[\"apic_write\",512," + smi +
                                     "],[\"compute\",9000],[\"apic_write\",720,0],"
                                     "[\"spin_until\",0,1],[\"compute\",90000]"));
    ends(m);
    EXPECT_EQ(1u, m.latency("ipi", "count"));
}

TEST(IoepicBoard, WhatThereIsNotIsRefusedByName)
{
    const auto error = [](void (*spoil)(Plan & p)) {
        Plan p = pin_plan("epic-hw", EDGE, EDGE_HANDLER);
        spoil(p);
        return Machine(p).error();
    };
    EXPECT_EQ("plan: machine.devices[0].gsi: 32 is out of range (0..31)",
              error([](Plan &p) { p.devices = line(32); }));
    EXPECT_EQ("plan: machine.devices[0]: has a line, and the machine has no chipset",
              error([](Plan &p) { p.chipset = ""; }));
    EXPECT_EQ("plan: machine.devices[0]: has a cpu, and is not assigned",
              error([](Plan &p) { p.devices = line(5, R"(,"cpu":0)"); }));
    EXPECT_NE(std::string::npos,
              error([](Plan &p) { p.chipset = R"({"ioapic":"ich9"})"; }).find("ioapic"));
    EXPECT_NE(std::string::npos, error([](Plan &p) {
                                     p.guest_apic = "xapic";
                                     p.vcpus[1].handlers.clear();
                                 }).find("has no chipset here"));
    EXPECT_NE(std::string::npos, error([](Plan &p) {
                                     p.devices = R"({"name":"d","kind":"extint","vcpu":0,)"
                                                 R"("vector":48})";
                                 }).find("kinds line, assigned, msi and nmi"));
}

} // namespace
