/*
 * What an APIC has from its processor: INIT and SIPI, the page, the features
 * that differ between families. And saved states, and quirks.
 */
#include "unit/lapic_bench.h"

namespace
{

/* ---- INIT and SIPI ---- */

using Startup = LapicBench;

irq_msg sipi(uint8_t vector)
{
    return of_mode(IRQ_STARTUP, vector);
}

/*
 *   core     runs ─┐ waits ─┐ runs at 9A000H
 *   message      INIT    SIPI 9AH
 */
TEST_F(Startup, AnApplicationProcessorWaitsForASipiAfterInit)
{
    uint8_t vector = 0;
    EXPECT_FALSE(lapic_take_init(&apic));
    accept(of_mode(IRQ_INIT));
    EXPECT_TRUE(lapic_take_init(&apic));
    EXPECT_TRUE(apic.waits_for_sipi);
    EXPECT_FALSE(lapic_take_init(&apic));
    EXPECT_FALSE(lapic_take_sipi(&apic, &vector));
    EXPECT_EQ(accept(sipi(0x9a)), LAPIC_ACCEPTED);
    EXPECT_TRUE(lapic_take_sipi(&apic, &vector));
    EXPECT_EQ(vector, 0x9a);
    EXPECT_FALSE(apic.waits_for_sipi);
    EXPECT_FALSE(lapic_take_sipi(&apic, &vector));
}

TEST_F(Startup, ASipiToARunningCoreIsDiscarded)
{
    EXPECT_EQ(accept(sipi(0x9a)), LAPIC_IGNORED);
    EXPECT_EQ(recorder.of(TRACE_REFUSED).at(0).b, TRACE_REFUSED_MODE);
    accept(of_mode(IRQ_INIT));
    lapic_take_init(&apic);
    uint8_t vector;
    EXPECT_FALSE(lapic_take_sipi(&apic, &vector)) << "it came before the INIT";
}

TEST_F(Startup, ASipiBehindAnInitThatIsNotYetTakenCounts)
{
    accept(of_mode(IRQ_INIT));
    accept(sipi(0x11));
    accept(sipi(0x22));
    uint8_t vector = 0;
    EXPECT_TRUE(lapic_take_init(&apic));
    EXPECT_TRUE(lapic_take_sipi(&apic, &vector));
    EXPECT_EQ(vector, 0x22);
}

TEST_F(Startup, ASecondInitForgetsTheSipiBetween)
{
    accept(of_mode(IRQ_INIT));
    accept(sipi(0x11));
    accept(of_mode(IRQ_INIT));
    uint8_t vector;
    EXPECT_TRUE(lapic_take_init(&apic));
    EXPECT_FALSE(lapic_take_sipi(&apic, &vector));
}

TEST_F(Startup, TheBootstrapProcessorDoesNotWait)
{
    config.bootstrap = true;
    power_up();
    accept(of_mode(IRQ_INIT));
    accept(sipi(0x11));
    EXPECT_TRUE(lapic_take_init(&apic));
    EXPECT_FALSE(apic.waits_for_sipi);
    uint8_t vector;
    EXPECT_FALSE(lapic_take_sipi(&apic, &vector));
}

TEST_F(Startup, AnApplicationProcessorMayWaitFromPowerUp)
{
    config.waits_for_sipi = true;
    power_up();
    EXPECT_EQ(accept(sipi(0x11)), LAPIC_ACCEPTED);
    uint8_t vector = 0;
    EXPECT_TRUE(lapic_take_sipi(&apic, &vector));
    EXPECT_EQ(vector, 0x11);
}

TEST_F(Startup, InitEndsWhatWasPending)
{
    accept(fixed(0x31, false, 1));
    accept(fixed(0x41, false, 2));
    lapic_acknowledge(&apic);
    irq_msg nmi = of_mode(IRQ_NMI);
    nmi.flow = 3;
    accept(nmi);
    accept(of_mode(IRQ_EXTINT));
    accept(of_mode(IRQ_INIT));
    recorder.records.clear();
    lapic_take_init(&apic);
    ASSERT_EQ(recorder.records.size(), 2u);
    EXPECT_EQ(recorder.records[0].flow, 1u);
    EXPECT_EQ(recorder.records[1].flow, 3u);
    for (const trace_record &r : recorder.records)
        EXPECT_EQ(r.event, TRACE_REFUSED);
    EXPECT_FALSE(lapic_extint(&apic));
    EXPECT_TRUE(vec_empty(&apic.regs.IRR) && vec_empty(&apic.regs.ISR));
}

/* ---- the page ---- */

class Page : public LapicBench
{
  protected:
    uint32_t page(unsigned offset, unsigned size)
    {
        return lapic_page_read(&apic, (uint16_t)offset, size, now);
    }
    void write_page(unsigned offset, unsigned size, uint32_t value)
    {
        lapic_page_write(&apic, (uint16_t)offset, size, value, now);
    }
};

TEST_F(Page, AnAligned32BitAccessIsTheRegister)
{
    write_page(LAPIC_TPR, 4, 0x35);
    EXPECT_EQ(page(LAPIC_TPR, 4), 0x35u);
    EXPECT_EQ(read(LAPIC_TPR), 0x35u);
}

/* SDM 3A "Accessing the Local APIC Registers": anything else is undefined; here, an address
   between the registers. */
TEST_F(Page, EveryOtherAccessIsToAReservedAddress)
{
    const std::vector<std::pair<unsigned, unsigned>> odd = {
        {0x080, 1}, {0x080, 2}, {0x080, 8}, {0x080, 0}, {0x081, 1}, {0x082, 2},
        {0x084, 4}, {0x07e, 4}, {0x08c, 4}, {0x083, 4}, {0xffe, 4}, {0xfff, 2}};
    write(LAPIC_TPR, 0x35);
    for (const auto &[offset, size] : odd) {
        EXPECT_EQ(page(offset, size), 0u) << offset << ' ' << size;
        EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER) << offset << ' ' << size;
        write_page(offset, size, 0xaaaaaaaa);
        EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER) << offset << ' ' << size;
        EXPECT_EQ(read(LAPIC_TPR), 0x35u);
    }
}

TEST_F(Page, OnlyXapicModeHasOne)
{
    for (lapic_mode mode : {LAPIC_MODE_DISABLED, LAPIC_MODE_X2APIC}) {
        power_up(mode);
        EXPECT_FALSE(lapic_claims(&apic, 0xfee00080));
        write_page(LAPIC_TPR, 4, 0x35);
        EXPECT_EQ(apic.regs.TPR, 0u);
        EXPECT_EQ(page(LAPIC_TPR, 4), UINT32_MAX);
        EXPECT_EQ(page(LAPIC_TPR + 1, 1), UINT32_MAX);
    }
    power_up(LAPIC_MODE_XAPIC);
    EXPECT_TRUE(lapic_claims(&apic, 0xfee00000) && lapic_claims(&apic, 0xfee00fff));
    EXPECT_FALSE(lapic_claims(&apic, 0xfedfffff) || lapic_claims(&apic, 0xfee01000));
}

/* ---- what differs between processors ---- */

using Processor = LapicBench;

TEST_F(Processor, TheVersionCanBeAnotherAndSurvivesInit)
{
    config.version = 0x00050014;
    power_up();
    EXPECT_EQ(read(LAPIC_VERSION), 0x00050014u);
    lapic_reset(&apic);
    EXPECT_EQ(read(LAPIC_VERSION), 0x00050014u);
}

/* Version bit 24. */
TEST_F(Processor, WithoutEoiBroadcastSuppressionSvrBit12IsReserved)
{
    config.version = 0x00050014;
    power_up();
    write(LAPIC_SVR, 0x11ff);
    EXPECT_EQ(read(LAPIC_SVR), 0x1ffu);
    power_up(LAPIC_MODE_X2APIC);
    EXPECT_FALSE(wrmsr(0x80f, 0x11ff));
    EXPECT_TRUE(wrmsr(0x80f, 0x1ff));
}

TEST_F(Processor, OneThatSendsNoRedirectableIpisSaysSoAndSendsNothing)
{
    config.no_redirectable = true;
    power_up();
    write(LAPIC_ICR_LO, 0x000c0141);
    EXPECT_TRUE(port.sent.empty());
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_REDIRECTABLE_IPI);
    write(LAPIC_ICR_LO, 0x000c0103);
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_REDIRECTABLE_IPI) << "and not the illegal vector";
    write(LAPIC_ICR_LO, 0x000c0041);
    EXPECT_EQ(port.sent.size(), 1u);
}

class P6 : public LapicBench
{
  protected:
    P6()
    {
        config.p6 = true;
        power_up();
    }
    void hold(uint32_t tpr, uint8_t in_service, uint8_t request)
    {
        power_up();
        if (in_service) {
            accept(fixed(in_service));
            lapic_acknowledge(&apic);
        }
        if (request)
            accept(fixed(request));
        write(LAPIC_TPR, tpr);
    }
};

/* SDM 3A "Lowest Priority Delivery Mode", the formula of the APR. */
TEST_F(P6, TheAprFollowsItsFormula)
{
    const struct {
        uint32_t tpr;
        uint8_t in_service, request;
        uint32_t apr;
    } cases[] = {
        {0x00, 0x00, 0x00, 0x00}, {0x35, 0x00, 0x00, 0x35}, {0x35, 0x21, 0x00, 0x35},
        {0x35, 0x31, 0x00, 0x30}, {0x35, 0x41, 0x00, 0x00}, {0x35, 0x00, 0x3f, 0x35},
        {0x35, 0x00, 0x41, 0x40}, {0x35, 0x21, 0x41, 0x40}, {0x75, 0x61, 0x52, 0x75},
        {0x75, 0xe1, 0x52, 0x60}, {0x75, 0xe1, 0x62, 0x60}, {0x75, 0xe1, 0x72, 0x70},
    };
    for (const auto &c : cases) {
        hold(c.tpr, c.in_service, c.request);
        EXPECT_EQ(read(LAPIC_APR), c.apr)
            << std::hex << c.tpr << ' ' << +c.in_service << ' ' << +c.request;
    }
}

TEST_F(P6, SvrHasAFocusBitAndItsLowFourBitsAreOnes)
{
    write(LAPIC_SVR, 0x340);
    EXPECT_EQ(read(LAPIC_SVR), 0x34fu);
}

TEST_F(Processor, LaterOnesHaveNoApr)
{
    write(LAPIC_TPR, 0x35);
    EXPECT_EQ(read(LAPIC_APR), 0u);
    write(LAPIC_APR, ~0u);
    EXPECT_EQ(errors(), 0u);
    write(LAPIC_SVR, 0x340);
    EXPECT_EQ(read(LAPIC_SVR), 0x140u);
}

/* ---- saved states ---- */

TEST_F(Processor, AStateComesBackWithoutTheConfiguration)
{
    write(LAPIC_TPR, 0x20);
    accept(fixed(0x41));
    lapic_lint(&apic, 0, true);
    const lapic saved = apic;

    Port other;
    lapic_config elsewhere = config;
    elsewhere.port = &other;
    elsewhere.index = 3;
    lapic copy;
    lapic_init(&copy, &elsewhere);
    lapic_restore(&copy, &saved);
    EXPECT_EQ(copy.config.port, &other);
    EXPECT_EQ(copy.config.index, 3u);
    EXPECT_EQ(copy.regs.TPR, 0x20u);
    EXPECT_TRUE(copy.pin[0].level);
    EXPECT_EQ(lapic_acknowledge(&copy), 0x41);
    EXPECT_TRUE(other.sent.empty() && other.armed.empty());
}

/* ---- quirks: each departs from the manual at its one place ---- */

class Quirks : public LapicBench
{
  protected:
    void follow(lapic_quirk quirk)
    {
        config.quirks = 1u << quirk;
        power_up();
    }
};

TEST_F(Quirks, LowVectorsEnterIrr)
{
    follow(LAPIC_QUIRK_LOW_VECTORS);
    EXPECT_EQ(accept(fixed(3)), LAPIC_ACCEPTED);
    write(LAPIC_ICR_LO, 0x00040004);
    EXPECT_EQ(apic.regs.IRR.word[0], 0x18u);
    EXPECT_EQ(errors(), 0u);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
}

TEST_F(Quirks, ZeroPprDeliversThem)
{
    follow(LAPIC_QUIRK_ZERO_PPR);
    config.quirks |= 1u << LAPIC_QUIRK_LOW_VECTORS;
    power_up();
    accept(fixed(3));
    EXPECT_EQ(lapic_pending(&apic), 3);
    write(LAPIC_TPR, 0x01);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
}

TEST_F(Quirks, DisabledAccepts)
{
    follow(LAPIC_QUIRK_DISABLED_ACCEPTS);
    write(LAPIC_SVR, 0xff);
    EXPECT_EQ(accept(fixed(0x41)), LAPIC_ACCEPTED);
    EXPECT_EQ(lapic_pending(&apic), 0x41);
}

TEST_F(Quirks, DisabledHolds)
{
    follow(LAPIC_QUIRK_DISABLED_HOLDS);
    accept(fixed(0x41));
    write(LAPIC_SVR, 0xff);
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
    write(LAPIC_SVR, 0x1ff);
    EXPECT_EQ(lapic_pending(&apic), 0x41);
}

TEST_F(Quirks, DisabledLvtStaysAsWritten)
{
    follow(LAPIC_QUIRK_DISABLED_LVT);
    write(LAPIC_LVT_ERROR, 0x41);
    write(LAPIC_SVR, 0xff);
    EXPECT_EQ(read(LAPIC_LVT_ERROR), 0x41u);
}

TEST_F(Quirks, SilentAddresses)
{
    follow(LAPIC_QUIRK_SILENT_ADDRESSES);
    EXPECT_EQ(read(0x070), 0u);
    write(0x070, 1);
    EXPECT_EQ(errors(), 0u);
}

TEST_F(Quirks, StickyEsr)
{
    follow(LAPIC_QUIRK_STICKY_ESR);
    read(0x070);
    EXPECT_EQ(read(LAPIC_ESR), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER);
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER);
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER);
}

TEST_F(Quirks, WholeRegisters)
{
    follow(LAPIC_QUIRK_WHOLE_REGISTERS);
    for (uint16_t offset : {LAPIC_LVT_THERMAL, LAPIC_LVT_ERROR, LAPIC_ICR_LO, LAPIC_ICR_HI}) {
        write(offset, 0xfffff7ff);
        EXPECT_EQ(read(offset), 0xfffff7ffu) << offset;
    }
    write(LAPIC_TPR, ~0u);
    EXPECT_EQ(read(LAPIC_TPR), 0xffu);
}

TEST_F(Quirks, LvtStatus)
{
    follow(LAPIC_QUIRK_LVT_STATUS);
    write(LAPIC_LVT_LINT1, ~0u);
    EXPECT_EQ(read(LAPIC_LVT_LINT1), 0x1f7ffu);
    write(LAPIC_LVT_ERROR, ~0u);
    EXPECT_EQ(read(LAPIC_LVT_ERROR), 0x110ffu);
    write(LAPIC_ICR_LO, ~0u);
    EXPECT_EQ(read(LAPIC_ICR_LO), 0xccfffu);
}

TEST_F(Quirks, SvrFocus)
{
    follow(LAPIC_QUIRK_SVR_FOCUS);
    write(LAPIC_SVR, 0x3ff);
    EXPECT_EQ(read(LAPIC_SVR), 0x3ffu);
}

TEST_F(Quirks, NarrowReads)
{
    follow(LAPIC_QUIRK_NARROW_READS);
    const auto page = [&](uint16_t offset, unsigned size) {
        return lapic_page_read(&apic, offset, size, now);
    };
    EXPECT_EQ(page(LAPIC_VERSION, 1), 0x15u);
    EXPECT_EQ(page(LAPIC_VERSION, 2), 0x0015u);
    EXPECT_EQ(page(LAPIC_VERSION + 2, 2), 0x0106u);
    EXPECT_EQ(page(LAPIC_VERSION + 3, 1), 0x01u);
    EXPECT_EQ(errors(), 0u);
    EXPECT_EQ(page(LAPIC_VERSION + 3, 2), 0u);
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER);
}

TEST_F(Quirks, IcrLevelSetsTmr)
{
    follow(LAPIC_QUIRK_ICR_LEVEL);
    write(LAPIC_ICR_LO, 0x00048041);
    EXPECT_TRUE(vec_has(&apic.regs.TMR, 0x41) && vec_has(&apic.regs.IRR, 0x41));
}

TEST_F(Quirks, IcrDeassertIsNotDelivered)
{
    config.quirks = 1u << LAPIC_QUIRK_ICR_LEVEL | 1u << LAPIC_QUIRK_ICR_DEASSERT;
    power_up();
    write(LAPIC_ICR_LO, 0x00048041);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
    write(LAPIC_ICR_LO, 0x0004c041);
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x41));
}

TEST_F(Quirks, IcrReserved)
{
    follow(LAPIC_QUIRK_ICR_RESERVED);
    write(LAPIC_ICR_LO, ~0u);
    EXPECT_EQ(read(LAPIC_ICR_LO), 0xffffefffu);
    write(LAPIC_LVT_ERROR, ~0u);
    EXPECT_EQ(read(LAPIC_LVT_ERROR), 0x100ffu);
}

TEST_F(Quirks, ExtIntFixed)
{
    follow(LAPIC_QUIRK_EXTINT_FIXED);
    EXPECT_EQ(accept(of_mode(IRQ_EXTINT, 0x41)), LAPIC_ACCEPTED);
    EXPECT_EQ(lapic_pending(&apic), 0x41);
    EXPECT_FALSE(lapic_extint(&apic));
}

TEST_F(Quirks, ExtIntIgnored)
{
    follow(LAPIC_QUIRK_EXTINT_IGNORED);
    EXPECT_EQ(accept(of_mode(IRQ_EXTINT, 0x41)), LAPIC_IGNORED);
    EXPECT_FALSE(lapic_extint(&apic));
}

TEST_F(Quirks, X2ReservedBitsAreNoFaultWhereKvmHasNone)
{
    config.mode = LAPIC_MODE_X2APIC;
    follow(LAPIC_QUIRK_X2_RESERVED);
    for (uint32_t m : {0x808, 0x80b, 0x80f, 0x832, 0x833, 0x837, 0x83e}) {
        EXPECT_TRUE(wrmsr(m, 0x80000000)) << std::hex << m;
        EXPECT_FALSE(wrmsr(m, 0x100000000)) << std::hex << m;
    }
    for (uint32_t m : {0x828, 0x830, 0x83f})
        EXPECT_FALSE(wrmsr(m, 0x80000000)) << std::hex << m;
    EXPECT_EQ(msr(LAPIC_TPR), 0u);
}

TEST_F(Quirks, X2IcrIsCleared)
{
    for (bool quirk : {false, true}) {
        config.quirks = quirk ? 1u << LAPIC_QUIRK_X2_ICR : 0;
        power_up();
        write(LAPIC_ICR_LO, 0x00040041);
        EXPECT_TRUE(lapic_set_base(&apic, 0xfee00c00));
        EXPECT_EQ(msr(LAPIC_ICR_LO), quirk ? 0u : 0x00040041u);
    }
}

} // namespace
