/* Clocks: edges are computed from their numbers, so they do not drift. */
#include <gtest/gtest.h>

#include <random>

#include "shim.h"

namespace
{

constexpr uint64_t pit_hz = 1193182, pm_timer_hz = 14318180, core_hz = 2500000000,
                   odd_hz = 2999999999;
constexpr uint64_t all_hz[] = {1,        32768,   pit_hz, pm_timer_hz,
                               24000000, core_hz, odd_hz, 1000000000000};

uint64_t edge(uint64_t hz, uint64_t n)
{
    const struct clock c = clock_of_hz(hz);
    return clock_edge(&c, {n}).ps;
}

uint64_t count(uint64_t hz, uint64_t ps)
{
    const struct clock c = clock_of_hz(hz);
    return clock_count(&c, {ps}).n;
}

/* After n whole seconds exactly n * hz cycles have passed, whatever the period. */
TEST(Clock, IsExactAtEveryWholeSecond)
{
    for (uint64_t hz : all_hz)
        for (uint64_t second : {1u, 2u, 3600u, 1000003u}) {
            EXPECT_EQ(edge(hz, second * hz), second * PS_PER_SECOND) << hz << " Hz";
            EXPECT_EQ(count(hz, second * PS_PER_SECOND), second * hz) << hz << " Hz";
        }
}

TEST(Clock, DoesNotDriftInAMillionMillionCycles)
{
    constexpr uint64_t million_million = 1000000000000;
    EXPECT_EQ(edge(core_hz, million_million), 400 * PS_PER_SECOND);
    /* 10^24 / 14318180 and 10^22 / 1193182, rounded up; the second with 10^10 cycles, to stay in range. */
    EXPECT_EQ(edge(pm_timer_hz, million_million), 69841278710003646u);
    EXPECT_EQ(edge(pit_hz, million_million / 100), 8380951103855070u);
}

TEST(Clock, NumbersAnEdgeAsItWasAsked)
{
    std::mt19937_64 random(1);
    for (uint64_t hz : all_hz) {
        const uint64_t last = count(hz, UINT64_MAX - 2 * PS_PER_SECOND);
        for (int i = 0; i < 10000; i++) {
            const uint64_t n = random() % last;
            ASSERT_EQ(count(hz, edge(hz, n)), n) << hz << " Hz";
        }
    }
}

TEST(Clock, AnEdgeIsTheFirstInstantOfItsCycle)
{
    std::mt19937_64 random(2);
    for (uint64_t hz : all_hz)
        for (int i = 0; i < 10000; i++) {
            const uint64_t n = 1 + random() % 1000000;
            ASSERT_EQ(count(hz, edge(hz, n) - 1), n - 1) << hz << " Hz";
        }
}

TEST(Clock, EdgesPastTheEndOfTimeAreNever)
{
    EXPECT_EQ(edge(1, 18446744), 18446744 * PS_PER_SECOND);
    EXPECT_EQ(edge(1, 18446745), UINT64_MAX);
    EXPECT_EQ(edge(core_hz, UINT64_MAX), UINT64_MAX);
    EXPECT_EQ(edge(odd_hz, UINT64_MAX), UINT64_MAX);
}

TEST(Clock, AfterCountsFromTheLastEdge)
{
    const struct clock core = clock_of_hz(core_hz); /* 400 ps */
    EXPECT_EQ(clock_after(&core, {800}, {3}).ps, 2000u);
    EXPECT_EQ(clock_after(&core, {1199}, {3}).ps, 2000u);
    EXPECT_EQ(clock_after(&core, {1199}, {0}).ps, 1199u);
    EXPECT_EQ(clock_after(&core, {800}, {UINT64_MAX}).ps, UINT64_MAX);
}

TEST(Time, SumsSaturateAtNever)
{
    EXPECT_EQ(time_plus_ps({5}, 7).ps, 12u);
    EXPECT_EQ(time_plus_ps({UINT64_MAX - 3}, 3).ps, UINT64_MAX);
    EXPECT_EQ(time_plus_ps({UINT64_MAX - 3}, 4).ps, UINT64_MAX);
}

TEST(Time, TheLaterOfTwo)
{
    EXPECT_EQ(time_later_of({1}, {2}).ps, 2u);
    EXPECT_EQ(time_later_of({2}, {1}).ps, 2u);
    EXPECT_TRUE(time_before({1}, {2}));
    EXPECT_FALSE(time_before({2}, {2}));
}

} // namespace
