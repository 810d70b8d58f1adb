/* User interrupts under VMX: SENDUIPI, notifications that come as virtual, as injected and as
   physical interrupts, and what delivers a user interrupt. Sections stand beside the tests. */
#include "uintr_bench.h"

struct VmxUintr : ::testing::Test, UintrBench {
};

/* ---- SDM 3C "Virtualizing SENDUIPI": what the other controls have to do with it ---- */

TEST_F(VmxUintr, IpiVirtualizationRefusesWhatItRefusesOfAnIcr)
{
    expect_exit(senduipi(15, 1), VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
    expect_exit(senduipi(0x31, 4), VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
    expect_exit(senduipi(0x31, 2), VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE); /* not valid */
    EXPECT_TRUE(vec_empty(&other.pir));
}

TEST_F(VmxUintr, AnExitFindsTheIpiInTheVirtualIcr)
{
    off(VMX_IPI_VIRTUALIZATION);
    senduipi(0xec, 0x12345);
    EXPECT_EQ(0xecu, apic.regs.ICR_LO);
    EXPECT_EQ(0x12345u, apic.regs.ICR_HI);
    use_page();
    senduipi(0xed, 0x12345);
    EXPECT_EQ(0xedu, apic.regs.ICR_LO);
    EXPECT_EQ(0x23000000u, apic.regs.ICR_HI) << "bits 15:8 of NDST";
}

TEST_F(VmxUintr, AnXapicsDestinationIsInBits15To8OfNdst)
{
    use_page();
    EXPECT_EQ(&other, senduipi(0x31, 0x100).notify);
    EXPECT_EQ(VIRT_EXIT_AFTER, senduipi(0x31, 0x400).path);
    EXPECT_EQ(VIRT_DONE, senduipi(0x32, 0x100ff).path) << "the other bits do not count";
}

/* ---- SDM 3C "Virtualizing User-Interrupt Notifications" ---- */

TEST_F(VmxUintr, AVirtualInterruptOfVectorUinvIsTakenAndRunsNoHandler)
{
    notify(5);
    expect_notification(boundary());
    EXPECT_EQ(UINT64_C(1) << 5, user.uirr);
    EXPECT_EQ(0u, upid.words.word[0] & 1) << "ON";
    EXPECT_EQ(0u, upid.words.word[1]);
    EXPECT_TRUE(cpu.interrupts_enabled) << "nothing went through the IDT";
    EXPECT_TRUE(cpu.user_mode);
    EXPECT_TRUE(vec_empty(&apic.regs.ISR)) << "acknowledged";
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
    EXPECT_EQ(0, svi());
    EXPECT_EQ(0u, apic.regs.PPR);
}

TEST_F(VmxUintr, ItsFlowEndsAsTakenAndRetired)
{
    notify(5);
    const trace_flow notification = cpu.message_flow;
    kept.records.clear();
    boundary();
    ASSERT_EQ(3u, kept.records.size());
    EXPECT_EQ(TRACE_TAKEN, kept.records[0].event);
    EXPECT_EQ(TRACE_EOI, kept.records[1].event);
    EXPECT_EQ(TRACE_RETIRED, kept.records[2].event);
    for (const trace_record &r : kept.records) {
        EXPECT_EQ(notification, r.flow);
        EXPECT_EQ(UINV, r.a);
    }
}

TEST_F(VmxUintr, OtherVectorsAndAGuestWithoutCr4UintrGoThroughTheIdt)
{
    self_ipi(UINV + 1);
    EXPECT_EQ(UINV + 1, boundary().vector);
    EXPECT_FALSE(cpu.interrupts_enabled);
    UintrBench off;
    off.cpu.user = nullptr;
    off.notify(5);
    const virt_boundary b = off.boundary();
    EXPECT_EQ(UINV, b.vector);
    EXPECT_FALSE(b.notification);
    EXPECT_TRUE(vec_has(&off.apic.regs.ISR, UINV));
}

TEST_F(VmxUintr, AnInterruptBehindTheNotificationIsFoundByItsEoi)
{
    notify(5);
    self_ipi(0x41);
    expect_notification(boundary());
    EXPECT_TRUE(cpu.recognized);
    EXPECT_EQ(0x41, boundary().vector);
}

TEST_F(VmxUintr, AHigherOneInServiceHoldsTheNotificationAndStaysInService)
{
    serve(0x91);
    notify(5);
    expect_quiet(boundary());
    EXPECT_EQ(0u, user.uirr);
    UintrBench lower;
    lower.serve(0x41);
    lower.notify(5);
    expect_notification(lower.boundary());
    EXPECT_TRUE(vec_has(&lower.apic.regs.ISR, 0x41));
    EXPECT_EQ(0x41, lower.svi());
    EXPECT_EQ(0x40u, lower.apic.regs.PPR);
}

TEST_F(VmxUintr, WithInterruptsOffTheNotificationWaits)
{
    cpu.interrupts_enabled = false;
    notify(5);
    expect_quiet(boundary());
    cpu.interrupts_enabled = true;
    expect_notification(boundary());
}

/* SDM 3A "User-Interrupt Notification Processing": HLT goes on, since it is not user code's. */
TEST_F(VmxUintr, ANotificationDoesNotEndHlt)
{
    cpu.halted = true;
    notify(5);
    expect_notification(boundary());
    EXPECT_TRUE(cpu.halted);
    expect_quiet(boundary());
    self_ipi(0x41);
    EXPECT_EQ(0x41, boundary().vector);
    EXPECT_FALSE(cpu.halted);
}

/* SDM 3C "Posted-Interrupt Processing" says so of its own notification. */
TEST_F(VmxUintr, ANotificationEndsMwait)
{
    cpu.monitor = VIRT_MONITOR_WAITING;
    notify(5);
    expect_notification(boundary());
    EXPECT_FALSE(virt_waits(&cpu));
    expect_user(boundary(), 5);
}

/* ---- SDM 3C "Event Injection": a notification is processed, not identified: no EOI ---- */

TEST_F(VmxUintr, AnInjectedUinvIsTakenAndTheApicIsLeftAlone)
{
    vec_set(&apic.regs.ISR, UINV);
    virt_vmx.sync(&cpu);
    post(5);
    virt_vmx.inject(&cpu, UINV, false);
    const virt_boundary b = enter();
    expect_notification(b);
    EXPECT_TRUE(b.injected);
    EXPECT_EQ(UINT64_C(1) << 5, user.uirr);
    EXPECT_TRUE(vec_has(&apic.regs.ISR, UINV));
    EXPECT_TRUE(cpu.interrupts_enabled);
    expect_user(boundary(), 5);
}

TEST_F(VmxUintr, OnlyAnExternalInterruptIsInjectedAsANotification)
{
    user.uinv = 2;
    vmcs_set(&cpu.vmcs, VMCS_GUEST_UINV, 2);
    post(5);
    virt_vmx.inject(&cpu, 2, true);
    const virt_boundary b = enter();
    EXPECT_TRUE(b.nmi);
    EXPECT_FALSE(b.notification);
    EXPECT_EQ(0u, user.uirr);
}

TEST_F(VmxUintr, BehindAnInjectedNotificationTheGuestMayLeaveButNothingIsDelivered)
{
    post(5);
    self_ipi(0x41);
    virt_vmx.inject(&cpu, UINV, false);
    expect_notification(enter());
    EXPECT_EQ(0x41, boundary().vector);
    UintrBench window, timer;
    window.post(5);
    virt_vmx.inject(&window.cpu, UINV, false);
    virt_vmx.open_window(&window.cpu, true);
    const virt_boundary b = window.enter();
    EXPECT_TRUE(b.notification);
    EXPECT_EQ(EXIT_VMX_INTERRUPT_WINDOW, b.exit.reason);
    timer.controls({VMX_ACTIVATE_PREEMPTION_TIMER});
    timer.cpu.timer_expired = true;
    virt_vmx.inject(&timer.cpu, UINV, false);
    EXPECT_EQ(EXIT_VMX_PREEMPTION_TIMER, timer.enter().exit.reason);
}

/* ---- a physical interrupt, where those do not exit: ELI ---- */

TEST_F(VmxUintr, APhysicalUinvThatDoesNotExitIsTakenAndAcknowledged)
{
    off(VMX_PROCESS_POSTED_INTERRUPTS);
    off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
    off(VMX_EXTERNAL_INTERRUPT_EXITING);
    post(5);
    lapic_set_pending(&apic, UINV, flow());
    vec_set(&cpu.direct, UINV);
    expect_notification(boundary());
    EXPECT_EQ(UINT64_C(1) << 5, user.uirr);
    EXPECT_TRUE(vec_empty(&apic.regs.ISR));
    EXPECT_EQ(1u, kept.count(TRACE_TAKEN));
}

/* ---- SDM 3A "User-Interrupt Delivery" ---- */

TEST_F(VmxUintr, TheHighestRequestIsDeliveredToUserCode)
{
    user.uirr = 1 << 5 | 1 << 2;
    expect_user(boundary(), 5);
    EXPECT_EQ(1u << 2, user.uirr);
    EXPECT_FALSE(user.uif);
    EXPECT_TRUE(cpu.interrupts_enabled) << "RFLAGS.IF is not touched";
    EXPECT_TRUE(cpu.user_mode);
    expect_quiet(boundary());
    user.uif = true;
    expect_user(boundary(), 2);
}

TEST_F(VmxUintr, ItNeedsUifAndUserModeAndNoMovSsAndNeitherIfNorSti)
{
    const struct {
        const char *what;
        void (*set)(UintrBench &m);
        bool delivered;
    } rows[] = {
        {"UIF = 0", [](UintrBench &m) { m.user.uif = false; }, false},
        {"CPL 0", [](UintrBench &m) { m.cpu.user_mode = false; }, false},
        {"MOV SS", [](UintrBench &m) { m.cpu.mov_ss_shadow = true; }, false},
        {"HLT", [](UintrBench &m) { m.cpu.halted = true; }, false},
        {"MWAIT", [](UintrBench &m) { m.cpu.monitor = VIRT_MONITOR_WAITING; }, false},
        {"shutdown", [](UintrBench &m) { m.cpu.shut_down = true; }, false},
        {"wait-for-SIPI", [](UintrBench &m) { m.cpu.waits_for_sipi = true; }, false},
        {"no request", [](UintrBench &m) { m.user.uirr = 0; }, false},
        {"CR4.UINTR = 0", [](UintrBench &m) { m.cpu.user = nullptr; }, false},
        {"IF = 0", [](UintrBench &m) { m.cpu.interrupts_enabled = false; }, true},
        {"STI", [](UintrBench &m) { m.cpu.shadow = true; }, true},
        {"TPR", [](UintrBench &m) { m.tpr(0xff); }, true},
    };

    for (const auto &row : rows) {
        UintrBench m;
        m.user.uirr = 1;
        row.set(m);
        EXPECT_EQ(row.delivered, m.boundary().user) << row.what;
    }
}

TEST_F(VmxUintr, OrdinaryInterruptsComeFirstAndTheirHandlersAreTheKernels)
{
    user.uirr = 1;
    self_ipi(0x41);
    EXPECT_EQ(0x41, boundary().vector);
    EXPECT_FALSE(cpu.user_mode);
    cpu.interrupts_enabled = true;
    expect_quiet(boundary());
    cpu.user_mode = true; /* IRET */
    expect_user(boundary(), 0);
}

TEST_F(VmxUintr, AnEntryDeliversAUserInterruptThatWaits)
{
    user.uirr = 1 << 3;
    expect_user(enter(), 3);
}

TEST_F(VmxUintr, AnInjectedInterruptIsNotInterruptedByAUserInterrupt)
{
    user.uirr = 1;
    virt_vmx.inject(&cpu, 0x41, false);
    const virt_boundary b = enter();
    EXPECT_EQ(0x41, b.vector);
    EXPECT_FALSE(b.user);
    EXPECT_EQ(1u, user.uirr);
}

/* ---- UINV at an exit and at an entry ---- */

TEST_F(VmxUintr, AnExitSavesUinvAndAnEntryLoadsIt)
{
    controls({VMX_CLEAR_UINV, VMX_LOAD_UINV});
    vmcs_set(&cpu.vmcs, VMCS_GUEST_UINV, 0);
    virt_vmx.instruction(&cpu, VIRT_CPUID, 0);
    EXPECT_EQ(UINV, vmcs_get(&cpu.vmcs, VMCS_GUEST_UINV));
    EXPECT_EQ(0, user.uinv);
    enter();
    EXPECT_EQ(UINV, user.uinv);
}

TEST_F(VmxUintr, WithoutTheControlsUinvStaysInTheProcessor)
{
    virt_vmx.instruction(&cpu, VIRT_CPUID, 0);
    EXPECT_EQ(UINV, user.uinv);
    EXPECT_EQ(UINV, vmcs_get(&cpu.vmcs, VMCS_GUEST_UINV)) << "it is saved all the same";
    vmcs_set(&cpu.vmcs, VMCS_GUEST_UINV, 0x55);
    enter();
    EXPECT_EQ(UINV, user.uinv);
}
