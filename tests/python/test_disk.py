"""Disks in the machine: what a request costs, where its time goes, and that none is lost."""

import copy
import json
import re
from pathlib import Path

import pytest
from virqsim import Machine, Plan, Program, Scenario, VirqsimError, drivers, profiles, run, runner
from virqsim.library import Simulation

RECORDED = Path(__file__).resolve().parents[1] / "data" / "ide_request.txt"
TECHNOLOGIES = ("none", "apicv", "vtd-pi", "eli", "did", "svm", "avic", "x2avic")


def disk(**parameters):
    """The results of a run of the scenario, and the row of its disk."""
    results = run("disk_io_path", **{"requests": 40, **parameters})
    assert results.document["state"] == "ended", results.document["broken"]
    return results, results.document["disks"][0]


def exits(results, reason):
    counted = results.exits
    return counted[(counted["reason"] == reason) & (counted["cause"] != "setup")]["count"].sum()


def test_the_driver_makes_the_accesses_of_a_recorded_linux():
    """Address and length of the transfer are the recording's; so are the order and all other values."""
    wanted = [(f"port_{'out' if how == 'write' else 'in'}", int(port, 16), int(size), *([int(value, 16)] if how == "write" else []))
              for how, port, size, value in
              re.findall(r"pio_(\w+) at (0x\w+) size (\d) count 1 val (0x\w+)", RECORDED.read_text())]
    program = drivers.ide_complete(drivers.ide_issue(Program("p"), 0, lba=0x30), 0, 0)
    assert [tuple(each) for each in program.operations if each[0].startswith("port")] == wanted
    assert len(wanted) == 26


@pytest.mark.parametrize("irqchip", ["kernel", "split"])
@pytest.mark.parametrize("technology", ["none", "svm"])
def test_an_ide_request_costs_26_exits_to_userspace_and_a_virtio_request_one_that_stays_in_the_kernel(irqchip, technology):
    results, row = disk(disk="ide", irqchip=irqchip, technology=technology)
    assert exits(results, "IO_INSTRUCTION") + exits(results, "io") == 26 * row["requests"] == 26 * 40
    assert len(results.userspace_exits) and results.userspace_exits["reason"].isin(["KVM_EXIT_IO", "KVM_EXIT_MMIO"]).all()
    results, row = disk(irqchip=irqchip, technology=technology)
    assert exits(results, "EPT_MISCONFIG") + exits(results, "npf") >= row["requests"] == 40
    assert results.userspace_exits["count"].sum() == 0


@pytest.mark.parametrize("technology", ["none", "svm"])
def test_the_8259a_pair_adds_the_five_port_accesses_that_were_recorded(technology):
    results, _ = disk(disk="ide", guest="8259a", technology=technology)
    assert exits(results, "IO_INSTRUCTION") + exits(results, "io") == (26 + 5) * 40
    assert results.userspace_exits[results.userspace_exits["cause"] != "setup"]["count"].sum() == 26 * 40


def test_pv_eoi_leaves_no_exit_to_acknowledge():
    results, _ = disk(disk="ide", technology="svm", features="+pv-eoi")
    assert "acknowledge" not in set(results.exits["cause"])


def test_without_an_ioeventfd_the_notification_goes_on_to_userspace():
    results, row = disk(ioeventfd="off")
    assert results.userspace_exits["count"].sum() == row["requests"]
    assert disk()[1]["stages_ps"]["userspace"] > row["stages_ps"]["userspace"], "no main loop on the way down"


@pytest.mark.parametrize("kind", ["ide", "virtio-blk", "nvme"])
@pytest.mark.parametrize("depth", [1, 7, 40])
def test_the_parts_of_a_requests_time_sum_to_all_of_it(kind, depth):
    _, row = disk(disk=kind, depth=depth)
    assert row["asked"] == row["requests"] == 40
    assert sum(row["stages_ps"].values()) == row["sum_ps"]
    assert all(ps > 0 for ps in row["stages_ps"].values())
    assert row["stages_ps"]["worker"] >= 40 * 80_000_000


def test_an_ide_channel_has_one_request_at_a_time_and_the_others_wait_in_the_guest():
    one, four = (disk(disk="ide", depth=depth)[1] for depth in (1, 4))
    assert four["sum_ps"] > 3.5 * one["sum_ps"]
    assert four["stages_ps"]["worker"] == pytest.approx(one["stages_ps"]["worker"], rel=0.02)
    assert four["stages_ps"]["guest"] > 30 * one["stages_ps"]["guest"]


def test_a_virtqueue_keeps_as_many_workers_busy_as_there_are_requests_and_workers():
    took = {(depth, workers): disk(depth=depth, workers=workers)[0].document["time_ps"]
            for depth, workers in ((1, 1), (8, 8), (8, 1))}
    assert took[8, 8] < took[1, 1] / 4
    assert took[8, 1] > 40 * 80_000_000


def test_event_suppression_saves_notifications_and_interrupts_where_requests_are_many():
    def of(depth):
        results, row = disk(depth=depth, requests=400)
        return exits(results, "EPT_MISCONFIG") / 400, results.accounting["raised"].sum() / 400

    assert of(1) == (1, 1)
    notifications, interrupts = of(64)
    assert notifications < 0.9
    assert interrupts < 0.9


def test_with_event_indices_there_are_no_more_interrupts_than_with_flags():
    raised = {on: disk(depth=32, requests=400, event_idx=on)[0].accounting["raised"].sum() for on in ("on", "off")}
    assert raised["on"] <= raised["off"]


@pytest.mark.parametrize("technology", TECHNOLOGIES)
@pytest.mark.parametrize("irqchip", ["kernel", "split", "userspace"])
@pytest.mark.parametrize("parameters", [{"disk": "ide"}, {"disk": "ide", "guest": "8259a"}, {}, {"interrupt": "intx"},
                                        {"interrupt": "intx", "guest": "8259a"}, {"ioeventfd": "off"}, {"disk": "nvme"},
                                        {"disk": "nvme", "ioeventfd": "off"}], ids=str)
def test_no_completion_is_lost_whoever_delivers_it(technology, irqchip, parameters):
    _, row = disk(technology=technology, irqchip=irqchip, depth=5, requests=25, **parameters)
    assert row["requests"] == row["asked"] == 25


def test_an_nvme_request_costs_a_doorbell_for_the_command_and_one_for_its_completion():
    results, _ = disk(disk="nvme", technology="apicv")
    assert exits(results, "EPT_MISCONFIG") == 2 * 40
    assert results.userspace_exits["count"].sum() == 0
    results, _ = disk(disk="nvme", technology="apicv", ioeventfd="off")
    assert results.userspace_exits["count"].sum() == 2 * 40


def test_an_ioeventfd_is_worth_more_the_deeper_the_queue():
    """As QEMU measured it of its own NVMe (the commit that brought it): 1.2 times at depth 1, 2 times at 64."""
    def rate(depth, ioeventfd):
        results, row = disk(disk="nvme", technology="apicv", medium=5, depth=depth, requests=800, ioeventfd=ioeventfd)
        return row["requests"] / results.document["time_ps"]

    shallow, deep = (rate(depth, "on") / rate(depth, "off") for depth in (1, 64))
    assert 1 < shallow < deep


def test_shadow_doorbells_save_the_doorbells_that_the_controller_need_not_hear_of():
    def doorbells(**how):
        return exits(disk(disk="nvme", technology="apicv", requests=400, **how)[0], "EPT_MISCONFIG")

    for ioeventfd in ("on", "off"):
        assert doorbells(depth=4, ioeventfd=ioeventfd) < 0.6 * doorbells(depth=4, ioeventfd="off", shadow="off")
    assert doorbells(depth=1) == doorbells(depth=1, ioeventfd="off", shadow="off") == 800, "one at a time each is asked for"


def test_each_vcpu_has_a_pair_of_queues_and_a_vector_of_its_own():
    results, _ = disk(disk="nvme", technology="apicv", queues=4, depth=2, requests=50)
    assert [each["requests"] for each in results.document["disks"]] == [50] * 4
    delivered = results.accounting.groupby("vcpu")["delivered"].sum()
    assert list(delivered.index) == [0, 1, 2, 3] and (delivered > 10).all()
    alone, _ = disk(disk="nvme", technology="apicv", depth=2, requests=50)
    assert results.time_ns < 1.4 * alone.time_ns, "the medium serves all of them at once"


def test_only_nvme_has_several_queues(refused):
    assert refused("run", "disk_io_path", "--set", "queues=2").endswith("queues: virtio-blk has one: --set disk=nvme")
    assert refused("run", "disk_io_path", "--set", "disk=nvme", "--set", "shadow=off").endswith(
        "plan: machine.disks[0].shadow_doorbells: an ioeventfd has no value: QEMU reads it from a shadow doorbell")


def test_nvme_coalesces_as_its_feature_says():
    def interrupts(coalesce, coalesce_ns):
        made = Machine(chipset="82093aa")
        done = made.word("done")
        number = made.nvme(made.device("nvme", "msi", 0, 65), 20_000, coalesce=coalesce, coalesce_ns=coalesce_ns)
        made.vcpu(Program("main").mask().disk_ask(number, 8, 80).disk_issue(number).unmask().halt_until(done, 80),
                  {65: Program("on").eoi().disk_interrupt(number).disk_reap(number, done).disk_ask(number, 8, 80)
                   .disk_issue(number)})
        made.thread("main-loop", 1)
        for _ in range(8):
            made.thread("aio-worker", 2)
        document = runner.run(Plan("nvme", made).resolve(profiles.load("unit"))).document
        assert (document["state"], document["disks"][0]["requests"]) == ("ended", 80)
        return sum(row["raised"] for row in document["accounting"])

    assert interrupts(1, 0) == 80
    assert interrupts(4, 1_000_000) == 20
    assert interrupts(256, 30_000) < 20


def test_completions_travel_as_the_technology_has_it():
    """A posted message, an injected one, and an ISA line through the I/O APIC."""
    none, apicv = disk()[0], disk(technology="apicv")[0]
    assert exits(none, "APIC_ACCESS") == 40
    assert apicv.exits["reason"].isin(["HLT", "EPT_MISCONFIG"]).all(), "no EOI, no kick"
    line = disk(disk="ide", technology="apicv")[0]
    assert line.exits["reason"].isin(["HLT", "IO_INSTRUCTION", "EPT_MISCONFIG"]).all()
    level = disk(interrupt="intx", technology="apicv")[0]
    assert exits(level, "EOI_INDUCED") == 40, "its EOI lowers the I/O APIC's remote IRR"


def machine(kind="ide", **keys):
    """A machine with a disk that nobody uses; the plan is without a fault."""
    made = Machine("xapic", chipset="82093aa")
    made.vcpu(Program("main").compute(10))
    if kind == "ide":
        made.ide(made.line("ide", 14), 1000, **keys)
    else:
        add = made.nvme if kind == "nvme" else made.virtio_blk
        add(made.device("with messages", "msi", 0, 65), 1000, **keys)
    made.thread("main-loop", 0)
    made.thread("aio-worker", 0)
    return made


def resolved(made):
    return copy.deepcopy(Plan("disk", made).resolve(profiles.load("unit")))


def refusal(plan):
    with pytest.raises(VirqsimError) as refused, Simulation(plan):
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(("kind", "keys", "line"), [
    ("ide", {"device": 1}, "plan: machine.disks[0].device: 1: the plan has 1 devices"),
    ("ide", {"kind": "floppy"}, "floppy"),
    ("ide", {"latency_ns": 0}, "machine.disks[0].latency_ns"),
    ("ide", {"latency_high_ns": 999}, "machine.disks[0].latency_high_ns"),
    ("ide", {"queue_size": 4}, "queue_size"),
    ("virtio-blk", {"queue_size": 3}, "plan: machine.disks[0].queue_size: 3 is not a power of two"),
    ("virtio-blk", {"queue_size": 2048}, "machine.disks[0].queue_size"),
    ("virtio-blk", {"space": "port"}, "machine.disks[0].base"),
    ("nvme", {"queue_size": 1}, "plan: machine.disks[0].queue_size: 1 slot is full before it is used; NVMe needs 2"),
    ("nvme", {"space": "port"}, "space"),
], ids=str)
def test_a_wrong_disk_is_refused_with_its_place(kind, keys, line):
    plan = resolved(machine(kind))
    plan["machine"]["disks"][0].update(keys)
    assert line in refusal(plan)


def test_an_ide_disk_interrupts_by_a_line():
    made = machine()
    made.device("message", "msi", 0, 65)
    plan = resolved(made)
    plan["machine"]["disks"][0]["device"] = 1
    assert refusal(plan) == "plan: machine.disks[0].device: 1 is of kind msi; ide interrupts by a device of kind line"


def test_two_disks_do_not_stand_in_one_place():
    made = machine()
    made.ide(0, 1000)
    assert refusal(resolved(made)) == "plan: machine.disks[1]: is where disk 0 is"


def test_a_disk_needs_those_who_work_for_it():
    plan = resolved(machine())
    plan["machine"]["threads"].pop()
    assert refusal(plan) == "plan: machine.disks[0]: a disk needs a main-loop and an aio-worker among machine.threads"


@pytest.mark.parametrize("operation", [["disk_ask", 0, 1, 1], ["disk_issue", 0], ["disk_reap", 0, 0], ["disk_interrupt", 0]])
def test_an_operation_of_a_disk_needs_one(operation):
    made = Machine()
    made.vcpu(Program("main").compute(10))
    plan = resolved(made)
    plan["programs"]["main"] = [operation]
    assert refusal(plan) == "plan: programs.main[0]: the plan has no disks"


def small_queue(queue_size, indirect):
    """A plan whose application wants more requests than the ring holds."""
    made = Machine(chipset="82093aa")
    done = made.word("done")
    device = made.device("virtio", "msi", 0, 65)
    number = made.virtio_blk(device, 20_000, 60_000, queue_size=queue_size, indirect=indirect)
    main = Program("main").mask().disk_ask(number, 16, 100).disk_issue(number).unmask().halt_until(done, 100)
    made.vcpu(main, {65: Program("on").eoi().disk_interrupt(number).disk_reap(number, done).disk_ask(number, 16, 100)
                     .disk_issue(number)})
    made.thread("main-loop", 1)
    for _ in range(8):
        made.thread("aio-worker", 2)
    return Plan("small", made).resolve(profiles.load("skylake-sp"))


@pytest.mark.parametrize(("queue_size", "indirect"), [(1, True), (4, True), (4, False), (8, False), (64, False)])
def test_a_ring_that_is_full_keeps_requests_waiting_and_loses_none(queue_size, indirect):
    row = runner.run(small_queue(queue_size, indirect)).document["disks"][0]
    assert row["requests"] == 100


def test_the_mediums_time_is_drawn_between_its_bounds():
    """With one worker for each request, its share of the time is that of the medium and the worker's own."""
    row = runner.run(small_queue(64, True)).document["disks"][0]
    assert row["min_ps"] >= 20_000_000
    mean = row["stages_ps"]["worker"] / 100
    assert mean > 30_000_000


def test_the_trace_has_every_request_from_its_beginning_to_its_end(tmp_path):
    from virqsim import trace

    runner.run(small_queue(8, True), folder=tmp_path / "run", trace=True)
    kept = trace.read(tmp_path / "run" / "trace.vqt")
    stages = {}
    for record in kept.of("DISK"):
        stages.setdefault(int(record["a"]) & 0xFFFFFFFF, []).append(kept.header["disk_stages"][int(record["b"])])
    assert sorted(stages) == list(range(100))
    order = ["asked", "issued", "notified", "submitted", "done", "completed"]
    assert all(each[:6] == order and each[-1] == "reaped" for each in stages.values())
    assert kept.words(kept.number["DISK"], 5, 7) == "disk 0 request 5 reaped"


def test_one_command_has_depths_and_disks_in_a_table(virqsim):
    said = virqsim("sweep", "disk_io_path", "--set", "requests=70", "--set", "hardware=apicv", "--set", "irqchip=split",
                   "--set", "spread=0", "--repeats", "1", "--json")
    rows = json.loads(said.out)
    assert len(rows) == 3 * 7
    assert {row["depth"] for row in rows} == {1, 2, 4, 8, 16, 32, 64}
    for row in rows:
        parts = sum(row[f"{stage}_us"] for stage in ("guest", "exit", "userspace", "worker", "completion", "injection"))
        assert parts == pytest.approx(row["all_us"], abs=0.04)
        assert row["delivery"] == "apicv, split"
    of = {(row["disk"], row["depth"]): row for row in rows}
    assert of["ide", 1]["exits"] == of["ide", 64]["exits"] == 27
    assert of["virtio-blk", 64]["kiops"] > 5 * of["virtio-blk", 1]["kiops"]


def test_with_several_seeds_a_sweep_has_means_between_the_lowest_and_the_highest(virqsim):
    said = virqsim("sweep", "disk_io_path", "--set", "requests=40", "--set", "hardware=apicv", "--set", "irqchip=kernel",
                   "--set", "disk=virtio-blk", "--set", "depth=4", "--json")
    row, = json.loads(said.out)
    assert row["all_us_low"] < row["all_us"] < row["all_us_high"] < row["all_us_low"] + 20
    once = virqsim("sweep", "disk_io_path", "--set", "requests=40", "--set", "hardware=apicv", "--set", "irqchip=kernel",
                   "--set", "disk=virtio-blk", "--set", "depth=4", "--seed", "2", "--repeats", "1", "--json")
    alone, = json.loads(once.out)
    assert "all_us_low" not in alone
    assert row["all_us_low"] <= alone["all_us"] <= row["all_us_high"]


@pytest.mark.parametrize("like, technologies", [("apicv", ("ipiv", "uintr", "apic-timer", "vtd-pi")),
                                                ("x2avic", ("avic", "avic-pi", "x2avic-pi"))])
def test_for_a_disk_of_qemus_the_other_technologies_are_as_one_of_the_four(like, technologies):
    for irqchip in ("kernel", "split", "userspace"):
        stages = [run("disk_io_path", technology=technology, irqchip=irqchip, requests=10, depth=2).document["disks"]
                  for technology in (like, *technologies)]
        assert all(each == stages[0] for each in stages)


def test_a_medium_takes_some_time(refused):
    assert refused("run", "disk_io_path", "--set", "spread=80").endswith(
        "spread: 80 is not in 0..79: the medium takes some time")


def test_without_one_said_a_sweep_takes_every_irqchip_and_technology():
    sweep, = Scenario.load("disk_io_path").sweeps
    assert set(sweep.over["irqchip"]) == {"kernel", "split", "userspace"}
    assert len(sweep.over["hardware"]) > 3
    assert min(sweep.over["depth"]) == 1 and max(sweep.over["depth"]) == 64
