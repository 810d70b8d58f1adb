/* INIT and start-up IPIs, the machine's reset, and exits that QEMU stops the machine for. */
#include <string>

#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

const std::string INIT = "[\"ipi\",17664,1],", SIPI = "[\"ipi\",18074,1],"; /* 4500H, 469AH */
constexpr int PAGE = 0x9a;

int64_t account(Machine &m, int vcpu, int vector, const char *what)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(m.results(), "accounting"), i, row)
    {
        if (json_integer_value(json_object_get(row, "vector")) == vector &&
            json_integer_value(json_object_get(row, "vcpu")) == vcpu)
            return json_integer_value(json_object_get(row, what));
    }
    return 0;
}

std::string stopped(Machine &m)
{
    const char *why =
        json_string_value(json_object_get(json_object_get(m.results(), "stopped"), "kvm_exit"));
    return why ? why : "";
}

struct Kind {
    const char *technology, *irqchip, *guest_apic;
};

void PrintTo(const Kind &k, std::ostream *o)
{
    *o << k.technology << " " << k.irqchip << " " << k.guest_apic;
}

/* vCPU 0 does `boot`; vCPU 1 waits for it and then works. */
Plan machine(const Kind &k, const std::string &boot)
{
    Plan p;
    p.technology = k.technology;
    p.irqchip = k.irqchip;
    p.guest_apic = k.guest_apic;
    p.programs = {{"boot", boot + "[\"compute\",100000]"},
                  {"work", "[\"stamp\",1],[\"compute\",1000],[\"word_add\",0,1]"},
                  {"handler", "[\"eoi\"]"}};
    p.vcpus = {{0, "boot", {{48, "handler"}}}, {1, "work", {{48, "handler"}}}};
    p.vcpus[1].startup = R"(,"waits_for_sipi":true)";
    return p;
}

class Startup : public testing::TestWithParam<Kind>
{
  protected:
    bool in_kernel() const
    {
        return std::string(GetParam().irqchip) != "userspace";
    }
};

TEST_P(Startup, AProcessorWaitsForInitAndSipi)
{
    Plan p = machine(GetParam(), "[\"compute\",50000]," + INIT + "[\"compute\",10000]," + SIPI);
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_RUNNING, m.run(50000000));
    EXPECT_EQ(0u, m.exits(1)) << "it has not entered its guest";
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(in_kernel() ? 1u : 0u, m.userspace_exits(1, "KVM_RUN_EAGAIN"));
    EXPECT_EQ(1, account(m, 1, 0, "delivered"));
    EXPECT_EQ(1, account(m, 1, PAGE, "delivered"));
    EXPECT_EQ(0, account(m, 1, 0, "refused") + account(m, 1, PAGE, "refused"));
}

TEST_P(Startup, KvmDropsASipiBeforeTheFirstInit)
{
    Plan p = machine(GetParam(), SIPI + "[\"compute\",20000],");
    Machine m(p);
    EXPECT_EQ(VIRQSIM_IDLE, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 1, PAGE, "refused"));
    EXPECT_EQ(0u, m.exits(1));
}

TEST_P(Startup, ASecondSipiFindsNobodyWhoWaits)
{
    Plan p = machine(GetParam(),
                     INIT + "[\"compute\",20000]," + SIPI + "[\"compute\",20000]," + SIPI);
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 1, PAGE, "delivered"));
    EXPECT_EQ(1, account(m, 1, PAGE, "refused"));
}

TEST_P(Startup, AnInterruptWakesNobodyWhoWaitsForASipi)
{
    Plan p = machine(GetParam(),
                     INIT + "[\"compute\",20000],[\"ipi\",48,1],[\"compute\",20000]," + SIPI);
    Machine m(p);
    EXPECT_EQ(VIRQSIM_RUNNING, m.run(40000000));
    EXPECT_EQ(1, account(m, 1, 48, "pending"));
    EXPECT_EQ(0u, m.exits(1));
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 1, 48, "delivered"));
}

TEST_P(Startup, AnInitTakesARunningProcessorBackToItsBeginning)
{
    for (const char *main :
         {"[\"stamp\",1],[\"repeat\",1000],[\"compute\",1000],[\"end\"]",
          "[\"stamp\",1],[\"compute\",30000],[\"mask\"],[\"compute\",300000]",
          "[\"stamp\",1],[\"compute\",30000],[\"halt_until\",0,1]"}) {
        Plan p = machine(GetParam(),
                         "[\"compute\",50000],[\"ipi\",48,1],[\"ipi\",49,1],[\"ipi\",1072,1]," +
                             INIT + INIT + "[\"compute\",20000]," + SIPI +
                             "[\"compute\",100000],[\"word_add\",0,1],[\"ipi\",48,1],");
        p.vcpus[1].startup = "";
        p.programs["work"] = main;
        p.vcpus[1].handlers[49] = "handler";
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << main << m.text();
        EXPECT_EQ(1u, m.stamps(1, 1, "count")) << "the stamp was read twice";
        EXPECT_LE(1, account(m, 1, 0, "delivered"));
        EXPECT_EQ(2, account(m, 1, 0, "delivered") + account(m, 1, 0, "coalesced"));
        EXPECT_EQ(0u, m.userspace_exits(1, "KVM_RUN_EAGAIN")) << "it was initialized before";
    }
}

/* vCPU 1 shares the CPU, and looks only when all three have come. */
TEST_P(Startup, AnInitMakesTheSipiBeforeItVoid)
{
    Plan p = machine(GetParam(), INIT + SIPI + INIT + "[\"compute\",4000000]," + SIPI);
    p.vcpus[1].pin = 0;
    Machine m(p);
    if (!m.error().empty())
        GTEST_SKIP() << m.error();
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 1, 0, "coalesced"));
    EXPECT_EQ(1, account(m, 1, PAGE, "refused"));
    EXPECT_EQ(1, account(m, 1, PAGE, "delivered"));
}

TEST_P(Startup, AProcessorBeginsWithInterruptsEnabledAndAwake)
{
    for (const char *before :
         {"[\"mask\"],[\"compute\",20000000]", "[\"mask\"],[\"halt\"]", "[\"halt\"]"}) {
        Plan p =
            machine(GetParam(), "[\"compute\",50000]," + INIT + "[\"compute\",20000]," + SIPI +
                                    "[\"compute\",10000],[\"ipi\",48,1],[\"spin_until\",0,1],");
        p.vcpus[1].startup = "";
        p.programs["work"] = "[\"compute\",30000]," + std::string(before);
        p.programs["handler"] = "[\"eoi\"],[\"word_add\",0,1]";
        for (bool in_guest : {false, true}) {
            p.features["hlt-in-guest"] = in_guest;
            Machine m(p);
            ASSERT_EQ("", m.error());
            m.run(150000000);
            EXPECT_EQ(1, account(m, 1, 48, "delivered")) << before << m.text();
        }
    }
}

/* Others take it while it masks interrupts, wait for a window, and are in PIR or IRR. */
TEST_P(Startup, WhatIsPendingWhenAnInitComesIsRefused)
{
    Plan p = machine(GetParam(),
                     "[\"compute\",50000],[\"ipi\",48,1],[\"ipi\",49,1],[\"compute\",9000]," +
                         INIT + "[\"compute\",20000]," + SIPI + "[\"compute\",20000],");
    p.vcpus[1].startup = "";
    p.vcpus[1].handlers[49] = "handler";
    p.programs["work"] = "[\"mask\"],[\"compute\",5000000]";
    Machine m(p);
    m.run(200000000);
    EXPECT_EQ(1, account(m, 1, 48, "refused")) << m.text();
    EXPECT_EQ(1, account(m, 1, 49, "refused"));
    EXPECT_EQ(0, account(m, 1, 48, "delivered") + account(m, 1, 48, "pending"));
}

/* And what came while it had no CPU, nobody having looked. */
TEST_P(Startup, WhatCameBeforeTheInitIsRefusedThoughNobodyHasLooked)
{
    Plan p = machine(GetParam(), "[\"ipi\",48,1]," + INIT + "[\"compute\",4000000]," + SIPI);
    p.vcpus[1].pin = 0;
    p.vcpus[1].startup = "";
    Machine m(p);
    if (!m.error().empty())
        GTEST_SKIP() << m.error();
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 1, 48, "refused")) << m.text();
}

/* Wherever an interrupt is on its way when the INIT comes: the law holds. */
TEST_P(Startup, AnInitMayComeAtAnyTimeOfAnInterruptsLife)
{
    for (unsigned delay = 0; delay < 1500; delay += 100) {
        Plan p = machine(GetParam(), "[\"compute\",50000],[\"ipi\",48,1],[\"compute\"," +
                                         std::to_string(1 + delay) + "]," + INIT +
                                         "[\"compute\",20000]," + SIPI);
        p.vcpus[1].startup = "";
        p.programs["work"] = "[\"compute\",90000]";
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << delay << m.text();
        ASSERT_EQ(1, account(m, 1, 48, "refused") + account(m, 1, 48, "delivered")) << delay;
    }
}

TEST_P(Startup, AResetLetsThoseRunThatDidNotWaitAtFirst)
{
    Plan p = machine(GetParam(), "[\"compute\",30000],[\"triple_fault\"],");
    p.programs["again"] = "[\"stamp\",2],[\"compute\",1000],[\"stamp\",2]";
    p.vcpus[0].startup = p.vcpus[1].startup = R"(,"after_reset":"again")";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, m.stamps(1, 2, "count")) << "though its program had ended";
}

TEST_P(Startup, AShutDownStopsTheMachineIfItIsNotToReboot)
{
    Plan p = machine(GetParam(), INIT + SIPI + "[\"compute\",3000],[\"triple_fault\"],");
    p.no_reboot = true;
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ("KVM_EXIT_SHUTDOWN", stopped(m));
    EXPECT_EQ(1u, m.userspace_exits(0, "KVM_EXIT_SHUTDOWN"));
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << "and nothing runs again";
}

TEST_P(Startup, AShutDownResetsTheMachine)
{
    for (const char *ap : {"[\"compute\",1000],[\"halt\"]", "[\"compute\",1000000]",
                           "[\"repeat\",1000],[\"compute\",100],[\"cpuid\"],[\"end\"]"}) {
        Plan p = machine(
            GetParam(), INIT + SIPI + "[\"compute\",30000],[\"ipi\",48,1],[\"triple_fault\"],");
        p.programs["work"] = ap;
        p.programs["again"] =
            "[\"stamp\",2]," + INIT + SIPI + "[\"compute\",20000],[\"stamp\",2]";
        p.programs["last"] = "[\"stamp\",3],[\"compute\",1000],[\"stamp\",3]";
        p.vcpus[0].startup = R"(,"after_reset":"again")";
        p.vcpus[1].startup = R"(,"waits_for_sipi":true,"after_reset":"last")";
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << ap << m.text();
        EXPECT_EQ("", stopped(m));
        EXPECT_EQ(1u, m.userspace_exits(0, "KVM_EXIT_SHUTDOWN"));
        EXPECT_EQ(1u, m.stamps(0, 2, "count"));
        EXPECT_EQ(1u, m.stamps(1, 3, "count"));
        EXPECT_EQ(2, account(m, 1, 0, "delivered"));
        EXPECT_EQ(in_kernel() ? 2u : 0u, m.userspace_exits(1, "KVM_RUN_EAGAIN"));
    }
}

TEST_P(Startup, QemuStopsTheMachineForWhatItCannotHandle)
{
    const bool amd = GetParam().technology[0] == 's' || GetParam().technology[0] == 'x';
    for (const char *op : {"[\"opaque_mmio\",4276092928]", "[\"unknown_exit\"]"}) {
        Plan p = machine(GetParam(), "[\"ipi\",48,1]," + std::string(op) + ",");
        p.vcpus[1].startup = "";
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        const bool unknown = op[2] == 'u' && !amd;
        EXPECT_EQ(unknown ? "KVM_EXIT_UNKNOWN" : "KVM_EXIT_INTERNAL_ERROR", stopped(m));
    }
}

INSTANTIATE_TEST_SUITE_P(
    EveryKind, Startup,
    testing::Values(Kind{"none", "kernel", "x2apic"}, Kind{"none", "kernel", "xapic"},
                    Kind{"none", "split", "x2apic"}, Kind{"none", "userspace", "xapic"},
                    Kind{"apicv", "kernel", "x2apic"}, Kind{"apicv", "kernel", "xapic"},
                    Kind{"ipiv", "kernel", "x2apic"}, Kind{"vtd-pi", "split", "x2apic"},
                    Kind{"svm", "kernel", "x2apic"}, Kind{"svm", "userspace", "xapic"},
                    Kind{"x2avic", "kernel", "x2apic"}, Kind{"x2avic", "split", "xapic"},
                    Kind{"eli", "kernel", "x2apic"}, Kind{"did", "kernel", "x2apic"},
                    Kind{"uintr", "kernel", "x2apic"}, Kind{"apic-timer", "kernel", "x2apic"}));

TEST(StartupPlans, AreRefusedWhereTheyCannotBe)
{
    const Kind kind{"none", "kernel", "x2apic"};
    Plan p = machine(kind, "");
    p.vcpus[0].startup = R"(,"waits_for_sipi":true)";
    EXPECT_EQ("plan: machine.vcpus[0].waits_for_sipi: vCPU 0 starts the machine, and waits for "
              "nobody",
              Machine(p).error());
    p = machine(kind, "");
    p.vcpus[1].startup = R"(,"after_reset":"nothing")";
    EXPECT_NE(std::string::npos, Machine(p).error().find("after_reset"));
    p = machine(kind, "[\"triple_fault\"],");
    EXPECT_EQ(0u, Machine(p).error().find(
                      "plan: hypervisor.no_reboot: a program has a triple_fault"));
    p.until_ns = 1000000;
    EXPECT_EQ("", Machine(p).error());
    p = machine({"epic-hw", "kernel", "epic"}, "[\"triple_fault\"],");
    EXPECT_NE(std::string::npos, Machine(p).error().find("an Elbrus guest has no"));
}

} // namespace
