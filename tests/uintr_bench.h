/* A vCPU on VMX whose guest has user interrupts. */
#ifndef VIRQSIM_TESTS_UINTR_BENCH_H
#define VIRQSIM_TESTS_UINTR_BENCH_H

#include "vmx_bench.h"

struct UintrBench : VmxBench {
    static constexpr uint8_t UINV = 0x6c;

    uintr_upid upid{};
    uintr user{};

    UintrBench()
    {
        upid.trace = &trace;
        user.upid = &upid;
        user.uif = true;
        user.uinv = UINV;
        cpu.user = &user;
        cpu.user_mode = true;
        vmcs_set(&cpu.vmcs, VMCS_GUEST_UINV, UINV);
    }
    /* What a sender leaves behind, without its IPI. */
    void post(unsigned vector)
    {
        upid.words.word[0] |= 1;
        upid.words.word[1] |= UINT64_C(1) << vector;
        upid.flow[vector] = flow();
    }
    /* And with it: UINV is pending. */
    void notify(unsigned vector)
    {
        post(vector);
        self_ipi(UINV);
    }
    virt_verdict senduipi(uint8_t nv, uint32_t ndst)
    {
        cpu.message_flow = flow();
        return virt_vmx.instruction(&cpu, VIRT_SENDUIPI, VIRT_USER_IPI(nv, ndst));
    }
    void use_page()
    {
        off(VMX_VIRTUALIZE_X2APIC_MODE);
        controls({VMX_VIRTUALIZE_APIC_ACCESSES});
    }
};

inline void expect_notification(const virt_boundary &b)
{
    EXPECT_TRUE(b.notification);
    EXPECT_EQ(UintrBench::UINV, b.vector);
    EXPECT_FALSE(virt_exits(&b.exit));
}

inline void expect_user(const virt_boundary &b, unsigned vector)
{
    EXPECT_TRUE(b.user);
    EXPECT_EQ((int)(256 + vector), b.vector);
    EXPECT_FALSE(virt_exits(&b.exit));
}
#endif
