/*
 * PCI INTx routing: 82371SB (PIIX3) data sheet, "PIRQX Route Control Registers"; ICH9 data sheet,
 * "PIRQ[n]_ROUT" and "APIC Interrupt Mapping".
 */
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shim.h"

namespace
{

enum : uint16_t { PIRQRCA = 0x60, PIRQRCB, PIRQRCC, PIRQRCD, PIRQRCE = 0x68 };
enum : uint8_t { DISABLED = 0x80 };
enum : unsigned { PIRQA, PIRQB, PIRQC, PIRQD, PIRQE, PIRQF, PIRQG, PIRQH };

/* Remembers what the inputs did, in order: "+11 -11". */
struct Inputs : pirq_port {
    std::string history;
    uint32_t level = 0;

    Inputs() : pirq_port{changed}
    {
    }

    static void changed(pirq_port *self, unsigned irq, bool level)
    {
        Inputs *inputs = static_cast<Inputs *>(self);
        inputs->history += (inputs->history.empty() ? "" : " ") +
                           std::string(level ? "+" : "-") + std::to_string(irq);
        EXPECT_NE(level, bool(inputs->level >> irq & 1)) << "only changes are heard";
        inputs->level ^= 1u << irq;
    }

    std::string take()
    {
        return std::exchange(history, "");
    }
};

class Pirq : public ::testing::TestWithParam<unsigned>
{
  protected:
    Inputs inputs;
    pirq router;

    Pirq()
    {
        power_up(PIRQ_PIIX3);
    }

    void power_up(pirq_board board)
    {
        pirq_config config{};
        config.board = board;
        config.port = &inputs;
        inputs.history.clear();
        inputs.level = 0;
        pirq_init(&router, &config);
    }

    void route(unsigned line, unsigned value)
    {
        pirq_write(
            &router,
            static_cast<uint16_t>(line < PIRQE ? PIRQRCA + line : PIRQRCE + line - PIRQE), 1,
            value);
    }
    /* The device of an i440FX whose INTA# is this line. */
    static unsigned slot_of(unsigned line)
    {
        return 5 + line;
    }
    void drive(unsigned device, bool level, pirq_pin pin = PIRQ_INTA)
    {
        pirq_drive(&router, device, pin, level);
    }
    void drive_line(unsigned line, bool level)
    {
        drive(slot_of(line), level);
    }
};

/* ---- the board ---- */

TEST_F(Pirq, NeighbouringSlotsOfTheI440fxHaveTheirPinsInTurn)
{
    const unsigned lines[][4] = {
        {PIRQD, PIRQA, PIRQB, PIRQC}, /* device 0 */
        {PIRQA, PIRQB, PIRQC, PIRQD}, /* 1: the PIIX3 itself */
        {PIRQB, PIRQC, PIRQD, PIRQA},
        {PIRQC, PIRQD, PIRQA, PIRQB}, /* 3: the first network card of QEMU's "pc" */
        {PIRQD, PIRQA, PIRQB, PIRQC},
        {PIRQA, PIRQB, PIRQC, PIRQD},
    };

    for (unsigned device = 0; device < 6; device++)
        for (const pirq_pin pin : {PIRQ_INTA, PIRQ_INTB, PIRQ_INTC, PIRQ_INTD})
            EXPECT_EQ(lines[device][pin], pirq_line(PIRQ_PIIX3, device, pin)) << device;
}

TEST_F(Pirq, SlotsOfTheQ35UsePirqEToHAndItsOwnDevicesAToD)
{
    EXPECT_EQ(PIRQE, pirq_line(PIRQ_ICH9, 0, PIRQ_INTA));
    EXPECT_EQ(PIRQG, pirq_line(PIRQ_ICH9, 2, PIRQ_INTA));
    EXPECT_EQ(PIRQE, pirq_line(PIRQ_ICH9, 2, PIRQ_INTC));
    EXPECT_EQ(PIRQE, pirq_line(PIRQ_ICH9, 24, PIRQ_INTA));
    EXPECT_EQ(PIRQA, pirq_line(PIRQ_ICH9, 25, PIRQ_INTA));
    EXPECT_EQ(PIRQE, pirq_line(PIRQ_ICH9, 30, PIRQ_INTA)) << "the PCI bridge";
    EXPECT_EQ(PIRQD, pirq_line(PIRQ_ICH9, 31, PIRQ_INTD));
}

TEST_F(Pirq, ThePinsOfADeviceAreOnDifferentLines)
{
    for (const pirq_board board : {PIRQ_PIIX3, PIRQ_ICH9})
        for (unsigned device = 0; device < PIRQ_DEVICES; device++) {
            unsigned lines = 0;
            for (const pirq_pin pin : {PIRQ_INTA, PIRQ_INTB, PIRQ_INTC, PIRQ_INTD})
                lines |= 1u << pirq_line(board, device, pin);
            EXPECT_EQ(4, __builtin_popcount(lines)) << device;
        }
}

/* ---- registers ---- */

TEST_F(Pirq, AtResetNothingIsRouted)
{
    EXPECT_EQ(0x80808080u, pirq_read(&router, PIRQRCA, 4));
    for (unsigned line = 0; line < PIRQ_LINES; line++)
        EXPECT_EQ(PIRQ_NOT_ROUTED, pirq_route(&router, line));
    drive_line(PIRQA, true);
    EXPECT_EQ("", inputs.take());
}

TEST_F(Pirq, RoutesAreBytesOfTheBridgesConfigurationSpace)
{
    pirq_write(&router, PIRQRCA, 4, 0x0b0a0985);
    EXPECT_EQ(0x0b0a0985u, pirq_read(&router, PIRQRCA, 4));
    EXPECT_EQ(0x0b0au, pirq_read(&router, PIRQRCC, 2));
    EXPECT_EQ(PIRQ_NOT_ROUTED, pirq_route(&router, PIRQA)) << "disabled";
    EXPECT_EQ(9, pirq_route(&router, PIRQB));
    EXPECT_EQ(10, pirq_route(&router, PIRQC));
    EXPECT_EQ(11, pirq_route(&router, PIRQD));
}

TEST_F(Pirq, ReservedBitsReadZero)
{
    pirq_write(&router, PIRQRCA, 1, 0xff);
    EXPECT_EQ(0x8fu, pirq_read(&router, PIRQRCA, 1));
}

TEST_F(Pirq, ReservedInterruptsAreKeptAndNotRouted)
{
    drive_line(PIRQA, true);
    for (unsigned irq = 0; irq < 16; irq++) {
        const bool reserved = irq < 3 || irq == 8 || irq == 13;
        route(PIRQA, irq);
        EXPECT_EQ(irq, pirq_read(&router, PIRQRCA, 1));
        EXPECT_EQ(reserved ? PIRQ_NOT_ROUTED : static_cast<int>(irq),
                  pirq_route(&router, PIRQA));
        EXPECT_EQ(reserved ? 0 : 1u << irq, inputs.level);
    }
}

TEST_F(Pirq, OnlyTheIch9HasRoutesOfPirqEToH)
{
    pirq_write(&router, PIRQRCE, 4, 0x0b0b0b0b);
    EXPECT_EQ(0u, pirq_read(&router, PIRQRCE, 4));
    EXPECT_EQ(PIRQ_NOT_ROUTED, pirq_route(&router, PIRQE));
    power_up(PIRQ_ICH9);
    EXPECT_EQ(0x80808080u, pirq_read(&router, PIRQRCE, 4));
    pirq_write(&router, PIRQRCE, 4, 0x0b0a0905);
    EXPECT_EQ(5, pirq_route(&router, PIRQE));
    EXPECT_EQ(11, pirq_route(&router, PIRQH));
    EXPECT_EQ(PIRQ_NOT_ROUTED, pirq_route(&router, 8));
}

TEST_F(Pirq, WhereNoRouteIsNothingIs)
{
    for (const unsigned size : {0u, 3u, 8u}) {
        pirq_write(&router, PIRQRCA, size, 0x0b0b0b0b);
        EXPECT_EQ(0u, pirq_read(&router, PIRQRCA, size));
    }
    pirq_write(&router, 0x160, 4, 0);
    pirq_write(&router, 0xffff, 4, 0);
    EXPECT_EQ(0u, pirq_read(&router, 0x5c, 4));
    EXPECT_EQ(0x80808080u, pirq_read(&router, PIRQRCA, 4));
    EXPECT_EQ(0x80800000u, pirq_read(&router, 0x5e, 4)) << "bytes are bytes";
}

/* ---- levels ---- */

TEST_F(Pirq, ADeviceOnARoutedLineDrivesItsInput)
{
    route(PIRQC, 11);
    drive(3, true);
    EXPECT_EQ("+11", inputs.take());
    drive(3, true);
    EXPECT_EQ("", inputs.take());
    drive(3, false);
    EXPECT_EQ("-11", inputs.take());
}

/*  device 3, INTA#  ____|‾‾‾‾‾‾‾‾‾‾‾|____________
 *  device 7, INTA#  _________|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|___
 *  IRQ 11           ____|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|___   */
TEST_F(Pirq, DevicesOnOneLineShareIt)
{
    route(PIRQC, 11);
    drive(3, true);
    drive(7, true);
    drive(3, false);
    EXPECT_EQ("+11", inputs.take());
    drive(7, false);
    EXPECT_EQ("-11", inputs.take());
}

TEST_F(Pirq, LinesOnOneInputShareIt)
{
    route(PIRQA, 10);
    route(PIRQB, 10);
    drive_line(PIRQA, true);
    drive_line(PIRQB, true);
    drive_line(PIRQA, false);
    EXPECT_EQ("+10", inputs.take());
    drive_line(PIRQB, false);
    EXPECT_EQ("-10", inputs.take());
}

TEST_F(Pirq, PinsOfOneDeviceAreDriversOfTheirOwn)
{
    route(PIRQC, 11);
    route(PIRQD, 10);
    drive(3, true, PIRQ_INTA);
    drive(3, true, PIRQ_INTB);
    drive(3, false, PIRQ_INTA);
    EXPECT_EQ("+11 +10 -11", inputs.take());
}

TEST_F(Pirq, AChangedRouteTakesTheLevelAlong)
{
    route(PIRQA, 5);
    drive_line(PIRQA, true);
    inputs.take();
    route(PIRQA, 9);
    EXPECT_EQ("-5 +9", inputs.take()) << "falling before rising";
    route(PIRQA, 3);
    EXPECT_EQ("-9 +3", inputs.take());
    route(PIRQA, DISABLED | 3);
    EXPECT_EQ("-3", inputs.take());
    route(PIRQA, 3);
    EXPECT_EQ("+3", inputs.take());
}

TEST_F(Pirq, ARouteThatLeavesASharedInputLeavesItAsserted)
{
    route(PIRQA, 10);
    route(PIRQB, 10);
    drive_line(PIRQA, true);
    drive_line(PIRQB, true);
    inputs.take();
    route(PIRQA, 11);
    EXPECT_EQ("+11", inputs.take());
}

TEST_F(Pirq, TwoRoutesExchangedInOneWriteMoveTogether)
{
    pirq_write(&router, PIRQRCA, 2, 0x0a0b);
    drive_line(PIRQA, true);
    inputs.take();
    pirq_write(&router, PIRQRCA, 2, 0x0b0a);
    EXPECT_EQ("-11 +10", inputs.take());
}

TEST_F(Pirq, Ich9LinesAreInputs16To23OfTheIoapicAndTheirRouteBesides)
{
    power_up(PIRQ_ICH9);
    drive(2, true);
    EXPECT_EQ("+22", inputs.take()) << "PIRQG#";
    pirq_write(&router, PIRQRCE + 2, 1, 11);
    EXPECT_EQ("+11", inputs.take());
    drive(2, false);
    EXPECT_EQ("-11 -22", inputs.take());
    for (unsigned pin = 0; pin < 4; pin++)
        drive(31, true, static_cast<pirq_pin>(pin));
    EXPECT_EQ("+16 +17 +18 +19", inputs.take());
}

TEST_F(Pirq, DevicesAndPinsThatThereAreNotDoNothing)
{
    pirq_write(&router, PIRQRCA, 4, 0x0b0b0b0b);
    drive(32, true);
    drive(0xffffffff, true);
    drive(3, true, static_cast<pirq_pin>(4));
    drive(3, true, static_cast<pirq_pin>(-1));
    EXPECT_EQ("", inputs.take());
}

TEST_F(Pirq, ADeviceThatAnswersToItsInputAtOnceIsHeard)
{
    struct Answering : Inputs {
        struct pirq *router = nullptr;
        Answering()
        {
            output = answer;
        }
        static void answer(pirq_port *self, unsigned irq, bool level)
        {
            Answering *a = static_cast<Answering *>(self);
            changed(self, irq, level);
            if (irq == 9 && level)
                pirq_drive(a->router, slot_of(PIRQB), PIRQ_INTA, false);
        }
    } answering;
    pirq_config config{PIRQ_PIIX3, &answering};

    pirq_init(&router, &config);
    answering.router = &router;
    drive_line(PIRQA, true);
    drive_line(PIRQB, true);
    pirq_write(&router, PIRQRCA, 2, 0x0a09);
    EXPECT_EQ("+9", answering.take()) << "PIRQB# was let go before input 10 rose";
}

/* ---- any sequence of operations ---- */

INSTANTIATE_TEST_SUITE_P(Seeds, Pirq, ::testing::Range(0u, 8u));

TEST_P(Pirq, EachInputIsTheOrOfThePinsRoutedToIt)
{
    std::mt19937 random(GetParam());
    const pirq_board board = GetParam() % 2 ? PIRQ_ICH9 : PIRQ_PIIX3;
    bool pins[PIRQ_DEVICES][PIRQ_PINS] = {};
    std::array<unsigned, PIRQ_LINES> routes;

    routes.fill(DISABLED);
    power_up(board);
    for (int i = 0; i < 4000; i++) {
        if (random() % 4 == 0) {
            const unsigned line = random() % (board == PIRQ_ICH9 ? 8 : 4);
            routes[line] = random() & 0x8f;
            route(line, routes[line]);
        } else {
            const unsigned device = random() % PIRQ_DEVICES;
            const auto pin = static_cast<pirq_pin>(random() % PIRQ_PINS);
            pins[device][pin] = random() % 4 == 0;
            drive(device, pins[device][pin], pin);
        }
        uint32_t expected = 0;
        for (unsigned device = 0; device < PIRQ_DEVICES; device++)
            for (unsigned pin = 0; pin < PIRQ_PINS; pin++) {
                const unsigned line = pirq_line(board, device, static_cast<pirq_pin>(pin));
                const bool routed = routes[line] < 16 && !(0x2107 >> routes[line] & 1);
                if (pins[device][pin] && routed)
                    expected |= 1u << routes[line];
                if (pins[device][pin] && board == PIRQ_ICH9)
                    expected |= 1u << (16 + line);
            }
        ASSERT_EQ(expected, inputs.level) << "operation " << i;
    }
}

TEST_P(Pirq, AnyBytesAreBorne)
{
    std::mt19937 random(GetParam());

    power_up(GetParam() % 2 ? PIRQ_ICH9 : PIRQ_PIIX3);
    for (int i = 0; i < 5000; i++) {
        const auto offset =
            static_cast<uint16_t>(random() % 4 ? 0x5c + random() % 20 : random());
        const unsigned size = random() % 8 ? 1u << random() % 3 : random();
        pirq_write(&router, offset, size, static_cast<uint32_t>(random()));
        pirq_read(&router, offset, size);
        drive(random() % 40, random() & 1, static_cast<pirq_pin>(random() % 6));
        ASSERT_EQ(0u, pirq_read(&router, PIRQRCA, 4) & 0x70707070);
        ASSERT_EQ(0u, inputs.level & 0x2107) << "reserved inputs";
    }
}

TEST_P(Pirq, ARestoredRouterHasTheSameFuture)
{
    std::mt19937 random(GetParam());
    Inputs other_inputs;
    pirq other;
    const pirq_config config{PIRQ_ICH9, &other_inputs};

    power_up(PIRQ_ICH9);
    pirq_init(&other, &config);
    for (int i = 0; i < 4000; i++) {
        const unsigned what = random(), device = random() % PIRQ_DEVICES;
        const auto pin = static_cast<pirq_pin>(random() % PIRQ_PINS);
        if (i == 2000) {
            const pirq saved = router;
            pirq_restore(&other, &saved);
            other_inputs.level = inputs.level;
            inputs.history.clear();
        }
        for (pirq *p : {&router, &other}) {
            if (i < 2000 && p == &other)
                continue;
            if (what % 4)
                pirq_drive(p, device, pin, what >> 8 & 1);
            else
                pirq_write(p, PIRQRCA, 4, what >> 4);
        }
    }
    EXPECT_NE("", other_inputs.history);
    EXPECT_EQ(inputs.history, other_inputs.history);
}

} // namespace
