#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "machine.h"
#include "plans.h"
#include "trace_file.h"
#include "waveform.h"

/* Time to the value that a variable had at the end of that instant, where it changed. */
using history = std::map<uint64_t, uint64_t>;

static void drop_what_did_not_change(history &h)
{
    for (auto next = h.begin(); next != h.end();) {
        const auto at = next++;
        if (at != h.begin() && std::prev(at)->second == at->second)
            h.erase(at);
    }
}

/* Of a variable wider than a bit, by its dotted name below the outermost scope. */
static history read_vcd(const std::string &text, const std::string &scope,
                        const std::string &name)
{
    std::istringstream lines(text);
    std::string in_scope, id;
    history h;
    uint64_t now = 0;

    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string first, second, third, fourth, fifth;
        words >> first >> second >> third >> fourth >> fifth;
        if (first == "$scope")
            in_scope = third;
        else if (first == "$var" && in_scope == scope && fifth == name)
            id = fourth;
        else if (first[0] == '#')
            now = std::stoull(first.substr(1));
        else if (first[0] == 'b' && second == id)
            h[now] = std::stoull(first.substr(1), nullptr, 2);
    }
    drop_what_did_not_change(h);
    return h;
}

TEST(Waveform, ShowsEachChangeOfStateAtTheInstantOfItsTraceRecord)
{
    const std::string json = ping_pong("apicv");
    virqsim_machine machine("machine", json);
    const scratch vcd("states.vcd"), file("states.vqt");
    EXPECT_THROW(waveform(machine.core(), vcd.path, {"*", "nonesuch"}), std::runtime_error);
    waveform wave(machine.core(), vcd.path, {"vcpu1.*"});
    machine.observe([&wave](uint64_t now_ps) { wave.sample(now_ps); });
    keep_trace(machine.core(), file.path);

    sc_core::sc_start();
    wave.close(virqsim_now(machine.core()));
    end_trace(machine.core());

    const std::string trace = read_all(file.path), text = read_all(vcd.path);
    EXPECT_TRUE(trace == trace_in_c(json)) << "being watched changes nothing";
    EXPECT_EQ(text.find("vcpu0"), std::string::npos) << "it was not asked for";

    history expected;
    for (const record &r : records_of(trace, "VCPU_STATE"))
        if (r.where == 1)
            expected[r.ps] = r.b;
    drop_what_did_not_change(expected);
    history shown = read_vcd(text, "vcpu1", "state");
    shown.erase(0);
    expected.erase(0);
    EXPECT_GT(expected.size(), 100u) << "each of the fifty halts moves it at least twice";
    EXPECT_EQ(shown, expected);

    const history in_service = read_vcd(text, "vcpu1", "in_service_vector");
    unsigned entered = 0;
    for (const auto &[ps, vector] : in_service)
        entered += vector == 48;
    EXPECT_EQ(entered, 50u) << "each of the fifty IPIs was in service once";
}
