/*
 * The workload's body alone: events fire in the order of arming, without a
 * queue that sorts, so what is left is the cost that every kernel shares.
 */
#include "bench.h"

struct Body {
    static constexpr const char *name = "body";

    struct Event {
        void (*fire)(Event &);
    };

    explicit Body(unsigned slots) : ring(slots), slots(slots)
    {
    }

    template <void (*fire)(Event &)> void add(Event &e)
    {
        e.fire = fire;
    }
    void arm(Event &e, uint64_t delay)
    {
        ring[tail] = {&e, delay};
        tail = tail + 1 == slots ? 0 : tail + 1;
        armed++;
    }
    void move(Event &, uint64_t)
    {
    }
    uint64_t now() const
    {
        return waited;
    }
    /* All that are armed wait at the same time, so their waits add up to that much more. */
    void run(uint64_t until)
    {
        while (waited < until * armed) {
            const Entry first = ring[head];
            head = head + 1 == slots ? 0 : head + 1;
            armed--;
            waited += first.delay;
            first.event->fire(*first.event);
        }
    }

  private:
    struct Entry {
        Event *event;
        uint64_t delay;
    };

    std::vector<Entry> ring;
    unsigned slots, head = 0, tail = 0;
    uint64_t armed = 0, waited = 0;
};

int main(int argc, char **argv)
{
    return bench_main<Body>(argc, argv);
}
