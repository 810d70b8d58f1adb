/* IOEPIC: pins, masks, levels and their EOI, registers. */
#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

#include "shim.h"

namespace
{

enum : uint32_t {
    DELIVERY_STATUS = 1 << 12,
    SOFTWARE_INT = 1 << 13,
    LEVEL = 1 << 15,
    MASK = 1 << 16
};
constexpr unsigned PIN = 5, VECTOR = 0x251, DESTINATION = 0x103;

class IoepicBench : private ioepic_port
{
  public:
    ioepic io;
    std::vector<std::pair<unsigned, epic_msg>> sent;
    bool accepts = true;

    explicit IoepicBench(unsigned version = IOEPIC_VERSION_2, unsigned pins = 24)
        : ioepic_port{take}
    {
        ioepic_init(&io, pins, version, this);
    }
    IoepicBench(const IoepicBench &) = delete;
    IoepicBench &operator=(const IoepicBench &) = delete;

    static uint32_t at(unsigned pin, uint32_t offset)
    {
        return pin * IOEPIC_PIN_BYTES + offset;
    }
    void open(uint32_t control = 0)
    {
        write(at(PIN, IOEPIC_MSG_DATA), VECTOR);
        write(at(PIN, IOEPIC_ADDR_LOW), DESTINATION << 6);
        write(at(PIN, IOEPIC_INT_CTRL), control);
    }
    void write(uint32_t offset, uint32_t value, unsigned size = 4)
    {
        ioepic_write(&io, offset, size, value);
    }
    uint32_t read(uint32_t offset, unsigned size = 4)
    {
        return ioepic_read(&io, offset, size);
    }
    uint32_t control(unsigned pin = PIN)
    {
        return read(at(pin, IOEPIC_INT_CTRL));
    }
    void drive(bool level)
    {
        ioepic_drive(&io, PIN, level);
    }

  private:
    static bool take(ioepic_port *self, unsigned pin, const epic_msg *msg)
    {
        IoepicBench *b = static_cast<IoepicBench *>(self);
        b->sent.emplace_back(pin, *msg);
        return b->accepts;
    }
};

TEST(Ioepic, AnEdgeSendsThePinsMessage)
{
    IoepicBench b;
    b.open();
    b.drive(true);
    ASSERT_EQ(1u, b.sent.size());
    EXPECT_EQ(PIN, b.sent[0].first);
    EXPECT_EQ(VECTOR, b.sent[0].second.vector);
    EXPECT_EQ(DESTINATION, b.sent[0].second.dest);
    EXPECT_EQ(EPIC_FIXED_EXT, b.sent[0].second.delivery);
    b.drive(true);
    EXPECT_EQ(1u, b.sent.size()) << "no edge";
    b.drive(false);
    b.drive(true);
    EXPECT_EQ(2u, b.sent.size());
    EXPECT_EQ(0u, b.control()) << "an edge is not outstanding";
}

TEST(Ioepic, AtPowerUpEveryPinIsMasked)
{
    IoepicBench b;
    for (unsigned pin = 0; pin < 24; pin++)
        EXPECT_EQ(MASK, b.control(pin));
    b.drive(true);
    EXPECT_TRUE(b.sent.empty());
}

TEST(Ioepic, UnmaskedAnAssertedPinSends)
{
    IoepicBench b;
    b.open(MASK);
    b.drive(true);
    b.write(b.at(PIN, IOEPIC_INT_CTRL), 0);
    EXPECT_EQ(1u, b.sent.size());
}

TEST(Ioepic, ALevelIsSentOnceUntilItsEoi)
{
    IoepicBench b;
    b.open(LEVEL);
    b.drive(true);
    b.drive(true);
    EXPECT_EQ(1u, b.sent.size());
    EXPECT_EQ(LEVEL | DELIVERY_STATUS, b.control());
    b.write(b.at(PIN, IOEPIC_INT_CTRL), DELIVERY_STATUS);
    EXPECT_EQ(2u, b.sent.size()) << "still asserted";
    b.drive(false);
    b.write(b.at(PIN, IOEPIC_INT_CTRL), DELIVERY_STATUS);
    EXPECT_EQ(2u, b.sent.size());
    EXPECT_EQ(uint32_t{LEVEL}, b.control());
}

TEST(Ioepic, ALevelThatNobodyAcceptedIsNotOutstanding)
{
    IoepicBench b;
    b.accepts = false;
    b.open(LEVEL);
    b.drive(true);
    EXPECT_EQ(uint32_t{LEVEL}, b.control());
}

TEST(Ioepic, InVersion2AnEoiChangesNothingElseAndInVersion1ItIsAWrite)
{
    for (unsigned version : {1u, 2u}) {
        IoepicBench b(version);
        b.open(LEVEL);
        b.drive(true);
        b.drive(false);
        b.write(b.at(PIN, IOEPIC_INT_CTRL), DELIVERY_STATUS | MASK);
        EXPECT_EQ(version == 1 ? uint32_t{MASK} : uint32_t{LEVEL}, b.control());
    }
}

TEST(Ioepic, VersionAndNumberAreThoseOfTheChip)
{
    IoepicBench b(IOEPIC_VERSION_2, 64);
    EXPECT_EQ(64u << 16 | 2, b.read(IOEPIC_VERSION));
    b.write(IOEPIC_VERSION, 0);
    EXPECT_EQ(64u << 16 | 2, b.read(IOEPIC_VERSION));
    b.write(IOEPIC_ID, 0x00010002);
    EXPECT_EQ(0x00010002u, b.read(IOEPIC_ID));
}

TEST(Ioepic, EachPinHasItsRequesterInTheFirstPage)
{
    IoepicBench b;
    b.write(IOEPIC_INT_RID + 4 * PIN, 0xffffffff);
    EXPECT_EQ(0xffffu, b.read(IOEPIC_INT_RID + 4 * PIN));
    EXPECT_EQ(0u, b.read(IOEPIC_INT_RID));
    EXPECT_EQ(UINT32_MAX, b.read(IOEPIC_INT_RID + 4 * 24));
}

TEST(Ioepic, ElsewhereAReadIsAllOnesAndAWriteNothing)
{
    IoepicBench b;
    for (uint32_t offset :
         {0x010u, 0x030u, 0x1000u, 0x1004u, 24 * 0x1000 + 0x20u, 0xffffffffu}) {
        b.write(offset, 0);
        EXPECT_EQ(UINT32_MAX, b.read(offset)) << std::hex << offset;
    }
    EXPECT_EQ(UINT32_MAX, b.read(IOEPIC_ID, 2));
    b.write(IOEPIC_ID, 7, 8);
    EXPECT_EQ(0u, b.read(IOEPIC_ID));
}

/* However it is driven and programmed: sent while masked never, and a level once before its EOI. */
TEST(IoepicProperty, NothingIsSentMaskedOrWhileOutstanding)
{
    std::mt19937 random(3);
    for (int round = 0; round < 300; round++) {
        IoepicBench b;
        b.open(LEVEL);
        for (int step = 0; step < 100; step++) {
            const uint32_t before = b.control();
            const size_t sent = b.sent.size();
            uint32_t written = 0;
            if (random() % 2)
                b.drive(random() % 2);
            else
                b.write(b.at(PIN, IOEPIC_INT_CTRL),
                        written = random() & (LEVEL | MASK | DELIVERY_STATUS | SOFTWARE_INT));
            if (b.sent.size() == sent)
                continue;
            EXPECT_FALSE(b.control() & MASK);
            EXPECT_TRUE((before & (LEVEL | DELIVERY_STATUS)) != (LEVEL | DELIVERY_STATUS) ||
                        written);
        }
    }
}

} // namespace
