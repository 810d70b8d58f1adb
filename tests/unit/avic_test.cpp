/* AVIC and x2AVIC (APM 2 15.29): accesses to the backing page, IPIs by the table, delivery. */
#include <map>

#include "virt_machine.h"

namespace
{

struct Avic : ::testing::Test, VirtMachine {
    static constexpr unsigned CPUS = 4, LOGICAL = 1 << 11;
    lapic others[CPUS - 1]{};
    avic_entry entry[CPUS]{};
    avic_table table{entry, CPUS, &trace};
    avic_target target[CPUS]{};

    explicit Avic(lapic_mode mode = LAPIC_MODE_XAPIC) : VirtMachine(&virt_svm, mode)
    {
        for (unsigned n = 0; n < CPUS - 1; n++) {
            lapic_config config = apic.config;
            config.index = (uint16_t)(n + 1);
            config.apic_id = n + 1;
            lapic_init(&others[n], &config);
        }
        for (unsigned n = 0; n < CPUS; n++)
            entry[n] = {n ? &others[n - 1] : &apic, true, (uint16_t)(10 + n)};
        cpu.avic = &table;
        cpu.target = target;
        cpu.vmcb.avic = true;
        cpu.vmcb.v_intr_masking = true;
        svm_intercept(&cpu.vmcb, SVM_VMRUN, true);
        cpu.x2apic_read_exits = cpu.x2apic_write_exits = 0;
    }
    virt_verdict write(uint16_t offset, uint32_t value)
    {
        cpu.message_flow = flow();
        return virt_svm.apic_write(&cpu, offset, value, now);
    }
    virt_verdict send(uint32_t low, uint8_t destination)
    {
        expect_stay(write(LAPIC_ICR_HI, (uint32_t)destination << 24), VIRT_DONE);
        return write(LAPIC_ICR_LO, low);
    }
    bool has(unsigned n, unsigned vector) const
    {
        return vec_has(&entry[n].backing->regs.IRR, vector);
    }
};

void expect_incomplete(const virt_verdict &v, avic_incomplete why)
{
    expect_exit(v, VIRT_EXIT_AFTER, EXIT_SVM_AVIC_INCOMPLETE_IPI);
    EXPECT_EQ(why, AVIC_INCOMPLETE(v.qualification));
}

/* APM 2 table 15-22, typed here once more: offset, read, write. F fault, A allowed, T trap, X
   accelerated. */
struct Behavior {
    uint16_t offset;
    char read, write;
};
const Behavior table_15_22[] = {
    {0x020, 'A', 'T'}, {0x030, 'A', 'F'}, {0x080, 'A', 'X'}, {0x090, 'F', 'F'},
    {0x0a0, 'A', 'F'}, {0x0b0, 'A', 'X'}, {0x0c0, 'A', 'T'}, {0x0d0, 'A', 'T'},
    {0x0e0, 'A', 'T'}, {0x0f0, 'A', 'T'}, {0x100, 'A', 'F'}, {0x170, 'A', 'F'},
    {0x180, 'A', 'F'}, {0x1f0, 'A', 'F'}, {0x200, 'A', 'F'}, {0x270, 'A', 'F'},
    {0x280, 'A', 'T'}, {0x2f0, 'F', 'F'}, {0x300, 'A', 'X'}, {0x310, 'A', 'A'},
    {0x320, 'A', 'T'}, {0x330, 'A', 'T'}, {0x340, 'A', 'T'}, {0x350, 'A', 'T'},
    {0x360, 'A', 'T'}, {0x370, 'A', 'T'}, {0x380, 'A', 'T'}, {0x390, 'F', 'F'},
    {0x3e0, 'A', 'T'}, {0x040, 'F', 'F'}, {0x3d0, 'F', 'F'},
};

TEST_F(Avic, EachRegisterIsAllowedAcceleratedTrappedOrFaults)
{
    for (const Behavior &row : table_15_22) {
        SCOPED_TRACE(row.offset);
        const virt_verdict r = virt_svm.apic_read(&cpu, row.offset, now);
        if (row.read == 'A')
            expect_stay(r, VIRT_DONE);
        else
            expect_exit(r, VIRT_EXIT, EXIT_SVM_AVIC_NOACCEL);
        if (row.write == 'X')
            continue;
        const virt_verdict w = write(row.offset, 0);
        if (row.write == 'A')
            expect_stay(w, VIRT_DONE);
        else
            expect_exit(w, row.write == 'T' ? VIRT_EXIT_AFTER : VIRT_EXIT,
                        EXIT_SVM_AVIC_NOACCEL);
        EXPECT_EQ(row.write == 'A' ? 0u : row.offset, w.qualification);
    }
}

TEST_F(Avic, UnalignedAndDistantOffsetsFault)
{
    for (uint16_t offset : {0x081, 0x304, 0x400, 0xff0}) {
        expect_exit(virt_svm.apic_read(&cpu, offset, now), VIRT_EXIT, EXIT_SVM_AVIC_NOACCEL);
        expect_exit(write(offset, 0), VIRT_EXIT, EXIT_SVM_AVIC_NOACCEL);
    }
}

TEST_F(Avic, AReadGivesTheBackingPage)
{
    apic.regs.TPR = 0x35;
    EXPECT_EQ(0x35u, virt_svm.apic_read(&cpu, LAPIC_TPR, now).value);
    EXPECT_EQ(0x35u, virt_svm.apic_read(&cpu, LAPIC_PPR, now).value);
}

TEST_F(Avic, AnIpiSetsIrrOfItsTargetAndRingsThere)
{
    expect_stay(send(0x41, 2), VIRT_DONE);
    EXPECT_TRUE(has(2, 0x41));
    EXPECT_FALSE(has(1, 0x41) || has(3, 0x41) || has(0, 0x41));
    ASSERT_EQ(1u, cpu.target_count);
    EXPECT_EQ(2u, target[0].index);
    EXPECT_EQ(12u, target[0].host);
    EXPECT_TRUE(target[0].running);
}

TEST_F(Avic, ATargetThatDoesNotRunHasItsIrrSetBeforeTheExit)
{
    entry[2].running = false;
    expect_incomplete(send(0x41, 2), AVIC_NOT_RUNNING);
    EXPECT_TRUE(has(2, 0x41));
}

TEST_F(Avic, AFixedIpiWithTheLevelTriggerIsOfATypeThatItDoesNotSend)
{
    expect_incomplete(send(1 << 15 | 0x41, 2), AVIC_INVALID_TYPE);
    expect_incomplete(send(1 << 15 | 0x0f, 2), AVIC_INVALID_TYPE);
    EXPECT_FALSE(has(2, 0x41));
}

TEST_F(Avic, OneOfSeveralThatDoesNotRunIsEnoughForTheExit)
{
    entry[3].running = false;
    expect_incomplete(send(IRQ_ALL_BUT_SELF << 18 | 0x41, 0), AVIC_NOT_RUNNING);
    EXPECT_TRUE(has(1, 0x41) && has(2, 0x41) && has(3, 0x41));
    EXPECT_FALSE(has(0, 0x41));
    EXPECT_EQ(3u, cpu.target_count);
}

TEST_F(Avic, AllIncludingSelfAndTheBroadcastReachTheSenderToo)
{
    expect_stay(send(IRQ_ALL_INCLUDING_SELF << 18 | 0x41, 0), VIRT_DONE);
    expect_stay(send(0x42, 0xff), VIRT_DONE);
    for (unsigned n = 0; n < CPUS; n++)
        EXPECT_TRUE(has(n, 0x41) && has(n, 0x42)) << n;
}

TEST_F(Avic, ASelfIpiNeedsNoOneToRun)
{
    entry[0].running = false;
    expect_stay(send(IRQ_SELF << 18 | 0x41, 0), VIRT_DONE);
    EXPECT_TRUE(has(0, 0x41));
}

TEST_F(Avic, ALogicalDestinationFindsEachMember)
{
    for (uint8_t n = 1; n < CPUS; n++)
        table.logical[n] = {true, n};
    expect_stay(send(LOGICAL | 0x41, 0x0a), VIRT_DONE);
    EXPECT_TRUE(has(1, 0x41) && has(3, 0x41));
    EXPECT_FALSE(has(2, 0x41));
}

TEST_F(Avic, TheLogicalTableIsAskedAndNotTheTargetsRegisters)
{
    others[0].regs.LDR = 1u << 24;
    table.logical[0] = {true, 3};
    expect_stay(send(LOGICAL | 0x41, 0x01), VIRT_DONE);
    EXPECT_TRUE(has(3, 0x41));
    EXPECT_FALSE(has(1, 0x41));
}

TEST_F(Avic, OneEntryOfALogicalDestinationThatIsNotValidAndNobodyGetsIt)
{
    table.logical[1] = {true, 1};
    expect_incomplete(send(LOGICAL | 0x41, 0x03), AVIC_INVALID_TARGET);
    EXPECT_FALSE(has(1, 0x41));
    table.logical[0] = {true, 200};
    expect_incomplete(send(LOGICAL | 0x41, 0x03), AVIC_INVALID_TARGET);
    EXPECT_FALSE(has(1, 0x41));
    expect_incomplete(send(LOGICAL | 0x41, 0x00), AVIC_INVALID_TARGET);
}

TEST_F(Avic, InTheClusterModelEachClusterHasFourEntries)
{
    apic.regs.DFR = 0x0fffffff;
    table.logical[2 * 4 + 1] = {true, 1};
    table.logical[2 * 4 + 3] = {true, 2};
    table.logical[14 * 4 + 3] = {true, 3};
    expect_stay(send(LOGICAL | 0x41, 0x2a), VIRT_DONE);
    EXPECT_TRUE(has(1, 0x41) && has(2, 0x41));
    EXPECT_FALSE(has(3, 0x41));
    expect_stay(send(LOGICAL | 0x42, 0xe8), VIRT_DONE);
    EXPECT_TRUE(has(3, 0x42));
    expect_incomplete(send(LOGICAL | 0x42, 0xf1), AVIC_INVALID_TARGET);
}

TEST_F(Avic, ALogicalBroadcastNeedsNoTable)
{
    for (unsigned n = 0; n < CPUS; n++)
        entry[n].backing->regs.LDR = 1u << (24 + n);
    expect_stay(send(LOGICAL | 0x41, 0xff), VIRT_DONE);
    for (unsigned n = 0; n < CPUS; n++)
        EXPECT_TRUE(has(n, 0x41)) << n;
}

TEST_F(Avic, AnApicHasItsEntryWhereItsLogicalIdNamesOneMember)
{
    const struct {
        uint32_t dfr, id;
        int index;
    } rows[] = {{0xffffffff, 0x01, 0},  {0xffffffff, 0x80, 7},  {0xffffffff, 0x03, -1},
                {0xffffffff, 0x00, -1}, {0x0fffffff, 0x01, 0},  {0x0fffffff, 0x28, 11},
                {0x0fffffff, 0xe8, 59}, {0x0fffffff, 0xf1, -1}, {0x0fffffff, 0x20, -1},
                {0x0fffffff, 0x23, -1}};

    for (const auto &row : rows) {
        apic.regs.DFR = row.dfr;
        apic.regs.LDR = row.id << 24;
        EXPECT_EQ(row.index, avic_logical_index(&apic.regs)) << std::hex << row.id;
    }
}

TEST_F(Avic, WhatIsNotFixedIsTheHypervisors)
{
    for (uint32_t mode : {1u, 2u, 4u, 5u, 6u}) {
        expect_incomplete(send(mode << 8 | 0x41, 2), AVIC_INVALID_TYPE);
        EXPECT_FALSE(has(2, 0x41)) << mode;
    }
}

TEST_F(Avic, AVectorBelow16IsRefused)
{
    expect_incomplete(send(0x0f, 2), AVIC_INVALID_VECTOR);
    EXPECT_TRUE(vec_empty(&others[1].regs.IRR));
}

TEST_F(Avic, AnIdWithoutAnEntryIsAnInvalidTarget)
{
    expect_incomplete(send(0x41, 9), AVIC_INVALID_TARGET);
    entry[2].backing = nullptr;
    expect_incomplete(send(0x41, 2), AVIC_INVALID_TARGET);
}

TEST_F(Avic, ASecondIpiOfAPendingVectorIsCoalescedAndRingsNobody)
{
    send(0x41, 2);
    expect_stay(send(0x41, 2), VIRT_DONE);
    EXPECT_EQ(1u, kept.count(TRACE_COALESCED));
    EXPECT_EQ(0u, target[0].flow);
}

TEST_F(Avic, AnInterruptIsDeliveredAtTheNextBoundaryAndRetiredWithoutAnExit)
{
    request(0x41);
    const virt_boundary b = virt_svm.boundary(&cpu);
    EXPECT_EQ(0x41, b.vector);
    EXPECT_FALSE(b.injected);
    EXPECT_FALSE(cpu.interrupts_enabled);
    const virt_verdict v = write(LAPIC_EOI, 0);
    expect_stay(v, VIRT_DONE);
    EXPECT_EQ(0x41, v.retired);
    EXPECT_TRUE(vec_empty(&apic.regs.ISR));
}

TEST_F(Avic, TprHoldsAnInterruptBackAndItsFallLetsItThrough)
{
    request(0x41);
    expect_stay(write(LAPIC_TPR, 0x40), VIRT_DONE);
    EXPECT_EQ(4, cpu.vmcb.v_tpr);
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
    expect_stay(virt_svm.write_cr8(&cpu, 3), VIRT_DONE);
    EXPECT_EQ(0x41, virt_svm.boundary(&cpu).vector);
}

TEST_F(Avic, MaskedInterruptsShadowAndServiceHoldItBack)
{
    request(0x41);
    cpu.interrupts_enabled = false;
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
    cpu.interrupts_enabled = cpu.shadow = true;
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
    cpu.shadow = false;
    EXPECT_EQ(0x41, virt_svm.boundary(&cpu).vector);
    request(0x42); /* the same class as the one in service */
    cpu.interrupts_enabled = true;
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
}

TEST_F(Avic, TheEoiOfALevelIsLeftToTheHypervisor)
{
    irq_msg level{};
    level.vector = 0x51;
    level.level = true;
    level.flow = flow();
    lapic_accept(&apic, &level);
    EXPECT_EQ(0x51, virt_svm.boundary(&cpu).vector);
    const virt_verdict v = write(LAPIC_EOI, 0);
    expect_exit(v, VIRT_EXIT_AFTER, EXIT_SVM_AVIC_NOACCEL);
    EXPECT_EQ((uint64_t)LAPIC_EOI, v.qualification);
    EXPECT_TRUE(vec_has(&apic.regs.ISR, 0x51)) << "the hypervisor ends it";
}

TEST_F(Avic, ADoorbellIsNoExit)
{
    svm_intercept(&cpu.vmcb, SVM_INTR, true);
    expect_stay(virt_svm.external_interrupt(&cpu, VIRT_DOORBELL), VIRT_DONE);
    expect_exit(virt_svm.external_interrupt(&cpu, 0xfd), VIRT_EXIT, EXIT_SVM_INTR);
}

TEST_F(Avic, ADeliveryThatMeetsAnUnmappedPageLosesNothing)
{
    request(0x41);
    cpu.delivery_faults = true;
    const virt_boundary b = virt_svm.boundary(&cpu);
    expect_exit(b.exit, VIRT_EXIT, EXIT_SVM_NPF);
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x41));
    EXPECT_EQ(0x41, virt_svm.boundary(&cpu).vector);
}

TEST_F(Avic, SwitchedOffEveryAccessIsAPageFaultAgain)
{
    cpu.vmcb.avic = false;
    expect_exit(virt_svm.apic_read(&cpu, LAPIC_TPR, now), VIRT_EXIT, EXIT_SVM_NPF);
    request(0x41);
    EXPECT_EQ(NO_VECTOR, virt_svm.boundary(&cpu).vector);
    EXPECT_FALSE(virt_svm.delivers(&cpu));
}

struct X2Avic : Avic {
    X2Avic() : Avic(LAPIC_MODE_X2APIC)
    {
    }
    virt_verdict wrmsr(uint32_t msr, uint64_t value)
    {
        cpu.message_flow = flow();
        return virt_svm.wrmsr(&cpu, msr, value, now);
    }
};

TEST_F(X2Avic, MsrsBehaveAsTheirRegisters)
{
    expect_stay(virt_svm.rdmsr(&cpu, 0x808, now), VIRT_DONE);
    expect_exit(virt_svm.rdmsr(&cpu, 0x839, now), VIRT_EXIT, EXIT_SVM_AVIC_NOACCEL);
    expect_exit(wrmsr(0x832, 0), VIRT_EXIT_AFTER, EXIT_SVM_AVIC_NOACCEL);
    expect_stay(wrmsr(0x830, UINT64_C(3) << 32 | 0x41), VIRT_DONE);
    EXPECT_TRUE(has(3, 0x41));
    expect_stay(wrmsr(0x83f, 0x42), VIRT_DONE);
    EXPECT_TRUE(has(0, 0x42));
}

TEST_F(X2Avic, AnMsrThatTheMapInterceptsLeavesAsBefore)
{
    svm_intercept(&cpu.vmcb, SVM_MSR, true);
    cpu.x2apic_write_exits = ~UINT64_C(0);
    expect_exit(wrmsr(0x830, 0x41), VIRT_EXIT, EXIT_SVM_MSR);
}

} // namespace
