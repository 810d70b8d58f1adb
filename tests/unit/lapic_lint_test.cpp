/* The local vector table's inputs: LINT0, LINT1, thermal sensor, performance counters, CMCI. */
#include "unit/lapic_bench.h"

namespace
{

enum : uint32_t {
    mode_fixed = 0,
    mode_smi = IRQ_SMI << 8,
    mode_nmi = IRQ_NMI << 8,
    mode_init = IRQ_INIT << 8,
    mode_extint = IRQ_EXTINT << 8,
    level = LAPIC_LVT_LEVEL,
    active_low = LAPIC_LVT_ACTIVE_LOW,
    masked = LAPIC_LVT_MASKED,
};

class Lint : public LapicBench
{
  protected:
    void pin(unsigned n, bool high)
    {
        lapic_lint(&apic, n, high);
    }
    void pulse(unsigned n)
    {
        pin(n, true);
        pin(n, false);
    }
    bool requested(uint8_t vector) const
    {
        return vec_has(&apic.regs.IRR, vector);
    }
    bool remote_irr()
    {
        return read(LAPIC_LVT_LINT0) & LAPIC_LVT_REMOTE_IRR;
    }
    void serve(uint8_t vector)
    {
        ASSERT_EQ(lapic_acknowledge(&apic), vector);
        write(LAPIC_EOI, 0);
    }
};

/* ---- edges ---- */

TEST_F(Lint, ARisingEdgeRequestsTheVectorOfTheEntryOnce)
{
    write(LAPIC_LVT_LINT0, mode_fixed | 0x41);
    write(LAPIC_LVT_LINT1, mode_fixed | 0x52);
    pin(0, true);
    EXPECT_TRUE(requested(0x41));
    EXPECT_FALSE(vec_has(&apic.regs.TMR, 0x41));
    serve(0x41);
    pin(0, true);
    pin(0, false);
    EXPECT_FALSE(requested(0x41));
    pulse(1);
    EXPECT_TRUE(requested(0x52));
}

TEST_F(Lint, AnActiveLowPinRequestsWhenItFalls)
{
    pin(0, true);
    write(LAPIC_LVT_LINT0, mode_fixed | active_low | 0x41);
    EXPECT_FALSE(requested(0x41));
    pin(0, false);
    EXPECT_TRUE(requested(0x41));
    serve(0x41);
    pin(0, true);
    EXPECT_FALSE(requested(0x41));
}

TEST_F(Lint, AnEdgeThatMeetsAMaskIsLost)
{
    write(LAPIC_LVT_LINT0, mode_fixed | masked | 0x41);
    pin(0, true);
    write(LAPIC_LVT_LINT0, mode_fixed | 0x41);
    EXPECT_FALSE(requested(0x41));
    EXPECT_TRUE(recorder.records.empty());
    pin(0, false);
    pin(0, true);
    EXPECT_TRUE(requested(0x41));
}

TEST_F(Lint, AnotherPolarityIsNoEdge)
{
    write(LAPIC_LVT_LINT0, mode_fixed | 0x41);
    write(LAPIC_LVT_LINT0, mode_fixed | active_low | 0x41);
    EXPECT_FALSE(requested(0x41));
}

TEST_F(Lint, AnEdgeToAnIllegalVectorIsAnError)
{
    write(LAPIC_LVT_LINT0, mode_fixed | 0x0f);
    pulse(0);
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
}

/* SDM 3A "Local Vector Table": "level-sensitive interrupts are not supported for LINT1". */
TEST_F(Lint, Lint1IsEdgeSensitiveWhateverItsEntrySays)
{
    write(LAPIC_LVT_LINT1, mode_fixed | level | 0x41);
    EXPECT_EQ(read(LAPIC_LVT_LINT1), mode_fixed | level | 0x41);
    pin(1, true);
    EXPECT_TRUE(requested(0x41));
    EXPECT_FALSE(vec_has(&apic.regs.TMR, 0x41));
    EXPECT_FALSE(read(LAPIC_LVT_LINT1) & LAPIC_LVT_REMOTE_IRR);
    serve(0x41);
    EXPECT_FALSE(requested(0x41));
}

TEST_F(Lint, ThereAreTwoPins)
{
    write(LAPIC_LVT_LINT1, mode_fixed | 0x41);
    pin(2, true);
    pin(77, true);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
}

/* ---- levels, and Remote IRR ---- */

/*
 *   LINT0       __/~~~~~~~~~~~~~~~\______
 *   Remote IRR  __/~~~~~~~\/~~~~~~~~~\___
 *   IRR         __/~~\____/~~\___________
 *                  request EOI:     EOI
 *                          again
 */
TEST_F(Lint, ALevelIsRequestedAgainAtEachEoiUntilItFalls)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    pin(0, true);
    EXPECT_TRUE(requested(0x41) && remote_irr());
    EXPECT_TRUE(vec_has(&apic.regs.TMR, 0x41));
    ASSERT_EQ(lapic_acknowledge(&apic), 0x41);
    EXPECT_TRUE(remote_irr());
    EXPECT_FALSE(requested(0x41));
    write(LAPIC_EOI, 0);
    EXPECT_TRUE(requested(0x41) && remote_irr());
    ASSERT_EQ(lapic_acknowledge(&apic), 0x41);
    pin(0, false);
    EXPECT_TRUE(remote_irr());
    write(LAPIC_EOI, 0);
    EXPECT_FALSE(requested(0x41) || remote_irr());
    EXPECT_EQ(port.broadcasts, (std::vector<uint8_t>{0x41, 0x41}));
}

TEST_F(Lint, ALevelThatIsGoneBeforeItsEoiIsServedOnce)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    pulse(0);
    pulse(0);
    EXPECT_TRUE(remote_irr());
    serve(0x41);
    EXPECT_FALSE(requested(0x41) || remote_irr());
}

TEST_F(Lint, ALevelWaitsForItsMaskToOpen)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | masked | 0x41);
    pin(0, true);
    EXPECT_FALSE(requested(0x41) || remote_irr());
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    EXPECT_TRUE(requested(0x41) && remote_irr());
}

TEST_F(Lint, AnActiveLowLevelAsksWhileThePinIsLow)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | active_low | 0x41);
    EXPECT_TRUE(requested(0x41));
    pin(0, true);
    serve(0x41);
    EXPECT_FALSE(requested(0x41));
}

TEST_F(Lint, SoftwareCannotWriteRemoteIrr)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | LAPIC_LVT_REMOTE_IRR | 0x41);
    EXPECT_FALSE(remote_irr());
    pin(0, true);
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    EXPECT_TRUE(remote_irr());
    EXPECT_EQ(recorder.of(TRACE_RAISED).size(), 1u);
}

TEST_F(Lint, RemoteIrrEndsWithTheEoiOfTheVectorThatWasAccepted)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    pin(0, true);
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x61);
    accept(fixed(0x61));
    serve(0x61);
    EXPECT_TRUE(remote_irr()) << "0x61 was somebody else's";
    serve(0x41);
    EXPECT_TRUE(requested(0x61) && remote_irr());
}

TEST_F(Lint, RemoteIrrEndsWithTheTriggerMode)
{
    for (uint32_t other : {mode_fixed | 0x41u, mode_nmi | level, mode_extint | level}) {
        power_up();
        write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
        pin(0, true);
        write(LAPIC_LVT_LINT0, other);
        EXPECT_FALSE(remote_irr()) << other;
        serve(0x41);
        EXPECT_FALSE(requested(0x41)) << other;
        write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
        EXPECT_TRUE(remote_irr()) << other;
    }
}

TEST_F(Lint, ALevelThatMergesWithARequestWaitsForTheirEoi)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    accept(fixed(0x41));
    pin(0, true);
    EXPECT_TRUE(remote_irr());
    EXPECT_EQ(recorder.of(TRACE_COALESCED).size(), 1u);
    pin(0, false);
    serve(0x41);
    EXPECT_FALSE(remote_irr());
}

TEST_F(Lint, ALevelOfAnIllegalVectorIsNotAccepted)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x03);
    pin(0, true);
    EXPECT_FALSE(remote_irr());
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_RECEIVE_ILLEGAL_VECTOR);
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    EXPECT_TRUE(requested(0x41));
}

/* ---- NMI, SMI, INIT ---- */

TEST_F(Lint, AnNmiEntryIsEdgeSensitiveAndItsVectorCountsForNothing)
{
    write(LAPIC_LVT_LINT1, mode_nmi | level | 0x05);
    pin(1, true);
    EXPECT_TRUE(apic.nmi_pending);
    EXPECT_EQ(recorder.of(TRACE_PENDING).at(0).a, 2u);
    EXPECT_EQ(recorder.of(TRACE_PENDING).at(0).b, TRACE_HELD_NMI);
    EXPECT_EQ(errors(), 0u);
    apic.nmi_pending = false;
    write(LAPIC_LVT_LINT1, mode_nmi | 0x05);
    EXPECT_FALSE(apic.nmi_pending);
    pin(1, false);
    pin(1, true);
    EXPECT_TRUE(apic.nmi_pending);
}

TEST_F(Lint, SmiAndInitReachTheCoreAndEndTheirFlows)
{
    write(LAPIC_LVT_LINT0, mode_smi);
    write(LAPIC_LVT_LINT1, mode_init);
    pin(0, true);
    EXPECT_TRUE(apic.smi_pending);
    pin(1, true);
    EXPECT_TRUE(apic.init_pending);
    for (trace_flow flow : {1u, 2u}) {
        EXPECT_EQ(recorder.of(TRACE_RAISED).at(flow - 1).flow, flow);
        EXPECT_EQ(recorder.of(TRACE_REFUSED).at(flow - 1).flow, flow);
        EXPECT_EQ(recorder.of(TRACE_REFUSED).at(flow - 1).b, TRACE_REFUSED_MODE);
    }
}

TEST_F(Lint, ReservedDeliveryModesRaiseNothing)
{
    for (uint32_t mode : {1u, 3u, 6u}) {
        write(LAPIC_LVT_LINT0, mode << 8 | 0x41);
        pulse(0);
    }
    EXPECT_TRUE(recorder.records.empty());
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
}

/* ---- ExtINT ---- */

TEST_F(Lint, AnExtIntEntryAsksForIntaAsLongAsItsPinIsAsserted)
{
    for (unsigned n : {0u, 1u}) {
        const uint16_t entry = n ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0;
        pin(n, true);
        EXPECT_FALSE(lapic_extint(&apic));
        write(entry, mode_extint);
        EXPECT_TRUE(lapic_extint(&apic));
        lapic_acknowledge_extint(&apic);
        EXPECT_TRUE(lapic_extint(&apic)) << "the pin has not fallen";
        pin(n, false);
        EXPECT_FALSE(lapic_extint(&apic));
        write(entry, mode_extint | active_low);
        EXPECT_TRUE(lapic_extint(&apic));
        write(entry, mode_extint | active_low | masked);
        EXPECT_FALSE(lapic_extint(&apic));
    }
    EXPECT_EQ(lapic_pending(&apic), NO_VECTOR);
    EXPECT_TRUE(recorder.records.empty()) << "the 8259A's request has the flow";
}

TEST_F(Lint, SoftwareDisablingMasksExtIntToo)
{
    write(LAPIC_LVT_LINT0, mode_extint);
    pin(0, true);
    EXPECT_TRUE(lapic_extint(&apic));
    write(LAPIC_SVR, 0xff);
    EXPECT_FALSE(lapic_extint(&apic));
}

/* SDM 3A "Enabling or Disabling the Local APIC". */
TEST_F(Lint, WithoutAnApicThePinsAreIntrAndNmi)
{
    ASSERT_TRUE(lapic_set_base(&apic, 0xfee00000));
    EXPECT_FALSE(lapic_extint(&apic));
    pin(0, true);
    EXPECT_TRUE(lapic_extint(&apic));
    pin(0, false);
    EXPECT_FALSE(lapic_extint(&apic));
    pin(1, true);
    EXPECT_TRUE(apic.nmi_pending);
    EXPECT_EQ(recorder.of(TRACE_PENDING).size(), 1u);
}

/* ---- resets ---- */

TEST_F(Lint, InitMasksTheEntriesAndThePinsKeepTheirLevels)
{
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x41);
    pin(0, true);
    lapic_reset(&apic);
    EXPECT_EQ(read(LAPIC_LVT_LINT0), masked);
    EXPECT_EQ(apic.pin[0].awaits, NO_VECTOR);
    write(LAPIC_LVT_LINT0, mode_fixed | level | 0x42);
    EXPECT_TRUE(requested(0x42));
}

/* ---- the sources inside the processor ---- */

class LocalEvents : public Lint, public ::testing::WithParamInterface<uint16_t>
{
  protected:
    void event()
    {
        lapic_local_event(&apic, GetParam());
    }
};

TEST_P(LocalEvents, RequestTheVectorOfTheirEntry)
{
    write(GetParam(), mode_fixed | 0x41);
    event();
    EXPECT_TRUE(requested(0x41));
    EXPECT_FALSE(vec_has(&apic.regs.TMR, 0x41));
    EXPECT_EQ(recorder.of(TRACE_RAISED).size(), 1u);
}

TEST_P(LocalEvents, CanBeNmiAndSmi)
{
    write(GetParam(), mode_nmi);
    event();
    EXPECT_TRUE(apic.nmi_pending);
    write(GetParam(), mode_smi);
    event();
    EXPECT_TRUE(apic.smi_pending);
}

/* SDM 3A "Local Vector Table": INIT and ExtINT are "not supported" for these three. */
TEST_P(LocalEvents, CanBeNeitherInitNorExtInt)
{
    for (uint32_t mode : {mode_init, mode_extint}) {
        write(GetParam(), mode | 0x41);
        event();
    }
    EXPECT_FALSE(apic.init_pending || lapic_extint(&apic));
    EXPECT_TRUE(recorder.records.empty());
}

TEST_P(LocalEvents, AreLostWhileMasked)
{
    write(GetParam(), mode_fixed | masked | 0x41);
    event();
    write(GetParam(), mode_fixed | 0x41);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
    EXPECT_TRUE(recorder.records.empty());
}

TEST_P(LocalEvents, AreNotThereWithoutAnApic)
{
    lapic_set_base(&apic, 0xfee00000);
    event();
    EXPECT_TRUE(recorder.records.empty());
}

/* "When the local APIC handles a performance-monitoring counters interrupt, it automatically
   sets the mask flag." */
TEST_P(LocalEvents, OfPerformanceCountersMaskTheirEntry)
{
    write(GetParam(), mode_fixed | 0x41);
    event();
    event();
    const bool is_perf = GetParam() == LAPIC_LVT_PERF;
    EXPECT_EQ(read(GetParam()), (is_perf ? 0x10041u : 0x41u));
    EXPECT_EQ(recorder.of(TRACE_COALESCED).size(), is_perf ? 0u : 1u);
}

INSTANTIATE_TEST_SUITE_P(Entries, LocalEvents,
                         ::testing::Values(LAPIC_LVT_THERMAL, LAPIC_LVT_PERF, LAPIC_LVT_CMCI));

TEST_F(Lint, OtherEntriesAreNobodysEvents)
{
    for (uint16_t entry : {LAPIC_LVT_TIMER, LAPIC_LVT_LINT0, LAPIC_LVT_ERROR}) {
        write(entry, 0x41);
        lapic_local_event(&apic, entry);
    }
    lapic_local_event(&apic, 0x123);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
}

TEST_F(Lint, AnApicWithSixEntriesHasNoCmci)
{
    config.version = 0x00050014;
    power_up();
    EXPECT_EQ(read(LAPIC_LVT_CMCI), 0u);
    EXPECT_EQ(errors(), (uint32_t)LAPIC_ESR_ILLEGAL_REGISTER);
    lapic_local_event(&apic, LAPIC_LVT_CMCI);
    EXPECT_TRUE(vec_empty(&apic.regs.IRR));
    power_up(LAPIC_MODE_X2APIC);
    uint64_t value;
    EXPECT_FALSE(rdmsr(0x82f, &value));
}

} // namespace
