/*
 * What the event kernels are measured with.
 *
 * A workload is written once, against the few operations that every kernel has:
 *
 *     K::Event                  what an entity derives from
 *     k.add<fire>(event)        makes the event known, disarmed
 *     k.arm(event, delay)       arms it, or moves it, to now + delay picoseconds
 *     k.move(event, delay)      the same, for an event that is not expected to fire
 *     k.now()                   in picoseconds
 *     k.run(until)              fires what is due before then
 *
 * Each entity draws from a random sequence of its own, and what it does depends
 * on nothing else but the time. So the checksum of a run does not depend on how
 * a kernel orders two entities inside one instant, which SystemC leaves open,
 * and kernels that lose, repeat or misplace no event agree on it.
 */
#ifndef VIRQSIM_BENCH_WORKLOAD_H
#define VIRQSIM_BENCH_WORKLOAD_H

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

/* splitmix64 */
inline uint64_t draw(uint64_t &state)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* What an entity remembers: enough to notice a lost, repeated or misplaced event. */
struct Memory {
    uint64_t random, sum = 0, fired = 0;

    uint64_t step(uint64_t now)
    {
        const uint64_t r = draw(random);
        sum += (r | 1) * now;
        fired++;
        return r;
    }
};

struct Outcome {
    uint64_t checksum = 0, events = 0;

    void add(const Memory &m)
    {
        checksum += m.sum;
        events += m.fired;
    }
};

/*
 * PHOLD, the customary benchmark of event queues: a constant number of events,
 * each of which, when it fires, arms itself again after an exponential delay.
 */
template <class K> class Phold
{
  public:
    static constexpr double mean_delay = 1.0995e12; /* ps: about 2^40, so that ties are rare */

    Phold(K &kernel, unsigned size) : k(kernel), entities(size)
    {
        for (unsigned i = 0; i < delays.size(); i++)
            delays[i] =
                static_cast<uint64_t>(-std::log((i + 0.5) / delays.size()) * mean_delay);
        for (unsigned i = 0; i < size; i++) {
            Entity &e = entities[i];
            e.world = this;
            e.memory.random = i;
            k.template add<fire>(e);
            k.arm(e, delay(draw(e.memory.random)));
        }
    }

    static unsigned slots(unsigned size)
    {
        return size;
    }
    /* How long it takes, in simulated time, until about so many events have fired. */
    static uint64_t span(unsigned size, double events)
    {
        return static_cast<uint64_t>(events * mean_delay / size);
    }
    Outcome outcome() const
    {
        Outcome o;
        for (const Entity &e : entities)
            o.add(e.memory);
        return o;
    }

  private:
    struct Entity : K::Event {
        Phold *world;
        Memory memory;
    };

    static void fire(typename K::Event &event)
    {
        Entity &e = static_cast<Entity &>(event);
        Phold &w = *e.world;
        w.k.arm(e, w.delay(e.memory.step(w.k.now())));
    }
    uint64_t delay(uint64_t r) const
    {
        return delays[r % delays.size()] + (r >> 34);
    }

    K &k;
    std::vector<Entity> entities;
    std::array<uint64_t, 1024> delays;
};

/*
 * Pairs of vCPUs send each other an interrupt to and fro. With a timer, every
 * vCPU moves its own one whenever an interrupt arrives, as a guest moves its
 * TSC deadline: it is armed all the time and does not come to fire.
 */
template <class K, bool with_timer> class PingPong
{
  public:
    static constexpr uint64_t least_delay = 500000, delay_spread = 1 << 20; /* ps */
    static constexpr uint64_t timer_delay = 100000000;

    PingPong(K &kernel, unsigned size) : k(kernel), vcpus(size)
    {
        for (unsigned i = 0; i < size; i++) {
            Vcpu &v = vcpus[i];
            v.world = this;
            v.partner = &vcpus[i ^ 1];
            v.memory.random = i;
            k.template add<fire>(v);
            if (with_timer)
                k.template add<expire>(v.timer);
        }
        for (unsigned i = 0; i < size; i += 2)
            k.arm(vcpus[i], delay(draw(vcpus[i].memory.random)));
    }

    static unsigned slots(unsigned size)
    {
        return with_timer ? 2 * size : size;
    }
    static uint64_t span(unsigned size, double events)
    {
        return static_cast<uint64_t>(events * (least_delay + delay_spread / 2) / (size / 2));
    }
    Outcome outcome() const
    {
        Outcome o;
        for (const Vcpu &v : vcpus)
            o.add(v.memory);
        return o;
    }

  private:
    struct Vcpu : K::Event {
        typename K::Event timer;
        PingPong *world;
        Vcpu *partner;
        Memory memory;
    };

    static void fire(typename K::Event &event)
    {
        Vcpu &v = static_cast<Vcpu &>(event);
        PingPong &w = *v.world;
        const uint64_t r = v.memory.step(w.k.now());
        if (with_timer)
            w.k.move(v.timer, timer_delay);
        w.k.arm(*v.partner, delay(r));
    }
    static void expire(typename K::Event &)
    {
    }
    static uint64_t delay(uint64_t r)
    {
        return least_delay + r % delay_spread;
    }

    K &k;
    std::vector<Vcpu> vcpus;
};

#endif
