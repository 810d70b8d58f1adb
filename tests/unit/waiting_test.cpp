/* What a guest waits with, at the hardware: loops of PAUSEs, MONITOR and MWAIT, an idle HLT.
   Sections of SDM 3C and APM 2 stand beside the tests. */
#include <gtest/gtest.h>

#include <random>

#include "virt_machine.h"

namespace
{

bool pause(virt_cpu &cpu, uint64_t tsc)
{
    const virt_verdict v = cpu.ops->instruction(&cpu, VIRT_PAUSE, tsc);
    return virt_exits(&v);
}

/* ---- APM 2 15.14.4 "Pause Intercept Filtering" ---- */

struct PauseFilter : ::testing::Test, VirtMachine {
    PauseFilter() : VirtMachine(&virt_svm, LAPIC_MODE_X2APIC)
    {
        svm_intercept(&cpu.vmcb, SVM_VMRUN, true); /* or VMRUN fails */
        svm_intercept(&cpu.vmcb, SVM_PAUSE, true);
    }
    void enter(unsigned count, unsigned threshold)
    {
        cpu.vmcb.pause_count = (uint16_t)count;
        cpu.vmcb.pause_threshold = (uint16_t)threshold;
        virt_svm.enter(&cpu);
    }
    /* How many PAUSEs it takes until one exits, so far apart; 0: more than 1000. */
    unsigned exits_at(uint64_t gap)
    {
        for (unsigned n = 1; n <= 1000; n++)
            if (pause(cpu, 5000 + n * gap))
                return n;
        return 0;
    }
};

TEST_F(PauseFilter, ACountOfZeroMeansEveryPause)
{
    enter(0, 100);
    EXPECT_TRUE(pause(cpu, 1));
    EXPECT_TRUE(pause(cpu, 1000000));
}

TEST_F(PauseFilter, WithoutAThresholdThePauseThatReachesZeroExits)
{
    for (unsigned gap : {1, 100000}) {
        enter(30, 0);
        EXPECT_EQ(30u, exits_at(gap));
    }
}

TEST_F(PauseFilter, WithOneTheFirstLoadsTheCounterAndTheOneThatWouldFallBelowZeroExits)
{
    enter(30, 100);
    EXPECT_EQ(32u, exits_at(100));
    enter(30, 100);
    EXPECT_EQ(0u, exits_at(101)) << "each is the first";
}

TEST_F(PauseFilter, AGapAboveTheThresholdLoadsItAnew)
{
    enter(3, 100);
    for (uint64_t tsc : {1000, 1050, 1100, 1150, 1251, 1300, 1350, 1400})
        EXPECT_FALSE(pause(cpu, tsc)) << tsc;
    EXPECT_TRUE(pause(cpu, 1450));
}

TEST_F(PauseFilter, AnEntryLoadsItAnew)
{
    enter(3, 0);
    EXPECT_FALSE(pause(cpu, 1));
    EXPECT_FALSE(pause(cpu, 2));
    virt_svm.enter(&cpu);
    EXPECT_EQ(3u, exits_at(1));
}

TEST_F(PauseFilter, WithoutTheInterceptNothingCounts)
{
    svm_intercept(&cpu.vmcb, SVM_PAUSE, false);
    enter(3, 0);
    EXPECT_EQ(0u, exits_at(1));
    EXPECT_EQ(UINT64_MAX, virt_svm.pauses_to_exit(&cpu, {1, 1}));
}

/* ---- a loop at once is the loop PAUSE by PAUSE ---- */

struct AnyLoop : ::testing::TestWithParam<const virt_ops *> {
};

/* Two machines in the same state: one executes each PAUSE, the other is told of them together. */
TEST_P(AnyLoop, AtOnceIsWhatItIsPauseByPause)
{
    std::mt19937_64 random(1);
    const auto below = [&random](uint64_t n) { return random() % n; };

    for (int n = 0; n < 20000; n++) {
        VirtMachine each(GetParam(), LAPIC_MODE_X2APIC),
            together(GetParam(), LAPIC_MODE_X2APIC);
        const uint64_t gap = below(4) ? below(20) : 0, window = below(60);
        const bool on = below(8), always = below(8) == 0;
        for (VirtMachine *m : {&each, &together}) {
            if (GetParam() == &virt_vmx) {
                vmx_control(&m->cpu.vmcs, VMX_PAUSE_LOOP_EXITING, on);
                vmx_control(&m->cpu.vmcs, VMX_PAUSE_EXITING, always);
                vmcs_set(&m->cpu.vmcs, VMCS_PLE_GAP, gap);
                vmcs_set(&m->cpu.vmcs, VMCS_PLE_WINDOW, window);
            } else {
                svm_intercept(&m->cpu.vmcb, SVM_PAUSE, on);
                m->cpu.vmcb.pause_threshold = (uint16_t)gap;
                m->cpu.vmcb.pause_count = (uint16_t)(always ? 0 : window);
            }
            m->cpu.pause_loop.left = (uint32_t)window; /* as an entry leaves it */
        }
        uint64_t tsc = 1000;
        for (int loop = 0; loop < 3; loop++) {
            const virt_pauses p = {tsc, 1 + below(20)};
            const uint64_t exits = GetParam()->pauses_to_exit(&together.cpu, p);
            const uint64_t count = below(3) ? below(70) : exits == UINT64_MAX ? 200 : exits;
            uint64_t done = 0;
            while (done < count && !pause(each.cpu, p.tsc + done * p.turn))
                done++;
            ASSERT_EQ(std::min(count, exits - 1), done);
            GetParam()->pauses(&together.cpu, p, done);
            if (done < count)
                break; /* it left; an entry begins anew */
            tsc += count * p.turn + below(30);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(OnBothVendors, AnyLoop, testing::Values(&virt_vmx, &virt_svm),
                         [](const auto &i) { return i.param == &virt_vmx ? "Vmx" : "Svm"; });

/* ---- MONITOR and MWAIT ---- */

struct Mwait : ::testing::TestWithParam<const virt_ops *>, VirtMachine {
    Mwait() : VirtMachine(GetParam(), LAPIC_MODE_X2APIC)
    {
    }
    void execute(virt_instruction i)
    {
        expect_stay(cpu.ops->instruction(&cpu, i, 0), VIRT_NATIVE);
    }
    void exiting(bool on)
    {
        if (GetParam() == &virt_vmx)
            vmx_control(&cpu.vmcs, VMX_MWAIT_EXITING, on);
        else
            svm_intercept(&cpu.vmcb, SVM_MWAIT, on);
    }
    void deliver_virtually()
    {
        if (GetParam() == &virt_vmx)
            controls({VMX_USE_TPR_SHADOW, VMX_VIRTUAL_INTERRUPT_DELIVERY});
        else
            cpu.vmcb.avic = true;
    }
};

TEST_P(Mwait, WaitsOnlyWhereARangeIsMonitored)
{
    execute(VIRT_MWAIT);
    EXPECT_FALSE(virt_waits(&cpu));
    execute(VIRT_MONITOR);
    EXPECT_FALSE(virt_waits(&cpu));
    execute(VIRT_MWAIT);
    EXPECT_TRUE(virt_waits(&cpu));
}

/* SDM 3C, the exit qualification of MWAIT: 1 when a range was monitored. */
TEST_P(Mwait, ItsExitSaysWhetherARangeWasMonitoredAndEndsThat)
{
    exiting(true);
    execute(VIRT_MONITOR);
    EXPECT_EQ(1u, cpu.ops->instruction(&cpu, VIRT_MWAIT, 0).qualification);
    EXPECT_EQ(0u, cpu.ops->instruction(&cpu, VIRT_MWAIT, 0).qualification);
}

/* SDM 3C "Clearing Address-Range Monitoring"; the activity state never says MWAIT. */
TEST_P(Mwait, AnExitEndsTheWait)
{
    execute(VIRT_MONITOR);
    execute(VIRT_MWAIT);
    if (GetParam() == &virt_vmx)
        controls({VMX_EXTERNAL_INTERRUPT_EXITING});
    else
        svm_intercept(&cpu.vmcb, SVM_INTR, true);
    const virt_verdict v = cpu.ops->external_interrupt(&cpu, 0xfd);
    EXPECT_TRUE(virt_exits(&v));
    EXPECT_FALSE(virt_waits(&cpu));
}

/* SDM 3C "Virtual-Interrupt Delivery": it wakes the processor from HLT and MWAIT. */
TEST_P(Mwait, AVirtualInterruptEndsTheWaitAndAMaskedOneDoesNot)
{
    deliver_virtually();
    execute(VIRT_MONITOR);
    execute(VIRT_MWAIT);
    cpu.interrupts_enabled = false;
    request(0x51);
    if (GetParam() == &virt_vmx)
        cpu.recognized = true;
    EXPECT_EQ(NO_VECTOR, cpu.ops->boundary(&cpu).vector);
    EXPECT_TRUE(virt_waits(&cpu));
    cpu.interrupts_enabled = true;
    EXPECT_EQ(0x51, cpu.ops->boundary(&cpu).vector);
    EXPECT_FALSE(virt_waits(&cpu));
}

INSTANTIATE_TEST_SUITE_P(OnBothVendors, Mwait, testing::Values(&virt_vmx, &virt_svm),
                         [](const auto &i) { return i.param == &virt_vmx ? "Vmx" : "Svm"; });

/* ---- APM 2 "Instruction Intercepts", table 15-7: IDLE_HLT ---- */

struct IdleHlt : ::testing::Test, VirtMachine {
    IdleHlt() : VirtMachine(&virt_svm, LAPIC_MODE_X2APIC)
    {
        svm_intercept(&cpu.vmcb, SVM_IDLE_HLT, true);
    }
    exit_reason hlt()
    {
        return cpu.ops->instruction(&cpu, VIRT_HLT, 0).reason;
    }
};

TEST_F(IdleHlt, ExitsWhereNoVirtualInterruptIsPending)
{
    EXPECT_EQ(EXIT_SVM_IDLE_HLT, hlt());
    EXPECT_FALSE(cpu.halted);
}

TEST_F(IdleHlt, StaysWithVirqOrAnInterruptOfTheBackingPage)
{
    cpu.vmcb.v_irq = true;
    EXPECT_EQ(EXIT_NONE, hlt());
    cpu.vmcb.v_irq = false;
    cpu.vmcb.avic = true;
    EXPECT_EQ(EXIT_SVM_IDLE_HLT, hlt());
    request(0x51);
    EXPECT_EQ(EXIT_NONE, hlt());
    EXPECT_EQ(0x51, virt_svm.boundary(&cpu).vector);
    EXPECT_FALSE(cpu.halted);
    EXPECT_EQ(EXIT_SVM_IDLE_HLT, hlt()) << "in service is not pending";
}

TEST_F(IdleHlt, WithoutAvicIrrIsNotTheHardwares)
{
    request(0x51);
    EXPECT_EQ(EXIT_SVM_IDLE_HLT, hlt());
}

TEST_F(IdleHlt, TheInterceptOfHltComesBeforeIt)
{
    svm_intercept(&cpu.vmcb, SVM_HLT, true);
    cpu.vmcb.v_irq = true;
    EXPECT_EQ(EXIT_SVM_HLT, hlt());
    cpu.vmcb.v_irq = false;
    EXPECT_EQ(EXIT_SVM_HLT, hlt());
}

} // namespace
