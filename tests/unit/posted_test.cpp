/* The posted-interrupt descriptor: SDM 3C "IPI Virtualization" and "Posted-Interrupt Processing". */
#include "virt_machine.h"

struct Posted : ::testing::Test, VirtMachine {
    Posted() : VirtMachine(&virt_vmx, LAPIC_MODE_X2APIC)
    {
    }
};

TEST_F(Posted, TheFirstPostNotifiesAndTheNextOnesAreQuiet)
{
    EXPECT_EQ(POSTED_NOTIFY, posted_post(&descriptor, 0x31, flow()));
    EXPECT_TRUE(descriptor.on);
    EXPECT_EQ(POSTED_QUIET, posted_post(&descriptor, 0x32, flow()));
    EXPECT_EQ(POSTED_COALESCED, posted_post(&descriptor, 0x31, flow()));
}

TEST_F(Posted, WhileNotificationsAreSuppressedAPostLeavesOnAlone)
{
    descriptor.sn = true;
    EXPECT_EQ(POSTED_QUIET, posted_post(&descriptor, 0x31, flow()));
    EXPECT_FALSE(descriptor.on);
    EXPECT_TRUE(vec_has(&descriptor.pir, 0x31));
}

/* SDM 30.1.6: the notification depends on ON and SN alone, not on what PIR held. */
TEST_F(Posted, AVectorHeldSinceNotificationsWereSuppressedStillNotifies)
{
    descriptor.sn = true;
    posted_post(&descriptor, 0x31, flow());
    descriptor.sn = false;
    EXPECT_EQ(POSTED_NOTIFY, posted_post(&descriptor, 0x31, flow()));
    EXPECT_EQ(1u, kept.count(TRACE_COALESCED));
}

TEST_F(Posted, APostIsTracedWhereTheOwnerIs)
{
    const trace_flow first = flow(), second = flow();

    posted_post(&other, 0x31, first);
    posted_post(&other, 0x31, second);
    ASSERT_EQ(2u, kept.records.size());
    EXPECT_EQ(TRACE_PENDING, kept.records[0].event);
    EXPECT_EQ(first, kept.records[0].flow);
    EXPECT_EQ(1u, kept.records[0].where);
    EXPECT_EQ(0x31u, kept.records[0].a);
    EXPECT_EQ((uint64_t)TRACE_HELD_PIR, kept.records[0].b);
    EXPECT_EQ(TRACE_COALESCED, kept.records[1].event);
    EXPECT_EQ(second, kept.records[1].flow);
    EXPECT_EQ(first, other.flow[0x31]) << "the flow that was first keeps the bit";
}

TEST_F(Posted, SyncMovesEveryVectorWithItsFlowAndClearsOn)
{
    const trace_flow low = flow(), high = flow();

    posted_post(&descriptor, 0x31, low);
    posted_post(&descriptor, 0xef, high);
    EXPECT_EQ(0xef, posted_sync(&descriptor, &apic));
    EXPECT_FALSE(descriptor.on);
    EXPECT_TRUE(vec_empty(&descriptor.pir));
    EXPECT_TRUE(vec_has(&apic.regs.IRR, 0x31));
    EXPECT_EQ(low, apic.pending_flow[0x31]);
    EXPECT_EQ(high, apic.pending_flow[0xef]);
    EXPECT_EQ(2u, kept.count(TRACE_PENDING)) << "a move is not a second arrival";
}

TEST_F(Posted, SyncCoalescesWithWhatTheApicHolds)
{
    const trace_flow held = flow();

    lapic_set_pending(&apic, 0x31, held);
    posted_post(&descriptor, 0x31, flow());
    posted_sync(&descriptor, &apic);
    EXPECT_EQ(held, apic.pending_flow[0x31]);
    EXPECT_EQ(1u, kept.count(TRACE_COALESCED));
}

TEST_F(Posted, SyncOfAnEmptyDescriptorStillClearsOn)
{
    descriptor.on = true;
    EXPECT_EQ(NO_VECTOR, posted_sync(&descriptor, &apic));
    EXPECT_FALSE(descriptor.on);
}
