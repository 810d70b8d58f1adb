"""`virqsim plot RUN --flow N`: the picture of one interrupt's path, and the numbers beneath it."""

import csv
import json

import pytest
from PIL import Image
from virqsim import lanes


@pytest.fixture
def run(virqsim):
    assert virqsim("run", "ipi_ping_pong", "--tech", "none", "--set", "rounds=3").status == 0
    return "out/ipi_ping_pong-none"


def test_the_picture_comes_with_its_steps(virqsim, run, tmp_path):
    said = virqsim("plot", run, "--flow", 2)
    assert said.status == 0
    assert said.out.split() == [f"out/figures/path_2.{kind}" for kind in ("png", "pdf", "csv")]
    with Image.open(tmp_path / "out/figures/path_2.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x00, 0x9E, 0x73), (0x00, 0x72, 0xB2)} <= colours, "the guest and KVM are painted"
    with (tmp_path / "out/figures/path_2.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows[:3]] == ["raised", "exited", "routed"]
    assert (rows[0]["where"], rows[-1]["where"]) == ("vCPU 1", "vCPU 0")
    assert rows[0]["since raised (ps)"] == "0"


def test_a_picture_is_of_one_interrupt_of_one_run(virqsim, refused, run):
    assert refused("plot", run, "--flow", 99) == (
        "--flow: 99 is no interrupt of this run (1 to 6; `virqsim explain out/ipi_ping_pong-none` says which are "
        "worth a look)")
    assert "--flow is about one run, and 2 are given" in virqsim("plot", run, run, "--flow", 1).err


# a disk's request


@pytest.fixture
def disk(virqsim):
    assert virqsim("run", "disk_io_path", "--tech", "none", "--set", "requests=4", "--set", "depth=2").status == 0
    return "out/disk_io_path-none"


def test_a_requests_picture_comes_with_its_steps_and_whose_they_were(virqsim, disk, tmp_path):
    said = virqsim("plot", disk, "--request", 1)
    assert said.out.split() == [f"out/figures/request_1.{kind}" for kind in ("png", "pdf", "csv")]
    with (tmp_path / "out/figures/request_1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["where"].split()[0]) for row in rows] == [
        ("asked", "vCPU"), ("issued", "vCPU"), ("notified", "vCPU"), ("submitted", "main-loop"), ("done", "aio-worker"),
        ("completed", "main-loop"), ("seen", "vCPU"), ("reaped", "vCPU")]
    times = [int(row["time (ps)"]) for row in rows]
    assert times == sorted(times)
    with Image.open(tmp_path / "out/figures/request_1.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x00, 0x9E, 0x73), (0x56, 0xB4, 0xE9)} <= colours, "the guest and the blocking call are painted"


def test_a_request_that_was_not_is_refused(refused, run, disk):
    assert refused("plot", disk, "--request", 9) == "--request: 9 is no request that was done in this run (4 were)"
    assert refused("plot", run, "--request", 0) == "--request: 0 is no request that was done in this run (0 were)"


def test_every_state_of_a_thread_has_a_colour(virqsim):
    """A state without one would end a picture of a run that has it."""
    described = json.loads(virqsim("describe").out)
    painted = {state for _, _, states in lanes.KINDS.values() for state in states}
    assert painted == {*(row["name"] for row in described["vcpu_states"]),
                       *described["host_thread_states"]}
