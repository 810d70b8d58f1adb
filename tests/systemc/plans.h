/* Small plans for the SystemC host's tests, and the C host to compare with. */
#ifndef VIRQSIM_TESTS_SYSTEMC_PLANS_H
#define VIRQSIM_TESTS_SYSTEMC_PLANS_H

#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include "virqsim.h"

/* Every cost key, all different, so that an exchanged pair shows. */
inline std::string costs()
{
    std::string json;
    int cycles = 100;
#define COST(id, name, meaning)                                                                \
    json += (json.empty() ? "\"" : ",\"") + std::string(name) +                                \
            "\":" + std::to_string(cycles += 7);
#include "cost/cost_keys.def"
#undef COST
    return "{\"profile\":\"test\",\"kind\":\"assumed\",\"cycles\":{" + json + "}}";
}

inline std::string plan(const std::string &technology, const std::string &vcpus,
                        const std::string &programs, const std::string &devices = "",
                        const std::string &regions = "")
{
    return R"({"format":"virqsim-plan-1","name":"systemc","seed":1,"technology":")" +
           technology +
           R"(","machine":{"core_hz":2500000000,"tsc_hz":2500000000,"apic_timer_hz":25000000,)"
           R"("physical_cpus":4,"guest_apic":"x2apic","load":[],"vcpus":[)" +
           vcpus + R"(],"regions":[)" + regions + R"(],"devices":[)" + devices +
           R"(]},"hypervisor":{"irqchip":"kernel","halt_poll_ns":20000,"halt_poll_grow":2,)"
           R"("halt_poll_grow_start_ns":10000,"halt_poll_shrink":0,"time_slice_ns":3000000},)"
           R"("costs":)" +
           costs() + R"(,"programs":{)" + programs + R"(},"run":{"until_ns":0}})";
}

inline std::string ping_pong(const std::string &technology)
{
    return plan(technology,
                R"({"pin":0,"program":"sender","handlers":{"49":"on_reply"}},)"
                R"({"pin":1,"program":"target","handlers":{"48":"on_ping"}})",
                R"("sender":[["repeat",50],["stamp",1],["ipi",48,1],["halt_until",0,1],)"
                R"(["compute",5000],["word_add",1,1],["end"]],)"
                R"("on_reply":[["word_add",0,1],["eoi"]],)"
                R"("target":[["repeat",50],["compute",3000],["halt_until",2,1],["end"]],)"
                R"("on_ping":[["word_add",2,1],["eoi"],["ipi",49,0]])");
}

inline std::string timer_and_device(const std::string &technology)
{
    return plan(
        technology, R"({"pin":0,"program":"main","handlers":{"50":"tick","51":"tick"}})",
        R"("main":[["timer_mode",50,2],["tsc_deadline",40000],["halt_until",0,2],)"
        R"(["tsc_deadline",700000],["compute",900000],["halt_until",0,5]],)"
        R"("tick":[["word_add",0,1],["eoi"]])",
        R"({"name":"disk","kind":"msi","vcpu":0,"vector":51,"at_ns":[3000,50000,2000000]})");
}

inline std::string read_all(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/* A name in the folder for temporary files that goes away with the object. */
class scratch
{
  public:
    explicit scratch(const std::string &name)
        : path(testing::TempDir() + "virqsim_" + std::to_string(getpid()) + "_" + name)
    {
    }
    scratch(const scratch &) = delete;
    scratch &operator=(const scratch &) = delete;
    ~scratch()
    {
        std::remove(path.c_str());
    }
    const std::string path;
};

inline void keep_trace(virqsim *sim, const std::string &path)
{
    virqsim_error error;
    if (!virqsim_trace_open(sim, path.c_str(), &error))
        throw std::runtime_error(error.message);
}

inline void end_trace(virqsim *sim)
{
    virqsim_error error;
    if (!virqsim_trace_close(sim, &error))
        throw std::runtime_error(error.message);
}

/* The whole run by the C library's own loop: the trace's bytes. */
inline std::string trace_in_c(const std::string &plan_json)
{
    virqsim_error error;
    virqsim *sim = virqsim_open(plan_json.data(), plan_json.size(), &error);
    if (!sim)
        throw std::runtime_error(error.message);
    const scratch file("c.vqt");
    keep_trace(sim, file.path);
    while (virqsim_run(sim, VIRQSIM_NEVER, 1000) == VIRQSIM_RUNNING)
        ;
    end_trace(sim);
    virqsim_close(sim);
    return read_all(file.path);
}
#endif
