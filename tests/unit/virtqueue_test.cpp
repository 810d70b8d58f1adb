/* A split virtqueue and the block device on it: who is told, and when. */
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

extern "C" {
#include "device/virtio_blk.h"
}

namespace
{

struct Queue {
    virtqueue q;
    explicit Queue(bool event_idx, uint16_t size = 8)
    {
        virtqueue_init(&q, size, event_idx);
    }
};

TEST(Virtqueue, AnEventIsNeededWhenItsIndexWasPassedAlsoAcrossTheWrap)
{
    EXPECT_TRUE(virtqueue_need_event(4, 5, 4));
    EXPECT_FALSE(virtqueue_need_event(5, 5, 4));
    EXPECT_FALSE(virtqueue_need_event(3, 5, 4));
    EXPECT_TRUE(virtqueue_need_event(4, 9, 2));
    EXPECT_TRUE(virtqueue_need_event(0xffff, 1, 0xfffe));
    EXPECT_FALSE(virtqueue_need_event(1, 1, 0xfffe));
    EXPECT_FALSE(virtqueue_need_event(4, 4, 4));
}

TEST(Virtqueue, BuffersComeOutInOrderAndTheRingIsBounded)
{
    Queue t(false);
    EXPECT_TRUE(virtqueue_add(&t.q, 5, 3));
    EXPECT_TRUE(virtqueue_add(&t.q, 2, 3));
    EXPECT_FALSE(virtqueue_add(&t.q, 1, 3)) << "two descriptors are left";
    EXPECT_EQ(5, virtqueue_pop(&t.q));
    EXPECT_EQ(2, virtqueue_pop(&t.q));
    EXPECT_EQ(VIRTQUEUE_NONE, virtqueue_pop(&t.q));
    EXPECT_EQ(VIRTQUEUE_NONE, virtqueue_get_used(&t.q));
    virtqueue_push(&t.q, 2);
    EXPECT_EQ(2, virtqueue_get_used(&t.q));
    EXPECT_TRUE(virtqueue_add(&t.q, 1, 5)) << "its descriptors are free again";
}

TEST(Virtqueue, DelayedInterruptsComeWhenThreeInFourAreUsed)
{
    Queue t(true);
    for (uint16_t head = 0; head < 8; head++)
        virtqueue_add(&t.q, head, 1);
    EXPECT_TRUE(virtqueue_enable_interrupts_delayed(&t.q));
    for (uint16_t head = 0; head < 8; head++) {
        virtqueue_pop(&t.q);
        virtqueue_push(&t.q, head);
        EXPECT_EQ(head == 0 || head == 6, virtqueue_needs_interrupt(&t.q))
            << head << ": the first time there is nothing to compare with";
    }
    EXPECT_FALSE(virtqueue_enable_interrupts_delayed(&t.q)) << "all of them have been used";
    while (virtqueue_get_used(&t.q) != VIRTQUEUE_NONE)
        ;
    EXPECT_TRUE(virtqueue_enable_interrupts_delayed(&t.q)) << "nothing is under way";
}

TEST(Virtqueue, WithoutEventIndicesADelayedInterruptIsAnInterrupt)
{
    Queue t(false);
    virtqueue_disable_interrupts(&t.q);
    virtqueue_add(&t.q, 0, 1);
    EXPECT_TRUE(virtqueue_enable_interrupts_delayed(&t.q));
    virtqueue_pop(&t.q);
    virtqueue_push(&t.q, 0);
    EXPECT_TRUE(virtqueue_needs_interrupt(&t.q));
}

TEST(Virtqueue, WithoutEventIndicesTheFlagsDecide)
{
    Queue t(false);
    EXPECT_FALSE(virtqueue_needs_notification(&t.q)) << "nothing was added";
    virtqueue_add(&t.q, 0, 1);
    EXPECT_TRUE(virtqueue_needs_notification(&t.q));
    virtqueue_add(&t.q, 1, 1);
    EXPECT_TRUE(virtqueue_needs_notification(&t.q)) << "each one, whether looked at or not";
    virtqueue_disable_notifications(&t.q);
    virtqueue_add(&t.q, 2, 1);
    EXPECT_FALSE(virtqueue_needs_notification(&t.q));
    EXPECT_FALSE(virtqueue_enable_notifications(&t.q)) << "three wait";
    virtqueue_push(&t.q, 0);
    EXPECT_TRUE(virtqueue_needs_interrupt(&t.q));
    virtqueue_disable_interrupts(&t.q);
    virtqueue_push(&t.q, 1);
    EXPECT_FALSE(virtqueue_needs_interrupt(&t.q));
    EXPECT_FALSE(virtqueue_enable_interrupts(&t.q));
}

TEST(Virtqueue, WithEventIndicesADeviceThatHasNotLookedIsNotToldTwice)
{
    Queue t(true);
    virtqueue_add(&t.q, 0, 1);
    EXPECT_TRUE(virtqueue_needs_notification(&t.q));
    virtqueue_add(&t.q, 1, 1);
    EXPECT_FALSE(virtqueue_needs_notification(&t.q));
    EXPECT_EQ(0, virtqueue_pop(&t.q));
    EXPECT_EQ(1, virtqueue_pop(&t.q));
    virtqueue_add(&t.q, 2, 1);
    EXPECT_TRUE(virtqueue_needs_notification(&t.q)) << "it has looked since";
    virtqueue_disable_notifications(&t.q);
    EXPECT_EQ(2, virtqueue_pop(&t.q));
    virtqueue_add(&t.q, 3, 1);
    EXPECT_FALSE(virtqueue_needs_notification(&t.q)) << "avail_event stays in the past";
}

TEST(Virtqueue, WithEventIndicesADriverThatHasNotLookedIsNotInterruptedTwice)
{
    Queue t(true);
    for (uint16_t n = 0; n < 4; n++)
        virtqueue_add(&t.q, n, 1);
    virtqueue_push(&t.q, 0);
    EXPECT_TRUE(virtqueue_needs_interrupt(&t.q));
    virtqueue_push(&t.q, 1);
    EXPECT_FALSE(virtqueue_needs_interrupt(&t.q));
    virtqueue_disable_interrupts(&t.q);
    EXPECT_EQ(0, virtqueue_get_used(&t.q));
    EXPECT_EQ(1, virtqueue_get_used(&t.q));
    virtqueue_push(&t.q, 2);
    EXPECT_FALSE(virtqueue_needs_interrupt(&t.q)) << "used_event was left at 0";
    EXPECT_FALSE(virtqueue_enable_interrupts(&t.q)) << "one came meanwhile";
    EXPECT_EQ(2, virtqueue_get_used(&t.q));
    EXPECT_TRUE(virtqueue_enable_interrupts(&t.q));
    virtqueue_push(&t.q, 3);
    EXPECT_TRUE(virtqueue_needs_interrupt(&t.q));
}

/* The law of event suppression: whatever the two ends do in whatever order, neither waits for ever
   while there is work for it. */
TEST(Virtqueue, NoEndSleepsWhileThereIsWorkForIt)
{
    for (int event_idx = 0; event_idx < 2; event_idx++) {
        for (unsigned seed = 0; seed < 200; seed++) {
            std::mt19937 random(seed);
            Queue t(event_idx, 16);
            std::deque<uint16_t> heads;
            std::vector<uint16_t> work;
            bool device_awake = false, driver_awake = true;
            unsigned asked = 0, done = 0;
            const unsigned total = 500;
            for (uint16_t h = 0; h < 16; h++)
                heads.push_back(h);
            for (unsigned step = 0; step < 100000 && done < total; step++) {
                const unsigned what = random() % 4;
                if (what == 0 &&
                    driver_awake) { /* the driver fills what is free, then sleeps */
                    virtqueue_disable_interrupts(&t.q);
                    int head;
                    do {
                        while ((head = virtqueue_get_used(&t.q)) != VIRTQUEUE_NONE) {
                            heads.push_back((uint16_t)head);
                            done++;
                        }
                    } while (!virtqueue_enable_interrupts(&t.q));
                    for (unsigned n = random() % 5 + 1; n && !heads.empty() && asked < total;
                         n--) {
                        ASSERT_TRUE(virtqueue_add(&t.q, heads.front(), 1));
                        heads.pop_front();
                        asked++;
                    }
                    if (virtqueue_needs_notification(&t.q))
                        device_awake = true;
                    driver_awake = false;
                } else if (what == 1 && device_awake) {
                    int head;
                    do {
                        virtqueue_disable_notifications(&t.q);
                        while ((head = virtqueue_pop(&t.q)) != VIRTQUEUE_NONE)
                            work.push_back((uint16_t)head);
                    } while (!virtqueue_enable_notifications(&t.q));
                    device_awake = false;
                } else if (what >= 2 && !work.empty()) {
                    const size_t n = random() % work.size();
                    virtqueue_push(&t.q, work[n]);
                    work.erase(work.begin() + n);
                    if (virtqueue_needs_interrupt(&t.q))
                        driver_awake = true;
                }
                ASSERT_TRUE(driver_awake || device_awake || !work.empty() || done == total)
                    << "both sleep after " << done << " of " << asked;
            }
            EXPECT_EQ(total, done);
        }
    }
}

TEST(Virtqueue, IndicesWrapAt65536)
{
    Queue t(true, 4);
    for (unsigned n = 0; n < 70000; n++) {
        ASSERT_TRUE(virtqueue_add(&t.q, n & 3, 1));
        ASSERT_TRUE(virtqueue_needs_notification(&t.q)) << n;
        ASSERT_EQ((int)(n & 3), virtqueue_pop(&t.q));
        virtqueue_push(&t.q, n & 3);
        ASSERT_TRUE(virtqueue_needs_interrupt(&t.q)) << n;
        ASSERT_EQ((int)(n & 3), virtqueue_get_used(&t.q));
    }
}

struct Disk {
    virtio_blk_port port{};
    virtio_blk chip{};
    std::vector<unsigned> started;
    std::vector<bool> interrupts;

    explicit Disk(uint16_t size, bool event_idx, bool indirect, bool intx)
    {
        port.start = [](virtio_blk_port *self, unsigned head) {
            reinterpret_cast<Disk *>(self)->started.push_back(head);
        };
        port.interrupt = [](virtio_blk_port *self, bool level) {
            reinterpret_cast<Disk *>(self)->interrupts.push_back(level);
        };
        virtio_blk_init(&chip, size, event_idx, indirect, intx, &port);
    }
};

TEST(VirtioBlk, ARequestIsThreeDescriptorsOrOneWithIndirect)
{
    Disk direct(8, true, false, false), indirect(8, true, true, false);
    int n = 0, m = 0;
    while (virtio_blk_submit(&direct.chip) != VIRTQUEUE_NONE)
        n++;
    while (virtio_blk_submit(&indirect.chip) != VIRTQUEUE_NONE)
        m++;
    EXPECT_EQ(2, n);
    EXPECT_EQ(8, m);
}

TEST(VirtioBlk, OneNotificationTakesAllThatIsAvailable)
{
    Disk d(8, true, true, false);
    for (int n = 0; n < 5; n++)
        virtio_blk_submit(&d.chip);
    EXPECT_TRUE(virtqueue_needs_notification(&d.chip.queue));
    virtio_blk_notified(&d.chip);
    EXPECT_EQ(5u, d.started.size());
    virtio_blk_notified(&d.chip);
    EXPECT_EQ(5u, d.started.size());
}

TEST(VirtioBlk, AHeadIsUsedAgainOnlyWhenItsRequestIsReaped)
{
    Disk d(4, true, true, false);
    for (int n = 0; n < 4; n++)
        virtio_blk_submit(&d.chip);
    virtio_blk_notified(&d.chip);
    virtio_blk_complete(&d.chip, d.started[2]);
    EXPECT_EQ(VIRTQUEUE_NONE, virtio_blk_submit(&d.chip));
    const int head = virtqueue_get_used(&d.chip.queue);
    EXPECT_EQ((int)d.started[2], head);
    EXPECT_EQ(head, virtio_blk_submit(&d.chip));
}

TEST(VirtioBlk, AMessageForTheFirstCompletionAndNoneUntilTheDriverLooked)
{
    Disk d(8, true, true, false);
    for (int n = 0; n < 3; n++)
        virtio_blk_submit(&d.chip);
    virtio_blk_notified(&d.chip);
    virtio_blk_complete(&d.chip, d.started[0]);
    virtio_blk_complete(&d.chip, d.started[1]);
    EXPECT_EQ((std::vector<bool>{true}), d.interrupts);
    EXPECT_EQ(1u, virtio_blk_read_isr(&d.chip));
    EXPECT_EQ((std::vector<bool>{true}), d.interrupts) << "no line to lower";
}

TEST(VirtioBlk, AReadOfTheIsrLowersTheLineOnce)
{
    Disk d(8, true, true, true);
    virtio_blk_submit(&d.chip);
    virtio_blk_notified(&d.chip);
    virtio_blk_complete(&d.chip, d.started[0]);
    EXPECT_EQ(1u, virtio_blk_read_isr(&d.chip));
    EXPECT_EQ(0u, virtio_blk_read_isr(&d.chip));
    EXPECT_EQ((std::vector<bool>{true, false}), d.interrupts);
}

} // namespace
