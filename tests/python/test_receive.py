"""Network cards through the whole machine: masked delivery beside what it is compared with, and its figure."""

import json

import pytest
from virqsim import run

SMALL = {"frames": 256}


def report(scheme, technology="none", **parameters):
    from virqsim import Scenario, profiles

    scenario, costs = Scenario.load("masked_direct_read"), profiles.load("skylake-sp")
    parameters = {**SMALL, "scheme": scheme, **parameters}
    results = run("masked_direct_read", technology=technology, **parameters)
    return scenario.report(results, scenario.values(parameters, costs.clocks)).iloc[0]


@pytest.mark.parametrize("technology", ["none", "apicv", "svm"])
def test_exits_of_a_burst_do_not_grow_with_it_under_masked_delivery(technology):
    exits = {burst: report("masked", technology, burst=burst)["exits_per_burst"] for burst in (1, 4, 16, 64)}
    assert set(exits.values()) == {1.0 if technology == "apicv" else 2.0}


def test_without_a_mask_they_do():
    exits = [report("each", burst=burst)["exits_per_burst"] for burst in (4, 16, 64)]
    assert exits[0] < exits[1] < exits[2]


def test_a_guest_with_napi_has_as_many_without_the_hypervisors_help():
    for burst in (1, 16):
        assert report("napi", burst=burst)["exits_per_burst"] == report("masked", burst=burst)["exits_per_burst"]


def test_asking_the_hypervisor_to_unmask_is_one_exit_more():
    assert report("masked", unmask="hypercall")["exits_per_burst"] == 3.0


def test_moderation_trades_exits_for_time():
    each = report("each", burst=1)
    for scheme in ("fixed", "adaptive"):
        moderated = report(scheme, burst=1)
        assert moderated["exits_per_burst"] < each["exits_per_burst"] / 2
        assert moderated["wait_ns"] > 10 * each["wait_ns"]


def test_posted_by_the_iommu_no_frame_costs_an_exit():
    assert report("napi", "vtd-pi")["exits_per_100_frames"] == 0


@pytest.mark.parametrize("scheme", ["each", "fixed", "adaptive", "vic", "napi", "masked"])
def test_every_frame_is_taken(scheme):
    queue = run("masked_direct_read", scheme=scheme, **SMALL).queues.iloc[0]
    assert (queue["arrived"], queue["taken"], queue["dropped"], queue["waiting"]) == (256, 256, 0, 0)


def test_masked_delivery_is_refused_where_the_host_sees_no_interrupt(refused):
    for technology, feature in (("vtd-pi", "vtd-posting"), ("eli", "direct-interrupts"), ("avic-pi", "iommu-avic")):
        assert refused("run", "masked_direct_read", "--tech", technology).endswith(
            f"plan: features: masked-delivery and {feature} exclude each other")


def test_a_rate_out_of_range_is_refused(refused):
    assert refused("run", "masked_direct_read", "--set", "rate=0").endswith("rate: 0 is not in 1..10000000")


def test_one_command_has_every_scheme_by_burst_length_and_by_rate(virqsim, tmp_path):
    rows = json.loads(virqsim("sweep", "masked_direct_read", "--set", "frames=64", "--out", tmp_path, "--json").out)
    by = {(row["scheme"], row["burst"], row["rate"]): row for row in rows}
    schemes = {row["scheme"] for row in rows}
    assert len(rows) == len(schemes) * (7 + 6) and len(by) == len(rows) - len(schemes), "one point is in both"
    assert by["masked", 8, 50_000]["exits_per_100_frames"] == 25.0
    assert by["each", 8, 50_000]["exits_per_100_frames"] > 50
    assert by["posted", 1, 50_000]["exits_per_100_frames"] == 0.0
    assert by["each", 16, 400_000]["wait_ns"] > by["posted", 16, 400_000]["wait_ns"]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".pdf", ".png"]


@pytest.mark.parametrize("kind", ["periodic", "poisson", "heavy_tailed", "listed"])
def test_arrivals_of_every_kind_bring_every_frame(kind):
    from virqsim import Arrivals, Machine, Plan, Program, Queue, profiles, runner

    arrivals = {"periodic": Arrivals.periodic(40, 20_000), "poisson": Arrivals.poisson(40, 20_000),
                "heavy_tailed": Arrivals.heavy_tailed(40, 20_000, 1.2), "listed": Arrivals.listed(range(0, 800_000, 20_000))}
    machine = Machine()
    taken = machine.word("taken")
    vcpu = machine.vcpu(Program("guest").halt_until(taken, 40), {50: Program("driver").eoi().rx_poll(taken).rx_unmask()})
    machine.nic("card", [Queue(vcpu, 50, arrivals[kind])], path="emulated")
    results = runner.run(Plan("arrivals", machine).resolve(profiles.load("skylake-sp")))
    assert results.document["state"] == "ended"
    assert results.queues.iloc[0]["taken"] == 40


def test_explain_names_the_queue_that_interrupts(virqsim):
    assert virqsim("run", "masked_direct_read", "--set", "frames=64", "--trace").status == 0
    assert "msi of card, queue 0" in virqsim("explain", "out/masked_direct_read-none").out


def test_arrivals_from_a_file(tmp_path):
    from virqsim import Arrivals, VirqsimError

    file = tmp_path / "times"
    file.write_text("# recorded\n10\n\n10 # two at once\n250\n")
    assert Arrivals.from_file(file).document["at_ns"] == [10, 10, 250]
    for text, wrong in (("5\n3\n", "line 2: 3 is earlier than the one before it"),
                        ("1\nsoon\n", "line 2: 'soon' is no time in nanoseconds"), ("-4", "line 1: '-4' is no time in nanoseconds")):
        file.write_text(text)
        with pytest.raises(VirqsimError) as error:
            Arrivals.from_file(file)
        assert str(error.value) == f"arrivals {file}: {wrong}"
    with pytest.raises(VirqsimError, match="No such file"):
        Arrivals.from_file(tmp_path / "none")


def test_a_vhost_worker_brings_the_frames_of_a_card_and_its_time_is_the_threads():
    from virqsim import Arrivals, Machine, Plan, Program, Queue, profiles, runner

    machine = Machine()
    taken = machine.word("taken")
    vcpu = machine.vcpu(Program("guest").halt_until(taken, 20), {50: Program("driver").eoi().rx_poll(taken).rx_unmask()})
    machine.nic("virtio", [Queue(vcpu, 50, Arrivals.periodic(20, 50_000))], path="vhost", thread=machine.thread("vhost", 1))
    results = runner.run(Plan("vhost", machine).resolve(profiles.load("skylake-sp"), "apicv"))
    assert results.queues.iloc[0]["taken"] == 20
    ran = results.threads.set_index("state")["time_ns"]["RUNS"]
    assert ran >= 20 * profiles.load("skylake-sp").cycles["host.vhost_frame"] / 2.5


@pytest.mark.parametrize("arrivals", ["periodic", "poisson", "heavy_tailed"])
def test_the_scenario_takes_frames_however_they_arrive(arrivals):
    each, masked = (run("masked_direct_read", scheme=scheme, arrivals=arrivals, frames=300) for scheme in ("each", "masked"))
    assert each.queues.iloc[0]["taken"] == masked.queues.iloc[0]["taken"] == 300
    assert masked.exits["count"].sum() <= each.exits["count"].sum()


def test_the_scenario_takes_frames_from_a_file(virqsim, refused, tmp_path):
    (tmp_path / "times").write_text("60000\n60100\n90000\n")
    said = virqsim("run", "masked_direct_read", "--set", "arrivals=file", "--set", f"file={tmp_path / 'times'}", "--json").out
    assert json.loads(said)["queues"][0]["taken"] == 3
    assert refused("run", "masked_direct_read", "--set", "arrivals=file").endswith(
        "file: --set arrivals=file and --set file=PATH go together")
    (tmp_path / "none").write_text("# nothing\n")
    assert refused("run", "masked_direct_read", "--set", "arrivals=file", "--set", f"file={tmp_path / 'none'}").endswith(
        "has 0 frames; 1 to 4096 belong here")
