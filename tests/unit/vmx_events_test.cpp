/* Events of a guest on VMX: which of several comes first, what blocks them, which activity states
   they end; injection and what an exit in the midst of it leaves; acknowledgement, the EOI-exit
   bitmap, PAUSE loops, the preemption timer. Sections of SDM 3C stand beside the tests. */
#include "vmx_bench.h"

#include <random>
#include <string>

/* What may be pending at an entry, in the order of the manual. */
enum Event { THRESHOLD, TIMER, NMI_WINDOW, INTERRUPT_WINDOW, VIRTUAL_INTERRUPT, EVENTS };

static const char *const event_names[EVENTS] = {
    "TPR threshold", "preemption timer", "NMI window", "interrupt window", "virtual interrupt"};

static void raise(VmxBench &m, Event e)
{
    switch (e) {
    case THRESHOLD: /* of a guest in xAPIC mode, without virtual-interrupt delivery */
        m.off(VMX_PROCESS_POSTED_INTERRUPTS);
        m.off(VMX_VIRTUAL_INTERRUPT_DELIVERY);
        m.off(VMX_VIRTUALIZE_X2APIC_MODE);
        m.controls({VMX_VIRTUALIZE_APIC_ACCESSES});
        virt_vmx.set_tpr_threshold(&m.cpu, 1);
        break;
    case TIMER:
        m.controls({VMX_ACTIVATE_PREEMPTION_TIMER});
        m.cpu.timer_expired = true;
        break;
    case NMI_WINDOW:
        virt_vmx.open_nmi_window(&m.cpu, true);
        break;
    case INTERRUPT_WINDOW:
        virt_vmx.open_window(&m.cpu, true);
        break;
    case VIRTUAL_INTERRUPT:
        m.request(0x51);
        break;
    case EVENTS:
        break;
    }
}

static Event seen(const virt_boundary &b)
{
    if (!virt_exits(&b.exit))
        return b.vector == NO_VECTOR || b.injected ? EVENTS : VIRTUAL_INTERRUPT;
    switch (b.exit.reason) {
    case EXIT_VMX_TPR_BELOW_THRESHOLD:
        return THRESHOLD;
    case EXIT_VMX_PREEMPTION_TIMER:
        return TIMER;
    case EXIT_VMX_NMI_WINDOW:
        return NMI_WINDOW;
    case EXIT_VMX_INTERRUPT_WINDOW:
        return INTERRUPT_WINDOW;
    default:
        return EVENTS;
    }
}

static std::string list(unsigned set)
{
    std::string text;

    for (int e = 0; e < EVENTS; e++)
        if (set >> e & 1)
            text += event_names[e] + std::string(", ");
    return text;
}

/* ---- priority: "Special Features of VM Entry", "Other Causes of VM Exits" ---- */

TEST(VmxPriority, TheHighestOfAllThatIsPendingComesFirst)
{
    for (unsigned set = 1; set < 1u << EVENTS; set++) {
        VmxBench m;
        for (int e = EVENTS - 1; e >= 0; e--)
            if (set >> e & 1)
                raise(m, (Event)e);
        const bool delivers = !(set >> THRESHOLD & 1);
        const unsigned possible = delivers ? set : set & ~(1u << VIRTUAL_INTERRUPT);
        EXPECT_EQ(__builtin_ctz(possible), seen(m.enter())) << list(set);
    }
}

/* "Event Injection": it comes before them all, and closes what needs RFLAGS.IF. */
TEST(VmxPriority, AnInjectedInterruptComesBeforeAllOfThem)
{
    const Event after[EVENTS] = {THRESHOLD, TIMER, NMI_WINDOW, EVENTS, EVENTS};

    for (int e = 0; e < EVENTS; e++) {
        VmxBench m;
        raise(m, (Event)e);
        virt_vmx.inject(&m.cpu, 0x41, false);
        const virt_boundary b = m.enter();
        EXPECT_EQ(0x41, b.vector) << event_names[e];
        EXPECT_EQ(after[e], seen(b)) << event_names[e];
    }
}

TEST(VmxPriority, AnInjectedNmiClosesTheNmiWindow)
{
    VmxBench m;

    raise(m, NMI_WINDOW);
    virt_vmx.inject(&m.cpu, 2, true);
    const virt_boundary b = m.enter();
    EXPECT_TRUE(b.nmi);
    EXPECT_FALSE(virt_exits(&b.exit));
}

TEST(VmxPriority, ATimerThatIsNotActivatedDoesNotExit)
{
    VmxBench m;

    raise(m, TIMER);
    m.off(VMX_ACTIVATE_PREEMPTION_TIMER);
    expect_quiet(m.enter());
}

/* ---- blocking: "Interruptibility State", "Other Causes of VM Exits" ---- */

TEST(VmxBlocking, IfStiMovSsAndNmisEachBlockTheirEvents)
{
    const struct {
        const char *what;
        bool virt_cpu::*flag; /* nullptr: IF = 0 */
        bool blocks[EVENTS];
    } rows[] = {
        {"IF", nullptr, {false, false, false, true, true}},
        {"STI", &virt_cpu::shadow, {false, false, true, true, true}},
        {"MOV SS", &virt_cpu::mov_ss_shadow, {false, false, true, true, true}},
        {"NMI", &virt_cpu::nmi_blocked, {false, false, true, false, false}},
    };

    for (const auto &row : rows)
        for (int e = 0; e < EVENTS; e++) {
            VmxBench m;
            raise(m, (Event)e);
            if (row.flag)
                m.cpu.*row.flag = true;
            else
                m.cpu.interrupts_enabled = false;
            EXPECT_EQ(row.blocks[e] ? EVENTS : e, seen(m.enter()))
                << row.what << ", " << event_names[e];
        }
}

/* "Interruptibility State": after a vectoring entry neither STI nor MOV SS blocks. */
TEST(VmxBlocking, AnInjectedExceptionEndsBlockingByMovSs)
{
    VmxBench m;

    m.cpu.mov_ss_shadow = true;
    vmcs_set(&m.cpu.vmcs, VMCS_ENTRY_INTR_INFO, 0x80000306); /* #UD */
    EXPECT_EQ(6, m.enter().vector);
    EXPECT_FALSE(m.cpu.mov_ss_shadow);
}

/* "Changes to Instruction Behavior in VMX Non-Root Operation". */
TEST(VmxBlocking, IretUnblocksNmisUnlessTheyExitAndAreNotVirtual)
{
    for (bool exiting : {false, true})
        for (bool virtual_nmis : {false, true}) {
            VmxBench m;
            vmx_control(&m.cpu.vmcs, VMX_NMI_EXITING, exiting);
            vmx_control(&m.cpu.vmcs, VMX_VIRTUAL_NMIS, virtual_nmis);
            m.cpu.nmi_blocked = true;
            virt_vmx.instruction(&m.cpu, VIRT_IRET, 0);
            EXPECT_EQ(exiting && !virtual_nmis, m.cpu.nmi_blocked);
        }
}

/* ---- activity states: "Activity State", "Saving Non-Register State" ---- */

TEST(VmxActivity, EachStateIsEndedByTheEventsThatTheManualNames)
{
    const struct {
        const char *what;
        bool virt_cpu::*state;
        bool ends[EVENTS];
    } rows[] = {
        {"HLT", &virt_cpu::halted, {true, true, true, true, true}},
        {"shutdown", &virt_cpu::shut_down, {false, true, true, false, false}},
        {"wait-for-SIPI", &virt_cpu::waits_for_sipi, {false, false, false, false, false}},
    };

    for (const auto &row : rows)
        for (int e = 0; e < EVENTS; e++) {
            VmxBench m;
            raise(m, (Event)e);
            m.cpu.*row.state = true;
            EXPECT_EQ(row.ends[e] ? e : EVENTS, seen(m.enter()))
                << row.what << ", " << event_names[e];
            EXPECT_EQ(!row.ends[e] || e != VIRTUAL_INTERRUPT, m.cpu.*row.state)
                << "an exit saves the state as it was";
        }
}

TEST(VmxActivity, AVectoringEntryIsActiveWhateverTheFieldSays)
{
    for (bool virt_cpu::*state : {&virt_cpu::halted, &virt_cpu::shut_down}) {
        VmxBench m;
        m.cpu.*state = true;
        virt_vmx.inject(&m.cpu, 2, true);
        EXPECT_TRUE(m.enter().nmi);
        EXPECT_FALSE(m.cpu.*state);
    }
}

/* "VM Exits Induced by the TPR Threshold": suppressed in shutdown, it follows what ends it. */
TEST(VmxActivity, TheThresholdFollowsAnNmiOutOfShutdown)
{
    VmxBench m;

    raise(m, THRESHOLD);
    m.cpu.shut_down = true;
    EXPECT_EQ(EVENTS, seen(m.enter()));
    virt_vmx.inject(&m.cpu, 2, true);
    EXPECT_EQ(THRESHOLD, seen(m.enter()));
}

TEST(VmxActivity, HltIsStillThereAfterAnExternalInterrupt)
{
    VmxBench m;

    m.off(VMX_HLT_EXITING);
    virt_vmx.instruction(&m.cpu, VIRT_HLT, 0);
    expect_exit(virt_vmx.external_interrupt(&m.cpu, 0xec), VIRT_EXIT,
                EXIT_VMX_EXTERNAL_INTERRUPT);
    EXPECT_TRUE(m.cpu.halted);
    expect_quiet(m.enter());
    EXPECT_TRUE(m.cpu.halted);
}

/* ---- injection: "Event Injection", "Information for VM Exits During Event Delivery" ---- */

TEST(VmxInjection, WhatAnExitInterruptedCanBeInjectedAgainAsTheFieldSays)
{
    VmxBench m;
    bool nmi;

    virt_vmx.inject(&m.cpu, 0x51, false);
    m.cpu.delivery_faults = true;
    expect_exit(m.enter().exit, VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
    EXPECT_TRUE(m.cpu.interrupts_enabled) << "RFLAGS is as before the delivery";
    EXPECT_EQ(0x80000051u, vmcs_get(&m.cpu.vmcs, VMCS_IDT_VECTORING_INFO));
    EXPECT_EQ(0u, vmcs_get(&m.cpu.vmcs, VMCS_ENTRY_INTR_INFO)) << "not valid after an exit";
    EXPECT_EQ(0x51, virt_vmx.interrupted_delivery(&m.cpu, &nmi));
    virt_vmx.inject(&m.cpu, 0x51, nmi);
    EXPECT_EQ(0x51, m.enter().vector);
}

/* "Architectural State Before a VM Exit"; "Checks on Guest Non-Register State". */
TEST(VmxInjection, AnInterruptedNmiBlocksNmisAndThatBlockingMustGoFirst)
{
    VmxBench m;

    virt_vmx.inject(&m.cpu, 2, true);
    m.cpu.delivery_faults = true;
    m.cpu.halted = true;
    expect_exit(m.enter().exit, VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
    EXPECT_TRUE(m.cpu.nmi_blocked);
    EXPECT_FALSE(m.cpu.halted) << "active before the exit";
    virt_vmx.inject(&m.cpu, 2, true);
    const vmx_check *refused = vmx_check_entry(&m.cpu);
    ASSERT_NE(nullptr, refused);
    EXPECT_STREQ("NMI_BLOCKED", refused->name);
    m.cpu.nmi_blocked = false;
    EXPECT_TRUE(m.enter().nmi);
}

TEST(VmxInjection, AVirtualInterruptThatMetAFaultIsInServiceAndInjectedAsAnEvent)
{
    VmxBench m;

    m.self_ipi(0x51);
    m.cpu.delivery_faults = true;
    expect_exit(m.boundary().exit, VIRT_EXIT, EXIT_VMX_EPT_VIOLATION);
    EXPECT_EQ(0x51, m.svi());
    EXPECT_EQ(0x80000051u, vmcs_get(&m.cpu.vmcs, VMCS_IDT_VECTORING_INFO));
    expect_quiet(m.enter());
    virt_vmx.inject(&m.cpu, 0x51, false);
    EXPECT_EQ(0x51, m.enter().vector);
    EXPECT_EQ(0x51, m.eoi().retired);
}

/* ---- external interrupts: "Information for VM Exits Due to Vectored Events" ---- */

TEST(VmxExternalInterrupt, TheVectorIsThereOnlyWhereTheExitAcknowledgesIt)
{
    for (bool acknowledges : {false, true})
        for (unsigned vector = 16; vector < 256; vector++) {
            VmxBench m;
            m.off(VMX_PROCESS_POSTED_INTERRUPTS);
            vmx_control(&m.cpu.vmcs, VMX_ACKNOWLEDGE_INTERRUPT_ON_EXIT, acknowledges);
            vmcs_set(&m.cpu.vmcs, VMCS_EXIT_INTR_INFO, 0x800000ff);
            expect_exit(virt_vmx.external_interrupt(&m.cpu, (uint8_t)vector), VIRT_EXIT,
                        EXIT_VMX_EXTERNAL_INTERRUPT);
            EXPECT_EQ(acknowledges ? 0x80000000u | vector : 0u,
                      vmcs_get(&m.cpu.vmcs, VMCS_EXIT_INTR_INFO));
        }
}

/* ---- "EOI Virtualization": the bitmap has a bit a vector ---- */

TEST(VmxEoi, TheExitBitmapHasOneBitForEachVector)
{
    for (unsigned marked = 16; marked < 256; marked += 13)
        for (unsigned vector = 16; vector < 256; vector++) {
            VmxBench m;
            m.exit_on_eoi((uint8_t)marked);
            m.serve((uint8_t)vector);
            ASSERT_EQ(marked == vector, m.eoi().reason == EXIT_VMX_EOI_INDUCED)
                << marked << " " << vector;
        }
}

/* ---- "Instructions That Cause VM Exits Conditionally": PAUSE ---- */

struct PauseLoop : ::testing::Test, VmxBench {
    static constexpr uint64_t GAP = 128, WINDOW = 4096;
    uint64_t tsc = 1000000;

    PauseLoop()
    {
        controls({VMX_PAUSE_LOOP_EXITING});
        vmcs_set(&cpu.vmcs, VMCS_PLE_GAP, GAP);
        vmcs_set(&cpu.vmcs, VMCS_PLE_WINDOW, WINDOW);
    }
    bool pause_after(uint64_t counts)
    {
        tsc += counts;
        const virt_verdict v = virt_vmx.instruction(&cpu, VIRT_PAUSE, tsc);
        EXPECT_EQ(virt_exits(&v) ? EXIT_VMX_PAUSE : EXIT_NONE, v.reason);
        return virt_exits(&v);
    }
};

TEST_F(PauseLoop, ALoopExitsWhenItHasLastedLongerThanTheWindow)
{
    EXPECT_FALSE(pause_after(0));
    for (uint64_t lasted = 64; lasted <= WINDOW; lasted += 64)
        EXPECT_FALSE(pause_after(64)) << lasted;
    EXPECT_TRUE(pause_after(1)) << "one count above it";
}

TEST_F(PauseLoop, AGapLongerThanTheLimitBeginsALoopAnew)
{
    EXPECT_FALSE(pause_after(0));
    for (int n = 0; n < 31; n++)
        EXPECT_FALSE(pause_after(GAP)) << "as long as the limit: the same loop";
    EXPECT_FALSE(pause_after(GAP + 1)) << "the first of another";
    for (int n = 0; n < 32; n++)
        EXPECT_FALSE(pause_after(GAP));
    EXPECT_TRUE(pause_after(GAP));
}

TEST_F(PauseLoop, AnEntryBeginsALoopAnew)
{
    EXPECT_FALSE(pause_after(0));
    for (int n = 0; n < 32; n++)
        EXPECT_FALSE(pause_after(GAP));
    expect_quiet(enter());
    EXPECT_FALSE(pause_after(1));
    EXPECT_FALSE(pause_after(GAP));
}

TEST_F(PauseLoop, PauseExitingComesBeforeIt)
{
    controls({VMX_PAUSE_EXITING});
    EXPECT_TRUE(pause_after(0));
    off(VMX_PAUSE_EXITING);
    off(VMX_PAUSE_LOOP_EXITING);
    for (int n = 0; n < 100; n++)
        EXPECT_FALSE(pause_after(GAP));
}

/* ---- "VMX-Preemption Timer" ---- */

/* The timer as the manual tells it: down by 1 whenever bit 5 of the TSC changes. */
struct CountedTimer {
    uint64_t tsc, left;

    void run_to(uint64_t end)
    {
        for (; tsc < end; tsc++)
            if (((tsc ^ (tsc + 1)) >> 5 & 1) && left)
                left--;
    }
};

TEST(VmxTimer, ItReachesZeroWhenItsBitOfTheTscHasChangedOftenEnough)
{
    std::mt19937_64 random(5);

    for (int n = 0; n < 500; n++) {
        VmxBench m;
        const uint64_t entered = random() % 4096, value = random() % 64;
        vmcs_set(&m.cpu.vmcs, VMCS_PREEMPTION_TIMER, value);
        CountedTimer timer{entered, value};
        while (timer.left)
            timer.run_to(timer.tsc + 1);
        EXPECT_EQ(timer.tsc, vmx_timer_deadline(&m.cpu, entered));
    }
}

TEST(VmxTimer, AnExitSavesWhatIsLeftAndNeverLessThanZero)
{
    std::mt19937_64 random(6);

    for (int n = 0; n < 500; n++) {
        VmxBench m;
        const uint64_t entered = random() % 4096, left = entered + random() % 2048;
        const uint64_t value = random() % 64;
        CountedTimer timer{entered, value};
        timer.run_to(left);
        m.controls({VMX_ACTIVATE_PREEMPTION_TIMER, VMX_SAVE_PREEMPTION_TIMER});
        vmcs_set(&m.cpu.vmcs, VMCS_PREEMPTION_TIMER, value);
        vmx_timer_save(&m.cpu, entered, left);
        EXPECT_EQ(timer.left, vmcs_get(&m.cpu.vmcs, VMCS_PREEMPTION_TIMER));
    }
}

TEST(VmxTimer, WithoutTheControlTheFieldKeepsItsValue)
{
    VmxBench m;

    m.controls({VMX_ACTIVATE_PREEMPTION_TIMER});
    vmcs_set(&m.cpu.vmcs, VMCS_PREEMPTION_TIMER, 100);
    vmx_timer_save(&m.cpu, 0, 3200);
    EXPECT_EQ(100u, vmcs_get(&m.cpu.vmcs, VMCS_PREEMPTION_TIMER));
}
