"""A wrong plan is refused with one line that names the place, the value and what would be right."""

import copy

import pytest
from virqsim import Machine, Plan, Program, VirqsimError, profiles
from virqsim.library import Simulation


@pytest.fixture
def plan():
    """A small plan without a fault: one vCPU that computes."""
    machine = Machine()
    machine.vcpu(Program("main").compute(10), {48: Program("handler").eoi()})
    return copy.deepcopy(Plan("small", machine).resolve(profiles.load("unit")))


def refusal(plan):
    with pytest.raises(VirqsimError) as refused, Simulation(plan):
        pass
    line = str(refused.value)
    assert line.startswith("plan: ")
    assert "\n" not in line
    return line


def test_the_plan_without_a_fault_runs_to_its_end(plan):
    with Simulation(plan) as simulation:
        assert simulation.run() == "ended"


@pytest.mark.parametrize("path", [(), ("machine",), ("machine", "vcpus", 0), ("hypervisor",), ("costs",), ("run",)])
def test_an_unknown_key_is_named(plan, path):
    place = plan
    for step in path:
        place = place[step]
    place["colour"] = 1
    assert "colour" in refusal(plan)


@pytest.mark.parametrize("path", [
    ("format",), ("technology",), ("machine", "core_hz"), ("machine", "guest_apic"), ("machine", "vcpus", 0, "program"),
    ("hypervisor", "irqchip"), ("costs", "cycles", "hw.exit"), ("programs",),
])
def test_a_missing_key_is_named(plan, path):
    place = plan
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    assert path[-1] in refusal(plan)


@pytest.mark.parametrize(("path", "value"), [
    (("seed",), "one"), (("machine", "core_hz"), 2.5), (("machine", "vcpus"), {}), (("machine", "vcpus", 0, "pin"), "0"),
    (("features",), []), (("hypervisor", "halt_poll_ns"), None), (("costs", "cycles", "hw.exit"), "1"),
])
def test_a_wrong_type_is_named_with_its_place(plan, path, value):
    place = plan
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert str(path[-1]) in refusal(plan)


def test_a_pin_that_is_no_cpu_is_named_with_those_there_are(plan):
    plan["machine"]["physical_cpus"] = 8
    plan["machine"]["vcpus"][0]["pin"] = 9
    assert refusal(plan) == "plan: machine.vcpus[0].pin: 9 is not a physical CPU (0..7)"


@pytest.mark.parametrize(("path", "value"), [
    (("technology",), "magic"), (("machine", "guest_apic"), "gic"),
    (("machine", "vcpus", 0, "program"), "nobody"), (("hypervisor", "irqchip"), "none"), (("machine", "core_hz"), 0),
])
def test_a_value_that_does_not_exist_is_named(plan, path, value):
    place = plan
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    line = refusal(plan)
    assert str(path[-1]) in line
    assert str(value) in line


def test_another_format_is_refused_with_the_right_one(plan):
    plan["format"] = "virqsim-plan-9"
    assert "virqsim-plan-1" in refusal(plan)


def test_an_unknown_feature_is_named(plan):
    plan["features"] = {"teleport": True}
    assert "teleport" in refusal(plan)


@pytest.mark.parametrize("operation", [["fly"], ["compute"], ["compute", 1, 2], ["compute", -1], ["compute", "x"], "compute",
                                       ["end"], ["repeat", 2]])
def test_a_wrong_operation_is_named_with_its_program(plan, operation):
    plan["programs"]["main"] = [operation]
    assert "main" in refusal(plan)


def test_two_programs_of_one_name_are_refused():
    machine = Machine()
    machine.vcpu(Program("main"))
    with pytest.raises(VirqsimError, match=r"^program main: two different programs have this name$"):
        machine.vcpu(Program("main"))


@pytest.mark.parametrize(("topology", "said"), [
    ({"sockets": 0, "threads_per_core": 1}, "plan: machine.topology.sockets: 0"),
    ({"sockets": 1, "threads_per_core": 3}, "plan: machine.topology.threads_per_core: 3"),
    ({"sockets": 1}, "plan: machine.topology.threads_per_core"),
    ({"sockets": 1, "threads_per_core": 1, "cores": 1}, "plan: machine.topology.cores: no such key"),
])
def test_a_topology_with_a_wrong_number_is_refused(plan, topology, said):
    plan["machine"]["topology"] = topology
    assert refusal(plan).startswith(said)
