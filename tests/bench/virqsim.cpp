/* virqsim's own event queue. */
#include <new>

#include "bench.h"

extern "C" {
#include "port/event.h"
}

struct Virqsim {
    static constexpr const char *name = "virqsim";
    using Event = struct event;

    explicit Virqsim(unsigned slots)
        : storage(::operator new (event_queue_bytes(slots), std::align_val_t{64}))
    {
        event_queue_init(&q, storage, slots);
    }
    ~Virqsim()
    {
        ::operator delete (storage, std::align_val_t{64});
    }
    Virqsim(const Virqsim &) = delete;

    template <void (*fire)(Event &)> void add(Event &e)
    {
        event_init(&q, &e, EVENT_PHASE_CPU, [](Event *self) { fire(*self); });
    }
    void arm(Event &e, uint64_t delay)
    {
        event_arm(&q, &e, {q.now.ps + delay});
    }
    void move(Event &e, uint64_t delay)
    {
        arm(e, delay);
    }
    uint64_t now() const
    {
        return q.now.ps;
    }
    void run(uint64_t until)
    {
        event_queue_run(&q, {until}, UINT64_MAX);
    }

    void *storage;
    struct event_queue q;
};

int main(int argc, char **argv)
{
    return bench_main<Virqsim>(argc, argv);
}
