/*
 * The I/O APIC through its port, pins and registers: a section for each thing that the 82093AA
 * data sheet speaks of, then what version 20H adds. The quirks are in ioapic_quirks_test.cpp.
 */
#include <cstring>

#include "unit/ioapic_bench.h"

namespace
{

using Vectors = IoapicBench::Vectors;
const Vectors nothing;

enum : uint64_t {
    LEVEL = IoapicBench::LEVEL,
    MASKED = IoapicBench::MASKED,
    ACTIVE_LOW = IoapicBench::ACTIVE_LOW,
    LOGICAL = IoapicBench::LOGICAL,
    REMOTE_IRR = IoapicBench::REMOTE_IRR,
    DELIVERY_STATUS = IoapicBench::DELIVERY_STATUS
};
enum : unsigned { PIN = 5, OTHER = 17 };
enum : uint8_t { V = 0x41, W = 0x52 };

class Ioapic : public testing::Test, public IoapicBench
{
  protected:
    using IoapicBench::IoapicBench;
};

/* ---- 3.1, 3.2.1 to 3.2.3: the registers ---- */

TEST_F(Ioapic, AtPowerUpEveryEntryIsMaskedAndTheRestIsZero)
{
    EXPECT_EQ(ioapic_read(&io, IOREGSEL, 4), 0u);
    EXPECT_EQ(read(ID), 0u);
    EXPECT_EQ(read(ARB), 0u);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        EXPECT_EQ(entry(pin), MASKED) << pin;
}

TEST_F(Ioapic, TheVersionRegisterSaysWhichChipAndThatItHas24Pins)
{
    EXPECT_EQ(read(VER), 0x00170020u);
    EXPECT_EQ(IoapicBench(IOAPIC_VERSION_11).read(VER), 0x00170011u);
}

TEST_F(Ioapic, TheWindowIsTheRegisterThatIsSelected)
{
    write(low(0), 0x10031);
    write(low(23), 0x10099);
    ioapic_write(&io, IOREGSEL, 4, low(0));
    EXPECT_EQ(ioapic_read(&io, IOWIN, 4), 0x10031u);
    ioapic_write(&io, IOREGSEL, 4, low(23));
    EXPECT_EQ(ioapic_read(&io, IOREGSEL, 4), low(23));
    EXPECT_EQ(ioapic_read(&io, IOWIN, 4), 0x10099u);
}

TEST_F(Ioapic, TheSelectRegisterHasEightBits)
{
    ioapic_write(&io, IOREGSEL, 4, 0xffffff00 | low(PIN));
    EXPECT_EQ(ioapic_read(&io, IOREGSEL, 4), low(PIN));
}

TEST_F(Ioapic, TheIdHasFourBitsAndIsTheArbitrationIdToo)
{
    write(ID, UINT32_MAX);
    EXPECT_EQ(read(ID), 0x0f000000u);
    EXPECT_EQ(read(ARB), 0x0f000000u);
    write(ID, 0x03000000);
    EXPECT_EQ(read(ARB), 0x03000000u);
}

TEST_F(Ioapic, VersionAndArbitrationIgnoreWrites)
{
    write(ID, 0x05000000);
    for (uint32_t index : {VER, ARB}) {
        const uint32_t before = read(index);
        write(index, ~before);
        EXPECT_EQ(read(index), before);
    }
    EXPECT_EQ(read(ID), 0x05000000u);
}

TEST_F(Ioapic, ReservedIndicesReadZeroAndIgnoreWrites)
{
    const struct ioapic before = io;
    for (unsigned index = 0; index < 0x100; index++) {
        if (index <= ARB || (index >= low(0) && index <= high(23)))
            continue;
        write(index, UINT32_MAX);
        EXPECT_EQ(read(index), 0u) << index;
    }
    EXPECT_EQ(std::memcmp(before.entry, io.entry, sizeof io.entry), 0);
    EXPECT_EQ(io.id, before.id);
}

TEST_F(Ioapic, AnEntryKeepsTheBitsThatSoftwareMayWriteAndNoOthers)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        const bool writable =
            bit >= 56 || (bit <= 16 && bit != 12 && bit != 14); /* status, Remote IRR */
        set(PIN, MASKED | UINT64_C(1) << bit);
        EXPECT_EQ(entry(PIN), MASKED | (writable ? UINT64_C(1) << bit : 0)) << bit;
    }
}

TEST_F(Ioapic, EachHalfOfAnEntryLeavesTheOtherAlone)
{
    set(PIN, MASKED | V | to(0xa5));
    write(low(PIN), 0x10000 | W);
    EXPECT_EQ(entry(PIN), MASKED | W | to(0xa5));
    write(high(PIN), 0x3c000000);
    EXPECT_EQ(entry(PIN), MASKED | W | to(0x3c));
}

/* ---- sizes and offsets ---- */

TEST_F(Ioapic, TheWindowHasNoParts)
{
    write(low(PIN), 0x10041);
    for (unsigned size : {0, 1, 2, 3, 5, 8, 16}) {
        ioapic_write(&io, IOWIN, size, 0x10052);
        EXPECT_EQ(ioapic_read(&io, IOWIN, size), 0u) << size;
    }
    EXPECT_EQ(read(low(PIN)), 0x10041u);
}

TEST_F(Ioapic, OffsetsBetweenTheRegistersReachNothing)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    const struct ioapic before = io;
    for (uint16_t offset = 0; offset < 0x1000; offset++) {
        if (offset == IOREGSEL || offset == IOWIN || offset == EOI)
            continue;
        ioapic_write(&io, offset, 4, V);
        EXPECT_EQ(ioapic_read(&io, offset, 4), 0u) << offset;
    }
    EXPECT_EQ(std::memcmp(&before, &io, sizeof io), 0);
}

TEST_F(Ioapic, ReadsChangeNothing)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    for (unsigned index = 0; index < 0x100; index++) {
        ioapic_write(&io, IOREGSEL, 4, index);
        const struct ioapic before = io;
        for (uint16_t offset : {IOREGSEL, IOWIN, EOI})
            for (unsigned size = 0; size <= 8; size++)
                ioapic_read(&io, offset, size);
        EXPECT_EQ(std::memcmp(&before, &io, sizeof io), 0) << index;
    }
}

/* ---- 3.2.4, edges ---- */

TEST_F(Ioapic, ARisingEdgeIsSentOnce)
{
    set(PIN, V);
    drive(PIN, true);
    EXPECT_EQ(vectors(), Vectors{V});
    drive(PIN, true);
    EXPECT_EQ(vectors(), nothing) << "it was high";
    drive(PIN, false);
    EXPECT_EQ(vectors(), nothing);
}

TEST_F(Ioapic, EveryEdgeIsSentAndNoneWaitsForAnEoi)
{
    set(PIN, V);
    for (int n = 0; n < 3; n++)
        pulse(PIN);
    EXPECT_EQ(vectors(), (Vectors{V, V, V}));
    EXPECT_FALSE(remote_irr(PIN));
    drive(PIN, true);
    vectors();
    eoi(V);
    EXPECT_EQ(vectors(), nothing) << "an EOI means nothing to an edge";
}

TEST_F(Ioapic, AnActiveLowEdgeIsTheFallingOne)
{
    drive(PIN, true);
    set(PIN, ACTIVE_LOW | V);
    drive(PIN, false);
    EXPECT_EQ(vectors(), Vectors{V});
    drive(PIN, true);
    EXPECT_EQ(vectors(), nothing);
}

TEST_F(Ioapic, AnEdgeOnAMaskedPinIsLost)
{
    set(PIN, MASKED | V);
    drive(PIN, true);
    set(PIN, V);
    EXPECT_EQ(vectors(), nothing) << "unmasked while it is still high";
    drive(PIN, false);
    EXPECT_EQ(vectors(), nothing);
    drive(PIN, true);
    EXPECT_EQ(vectors(), Vectors{V}) << "the next one";
}

TEST_F(Ioapic, AnEdgeWhileMaskedDoesNotHideTheNextOne)
{
    set(PIN, MASKED | V);
    pulse(PIN);
    set(PIN, V);
    EXPECT_EQ(vectors(), nothing);
    pulse(PIN);
    EXPECT_EQ(vectors(), Vectors{V});
}

TEST_F(Ioapic, AWriteOfThePolarityIsNoEdge)
{
    set(PIN, V);
    set(PIN, ACTIVE_LOW | V); /* the pin is low */
    EXPECT_EQ(vectors(), nothing);
    set(PIN, V);
    drive(PIN, true);
    EXPECT_EQ(vectors(), Vectors{V});
}

TEST_F(Ioapic, AnEdgeThatNobodyAcceptsIsGone)
{
    accepts = [](const Sent &) { return false; };
    set(PIN, V);
    drive(PIN, true);
    EXPECT_EQ(vectors(), Vectors{V});
    accepts = [](const Sent &) { return true; };
    set(PIN, V);
    ioapic_evaluate(&io);
    EXPECT_EQ(vectors(), nothing);
}

/* ---- 3.2.4, levels: Remote IRR's life ---- */

TEST_F(Ioapic, ALevelIsSentOnceUntilItsEoi)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    EXPECT_EQ(vectors(), Vectors{V});
    EXPECT_EQ(entry(PIN), REMOTE_IRR | LEVEL | V);
    drive(PIN, true);
    pulse(PIN);
    drive(PIN, true);
    set(PIN, LEVEL | V);
    ioapic_evaluate(&io);
    EXPECT_EQ(vectors(), nothing);
}

TEST_F(Ioapic, ALevelThatHasEndedIsOverWithItsEoi)
{
    set(PIN, LEVEL | V);
    pulse(PIN);
    EXPECT_EQ(vectors(), Vectors{V});
    EXPECT_TRUE(remote_irr(PIN)) << "the line's fall does not end the interrupt";
    eoi(V);
    EXPECT_FALSE(remote_irr(PIN));
    EXPECT_EQ(vectors(), nothing);
}

TEST_F(Ioapic, ALevelThatOutlastsItsEoiIsSentAgain)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    eoi(V);
    EXPECT_EQ(vectors(), (Vectors{V, V}));
    EXPECT_TRUE(remote_irr(PIN));
}

TEST_F(Ioapic, AnActiveLowLevelIsAssertedAtZero)
{
    drive(PIN, true);
    set(PIN, LEVEL | ACTIVE_LOW | V);
    EXPECT_EQ(vectors(), nothing);
    drive(PIN, false);
    EXPECT_EQ(vectors(), Vectors{V});
    drive(PIN, true);
    eoi(V);
    EXPECT_EQ(vectors(), nothing);
}

TEST_F(Ioapic, TheReceiverFindsRemoteIrrSetWhenTheMessageArrives)
{
    bool seen = false;
    accepts = [&](const Sent &) { return seen = ioapic_remote_irr(&io, PIN); };
    set(PIN, LEVEL | V);
    drive(PIN, true);
    EXPECT_TRUE(seen);
}

TEST_F(Ioapic, AnEoiEndsEveryLevelOfItsVectorAndNoOther)
{
    set(PIN, LEVEL | V);
    set(OTHER, LEVEL | V);
    set(3, LEVEL | W);
    for (unsigned pin : {3u, unsigned{PIN}, unsigned{OTHER}})
        pulse(pin);
    vectors();
    eoi(V);
    EXPECT_FALSE(remote_irr(PIN));
    EXPECT_FALSE(remote_irr(OTHER));
    EXPECT_TRUE(remote_irr(3));
    eoi(0x99);
    EXPECT_TRUE(remote_irr(3));
}

TEST_F(Ioapic, OfTwoLevelsWithOneVectorTheOneThatIsStillAssertedIsSentAgain)
{
    set(PIN, LEVEL | V);
    set(OTHER, LEVEL | V);
    pulse(PIN);
    drive(OTHER, true);
    sent.clear();
    eoi(V);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].pin, unsigned{OTHER});
}

TEST_F(Ioapic, AMaskedLevelWaitsForAsLongAsItIsAsserted)
{
    set(PIN, LEVEL | MASKED | V);
    drive(PIN, true);
    EXPECT_EQ(vectors(), nothing);
    set(PIN, LEVEL | V);
    EXPECT_EQ(vectors(), Vectors{V});
}

TEST_F(Ioapic, AMaskedLevelThatEndsLeavesNothing)
{
    set(PIN, LEVEL | MASKED | V);
    pulse(PIN);
    set(PIN, LEVEL | V);
    EXPECT_EQ(vectors(), nothing);
    EXPECT_FALSE(remote_irr(PIN));
}

/* "Changing the mask bit ... after the interrupt is accepted has no effect on that interrupt". */
TEST_F(Ioapic, TheMaskLeavesRemoteIrrAndItsEoiAlone)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    set(PIN, LEVEL | MASKED | V);
    EXPECT_TRUE(remote_irr(PIN));
    vectors();
    eoi(V);
    EXPECT_FALSE(remote_irr(PIN));
    EXPECT_EQ(vectors(), nothing) << "masked";
    set(PIN, LEVEL | V);
    EXPECT_EQ(vectors(), Vectors{V});
}

TEST_F(Ioapic, RemoteIrrAndDeliveryStatusAreNotSoftwares)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    write(low(PIN), static_cast<uint32_t>(LEVEL | V));
    EXPECT_TRUE(remote_irr(PIN)) << "written as 0";
    set(OTHER, MASKED | LEVEL | REMOTE_IRR | DELIVERY_STATUS | V);
    EXPECT_EQ(entry(OTHER), MASKED | LEVEL | V) << "written as 1";
}

TEST_F(Ioapic, AnotherDestinationLeavesRemoteIrrAlone)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    vectors();
    write(high(PIN), 0x02000000);
    EXPECT_EQ(entry(PIN), to(2) | REMOTE_IRR | LEVEL | V);
    EXPECT_EQ(vectors(), nothing);
}

TEST_F(Ioapic, AfterANewVectorTheEoiOfTheOldOneDoesNotMatch)
{
    set(PIN, LEVEL | V);
    pulse(PIN);
    set(PIN, LEVEL | W);
    eoi(V);
    EXPECT_TRUE(remote_irr(PIN));
    eoi(W);
    EXPECT_FALSE(remote_irr(PIN));
}

TEST_F(Ioapic, ALevelThatNobodyAcceptsLeavesRemoteIrrClear)
{
    accepts = [](const Sent &) { return false; };
    set(PIN, LEVEL | V);
    drive(PIN, true);
    EXPECT_EQ(vectors(), Vectors{V});
    EXPECT_EQ(entry(PIN), LEVEL | V);
}

TEST_F(Ioapic, ALevelThatNobodyAcceptedIsOfferedAgainByPinWriteEoiAndEvaluation)
{
    accepts = [](const Sent &) { return false; };
    set(PIN, LEVEL | V);
    drive(PIN, true);
    drive(PIN, true);
    write(high(PIN), 0x01000000);
    eoi(V);
    EXPECT_EQ(vectors(), (Vectors{V, V, V, V}));
    accepts = [](const Sent &) { return true; };
    ioapic_evaluate(&io);
    ioapic_evaluate(&io);
    EXPECT_EQ(vectors(), Vectors{V});
    EXPECT_TRUE(remote_irr(PIN));
}

TEST_F(Ioapic, APolarityThatAssertsALevelSendsIt)
{
    set(PIN, LEVEL | V);
    set(PIN, LEVEL | ACTIVE_LOW | V);
    EXPECT_EQ(vectors(), Vectors{V});
}

/* ---- another trigger mode ---- */

TEST_F(Ioapic, AnEntryThatBecomesEdgeTriggeredHasNoRemoteIrr)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    vectors();
    set(PIN, MASKED | V);
    EXPECT_FALSE(remote_irr(PIN));
    set(PIN, LEVEL | V);
    EXPECT_EQ(vectors(), Vectors{V}) << "still asserted: sent anew";
}

TEST_F(Ioapic, AnAssertedPinWhoseEntryBecomesLevelTriggeredIsSent)
{
    set(PIN, V);
    drive(PIN, true);
    vectors();
    set(PIN, LEVEL | W);
    EXPECT_EQ(vectors(), Vectors{W});
}

TEST_F(Ioapic, AnAssertedPinWhoseEntryBecomesEdgeTriggeredIsNoEdge)
{
    set(PIN, LEVEL | MASKED | V);
    drive(PIN, true);
    set(PIN, V);
    EXPECT_EQ(vectors(), nothing);
    drive(PIN, false);
    drive(PIN, true);
    EXPECT_EQ(vectors(), Vectors{V});
}

/* ---- 3.2.4, what a message says ---- */

TEST_F(Ioapic, AMessageIsTheEntry)
{
    set(PIN, to(0xa5) | LEVEL | LOGICAL | mode(IRQ_LOWEST_PRIORITY) | W);
    drive(PIN, true);
    ASSERT_EQ(sent.size(), 1u);
    const irq_msg &msg = sent[0].msg;
    EXPECT_EQ(sent[0].pin, unsigned{PIN});
    EXPECT_EQ(msg.vector, W);
    EXPECT_EQ(msg.delivery, IRQ_LOWEST_PRIORITY);
    EXPECT_EQ(msg.dest, 0xa5u);
    EXPECT_TRUE(msg.logical);
    EXPECT_TRUE(msg.level);
    EXPECT_EQ(msg.shorthand, IRQ_NO_SHORTHAND);
    EXPECT_EQ(msg.source, TRACE_NOWHERE);
    EXPECT_EQ(msg.flow, 0u);
}

TEST_F(Ioapic, AnEdgeInPhysicalModeSaysSo)
{
    set(PIN, to(3) | V);
    drive(PIN, true);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_FALSE(sent[0].msg.logical);
    EXPECT_FALSE(sent[0].msg.level);
}

TEST_F(Ioapic, AVectorBelow16IsSentAndItsReceiverReportsIt)
{
    set(PIN, 0x07);
    pulse(PIN);
    EXPECT_EQ(vectors(), Vectors{0x07});
}

TEST_F(Ioapic, TheMessageOfAnEntryCanBeAskedFor)
{
    set(PIN, to(9) | MASKED | LEVEL | V);
    const irq_msg msg = ioapic_message(&io, PIN);
    EXPECT_EQ(msg.vector, V);
    EXPECT_EQ(msg.dest, 9u);
    EXPECT_TRUE(msg.level);
    EXPECT_TRUE(sent.empty());
}

TEST_F(Ioapic, EachPinHasItsOwnEntry)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        set(pin, 0x40 + pin);
    for (unsigned pin = IOAPIC_PINS; pin-- > 0;) {
        pulse(pin);
        EXPECT_EQ(vectors(), Vectors{0x40 + pin});
    }
}

TEST_F(Ioapic, PinsThatThereAreNotAreIgnored)
{
    const struct ioapic before = io;
    for (unsigned pin : {24u, 31u, 32u, 63u, UINT32_MAX})
        pulse(pin);
    EXPECT_EQ(std::memcmp(&before, &io, sizeof io), 0);
}

/* ---- 3.2.4, the delivery modes ---- */

class ModesWithATrigger : public Ioapic, public testing::WithParamInterface<irq_delivery>
{
};

TEST_P(ModesWithATrigger, CanBeLevelTriggered)
{
    set(PIN, mode(GetParam()) | LEVEL | V);
    drive(PIN, true);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].msg.delivery, GetParam());
    EXPECT_TRUE(sent[0].msg.level);
    EXPECT_TRUE(remote_irr(PIN));
}

TEST_P(ModesWithATrigger, CanBeEdgeTriggered)
{
    set(PIN, mode(GetParam()) | V);
    pulse(PIN);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_FALSE(sent[0].msg.level);
    EXPECT_FALSE(remote_irr(PIN));
}

INSTANTIATE_TEST_SUITE_P(Ioapic, ModesWithATrigger,
                         testing::Values(IRQ_FIXED, IRQ_LOWEST_PRIORITY));

class EdgeModes : public Ioapic, public testing::WithParamInterface<irq_delivery>
{
};

TEST_P(EdgeModes, AreEdgesWhateverTheTriggerModeSays)
{
    set(PIN, mode(GetParam()) | LEVEL);
    drive(PIN, true);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].msg.delivery, GetParam());
    EXPECT_FALSE(sent[0].msg.level);
    EXPECT_EQ(entry(PIN), mode(GetParam()) | LEVEL) << "the bit reads as written";
    eoi(0);
    set(PIN, mode(GetParam()) | LEVEL);
    EXPECT_EQ(sent.size(), 1u) << "nothing sends it again";
}

TEST_P(EdgeModes, OnAMaskedPinAreLost)
{
    set(PIN, mode(GetParam()) | LEVEL | MASKED);
    drive(PIN, true);
    set(PIN, mode(GetParam()) | LEVEL);
    EXPECT_TRUE(sent.empty());
}

TEST_P(EdgeModes, EndTheRemoteIrrOfALevel)
{
    set(PIN, LEVEL | V);
    drive(PIN, true);
    set(PIN, mode(GetParam()) | LEVEL | V);
    EXPECT_FALSE(remote_irr(PIN));
}

INSTANTIATE_TEST_SUITE_P(Ioapic, EdgeModes,
                         testing::Values(IRQ_SMI, IRQ_NMI, IRQ_INIT, IRQ_EXTINT));

class ReservedModes : public Ioapic, public testing::WithParamInterface<unsigned>
{
};

TEST_P(ReservedModes, SendNothing)
{
    for (uint64_t trigger : {uint64_t{0}, uint64_t{LEVEL}}) {
        set(PIN, mode(GetParam()) | trigger | V);
        pulse(PIN);
        EXPECT_TRUE(sent.empty());
        EXPECT_EQ(entry(PIN), mode(GetParam()) | trigger | V);
    }
}

INSTANTIATE_TEST_SUITE_P(Ioapic, ReservedModes, testing::Values(3, 6));

/* ---- version 20H: Intel I/O Controller Hub data sheets ---- */

TEST_F(Ioapic, TheEoiRegisterDoesWhatABroadcastDoes)
{
    set(PIN, LEVEL | V);
    set(OTHER, LEVEL | V);
    pulse(PIN);
    drive(OTHER, true);
    vectors();
    ioapic_write(&io, EOI, 4, V);
    EXPECT_FALSE(remote_irr(PIN));
    EXPECT_EQ(vectors(), Vectors{V}) << "reissued, since it is still asserted";
    EXPECT_TRUE(remote_irr(OTHER));
}

TEST_F(Ioapic, TheEoiRegisterIgnoresItsUpperBits)
{
    set(PIN, LEVEL | V);
    pulse(PIN);
    ioapic_write(&io, EOI, 4, 0xabcdef00 | V);
    EXPECT_FALSE(remote_irr(PIN));
}

TEST_F(Ioapic, TheEoiRegisterReadsZeroAndIsADoubleword)
{
    set(PIN, LEVEL | V);
    pulse(PIN);
    for (unsigned size : {1, 2, 8})
        ioapic_write(&io, EOI, size, V);
    EXPECT_TRUE(remote_irr(PIN));
    for (unsigned size : {1, 2, 4, 8})
        EXPECT_EQ(ioapic_read(&io, EOI, size), 0u);
}

TEST_F(Ioapic, OfVersion20hTheSelectRegisterIsAByte)
{
    for (unsigned size : {1, 2, 4}) {
        ioapic_write(&io, IOREGSEL, size, 0x1230 + size);
        EXPECT_EQ(ioapic_read(&io, IOREGSEL, 1), 0x30u + size);
        EXPECT_EQ(ioapic_read(&io, IOREGSEL, 2), 0x30u + size);
        EXPECT_EQ(ioapic_read(&io, IOREGSEL, 4), 0x30u + size);
    }
    ioapic_write(&io, IOREGSEL, 8, 0);
    EXPECT_EQ(ioapic_read(&io, IOREGSEL, 8), 0u) << "no register is that wide";
    EXPECT_EQ(ioapic_read(&io, IOREGSEL, 4), 0x34u);
}

struct Version11 : Ioapic {
    Version11() : Ioapic(IOAPIC_VERSION_11)
    {
    }
};

TEST_F(Version11, HasNoEoiRegister)
{
    set(PIN, LEVEL | V);
    pulse(PIN);
    ioapic_write(&io, EOI, 4, V);
    EXPECT_TRUE(remote_irr(PIN));
    eoi(V);
    EXPECT_FALSE(remote_irr(PIN));
}

TEST_F(Version11, EveryRegisterIsADoubleword)
{
    ioapic_write(&io, IOREGSEL, 4, low(PIN));
    for (unsigned size : {1, 2, 8}) {
        ioapic_write(&io, IOREGSEL, size, low(OTHER));
        EXPECT_EQ(ioapic_read(&io, IOREGSEL, size), 0u);
    }
    EXPECT_EQ(ioapic_read(&io, IOREGSEL, 4), low(PIN));
}

/* ---- restore ---- */

TEST_F(Ioapic, ARestoreBringsEverythingButTheConfigurationAndSendsNothing)
{
    IoapicBench other(IOAPIC_VERSION_11);
    write(ID, 0x07000000);
    set(PIN, LEVEL | V);
    drive(PIN, true);
    set(OTHER, LEVEL | MASKED | W);
    drive(OTHER, true);
    ioapic_restore(&other.io, &io);
    EXPECT_TRUE(other.sent.empty());
    EXPECT_EQ(other.read(ID), 0x07000000u);
    EXPECT_EQ(other.entry(PIN), REMOTE_IRR | LEVEL | V);
    EXPECT_EQ(other.read(VER), 0x00170011u);
    other.set(OTHER, LEVEL | W);
    EXPECT_EQ(other.vectors(), Vectors{W}) << "it knows that the pin is asserted";
}

} // namespace
