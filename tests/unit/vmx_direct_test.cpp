/* Physical interrupts in VMX non-root operation, where external interrupts do not exit: SDM 3C "Other
   Causes of VM Exits", the IDT, and registers that the MSR bitmap passes through. */
#include "vmx_bench.h"

struct VmxDirect : ::testing::Test, VmxBench {
    VmxDirect()
    {
        for (const Control c : {VMX_VIRTUAL_INTERRUPT_DELIVERY, VMX_PROCESS_POSTED_INTERRUPTS,
                                VMX_IPI_VIRTUALIZATION, VMX_EXTERNAL_INTERRUPT_EXITING})
            off(c);
    }
    virt_verdict physical(uint8_t vector)
    {
        return virt_vmx.external_interrupt(&cpu, vector);
    }
    uint32_t info() const
    {
        return (uint32_t)vmcs_get(&cpu.vmcs, VMCS_EXIT_INTR_INFO);
    }
    void hold(uint8_t vector)
    {
        lapic_set_pending(&apic, vector, flow());
        vec_set(&cpu.direct, vector);
    }
};

TEST_F(VmxDirect, AnExternalInterruptGoesThroughTheGuestsIdt)
{
    expect_stay(physical(0x41), VIRT_NATIVE);
}

TEST_F(VmxDirect, AnNmiExitsByItsOwnControlWhateverExternalInterruptsDo)
{
    for (const bool exiting : {false, true}) {
        vmx_control(&cpu.vmcs, VMX_EXTERNAL_INTERRUPT_EXITING, exiting);
        expect_exit(physical(VIRT_NMI), VIRT_EXIT, EXIT_VMX_EXCEPTION_NMI);
        EXPECT_EQ(0x80000202u, info());
    }
    off(VMX_NMI_EXITING);
    expect_stay(physical(VIRT_NMI), VIRT_NATIVE);
}

TEST_F(VmxDirect, AGateThatIsNotPresentRaisesAnExceptionThatExits)
{
    cpu.shadow_idt = true;
    vec_set(&cpu.guest_gates, 0x41);
    vmcs_set(&cpu.vmcs, VMCS_EXCEPTION_BITMAP, 1u << 11);
    expect_stay(physical(0x41), VIRT_NATIVE);
    expect_exit(physical(0x42), VIRT_EXIT, EXIT_VMX_EXCEPTION_NMI);
    EXPECT_EQ(0x80000b0bu, info()) << "#NP, a hardware exception with an error code";
    vmcs_set(&cpu.vmcs, VMCS_EXCEPTION_BITMAP, 0);
    expect_stay(physical(0x42), VIRT_NATIVE);
}

TEST_F(VmxDirect, ExitingWithAcknowledgementTellsTheVector)
{
    vmx_control(&cpu.vmcs, VMX_EXTERNAL_INTERRUPT_EXITING, true);
    expect_exit(physical(0x41), VIRT_EXIT, EXIT_VMX_EXTERNAL_INTERRUPT);
    EXPECT_EQ(0x80000041u, info());
    off(VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    expect_exit(physical(0x41), VIRT_EXIT, EXIT_VMX_EXTERNAL_INTERRUPT);
    EXPECT_EQ(0u, info());
}

TEST_F(VmxDirect, WhatThePhysicalApicHoldsIsDeliveredByItsPriority)
{
    hold(0x41);
    hold(0x61);
    const virt_boundary b = boundary();
    EXPECT_EQ(0x61, b.vector);
    EXPECT_FALSE(b.injected);
    EXPECT_TRUE(vec_has(&apic.regs.ISR, 0x61));
    EXPECT_FALSE(vec_has(&cpu.direct, 0x61));
    cpu.interrupts_enabled = true;
    expect_quiet(boundary());
    lapic_eoi(&apic);
    EXPECT_EQ(0x41, boundary().vector);
}

TEST_F(VmxDirect, ItWaitsForTheInterruptFlagForTheShadowAndForTheTpr)
{
    hold(0x41);
    cpu.interrupts_enabled = false;
    expect_quiet(boundary());
    cpu.interrupts_enabled = true;
    cpu.shadow = true;
    expect_quiet(boundary());
    cpu.shadow = false;
    apic.regs.TPR = 0x40;
    expect_quiet(boundary());
    apic.regs.TPR = 0x3f;
    EXPECT_EQ(0x41, boundary().vector);
}

TEST_F(VmxDirect, ItEndsHlt)
{
    hold(0x41);
    cpu.halted = true;
    EXPECT_EQ(0x41, boundary().vector);
    EXPECT_FALSE(cpu.halted);
}

TEST_F(VmxDirect, ARegisterThatTheBitmapPassesIsThePhysicalOne)
{
    pass({0x838});
    expect_stay(eoi(), VIRT_NATIVE);
    expect_stay(ipi(1, 0x41), VIRT_NATIVE);
    expect_stay(self_ipi(0x41), VIRT_NATIVE);
    expect_stay(virt_vmx.wrmsr(&cpu, 0x838, 1000, now), VIRT_NATIVE);
    cpu.tsc_deadline_exits = false;
    expect_stay(virt_vmx.wrmsr(&cpu, MSR_TSC_DEADLINE, 1000, now), VIRT_NATIVE);
    cpu.tsc_deadline_exits = true;
    expect_exit(virt_vmx.wrmsr(&cpu, MSR_TSC_DEADLINE, 1000, now), VIRT_EXIT,
                EXIT_VMX_MSR_WRITE);
    EXPECT_FALSE(vec_has(&apic.regs.IRR, 0x41)) << "the answer is all that the hardware does";
}
