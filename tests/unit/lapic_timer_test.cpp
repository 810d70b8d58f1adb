/* The local APIC's timer: one-shot, periodic, TSC-deadline, and what changes between them. */
#include <map>
#include <random>

#include "unit/lapic_bench.h"

namespace
{

enum : uint32_t { one_shot = 0, periodic = 1 << 17, tsc_deadline = 2 << 17 };
enum : uint32_t { divide_by_1 = 0xb, divide_by_16 = 0x3 };

class Timer : public LapicBench
{
  protected:
    Timer()
    {
        write(LAPIC_TIMER_DIVIDE, divide_by_1);
    }

    void start(uint32_t mode, uint32_t count)
    {
        write(LAPIC_LVT_TIMER, mode | 0xd0);
        write(LAPIC_TIMER_INITIAL, count);
    }
    uint32_t current()
    {
        return read(LAPIC_TIMER_CURRENT);
    }
    bool expired()
    {
        irq_msg msg;
        return lapic_timer_expired(&apic, now, &msg);
    }
    void at(uint64_t nanoseconds)
    {
        now.ps = nanoseconds * ns;
    }

    /* Not a picosecond early, and then at once. */
    void expect_expiry_at(uint64_t nanoseconds)
    {
        EXPECT_EQ(apic.timer_deadline.ps, nanoseconds * ns);
        now.ps = nanoseconds * ns - 1;
        EXPECT_FALSE(expired());
        at(nanoseconds);
        EXPECT_TRUE(expired());
    }
};

TEST_F(Timer, ItsMessageIsAFixedInterruptToItself)
{
    start(one_shot, 10);
    at(10);
    irq_msg msg;
    ASSERT_TRUE(lapic_timer_expired(&apic, now, &msg));
    EXPECT_EQ(msg.vector, 0xd0);
    EXPECT_EQ(msg.delivery, IRQ_FIXED);
    EXPECT_EQ(msg.shorthand, IRQ_SELF);
    EXPECT_EQ(msg.source, 7u);
    EXPECT_EQ(msg.flow, 0u);
    EXPECT_FALSE(msg.level);
}

TEST_F(Timer, TheCountFallsWithTheDividedBusClock)
{
    write(LAPIC_TIMER_DIVIDE, divide_by_16);
    start(one_shot, 10);
    const std::map<uint64_t, uint32_t> seen = {{0, 10},  {15, 10}, {16, 9}, {31, 9},
                                               {144, 1}, {159, 1}, {160, 0}};
    for (const auto &[time, count] : seen) {
        at(time);
        EXPECT_EQ(current(), count) << time;
    }
}

TEST_F(Timer, EveryDivideCodeDividesAsTheFigureSays)
{
    const std::map<uint32_t, uint64_t> codes = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                                                {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    for (const auto &[code, divisor] : codes) {
        at(0);
        write(LAPIC_TIMER_DIVIDE, code);
        start(one_shot, 100);
        EXPECT_EQ(apic.timer_deadline.ps, 100 * divisor * ns) << code;
    }
}

/* Edge n of a clock is the first picosecond of its cycle n; so the end of period k of a timer that
   was started with an edge is computed here without any period that went before. */
class TimerPeriods : public Timer, public ::testing::WithParamInterface<uint64_t>
{
};

TEST_P(TimerPeriods, OfAllEightDivisorsAreExactAndDoNotDrift)
{
    const uint64_t hz = GetParam();
    const std::map<uint32_t, uint64_t> codes = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                                                {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    config.bus_clock = clock_of_hz(hz);
    for (const auto &[code, divisor] : codes)
        for (uint32_t count : {1u, 3u, 1000u, 999983u}) {
            now.ps = 0;
            power_up();
            write(LAPIC_TIMER_DIVIDE, code);
            start(periodic, count);
            for (uint64_t k = 1; k <= 2000; k++) {
                const unsigned __int128 ticks = (unsigned __int128)k * count * divisor;
                const uint64_t due = (uint64_t)((ticks * PS_PER_SECOND + hz - 1) / hz);
                ASSERT_EQ(apic.timer_deadline.ps, due) << divisor << " * " << count;
                now.ps = due - 1;
                ASSERT_FALSE(expired());
                ASSERT_EQ(current(), 1u);
                now.ps = due;
                ASSERT_TRUE(expired());
                ASSERT_EQ(current(), count);
            }
        }
}

INSTANTIATE_TEST_SUITE_P(BusClocks, TimerPeriods,
                         ::testing::Values(25000000, 66666667, 99999989, 100000000, 133333333,
                                           1000000000));

TEST_F(Timer, TheLongestCountDoesNotOverflow)
{
    write(LAPIC_TIMER_DIVIDE, 0xa);
    start(one_shot, UINT32_MAX);
    EXPECT_EQ(apic.timer_deadline.ps, UINT64_C(0xffffffff) * 128 * ns);
    EXPECT_EQ(current(), UINT32_MAX);
}

TEST_F(Timer, PeriodicComesBackWithoutDriftHoweverLateItIsServed)
{
    start(periodic, 100);
    for (uint64_t period = 1; period <= 5; period++) {
        EXPECT_EQ(apic.timer_deadline.ps, period * 100 * ns);
        at(period * 100 + period);
        EXPECT_TRUE(expired());
        EXPECT_EQ(current(), 100 - period);
    }
}

TEST_F(Timer, MissedPeriodsAreMadeUpForOneByOne)
{
    start(periodic, 100);
    at(350);
    EXPECT_TRUE(expired());
    EXPECT_EQ(port.armed.back().ps, 350 * ns);
    EXPECT_TRUE(expired());
    EXPECT_TRUE(expired());
    EXPECT_FALSE(expired());
    EXPECT_EQ(port.armed.back().ps, 400 * ns);
}

TEST_F(Timer, PeriodsOfAnUnevenClockDoNotDrift)
{
    config.bus_clock = clock_of_hz(3);
    power_up();
    write(LAPIC_TIMER_DIVIDE, divide_by_1);
    start(periodic, 1);
    for (uint64_t n = 1; n <= 300; n++) {
        EXPECT_EQ(apic.timer_deadline.ps, (n * PS_PER_SECOND + 2) / 3);
        now = apic.timer_deadline;
        EXPECT_TRUE(expired());
    }
}

TEST_F(Timer, WritingZeroStopsIt)
{
    start(periodic, 100);
    write(LAPIC_TIMER_INITIAL, 0);
    EXPECT_EQ(apic.timer_deadline, never);
    EXPECT_EQ(port.armed.back(), never);
    EXPECT_EQ(current(), 0u);
}

TEST_F(Timer, WritingTheInitialCountStartsAnew)
{
    start(one_shot, 100);
    at(60);
    write(LAPIC_TIMER_INITIAL, 100);
    expect_expiry_at(160);
}

TEST_F(Timer, AMaskedTimerCountsAndKeepsQuiet)
{
    start(one_shot, 100);
    write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED | 0xd0);
    at(50);
    EXPECT_EQ(current(), 50u);
    at(100);
    EXPECT_FALSE(expired());
    EXPECT_EQ(apic.timer_deadline, never);
}

TEST_F(Timer, ANewDivisorStretchesTheStepsThatAreLeft)
{
    start(one_shot, 100);
    at(40);
    write(LAPIC_TIMER_DIVIDE, divide_by_16);
    EXPECT_EQ(current(), 60u);
    expect_expiry_at(40 + 60 * 16);
}

TEST_F(Timer, TheSameDivisorAgainChangesNothing)
{
    write(LAPIC_TIMER_DIVIDE, divide_by_16);
    start(one_shot, 10);
    at(9);
    write(LAPIC_TIMER_DIVIDE, divide_by_16);
    expect_expiry_at(160);
}

/* ---- TSC-deadline mode: the TSC runs at 2 GHz ---- */

TEST_F(Timer, TheTscDeadlineFiresWhenTheTscReachesIt)
{
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
    lapic_set_tsc_deadline(&apic, 2000, now);
    EXPECT_EQ(lapic_tsc_deadline(&apic), 2000u);
    EXPECT_EQ(current(), 0u);
    expect_expiry_at(1000);
}

TEST_F(Timer, ATscDeadlineOfZeroDisarms)
{
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
    lapic_set_tsc_deadline(&apic, 2000, now);
    lapic_set_tsc_deadline(&apic, 0, now);
    EXPECT_EQ(lapic_tsc_deadline(&apic), 0u);
    EXPECT_EQ(port.armed.back(), never);
}

TEST_F(Timer, ATscDeadlineBeyondTheEndOfTimeStaysArmedAndNeverComes)
{
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
    lapic_set_tsc_deadline(&apic, UINT64_MAX, now);
    EXPECT_EQ(lapic_tsc_deadline(&apic), UINT64_MAX);
    EXPECT_EQ(apic.timer_deadline, never);
}

TEST_F(Timer, TheTscDeadlineIsIgnoredInOtherModes)
{
    for (uint32_t mode : {one_shot, periodic}) {
        write(LAPIC_LVT_TIMER, mode | 0xd0);
        lapic_set_tsc_deadline(&apic, 2000, now);
        EXPECT_EQ(lapic_tsc_deadline(&apic), 0u);
        EXPECT_EQ(apic.timer_deadline, never);
    }
}

TEST_F(Timer, TheInitialCountIsIgnoredInTscDeadlineMode)
{
    start(tsc_deadline, 1000);
    EXPECT_EQ(apic.timer_deadline, never);
    EXPECT_EQ(read(LAPIC_TIMER_INITIAL), 0u);
    lapic_set_tsc_deadline(&apic, 2000, now);
    write(LAPIC_TIMER_DIVIDE, 0x3);
    EXPECT_EQ(apic.timer_deadline.ps, 1000 * ns);
}

TEST_F(Timer, ChangingToOrFromTscDeadlineModeDisarms)
{
    start(periodic, 1000);
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
    EXPECT_EQ(apic.timer_deadline, never);
    lapic_set_tsc_deadline(&apic, 2000, now);
    write(LAPIC_LVT_TIMER, one_shot | 0xd0);
    EXPECT_EQ(apic.timer_deadline, never);
    EXPECT_EQ(port.armed.back(), never);
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
    EXPECT_EQ(lapic_tsc_deadline(&apic), 0u);
}

TEST_F(Timer, ChangingTheVectorInTscDeadlineModeKeepsTheDeadline)
{
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
    lapic_set_tsc_deadline(&apic, 2000, now);
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd1);
    expect_expiry_at(1000);
}

/* An APIC-write VM exit comes after the processor has written the virtual-APIC page. */
TEST_F(Timer, AWriteThatTheHardwareMadeFirstHasItsEffectAllTheSame)
{
    start(periodic, 100);
    at(40);
    apic.regs.TIMER_DIVIDE = divide_by_16;
    EXPECT_EQ(current(), 60u);
    write(LAPIC_TIMER_DIVIDE, divide_by_16);
    EXPECT_EQ(apic.timer_deadline.ps, (40 + 60 * 16) * ns);
    apic.regs.LVT_TIMER = tsc_deadline | 0xd0;
    write(LAPIC_LVT_TIMER, tsc_deadline | 0xd0);
    EXPECT_EQ(apic.timer_deadline, never);
}

/* An owner that does what it is told always has the right deadline. */
class RandomTimer : public Timer, public ::testing::WithParamInterface<unsigned>
{
};

TEST_P(RandomTimer, TellsItsOwnerEveryDeadlineAndNeverFiresEarly)
{
    std::mt19937 random(GetParam());
    write(LAPIC_LVT_TIMER, one_shot | 0xd0);
    for (int step = 0; step < 5000; step++) {
        now.ps += random() % (300 * ns);
        const sim_time due = apic.timer_deadline;
        switch (random() % 6) {
        case 0:
            write(LAPIC_LVT_TIMER, (random() % 4) << 17 | 0xd0);
            break;
        case 1:
            write(LAPIC_TIMER_INITIAL, random() % 1000);
            break;
        case 2:
            write(LAPIC_TIMER_DIVIDE, random());
            break;
        case 3:
            lapic_set_tsc_deadline(&apic, now.ps / 500 + random() % 1000, now);
            break;
        default:
            ASSERT_EQ(expired(), due.ps <= now.ps);
        }
        const bool is_to_come =
            apic.timer_deadline.ps > now.ps && !(apic.timer_deadline == never);
        ASSERT_TRUE(!is_to_come || port.armed.back() == apic.timer_deadline);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTimer, ::testing::Range(0u, 8u));

} // namespace
