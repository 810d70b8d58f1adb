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
        ring[tail] = &e;
        tail = tail + 1 == slots ? 0 : tail + 1;
        armed++;
        total_delay += delay;
    }
    void move(Event &, uint64_t)
    {
    }
    uint64_t now() const
    {
        return total_delay;
    }
    /* Time is what the events would have taken one after the other, shared by those armed. */
    void run(uint64_t until)
    {
        while (total_delay < until * armed) {
            Event &e = *ring[head];
            head = head + 1 == slots ? 0 : head + 1;
            armed--;
            e.fire(e);
        }
    }

  private:
    std::vector<Event *> ring;
    unsigned slots, head = 0, tail = 0;
    uint64_t armed = 0, total_delay = 0;
};

int main(int argc, char **argv)
{
    return bench_main<Body>(argc, argv);
}
