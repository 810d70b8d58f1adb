/*
 * A network card's receive queues alone: when messages go out, by mask and moderation,
 * and what becomes of frames. Times are in ns unless they say otherwise.
 */
#include <memory>

#include "unit/timer_bench.h"

extern "C" {
#include "device/nic.h"
}

namespace
{

struct message {
    uint64_t ns;
    unsigned queue;

    bool operator==(const message &other) const
    {
        return ns == other.ns && queue == other.queue;
    }
};

std::ostream &operator<<(std::ostream &out, const message &m)
{
    return out << "queue " << m.queue << " at " << m.ns << " ns";
}

struct fact {
    uint16_t event, where;
    uint64_t a, b;
};

/* A card with queues whose frames arrive at listed times. */
class Card : public ::testing::Test, public TimeBase, protected nic_port
{
  protected:
    nic card{};
    nic_queue queues[3];
    std::vector<message> messages;
    std::vector<unsigned> came;
    std::vector<fact> facts;
    moderation_config moderation{MODERATION_none, 0, 1500, 1000000000};
    uint32_t ring = 8;

    Card() : nic_port{heard, nullptr}
    {
        facts_sink.self = this;
        facts_sink.put = put;
        facts_sink.next = nullptr;
        trace_.events = &queue;
        trace_.sinks = &facts_sink;
        card.events = &queue;
        card.trace = &trace_;
        card.port = this;
        card.queue = queues;
    }

    void insert(const std::vector<std::vector<uint64_t>> &ns_by_queue)
    {
        std::vector<nic_queue_config> configs;

        for (const auto &ns : ns_by_queue) {
            for (const uint64_t each : ns)
                lists.back()->push_back(sim_time{each * PS_PER_NS});
            nic_queue_config c{};
            c.number = static_cast<uint16_t>(10 + configs.size());
            c.arrivals.kind = ARRIVALS_listed;
            c.arrivals.times = lists.back()->data();
            c.arrivals.count = ns.size();
            configs.push_back(c);
            lists.push_back(std::make_unique<std::vector<sim_time>>());
        }
        start(configs);
    }
    void insert_bursts(uint32_t burst, uint64_t gap_ns, uint64_t within_ns, uint64_t count)
    {
        nic_queue_config c{};
        c.number = 10;
        c.arrivals.kind = ARRIVALS_bursts;
        c.arrivals.gap_ps = gap_ns * PS_PER_NS;
        c.arrivals.burst = burst;
        c.arrivals.within_ps = within_ns * PS_PER_NS;
        c.arrivals.count = count;
        start({c});
    }
    static void frame_came(nic_port *port, unsigned n)
    {
        static_cast<Card *>(port)->came.push_back(n);
    }
    void at(uint64_t ns)
    {
        run_until(ns * PS_PER_NS);
    }
    unsigned take_all(unsigned n = 0)
    {
        unsigned taken = 0;
        while (nic_take(&queues[n], 3))
            taken++;
        return taken;
    }
    size_t count(trace_event event) const
    {
        size_t n = 0;
        for (const fact &f : facts)
            n += f.event == event;
        return n;
    }

  private:
    struct sink : trace_sink {
        Card *self;
    } facts_sink;
    ::trace trace_{};
    std::vector<std::unique_ptr<std::vector<sim_time>>> lists = first_list();
    sim_time storage_[3][128];

    static std::vector<std::unique_ptr<std::vector<sim_time>>> first_list()
    {
        std::vector<std::unique_ptr<std::vector<sim_time>>> lists;
        lists.push_back(std::make_unique<std::vector<sim_time>>());
        return lists;
    }
    void start(std::vector<nic_queue_config> configs)
    {
        card.queues = static_cast<uint16_t>(configs.size());
        for (size_t n = 0; n < configs.size(); n++) {
            configs[n].ring = storage_[n];
            configs[n].size = ring;
            configs[n].moderation = moderation;
        }
        nic_init(&card, configs.data());
    }
    static void heard(nic_port *port, unsigned n)
    {
        Card *self = static_cast<Card *>(port);
        self->messages.push_back({self->queue.now.ps / PS_PER_NS, n});
    }
    static void put(trace_sink *s, const trace_record *r)
    {
        static_cast<sink *>(s)->self->facts.push_back({r->event, r->where, r->a, r->b});
    }
};

using Messages = std::vector<message>;

/* ---- masks ---- */

TEST_F(Card, WithoutMaskAndModerationEachFrameInterrupts)
{
    insert({{100, 200, 200, 900}});
    at(1000);
    EXPECT_EQ(messages, (Messages{{100, 0}, {200, 0}, {200, 0}, {900, 0}}));
}

TEST_F(Card, AnInterruptMasksItsQueueWhereTheCardIsToldSo)
{
    card.auto_mask = true;
    insert({{100, 200, 300}});
    at(1000);
    EXPECT_EQ(messages, (Messages{{100, 0}}));
    EXPECT_TRUE(queues[0].masked);
}

TEST_F(Card, UnmaskingInterruptsAtOnceWhereFramesWait)
{
    card.auto_mask = true;
    insert({{100, 200}});
    at(500);
    EXPECT_TRUE(nic_take(&queues[0], 3)); /* one is left */
    nic_unmask(&queues[0]);
    EXPECT_EQ(messages, (Messages{{100, 0}, {500, 0}}));
}

TEST_F(Card, UnmaskingAnEmptyQueueWaitsForTheNextFrame)
{
    card.auto_mask = true;
    insert({{100, 200, 900}});
    at(500);
    EXPECT_EQ(take_all(), 2u);
    nic_unmask(&queues[0]);
    EXPECT_EQ(messages.size(), 1u);
    at(1000);
    EXPECT_EQ(messages, (Messages{{100, 0}, {900, 0}}));
}

TEST_F(Card, AMaskHoldsAnInterruptThatTheModerationHasPutOff)
{
    moderation = {MODERATION_fixed, 400 * PS_PER_NS, 0, 1};
    insert({{100, 200}});
    at(300);
    nic_mask(&queues[0]);
    at(2000);
    EXPECT_EQ(messages, (Messages{{100, 0}}));
    nic_unmask(&queues[0]);
    EXPECT_EQ(messages, (Messages{{100, 0}, {2000, 0}}));
}

TEST_F(Card, QueuesHaveVectorsMasksAndFramesOfTheirOwn)
{
    card.auto_mask = true;
    insert({{100, 300}, {200, 250}, {}});
    at(280);
    EXPECT_EQ(messages, (Messages{{100, 0}, {200, 1}}));
    EXPECT_EQ(take_all(1), 2u);
    nic_unmask(&queues[1]);
    at(1000);
    EXPECT_EQ(messages, (Messages{{100, 0}, {200, 1}}));
    EXPECT_EQ(take_all(0), 2u);
    EXPECT_EQ(take_all(2), 0u);
}

/* PCI 3.0 "Per-vector Masking and Function Masking". */
TEST_F(Card, AMaskedMsixEntryKeepsItsMessageUntilItIsUnmasked)
{
    constexpr uint32_t control_of_1 = MSIX_ENTRY_BYTES + 12;

    insert({{100}, {100, 200}});
    msix_table_write(&card.msix, control_of_1, 4, 1);
    at(1000);
    EXPECT_EQ(messages, (Messages{{100, 0}}));
    EXPECT_TRUE(msix_pending(&card.msix, 1));
    msix_table_write(&card.msix, control_of_1, 4, 0);
    EXPECT_EQ(messages, (Messages{{100, 0}, {1000, 1}}));
}

/* ---- the ring ---- */

TEST_F(Card, FramesBeyondTheRingAreDropped)
{
    ring = 2;
    insert({{100, 110, 120, 300}});
    at(200);
    EXPECT_EQ(count(TRACE_FRAME), 2u);
    EXPECT_EQ(count(TRACE_FRAME_DROPPED), 1u);
    EXPECT_EQ(messages.size(), 2u); /* a frame that is not there interrupts nobody */
    EXPECT_EQ(take_all(), 2u);
    at(1000);
    EXPECT_EQ(count(TRACE_FRAME), 3u);
    EXPECT_EQ(take_all(), 1u);
}

TEST_F(Card, TheTraceSaysHowLongEachFrameWaitedAndWhoTookIt)
{
    insert({{100, 150}});
    at(400);
    facts.clear();
    EXPECT_EQ(take_all(), 2u);
    ASSERT_EQ(facts.size(), 2u);
    for (size_t n = 0; n < 2; n++) {
        EXPECT_EQ(facts[n].event, TRACE_FRAME_TAKEN);
        EXPECT_EQ(facts[n].where, 3u);
        EXPECT_EQ(facts[n].a, 10u);
        EXPECT_EQ(facts[n].b, (n == 0 ? 300 : 250) * PS_PER_NS);
    }
}

TEST_F(Card, TheTraceSaysWhenTheMaskChangesAndNotWhenItIsOnlyWritten)
{
    insert({{}});
    nic_mask(&queues[0]);
    nic_mask(&queues[0]);
    nic_unmask(&queues[0]);
    nic_unmask(&queues[0]);
    ASSERT_EQ(count(TRACE_QUEUE_MASK), 2u);
    EXPECT_EQ(facts[0].b, 1u);
    EXPECT_EQ(facts[1].b, 0u);
}

/* ---- a backend that brings the frames ---- */

TEST_F(Card, WhatABackendHasNotBroughtTheDriverDoesNotSee)
{
    received = frame_came;
    card.auto_mask = true;
    ring = 3;
    insert({{}, {100, 150, 200, 210}});
    at(250);
    EXPECT_EQ(came, (std::vector<unsigned>{1, 1, 1})); /* the fourth finds no place */
    EXPECT_TRUE(messages.empty());
    EXPECT_EQ(take_all(1), 0u);
    EXPECT_TRUE(nic_deliver(&queues[1]));
    EXPECT_EQ(messages, (Messages{{250, 1}}));
    EXPECT_TRUE(nic_deliver(&queues[1]));
    EXPECT_EQ(take_all(1), 2u);
    nic_unmask(&queues[1]);
    EXPECT_EQ(messages.size(), 1u); /* the third is still the backend's */
    EXPECT_TRUE(nic_deliver(&queues[1]));
    EXPECT_FALSE(nic_deliver(&queues[1]));
    EXPECT_EQ(messages.size(), 2u);
    EXPECT_EQ(take_all(1), 1u);
}

/* ---- moderation ---- */

/* The I210's Figure 7-15: the counter runs from an interrupt; what comes meanwhile waits for its end,
   once; a counter that has come to 0 stays there. */
TEST_F(Card, AFixedIntervalPutsOffWhatComesTooSoon)
{
    moderation = {MODERATION_fixed, 500 * PS_PER_NS, 0, 1};
    insert({{100, 200, 300, 1200, 1699, 1701}});
    at(5000);
    EXPECT_EQ(messages, (Messages{{100, 0}, {600, 0}, {1200, 0}, {1700, 0}, {2200, 0}}));
}

TEST_F(Card, AFrameAtTheVeryEndOfTheIntervalInterruptsOnce)
{
    moderation = {MODERATION_fixed, 500 * PS_PER_NS, 0, 1};
    insert({{100, 600}});
    at(5000);
    EXPECT_EQ(messages, (Messages{{100, 0}, {600, 0}}));
}

/* Of 1500 bytes one frame in 50 us is 30 bytes a microsecond: bulk, 84 us. The smoothed setting, in
   quarters of a microsecond: 200, 10*200*200/(9*200+200) = 200; then 10*336*200/(9*336+200) = 208. */
TEST(Moderation, AnAdaptiveIntervalGrowsStepByStepUnderLoad)
{
    const moderation_config config = {MODERATION_adaptive, 0, 1500, 1};
    moderation m;

    moderation_init(&m, &config);
    EXPECT_EQ(m.setting, 200u);
    moderation_taken(&m, 1); /* lowest to low */
    EXPECT_EQ(m.setting, 200u);
    moderation_taken(&m, 1); /* low to bulk */
    EXPECT_EQ(m.setting, 208u);
    for (int n = 0; n < 100; n++)
        moderation_taken(&m, 2);
    EXPECT_EQ(m.setting, 326u); /* in integers 10*336*326/(9*336+326) is 326 again */
    moderation_sent(&m, sim_time{0});
    EXPECT_EQ(m.free_at.ps, UINT64_C(80000000)); /* the register's granularity is 2 us */
}

TEST(Moderation, AnAdaptiveIntervalShrinksWhenThereIsLittle)
{
    const moderation_config config = {MODERATION_adaptive, 0, 64, 1};
    moderation m;

    moderation_init(&m, &config);
    for (int n = 0; n < 100; n++)
        moderation_taken(&m, 1); /* 64 bytes in 50 us: class lowest */
    EXPECT_EQ(m.setting, 40u);
    moderation_sent(&m, sim_time{0});
    EXPECT_EQ(m.free_at.ps, UINT64_C(10000000));
}

/* Which of so many completions, with so many in flight each, interrupt; the rate is high. */
std::string delivered(uint32_t in_flight, unsigned completions)
{
    const moderation_config config = {MODERATION_vic, 0, 0, PS_PER_SECOND};
    moderation m;
    std::string said;

    moderation_init(&m, &config);
    for (unsigned n = 0; n < 2000; n++)
        moderation_wants(&m, sim_time{0}, 0);
    for (unsigned n = 0; n < completions; n++)
        said += moderation_wants(&m, sim_time{PS_PER_SECOND}, in_flight) ? '+' : '-';
    return said;
}

/* vIC, Algorithm 1: all below 4; 4 of 5 below 8; 3 of 4 below 12; 2 of 3 below 16; else 1 of CIF/8. */
TEST(Moderation, VicDeliversByTheNumberInFlight)
{
    EXPECT_EQ(delivered(0, 6), "++++++");
    EXPECT_EQ(delivered(3, 6), "++++++");
    EXPECT_EQ(delivered(4, 10), "-++++-++++");
    EXPECT_EQ(delivered(7, 10), "-++++-++++");
    EXPECT_EQ(delivered(8, 8), "-+++-+++");
    EXPECT_EQ(delivered(11, 8), "-+++-+++");
    EXPECT_EQ(delivered(12, 6), "-++-++");
    EXPECT_EQ(delivered(15, 6), "-++-++");
    EXPECT_EQ(delivered(16, 6), "-+-+-+");
    EXPECT_EQ(delivered(31, 9), "--+--+--+");
    EXPECT_EQ(delivered(64, 16), "-------+-------+");
}

TEST(Moderation, VicDeliversAllWhereTheLastEpochHadFewCompletions)
{
    const moderation_config config = {MODERATION_vic, 0, 0, PS_PER_SECOND};
    moderation m;

    moderation_init(&m, &config);
    for (unsigned n = 0; n < 1999; n++)
        EXPECT_TRUE(moderation_wants(&m, sim_time{0}, 64));
    EXPECT_TRUE(moderation_wants(&m, sim_time{PS_PER_SECOND}, 64));
    for (unsigned n = 0; n < 1999; n++)
        EXPECT_TRUE(moderation_wants(&m, sim_time{PS_PER_SECOND}, 64));
    EXPECT_FALSE(moderation_wants(&m, sim_time{2 * PS_PER_SECOND}, 64));
    for (unsigned n = 0; n < 2000; n++)
        moderation_wants(&m, sim_time{2 * PS_PER_SECOND}, 64);
    EXPECT_TRUE(
        moderation_wants(&m, sim_time{4 * PS_PER_SECOND}, 64)); /* an epoch without any */
}

/* No timer, and no lost wake-up: the last of a burst has none behind it, and interrupts. The first burst is
   in the first epoch, with every frame; of the others 31 to 24 in flight deliver one of 3, 23 to 16 one of
   2, and so on: 20 of 32 at most. */
TEST_F(Card, VicInterruptsForTheLastFrameOfEachBurst)
{
    moderation = {MODERATION_vic, 0, 0, 1000 * PS_PER_NS};
    ring = 128;
    insert_bursts(32, 1000, 1, 96);
    at(1000 * 3);
    EXPECT_EQ(messages.back(), (message{2031, 0}));
    EXPECT_LE(messages.size(), 32u + 2 * 20);
    EXPECT_EQ(take_all(), 96u);
}

} // namespace
