/* Random plans of Elbrus machines, each from a seed. */
#ifndef VIRQSIM_TESTS_RANDOM_EPIC_H
#define VIRQSIM_TESTS_RANDOM_EPIC_H

#include "plan.h"
#include "random_feature.h"

namespace plans
{

inline std::string epic_vector(Draw &d)
{
    return std::to_string(d.of<unsigned>({48, 49, 200, 300, 301, 555, 700, 1023}));
}

inline std::string epic_operation(Draw &d, unsigned vcpus, bool handler)
{
    const std::string dest = std::to_string(d.below(vcpus + 1)); /* one of them is nobody */

    switch (d.below(handler ? 11 : 16)) {
    case 0:
    case 1:
        return "[\"compute\"," + std::to_string(d.below(5000)) + "]";
    case 2:
    case 3:
    case 4:
        return "[\"epic_ipi\"," + epic_vector(d) + "," + dest + "]";
    case 5:
        return "[\"self_ipi\"," + epic_vector(d) + "]";
    case 6: {
        const unsigned mode = (unsigned)d.of<unsigned>({0, 0, 0, 4}) << 8;
        return "[\"ipi\"," + std::to_string((1 + d.below(3)) << 18 | mode | 60) + ",0]";
    }
    case 7:
        return "[\"timer_mode\"," + epic_vector(d) + "," +
               std::to_string(d.of<unsigned>({0, 1, 2, 3})) + "],[\"timer_count\"," +
               std::to_string(d.below(2000)) + "," + std::to_string(1 << d.below(4)) + "]";
    case 8:
        return "[\"tsc_deadline\"," + std::to_string(d.below(30000)) + "]";
    case 9:
        return "[\"signal\"," + std::to_string(d.below(3)) + "]";
    case 10:
        return "[\"tpr\"," + std::to_string(d.below(5) * 32) +
               "],[\"compute\",300],[\"tpr\",0]";
    case 11:
        return "[\"mask\"],[\"compute\"," + std::to_string(d.below(3000)) + "],[\"unmask\"]";
    case 12:
        return "[\"unmask_halt\"]";
    case 13:
        return "[\"host_interrupt\"],[\"delivery_fault\"],[\"cpuid\"],[\"wbinvd\"]";
    case 14:
        return "[\"port_out\",128,1,0],[\"mmio_read\",4096,4],[\"touch\",8192],[\"hypercall\"]";
    default:
        return "[\"word_add\",4,1],[\"pause_take\",4,1],[\"pause\"]";
    }
}

inline std::string epic_program(Draw &d, unsigned vcpus, bool handler)
{
    std::string s;
    const uint64_t length = handler ? d.below(3) : 20 + d.below(60);

    for (uint64_t i = 0; i < length; i++)
        s += epic_operation(d, vcpus, handler) + ",";
    if (handler)
        return (d.chance(30) ? "[\"unmask\"]," : "") + s + "[\"mask\"],[\"eoi\"]";
    return "[\"repeat\"," + std::to_string(1 + d.below(5)) + "]," + s +
           "[\"compute\",10],[\"end\"]";
}

/* A guest that knows only a local APIC: no vectors above 255, no TSC deadline. */
inline void make_legacy(Plan &p)
{
    const auto replace = [](std::string &s, const std::string &from, const std::string &to) {
        for (size_t at = 0; (at = s.find(from, at)) != std::string::npos; at += to.size())
            s.replace(at, from.size(), to);
    };
    p.guest_apic = "xapic";
    for (auto &[name, operations] : p.programs) {
        for (const char *vector : {"300", "301", "555", "700", "1023"}) {
            replace(operations, std::string("epic_ipi\",") + vector, "epic_ipi\",210");
            replace(operations, std::string("self_ipi\",") + vector, "self_ipi\",99");
            replace(operations, std::string("timer_mode\",") + vector, "timer_mode\",61");
        }
        replace(operations, "epic_ipi", "ipi");
        replace(operations, "[\"tsc_deadline\",", "[\"compute\",");
    }
    for (Vcpu &v : p.vcpus)
        v.handlers = {{48, v.handlers[48]}, {210, v.handlers[48]}, {99, v.handlers[48]}};
    replace(p.devices, "520", "99");
}

inline Plan random_epic(uint64_t seed)
{
    Draw d(seed);
    Plan p;
    const unsigned vcpus = 1 + (unsigned)d.below(5);

    p.seed = seed;
    p.technology = d.chance(60) ? "epic-hw" : "epic-sw";
    p.guest_apic = "epic";
    const bool legacy = d.chance(25);

    p.cost = 1 + d.below(300);
    p.halt_poll_ns = d.chance(50) ? 0 : d.below(50000);
    p.time_slice_ns = 2000 + d.below(50000);
    p.until_ns = 3000000;
    for (unsigned i = 0; i < vcpus; i++) {
        const std::string n = std::to_string(i);
        p.programs["m" + n] = epic_program(d, vcpus, false);
        p.programs["h" + n] = epic_program(d, vcpus, true);
        p.vcpus.push_back({(unsigned)d.below(4),
                           "m" + n,
                           {{48, "h" + n}, {300, "h" + n}, {555, "h" + n}, {1023, "h" + n}}});
    }
    if (d.chance(50))
        p.load = {(unsigned)d.below(4)};
    for (unsigned i = 0; i < 3; i++)
        p.devices += std::string(i ? "," : "") + "{\"name\":\"d\",\"kind\":\"" +
                     (i == 2 ? "nmi\",\"vcpu\":" : "msi\",\"vector\":520,\"vcpu\":") +
                     std::to_string(d.below(vcpus)) + ",\"at_ns\":[1000,1000,40000]}";
    if (legacy)
        make_legacy(p);
    return p;
}

} // namespace plans
#endif
