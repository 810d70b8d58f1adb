/* SVM and AVIC in the machine: what KVM makes of them. */
#include <gtest/gtest.h>

#include "plans.h"

namespace
{

using plans::Machine;
using plans::Plan;

Plan one_vcpu(const std::string &technology, const std::string &guest_apic,
              const std::string &program)
{
    Plan p;
    p.technology = technology;
    p.guest_apic = guest_apic;
    p.programs = {{"main", program}};
    p.vcpus = {{0, "main", {}}};
    return p;
}

/* KVM: avic_set_x2apic_msr_interception(). A4: LVT_TIMER stays intercepted for the TSC deadline. */
TEST(X2avic, ServesTheMsrsThatKvmPassesAndNoOther)
{
    const struct {
        unsigned offset;
        const char *read, *write; /* the exit's reason; "": none */
    } rows[] = {
        {0x080, "", ""},
        {0x0b0, "", ""},
        {0x0d0, "", "avic_unaccelerated_access"},
        {0x110, "msr", "msr"}, /* the second of ISR's registers */
        {0x280, "", "avic_unaccelerated_access"},
        {0x320, "msr", "msr"}, /* LVT_TIMER */
        {0x350, "", "avic_unaccelerated_access"},
        {0x380, "", "avic_unaccelerated_access"},
        {0x390, "avic_unaccelerated_access", "avic_unaccelerated_access"},
        {0x3f0, "msr", "msr"}, /* SELF_IPI */
    };
    for (const auto &row : rows) {
        const std::string offset = std::to_string(row.offset);
        Machine read(one_vcpu("x2avic", "x2apic", "[\"apic_read\"," + offset + "]"));
        Machine write(one_vcpu("x2avic", "x2apic", "[\"apic_write\"," + offset + ",0]"));
        ASSERT_EQ(VIRQSIM_ENDED, read.run());
        ASSERT_EQ(VIRQSIM_ENDED, write.run());
        EXPECT_EQ(*row.read ? 1u : 0u, read.exits(0)) << offset;
        EXPECT_EQ(*row.read ? 1u : 0u, *row.read ? read.exits(0, row.read) : 0) << offset;
        EXPECT_EQ(*row.write ? 1u : 0u, write.exits(0)) << offset;
        EXPECT_EQ(*row.write ? 1u : 0u, *row.write ? write.exits(0, row.write) : 0) << offset;
    }
}

/* Two NMIs, the second while the handler of the first runs. */
TEST(VirtualNmis, SaveTheExitOfTheHandlersIret)
{
    for (const bool vnmi : {false, true}) {
        Plan p = one_vcpu("svm", "x2apic", "[\"spin_until\",0,2],[\"compute\",1000]");
        p.features["vnmi"] = p.features["vgif"] = vnmi;
        p.programs["on_nmi"] = "[\"compute\",20000],[\"word_add\",0,1]";
        p.vcpus[0].handlers = {{2, "on_nmi"}};
        p.devices = R"({"name":"n","kind":"nmi","vcpu":0,"vector":2,"at_ns":[10000,20000]})";
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text() << m.error();
        EXPECT_EQ(2u, m.latency("nmi", "count"));
        EXPECT_EQ(2u, m.exits(0, "interrupt", "delivery")); /* the kicks */
        EXPECT_EQ(vnmi ? 0u : 2u, m.exits(0, "iret"));
        EXPECT_EQ(vnmi ? 2u : 4u, m.exits(0));
    }
}

/* A hypervisor in the guest clears GIF, and an interrupt and an NMI come meanwhile. KVM: svm_set_gif(),
   svm_enable_irq_window(), svm_enable_nmi_window(). */
struct GifRow {
    bool vgif, vnmi;
    const char *kind;
    unsigned stgi, clgi, vintr, iret;
};

class GlobalFlag : public ::testing::TestWithParam<GifRow>
{
};

TEST_P(GlobalFlag, HoldsWhatComesUntilStgi)
{
    const GifRow &row = GetParam();
    const bool nmi = row.kind == std::string("nmi");
    Plan p =
        one_vcpu("svm", "x2apic",
                 R"(["clgi"],["compute",50000],["stgi"],["spin_until",0,1],["clgi"],["stgi"])");
    p.features["vgif"] = row.vgif;
    p.features["vnmi"] = row.vnmi;
    p.programs["handler"] = nmi ? R"(["word_add",0,1])" : R"(["eoi"],["word_add",0,1])";
    p.vcpus[0].handlers = {{nmi ? 2 : 48, "handler"}};
    p.devices = R"({"name":"n","kind":")" + std::string(row.kind) + R"(","vcpu":0,"vector":)" +
                (nmi ? "2" : "48") + R"(,"at_ns":[10000]})";
    Machine m(p);
    ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text() << m.error();
    EXPECT_EQ(1u, m.latency(nmi ? "nmi" : "msi", "count"));
    EXPECT_GT(m.latency(nmi ? "nmi" : "msi", "min_ps"), 9'000'000u) << "it waited";
    EXPECT_EQ(row.stgi, m.exits(0, "stgi"));
    EXPECT_EQ(row.clgi, m.exits(0, "clgi"));
    EXPECT_EQ(row.vintr, m.exits(0, "vintr"));
    EXPECT_EQ(row.iret, m.exits(0, "iret"));
}

/* The program adds to the word before STGI: an INIT that cut it short would leave the second addition
   to nobody. */
TEST(GlobalFlagAlone, HoldsAnInitUntilStgi)
{
    Plan p =
        one_vcpu("svm", "x2apic",
                 R"(["clgi"],["compute",50000],["word_add",0,1],["stgi"],["compute",100000])");
    p.programs["sender"] =
        R"(["compute",10000],["ipi",17664,0],["ipi",17920,0],["spin_until",0,2])";
    p.vcpus.push_back({1, "sender", {}});
    p.physical_cpus = 2;
    Machine m(p);
    EXPECT_EQ(VIRQSIM_ENDED, m.run()) << m.text() << m.error();
    EXPECT_EQ(2u, m.exits(0, "stgi"));
}

/* KVM: svm_interrupt_blocked(), svm_nmi_blocked(). */
TEST(GlobalFlagAlone, LetsNothingEndHlt)
{
    for (const char *kind : {"msi", "nmi"})
        for (const bool vgif : {false, true}) {
            Plan p = one_vcpu("svm", "x2apic", R"(["clgi"],["halt"],["stgi"])");
            p.features["vgif"] = vgif;
            p.devices = R"({"name":"n","kind":")" + std::string(kind) +
                        R"(","vcpu":0,"vector":)" + (*kind == 'n' ? "2" : "48") +
                        R"(,"at_ns":[10000]})";
            p.programs["handler"] = R"(["eoi"])";
            p.vcpus[0].handlers = {{2, "handler"}, {48, "handler"}};
            Machine m(p);
            EXPECT_EQ(VIRQSIM_IDLE, m.run()) << m.text() << m.error();
            EXPECT_EQ(0u, m.latency(kind, "count"));
        }
}

/* Userspace's APIC asks for a window, which opens behind STGI. */
TEST(GlobalFlagAlone, HoldsWhatUserspaceInjects)
{
    for (const bool vgif : {false, true}) {
        Plan p = one_vcpu("svm", "xapic",
                          R"(["clgi"],["compute",50000],["stgi"],["spin_until",0,1])");
        p.irqchip = "userspace";
        p.features["vgif"] = vgif;
        p.devices = R"({"name":"n","kind":"msi","vcpu":0,"vector":48,"at_ns":[10000]})";
        p.programs["handler"] = R"(["eoi"],["word_add",0,1])";
        p.vcpus[0].handlers = {{48, "handler"}};
        Machine m(p);
        ASSERT_EQ(VIRQSIM_ENDED, m.run()) << m.text() << m.error();
        EXPECT_GT(m.latency("msi", "min_ps"), 9'000'000u);
        EXPECT_EQ(1u, m.exits(0, "vintr"));
        EXPECT_EQ(vgif ? 0u : 1u, m.exits(0, "stgi"));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Svm, GlobalFlag,
    ::testing::Values(GifRow{false, false, "msi", 2, 2, 0, 0}, /* what waits is seen at STGI */
                      GifRow{true, false, "msi", 0, 0, 1, 0},  /* by a window of the hardware */
                      GifRow{false, false, "nmi", 2, 2, 0, 1},
                      GifRow{true, false, "nmi", 1, 0, 0, 1}, /* one STGI is the NMI window */
                      GifRow{true, true, "nmi", 0, 0, 0, 0}),
    [](const auto &of) {
        return std::string(of.param.vgif ? "Vgif" : "NoVgif") + (of.param.vnmi ? "Vnmi" : "") +
               (of.param.kind == std::string("nmi") ? "Nmi" : "Interrupt");
    });

} // namespace
