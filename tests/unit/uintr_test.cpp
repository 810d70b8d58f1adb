/* User interrupts alone: SDM 3A chapter "User Interrupts" and SDM 2 "SENDUIPI", whose formats are
   typed here once more, as bits of two 64-bit words. */
#include "shim.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "virt_machine.h"

namespace
{

constexpr uint64_t UPID_ON = 1, UPID_SN = 2;

uint64_t upid_low(uint8_t nv, uint32_t ndst)
{
    return (uint64_t)ndst << 32 | (uint64_t)nv << 16;
}

uintr_words uitte(unsigned vector, uint64_t upid_address)
{
    return {{(uint64_t)vector << 8 | 1, upid_address}};
}

/* A sender with a table of four targets, and the descriptors of two receivers. */
struct Bench {
    event_queue events{};
    TraceKeeper kept;
    struct trace trace {
        &events, &kept, 0
    };
    uintr_upid upid[2]{};
    uintr_words uitt[4] = {uitte(5, 0), uitte(63, 0), uitte(5, 64), uitte(0, 64)};
    uintr sender{}, receiver{};

    Bench()
    {
        for (unsigned n = 0; n < 2; n++) {
            upid[n].owner = (uint16_t)(10 + n);
            upid[n].trace = &trace;
            upid[n].words.word[0] = upid_low(0xec, 7 + n);
        }
        sender.uitt = uitt;
        sender.uitt_entries = 4;
        sender.memory = upid;
        sender.memory_upids = 2;
        receiver.upid = &upid[0];
        receiver.uif = true;
    }
    uintr_sent send(uint64_t index)
    {
        return uintr_send(&sender, index, trace_new_flow(&trace), 3);
    }
    uint64_t low(unsigned n) const
    {
        return upid[n].words.word[0];
    }
    uint64_t puir(unsigned n) const
    {
        return upid[n].words.word[1];
    }
};

struct Uintr : ::testing::Test, Bench {
};

/* ---- SENDUIPI ---- */

TEST_F(Uintr, TheFirstPostSetsOnAndNotifiesWithNvAndNdst)
{
    const uintr_sent sent = send(1);
    EXPECT_EQ(UINTR_NOTIFY, sent.outcome);
    EXPECT_EQ(0xec, sent.nv);
    EXPECT_EQ(7u, sent.ndst);
    EXPECT_EQ(UINT64_C(1) << 63, puir(0));
    EXPECT_EQ(upid_low(0xec, 7) | UPID_ON, low(0));
    EXPECT_EQ(upid_low(0xec, 8), low(1)) << "the other descriptor is not touched";
}

TEST_F(Uintr, ItNotifiesOnlyWhereOnAndSnAreBothClear)
{
    for (uint64_t bits = 0; bits < 4; bits++) {
        Bench b;
        b.upid[0].words.word[0] |= bits;
        EXPECT_EQ(bits ? UINTR_POSTED : UINTR_NOTIFY, b.send(0).outcome) << bits;
        EXPECT_EQ(UINT64_C(1) << 5, b.puir(0)) << "PUIR is set whatever ON and SN say";
        EXPECT_EQ(upid_low(0xec, 7) | (bits ? bits : UPID_ON), b.low(0));
    }
}

TEST_F(Uintr, ASecondPostOfAVectorEndsThereAndOfAnotherDoesNot)
{
    send(0);
    send(0);
    send(1);
    EXPECT_EQ(UINT64_C(1) << 63 | UINT64_C(1) << 5, puir(0));
    EXPECT_EQ(2u, kept.count(TRACE_PENDING));
    EXPECT_EQ(1u, kept.count(TRACE_COALESCED));
}

TEST_F(Uintr, APostIsRoutedToTheOwnerUnderItsUserVector)
{
    const uintr_sent sent = send(2);
    ASSERT_EQ(UINTR_NOTIFY, sent.outcome);
    ASSERT_EQ(2u, kept.records.size());
    const trace_record &routed = kept.records[0], &pending = kept.records[1];
    EXPECT_EQ(TRACE_ROUTED, routed.event);
    EXPECT_EQ(11, routed.where);
    EXPECT_EQ(256u + 5, routed.a);
    EXPECT_EQ(1u, TRACE_PARENT_FLOW(routed.b));
    EXPECT_EQ(3, TRACE_PARENT_SOURCE(routed.b));
    EXPECT_EQ(TRACE_PENDING, pending.event);
    EXPECT_EQ(256u + 5, pending.a);
    EXPECT_EQ((uint64_t)TRACE_HELD_PUIR, pending.b);
    EXPECT_EQ(1u, upid[1].flow[5]);
}

TEST_F(Uintr, WhatIsNoTargetFaultsAndChangesNothing)
{
    const struct {
        const char *what;
        uintr_words entry;
        uintr_outcome outcome;
    } rows[] = {
        {"not valid", {{5 << 8, 0}}, UINTR_GP},
        {"bit 1", {{5 << 8 | 1 | 1 << 1, 0}}, UINTR_GP},
        {"bit 7", {{5 << 8 | 1 | 1 << 7, 0}}, UINTR_GP},
        {"vector 64", {{64 << 8 | 1, 0}}, UINTR_GP},
        {"vector 128", {{128 << 8 | 1, 0}}, UINTR_GP},
        {"bit 16", {{5 << 8 | 1 | 1 << 16, 0}}, UINTR_GP},
        {"bit 63", {{5 << 8 | 1 | UINT64_C(1) << 63, 0}}, UINTR_GP},
        {"UPID not aligned", {{5 << 8 | 1, 1}}, UINTR_GP},
        {"UPID not aligned", {{5 << 8 | 1, 32}}, UINTR_GP},
        {"no memory", {{5 << 8 | 1, 128}}, UINTR_PF},
        {"no memory", {{5 << 8 | 1, UINT64_MAX & ~UINT64_C(63)}}, UINTR_PF},
    };

    for (const auto &row : rows) {
        Bench b;
        b.uitt[1] = row.entry;
        EXPECT_EQ(row.outcome, b.send(1).outcome) << row.what;
        EXPECT_EQ(0u, b.puir(0) | b.puir(1)) << row.what;
        EXPECT_EQ(0u, b.low(0) & UPID_ON) << row.what;
        EXPECT_TRUE(b.kept.records.empty()) << row.what;
    }
}

TEST_F(Uintr, AReservedBitOfTheDescriptorFaults)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        const bool defined = bit < 2 || (bit >= 16 && bit < 24) || bit >= 32;
        Bench b;
        b.upid[0].words.word[0] = UINT64_C(1) << bit;
        EXPECT_EQ(!defined, b.send(0).outcome == UINTR_GP) << bit;
        EXPECT_EQ(defined, b.puir(0) != 0) << bit;
    }
}

TEST_F(Uintr, TheLastIndexIsUittszAndWithoutATableThereIsNoInstruction)
{
    EXPECT_EQ(UINTR_NOTIFY, send(3).outcome);
    EXPECT_EQ(UINTR_GP, send(4).outcome);
    EXPECT_EQ(UINTR_GP, send(UINT64_MAX).outcome);
    sender.uitt_entries = 0;
    EXPECT_EQ(UINTR_UD, send(0).outcome);
}

/* ---- the receiver ---- */

TEST_F(Uintr, ANotificationClearsOnAndMovesWhatWasPosted)
{
    send(0);
    send(1);
    uintr_process_notification(&receiver);
    EXPECT_EQ(UINT64_C(1) << 63 | UINT64_C(1) << 5, receiver.uirr);
    EXPECT_EQ(0u, puir(0));
    EXPECT_EQ(upid_low(0xec, 7), low(0));
    EXPECT_EQ(1u, receiver.flow[5]);
    EXPECT_EQ(2u, receiver.flow[63]);
    EXPECT_EQ(UINTR_NOTIFY, send(0).outcome) << "the next post notifies again";
}

TEST_F(Uintr, ANotificationLeavesSnAndTheOtherRequestsAsTheyWere)
{
    receiver.uirr = 2;
    upid[0].words.word[0] |= UPID_SN;
    send(0);
    uintr_process_notification(&receiver);
    EXPECT_EQ(UINT64_C(1) << 5 | 2, receiver.uirr);
    EXPECT_EQ(upid_low(0xec, 7) | UPID_SN, low(0));
}

TEST_F(Uintr, WhatIsRequestedAlreadyKeepsItsFlow)
{
    send(0);
    uintr_process_notification(&receiver);
    send(0);
    uintr_process_notification(&receiver);
    EXPECT_EQ(1u, receiver.flow[5]);
    ASSERT_EQ(TRACE_COALESCED, kept.records.back().event);
    EXPECT_EQ(2u, kept.records.back().flow);
    EXPECT_EQ((uint64_t)TRACE_HELD_UIRR, kept.records.back().b);
    EXPECT_EQ(10, kept.records.back().where);
}

TEST_F(Uintr, TheHighestRequestComesFirstAndUifClosesBehindIt)
{
    receiver.uirr = UINT64_C(1) << 63 | 1 << 5 | 1;
    for (unsigned vector : {63u, 5u, 0u}) {
        ASSERT_TRUE(uintr_pending(&receiver));
        EXPECT_EQ(vector, uintr_deliver(&receiver));
        EXPECT_FALSE(uintr_pending(&receiver)) << "UIF is 0 in the handler";
        EXPECT_EQ(0u, receiver.uirr >> vector & 1);
        uintr_set_uif(&receiver, true);
    }
    EXPECT_FALSE(uintr_pending(&receiver));
    EXPECT_TRUE(receiver.uif);
}

/* ---- any number of senders and receivers, in any order ---- */

/* What was sent and not yet delivered, by receiver and vector, and in which of the two places. */
struct Reference {
    std::map<std::pair<unsigned, unsigned>, trace_flow> posted, requested;
};

class Property : public ::testing::TestWithParam<unsigned>
{
};

TEST_P(Property, EachUserInterruptIsDeliveredOnceOrJoinsOneThatWaits)
{
    std::mt19937 random(GetParam());
    Bench b;
    Reference r;
    uintr receivers[2] = {b.receiver, b.receiver};
    receivers[1].upid = &b.upid[1];
    size_t coalesced = 0;

    for (unsigned n = 0; n < 4000; n++) {
        const unsigned who = random() % 2;
        uintr &u = receivers[who];
        switch (random() % 6) {
        case 0:
        case 1: {
            const unsigned vector = random() % 64;
            const bool quiet = b.low(who) & (UPID_ON | UPID_SN);
            b.uitt[0] = uitte(vector, who * 64);
            ASSERT_EQ(quiet ? UINTR_POSTED : UINTR_NOTIFY, b.send(0).outcome);
            coalesced += !r.posted.insert({{who, vector}, b.trace.flows}).second;
            break;
        }
        case 2:
            uintr_process_notification(&u);
            for (auto i = r.posted.begin(); i != r.posted.end();)
                if (i->first.first == who) {
                    coalesced += !r.requested.insert(*i).second;
                    i = r.posted.erase(i);
                } else {
                    ++i;
                }
            ASSERT_FALSE(b.low(who) & UPID_ON);
            break;
        case 3:
            b.upid[who].words.word[0] ^= UPID_SN;
            break;
        case 4:
            uintr_set_uif(&u, random() % 2);
            break;
        default: {
            const auto end = r.requested.lower_bound({who + 1, 0});
            const auto begin = r.requested.lower_bound({who, 0});
            ASSERT_EQ(u.uif && begin != end, uintr_pending(&u));
            if (!uintr_pending(&u))
                break;
            const auto highest = std::prev(end);
            const uint8_t vector = uintr_deliver(&u);
            ASSERT_EQ(highest->first.second, vector);
            ASSERT_EQ(highest->second, u.flow[vector]);
            r.requested.erase(highest);
            ASSERT_FALSE(u.uif);
        }
        }
        uint64_t puir[2] = {}, uirr[2] = {};
        for (const auto &p : r.posted)
            puir[p.first.first] |= UINT64_C(1) << p.first.second;
        for (const auto &p : r.requested)
            uirr[p.first.first] |= UINT64_C(1) << p.first.second;
        for (unsigned i = 0; i < 2; i++) {
            ASSERT_EQ(puir[i], b.puir(i));
            ASSERT_EQ(uirr[i], receivers[i].uirr);
        }
        ASSERT_EQ(coalesced, b.kept.count(TRACE_COALESCED));
    }
    EXPECT_GT(coalesced, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Property, ::testing::Range(0u, 20u));

} // namespace
