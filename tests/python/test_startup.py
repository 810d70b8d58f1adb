"""INIT, start-up IPIs and shutdowns as a user sees them: `run`, `explain`, and what Python refuses."""

import pytest
from virqsim import VirqsimError, icr_init, icr_startup


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
