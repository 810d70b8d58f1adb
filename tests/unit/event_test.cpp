/* The event queue: its order, its bounds, and random programs against a naive queue. */
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include "shim.h"

namespace
{

constexpr uint64_t never = UINT64_MAX;

/* A queue of events that are known by their numbers. */
class Queue
{
  public:
    explicit Queue(uint32_t capacity)
        : storage(new (std::align_val_t{64}) char[event_queue_bytes(capacity)]), own(capacity)
    {
        event_queue_init(&q, storage.get(), capacity);
    }

    int add(event_phase phase)
    {
        Own &o = own[q.count];
        o.queue = this;
        event_init(&q, &o.event, phase, fired);
        return static_cast<int>(o.event.slot);
    }

    void arm(int i, uint64_t at)
    {
        event_arm(&q, &own[i].event, {at});
    }
    void disarm(int i)
    {
        event_disarm(&q, &own[i].event);
    }
    bool advance(int i, uint64_t at)
    {
        return event_advance(&q, &own[i].event, {at});
    }
    void stop()
    {
        event_queue_stop(&q);
    }
    uint64_t run(uint64_t until, uint64_t budget = UINT64_MAX)
    {
        return event_queue_run(&q, {until}, budget);
    }
    bool is_armed(int i) const
    {
        return event_is_armed(&q, &own[i].event);
    }
    uint64_t due(int i) const
    {
        return event_due(&q, &own[i].event).ps;
    }
    uint64_t next() const
    {
        return event_queue_next(&q).ps;
    }
    uint64_t now() const
    {
        return q.now.ps;
    }

    std::function<void(int)> fire = [](int) {};

  private:
    struct Own {
        struct event event;
        Queue *queue;
    };
    struct Free {
        void operator()(char *p) const
        {
            ::operator delete[](p, std::align_val_t{64});
        }
    };

    static void fired(struct event *e)
    {
        Own *o = EVENT_OWNER(e, Own, event);
        o->queue->fire(static_cast<int>(e->slot));
    }

    std::unique_ptr<char, Free> storage;
    std::vector<Own> own;
    struct event_queue q;
};

/* The same, so plain that it can be seen to be right: it looks at every event, and never advances. */
class NaiveQueue
{
  public:
    explicit NaiveQueue(uint32_t)
    {
    }

    int add(event_phase phase)
    {
        events.push_back({never, phase, 0});
        return static_cast<int>(events.size()) - 1;
    }
    void arm(int i, uint64_t at)
    {
        events[i].at = at;
        events[i].serial = serial++;
    }
    void disarm(int i)
    {
        events[i].at = never;
    }
    bool advance(int i, uint64_t at)
    {
        arm(i, at);
        return false;
    }
    void stop()
    {
        stopped = true;
    }
    uint64_t run(uint64_t until, uint64_t budget)
    {
        uint64_t count = 0;

        stopped = false;
        while (!stopped && count < budget && next() < until) {
            const int i = first();
            time = events[i].at;
            events[i].at = never;
            count++;
            fire(i);
        }
        if (!stopped && count < budget && until != never)
            time = std::max(time, until);
        return count;
    }
    bool is_armed(int i) const
    {
        return events[i].at != never;
    }
    uint64_t due(int i) const
    {
        return events[i].at;
    }
    uint64_t next() const
    {
        return events[first()].at;
    }
    uint64_t now() const
    {
        return time;
    }

    std::function<void(int)> fire;

  private:
    struct Event {
        uint64_t at;
        event_phase phase;
        uint64_t serial;
    };

    int first() const
    {
        int best = 0;

        for (int i = 1; i < static_cast<int>(events.size()); i++)
            if (order(events[i]) < order(events[best]))
                best = i;
        return best;
    }
    static std::tuple<uint64_t, int, uint64_t> order(const Event &e)
    {
        return {e.at, e.phase, e.serial};
    }

    std::vector<Event> events;
    uint64_t time = 0, serial = 0;
    bool stopped = false;
};

/* A queue that writes down what fires: pairs of an event's number and the time. */
class EventQueue : public ::testing::Test
{
  protected:
    using Log = std::vector<std::pair<int, uint64_t>>;

    Queue q{16};
    Log log;
    std::function<void(int)> then = [](int) {};

    EventQueue()
    {
        q.fire = [this](int i) {
            log.emplace_back(i, q.now());
            then(i);
        };
    }
    int device()
    {
        return q.add(EVENT_PHASE_DEVICE);
    }
    int cpu()
    {
        return q.add(EVENT_PHASE_CPU);
    }
};

TEST_F(EventQueue, FiresInTheOrderOfTime)
{
    const int a = cpu(), b = cpu(), c = cpu();
    q.arm(a, 30);
    q.arm(b, 10);
    q.arm(c, 20);
    EXPECT_EQ(q.run(never), 3u);
    EXPECT_EQ(log, (Log{{b, 10}, {c, 20}, {a, 30}}));
}

TEST_F(EventQueue, FiresEarlierPhasesFirstInsideOneInstant)
{
    const int observer = q.add(EVENT_PHASE_OBSERVER), core = cpu();
    const int controller = q.add(EVENT_PHASE_CONTROLLER), disk = device();
    for (int e : {observer, core, controller, disk})
        q.arm(e, 10);
    q.run(never);
    EXPECT_EQ(log, (Log{{disk, 10}, {controller, 10}, {core, 10}, {observer, 10}}));
}

TEST_F(EventQueue, FiresInTheOrderOfArmingInsideOnePhase)
{
    const int a = cpu(), b = cpu(), c = cpu();
    for (int e : {c, a, b})
        q.arm(e, 10);
    q.run(never);
    EXPECT_EQ(log, (Log{{c, 10}, {a, 10}, {b, 10}}));
}

TEST_F(EventQueue, ArmingAgainMovesTheEventAndTakesANewPlaceInTheOrder)
{
    const int a = cpu(), b = cpu();
    q.arm(a, 10);
    q.arm(b, 10);
    q.arm(a, 10);
    q.run(11);
    q.arm(a, 30);
    q.arm(b, 20);
    q.arm(a, 15);
    q.run(never);
    EXPECT_EQ(log, (Log{{b, 10}, {a, 10}, {a, 15}, {b, 20}}));
}

TEST_F(EventQueue, DisarmedEventsDoNotFire)
{
    const int a = cpu(), b = cpu();
    q.arm(a, 10);
    q.arm(b, 20);
    q.disarm(a);
    q.disarm(a);
    EXPECT_FALSE(q.is_armed(a));
    EXPECT_EQ(q.due(a), never);
    EXPECT_EQ(q.next(), 20u);
    q.run(never);
    EXPECT_EQ(log, (Log{{b, 20}}));
}

TEST_F(EventQueue, ArmingForNeverDisarms)
{
    const int a = cpu();
    q.arm(a, 10);
    q.arm(a, never);
    EXPECT_FALSE(q.is_armed(a));
    EXPECT_EQ(q.run(never), 0u);
}

TEST_F(EventQueue, AnEventIsNotArmedWhileItFires)
{
    const int a = cpu(), b = cpu();
    then = [&](int i) {
        EXPECT_FALSE(q.is_armed(i));
        EXPECT_EQ(q.due(i), never);
        EXPECT_EQ(q.next(), i == a ? 20u : never);
    };
    q.arm(a, 10);
    q.arm(b, 20);
    EXPECT_EQ(q.run(never), 2u);
}

TEST_F(EventQueue, AnEventThatDisarmsItselfWhileItFiresStaysDisarmed)
{
    const int a = cpu(), b = cpu();
    then = [&](int i) {
        if (i != a)
            return;
        q.disarm(a);
        q.arm(a, 15);
        q.disarm(a);
    };
    q.arm(a, 10);
    q.arm(b, 20);
    q.run(never);
    EXPECT_EQ(log, (Log{{a, 10}, {b, 20}}));
}

/* The key of the event that fires is stale then, and later in the order than what is armed here. */
TEST_F(EventQueue, AnEarlierPhaseArmedForThePresentInstantFiresNext)
{
    const int core = cpu(), other = cpu(), disk = device();
    then = [&](int i) {
        if (i == core && log.size() == 1) {
            q.arm(disk, q.now());
            q.arm(core, q.now());
        }
    };
    q.arm(core, 10);
    q.arm(other, 10);
    q.run(never);
    EXPECT_EQ(log, (Log{{core, 10}, {disk, 10}, {other, 10}, {core, 10}}));
}

TEST_F(EventQueue, AnEventMayDisarmAnotherOfTheSameInstant)
{
    const int a = cpu(), b = cpu();
    then = [&](int i) { q.disarm(i == a ? b : a); };
    q.arm(a, 10);
    q.arm(b, 10);
    q.run(never);
    EXPECT_EQ(log, (Log{{a, 10}}));
}

TEST_F(EventQueue, RunLeavesOutItsLastInstantAndEndsAtIt)
{
    const int a = cpu();
    q.arm(a, 10);
    EXPECT_EQ(q.run(10), 0u);
    EXPECT_EQ(q.now(), 10u);
    EXPECT_EQ(q.run(11), 1u);
    EXPECT_EQ(q.now(), 11u);
}

TEST_F(EventQueue, RunWithoutAnEndStopsAtTheLastEvent)
{
    const int a = cpu();
    q.arm(a, 10);
    q.run(never);
    EXPECT_EQ(q.now(), 10u);
}

TEST_F(EventQueue, RunUntilThePastDoesNothing)
{
    q.run(10);
    EXPECT_EQ(q.run(5), 0u);
    EXPECT_EQ(q.now(), 10u);
}

TEST_F(EventQueue, RunFiresNoMoreThanItsBudget)
{
    const int a = cpu(), b = cpu();
    q.arm(a, 10);
    q.arm(b, 20);
    EXPECT_EQ(q.run(100, 1), 1u);
    EXPECT_EQ(q.now(), 10u);
    EXPECT_EQ(q.run(100, 0), 0u);
    EXPECT_EQ(q.now(), 10u);
    EXPECT_EQ(q.run(100, 2), 1u);
    EXPECT_EQ(q.now(), 100u);
}

TEST_F(EventQueue, StopEndsTheRunAfterTheEventThatFires)
{
    const int a = cpu(), b = cpu();
    then = [&](int) { q.stop(); };
    q.arm(a, 10);
    q.arm(b, 10);
    EXPECT_EQ(q.run(100), 1u);
    EXPECT_EQ(q.now(), 10u);
    EXPECT_EQ(q.run(100), 1u);
    EXPECT_EQ(log, (Log{{a, 10}, {b, 10}}));
}

TEST_F(EventQueue, AdvanceMovesTimeOnWhenNothingElseIsDue)
{
    const int a = cpu(), b = cpu();
    then = [&](int i) {
        if (i != a)
            return;
        EXPECT_TRUE(q.advance(a, 15));
        EXPECT_EQ(q.now(), 15u);
        EXPECT_FALSE(q.is_armed(a));
        EXPECT_FALSE(q.advance(a, 20)); /* b was armed for then earlier */
        EXPECT_TRUE(q.is_armed(a));
    };
    q.arm(a, 10);
    q.arm(b, 20);
    EXPECT_EQ(q.run(20), 2u); /* the advance counts */
    EXPECT_EQ(q.next(), 20u);
}

TEST_F(EventQueue, AdvanceGoesBeforeALaterPhaseOfTheSameInstant)
{
    const int disk = device(), core = cpu();
    then = [&](int i) {
        if (i == disk) {
            EXPECT_TRUE(q.advance(disk, 20));
        } else {
            EXPECT_TRUE(q.advance(core, 25));
        }
    };
    q.arm(disk, 10);
    q.arm(core, 20);
    EXPECT_EQ(q.run(100), 4u);
}

TEST_F(EventQueue, AdvanceStaysWithinTheRunAndItsBudget)
{
    const int a = cpu();
    int advanced = 0;
    then = [&](int) {
        while (q.advance(a, q.now() + 10))
            advanced++;
    };
    q.arm(a, 0);
    EXPECT_EQ(q.run(30), 3u); /* at 0, 10 and 20 */
    EXPECT_EQ(q.run(1000, 4), 4u);
    EXPECT_EQ(q.now(), 60u);
    EXPECT_EQ(q.next(), 70u);
    EXPECT_EQ(advanced, 2 + 3);
}

TEST_F(EventQueue, AdvanceDoesNotPassAStop)
{
    const int a = cpu();
    then = [&](int) {
        q.stop();
        EXPECT_FALSE(q.advance(a, 20));
    };
    q.arm(a, 10);
    EXPECT_EQ(q.run(never), 1u);
    EXPECT_EQ(q.next(), 20u);
}

/* One event may hand over to another, armed or not, without a trip through the queue. */
TEST_F(EventQueue, AdvanceMayContinueAsAnotherEvent)
{
    const int a = cpu(), b = cpu();
    then = [&](int i) {
        EXPECT_EQ(i, a);
        EXPECT_TRUE(q.advance(b, 20));
        EXPECT_FALSE(q.is_armed(a));
        EXPECT_FALSE(q.is_armed(b));
        EXPECT_EQ(q.next(), never);
    };
    q.arm(a, 10);
    q.arm(b, 50);
    EXPECT_EQ(q.run(never), 2u);
    EXPECT_EQ(log, (Log{{a, 10}}));
}

TEST_F(EventQueue, HoldsAsManyEventsAsItsCapacity)
{
    for (int i = 0; i < 16; i++)
        q.arm(cpu(), 100 - i);
    EXPECT_EQ(q.run(never), 16u);
    for (int i = 0; i < 16; i++)
        EXPECT_EQ(log[i].first, 15 - i);
}

TEST(EventQueueStorage, HoldsAKeyForEachSlotAndEachNode)
{
    EXPECT_EQ(event_queue_bytes(4), (4 + 4) * 16u + 4 * 8u);
    EXPECT_EQ(event_queue_bytes(64), (4 + 4 + 16 + 64) * 16u + 64 * 8u);
}

/* A queue that outgrows the caches fetches ahead, and must not fetch beyond its end. */
TEST(EventQueueStorage, ALargeQueueKeepsTheOrderDownToItsLastEvent)
{
    constexpr int count = 5000;
    std::mt19937_64 random(3);
    std::vector<std::pair<uint64_t, int>> expected, fired;
    Queue q(count);

    q.fire = [&](int i) { fired.emplace_back(q.now(), i); };
    for (int i = 0; i < count; i++) {
        const uint64_t at = random() % count;
        q.arm(q.add(EVENT_PHASE_CPU), at);
        expected.emplace_back(at, i);
    }
    q.run(never);
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(fired, expected);
}

/* Everything a program can learn from the queue, in the order in which it learnt it. */
using Journal = std::vector<uint64_t>;

/*
 * Runs a random program. It draws its next steps from one random sequence in
 * the order in which its events fire, so two queues that differ once differ
 * from there on.
 */
template <class Q> Journal run_program(unsigned seed, int count)
{
    std::mt19937_64 random(seed);
    const auto below = [&random](uint64_t n) { return random() % n; };
    const auto any = [&] { return static_cast<int>(below(count)); };
    Journal journal;
    Q q(static_cast<uint32_t>(count));

    const uint64_t span = 1 + below(40);
    const auto soon = [&] { return q.now() + below(span); };
    q.fire = [&](int self) {
        for (;;) {
            journal.insert(journal.end(), {static_cast<uint64_t>(self), q.now()});
            for (uint64_t step = below(4); step > 0; step--) {
                const int e = below(2) ? self : any();
                switch (below(8)) {
                case 0:
                    q.disarm(e);
                    break;
                case 1:
                    journal.insert(journal.end(), {q.next(), q.due(e), q.is_armed(e)});
                    break;
                case 2:
                    if (below(20) == 0)
                        q.stop();
                    break;
                default:
                    q.arm(e, soon());
                }
            }
            if (below(2))
                return;
            self = below(4) ? self : any();
            if (!q.advance(self, soon()))
                return;
        }
    };
    for (int i = 0; i < count; i++)
        q.add(static_cast<event_phase>(below(4)));
    for (int round = 0; round < 30; round++) {
        for (uint64_t arms = 1 + below(3); arms > 0; arms--)
            q.arm(any(), soon());
        const uint64_t until = q.now() + below(3 * span), budget = below(60);
        journal.push_back(q.run(until, budget));
        journal.insert(journal.end(), {q.now(), q.next()});
    }
    return journal;
}

TEST(EventQueueProperty, RandomProgramsCannotTellItFromANaiveQueue)
{
    for (unsigned seed = 0; seed < 1500; seed++) {
        const int count =
            seed < 300 ? static_cast<int>(seed) + 1 : 1 + static_cast<int>(seed % 23);
        ASSERT_EQ(run_program<Queue>(seed, count), run_program<NaiveQueue>(seed, count))
            << "seed " << seed << ", " << count << " events";
    }
}

} // namespace
