"""`virqsim plot RUN --flow N`: the picture of one interrupt's path, and the numbers beneath it."""

import csv

import pytest
from PIL import Image


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
