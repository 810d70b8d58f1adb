"""A profile from tables of standard tools: what each row sets, and what is refused."""

import random

import pytest
from virqsim import VirqsimError, calibrate, profiles

VMEXIT = "enabling apic\ncpuid 1500\nvmcall 1400\nmov_to_cr8 60\ninl_from_kernel 2600\ninl_from_qemu 7000\noutl_to_kernel 1600\nipi 3500\n"
PERF = """
             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time

           MSR_WRITE       4030    53.48%     0.13%      0.63us     42.92us      1.33us ( +-   1.33% )
               CPUID        962    10.00%     0.10%      0.50us     13.20us      1.20us ( +-   0.50% )
"""
PROF = """
exit_reason             calls        total(us)   min(us)   avg(us)      max(us)  %gsys
-------------------- -------- ---------------- --------- --------- ------------ ------
HLT                     20747     53004499.016     0.734  2554.803   199989.423 100.00
CPUID                     962         1071.299     0.610     1.113       13.196   0.00
"""
BASE = ("hw.exit", "hw.entry", "kvm.exit", "kvm.entry")


def calibrated(virqsim, tmp_path, text):
    (tmp_path / "table.txt").write_text(text)
    said = virqsim("calibrate", tmp_path / "table.txt", "--out", tmp_path / "mine.toml")
    assert said.status == 0, said.err
    return profiles.load(str(tmp_path / "mine.toml")), said.out


def test_the_rows_of_vmexit_are_the_sums_of_their_parts(virqsim, tmp_path):
    profile, said = calibrated(virqsim, tmp_path, VMEXIT)
    cycles = profile.cycles
    base = sum(cycles[key] for key in BASE)
    assert base + cycles["kvm.hypercall"] == pytest.approx(1400, abs=3)
    assert base + cycles["kvm.cpuid"] == 1500
    assert base + cycles["kvm.pio_out"] == 1600
    assert base + cycles["kvm.pio_in"] == 2600
    assert base + sum(cycles[key] for key in ("kvm.pio_in", "user.exit", "user.device", "user.entry")) == pytest.approx(7000, abs=2)
    assert profile.costs["kvm.cpuid"].kind == "measured" and profile.costs["hw.exit"].kind == "derived"
    assert "mov_to_cr8, ipi" in said


@pytest.mark.parametrize("table, mean", [(PERF, 1.20), (PROF, 1.113)])
def test_a_mean_of_perf_is_from_exit_to_entry(virqsim, tmp_path, table, mean):
    profile, said = calibrated(virqsim, tmp_path, table)
    cycles = profile.cycles
    assert cycles["kvm.exit"] + cycles["kvm.cpuid"] + cycles["kvm.entry"] == pytest.approx(mean * 2500, abs=1)
    assert "not used" in said


@pytest.mark.parametrize("text, said", [("", "is empty"), ("Dear list\n", "no table of"), ("cpuid 12\n", "less than its parts"),
                                        ("\0\1", "binary data")])
def test_what_is_no_table_is_one_line_and_status_2(virqsim, tmp_path, text, said):
    (tmp_path / "table.txt").write_text(text)
    ended = virqsim("calibrate", tmp_path / "table.txt", "--out", tmp_path / "mine.toml")
    assert ended.status == 2 and said in ended.err and ended.err.count("\n") == 1
    assert not (tmp_path / "mine.toml").exists()


def test_damaged_tables_are_an_answer_or_one_line(tmp_path):
    dice, path = random.Random(1), tmp_path / "t.txt"
    for _ in range(300):
        data = bytearray(dice.choice([VMEXIT, PERF, PROF]).encode())
        for _ in range(dice.randint(1, 5)):
            at = dice.randrange(len(data) + 1)
            data[at:at + dice.randint(0, 9)] = dice.choice([b"", b"9" * 20, b"\n", b".", b"\xff", b"%", b" 0 ", dice.randbytes(4)])
        path.write_bytes(data)
        try:
            calibrate.costs(calibrate.read(path), profiles.load("skylake-sp"))
        except VirqsimError as error:
            assert "\n" not in str(error)
