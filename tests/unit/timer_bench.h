/* An event queue with a clock that the test turns, for the devices that keep time. */
#ifndef VIRQSIM_TESTS_TIMER_BENCH_H
#define VIRQSIM_TESTS_TIMER_BENCH_H

#include <gtest/gtest.h>

#include <vector>

#include "shim.h"

class TimeBase
{
  public:
    event_queue queue;

    TimeBase()
    {
        event_queue_init(&queue, storage, capacity);
    }

    /* Fires what is due up to `ps`, this instant included, and stays there. */
    void run_until(uint64_t ps)
    {
        event_queue_run(&queue, sim_time{ps + 1}, UINT64_MAX);
        queue.now.ps = ps;
    }

  private:
    static constexpr uint32_t capacity = 8;
    alignas(64) unsigned char storage[1024];
};

/* A change of a line, and when. */
struct edge {
    uint64_t ps;
    unsigned line;
    bool level;

    bool operator==(const edge &other) const
    {
        return ps == other.ps && line == other.line && level == other.level;
    }
};

inline std::ostream &operator<<(std::ostream &out, const edge &e)
{
    return out << "line " << e.line << (e.level ? " up" : " down") << " at " << e.ps << " ps";
}
#endif
