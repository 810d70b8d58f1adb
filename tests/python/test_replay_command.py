"""`virqsim replay`: the table, the JSON document, the run folders, and its errors."""

import json

import pytest
from replay_files import TRACES, recorded

TRACE = TRACES / "svm_default_x2apic_mixed_spin.txt.gz"


def test_json_holds_what_was_recorded_replayed_and_what_if(virqsim):
    said = virqsim("replay", TRACE, "--tech", "none,apicv", "--json")
    assert said.status == 0, said.err
    document = json.loads(said.out)
    assert document["recorded"]["exits"] == recorded("svm_default_x2apic_mixed_spin")
    assert document["replayed"]["technology"] == "svm"
    assert document["replayed"]["exits"] == document["recorded"]["exits"]
    assert set(document["what_if"]) == {"none", "apicv"}
    without, apicv = (document["what_if"][name] for name in ("none", "apicv"))
    assert apicv["exits"]["MSR_WRITE"] < without["exits"]["MSR_WRITE"]
    assert apicv["latency_ns"]["p50"] > 0
    assert abs(sum(apicv["latency_ns"]["stages"].values()) - apicv["latency_ns"]["mean"]) < 1
    assert document["notes"][0].startswith("under the recorded technology the replay is off by 0 of ")


def test_the_table_shows_the_error_and_what_is_saved(virqsim):
    said = virqsim("replay", TRACE, "--tech", "ipiv")
    assert said.status == 0, said.err
    for word in ("recorded", "replayed", "error", "ipiv", "saves", "HLT", "IPI latency"):
        assert word in said.out


def test_run_folders_are_kept_for_each_replay(virqsim, tmp_path):
    said = virqsim("replay", TRACE, "--tech", "apicv", "--out", tmp_path / "kept", "--json")
    assert said.status == 0, said.err
    for name in ("recorded", "apicv"):
        plan = json.loads((tmp_path / "kept" / name / "plan.json").read_text())
        assert plan["technology"] == {"recorded": "svm"}.get(name, name)


def test_features_are_switched_on_top_of_the_what_ifs_only(virqsim):
    said = virqsim("replay", TRACE, "--tech", "none", "--features=-preemption-timer", "--json")
    document = json.loads(said.out)
    assert "PREEMPTION_TIMER" not in document["what_if"]["none"]["exits"]
    assert document["replayed"]["exits"] == document["recorded"]["exits"]


def test_a_wrong_trace_and_a_wrong_technology_are_one_line_and_status_2(virqsim, tmp_path):
    (tmp_path / "mail.txt").write_text("Dear list,\n")
    for arguments in (("replay", tmp_path / "mail.txt"), ("replay", TRACE, "--tech", "apiv"), ("replay", "missing.txt")):
        said = virqsim(*arguments)
        assert said.status == 2
        assert said.out == "" and said.err.count("\n") == 1, said.err


@pytest.mark.parametrize("words", [["--vm", "0"], ["--undisturbed"], ["--html", "page.html"], ["--out", "kept"], ["--trace"]])
def test_a_survey_takes_nothing_that_is_about_a_replay(refused, tmp_path, words):
    line = refused("replay", TRACE, "--survey", *words)
    assert line.startswith("virqsim: --survey replays nothing") and line.endswith(f"it goes without {words[0]}")
    assert not list(tmp_path.iterdir())


def test_a_survey_names_all_that_it_goes_without(refused):
    assert refused("replay", TRACE, "--survey", "--vm", "41", "--out", "kept").endswith("it goes without --vm, --out")


def test_a_survey_of_several_vms_says_what_chooses_one_of_them_and_for_what(virqsim, tmp_path):
    (tmp_path / "two.txt").write_text("".join(
        f" CPU 0/KVM-{pid} [000] d.... 5.{n:06}: kvm_entry: vcpu 0, rip 0x1\n"
        f" CPU 0/KVM-{pid} [000] d.... 5.{n + 1:06}: kvm_exit: vcpu 0 reason HLT rip 0x1 info1 0x0\n"
        for n, pid in ((1, 41), (3, 57))))
    said = virqsim("replay", tmp_path / "two.txt", "--survey")
    assert "- not to be replayed: several VMs: vCPU 0 is entered by threads 41, 57; choose one with --vm to replay\n" in said.out
