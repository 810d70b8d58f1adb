/* VMCS fields and control bits against SDM 3D appendix B and 3C "VM-Execution Control Fields";
   SVM's intercepts against APM 2 appendices B and C. Numbers are typed from the manuals. */
#include "shim.h"

#include <algorithm>
#include <cctype>
#include <gtest/gtest.h>
#include <string>

struct Encoding {
    vmcs_field field;
    uint32_t encoding;
};

TEST(Vmcs, FieldsHaveTheEncodingsOfAppendixB)
{
    const Encoding appendix_b[] = {
        {VMCS_POSTED_INTR_VECTOR, 0x0002}, {VMCS_LAST_PID_INDEX, 0x0008},
        {VMCS_GUEST_INTR_STATUS, 0x0810},  {VMCS_MSR_BITMAP, 0x2004},
        {VMCS_VIRTUAL_APIC_PAGE, 0x2012},  {VMCS_APIC_ACCESS_ADDR, 0x2014},
        {VMCS_POSTED_INTR_DESC, 0x2016},   {VMCS_EOI_EXIT_BITMAP0, 0x201c},
        {VMCS_EOI_EXIT_BITMAP1, 0x201e},   {VMCS_EOI_EXIT_BITMAP2, 0x2020},
        {VMCS_EOI_EXIT_BITMAP3, 0x2022},   {VMCS_TERTIARY_CONTROLS, 0x2034},
        {VMCS_PID_POINTER_TABLE, 0x2042},  {VMCS_PIN_CONTROLS, 0x4000},
        {VMCS_PRIMARY_CONTROLS, 0x4002},   {VMCS_EXCEPTION_BITMAP, 0x4004},
        {VMCS_EXIT_CONTROLS, 0x400c},      {VMCS_ENTRY_INTR_INFO, 0x4016},
        {VMCS_TPR_THRESHOLD, 0x401c},      {VMCS_SECONDARY_CONTROLS, 0x401e},
        {VMCS_EXIT_REASON, 0x4402},        {VMCS_ENTRY_ERROR_CODE, 0x4018},
        {VMCS_ENTRY_LENGTH, 0x401a},       {VMCS_PLE_GAP, 0x4020},
        {VMCS_PLE_WINDOW, 0x4022},         {VMCS_EXIT_INTR_INFO, 0x4404},
        {VMCS_IDT_VECTORING_INFO, 0x4408}, {VMCS_INTERRUPTIBILITY, 0x4824},
        {VMCS_ACTIVITY_STATE, 0x4826},     {VMCS_PREEMPTION_TIMER, 0x482e},
        {VMCS_EXIT_QUALIFICATION, 0x6400}, {VMCS_VIRTUAL_TIMER_VECTOR, 0x000a},
        {VMCS_GUEST_DEADLINE, 0x2830},     {VMCS_GUEST_DEADLINE_SHADOW, 0x204e},
        {VMCS_GUEST_UINV, 0x0814},         {VMCS_ENTRY_CONTROLS, 0x4012},
    };

    EXPECT_EQ((size_t)VMCS_FIELD_COUNT, std::size(appendix_b));
    for (const Encoding &e : appendix_b)
        EXPECT_EQ(e.encoding, vmcs_fields[e.field].encoding) << vmcs_fields[e.field].name;
}

TEST(Vmcs, AValueIsCutToItsFieldsWidth)
{
    vmcs v{};

    vmcs_set(&v, VMCS_POSTED_INTR_VECTOR, 0x123456);
    vmcs_set(&v, VMCS_PIN_CONTROLS, 0x123456789a);
    vmcs_set(&v, VMCS_EOI_EXIT_BITMAP0, UINT64_MAX);
    EXPECT_EQ(0x3456u, vmcs_get(&v, VMCS_POSTED_INTR_VECTOR));
    EXPECT_EQ(0x3456789au, vmcs_get(&v, VMCS_PIN_CONTROLS));
    EXPECT_EQ(UINT64_MAX, vmcs_get(&v, VMCS_EOI_EXIT_BITMAP0));
}

TEST(Vmcs, AControlOfTheSecondWordCountsOnlyWhileThatWordIsActive)
{
    vmcs v{};

    vmx_control(&v, VMX_VIRTUAL_INTERRUPT_DELIVERY, true);
    EXPECT_TRUE(vmx_has(&v, VMX_VIRTUAL_INTERRUPT_DELIVERY));
    EXPECT_EQ(1u << 9, vmcs_get(&v, VMCS_SECONDARY_CONTROLS));
    vmx_control(&v, VMX_ACTIVATE_SECONDARY, false);
    EXPECT_FALSE(vmx_has(&v, VMX_VIRTUAL_INTERRUPT_DELIVERY));
}

TEST(Vmcs, IpiVirtualizationIsBit4OfTheTertiaryControls)
{
    vmcs v{};

    vmx_control(&v, VMX_IPI_VIRTUALIZATION, true);
    EXPECT_EQ(1u << 4, vmcs_get(&v, VMCS_TERTIARY_CONTROLS));
    EXPECT_EQ(1u << 17, vmcs_get(&v, VMCS_PRIMARY_CONTROLS));
}

TEST(Vmcs, ApicTimerVirtualizationIsBit8OfTheTertiaryControls)
{
    vmcs v{};

    vmx_control(&v, VMX_APIC_TIMER_VIRTUALIZATION, true);
    EXPECT_EQ(1u << 8, vmcs_get(&v, VMCS_TERTIARY_CONTROLS));
    vmx_control(&v, VMX_RDTSC_EXITING, true);
    EXPECT_EQ(1u << 17 | 1u << 12, vmcs_get(&v, VMCS_PRIMARY_CONTROLS));
}

TEST(Vmcs, EveryControlCanBeSetAndClearedAlone)
{
    for (int n = 0; n < VMX_CONTROL_COUNT; n++) {
        const auto c = (enum vmx_control)n;
        SCOPED_TRACE(vmx_control_title(c));
        vmcs v{};
        EXPECT_FALSE(vmx_has(&v, c));
        vmx_control(&v, c, true);
        EXPECT_TRUE(vmx_has(&v, c));
        vmx_control(&v, c, false);
        EXPECT_FALSE(vmx_has(&v, c));
    }
}

TEST(ExitReasons, AreFoundByKvmsNames)
{
    for (int r = EXIT_NONE + 1; r < EXIT_REASON_COUNT; r++)
        EXPECT_EQ(r, exit_reason_by_name(exit_reasons[r].name)) << exit_reasons[r].name;
    EXPECT_EQ(EXIT_NONE, exit_reason_by_name("no such reason"));
}

TEST(ExitReasons, AVendorsNumbersAreUniqueAndItsNamesKeepItsCase)
{
    for (int a = EXIT_NONE + 1; a < EXIT_REASON_COUNT; a++) {
        const std::string name = exit_reasons[a].name;
        const bool upper = std::none_of(name.begin(), name.end(), ::islower);
        EXPECT_EQ(upper, exit_reasons[a].vendor == VIRT_VMX) << exit_reasons[a].name;
        for (int b = a + 1; b < EXIT_REASON_COUNT; b++)
            EXPECT_FALSE(exit_reasons[a].vendor == exit_reasons[b].vendor &&
                         exit_reasons[a].number == exit_reasons[b].number)
                << exit_reasons[a].name << " " << exit_reasons[b].name;
    }
}

/* APM 2 appendix C numbers the intercepts by their place in the VMCB's words. */
TEST(ExitReasons, AnSvmExitCodeIsThePlaceOfItsIntercept)
{
    const struct {
        enum svm_intercept intercept;
        exit_reason reason;
    } rows[] = {
        {SVM_CR8_WRITE, EXIT_SVM_WRITE_CR8},
        {SVM_INTR, EXIT_SVM_INTR},
        {SVM_VINTR, EXIT_SVM_VINTR},
        {SVM_CPUID, EXIT_SVM_CPUID},
        {SVM_IRET, EXIT_SVM_IRET},
        {SVM_PAUSE, EXIT_SVM_PAUSE},
        {SVM_HLT, EXIT_SVM_HLT},
        {SVM_IOIO, EXIT_SVM_IO},
        {SVM_MSR, EXIT_SVM_MSR},
        {SVM_VMMCALL, EXIT_SVM_VMMCALL},
        {SVM_STGI, EXIT_SVM_STGI},
        {SVM_CLGI, EXIT_SVM_CLGI},
        {SVM_WBINVD, EXIT_SVM_WBINVD},
        {SVM_MONITOR, EXIT_SVM_MONITOR},
        {SVM_MWAIT, EXIT_SVM_MWAIT},
        {SVM_IDLE_HLT, EXIT_SVM_IDLE_HLT},
    };

    for (const auto &row : rows) {
        vmcb b{};
        svm_intercept(&b, row.intercept, true);
        uint32_t code = 0;
        for (unsigned word = 0; word < 6; word++)
            if (b.intercepts[word])
                code = word * 0x20 + (unsigned)__builtin_ctz(b.intercepts[word]);
        EXPECT_EQ(code, exit_reasons[row.reason].number) << exit_reasons[row.reason].name;
    }
}

TEST(Vmcb, AnInterceptIsItsBitOfTableB1)
{
    vmcb b{};

    svm_intercept(&b, SVM_CR8_WRITE, true);
    svm_intercept(&b, SVM_VMMCALL, true);
    EXPECT_EQ(1u << 24, b.intercepts[0]);
    EXPECT_EQ(1u << 1, b.intercepts[4]);
    EXPECT_TRUE(svm_intercepts(&b, SVM_CR8_WRITE));
    svm_intercept(&b, SVM_CR8_WRITE, false);
    EXPECT_FALSE(svm_intercepts(&b, SVM_CR8_WRITE));
}
