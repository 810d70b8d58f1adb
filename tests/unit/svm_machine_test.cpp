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
        p.features["vnmi"] = vnmi;
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

} // namespace
