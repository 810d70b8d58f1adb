/* Interrupt remapping: requests, table entries, verdicts (VT-d revision 5.10, chapters 5 and 9). */
#include <set>

#include "unit/remap_bench.h"

namespace
{

/* ---- which format, and what it passes: 5.1.4 ---- */

using Format = RemapBench;

TEST_F(Format, WithoutRemappingEveryRequestIsReadInCompatibilityFormat)
{
    const remap_verdict v = ask(handle(0x7fff), 0x31);

    EXPECT_EQ(v.outcome, REMAP_PASS);
    EXPECT_EQ(v.message.vector, 0x31);
    EXPECT_EQ(v.message.dest, 0xffu);
}

TEST_F(Format, CompatibilityRequestsAreBlockedUnlessSoftwareAllowsThem)
{
    enable(false, 15, false);
    EXPECT_EQ(reason(0xfee01000, 0x31), 0x25u);
    enable(false, 15, true);
    EXPECT_EQ(reason(0xfee01000, 0x31), 0u);
    EXPECT_EQ(ask(0xfee01000, 0x31).message.dest, 1u);
}

TEST_F(Format, ExtendedInterruptModeBlocksCompatibilityRequestsWhateverSoftwareAllows)
{
    enable(true, 15, true);
    EXPECT_EQ(reason(0xfee01000, 0x31), 0x25u);
}

TEST_F(Format, RemappableRequestsAreRemappedWhateverIsAllowedToTheOthers)
{
    for (const bool compatibility : {false, true}) {
        enable(false, 15, compatibility);
        entry(5, present | vector_of(0x31));
        EXPECT_EQ(ask(handle(5)).message.vector, 0x31);
    }
}

TEST_F(Format, EachFieldOfACompatibilityRequestReachesTheMessage)
{
    const irq_msg plain = ask(0xfee00000, 0).message;
    EXPECT_EQ(plain.vector, 0);
    EXPECT_EQ(plain.delivery, IRQ_FIXED);
    EXPECT_EQ(plain.shorthand, IRQ_NO_SHORTHAND);
    EXPECT_FALSE(plain.logical || plain.level || plain.deassert);
    EXPECT_EQ(plain.dest, 0u);
    EXPECT_EQ(plain.source, TRACE_NOWHERE);
    EXPECT_EQ(plain.flow, 0u);

    EXPECT_EQ(ask(0xfeea5000, 0).message.dest, 0xa5u);
    EXPECT_TRUE(ask(0xfee00004, 0).message.logical);
    EXPECT_EQ(ask(0xfee00008, 0).message.delivery, IRQ_LOWEST_PRIORITY);
    EXPECT_EQ(ask(0xfee00000, 0xef).message.vector, 0xef);
    for (uint32_t delivery = 0; delivery < 8; delivery++)
        EXPECT_EQ(ask(0xfee00000, delivery << 8).message.delivery, delivery);
    EXPECT_EQ(ask(0xfee00008, IRQ_NMI << 8).message.delivery, IRQ_NMI) << "no hint for NMI";
    EXPECT_TRUE(ask(0xfee00000, 0xc000).message.level);
    EXPECT_FALSE(ask(0xfee00000, 0xc000).message.deassert);
    EXPECT_TRUE(ask(0xfee00000, 0x8000).message.deassert);
    EXPECT_FALSE(ask(0xfee00000, 0x0000).message.deassert) << "an edge has no level";
}

/* ---- the index: 5.1.2.2, 5.1.3 ---- */

using Index = RemapBench;

TEST_F(Index, TheHandleIsSixteenBitsOfTheAddress)
{
    enable();
    for (uint32_t bit = 0; bit < 16; bit++)
        EXPECT_EQ(ask(handle(1u << bit)).index, 1u << bit);
    EXPECT_EQ(ask(0xfee00010 | 0xfffe0).index, 0x7fffu);
    EXPECT_EQ(ask(0xfee00014).index, 0x8000u);
    EXPECT_EQ(ask(0xfee00013).index, 0u) << "bits 1:0 do not matter";
}

TEST_F(Index, ASubhandleIsAddedWhenItIsValid)
{
    enable();
    EXPECT_EQ(ask(handle(0x100, true), 0x1f).index, 0x11fu);
    EXPECT_EQ(ask(handle(0x1ff, true), 1).index, 0x200u) << "added, not put in";
    EXPECT_EQ(ask(handle(0x100, false), 0x1f).index, 0x100u);
}

TEST_F(Index, ASumBeyondSixteenBitsDoesNotWrap)
{
    enable();
    entry(0, present);
    EXPECT_EQ(reason(handle(0xffff, true), 1), 0x21u);
    EXPECT_EQ(reason(handle(0xffff, true), 0), 0x22u);
}

TEST_F(Index, ReservedDataBitsMatterOnlyWithASubhandle)
{
    enable();
    entry(7, present);
    for (unsigned bit = 0; bit < 32; bit++) {
        EXPECT_EQ(reason(handle(7, false), 1u << bit), 0u) << bit;
        EXPECT_EQ(reason(handle(7, true), 1u << bit) == 0x20, bit >= 16) << bit;
    }
}

TEST_F(Index, TheTableHasTwoToTheSizePlusOneEntries)
{
    for (unsigned s = 0; s < 16; s++) {
        const uint32_t entries = 2u << s;

        enable(false, s);
        EXPECT_EQ(reason(handle(entries - 1)), 0x22u) << s;
        EXPECT_EQ(reason(handle(entries - 1, true), 1), 0x21u) << s;
    }
}

TEST_F(Index, AnEntryAboveTheHostAddressWidthIsBeyondTheTable)
{
    const uint64_t last_page = (UINT64_C(1) << REMAP_ADDRESS_WIDTH) - 4096;

    write(REMAP_IRTA, last_page | 15, 8);
    write(REMAP_GCMD, gcmd_sirtp);
    write(REMAP_GCMD, gcmd_ire);
    EXPECT_EQ(reason(handle(255)), 0x22u);
    EXPECT_EQ(reason(handle(256)), 0x21u);
}

TEST_F(Index, MemoryThatDoesNotAnswerIsAnAccessError)
{
    enable();
    entry(5, present);
    unit.config.entries = 5;
    EXPECT_EQ(reason(handle(4)), 0x22u);
    EXPECT_EQ(reason(handle(5)), 0x23u);
    unit.config.table_fails = true;
    EXPECT_EQ(reason(handle(4)), 0x23u);
    enable(false, 0);
    EXPECT_EQ(reason(handle(4)), 0x21u) << "the size is looked at first";
}

/* ---- entries for remapped interrupts: 9.9 ---- */

using Remapped = RemapBench;

TEST_F(Remapped, EachFieldReachesTheMessage)
{
    enable();
    entry(0, present);
    const irq_msg plain = ask(handle(0), 0xffff).message;
    EXPECT_EQ(plain.vector, 0) << "nothing of the request's own data";
    EXPECT_EQ(plain.delivery, IRQ_FIXED);
    EXPECT_FALSE(plain.logical || plain.level || plain.deassert);
    EXPECT_EQ(plain.dest, 0u);
    EXPECT_EQ(plain.source, TRACE_NOWHERE);

    entry(0, present | 4);
    EXPECT_TRUE(ask(handle(0)).message.logical);
    entry(0, present | 8);
    EXPECT_EQ(ask(handle(0)).message.delivery, IRQ_LOWEST_PRIORITY) << "redirection hint";
    entry(0, present | 16);
    EXPECT_TRUE(ask(handle(0)).message.level);
    EXPECT_FALSE(ask(handle(0)).message.deassert);
    entry(0, present | vector_of(0xa5));
    EXPECT_EQ(ask(handle(0)).message.vector, 0xa5);
    entry(0, present | destination(0xa5));
    EXPECT_EQ(ask(handle(0)).message.dest, 0xa5u);
}

TEST_F(Remapped, ExtendedInterruptModeHasThirtyTwoBitsOfDestination)
{
    enable(true);
    entry(0, present | UINT64_C(0x8badf00d) << 32);
    EXPECT_EQ(ask(handle(0)).message.dest, 0x8badf00du);
}

TEST_F(Remapped, WithoutItTheRestOfTheDestinationIsReserved)
{
    for (unsigned bit = 32; bit < 64; bit++) {
        entry(0, present | UINT64_C(1) << bit);
        enable(false);
        EXPECT_EQ(reason(handle(0)) == 0x24, bit < 40 || bit > 47) << bit;
        enable(true);
        EXPECT_EQ(reason(handle(0)), 0u) << bit;
    }
}

TEST_F(Remapped, DeliveryModesAreThoseOfTheTableAndTheOthersAreReserved)
{
    enable();
    for (const uint64_t delivery : {0, 1, 2, 4, 5, 7}) {
        entry(0, present | delivery << 5);
        EXPECT_EQ(ask(handle(0)).message.delivery, delivery);
    }
    for (const uint64_t delivery : {3, 6}) {
        entry(0, present | delivery << 5);
        EXPECT_EQ(reason(handle(0)), 0x24u);
    }
}

TEST_F(Remapped, OnlyFixedAndLowestPriorityCanBeLevelTriggered)
{
    enable();
    for (const uint64_t delivery : {0, 1, 2, 4, 5, 7}) {
        entry(0, present | 16 | delivery << 5);
        EXPECT_EQ(ask(handle(0)).message.level, delivery < 2) << delivery;
    }
}

TEST_F(Remapped, EveryReservedBitBlocksAndEveryOtherBitDoesNot)
{
    const std::set<unsigned> reserved_low = {12, 13, 14, 24, 25, 26, 27, 28, 29, 30, 31};

    enable(true);
    for (unsigned bit = 1; bit < 128; bit++) {
        if (bit == 15)
            continue; /* IM: another format */
        entry(0, present | (bit < 64 ? UINT64_C(1) << bit : 0),
              bit < 64 ? 0 : UINT64_C(1) << (bit - 64));
        const bool source_field = bit >= 64 && bit <= 83;
        if (!source_field) {
            EXPECT_EQ(reason(handle(0)) == 0x24, reserved_low.count(bit) || bit > 83) << bit;
        }
        table[0].word[0] &= ~present;
        EXPECT_EQ(reason(handle(0)), 0x22u) << "not present: nothing else matters, bit " << bit;
    }
}

/* ---- entries for posted interrupts: 9.10 ---- */

using Posted = RemapBench;

TEST_F(Posted, TheEntryNamesDescriptorVectorAndUrgency)
{
    enable();
    entry(3, present | posted_mode | vector_of(0x51) | UINT64_C(0xabcdef40) << 32,
          0x3fffull << 32);
    remap_verdict v = ask(handle(3));
    EXPECT_EQ(v.outcome, REMAP_POST);
    EXPECT_EQ(v.vector, 0x51);
    EXPECT_FALSE(v.urgent);
    EXPECT_EQ(v.descriptor, 0x3fffabcdef40u);
    EXPECT_EQ(v.index, 3u);

    table[3].word[0] |= urgent_post;
    v = ask(handle(3));
    EXPECT_TRUE(v.urgent);
    EXPECT_EQ(v.vector, 0x51);
}

TEST_F(Posted, EachBitOfTheDescriptorsAddressIsWhereTheTableHasIt)
{
    enable();
    for (unsigned bit = 6; bit < 46; bit++) {
        const bool low = bit < 32;

        entry(3, present | posted_mode | (low ? UINT64_C(1) << (bit + 32) : 0),
              low ? 0 : UINT64_C(1) << bit);
        EXPECT_EQ(ask(handle(3)).descriptor, UINT64_C(1) << bit);
    }
}

TEST_F(Posted, EveryReservedBitBlocksAndEveryOtherBitDoesNot)
{
    enable(true);
    for (unsigned bit = 1; bit < 128; bit++) {
        if (bit == 15 || (bit >= 64 && bit <= 83))
            continue;
        entry(0, present | posted_mode | (bit < 64 ? UINT64_C(1) << bit : 0),
              bit < 64 ? 0 : UINT64_C(1) << (bit - 64));
        const bool reserved = (bit >= 2 && bit <= 7) || bit == 12 || bit == 13 ||
                              (bit >= 24 && bit <= 37) || (bit >= 84 && bit <= 95) ||
                              bit >= 96 + 14; /* address bits 46 and up */
        EXPECT_EQ(reason(handle(0)), reserved ? 0x24u : 0u) << bit;
    }
}

TEST_F(Posted, TheDestinationsFormDoesNotMatter)
{
    for (const bool extended : {false, true}) {
        enable(extended);
        entry(0, present | posted_mode | UINT64_C(0xffffffc0) << 32, 0x3fffull << 32);
        EXPECT_EQ(ask(handle(0)).descriptor, 0x3fffffffffc0u);
    }
}

/* ---- whose entry it is: SID, SQ, SVT ---- */

using Source = RemapBench;

TEST_F(Source, WithoutVerificationAnybodyMayAsk)
{
    enable();
    for (uint64_t sq = 0; sq < 4; sq++) {
        entry(0, present, source(0, sq, 0x1234));
        EXPECT_EQ(reason(handle(0), 0, 0xffff), 0u);
    }
}

TEST_F(Source, AllSixteenBitsCountOrTheFunctionsBitsAreIgnored)
{
    static const uint32_t ignored[] = {0, 4, 6, 7};
    const uint32_t sid = 0xa5da;

    enable();
    for (uint64_t sq = 0; sq < 4; sq++) {
        entry(0, present, source(1, sq, sid));
        for (uint32_t from = 0; from < 65536; from++)
            ASSERT_EQ(reason(handle(0), 0, static_cast<uint16_t>(from)) == 0,
                      (from | ignored[sq]) == (sid | ignored[sq]))
                << from << ", SQ " << sq;
    }
}

TEST_F(Source, ABusRangeHasBothItsEnds)
{
    enable();
    for (uint64_t sq = 0; sq < 4; sq++) {
        entry(0, present, source(2, sq, 0x1020));
        for (uint32_t bus = 0; bus < 256; bus++)
            EXPECT_EQ(reason(handle(0), 0, static_cast<uint16_t>(bus << 8 | 0x55)),
                      bus >= 0x10 && bus <= 0x20 ? 0u : 0x26u)
                << bus;
    }
}

TEST_F(Source, ABusRangeThatEndsBeforeItBeginsAllowsNobody)
{
    enable();
    entry(0, present, source(2, 0, 0x2010));
    for (uint32_t bus = 0; bus < 256; bus++)
        EXPECT_EQ(reason(handle(0), 0, static_cast<uint16_t>(bus << 8)), 0x26u);
}

TEST_F(Source, TheReservedTypeAllowsNobody)
{
    enable();
    entry(0, present, source(3, 0, device));
    EXPECT_EQ(reason(handle(0)), 0x26u);
}

TEST_F(Source, PostedEntriesAreVerifiedAsWell)
{
    enable();
    entry(0, present | posted_mode, source(1, 0, device));
    EXPECT_EQ(ask(handle(0)).outcome, REMAP_POST);
    EXPECT_EQ(reason(handle(0), 0, device + 1), 0x26u);
}

TEST_F(Source, IsLookedAtBeforeTheFormat)
{
    enable();
    entry(0, present | 1 << 12, source(1, 0, device));
    EXPECT_EQ(reason(handle(0)), 0x24u);
    EXPECT_EQ(reason(handle(0), 0, device + 1), 0x26u);
    table[0].word[0] &= ~present;
    EXPECT_EQ(reason(handle(0), 0, device + 1), 0x22u);
}

/* ---- an I/O APIC's entries: 5.1.5.1 ---- */

class IoApic : public RemapBench
{
  protected:
    remap_verdict send(uint64_t rte)
    {
        remap_verdict verdict{};
        remap_message(&unit, 0xf0f8, rte, &verdict);
        return verdict;
    }
};

TEST_F(IoApic, TheIndexIsInBits63To49AndBit11)
{
    enable();
    for (uint32_t bit = 0; bit < 16; bit++) {
        const uint64_t where = bit < 15 ? UINT64_C(1) << (49 + bit) : UINT64_C(1) << 11;

        entry(1u << bit, present | 16 | vector_of(0x40 + bit));
        const remap_verdict v = send(UINT64_C(1) << 48 | where | 0x8000 | (0x40 + bit));
        EXPECT_EQ(v.index, 1u << bit);
        EXPECT_EQ(v.message.vector, 0x40 + bit);
        EXPECT_TRUE(v.message.level);
        EXPECT_EQ(v.source_id, 0xf0f8);
    }
}

TEST_F(IoApic, MaskPolarityAndStatusDoNotLeaveTheEntry)
{
    enable();
    entry(0, present | vector_of(0x31));
    EXPECT_EQ(send(UINT64_C(1) << 48 | 0x17000 | 0x31).message.vector, 0x31);
    EXPECT_EQ(send(UINT64_C(1) << 48 | UINT64_C(0xfffffffe0000) | 0x31).message.vector, 0x31);
}

TEST_F(IoApic, AnEntryInCompatibilityFormatSaysItAllItself)
{
    const uint64_t rte = UINT64_C(0x07) << 56 | 0x8000 | 0x800 | 0x51;

    enable(false, 15, true);
    const remap_verdict v = send(rte);
    EXPECT_EQ(v.outcome, REMAP_PASS);
    EXPECT_EQ(v.message.dest, 7u);
    EXPECT_EQ(v.message.vector, 0x51);
    EXPECT_TRUE(v.message.level && v.message.logical && !v.message.deassert);
    EXPECT_EQ(send(rte | IRQ_LOWEST_PRIORITY << 8).message.delivery, IRQ_LOWEST_PRIORITY);
    EXPECT_EQ(send(rte | IRQ_NMI << 8).message.delivery, IRQ_NMI);
    EXPECT_EQ(send(rte | IRQ_EXTINT << 8).message.delivery, IRQ_EXTINT);
    enable(false, 15, false);
    EXPECT_EQ(send(rte).reason, 0x25);
}

/* "Bits 10:8 are programmed to 000b to force SHV clear": otherwise they do this. */
TEST_F(IoApic, LowestPriorityInARemappableEntryMakesTheMessagesDataASubhandle)
{
    enable();
    EXPECT_EQ(send(UINT64_C(1) << 48 | IRQ_LOWEST_PRIORITY << 8 | 0x31).index, 0x4131u);
}

} // namespace
