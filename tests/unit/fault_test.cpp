/* Faults as events of a plan: each ends in a run that is correct and accounted for. */
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

/* A row of the accounting, by its names. */
int64_t account(Machine &m, int vector, const char *what)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(m.results(), "accounting"), i, row)
    {
        if (json_integer_value(json_object_get(row, "vector")) == vector)
            return json_integer_value(json_object_get(row, what));
    }
    return 0;
}

std::vector<std::string> found(Machine &m)
{
    std::vector<std::string> names;
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(m.results(), "findings"), i, f)
    {
        names.push_back(json_string_value(json_object_get(f, "what")));
    }
    return names;
}

using Names = std::vector<std::string>;

const char *const WATCHED =
    R"({"pending_ns":50000,"notification_ns":50000,"wakeup_ns":50000,"repeats":100})";

/* A guest that works for 400 us and counts what it is interrupted by. */
Plan working(const std::string &technology)
{
    Plan p;
    p.technology = technology;
    p.watchdog = WATCHED;
    p.devices =
        R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[100000,150000,300000]})";
    p.programs = {{"main", "[\"repeat\",400],[\"compute\",1000],[\"end\"]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{48, "handler"}, {49, "handler"}}}};
    return p;
}

class Fault : public testing::TestWithParam<const char *>
{
};

TEST_P(Fault, ADeviceThatRaisesWithoutPauseIsCoalescedAndTheGuestGoesOnAfterwards)
{
    Plan p = working(GetParam());
    Machine calm(p);
    EXPECT_EQ(VIRQSIM_ENDED, calm.run());
    p.faults = R"({"kind":"storm","at_ns":50000,"for_ns":100000,"device":0,"every_ns":50})";
    Machine m(p);
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(2000 + 3, account(m, 48, "raised"));
    EXPECT_LT(1000, account(m, 48, "coalesced"));
    EXPECT_EQ(2003, account(m, 48, "coalesced") + account(m, 48, "delivered"));
    EXPECT_GT(virqsim_now(m.sim()), virqsim_now(calm.sim()));
    EXPECT_LT(virqsim_now(m.sim()), virqsim_now(calm.sim()) + 130000000)
        << "it ended with the storm";
}

TEST_P(Fault, AMaskedVectorIsOnePendingBitUntilItIsUnmasked)
{
    Plan p = working(GetParam());
    p.faults = R"({"kind":"masked-msi","at_ns":50000,"for_ns":150000,"device":0})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_RUNNING, m.run(180000000));
    EXPECT_EQ(2, account(m, 48, "raised"));
    EXPECT_EQ(1, account(m, 48, "coalesced"));
    EXPECT_EQ(1, account(m, 48, "pending"));
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(3, account(m, 48, "raised"));
    EXPECT_EQ(2, account(m, 48, "delivered"));
    EXPECT_EQ(0, account(m, 48, "pending"));
    EXPECT_LT(100000000u, m.latency("msi", "max_ps")) << "raised at 100 us, sent at 200 us";
    EXPECT_EQ(Names{}, found(m)) << "it was pending in the device, where no guest takes it";
}

TEST_P(Fault, AMessageToNobodyIsRefused)
{
    Plan p = working(GetParam());
    p.faults = R"({"kind":"absent-vcpu","at_ns":50000,"apic_id":7,"vector":49},)"
               R"({"kind":"absent-vcpu","at_ns":60000,"apic_id":1,"vector":49})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(2, json_integer_value(json_object_get(m.results(), "refused_nowhere")));
    EXPECT_EQ(0, account(m, 49, "raised"));
    EXPECT_EQ(3, account(m, 48, "delivered"));
}

TEST_P(Fault, AVcpuThatIsNotScheduledGetsItsInterruptsAfterwards)
{
    for (const char *main : {"[\"repeat\",400],[\"compute\",1000],[\"end\"]",
                             "[\"halt_until\",0,1]", "[\"spin_until\",0,1]"}) {
        Plan p = working(GetParam());
        p.programs["main"] = main;
        p.vcpus.push_back({1, "other", {}});
        p.programs["other"] = "[\"repeat\",1000],[\"compute\",120000],[\"cpuid\"],[\"end\"]";
        p.faults = R"({"kind":"off-cpu","at_ns":60000,"vcpu":0})";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_LE(100000000000u, virqsim_now(m.sim())) << "100 ms by default";
        EXPECT_EQ(3, account(m, 48, "raised"));
        EXPECT_EQ(3, account(m, 48, "delivered") + account(m, 48, "coalesced"));
        EXPECT_LE(1, account(m, 48, "delivered"));
        EXPECT_LT(99000000000u, m.latency("msi", "max_ps"));
        EXPECT_EQ(Names{"pending"}, found(m)) << main << m.text();
    }
}

INSTANTIATE_TEST_SUITE_P(EveryTechnology, Fault,
                         testing::Values("none", "apicv", "ipiv", "vtd-pi", "svm", "x2avic"));

TEST(Faults, AnAssignedDevicesInterruptsWaitForAnUnscheduledVcpuInItsDescriptor)
{
    for (const char *technology : {"apicv", "vtd-pi"}) {
        Plan p = working(technology);
        p.devices =
            R"({"name":"d","kind":"assigned","vcpu":0,"vector":48,"cpu":0,"at_ns":[100000,150000]})";
        p.programs["main"] = "[\"spin_until\",0,1]";
        p.faults = R"({"kind":"off-cpu","at_ns":60000,"for_ns":1000000,"vcpu":0})";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(2, account(m, 48, "raised"));
        EXPECT_EQ(1, account(m, 48, "coalesced"));
    }
}

/* The I/O APIC's input 5, level-triggered, to vCPU 0, whose device is served as it should be. */
TEST(Faults, ALineStuckHighIsALivelockUntilItIsReleased)
{
    for (const char *technology : {"none", "apicv", "svm"}) {
        Plan p = working(technology);
        p.chipset = R"({"ioapic":"82093aa"})";
        p.devices = R"({"name":"d","kind":"line","gsi":5,"at_ns":[100000,600000]})";
        p.programs["main"] =
            "[\"mmio_write\",4273995776,4,26],[\"mmio_write\",4273995792,4,32816],"
            "[\"mmio_write\",4273995776,4,27],[\"mmio_write\",4273995792,4,0],"
            "[\"repeat\",1000],[\"compute\",1000],[\"end\"]";
        p.programs["handler"] = "[\"lower\",0],[\"eoi\"],[\"word_add\",0,1]";
        Machine right(p);
        EXPECT_EQ(VIRQSIM_ENDED, right.run());
        EXPECT_EQ(Names{}, found(right)) << technology;
        EXPECT_EQ(2, account(right, 48, "delivered")) << technology;
        p.faults = R"({"kind":"stuck-line","at_ns":90000,"for_ns":400000,"gsi":5})";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(Names{"livelock"}, found(m)) << technology;
        EXPECT_LT(100, account(m, 48, "delivered"));
        EXPECT_EQ(0, account(m, 48, "pending"));
        EXPECT_GT(virqsim_now(m.sim()), virqsim_now(right.sim()));
    }
}

/* The same at an 8259A whose input 5 is level-triggered, by ELCR; an edge comes once. */
TEST(Faults, ALineStuckHighIsALivelockOfAnOldGuestsToo)
{
    for (const char *elcr : {"32", "0"}) {
        Plan p = working("none");
        p.guest_apic = "none";
        p.chipset = R"({"ioapic":"82093aa"})";
        p.devices = R"({"name":"d","kind":"line","gsi":5,"at_ns":[200000,700000]})";
        p.programs["main"] =
            "[\"port_out\",32,1,17],[\"port_out\",33,1,48],[\"port_out\",33,1,4],"
            "[\"port_out\",33,1,1],[\"port_out\",1232,1," +
            std::string(elcr) +
            "],[\"port_out\",33,1,0],[\"repeat\",1000],[\"compute\",1000],[\"end\"]";
        p.programs["handler"] = "[\"lower\",0],[\"port_out\",32,1,32],[\"word_add\",0,1]";
        p.vcpus[0].handlers = {{53, "handler"}};
        Machine right(p);
        EXPECT_EQ(VIRQSIM_ENDED, right.run());
        EXPECT_EQ(Names{}, found(right));
        EXPECT_EQ(2, account(right, 53, "delivered"));
        p.faults = R"({"kind":"stuck-line","at_ns":190000,"for_ns":400000,"gsi":5})";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(*elcr == '0' ? Names{} : Names{"livelock"}, found(m)) << m.text();
        EXPECT_EQ(*elcr == '0', account(m, 53, "delivered") <= 2);
    }
}

/* Every fault, alone and with all others, wherever a plan can have it. */
TEST(Faults, EndInARunThatIsAccountedForEverywhere)
{
    const std::string all[] = {
        R"({"kind":"storm","at_ns":50000,"for_ns":20000,"device":0,"every_ns":400})",
        R"({"kind":"stuck-line","at_ns":60000,"for_ns":30000,"gsi":5})",
        R"({"kind":"masked-msi","at_ns":40000,"for_ns":30000,"device":0})",
        R"({"kind":"absent-vcpu","at_ns":50000,"apic_id":7,"vector":49})",
        R"({"kind":"off-cpu","at_ns":55000,"for_ns":300000,"vcpu":0})",
        R"({"kind":"moved","at_ns":45000,"vcpu":0,"cpu":2})",
        R"({"kind":"stall","at_ns":52000,"for_ns":40000,"thread":0})",
    };
    unsigned runs = 0;
    for (const char *technology :
         {"none", "apicv", "ipiv", "uintr", "apic-timer", "vtd-pi", "eli", "direct", "did",
          "svm", "avic", "x2avic", "avic-pi", "x2avic-pi", "epic-sw", "epic-hw"})
        for (const char *irqchip : {"kernel", "split", "userspace"})
            for (const char *apic : {"xapic", "x2apic", "epic", "none"})
                for (unsigned set : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 127u, 93u}) {
                    Plan p = working(technology);
                    const bool epic = std::string(apic) == "epic";
                    p.irqchip = irqchip;
                    p.guest_apic = apic;
                    p.vcpus.push_back({1, "main", {{48, "handler"}}});
                    p.programs["main"] = "[\"repeat\",150],[\"compute\",1000],[\"end\"]";
                    p.threads =
                        R"({"kind":"main-loop","pin":1,"work":[{"at_ns":[51000],"cycles":9000}]})";
                    p.chipset = epic ? R"({"ioepic":"v2"})" : R"({"ioapic":"ich9"})";
                    for (unsigned n = 0; n < 7; n++)
                        if (set >> n & 1)
                            p.faults += (p.faults.empty() ? "" : ",") + all[n];
                    Machine m(p);
                    if (!m.error().empty())
                        continue; /* it has no such controller, or the fault does not exist there */
                    runs++;
                    EXPECT_EQ(VIRQSIM_ENDED, m.run())
                        << technology << irqchip << apic << set << m.text();
                }
    EXPECT_LT(500u, runs);
}

/* A worker's item signals a device when it is done. */
Plan with_worker(const std::string &work)
{
    Plan p = working("apicv");
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48})";
    p.threads = R"({"kind":"vhost","pin":1,"work":[)" + work + "]}";
    p.programs["main"] = "[\"halt_until\",0,2]";
    return p;
}

TEST(Faults, AWorkerThatStallsCompletesItsItemsLaterAndLosesNone)
{
    const std::string works[] = {
        R"({"at_ns":[100000],"cycles":10000,"signals":0},)"
        R"({"at_ns":[120000],"cycles":10000,"signals":0})",
        R"({"at_ns":[100000],"cycles":1000,"sleep_ns":50000,"after_cycles":500,"signals":0},)"
        R"({"at_ns":[120000],"cycles":1000,"sleep_ns":50000,"after_cycles":500,"signals":0})",
    };
    for (const auto &work : works)
        for (const char *at : {"50000", "102000", "125000"}) {
            Plan p = with_worker(work);
            Machine right(p);
            ASSERT_EQ("", right.error());
            EXPECT_EQ(VIRQSIM_ENDED, right.run());
            p.faults = std::string(R"({"kind":"stall","for_ns":2000000,"thread":0,"at_ns":)") +
                       at + "}";
            Machine m(p);
            ASSERT_EQ("", m.error());
            EXPECT_EQ(VIRQSIM_ENDED, m.run()) << work << at;
            EXPECT_EQ(2, account(m, 48, "delivered"));
            EXPECT_LE(virqsim_now(right.sim()) + 1800000000, virqsim_now(m.sim()))
                << work << at;
            EXPECT_GE(virqsim_now(right.sim()) + 2100000000, virqsim_now(m.sim()))
                << work << at;
            EXPECT_EQ(Names{}, found(m)) << "nothing is pending: nobody has raised it yet";
        }
}

/* The descriptor names another CPU between the read and the notification. Whenever it does, and
   whatever the vCPU is doing, the interrupt reaches it. */
class AVcpuThatIsMoved
    : public testing::TestWithParam<std::tuple<const char *, const char *, const char *>>
{
};

TEST_P(AVcpuThatIsMoved, GetsTheInterruptThatIsOnItsWay)
{
    const auto [technology, source, main] = GetParam();
    for (unsigned ns = 98500; ns < 102500; ns += 50) {
        Plan p = working(technology);
        p.devices = std::string(R"({"name":"d","kind":")") + source +
                    R"(","vcpu":0,"vector":48,"at_ns":[100000])" +
                    (std::string(source) == "assigned" ? R"(,"cpu":0})" : "}");
        p.programs["main"] = main;
        p.faults = R"({"kind":"moved","vcpu":0,"cpu":2,"at_ns":)" + std::to_string(ns) +
                   R"(},{"kind":"moved","vcpu":0,"cpu":0,"at_ns":)" +
                   std::to_string(ns + 20000) + "}";
        Machine m(p);
        ASSERT_EQ("", m.error());
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << ns << m.text();
        ASSERT_EQ(1, account(m, 48, "delivered")) << ns;
        ASSERT_EQ(Names{}, found(m)) << ns;
        ASSERT_GT(20000000u, m.latency("msi", "max_ps")) << ns;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Anywhere, AVcpuThatIsMoved,
    testing::Combine(
        testing::Values("none", "apicv", "ipiv", "vtd-pi", "svm", "x2avic", "avic-pi"),
        testing::Values("msi", "assigned"),
        testing::Values("[\"spin_until\",0,1],[\"compute\",40000]",
                        "[\"halt_until\",0,1],[\"compute\",40000]",
                        "[\"repeat\",140],[\"compute\",500],[\"cpuid\"],[\"end\"]")));

/* The same between the sender's look at the table and its notification, or doorbell. */
TEST(Faults, AnIpiReachesAVcpuThatIsMovedMeanwhile)
{
    for (const char *technology : {"none", "ipiv", "x2avic"}) {
        for (unsigned ns = 99000; ns < 101500; ns += 100) {
            Plan p = working(technology);
            p.devices = "";
            p.programs["main"] = "[\"spin_until\",0,1],[\"compute\",40000]";
            p.programs["sender"] = "[\"compute\",100000],[\"ipi\",48,0],[\"compute\",1]";
            p.vcpus.push_back({1, "sender", {}});
            p.faults =
                R"({"kind":"moved","vcpu":0,"cpu":2,"at_ns":)" + std::to_string(ns) + "}";
            Machine m(p);
            ASSERT_EQ("", m.error());
            ASSERT_EQ(VIRQSIM_ENDED, m.run()) << ns << m.text();
            ASSERT_EQ(1, account(m, 48, "delivered")) << ns;
            ASSERT_EQ(Names{}, found(m)) << ns;
            ASSERT_GT(20000000u, m.latency("ipi", "max_ps")) << ns;
        }
    }
}

TEST(Faults, AMovedVcpuRunsThere)
{
    Plan p = working("apicv");
    p.load = {0};
    p.time_slice_ns = 50000;
    Machine shares(p);
    EXPECT_EQ(VIRQSIM_ENDED, shares.run());
    p.faults = R"({"kind":"moved","vcpu":0,"cpu":3,"at_ns":1000})";
    Machine alone(p);
    EXPECT_EQ(VIRQSIM_ENDED, alone.run());
    EXPECT_GT(450000000u, virqsim_now(alone.sim()));
    EXPECT_LT(700000000u, virqsim_now(shares.sim()));
}

TEST(Faults, BadOnesNameTheirPlace)
{
    Plan p = working("none");
    const std::map<std::string, std::string> bad = {
        {R"({"kind":"strom"})", "plan: faults[0].kind: \"strom\" is not one of: storm, "},
        {R"({"kind":"storm","at_ns":1,"for_ns":2,"device":1,"every_ns":1})",
         "plan: faults[0].device: 1 is out of range (0..0)"},
        {R"({"kind":"storm","at_ns":1,"for_ns":2,"device":0,"every_ns":0})",
         "plan: faults[0].every_ns: 0 is out of range"},
        {R"({"kind":"stuck-line","at_ns":1,"for_ns":2,"gsi":5})",
         "plan: faults[0]: is about a line, and the machine has no chipset"},
        {R"({"kind":"absent-vcpu","at_ns":1,"apic_id":0,"vector":49})",
         "plan: faults[0].apic_id: 0 is out of range (1..4294967294)"},
        {R"({"kind":"stall","at_ns":1,"for_ns":1,"thread":0})",
         "plan: faults[0].thread: the machine has none"},
        {R"({"kind":"off-cpu","at_ns":1,"device":0})", "plan: faults[0].device: "},
        {R"({"kind":"moved","at_ns":1,"vcpu":0,"cpu":4})",
         "plan: faults[0].cpu: 4 is out of range (0..3)"},
    };
    for (const auto &[fault, message] : bad) {
        p.faults = fault;
        EXPECT_EQ(message, Machine(p).error().substr(0, message.size()));
    }
    p.devices = R"({"name":"d","kind":"nmi","vcpu":0})";
    p.faults = R"({"kind":"masked-msi","at_ns":1,"for_ns":2,"device":0})";
    EXPECT_EQ(
        "plan: faults[0].device: 0 sends no messages; an msi or assigned device belongs here",
        Machine(p).error());
}

} // namespace
