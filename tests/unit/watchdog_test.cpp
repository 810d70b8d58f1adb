/* The watchdog: each of its findings, provoked, and silence where nothing is wrong. */
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

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

std::string line(Machine &m)
{
    json_t *first = json_array_get(json_object_get(m.results(), "findings"), 0);
    return first ? json_string_value(json_object_get(first, "line")) : "";
}

using Names = std::vector<std::string>;

const char *const LIMITS =
    R"({"pending_ns":20000,"notification_ns":20000,"wakeup_ns":20000,"repeats":50})";

/* One vCPU that is interrupted at 50 us. Others make records, at which looks are taken. */
Plan interrupted(const std::string &technology, const std::string &main)
{
    Plan p;
    p.technology = technology;
    p.watchdog = LIMITS;
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[50000]})";
    p.programs = {{"main", main},
                  {"other", "[\"repeat\",200],[\"compute\",1000],[\"cpuid\"],[\"end\"]"},
                  {"handler", "[\"eoi\"],[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{48, "handler"}}}, {1, "other", {}}};
    return p;
}

TEST(Watchdog, IsSilentWhereInterruptsAreTaken)
{
    for (const char *technology : {"none", "apicv", "ipiv", "vtd-pi", "svm", "x2avic"})
        for (const char *main :
             {"[\"spin_until\",0,1]", "[\"halt_until\",0,1]", "[\"compute\",200000]"}) {
            Machine m(interrupted(technology, main));
            EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology << main;
            EXPECT_EQ(Names{}, found(m)) << technology << main << line(m);
        }
}

TEST(Watchdog, IsSilentWhereTheGuestMasksThem)
{
    for (const char *technology : {"none", "apicv"})
        for (const char *main :
             {"[\"mask\"],[\"compute\",200000],[\"unmask\"],[\"spin_until\",0,1]",
              "[\"tpr\",64],[\"compute\",200000],[\"tpr\",0],[\"spin_until\",0,1]"}) {
            Machine m(interrupted(technology, main));
            EXPECT_EQ(VIRQSIM_ENDED, m.run()) << main;
            EXPECT_EQ(Names{}, found(m)) << main << line(m);
        }
}

/* APM 2 "Global Interrupt Flag, STGI and CLGI Instructions": neither is taken while GIF is 0. */
TEST(Watchdog, IsSilentWhereGifHoldsThem)
{
    for (const char *technology : {"svm", "x2avic"})
        for (const char *device :
             {R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"at_ns":[50000]})",
              R"({"name":"d","kind":"nmi","vcpu":0,"at_ns":[50000]})"})
            for (const bool vgif : {false, true}) {
                Plan p = interrupted(
                    technology,
                    "[\"clgi\"],[\"compute\",200000],[\"stgi\"],[\"spin_until\",0,1]");
                p.features["vgif"] = vgif;
                p.devices = device;
                if (strstr(device, "nmi")) {
                    p.programs["handler"] = "[\"word_add\",0,1]";
                    p.vcpus[0].handlers = {{2, "handler"}};
                }
                Machine m(p);
                ASSERT_EQ("", m.error());
                EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology << device;
                EXPECT_EQ(Names{}, found(m)) << technology << device << line(m);
            }
}

TEST(Watchdog, NamesAnInterruptThatIsPendingForLong)
{
    Plan p = interrupted("none", "[\"spin_until\",0,1]");
    p.load = {0, 0, 0, 0};
    p.time_slice_ns = 20000;
    p.programs["other"] = "[\"repeat\",2000],[\"compute\",100],[\"cpuid\"],[\"end\"]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(Names{"pending"}, found(m));
    EXPECT_EQ(
        "vCPU 0 (PARKED), vector 48: an interrupt is pending that the guest could take, since "
        "50000.000 ns",
        line(m).substr(0, line(m).find(", seen")));
    p.watchdog = R"({"pending_ns":200000})";
    Machine patient(p);
    EXPECT_EQ(VIRQSIM_ENDED, patient.run());
    EXPECT_EQ(Names{}, found(patient));
}

TEST(Watchdog, NamesAnEoiOfNothing)
{
    for (const char *technology : {"none", "apicv", "svm", "x2avic"}) {
        Plan p = interrupted(technology, "[\"eoi\"],[\"eoi\"],[\"spin_until\",0,1]");
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(Names{"eoi"}, found(m)) << technology;
        EXPECT_NE(std::string::npos, line(m).find("seen 2 times")) << line(m);
        p.watchdog = "";
        Machine unwatched(p);
        unwatched.run();
        EXPECT_EQ(Names{}, found(unwatched));
    }
}

/* The I/O APIC's input 5, level-triggered, to vCPU 0. */
Plan with_line(const std::string &handler)
{
    Plan p;
    p.watchdog = LIMITS;
    p.chipset = R"({"ioapic":"82093aa"})";
    p.until_ns = 3000000;
    p.devices = R"({"name":"d","kind":"line","gsi":5,"at_ns":[50000]})";
    p.programs = {{"main",
                   "[\"mmio_write\",4273995776,4,26],[\"mmio_write\",4273995792,4,32816],"
                   "[\"mmio_write\",4273995776,4,27],[\"mmio_write\",4273995792,4,0],"
                   "[\"spin_until\",0,1000000]"},
                  {"handler", handler}};
    p.vcpus = {{0, "main", {{48, "handler"}}}};
    return p;
}

TEST(Watchdog, NamesALineThatNobodyLowers)
{
    Machine m(with_line("[\"eoi\"],[\"word_add\",0,1]"));
    ASSERT_EQ("", m.error());
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(Names{"livelock"}, found(m));
    EXPECT_NE(std::string::npos, line(m).find("vector 48: a level-triggered interrupt"))
        << line(m);
}

TEST(Watchdog, IsSilentWhereTheHandlerLowersTheLineIfOnlyAfterTheEoi)
{
    for (const char *handler : {"[\"lower\",0],[\"eoi\"],[\"word_add\",0,1]",
                                "[\"eoi\"],[\"lower\",0],[\"word_add\",0,1]"}) {
        Machine m(with_line(handler));
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(Names{}, found(m)) << handler << line(m);
        EXPECT_LT(0u, m.latency("line", "count"));
    }
}

/* What nobody tells: a hypervisor that does not look again where it should. */
TEST(Watchdog, NamesOnWithoutANotification)
{
    Plan p = interrupted("apicv", "[\"signal\",0],[\"cpuid\"],[\"spin_until\",0,1]");
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"delay_ns":150})";
    p.without_rechecks = "\"kvm_vcpu_exit_request\"";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_IDLE, m.run());
    EXPECT_EQ(Names{"notification"}, found(m));
    p.without_rechecks = "";
    Machine right(p);
    EXPECT_EQ(VIRQSIM_ENDED, right.run());
    EXPECT_EQ(Names{}, found(right));
}

TEST(Watchdog, NamesAWakeUpThatWasMissed)
{
    Plan p = interrupted("apicv", "[\"signal\",0],[\"halt_until\",0,1]");
    p.without_rechecks = "\"kvm_vcpu_check_block\"";
    unsigned missed = 0;
    for (unsigned ns = 0; ns < 2000; ns += 50) {
        p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"delay_ns":)" +
                    std::to_string(ns) + "}";
        Machine m(p);
        const bool lost = m.run() == VIRQSIM_IDLE;
        EXPECT_EQ(lost ? Names{"wakeup"} : Names{}, found(m)) << ns;
        missed += lost;
    }
    EXPECT_LT(0u, missed);
    EXPECT_LT(missed, 40u);
}

/* And before the machine rests: somebody else goes on, and at its records looks are taken. */
TEST(Watchdog, NamesWhatLastsWhileOthersRun)
{
    Plan p = interrupted("apicv", "[\"signal\",0],[\"cpuid\"],[\"spin_until\",0,1]");
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":48,"delay_ns":150})";
    p.without_rechecks = "\"kvm_vcpu_exit_request\"";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_RUNNING, m.run(100000000));
    EXPECT_EQ(Names{"notification"}, found(m));
    Machine early(p);
    EXPECT_EQ(VIRQSIM_RUNNING, early.run(15000000));
    EXPECT_EQ(Names{}, found(early));
}

TEST(Watchdog, ItsLimitsAreChecked)
{
    Plan p = interrupted("none", "[\"compute\",1]");
    p.watchdog = R"({"pending_ns":0})";
    EXPECT_EQ("plan: watchdog.pending_ns: 0 is out of range (1..9223372036854775)",
              Machine(p).error());
    p.watchdog = R"({"pendign_ns":1})";
    EXPECT_EQ("plan: watchdog.pendign_ns:", Machine(p).error().substr(0, 26));
}

/* A vCPU without a CPU for 100 ms: whoever interrupts it, and however, waits. */
TEST(Watchdog, NamesWhatIsPendingInEveryController)
{
    struct Case {
        const char *technology, *guest_apic, *device;
        int vector;
    };
    const Case cases[] = {
        {"none", "none", R"({"name":"d","kind":"extint","vcpu":0,"vector":48,"at_ns":[50000]})",
         48},
        {"svm", "xapic", R"({"name":"d","kind":"extint","vcpu":0,"vector":48,"at_ns":[50000]})",
         48},
        {"none", "xapic", R"({"name":"d","kind":"nmi","vcpu":0,"at_ns":[50000]})", 2},
        {"epic-hw", "epic",
         R"({"name":"d","kind":"msi","vcpu":0,"vector":700,"at_ns":[50000]})", 700},
        {"epic-sw", "epic",
         R"({"name":"d","kind":"msi","vcpu":0,"vector":700,"at_ns":[50000]})", 700},
        {"epic-hw", "epic", R"({"name":"d","kind":"nmi","vcpu":0,"at_ns":[50000]})", 2},
    };
    for (const Case &c : cases) {
        Plan p = interrupted(c.technology, "[\"spin_until\",0,1]");
        p.guest_apic = c.guest_apic;
        p.devices = c.device;
        p.programs["other"] = "[\"repeat\",2000],[\"compute\",1000],[\"cpuid\"],[\"end\"]";
        const bool without_eoi = c.vector == 2 || strstr(c.device, "extint");
        p.programs["handler"] =
            std::string(without_eoi ? "" : "[\"eoi\"],") + "[\"word_add\",0,1]";
        p.vcpus[0].handlers = {{(unsigned)c.vector, "handler"}};
        Machine calm(p);
        ASSERT_EQ("", calm.error());
        EXPECT_EQ(VIRQSIM_ENDED, calm.run()) << c.technology << c.device;
        EXPECT_EQ(Names{}, found(calm)) << c.technology << c.device << line(calm);
        p.faults = R"({"kind":"off-cpu","at_ns":40000,"for_ns":2000000,"vcpu":0})";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << c.technology << c.device;
        EXPECT_EQ(Names{"pending"}, found(m)) << c.technology << c.device;
        EXPECT_NE(std::string::npos, line(m).find(", vector " + std::to_string(c.vector) + ":"))
            << line(m);
        EXPECT_NE(std::string::npos, line(m).find("since 50")) << line(m);
    }
}

/* Of the chipset's 8259A; and what its mask keeps out is not to be taken. */
TEST(Watchdog, NamesWhatIsPendingInTheChipsets8259A)
{
    for (const char *imr : {"0", "255"}) {
        Plan p = interrupted(
            "none", "[\"port_out\",32,1,17],[\"port_out\",33,1,48],[\"port_out\",33,1,4],"
                    "[\"port_out\",33,1,3],[\"port_out\",33,1," +
                        std::string(imr) + "],[\"compute\",400000]");
        p.guest_apic = "none";
        p.chipset = R"({"ioapic":"82093aa"})";
        p.devices = R"({"name":"d","kind":"line","gsi":5,"pulse_ns":900000,"at_ns":[50000]})";
        p.programs["other"] = "[\"repeat\",2000],[\"compute\",1000],[\"cpuid\"],[\"end\"]";
        p.programs["handler"] = "[\"port_out\",32,1,32]";
        p.vcpus[0].handlers = {{53, "handler"}};
        p.faults = R"({"kind":"off-cpu","at_ns":40000,"for_ns":2000000,"vcpu":0})";
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(imr[0] == '0' ? Names{"pending"} : Names{}, found(m)) << line(m);
        if (imr[0] == '0')
            EXPECT_NE(std::string::npos, line(m).find(", vector 53:")) << line(m);
    }
}

/* The receiver's kernel has had the notification sent to a vector of its own, and then forgets to
   notify its processor by itself. */
TEST(Watchdog, NamesAUserInterruptWhoseNotificationNobodyProcesses)
{
    for (const char *self_ipi : {"", "[\"self_ipi\",236],", "[\"clui\"],"}) {
        Plan p = interrupted("uintr",
                             "[\"upid_notify\",50],[\"compute\",90000],[\"upid_notify\",236]," +
                                 std::string(self_ipi) + "[\"spin_until\",0,1]");
        p.devices = "";
        p.programs["user"] = "[\"word_add\",0,1]";
        p.programs["kernel"] = "[\"eoi\"]";
        p.programs["other"] = "[\"compute\",50000],[\"senduipi\",0],[\"repeat\",2000],"
                              "[\"compute\",100],[\"cpuid\"],[\"end\"]";
        p.vcpus[0].handlers = {{50, "kernel"}};
        p.vcpus[0].user_interrupts = R"({"uinv":236,"handler":"user","targets":[]})";
        p.vcpus[1].user_interrupts =
            R"({"uinv":236,"handler":"user","targets":[{"vcpu":0,"vector":5}]})";
        Machine m(p);
        ASSERT_EQ("", m.error());
        m.run();
        const bool forgotten = !*self_ipi;
        EXPECT_EQ(forgotten ? Names{"pending"} : Names{}, found(m)) << self_ipi << line(m);
        if (forgotten)
            EXPECT_EQ(0u,
                      line(m).find("vCPU 0 (GUEST), user vector 5: an interrupt is pending"))
                << line(m);
    }
}

} // namespace
