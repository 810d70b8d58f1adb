/* The guest moves a device's interrupt to another vCPU, and what is urgent does not wait for a time slice. */
#include <string>

#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

const unsigned VECTOR = 65, TABLE = 0xfeb00000;

int64_t account(Machine &m, int vcpu, int vector, const char *what)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(m.results(), "accounting"), i, row)
    {
        if (json_integer_value(json_object_get(row, "vcpu")) == vcpu &&
            json_integer_value(json_object_get(row, "vector")) == vector)
            return json_integer_value(json_object_get(row, what));
    }
    return 0;
}

std::string store(unsigned offset, uint64_t value)
{
    return "[\"mmio_write\"," + std::to_string(TABLE + offset) + ",4," + std::to_string(value) +
           "],";
}

const std::string MASK = store(12, 1), UNMASK = store(12, 0);

std::string message(unsigned apic_id, unsigned vector)
{
    return store(0, 0xfee00000 | apic_id << 12) + store(4, 0) + store(8, vector);
}

/* vCPUs 0 and 1 work; the driver, on vCPU 2, does what the test says. */
Plan machine(const std::string &technology, const std::string &driver,
             const std::string &kind = "assigned")
{
    Plan p;
    p.technology = technology;
    p.devices = R"({"name":"vf","vcpu":0,"vector":65,"table":)" + std::to_string(TABLE) +
                R"(,"kind":")" + kind + "\"" + (kind == "assigned" ? ",\"cpu\":0}" : "}");
    p.programs = {{"target", "[\"compute\",200000]"},
                  {"driver", driver + "[\"compute\",1]"},
                  {"handler", "[\"eoi\"]"}};
    p.vcpus = {{0, "target", {{65, "handler"}, {66, "handler"}}},
               {1, "target", {{65, "handler"}, {66, "handler"}}},
               {2, "driver", {}}};
    return p;
}

const std::string SIGNAL = "[\"signal\",0],[\"compute\",20000],";

class MsixEntry : public testing::TestWithParam<const char *>
{
};

TEST_P(MsixEntry, WhatComesAfterTheMoveGoesToTheOtherVcpuWithTheOtherVector)
{
    for (const char *kind : {"assigned", "msi"}) {
        Machine m(machine(GetParam(), SIGNAL + MASK + message(1, 66) + UNMASK + SIGNAL, kind));
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(1, account(m, 0, 65, "delivered"));
        EXPECT_EQ(1, account(m, 1, 66, "delivered"));
        EXPECT_EQ(0, account(m, 0, 65, "refused"));
        EXPECT_EQ(2u, m.latency("msi", "count"));
        EXPECT_EQ(5u, m.userspace_exits(2, "KVM_EXIT_MMIO"));
    }
}

TEST_P(MsixEntry, AndBackAgain)
{
    std::string driver;
    for (unsigned n = 0; n < 6; n++)
        driver += SIGNAL + MASK + message((n + 1) % 2, VECTOR) + UNMASK;
    Machine m(machine(GetParam(), driver));
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(3, account(m, 0, 65, "delivered"));
    EXPECT_EQ(3, account(m, 1, 65, "delivered"));
}

TEST_P(MsixEntry, WhatIsRaisedWhileItIsMaskedIsOneMessageAndGoesWhereItThenSays)
{
    Machine m(machine(GetParam(), MASK + SIGNAL + SIGNAL + message(1, 66) + UNMASK +
                                      "[\"compute\",20000]," + SIGNAL));
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(2, account(m, 0, 65, "raised"));
    EXPECT_EQ(1, account(m, 0, 65, "coalesced"));
    EXPECT_EQ(1, account(m, 0, 65, "refused"));
    EXPECT_EQ(2, account(m, 1, 66, "delivered"));
    EXPECT_LT(40000000u, m.latency("msi", "max_ps")); /* from where it was raised at first */
}

/* The message takes longer to the CPU than the guest takes to move it. */
TEST_P(MsixEntry, WhatTheHostHasNotForwardedYetGoesWhereTheRouteLeads)
{
    Plan p = machine(GetParam(), "[\"signal\",0],[\"compute\",10]," + MASK + message(1, 66) +
                                     UNMASK + "[\"compute\",60000],");
    p.costs["hw.msi"] = 40000;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 0, 65, "delivered") + account(m, 1, 66, "delivered"));
    const bool posted = std::string(GetParam()).find("pi") != std::string::npos &&
                        std::string(GetParam()) != "apicv"; /* at once, by the old entry */
    EXPECT_EQ(posted ? 0 : 1, account(m, 1, 66, "delivered"));
}

INSTANTIATE_TEST_SUITE_P(Technologies, MsixEntry,
                         testing::Values("none", "apicv", "vtd-pi", "svm", "x2avic",
                                         "x2avic-pi"),
                         [](const auto &info) {
                             std::string s = info.param;
                             for (char &c : s)
                                 c = c == '-' ? '_' : c;
                             return s;
                         });

TEST(MsixEntry, AMessageToNoVcpuLeavesItMaskedUntilItIsPutRight)
{
    for (const std::string &wrong :
         {message(77, 66), message(1, 66) + store(0, 0xfee01004), message(1, 0x466),
          message(1, 66) + store(4, 1), message(1, 5)}) {
        Machine m(machine("none", MASK + wrong + UNMASK + SIGNAL));
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(1, account(m, 0, 65, "pending"));
        Machine again(
            machine("none", MASK + wrong + UNMASK + SIGNAL + MASK + message(1, 66) + UNMASK));
        EXPECT_EQ(VIRQSIM_ENDED, again.run()) << again.text();
        EXPECT_EQ(1, account(again, 1, 66, "delivered"));
    }
}

TEST(MsixEntry, AddressAndDataCountWhenTheMaskGoes)
{
    Machine m(machine("none", message(1, 66) + SIGNAL + UNMASK + SIGNAL));
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(2, account(m, 0, 65, "delivered"));
}

TEST(MsixEntry, AtTheBeginningItSaysWhatThePlanSays)
{
    Machine m(machine("none", MASK + UNMASK + SIGNAL));
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 0, 65, "delivered"));
}

TEST(MsixEntry, EachChangeOfTheMaskIsACallAndARemappingEntryOneMore)
{
    Plan cheap = machine("vtd-pi", MASK + message(1, 66) + UNMASK), dear = cheap;
    dear.costs["user.msi_route"] = 1100;
    Plan remap = cheap;
    remap.costs["kvm.remap"] = 1100;
    Machine a(cheap), b(dear), c(remap);
    a.run(), b.run(), c.run();
    EXPECT_EQ(a.vcpu_ps(2, "USERSPACE") + 2000000, b.vcpu_ps(2, "USERSPACE"));
    EXPECT_EQ(a.vcpu_ps(2, "USERSPACE") + 1000000, c.vcpu_ps(2, "USERSPACE"));
}

TEST(MsixEntry, APlanSaysWhereItIsAndNobodyElseIsThere)
{
    Plan p = machine("none", "");
    p.devices = R"({"name":"a","kind":"msi","vcpu":0,"vector":65,"table":4090})";
    EXPECT_EQ("plan: machine.devices[0].table: 4090 is no multiple of 16", Machine(p).error());
    p.devices = R"({"name":"a","kind":"msi","vcpu":0,"vector":65,"table":4096},)"
                R"({"name":"b","kind":"msi","vcpu":0,"vector":66,"table":4096})";
    EXPECT_EQ("plan: machine.devices[1].table: another device's entry is there",
              Machine(p).error());
    p = machine("did", "");
    EXPECT_EQ("plan: machine.devices[0].table: the guest's interrupts are those of its CPUs",
              Machine(p).error());
    p = machine("none", "");
    p.guest_apic = "none";
    EXPECT_NE(Machine(p).error().find("table"), std::string::npos) << Machine(p).error();
    p.devices = R"({"name":"a","kind":"nmi","vcpu":0,"vector":65,"table":4096})";
    EXPECT_NE(Machine(p).error().find("table"), std::string::npos) << Machine(p).error();
}

/* --- urgent ones --- */

/* vCPU 0 shares its CPU with a thread that always wants it. */
Plan preempted(const std::string &technology, bool urgent)
{
    Plan p = machine(technology, "[\"compute\",1500000]," + SIGNAL);
    p.devices = std::string(R"({"name":"vf","kind":"assigned","vcpu":0,"vector":65,"cpu":0)") +
                (urgent ? ",\"urgent\":true}" : "}");
    p.programs["target"] = "[\"compute\",3000000]";
    p.load = {0};
    return p;
}

TEST(Urgent, OneForAPreemptedVcpuEndsTheOthersSlice)
{
    for (const char *scheduler :
         {"", R"({"latency_ns":6000000,"wakeup_granularity_ns":1000000})"}) {
        Plan plan = preempted("vtd-pi", true);
        plan.scheduler = scheduler;
        Machine m(plan), waits(preempted("vtd-pi", false));
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(VIRQSIM_ENDED, waits.run());
        EXPECT_GT(10000000u, m.latency("msi", "max_ps")) << m.text();
        EXPECT_LT(400000000u, waits.latency("msi", "max_ps"));
    }
}

TEST(Urgent, WithoutPostingNoEntryHasTheBit)
{
    for (const char *technology : {"none", "apicv", "svm", "x2avic-pi"}) {
        Machine m(preempted(technology, true)), same(preempted(technology, false));
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(VIRQSIM_ENDED, same.run());
        EXPECT_EQ(m.latency("msi", "max_ps"), same.latency("msi", "max_ps")) << technology;
    }
}

TEST(Urgent, AnIpiForThatVcpuStillWaits)
{
    Plan p = preempted("ipiv", true);
    p.features["vtd-posting"] = true;
    p.programs["driver"] = "[\"compute\",1500000],[\"ipi\",66,0],[\"compute\",1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_LT(400000000u, m.latency("ipi", "max_ps"));
}

/* A device that has been moved takes its urgency with it. */
TEST(Urgent, ItIsTheTargetsOfTheMoment)
{
    Plan p = preempted("vtd-pi", true);
    p.devices = R"({"name":"vf","kind":"assigned","vcpu":1,"vector":65,"cpu":0,"urgent":true,)"
                R"("table":4272947200})";
    p.programs["driver"] =
        MASK + message(0, 65) + UNMASK + "[\"compute\",1500000]," + SIGNAL + "[\"compute\",1]";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1, account(m, 0, 65, "delivered"));
    EXPECT_GT(10000000u, m.latency("msi", "max_ps"));
}

} // namespace
