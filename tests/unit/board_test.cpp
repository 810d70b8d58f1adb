/* The PC's interrupt controllers in the machine: in the kernel, in userspace, and split. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

std::string out(unsigned port, unsigned value)
{
    return "[\"port_out\"," + std::to_string(port) + ",1," + std::to_string(value) + "],";
}

/* Linux's initialization of the pair (vectors 30H and 38H), and its masks. */
std::string start_pic(unsigned mask)
{
    return "[\"setup\",1]," + out(0x20, 0x11) + out(0x21, 0x30) + out(0x21, 4) + out(0x21, 1) +
           out(0xa0, 0x11) + out(0xa1, 0x38) + out(0xa1, 2) + out(0xa1, 1) +
           out(0x21, mask & 0xff) + out(0xa1, mask >> 8) + "[\"setup\",0],";
}

std::string route(unsigned pin, uint32_t low, unsigned destination)
{
    const auto write = [](unsigned reg, uint32_t value) {
        return "[\"mmio_write\",4273995776,4," + std::to_string(reg) +
               "],[\"mmio_write\",4273995792,4," + std::to_string(value) + "],";
    };
    return "[\"setup\",1]," + write(0x11 + 2 * pin, destination << 24) +
           write(0x10 + 2 * pin, low) + "[\"setup\",0],";
}

constexpr uint32_t LEVEL = 1 << 15, ENABLE_LINT0_EXTINT = 0x700;

/* A device asserts input `gsi` until the handler lowers it; so many interrupts one after the
   other, each once the one before it has been handled. */
Plan one_device(unsigned gsi, const std::string &prepare, unsigned vector,
                const std::string &acknowledge, unsigned times)
{
    Plan p;
    p.chipset = R"({"ioapic":"82093aa"})";
    p.devices =
        R"({"name":"d","kind":"line","gsi":)" + std::to_string(gsi) + R"(,"delay_ns":2000})";
    std::string main = prepare;
    for (unsigned n = 1; n <= times; n++)
        main +=
            "[\"signal\",0],[\"spin_until\",0," + std::to_string(n) + "],[\"compute\",20000],";
    p.guest_apic = "xapic"; /* which all of them have */
    p.programs = {{"main", main + "[\"compute\",1]"},
                  {"handler", "[\"lower\",0]," + acknowledge + "[\"word_add\",0,1]"}};
    p.vcpus = {{0, "main", {{vector, "handler"}}}};
    return p;
}

Plan pic_device(unsigned irq, unsigned times)
{
    const std::string eoi =
        irq >= 8 ? out(0xa0, 0x60 | (irq & 7)) + out(0x20, 0x62) : out(0x20, 0x60 | irq);
    Plan p = one_device(irq, start_pic(0xffff & ~(1u << irq | 4u)), 0x30 + irq, eoi, times);
    p.guest_apic = "none";
    return p;
}

Plan ioapic_device(uint32_t trigger, unsigned times)
{
    return one_device(10, route(10, trigger | 0x41, 0), 0x41, "[\"eoi\"],", times);
}

class Everywhere : public testing::TestWithParam<const char *>
{
};

TEST_P(Everywhere, ALineReachesTheGuestThroughThe8259A)
{
    for (unsigned irq : {5u, 12u}) {
        Plan p = pic_device(irq, 3);
        p.irqchip = GetParam();
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(3u, m.latency("line", "count"));
        EXPECT_EQ(irq >= 8 ? 6u : 3u, m.exits(0, "IO_INSTRUCTION", "acknowledge"));
    }
}

TEST_P(Everywhere, ALineReachesTheGuestThroughTheIoApic)
{
    for (uint32_t trigger : {0u, LEVEL}) {
        for (const char *technology : {"none", "apicv", "ipiv", "svm", "x2avic"}) {
            Plan p = ioapic_device(trigger, 3);
            p.irqchip = GetParam();
            p.technology = technology;
            Machine m(p);
            ASSERT_EQ("", m.error());
            EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology << m.text();
            EXPECT_EQ(3u, m.latency("line", "count")) << technology;
        }
    }
}

TEST_P(Everywhere, AHaltedGuestIsWokenThroughThe8259A)
{
    for (uint64_t poll : {0u, 200000u}) {
        Plan p = pic_device(5, 0);
        p.irqchip = GetParam();
        p.halt_poll_ns = poll;
        p.programs["main"] =
            start_pic(0xffff & ~(1u << 5)) +
            "[\"signal\",0],[\"halt_until\",0,1],[\"signal\",0],[\"halt_until\",0,2]";
        p.devices = R"({"name":"d","kind":"line","gsi":5,"delay_ns":90000})";
        Machine m(p);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(2u, m.latency("line", "count"));
    }
}

TEST_P(Everywhere, AGuestWithInterruptsOffTakesItWhenItsWindowOpens)
{
    Plan p = pic_device(5, 0);
    p.irqchip = GetParam();
    p.programs["main"] = start_pic(0xffff & ~(1u << 5)) +
                         "[\"mask\"],[\"signal\",0],[\"compute\",50000],[\"unmask\"],"
                         "[\"spin_until\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, m.exits(0, "INTERRUPT_WINDOW"));
}

/* KVM gives an ExtINT to a guest whose LINT0 is open for it, and to no other. */
TEST_P(Everywhere, Lint0DecidesWhetherAnApicGuestSeesThe8259A)
{
    Plan p = pic_device(5, 0);
    p.irqchip = GetParam();
    p.guest_apic = "xapic";
    const std::string wait = "[\"signal\",0],[\"compute\",100000]";
    p.programs["main"] = start_pic(0xffff & ~(1u << 5)) + wait;
    Machine closed(p);
    EXPECT_EQ(VIRQSIM_ENDED, closed.run()) << closed.text();
    EXPECT_EQ(0u, closed.latency("line", "count"));
    p.programs["main"] = start_pic(0xffff & ~(1u << 5)) + "[\"apic_write\",848," +
                         std::to_string(ENABLE_LINT0_EXTINT) + "]," + wait;
    Machine open(p);
    EXPECT_EQ(VIRQSIM_ENDED, open.run()) << open.text();
    EXPECT_EQ(1u, open.latency("line", "count"));
}

TEST_P(Everywhere, AnExtIntEntryBringsThe8259ATovCpu1)
{
    Plan p = pic_device(5, 0);
    p.irqchip = GetParam();
    p.guest_apic = "xapic";
    p.programs["main"] = start_pic(0xffff & ~(1u << 5)) + route(0, 0x700, 1) +
                         "[\"signal\",0],[\"spin_until\",0,1]";
    p.programs["other"] = "[\"spin_until\",0,1]";
    p.vcpus.push_back({1, "other", {{0x35, "handler"}}});
    p.vcpus[0].handlers.clear();
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_EQ(1u, m.latency("line", "count"));
}

/* The EOI finds the line asserted: a second interrupt, though nobody raised it again. */
TEST_P(Everywhere, ALevelThatIsStillHighIsDeliveredAgain)
{
    for (const char *technology : {"none", "apicv", "svm"}) {
        Plan p = ioapic_device(LEVEL, 0);
        p.irqchip = GetParam();
        p.technology = technology;
        p.programs["main"] = route(10, LEVEL | 0x41, 0) + "[\"signal\",0],[\"spin_until\",0,2]";
        p.programs["first"] = "[\"eoi\"],[\"word_add\",0,1]";
        p.programs["second"] = "[\"lower\",0],[\"eoi\"],[\"word_add\",0,1]";
        p.vcpus[0].handlers[0x41] = "first";
        std::string json = p.json();
        const std::string one = "\"65\":\"first\"";
        json.replace(json.find(one), one.size(), "\"65\":[\"first\",\"second\"]");
        Machine m(json);
        ASSERT_EQ("", m.error());
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology << m.text();
        EXPECT_EQ(2u, m.latency("line", "count")) << technology;
    }
}

INSTANTIATE_TEST_SUITE_P(Irqchips, Everywhere, testing::Values("kernel", "split", "userspace"));

TEST(Board, AnAccessEndsInKvmOrGoesOnToUserspace)
{
    for (auto [irqchip, returns] : {std::pair<const char *, bool>{"kernel", false},
                                    {"split", true},
                                    {"userspace", true}}) {
        Plan p = pic_device(5, 1);
        p.irqchip = irqchip;
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(returns, m.text().find("KVM_EXIT_IO\"") != std::string::npos) << irqchip;
    }
}

TEST(Board, ASplitIoApicLearnsOfTheEoiFromKvm)
{
    for (const char *technology : {"none", "apicv", "svm"}) {
        Plan p = ioapic_device(LEVEL, 2);
        p.irqchip = "split";
        p.technology = technology;
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << technology;
        EXPECT_NE(m.text().find("KVM_EXIT_IOAPIC_EOI"), std::string::npos) << technology;
    }
}

TEST(Board, OnlyALevelsEoiLeavesTheGuestUnderVirtualInterruptDelivery)
{
    for (auto [trigger, exits] : {std::pair<uint32_t, uint64_t>{0, 0}, {LEVEL, 3}}) {
        Plan p = ioapic_device(trigger, 3);
        p.technology = "apicv";
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run());
        EXPECT_EQ(exits, m.exits(0, "EOI_INDUCED"));
    }
}

/* KVM asks those whom the entry names, QEMU's new routes ask everybody; one exit for each half of
   the entry, none for the index before it. */
TEST(Board, AWriteToAnEntryMakesOthersLeaveForTheirEoiExits)
{
    struct {
        const char *irqchip;
        uint64_t named, other;
    } const rows[] = {{"kernel", 2, 0}, {"split", 2, 2}, {"userspace", 0, 0}};
    for (const auto &row : rows) {
        Plan p = ioapic_device(0, 0);
        p.irqchip = row.irqchip;
        p.programs["main"] =
            "[\"compute\",20000]," + route(10, 0x41, 1) + "[\"compute\",20000]";
        p.programs["other"] = "[\"compute\",100000]";
        p.vcpus.push_back({1, "other", {}});
        p.vcpus.push_back({2, "other", {}});
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.error();
        EXPECT_EQ(row.named, m.exits(1, "EXTERNAL_INTERRUPT", "host")) << row.irqchip;
        EXPECT_EQ(row.other, m.exits(2, "EXTERNAL_INTERRUPT", "host")) << row.irqchip;
    }
}

TEST(Board, APulseEndsByItself)
{
    Plan p = ioapic_device(0, 0);
    p.devices =
        R"({"name":"d","kind":"line","gsi":10,"pulse_ns":500,"at_ns":[20000,40000,60000]})";
    p.programs["main"] = route(10, 0x41, 0) + "[\"spin_until\",0,3]";
    p.programs["handler"] = "[\"eoi\"],[\"word_add\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run());
    EXPECT_EQ(3u, m.latency("line", "count"));
}

/* Counter 0 in mode 2, 1193 ticks: 1000.15 interrupts a second at input 0. */
/* The device takes its condition back before the signal has reached the controller. */
TEST(Board, ALineThatIsLoweredOnItsWayUpDoesNotRise)
{
    Plan p = ioapic_device(LEVEL, 1);
    p.programs["main"] =
        route(10, LEVEL | 0x41, 0) + "[\"signal\",0],[\"lower\",0],[\"compute\",20000]";
    Machine m(p);
    ASSERT_EQ("", m.error());
    m.run();
    EXPECT_EQ(0u, m.latency("line", "count"));
}

TEST(Board, ThePitTicksThroughThe8259A)
{
    for (const char *irqchip : {"kernel", "split", "userspace"}) {
        Plan p = pic_device(5, 0);
        p.irqchip = irqchip;
        p.programs["main"] = start_pic(0xfffe) + out(0x43, 0x34) + out(0x40, 1193 & 0xff) +
                             out(0x40, 1193 >> 8) +
                             "[\"stamp\",1],[\"halt_until\",0,20],[\"stamp\",1]";
        p.programs["handler"] = out(0x20, 0x60) + "[\"word_add\",0,1]";
        p.vcpus[0].handlers = {{0x30, "handler"}};
        Machine m(p);
        EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
        EXPECT_EQ(20u, m.latency("line", "count"));
        EXPECT_NEAR(20e9, (double)virqsim_now(m.sim()), 0.1e9)
            << irqchip << ": OUT is high before, as firmware leaves it";
    }
}

/* Timer 0 of the HPET, periodic at 1 ms, to the I/O APIC's input 16; QEMU answers it always. */
TEST(Board, TheHpetTicksThroughTheIoApic)
{
    const auto write = [](unsigned offset, uint64_t value) {
        return "[\"mmio_write\"," + std::to_string(0xfed00000 + offset) + ",8," +
               std::to_string(value) + "],";
    };
    Plan p = ioapic_device(0, 0);
    p.chipset = R"({"ioapic":"ich9","hpet":true})";
    p.programs["main"] = route(16, 0x41, 0) + write(0x100, 16 << 9 | 1 << 6 | 1 << 3 | 1 << 2) +
                         write(0x108, 100000) + write(0x108, 100000) + write(0x10, 1) +
                         "[\"halt_until\",0,20]";
    p.programs["handler"] = "[\"eoi\"],[\"word_add\",0,1]";
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text();
    EXPECT_NEAR(20e9, (double)virqsim_now(m.sim()), 0.1e9);
    EXPECT_NE(m.text().find("KVM_EXIT_MMIO"), std::string::npos);
}

TEST(Board, WrongPlansAreRefusedByTheirPlace)
{
    Plan p = pic_device(5, 1);
    p.chipset = "";
    EXPECT_EQ("plan: machine.devices[0]: has a line, and the machine has no chipset",
              Machine(p).error());
    p.chipset = R"({"ioapic":"82093ab"})";
    EXPECT_NE(Machine(p).error().find("machine.chipset.ioapic"), std::string::npos);
    p.chipset = R"({"ioapic":"ich9"})";
    p.devices = R"({"name":"d","kind":"line","gsi":2})";
    EXPECT_EQ("plan: machine.devices[0].gsi: 2 is the 8259A's cascade; no device is there",
              Machine(p).error());
    p.devices = R"({"name":"d","kind":"msi","vcpu":0,"vector":60})";
    EXPECT_NE(Machine(p).error().find("device 0 has no line to lower"), std::string::npos)
        << Machine(p).error();
    p.irqchip = "userspace";
    p.guest_apic = "x2apic";
    EXPECT_NE(
        Machine(p).error().find("plan: machine.guest_apic: a userspace irqchip has no x2APIC"),
        std::string::npos);
    p.irqchip = "kernel";
    p.devices = "";
    for (unsigned n = 0; n < 31; n++)
        p.devices += std::string(n ? "," : "") + R"({"name":"d","kind":"line","gsi":9})";
    EXPECT_EQ("plan: machine.devices[30].gsi: more than 30 devices share it",
              Machine(p).error());
}

} // namespace
