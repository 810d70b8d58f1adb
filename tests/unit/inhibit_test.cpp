/* Reasons for which KVM does without APICv or AVIC: what brings them about, and what they cost. */
#include <gtest/gtest.h>

#include <set>

#include "plans.h"

extern "C" {
#include "hypervisor/hypervisor.h"
}

namespace
{

using plans::Machine;
using plans::Plan;

/* linux/arch/x86/kvm: VMX_REQUIRED_APICV_INHIBITS and AVIC_REQUIRED_APICV_INHIBITS, typed here
   once more. */
const std::set<std::string> both = {
    "DISABLED",
    "HYPERV",
    "ABSENT",
    "BLOCKIRQ",
    "PHYSICAL_ID_ALIASED",
    "APIC_ID_MODIFIED",
    "APIC_BASE_MODIFIED",
};
const std::set<std::string> avic_only = {
    "NESTED", "IRQWIN", "PIT_REINJ", "SEV", "LOGICAL_ID_ALIASED", "PHYSICAL_ID_TOO_BIG",
};

TEST(Inhibits, AreHeededByWhomKvmSays)
{
    std::set<std::string> vmx, svm;
    for (const inhibit_info &i : inhibits) {
        if (i.vmx)
            vmx.insert(i.name);
        if (i.svm)
            svm.insert(i.name);
    }
    EXPECT_EQ(both, vmx);
    std::set<std::string> all = both;
    all.insert(avic_only.begin(), avic_only.end());
    EXPECT_EQ(all, svm);
}

std::string interval(const std::string &reason, uint64_t from_ns, uint64_t until_ns)
{
    return R"({"reason":")" + reason + R"(","from_ns":)" + std::to_string(from_ns) +
           R"(,"until_ns":)" + std::to_string(until_ns) + "}";
}

/* Forty IPIs from vCPU 0 to vCPU 1, which spins: one each 10 us, give or take. */
Plan forty_ipis(const std::string &technology, const std::string &guest_apic)
{
    Plan p;
    std::string sender;
    for (unsigned n = 1; n <= 40; n++)
        sender +=
            "[\"compute\",10000],[\"ipi\",49,1],[\"spin_until\",0," + std::to_string(n) + "],";
    p.technology = technology;
    p.guest_apic = guest_apic;
    p.programs = {{"sender", sender + "[\"compute\",1]"},
                  {"target", "[\"spin_until\",0,40]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "sender", {}}, {1, "target", {{49, "handler"}}}};
    return p;
}

/* Of one reason, or of "any": "switches", "time_ps", "exits". */
uint64_t of(Machine &m, const std::string &reason, const char *what)
{
    size_t i;
    json_t *row, *inhibits = json_object_get(m.results(), "inhibits");
    json_array_foreach(json_object_get(inhibits, "reasons"), i, row)
    {
        if (reason == json_string_value(json_object_get(row, "reason")))
            return (uint64_t)json_integer_value(json_object_get(row, what));
    }
    return 0;
}

uint64_t all_exits(Machine &m)
{
    return m.exits(0) + m.exits(1);
}

TEST(Inhibits, WhileOneIsInForceTheGuestPaysAsWithoutTheHardware)
{
    const struct {
        const char *technology, *base, *guest_apic;
    } rows[] = {
        {"avic", "svm", "xapic"},
        {"x2avic", "svm", "x2apic"},
        {"ipiv", "none", "x2apic"},
        {"apicv", "none", "xapic"},
    };
    for (const auto &row : rows) {
        Plan p = forty_ipis(row.technology, row.guest_apic);
        Machine free(p), software(forty_ipis(row.base, row.guest_apic));
        p.inhibits = interval("BLOCKIRQ", 0, 0);
        Machine always(p);
        p.inhibits = interval("BLOCKIRQ", 100000, 300000);
        Machine partly(p);
        for (Machine *m : {&free, &software, &always, &partly})
            ASSERT_EQ(VIRQSIM_ENDED, m->run()) << row.technology << m->text();
        EXPECT_LT(all_exits(free), all_exits(software));
        EXPECT_EQ(all_exits(software), all_exits(always)) << row.technology << always.text();
        EXPECT_GT(all_exits(partly), all_exits(free));
        EXPECT_LT(all_exits(partly), all_exits(software));
        EXPECT_EQ(40u, partly.latency("ipi", "count"));
    }
}

TEST(Inhibits, TheResultsSayHowLongAndHowManyExits)
{
    Plan p = forty_ipis("avic", "xapic");
    p.inhibits =
        interval("HYPERV", 100000, 300000) + "," + interval("BLOCKIRQ", 200000, 350000);
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, of(m, "HYPERV", "switches"));
    EXPECT_EQ(200000000u, of(m, "HYPERV", "time_ps"));
    EXPECT_EQ(150000000u, of(m, "BLOCKIRQ", "time_ps"));
    EXPECT_EQ(1u, of(m, "any", "switches"));
    EXPECT_EQ(250000000u, of(m, "any", "time_ps"));
    /* Without a reason nothing leaves but the players that were asked to, at the end of it. */
    EXPECT_LE(of(m, "any", "exits"), all_exits(m));
    EXPECT_GE(of(m, "any", "exits") + 2, all_exits(m));
    EXPECT_LE(of(m, "HYPERV", "exits"), of(m, "any", "exits"));
    json_t *inhibits = json_object_get(m.results(), "inhibits");
    EXPECT_EQ(4, json_integer_value(json_object_get(inhibits, "marks")));
    json_t *last = json_array_get(json_object_get(inhibits, "timeline"), 3);
    EXPECT_STREQ("BLOCKIRQ", json_string_value(json_object_get(last, "reason")));
    EXPECT_TRUE(json_is_false(json_object_get(last, "on")));
    EXPECT_EQ(350000000, json_integer_value(json_object_get(last, "ps")));
}

TEST(Inhibits, OneThatIsStillInForceCountsUpToTheEnd)
{
    Plan p = forty_ipis("avic", "xapic");
    p.inhibits = interval("SEV", 100000, 0);
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(virqsim_now(m.sim()) - 100000000u, of(m, "SEV", "time_ps"));
    EXPECT_GT(of(m, "SEV", "exits"), 100u);
}

TEST(Inhibits, ThePlanMayPutAnyOfThemInForceForAWhile)
{
    for (const inhibit_info &i : inhibits) {
        Plan p = forty_ipis("avic", "xapic");
        p.inhibits = interval(i.name, 100000, 300000);
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << i.name;
        EXPECT_EQ(1u, of(m, i.name, "switches")) << i.name;
        EXPECT_EQ(200000000u, of(m, i.name, "time_ps")) << i.name;
        EXPECT_EQ(200000000u, of(m, "any", "time_ps")) << i.name;
        EXPECT_LT(10u, of(m, i.name, "exits")) << i.name;
    }
}

TEST(Inhibits, WhatTheVendorsKvmDoesNotHeedChangesNothing)
{
    for (const std::string &reason : avic_only) {
        Plan p = forty_ipis("apicv", "x2apic");
        Machine without(p);
        p.inhibits = interval(reason, 1000, 0);
        Machine with(p);
        without.run();
        ASSERT_EQ(VIRQSIM_ENDED, with.run());
        EXPECT_EQ(all_exits(without), all_exits(with)) << reason;
        EXPECT_EQ(virqsim_now(without.sim()), virqsim_now(with.sim())) << reason;
        EXPECT_EQ(0u, of(with, "any", "switches")) << reason;
    }
}

TEST(Inhibits, WhereThereIsNothingToInhibitNoneIsTold)
{
    for (const char *technology : {"none", "svm", "eli"}) {
        Plan p = forty_ipis(technology, "x2apic");
        Machine without(p);
        p.inhibits = interval("BLOCKIRQ", 1000, 0);
        Machine with(p);
        without.run();
        ASSERT_EQ(VIRQSIM_ENDED, with.run());
        EXPECT_EQ(virqsim_now(without.sim()), virqsim_now(with.sim())) << technology;
        EXPECT_EQ(0u, of(with, "any", "switches")) << technology;
    }
}

TEST(Inhibits, AnApicInUserspaceIsAReasonFromTheStart)
{
    Plan p = forty_ipis("apicv", "xapic");
    p.irqchip = "userspace";
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(virqsim_now(m.sim()), of(m, "ABSENT", "time_ps"));
}

TEST(Inhibits, AWindowThatAvicHasNotIsAReasonAsLongAsItIsOpen)
{
    Plan p = forty_ipis("avic", "xapic");
    p.devices = R"({"name":"pic","kind":"extint","vcpu":1,"vector":80,"at_ns":[100000]})";
    p.programs["target"] = "[\"spin_until\",0,5],[\"mask\"],[\"compute\",150000],[\"tpr\",0],"
                           "[\"compute\",50000],[\"unmask\"],[\"spin_until\",0,40]";
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, of(m, "IRQWIN", "switches"));
    EXPECT_GT(of(m, "IRQWIN", "time_ps"), 50000000u);
    EXPECT_LT(of(m, "IRQWIN", "time_ps"), 200000000u);
    EXPECT_EQ(1u, m.exits(1, "vintr"));
    EXPECT_EQ(1u, m.exits(1, "npf", "operation")); /* its TPR, meanwhile */
}

TEST(Inhibits, ThePitInTheKernelIsOneForAvicIfLostTicksAreInjectedAgain)
{
    const struct {
        const char *technology, *irqchip;
        bool reinject, inhibits;
    } rows[] = {
        {"avic", "kernel", true, true},
        {"avic", "kernel", false, false},
        {"avic", "split", true, false},
        {"apicv", "kernel", true, false},
    };
    for (const auto &row : rows) {
        Plan p = forty_ipis(row.technology, "xapic");
        p.chipset = R"({"ioapic":"82093aa"})";
        p.irqchip = row.irqchip;
        p.pit_reinject = row.reinject;
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(row.inhibits ? virqsim_now(m.sim()) : 0, of(m, "PIT_REINJ", "time_ps"))
            << row.technology << row.irqchip << row.reinject;
    }
}

std::string apic_write(unsigned offset, unsigned high_byte)
{
    return "[\"apic_write\"," + std::to_string(offset) + "," +
           std::to_string((uint64_t)high_byte << 24) + "],";
}

enum { ID = 0x20, LDR = 0xd0, DFR = 0xe0 };
constexpr unsigned CLUSTER = 0x0f, FLAT = 0xff;
const std::string SVR_OFF = "[\"apic_write\",240,255],", SVR_ON = "[\"apic_write\",240,511],";

/* What two vCPUs' writes to the registers of their IDs bring about. */
std::string reasons_after(const std::string &technology, const std::string &first,
                          const std::string &second)
{
    Plan p;
    std::string found;
    p.technology = technology;
    p.guest_apic = "xapic";
    p.programs = {{"first", first + "[\"word_add\",0,1],[\"compute\",20000]"},
                  {"second", "[\"spin_until\",0,1]," + second + "[\"compute\",20000]"}};
    p.vcpus = {{0, "first", {}}, {1, "second", {}}};
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    for (const inhibit_info &i : inhibits)
        if (of(m, i.name, "switches"))
            found += std::string(found.empty() ? "" : " ") + i.name;
    return found;
}

TEST(Inhibits, APhysicalIdThatIsNotTheVcpusIsOneAndTwoOfTheSameAnother)
{
    for (const char *technology : {"apicv", "avic"}) {
        EXPECT_EQ("", reasons_after(technology, apic_write(ID, 0), apic_write(ID, 1)));
        EXPECT_EQ("APIC_ID_MODIFIED", reasons_after(technology, apic_write(ID, 9), ""));
        EXPECT_EQ("PHYSICAL_ID_ALIASED APIC_ID_MODIFIED",
                  reasons_after(technology, "", apic_write(ID, 0)));
    }
}

TEST(Inhibits, ThePhysicalIdWrittenBackEndsIt)
{
    Plan p = forty_ipis("avic", "xapic");
    p.programs["target"] =
        apic_write(ID, 7) + "[\"compute\",5000]," + apic_write(ID, 1) + "[\"spin_until\",0,40]";
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, of(m, "APIC_ID_MODIFIED", "switches"));
    EXPECT_LT(of(m, "APIC_ID_MODIFIED", "time_ps"), 12000000u);
    EXPECT_EQ(40u, m.latency("ipi", "count"));
}

TEST(Inhibits, LogicalIdsThatDoNotEachNameOneApicAreOneForAvic)
{
    const std::string aliased = "LOGICAL_ID_ALIASED";
    const std::string flat1 = apic_write(LDR, 1), flat2 = apic_write(LDR, 2);
    const std::string cluster = apic_write(DFR, CLUSTER);
    EXPECT_EQ("", reasons_after("avic", flat1, flat2));
    EXPECT_EQ(aliased, reasons_after("avic", flat1, flat1));
    EXPECT_EQ(aliased, reasons_after("avic", apic_write(LDR, 3), ""));
    EXPECT_EQ("", reasons_after("apicv", flat1, flat1));
    EXPECT_EQ("", reasons_after("avic", cluster + apic_write(LDR, 0x11),
                                cluster + apic_write(LDR, 0x21)));
    EXPECT_EQ(aliased, reasons_after("avic", cluster + apic_write(LDR, 0x11),
                                     cluster + apic_write(LDR, 0x11)));
    EXPECT_EQ(aliased,
              reasons_after("avic", cluster + apic_write(LDR, 0x11), apic_write(LDR, 2)));
    EXPECT_EQ("", reasons_after("avic", flat1, SVR_OFF + flat1));
    EXPECT_EQ(aliased, reasons_after("avic", flat1, SVR_OFF + flat1 + SVR_ON));
    EXPECT_EQ(aliased, reasons_after("avic", flat1, flat2 + cluster));

    EXPECT_EQ("", reasons_after("avic", flat1, apic_write(DFR, FLAT) + apic_write(LDR, 0)));
}

TEST(Inhibits, AnApicIdBeyondAvicsTableIsOneFromTheStart)
{
    for (unsigned vcpus : {255u, 256u}) {
        Plan p;
        p.technology = "avic";
        p.programs = {{"main", "[\"compute\",1000]"}};
        p.physical_cpus = vcpus;
        for (unsigned n = 0; n < vcpus; n++)
            p.vcpus.push_back({n, "main", {}});
        Machine avic(p);
        p.technology = "x2avic";
        Machine x2avic(p);
        ASSERT_EQ(VIRQSIM_ENDED, avic.run());
        ASSERT_EQ(VIRQSIM_ENDED, x2avic.run());
        EXPECT_EQ(vcpus == 256 ? 1u : 0u, of(avic, "PHYSICAL_ID_TOO_BIG", "switches"));
        EXPECT_EQ(0u, of(x2avic, "any", "switches"));
    }
}

/* Linux 6.0 and later: registers in software, delivery by AVIC. */
TEST(Inhibits, AnX2apicGuestWithoutX2avicIsNoneItsMsrsExitAndItsInterruptsAreDelivered)
{
    Machine m(forty_ipis("avic", "x2apic"));
    ASSERT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(40u, m.exits(0, "msr", "operation"));
    EXPECT_EQ(40u, m.exits(1, "msr", "acknowledge"));
    EXPECT_EQ(80u, all_exits(m));
    EXPECT_EQ(0u, of(m, "any", "switches"));
}

/* An interrupt is sent to a vCPU at each moment around the switch: none is lost, none waits. */
TEST(Inhibits, AnInterruptAroundTheSwitchArrivesInTime)
{
    for (const char *technology : {"avic", "x2avic", "apicv", "ipiv"}) {
        for (uint64_t at = 50000; at < 62000; at += 75) {
            Plan p =
                forty_ipis(technology, std::string(technology) == "avic" ? "xapic" : "x2apic");
            p.inhibits = interval("BLOCKIRQ", at, at + 3100);
            Machine m(p);
            ASSERT_EQ(VIRQSIM_ENDED, m.run()) << technology << at << m.text();
            EXPECT_GT(20000000u, m.latency("ipi", "max_ps")) << technology << at;
        }
    }
}

/* A target on its way into the guest follows at once, and its sender only when it has been kicked:
   the sender's hardware must not take it for one that a doorbell reaches. */
TEST(Inhibits, ATargetThatFollowsBeforeItsSenderIsToldBySoftware)
{
    for (uint64_t inhibit = 10000; inhibit < 10600; inhibit += 40) {
        for (uint64_t ipi = 9800; ipi < 11400; ipi += 40) {
            Plan p;
            p.technology = "avic";
            p.guest_apic = "xapic";
            p.programs = {
                {"target", "[\"compute\",9500],[\"cpuid\"],[\"spin_until\",0,1]"},
                {"sender", "[\"compute\"," + std::to_string(ipi) + "],[\"ipi\",49,0]"},
                {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
            p.vcpus = {{0, "target", {{49, "handler"}}}, {1, "sender", {}}};
            p.inhibits = interval("HYPERV", inhibit, 0);
            Machine m(p);
            ASSERT_EQ(VIRQSIM_ENDED, m.run()) << inhibit << " " << ipi << m.text();
        }
    }
}

TEST(Inhibits, ToFollowCostsAnExitAndWhatIsWrittenAnew)
{
    Plan p;
    p.technology = "avic";
    p.programs = {{"main", "[\"compute\",100000]"}};
    p.vcpus = {{0, "main", {}}};
    Machine free(p);
    p.inhibits = interval("HYPERV", 50000, 0);
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, free.run());
    ASSERT_EQ(VIRQSIM_ENDED, m.run());
    /* hw.exit, kvm.exit, kvm.host_interrupt, kvm.entry, kvm.apicv_update, hw.entry */
    EXPECT_EQ(6 * 100000u, virqsim_now(m.sim()) - virqsim_now(free.sim()));
}

TEST(Inhibits, ASleeperWhomItPassesByPaysNothing)
{
    Plan p;
    p.technology = "avic";
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":65,"at_ns":[400000]})";
    p.programs = {{"main", "[\"halt_until\",0,1]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{65, "handler"}}}};
    Machine free(p);
    p.inhibits = interval("HYPERV", 100000, 200000);
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, free.run());
    ASSERT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(virqsim_now(free.sim()), virqsim_now(m.sim()));
    EXPECT_EQ(1u, of(m, "HYPERV", "switches"));
}

TEST(Inhibits, AnIommuPostsOnAndTheNotificationIsThenAnExit)
{
    Plan p;
    p.technology = "vtd-pi";
    p.devices =
        R"({"name":"vf","kind":"assigned","vcpu":0,"vector":65,"cpu":1,"at_ns":[50000,150000,250000]})";
    p.programs = {{"target", "[\"spin_until\",0,3]"},
                  {"idle", "[\"spin_until\",0,3]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "target", {{65, "handler"}}}, {1, "idle", {}}};
    p.inhibits = interval("HYPERV", 100000, 200000);
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3u, m.latency("msi", "count"));
    EXPECT_EQ(1u, m.exits(0, "EXTERNAL_INTERRUPT", "delivery"));
    EXPECT_EQ(1u, m.exits(0, "MSR_WRITE", "acknowledge"));
    EXPECT_GT(10000000u, m.latency("msi", "max_ps"));
}

TEST(Inhibits, AWrongIntervalIsRefusedWithItsPlace)
{
    const struct {
        std::string inhibits, error;
    } rows[] = {
        {interval("X2APIC", 1, 2), "plan: hypervisor.inhibits[0].reason"},
        {interval("HYPERV", 5, 5),
         "plan: hypervisor.inhibits[0].until_ns: is not later than from_ns"},
        {interval("HYPERV", 1, 9) + "," + interval("SEV", 1, 9) + "," +
             interval("HYPERV", 8, 0),
         "plan: hypervisor.inhibits[2]: HYPERV is in force already, by [0]"},
        {R"({"reason":"HYPERV","to_ns":1})", "plan: hypervisor.inhibits[0].to_ns"},
        {"7", "plan: hypervisor.inhibits[0]"},
    };
    for (const auto &row : rows) {
        Plan p = forty_ipis("avic", "xapic");
        p.inhibits = row.inhibits;
        EXPECT_EQ(row.error, Machine(p).error().substr(0, row.error.size()));
    }
}

TEST(Inhibits, IntervalsMayTouch)
{
    Plan p = forty_ipis("avic", "xapic");
    p.inhibits = interval("HYPERV", 200000, 300000) + "," + interval("HYPERV", 100000, 200000);
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.error();
    EXPECT_EQ(2u, of(m, "HYPERV", "switches"));
    EXPECT_EQ(200000000u, of(m, "HYPERV", "time_ps"));
    EXPECT_LE(of(m, "HYPERV", "exits"), all_exits(m));
}

} // namespace
