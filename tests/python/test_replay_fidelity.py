"""A replay is as near to its recording as is promised, and predicts what another machine recorded."""

import gzip
import json

import pytest
from click.testing import CliRunner
from replay_files import TRACES, recordings
from virqsim import profiles
from virqsim.published.command import validate_command
from virqsim.replay import fidelity
from virqsim.replay.fidelity import RIGHT, WRONG, Compared

COSTS = profiles.load("skylake-sp")


def compared(recorded, replayed, hosts=None, total=0.02, reason=0.05):
    return Compared("t", "none", recorded, replayed, hosts or {}, total, reason)


@pytest.mark.parametrize("name", recordings())
def test_a_replay_is_within_what_is_promised(name):
    assert fidelity.same_hardware(TRACES / f"{name}.txt.gz", COSTS).verdict == RIGHT


@pytest.mark.parametrize("recorded, replayed, hosts, verdict", [
    ({"HLT": 1000}, {"HLT": 1020}, {}, RIGHT),
    ({"HLT": 1000}, {"HLT": 1021}, {}, WRONG),  # 2 % of all
    ({"HLT": 1000, "CPUID": 100}, {"HLT": 1000, "CPUID": 105}, {}, RIGHT),
    ({"HLT": 1000, "CPUID": 100}, {"HLT": 1000, "CPUID": 106}, {}, WRONG),  # 5 % of a reason
    ({"HLT": 1000, "CPUID": 9}, {"HLT": 1000}, {}, RIGHT),  # below 1 % of all
    ({"HLT": 1000}, {"HLT": 1000, "CPUID": 15}, {}, WRONG),  # it was not recorded at all
    ({"HLT": 100}, {"HLT": 80}, {"HLT": 20}, RIGHT),  # what the host added is not the guest's
    ({"HLT": 100}, {"HLT": 80}, {"HLT": 10}, WRONG),
    ({"HLT": 100}, {"HLT": 120}, {"HLT": -20}, RIGHT),
    ({"HLT": 100}, {"HLT": 100}, {"HLT": 20}, WRONG),
    ({"HLT": 10}, {"HLT": 11}, {}, RIGHT),  # one exit, where it was cut
])
def test_a_verdict_follows_the_limits(recorded, replayed, hosts, verdict):
    assert compared(recorded, replayed, hosts).verdict == verdict


def test_the_command_prints_every_trace_and_every_pair():
    ran = CliRunner().invoke(validate_command, ["--replay", "--json"])
    assert ran.exit_code == 0
    document = json.loads(ran.stdout)
    assert [row["trace"].removesuffix(".txt.gz") for row in document["same_hardware"]] == recordings()
    pairs = {(row["trace"].removesuffix(".txt.gz"), row["there"]): row for row in document["predictions"]}
    assert pairs.keys() == {(f"{here}_{guest.name}", there) for guest in fidelity.GUESTS for here in guest.recordings
                            for there in guest.recordings if here != there}
    assert all(row["verdict"] == RIGHT for row in pairs.values())
    # A prediction owes nothing to the other recording: what that one's host added is shown beside what it is compared with.
    windows, = (row for row in pairs["vmx_noapicv_x2apic_mixed_spin", "svm_default"]["exits"] if row["reason"] == "vintr")
    assert windows["replayed"] == 0 and windows["recorded"] - windows["host"] <= 1 < windows["host"]


def test_it_takes_no_exits_beside():
    assert CliRunner().invoke(validate_command, ["--replay", "--exits"]).exit_code == 2


def quarter(name, n, folder):
    """A part of a recording, as one that began and ended in the middle of things, and without its header."""
    with gzip.open(TRACES / f"{name}.txt.gz", "rt") as text:
        lines = [line for line in text if not line.startswith("#") and "tracing_mark_write" not in line]
    path = folder / f"{name}-{n}.txt"
    path.write_text("".join(lines[n * len(lines) // 4:(n + 1) * len(lines) // 4]))
    return path


@pytest.mark.parametrize("n", range(4))
@pytest.mark.parametrize("name", ["on1_blk", "on1_idle", "on2_ppong", "pic1_ide", "pic1_sleeps", "split1_ide",
                                  "vmx_noapicv_x2apic_mixed_spin", "vmx_apicv_x2apic_mixed_spin",
                                  "svm_default_x2apic_mixed_spin"])
def test_a_recording_may_begin_anywhere(name, n, tmp_path):
    compared = fidelity.same_hardware(quarter(name, n, tmp_path), COSTS)
    assert compared.verdict == RIGHT, compared.rows


@pytest.mark.parametrize("option", ["--configuration", "--operation"])
def test_what_narrows_the_exits_is_refused_elsewhere(virqsim, option):
    said = virqsim("validate", "--replay", option, "ipi")
    assert (said.status, said.out) == (2, "")
    assert said.err.strip() == "virqsim: --configuration and --operation go with --exits"
