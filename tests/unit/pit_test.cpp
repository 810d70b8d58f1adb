/*
 * The 8254: modes, access, latches, gates, as timing diagrams in CLK pulses.
 * Time stands a little behind a pulse when software acts ("at pulse 10" is
 * just after it), so the next pulse is number 11.
 */
#include <random>
#include <string>

#include "unit/timer_bench.h"

namespace
{

enum : uint8_t { low_byte = 1, high_byte = 2, both_bytes = 3 };
constexpr uint64_t hour = 3600 * PS_PER_SECOND;

/* OUT 0 of a PIT and the edges that it made. */
class Board : public TimeBase
{
  public:
    pit chip;
    std::vector<edge> edges;
    const struct clock clk = clock_of_hz(PIT_HZ);

    Board()
    {
        listener.board = this;
        listener.changed = heard;
        pit_init(&chip, &queue, &listener);
    }

    uint64_t ps_of(uint64_t pulse) const
    {
        return clock_edge(&clk, cycles{pulse}).ps;
    }
    void at(uint64_t pulse)
    {
        run_until(ps_of(pulse));
    }
    void write(uint16_t port, unsigned value)
    {
        pit_write(&chip, port, static_cast<uint8_t>(value));
    }
    uint8_t read(uint16_t port)
    {
        return pit_read(&chip, port);
    }

    void control(unsigned counter, unsigned mode, unsigned access = both_bytes,
                 bool bcd = false)
    {
        write(PIT_CONTROL, counter << 6 | access << 4 | mode << 1 | bcd);
    }
    void count(unsigned counter, unsigned value)
    {
        write(static_cast<uint16_t>(PIT_COUNTER_0 + counter), value & 0xff);
        write(static_cast<uint16_t>(PIT_COUNTER_0 + counter), value >> 8);
    }
    void start(unsigned counter, unsigned mode, unsigned value, bool bcd = false)
    {
        control(counter, mode, both_bytes, bcd);
        count(counter, value);
    }
    /* The running count, latched. */
    unsigned counted(unsigned counter)
    {
        const uint16_t port = static_cast<uint16_t>(PIT_COUNTER_0 + counter);
        write(PIT_CONTROL, counter << 6);
        const unsigned low = read(port);
        return low | read(port) << 8;
    }
    uint8_t status(unsigned counter)
    {
        write(PIT_CONTROL, 0xe0 | 2 << counter);
        return read(static_cast<uint16_t>(PIT_COUNTER_0 + counter));
    }
    bool out(unsigned counter) const
    {
        return pit_output(&chip, counter);
    }

  private:
    struct Listener : wire_listener {
        Board *board;
    } listener;

    static void heard(wire_listener *self, bool level)
    {
        Board *board = static_cast<Listener *>(self)->board;
        board->edges.push_back({board->queue.now.ps, 0, level});
    }
};

class Pit : public ::testing::Test, protected Board
{
  protected:
    /* OUT of a counter is so until just before the pulse, and the other way from it on. */
    void expect_change_at(unsigned counter, uint64_t pulse, bool level)
    {
        run_until(ps_of(pulse) - 1);
        EXPECT_EQ(out(counter), !level) << "before pulse " << pulse;
        at(pulse);
        EXPECT_EQ(out(counter), level) << "at pulse " << pulse;
    }
    /* The counts from the present pulse on, one a pulse. */
    std::vector<unsigned> counts_from(unsigned counter, uint64_t pulse, unsigned how_many)
    {
        std::vector<unsigned> seen;
        for (uint64_t p = pulse; p < pulse + how_many; p++) {
            at(p);
            seen.push_back(counted(counter));
        }
        return seen;
    }
    /* OUT, a letter a pulse: "--__" is two pulses high, two low. */
    std::string wave(unsigned counter, uint64_t pulse, unsigned how_many)
    {
        std::string seen;
        for (uint64_t p = pulse; p < pulse + how_many; p++) {
            at(p);
            seen += out(counter) ? '-' : '_';
        }
        return seen;
    }
    void gate(bool level)
    {
        write(PIT_NMI_SC, level);
    }
};

using counts = std::vector<unsigned>;

/* ---- mode 0 ---- */

TEST_F(Pit, Mode0RaisesOutOnePulseAfterTheCountsOwn)
{
    at(10);
    start(0, 0, 5);
    EXPECT_FALSE(out(0));
    expect_change_at(0, 10 + 5 + 1, true);
    EXPECT_EQ(edges, (std::vector<edge>{{ps_of(16), 0, true}}));
    at(1000000);
    EXPECT_EQ(edges.size(), 1u);
}

TEST_F(Pit, Mode0CountsOnBelowZero)
{
    start(0, 0, 2);
    EXPECT_EQ(counts_from(0, 1, 5), (counts{2, 1, 0, 0xffff, 0xfffe}));
    at(65536 + 5);
    EXPECT_EQ(counted(0), 0xfffeu);
}

TEST_F(Pit, Mode0LowersOutAtTheFirstByteOfANewCountAndStopsUntilTheSecond)
{
    start(0, 0, 3);
    at(10);
    const unsigned stopped = counted(0);
    write(PIT_COUNTER_0, 4);
    EXPECT_FALSE(out(0));
    at(20);
    EXPECT_EQ(counted(0), stopped);
    write(PIT_COUNTER_0, 0);
    expect_change_at(0, 20 + 4 + 1, true);
}

TEST_F(Pit, Mode0OfAGatedCounterWaitsWithTheCountLoaded)
{
    start(2, 0, 4);
    at(10);
    EXPECT_EQ(counted(2), 4u);
    gate(true);
    expect_change_at(2, 10 + 4, true);
}

TEST_F(Pit, Mode0HoldsItsCountWhileGateIsLow)
{
    gate(true);
    start(2, 0, 10);
    at(4);
    EXPECT_EQ(counted(2), 7u);
    gate(false);
    at(100);
    EXPECT_EQ(counted(2), 7u);
    gate(true);
    expect_change_at(2, 107, true);
}

/* ---- mode 1 ---- */

TEST_F(Pit, Mode1GivesAPulseOfNAfterEachTrigger)
{
    start(2, 1, 3);
    at(5);
    EXPECT_TRUE(out(2));
    gate(true);
    EXPECT_EQ(wave(2, 5, 6), "-___--");
    gate(false);
    EXPECT_TRUE(out(2));
    gate(true);
    EXPECT_EQ(wave(2, 11, 4), "___-");
}

TEST_F(Pit, Mode1IsRetriggeredAndTakesANewCountOnlyThen)
{
    start(2, 1, 4);
    gate(true);
    at(3);
    count(2, 2);
    EXPECT_EQ(counted(2), 2u);
    gate(false);
    gate(true);
    EXPECT_EQ(wave(2, 3, 4), "___-");
}

TEST_F(Pit, Mode1WithoutATriggerNeverStarts)
{
    start(0, 1, 4);
    EXPECT_FALSE(event_is_armed(&queue, &chip.edge));
    at(100000);
    EXPECT_TRUE(out(0));
}

/* ---- mode 2 ---- */

TEST_F(Pit, Mode2LowersOutForOnePulseInN)
{
    start(0, 2, 4);
    EXPECT_EQ(wave(0, 0, 14), "----_---_---_-");
    EXPECT_EQ(edges[1], (edge{ps_of(4), 0, false}));
    EXPECT_EQ(edges[2], (edge{ps_of(5), 0, true}));
}

TEST_F(Pit, Mode2CountsFromNToOne)
{
    start(0, 2, 3);
    EXPECT_EQ(counts_from(0, 1, 7), (counts{3, 2, 1, 3, 2, 1, 3}));
}

TEST_F(Pit, Mode2TakesANewCountAtTheEndOfThePeriod)
{
    start(0, 2, 5);
    at(2);
    count(0, 3);
    EXPECT_EQ(wave(0, 2, 11), "---_--_--_-");
    EXPECT_EQ(edges[1], (edge{ps_of(5), 0, false}));
}

TEST_F(Pit, Mode2GateLowRaisesOutAndATriggerStartsAPeriod)
{
    gate(true);
    start(2, 2, 4);
    at(4);
    EXPECT_FALSE(out(2));
    gate(false);
    EXPECT_TRUE(out(2));
    at(50);
    EXPECT_EQ(counted(2), 1u);
    gate(true);
    EXPECT_EQ(wave(2, 51, 5), "---_-");
}

TEST_F(Pit, Mode2TriggerWithinAPeriodLoadsTheNewCount)
{
    gate(true);
    start(2, 2, 100);
    at(10);
    count(2, 3);
    gate(false);
    gate(true);
    EXPECT_EQ(counts_from(2, 11, 4), (counts{3, 2, 1, 3}));
}

TEST_F(Pit, CountOneIsIllegalInPeriodicModesAndCountsAsTwo)
{
    start(0, 2, 1);
    EXPECT_EQ(wave(0, 0, 6), "--_-_-");
    start(1, 3, 1);
    EXPECT_EQ(wave(1, 6, 5), "-_-_-");
}

/* ---- mode 3 ---- */

TEST_F(Pit, Mode3IsASquareWave)
{
    start(0, 3, 4);
    EXPECT_EQ(wave(0, 0, 11), "---__--__--");
    EXPECT_EQ(edges[1], (edge{ps_of(3), 0, false}));
    EXPECT_EQ(edges[2], (edge{ps_of(5), 0, true}));
}

TEST_F(Pit, Mode3CountsByTwo)
{
    start(0, 3, 6);
    EXPECT_EQ(counts_from(0, 1, 7), (counts{6, 4, 2, 6, 4, 2, 6}));
}

TEST_F(Pit, Mode3WithAnOddCountIsHighOnePulseLongerAndShowsEvenCounts)
{
    start(0, 3, 5);
    EXPECT_EQ(counts_from(0, 1, 10), (counts{4, 2, 0, 4, 2, 4, 2, 0, 4, 2}));
    EXPECT_EQ(wave(0, 11, 10), "---__---__");
}

TEST_F(Pit, Mode3TakesANewCountAtTheEndOfTheHalfPeriod)
{
    start(0, 3, 8);
    at(2);
    count(0, 4);
    EXPECT_EQ(status(0) & 0x40, 0x40);
    EXPECT_EQ(wave(0, 1 + 2, 8), "--__--__");
    EXPECT_EQ(status(0) & 0x40, 0);
}

TEST_F(Pit, Mode3GateLowRaisesOutAndATriggerStartsAgain)
{
    gate(true);
    start(2, 3, 4);
    at(3);
    EXPECT_FALSE(out(2));
    gate(false);
    EXPECT_TRUE(out(2));
    EXPECT_EQ(wave(2, 4, 8), "--------");
    gate(true);
    EXPECT_EQ(wave(2, 12, 6), "--__--");
}

TEST_F(Pit, ACountOf0Is65536)
{
    start(0, 3, 0);
    at(1);
    EXPECT_EQ(counted(0), 0u);
    expect_change_at(0, 1 + 32768, false);
    expect_change_at(0, 1 + 65536, true);
    EXPECT_EQ(edges.back(), (edge{ps_of(65537), 0, true}));
}

/* ---- modes 4 and 5 ---- */

TEST_F(Pit, Mode4StrobesOnceNPlusOnePulsesAfterTheWrite)
{
    at(7);
    start(0, 4, 3);
    EXPECT_EQ(wave(0, 7, 8), "----_---");
    at(200000);
    EXPECT_EQ(edges.size(), 3u);
    EXPECT_EQ(edges[1], (edge{ps_of(11), 0, false}));
    EXPECT_EQ(edges[2], (edge{ps_of(12), 0, true}));
}

TEST_F(Pit, Mode4IsRetriggeredByANewCount)
{
    start(0, 4, 10);
    at(5);
    count(0, 2);
    EXPECT_EQ(wave(0, 5, 6), "---_--");
}

TEST_F(Pit, Mode4StrobeEndsEvenIfGateFalls)
{
    gate(true);
    start(2, 4, 2);
    at(3);
    EXPECT_FALSE(out(2));
    gate(false);
    EXPECT_EQ(wave(2, 3, 3), "_--");
    EXPECT_EQ(counted(2), 0u);
}

TEST_F(Pit, Mode5StrobesAfterATriggerWhateverGateDoesThen)
{
    start(2, 5, 3);
    at(4);
    gate(true);
    gate(false);
    EXPECT_EQ(wave(2, 4, 7), "----_--");
    gate(true);
    EXPECT_EQ(wave(2, 10, 6), "----_-");
}

TEST_F(Pit, ModeBitsX10AndX11AreModes2And3)
{
    start(0, 6, 4);
    EXPECT_EQ(wave(0, 0, 9), "----_---_");
    EXPECT_EQ(status(0) & 0x3f, 0x3c);
    start(0, 7, 4);
    EXPECT_EQ(wave(0, 8, 7), "---__--");
    EXPECT_EQ(status(0) & 0x3f, 0x3e);
}

/* ---- BCD ---- */

TEST_F(Pit, BcdCountsDecades)
{
    start(0, 2, 0x1000, true);
    EXPECT_EQ(counts_from(0, 1, 3), (counts{0x1000, 0x0999, 0x0998}));
    expect_change_at(0, 1 + 999, false);
}

TEST_F(Pit, ABcdCountOf0Is10000AndWrapsTo9999)
{
    start(0, 0, 0, true);
    EXPECT_EQ(counts_from(0, 1, 2), (counts{0, 0x9999}));
    expect_change_at(0, 10001, true);
    at(10002);
    EXPECT_EQ(counted(0), 0x9999u);
}

/* ---- access ---- */

TEST_F(Pit, OneByteCountsLeaveTheOtherByteZero)
{
    control(0, 2, low_byte);
    write(PIT_COUNTER_0, 0x12);
    control(1, 2, high_byte);
    write(PIT_COUNTER_1, 0x12);
    at(1);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x12);
    EXPECT_EQ(read(PIT_COUNTER_1), 0x12);
    at(2);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x11);
    EXPECT_EQ(read(PIT_COUNTER_1), 0x11);
}

TEST_F(Pit, TwoByteReadsAlternateAndInterleaveWithWrites)
{
    start(0, 2, 0x1234);
    at(1);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x34);
    write(PIT_COUNTER_0, 0x78);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x12);
    write(PIT_COUNTER_0, 0x56);
    at(0x1235);
    EXPECT_EQ(counted(0), 0x5678u);
}

TEST_F(Pit, AControlWordResetsBothFlipFlops)
{
    control(0, 2);
    write(PIT_COUNTER_0, 0xff);
    read(PIT_COUNTER_0);
    start(0, 2, 0x1234);
    at(1);
    EXPECT_EQ(counted(0), 0x1234u);
}

TEST_F(Pit, ALatchedCountStaysUntilItIsReadAndASecondLatchIsIgnored)
{
    start(0, 2, 1000);
    at(1);
    write(PIT_CONTROL, 0x00);
    at(101);
    write(PIT_CONTROL, 0x00);
    EXPECT_EQ(read(PIT_COUNTER_0), 1000 & 0xff);
    write(PIT_CONTROL, 0x00);
    EXPECT_EQ(read(PIT_COUNTER_0), 1000 >> 8);
    EXPECT_EQ(counted(0), 900u);
}

TEST_F(Pit, ReadBackLatchesSeveralCountersAtOneInstant)
{
    start(0, 2, 0x300);
    start(1, 2, 0x400);
    at(0x11);
    write(PIT_CONTROL, 0xd6);
    at(0x50);
    EXPECT_EQ(read(PIT_COUNTER_0), 0xf0);
    EXPECT_EQ(read(PIT_COUNTER_1), 0xf0);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x02);
    EXPECT_EQ(read(PIT_COUNTER_1), 0x03);
}

TEST_F(Pit, ReadBackOfBothGivesTheStatusFirst)
{
    start(0, 2, 0x200);
    at(1);
    write(PIT_CONTROL, 0xc2);
    at(2);
    EXPECT_EQ(read(PIT_COUNTER_0), 0xb4);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x00);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x02);
    EXPECT_EQ(read(PIT_COUNTER_0), 0xff);
}

TEST_F(Pit, ALatchedStatusStaysUntilItIsRead)
{
    start(0, 2, 3);
    at(3);
    write(PIT_CONTROL, 0xe2);
    at(4);
    EXPECT_TRUE(out(0));
    write(PIT_CONTROL, 0xe2);
    EXPECT_EQ(read(PIT_COUNTER_0), 0x34);
    EXPECT_EQ(status(0), 0xb4);
}

TEST_F(Pit, NullCountLastsFromTheControlWordUntilTheCountIsLoaded)
{
    const auto null_count = [&] { return status(0) >> 6 & 1; };

    control(0, 2);
    EXPECT_EQ(null_count(), 1);
    at(5);
    EXPECT_EQ(null_count(), 1);
    count(0, 10);
    EXPECT_EQ(null_count(), 1);
    at(6);
    EXPECT_EQ(null_count(), 0);
    write(PIT_COUNTER_0, 20);
    EXPECT_EQ(null_count(), 0);
    write(PIT_COUNTER_0, 0);
    EXPECT_EQ(null_count(), 1);
    run_until(ps_of(16) - 1);
    EXPECT_EQ(null_count(), 1);
    at(16);
    EXPECT_EQ(null_count(), 0);
}

TEST_F(Pit, AControlWordSetsOutAndStopsTheCounter)
{
    start(0, 2, 4);
    at(2);
    control(0, 0);
    EXPECT_FALSE(out(0));
    EXPECT_FALSE(event_is_armed(&queue, &chip.edge));
    at(1000);
    EXPECT_EQ(edges, (std::vector<edge>{{0, 0, true}, {ps_of(2), 0, false}}));
}

TEST_F(Pit, TheControlPortAndForeignPortsReadAsAnEmptyBus)
{
    for (unsigned port = 0; port < 0x100; port++) {
        const bool owned = (port >= 0x40 && port <= 0x43) || port == 0x61;
        EXPECT_EQ(pit_owns(static_cast<uint16_t>(port)), owned) << port;
        if (!owned || port == 0x43) {
            EXPECT_EQ(read(static_cast<uint16_t>(port)), 0xff) << port;
        }
    }
    EXPECT_FALSE(pit_owns(0x140));
}

/* ---- port 61H ---- */

TEST_F(Pit, Port61ShowsOut2AndKeepsItsEnables)
{
    write(PIT_NMI_SC, 0xff);
    EXPECT_EQ(read(PIT_NMI_SC) & ~0x30, 0x0f);
    start(2, 0, 3);
    EXPECT_EQ(read(PIT_NMI_SC) & 0x20, 0);
    at(4);
    EXPECT_EQ(read(PIT_NMI_SC) & 0x20, 0x20);
    write(PIT_NMI_SC, 0);
    EXPECT_EQ(read(PIT_NMI_SC) & 0x0f, 0);
}

TEST_F(Pit, TheRefreshBitTogglesWithEveryPeriodOfCounter1)
{
    const auto toggle = [&] { return read(PIT_NMI_SC) >> 4 & 1; };
    const auto expect_toggle_at = [&](uint64_t pulse, int level) {
        run_until(ps_of(pulse) - 1);
        EXPECT_EQ(toggle(), !level) << "before pulse " << pulse;
        at(pulse);
        EXPECT_EQ(toggle(), level) << "at pulse " << pulse;
    };

    expect_toggle_at(1 + 18, 1); /* as firmware left it */
    expect_toggle_at(1 + 36, 0);
    start(1, 2, 5);
    expect_toggle_at(38 + 5, 1);
    expect_toggle_at(38 + 10, 0);
    at(38 + 5 * 1000001);
    EXPECT_EQ(toggle(), 1);
}

/* ---- long runs ---- */

/* Arithmetic by itself: pulse 1 loads, period k ends at pulse 1 + kN; edge n is at n / 1193182 s,
   rounded up to a picosecond. */
TEST_F(Pit, AnHourHasAsManyEdgesAsArithmeticSaysAndTheLastIsInItsPlace)
{
    for (const unsigned n : {65536u, 59659u, 11932u}) {
        Board board;
        board.start(0, 3, n & 0xffff);
        board.run_until(hour);

        const uint64_t periods = (UINT64_C(3600) * PIT_HZ - 1) / n;
        uint64_t rises = 0, last = 0;
        for (const edge &e : board.edges)
            if (e.level && e.ps > 0) {
                rises++;
                last = e.ps;
            }
        EXPECT_EQ(rises, periods) << n;
        const __uint128_t ps = static_cast<__uint128_t>(1 + periods * n) * PS_PER_SECOND;
        EXPECT_EQ(last, static_cast<uint64_t>((ps + PIT_HZ - 1) / PIT_HZ)) << n;
    }
}

TEST_F(Pit, ACounterThatNobodyWatchedForAnHourShowsTheCountOfItsPhase)
{
    start(1, 2, 1000);
    run_until(hour);
    const uint64_t since_load = UINT64_C(3600) * PIT_HZ - 1;
    EXPECT_EQ(counted(1), 1000 - since_load % 1000);
}

/* ---- properties ---- */

/* A counter stepped pulse by pulse, from the mode definitions directly. */
class SteppedCounter
{
  public:
    bool out = false, gate;
    unsigned value = 0;

    explicit SteppedCounter(bool gate_level) : gate(gate_level)
    {
    }

    void program(unsigned new_mode)
    {
        mode = new_mode;
        out = mode != 0;
        loaded = written = load = done = low = false;
    }
    void write(unsigned n)
    {
        initial = n == 0 ? 65536 : n == 1 && (mode == 2 || mode == 3) ? 2 : n;
        written = true;
        if (mode == 0 || mode == 4 || (!loaded && (mode == 2 || mode == 3)))
            load = true;
        if (mode == 0)
            out = false;
    }
    void set_gate(bool level)
    {
        if (level && !gate && written && (mode == 1 || mode == 2 || mode == 3 || mode == 5))
            load = true;
        gate = level;
        if (!gate && (mode == 2 || mode == 3))
            out = true;
    }
    void pulse()
    {
        const bool strobe_over = (mode == 4 || mode == 5) && !out;
        if (load) {
            reload();
            load = done = false;
            loaded = true;
            out = mode > 1;
            return;
        }
        if (loaded && (gate || mode == 1 || mode == 5))
            step();
        if (strobe_over)
            out = true;
    }

  private:
    unsigned mode = 0, initial = 0, current = 0;
    bool loaded = false, written = false, load = false, done = false, low = false;

    void reload()
    {
        current = initial;
        value = mode == 3 ? initial & ~1u : initial;
    }
    void step()
    {
        if (mode == 2) {
            if (value == 1) {
                reload();
                out = true;
            } else {
                value--;
                out = value != 1;
            }
        } else if (mode == 3) {
            const bool long_half = out && current % 2;
            if (value == (long_half ? 0 : 2)) {
                reload();
                out = !out;
            } else {
                value -= 2;
            }
        } else {
            value = value == 0 ? 0xffff : value - 1;
            if (value == 0 && !done) {
                done = true;
                out = mode < 2;
            }
        }
    }
};

TEST(PitProperties, CountsAndOutAreThoseOfACounterSteppedPulseByPulse)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        std::mt19937 random(seed);
        Board board;
        SteppedCounter stepped(false);
        uint64_t pulse = 0;
        stepped.program(0);
        for (int i = 0; i < 1500; i++) {
            const unsigned small = random() % 12, any = random() & 0xffff;
            switch (random() % 8) {
            case 0: {
                const unsigned mode = random() % 6;
                board.control(2, mode);
                stepped.program(mode);
                [[fallthrough]];
            }
            case 1:
            case 2: {
                const unsigned n = random() % 4 ? small : any;
                board.count(2, n);
                stepped.write(n);
                break;
            }
            case 3:
            case 4: {
                const bool level = random() & 1;
                board.write(PIT_NMI_SC, level);
                stepped.set_gate(level);
                break;
            }
            default: {
                const unsigned n = random() % 3 ? random() % 8 : random() % 300;
                for (unsigned k = 0; k < n; k++)
                    stepped.pulse();
                pulse += n;
                board.at(pulse);
            }
            }
            ASSERT_EQ(board.out(2), stepped.out) << "seed " << seed << " step " << i;
            ASSERT_EQ(board.counted(2), stepped.value & 0xffff)
                << "seed " << seed << " step " << i;
        }
    }
}

/* Any access at any time; small counts, so that there is much to hear. */
void access_at_random(Board &board, std::mt19937 &random)
{
    const unsigned value = random() % 3 ? random() % 16 : random();
    const uint16_t port = static_cast<uint16_t>(random() % 16 ? 0x40 + random() % 4 : 0x61);

    if (random() % 3)
        board.write(port, port == PIT_CONTROL ? random() : value);
    else
        board.read(port);
    if (random() % 2)
        board.run_until(board.queue.now.ps + random() % 40000000);
}

TEST(PitProperties, EveryEdgeIsAChangeAndWhatTheListenerHeardIsOut)
{
    for (unsigned seed = 1; seed <= 10; seed++) {
        std::mt19937 random(seed);
        Board board;
        for (int i = 0; i < 2000; i++) {
            access_at_random(board, random);
            ASSERT_EQ(board.out(0), board.edges.empty() ? false : board.edges.back().level);
            ASSERT_EQ(event_is_armed(&board.queue, &board.chip.edge),
                      pit_counter_next_edge(&board.chip.counter[0]) != PIT_NO_PULSE);
        }
        for (size_t i = 0; i < board.edges.size(); i++)
            ASSERT_EQ(board.edges[i].level, i % 2 == 0);
        EXPECT_GT(board.edges.size(), 100u);
    }
}

TEST(PitProperties, SaveAndRestoreGiveTheSameFuture)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        std::mt19937 random(seed);
        Board first, second;
        for (int i = 0; i < 200; i++)
            access_at_random(first, random);
        const pit saved = first.chip;

        second.start(0, 2, 3);
        second.run_until(first.queue.now.ps);
        pit_restore(&second.chip, &saved);
        EXPECT_EQ(second.edges.back().level, first.out(0));
        first.edges.clear();
        second.edges.clear();

        std::mt19937 same = random;
        for (int i = 0; i < 200; i++) {
            access_at_random(first, random);
            access_at_random(second, same);
            for (uint16_t port : {0x40, 0x41, 0x42, 0x61})
                ASSERT_EQ(first.read(port), second.read(port));
        }
        EXPECT_EQ(first.edges, second.edges) << "seed " << seed;
    }
}

/* A counter that is programmed anew makes no edge of what it was programmed for before. */
TEST(PitProperties, ReprogrammingLeavesNoStaleEdge)
{
    std::mt19937 random(7);
    Board board;
    for (int i = 0; i < 500; i++) {
        board.start(0, random() % 6, 2 + random() % 50);
        board.run_until(board.queue.now.ps + random() % 60000000);
        board.start(0, 4, 1000);
        board.edges.clear();
        const uint64_t pulse = clock_count(&board.clk, board.queue.now).n;
        board.at(pulse + 1010);
        ASSERT_EQ(board.edges, (std::vector<edge>{{board.ps_of(pulse + 1001), 0, false},
                                                  {board.ps_of(pulse + 1002), 0, true}}));
    }
}

} // namespace
