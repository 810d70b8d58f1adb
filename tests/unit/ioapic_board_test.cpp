/* The I/O APIC with local APICs behind it: who gets its messages, and whose EOI ends them. */
#include <gtest/gtest.h>

#include "irq_board.h"

namespace
{

enum : unsigned { PIN = 9 };
using Vectors = std::vector<int>;

TEST(IoapicBoard, PhysicalDestinationsAreIdsAndFfIsEverybody)
{
    IrqBoard b(3);
    b.set_entry(PIN, 0x35 | to(2));
    b.pulse(PIN);
    EXPECT_EQ(lapic_pending(&b.apic(0)), NO_VECTOR);
    EXPECT_EQ(lapic_pending(&b.apic(1)), NO_VECTOR);
    EXPECT_EQ(lapic_pending(&b.apic(2)), 0x35);
    b.set_entry(PIN, 0x46 | to(0xff));
    b.pulse(PIN);
    for (unsigned cpu = 0; cpu < 3; cpu++)
        EXPECT_EQ(lapic_pending(&b.apic(cpu)), 0x46) << cpu;
}

/* 3.2.4 speaks of bits 59:56; the IDs of later processors take all eight. */
TEST(IoapicBoard, APhysicalDestinationHasEightBitsInBothVersions)
{
    for (uint8_t version : {IOAPIC_VERSION_11, IOAPIC_VERSION_20}) {
        IrqBoard b(18, LAPIC_MODE_XAPIC, version);
        b.set_entry(PIN, 0x35 | to(0x11));
        b.pulse(PIN);
        EXPECT_EQ(lapic_pending(&b.apic(0x01)), NO_VECTOR);
        EXPECT_EQ(lapic_pending(&b.apic(0x11)), 0x35);
    }
}

TEST(IoapicBoard, ALevelForNobodyIsSentAgainWhenItsEntryNamesSomebody)
{
    IrqBoard b(2);
    b.set_entry(PIN, 0x35 | LEVEL | to(9));
    b.pin(PIN, true);
    ASSERT_EQ(b.sent.size(), 1u);
    EXPECT_FALSE(b.sent[0].accepted);
    EXPECT_FALSE(b.remote_irr(PIN));
    b.set_entry(PIN, 0x35 | LEVEL | to(1));
    EXPECT_TRUE(b.remote_irr(PIN));
    EXPECT_EQ(lapic_pending(&b.apic(1)), 0x35);
}

TEST(IoapicBoard, AnIllegalVectorOrADisabledReceiverIsNoAcceptance)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x0f | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.sent.size(), 1u);
    EXPECT_FALSE(b.remote_irr(PIN));
    b.pin(PIN, false);
    b.write(0, LAPIC_SVR, 0xff);
    b.set_entry(PIN, 0x35 | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.sent.size(), 2u);
    EXPECT_FALSE(b.remote_irr(PIN));
}

TEST(IoapicBoard, LowestPriorityGoesToTheOneThatIsLeastBusy)
{
    IrqBoard b(3);
    b.write(0, LAPIC_TPR, 0x50);
    b.write(1, LAPIC_TPR, 0x20);
    b.write(2, LAPIC_TPR, 0x40);
    b.set_entry(PIN, 0x85 | LEVEL | delivery(IRQ_LOWEST_PRIORITY) | to(0xff));
    b.pin(PIN, true);
    EXPECT_EQ(b.take(0), NO_VECTOR);
    EXPECT_EQ(b.take(2), NO_VECTOR);
    EXPECT_EQ(b.take(1), 0x85);
    b.pin(PIN, false);
    EXPECT_TRUE(b.remote_irr(PIN));
    b.eoi(1);
    EXPECT_FALSE(b.remote_irr(PIN));
}

TEST(IoapicBoard, SmiNmiInitAndExtintReachTheirReceiverAlone)
{
    IrqBoard b(2);
    const auto pulse = [&b](unsigned code) {
        b.set_entry(PIN, delivery(code) | to(1));
        b.pulse(PIN);
    };
    pulse(IRQ_SMI);
    EXPECT_TRUE(b.apic(1).smi_pending);
    pulse(IRQ_NMI);
    EXPECT_TRUE(b.apic(1).nmi_pending);
    EXPECT_FALSE(lapic_extint(&b.apic(1)));
    pulse(IRQ_EXTINT);
    EXPECT_TRUE(lapic_extint(&b.apic(1)));
    pulse(IRQ_INIT);
    EXPECT_TRUE(b.apic(1).init_pending);
    const lapic &other = b.apic(0);
    EXPECT_FALSE(other.smi_pending || other.nmi_pending || other.init_pending);
    EXPECT_FALSE(lapic_extint(&other));
}

/* Code 110 is a start-up IPI when a processor sends it, and reserved here. */
TEST(IoapicBoard, AReservedDeliveryModeStartsNobody)
{
    IrqBoard b(2);
    b.apic(1).waits_for_sipi = true;
    b.set_entry(PIN, 0x35 | delivery(IRQ_STARTUP) | to(1));
    b.pulse(PIN);
    EXPECT_TRUE(b.sent.empty());
    EXPECT_FALSE(b.apic(1).sipi_pending);
}

/* SDM 3A "Signaling Interrupt Servicing Completion": SVR bit 12, then the I/O APIC's register. */
TEST(IoapicBoard, ASuppressedBroadcastLeavesTheEndToTheEoiRegister)
{
    IrqBoard b(1);
    b.write(0, LAPIC_SVR, 0x1ff | LAPIC_SVR_SUPPRESS_EOI_BROADCAST);
    b.set_entry(PIN, 0x35 | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.take(0), 0x35);
    b.pin(PIN, false);
    b.eoi(0);
    EXPECT_TRUE(b.remote_irr(PIN));
    ioapic_write(&b.io, 0x40, 4, 0x35);
    EXPECT_FALSE(b.remote_irr(PIN));
}

/* The second receiver has not served it when it is sent again: the two merge there. */
TEST(IoapicBoard, OfSeveralReceiversTheFirstEoiEndsIt)
{
    IrqBoard b(2);
    b.set_entry(PIN, 0x35 | LEVEL | to(0xff));
    b.pin(PIN, true);
    EXPECT_EQ(b.handle(0), 0x35);
    EXPECT_EQ(b.sent.size(), 2u);
    b.pin(PIN, false);
    EXPECT_EQ(b.handle_all(0), Vectors{0x35});
    EXPECT_EQ(b.handle_all(1), Vectors{0x35});
    EXPECT_FALSE(b.remote_irr(PIN));
}

/* Every other vector, those of its class among them: by broadcast, and by the register. */
TEST(IoapicBoard, TheEoiOfAnotherVectorIsNothingToIt)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x35 | LEVEL);
    b.pin(PIN, true);
    for (unsigned vector = 0; vector < 0x100; vector++) {
        if (vector == 0x35)
            continue;
        ioapic_eoi(&b.io, static_cast<uint8_t>(vector));
        ioapic_write(&b.io, 0x40, 4, vector);
        EXPECT_TRUE(b.remote_irr(PIN)) << vector;
    }
    EXPECT_EQ(b.sent.size(), 1u);
}

} // namespace
