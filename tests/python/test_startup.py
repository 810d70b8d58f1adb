"""INIT, start-up IPIs and shutdowns as a user sees them: `run`, `explain`, and what Python refuses."""

import pytest
from virqsim import Scenario, VirqsimError, icr_init, icr_startup, profiles, run


@pytest.fixture
def started(virqsim):
    virqsim("run", "processor_startup", "--set", "processors=1", "--set", "shutdown=stop", "--trace", "--out", "run")
    return virqsim


def test_a_run_says_who_stopped_the_machine(virqsim):
    shown = virqsim("run", "processor_startup", "--set", "shutdown=stop").out
    assert "ended: vCPU 0 stopped the VM by KVM_EXIT_SHUTDOWN" in shown
    assert "stopped" not in virqsim("run", "processor_startup").out


def test_an_init_and_a_sipi_have_stories_with_an_end(started):
    init, sipi = (started("explain", "run", "--flow", flow).out for flow in "12")
    assert "vCPU 0 sent INIT by its ICR" in init and "; taken" in init.splitlines()[0]
    assert "vCPU 0 sent a start-up IPI by its ICR" in sipi and "it is reset, or begins" in sipi


def test_the_icr_of_both_is_the_manuals():
    """SDM 3A "MP Initialization Protocol Algorithm": 000C4500H broadcasts INIT, 000C46XXH a SIPI."""
    assert icr_init(shorthand="all-but-self") == 0xC4500
    assert icr_startup(0x9A, shorthand="all-but-self") == 0xC469A
    with pytest.raises(VirqsimError, match="icr_startup: page: 256 is none of 0..255"):
        icr_startup(256)


def up_us(**parameters):
    scenario, costs = Scenario.load("processor_startup"), profiles.load("skylake-sp")
    results = run("processor_startup", **parameters)
    return scenario.report(results, scenario.values(parameters, costs.clocks)).iloc[0]["up_us"]


@pytest.mark.parametrize("wait_us", [0, 2, 10])
@pytest.mark.parametrize("more", [{"processors": 3}, {"processors": 9}, {"processors": 2, "shutdown": "reset"}])
def test_the_way_from_one_start_to_the_next_is_no_start(more, wait_us):
    """Each starts as the only one does, however short the wait between is."""
    assert up_us(wait_us=wait_us, **more) == up_us(wait_us=wait_us, processors=1)


def test_a_wait_of_less_than_nothing_is_refused(refused):
    said = refused("run", "processor_startup", "--set", "wait_us=-1")
    assert said.endswith("processor_startup: wait_us: -1 is not at least 0")
