/*
 * The posted-interrupt descriptor: SDM 3C "IPI Virtualization" and "Posted-Interrupt
 * Processing"; VT-d (revision 5.10) 5.2.3 "Interrupt-Posting Hardware Operation" and 9.11
 * "Posted Interrupt Descriptor (PID)".
 */
#include "virt_machine.h"

#include <array>
#include <cstring>
#include <random>
#include <set>

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

void expect_same(const posted_descriptor &a, const posted_descriptor &b)
{
    EXPECT_EQ(0, memcmp(&a.pir, &b.pir, sizeof a.pir));
    EXPECT_EQ(a.on, b.on);
    EXPECT_EQ(a.sn, b.sn);
    EXPECT_EQ(a.nv, b.nv);
    EXPECT_EQ(a.ndst, b.ndst);
    EXPECT_EQ(a.owner, b.owner);
    EXPECT_EQ(0, memcmp(a.flow, b.flow, sizeof a.flow));
}

/* ---- urgent requests ---- */

TEST_F(Posted, AnUrgentPostNotifiesThoughNotificationsAreSuppressed)
{
    descriptor.sn = true;
    EXPECT_EQ(POSTED_NOTIFY, posted_post_urgent(&descriptor, 0x31, flow()));
    EXPECT_TRUE(descriptor.on);
    EXPECT_TRUE(descriptor.sn) << "suppression stays for the others";
    EXPECT_EQ(POSTED_QUIET, posted_post_urgent(&descriptor, 0x32, flow()));
    EXPECT_EQ(POSTED_COALESCED, posted_post_urgent(&descriptor, 0x31, flow()));
}

/* X = (ON == 0) and (URG or SN == 0). */
TEST_F(Posted, ANotificationIsDueInThreeOfEightCases)
{
    for (const bool on : {false, true})
        for (const bool sn : {false, true})
            for (const bool urgent : {false, true}) {
                descriptor.on = on;
                descriptor.sn = sn;
                const bool due = !on && (urgent || !sn);
                EXPECT_EQ(due, posted_notifies(&descriptor, urgent));
                EXPECT_EQ(on, descriptor.on) << "asking changes nothing";
                const auto post = urgent ? posted_post_urgent : posted_post;
                EXPECT_EQ(due, post(&descriptor, 0x31, flow()) == POSTED_NOTIFY);
                EXPECT_EQ(on || due, descriptor.on);
                EXPECT_EQ(sn, descriptor.sn);
            }
}

TEST_F(Posted, TheNotificationIsAFixedEdgeToThePhysicalDestination)
{
    descriptor.nv = 0xf2;
    descriptor.ndst = 0x12345678;
    const irq_msg msg = posted_notification(&descriptor);
    EXPECT_EQ(msg.vector, 0xf2);
    EXPECT_EQ(msg.dest, 0x12345678u);
    EXPECT_EQ(msg.delivery, IRQ_FIXED);
    EXPECT_EQ(msg.shorthand, IRQ_NO_SHORTHAND);
    EXPECT_FALSE(msg.logical || msg.level || msg.deassert);
    EXPECT_EQ(msg.source, TRACE_NOWHERE);
}

/* ---- as memory holds it ---- */

using Memory = Posted;

TEST_F(Memory, EachFieldIsWhereTheTableHasIt)
{
    const auto word = [&](unsigned n, bool x2apic = true) {
        return posted_pack(&descriptor, x2apic).word[n];
    };

    for (unsigned n = 0; n < 8; n++)
        EXPECT_EQ(0u, word(n));
    for (unsigned v = 0; v < 256; v++) {
        vec_set(&descriptor.pir, v);
        EXPECT_EQ(UINT64_C(1) << v % 64, word(v / 64));
        vec_clear(&descriptor.pir, v);
    }
    descriptor.on = true;
    EXPECT_EQ(1u, word(4)); /* bit 256 */
    descriptor.on = false;
    descriptor.sn = true;
    EXPECT_EQ(2u, word(4)); /* bit 257 */
    descriptor.sn = false;
    descriptor.nv = 0xa5;
    EXPECT_EQ(0xa50000u, word(4)); /* 279:272 */
    descriptor.nv = 0;
    descriptor.ndst = 0x1234;
    EXPECT_EQ(UINT64_C(0x1234) << 32, word(4));      /* 319:288 */
    EXPECT_EQ(UINT64_C(0x34) << 40, word(4, false)); /* 303:296 */
    EXPECT_EQ(0u, word(5) | word(6) | word(7));
}

TEST_F(Memory, WhatIsPackedComesBack)
{
    std::mt19937_64 rng(1);

    for (int n = 0; n < 1000; n++) {
        const bool x2apic = rng() & 1;
        for (uint64_t &w : descriptor.pir.word)
            w = rng();
        descriptor.on = rng() & 1;
        descriptor.sn = rng() & 1;
        descriptor.nv = static_cast<uint8_t>(rng());
        descriptor.ndst = static_cast<uint32_t>(rng()) & (x2apic ? 0xffffffff : 0xff);
        const posted_memory m = posted_pack(&descriptor, x2apic);
        ASSERT_TRUE(posted_unpack(&other, &m, x2apic));
        other.owner = descriptor.owner;
        expect_same(descriptor, other);
    }
}

TEST_F(Memory, AReservedBitIsRefusedAndChangesNothing)
{
    for (const bool x2apic : {false, true})
        for (unsigned bit = 0; bit < 512; bit++) {
            const bool ndst = bit >= 288 && bit <= 319, xapic_id = bit >= 296 && bit <= 303;
            const bool known =
                bit <= 257 || (bit >= 272 && bit <= 279) || (x2apic ? ndst : xapic_id);
            posted_memory m{};
            m.word[bit / 64] = UINT64_C(1) << bit % 64;
            const posted_descriptor before = descriptor;
            EXPECT_EQ(known, posted_unpack(&descriptor, &m, x2apic)) << bit;
            if (!known)
                expect_same(before, descriptor);
        }
}

TEST_F(Memory, FlowsOwnerAndTraceStayWhatTheyWere)
{
    const trace_flow first = flow();

    posted_post(&other, 0x31, first);
    const posted_memory m = posted_pack(&other, true);
    ASSERT_TRUE(posted_unpack(&other, &m, true));
    EXPECT_EQ(first, other.flow[0x31]);
    EXPECT_EQ(1u, other.owner);
    EXPECT_EQ(&trace, other.trace);
}

/* ---- any order of posts, syncs and suppression ---- */

struct RandomPosts : Posted, ::testing::WithParamInterface<unsigned> {
    std::mt19937 rng{GetParam()};
    std::set<unsigned> posted; /* since the last sync */

    void post(bool urgent)
    {
        const unsigned vector = 16 + rng() % 240;
        const bool due = !descriptor.on && (urgent || !descriptor.sn), on = descriptor.on;
        const auto how = urgent ? posted_post_urgent : posted_post;

        const bool notified =
            how(&descriptor, static_cast<uint8_t>(vector), flow()) == POSTED_NOTIFY;
        posted.insert(vector);
        ASSERT_EQ(due, notified);
        ASSERT_EQ(!on && descriptor.on, notified) << "if and only if ON goes from 0 to 1";
    }
    void sync()
    {
        const struct vec256 before = apic.regs.IRR;
        const int highest = posted_sync(&descriptor, &apic);

        ASSERT_EQ(highest, posted.empty() ? NO_VECTOR : static_cast<int>(*posted.rbegin()));
        for (unsigned v = 0; v < 256; v++)
            ASSERT_EQ(vec_has(&apic.regs.IRR, v), vec_has(&before, v) || posted.count(v)) << v;
        posted.clear();
        ASSERT_FALSE(descriptor.on);
    }
    void step()
    {
        switch (rng() % 8) {
        case 0:
            sync();
            break;
        case 1:
            descriptor.sn = rng() & 1;
            break;
        case 2:
            post(true);
            break;
        case 3:
            apic.regs.IRR = {};
            break;
        default:
            post(false);
        }
        for (unsigned v = 0; v < 256; v++)
            ASSERT_EQ(vec_has(&descriptor.pir, v), posted.count(v) != 0) << v;
    }
};

TEST_P(RandomPosts, NoVectorIsLostAndEachNotificationIsOnesRisingEdge)
{
    for (int n = 0; n < 3000 && !HasFatalFailure(); n++)
        step();
}

TEST_P(RandomPosts, ASavedDescriptorGoesOnAsTheOriginalDoes)
{
    for (int n = 0; n < 200; n++)
        step();
    posted_restore(&other, &descriptor);
    EXPECT_EQ(&trace, other.trace);
    for (int n = 0; n < 200; n++) {
        const uint8_t vector = static_cast<uint8_t>(16 + rng() % 240);
        const trace_flow f = flow();
        ASSERT_EQ(posted_post(&descriptor, vector, f), posted_post(&other, vector, f));
        if (n % 16 == 0) {
            posted_clear_outstanding(&descriptor);
            posted_clear_outstanding(&other);
        }
        expect_same(descriptor, other);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPosts, ::testing::Values(1u, 2u, 3u));

/* ---- two posters and a CPU, in every order that their steps can take ---- */

/*
 * A poster sets its PIR bit, then ON, then sends the notification if it was the one
 * to set ON. The CPU takes a notification that has arrived: it clears ON and then
 * moves PIR; the two steps again for each further notification. Steps are the
 * model's own functions. A run ends when nobody can go on; then every vector must be
 * in IRR, and the descriptor must be at rest.
 */
struct Race : Posted {
    struct State {
        posted_descriptor descriptor;
        struct vec256 irr;
        std::array<int, 2> poster; /* the next step */
        std::array<bool, 2> sends;
        int cpu; /* 0: waits for a notification */
        int notifications;
    };
    enum Order { AS_SPECIFIED, ON_BEFORE_PIR, PIR_READ_BEFORE_ON_CLEARED };

    Order order = AS_SPECIFIED;
    unsigned runs = 0, losses = 0;

    static constexpr uint8_t vectors[2] = {0x31, 0x52};

    void poster_step(State &s, unsigned who)
    {
        const int set_pir = order == ON_BEFORE_PIR ? 1 : 0;
        const int step = s.poster[who]++;

        if (step == 2)
            s.notifications += s.sends[who];
        else if (step == set_pir)
            posted_request(&s.descriptor, vectors[who], 1 + who);
        else
            s.sends[who] = posted_set_outstanding(&s.descriptor, false);
    }
    void cpu_step(State &s)
    {
        const int clear_on = order == PIR_READ_BEFORE_ON_CLEARED ? 1 : 0;

        s.notifications -= s.cpu == 0;
        if (s.cpu == clear_on) {
            posted_clear_outstanding(&s.descriptor);
        } else {
            apic.regs.IRR = s.irr;
            posted_move(&s.descriptor, &apic);
            s.irr = apic.regs.IRR;
        }
        s.cpu = (s.cpu + 1) % 2;
    }
    void explore(const State &s)
    {
        bool stuck = true;

        for (unsigned who = 0; who < 2; who++)
            if (s.poster[who] < 3) {
                State next = s;
                poster_step(next, who);
                explore(next);
                stuck = false;
            }
        if (s.cpu != 0 || s.notifications > 0) {
            State next = s;
            cpu_step(next);
            explore(next);
            stuck = false;
        }
        if (!stuck)
            return;
        runs++;
        losses += !vec_has(&s.irr, vectors[0]) || !vec_has(&s.irr, vectors[1]) ||
                  !vec_empty(&s.descriptor.pir) || s.descriptor.on;
    }
    void start(bool early_notification)
    {
        State s{};

        s.descriptor = descriptor;
        s.descriptor.on = early_notification;
        s.notifications = early_notification;
        explore(s);
    }
};

TEST_F(Race, NoInterleavingOfPostsAndSyncsLosesAVector)
{
    start(false);
    start(true);
    EXPECT_GT(runs, 100u);
    EXPECT_EQ(0u, losses);
}

/* The same search finds the losses when a poster sets ON first... */
TEST_F(Race, OnBeforePirWouldLoseVectors)
{
    order = ON_BEFORE_PIR;
    start(false);
    EXPECT_GT(losses, 0u);
}

/* ...and when the CPU reads PIR before it clears ON. */
TEST_F(Race, PirBeforeOnAtTheCpuWouldLoseVectors)
{
    order = PIR_READ_BEFORE_ON_CLEARED;
    start(false);
    EXPECT_GT(losses, 0u);
}
