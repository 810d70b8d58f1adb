"""virtio-net's sending side: notifications, interrupts and who sends, in the whole machine."""

import copy
import json

import pytest
from virqsim import Machine, Plan, Program, Scenario, VirqsimError, profiles, run
from virqsim.library import Simulation


def report(technology="none", **parameters):
    scenario, costs = Scenario.load("net_send"), profiles.load("skylake-sp")
    results = run("net_send", technology=technology, **parameters)
    assert results.document["state"] == "ended", results.document["broken"]
    return scenario.report(results, scenario.values(parameters, costs.clocks)).iloc[0], results


@pytest.mark.parametrize(("backend", "to_userspace"), [("userspace", 1), ("ioeventfd", 0), ("vhost", 0)])
@pytest.mark.parametrize(("technology", "exits"), [("none", 3), ("apicv", 1), ("svm", 3), ("x2avic", 1)])
def test_a_frame_by_itself_costs_a_notification_and_what_its_interrupt_costs(backend, to_userspace, technology, exits):
    row, results = report(technology, backend=backend, frames=20)
    assert row["interrupts"] == 1
    assert row["to_userspace"] == to_userspace
    assert row["exits"] == pytest.approx(exits, abs=0.06), "the last one is waited for: a HLT in place of a kick"
    assert results.document["tx_queues"][0]["sent"] == 20


@pytest.mark.parametrize("backend", ["userspace", "ioeventfd", "vhost"])
def test_of_a_burst_one_notifies_and_one_interrupts(backend):
    row, results = report("apicv", backend=backend, burst=16, frames=160)
    counted = results.userspace_exits if backend == "userspace" else results.exits[results.exits["cause"] == "operation"]
    assert counted["count"].sum() <= 11, "and a HLT"
    assert results.accounting["raised"].sum() <= 2 * 10


@pytest.mark.parametrize("backend", ["userspace", "ioeventfd", "vhost"])
@pytest.mark.parametrize("event_idx", ["on", "off"])
@pytest.mark.parametrize("queue_size", [1, 4, 256])
def test_every_frame_is_sent_and_freed_however_small_the_ring(backend, event_idx, queue_size):
    for burst, gap in ((1, 0), (7, 1), (64, 3)):
        _, results = report("apicv", backend=backend, event_idx=event_idx, queue_size=queue_size, frames=130, burst=burst,
                            gap=gap)
        queue = results.document["tx_queues"][0]
        assert (queue["sent"], queue["waiting"]) == (130, 0)


def test_a_guest_that_sends_faster_than_the_backend_notifies_seldom():
    slow, _ = report(backend="vhost", gap=20)
    fast, _ = report(backend="vhost", gap=0)
    assert fast["exits"] < 0.7 * slow["exits"]


def test_event_indices_suppress_more_than_flags():
    """A guest that sends without a pause: the worker has notifications off while it sends, and the driver hears late."""
    flags, _ = report("apicv", backend="vhost", gap=0, event_idx="off")
    indices, _ = report("apicv", backend="vhost", gap=0)
    assert flags["exits"] < 0.6 and flags["interrupts"] < 0.8
    assert indices["exits"] < flags["exits"] / 2 and indices["interrupts"] < flags["interrupts"] / 2


def test_an_exit_to_userspace_costs_the_guest_more_and_vhost_the_host_less():
    rows = {backend: report(backend=backend)[0] for backend in ("userspace", "ioeventfd", "vhost")}
    assert rows["vhost"]["host_us"] < rows["userspace"]["host_us"] < rows["ioeventfd"]["host_us"]
    assert rows["vhost"]["wait_us"] < rows["userspace"]["wait_us"]


def test_one_command_has_every_backend_by_burst_and_by_gap(virqsim, tmp_path):
    rows = json.loads(virqsim("sweep", "net_send", "--set", "frames=64", "--out", tmp_path, "--json").out)
    assert len(rows) == 3 * (7 + 7)
    assert (tmp_path / "net_send.csv").read_text().count("\n") == len(rows) + 1


def resolved():
    machine = Machine("xapic", chipset="82093aa")
    machine.line("line", 5)
    device = machine.device("card", "msi", 0, 65)
    machine.vcpu(Program("main").compute(10))
    machine.thread("main-loop", 0)
    machine.tx_queue(device)
    machine.tx_queue(device, base=0xFEB11000)
    return copy.deepcopy(Plan("tx", machine).resolve(profiles.load("unit")))


@pytest.mark.parametrize(("keys", "line"), [
    ({"device": 0}, "plan: machine.tx_queues[1].device: 0 is no device of kind msi"),
    ({"device": 9}, "plan: machine.tx_queues[1].device: 9 is no device of kind msi"),
    ({"queue_size": 12}, "plan: machine.tx_queues[1].queue_size: 12 is not a power of two"),
    ({"base": 0xFEB10000}, "plan: machine.tx_queues[1].base: another transmit queue is notified there"),
    ({"backend": "vhost", "thread": 0}, "plan: machine.tx_queues[1].thread: 0 is no vhost worker of machine.threads"),
    ({"backend": "post"}, "machine.tx_queues[1].backend"),
    ({"thread": 0}, "thread"),
])
def test_a_wrong_transmit_queue_is_refused_with_its_place(keys, line):
    plan = resolved()
    plan["machine"]["tx_queues"][1].update(keys)
    with pytest.raises(VirqsimError) as refused, Simulation(plan):
        pass
    assert line in str(refused.value)


def test_qemu_sends_by_its_main_loop_and_an_operation_needs_a_queue():
    plan = resolved()
    plan["machine"]["threads"] = []
    with pytest.raises(VirqsimError, match="QEMU sends by a main-loop among machine.threads"), Simulation(plan):
        pass
    machine = Machine()
    machine.vcpu(Program("main").tx_send(0, machine.word("freed")))
    with pytest.raises(VirqsimError, match="the plan has no transmit queue to send by"), \
            Simulation(Plan("tx", machine).resolve(profiles.load("unit"))):
        pass
