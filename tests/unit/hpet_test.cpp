/*
 * The HPET: matches, lines, messages, registers, as timing diagrams in ticks of
 * the main counter. Numbers of sections are those of the specification.
 */
#include <random>

#include "unit/timer_bench.h"

namespace
{

constexpr uint64_t hour = 3600 * PS_PER_SECOND;
constexpr uint64_t all_ones = UINT64_MAX;

struct written {
    uint64_t ps;
    uint32_t address, data;

    bool operator==(const written &other) const
    {
        return ps == other.ps && address == other.address && data == other.data;
    }
};

/* An HPET, and what its port heard. Routes: 20 to 23, and 11 for timer 2. */
class Block : public TimeBase, public hpet_port
{
  public:
    hpet chip;
    hpet_config config{};
    std::vector<edge> edges;
    std::vector<written> messages;
    std::vector<bool> legacy_said;

    explicit Block(uint64_t hz = HPET_HZ_QEMU)
        : hpet_port{heard_line, heard_message, heard_legacy}
    {
        config.clock = clock_of_hz(hz);
        config.routes[0] = config.routes[1] = 0x00f00000;
        config.routes[2] = 0x00f00800;
        config.fsb = true;
        config.events = &queue;
        config.port = this;
        hpet_init(&chip, &config);
    }

    uint64_t ps_of(uint64_t tick) const
    {
        return clock_edge(&config.clock, cycles{tick}).ps;
    }
    void at(uint64_t tick)
    {
        run_until(ps_of(tick));
    }
    uint64_t read(unsigned offset, unsigned size = 8)
    {
        return hpet_read(&chip, static_cast<uint16_t>(offset), size);
    }
    void write(unsigned offset, uint64_t value, unsigned size = 8)
    {
        hpet_write(&chip, static_cast<uint16_t>(offset), size, value);
    }
    uint64_t counter()
    {
        return read(HPET_MAIN_CNT);
    }
    void enable(uint64_t also = 0)
    {
        write(HPET_GEN_CONF, HPET_ENABLE | also);
    }
    void halt()
    {
        write(HPET_GEN_CONF, 0);
    }
    static unsigned of(unsigned timer, unsigned offset)
    {
        return offset + timer * HPET_TIMER_STRIDE;
    }
    void configure(unsigned timer, uint64_t bits, unsigned route = 20)
    {
        write(of(timer, HPET_TIM_CONF), bits | route << HPET_ROUTE_SHIFT);
    }
    void compare(unsigned timer, uint64_t value)
    {
        write(of(timer, HPET_TIM_COMP), value);
    }
    uint64_t comparator(unsigned timer)
    {
        return read(of(timer, HPET_TIM_COMP));
    }

  private:
    static void heard_line(hpet_port *self, unsigned number, bool level)
    {
        Block *block = static_cast<Block *>(self);
        block->edges.push_back({block->queue.now.ps, number, level});
    }
    static void heard_message(hpet_port *self, uint32_t address, uint32_t data)
    {
        Block *block = static_cast<Block *>(self);
        block->messages.push_back({block->queue.now.ps, address, data});
    }
    static void heard_legacy(hpet_port *self, bool replaces)
    {
        static_cast<Block *>(self)->legacy_said.push_back(replaces);
    }
};

class Hpet : public ::testing::Test, protected Block
{
  protected:
    /* Nothing a picosecond earlier; at the tick, an edge of the line and no more. */
    void expect_edge_at(uint64_t tick, unsigned line)
    {
        edges.clear();
        run_until(ps_of(tick) - 1);
        EXPECT_TRUE(edges.empty()) << "before tick " << tick;
        at(tick);
        EXPECT_EQ(edges,
                  (std::vector<edge>{{ps_of(tick), line, true}, {ps_of(tick), line, false}}));
    }
    void expect_rise_at(uint64_t tick, unsigned line)
    {
        edges.clear();
        run_until(ps_of(tick) - 1);
        EXPECT_TRUE(edges.empty()) << "before tick " << tick;
        at(tick);
        EXPECT_EQ(edges, (std::vector<edge>{{ps_of(tick), line, true}}));
    }
    void expect_silence_until(uint64_t tick)
    {
        edges.clear();
        messages.clear();
        at(tick);
        EXPECT_TRUE(edges.empty());
        EXPECT_TRUE(messages.empty());
    }
};

/* ---- 2.3.4: capabilities ---- */

TEST_F(Hpet, CapabilitiesTellTheClockThreeTimers64BitsAndLegacyReplacement)
{
    EXPECT_EQ(read(HPET_GCAP_ID), UINT64_C(0x009896808086a201));
    Block chipset(HPET_HZ_CHIPSET);
    EXPECT_EQ(chipset.read(HPET_GCAP_ID), UINT64_C(0x0429b17f8086a201));
    chipset.write(HPET_GCAP_ID, 0);
    EXPECT_EQ(chipset.read(HPET_GCAP_ID), UINT64_C(0x0429b17f8086a201));
}

TEST_F(Hpet, TimersTellTheirRoutesSizeAndModes)
{
    EXPECT_EQ(read(of(0, HPET_TIM_CONF)), UINT64_C(0x00f0000000008030));
    EXPECT_EQ(read(of(2, HPET_TIM_CONF)), UINT64_C(0x00f0080000008030));
    EXPECT_EQ(comparator(1), all_ones);
    EXPECT_EQ(read(of(1, HPET_TIM_FSB)), 0u);
}

/* ---- 2.3.7: the main counter ---- */

TEST_F(Hpet, TheMainCounterCountsClockEdgesWhileEnabled)
{
    at(100);
    EXPECT_EQ(counter(), 0u);
    run_until(ps_of(100) + 1);
    enable();
    run_until(ps_of(101) - 1);
    EXPECT_EQ(counter(), 0u);
    at(101);
    EXPECT_EQ(counter(), 1u);
    at(150);
    halt();
    at(1000);
    EXPECT_EQ(counter(), 50u);
    enable();
    at(1001);
    EXPECT_EQ(counter(), 51u);
}

TEST_F(Hpet, TheMainCounterCanBeWrittenHaltedOrRunning)
{
    write(HPET_MAIN_CNT, 0x1234567800000000);
    EXPECT_EQ(counter(), UINT64_C(0x1234567800000000));
    enable();
    at(5);
    write(HPET_MAIN_CNT, 7, 4);
    EXPECT_EQ(counter(), UINT64_C(0x1234567800000007));
    at(6);
    EXPECT_EQ(counter(), UINT64_C(0x1234567800000008));
}

TEST_F(Hpet, TheMainCounterWrapsAt64Bits)
{
    write(HPET_MAIN_CNT, all_ones - 1);
    enable();
    at(3);
    EXPECT_EQ(counter(), 1u);
}

/* ---- 2.3.9.2.1: one-shot ---- */

TEST_F(Hpet, AOneShotTimerMatchesOnceAtItsTick)
{
    configure(0, HPET_INTERRUPT);
    compare(0, 1000);
    enable();
    expect_edge_at(1000, 20);
    expect_silence_until(10000000);
    EXPECT_FALSE(event_is_armed(&queue, &chip.match));
    EXPECT_EQ(comparator(0), 1000u);
}

TEST_F(Hpet, TicksAreThoseOfTheClockToThePicosecond)
{
    Block chipset(HPET_HZ_CHIPSET);
    chipset.configure(0, HPET_INTERRUPT);
    chipset.compare(0, 1000000);
    chipset.enable();
    chipset.run_until(PS_PER_SECOND);
    /* 1e6 / 14318180 s, rounded up */
    EXPECT_EQ(chipset.edges[0], (edge{69841278711, 20, true}));
}

TEST_F(Hpet, AComparatorInThePastOrOfThePresentCountIsMissed)
{
    configure(0, HPET_INTERRUPT);
    enable();
    at(100);
    compare(0, 100);
    expect_silence_until(200);
    compare(0, 50);
    expect_silence_until(100000);
    compare(0, 100001);
    expect_edge_at(100001, 20);
}

TEST_F(Hpet, AMovedComparatorLeavesNoStaleMatch)
{
    configure(0, HPET_INTERRUPT);
    compare(0, 1000);
    enable();
    at(500);
    compare(0, 2000);
    expect_edge_at(2000, 20);
}

TEST_F(Hpet, AWriteOfTheMainCounterMovesTheMatch)
{
    configure(0, HPET_INTERRUPT);
    compare(0, 1000);
    enable();
    at(100);
    write(HPET_MAIN_CNT, 990);
    expect_edge_at(110, 20);
}

TEST_F(Hpet, HaltingTheCounterHoldsTheMatch)
{
    configure(0, HPET_INTERRUPT);
    compare(0, 1000);
    enable();
    at(999);
    halt();
    expect_silence_until(5000);
    enable();
    expect_edge_at(5001, 20);
}

TEST_F(Hpet, ATimerThatMayNotInterruptDoesNot)
{
    configure(0, 0);
    compare(0, 10);
    enable();
    expect_silence_until(100);
}

TEST_F(Hpet, In32BitModeTheMatchComesAgainOnceAround)
{
    configure(0, HPET_INTERRUPT | HPET_32_BIT);
    compare(0, UINT64_C(0x700000010));
    EXPECT_EQ(comparator(0), 0x10u);
    enable();
    expect_edge_at(0x10, 20);
    expect_edge_at(UINT64_C(0x100000010), 20);
}

TEST_F(Hpet, Forcing32BitsLosesTheUpperHalf)
{
    compare(0, UINT64_C(0x1200000034));
    configure(0, HPET_32_BIT);
    configure(0, 0);
    EXPECT_EQ(comparator(0), 0x34u);
}

TEST_F(Hpet, SoDoesThePeriod)
{
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_VALUE_SET);
    compare(0, UINT64_C(0x1200000034));
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_32_BIT);
    configure(0, HPET_INTERRUPT | HPET_PERIODIC);
    enable();
    expect_edge_at(0x34, 20);
    expect_edge_at(0x68, 20);
}

/* ---- 2.3.9.2.2: periodic ---- */

/* The usage that the specification expects: one write with VAL_SET_CNF, counter at 0. */
TEST_F(Hpet, APeriodicTimerMatchesEveryPeriod)
{
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_VALUE_SET);
    compare(0, 0x123);
    EXPECT_EQ(read(of(0, HPET_TIM_CONF)) & HPET_VALUE_SET, 0u);
    enable();
    expect_edge_at(0x123, 20);
    EXPECT_EQ(comparator(0), 0x246u);
    expect_edge_at(0x246, 20);
    EXPECT_EQ(comparator(0), 0x369u);
}

TEST_F(Hpet, WithoutValueSetOnlyThePeriodChanges)
{
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_VALUE_SET);
    compare(0, 1000);
    compare(0, 300);
    EXPECT_EQ(comparator(0), 1000u);
    enable();
    expect_edge_at(1000, 20);
    expect_edge_at(1300, 20);
    compare(0, 500);
    EXPECT_EQ(comparator(0), 1600u);
    expect_edge_at(1600, 20);
    expect_edge_at(2100, 20);
}

TEST_F(Hpet, ValueSetIsNotTakenByAOneShotTimer)
{
    configure(0, HPET_VALUE_SET);
    EXPECT_EQ(read(HPET_TIM_CONF) & HPET_VALUE_SET, 0u);
}

TEST_F(Hpet, A64BitComparatorIsSetByHalvesWithValueSetBeforeEach)
{
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_VALUE_SET);
    write(HPET_TIM_COMP, 0x11, 4);
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_VALUE_SET);
    write(HPET_TIM_COMP + 4, 0x22, 4);
    EXPECT_EQ(comparator(0), UINT64_C(0x2200000011));
}

TEST_F(Hpet, APeriodicComparatorWrapsAt32Bits)
{
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_32_BIT | HPET_VALUE_SET);
    compare(0, 0xffff0000);
    compare(0, 0x20000);
    write(HPET_MAIN_CNT, 0xfffeffff);
    enable();
    expect_edge_at(1, 20);
    EXPECT_EQ(comparator(0), 0x00010000u);
    expect_edge_at(1 + 0x20000, 20);
}

TEST_F(Hpet, APeriodOf0MatchesOnceAround)
{
    configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_32_BIT | HPET_VALUE_SET);
    compare(0, 0);
    enable();
    expect_edge_at(UINT64_C(1) << 32, 20);
}

TEST_F(Hpet, AnUnseenPeriodicTimerKeepsItsComparatorAheadWithoutEvents)
{
    configure(0, HPET_PERIODIC | HPET_VALUE_SET);
    compare(0, 7);
    enable();
    EXPECT_FALSE(event_is_armed(&queue, &chip.match));
    run_until(hour);
    EXPECT_EQ(queue.fired, 0u);
    const uint64_t count = UINT64_C(3600) * HPET_HZ_QEMU;
    EXPECT_EQ(comparator(0), (count / 7 + 1) * 7);
}

/* ---- 2.3.6, 2.3.8: edge and level ---- */

TEST_F(Hpet, ALevelIsHeldUntilItsStatusBitIsCleared)
{
    configure(1, HPET_INTERRUPT | HPET_LEVEL, 21);
    compare(1, 100);
    enable();
    expect_rise_at(100, 21);
    EXPECT_EQ(read(HPET_GINTR_STA), 2u);
    write(HPET_GINTR_STA, 1);
    EXPECT_EQ(edges.size(), 1u);
    at(200);
    write(HPET_GINTR_STA, 2, 4);
    EXPECT_EQ(edges.back(), (edge{ps_of(200), 21, false}));
    EXPECT_EQ(read(HPET_GINTR_STA), 0u);
}

TEST_F(Hpet, AMatchDuringALevelChangesNothing)
{
    configure(0, HPET_INTERRUPT | HPET_LEVEL | HPET_PERIODIC | HPET_VALUE_SET);
    compare(0, 100);
    enable();
    expect_rise_at(100, 20);
    at(350);
    EXPECT_EQ(edges.size(), 1u);
    EXPECT_EQ(comparator(0), 400u);
    write(HPET_GINTR_STA, 1);
    expect_rise_at(400, 20);
}

TEST_F(Hpet, EdgesSetNoStatus)
{
    configure(0, HPET_INTERRUPT);
    compare(0, 10);
    enable();
    at(20);
    EXPECT_EQ(read(HPET_GINTR_STA), 0u);
}

TEST_F(Hpet, AMaskedLevelTimerSetsItsStatusAndNoLine)
{
    configure(0, HPET_LEVEL);
    compare(0, 10);
    enable();
    expect_silence_until(20);
    EXPECT_EQ(read(HPET_GINTR_STA), 1u);
    configure(0, HPET_LEVEL | HPET_INTERRUPT);
    EXPECT_EQ(edges, (std::vector<edge>{{ps_of(20), 20, true}}));
}

TEST_F(Hpet, ATimerThatBecomesEdgeTriggeredDropsItsLineAndStatus)
{
    configure(1, HPET_INTERRUPT | HPET_LEVEL);
    compare(1, 10);
    enable();
    at(20);
    configure(1, HPET_INTERRUPT);
    EXPECT_EQ(edges.back(), (edge{ps_of(20), 20, false}));
    EXPECT_EQ(read(HPET_GINTR_STA), 0u);
    configure(1, HPET_INTERRUPT | HPET_LEVEL);
    EXPECT_EQ(edges.size(), 2u);
}

TEST_F(Hpet, DisablingDropsTheLineAndKeepsTheStatus)
{
    configure(0, HPET_INTERRUPT | HPET_LEVEL);
    compare(0, 10);
    enable();
    at(20);
    halt();
    EXPECT_EQ(edges.back(), (edge{ps_of(20), 20, false}));
    EXPECT_EQ(read(HPET_GINTR_STA), 1u);
    enable();
    EXPECT_EQ(edges.back(), (edge{ps_of(20), 20, true}));
}

TEST_F(Hpet, LevelTimersShareALine)
{
    configure(0, HPET_INTERRUPT | HPET_LEVEL, 22);
    configure(1, HPET_INTERRUPT | HPET_LEVEL, 22);
    compare(0, 10);
    compare(1, 20);
    enable();
    expect_rise_at(10, 22);
    expect_silence_until(30);
    write(HPET_GINTR_STA, 1);
    EXPECT_TRUE(edges.empty());
    write(HPET_GINTR_STA, 2);
    EXPECT_EQ(edges, (std::vector<edge>{{ps_of(30), 22, false}}));
}

TEST_F(Hpet, MatchesOfOneTickComeInTheOrderOfTheTimers)
{
    for (unsigned n : {2u, 1u, 0u}) {
        configure(n, HPET_INTERRUPT, 20 + n);
        compare(n, 50);
    }
    enable();
    at(50);
    ASSERT_EQ(edges.size(), 6u);
    EXPECT_EQ(edges[0].line, 20u);
    EXPECT_EQ(edges[2].line, 21u);
    EXPECT_EQ(edges[4].line, 22u);
}

/* ---- routes ---- */

TEST_F(Hpet, ARouteThatATimerDoesNotHaveIsNotTaken)
{
    const auto route = [&](unsigned n) { return read(of(n, HPET_TIM_CONF)) >> 9 & 0x1f; };

    configure(0, 0, 23);
    EXPECT_EQ(route(0), 23u);
    configure(0, 0, 11);
    EXPECT_EQ(route(0), 23u);
    configure(2, 0, 11);
    EXPECT_EQ(route(2), 11u);
}

TEST_F(Hpet, ATimerWithoutARouteDrivesNothing)
{
    write(HPET_TIM_CONF, HPET_INTERRUPT);
    compare(0, 10);
    enable();
    expect_silence_until(20);
}

/* ---- 2.3.5: legacy replacement ---- */

TEST_F(Hpet, LegacyReplacementMovesTimers0And1ToIrq0And8)
{
    for (unsigned n = 0; n < 3; n++) {
        configure(n, HPET_INTERRUPT, 20 + n);
        compare(n, 10 * (n + 1));
    }
    enable(HPET_LEGACY);
    EXPECT_EQ(legacy_said, std::vector<bool>{true});
    expect_edge_at(10, HPET_LINE_PIT);
    expect_edge_at(20, HPET_LINE_RTC);
    expect_edge_at(30, 22);
}

TEST_F(Hpet, LegacyReplacementNeedsTheOverallEnable)
{
    write(HPET_GEN_CONF, HPET_LEGACY);
    EXPECT_TRUE(legacy_said.empty());
    enable(HPET_LEGACY);
    halt();
    EXPECT_EQ(legacy_said, (std::vector<bool>{true, false}));
}

TEST_F(Hpet, AnAssertedLevelMovesWithItsRoute)
{
    configure(0, HPET_INTERRUPT | HPET_LEVEL);
    compare(0, 10);
    enable();
    at(20);
    edges.clear();
    enable(HPET_LEGACY);
    EXPECT_EQ(edges,
              (std::vector<edge>{{ps_of(20), HPET_LINE_PIT, true}, {ps_of(20), 20, false}}));
}

/* ---- 2.3.10: messages ---- */

TEST_F(Hpet, AnFsbTimerWritesItsMessageInsteadOfALine)
{
    write(of(1, HPET_TIM_FSB), UINT64_C(0xfee0100000004031));
    configure(1, HPET_INTERRUPT | HPET_PERIODIC | HPET_VALUE_SET | HPET_FSB);
    compare(1, 100);
    enable(HPET_LEGACY);
    at(250);
    EXPECT_EQ(messages, (std::vector<written>{{ps_of(100), 0xfee01000, 0x4031},
                                              {ps_of(200), 0xfee01000, 0x4031}}));
    EXPECT_TRUE(edges.empty());
}

TEST_F(Hpet, EveryMatchOfALevelTimerIsAMessageWhetherOrNotItsStatusWasCleared)
{
    configure(0, HPET_INTERRUPT | HPET_LEVEL | HPET_PERIODIC | HPET_VALUE_SET | HPET_FSB);
    compare(0, 100);
    enable();
    at(350);
    EXPECT_EQ(messages.size(), 3u);
    EXPECT_TRUE(edges.empty());
    EXPECT_EQ(read(HPET_GINTR_STA), 1u);
}

TEST_F(Hpet, WithoutTheCapabilityThereAreNoMessages)
{
    config.fsb = false;
    hpet_init(&chip, &config);
    configure(0, HPET_INTERRUPT | HPET_FSB);
    EXPECT_EQ(read(HPET_TIM_CONF) & (HPET_FSB | HPET_FSB_CAPABLE), 0u);
}

/* ---- accesses ---- */

TEST_F(Hpet, HalvesAreReadAndWrittenByThemselves)
{
    write(HPET_TIM_FSB, 0x11111111, 4);
    write(HPET_TIM_FSB + 4, 0x22222222, 4);
    EXPECT_EQ(read(HPET_TIM_FSB), UINT64_C(0x2222222211111111));
    EXPECT_EQ(read(HPET_TIM_FSB, 4), 0x11111111u);
    EXPECT_EQ(read(HPET_TIM_FSB + 4, 4), 0x22222222u);
}

TEST_F(Hpet, OnlyTheWritableBitsOfARegisterChange)
{
    write(HPET_GEN_CONF, all_ones & ~HPET_ENABLE);
    EXPECT_EQ(read(HPET_GEN_CONF), 2u);
    write(HPET_TIM_CONF, UINT64_C(0xffffffff0000a9fe));
    EXPECT_EQ(read(HPET_TIM_CONF), UINT64_C(0x00f000000000a97e));
    write(HPET_TIM_CONF + 4, 0xffffffff, 4);
    EXPECT_EQ(read(HPET_TIM_CONF), UINT64_C(0x00f000000000a97e));
}

TEST_F(Hpet, OtherSizesAndPlacesReadAs0AndTakeNothing)
{
    write(HPET_TIM_FSB, UINT64_C(0x2222222211111111));
    for (unsigned size : {0u, 1u, 2u, 3u, 16u})
        EXPECT_EQ(read(HPET_TIM_FSB, size), 0u);
    EXPECT_EQ(read(HPET_TIM_FSB + 4, 8), 0u);
    EXPECT_EQ(read(HPET_TIM_FSB + 2, 4), 0u);
    write(HPET_TIM_FSB, 0, 1);
    write(HPET_TIM_FSB + 4, 0, 8);
    EXPECT_EQ(read(HPET_TIM_FSB), UINT64_C(0x2222222211111111));
    for (unsigned offset : {0x008u, 0x018u, 0x118u, 0x160u, 0x168u, 0x3f8u, 0x400u, 0xfff8u}) {
        write(offset, all_ones);
        EXPECT_EQ(read(offset), 0u) << offset;
    }
    EXPECT_TRUE(hpet_owns(0xfed00000) && hpet_owns(0xfed003ff));
    EXPECT_FALSE(hpet_owns(0xfecfffff) || hpet_owns(0xfed00400));
}

/* ---- long runs ---- */

TEST_F(Hpet, AnHourHasAsManyPeriodsAsArithmeticSaysAndTheLastIsInItsPlace)
{
    for (const uint64_t hz : {UINT64_C(100000000), UINT64_C(14318180)}) {
        Block block(hz);
        const uint64_t period = hz / 64 + 1;
        block.configure(0, HPET_INTERRUPT | HPET_PERIODIC | HPET_VALUE_SET);
        block.compare(0, period);
        block.enable();
        block.run_until(hour);

        const uint64_t periods = 3600 * hz / period;
        EXPECT_EQ(block.edges.size(), 2 * periods);
        const __uint128_t ps = static_cast<__uint128_t>(periods * period) * PS_PER_SECOND;
        EXPECT_EQ(block.edges.back().ps, static_cast<uint64_t>((ps + hz - 1) / hz));
    }
}

/* ---- properties ---- */

constexpr unsigned offsets[] = {0x000, 0x010, 0x020, 0x0f0, 0x100, 0x108, 0x110,
                                0x120, 0x128, 0x130, 0x140, 0x148, 0x150};

/* Any access at any time; comparators near the counter, so that there is much to hear. */
void access_at_random(Block &block, std::mt19937 &random)
{
    unsigned offset = offsets[random() % 13];
    const unsigned pick = random() % 16, size = pick == 0 ? random() % 9 : pick % 2 ? 4 : 8;
    uint64_t value = static_cast<uint64_t>(random()) << 32 | random();

    if (size == 4 && random() % 4 == 0)
        offset += 4;
    if (offset == HPET_GEN_CONF)
        value |= random() % 4 != 0;
    else if (offset >= HPET_TIM_CONF && offset % 0x20 == 0)
        value = (value & ~UINT64_C(0x3e00)) | (20 + random() % 4) << 9 |
                (random() % 4 ? HPET_INTERRUPT : 0);
    else if (offset == HPET_MAIN_CNT || offset % 0x20 == 8)
        value = random() % 300;
    if (random() % 3)
        block.write(offset, value, size);
    else
        block.read(offset, size);
    if (random() % 2)
        block.run_until(block.queue.now.ps + random() % 1000000);
}

TEST(HpetProperties, ALineIsWhatTheRegistersSay)
{
    size_t heard = 0;
    for (unsigned seed = 1; seed <= 10; seed++) {
        std::mt19937 random(seed);
        Block block;
        for (int i = 0; i < 2000; i++) {
            access_at_random(block, random);
            bool expected[32] = {}, told[32] = {};
            for (unsigned n = 0; n < 3; n++) {
                const uint64_t conf = block.read(Block::of(n, HPET_TIM_CONF));
                const uint64_t general = block.read(HPET_GEN_CONF);
                const bool level = (general & 1) && (conf & 0x4006) == 6;
                const bool legacy = n < 2 && general == 3;
                const unsigned route = conf >> 9 & 0x1f;
                if (level && (block.read(HPET_GINTR_STA) >> n & 1) && (legacy || route >= 20))
                    expected[legacy ? 8 * n : route] = true;
            }
            for (const edge &e : block.edges) {
                ASSERT_NE(told[e.line], e.level);
                told[e.line] = e.level;
            }
            for (unsigned line = 0; line < 32; line++)
                ASSERT_EQ(told[line], expected[line]) << "line " << line << " seed " << seed;
            heard += block.edges.size();
            block.edges.clear();
            for (unsigned line = 0; line < 32; line++)
                if (told[line])
                    block.edges.push_back({0, line, true});
        }
    }
    EXPECT_GT(heard, 1000u);
}

/* One timer of 32 bits, stepped tick by tick. */
TEST(HpetProperties, MatchesAreThoseOfATimerSteppedTickByTick)
{
    size_t heard = 0;
    for (unsigned seed = 1; seed <= 10; seed++) {
        std::mt19937 random(seed);
        Block block;
        uint64_t tick = 0;
        uint32_t count = 0, comparator = 0, period = 0;
        bool periodic = false;
        std::vector<uint64_t> expected;

        block.enable();
        for (int i = 0; i < 1500; i++) {
            const uint32_t n = random() % 50;
            switch (random() % 5) {
            case 0:
                periodic = random() & 1;
                block.configure(0,
                                HPET_INTERRUPT | HPET_32_BIT | (periodic ? HPET_PERIODIC : 0));
                break;
            case 1:
                block.configure(0, HPET_INTERRUPT | HPET_32_BIT |
                                       (periodic ? HPET_PERIODIC | HPET_VALUE_SET : 0));
                block.compare(0, count + n);
                comparator = period = count + n;
                [[fallthrough]];
            case 2:
                if (periodic) {
                    block.compare(0, n + 1);
                    period = n + 1;
                }
                break;
            case 3:
                block.write(HPET_MAIN_CNT, n);
                count = n;
                break;
            default:
                for (uint32_t k = 0; k < n; k++) {
                    tick++, count++;
                    if (count == comparator && i > 0) {
                        expected.push_back(block.ps_of(tick));
                        comparator += periodic ? period : 0;
                    }
                }
                block.at(tick);
            }
            if (i == 0) { /* one defined beginning */
                block.configure(0, HPET_INTERRUPT | HPET_32_BIT);
                block.compare(0, 0xffffff);
                comparator = period = 0xffffff;
                periodic = false;
            }
        }
        std::vector<uint64_t> seen;
        for (const edge &e : block.edges)
            if (e.level)
                seen.push_back(e.ps);
        EXPECT_EQ(seen, expected) << "seed " << seed;
        heard += seen.size();
    }
    EXPECT_GT(heard, 100u);
}

TEST(HpetProperties, SaveAndRestoreGiveTheSameFuture)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        std::mt19937 random(seed);
        Block first, second;
        for (int i = 0; i < 300; i++)
            access_at_random(first, random);
        const hpet saved = first.chip;

        second.configure(0, HPET_INTERRUPT | HPET_LEVEL, 23);
        second.compare(0, 3);
        second.enable();
        second.run_until(first.queue.now.ps);
        hpet_restore(&second.chip, &saved);
        EXPECT_EQ(second.chip.lines, first.chip.lines);
        for (Block *block : {&first, &second}) {
            block->edges.clear();
            block->messages.clear();
            block->legacy_said.clear();
        }

        std::mt19937 same = random;
        for (int i = 0; i < 300; i++) {
            access_at_random(first, random);
            access_at_random(second, same);
            for (unsigned offset : offsets)
                ASSERT_EQ(first.read(offset), second.read(offset));
        }
        EXPECT_EQ(first.edges, second.edges) << "seed " << seed;
        EXPECT_EQ(first.messages, second.messages) << "seed " << seed;
        EXPECT_EQ(first.legacy_said, second.legacy_said) << "seed " << seed;
    }
}

} // namespace
