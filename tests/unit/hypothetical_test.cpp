/*
 * Declared hardware alone, through struct virt_ops: which rule an access meets
 * under each condition, and what the rule's effect leaves behind.
 */
#include "virt_machine.h"

#include <map>

namespace
{

using Access = enum hypothetical_access;
using Condition = enum hypothetical_condition;

constexpr uint32_t ICR_MSR = 0x830, EOI_MSR = 0x80b, TPR_MSR = 0x808, SELF_MSR = 0x83f;
constexpr uint8_t NOTIFICATION = 0xf2, WAKEUP = 0xf1;

/* Three vCPUs' APICs; the hardware under test is that of the first. */
struct Declared : testing::Test, VirtMachine {
    lapic others[2]{};
    posted_descriptor third{};
    posted_descriptor *table[3] = {&descriptor, &other, &third};
    lapic *apics[3] = {&apic, &others[0], &others[1]};
    apic_fabric fabric{};
    avic_target targets[3]{};
    hypothetical_rule rules[8]{};
    unsigned count = 0;
    hypothetical declaration{};

    explicit Declared(lapic_mode mode = LAPIC_MODE_X2APIC) : VirtMachine(&virt_vmx, mode)
    {
        for (uint16_t i = 0; i < 2; i++) {
            lapic_config config = apic.config;
            config.index = i + 1;
            config.apic_id = i + 1u;
            lapic_init(&others[i], &config);
        }
        fabric.apic = apics;
        fabric.count = 3;
        fabric.trace = &trace;
        third.trace = &trace;
        third.owner = 2;
        descriptor.nv = other.nv = third.nv = NOTIFICATION;
        cpu.pid_table = table;
        cpu.target = targets;
        declaration.rule = rules;
        controls({VMX_USE_TPR_SHADOW, VMX_VIRTUALIZE_X2APIC_MODE,
                  VMX_EXTERNAL_INTERRUPT_EXITING, VMX_APIC_REGISTER_VIRTUALIZATION,
                  VMX_VIRTUAL_INTERRUPT_DELIVERY, VMX_PROCESS_POSTED_INTERRUPTS,
                  VMX_USE_MSR_BITMAPS, VMX_HLT_EXITING});
        vmcs_set(&cpu.vmcs, VMCS_POSTED_INTR_VECTOR, NOTIFICATION);
        install(true);
    }
    void install(bool apic_in_kernel)
    {
        hypothetical_install(&declaration, &virt_vmx, &fabric, apic_in_kernel);
        cpu.hypothetical = &declaration;
        cpu.ops = &declaration.ops;
    }
    /* A rule for every cell in which the conditions have these values. */
    void rule(Access a, hypothetical_rule r, const std::map<Condition, unsigned> &when = {})
    {
        rules[count++] = r;
        for (unsigned cell = 0; cell < hypothetical_cells(a); cell++) {
            bool meant = true;
            for (const auto &[condition, value] : when)
                meant &= hypothetical_value_in(a, cell, condition) == value;
            if (meant)
                declaration.rule_of[a][cell] = (uint8_t)count;
        }
    }
    static hypothetical_rule stays(hypothetical_effect e)
    {
        return {HYPOTHETICAL_VIRTUALIZED, e, EXIT_NONE, {7}};
    }
    static hypothetical_rule leaves(exit_reason why)
    {
        return {HYPOTHETICAL_TRAPS, EFFECT_NOTHING, why, {3}};
    }
    virt_verdict icr(uint32_t low, uint32_t dest)
    {
        cpu.message_flow = flow();
        cpu.target_count = 0;
        return cpu.ops->wrmsr(&cpu, ICR_MSR, (uint64_t)dest << 32 | low, now);
    }
    /* Of tell_apart()'s rules that of this value decided. */
    void expect_rule_of_value(unsigned value)
    {
        ASSERT_NE(nullptr, cpu.ruled);
        EXPECT_EQ(value, cpu.ruled->cost.n);
    }
    /* A rule for each value of one condition, told apart by its cost. */
    void tell_apart(Access a, Condition c, exit_reason why)
    {
        for (unsigned value = 0; value < hypothetical_values(c); value++) {
            hypothetical_rule r = leaves(why);
            r.cost.n = value;
            rule(a, r, {{c, value}});
        }
    }
    void serve(uint8_t vector)
    {
        request(vector);
        lapic_serve(&apic, vector);
        cpu.ops->sync(&cpu);
    }
};

/* ---- cells ---- */

TEST(HypotheticalCells, EveryCellIsOneCombinationAndNoCombinationHasTwo)
{
    for (unsigned n = 0; n < HYPOTHETICAL_ACCESS_COUNT; n++) {
        const auto a = (Access)n;
        std::map<std::vector<unsigned>, unsigned> seen;

        ASSERT_LE(hypothetical_cells(a), (unsigned)HYPOTHETICAL_CELLS);
        for (unsigned cell = 0; cell < hypothetical_cells(a); cell++) {
            std::vector<unsigned> values;
            for (unsigned c = 0; c < CONDITION_COUNT; c++) {
                values.push_back(hypothetical_value_in(a, cell, (Condition)c));
                EXPECT_LT(values.back(), hypothetical_values((Condition)c));
            }
            EXPECT_EQ(1u, ++seen[values]) << hypothetical_accesses[n].name << " " << cell;
        }
    }
}

/* ---- what is named, and what is not ---- */

TEST_F(Declared, AnAccessWithoutRulesIsTheBasesOwn)
{
    rule(HYPOTHETICAL_EOI, leaves(EXIT_VMX_APIC_WRITE));
    expect_exit(icr(0x31, 1), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    EXPECT_EQ(nullptr, cpu.ruled);
    expect_exit(cpu.ops->instruction(&cpu, VIRT_CPUID, 0), VIRT_EXIT, EXIT_VMX_CPUID);
    EXPECT_EQ(nullptr, cpu.ruled);
}

TEST_F(Declared, AnUnchangedRuleIsTheBasesOwnToo)
{
    rule(HYPOTHETICAL_IPI_UNICAST, {HYPOTHETICAL_UNCHANGED, EFFECT_NOTHING, EXIT_NONE, {0}});
    expect_exit(icr(0x31, 1), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    EXPECT_EQ(nullptr, cpu.ruled);
}

TEST_F(Declared, TheRuleThatDecidedStandsUntilTheNextAccess)
{
    rule(HYPOTHETICAL_CPUID, stays(EFFECT_NOTHING));
    expect_stay(cpu.ops->instruction(&cpu, VIRT_CPUID, 0), VIRT_DONE);
    ASSERT_NE(nullptr, cpu.ruled);
    EXPECT_EQ(7u, cpu.ruled->cost.n);
    cpu.ops->instruction(&cpu, VIRT_WBINVD, 0);
    EXPECT_EQ(nullptr, cpu.ruled);
}

TEST_F(Declared, WithoutAnApicInTheKernelOnlyInstructionsHaveRules)
{
    rule(HYPOTHETICAL_IPI_UNICAST, leaves(EXIT_VMX_APIC_WRITE));
    rule(HYPOTHETICAL_CPUID, stays(EFFECT_NOTHING));
    install(false);
    expect_exit(icr(0x31, 1), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_stay(cpu.ops->instruction(&cpu, VIRT_CPUID, 0), VIRT_DONE);
}

TEST_F(Declared, OnABaseThatDeliversTheApicsRulesAreOffWhileDeliveryIs)
{
    rule(HYPOTHETICAL_EOI, stays(EFFECT_RETIRE));
    rule(HYPOTHETICAL_CPUID, stays(EFFECT_NOTHING));
    declaration.with_apicv = true;
    expect_stay(cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now), VIRT_DONE);
    EXPECT_NE(nullptr, cpu.ruled);
    vmx_control(&cpu.vmcs, VMX_VIRTUAL_INTERRUPT_DELIVERY, false);
    expect_exit(cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now), VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    expect_stay(cpu.ops->instruction(&cpu, VIRT_CPUID, 0), VIRT_DONE);
}

/* SDM 3A "x2APIC Register Address Space": what a register cannot hold is #GP, rules or not. */
TEST_F(Declared, AWriteThatFaultsMeetsNoRule)
{
    for (Access a : {HYPOTHETICAL_EOI, HYPOTHETICAL_TPR, HYPOTHETICAL_SELF_IPI,
                     HYPOTHETICAL_IPI_OTHER, HYPOTHETICAL_IPI_UNICAST})
        rule(a, leaves(EXIT_VMX_APIC_WRITE));
    cpu.ops->wrmsr(&cpu, EOI_MSR, 1, now);
    EXPECT_EQ(nullptr, cpu.ruled);
    cpu.ops->wrmsr(&cpu, TPR_MSR, 0x100, now);
    EXPECT_EQ(nullptr, cpu.ruled);
    cpu.ops->wrmsr(&cpu, SELF_MSR, 0x131, now);
    EXPECT_EQ(nullptr, cpu.ruled);
    icr(1u << 20 | 0x31, 1);
    EXPECT_EQ(nullptr, cpu.ruled);
    cpu.ops->wrmsr(&cpu, TPR_MSR, 0xff, now);
    EXPECT_NE(nullptr, cpu.ruled);
}

/* ---- which IPI it is ---- */

TEST_F(Declared, AnIcrWriteIsTheAccessThatItsFieldsMake)
{
    const std::vector<std::tuple<uint32_t, uint32_t, Access>> writes = {
        {0x31, 1, HYPOTHETICAL_IPI_UNICAST},
        {0x4031, 1, HYPOTHETICAL_IPI_UNICAST}, /* level assert: of no meaning for edges */
        {0x831, 2, HYPOTHETICAL_IPI_LOGICAL},
        {0x31, UINT32_MAX, HYPOTHETICAL_IPI_BROADCAST},
        {0x831, UINT32_MAX, HYPOTHETICAL_IPI_BROADCAST},
        {2u << 18 | 0x31, 0, HYPOTHETICAL_IPI_BROADCAST},
        {3u << 18 | 0x31, 0, HYPOTHETICAL_IPI_BROADCAST},
        {1u << 18 | 0x31, 0, HYPOTHETICAL_IPI_SELF},
        {4u << 8, 1, HYPOTHETICAL_IPI_OTHER},         /* NMI */
        {1u << 8 | 0x31, 1, HYPOTHETICAL_IPI_OTHER},  /* lowest priority */
        {1u << 15 | 0x31, 1, HYPOTHETICAL_IPI_OTHER}, /* level-triggered */
        {1u << 12 | 0x31, 1, HYPOTHETICAL_IPI_OTHER}, /* delivery status */
    };
    for (Access a :
         {HYPOTHETICAL_IPI_UNICAST, HYPOTHETICAL_IPI_LOGICAL, HYPOTHETICAL_IPI_BROADCAST,
          HYPOTHETICAL_IPI_SELF, HYPOTHETICAL_IPI_OTHER}) {
        hypothetical_rule r = leaves(EXIT_VMX_APIC_WRITE);
        r.cost.n = (uint64_t)a;
        rule(a, r);
    }
    for (const auto &[low, dest, access] : writes) {
        const virt_verdict v = icr(low, dest);
        expect_exit(v, VIRT_EXIT_AFTER, EXIT_VMX_APIC_WRITE);
        EXPECT_EQ((uint64_t)LAPIC_ICR_LO, v.qualification);
        ASSERT_NE(nullptr, cpu.ruled);
        EXPECT_EQ((uint64_t)access, cpu.ruled->cost.n) << std::hex << low;
    }
}

/* ---- conditions ---- */

TEST_F(Declared, TheTargetIsWhereItsDescriptorSays)
{
    tell_apart(HYPOTHETICAL_IPI_UNICAST, CONDITION_TARGET, EXIT_VMX_APIC_WRITE);
    icr(0x31, 1);
    expect_rule_of_value(0);
    other.sn = true;
    icr(0x31, 1);
    expect_rule_of_value(1);
    other.sn = false;
    other.nv = WAKEUP;
    icr(0x31, 1);
    expect_rule_of_value(2);
    icr(0x31, 9);
    expect_rule_of_value(3);
}

TEST_F(Declared, OfSeveralTargetsOnePreemptedCountsBeforeOneHalted)
{
    tell_apart(HYPOTHETICAL_IPI_BROADCAST, CONDITION_TARGET, EXIT_VMX_APIC_WRITE);
    other.nv = WAKEUP;
    icr(3u << 18 | 0x31, 0);
    expect_rule_of_value(2);
    third.sn = true;
    icr(3u << 18 | 0x31, 0);
    expect_rule_of_value(1);
}

TEST_F(Declared, ANotificationIsOutstandingWhenItIsForEveryTarget)
{
    tell_apart(HYPOTHETICAL_IPI_BROADCAST, CONDITION_OUTSTANDING, EXIT_VMX_APIC_WRITE);
    other.on = true;
    icr(3u << 18 | 0x31, 0);
    expect_rule_of_value(0);
    third.on = true;
    icr(3u << 18 | 0x31, 0);
    expect_rule_of_value(1);
}

TEST_F(Declared, AVectorIsLegalFrom16On)
{
    tell_apart(HYPOTHETICAL_IPI_UNICAST, CONDITION_VECTOR, EXIT_VMX_APIC_WRITE);
    icr(16, 1);
    expect_rule_of_value(0);
    icr(15, 1);
    expect_rule_of_value(1);
}

TEST_F(Declared, AnEoiIsWaitedForByTheBitOfTheVectorInService)
{
    tell_apart(HYPOTHETICAL_EOI, CONDITION_EOI_EXIT, EXIT_VMX_APIC_WRITE);
    vmcs_set(&cpu.vmcs, VMCS_EOI_EXIT_BITMAP0, UINT64_C(1) << 0x31);
    serve(0x32);
    cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now);
    expect_rule_of_value(0);
    vmcs_set(&cpu.vmcs, VMCS_EOI_EXIT_BITMAP0, UINT64_C(1) << 0x32);
    cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now);
    expect_rule_of_value(1);
}

TEST_F(Declared, BehindAnEoiWaitsWhatTheNextInServiceDoesNotHoldBack)
{
    tell_apart(HYPOTHETICAL_EOI, CONDITION_WAITING, EXIT_VMX_APIC_WRITE);
    serve(0x41);
    serve(0x51);
    request(0x48); /* the class of what stays in service */
    cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now);
    expect_rule_of_value(0);
    request(0x52); /* held back only by what ends */
    cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now);
    expect_rule_of_value(1);
}

TEST_F(Declared, ATprWriteLetsInWhatItsNewValueDoes)
{
    tell_apart(HYPOTHETICAL_TPR, CONDITION_WAITING, EXIT_VMX_APIC_WRITE);
    apic.regs.TPR = 0xf0;
    request(0x45);
    cpu.ops->wrmsr(&cpu, TPR_MSR, 0x40, now);
    expect_rule_of_value(0);
    cpu.ops->wrmsr(&cpu, TPR_MSR, 0x3f, now);
    expect_rule_of_value(1);
}

TEST_F(Declared, MoveToCr8IsTheTprsUpperHalf)
{
    tell_apart(HYPOTHETICAL_CR8_WRITE, CONDITION_WAITING, EXIT_VMX_CR_ACCESS);
    request(0x45);
    EXPECT_EQ(8u, cpu.ops->write_cr8(&cpu, 4).qualification);
    expect_rule_of_value(0);
    cpu.ops->write_cr8(&cpu, 3);
    expect_rule_of_value(1);
}

TEST_F(Declared, InterruptsAreEnabledByTheFlag)
{
    tell_apart(HYPOTHETICAL_HLT, CONDITION_INTERRUPTS, EXIT_VMX_HLT);
    cpu.ops->instruction(&cpu, VIRT_HLT, 0);
    expect_rule_of_value(0);
    cpu.interrupts_enabled = false;
    cpu.ops->instruction(&cpu, VIRT_HLT, 0);
    expect_rule_of_value(1);
}

TEST_F(Declared, ADeadlineIsPastFromTheInstantThatItNames)
{
    tell_apart(HYPOTHETICAL_TIMER_DEADLINE, CONDITION_DEADLINE, EXIT_VMX_MSR_WRITE);
    const sim_time at{1000000}; /* 2500 cycles of the TSC */
    const auto write = [&](uint64_t tsc) { cpu.ops->wrmsr(&cpu, MSR_TSC_DEADLINE, tsc, at); };
    write(2501);
    expect_rule_of_value(0);
    write(2500);
    expect_rule_of_value(1);
    write(0);
    expect_rule_of_value(2);
}

/* ---- exits ---- */

TEST_F(Declared, AnExitComesBeforeTheAccessOrAfterItAsItsReasonHasIt)
{
    rule(HYPOTHETICAL_EOI, leaves(EXIT_VMX_MSR_WRITE));
    serve(0x31);
    virt_verdict v = cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now);
    expect_exit(v, VIRT_EXIT, EXIT_VMX_MSR_WRITE);
    EXPECT_EQ((uint64_t)EOI_MSR, v.qualification);
    EXPECT_TRUE(vec_has(&apic.regs.ISR, 0x31));
    EXPECT_EQ(exit_reasons[EXIT_VMX_MSR_WRITE].number, vmcs_get(&cpu.vmcs, VMCS_EXIT_REASON));
}

TEST_F(Declared, EoiInducedComesAfterTheVectorHasEnded)
{
    rule(HYPOTHETICAL_EOI, leaves(EXIT_VMX_EOI_INDUCED));
    serve(0x31);
    const virt_verdict v = cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now);
    expect_exit(v, VIRT_EXIT_AFTER, EXIT_VMX_EOI_INDUCED);
    EXPECT_EQ(0x31u, v.qualification);
    EXPECT_FALSE(vec_has(&apic.regs.ISR, 0x31));
    EXPECT_EQ(1u, kept.count(TRACE_RETIRED));
}

TEST_F(Declared, TprBelowThresholdComesAfterTheTprHasItsValue)
{
    rule(HYPOTHETICAL_TPR, leaves(EXIT_VMX_TPR_BELOW_THRESHOLD));
    expect_exit(cpu.ops->wrmsr(&cpu, TPR_MSR, 0x35, now), VIRT_EXIT_AFTER,
                EXIT_VMX_TPR_BELOW_THRESHOLD);
    EXPECT_EQ(0x35u, apic.regs.TPR);
}

TEST_F(Declared, PortsAndAddressesAreTheQualification)
{
    rule(HYPOTHETICAL_PORT_IO, leaves(EXIT_VMX_IO_INSTRUCTION));
    rule(HYPOTHETICAL_CPUID, leaves(EXIT_VMX_CPUID));
    EXPECT_EQ(0x80u, cpu.ops->instruction(&cpu, VIRT_PORT_IO, 0x80).qualification);
    EXPECT_EQ(0u, cpu.ops->instruction(&cpu, VIRT_CPUID, 0x80).qualification);
}

/* ---- effects ---- */

TEST_F(Declared, PostPutsTheVectorIntoTheDescriptorAndSaysWhomToNotify)
{
    rule(HYPOTHETICAL_IPI_LOGICAL, stays(EFFECT_POST_EACH));
    third.sn = true;
    expect_stay(icr(0x831, 0b110), VIRT_DONE);
    EXPECT_TRUE(vec_has(&other.pir, 0x31));
    EXPECT_TRUE(vec_has(&third.pir, 0x31));
    ASSERT_EQ(2u, cpu.target_count);
    EXPECT_TRUE(targets[0].index == 1 && targets[0].running);
    EXPECT_TRUE(targets[1].index == 2 && !targets[1].running) << "SN: nobody is to be told";
    EXPECT_NE(targets[0].flow, targets[1].flow);
    EXPECT_EQ(2u, kept.count(TRACE_ROUTED));
    EXPECT_EQ(2u, kept.count(TRACE_PENDING));
    EXPECT_EQ(0x831u, apic.regs.ICR_LO);
    EXPECT_EQ(0b110u, apic.regs.ICR_HI);
}

TEST_F(Declared, AVectorThatNoApicAcceptsIsRefusedAndNotPosted)
{
    rule(HYPOTHETICAL_IPI_UNICAST, stays(EFFECT_POST));
    icr(15, 1);
    EXPECT_TRUE(vec_empty(&other.pir));
    EXPECT_EQ(1u, kept.count(TRACE_REFUSED));
    EXPECT_EQ(0u, cpu.target_count);
}

TEST_F(Declared, APostToNobodyIsRefused)
{
    rule(HYPOTHETICAL_IPI_UNICAST, stays(EFFECT_POST));
    expect_stay(icr(0x31, 9), VIRT_DONE);
    EXPECT_EQ(1u, kept.count(TRACE_REFUSED));
}

TEST_F(Declared, SetPendingIsTakenAtTheNextBoundary)
{
    rule(HYPOTHETICAL_SELF_IPI, stays(EFFECT_SET_PENDING));
    expect_stay(cpu.ops->wrmsr(&cpu, SELF_MSR, 0x31, now), VIRT_DONE);
    EXPECT_EQ(0x31, rvi());
    EXPECT_EQ(0x31, cpu.ops->boundary(&cpu).vector);
    EXPECT_EQ(1u, kept.count(TRACE_ROUTED));
}

TEST_F(Declared, RetireEndsTheVectorInServiceAndLetsInWhatWaits)
{
    rule(HYPOTHETICAL_EOI, stays(EFFECT_RETIRE));
    serve(0x41);
    request(0x35);
    expect_stay(cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now), VIRT_DONE);
    EXPECT_FALSE(vec_has(&apic.regs.ISR, 0x41));
    EXPECT_EQ(0, svi());
    EXPECT_EQ(0x35, cpu.ops->boundary(&cpu).vector);
    EXPECT_TRUE(port.broadcasts.empty());
}

TEST_F(Declared, RetireOfNothingIsNothing)
{
    rule(HYPOTHETICAL_EOI, stays(EFFECT_RETIRE));
    expect_stay(cpu.ops->wrmsr(&cpu, EOI_MSR, 0, now), VIRT_DONE);
    EXPECT_EQ(0u, kept.count(TRACE_RETIRED));
}

TEST_F(Declared, SetTprLetsInWhatItNoLongerHoldsBack)
{
    rule(HYPOTHETICAL_CR8_WRITE, stays(EFFECT_SET_TPR));
    apic.regs.TPR = 0xf0;
    request(0x45);
    EXPECT_EQ(NO_VECTOR, cpu.ops->boundary(&cpu).vector);
    expect_stay(cpu.ops->write_cr8(&cpu, 3), VIRT_DONE);
    EXPECT_EQ(0x30u, apic.regs.TPR);
    EXPECT_EQ(0x45, cpu.ops->boundary(&cpu).vector);
}

TEST_F(Declared, ApplyWritesTheRegisterAsTheApicDoes)
{
    rule(HYPOTHETICAL_WRITE_LVT_TIMER, stays(EFFECT_APPLY));
    expect_stay(cpu.ops->wrmsr(&cpu, 0x832, 2u << 17 | 0x31, now), VIRT_DONE);
    EXPECT_EQ(2u << 17 | 0x31, apic.regs.LVT_TIMER);
    EXPECT_EQ(2, apic.timer_mode);
}

TEST_F(Declared, ArmTimerSetsTheDeadline)
{
    rule(HYPOTHETICAL_TIMER_DEADLINE, stays(EFFECT_ARM_TIMER));
    apic.timer_mode = 2;
    expect_stay(cpu.ops->wrmsr(&cpu, MSR_TSC_DEADLINE, 2500, now), VIRT_DONE);
    EXPECT_EQ(2500u, lapic_tsc_deadline(&apic));
}

TEST_F(Declared, HaltKeepsTheGuestHalted)
{
    rule(HYPOTHETICAL_HLT, stays(EFFECT_HALT));
    expect_stay(cpu.ops->instruction(&cpu, VIRT_HLT, 0), VIRT_DONE);
    EXPECT_TRUE(cpu.halted);
}

TEST_F(Declared, ANotificationIsToldFromOtherInterruptsOfTheHost)
{
    rule(HYPOTHETICAL_NOTIFICATION, stays(EFFECT_TAKE_POSTED));
    rule(HYPOTHETICAL_HOST_INTERRUPT, leaves(EXIT_VMX_EXTERNAL_INTERRUPT));
    posted_post(&descriptor, 0x31, flow());
    expect_stay(cpu.ops->external_interrupt(&cpu, NOTIFICATION), VIRT_DONE);
    EXPECT_EQ(0x31, rvi());
    expect_exit(cpu.ops->external_interrupt(&cpu, 0xfd), VIRT_EXIT,
                EXIT_VMX_EXTERNAL_INTERRUPT);
    EXPECT_EQ(3u, cpu.ruled->cost.n);
}

/* ---- by the page ---- */

struct DeclaredXapic : Declared {
    DeclaredXapic() : Declared(LAPIC_MODE_XAPIC)
    {
        vmx_control(&cpu.vmcs, VMX_VIRTUALIZE_X2APIC_MODE, false);
        vmx_control(&cpu.vmcs, VMX_VIRTUALIZE_APIC_ACCESSES, true);
    }
};

TEST_F(DeclaredXapic, TheIcrsUpperHalfNamesTheDestination)
{
    rule(HYPOTHETICAL_IPI_UNICAST, stays(EFFECT_POST));
    apic.regs.ICR_HI = 2u << 24;
    cpu.message_flow = flow();
    expect_stay(cpu.ops->apic_write(&cpu, LAPIC_ICR_LO, 0x31, now), VIRT_DONE);
    EXPECT_TRUE(vec_has(&third.pir, 0x31));
    EXPECT_EQ(0x31u, apic.regs.ICR_LO);
    EXPECT_EQ(2u << 24, apic.regs.ICR_HI);
}

TEST_F(DeclaredXapic, RulesMayTellThePageFromTheMsrs)
{
    tell_apart(HYPOTHETICAL_EOI, CONDITION_APIC, EXIT_VMX_APIC_WRITE);
    cpu.ops->apic_write(&cpu, LAPIC_EOI, 0, now);
    expect_rule_of_value(0);
}

TEST_F(DeclaredXapic, AllWordsOfAVectorRegisterAreOneAccess)
{
    rule(HYPOTHETICAL_READ_ISR, leaves(EXIT_VMX_APIC_ACCESS));
    expect_exit(cpu.ops->apic_read(&cpu, LAPIC_ISR, now), VIRT_EXIT, EXIT_VMX_APIC_ACCESS);
    expect_exit(cpu.ops->apic_read(&cpu, LAPIC_ISR + 0x70, now), VIRT_EXIT,
                EXIT_VMX_APIC_ACCESS);
    expect_stay(cpu.ops->apic_read(&cpu, LAPIC_TMR, now), VIRT_DONE);
    EXPECT_EQ(nullptr, cpu.ruled);
}

TEST_F(DeclaredXapic, WhatIsNoRegisterMeetsNoRule)
{
    rule(HYPOTHETICAL_SELF_IPI, stays(EFFECT_SET_PENDING));
    cpu.ops->apic_write(&cpu, LAPIC_SELF_IPI, 0x31, now);
    EXPECT_EQ(nullptr, cpu.ruled);
    cpu.ops->apic_write(&cpu, LAPIC_EOI + 4, 0, now);
    EXPECT_EQ(nullptr, cpu.ruled);
    cpu.ops->apic_read(&cpu, 0x3d0, now);
    EXPECT_EQ(nullptr, cpu.ruled);
}

} // namespace
