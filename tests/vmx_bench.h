/* A vCPU on VMX, and what its guest, its hypervisor and the world outside do to it. */
#ifndef VIRQSIM_TESTS_VMX_BENCH_H
#define VIRQSIM_TESTS_VMX_BENCH_H

#include "virt_machine.h"

extern "C" {
#include "virt/vmx.h"
}

/* A vCPU with everything: APIC-register virtualization, virtual-interrupt delivery, posted
   interrupts and IPI virtualization, as KVM sets them for an x2APIC guest. */
struct VmxBench : VirtMachine {
    static constexpr uint8_t NV = 0xf2;

    VmxBench() : VirtMachine(&virt_vmx, LAPIC_MODE_X2APIC)
    {
        controls({VMX_EXTERNAL_INTERRUPT_EXITING, VMX_NMI_EXITING, VMX_VIRTUAL_NMIS,
                  VMX_PROCESS_POSTED_INTERRUPTS, VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT,
                  VMX_HLT_EXITING, VMX_UNCONDITIONAL_IO_EXITING, VMX_USE_MSR_BITMAPS,
                  VMX_USE_TPR_SHADOW, VMX_VIRTUALIZE_X2APIC_MODE,
                  VMX_APIC_REGISTER_VIRTUALIZATION, VMX_VIRTUAL_INTERRUPT_DELIVERY,
                  VMX_IPI_VIRTUALIZATION});
        vmcs_set(&cpu.vmcs, VMCS_POSTED_INTR_VECTOR, NV);
        vmcs_set(&cpu.vmcs, VMCS_LAST_PID_INDEX, 3);
        pass({0x808, 0x80b, 0x830, 0x83f});
    }
    void off(Control c)
    {
        vmx_control(&cpu.vmcs, c, false);
    }
    virt_verdict tpr(uint8_t value)
    {
        return virt_vmx.wrmsr(&cpu, 0x808, value, now);
    }
    virt_verdict eoi()
    {
        return virt_vmx.wrmsr(&cpu, 0x80b, 0, now);
    }
    virt_verdict self_ipi(uint8_t vector)
    {
        cpu.message_flow = flow();
        return virt_vmx.wrmsr(&cpu, 0x83f, vector, now);
    }
    virt_verdict ipi(uint32_t target, uint8_t vector)
    {
        cpu.message_flow = flow();
        return virt_vmx.wrmsr(&cpu, 0x830, (uint64_t)target << 32 | vector, now);
    }
    virt_boundary enter()
    {
        return virt_vmx.enter(&cpu);
    }
    virt_boundary boundary()
    {
        return virt_vmx.boundary(&cpu);
    }
    /* Delivers a vector and leaves its handler running with interrupts on. */
    void serve(uint8_t vector)
    {
        self_ipi(vector);
        ASSERT_EQ(vector, boundary().vector);
        cpu.interrupts_enabled = true;
    }
    void exit_on_eoi(uint8_t vector)
    {
        const auto word = (vmcs_field)(VMCS_EOI_EXIT_BITMAP0 + vector / 64);
        vmcs_set(&cpu.vmcs, word, vmcs_get(&cpu.vmcs, word) | UINT64_C(1) << vector % 64);
    }
};

inline void expect_quiet(const virt_boundary &b)
{
    expect_stay(b.exit, VIRT_NATIVE);
    EXPECT_EQ(NO_VECTOR, b.vector);
}
#endif
