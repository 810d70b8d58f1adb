"""virtio-net's receiving side: who brings the frames, and whom he waits for, in the whole machine."""

import pytest
from virqsim import Scenario, profiles, run, sweep


def report(technology="none", **parameters):
    scenario, costs = Scenario.load("net_receive"), profiles.load("skylake-sp")
    results = run("net_receive", technology=technology, **parameters)
    assert results.document["state"] == "ended", results.document["broken"]
    queue = results.queues.iloc[0]
    assert (queue["taken"], queue["dropped"], queue["waiting"]) == (parameters.get("frames", 512), 0, 0)
    return scenario.report(results, scenario.values(parameters, costs.clocks)).iloc[0], results


@pytest.mark.parametrize("backend", ["userspace", "vhost", "assigned"])
@pytest.mark.parametrize(("technology", "exits"), [("none", 2), ("apicv", 0), ("svm", 2), ("x2avic", 0)])
def test_a_frame_by_itself_costs_what_its_interrupt_costs(backend, technology, exits):
    row, _ = report(technology, backend=backend, frames=20)
    assert row["interrupts"] == 1
    taken_by_host = backend == "assigned" and not exits  # a real card's interrupt reaches the host first
    assert row["exits"] == pytest.approx(exits + taken_by_host, abs=0.06), "the last one may find the guest asleep"


def test_a_frame_is_the_main_loops_work_and_its_time():
    costs = profiles.load("skylake-sp").cycles
    _, results = report(frames=20)
    thread = results.threads[results.threads["kind"] == "main-loop"].set_index("state")["time_ns"]
    assert thread["RUNS"] >= 20 * (costs["user.net_frame"] + costs["user.main_loop"]) / 2.5
    _, by_vhost = report(backend="vhost", frames=20)
    idle = by_vhost.threads[by_vhost.threads["kind"] == "main-loop"].set_index("state")["time_ns"]
    assert idle.get("RUNS", 0) < thread["RUNS"] / 10


def test_vhost_is_faster_than_the_main_loop_and_an_assigned_card_than_both():
    rows = [report(backend=backend, frames=64)[0] for backend in ("userspace", "vhost", "assigned")]
    for measure in ("wait_us", "host_us"):
        assert rows[0][measure] > rows[1][measure] > rows[2][measure]


@pytest.mark.parametrize(("backend", "waits"), [("userspace", True), ("vhost", False), ("assigned", False)])
def test_a_guest_that_asks_qemu_waits_for_the_main_loop_alone(backend, waits):
    row, _ = report(backend=backend, guest="asks", burst=16, frames=160)
    assert (row["lock_waits"] > 0) == waits


def test_frames_wait_for_a_guest_that_has_the_main_loops_cpu_and_not_for_one_that_sleeps():
    own, shared = (report(place=place, frames=128)[0] for place in ("own", "shared"))
    assert shared["wait_us"] > 10 * own["wait_us"]
    own, shared = (report(place=place, frames=128, guest="sleeps")[0] for place in ("own", "shared"))
    assert shared["wait_us"] < 2 * own["wait_us"]


def test_a_burst_shares_interrupts_where_frames_come_faster_than_the_driver_finds_the_ring_empty():
    """APICv's driver is faster than the main loop, 2.4 us a frame, and slower than vhost, 1 us."""
    interrupts = {(backend, technology): report(technology, backend=backend, burst=64, frames=256)[0]["interrupts"]
                  for backend in ("userspace", "vhost") for technology in ("none", "apicv")}
    assert interrupts["userspace", "apicv"] > 0.9
    assert 0.3 < interrupts["userspace", "none"] < 0.7
    assert max(interrupts["vhost", technology] for technology in ("none", "apicv")) < 0.1


@pytest.mark.parametrize(("irqchip", "guest_apic"), [("kernel", "xapic"), ("kernel", "x2apic"), ("split", "xapic"),
                                                     ("split", "x2apic"), ("userspace", "xapic")])
def test_it_works_wherever_the_controllers_stand(irqchip, guest_apic):
    for guest in ("works", "sleeps", "asks"):
        row, _ = report(irqchip=irqchip, guest_apic=guest_apic, guest=guest, frames=20)
        assert row["interrupts"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(("setting", "line"), [("frames=0", "frames: 0 is not in 1..4096"),
                                               ("gap=0", "gap: 0 is not in 1..1000000")])
def test_a_value_out_of_range_is_refused(refused, setting, line):
    assert refused("run", "net_receive", "--set", setting) == f"net_receive: {line}"


def test_its_sweep_has_every_backend_by_burst_and_by_gap():
    table, _ = sweep.run(Scenario.load("net_receive"), {"frames": "64"}, None, "", None, 1, None)
    assert len(table) == 3 * (7 + 7)
    by_main_loop, by_vhost = (table[(table["sweep"] == 0) & (table["backend"] == backend)].set_index("burst")["interrupts"]
                              for backend in ("userspace", "vhost"))
    assert by_main_loop[64] == pytest.approx(by_main_loop[8], abs=0.05), "it is slower than the driver"
    assert by_vhost[64] < by_vhost[8] / 4
