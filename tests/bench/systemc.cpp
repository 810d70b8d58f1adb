/* SystemC alone: an sc_event and an SC_METHOD sensitive to it for each event. */
/* sc_spawn() and its options */
#define SC_INCLUDE_DYNAMIC_PROCESSES
#include <systemc>

#include "bench.h"

struct SystemC {
    static constexpr const char *name = "systemc";
    using Event = sc_core::sc_event;

    explicit SystemC(unsigned)
    {
        sc_core::sc_set_time_resolution(1, sc_core::SC_PS);
    }

    template <void (*fire)(Event &)> void add(Event &e)
    {
        sc_core::sc_spawn_options options;

        options.spawn_method();
        options.dont_initialize();
        options.set_sensitivity(&e);
        sc_core::sc_spawn([&e] { fire(e); }, nullptr, &options);
    }
    void arm(Event &e, uint64_t delay)
    {
        e.notify(sc_core::sc_time::from_value(delay));
    }
    /* A later notification than the pending one is ignored, so it must be cancelled. */
    void move(Event &e, uint64_t delay)
    {
        e.cancel();
        arm(e, delay);
    }
    uint64_t now() const
    {
        return sc_core::sc_time_stamp().value();
    }
    void run(uint64_t until)
    {
        sc_core::sc_start(sc_core::sc_time::from_value(until - now()));
    }
};

int sc_main(int argc, char **argv)
{
    return bench_main<SystemC>(argc, argv);
}
