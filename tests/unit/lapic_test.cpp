/*
 * The local APIC: acceptance, priorities, registers, errors, modes. Numbers in
 * comments ("point 33") are those of the conformance list in
 * docs/models/lapic.md.
 */
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include "unit/lapic_bench.h"

namespace
{

/* ---- acceptance ---- */

using Acceptance = LapicBench;

TEST_F(Acceptance, AFixedInterruptWaitsInIrrUntilTheCoreTakesIt)
{
    EXPECT_EQ(accept(fixed(0x31)), LAPIC_ACCEPTED);
    EXPECT_EQ(read(LAPIC_IRR + 0x10), 1u << 0x11);
    EXPECT_EQ(lapic_pending(&apic), 0x31);
    EXPECT_EQ(lapic_acknowledge(&apic), 0x31);
    EXPECT_EQ(read(LAPIC_IRR + 0x10), 0u);
    EXPECT_EQ(read(LAPIC_ISR + 0x10), 1u << 0x11);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
    EXPECT_EQ(lapic_eoi(&apic), 0x31);
    EXPECT_EQ(read(LAPIC_ISR + 0x10), 0u);
}

TEST_F(Acceptance, TheSameVectorCanWaitWhileItIsInService)
{
    accept(fixed(0x31));
    lapic_acknowledge(&apic);
    EXPECT_EQ(accept(fixed(0x31)), LAPIC_ACCEPTED);
    EXPECT_EQ(accept(fixed(0x31)), LAPIC_COALESCED);
    lapic_eoi(&apic);
    EXPECT_EQ(lapic_acknowledge(&apic), 0x31);
    lapic_eoi(&apic);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
}

TEST_F(Acceptance, LowestPriorityArrivesAsAFixedInterrupt)
{
    EXPECT_EQ(accept(of_mode(IRQ_LOWEST_PRIORITY, 0x40)), LAPIC_ACCEPTED);
    EXPECT_EQ(lapic_pending(&apic), 0x40);
}

/* Points 77 to 81. */
TEST_F(Acceptance, TmrFollowsTheTriggerModeAtAcceptanceAndSurvivesEoi)
{
    const auto tmr = [&] { return read(LAPIC_TMR + 0x30) >> 0x19 & 1; };

    accept(fixed(0x79, false));
    EXPECT_EQ(tmr(), 0u);
    lapic_acknowledge(&apic);
    lapic_eoi(&apic);
    accept(fixed(0x79, true));
    EXPECT_EQ(tmr(), 1u);
    lapic_acknowledge(&apic);
    lapic_eoi(&apic);
    EXPECT_EQ(tmr(), 1u);
    accept(fixed(0x79, false));
    EXPECT_EQ(tmr(), 0u);
}

TEST_F(Acceptance, ASoftwareDisabledApicRefusesVectorsAndTakesNmiInitAndSipi)
{
    write(LAPIC_SVR, 0xff);
    EXPECT_EQ(accept(fixed(0x31)), LAPIC_DISABLED);
    EXPECT_EQ(accept(fixed(0x01)), LAPIC_DISABLED);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
    EXPECT_EQ(accept(of_mode(IRQ_NMI)), LAPIC_ACCEPTED);
    EXPECT_EQ(accept(of_mode(IRQ_INIT)), LAPIC_ACCEPTED);
    EXPECT_EQ(accept(of_mode(IRQ_STARTUP, 0x9a)), LAPIC_ACCEPTED);
    EXPECT_TRUE(apic.nmi_pending && apic.init_pending && apic.sipi_pending);
    EXPECT_EQ(apic.sipi_vector, 0x9a);
}

TEST_F(Acceptance, WhatWasPendingWhenSoftwareDisabledTheApicIsStillDelivered)
{
    accept(fixed(0x31));
    write(LAPIC_SVR, 0xff);
    EXPECT_EQ(lapic_acknowledge(&apic), 0x31);
}

TEST_F(Acceptance, AGloballyDisabledApicTakesNothingAtAll)
{
    power_up(LAPIC_MODE_DISABLED);
    for (int mode : {IRQ_FIXED, IRQ_LOWEST_PRIORITY, IRQ_NMI, IRQ_INIT, IRQ_STARTUP})
        EXPECT_EQ(accept(of_mode(static_cast<irq_delivery>(mode), 0x31)), LAPIC_DISABLED);
    EXPECT_FALSE(apic.nmi_pending || apic.init_pending || apic.sipi_pending);
}

/* One can wait, the rest merge into it. */
TEST_F(Acceptance, NmisMergeIntoOnePending)
{
    EXPECT_EQ(accept(of_mode(IRQ_NMI)), LAPIC_ACCEPTED);
    for (int i = 0; i < 9; i++)
        EXPECT_EQ(accept(of_mode(IRQ_NMI)), LAPIC_COALESCED);
    EXPECT_TRUE(apic.nmi_pending);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
}

TEST_F(Acceptance, AnInitLevelDeassertIsIgnored)
{
    irq_msg msg = of_mode(IRQ_INIT);
    msg.level = msg.deassert = true;
    EXPECT_EQ(accept(msg), LAPIC_IGNORED);
    EXPECT_FALSE(apic.init_pending);
}

TEST_F(Acceptance, SmiAndExtIntNeverEnterIrr)
{
    EXPECT_EQ(accept(of_mode(IRQ_SMI, 0x31)), LAPIC_IGNORED);
    EXPECT_TRUE(apic.smi_pending);
    EXPECT_EQ(accept(of_mode(IRQ_EXTINT, 0x31)), LAPIC_INTA);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
}

TEST_F(Acceptance, TheReservedDeliveryModeIsNoInterrupt)
{
    EXPECT_EQ(accept(of_mode(static_cast<irq_delivery>(3), 0x31)), LAPIC_IGNORED);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
}

/* ---- ExtINT messages ---- */

TEST_F(Acceptance, AnExtIntMessageAsksForOneIntaCycle)
{
    EXPECT_FALSE(lapic_extint(&apic));
    EXPECT_EQ(accept(of_mode(IRQ_EXTINT)), LAPIC_INTA);
    EXPECT_TRUE(lapic_extint(&apic));
    EXPECT_EQ(accept(of_mode(IRQ_EXTINT)), LAPIC_INTA);
    lapic_acknowledge_extint(&apic);
    EXPECT_FALSE(lapic_extint(&apic));
}

TEST_F(Acceptance, ASoftwareDisabledApicRefusesExtInt)
{
    write(LAPIC_SVR, 0xff);
    EXPECT_EQ(accept(of_mode(IRQ_EXTINT)), LAPIC_DISABLED);
    EXPECT_FALSE(lapic_extint(&apic));
}

/* The interrupt is the 8259A's request: its flow, not the message's, goes on. */
TEST_F(Acceptance, TheFlowOfAnExtIntMessageEndsHere)
{
    irq_msg msg = of_mode(IRQ_EXTINT);
    accept(msg);
    EXPECT_TRUE(recorder.records.empty());
    msg.flow = 5;
    accept(msg);
    ASSERT_EQ(recorder.records.size(), 1u);
    EXPECT_EQ(recorder.records[0].event, TRACE_REFUSED);
    EXPECT_EQ(recorder.records[0].b, TRACE_REFUSED_MODE);
}

TEST_F(Acceptance, CheckTouchesTmrAndNotIrr)
{
    const irq_msg msg = fixed(0x31, true);
    EXPECT_EQ(lapic_check(&apic, &msg), LAPIC_ACCEPTED);
    EXPECT_TRUE(vec_has(&apic.regs.TMR, 0x31));
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
    EXPECT_TRUE(recorder.records.empty());
}

/* ---- the trace ---- */

using Trace = LapicBench;

TEST_F(Trace, AFlowRunsFromPendingToRetired)
{
    accept(fixed(0x31, false, 42));
    lapic_acknowledge(&apic);
    lapic_eoi(&apic);

    const std::vector<uint16_t> stages = {TRACE_PENDING, TRACE_EOI, TRACE_RETIRED};
    ASSERT_EQ(recorder.records.size(), stages.size());
    for (size_t i = 0; i < stages.size(); i++) {
        EXPECT_EQ(recorder.records[i].event, stages[i]);
        EXPECT_EQ(recorder.records[i].flow, 42u);
        EXPECT_EQ(recorder.records[i].where, 7u);
        EXPECT_EQ(recorder.records[i].a, 0x31u);
    }
}

TEST_F(Trace, ACoalescedFlowEndsAndTheFirstOneGoesOn)
{
    accept(fixed(0x31, false, 1));
    accept(fixed(0x31, false, 2));
    lapic_set_pending(&apic, 0x31, 3);
    lapic_acknowledge(&apic);
    lapic_eoi(&apic);

    const auto coalesced = recorder.of(TRACE_COALESCED);
    ASSERT_EQ(coalesced.size(), 2u);
    EXPECT_EQ(coalesced[0].flow, 2u);
    EXPECT_EQ(coalesced[1].flow, 3u);
    EXPECT_EQ(coalesced[0].b, TRACE_HELD_IRR);
    EXPECT_EQ(recorder.of(TRACE_RETIRED).at(0).flow, 1u);
}

TEST_F(Trace, TwoInterruptsOfOneVectorKeepTheirFlowsApart)
{
    accept(fixed(0x31, false, 1));
    lapic_acknowledge(&apic);
    accept(fixed(0x31, false, 2));
    lapic_eoi(&apic);
    lapic_acknowledge(&apic);
    lapic_eoi(&apic);
    EXPECT_EQ(recorder.of(TRACE_RETIRED).at(0).flow, 1u);
    EXPECT_EQ(recorder.of(TRACE_RETIRED).at(1).flow, 2u);
}

TEST_F(Trace, AVectorThatWasPostedEntersIrrWithoutAnotherPending)
{
    lapic_set_pending(&apic, 0x31, 5);
    EXPECT_TRUE(recorder.records.empty());
    lapic_acknowledge(&apic);
    lapic_eoi(&apic);
    EXPECT_EQ(recorder.of(TRACE_RETIRED).at(0).flow, 5u);
}

TEST_F(Trace, EveryRefusalSaysWhy)
{
    accept(fixed(3, false, 1));
    accept(of_mode(IRQ_STARTUP));
    accept(of_mode(IRQ_SMI));
    write(LAPIC_SVR, 0);
    accept(fixed(0x31));

    const auto refused = recorder.of(TRACE_REFUSED);
    ASSERT_EQ(refused.size(), 4u);
    EXPECT_EQ(refused[0].b, TRACE_REFUSED_ILLEGAL_VECTOR);
    EXPECT_EQ(refused[1].b, TRACE_REFUSED_MODE);
    EXPECT_EQ(refused[2].b, TRACE_REFUSED_MODE);
    EXPECT_EQ(refused[3].b, TRACE_REFUSED_DISABLED);
}

TEST_F(Trace, AnNmiIsHeldOutsideIrr)
{
    irq_msg nmi = of_mode(IRQ_NMI, 2);
    nmi.flow = 9;
    accept(nmi);
    accept(nmi);
    EXPECT_EQ(recorder.of(TRACE_PENDING).at(0).b, TRACE_HELD_NMI);
    EXPECT_EQ(recorder.of(TRACE_COALESCED).at(0).b, TRACE_HELD_NMI);
    EXPECT_EQ(apic.nmi_flow, 9u);
}

/* ---- priorities ---- */

using Priorities = LapicBench;

TEST_F(Priorities, AHigherClassPreemptsAndEoiReturnsToTheLower)
{
    accept(fixed(0x41));
    EXPECT_EQ(lapic_acknowledge(&apic), 0x41);
    accept(fixed(0x52));
    EXPECT_EQ(lapic_acknowledge(&apic), 0x52);
    EXPECT_EQ(lapic_ppr(&apic), 0x50);
    EXPECT_EQ(lapic_eoi(&apic), 0x52);
    EXPECT_EQ(lapic_ppr(&apic), 0x40);
    EXPECT_EQ(lapic_eoi(&apic), 0x41);
}

TEST_F(Priorities, TheSameClassWaits)
{
    accept(fixed(0x41));
    lapic_acknowledge(&apic);
    accept(fixed(0x4f));
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
    lapic_eoi(&apic);
    EXPECT_EQ(lapic_pending(&apic), 0x4f);
}

TEST_F(Priorities, TprHoldsBackItsOwnClassAndTheOnesBelow)
{
    accept(fixed(0x41));
    write(LAPIC_TPR, 0x40);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
    write(LAPIC_TPR, 0x3f);
    EXPECT_EQ(lapic_pending(&apic), 0x41);
    write(LAPIC_TPR, 0xff);
    accept(fixed(0xff));
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
}

TEST_F(Priorities, PprShowsTheSubclassOfTprOnlyWhenTprIsNotBelow)
{
    write(LAPIC_TPR, 0x35);
    EXPECT_EQ(read(LAPIC_PPR), 0x35u);
    accept(fixed(0x41));
    lapic_acknowledge(&apic);
    EXPECT_EQ(read(LAPIC_PPR), 0x40u);
    write(LAPIC_TPR, 0x47);
    EXPECT_EQ(read(LAPIC_PPR), 0x47u);
    write(LAPIC_TPR, 0x62);
    EXPECT_EQ(read(LAPIC_PPR), 0x62u);
}

TEST_F(Priorities, AnInterruptThatIsGoneGivesTheSpuriousVectorAndNoInService)
{
    write(LAPIC_SVR, LAPIC_SVR_ENABLE | 0xef);
    accept(fixed(0x41));
    write(LAPIC_TPR, 0x80);
    EXPECT_EQ(lapic_acknowledge(&apic), 0xef);
    EXPECT_TRUE(vec_empty(&apic.regs.ISR));
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x41));
}

/* ---- EOI ---- */

using Eoi = LapicBench;

TEST_F(Eoi, OnlyLevelTriggeredVectorsAreBroadcast)
{
    accept(fixed(0x41, false));
    lapic_acknowledge(&apic);
    accept(fixed(0x51, true));
    lapic_acknowledge(&apic);
    write(LAPIC_EOI, 0);
    EXPECT_EQ(port.broadcasts, std::vector<uint8_t>{0x51});
    write(LAPIC_EOI, 0);
    EXPECT_EQ(port.broadcasts, std::vector<uint8_t>{0x51});
}

TEST_F(Eoi, SvrBit12SuppressesTheBroadcast)
{
    write(LAPIC_SVR, LAPIC_SVR_ENABLE | LAPIC_SVR_SUPPRESS_EOI_BROADCAST | 0xff);
    accept(fixed(0x51, true));
    lapic_acknowledge(&apic);
    EXPECT_EQ(lapic_eoi(&apic), 0x51);
    EXPECT_TRUE(port.broadcasts.empty());
}

TEST_F(Eoi, WithNothingInServiceDoesNothing)
{
    accept(fixed(0x41));
    EXPECT_EQ(lapic_eoi(&apic), NO_VECTOR);
    EXPECT_EQ(lapic_pending(&apic), 0x41);
    EXPECT_TRUE(recorder.of(TRACE_EOI).empty());
}

/* ---- the interrupt command register ---- */

using Icr = LapicBench;

TEST_F(Icr, TheXapicDestinationIsTheTopByteOfTheUpperHalf)
{
    write(LAPIC_ICR_HI, 0x3f000000);
    EXPECT_TRUE(port.sent.empty());
    write(LAPIC_ICR_LO, 0x00004831);
    ASSERT_EQ(port.sent.size(), 1u);
    const irq_msg &m = port.sent[0];
    EXPECT_EQ(m.dest, 0x3fu);
    EXPECT_EQ(m.vector, 0x31);
    EXPECT_EQ(m.delivery, IRQ_FIXED);
    EXPECT_TRUE(m.logical);
    EXPECT_FALSE(m.level || m.deassert);
    EXPECT_EQ(m.source, 7u);
    EXPECT_EQ(m.flow, 0u);
}

TEST_F(Icr, TheX2apicDestinationIsTheWholeUpperHalf)
{
    power_up(LAPIC_MODE_X2APIC);
    EXPECT_TRUE(wrmsr(0x830, 0x0001000200004431));
    ASSERT_EQ(port.sent.size(), 1u);
    EXPECT_EQ(port.sent[0].dest, 0x00010002u);
    EXPECT_EQ(port.sent[0].delivery, IRQ_NMI);
    EXPECT_EQ(msr(LAPIC_ICR_LO), 0x0001000200004431u);
}

TEST_F(Icr, TheSelfIpiRegisterSendsItsVectorToItself)
{
    power_up(LAPIC_MODE_X2APIC);
    EXPECT_TRUE(wrmsr(0x83f, 0xf2));
    ASSERT_EQ(port.sent.size(), 1u);
    EXPECT_EQ(port.sent[0].shorthand, IRQ_SELF);
    EXPECT_EQ(port.sent[0].source, 7u);
    EXPECT_EQ(lapic_pending(&apic), 0xf2);
}

TEST_F(Icr, OnlyInitKnowsLevels)
{
    const irq_msg fixed_level = lapic_decode_icr(&apic, 0x0000c031);
    EXPECT_FALSE(fixed_level.level || fixed_level.deassert);
    const irq_msg init_assert = lapic_decode_icr(&apic, 0x0000c500);
    EXPECT_EQ(init_assert.delivery, IRQ_INIT);
    EXPECT_TRUE(init_assert.level && !init_assert.deassert);
    const irq_msg init_deassert = lapic_decode_icr(&apic, 0x00088500);
    EXPECT_TRUE(init_deassert.level && init_deassert.deassert);
    EXPECT_EQ(init_deassert.shorthand, IRQ_ALL_INCLUDING_SELF);
}

TEST_F(Icr, ASoftwareDisabledApicStillSends)
{
    write(LAPIC_SVR, 0xff);
    write(LAPIC_ICR_LO, 0x000c4031);
    EXPECT_EQ(port.sent.size(), 1u);
}

/* ---- errors ---- */

using Errors = LapicBench;

TEST_F(Errors, EsrShowsWhatGatheredUntilItWasWritten)
{
    accept(fixed(3));
    EXPECT_EQ(read(LAPIC_ESR), 0u);
    write(LAPIC_ESR, 0);
    EXPECT_EQ(read(LAPIC_ESR), (uint32_t)LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    EXPECT_EQ(read(LAPIC_ESR), (uint32_t)LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    write(LAPIC_ESR, 0xffffffff);
    EXPECT_EQ(read(LAPIC_ESR), 0u);
}

TEST_F(Errors, VectorsBelow16AreRefusedAndTheRestIsNot)
{
    for (unsigned v = 0; v < 256; v++)
        EXPECT_EQ(accept(fixed((uint8_t)v)), v < 16 ? LAPIC_ILLEGAL_VECTOR : LAPIC_ACCEPTED)
            << v;
    EXPECT_EQ(apic.regs.IRR.word[0], ~UINT64_C(0xffff));
}

TEST_F(Errors, AnIllegalVectorToItselfIsAnErrorOfBothEnds)
{
    write(LAPIC_ICR_LO, 0x0004400f);
    EXPECT_EQ(errors(),
              (uint32_t)(LAPIC_ESR_SEND_ILLEGAL_VECTOR | LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR));
}

TEST_F(Errors, OnlyDeliveryModesWithAVectorCanHaveAnIllegalOne)
{
    write(LAPIC_ICR_LO, 0x000c4400); /* NMI */
    write(LAPIC_ICR_LO, 0x000c4500); /* INIT */
    write(LAPIC_ICR_LO, 0x000c4601); /* SIPI */
    EXPECT_EQ(errors(), 0u);
    write(LAPIC_ICR_LO, 0x000c4101); /* lowest priority */
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_SEND_ILLEGAL_VECTOR);
}

TEST_F(Errors, LvtErrorFiresOnceUntilEsrIsWritten)
{
    write(LAPIC_LVT_ERROR, 0xfe);
    accept(fixed(3));
    EXPECT_EQ(lapic_pending(&apic), 0xfe);
    lapic_acknowledge(&apic);
    accept(fixed(4));
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
    write(LAPIC_ESR, 0);
    lapic_eoi(&apic);
    accept(fixed(4));
    EXPECT_EQ(lapic_pending(&apic), 0xfe);
}

TEST_F(Errors, LvtErrorHasAFlowOfItsOwn)
{
    recorder.trace.flows = 10;
    write(LAPIC_LVT_ERROR, 0xfe);
    accept(fixed(3, false, 10));
    for (trace_event event : {TRACE_RAISED, TRACE_ROUTED, TRACE_PENDING})
        EXPECT_EQ(recorder.of(event).at(0).flow, 11u);
    EXPECT_EQ(recorder.of(TRACE_REFUSED).at(0).flow, 10u);
    EXPECT_TRUE(port.sent.empty());
}

TEST_F(Errors, AnLvtErrorEntryWithAnIllegalVectorDoesNotCallItself)
{
    write(LAPIC_LVT_ERROR, 0x05);
    accept(fixed(3));
    EXPECT_EQ(recorder.of(TRACE_RAISED).size(), 1u);
    EXPECT_EQ(recorder.of(TRACE_REFUSED).size(), 2u);
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
}

TEST_F(Errors, ReservedOffsetsAreIllegalAddressesInXapicMode)
{
    for (uint16_t offset :
         {0x000, 0x010, 0x040, 0x070, 0x290, 0x2e0, 0x3a0, 0x3d0, 0x3f0, 0x400, 0x084}) {
        EXPECT_EQ(read(offset), 0u) << offset;
        EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER) << offset;
        write(offset, ~0u);
        EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER) << offset;
    }
}

TEST_F(Errors, TheWrongDirectionIsNoIllegalAddress)
{
    EXPECT_EQ(read(LAPIC_EOI), 0u);
    write(LAPIC_VERSION, 0);
    write(LAPIC_IRR, ~0u);
    write(LAPIC_TIMER_CURRENT, 5);
    EXPECT_EQ(errors(), 0u);
}

/* ---- the registers, against a table typed from the SDM (as is the .def, by test_registers.py) ---- */

struct SpecRow {
    uint16_t offset;
    std::string name, xapic, reset;
    uint32_t msr;
    std::string x2apic;
};

std::vector<SpecRow> spec()
{
    std::ifstream file(VIRQSIM_SPEC "/lapic_regs.csv");
    std::vector<SpecRow> rows;
    std::string line;
    while (std::getline(file, line)) {
        if (line.empty() || line[0] == '#' || line.rfind("offset", 0) == 0)
            continue;
        std::stringstream cells(line);
        std::string c[6];
        for (std::string &cell : c)
            std::getline(cells, cell, ',');
        rows.push_back({(uint16_t)std::stoul(c[0], nullptr, 16), c[1], c[2], c[3],
                        (uint32_t)std::stoul(c[4], nullptr, 16), c[5]});
    }
    return rows;
}

using Registers = LapicBench;

TEST_F(Registers, ReadTheirResetValues)
{
    config.software_enabled = false;
    config.apic_id = 0;
    power_up();
    for (const SpecRow &row : spec()) {
        if (row.reset == "-" || row.xapic[0] != 'R')
            continue;
        EXPECT_EQ(read(row.offset), std::stoul(row.reset, nullptr, 16)) << row.name;
    }
}

TEST_F(Registers, OfX2apicModeFaultInTheWrongDirection)
{
    power_up(LAPIC_MODE_X2APIC);
    std::map<uint32_t, std::string> access;
    for (const SpecRow &row : spec())
        access[row.msr] = row.x2apic;
    for (uint32_t m = 0x7ff; m <= 0x901; m++) {
        const std::string a = access.count(m) ? access[m] : "NONE";
        uint64_t value;
        EXPECT_EQ(rdmsr(m, &value), a == "RO" || a == "RW") << std::hex << m;
        EXPECT_EQ(wrmsr(m, 0), a == "WO" || a == "RW") << std::hex << m;
    }
}

TEST_F(Registers, AreNoMsrsOutsideX2apicMode)
{
    uint64_t value;
    EXPECT_FALSE(rdmsr(0x802, &value));
    EXPECT_FALSE(wrmsr(0x808, 0));
}

TEST_F(Registers, OfX2apicModeFaultOnReservedBits)
{
    power_up(LAPIC_MODE_X2APIC);
    const std::map<uint32_t, uint64_t> legal = {
        {0x808, 0xff},    {0x80b, 0},       {0x80f, 0x11ff},
        {0x828, 0},       {0x82f, 0x117ff}, {0x832, 0x710ff},
        {0x833, 0x117ff}, {0x834, 0x117ff}, {0x835, 0x1f7ff},
        {0x836, 0x1f7ff}, {0x837, 0x110ff}, {0x838, 0xffffffff},
        {0x83e, 0xb},     {0x83f, 0xff},    {0x830, 0xffffffff000cdfff},
    };
    for (const auto &[m, bits] : legal)
        for (unsigned b = 0; b < 64; b++)
            EXPECT_EQ(wrmsr(m, UINT64_C(1) << b), (bits >> b & 1) == 1)
                << std::hex << m << " bit " << std::dec << b;
}

TEST_F(Registers, AFaultingWriteChangesNothing)
{
    power_up(LAPIC_MODE_X2APIC);
    accept(fixed(0x31));
    lapic_acknowledge(&apic);
    EXPECT_FALSE(wrmsr(0x80b, 1));
    EXPECT_FALSE(wrmsr(0x830, 0x100000000 | 1u << 31));
    EXPECT_EQ(msr(LAPIC_ICR_LO), 0u);
    EXPECT_TRUE(vec_has(&apic.regs.ISR, 0x31));
}

TEST_F(Registers, KeepOnlyTheirWritableBitsInXapicMode)
{
    write(LAPIC_TPR, ~0u);
    EXPECT_EQ(read(LAPIC_TPR), 0xffu);
    write(LAPIC_LDR, ~0u);
    EXPECT_EQ(read(LAPIC_LDR), 0xff000000u);
    write(LAPIC_DFR, 0);
    EXPECT_EQ(read(LAPIC_DFR), 0x0fffffffu);
    write(LAPIC_LVT_LINT0, ~0u);
    EXPECT_EQ(read(LAPIC_LVT_LINT0), 0x1a7ffu);
    write(LAPIC_TIMER_DIVIDE, ~0u);
    EXPECT_EQ(read(LAPIC_TIMER_DIVIDE), 0xbu);
    EXPECT_EQ(errors(), 0u);
}

/* An APIC-write VM exit comes after the processor has written the virtual-APIC page, raw. */
TEST_F(Registers, KeepNoOtherBitsOfAWriteThatTheHardwareMadeFirst)
{
    apic.regs.LVT_LINT0 = ~0u;
    write(LAPIC_LVT_LINT0, ~0u);
    EXPECT_EQ(read(LAPIC_LVT_LINT0), 0x1a7ffu);
    apic.regs.DFR = 0;
    write(LAPIC_DFR, 0);
    EXPECT_EQ(read(LAPIC_DFR), 0x0fffffffu);
    apic.regs.ESR = 0x55;
    write(LAPIC_ESR, 0x55);
    EXPECT_EQ(read(LAPIC_ESR), 0u);
}

TEST_F(Registers, SoftwareDisablingMasksTheLvtAndHoldsTheMasks)
{
    const uint16_t entries[] = {LAPIC_LVT_CMCI, LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL,
                                LAPIC_LVT_PERF, LAPIC_LVT_LINT0, LAPIC_LVT_LINT1,
                                LAPIC_LVT_ERROR};
    for (uint16_t entry : entries)
        write(entry, 0x40);
    write(LAPIC_SVR, 0xff);
    for (uint16_t entry : entries) {
        EXPECT_EQ(read(entry), 0x10040u);
        write(entry, 0x41);
        EXPECT_EQ(read(entry), 0x10041u);
    }
    write(LAPIC_SVR, 0x1ff);
    for (uint16_t entry : entries) {
        EXPECT_EQ(read(entry), 0x10041u);
        write(entry, 0x41);
        EXPECT_EQ(read(entry), 0x41u);
    }
}

TEST_F(Registers, InitClearsEverythingButIdAndMode)
{
    write(LAPIC_TPR, 0x40);
    write(LAPIC_LVT_ERROR, 0xfe);
    write(LAPIC_TIMER_INITIAL, 1000);
    accept(fixed(0x51));
    accept(of_mode(IRQ_NMI));
    lapic_acknowledge(&apic);
    lapic_reset(&apic);
    EXPECT_EQ(read(LAPIC_TPR), 0u);
    EXPECT_EQ(read(LAPIC_LVT_ERROR), 0x10000u);
    EXPECT_TRUE(vec_empty(&apic.regs.ISR));
    EXPECT_FALSE(apic.nmi_pending);
    EXPECT_EQ(apic.mode, LAPIC_MODE_XAPIC);
    EXPECT_EQ(port.armed.back(), never);
}

TEST_F(Registers, PowerUpAsksNothingOfThePort)
{
    EXPECT_TRUE(port.armed.empty() && port.sent.empty() && recorder.records.empty());
}

/* ---- IA32_APIC_BASE ---- */

using Base = LapicBench;

TEST_F(Base, TheModeThatIsCanBeWrittenAgain)
{
    for (lapic_mode mode : {LAPIC_MODE_DISABLED, LAPIC_MODE_XAPIC, LAPIC_MODE_X2APIC}) {
        power_up(mode);
        accept(fixed(0x41));
        EXPECT_TRUE(lapic_set_base(&apic, lapic_base(&apic)));
        EXPECT_EQ(apic.mode, mode);
        EXPECT_EQ(vec_has(&apic.regs.IRR, 0x41), mode != LAPIC_MODE_DISABLED);
    }
}

TEST_F(Base, DisablingResetsTheRegistersAndEndsWhatWasPending)
{
    write(LAPIC_TPR, 0x40);
    write(LAPIC_LVT_TIMER, 0xd0);
    write(LAPIC_TIMER_INITIAL, 1000);
    accept(fixed(0x31, false, 5));
    accept(fixed(0x51, false, 6));
    lapic_acknowledge(&apic);
    EXPECT_TRUE(lapic_set_base(&apic, 0xfee00000));
    EXPECT_TRUE(lapic_set_base(&apic, 0xfee00800));
    EXPECT_EQ(read(LAPIC_TPR), 0u);
    EXPECT_EQ(read(LAPIC_SVR), 0xffu);
    EXPECT_EQ(read(LAPIC_LVT_TIMER), (uint32_t)LAPIC_LVT_MASKED);
    EXPECT_EQ(port.armed.back(), never);
    ASSERT_EQ(recorder.of(TRACE_REFUSED).size(), 1u);
    EXPECT_EQ(recorder.of(TRACE_REFUSED)[0].flow, 5u);
    EXPECT_EQ(recorder.of(TRACE_REFUSED)[0].b, TRACE_REFUSED_DISABLED);
}

TEST_F(Base, TheBootstrapFlagShows)
{
    config.bootstrap = true;
    power_up();
    EXPECT_EQ(lapic_base(&apic), 0xfee00900u);
}

TEST_F(Base, EnteringX2apicModeKeepsWhatBothModesHave)
{
    write(LAPIC_TPR, 0x20);
    write(LAPIC_ICR_HI, 0x55000000);
    accept(fixed(0x41));
    EXPECT_TRUE(lapic_set_base(&apic, 0xfee00c00));
    EXPECT_EQ(msr(LAPIC_TPR), 0x20u);
    EXPECT_EQ(msr(LAPIC_ICR_LO), 0u);
    EXPECT_EQ(lapic_pending(&apic), 0x41);
}

/* ---- random operations ---- */

/* What an APIC must do, in the plainest form: sets and a stack. */
struct Shadow {
    std::set<int> requests;
    std::vector<int> in_service;
    int tpr = 0;

    int pending() const
    {
        const int top = in_service.empty() ? 0 : in_service.back();
        if (requests.empty())
            return NO_VECTOR;
        const int highest = *requests.rbegin();
        return highest / 16 > std::max(top / 16, tpr / 16) ? highest : NO_VECTOR;
    }
};

class RandomOperations : public LapicBench, public ::testing::WithParamInterface<unsigned>
{
  protected:
    Shadow shadow;
    trace_flow flows = 0;
    std::map<trace_flow, std::vector<uint16_t>> lives;

    void accept_one(uint8_t vector, bool level)
    {
        const bool is_new = !shadow.requests.count(vector);
        const lapic_answer answer = accept(fixed(vector, level, ++flows));
        if (vector < 16) {
            ASSERT_EQ(answer, LAPIC_ILLEGAL_VECTOR);
            return;
        }
        ASSERT_EQ(answer, is_new ? LAPIC_ACCEPTED : LAPIC_COALESCED);
        shadow.requests.insert(vector);
    }

    void take_one()
    {
        const int expected = shadow.pending();
        ASSERT_EQ(lapic_pending(&apic), expected);
        if (expected == NO_VECTOR) {
            ASSERT_EQ(lapic_acknowledge(&apic), 0xff);
            return;
        }
        ASSERT_EQ(lapic_acknowledge(&apic), expected);
        shadow.requests.erase(expected);
        ASSERT_TRUE(shadow.in_service.empty() || expected / 16 > shadow.in_service.back() / 16);
        shadow.in_service.push_back(expected);
    }

    void finish_one()
    {
        const int top = shadow.in_service.empty() ? NO_VECTOR : shadow.in_service.back();
        ASSERT_EQ(lapic_eoi(&apic), top);
        if (top != NO_VECTOR)
            shadow.in_service.pop_back();
    }

    void read_everything()
    {
        const std::vector<char> before((char *)&apic, (char *)(&apic + 1));
        static const std::vector<SpecRow> registers = spec();
        for (const SpecRow &row : registers)
            if (row.xapic != "NONE")
                read(row.offset);
        lapic_ppr(&apic);
        lapic_pending(&apic);
        ASSERT_EQ(std::memcmp(before.data(), &apic, sizeof apic), 0);
    }

    void compare()
    {
        for (unsigned v = 16; v < 256; v++) {
            ASSERT_EQ(vec_has(&apic.regs.IRR, v), shadow.requests.count((int)v) == 1);
            ASSERT_EQ(vec_has(&apic.regs.ISR, v),
                      std::count(shadow.in_service.begin(), shadow.in_service.end(), (int)v) ==
                          1);
        }
    }
};

TEST_P(RandomOperations, LoseNothingInventNothingAndNestStrictly)
{
    std::mt19937 random(GetParam());
    for (int step = 0; step < 3000 && !HasFatalFailure(); step++) {
        switch (random() % 8) {
        case 0:
        case 1:
        case 2:
            accept_one((uint8_t)random(), random() % 2);
            break;
        case 3:
        case 4:
            take_one();
            break;
        case 5:
            finish_one();
            break;
        case 6:
            shadow.tpr = (int)(random() % 256 & random() % 256);
            write(LAPIC_TPR, (uint32_t)shadow.tpr);
            break;
        default:
            read_everything();
        }
        if (step % 64 == 0)
            compare();
    }
    write(LAPIC_TPR, shadow.tpr = 0);
    while ((!shadow.requests.empty() || !shadow.in_service.empty()) && !HasFatalFailure()) {
        if (shadow.pending() != NO_VECTOR)
            take_one();
        else
            finish_one();
    }
    compare();

    for (const trace_record &r : recorder.records)
        if (r.event != TRACE_SPURIOUS_EOI)
            lives[r.flow].push_back(r.event);
    EXPECT_EQ(lives.size(), flows);
    const std::vector<uint16_t> served = {TRACE_PENDING, TRACE_EOI, TRACE_RETIRED};
    for (const auto &[flow, life] : lives)
        EXPECT_TRUE(life == served || life == std::vector<uint16_t>{TRACE_COALESCED} ||
                    life == std::vector<uint16_t>{TRACE_REFUSED})
            << flow;
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, ::testing::Range(0u, 16u));

/* Whatever software writes wherever, the state stays one that an APIC can be in. */
class RandomWrites : public LapicBench, public ::testing::WithParamInterface<unsigned>
{
};

TEST_P(RandomWrites, LeaveAStateThatAnApicCanBeIn)
{
    std::mt19937 random(GetParam());
    power_up(random() % 2 ? LAPIC_MODE_XAPIC : LAPIC_MODE_X2APIC);
    for (int step = 0; step < 3000; step++) {
        now.ps += random() % 5000;
        const uint32_t slot = random() % 0x44, value = random() & random();
        switch (random() % 4) {
        case 0:
            write((uint16_t)(slot * 16), value);
            break;
        case 1:
            wrmsr(0x800 + slot, value);
            break;
        case 2:
            lapic_set_base(&apic, 0xfee00000 | (uint64_t)(random() % 4) << 10);
            break;
        default:
            irq_msg msg;
            lapic_timer_expired(&apic, now, &msg);
            lapic_set_tsc_deadline(&apic, random(), now);
            accept(fixed((uint8_t)value, step % 2));
            if (lapic_pending(&apic) != NO_VECTOR)
                lapic_acknowledge(&apic);
        }
        ASSERT_EQ(apic.regs.IRR.word[0] & 0xffff, 0u);
        ASSERT_EQ(apic.regs.ISR.word[0] & 0xffff, 0u);
        ASSERT_EQ(apic.regs.PPR, 0u) << "computed, never stored";
        if (apic.mode == LAPIC_MODE_DISABLED)
            continue;
        ASSERT_TRUE(lapic_enabled(&apic) || apic.regs.LVT_TIMER & LAPIC_LVT_MASKED);
        ASSERT_TRUE(read(LAPIC_TIMER_CURRENT) == 0 || now.ps < apic.timer_deadline.ps);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomWrites, ::testing::Range(100u, 108u));

} // namespace
