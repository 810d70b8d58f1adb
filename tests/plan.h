/* Plans for tests, written as a user would read them: machines, programs, policies. */
#ifndef VIRQSIM_TESTS_PLAN_H
#define VIRQSIM_TESTS_PLAN_H

#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace plans
{

struct Vcpu {
    unsigned pin = 0;
    std::string program;
    std::map<unsigned, std::string> handlers; /* vector to a program's name */
    std::string user_interrupts = "";         /* JSON, or empty: none */
    int nice = 0;
    bool roams = false;
    std::string startup = ""; /* JSON, after a comma: waits_for_sipi, after_reset */
};

/* docs/plan.md, with defaults under which a test need say only what it is about. */
struct Plan {
    std::string technology = "none", guest_apic = "x2apic", irqchip = "kernel";
    std::map<std::string, bool> features;
    std::map<std::string, std::string>
        programs; /* the operations, as JSON without the brackets */
    std::vector<Vcpu> vcpus;
    std::vector<unsigned> load;
    std::string idle_states;      /* JSON, without the brackets; empty: none */
    std::string host_interrupts;  /* JSON, without the brackets; empty: none */
    uint64_t tick_ns = 0;         /* of the host; 0: none */
    std::string threads;          /* JSON, without the brackets */
    std::string disks;            /* JSON, without the brackets */
    std::string devices, regions; /* JSON, without the brackets */
    std::string nics;             /* JSON, without the brackets */
    std::string tx_queues;        /* JSON, without the brackets */
    std::string serial;           /* JSON, or empty: none */
    std::string chipset;          /* JSON, or empty: none */
    std::string inhibits;         /* JSON, without the brackets */
    std::string without_rechecks; /* JSON, without the brackets */
    std::string faults;           /* JSON, without the brackets */
    std::string watchdog;         /* JSON, or empty: no limits */
    std::string schedule;         /* JSON, or empty: events in their order */
    bool pit_reinject = false, no_reboot = false;
    std::string hypothetical; /* declared features: JSON, without the brackets */
    std::string pause_loop;   /* JSON, or empty: KVM's defaults */
    unsigned sockets = 1, threads_per_core = 1;
    std::string scheduler; /* JSON, or empty: threads take turns */
    unsigned physical_cpus = 4;
    int housekeeping_cpu = -1; /* -1: none */
    uint64_t timer_advance_ns = 0;
    uint64_t seed = 1, until_ns = 0, halt_poll_ns = 0, time_slice_ns = 1000000;
    uint64_t cost = 100;                   /* of every key, in cycles of 1 ns */
    std::map<std::string, uint64_t> costs; /* but of these */

    std::string json() const
    {
        std::ostringstream o;
        o << R"({"format":"virqsim-plan-1","name":"test","seed":)" << seed
          << R"(,"technology":")" << technology << R"(","features":{)" << features_json()
          << R"(},"hypothetical":[)" << hypothetical << R"(],"machine":{)"
          << R"("core_hz":1000000000,"tsc_hz":1000000000,"apic_timer_hz":100000000,)"
          << R"("physical_cpus":)" << physical_cpus << R"(,"guest_apic":")" << guest_apic
          << R"(","vcpus":[)" << vcpus_json() << R"(],"load":[)" << load_json()
          << R"(],"threads":[)" << threads << R"(],"disks":[)" << disks
          << (idle_states.empty() ? "]" : "],\"idle_states\":[" + idle_states + "]")
          << (host_interrupts.empty() ? "" : ",\"host_interrupts\":[" + host_interrupts + "]")
          << R"(,"regions":[)" << regions << R"(],"devices":[)" << devices << "]"
          << (nics.empty() ? "" : ",\"nics\":[" + nics + "]")
          << (tx_queues.empty() ? "" : ",\"tx_queues\":[" + tx_queues + "]")
          << (serial.empty() ? "" : ",\"serial\":" + serial)
          << (chipset.empty() ? "" : ",\"chipset\":" + chipset)
          << (housekeeping_cpu < 0
                  ? ""
                  : ",\"housekeeping_cpu\":" + std::to_string(housekeeping_cpu))
          << R"(,"topology":{"sockets":)" << sockets << R"(,"threads_per_core":)"
          << threads_per_core << '}' << R"(},"hypervisor":{"irqchip":")" << irqchip
          << R"(","halt_poll_ns":)" << halt_poll_ns
          << R"(,"halt_poll_grow":2,"halt_poll_grow_start_ns":10000,"halt_poll_shrink":0,)"
          << R"("pit_reinject":)" << (pit_reinject ? "true" : "false") << R"(,"no_reboot":)"
          << (no_reboot ? "true" : "false") << R"(,"inhibits":[)" << inhibits
          << R"(],"without_rechecks":[)" << without_rechecks << R"(],"time_slice_ns":)"
          << time_slice_ns << R"(,"timer_advance_ns":)" << timer_advance_ns
          << (pause_loop.empty() ? "" : ",\"pause_loop\":" + pause_loop)
          << (tick_ns ? ",\"tick_ns\":" + std::to_string(tick_ns) : "")
          << (scheduler.empty() ? "" : ",\"scheduler\":" + scheduler)
          << R"(},"costs":{"profile":"test","kind":"assumed","cycles":{)" << costs_json()
          << R"(}},"programs":{)" << programs_json() << R"(},"run":{"until_ns":)" << until_ns
          << (schedule.empty() ? "" : ",\"schedule\":" + schedule) << "}"
          << (watchdog.empty() ? "" : ",\"watchdog\":" + watchdog) << ",\"faults\":[" << faults
          << "]}";
        return o.str();
    }

  private:
    template <class Range, class Each> static std::string joined(const Range &range, Each each)
    {
        std::string s;
        for (const auto &item : range)
            s += (s.empty() ? "" : ",") + each(item);
        return s;
    }
    std::string features_json() const
    {
        return joined(features, [](const auto &f) {
            return '"' + f.first + "\":" + (f.second ? "true" : "false");
        });
    }
    std::string vcpus_json() const
    {
        return joined(vcpus, [](const Vcpu &v) {
            return "{\"pin\":" + std::to_string(v.pin) + ",\"program\":\"" + v.program +
                   "\",\"handlers\":{" +
                   joined(v.handlers,
                          [](const auto &h) {
                              return '"' + std::to_string(h.first) + "\":\"" + h.second + '"';
                          }) +
                   "}" + (v.nice ? ",\"nice\":" + std::to_string(v.nice) : "") +
                   (v.roams ? ",\"roams\":true" : "") + v.startup +
                   (v.user_interrupts.empty() ? ""
                                              : ",\"user_interrupts\":" + v.user_interrupts) +
                   "}";
        });
    }
    std::string load_json() const
    {
        return joined(load,
                      [](unsigned pin) { return "{\"pin\":" + std::to_string(pin) + '}'; });
    }
    std::string costs_json() const
    {
        std::string s;
#define COST(id, name, meaning)                                                                \
    s += (s.empty() ? "\"" : ",\"") + std::string(name) +                                      \
         "\":" + std::to_string(costs.count(name) ? costs.at(name) : cost);
#include "cost/cost_keys.def"
#undef COST
        return s;
    }
    std::string programs_json() const
    {
        return joined(programs,
                      [](const auto &p) { return '"' + p.first + "\":[" + p.second + ']'; });
    }
};

} // namespace plans
#endif
