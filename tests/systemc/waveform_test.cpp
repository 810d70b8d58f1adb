#include <gtest/gtest.h>
#include <sstream>

#include "machine.h"
#include "plans.h"
#include "waveform.h"

TEST(Waveform, RefusesAPatternThatNamesNoProbeThenDeclaresAllAndItsTimesAscend)
{
    virqsim_machine machine("machine", ping_pong("apicv"));
    const scratch file("all.vcd");
    EXPECT_THROW(waveform(machine.core(), file.path, {"*", "nonesuch"}), std::runtime_error);
    waveform wave(machine.core(), file.path, {});

    sc_core::sc_start();
    wave.close(virqsim_now(machine.core()));

    std::istringstream lines(read_all(file.path));
    unsigned declared = 0, probes = 0, changes = 0, bits = 0;
    uint64_t last = 0;
    char name[64];
    while (virqsim_probe(machine.core(), probes, name, sizeof name, &bits))
        probes++;
    for (std::string line; std::getline(lines, line);) {
        declared += line.rfind("$var wire ", 0) == 0;
        if (line[0] == '#') {
            const uint64_t now = std::stoull(line.substr(1));
            EXPECT_GE(now, last);
            last = now;
        } else if (line[0] != '$') {
            changes++;
        }
    }
    EXPECT_EQ(declared, probes);
    EXPECT_GT(changes, 500u) << "a hundred IPIs move states and pending vectors";
    EXPECT_EQ(last, virqsim_now(machine.core()));
}
