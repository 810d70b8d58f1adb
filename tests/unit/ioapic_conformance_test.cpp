/*
 * Points 61 to 89 of the conformance list in docs/models/ioapic.md, a test each.
 * Pin 14 and CPU 0 unless the point says otherwise. A handler is its steps: the
 * core takes a vector, which clears IF, does its work, EOI, IRET.
 */
#include <gtest/gtest.h>

#include "irq_board.h"

namespace
{

enum : unsigned { ID = 0, VER = 1, ARB = 2, PIN = 14 };
enum : int { NONE = NO_VECTOR };
using Vectors = std::vector<int>;

/* ---- registers ---- */

TEST(IoapicRegister, Point61_TheVersionIsReadOnly)
{
    IrqBoard b(1);
    const uint32_t version = b.window(VER);
    b.set_window(VER, ~version);
    EXPECT_EQ(b.window(VER), version);
}

TEST(IoapicRegister, Point62_OfTheIdExactlyBits27To24Change)
{
    IrqBoard b(1);
    const uint32_t id = b.window(ID);
    b.set_window(ID, ~id);
    EXPECT_EQ(b.window(ID) ^ id, 0x0f000000u);
}

TEST(IoapicRegister, Point63_TheIdLoadsTheArbitrationId)
{
    IrqBoard b(1);
    b.set_window(ID, 0x0f000000);
    EXPECT_EQ(b.window(ARB), 0x0f000000u);
}

TEST(IoapicRegister, Point64_TheArbitrationIdIsReadOnly)
{
    IrqBoard b(1);
    b.set_window(ID, 0x0f000000);
    b.set_window(ARB, 0);
    EXPECT_EQ(b.window(ARB), 0x0f000000u);
}

/* ---- delivery ---- */

TEST(IoapicDelivery, Point65_APulseOfAnEdgeEntryGivesExactlyOneInterrupt)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x77);
    b.pulse(PIN);
    EXPECT_EQ(b.handle_all(0), Vectors{0x77});
}

TEST(IoapicDelivery, Point66_ALevelThatTheHandlerLowersGivesExactlyOneInterrupt)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.take(0), 0x78);
    b.pin(PIN, false);
    b.eoi(0);
    b.iret(0);
    EXPECT_EQ(b.handle_all(0), Vectors{});
    EXPECT_EQ(b.sent.size(), 1u) << "and nothing that is too late for the core to count";
}

/* Nothing runs between the IRET and the second one: both interrupt the same instruction. */
TEST(IoapicDelivery, Point67_OfSimultaneousEdgesTheHigherVectorComesFirst)
{
    IrqBoard b(1);
    b.set_entry(15, 0x66);
    b.set_entry(14, 0x78);
    b.cli(0);
    b.pulse(15);
    b.pulse(14);
    EXPECT_EQ(b.take(0), NONE);
    b.sti(0);
    EXPECT_EQ(b.take(0), 0x78);
    b.eoi(0);
    EXPECT_EQ(b.take(0), NONE) << "before its IRET";
    b.iret(0);
    EXPECT_EQ(b.handle_all(0), Vectors{0x66});
}

TEST(IoapicDelivery, Point68_ALevelThatTogglesBeforeTheEoiIsOneInterrupt)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.take(0), 0x78);
    for (bool level : {false, true, false})
        b.pin(PIN, level);
    b.eoi(0);
    b.iret(0);
    EXPECT_EQ(b.handle_all(0), Vectors{});
    EXPECT_EQ(b.sent.size(), 1u);
}

TEST(IoapicDelivery, Point69_TwoAssertionsOneAfterTheOtherAreTwoInterrupts)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL);
    for (int assertion : {1, 2}) {
        b.pin(PIN, true);
        EXPECT_EQ(b.take(0), 0x78) << assertion;
        b.pin(PIN, false);
        b.eoi(0);
        b.iret(0);
    }
    EXPECT_EQ(b.handle_all(0), Vectors{});
    EXPECT_EQ(b.sent.size(), 2u);
}

TEST(IoapicDelivery, Point70_ALevelThatOutlivesItsFirstEoiIsExactlyTwoInterrupts)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.handle(0), 0x78);
    EXPECT_EQ(b.take(0), 0x78);
    b.pin(PIN, false);
    b.eoi(0);
    b.iret(0);
    EXPECT_EQ(b.handle_all(0), Vectors{});
    EXPECT_EQ(b.sent.size(), 2u);
}

TEST(IoapicDelivery, Point71_AMaskedEdgeIsNoInterrupt)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x77 | MASKED);
    b.pulse(PIN);
    EXPECT_EQ(b.handle_all(0), Vectors{});
}

TEST(IoapicDelivery, Point72_UnmaskingBringsNoLateEdgeAndTheNextOneIsExactlyOne)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x77 | MASKED);
    b.pulse(PIN);
    b.set_entry(PIN, 0x77);
    EXPECT_EQ(b.handle_all(0), Vectors{});
    b.pulse(PIN);
    EXPECT_EQ(b.handle_all(0), Vectors{0x77});
}

TEST(IoapicDelivery, Point73_AMaskedLevelIsNoInterrupt)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL | MASKED);
    b.pin(PIN, true);
    EXPECT_EQ(b.handle_all(0), Vectors{});
}

TEST(IoapicDelivery, Point74_ALevelThatIsStillHighAtTheUnmaskIsOneInterrupt)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL | MASKED);
    b.pin(PIN, true);
    b.set_entry(PIN, 0x78 | LEVEL);
    EXPECT_EQ(b.take(0), 0x78);
    b.pin(PIN, false);
    b.eoi(0);
    b.iret(0);
    EXPECT_EQ(b.handle_all(0), Vectors{});
}

TEST(IoapicDelivery, Point75_ALevelMaskedInItsHandlerComesAgainAtTheUnmask)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.take(0), 0x78);
    b.set_entry(PIN, 0x78 | LEVEL | MASKED);
    b.eoi(0);
    b.iret(0);
    EXPECT_EQ(b.handle_all(0), Vectors{});
    b.set_entry(PIN, 0x78 | LEVEL);
    EXPECT_EQ(b.take(0), 0x78);
    b.pin(PIN, false);
    b.eoi(0);
    b.iret(0);
    EXPECT_EQ(b.handle_all(0), Vectors{});
    EXPECT_EQ(b.sent.size(), 2u);
}

TEST(IoapicDelivery, Point76_RemoteIrrIs0AfterTheEoi)
{
    IrqBoard b(1);
    b.set_entry(PIN, 0x78 | LEVEL);
    b.pin(PIN, true);
    EXPECT_EQ(b.take(0), 0x78);
    EXPECT_TRUE(b.remote_irr(PIN));
    b.pin(PIN, false);
    EXPECT_TRUE(b.remote_irr(PIN));
    b.eoi(0);
    EXPECT_FALSE(b.remote_irr(PIN));
}

/* ---- TMR: vector 79H ---- */

class IoapicTmr : public ::testing::Test
{
  protected:
    IrqBoard b{2};

    bool tmr()
    {
        return lapic_page_read(&b.apic(0), LAPIC_TMR + 0x10 * (0x79 / 32), 4, sim_time{0}) >>
                   0x79 % 32 &
               1;
    }
    /* What the handler reads. */
    bool tmr_in_the_handler_of_an_edge()
    {
        b.set_entry(PIN, 0x79);
        b.pulse(PIN);
        EXPECT_EQ(b.take(0), 0x79);
        const bool seen = tmr();
        b.eoi(0);
        b.iret(0);
        return seen;
    }
    bool tmr_in_the_handler_of_a_level()
    {
        b.set_entry(PIN, 0x79 | LEVEL);
        b.pin(PIN, true);
        EXPECT_EQ(b.take(0), 0x79);
        const bool seen = tmr();
        b.pin(PIN, false);
        b.eoi(0);
        b.iret(0);
        return seen;
    }
};

TEST_F(IoapicTmr, Point77_TheHandlerOfAnEdgeReads0)
{
    EXPECT_FALSE(tmr_in_the_handler_of_an_edge());
}

TEST_F(IoapicTmr, Point78_TheHandlerOfALevelReads1)
{
    EXPECT_TRUE(tmr_in_the_handler_of_a_level());
}

TEST_F(IoapicTmr, Point79_TheEoiOfALevelLeavesIt1)
{
    tmr_in_the_handler_of_a_level();
    EXPECT_TRUE(tmr());
}

TEST_F(IoapicTmr, Point80_AnEdgeAfterALevelChangesItAtItsAcceptance)
{
    tmr_in_the_handler_of_a_level();
    b.set_entry(PIN, 0x79);
    EXPECT_TRUE(tmr()) << "the entry says edge, and no message was sent";
    b.pulse(PIN);
    EXPECT_FALSE(tmr()) << "accepted, not taken yet";
    EXPECT_EQ(b.take(0), 0x79);
    EXPECT_FALSE(tmr());
}

TEST_F(IoapicTmr, Point81_AfterAnEdgeItStays0)
{
    tmr_in_the_handler_of_a_level();
    tmr_in_the_handler_of_an_edge();
    EXPECT_FALSE(tmr());
    b.set_entry(PIN, 0x79 | LEVEL);
    EXPECT_FALSE(tmr());
}

/* A pin does not know whose write moved it, so the other CPU shows in this only: CPU 0 may be
   anywhere when the message comes, and CPU 1's APIC has no part in it. */
TEST_F(IoapicTmr, Point82_ItIsTheSameWhenAnotherCpuDrivesThePin)
{
    b.cli(1);
    for (bool taker_is_ready : {true, false}) {
        b.set_entry(PIN, 0x79 | LEVEL);
        taker_is_ready ? b.sti(0) : b.cli(0);
        b.pin(PIN, true);
        EXPECT_TRUE(tmr());
        b.sti(0);
        EXPECT_EQ(b.take(0), 0x79);
        b.pin(PIN, false);
        b.eoi(0);
        b.iret(0);
        EXPECT_TRUE(tmr());
        EXPECT_FALSE(tmr_in_the_handler_of_an_edge());
    }
    EXPECT_FALSE(vec_has(&b.apic(1).regs.TMR, 0x79));
    EXPECT_FALSE(vec_has(&b.apic(1).regs.IRR, 0x79));
}

/* ---- destinations, and entries written in service ---- */

TEST(IoapicDestination, Point83_PhysicalDestination1IsCpu1AndOnlyOnce)
{
    IrqBoard b(3);
    b.set_entry(PIN, 0x78 | LEVEL | to(1));
    b.pin(PIN, true);
    EXPECT_EQ(b.take(1), 0x78);
    b.pin(PIN, false);
    b.eoi(1);
    b.iret(1);
    for (unsigned cpu = 0; cpu < 3; cpu++)
        EXPECT_EQ(b.handle_all(cpu), Vectors{}) << cpu;
}

/* 0DH names the members 0, 2 and 3 of cluster 0, which are the CPUs with these x2APIC IDs. */
TEST(IoapicDestination, Point84_Logical0dReachesThreeOfFourOnceEach)
{
    IrqBoard b(4, LAPIC_MODE_X2APIC);
    b.set_entry(PIN, 0x78 | LEVEL | LOGICAL | to(0x0d));
    b.pin(PIN, true);
    for (unsigned cpu : {0, 2, 3})
        EXPECT_EQ(b.take(cpu), 0x78) << cpu;
    b.pin(PIN, false);
    for (unsigned cpu : {0, 2, 3}) {
        b.eoi(cpu);
        b.iret(cpu);
    }
    for (unsigned cpu = 0; cpu < 4; cpu++)
        EXPECT_EQ(b.handle_all(cpu), Vectors{}) << cpu;
    EXPECT_EQ(b.sent.size(), 1u);
}

/* The same in xAPIC mode, flat model, where software gives the logical IDs. */
TEST(IoapicDestination, Point84_AndInTheFlatModel)
{
    IrqBoard b(4);
    for (unsigned cpu = 0; cpu < 4; cpu++)
        b.write(cpu, LAPIC_LDR, 0x01000000u << cpu);
    b.set_entry(PIN, 0x78 | LOGICAL | to(0x0d));
    b.pulse(PIN);
    for (unsigned cpu : {0, 2, 3})
        EXPECT_EQ(b.handle_all(cpu), Vectors{0x78}) << cpu;
    EXPECT_EQ(b.handle_all(1), Vectors{});
}

/* In the handler of 64H (level, pin 13) pin 14 rises: vector 84H, of a higher class. */
class IoapicReconfiguration : public ::testing::Test
{
  protected:
    IrqBoard b{2};

    IoapicReconfiguration()
    {
        b.set_entry(13, 0x64 | LEVEL);
        b.set_entry(14, 0x84 | LEVEL);
        b.pin(13, true);
        EXPECT_EQ(b.take(0), 0x64);
        b.pin(14, true);
    }
    void finish_64()
    {
        b.pin(13, false);
        b.eoi(0);
        b.iret(0);
    }
};

TEST_F(IoapicReconfiguration, Point85_AHigherPriorityWaitsForIf)
{
    EXPECT_EQ(b.take(0), NONE) << "in the handler, IF is clear";
    EXPECT_EQ(lapic_pending(&b.apic(0)), 0x84) << "although its priority is higher";
    b.pin(13, false);
    b.eoi(0);
    EXPECT_EQ(b.take(0), NONE) << "after the EOI, before the IRET";
    b.iret(0);
    EXPECT_EQ(b.take(0), 0x84);
}

TEST_F(IoapicReconfiguration, Point86_RemoteIrrIsSetAtAcceptanceNotAtService)
{
    EXPECT_EQ(b.take(0), NONE);
    EXPECT_TRUE(b.remote_irr(14));
}

TEST_F(IoapicReconfiguration, Point87_AnotherDestinationLeavesRemoteIrrAlone)
{
    b.pin(14, false);
    b.set_window(0x11 + 2 * 14, 1u << 24);
    EXPECT_EQ(b.entry(14), 0x84 | LEVEL | REMOTE_IRR | to(1));
    EXPECT_EQ(b.sent.size(), 2u) << "and sends nothing";
}

TEST_F(IoapicReconfiguration, Point88_TheEoiOfTheOldDestinationClearsRemoteIrr)
{
    b.pin(14, false);
    b.set_window(0x11 + 2 * 14, 1u << 24);
    finish_64();
    EXPECT_EQ(b.take(0), 0x84) << "the CPU that had accepted it";
    EXPECT_TRUE(b.remote_irr(14));
    b.eoi(0);
    EXPECT_FALSE(b.remote_irr(14));
}

TEST_F(IoapicReconfiguration, Point89_BothRanOnceAndNoRemoteIrrIsLeft)
{
    b.pin(14, false);
    b.set_window(0x11 + 2 * 14, 1u << 24);
    finish_64();
    EXPECT_EQ(b.handle_all(0), Vectors{0x84});
    EXPECT_EQ(b.handle_all(1), Vectors{});
    EXPECT_EQ(b.sent.size(), 2u);
    EXPECT_FALSE(b.remote_irr(13));
    EXPECT_FALSE(b.remote_irr(14));
}

} // namespace
