"""The command line: what it prints, what it refuses, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from virqsim import VirqsimError, load, paths

ENDLESS = '''"""Does it ever end?"""
from virqsim import Machine, Plan, Program
PARAMETERS = {}
def plan(p):
    machine, guest = Machine(), Program("guest")
    with guest.repeat(10**12):
        guest.cpuid()
    machine.vcpu(guest)
    return Plan("endless", machine)
'''


@pytest.mark.parametrize("what", ["technologies", "profiles", "scenarios", "exit-reasons", "costs", "features",
                                  "operations", "probes", "registers", "accesses", "conditions", "effects", "hypothetical",
                                  "checks", "rechecks", "findings", "faults"])
def test_every_list_is_printed_for_people_and_as_json(virqsim, what):
    rows = json.loads(virqsim("list", what, "--json").out)
    said = virqsim("list", what)
    assert said.status == 0
    assert all(row["name"] in said.out for row in rows)


def test_run_writes_a_folder_that_can_be_read_again(virqsim):
    said = virqsim("run", "ipi_ping_pong", "--set", "rounds=3", "--tech", "apicv", "--json")
    assert said.status == 0
    results = load("out/ipi_ping_pong-apicv")
    assert results.document == json.loads(said.out)
    assert sorted(os.listdir("out")) == ["ipi_ping_pong-apicv"]
    assert results.plan["technology"] == "apicv"


def test_the_tables_of_a_run_add_up(virqsim):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=3", "--out", "here")
    results = load("here")
    means = results.stages.groupby("source")["mean_ns"].sum()
    for row in results.latency.itertuples():
        assert means[row.source] == pytest.approx(row.mean_ns)
    assert results.exits["count"].sum() == sum(row["count"] for row in results.document["exits"])
    assert "<table" in results._repr_html_()


def test_the_trace_is_kept_only_when_it_is_asked_for(virqsim):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=3", "--out", "without")
    virqsim("run", "ipi_ping_pong", "--set", "rounds=3", "--out", "with", "--trace")
    assert not os.path.exists("without/trace.vqt")
    results = load("with")
    trace = results.trace()
    assert len(trace) == results.document["records"]
    assert (trace["event"] == "VM_EXIT").sum() == results.exits["count"].sum()
    assert trace["time_ns"].is_monotonic_increasing


def test_a_run_replaces_the_run_folder_of_its_name(virqsim):
    for rounds in (3, 4):
        assert virqsim("run", "ipi_ping_pong", "--set", f"rounds={rounds}", "--out", "here").status == 0
    assert load("here").accounting["delivered"].sum() == 2 * 4


def test_compare_runs_each_technology(virqsim):
    said = virqsim("compare", "ipi_ping_pong", "--set", "rounds=3", "--tech", "none,apicv", "--json")
    runs = json.loads(said.out)["runs"]
    assert [each["technology"] for each in runs] == ["none", "apicv"]
    assert sorted(os.listdir("out")) == ["ipi_ping_pong-apicv", "ipi_ping_pong-none"]


def test_compare_shows_the_technologies_side_by_side(virqsim):
    said = virqsim("compare", "ipi_ping_pong", "--set", "rounds=3", "--tech", "none,apicv")
    assert said.status == 0
    assert "none  apicv" in " ".join(said.out.split("\n")[1:2])


@pytest.mark.parametrize(("arguments", "line"), [
    (["ipi_pong"], "scenario: 'ipi_pong' is unknown; did you mean ipi_ping_pong?"),
    (["nowhere.py"], "scenario nowhere.py: there is no such file"),
    (["ipi_ping_pong", "--set", "round=3"], "ipi_ping_pong: parameter: 'round' is unknown; did you mean rounds?"),
    (["ipi_ping_pong", "--set", "rounds"], "--set: 'rounds': write KEY=VALUE"),
    (["ipi_ping_pong", "--set", "rounds=many"], "ipi_ping_pong: rounds: 'many' is not a whole number"),
    (["ipi_ping_pong", "--set", "wait=sleep"], "ipi_ping_pong: wait: 'sleep' is unknown"),
    (["ipi_ping_pong", "--tech", "apic"], "technology: 'apic' is unknown; did you mean apicv?"),
    (["ipi_ping_pong", "--features", "+pv-eio"], "features: 'pv-eio' is unknown; did you mean pv-eoi?"),
    (["ipi_ping_pong", "--profile", "skylake"], "profile: 'skylake' is unknown; did you mean skylake-sp?"),
    (["ipi_ping_pong", "--host", "qemu"], "virqsim: Invalid value for '--host'"),
    (["ipi_ping_pong", "--seed", "x"], "virqsim: Invalid value for '--seed'"),
    (["ipi_broadcast", "--set", "vcpus=1"], "ipi_broadcast: vcpus: 1 is too few"),
])
def test_a_wrong_option_is_refused_and_leaves_nothing(refused, arguments, line):
    assert refused("run", *arguments).startswith(line)
    assert os.listdir() == []


def test_a_profile_without_a_source_is_refused(refused, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'inherits = "unit"\n[costs."hw.exit"]\nvalue = 1\nlow = 1\nhigh = 1\nkind = "published"\nsource = ""\n')
    line = refused("run", "ipi_ping_pong", "--profile", "mine.toml")
    assert line == ('profile mine: costs."hw.exit".source: is empty; name where the number is from, '
                    'or kind = "assumed" with a reason')


def test_a_scenario_that_pins_to_no_cpu_is_refused(refused, tmp_path):
    (tmp_path / "mine.py").write_text('"""Where?"""\nfrom virqsim import Machine, Plan, Program\nPARAMETERS = {}\n'
                                      'def plan(p):\n    machine = Machine(physical_cpus=8)\n'
                                      '    machine.vcpu(Program("guest"), pin=9)\n    return Plan("mine", machine)\n')
    assert refused("run", "mine.py") == "plan: machine.vcpus[0].pin: 9 is not a physical CPU (0..7)"
    assert os.listdir("out") == []


def test_an_unwritable_output_is_refused_before_anything_runs(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert refused("run", "ipi_ping_pong", "--out", "file/run").startswith("out: file/run cannot be written: ")
    assert refused("run", "ipi_ping_pong", "--out", "/proc/run").startswith("out: /proc/run cannot be written: ")
    assert os.listdir() == ["file"]


def test_a_folder_that_is_no_run_folder_is_left_alone(refused, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("")
    assert refused("run", "ipi_ping_pong", "--out", "thesis") == (
        "out: thesis exists and has no results.json; name another folder")
    assert os.listdir("thesis") == ["chapter1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has_and_says_so(tmp_path, number):
    (tmp_path / "endless.py").write_text(ENDLESS)
    with subprocess.Popen([sys.executable, "-m", "virqsim.cli", "run", "endless.py", "--out", "run", "--trace", "--json"],
                          cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not any(p.stat().st_size > 2**16 for p in tmp_path.glob(".run.*/trace.vqt")):
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert err == "virqsim: interrupted: the results are partial\n"
    assert json.loads(out)["partial"] is True
    results = load(tmp_path / "run")
    assert results.partial
    assert len(results.trace()) == results.document["records"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["endless.py", "run"]


@pytest.fixture
def systemc():
    """The SystemC host, where it is built."""
    try:
        return paths.find("virqsim-systemc")
    except VirqsimError:
        pytest.skip("virqsim-systemc is not built")


def test_systemc_gives_the_same_results_as_the_librarys_own_loop(virqsim, systemc):
    documents = [json.loads(virqsim("run", "ipi_ping_pong", "--set", "rounds=3", "--host", host, "--json").out)
                 for host in ("c", "systemc")]
    assert documents[0] == documents[1]


def test_systemc_refuses_a_wrong_plan_in_the_same_words(refused, systemc):
    wrong = ["run", "ipi_ping_pong", "--set", "halt_poll_ns=-1", "--host"]
    assert refused(*wrong, "c") == refused(*wrong, "systemc")


def test_guests_that_wait_for_each_other_are_an_error_that_is_told(virqsim, tmp_path):
    (tmp_path / "deadlock.py").write_text(
        '"""Who goes first?"""\nfrom virqsim import Machine, Plan, Program\nPARAMETERS = {}\ndef plan(p):\n'
        '    machine = Machine()\n    machine.vcpu(Program("guest").spin_until(machine.word("never"), 1))\n'
        '    return Plan("deadlock", machine)\n')
    said = virqsim("run", "deadlock.py")
    assert said.status == 1
    assert "the guests wait for each other" in said.err
    assert load("out/deadlock-none").document["state"] == "idle"


@pytest.mark.parametrize("command", ["export", "plot"])
def test_what_is_no_run_folder_is_refused(refused, tmp_path, command):
    arguments = ["--to", "csv"] if command == "export" else []
    assert refused(command, tmp_path, *arguments).startswith(f"{tmp_path}: is not a run folder: ")


def test_a_format_that_does_not_exist_is_refused(virqsim, refused):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=3", "--out", "here", "--trace")
    assert "'wig'" in refused("export", "here", "--to", "wig")


@pytest.mark.parametrize("command", [[], ["list"], ["run"], ["compare"], ["probe"], ["export"], ["plot"], ["describe"]])
def test_help_teaches_with_examples(virqsim, command):
    said = virqsim(*command, "--help")
    assert said.status == 0
    assert "Usage: virqsim" in said.out
    assert command == ["describe"] or "  virqsim " in said.out


@pytest.mark.parametrize("results", ["[]", "{}", '{"format": "virqsim-results-0"}'])
@pytest.mark.parametrize("command", [["plot"], ["export", "--to", "perfetto"]])
def test_a_run_folder_of_another_format_is_refused(virqsim, refused, command, results):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=1", "--out", "here", "--trace")
    with open("here/results.json", "w") as file:
        file.write(results)
    assert refused(*command, "here") == "here/results.json: is not of the format virqsim-results-1"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("arguments", [["list", "costs"], ["list", "costs", "--json"]])
def test_a_full_disk_behind_standard_output_is_one_line(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "virqsim.cli", *arguments], stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "virqsim: standard output: No space left on device\n")


def test_an_integer_that_no_plan_can_hold_is_refused_with_its_place(refused):
    assert refused("run", "ipi_ping_pong", "--set", f"halt_poll_ns={2**63}").startswith(
        f"plan: hypervisor.halt_poll_ns: {2**63} is too large")
    assert "--seed" in refused("run", "ipi_ping_pong", "--seed", 2**63)


def test_an_empty_technology_is_not_the_default_one(refused):
    assert refused("run", "ipi_ping_pong", "--tech", "").startswith("technology: '' is unknown")


@pytest.mark.parametrize("host", ["c", "systemc"])
def test_progress_goes_to_terminals_only(virqsim, monkeypatch, request, host):
    monkeypatch.setattr("virqsim.runner._PATIENCE_S", 0.0)
    if host == "systemc":
        request.getfixturevalue("systemc")
    assert virqsim("run", "ipi_ping_pong", "--host", host, "--json").err == ""


def test_a_run_folder_whose_results_lack_something_is_refused(virqsim, refused):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=1", "--out", "here")
    with open("here/results.json", "w") as file:
        file.write('{"format": "virqsim-results-1"}')
    assert refused("plot", "here") == "here/results.json: has no 'name'; run it again"
