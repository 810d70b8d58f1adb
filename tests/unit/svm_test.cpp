/* SVM without AVIC: intercepts to exits, virtual TPR, event injection and the two windows
   (APM 2 chapter "Secure Virtual Machine"). */
#include "virt_machine.h"

/* As KVM sets a VMCB. */
struct Svm : ::testing::Test, VirtMachine {
    Svm() : VirtMachine(&virt_svm, LAPIC_MODE_X2APIC)
    {
        for (enum svm_intercept i :
             {SVM_INTR, SVM_NMI, SVM_CPUID, SVM_HLT, SVM_IOIO, SVM_MSR, SVM_VMMCALL, SVM_WBINVD,
              SVM_PAUSE, SVM_MONITOR, SVM_MWAIT, SVM_VMRUN})
            svm_intercept(&cpu.vmcb, i, true);
        cpu.vmcb.v_intr_masking = true;
    }
    virt_boundary enter()
    {
        return virt_svm.enter(&cpu);
    }
    virt_boundary boundary()
    {
        return virt_svm.boundary(&cpu);
    }
};

static void expect_quiet(const virt_boundary &b)
{
    expect_stay(b.exit, VIRT_NATIVE);
    EXPECT_EQ(NO_VECTOR, b.vector);
}

TEST_F(Svm, EveryAccessToTheApicPageIsANestedPageFault)
{
    for (uint16_t offset = 0; offset < 0x400; offset += 0x10) {
        const virt_verdict r = virt_svm.apic_read(&cpu, offset, now);
        const virt_verdict w = virt_svm.apic_write(&cpu, offset, 0, now);
        expect_exit(r, VIRT_EXIT, EXIT_SVM_NPF);
        expect_exit(w, VIRT_EXIT, EXIT_SVM_NPF);
        EXPECT_EQ(0xfee00000u + offset, w.qualification);
    }
}

TEST_F(Svm, UnderShadowPageTablesTheSameAccessesArePageFaults)
{
    svm_intercept(&cpu.vmcb, SVM_PF, true);
    expect_exit(virt_svm.apic_read(&cpu, 0x80, now), VIRT_EXIT, EXIT_SVM_PAGE_FAULT);
    expect_exit(virt_svm.apic_write(&cpu, 0xb0, 0, now), VIRT_EXIT, EXIT_SVM_PAGE_FAULT);
    expect_exit(virt_svm.instruction(&cpu, VIRT_MMIO, 0x1000), VIRT_EXIT, EXIT_SVM_PAGE_FAULT);
    expect_exit(virt_svm.instruction(&cpu, VIRT_UNMAPPED, 0x1000), VIRT_EXIT,
                EXIT_SVM_PAGE_FAULT);
}

TEST_F(Svm, EveryMsrOfTheApicIsIntercepted)
{
    for (uint32_t msr = 0x800; msr < 0x900; msr++) {
        expect_exit(virt_svm.rdmsr(&cpu, msr, now), VIRT_EXIT, EXIT_SVM_MSR);
        expect_exit(virt_svm.wrmsr(&cpu, msr, 0, now), VIRT_EXIT, EXIT_SVM_MSR);
    }
    expect_exit(virt_svm.wrmsr(&cpu, 0x6e0, 1, now), VIRT_EXIT, EXIT_SVM_MSR);
    EXPECT_EQ(0x6e0u, virt_svm.wrmsr(&cpu, 0x6e0, 1, now).qualification);
}

TEST_F(Svm, AnMsrThatThePermissionMapPassesReachesThePhysicalApic)
{
    pass({0x80b});
    expect_stay(virt_svm.wrmsr(&cpu, 0x80b, 0, now), VIRT_NATIVE);
    expect_exit(virt_svm.rdmsr(&cpu, 0x80b, now), VIRT_EXIT, EXIT_SVM_MSR);
    cpu.tsc_deadline_exits = false;
    expect_stay(virt_svm.wrmsr(&cpu, 0x6e0, 1, now), VIRT_NATIVE);
}

TEST_F(Svm, InstructionsExitByTheirIntercept)
{
    const struct {
        virt_instruction instruction;
        enum svm_intercept intercept;
        exit_reason reason;
    } rows[] = {
        {VIRT_CPUID, SVM_CPUID, EXIT_SVM_CPUID},
        {VIRT_HYPERCALL, SVM_VMMCALL, EXIT_SVM_VMMCALL},
        {VIRT_PAUSE, SVM_PAUSE, EXIT_SVM_PAUSE},
        {VIRT_HLT, SVM_HLT, EXIT_SVM_HLT},
        {VIRT_WBINVD, SVM_WBINVD, EXIT_SVM_WBINVD},
        {VIRT_MWAIT, SVM_MWAIT, EXIT_SVM_MWAIT},
        {VIRT_MONITOR, SVM_MONITOR, EXIT_SVM_MONITOR},
        {VIRT_PORT_IO, SVM_IOIO, EXIT_SVM_IO},
    };

    for (const auto &row : rows) {
        SCOPED_TRACE(exit_reasons[row.reason].name);
        expect_exit(virt_svm.instruction(&cpu, row.instruction, 0x70), VIRT_EXIT, row.reason);
        svm_intercept(&cpu.vmcb, row.intercept, false);
        expect_stay(virt_svm.instruction(&cpu, row.instruction, 0x70), VIRT_NATIVE);
    }
    EXPECT_TRUE(cpu.halted) << "a HLT that was not intercepted halts the core";
}

/* ---- APM 2 "Global Interrupt Flag, STGI and CLGI Instructions", "Virtual GIF" ---- */

TEST_F(Svm, StgiAndClgiActOnVgifUnlessTheyAreIntercepted)
{
    cpu.vmcb.vgif = true;
    expect_stay(virt_svm.instruction(&cpu, VIRT_CLGI, 0), VIRT_DONE);
    EXPECT_TRUE(cpu.gif_clear);
    expect_stay(virt_svm.instruction(&cpu, VIRT_STGI, 0), VIRT_DONE);
    EXPECT_FALSE(cpu.gif_clear);
    for (const bool clears : {false, true}) {
        svm_intercept(&cpu.vmcb, clears ? SVM_CLGI : SVM_STGI, true);
        cpu.gif_clear = !clears;
        expect_exit(virt_svm.instruction(&cpu, clears ? VIRT_CLGI : VIRT_STGI, 0), VIRT_EXIT,
                    clears ? EXIT_SVM_CLGI : EXIT_SVM_STGI);
        EXPECT_EQ(!clears, cpu.gif_clear) << "the hypervisor does it";
    }
}

TEST_F(Svm, AClearGifHoldsTheWindowAndTheVirtualNmi)
{
    virt_svm.open_window(&cpu, true);
    cpu.vmcb.v_nmi_enable = cpu.vmcb.v_nmi_pending = true;
    cpu.gif_clear = true;
    expect_quiet(boundary());
    expect_quiet(enter());
    cpu.gif_clear = false;
    EXPECT_TRUE(boundary().nmi);
    cpu.interrupts_enabled = true;
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_SVM_VINTR);
}

/* KVM: svm_enable_nmi_window(). */
TEST_F(Svm, AnNmiThatGifHoldsUpIsToldOfByTheStgiAndOneOfAHandlerByItsIret)
{
    for (const bool vgif : {false, true})
        for (const bool waits : {false, true}) {
            cpu.vmcb.vgif = vgif;
            cpu.gif_clear = true;
            cpu.nmi_blocked = false;
            svm_intercept(&cpu.vmcb, SVM_IRET, false);
            virt_svm.open_nmi_window(&cpu, waits);
            EXPECT_EQ(waits || !vgif, svm_intercepts(&cpu.vmcb, SVM_STGI));
            EXPECT_FALSE(svm_intercepts(&cpu.vmcb, SVM_IRET));
            cpu.nmi_blocked = true;
            virt_svm.open_nmi_window(&cpu, waits);
            EXPECT_TRUE(svm_intercepts(&cpu.vmcb, SVM_IRET));
        }
}

TEST_F(Svm, MmioAndUnmappedPagesAreTheSameNestedPageFault)
{
    EXPECT_EQ(0xfebc0000u, virt_svm.instruction(&cpu, VIRT_MMIO, 0xfebc0000).qualification);
    expect_exit(virt_svm.instruction(&cpu, VIRT_MMIO, 0xfebc0000), VIRT_EXIT, EXIT_SVM_NPF);
    expect_exit(virt_svm.instruction(&cpu, VIRT_UNMAPPED, 0x1000), VIRT_EXIT, EXIT_SVM_NPF);
}

TEST_F(Svm, AHostInterruptExitsWhateverItsVector)
{
    expect_exit(virt_svm.external_interrupt(&cpu, 0xfd), VIRT_EXIT, EXIT_SVM_INTR);
    expect_exit(virt_svm.external_interrupt(&cpu, 0xf2), VIRT_EXIT, EXIT_SVM_INTR);
}

TEST_F(Svm, ThereIsNoPreemptionTimerNoPostingAndNoDelivery)
{
    expect_stay(virt_svm.preemption_timer(&cpu), VIRT_NATIVE);
    EXPECT_FALSE(virt_svm.posts(&cpu));
    EXPECT_FALSE(virt_svm.delivers(&cpu));
}

/* ---- APM 2 "Virtualizing APIC.TPR" ---- */

TEST_F(Svm, Cr8IsTheVirtualTprAndTheApicSeesIt)
{
    expect_stay(virt_svm.write_cr8(&cpu, 5), VIRT_DONE);
    EXPECT_EQ(5, cpu.vmcb.v_tpr);
    EXPECT_EQ(0x50u, apic.regs.TPR);
    EXPECT_EQ(5u, virt_svm.read_cr8(&cpu).value);
}

TEST_F(Svm, TheVirtualTprFollowsTheApicAtTheNextEntry)
{
    apic.regs.TPR = 0x73;
    enter();
    EXPECT_EQ(7u, virt_svm.read_cr8(&cpu).value);
}

TEST_F(Svm, AThresholdInterceptsEveryWriteOfCr8)
{
    virt_svm.set_tpr_threshold(&cpu, 3);
    expect_exit(virt_svm.write_cr8(&cpu, 9), VIRT_EXIT, EXIT_SVM_WRITE_CR8);
    EXPECT_EQ(0u, apic.regs.TPR) << "the hypervisor completes it";
    virt_svm.set_tpr_threshold(&cpu, 0);
    expect_stay(virt_svm.write_cr8(&cpu, 9), VIRT_DONE);
}

TEST_F(Svm, WithoutMaskingCr8IsThePhysicalTpr)
{
    cpu.vmcb.v_intr_masking = false;
    expect_stay(virt_svm.write_cr8(&cpu, 5), VIRT_NATIVE);
    expect_stay(virt_svm.read_cr8(&cpu), VIRT_NATIVE);
}

/* ---- APM 2 "Virtual Interrupts" ---- */

TEST_F(Svm, TheInterruptWindowExitsWhenTheGuestCouldTakeAnInterrupt)
{
    virt_svm.open_window(&cpu, true);
    cpu.interrupts_enabled = false;
    expect_quiet(boundary());
    cpu.interrupts_enabled = cpu.shadow = true;
    expect_quiet(boundary());
    cpu.shadow = false;
    cpu.halted = true;
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_SVM_VINTR);
    EXPECT_FALSE(cpu.halted);
    virt_svm.open_window(&cpu, false);
    expect_quiet(boundary());
}

TEST_F(Svm, ATprOf15HoldsTheWindowUnlessItIsIgnored)
{
    virt_svm.open_window(&cpu, true);
    virt_svm.write_cr8(&cpu, 15);
    expect_quiet(boundary());
    virt_svm.write_cr8(&cpu, 14);
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_SVM_VINTR);
    virt_svm.write_cr8(&cpu, 15);
    cpu.vmcb.v_ign_tpr = true;
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_SVM_VINTR);
}

/* ---- APM 2 "Event Injection" ---- */

TEST_F(Svm, AnInjectedInterruptIsDeliveredAtTheEntryAndOnlyOnce)
{
    virt_svm.inject(&cpu, 0x51, false);
    EXPECT_EQ(0x80000051u, cpu.vmcb.event_inj);
    const virt_boundary b = enter();
    EXPECT_EQ(0x51, b.vector);
    EXPECT_TRUE(b.injected);
    EXPECT_FALSE(b.nmi);
    EXPECT_FALSE(cpu.interrupts_enabled);
    expect_quiet(enter());
}

TEST_F(Svm, AnInjectedInterruptClosesTheWindowBehindItself)
{
    virt_svm.open_window(&cpu, true);
    virt_svm.inject(&cpu, 0x51, false);
    expect_stay(enter().exit, VIRT_NATIVE);
    expect_quiet(boundary());
}

TEST_F(Svm, AnInjectionThatWasCancelledDoesNotHappen)
{
    virt_svm.inject(&cpu, 0x51, false);
    virt_svm.cancel_injection(&cpu);
    expect_quiet(enter());
}

TEST_F(Svm, TheIretOfAnNmisHandlerExitsOnceAndOpensNmis)
{
    virt_svm.inject(&cpu, 0, true);
    EXPECT_EQ(0x80000202u, cpu.vmcb.event_inj);
    virt_svm.open_nmi_window(&cpu, false);
    EXPECT_TRUE(enter().nmi);
    EXPECT_TRUE(cpu.nmi_blocked);
    virt_svm.open_nmi_window(&cpu, false);
    expect_exit(virt_svm.instruction(&cpu, VIRT_IRET, 0), VIRT_EXIT_AFTER, EXIT_SVM_IRET);
    EXPECT_FALSE(cpu.nmi_blocked);
    virt_svm.open_nmi_window(&cpu, false);
    expect_stay(virt_svm.instruction(&cpu, VIRT_IRET, 0), VIRT_NATIVE);
}

TEST_F(Svm, AnNmiThatWaitsForNoHandlerMakesTheGuestLeaveAtOnce)
{
    virt_svm.open_nmi_window(&cpu, true);
    cpu.shadow = true;
    expect_quiet(boundary());
    cpu.shadow = false;
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_SVM_IRET);
    cpu.nmi_blocked = true;
    expect_quiet(boundary());
}

TEST_F(Svm, AFaultOnTheWayLeavesExitintinfo)
{
    bool nmi = true;

    virt_svm.inject(&cpu, 0x51, false);
    cpu.delivery_faults = true;
    const virt_boundary b = enter();
    expect_exit(b.exit, VIRT_EXIT, EXIT_SVM_NPF);
    EXPECT_EQ(NO_VECTOR, b.vector);
    EXPECT_EQ(0x51, virt_svm.interrupted_delivery(&cpu, &nmi));
    EXPECT_FALSE(nmi);
    virt_svm.instruction(&cpu, VIRT_CPUID, 0);
    EXPECT_EQ(NO_VECTOR, virt_svm.interrupted_delivery(&cpu, &nmi))
        << "the next exit clears it";
}

TEST_F(Svm, AFaultOnTheWayOfAnNmiIsAnNmis)
{
    bool nmi = false;

    virt_svm.inject(&cpu, 0, true);
    cpu.delivery_faults = true;
    enter();
    EXPECT_EQ(2, virt_svm.interrupted_delivery(&cpu, &nmi));
    EXPECT_TRUE(nmi);
    EXPECT_FALSE(cpu.nmi_blocked);
}
