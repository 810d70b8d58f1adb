/*
 * The I/O APIC in front of a remapping unit: VT-d 5.1.5.1 "I/OxAPIC Programming". The index of a
 * remappable entry takes bits 63:48, so the I/O APIC has to hold bits 55:48.
 */
#include "unit/ioapic_bench.h"
#include "unit/remap_bench.h"

namespace
{

enum : uint64_t { LEVEL = IoapicBench::LEVEL, REMOTE_IRR = IoapicBench::REMOTE_IRR };
enum : unsigned { PIN = 20, INDEX = 0x5a5a };
enum : uint16_t { IOAPIC_ID = 0xf0f8 };
enum : uint8_t { V = 0x61, W = 0x72 };

/* The remappable format: index 14:0 in 63:49, 15 in bit 11; bit 48 says so. */
constexpr uint64_t remappable(uint64_t index)
{
    return (index & 0x7fff) << 49 | UINT64_C(1) << 48 | (index >> 15 & 1) << 11;
}

class IoapicRemap : public RemapBench
{
  protected:
    IoapicBench pins{IOAPIC_VERSION_20, 0, true};
    std::vector<remap_verdict> verdicts;

    IoapicRemap()
    {
        pins.accepts = [this](const IoapicBench::Sent &s) {
            remap_verdict verdict{};
            remap_message(&unit, IOAPIC_ID, pins.io.entry[s.pin], &verdict);
            verdicts.push_back(verdict);
            return verdict.outcome != REMAP_FAULT;
        };
        enable();
        entry(INDEX, present | 1 << 4 | vector_of(V) | destination(3), source(1, 0, IOAPIC_ID));
    }
};

TEST_F(IoapicRemap, BitsOfTheExtendedDestinationCanBeWritten)
{
    pins.set(PIN, UINT64_MAX);
    EXPECT_EQ(pins.entry(PIN), UINT64_C(0xffff00000001afff));
    IoapicBench without;
    without.set(PIN, UINT64_MAX);
    EXPECT_EQ(without.entry(PIN), UINT64_C(0xff0000000001afff));
}

TEST_F(IoapicRemap, ARemappableEntryNamesItsTableEntryByEveryBitOfTheIndex)
{
    for (unsigned bit = 0; bit < 16; bit++) {
        entry(1u << bit, present | vector_of(0x40 + bit) | destination(bit));
        pins.set(PIN, remappable(1u << bit) | V);
        pins.pulse(PIN);
        ASSERT_EQ(verdicts.size(), bit + 1u);
        EXPECT_EQ(verdicts[bit].outcome, REMAP_PASS);
        EXPECT_EQ(verdicts[bit].message.vector, 0x40 + bit);
        EXPECT_EQ(verdicts[bit].message.dest, bit);
    }
}

/* The local APIC ends the table entry's vector, so the I/O APIC has to have the same one. */
TEST_F(IoapicRemap, ALevelEndsByTheVectorOfItsTableEntry)
{
    pins.set(PIN, remappable(INDEX) | LEVEL | V);
    pins.drive(PIN, true);
    ASSERT_EQ(verdicts.size(), 1u);
    EXPECT_TRUE(verdicts[0].message.level);
    EXPECT_TRUE(pins.remote_irr(PIN));
    pins.drive(PIN, false);
    pins.eoi(verdicts[0].message.vector);
    EXPECT_FALSE(pins.remote_irr(PIN));
}

TEST_F(IoapicRemap, ALevelWithAnotherVectorThanItsTableEntrysIsNotEnded)
{
    pins.set(PIN, remappable(INDEX) | LEVEL | W);
    pins.pulse(PIN);
    ASSERT_EQ(verdicts.size(), 1u);
    pins.eoi(verdicts[0].message.vector);
    EXPECT_TRUE(pins.remote_irr(PIN));
    ioapic_write(&pins.io, IoapicBench::EOI, 4, W); /* Linux's way */
    EXPECT_FALSE(pins.remote_irr(PIN));
}

/* The I/O APIC's entry stays, its table entry moves: the next message goes elsewhere. */
TEST_F(IoapicRemap, AMovedTableEntryMovesTheLevelThatIsSentAgain)
{
    pins.set(PIN, remappable(INDEX) | LEVEL | V);
    pins.drive(PIN, true);
    entry(INDEX, present | 1 << 4 | vector_of(V) | destination(5), source(1, 0, IOAPIC_ID));
    pins.eoi(V);
    ASSERT_EQ(verdicts.size(), 2u);
    EXPECT_EQ(verdicts[0].message.dest, 3u);
    EXPECT_EQ(verdicts[1].message.dest, 5u);
}

TEST_F(IoapicRemap, ABlockedLevelIsRecordedAndAcceptedByNobody)
{
    pins.set(PIN, remappable(INDEX + 1) | LEVEL | V);
    pins.drive(PIN, true);
    ASSERT_EQ(verdicts.size(), 1u);
    EXPECT_EQ(verdicts[0].reason, 0x22);
    EXPECT_TRUE(recorded(0));
    EXPECT_FALSE(pins.remote_irr(PIN));
    pins.set(PIN, remappable(INDEX) | LEVEL | V);
    EXPECT_EQ(verdicts.back().outcome, REMAP_PASS);
    EXPECT_TRUE(pins.remote_irr(PIN));
}

} // namespace
