"""The guest's timer and who counts for it, from a scenario's side."""

import pytest
from virqsim import Hypervisor, Machine, Plan, Program, profiles, runner
from virqsim.plan import housekept

VECTOR = 48


def tick(hypervisor=Hypervisor(), machine=None):
    """A vCPU that spins until its timer has ticked once."""
    machine = machine or Machine()
    ticks = machine.word("ticks")
    guest = Program("guest").timer_mode(VECTOR, 2).tsc_deadline(50_000).spin_until(ticks, 1)
    machine.vcpu(guest, {VECTOR: Program("on_tick").word_add(ticks).eoi()})
    return Plan("tick", machine, hypervisor)


def machine_of(plan, features):
    return plan.resolve(profiles.load("unit"), "apicv", features)["machine"]


def test_a_plan_gets_a_housekeeping_cpu_where_its_features_ask_for_one():
    posting = {"timer-posting": True, "hlt-in-guest": True}
    assert "housekeeping_cpu" not in machine_of(tick(), {})
    added = machine_of(tick(), posting)
    assert (added["physical_cpus"], added["housekeeping_cpu"]) == (2, 1)
    given = machine_of(tick(machine=Machine(housekeeping_cpu=5)), posting)
    assert (given["physical_cpus"], given["housekeeping_cpu"]) == (6, 5)


def test_a_plan_that_is_housekept_is_left_alone():
    plan = tick().resolve(profiles.load("unit"), "apicv", {"timer-posting": True, "hlt-in-guest": True})
    assert housekept(plan) is plan


def test_a_fixed_advance_is_the_policys():
    plan = tick(Hypervisor(timer_advance_ns=5000)).resolve(profiles.load("skylake-sp"), "apicv")
    cost = plan["costs"]["cycles"]
    late = runner.run(plan).document["latency"][0]["max_ps"] / 400 - cost["hw.entry"] - cost["hw.virtual_deliver"]
    assert 0 <= late < cost["kvm.delay"]  # cycles of a core at 2.5 GHz: KVM waits in turns


@pytest.mark.parametrize(("technology", "features"), [
    ("none", {}), ("apicv", {}), ("svm", {}), ("avic", {}), ("eli", {}), ("did", {"direct-timer": False}),
    ("did", {"direct-timer": False, "direct-eoi": False}), ("direct", {"direct-timer": False})])
def test_an_advanced_timer_is_awaited_however_its_interrupt_comes(technology, features):
    """A latency is counted from the deadline, and never negative: 0 would be a handler before it."""
    plan = tick(Hypervisor(timer_advance_ns=5000)).resolve(profiles.load("skylake-sp"), technology, features)
    latency = next(row for row in runner.run(plan).document["latency"] if row["source"] == "timer")
    assert latency["min_ps"] >= plan["costs"]["cycles"]["hw.entry"] * 400  # of a core at 2.5 GHz
