/* Virtual interrupts, exits, entries and windows: the statements of SDM 3C (326019-082) that the
   test names cite, then random operations under the laws that must hold whatever happens. */
#include "vmx_bench.h"

#include <random>

struct Vmx : ::testing::Test, VmxBench {
};

/* ---- 30.1.2 TPR virtualization ---- */

TEST_F(Vmx, Sdm30_1_2_WithoutDeliveryATprBelowTheThresholdExitsAfterTheWrite)
{
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    virt_vmx.set_tpr_threshold(&cpu, 4);
    expect_stay(tpr(0x40), VIRT_DONE);
    expect_exit(tpr(0x3f), VIRT_EXIT_AFTER, EXIT_VMX_TPR_BELOW_THRESHOLD);
    EXPECT_EQ(0x3fu, apic.regs.TPR);
}

TEST_F(Vmx, Sdm30_1_2_WithDeliveryATprWriteNeverExitsAndEvaluates)
{
    virt_vmx.set_tpr_threshold(&cpu, 4);
    tpr(0x40);
    self_ipi(0x31);
    expect_quiet(boundary());
    expect_stay(tpr(0x20), VIRT_DONE);
    EXPECT_EQ(0x31, boundary().vector);
}

TEST_F(Vmx, Sdm30_1_2_AMoveToCr8IsATprVirtualizationToo)
{
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    virt_vmx.set_tpr_threshold(&cpu, 4);
    expect_exit(virt_vmx.write_cr8(&cpu, 3), VIRT_EXIT_AFTER, EXIT_VMX_TPR_BELOW_THRESHOLD);
}

/* ---- 30.1.3 PPR virtualization ---- */

TEST_F(Vmx, Sdm30_1_3_VpprIsTheTprUnlessAHigherClassIsInService)
{
    tpr(0x35);
    EXPECT_EQ(0x35u, apic.regs.PPR);
    serve(0x41);
    EXPECT_EQ(0x40u, apic.regs.PPR);
    tpr(0x42);
    EXPECT_EQ(0x42u, apic.regs.PPR) << "the same class: all eight bits of the TPR";
    tpr(0x3f);
    EXPECT_EQ(0x40u, apic.regs.PPR);
}

/* ---- 30.1.4 EOI virtualization ---- */

TEST_F(Vmx, Sdm30_1_4_EoiRetiresSviAndReturnsToTheNextInService)
{
    serve(0x31);
    serve(0x51);
    const virt_verdict v = eoi();
    expect_stay(v, VIRT_DONE);
    EXPECT_EQ(0x51, v.retired);
    EXPECT_EQ(0x31, svi());
    EXPECT_EQ(0x30u, apic.regs.PPR);
    EXPECT_EQ(0x31, eoi().retired);
    EXPECT_EQ(0, svi());
    EXPECT_EQ(0u, apic.regs.PPR);
}

TEST_F(Vmx, Sdm30_1_4_EoiEvaluatesSoThatTheNextVectorFollowsWithoutAnExit)
{
    serve(0x51);
    self_ipi(0x31);
    expect_quiet(boundary());
    eoi();
    EXPECT_EQ(0x31, boundary().vector);
}

TEST_F(Vmx, Sdm30_1_4_AVectorInTheEoiExitBitmapExitsAfterItAndDoesNotEvaluate)
{
    exit_on_eoi(0x51);
    serve(0x51);
    self_ipi(0x31);
    const virt_verdict v = eoi();
    expect_exit(v, VIRT_EXIT_AFTER, EXIT_VMX_EOI_INDUCED);
    EXPECT_EQ(0x51u, v.qualification);
    EXPECT_EQ(0x51, v.retired);
    EXPECT_EQ(0u, apic.regs.PPR) << "PPR virtualization comes before the test";
    expect_quiet(boundary());
    EXPECT_EQ(0x31, enter().vector) << "the next entry evaluates";
}

TEST_F(Vmx, Sdm30_1_4_AnEoiWithNothingInServiceIsOneOfVector0)
{
    expect_stay(eoi(), VIRT_DONE);
    EXPECT_EQ(NO_VECTOR, eoi().retired);
    exit_on_eoi(0);
    const virt_verdict v = eoi();
    expect_exit(v, VIRT_EXIT_AFTER, EXIT_VMX_EOI_INDUCED);
    EXPECT_EQ(0u, v.qualification);
    EXPECT_EQ(NO_VECTOR, v.retired);
}

TEST_F(Vmx, AVirtualEoiEndsTheFlowAndTellsNoIoApic)
{
    vec_set(&apic.regs.TMR, 0x51);
    serve(0x51);
    const trace_flow served = apic.service_flow[0x51];
    eoi();
    ASSERT_LE(2u, kept.records.size());
    const trace_record &last = kept.records.back(),
                       &before = kept.records[kept.records.size() - 2];
    EXPECT_EQ(TRACE_RETIRED, last.event);
    EXPECT_EQ(TRACE_EOI, before.event);
    EXPECT_EQ(served, last.flow);
    EXPECT_EQ(0u, apic.service_flow[0x51]);
    EXPECT_TRUE(port.broadcasts.empty());
}

/* ---- 30.1.5 self-IPI virtualization ---- */

TEST_F(Vmx, Sdm30_1_5_RviIsTheMaximumOfItselfAndTheSelfIpi)
{
    cpu.interrupts_enabled = false;
    self_ipi(0x41);
    EXPECT_EQ(0x41, rvi());
    self_ipi(0x31);
    EXPECT_EQ(0x41, rvi());
    self_ipi(0x51);
    EXPECT_EQ(0x51, rvi());
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x31));
}

TEST_F(Vmx, ASelfIpiIsRoutedAndPendingOrCoalesced)
{
    cpu.interrupts_enabled = false;
    self_ipi(0x41);
    const trace_flow first = cpu.message_flow;
    self_ipi(0x41);
    EXPECT_EQ(2u, kept.count(TRACE_ROUTED));
    EXPECT_EQ(1u, kept.count(TRACE_PENDING));
    EXPECT_EQ(1u, kept.count(TRACE_COALESCED));
    EXPECT_EQ(first, apic.pending_flow[0x41]);
}

/* ---- 30.1.6 IPI virtualization ---- */

TEST_F(Vmx, Sdm30_1_6_TheTargetsPirIsSetAndItIsNotifiedOnce)
{
    const virt_verdict v = ipi(1, 0x31);
    expect_stay(v, VIRT_DONE);
    EXPECT_EQ(&other, v.notify);
    EXPECT_TRUE(vec_has(&other.pir, 0x31));
    EXPECT_TRUE(other.on);
    EXPECT_EQ(cpu.message_flow, other.flow[0x31]);
    EXPECT_EQ(nullptr, ipi(1, 0x32).notify) << "a notification is outstanding";
}

TEST_F(Vmx, Sdm30_1_6_TheLastPidPointerIndexIsStillInTheTable)
{
    EXPECT_EQ(&other, ipi(3, 0x31).notify);
}

TEST_F(Vmx, Sdm30_1_6_SuppressedNotificationsAreNotSent)
{
    other.sn = true;
    const virt_verdict v = ipi(1, 0x31);
    expect_stay(v, VIRT_DONE);
    EXPECT_EQ(nullptr, v.notify);
    EXPECT_FALSE(other.on);
    EXPECT_TRUE(vec_has(&other.pir, 0x31));
}

TEST_F(Vmx, Sdm30_1_6_AnIllegalVectorAnUnknownTargetOrAnInvalidPointerExitsAfterTheWrite)
{
    expect_exit(ipi(1, 15), VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
    expect_exit(ipi(4, 0x31), VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
    expect_exit(ipi(2, 0x31), VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
    EXPECT_EQ(0u, kept.count(TRACE_ROUTED)) << "the hypervisor will route it";
}

/* ---- 30.2 evaluation and delivery ---- */

TEST_F(Vmx, Sdm30_2_1_NothingButTheFiveTriggersEvaluates)
{
    request(0x51);
    EXPECT_EQ(0x51, rvi());
    expect_quiet(boundary());
    tpr(0);
    EXPECT_EQ(0x51, boundary().vector);
}

TEST_F(Vmx, Sdm30_2_1_VmEntryEvaluates)
{
    request(0x51);
    EXPECT_EQ(0x51, enter().vector);
}

TEST_F(Vmx, Sdm27_3_2_5_VmEntryComputesVpprFromWhatTheHypervisorLeft)
{
    tpr(0);
    apic.regs.TPR = 0x50;
    request(0x51);
    expect_quiet(enter());
    EXPECT_EQ(0x50u, apic.regs.PPR);
    apic.regs.TPR = 0;
    EXPECT_EQ(0x51, enter().vector);
}

TEST_F(Vmx, WhatWasRecognizedIsForgottenOnceDeliveryIsSwitchedOff)
{
    self_ipi(0x51);
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    off(VMX_PROCESS_POSTED_INTERRUPTS);
    expect_quiet(enter());
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x51));
}

TEST_F(Vmx, Sdm30_2_1_AVectorOfTheClassInServiceIsNotRecognized)
{
    serve(0x51);
    self_ipi(0x5f);
    expect_quiet(boundary());
    self_ipi(0x60);
    EXPECT_EQ(0x60, boundary().vector);
}

TEST_F(Vmx, Sdm30_2_1_WithTheInterruptWindowOpenNothingIsRecognized)
{
    cpu.interrupts_enabled = false;
    virt_vmx.open_window(&cpu, true);
    self_ipi(0x51);
    virt_vmx.open_window(&cpu, false);
    cpu.interrupts_enabled = true;
    expect_quiet(boundary());
    EXPECT_EQ(0x51, enter().vector);
}

TEST_F(Vmx, Sdm30_2_2_DeliveryWaitsForIfAndForTheShadow)
{
    cpu.interrupts_enabled = false;
    self_ipi(0x51);
    expect_quiet(boundary());
    cpu.interrupts_enabled = cpu.shadow = true;
    expect_quiet(boundary());
    cpu.shadow = false;
    EXPECT_EQ(0x51, boundary().vector);
}

TEST_F(Vmx, Sdm30_2_2_DeliveryMovesTheVectorWithItsFlowAndClosesIf)
{
    self_ipi(0x51);
    const trace_flow first = cpu.message_flow;
    self_ipi(0x41);
    const virt_boundary b = boundary();
    EXPECT_EQ(0x51, b.vector);
    EXPECT_FALSE(b.nmi);
    EXPECT_FALSE(b.injected);
    EXPECT_FALSE(cpu.interrupts_enabled);
    EXPECT_FALSE(vec_has(&apic.regs.IRR, 0x51));
    EXPECT_TRUE(vec_has(&apic.regs.ISR, 0x51));
    EXPECT_EQ(0x51, svi());
    EXPECT_EQ(0x41, rvi());
    EXPECT_EQ(0x50u, apic.regs.PPR);
    EXPECT_EQ(first, apic.service_flow[0x51]);
    EXPECT_EQ(0u, apic.pending_flow[0x51]);
}

TEST_F(Vmx, Sdm30_2_2_DeliveryWakesFromHlt)
{
    off(VMX_HLT_EXITING);
    expect_stay(virt_vmx.instruction(&cpu, VIRT_HLT, 0), VIRT_NATIVE);
    EXPECT_TRUE(cpu.halted);
    descriptor.nv = NV;
    posted_post(&descriptor, 0x51, flow());
    expect_stay(virt_vmx.external_interrupt(&cpu, NV), VIRT_DONE);
    EXPECT_TRUE(cpu.halted) << "processing alone does not wake";
    EXPECT_EQ(0x51, boundary().vector);
    EXPECT_FALSE(cpu.halted);
}

TEST_F(Vmx, Sdm30_2_2_DeliveryTakesPriorityOverAnExternalInterrupt)
{
    self_ipi(0x51);
    EXPECT_EQ(0x51, boundary().vector);
    expect_exit(virt_vmx.external_interrupt(&cpu, 0xec), VIRT_EXIT,
                EXIT_VMX_EXTERNAL_INTERRUPT);
}

/* ---- 30.6 posted-interrupt processing ---- */

TEST_F(Vmx, Sdm30_6_TheNotificationVectorMovesPirToVirrAndEvaluates)
{
    posted_post(&descriptor, 0x31, flow());
    posted_post(&descriptor, 0x51, flow());
    expect_stay(virt_vmx.external_interrupt(&cpu, NV), VIRT_DONE);
    EXPECT_FALSE(descriptor.on);
    EXPECT_TRUE(vec_empty(&descriptor.pir));
    EXPECT_EQ(0x51, rvi());
    EXPECT_EQ(0x51, boundary().vector);
}

TEST_F(Vmx, Sdm30_6_RviKeepsAHigherVectorAndAnEmptyPirChangesNothing)
{
    cpu.interrupts_enabled = false;
    self_ipi(0x61);
    posted_post(&descriptor, 0x31, flow());
    virt_vmx.external_interrupt(&cpu, NV);
    EXPECT_EQ(0x61, rvi());
    virt_vmx.external_interrupt(&cpu, NV);
    EXPECT_EQ(0x61, rvi());
}

TEST_F(Vmx, Sdm30_6_AnyOtherVectorExitsAndIsAcknowledged)
{
    posted_post(&descriptor, 0x31, flow());
    expect_exit(virt_vmx.external_interrupt(&cpu, 0xfd), VIRT_EXIT,
                EXIT_VMX_EXTERNAL_INTERRUPT);
    EXPECT_EQ(0x800000fdu, vmcs_get(&cpu.vmcs, VMCS_EXIT_INTR_INFO));
    EXPECT_TRUE(descriptor.on);
    EXPECT_TRUE(vec_has(&descriptor.pir, 0x31));
}

TEST_F(Vmx, Sdm30_6_WithoutTheControlTheNotificationVectorIsLikeAnyOther)
{
    off(VMX_PROCESS_POSTED_INTERRUPTS);
    expect_exit(virt_vmx.external_interrupt(&cpu, NV), VIRT_EXIT, EXIT_VMX_EXTERNAL_INTERRUPT);
}

TEST_F(Vmx, WithoutExternalInterruptExitingTheGuestTakesItItself)
{
    off(VMX_EXTERNAL_INTERRUPT_EXITING);
    expect_stay(virt_vmx.external_interrupt(&cpu, 0x31), VIRT_NATIVE);
}

/* ---- instructions ---- */

TEST_F(Vmx, Sdm26_1_InstructionsExitAlwaysOrByTheirControl)
{
    const struct {
        virt_instruction instruction;
        int control; /* -1: unconditional */
        exit_reason reason;
    } rows[] = {
        {VIRT_CPUID, -1, EXIT_VMX_CPUID},
        {VIRT_HYPERCALL, -1, EXIT_VMX_VMCALL},
        {VIRT_MMIO, -1, EXIT_VMX_EPT_MISCONFIG},
        {VIRT_UNMAPPED, -1, EXIT_VMX_EPT_VIOLATION},
        {VIRT_PAUSE, VMX_PAUSE_EXITING, EXIT_VMX_PAUSE},
        {VIRT_HLT, VMX_HLT_EXITING, EXIT_VMX_HLT},
        {VIRT_MWAIT, VMX_MWAIT_EXITING, EXIT_VMX_MWAIT},
        {VIRT_MONITOR, VMX_MONITOR_EXITING, EXIT_VMX_MONITOR},
        {VIRT_WBINVD, VMX_WBINVD_EXITING, EXIT_VMX_WBINVD},
        {VIRT_PORT_IO, VMX_UNCONDITIONAL_IO_EXITING, EXIT_VMX_IO_INSTRUCTION},
    };

    for (const auto &row : rows) {
        SCOPED_TRACE(exit_reasons[row.reason].name);
        if (row.control >= 0) {
            off((Control)row.control);
            expect_stay(virt_vmx.instruction(&cpu, row.instruction, 0x70), VIRT_NATIVE);
            vmx_control(&cpu.vmcs, (Control)row.control, true);
        }
        expect_exit(virt_vmx.instruction(&cpu, row.instruction, 0x70), VIRT_EXIT, row.reason);
        EXPECT_EQ(exit_reasons[row.reason].number, vmcs_get(&cpu.vmcs, VMCS_EXIT_REASON));
    }
}

TEST_F(Vmx, APortAccessNamesItsPort)
{
    EXPECT_EQ(0x70u, virt_vmx.instruction(&cpu, VIRT_PORT_IO, 0x70).qualification);
    EXPECT_EQ(0x70u, vmcs_get(&cpu.vmcs, VMCS_EXIT_QUALIFICATION));
}

TEST_F(Vmx, ThePreemptionTimerExitsOnlyWhereItIsActivated)
{
    expect_stay(virt_vmx.preemption_timer(&cpu), VIRT_NATIVE);
    controls({VMX_ACTIVATE_PREEMPTION_TIMER});
    expect_exit(virt_vmx.preemption_timer(&cpu), VIRT_EXIT, EXIT_VMX_PREEMPTION_TIMER);
}

/* ---- 27 entries: event injection, thresholds, windows ---- */

/* KVM without APICv, xAPIC guest with a TPR shadow. */
struct Entry : Vmx {
    Entry()
    {
        off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
        off(VMX_PROCESS_POSTED_INTERRUPTS);
        off(VMX_VIRTUALIZE_X2APIC_MODE);
        controls({VMX_VIRTUALIZE_APIC_ACCESSES});
    }
};

TEST_F(Entry, Sdm27_6_AnInjectedInterruptIsDeliveredAtTheEntryAndOnlyOnce)
{
    virt_vmx.inject(&cpu, 0x51, false);
    EXPECT_EQ(0x80000051u, vmcs_get(&cpu.vmcs, VMCS_ENTRY_INTR_INFO));
    const virt_boundary b = enter();
    EXPECT_EQ(0x51, b.vector);
    EXPECT_TRUE(b.injected);
    EXPECT_FALSE(b.nmi);
    EXPECT_FALSE(cpu.interrupts_enabled);
    EXPECT_TRUE(vec_empty(&apic.regs.ISR)) << "the hypervisor acknowledged it already";
    expect_quiet(enter());
}

TEST_F(Entry, AnInjectionThatWasCancelledDoesNotHappen)
{
    virt_vmx.inject(&cpu, 0x51, false);
    virt_vmx.cancel_injection(&cpu);
    expect_quiet(enter());
}

TEST_F(Entry, AnInjectedNmiBlocksNmisUntilIret)
{
    virt_vmx.inject(&cpu, 0x51, true);
    EXPECT_EQ(0x80000202u, vmcs_get(&cpu.vmcs, VMCS_ENTRY_INTR_INFO));
    const virt_boundary b = enter();
    EXPECT_EQ(2, b.vector);
    EXPECT_TRUE(b.nmi);
    virt_vmx.open_nmi_window(&cpu, true);
    expect_quiet(boundary());
    expect_stay(virt_vmx.instruction(&cpu, VIRT_IRET, 0), VIRT_NATIVE);
    cpu.shadow = true;
    expect_quiet(boundary());
    cpu.shadow = false;
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_VMX_NMI_WINDOW);
    virt_vmx.open_nmi_window(&cpu, false);
    expect_quiet(boundary());
}

TEST_F(Entry, AFaultOnTheWayLeavesIdtVectoringInformation)
{
    bool nmi = true;

    virt_vmx.inject(&cpu, 0x51, false);
    cpu.delivery_faults = true;
    const virt_boundary b = enter();
    expect_exit(b.exit, VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
    EXPECT_EQ(NO_VECTOR, b.vector);
    EXPECT_TRUE(cpu.interrupts_enabled);
    EXPECT_EQ(0x51, virt_vmx.interrupted_delivery(&cpu, &nmi));
    EXPECT_FALSE(nmi);
    EXPECT_FALSE(cpu.delivery_faults);
    virt_vmx.instruction(&cpu, VIRT_CPUID, 0);
    EXPECT_EQ(NO_VECTOR, virt_vmx.interrupted_delivery(&cpu, &nmi))
        << "the next exit clears it";
}

TEST_F(Entry, AFaultOnTheWayOfAnNmiIsAnNmis)
{
    bool nmi = false;

    virt_vmx.inject(&cpu, 0, true);
    cpu.delivery_faults = true;
    enter();
    EXPECT_EQ(2, virt_vmx.interrupted_delivery(&cpu, &nmi));
    EXPECT_TRUE(nmi);
    EXPECT_TRUE(cpu.nmi_blocked) << "SDM 3C \"Architectural State Before a VM Exit\"";
}

TEST_F(Vmx, AFaultDuringVirtualInterruptDeliveryComesAfterTheVectorIsInService)
{
    bool nmi = true;

    self_ipi(0x51);
    cpu.delivery_faults = true;
    const virt_boundary b = boundary();
    expect_exit(b.exit, VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
    EXPECT_EQ(NO_VECTOR, b.vector);
    EXPECT_EQ(0x51, svi());
    EXPECT_EQ(0x51, virt_vmx.interrupted_delivery(&cpu, &nmi));
}

TEST_F(Entry, Sdm27_7_7_AThresholdAboveTheTprExitsRightAfterTheEntry)
{
    virt_vmx.set_tpr_threshold(&cpu, 5);
    apic.regs.TPR = 0x50;
    expect_quiet(enter());
    apic.regs.TPR = 0x4f;
    expect_exit(enter().exit, VIRT_EXIT, EXIT_VMX_TPR_BELOW_THRESHOLD);
    cpu.interrupts_enabled = false;
    expect_exit(enter().exit, VIRT_EXIT, EXIT_VMX_TPR_BELOW_THRESHOLD);
}

TEST_F(Entry, Sdm27_7_7_OnlyApicAccessesWithoutDeliveryHaveAThresholdAtTheEntry)
{
    virt_vmx.set_tpr_threshold(&cpu, 5);
    controls({VMX_VIRTUAL_INTERRUPT_DELIVERY});
    expect_quiet(enter());
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    off(VMX_VIRTUALIZE_APIC_ACCESSES);
    virt_vmx.set_tpr_threshold(&cpu, 0); /* any other would be refused */
    expect_quiet(enter());
}

TEST_F(Entry, Sdm27_7_7_TheThresholdFollowsEventInjection)
{
    virt_vmx.set_tpr_threshold(&cpu, 5);
    virt_vmx.inject(&cpu, 0x51, false);
    const virt_boundary b = enter();
    EXPECT_EQ(0x51, b.vector);
    expect_exit(b.exit, VIRT_EXIT, EXIT_VMX_TPR_BELOW_THRESHOLD);
}

TEST_F(Entry, Sdm26_2_TheInterruptWindowExitsWhenTheGuestCouldTakeAnInterrupt)
{
    virt_vmx.open_window(&cpu, true);
    cpu.interrupts_enabled = false;
    expect_quiet(boundary());
    cpu.interrupts_enabled = cpu.shadow = true;
    expect_quiet(boundary());
    cpu.shadow = false;
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_VMX_INTERRUPT_WINDOW);
    virt_vmx.open_window(&cpu, false);
    expect_quiet(boundary());
}

TEST_F(Entry, Sdm27_7_5_AnOpenWindowExitsRightAfterTheEntryInHltToo)
{
    virt_vmx.open_window(&cpu, true);
    cpu.halted = true;
    expect_exit(enter().exit, VIRT_EXIT, EXIT_VMX_INTERRUPT_WINDOW);
    EXPECT_TRUE(cpu.halted) << "the activity state is saved as it was";
    virt_vmx.open_window(&cpu, false);
    virt_vmx.inject(&cpu, 0x51, false);
    EXPECT_EQ(0x51, enter().vector);
    EXPECT_FALSE(cpu.halted) << "a vectoring entry ends in the active state";
}

TEST_F(Entry, AnInjectedInterruptClosesTheWindowBehindItself)
{
    virt_vmx.open_window(&cpu, true);
    virt_vmx.inject(&cpu, 0x51, false);
    const virt_boundary b = enter();
    EXPECT_EQ(0x51, b.vector);
    expect_stay(b.exit, VIRT_NATIVE);
}

TEST_F(Entry, TheNmiWindowComesBeforeTheInterruptWindow)
{
    virt_vmx.open_window(&cpu, true);
    virt_vmx.open_nmi_window(&cpu, true);
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_VMX_NMI_WINDOW);
}

TEST_F(Vmx, ThePolicyQuestionsAreAnsweredByTheControls)
{
    EXPECT_TRUE(virt_vmx.posts(&cpu));
    EXPECT_TRUE(virt_vmx.delivers(&cpu));
    off(VMX_PROCESS_POSTED_INTERRUPTS);
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    EXPECT_FALSE(virt_vmx.posts(&cpu));
    EXPECT_FALSE(virt_vmx.delivers(&cpu));
}

/* ---- laws, under random operations ---- */

static size_t size(const vec256 &set)
{
    size_t n = 0;

    for (uint64_t word : set.word)
        n += (size_t)__builtin_popcountll(word);
    return n;
}

static int highest_or_0(const vec256 &set)
{
    const int vector = vec_highest(&set);

    return vector == NO_VECTOR ? 0 : vector;
}

struct Laws : Vmx {
    std::mt19937 random;
    size_t raised = 0, delivered = 0;

    unsigned draw(unsigned n)
    {
        return (unsigned)(random() % n);
    }
    uint8_t raise()
    {
        raised++;
        return (uint8_t)(16 + draw(240));
    }
    void take(bool entry)
    {
        const int priority = lapic_ppr(&apic), highest = vec_highest(&apic.regs.IRR);
        const virt_boundary b = entry ? enter() : boundary();

        expect_stay(b.exit, VIRT_NATIVE);
        if (b.vector == NO_VECTOR)
            return;
        delivered++;
        EXPECT_EQ(highest, b.vector);
        EXPECT_GT(b.vector & 0xf0, priority & 0xf0);
        EXPECT_NE(0u, apic.service_flow[b.vector]) << "it came with its flow";
    }
    void reenter()
    {
        posted_sync(&descriptor, &apic);
        virt_vmx.sync(&cpu);
        take(true);
    }
    void act()
    {
        switch (draw(10)) {
        case 0:
            posted_post(&descriptor, raise(), flow());
            break;
        case 1:
            expect_stay(virt_vmx.external_interrupt(&cpu, NV), VIRT_DONE);
            break;
        case 2:
            expect_stay(self_ipi(raise()), VIRT_DONE);
            break;
        case 3:
            expect_stay(ipi(0, raise()), VIRT_DONE);
            break;
        case 4:
            request(raise());
            break;
        case 5:
            expect_stay(tpr((uint8_t)draw(256)), VIRT_DONE);
            break;
        case 6:
            expect_stay(eoi(), VIRT_DONE);
            break;
        case 7:
            cpu.interrupts_enabled = draw(2);
            cpu.shadow = cpu.interrupts_enabled && draw(4) == 0;
            descriptor.sn = draw(4) == 0;
            break;
        case 8:
            take(false);
            break;
        case 9:
            reenter();
            break;
        }
    }
    void check()
    {
        const size_t waiting = size(descriptor.pir) + size(apic.regs.IRR);

        ASSERT_EQ(raised, delivered + kept.count(TRACE_COALESCED) + waiting)
            << "a vector was lost";
        ASSERT_EQ(delivered, kept.count(TRACE_RETIRED) + size(apic.regs.ISR));
        ASSERT_EQ(highest_or_0(apic.regs.IRR), rvi());
        ASSERT_EQ(highest_or_0(apic.regs.ISR), svi());
        ASSERT_EQ(lapic_ppr(&apic) & 0xf0u, apic.regs.PPR & 0xf0u);
    }
    void drain()
    {
        cpu.shadow = false;
        tpr(0);
        do {
            eoi();
            cpu.interrupts_enabled = true;
            reenter();
        } while (!vec_empty(&apic.regs.ISR) || !vec_empty(&apic.regs.IRR));
    }
};

TEST_F(Laws, NoVectorIsLostAndNoneIsDeliveredBelowItsPriority)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        SCOPED_TRACE(seed);
        random.seed(seed);
        for (int n = 0; n < 300; n++) {
            act();
            check();
            if (HasFatalFailure())
                return;
        }
    }
    drain();
    check();
    EXPECT_EQ(raised, delivered + kept.count(TRACE_COALESCED));
    EXPECT_GT(delivered, 100u) << "the test has looked at something";
}
