"""Elbrus from the user's side: every command says that its costs are assumed, takes the right profile by itself, and
knows vectors of ten bits."""

import json
import shutil
import subprocess

import pandas as pd
import pytest
from matplotlib.text import Text
from virqsim import figures, paths, results, runner, sensitivity, show
from virqsim import trace as vqt
from virqsim.export import export
from virqsim.profiles import ASSUMED_THROUGHOUT, load
from virqsim.scenario import Scenario
from virqsim.sensitivity import Study, study

MARK = f"(profile elbrus-16c: {ASSUMED_THROUGHOUT})"
TRACE = "on1_sleeps.txt.gz"


def made(folder, technology, scenario="elbrus_epic", settings=None):
    plan, _, costs = Scenario.load(scenario).priced(settings or {}, technology, None)
    runner.run(plan.resolve(costs, technology), folder=folder, trace=True)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run folders: without and with EPIC virtualization, and one of x86."""
    base = tmp_path_factory.mktemp("runs")
    few = {"interrupts": "8", "source": "device"}
    return {"epic-sw": made(base / "sw", "epic-sw", settings=few), "epic-hw": made(base / "hw", "epic-hw", settings=few),
            "none": made(base / "none", "none", "ipi_ping_pong", {"rounds": "3"})}


@pytest.fixture
def titles(monkeypatch):
    """The titles of all tables that are shown."""
    seen = []
    shown = show.table
    monkeypatch.setattr(show, "table", lambda title, *rest: (seen.append(title), shown(title, *rest)))
    return seen


COMMANDS = (("explain", "RUN"), ("explain", "RUN", "--flow", "1"), ("bill", "RUN"), ("stat", "RUN"), ("diff", "RUN", "RUN"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_table_of_an_elbrus_run_says_that_its_costs_are_assumed(virqsim, titles, runs, command):
    said = virqsim(*(runs["epic-sw"] if word == "RUN" else word for word in command))
    assert said.status == 0 and MARK in said.out
    assert all(MARK in title for title in titles)
    titles.clear()
    said = virqsim(*(runs["none"] if word == "RUN" else word for word in command))
    assert said.status == 0 and ASSUMED_THROUGHOUT not in said.out


def test_run_probe_compare_and_exits_say_so_too(virqsim, titles):
    assert virqsim("run", "elbrus_guest_launch", "--set", "rounds=2").status == 0
    assert len(titles) >= 5 and all(MARK in title for title in titles)
    titles.clear()
    assert virqsim("probe", "ipi.unicast", "--tech", "epic-sw").status == 0
    assert len(titles) == 2 and all(MARK in title for title in titles)
    titles.clear()
    assert virqsim("compare", "ipi_ping_pong.py", "--tech", "none,epic-hw", "--set", "rounds=2").status == 0
    assert len(titles) == 2 and all(title.endswith(f"; epic-hw {MARK}") for title in titles)
    said = virqsim("list", "profiles").out.splitlines()
    assert [ASSUMED_THROUGHOUT in line for line in said if line.startswith(("elbrus", "skylake"))] == [True, False, False]


def test_json_says_so(virqsim, runs):
    for command in (("bill", runs["epic-hw"]), ("stat", runs["epic-hw"]), ("probe", "ipi.unicast", "--tech", "epic-hw")):
        document = json.loads(virqsim(*command, "--json").out)
        assert (document["profile"], document["profile_kind"]) == ("elbrus-16c", ASSUMED_THROUGHOUT)
    listed = json.loads(virqsim("explain", runs["epic-hw"], "--json").out)
    assert listed and all((row["profile"], row["profile_kind"]) == ("elbrus-16c", ASSUMED_THROUGHOUT) for row in listed)
    for asked in (("--flow", "1"), ("--why-not", "0x30", "--at", "1us")):
        document = json.loads(virqsim("explain", runs["epic-hw"], *asked, "--json").out)
        assert (document["profile"], document["profile_kind"]) == ("elbrus-16c", ASSUMED_THROUGHOUT)
    document = json.loads(virqsim("diff", runs["none"], runs["epic-hw"], "--json").out)
    assert [document[which]["profile_kind"] for which in "ab"] == ["assumed", ASSUMED_THROUGHOUT]


@pytest.fixture
def pictures(monkeypatch):
    """What is written in each figure that is saved, and in the first lines of its CSV."""
    seen = []

    def save(figure, out, name, header, rows, profile=""):
        seen.append((" ".join(text.get_text() for text in figure.findobj(Text)), f"{header} {rows[0]} {profile}"))
        figures.plt.close(figure)
        return []

    monkeypatch.setattr(figures, "save", save)
    return seen


@pytest.fixture
def one_cost(monkeypatch):
    """A sensitivity study varies a single cost: there are a hundred."""
    varied = sensitivity.varied
    monkeypatch.setattr(sensitivity, "varied", lambda *of: dict(list(varied(*of).items())[:1]))


def test_every_picture_says_so(virqsim, pictures, runs, one_cost):
    assert virqsim("plot", runs["epic-sw"]).status == 0
    assert virqsim("plot", runs["epic-hw"], "--flow", "1").status == 0
    assert virqsim("sensitivity", "ipi_ping_pong", "--tech", "epic-sw,epic-hw", "--set", "rounds=1", "--draws", "1").status == 0
    assert len(pictures) == 4 and all(ASSUMED_THROUGHOUT in said for picture in pictures for said in picture)


def test_the_csv_of_a_figure_has_it_in_its_last_column(tmp_path):
    for profile, said in (("p: k", "a,b,profile\n1,2,p: k\n"), ("", "a,b\n1,2\n")):
        figures.save(figures.plt.figure(figsize=(1, 1)), tmp_path, "f", ("a", "b"), [(1, 2)], profile)
        assert (tmp_path / "f.csv").read_text() == said


def test_the_files_of_a_run_say_so_in_their_last_column(runs):
    said = f"elbrus-16c: {ASSUMED_THROUGHOUT}"
    for name in results.TABLES:
        table = pd.read_csv(runs["epic-sw"] / f"{name}.csv")
        assert table.columns[-1] == "profile" and set(table["profile"]) <= {said}
        assert "profile" not in pd.read_csv(runs["none"] / f"{name}.csv")
    assert len(table) == 0 and len(pd.read_csv(runs["epic-sw"] / "exits.csv"))
    for form, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        assert set(read(export(runs["epic-sw"], form))["profile"]) == {said}
        assert "profile" not in read(export(runs["none"], form))


@pytest.mark.parametrize(("source", "target", "features", "raised", "pending"), [
    ("ipi", "running", None, "the sender's ICR", "the hardware set its bit in PMIRR of the target's core"),
    ("ipi", "halted", None, "the sender's ICR", "the host of the sender's core read EPIC_INT2"),
    ("device", "running", None, "a device's message", "KVM wrote ICR of its own core"),
    ("pin", "halted", None, "a pin of the IOEPIC", "KVM set its bit in the copy of PMIRR"),
    ("assigned-device", "running", None, "an assigned device sent", "the hardware set its bit in PMIRR of"),
    ("assigned-pin", "halted", None, "its pin of the host's IOEPIC", "the hardware set its bit in the copy of PMIRR"),
    ("assigned-device", "running", {"epic-passthrough": False}, "the host, which forwards it", "KVM wrote ICR of its own core"),
    ("timer", "running", None, "timer ran out", "the core's CEPIC set its bit"),
])
def test_a_story_tells_which_way_an_interrupt_came(virqsim, tmp_path, source, target, features, raised, pending):
    plan, _, costs = Scenario.load("elbrus_epic").priced({"source": source, "target": target, "interrupts": "2"}, None, None)
    runner.run(plan.resolve(costs, "epic-hw", features), folder=tmp_path / "run")
    steps = {each["step"]: each for each in json.loads(virqsim("explain", tmp_path / "run", "--flow", "2", "--json").out)["steps"]}
    assert raised in steps["raised"]["sentence"] and pending in steps["pending"]["sentence"]
    assert all(step["section"].split()[0].strip(":;,") in ("seen", "inferred", "assumed") for step in steps.values())


def test_a_legacy_guests_story_is_that_of_its_local_apic(virqsim, tmp_path):
    folder = made(tmp_path / "legacy", "epic-hw", "ipi_ping_pong", {"rounds": "2", "guest_apic": "xapic"})
    said = virqsim("explain", folder, "--flow", "3").out
    assert "vector 48 (30H, class 3)" in said and "KVM set its bit in IRR of the local APIC" in said and "IRR[48] 0→1" in said
    assert not any(word in said for word in ("CEPIC", "PMIRR", "CPR", "VECT_INTA"))


# the profile that nobody has to name


def test_sensitivity_takes_the_machines_own_profile(virqsim, refused, one_cost):
    said = virqsim("sensitivity", "ipi_ping_pong", "--tech", "epic-sw,epic-hw", "--set", "rounds=1", "--draws", "1", "--json")
    assert json.loads(said.out)["profile"] == "elbrus-16c"
    assert refused("sensitivity", "ipi_ping_pong", "--tech", "none,epic-hw") == (
        "--profile: technologies of a draw share its costs, and these have several (skylake-sp of none, elbrus-16c of "
        "epic-hw); name one")


def test_sensitivity_varies_the_profile_that_was_named(one_cost):
    asked = Study(Scenario.load("ipi_ping_pong"), {"rounds": "1"}, ("none", "epic-hw"), {}, load("unit"), 1, 1)
    assert study(asked)["profile"] == "unit"


def test_a_sweep_takes_the_machines_own_profile_and_says_so(virqsim, pictures, titles):
    asked = ("sweep", "halt_polling", "--tech", "epic-hw", "--set", "arrivals=poisson", "--set", "policy=sleep", "--set",
             "interrupts=5", "--repeats", "1")
    assert virqsim(*asked).status == 0
    assert "profile elbrus-16c (assumed throughout)" in pictures[0][0] and all(MARK in title for title in titles)
    assert pictures[0][1].endswith("] elbrus-16c: assumed throughout")
    assert {row["costs"] for row in json.loads(virqsim(*asked, "--json").out)} == {"profile elbrus-16c (assumed throughout)"}


def test_a_race_says_so(virqsim):
    asked = ("race", "elbrus_epic", "--set", "interrupts=1", "--runs", "3")
    assert virqsim(*asked).out.splitlines()[0].endswith(MARK)
    assert json.loads(virqsim(*asked, "--json").out)["profile_kind"] == ASSUMED_THROUGHOUT


def test_a_what_if_on_elbrus_has_that_machines_costs(virqsim):
    recording = paths.find("traces") / TRACE
    document = json.loads(virqsim("replay", recording, "--tech", "none,epic-hw", "--json").out)
    assert document["profile"] == document["what_if"]["none"]["profile"] == "skylake-sp"
    assert (document["what_if"]["epic-hw"]["profile"], document["what_if"]["epic-hw"]["profile_kind"]) == (
        "elbrus-16c", ASSUMED_THROUGHOUT)
    there, here = (document["what_if"][name] for name in ("epic-hw", "none"))
    assert {reason.partition(":")[0] for reason in there["exits"]} == {"cu", "mu"}
    assert there["latency_by_source_ns"]["timer"]["count"] == here["latency_by_source_ns"]["timer"]["count"] > 0
    named = json.loads(virqsim("replay", recording, "--tech", "epic-hw", "--profile", "unit", "--json").out)
    assert named["what_if"]["epic-hw"]["profile"] == "unit"


def test_where_nobody_leaves_the_scenario_says_that(virqsim):
    said = virqsim("run", "elbrus_epic", "--set", "interrupts=4")
    assert said.status == 0 and "nobody leaves  -       -          0            0.0" in said.out


def test_a_notebook_shows_it(runs):
    shown = results.load(runs["epic-sw"])._repr_html_()
    assert shown.count(MARK) == shown.count("<h4>") == 3


# exports


def test_vectors_have_ten_bits_and_are_no_user_interrupts(runs):
    words = set(pd.read_csv(export(runs["epic-hw"], "csv"))["words"].dropna())
    assert {"vector 0x30", "vector 0x130", "vector 0x230", "vector 0x330"} <= words
    assert not any("user" in word for word in words)
    names = {event["name"] for event in json.loads(export(runs["epic-hw"], "perfetto").read_text())["traceEvents"]}
    assert "handler 0x330" in names and "served 0x330" in names


def test_a_timeline_has_cepics_and_says_what_its_times_are(runs):
    document = json.loads(export(runs["epic-sw"], "perfetto").read_text())
    named = {event["args"]["name"] for event in document["traceEvents"] if event["ph"] == "M" and "name" in event["args"]}
    assert "CEPIC of vCPU 1" in named and f"guest (epic-sw) {MARK}" in named
    assert document["otherData"]["profile_kind"] == ASSUMED_THROUGHOUT


def test_a_legacy_guest_has_a_local_apic(tmp_path):
    folder = made(tmp_path / "legacy", "epic-hw", "ipi_ping_pong", {"rounds": "1", "guest_apic": "xapic"})
    trace = vqt.read(folder / "trace.vqt")
    assert trace.e2k and not trace.epic
    assert ".irr" not in (text := export(folder, "vcd").read_text()) and "$scope module irr $end" in text


def test_a_waveform_has_a_bit_for_vectors_of_every_class(runs):
    text = export(runs["epic-sw"], "vcd").read_text()
    assert text.startswith(f"$comment virqsim: epic-sw {MARK} $end\n")
    assert "$scope module pmirr $end" in text and "$scope module served $end" in text
    assert all(text.count(f" v{vector} $end") == 2 for vector in ("30", "130", "230", "330"))


def test_stats_say_it_of_times_and_not_of_counts(runs):
    rows = pd.read_csv(export(runs["epic-hw"], "stats.csv"))
    assert {unit: set(group["meaning"].str.endswith(MARK)) for unit, group in rows.groupby("unit")} == {
        "count": {False}, "ns": {True}}
    assert MARK in export(runs["epic-hw"], "stats.txt").read_text()
    assert json.loads(export(runs["epic-hw"], "stats.json").read_text())["profile_kind"] == ASSUMED_THROUGHOUT


def lines_of(folder):
    lines = export(folder, "ftrace").read_text().splitlines()
    assert any(MARK in line for line in lines[:4])
    return [tuple(line.split(": ", 2)[1:]) for line in lines if not line.startswith("#")]


def test_interceptions_are_lines_of_the_text_and_interrupts_those_of_kvm_for_e2k(runs):
    lines = lines_of(runs["epic-sw"])
    names = [name for name, _ in lines]
    assert set(names) == {"kvm_entry", "kvm_exit", "kvm_epic_accept_irq", "kvm_epic_eoi"}
    assert {text.split()[3] for name, text in lines if name == "kvm_exit"} == {"cu:hv_int", "mu:gpa_data"}
    assert lines.count(("kvm_epic_accept_irq", "epicid 1 vec 816 (fixed(0)|edge)")) == 2
    assert lines.count(("kvm_epic_eoi", "vector 816")) == 2
    assert ("irq_delivery", "to vcpu 1 via icr, vector 0x330, dlvm 0") in lines_of(runs["epic-hw"])


def test_an_ipi_is_a_line_where_kvm_sends_it(tmp_path):
    few = {"interrupts": "4", "target": "halted"}
    lines = lines_of(made(tmp_path / "sw", "epic-sw", settings=few))
    assert [text for name, text in lines if name == "kvm_epic_ipi"] == [f"dst 1 vec {v}" for v in (48, 304, 560, 816)]
    assert ("kvm_epic_accept_irq", "epicid 1 vec 48 (fixed(1)|edge)") in lines
    missed = [text for name, text in lines_of(made(tmp_path / "hw", "epic-hw", settings=few)) if name == "irq_delivery"]
    assert missed == [f"to vcpu 1 via pmirr, vector {v:#x}, dlvm 1" for v in (48, 304, 560, 816)]
    assert [name for name, _ in lines_of(made(tmp_path / "hit", "epic-hw", settings={"interrupts": "4"}))] == ["kvm_entry"] * 2


@pytest.mark.skipif(not shutil.which("trace-cmd"), reason="trace-cmd is not installed")
def test_trace_cmd_prints_the_names_of_interceptions(runs):
    said = subprocess.run(["trace-cmd", "report", export(runs["epic-sw"], "trace.dat")], check=True, capture_output=True, text=True)
    assert said.stdout.count("reason mu:gpa_data rip") == said.stdout.count("reason cu:hv_int rip") * 2 > 0


def test_such_a_trace_is_surveyed_and_not_replayed(virqsim, refused, runs):
    path = export(runs["epic-sw"], "ftrace")
    assert "is an interception of an Elbrus machine" in refused("replay", path)
    said = virqsim("replay", path, "--survey")
    assert said.status == 0 and "not to be replayed: cu:hv_int: is an interception" in said.out
    assert said.out.count(MARK) == 2
    for form in ("ftrace", "trace.dat"):
        document = json.loads(virqsim("replay", export(runs["epic-sw"], form), "--survey", "--json").out)
        assert (document["profile"], document["profile_kind"]) == ("elbrus-16c", ASSUMED_THROUGHOUT)
        document = json.loads(virqsim("replay", export(runs["none"], form), "--survey", "--json").out)
        assert (document["profile"], document["profile_kind"]) == (None, None)
