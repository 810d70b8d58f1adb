/* Direct interrupts in the machine: what reaches a guest without an exit, what still leaves it, and
   that nothing gets stuck on the way. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

const std::string handler = "[\"eoi\"],[\"word_add\",0,1]";

/* vCPU 0 on CPU 0 is interrupted; vCPU 1 on CPU 1 is where the reasons come from. */
Plan two(const std::string &technology, const std::string &target, const std::string &source)
{
    Plan p;
    p.technology = technology;
    p.devices = R"({"name":"vf","kind":"assigned","vcpu":0,"vector":65,"cpu":0},)"
                R"({"name":"virtio","kind":"msi","vcpu":0,"vector":81},)"
                R"({"name":"level","kind":"level","vcpu":0,"vector":97},)"
                R"({"name":"vf2","kind":"assigned","vcpu":0,"vector":113,"cpu":0})";
    p.programs = {{"target", target}, {"source", source}, {"handler", handler}};
    p.vcpus = {{0, "target", {}}, {1, "source", {}}};
    for (unsigned vector : {48, 65, 81, 97, 113})
        p.vcpus[0].handlers[vector] = "handler";
    return p;
}

std::string times(unsigned n, const std::string &operations)
{
    std::string s;
    for (; n; n--)
        s += operations + ",";
    return s + "[\"compute\",1]";
}

const std::string settle = "[\"compute\",50000]";

void expect_end(Machine &m)
{
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
}

/* --- who may still make a guest leave --- */

TEST(Direct, AnInterruptOfTheHostsOwnGoesToAnotherCpuUnlessThereIsAShadowIdt)
{
    for (auto [technology, reason] :
         {std::pair<const char *, const char *>{"none", "EXTERNAL_INTERRUPT"},
          {"eli", "EXCEPTION_NMI"},
          {"direct", ""},
          {"did", ""}}) {
        Machine m(two(technology, times(3, "[\"host_interrupt\"]," + settle), settle));
        expect_end(m);
        EXPECT_EQ(*reason ? 3u : 0u, m.exits(0)) << technology;
        EXPECT_EQ(m.exits(0), *reason ? m.exits(0, reason, "host") : 0) << technology;
    }
}

TEST(Direct, AKickIsAnNmiAndTheGuestsInterruptFlagDoesNotMatter)
{
    Machine m(two("direct",
                  "[\"mask\"]," + settle + "," + settle + "," + settle +
                      ",[\"unmask\"],[\"spin_until\",0,1]",
                  settle + ",[\"signal\",1]"));
    expect_end(m);
    EXPECT_EQ(1u, m.exits(0, "EXCEPTION_NMI", "delivery"));
    EXPECT_EQ(1u, m.exits(0, "INTERRUPT_WINDOW", "delivery"));
    EXPECT_EQ(1u, m.exits(0, "MSR_WRITE", "acknowledge"));
    EXPECT_EQ(3u, m.exits(0));
}

/* Sekiyama's set_direct_interrupt(0), ELI's injection mode: the EOI could be either's. */
TEST(Direct, WhileAnInjectedInterruptIsInServicePhysicalOnesExitAndSoDoTheirEois)
{
    for (const char *technology : {"eli", "direct"}) {
        Plan p = two(technology, "[\"spin_until\",0,3]",
                     settle + ",[\"signal\",1]," + settle + ",[\"signal\",3]," + settle + "," +
                         settle + "," + settle + ",[\"signal\",0]");
        p.programs["slow"] = "[\"unmask\"]," + settle + "," + settle + ",[\"mask\"]," + handler;
        p.vcpus[0].handlers[81] = "slow";
        Machine m(p);
        expect_end(m);
        EXPECT_EQ(1u, m.exits(0, "EXCEPTION_NMI", "delivery")) << technology;
        EXPECT_EQ(1u, m.exits(0, "EXTERNAL_INTERRUPT", "delivery")) << technology;
        EXPECT_EQ(2u, m.exits(0, "MSR_WRITE", "acknowledge")) << technology;
        EXPECT_EQ(4u, m.exits(0)) << "the last one is direct again";
    }
}

TEST(Direct, PvEoiIsNotOffered)
{
    Plan p = two("direct", "[\"spin_until\",0,2]",
                 settle + ",[\"signal\",1]," + settle + ",[\"signal\",0]");
    p.features["pv-eoi"] = true;
    Machine m(p);
    expect_end(m);
    EXPECT_EQ(2u, m.exits(0)) << "a kick and an EOI, and then none";
}

/* --- assigned devices --- */

TEST(Direct, TwoDevicesThatLandTogetherAreBothTaken)
{
    for (const char *technology : {"none", "eli", "direct", "did"}) {
        Machine m(
            two(technology, "[\"spin_until\",0,2]", settle + ",[\"signal\",0],[\"signal\",3]"));
        expect_end(m);
        EXPECT_EQ(2u, m.latency("msi", "count")) << technology;
    }
}

/* vCPU 2 shares CPU 0: while it runs, the entry makes NMIs of vCPU 0's interrupts. */
TEST(Direct, AnotherGuestOnTheCpuLeavesByAnNmiForAnInterruptThatIsNotItsOwn)
{
    for (auto [technology, reason] :
         {std::pair<const char *, const char *>{"none", "EXTERNAL_INTERRUPT"},
          {"eli", "EXCEPTION_NMI"},
          {"direct", "EXCEPTION_NMI"},
          {"did", "EXCEPTION_NMI"}}) {
        Plan p = two(technology, "[\"halt_until\",0,1]", settle + ",[\"signal\",0]");
        p.features["hlt-in-guest"] = false;
        p.programs["other"] = "[\"spin_until\",0,1]";
        p.vcpus.push_back({0, "other", {}});
        Machine m(p);
        expect_end(m);
        EXPECT_EQ(2u, m.exits(2, reason, "host"))
            << technology << ": that, and its slice's end";
        EXPECT_EQ(std::string(technology) == "did" ? 0u : 1u,
                  m.exits(0, "MSR_WRITE", "acknowledge"))
            << technology;
    }
}

/* Raised while the vCPU was off its CPU, and still on its way when it is back in its guest. */
TEST(Direct, AnNmiThatArrivesAfterItsGuestHasComeBackMakesItLeave)
{
    unsigned nmis = 0;
    for (unsigned lead = 0; lead < 2000; lead += 20) {
        Plan p = two("did", "[\"halt\"],[\"spin_until\",0,2]",
                     settle + ",[\"signal\",1],[\"compute\"," + std::to_string(lead) +
                         "],[\"signal\",0]");
        std::string slow = p.json();
        slow.replace(slow.find("\"hw.msi\":100"), 12, "\"hw.msi\":900");
        Machine m(slow);
        expect_end(m);
        nmis += m.exits(0, "EXCEPTION_NMI", "delivery") == 1;
        EXPECT_EQ(0u, m.exits(0, "MSR_WRITE"));
    }
    EXPECT_LT(0u, nmis);
}

TEST(Direct, ChangingTheEntriesIsPaidWhenAVcpuComesAndGoes)
{
    const std::string sleeps = times(4, "[\"tsc_deadline\",20000],[\"halt\"]");
    Plan with = two("direct", "[\"timer_mode\",48,2]," + sleeps, "[\"compute\",1]"),
         without = with;
    with.features["hlt-in-guest"] = without.features["hlt-in-guest"] = false;
    without.devices = R"({"name":"virtio","kind":"msi","vcpu":0,"vector":81})";
    Machine a(with), b(without);
    expect_end(a);
    expect_end(b);
    EXPECT_EQ(1000u, virqsim_now(a.sim()) / 1000 - virqsim_now(b.sim()) / 1000)
        << "of two devices at five loads; when it goes it hides in the wait for the timer";
}

/* --- DID --- */

TEST(Did, VirtualInterruptsReachARunningGuestWithoutAnExit)
{
    Machine m(two("did", "[\"spin_until\",0,3]", times(3, settle + ",[\"signal\",1]")));
    expect_end(m);
    EXPECT_EQ(0u, m.exits(0) + m.exits(1));
    /* kvm.kick, hw.ipi and guest.deliver, 100 ns each. */
    EXPECT_EQ(300000u, m.latency("msi", "max_ps"));
}

TEST(Did, WhatWaitsThroughAnExitIsASelfIpiAndNothingIsInjected)
{
    Machine m(two("did",
                  "[\"mask\"]," + settle + "," + settle +
                      ",[\"cpuid\"],[\"unmask\"],[\"spin_until\",0,2]",
                  settle + ",[\"signal\",0],[\"signal\",1]"));
    expect_end(m);
    EXPECT_EQ(1u, m.exits(0, "CPUID", "operation"));
    EXPECT_EQ(1u, m.exits(0));
}

TEST(Did, AnInterruptThatMeetsTheHostIsFoundBeforeTheNextEntry)
{
    for (unsigned lead = 0; lead < 1500; lead += 25) {
        for (const char *exit : {"[\"cpuid\"]", "[\"ipi\",200,3]"}) {
            Machine m(two("did",
                          std::string("[\"compute\",2000],") + exit + ",[\"spin_until\",0,1]",
                          "[\"compute\"," + std::to_string(1500 + lead) + "],[\"signal\",1]"));
            expect_end(m);
            EXPECT_EQ(1u, m.exits(0)) << lead << exit;
        }
    }
}

/* Its EOI must exit, for the I/O APIC in the hypervisor, and so it is announced by a kick. */
TEST(Did, ALevelTriggeredInterruptExitsTwiceAndTheNextEdgeNotAtAll)
{
    Machine m(two("did", "[\"spin_until\",0,3]",
                  settle + ",[\"signal\",1]," + settle + ",[\"signal\",2]," + settle +
                      ",[\"signal\",1]"));
    expect_end(m);
    EXPECT_EQ(1u, m.exits(0, "EXCEPTION_NMI", "delivery"));
    EXPECT_EQ(1u, m.exits(0, "MSR_WRITE", "acknowledge"));
    EXPECT_EQ(2u, m.exits(0));
}

TEST(Did, WithAnXapicTheEoiExitsAndNothingElse)
{
    Plan p = two("did", "[\"spin_until\",0,2]", times(2, settle + ",[\"signal\",1]"));
    p.guest_apic = "xapic";
    Machine m(p);
    expect_end(m);
    EXPECT_EQ(2u, m.exits(0, "APIC_ACCESS", "acknowledge"));
    EXPECT_EQ(2u, m.exits(0));
}

/* --- the timer --- */

TEST(DirectTimer, ArmingAndExpiryOfEitherModeStayInTheGuest)
{
    for (const char *arm : {"[\"timer_mode\",48,2],[\"tsc_deadline\",20000]",
                            "[\"timer_mode\",48,0],[\"timer_count\",1000,0]"}) {
        Machine m(two("direct", std::string(arm) + ",[\"spin_until\",0,1]", "[\"compute\",1]"));
        expect_end(m);
        EXPECT_EQ(1u, m.exits(0)) << "of the LVT entry";
        EXPECT_EQ(1u, m.exits(0, "MSR_WRITE", "operation"));
        EXPECT_EQ(100000u, m.latency("timer", "max_ps")) << "guest.deliver, 100 ns";
    }
}

TEST(DirectTimer, ASleeperIsWokenByATimerOfTheHost)
{
    for (const char *technology : {"direct", "did"}) {
        for (uint64_t poll : {0u, 1000000u}) {
            Plan p = two(technology,
                         "[\"timer_mode\",48,2],[\"tsc_deadline\",20000],[\"halt_until\",0,1]",
                         "[\"compute\",1]");
            p.features["hlt-in-guest"] = false;
            p.halt_poll_ns = poll;
            Machine m(p);
            expect_end(m);
            EXPECT_EQ(1u, m.exits(0, "HLT")) << technology;
            EXPECT_EQ(0u, m.exits(0, "EXCEPTION_NMI")) << technology;
            EXPECT_EQ(1u, m.latency("timer", "count")) << technology;
        }
    }
}

TEST(DirectTimer, ForAPreemptedGuestNobodyIsDisturbed)
{
    Plan p = two("did",
                 "[\"timer_mode\",48,2],[\"tsc_deadline\",150000],[\"compute\",120000],"
                 "[\"spin_until\",0,1]",
                 "[\"compute\",1]");
    p.programs["other"] = "[\"compute\",120000],[\"spin_until\",0,1]";
    p.vcpus.push_back({0, "other", {}});
    p.time_slice_ns = 100000;
    Machine m(p);
    expect_end(m);
    EXPECT_EQ(1u, m.latency("timer", "count"));
    EXPECT_EQ(m.exits(2), m.exits(2, "EXCEPTION_NMI", "host")) << "time slices, nothing else";
    EXPECT_LT(40000000u, m.latency("timer", "max_ps"));
}

TEST(DirectTimer, AnExpiryThatMeetsTheHostWaitsForTheNextEntry)
{
    for (const char *technology : {"direct", "did"}) {
        for (unsigned after = 1500; after < 3500; after += 25) {
            Machine m(two(technology,
                          "[\"timer_mode\",48,2],[\"tsc_deadline\"," + std::to_string(after) +
                              "],[\"compute\",2000],[\"cpuid\"],[\"spin_until\",0,1]",
                          "[\"compute\",1]"));
            expect_end(m);
            EXPECT_EQ(1u, m.latency("timer", "count")) << technology << after;
            EXPECT_EQ(0u, m.exits(0, "EXCEPTION_NMI")) << technology << after;
        }
    }
}

TEST(DirectTimer, StoppedOrMaskedItRaisesNothing)
{
    for (const char *stop : {"[\"tsc_deadline\",0]", "[\"timer_mode\",48,3]"}) {
        Machine m(two("did",
                      std::string("[\"timer_mode\",48,2],[\"tsc_deadline\",20000],") + stop +
                          "," + settle,
                      "[\"compute\",1]"));
        expect_end(m);
        EXPECT_EQ(0u, m.latency("timer", "count")) << stop;
    }
}

TEST(DirectTimer, WithTheApicInUserspaceItIsUserspaces)
{
    Plan p =
        two("direct", "[\"timer_mode\",48,2],[\"tsc_deadline\",20000],[\"spin_until\",0,1]",
            "[\"compute\",1]");
    p.guest_apic = "xapic";
    p.irqchip = "userspace";
    Machine m(p);
    expect_end(m);
    EXPECT_EQ(1u, m.exits(0, "MSR_WRITE"));
}

/* --- IPIs --- */

/* vCPU 0 sends what `send` says to vCPU 1, which spins or sleeps. */
Plan sender(const std::string &technology, const char *feature, const std::string &send,
            const std::string &wait)
{
    Plan p;
    p.technology = technology;
    if (feature)
        p.features[feature] = true;
    p.programs = {{"sender", "[\"compute\",300000]," + send + ",[\"spin_until\",0,1]"},
                  {"target", "[\"" + wait + "\",0,1]"},
                  {"handler", handler}};
    p.vcpus = {{0, "sender", {{65, "handler"}}},
               {1, "target", {{65, "handler"}, {2, "handler"}}}};
    return p;
}

TEST(IpiPassthrough, NobodyLeavesTheGuestWhetherPostedOrDirect)
{
    for (auto [technology, feature] :
         {std::pair<const char *, const char *>{"apicv", "ipi-passthrough"},
          {"vtd-pi", "ipi-passthrough"},
          {"did", "direct-ipi"}}) {
        for (const char *send : {"[\"ipi\",65,1]", "[\"ipi\",786497,0]", "[\"ipi\",2113,2]",
                                 "[\"ipi\",262209,0]", "[\"self_ipi\",65]"}) {
            Machine m(sender(technology, feature, send, "spin_until"));
            expect_end(m);
            EXPECT_EQ(0u, m.exits(0) + m.exits(1)) << technology << send;
            EXPECT_EQ(1u, m.latency("ipi", "count")) << technology << send;
        }
    }
}

TEST(IpiPassthrough, CostsAreTheGuestsPostTheIcrWriteAndTheWay)
{
    Machine posted(sender("apicv", "ipi-passthrough", "[\"ipi\",65,1]", "spin_until"));
    expect_end(posted);
    /* guest.post, line.socket, hw.icr, hw.ipi, hw.posted, hw.virtual_deliver: 100 ns each. */
    EXPECT_EQ(600000u, posted.latency("ipi", "max_ps"));
    Machine direct(sender("did", "direct-ipi", "[\"ipi\",65,1]", "spin_until"));
    expect_end(direct);
    EXPECT_EQ(300000u, direct.latency("ipi", "max_ps")) << "hw.icr, hw.ipi, guest.deliver";
    Machine self(sender("did", "direct-ipi", "[\"self_ipi\",65]", "spin_until"));
    expect_end(self);
    EXPECT_EQ(200000u, self.latency("ipi", "max_ps")) << "hw.icr, guest.deliver";
}

TEST(IpiPassthrough, ASleeperIsWokenByTheWakeUpVectorOrByItsOwn)
{
    for (auto [technology, feature] :
         {std::pair<const char *, const char *>{"apicv", "ipi-passthrough"},
          {"did", "direct-ipi"}}) {
        for (uint64_t poll : {0u, 1000000u}) {
            Plan p = sender(technology, feature, "[\"ipi\",65,1]", "halt_until");
            p.halt_poll_ns = poll;
            Machine m(p);
            expect_end(m);
            EXPECT_EQ(0u, m.exits(0)) << technology;
            EXPECT_EQ(m.exits(1), m.exits(1, "HLT")) << technology;
        }
    }
}

/* NMI, lowest priority, level-triggered, and a vector that no APIC takes: by the hypervisor's MSR. */
TEST(IpiPassthrough, WhatIsNotOrdinaryIsAskedOfTheHypervisor)
{
    for (auto [technology, feature] :
         {std::pair<const char *, const char *>{"apicv", "ipi-passthrough"},
          {"did", "direct-ipi"}}) {
        for (const char *send : {"[\"ipi\",1024,1]", "[\"ipi\",321,1]"}) {
            Machine m(sender(technology, feature, send, "spin_until"));
            expect_end(m);
            EXPECT_EQ(1u, m.exits(0, "MSR_WRITE", "operation")) << technology << send;
            EXPECT_EQ(1u, m.latency("ipi", "count") + m.latency("nmi", "count"))
                << technology << send;
        }
        for (const char *send : {"[\"ipi\",1280,1]", "[\"ipi\",5,1]"}) {
            Plan p = sender(technology, feature, send, "spin_until");
            p.programs["target"] = "[\"compute\",1]";
            p.programs["sender"] = send;
            Machine m(p);
            expect_end(m);
            EXPECT_EQ(1u, m.exits(0, "MSR_WRITE", "operation")) << technology << send;
        }
    }
}

TEST(IpiPassthrough, AnXapicsGuestHasNoPhysicalIcr)
{
    Plan p = sender("apicv", "ipi-passthrough", "[\"ipi\",65,1]", "spin_until");
    p.guest_apic = "xapic";
    Machine m(p);
    expect_end(m);
    EXPECT_EQ(1u, m.exits(0, "APIC_WRITE", "operation"));
}

TEST(IpiPassthrough, ASecondPostOfTheSameVectorIsOne)
{
    Plan p = sender("apicv", "ipi-passthrough", "[\"ipi\",65,1],[\"ipi\",65,1],[\"ipi\",66,1]",
                    "spin_until");
    p.programs["target"] = "[\"mask\"],[\"compute\",400000],[\"unmask\"],[\"spin_until\",0,2]";
    p.vcpus[1].handlers[66] = "handler";
    Machine m(p);
    expect_end(m);
    EXPECT_NE(m.text().find("\"coalesced\":1"), std::string::npos) << m.text();
    EXPECT_EQ(2u, m.latency("ipi", "count"));
}

/* --- which features go together --- */

TEST(Direct, FeaturesThatCannotBeTogetherAreRefused)
{
    struct {
        const char *technology, *feature, *line;
    } const wrong[] = {
        {"eli", "delivery-by-ipi", "delivery-by-ipi and shadow-idt exclude each other"},
        {"eli", "direct-timer", "direct-timer and shadow-idt exclude each other"},
        {"direct", "direct-ipi", "direct-ipi needs delivery-by-ipi"},
        {"none", "direct-eoi", "direct-eoi needs direct-interrupts"},
        {"none", "ipi-passthrough", "ipi-passthrough needs posted-interrupts"},
        {"ipiv", "ipi-passthrough",
         "ipi-passthrough and ipi-virtualization exclude each other"},
        {"apicv", "direct-interrupts",
         "direct-interrupts and virtual-interrupt-delivery exclude each other"},
        {"svm", "direct-interrupts", "direct-interrupts is not a feature of SVM (svm)"},
    };
    for (const auto &w : wrong) {
        Plan p = two(w.technology, settle, settle);
        p.features[w.feature] = true;
        EXPECT_EQ(std::string("plan: features: ") + w.line, Machine(p).error());
    }
}

/* --- nothing gets stuck --- */

/* Whoever waits for an interrupt gets it, whatever state it is in: else the run does not end. */
TEST(Direct, EveryInterruptComesThrough)
{
    struct {
        const char *technology, *feature;
    } const all[] = {{"eli", nullptr},
                     {"direct", nullptr},
                     {"did", nullptr},
                     {"did", "direct-ipi"},
                     {"did", "hlt-in-guest"},
                     {"apicv", "ipi-passthrough"},
                     {"vtd-pi", "ipi-passthrough"}};
    const std::string turn = "[\"signal\",0],[\"compute_uniform\",1,900],[\"signal\",1],"
                             "[\"ipi\",48,0],[\"compute_uniform\",1,3000],[\"signal\",3],"
                             "[\"cpuid\"],[\"compute_uniform\",1,9000],[\"signal\",2],";
    for (const auto &a : all) {
        for (const char *wait : {"spin_until", "halt_until"}) {
            for (unsigned load = 0; load < 2; load++) {
                std::string source, target = "[\"timer_mode\",240,2],";
                for (unsigned n = 1; n <= 40; n++) {
                    source += turn + "[\"spin_until\",0," + std::to_string(6 * n) + "],";
                    target += "[\"tsc_deadline\"," + std::to_string(300 * n) +
                              "],[\"mask\"],[\"compute_uniform\",1,2000],[\"unmask\"],[\"" +
                              wait + "\",0," + std::to_string(6 * n) + "],";
                }
                Plan p =
                    two(a.technology, target + "[\"compute\",1]", source + "[\"compute\",1]");
                if (a.feature)
                    p.features[a.feature] = true;
                if (load)
                    p.load = {0};
                p.vcpus[0].handlers[240] = "handler";
                p.time_slice_ns = 20000;
                Machine m(p);
                ASSERT_EQ("", m.error());
                EXPECT_EQ(VIRQSIM_ENDED, m.run()) << a.technology << wait << load << m.text();
            }
        }
    }
}

} // namespace
