"""Faults, as a scenario in Python has them, and what the watchdog prints of them."""

import json

import pytest

SCENARIO = '''"""What becomes of interrupts when something goes wrong?"""
from virqsim import Fault, Machine, Parameter, Plan, Program
PARAMETERS = {"kind": Parameter("none", "", "the fault", choices=("none", "storm", "off-cpu", "masked-msi", "absent-vcpu"))}
FAULTS = {
    "none": [],
    "storm": [Fault("storm", 50_000, 100_000, {"device": 0, "every_ns": 100})],
    "off-cpu": [Fault("off-cpu", 50_000, 1_000_000, {"vcpu": 0})],
    "masked-msi": [Fault("masked-msi", 50_000, 500_000, {"device": 0})],
    "absent-vcpu": [Fault("absent-vcpu", 50_000, of={"apic_id": 5, "vector": 48})],
}
def plan(p):
    machine = Machine()
    taken = machine.word("taken")
    machine.vcpu(Program("main").spin_until(taken, 1).compute(1_000_000), {48: Program("handler").eoi().word_add(taken)})
    busy = Program("busy")
    with busy.repeat(10_000):
        busy.compute(1_000).cpuid()
    machine.vcpu(busy)
    machine.device("disk", "msi", 0, 48, at_ns=[200_000, 300_000])
    return Plan("faulty", machine, technology="apicv", faults=FAULTS[p.kind], watchdog={"pending_ns": 100_000})
'''


@pytest.fixture
def faulty(virqsim, tmp_path):
    """Runs the scenario with a fault; the accounting of vector 48, the findings' lines, and the results."""

    def call(kind):
        (tmp_path / "faulty.py").write_text(SCENARIO)
        said = virqsim("run", "faulty.py", "--set", f"kind={kind}", "--json", "--trace")
        assert said.status == 0, said.err
        document = json.loads(said.out)
        row = next(row for row in document["accounting"] if row["vector"] == 48)
        assert row["raised"] == row["delivered"] + row["coalesced"] + row["refused"] + row["pending"]
        return row, [finding["line"] for finding in document["findings"]], document

    return call


def test_without_a_fault_nothing_is_found(faulty):
    row, lines, _ = faulty("none")
    assert (row["delivered"], lines) == (2, [])


def test_a_storm_is_coalesced(faulty):
    row, lines, _ = faulty("storm")
    assert (row["raised"], lines) == (1_002, [])
    assert row["coalesced"] > 0


def test_a_vcpu_off_its_cpu_has_its_interrupt_pending_for_long(faulty):
    row, lines, _ = faulty("off-cpu")
    assert (row["delivered"], row["coalesced"]) == (1, 1)
    assert len(lines) == 1
    assert lines[0].startswith("vCPU 0 (PARKED), vector 48: an interrupt is pending that the guest could take, since 200000.000 ns")


def test_a_masked_vector_is_one_pending_bit(faulty):
    row, lines, document = faulty("masked-msi")
    assert (row["delivered"], row["coalesced"], lines) == (1, 1, [])
    assert document["latency"][0]["max_ps"] > 350_000_000


def test_a_message_to_nobody_is_refused(faulty):
    _, lines, document = faulty("absent-vcpu")
    assert (document["refused_nowhere"], lines) == (1, [])


def test_people_see_what_the_watchdog_found(virqsim, tmp_path):
    (tmp_path / "faulty.py").write_text(SCENARIO)
    assert "The watchdog found" in virqsim("run", "faulty.py", "--set", "kind=off-cpu").out
    assert "The watchdog" not in virqsim("run", "faulty.py").out
