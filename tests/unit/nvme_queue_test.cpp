/* A pair of NVMe queues alone: doorbells, phases, full rings, coalesced interrupts. */
#include <gtest/gtest.h>

#include <random>
#include <vector>

extern "C" {
#include "device/nvme_queue.h"
}

namespace
{

struct Pair {
    nvme_port port{};
    nvme_queue q{};
    event_queue events{};
    std::vector<char> memory = std::vector<char>(event_queue_bytes(1));
    std::vector<unsigned> started;
    unsigned interrupts = 0;

    explicit Pair(uint16_t size, uint16_t threshold = 1, uint64_t time_ps = 0,
                  bool shadow = false)
    {
        event_queue_init(&events, memory.data(), 1);
        port.start = [](nvme_port *self, unsigned id) {
            reinterpret_cast<Pair *>(self)->started.push_back(id);
        };
        port.interrupt = [](nvme_port *self) { reinterpret_cast<Pair *>(self)->interrupts++; };
        nvme_init(&q, size, shadow, threshold, time_ps, &events, &port);
    }
    void ring()
    {
        nvme_write_tail(&q, q.tail);
        nvme_process(&q);
    }
    int reap()
    {
        const int id = nvme_reap(&q);
        return id;
    }
    void give_back()
    {
        nvme_write_head(&q, q.head);
    }
    void pass(uint64_t ps)
    {
        event_queue_run(&events, (sim_time){events.now.ps + ps + 1}, UINT64_MAX);
    }
};

TEST(NvmeQueue, DoorbellsStandSideBySideFrom1000H)
{
    EXPECT_EQ(0x1000u, NVME_TAIL_DOORBELL(0));
    EXPECT_EQ(0x1008u, NVME_TAIL_DOORBELL(1));
    EXPECT_EQ(0x100cu, NVME_HEAD_DOORBELL(1));
}

/* The driver: submits, and writes the doorbell's register if it is to. */
unsigned submit(Pair &p, unsigned commands)
{
    for (unsigned n = 0; n < commands; n++)
        nvme_submit(&p.q);
    return nvme_tell_tail(&p.q);
}

TEST(NvmeQueue, WithShadowDoorbellsTheRegisterIsWrittenOnceUntilTheDeviceLooks)
{
    Pair p(8, 1, 0, true), plain(8);
    EXPECT_EQ(1u, submit(p, 1));
    EXPECT_EQ(0u, submit(p, 1)) << "the device has not looked since, and will find both";
    EXPECT_EQ(1u, submit(plain, 1));
    EXPECT_EQ(1u, submit(plain, 1));
    nvme_process(&p.q);
    EXPECT_EQ(2u, p.started.size());
    EXPECT_EQ(1u, submit(p, 2)) << "it has looked, and asks to be told";
    nvme_process(&p.q);
    EXPECT_EQ(4u, p.started.size());
    nvme_process(&plain.q);
    EXPECT_EQ(0u, plain.started.size()) << "nobody has written its register";
}

TEST(NvmeQueue, WithShadowDoorbellsWhatIsReapedIsToldWhenTheDeviceHasPostedSince)
{
    Pair p(4, 1, 0, true);
    submit(p, 3);
    nvme_process(&p.q);
    nvme_complete(&p.q, 0);
    EXPECT_EQ(0, p.reap());
    EXPECT_TRUE(nvme_tell_head(&p.q));
    EXPECT_FALSE(nvme_tell_head(&p.q)) << "nothing new";
    nvme_complete(&p.q, 1);
    nvme_complete(&p.q, 2);
    EXPECT_EQ(1, p.reap());
    EXPECT_TRUE(nvme_tell_head(&p.q));
    EXPECT_EQ(2, p.reap());
    EXPECT_FALSE(nvme_tell_head(&p.q)) << "the device is content with the last one";
}

/* Both ends in random order: whoever has work is awake, or will be told. */
TEST(NvmeQueue, WithShadowDoorbellsNoCommandAndNoCompletionIsForgotten)
{
    for (unsigned seed = 0; seed < 300; seed++) {
        std::mt19937 random(seed);
        Pair p((uint16_t)(2 + random() % 6), 1, 0, true);
        unsigned submitted = 0, reaped = 0, completed = 0;
        bool tail_rung = false, head_rung = false;
        while (reaped < 60) {
            switch (random() % 5) {
            case 0:
                while (submitted < 60 && random() % 3 && nvme_submit(&p.q) != NVME_NONE)
                    submitted++;
                tail_rung |= nvme_tell_tail(&p.q);
                break;
            case 1:
                if (tail_rung || head_rung) {
                    tail_rung = head_rung = false;
                    nvme_process(&p.q);
                }
                break;
            case 2:
                if (completed < p.started.size())
                    nvme_complete(&p.q, p.started[completed++]);
                break;
            default:
                while (random() % 4 && p.reap() != NVME_NONE)
                    reaped++;
                head_rung |= nvme_tell_head(&p.q);
                break;
            }
            const bool idle = !tail_rung && !head_rung && completed == p.started.size();
            ASSERT_FALSE(idle && p.q.taken != p.q.tail) << seed << ": a command is forgotten";
            ASSERT_FALSE(idle && p.q.waiting_count && nvme_done(&p.q, 0) == NVME_NONE &&
                         p.q.told_head == p.q.head)
                << seed << ": a completion is forgotten";
        }
    }
}

TEST(NvmeQueue, TheDeviceReadsAsFarAsTheDoorbellSays)
{
    Pair p(8);
    EXPECT_EQ(0, nvme_submit(&p.q));
    nvme_write_tail(&p.q, p.q.tail);
    EXPECT_EQ(1, nvme_submit(&p.q));
    nvme_process(&p.q);
    EXPECT_EQ((std::vector<unsigned>{0}), p.started);
    p.ring();
    EXPECT_EQ((std::vector<unsigned>{0, 1}), p.started);
    nvme_write_tail(&p.q, 8);
    nvme_process(&p.q);
    EXPECT_EQ(2u, p.started.size()) << "there is no slot 8";
}

TEST(NvmeQueue, ARingHoldsOneLessThanItsSize)
{
    Pair p(4);
    for (int n = 0; n < 3; n++)
        EXPECT_EQ(n, nvme_submit(&p.q));
    EXPECT_EQ(NVME_NONE, nvme_submit(&p.q));
    p.ring();
    nvme_complete(&p.q, 1);
    EXPECT_EQ(NVME_NONE, nvme_submit(&p.q)) << "the driver has not looked";
    EXPECT_EQ(1, p.reap());
    EXPECT_EQ(3, nvme_submit(&p.q)) << "identifiers go round";
}

TEST(NvmeQueue, AnEntryIsNewByItsPhaseRoundAfterRound)
{
    Pair p(3);
    for (unsigned n = 0; n < 20; n++) {
        const int id = nvme_submit(&p.q);
        ASSERT_NE(NVME_NONE, id);
        EXPECT_EQ(NVME_NONE, p.reap());
        p.ring();
        nvme_complete(&p.q, p.started.back());
        EXPECT_EQ(id, p.reap());
        EXPECT_EQ(NVME_NONE, p.reap());
        p.give_back();
    }
    EXPECT_EQ(20u, p.interrupts);
}

TEST(NvmeQueue, WhatFindsNoRoomWaitsForTheHeadDoorbell)
{
    Pair p(4);
    std::vector<int> done;
    for (int n = 0; n < 3; n++)
        nvme_submit(&p.q);
    p.ring();
    nvme_complete(&p.q, 0);
    nvme_complete(&p.q, 1);
    for (int n = 0; n < 2; n++)
        done.push_back(p.reap());
    for (int n = 0; n < 2; n++) /* the head doorbell is not written */
        nvme_submit(&p.q);
    p.ring();
    for (unsigned id : {2u, p.started[3], p.started[4]})
        nvme_complete(&p.q, id);
    EXPECT_EQ(3u, p.interrupts);
    EXPECT_EQ(2, p.reap());
    EXPECT_EQ(NVME_NONE, p.reap());
    p.give_back();
    EXPECT_EQ(5u, p.interrupts);
    EXPECT_EQ((int)p.started[3], p.reap());
    EXPECT_EQ((int)p.started[4], p.reap());
}

TEST(NvmeQueue, CoalescingWaitsForTheThresholdOrForTheTime)
{
    Pair p(16, 4, 1000);
    for (int n = 0; n < 10; n++)
        nvme_submit(&p.q);
    p.ring();
    for (unsigned n = 0; n < 3; n++)
        nvme_complete(&p.q, n);
    EXPECT_EQ(0u, p.interrupts);
    nvme_complete(&p.q, 3);
    EXPECT_EQ(1u, p.interrupts);
    p.pass(5000);
    EXPECT_EQ(1u, p.interrupts) << "nothing was left for the time to bring";
    nvme_complete(&p.q, 4);
    p.pass(500);
    nvme_complete(&p.q, 5);
    p.pass(400);
    EXPECT_EQ(1u, p.interrupts);
    p.pass(200);
    EXPECT_EQ(2u, p.interrupts) << "from the first one on";
}

TEST(NvmeQueue, AfterAnInterruptTheThresholdCountsAnew)
{
    Pair p(16, 4, 1000000);
    for (int n = 0; n < 8; n++)
        nvme_submit(&p.q);
    p.ring();
    for (unsigned n = 0; n < 7; n++)
        nvme_complete(&p.q, n);
    EXPECT_EQ(1u, p.interrupts);
    nvme_complete(&p.q, 7);
    EXPECT_EQ(2u, p.interrupts);
}

TEST(NvmeQueue, WhatIsDoneIsSeenBeforeItIsTakenAlsoAcrossTheEndOfTheRing)
{
    Pair p(4);
    for (unsigned round = 0; round < 9; round++) {
        std::vector<int> ids = {nvme_submit(&p.q), nvme_submit(&p.q)};
        EXPECT_EQ(NVME_NONE, nvme_done(&p.q, 0)) << round;
        p.ring();
        for (int id : ids)
            nvme_complete(&p.q, (unsigned)id);
        EXPECT_EQ(ids[0], nvme_done(&p.q, 0)) << round;
        EXPECT_EQ(ids[1], nvme_done(&p.q, 1)) << round;
        for (unsigned n : {2u, 3u, 4u, 5u})
            EXPECT_EQ(NVME_NONE, nvme_done(&p.q, n)) << round;
        EXPECT_EQ(ids[0], p.reap());
        EXPECT_EQ(ids[1], nvme_done(&p.q, 0)) << round;
        EXPECT_EQ(ids[1], p.reap());
        p.give_back();
    }
}

TEST(NvmeQueue, AnIdentifierThatIsUnderWayIsNotGivenAgain)
{
    Pair p(4);
    for (int n = 0; n < 3; n++)
        nvme_submit(&p.q);
    p.ring();
    for (unsigned turn = 0; turn < 6; turn++) { /* 1 and 2 are never done */
        nvme_complete(&p.q, p.started.back() == 2 ? 0 : p.started.back());
        ASSERT_NE(NVME_NONE, p.reap());
        p.give_back();
        const int id = nvme_submit(&p.q);
        EXPECT_TRUE(id == 0 || id == 3) << id;
        p.ring();
    }
}

TEST(NvmeQueue, AHeadBeyondTheRingGivesNothingBack)
{
    Pair p(3);
    nvme_submit(&p.q);
    nvme_submit(&p.q);
    p.ring();
    nvme_complete(&p.q, 0);
    nvme_complete(&p.q, 1);
    p.reap();
    p.reap();
    nvme_submit(&p.q);
    p.ring();
    nvme_write_head(&p.q, 3);
    nvme_complete(&p.q, p.started.back());
    EXPECT_EQ(NVME_NONE, p.reap());
    EXPECT_EQ(2u, p.interrupts);
    p.give_back();
    EXPECT_NE(NVME_NONE, p.reap());
}

TEST(NvmeQueue, NothingIsLostHoweverTheEndsAct)
{
    for (unsigned seed = 0; seed < 100; seed++) {
        std::mt19937 random(seed);
        Pair p((uint16_t)(2 + random() % 9));
        std::vector<unsigned> work;
        size_t taken = 0;
        unsigned asked = 0, done = 0;
        for (unsigned step = 0; step < 20000 && done < 300; step++) {
            switch (random() % 5) {
            case 0:
                if (asked < 300 && nvme_submit(&p.q) != NVME_NONE)
                    asked++;
                break;
            case 1:
                p.ring();
                for (; taken < p.started.size(); taken++)
                    work.push_back(p.started[taken]);
                break;
            case 2:
                if (!work.empty()) {
                    const size_t n = random() % work.size();
                    nvme_complete(&p.q, work[n]);
                    work.erase(work.begin() + n);
                }
                break;
            case 3:
                done += p.reap() != NVME_NONE;
                break;
            default:
                p.give_back();
            }
        }
        EXPECT_EQ(300u, done) << "seed " << seed;
    }
}

} // namespace
