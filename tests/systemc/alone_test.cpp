#include <gtest/gtest.h>

#include "machine.h"
#include "plans.h"

TEST(SystemcHost, AloneRunsToItsEndAndGivesTheTraceOfTheCHost)
{
    const std::string json = ping_pong("apicv");
    virqsim_machine machine("machine", json);
    const scratch file("systemc.vqt");
    keep_trace(machine.core(), file.path);

    sc_core::sc_start();

    EXPECT_EQ(machine.state(), VIRQSIM_ENDED);
    end_trace(machine.core());
    EXPECT_TRUE(read_all(file.path) == trace_in_c(json));
}
