#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "machine.h"
#include "plans.h"
#include "random_plan.h"

/* A machine under SystemC, its trace, and the trace that the C host made of the same plan. */
struct subject {
    explicit subject(const std::string &json)
        : plan_json(json), machine(sc_core::sc_gen_unique_name("machine"), json),
          quiet(sc_core::sc_gen_unique_name("quiet"), machine.lines.size()),
          file(machine.name())
    {
        if (quiet.size() > 0)
            machine.lines.bind(quiet);
        keep_trace(machine.core(), file.path);
    }
    std::string plan_json;
    virqsim_machine machine;
    sc_core::sc_vector<sc_core::sc_signal<bool>> quiet;
    scratch file;
};

/* Several machines share one SystemC, so each is beside the others and a busy clock. */
TEST(SystemcHost, GivesTheTraceOfTheCHostBesideOtherMachinesAndABusyClock)
{
    sc_core::sc_clock clock("clock", sc_core::sc_time(1.7, sc_core::SC_NS));
    std::vector<std::unique_ptr<subject>> subjects;
    for (const char *technology : {"none", "apicv", "ipiv"}) {
        subjects.push_back(std::make_unique<subject>(ping_pong(technology)));
        subjects.push_back(std::make_unique<subject>(timer_and_device(technology)));
    }

    for (uint64_t seed = 0; seed < 40; seed++)
        subjects.push_back(std::make_unique<subject>(plans::random_plan(seed).json()));

    sc_core::sc_start(4, sc_core::SC_MS);

    for (auto &s : subjects) {
        /* A random guest may nest its handlers too deep, and be told so. */
        EXPECT_TRUE(s->machine.state() == VIRQSIM_ENDED || s->machine.state() == VIRQSIM_BROKEN)
            << s->machine.name();
        end_trace(s->machine.core());
        const std::string trace = read_all(s->file.path);
        EXPECT_FALSE(trace.empty());
        EXPECT_TRUE(trace == trace_in_c(s->plan_json)) << s->machine.name();
    }
}
