/* Random plans of Elbrus machines, each from a seed. */
#ifndef VIRQSIM_TESTS_RANDOM_EPIC_H
#define VIRQSIM_TESTS_RANDOM_EPIC_H

#include <array>

#include "plan.h"
#include "random_feature.h"

namespace plans
{

inline std::string epic_vector(Draw &d)
{
    return std::to_string(d.of<unsigned>({48, 49, 200, 300, 301, 555, 700, 1023}));
}

/* The devices of each plan, by their numbers. */
enum EpicDevice : unsigned { EPIC_MSI, EPIC_MSI_2, EPIC_NMI_DEVICE, EPIC_PHYSICAL, EPIC_LINE };
inline constexpr std::array<unsigned, 4> EPIC_PINS = {5, 17, 6,
                                                      18}; /* of the lines, in order */

/* A store to a pin's page, by chance one that acknowledges or masks. */
inline std::string ioepic_store(Draw &d, unsigned vcpus)
{
    const unsigned page = 0xfec00000 + d.of<unsigned>({5, 17, 6, 18}) * 0x1000;
    const auto store = [](unsigned address, uint64_t value) {
        return "[\"mmio_write\"," + std::to_string(address) + ",4," + std::to_string(value) +
               "]";
    };
    if (d.chance(50))
        return store(page + 0x20, 1 << 12);
    return store(page + 0x24, d.of<unsigned>({48, 300, 520, 555, 1023, 0x8030})) + "," +
           store(page + 0x2c, d.below(vcpus + 1) << 6) + "," +
           store(page + 0x20, d.of<unsigned>({0, 1 << 15, 1 << 15, 1 << 16}));
}

/* What cannot be masked: the timer, the mask, other modes by ICR to oneself. */
inline std::string epic_nonmaskable(Draw &d)
{
    const auto store = [](unsigned offset, uint64_t value) {
        return "[\"apic_write\"," + std::to_string(offset) + "," + std::to_string(value) + "]";
    };
    switch (d.below(4)) {
    case 0:
        return store(0x260, d.below(2) << 17) + "," + store(0x270, 300 + d.below(900));
    case 1:
        return store(0x2d0, 0x600) + ",[\"compute\",700]," + store(0x2d0, 0);
    case 2:
        return store(0x1e0, 0x33e00);
    default:
        return store(0x200, (2 + d.below(5)) << 13 | 1 << 10);
    }
}

inline std::string epic_operation(Draw &d, unsigned vcpus, bool handler)
{
    const std::string dest = std::to_string(d.below(vcpus + 1)); /* one of them is nobody */

    switch (d.below(handler ? 13 : 19)) {
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
        return "[\"signal\"," + std::to_string(d.below(EPIC_LINE + EPIC_PINS.size())) + "]";
    case 10:
        return "[\"tpr\"," + std::to_string(d.below(5) * 32) +
               "],[\"compute\",300],[\"tpr\",0]";
    case 11:
        return ioepic_store(d, vcpus) + ",[\"lower\"," +
               std::to_string(EPIC_LINE + d.below(EPIC_PINS.size())) + "]";
    case 12:
        return epic_nonmaskable(d);
    case 13:
        return "[\"mask\"],[\"compute\"," + std::to_string(d.below(3000)) + "],[\"unmask\"]";
    case 14:
        return "[\"unmask_halt\"]";
    case 15:
        return "[\"host_interrupt\"],[\"delivery_fault\"],[\"cpuid\"],[\"wbinvd\"]";
    case 17: /* causes that KVM handles: rr_idr, rw_sclkm3, rr, exc_mem_error; three accesses */
        return "[\"intercept\"," +
               std::to_string(d.of<uint32_t>({0, 1, 0x81, 0x08000000, 0x21000080})) + "," +
               std::to_string(d.of<unsigned>({3, 4, 9, 17, 18}) | 3 << 5 | 5 << 10) + "," +
               std::to_string(d.below(4)) + "]";
    case 16:
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
        for (unsigned i = 0; i < EPIC_PINS.size(); i++) {
            const std::string line = std::to_string(EPIC_LINE + i) + "]";
            replace(operations, "[\"lower\"," + line, "[\"pause\"]");
            replace(operations, "[\"signal\"," + line, "[\"signal\",0]");
        }
    }
    for (Vcpu &v : p.vcpus)
        v.handlers = {{48, v.handlers[48]}, {210, v.handlers[48]}, {99, v.handlers[48]}};
    replace(p.devices, "520", "99");
    p.chipset = "";
    p.devices.erase(p.devices.find(R"(,{"name":"l")"));
}

/* Devices of all kinds; of the lines, the last two are assigned. */
inline std::string epic_devices(Draw &d, unsigned vcpus)
{
    std::string s;
    for (unsigned i = 0; i < EPIC_LINE; i++)
        s += std::string(i ? "," : "") + R"({"name":"d","kind":")" +
             (i == EPIC_NMI_DEVICE ? "nmi"
              : i == EPIC_PHYSICAL ? "assigned"
                                   : "msi") +
             '"' + (i == EPIC_NMI_DEVICE ? "" : R"(,"vector":520)") +
             (i == EPIC_PHYSICAL ? ",\"cpu\":" + std::to_string(d.below(4)) : "") +
             ",\"vcpu\":" + std::to_string(d.below(vcpus)) + ",\"at_ns\":[1000,1000,40000]}";
    for (unsigned i = 0; i < EPIC_PINS.size(); i++)
        s += R"(,{"name":"l","kind":"line","gsi":)" + std::to_string(EPIC_PINS[i]) +
             (i >= 2 ? ",\"assigned\":true,\"cpu\":" + std::to_string(d.below(4)) : "") +
             (d.chance(50) ? ",\"pulse_ns\":" + std::to_string(1 + d.below(9000)) : "") +
             ",\"at_ns\":[2000,30000]}";
    return s;
}

/* Something goes wrong, at times that a run comes to. */
inline void add_epic_faults(Plan &p)
{
    Draw d(p.seed + 15485863);
    const std::string vcpu = std::to_string(d.below(p.vcpus.size()));
    std::vector<std::string> faults = {
        R"("storm","for_ns":20000,"every_ns":300,"device":0)",
        R"("masked-msi","for_ns":30000,"device":0)",
        R"("absent-vcpu","vector":50,"apic_id":)" + std::to_string(p.vcpus.size()),
        R"("off-cpu","for_ns":300000,"vcpu":)" + vcpu,
        R"("moved","vcpu":)" + vcpu + ",\"cpu\":" + std::to_string(d.below(4)),
    };
    if (!p.chipset.empty())
        faults.push_back(R"("stuck-line","for_ns":60000,"gsi":)" +
                         std::to_string(EPIC_PINS[d.below(EPIC_PINS.size())]));
    for (const std::string &fault : faults)
        if (d.chance(20))
            p.faults += (p.faults.empty() ? "{\"kind\":" : ",{\"kind\":") + fault +
                        ",\"at_ns\":" + std::to_string(d.below(150000)) + "}";
    p.watchdog = "{}";
    if (d.chance(30))
        p.tick_ns = 10000 + d.below(200000);
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
    p.devices = epic_devices(d, vcpus);
    p.chipset = d.chance(50) ? R"({"ioepic":"v1"})" : R"({"ioepic":"v2"})";
    if (p.technology == "epic-hw") {
        p.features["epic-passthrough"] = d.chance(70);
        p.features["ioepic-direct-map"] = p.features["epic-passthrough"] && d.chance(50);
    }
    if (legacy)
        make_legacy(p);
    add_epic_faults(p);
    return p;
}

} // namespace plans
#endif
