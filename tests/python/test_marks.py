"""Marks by which a guest's program ties the outside world to its own progress."""

import pytest
from virqsim import Machine, Plan, Program, VirqsimError, icr, profiles, runner

VECTOR = 0x31


def run(machine, technology):
    """Exit reason to exits of vCPU 1, or of the only one."""
    results = runner.run(Plan("marks", machine).resolve(profiles.load("skylake-sp"), technology))
    assert results.document["state"] == "ended"
    last = max(row["vcpu"] for row in results.document["vcpus"])
    exits = {}
    for row in results.document["exits"]:
        if row["vcpu"] == last:
            exits[row["reason"]] = exits.get(row["reason"], 0) + row["count"]
    return exits


def met_at_a_cpuid(held):
    """An IPI to a vCPU that executes CPUID; `held`: the host keeps it there until the IPI is sent."""
    machine = Machine()
    there, sent = machine.word("there"), machine.word("sent")
    sender = Program("sender").spin_until(there, 1).compute(5_000).ipi(icr(VECTOR), 1).word_add(sent)
    target = Program("target").word_add(there)
    if held:
        target.host_until(sent, 1)
    target.cpuid().spin_until(sent, 1).compute(20_000)
    machine.vcpu(sender)
    machine.vcpu(target)
    return machine


def test_a_vcpu_that_the_host_holds_takes_an_ipi_without_a_kick():
    assert run(met_at_a_cpuid(held=False), "none") == {"CPUID": 1, "EXTERNAL_INTERRUPT": 1, "MSR_WRITE": 1}
    assert run(met_at_a_cpuid(held=True), "none") == {"CPUID": 1, "MSR_WRITE": 1}


def test_an_operation_that_does_not_exit_is_not_held():
    machine = Machine()
    never = machine.word("never")
    machine.vcpu(Program("reader").host_until(never, 1).apic_read(0x80).compute(1_000))
    assert run(machine, "apicv") == {}


@pytest.mark.parametrize("technology, exits", [
    ("none", {"MSR_WRITE": 3, "PREEMPTION_TIMER": 1}),  # the mode, the deadline, the EOI
    ("svm", {"msr": 3, "interrupt": 1}),
    ("apicv", {"MSR_WRITE": 2, "PREEMPTION_TIMER": 1}),
    ("epic-sw", {"mu:gpa_data": 5, "cu:hv_int": 1}),  # TIMER_LVTT, _DIV, _INIT; VECT_INTA, EOI
    ("epic-hw", {}),
])
def test_an_armed_timer_expires_where_the_program_says(technology, exits):
    machine = Machine()
    word = machine.word("expired")
    program = Program("guest").timer_mode(VECTOR, 2).tsc_deadline(1 << 40).compute(5_000).timer_expires()
    machine.vcpu(program.spin_until(word, 1), {VECTOR: Program("handler").word_add(word).eoi()})
    assert run(machine, technology) == exits


@pytest.mark.parametrize("technology, mode, exits", [
    ("apicv", "x2apic", {"EXTERNAL_INTERRUPT": 2, "MSR_WRITE": 2}),  # two kicks; the self-IPI and the EOI in between
    ("x2avic", "x2apic", {"interrupt": 2, "msr": 4}),  # AVIC leaves for each self-IPI
    ("none", "x2apic", {"MSR_WRITE": 6}),  # which has nothing to switch off
])
def test_apicv_is_off_from_where_the_program_says_to_where_it_says(technology, mode, exits):
    machine, reason = Machine(mode), 3  # BLOCKIRQ
    guest = Program("guest").self_ipi(VECTOR).compute(20_000)
    guest.inhibit(reason, True).compute(20_000).self_ipi(VECTOR).compute(20_000)
    machine.vcpu(guest.inhibit(reason, False).compute(20_000).self_ipi(VECTOR).compute(20_000), {VECTOR: Program("handler").eoi()})
    assert run(machine, technology) == exits


def test_a_change_that_is_to_come_comes_before_the_next():
    machine = Machine()
    machine.vcpu(Program("guest").inhibit(3, True, 1 << 40).inhibit(6, True, 1_000).compute(20_000))
    results = runner.run(Plan("marks", machine).resolve(profiles.load("skylake-sp"), "apicv"))
    switched = [row["reason"] for row in results.document["inhibits"]["reasons"] if row["switches"]]
    assert switched[:2] == ["BLOCKIRQ", "APIC_BASE_MODIFIED"]


def test_a_reason_that_is_none_is_refused():
    machine = Machine()
    machine.vcpu(Program("guest").inhibit(99, True))
    with pytest.raises(VirqsimError, match="99 is out of range"):
        run(machine, "apicv")


def test_a_timer_that_is_not_armed_does_not_expire():
    machine = Machine()
    machine.vcpu(Program("guest").timer_mode(VECTOR, 2).timer_expires().compute(20_000))
    assert run(machine, "none") == {"MSR_WRITE": 1}
