/* Random plans, each from a seed: machines and guests that do a little of everything. */
#ifndef VIRQSIM_TESTS_RANDOM_PLAN_H
#define VIRQSIM_TESTS_RANDOM_PLAN_H

#include <random>

#include "plan.h"

namespace plans
{

class Draw
{
  public:
    explicit Draw(uint64_t seed) : engine_(seed)
    {
    }
    uint64_t below(uint64_t n)
    {
        return engine_() % n;
    }
    bool chance(unsigned percent)
    {
        return below(100) < percent;
    }
    template <class T> const T &of(const std::vector<T> &v)
    {
        return v[below(v.size())];
    }

  private:
    std::mt19937_64 engine_;
};

inline std::string operation(Draw &d, unsigned vcpus, bool handler)
{
    const std::string vector = std::to_string(32 + d.below(6) * 23);
    const std::string dest = std::to_string(d.below(vcpus));
    switch (d.below(handler ? 15 : 19)) {
    case 0:
    case 1:
        return "[\"compute\"," + std::to_string(d.below(5000)) + "]";
    case 2:
        return "[\"compute_uniform\",10," + std::to_string(10 + d.below(9000)) + "]";
    case 3:
    case 4:
        return "[\"ipi\"," + vector + "," + dest + "]";
    case 5: {
        const unsigned shorthand = (1 + (unsigned)d.below(3)) << 18;
        const unsigned mode = (unsigned)d.of<unsigned>({0, 0, 0, 4, 5}) << 8;
        return "[\"ipi\"," + std::to_string(shorthand | mode | (32 + d.below(6) * 23)) + ",0]";
    }
    case 6:
        return "[\"ipi\"," + std::to_string((1u << 11) | (32 + d.below(200))) + "," +
               std::to_string(1 << d.below(4)) + "]";
    case 7:
        return "[\"self_ipi\"," + vector + "]";
    case 8:
        return "[\"tpr\"," + std::to_string(d.below(4) * 32) +
               "],[\"compute\",300],[\"tpr\",0]";
    case 9:
        return "[\"cr8\"," + std::to_string(d.below(6)) + "],[\"compute\",300],[\"cr8\",0]";
    case 10:
        return "[\"timer_mode\",48," + std::to_string(d.below(4)) + "]";
    case 11:
        return "[\"tsc_deadline\"," + std::to_string(d.below(30000)) + "]";
    case 12:
        return "[\"timer_count\"," + std::to_string(d.below(2000)) + "," +
               std::to_string(1 << d.below(4)) + "]";
    case 13:
        return "[\"port_out\",128,1,0],[\"mmio_read\",4096,4],[\"cpuid\"]";
    case 14:
        return "[\"signal\"," + std::to_string(d.below(4)) + "]";
    case 15:
        return "[\"mask\"],[\"compute\"," + std::to_string(d.below(3000)) + "],[\"unmask\"]";
    case 16:
        return "[\"unmask_halt\"]";
    case 17:
        return "[\"host_interrupt\"],[\"delivery_fault\"]";
    default:
        return "[\"hypercall\"],[\"apic_read\",48],[\"pv_ipi\"," + vector + ",0," +
               std::to_string(vcpus) + "]";
    }
}

inline std::string program(Draw &d, unsigned vcpus, bool handler)
{
    std::string s;
    const uint64_t length = handler ? d.below(3) : 20 + d.below(60);

    if (handler && d.chance(30))
        s = "[\"eoi\"]," +
            (d.chance(50) ? std::string("[\"tpr\",240],[\"unmask\"],") : std::string());
    for (uint64_t i = 0; i < length; i++)
        s += operation(d, vcpus, handler) + ",";
    if (handler)
        return s + "[\"mask\"],[\"eoi\"],[\"tpr\",0]";
    return "[\"repeat\"," + std::to_string(1 + d.below(5)) + "]," + s +
           "[\"compute\",10],[\"end\"]";
}

inline void choose_features(Draw &d, Plan &p)
{
    static const std::vector<std::string> free_ones = {"hlt-in-guest", "pause-in-guest",
                                                       "fastpath", "pv-eoi"};
    for (const auto &f : free_ones)
        if (d.chance(25))
            p.features[f] = d.chance(50);
    if (p.technology != "svm" && d.chance(30))
        p.features["preemption-timer"] = false;
    if (p.technology == "apicv" && d.chance(30))
        p.features["posted-interrupts"] = false;
    if (p.technology == "none" && d.chance(30))
        p.features["apic-access-page"] = false;
    if (p.features.count("apic-access-page"))
        p.features["apic-page-slot"] = d.chance(50);
}

inline Plan random_plan(uint64_t seed)
{
    Draw d(seed);
    Plan p;
    const unsigned vcpus = 1 + (unsigned)d.below(5);

    p.seed = seed;
    p.technology = d.of<std::string>({"none", "apicv", "ipiv", "svm"});
    p.guest_apic = d.of<std::string>({"xapic", "x2apic"});
    p.irqchip = d.of<std::string>({"kernel", "kernel", "split", "userspace"});
    p.physical_cpus = 1 + (unsigned)d.below(vcpus);
    p.halt_poll_ns = d.chance(50) ? 0 : 200000;
    p.time_slice_ns = 50000 + d.below(100000);
    p.cost = d.of<uint64_t>({1, 7, 100, 1000});
    p.until_ns = 2000000;
    choose_features(d, p);
    for (unsigned i = 0; i < vcpus; i++) {
        Vcpu v{(unsigned)d.below(p.physical_cpus), "main" + std::to_string(i), {}};
        p.programs[v.program] = program(d, vcpus, false);
        for (unsigned n = 0; n < 6; n++)
            v.handlers[32 + n * 23] = "handler" + std::to_string(d.below(3));
        p.vcpus.push_back(v);
    }
    for (unsigned i = 0; i < 3; i++)
        p.programs["handler" + std::to_string(i)] = program(d, vcpus, true);
    if (d.chance(40))
        p.load.push_back((unsigned)d.below(p.physical_cpus));
    static const char *const kinds[] = {"msi", "level", "extint", "nmi"};
    for (unsigned i = 0; i < 4; i++)
        p.devices += std::string(i ? "," : "") + "{\"name\":\"d\",\"kind\":\"" + kinds[i] +
                     "\",\"vcpu\":" + std::to_string(d.below(vcpus)) +
                     ",\"vector\":" + std::to_string(60 + i * 40) +
                     ",\"delay_ns\":" + std::to_string(d.below(3000)) +
                     ",\"at_ns\":[1000,5000," + std::to_string(6000 + d.below(100000)) + "]}";
    return p;
}

} // namespace plans
#endif
