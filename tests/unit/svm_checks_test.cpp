/* The VMCB's fields by name, and what VMRUN checks of them, each row both ways. */
#include "virt_machine.h"

#include <array>
#include <map>
#include <string>

namespace
{

struct Vmcb : ::testing::Test, VirtMachine {
    Vmcb() : VirtMachine(&virt_svm, LAPIC_MODE_X2APIC)
    {
        svm_intercept(&cpu.vmcb, SVM_VMRUN, true);
        svm_intercept(&cpu.vmcb, SVM_NMI, true);
    }
    std::string refused() const
    {
        const svm_check *check = svm_check_entry(&cpu.vmcb);
        return check ? check->name : "";
    }
    std::string injecting(uint32_t event)
    {
        cpu.vmcb.event_inj = event;
        return refused();
    }
};

constexpr uint32_t VALID = 1u << 31;

/* Linux, arch/x86/include/asm/svm.h: int_ctl and its bits, and offsets of struct vmcb_control_area;
   typed here once more. */
TEST(VmcbFields, StandWhereTheManualHasThem)
{
    const std::map<std::string, std::array<unsigned, 3>> places = {
        {"CR_INTERCEPTS", {0x00, 31, 0}},
        {"EXCEPTIONS", {0x08, 31, 0}},
        {"INTERCEPTS_1", {0x0c, 31, 0}},
        {"INTERCEPTS_2", {0x10, 31, 0}},
        {"INTERCEPTS_3", {0x14, 31, 0}},
        {"PAUSE_THRESHOLD", {0x3c, 15, 0}},
        {"PAUSE_COUNT", {0x3e, 15, 0}},
        {"V_TPR", {0x60, 7, 0}},
        {"V_IRQ", {0x60, 8, 8}},
        {"VGIF", {0x60, 9, 9}},
        {"V_NMI_PENDING", {0x60, 11, 11}},
        {"V_NMI_MASK", {0x60, 12, 12}},
        {"V_INTR_PRIO", {0x60, 19, 16}},
        {"V_IGN_TPR", {0x60, 20, 20}},
        {"V_INTR_MASKING", {0x60, 24, 24}},
        {"VGIF_ENABLE", {0x60, 25, 25}},
        {"V_NMI_ENABLE", {0x60, 26, 26}},
        {"X2AVIC_ENABLE", {0x60, 30, 30}},
        {"AVIC_ENABLE", {0x60, 31, 31}},
        {"V_INTR_VECTOR", {0x60, 39, 32}},
        {"INTERRUPT_SHADOW", {0x68, 0, 0}},
        {"GUEST_IF", {0x68, 1, 1}},
        {"EXITCODE", {0x70, 63, 0}},
        {"EXITINFO1", {0x78, 63, 0}},
        {"EXITINFO2", {0x80, 63, 0}},
        {"EXITINTINFO", {0x88, 63, 0}},
        {"NP_ENABLE", {0x90, 0, 0}},
        {"AVIC_BAR", {0x98, 51, 0}},
        {"EVENTINJ", {0xa8, 63, 0}},
        {"AVIC_BACKING", {0xe0, 51, 12}},
        {"AVIC_LOGICAL", {0xf0, 51, 12}},
        {"AVIC_MAX_INDEX", {0xf8, 11, 0}},
        {"AVIC_PHYSICAL", {0xf8, 51, 12}},
    };
    ASSERT_EQ(places.size(), (size_t)VMCB_FIELD_COUNT);
    for (const vmcb_field_info &f : vmcb_fields) {
        const std::array<unsigned, 3> here = {f.offset, f.high, f.low};
        ASSERT_EQ(1u, places.count(f.name)) << f.name;
        EXPECT_EQ(places.at(f.name), here) << f.name;
    }
}

TEST_F(Vmcb, AFieldReadsWhatTheVmcbHolds)
{
    struct vmcb b {
    };
    b.v_tpr = 7;
    b.avic = true;
    b.event_inj = 0x80000041;
    EXPECT_EQ(7u, vmcb_get(&b, VMCB_V_TPR));
    EXPECT_EQ(1u, vmcb_get(&b, VMCB_AVIC_ENABLE));
    EXPECT_EQ(0u, vmcb_get(&b, VMCB_X2AVIC_ENABLE));
    EXPECT_EQ(0x80000041u, vmcb_get(&b, VMCB_EVENTINJ));
    EXPECT_EQ(15u, vmcb_get(&b, VMCB_V_INTR_PRIO));
    svm_intercept(&b, SVM_WBINVD, true);
    EXPECT_EQ(1u << 9, vmcb_get(&b, VMCB_INTERCEPTS_2));
}

TEST_F(Vmcb, WithoutAnEventAndWithKvmsInterceptsEverythingHolds)
{
    EXPECT_EQ("", refused());
    EXPECT_EQ("", injecting(0x1ff)); /* V is 0 */
}

TEST_F(Vmcb, VmrunMustBeIntercepted)
{
    svm_intercept(&cpu.vmcb, SVM_VMRUN, false);
    EXPECT_EQ("VMRUN_INTERCEPT", refused());
}

TEST_F(Vmcb, OnlyFourTypesOfEventsAreInjected)
{
    const bool known[] = {true, false, true, true, true, false, false, false};
    for (uint32_t type = 0; type < 8; type++)
        EXPECT_EQ(known[type] ? "" : "EVENT_TYPE", injecting(VALID | type << 8 | 13)) << type;
}

TEST_F(Vmcb, AnExceptionHasTheVectorOfOne)
{
    for (uint32_t vector = 0; vector < 256; vector++)
        EXPECT_EQ(vector < 32 && vector != 2 ? "" : "EVENT_EXCEPTION",
                  injecting(VALID | 3 << 8 | vector))
            << vector;
    EXPECT_EQ("", injecting(VALID | 0 << 8 | 255));
    EXPECT_EQ("", injecting(VALID | 2 << 8 | 2));
}

TEST_F(Vmcb, VirtualNmisNeedTheNmiIntercept)
{
    cpu.vmcb.v_nmi_enable = true;
    EXPECT_EQ("", refused());
    svm_intercept(&cpu.vmcb, SVM_NMI, false);
    EXPECT_EQ("VNMI_INTERCEPT", refused());
    cpu.vmcb.v_nmi_enable = false;
    EXPECT_EQ("", refused());
}

/* --- virtual NMIs --- */

struct VirtualNmi : Vmcb {
    VirtualNmi()
    {
        cpu.vmcb.v_nmi_enable = true;
        apic.nmi_pending = true;
        apic.nmi_flow = flow();
    }
};

TEST_F(VirtualNmi, WaitsForTheIretOfTheHandlerAndIsThenTaken)
{
    cpu.nmi_blocked = true;
    virt_svm.open_nmi_window(&cpu, true);
    EXPECT_EQ(1u, vmcb_get(&cpu.vmcb, VMCB_V_NMI_PENDING));
    EXPECT_FALSE(svm_intercepts(&cpu.vmcb, SVM_IRET));
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
    expect_stay(virt_svm.instruction(&cpu, VIRT_IRET, 0), VIRT_NATIVE);
    const virt_boundary b = virt_svm.boundary(&cpu);
    EXPECT_EQ(2, b.vector);
    EXPECT_TRUE(b.nmi && !b.injected);
    EXPECT_TRUE(cpu.nmi_blocked);
    EXPECT_FALSE(cpu.interrupts_enabled || apic.nmi_pending);
    EXPECT_EQ(0u, vmcb_get(&cpu.vmcb, VMCB_V_NMI_PENDING));
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
}

TEST_F(VirtualNmi, IsTakenWhateverIfButNotInAShadowAndEndsHlt)
{
    virt_svm.open_nmi_window(&cpu, true);
    cpu.interrupts_enabled = false;
    cpu.shadow = true;
    cpu.halted = true;
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
    cpu.shadow = false;
    EXPECT_EQ(2, virt_svm.boundary(&cpu).vector);
    EXPECT_FALSE(cpu.halted);
}

TEST_F(VirtualNmi, AFaultOnItsWayLeavesExitintinfo)
{
    bool nmi = false;
    virt_svm.open_nmi_window(&cpu, true);
    cpu.delivery_faults = true;
    expect_exit(virt_svm.boundary(&cpu).exit, VIRT_EXIT, EXIT_SVM_NPF);
    EXPECT_EQ(2, virt_svm.interrupted_delivery(&cpu, &nmi));
    EXPECT_TRUE(nmi);
}

TEST_F(VirtualNmi, InjectionDoesNotInterceptIret)
{
    virt_svm.inject(&cpu, 2, true);
    EXPECT_FALSE(svm_intercepts(&cpu.vmcb, SVM_IRET));
    const virt_boundary b = virt_svm.enter(&cpu);
    EXPECT_TRUE(b.nmi && b.injected);
    EXPECT_TRUE(cpu.nmi_blocked);
}

} // namespace
