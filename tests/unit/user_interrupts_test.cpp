/* User interrupts in the machine: who leaves the guest, what a receiver that masks, sleeps or is
   suppressed gets, and that nothing is lost. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

std::string targets(const std::string &list, const std::string &rest = "")
{
    return R"({"uinv":200,"handler":"on_user","targets":[)" + list + "]" + rest + "}";
}

/* vCPU 0 sends user vector 5 to vCPU 1, `times` times; word 0 counts what its handler saw. */
Plan ping(const std::string &technology, unsigned times, const std::string &receiver = "")
{
    Plan p;
    std::string sender;
    for (unsigned n = 1; n <= times; n++)
        sender += "[\"compute\",100000],[\"senduipi\",0],[\"spin_until\",0," +
                  std::to_string(n) + "],";
    p.technology = technology;
    if (technology != "uintr")
        p.features["user-interrupts"] = true;
    p.programs = {{"sender", sender + "[\"compute\",1]"},
                  {"receiver", receiver + "[\"spin_until\",0," + std::to_string(times) + "]"},
                  {"on_user", "[\"word_add\",0,1]"},
                  {"wake", "[\"eoi\"]"}};
    p.vcpus = {{0, "sender", {}, targets(R"({"vcpu":1,"vector":5})")},
               {1, "receiver", {{201, "wake"}}, targets("")}};
    return p;
}

/* A number of the row of one vCPU and vector; user vectors stand behind 256. */
uint64_t account(Machine &m, int vcpu, int vector, const char *what)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(m.results(), "accounting"), i, row)
    {
        if (json_integer_value(json_object_get(row, "vcpu")) == vcpu &&
            json_integer_value(json_object_get(row, "vector")) == vector)
            return (uint64_t)json_integer_value(json_object_get(row, what));
    }
    return 0;
}

constexpr int USER_5 = 256 + 5, UINV = 200;

TEST(UserInterrupts, WithIpiVirtualizationNeitherSideLeavesItsGuest)
{
    for (const char *apic : {"xapic", "x2apic"}) {
        Plan p = ping("uintr", 3);
        p.guest_apic = apic;
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(0u, m.exits(0) + m.exits(1));
        EXPECT_EQ(3u, m.latency("user-ipi", "count"));
        EXPECT_EQ(3u, account(m, 1, USER_5, "delivered"));
        EXPECT_EQ(3u, account(m, 1, UINV, "delivered")) << "as notifications";
    }
}

TEST(UserInterrupts, WithoutItTheSenderLeavesAfterTheVirtualIcr)
{
    for (const char *apic : {"xapic", "x2apic"}) {
        Plan none = ping("none", 3), apicv = ping("apicv", 3);
        none.guest_apic = apicv.guest_apic = apic;
        Machine software(none), hardware(apicv);
        EXPECT_EQ(VIRQSIM_ENDED, software.run()) << software.error() << software.text();
        EXPECT_EQ(3u, software.exits(0, "APIC_WRITE", "operation"));
        EXPECT_EQ(3u, software.exits(0));
        EXPECT_EQ(3u, software.exits(1, "EXTERNAL_INTERRUPT", "delivery"));
        EXPECT_EQ(3u, software.exits(1)) << "an injected notification needs no EOI";
        EXPECT_EQ(VIRQSIM_ENDED, hardware.run());
        EXPECT_EQ(3u, hardware.exits(0, "APIC_WRITE", "operation"));
        EXPECT_EQ(0u, hardware.exits(1));
        for (Machine *m : {&software, &hardware}) {
            EXPECT_EQ(3u, account(*m, 1, USER_5, "delivered"));
            EXPECT_EQ(3u, account(*m, 1, UINV, "delivered"));
        }
    }
}

TEST(UserInterrupts, ALatencyIsTheSumOfItsKeys)
{
    Machine m(ping("uintr", 1));
    m.run();
    /* senduipi, hw.ipi_virtualized, hw.ipi, hw.posted, hw.user_notification, user_deliver */
    EXPECT_EQ(600u * 1000, m.latency("user-ipi", "max_ps"));
}

/* SDM 3C "Virtualizing User-Interrupt Notifications". */
TEST(UserInterrupts, AUinvInTheEoiExitBitmapMakesNobodyLeave)
{
    Plan p = ping("uintr", 3);
    p.devices = R"({"name":"d","kind":"level","vcpu":1,"vector":200})";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(0u, m.exits(0) + m.exits(1));
}

TEST(UserInterrupts, CluiHoldsThemAndStuiLetsThemIn)
{
    for (const char *technology : {"none", "apicv", "ipiv", "uintr"}) {
        Plan p = ping(technology, 1, "[\"clui\"],[\"spin_until\",1,1],[\"stui\"],");
        p.programs["sender"] = "[\"compute\",100000],[\"senduipi\",0],[\"compute\",100000],"
                               "[\"senduipi\",0],[\"compute\",100000],[\"word_add\",1,1],"
                               "[\"spin_until\",0,1]";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.error() << m.text();
        EXPECT_EQ(1u, account(m, 1, USER_5, "delivered"));
        EXPECT_EQ(1u, account(m, 1, USER_5, "coalesced")) << "in UIRR";
        EXPECT_EQ(2u, account(m, 1, UINV, "delivered"));
        EXPECT_GT(m.latency("user-ipi", "max_ps"), 200000u * 1000) << "it waited for STUI";
    }
}

TEST(UserInterrupts, AHandlerIsNotInterruptedByTheNextUserInterruptUnlessItSaysStui)
{
    for (bool nests : {false, true}) {
        Plan p = ping("uintr", 1);
        p.vcpus[0].user_interrupts = targets(R"({"vcpu":1,"vector":5},{"vcpu":1,"vector":6})");
        /* The second of the two handlers to begin ends first, if it can begin at all. */
        p.programs["on_user"] = std::string(nests ? "[\"stui\"]," : "") +
                                "[\"word_add\",2,1],[\"spin_until\",1,1],[\"word_add\",0,1]";
        p.programs["sender"] = "[\"compute\",100000],[\"senduipi\",0],[\"compute\",100000],"
                               "[\"senduipi\",1],[\"compute\",100000],[\"word_add\",1,1],"
                               "[\"spin_until\",0,2]";
        p.programs["receiver"] = "[\"spin_until\",0,2]";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(1u, account(m, 1, 256 + 6, "delivered"));
        EXPECT_EQ(nests, m.latency("user-ipi", "max_ps") < 1000u * 1000) << m.text();
    }
}

TEST(UserInterrupts, AKernelsHandlerIsNotInterrupted)
{
    Plan p = ping("uintr", 1);
    p.devices = R"({"name":"d","kind":"msi","vcpu":1,"vector":60,"at_ns":[50000]})";
    p.programs["kernel"] = "[\"eoi\"],[\"unmask\"],[\"compute\",300000]";
    p.vcpus[1].handlers[60] = "kernel";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_GT(m.latency("user-ipi", "max_ps"), 240000u * 1000) << "it waited for the IRET";
    EXPECT_EQ(1u, account(m, 1, USER_5, "delivered"));
}

TEST(UserInterrupts, ASuppressedReceiverTakesThemWhenItsKernelSaysSo)
{
    for (const char *technology : {"none", "apicv", "ipiv", "uintr"}) {
        Plan p = ping(technology, 1,
                      "[\"upid_suppress\",1],[\"spin_until\",1,1],[\"upid_suppress\",0],"
                      "[\"self_ipi\",200],");
        p.programs["sender"] = "[\"compute\",100000],[\"senduipi\",0],[\"compute\",100000],"
                               "[\"word_add\",1,1],[\"spin_until\",0,1]";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.error() << m.text();
        EXPECT_EQ(0u, m.exits(0)) << "SENDUIPI sent no IPI";
        EXPECT_EQ(1u, account(m, 1, UINV, "raised")) << "only the kernel's own";
        EXPECT_EQ(1u, account(m, 1, USER_5, "delivered"));
    }
}

/* As after uintr_wait() on Linux: the notification is an interrupt of the kernel's. */
TEST(UserInterrupts, ASleepingReceiverIsWokenByAVectorOfItsKernels)
{
    for (const char *technology : {"none", "apicv", "ipiv", "uintr"}) {
        Machine m(ping(technology, 1,
                       "[\"upid_notify\",201],[\"halt\"],[\"upid_notify\",200],"
                       "[\"self_ipi\",200],"));
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.error() << m.text();
        EXPECT_EQ(1u, m.exits(1, "HLT"));
        EXPECT_EQ(1u, account(m, 1, 201, "delivered")) << "with a handler";
        EXPECT_EQ(1u, account(m, 1, UINV, "delivered"));
        EXPECT_EQ(1u, account(m, 1, USER_5, "delivered"));
    }
}

/* SDM 3A "User-Interrupt Notification Processing": HLT goes on. */
TEST(UserInterrupts, AHaltThatDoesNotExitDoesNotEndForANotification)
{
    Plan p = ping("uintr", 1, "[\"halt\"],");
    p.features["hlt-in-guest"] = true;
    p.until_ns = 1000000;
    Machine m(p);
    m.run();
    EXPECT_EQ(0u, account(m, 1, USER_5, "delivered")) << m.text();
    EXPECT_EQ(1u, account(m, 1, USER_5, "pending"));
    EXPECT_EQ(1u, account(m, 1, UINV, "delivered"));
}

TEST(UserInterrupts, KvmsHaltEndsForAnyInterruptAndSoForANotification)
{
    for (const char *technology : {"none", "apicv", "uintr"}) {
        Machine m(ping(technology, 1, "[\"halt\"],"));
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(1u, account(m, 1, USER_5, "delivered"));
    }
}

TEST(UserInterrupts, APreemptedReceiverFindsThemWhenItRunsAgain)
{
    for (const char *technology : {"none", "apicv", "ipiv", "uintr"}) {
        Plan p = ping(technology, 4);
        p.load = {1};
        p.time_slice_ns = 70000;
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(4u, account(m, 1, USER_5, "delivered"));
    }
}

TEST(UserInterrupts, AGuestMaySendToItself)
{
    for (const char *technology : {"none", "apicv", "ipiv", "uintr"}) {
        Plan p = ping(technology, 1);
        p.vcpus.pop_back();
        p.vcpus[0].user_interrupts = targets(R"({"vcpu":0,"vector":63})");
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.error() << m.text();
        EXPECT_EQ(1u, account(m, 0, 256 + 63, "delivered"));
    }
}

/* --- plans that cannot be --- */

TEST(UserInterrupts, APlanThatCannotBeIsRefusedWithItsPlace)
{
    const struct {
        const char *line;
        void (*spoil)(Plan &p);
    } rows[] = {
        {"plan: machine.vcpus[0].user_interrupts: needs the feature user-interrupts",
         [](Plan &p) { p.features["user-interrupts"] = false; }},
        {"plan: machine.vcpus[0].user_interrupts: needs a local APIC in the kernel: without "
         "the "
         "TPR shadow SENDUIPI would write the physical ICR",
         [](Plan &p) { p.irqchip = "userspace", p.guest_apic = "xapic"; }},
        {"plan: features: user-interrupts needs tpr-shadow",
         [](Plan &p) {
             p.technology = "none";
             p.features = {{"user-interrupts", true},
                           {"tpr-shadow", false},
                           {"apic-access-page", false},
                           {"virtualize-x2apic", false}};
         }},
        {"plan: machine.vcpus[0].user_interrupts.targets[0].vector: 64 is out of range (0..63)",
         [](Plan &p) { p.vcpus[0].user_interrupts = targets(R"({"vcpu":1,"vector":64})"); }},
        {"plan: machine.vcpus[0].user_interrupts.targets[0].vcpu: 2 is out of range (0..1)",
         [](Plan &p) { p.vcpus[0].user_interrupts = targets(R"({"vcpu":2,"vector":1})"); }},
        {"plan: machine.vcpus[0].user_interrupts.uinv: 15 is out of range (16..255)",
         [](Plan &p) { p.vcpus[0].user_interrupts = R"({"uinv":15,"targets":[]})"; }},
        {"plan: machine.vcpus[0].user_interrupts.handler: there is no program \"absent\"",
         [](Plan &p) { p.vcpus[0].user_interrupts = R"({"handler":"absent","targets":[]})"; }},
        {"plan: machine.vcpus[0]: its program \"sender\" has senduipi 0, and its "
         "user_interrupts have 0 targets",
         [](Plan &p) { p.vcpus[0].user_interrupts = targets(""); }},
        {"plan: machine.vcpus[0]: has no user_interrupts, and its program \"sender\" has "
         "senduipi",
         [](Plan &p) { p.vcpus[0].user_interrupts = ""; }},
        {"plan: machine.vcpus[0]: a target is vCPU 1, which has no user_interrupts",
         [](Plan &p) { p.vcpus[1].user_interrupts = ""; }},
    };

    for (const auto &row : rows) {
        Plan p = ping("uintr", 1);
        row.spoil(p);
        EXPECT_EQ(row.line, Machine(p).error());
    }
}

TEST(UserInterrupts, AKernelHandlerMayNotSendWithoutATableEither)
{
    Plan p = ping("uintr", 1);
    p.programs["wake"] = "[\"senduipi\",3],[\"eoi\"]";
    EXPECT_EQ("plan: machine.vcpus[1]: its program \"wake\" has senduipi 3, and its "
              "user_interrupts have 0 targets",
              Machine(p).error());
}

} // namespace
