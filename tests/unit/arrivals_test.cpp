/* Arrivals: their times alone, by kind. */
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "shim.h"

extern "C" {
#include "device/arrivals.h"
}

namespace
{

std::vector<uint64_t> times_of(const arrivals_config &config)
{
    std::vector<uint64_t> times;
    arrivals a;

    arrivals_init(&a, &config);
    for (;;) {
        const sim_time at = arrivals_next(&a);
        if (at.ps == UINT64_MAX)
            return times;
        times.push_back(at.ps);
    }
}

arrivals_config of_kind(arrivals_kind kind, uint64_t gap_ps, uint64_t count)
{
    arrivals_config c{};
    c.kind = kind;
    c.gap_ps = gap_ps;
    c.count = count;
    c.burst = 1;
    c.shape = 1500;
    c.seed = 7;
    return c;
}

std::vector<double> gaps_of(const arrivals_config &c)
{
    std::vector<double> gaps;
    uint64_t before = c.from.ps;

    for (const uint64_t t : times_of(c)) {
        gaps.push_back(static_cast<double>(t - before));
        before = t;
    }
    return gaps;
}

double mean(const std::vector<double> &x)
{
    double sum = 0;
    for (const double each : x)
        sum += each;
    return sum / static_cast<double>(x.size());
}

double share_above(const std::vector<double> &x, double limit)
{
    double n = 0;
    for (const double each : x)
        n += each > limit;
    return n / static_cast<double>(x.size());
}

TEST(Arrivals, PeriodicOnesComeAtEvenDistancesFromTheirStart)
{
    arrivals_config c = of_kind(ARRIVALS_periodic, 50, 4);
    c.from.ps = 1000;
    EXPECT_EQ(times_of(c), (std::vector<uint64_t>{1000, 1050, 1100, 1150}));
}

TEST(Arrivals, ABurstsFramesAreCloseAndItsBeginsEven)
{
    arrivals_config c = of_kind(ARRIVALS_bursts, 100, 7);
    c.from.ps = 10;
    c.burst = 3;
    c.within_ps = 2;
    EXPECT_EQ(times_of(c), (std::vector<uint64_t>{10, 12, 14, 110, 112, 114, 210}));
}

TEST(Arrivals, InFlightAreThoseOfTheBurstThatAreStillToComeButNoneBeyondTheLast)
{
    arrivals_config c = of_kind(ARRIVALS_bursts, 100, 5);
    arrivals a;
    std::vector<uint32_t> in_flight;

    c.burst = 3;
    arrivals_init(&a, &c);
    EXPECT_EQ(arrivals_in_flight(&a), 0u);
    while (arrivals_next(&a).ps != UINT64_MAX)
        in_flight.push_back(arrivals_in_flight(&a));
    EXPECT_EQ(in_flight, (std::vector<uint32_t>{2, 1, 0, 1, 0}));
}

TEST(Arrivals, OnlyBurstsHaveFramesInFlight)
{
    arrivals_config c = of_kind(ARRIVALS_periodic, 100, 5);
    arrivals a;

    arrivals_init(&a, &c);
    arrivals_next(&a);
    EXPECT_EQ(arrivals_in_flight(&a), 0u);
}

TEST(Arrivals, ListedOnesComeWhenTheListSays)
{
    const sim_time list[] = {{5}, {5}, {90}};
    arrivals_config c = of_kind(ARRIVALS_listed, 0, 3);
    c.times = list;
    EXPECT_EQ(times_of(c), (std::vector<uint64_t>{5, 5, 90}));
}

/* An exponential distribution: mean m, e^-1 of it above m, e^-3 above 3 m. */
TEST(Arrivals, PoissonDistancesAreExponential)
{
    const double m = 1e6;
    const auto gaps = gaps_of(of_kind(ARRIVALS_poisson, 1000000, 200000));

    EXPECT_NEAR(mean(gaps) / m, 1.0, 0.01);
    EXPECT_NEAR(share_above(gaps, m), std::exp(-1.0), 0.005);
    EXPECT_NEAR(share_above(gaps, 3 * m), std::exp(-3.0), 0.002);
    EXPECT_NEAR(share_above(gaps, m / 10), std::exp(-0.1), 0.003);
}

/* Pareto of exponent 1.5: the least is a third of the mean, and of the distances (1/k)^1.5 are above k
   times the least. */
TEST(Arrivals, AHeavyTailIsParetos)
{
    const auto gaps = gaps_of(of_kind(ARRIVALS_heavy_tailed, 3000000, 200000));
    const double least = 1e6;

    EXPECT_EQ(share_above(gaps, least * 0.9999), 1.0);
    EXPECT_NEAR(share_above(gaps, 2 * least), std::pow(2.0, -1.5), 0.005);
    EXPECT_NEAR(share_above(gaps, 10 * least), std::pow(10.0, -1.5), 0.002);
    EXPECT_NEAR(share_above(gaps, 100 * least), std::pow(100.0, -1.5), 0.0005);
}

TEST(Arrivals, ATailBeyondAllTimeEndsTheArrivals)
{
    arrivals_config c = of_kind(ARRIVALS_heavy_tailed, UINT64_C(1) << 56, 100000);
    c.shape = 1001;
    uint64_t before = 0;

    for (const uint64_t t : times_of(c)) {
        EXPECT_GE(t, before);
        before = t;
    }
    EXPECT_LT(times_of(c).size(), 100000u);
}

TEST(Arrivals, TheSameSeedGivesTheSameTimesAndAnotherStreamOthers)
{
    arrivals_config c = of_kind(ARRIVALS_poisson, 1000000, 100);
    const auto once = times_of(c);

    EXPECT_EQ(once, times_of(c));
    c.stream = 1;
    EXPECT_NE(once, times_of(c));
}

} // namespace
