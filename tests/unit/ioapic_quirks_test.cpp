/* Where QEMU and KVM depart from the data sheet: a test for each row of ioapic_quirks.def. */
#include "unit/ioapic_bench.h"

namespace
{

using Vectors = IoapicBench::Vectors;
const Vectors nothing;

enum : uint64_t {
    LEVEL = IoapicBench::LEVEL,
    MASKED = IoapicBench::MASKED,
    ACTIVE_LOW = IoapicBench::ACTIVE_LOW,
    REMOTE_IRR = IoapicBench::REMOTE_IRR,
    DELIVERY_STATUS = IoapicBench::DELIVERY_STATUS
};
enum : unsigned { PIN = 5, OTHER = 17 };
enum : uint8_t { V = 0x41, W = 0x52 };

/* An I/O APIC that follows one quirk, or several. */
struct Quirky : IoapicBench {
    explicit Quirky(std::initializer_list<ioapic_quirk> quirks,
                    uint8_t version = IOAPIC_VERSION_20)
        : IoapicBench(version, bits(quirks))
    {
    }
    static uint32_t bits(std::initializer_list<ioapic_quirk> quirks)
    {
        uint32_t set = 0;
        for (ioapic_quirk quirk : quirks)
            set |= 1u << quirk;
        return set;
    }
};

TEST(IoapicQuirk, Pin0ActsOnEntry2)
{
    Quirky b{IOAPIC_QUIRK_PIN0};
    b.set(0, V);
    b.set(2, W);
    b.pulse(0);
    EXPECT_EQ(b.vectors(), Vectors{W});
    b.pulse(2);
    EXPECT_EQ(b.vectors(), Vectors{W});
}

TEST(IoapicQuirk, ReservedRegistersReadOnes)
{
    Quirky b{IOAPIC_QUIRK_ONES};
    EXPECT_EQ(b.read(0x03), UINT32_MAX);
    EXPECT_EQ(b.read(0x40), UINT32_MAX);
    EXPECT_EQ(b.read(IoapicBench::VER), 0x00170020u);
    EXPECT_EQ(b.entry(0), MASKED);
}

TEST(IoapicQuirk, ReservedBitsOfAnEntryAreKept)
{
    Quirky b{IOAPIC_QUIRK_KEEP_RESERVED};
    b.set(PIN, UINT64_MAX);
    EXPECT_EQ(b.entry(PIN), ~(REMOTE_IRR | DELIVERY_STATUS));
}

TEST(IoapicQuirk, IoregselOfVersion11hTakesParts)
{
    Quirky b({IOAPIC_QUIRK_SELECT_PART}, IOAPIC_VERSION_11);
    for (unsigned size : {1, 2}) {
        ioapic_write(&b.io, IoapicBench::IOREGSEL, size, 0x1230 + size);
        EXPECT_EQ(ioapic_read(&b.io, IoapicBench::IOREGSEL, size), 0x30u + size);
        EXPECT_EQ(ioapic_read(&b.io, IoapicBench::IOWIN, size), 0u) << "but IOWIN does not";
    }
}

TEST(IoapicQuirk, IowinTakesParts)
{
    Quirky b{IOAPIC_QUIRK_WINDOW_PART};
    b.write(IoapicBench::low(PIN), 0x1a055);
    EXPECT_EQ(ioapic_read(&b.io, IoapicBench::IOWIN, 1), 0x55u);
    EXPECT_EQ(ioapic_read(&b.io, IoapicBench::IOWIN, 2), 0xa055u);
    ioapic_write(&b.io, IoapicBench::IOWIN, 2, 0xfff2033);
    EXPECT_EQ(b.read(IoapicBench::low(PIN)), 0x2033u) << "the rest is written as zeros";
}

TEST(IoapicQuirk, AHighEdgePinDrivenHighIsSentAgain)
{
    Quirky b{IOAPIC_QUIRK_RERAISE};
    b.set(PIN, V);
    b.drive(PIN, true);
    b.drive(PIN, true);
    EXPECT_EQ(b.vectors(), (Vectors{V, V}));
}

TEST(IoapicQuirk, AMaskedEdgeEntryDoesNotHearItsPin)
{
    Quirky b{IOAPIC_QUIRK_DEAF_EDGE};
    b.set(PIN, LEVEL | MASKED | V);
    b.drive(PIN, true);
    b.set(PIN, MASKED | V);
    b.drive(PIN, false);
    b.set(PIN, LEVEL | V);
    EXPECT_EQ(b.vectors(), Vectors{V}) << "it fell unheard";
    b.set(OTHER, MASKED | W);
    b.drive(OTHER, true);
    b.set(OTHER, LEVEL | W);
    EXPECT_EQ(b.vectors(), nothing) << "it rose unheard";
}

TEST(IoapicQuirk, NoEdgeEntryHearsItsPinFall)
{
    Quirky b{IOAPIC_QUIRK_DEAF_EDGE};
    b.set(PIN, V);
    b.pulse(PIN);
    b.set(PIN, LEVEL | W);
    EXPECT_EQ(b.vectors(), (Vectors{V, W}));
}

TEST(IoapicQuirk, ALevelThatWaitsIsSentAsAnEdge)
{
    Quirky b{IOAPIC_QUIRK_LEVEL_AS_EDGE};
    b.set(PIN, LEVEL | MASKED | V);
    b.drive(PIN, true);
    b.set(PIN, MASKED | V);
    EXPECT_TRUE(b.sent.empty());
    b.set(PIN, V);
    ASSERT_FALSE(b.sent.empty());
    EXPECT_FALSE(b.sent[0].msg.level);
}

/* What QEMU does: it sends once, then the pin counts as low. */
TEST(IoapicQuirk, ALevelThatWaitsIsSentAsOneEdgeWherePinsAreForgotten)
{
    Quirky b{IOAPIC_QUIRK_LEVEL_AS_EDGE, IOAPIC_QUIRK_RERAISE};
    b.set(PIN, LEVEL | MASKED | V);
    b.drive(PIN, true);
    b.set(PIN, V);
    b.set(PIN, V);
    EXPECT_EQ(b.vectors(), Vectors{V});
}

TEST(IoapicQuirk, ThePolarityHasNoEffect)
{
    Quirky b{IOAPIC_QUIRK_ACTIVE_HIGH};
    b.set(PIN, LEVEL | ACTIVE_LOW | V);
    EXPECT_EQ(b.vectors(), nothing);
    b.drive(PIN, true);
    EXPECT_EQ(b.vectors(), Vectors{V});
    EXPECT_EQ(b.entry(PIN), REMOTE_IRR | LEVEL | ACTIVE_LOW | V);
}

TEST(IoapicQuirk, EveryDeliveryModeHasATriggerMode)
{
    Quirky b{IOAPIC_QUIRK_LEVEL_MODES};
    b.set(PIN, IoapicBench::mode(IRQ_NMI) | LEVEL | V);
    b.drive(PIN, true);
    ASSERT_EQ(b.sent.size(), 1u);
    EXPECT_TRUE(b.sent[0].msg.level);
    EXPECT_TRUE(b.remote_irr(PIN));
    b.eoi(V);
    EXPECT_EQ(b.sent.size(), 2u);
}

TEST(IoapicQuirk, ReservedDeliveryModesAreSent)
{
    Quirky b{IOAPIC_QUIRK_RESERVED_MODES};
    for (unsigned code : {3, 6}) {
        b.set(PIN, IoapicBench::mode(code) | V);
        b.pulse(PIN);
        ASSERT_EQ(b.sent.size(), 1u);
        EXPECT_EQ(b.sent[0].msg.delivery, code);
        b.sent.clear();
    }
}

TEST(IoapicQuirk, TheEoiRegisterComparesAll32Bits)
{
    Quirky b{IOAPIC_QUIRK_EOI_WIDE};
    b.set(PIN, LEVEL | V);
    b.pulse(PIN);
    ioapic_write(&b.io, IoapicBench::EOI, 4, 0x100 | V);
    EXPECT_TRUE(b.remote_irr(PIN));
    ioapic_write(&b.io, IoapicBench::EOI, 4, V);
    EXPECT_FALSE(b.remote_irr(PIN));
}

TEST(IoapicQuirk, RemoteIrrIsSetThoughNobodyAccepted)
{
    Quirky b{IOAPIC_QUIRK_NOBODY};
    b.accepts = [](const IoapicBench::Sent &) { return false; };
    b.set(PIN, LEVEL | V);
    b.drive(PIN, true);
    b.drive(PIN, true);
    EXPECT_TRUE(b.remote_irr(PIN));
    EXPECT_EQ(b.vectors(), Vectors{V});
}

} // namespace
