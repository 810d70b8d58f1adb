/* APIC-timer virtualization: SDM 3C "Guest Timer", "Changes to Instruction Behavior in VMX Non-Root
   Operation" (RDMSR, WRMSR), "Updating Non-Register State". */
#include "vmx_bench.h"

struct GuestTimer : ::testing::Test, VmxBench {
    static constexpr uint32_t DEADLINE = 0x6e0;

    GuestTimer()
    {
        controls({VMX_APIC_TIMER_VIRTUALIZATION});
        vmcs_set(&cpu.vmcs, VMCS_VIRTUAL_TIMER_VECTOR, 0x51);
        cpu.tsc_deadline_exits = false;
    }
    uint64_t field(vmcs_field f) const
    {
        return vmcs_get(&cpu.vmcs, f);
    }
    virt_verdict write(uint64_t tsc)
    {
        return virt_vmx.wrmsr(&cpu, DEADLINE, tsc, now);
    }
    virt_verdict read()
    {
        return virt_vmx.rdmsr(&cpu, DEADLINE, now);
    }
    /* The TSC reaches the deadline. */
    void expire()
    {
        cpu.timer_event = flow();
    }
    void arm_and_expire()
    {
        write(1000);
        expire();
    }
};

TEST_F(GuestTimer, IsArmedAndReadWithoutAnExit)
{
    expect_stay(write(1000), VIRT_DONE);
    EXPECT_EQ(1000u, virt_vmx.guest_deadline(&cpu));
    expect_stay(read(), VIRT_DONE);
    EXPECT_EQ(1000u, read().value);
    EXPECT_EQ(1000u, field(VMCS_GUEST_DEADLINE));
    EXPECT_EQ(1000u, field(VMCS_GUEST_DEADLINE_SHADOW));
}

TEST_F(GuestTimer, IsDisarmedByZero)
{
    write(1000);
    expect_stay(write(0), VIRT_DONE);
    EXPECT_EQ(0u, virt_vmx.guest_deadline(&cpu));
    EXPECT_EQ(0u, read().value);
}

/* "These executions do not access the IA32_TSC_DEADLINE MSR" of the physical APIC. */
TEST_F(GuestTimer, IsThePhysicalApicsWithoutTheControl)
{
    off(VMX_APIC_TIMER_VIRTUALIZATION);
    expect_stay(write(1000), VIRT_NATIVE);
    expect_stay(read(), VIRT_NATIVE);
    EXPECT_EQ(0u, field(VMCS_GUEST_DEADLINE_SHADOW));
}

TEST_F(GuestTimer, TheMsrBitmapComesFirst)
{
    cpu.tsc_deadline_exits = true;
    expect_exit(write(1000), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_exit(read(), VIRT_EXIT, EXIT_VMX_MSR_READ);
    EXPECT_EQ(0u, field(VMCS_GUEST_DEADLINE));
    cpu.tsc_deadline_exits = false;
    off(VMX_USE_MSR_BITMAPS);
    expect_exit(write(1000), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_exit(read(), VIRT_EXIT, EXIT_VMX_MSR_READ);
}

TEST_F(GuestTimer, ItsEventMakesTheVectorPendingAndDisarmsIt)
{
    cpu.interrupts_enabled = false;
    arm_and_expire();
    EXPECT_EQ(NO_VECTOR, boundary().vector);
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x51));
    EXPECT_EQ(0x51, rvi());
    EXPECT_EQ(0u, cpu.timer_event);
    EXPECT_EQ(0u, field(VMCS_GUEST_DEADLINE));
    EXPECT_EQ(0u, field(VMCS_GUEST_DEADLINE_SHADOW));
    EXPECT_EQ(1u, kept.count(TRACE_PENDING));
    EXPECT_EQ(kept.records.back().flow, apic.pending_flow[0x51]);
}

TEST_F(GuestTimer, ItsInterruptIsDeliveredAtTheSameBoundary)
{
    arm_and_expire();
    const virt_boundary b = boundary();
    EXPECT_EQ(0x51, b.vector);
    EXPECT_FALSE(virt_exits(&b.exit));
    EXPECT_TRUE(vec_has(&apic.regs.ISR, 0x51));
}

TEST_F(GuestTimer, AnEntryFindsItsEvent)
{
    arm_and_expire();
    EXPECT_EQ(0x51, enter().vector);
}

/* Above virtual interrupts: of two, the higher vector is delivered. */
TEST_F(GuestTimer, ItsEventComesBeforeVirtualInterrupts)
{
    request(0x41);
    arm_and_expire();
    EXPECT_EQ(0x51, enter().vector);
    EXPECT_EQ(0x41, rvi());
}

TEST_F(GuestTimer, ItsEventComesBeforeTheInterruptWindow)
{
    controls({VMX_INTERRUPT_WINDOW_EXITING});
    arm_and_expire();
    const virt_boundary b = boundary();
    expect_exit(b.exit, VIRT_EXIT, EXIT_VMX_INTERRUPT_WINDOW);
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x51));
}

TEST_F(GuestTimer, ThePreemptionTimerAndTheNmiWindowComeBeforeItsEvent)
{
    controls({VMX_ACTIVATE_PREEMPTION_TIMER, VMX_NMI_WINDOW_EXITING});
    cpu.timer_expired = true;
    arm_and_expire();
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_VMX_PREEMPTION_TIMER);
    cpu.timer_expired = false;
    expect_exit(boundary().exit, VIRT_EXIT, EXIT_VMX_NMI_WINDOW);
    EXPECT_FALSE(vec_has(&apic.regs.IRR, 0x51));
    EXPECT_NE(0u, cpu.timer_event);
    EXPECT_EQ(1000u, virt_vmx.guest_deadline(&cpu));
}

TEST_F(GuestTimer, ASecondOneOfTheVectorCoalesces)
{
    cpu.interrupts_enabled = false;
    arm_and_expire();
    boundary();
    arm_and_expire();
    boundary();
    EXPECT_EQ(1u, kept.count(TRACE_PENDING));
    EXPECT_EQ(1u, kept.count(TRACE_COALESCED));
}

/* "The processor is in the HLT state after it", unless the interrupt ends that. */
TEST_F(GuestTimer, LeavesAProcessorInHltThereWhileItsInterruptIsHeldBack)
{
    cpu.halted = true;
    tpr(0x60);
    arm_and_expire();
    EXPECT_EQ(NO_VECTOR, boundary().vector);
    EXPECT_TRUE(cpu.halted);
    tpr(0);
    EXPECT_EQ(0x51, boundary().vector);
    EXPECT_FALSE(cpu.halted);
}

TEST_F(GuestTimer, ShutdownAndWaitForSipiHoldItsEventBack)
{
    for (bool virt_cpu::*state : {&virt_cpu::shut_down, &virt_cpu::waits_for_sipi}) {
        cpu.*state = true;
        arm_and_expire();
        EXPECT_EQ(NO_VECTOR, boundary().vector);
        EXPECT_NE(0u, cpu.timer_event);
        cpu.*state = false;
        EXPECT_EQ(0x51, boundary().vector);
        eoi();
        cpu.interrupts_enabled = true;
    }
}

/* It is still pending when an injected event makes the guest leave. */
TEST_F(GuestTimer, AnInjectionThatFaultsLeavesItsEventPending)
{
    virt_vmx.inject(&cpu, 0x31, false);
    cpu.delivery_faults = true;
    arm_and_expire();
    expect_exit(enter().exit, VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
    EXPECT_NE(0u, cpu.timer_event);
}
