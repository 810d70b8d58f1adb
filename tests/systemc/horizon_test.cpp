#include <gtest/gtest.h>

#include "machine.h"
#include "plans.h"

TEST(SystemcHost, RunForStopsTheMachineWithSystemcAndLeavesItsLastInstantOut)
{
    virqsim_machine machine("machine", timer_and_device("none"));
    sc_core::sc_signal<bool> line;
    machine.lines[0].bind(line);

    machine.run_for(sc_core::sc_time(3, sc_core::SC_US)); /* when the device acts first */
    EXPECT_EQ(sc_core::sc_time_stamp(), sc_core::sc_time(3, sc_core::SC_US));
    EXPECT_LE(virqsim_now(machine.core()), 3000000u);
    EXPECT_EQ(virqsim_next(machine.core()), 3000000u);
    EXPECT_EQ(machine.state(), VIRQSIM_RUNNING);

    machine.run_for(sc_core::sc_time(10, sc_core::SC_MS));
    EXPECT_EQ(machine.state(), VIRQSIM_ENDED);
}
