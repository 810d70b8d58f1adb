"""The ready scenarios run, answer their question, and give the same answer twice."""

import json
import subprocess
import sys

import pytest
from virqsim import Scenario, VirqsimError, paths, run

SMALL = {
    "guest_run_loop": {"repetitions": 5},
    "ipi_ping_pong": {"rounds": 5},
    "ipi_broadcast": {"vcpus": 4, "rounds": 3},
    "timer_ticks": {"ticks": 5},
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_scenario_asks_a_question_and_explains_its_parameters(name):
    scenario = Scenario.load(name)
    assert scenario.question.endswith("?")
    assert all(parameter.meaning for parameter in scenario.parameters.values())


@pytest.mark.parametrize("technology", ["none", "apicv", "ipiv"])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_scenario_runs_to_its_end_and_loses_no_interrupt(name, technology):
    results = run(name, technology=technology, **SMALL[name])
    assert results.document["state"] == "ended"
    sums = results.accounting
    assert (sums["raised"] == sums["delivered"] + sums["coalesced"] + sums["refused"] + sums["pending"]).all()


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_same_run_gives_the_same_results(name):
    assert run(name, **SMALL[name]).document == run(name, **SMALL[name]).document


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_scenario_is_a_program_of_its_own(name, tmp_path):
    settings = [word for key, value in SMALL[name].items() for word in ("--set", f"{key}={value}")]
    script = paths.find("scenarios") / f"{name}.py"
    done = subprocess.run([sys.executable, script, *settings, "--json"], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["state"] == "ended"


def test_the_guest_run_loop_comes_out_as_published_where_it_was_calibrated():
    scenario = Scenario.load("guest_run_loop")
    p = scenario.values({}, {})
    report = scenario.report(run("guest_run_loop"), p)
    assert len(report) == 6
    for row in report.itertuples():
        assert row.published_cycles <= row.cycles < row.published_cycles + 5, row.operation


@pytest.mark.parametrize("wait", ["halt", "spin"])
@pytest.mark.parametrize("guest_apic", ["xapic", "x2apic"])
def test_ping_pong_delivers_an_ipi_each_way_and_round(wait, guest_apic):
    results = run("ipi_ping_pong", pairs=2, rounds=10, wait=wait, guest_apic=guest_apic)
    assert results.accounting["delivered"].sum() == 2 * 2 * 10
    assert set(results.stamps["count"]) == {10}


def test_ping_pong_costs_the_sender_one_exit_an_ipi_until_ipis_are_virtualized():
    def sent(technology):
        exits = run("ipi_ping_pong", technology=technology, rounds=10, wait="spin").exits
        return exits[exits["cause"] == "operation"]["count"].sum()

    assert (sent("apicv"), sent("ipiv")) == (20, 0)


@pytest.mark.parametrize(("how", "exits"), [("shorthand", 3), ("loop", 9), ("pv", 3)])
def test_a_broadcast_costs_the_sender_an_exit_for_each_write_or_call(how, exits):
    results = run("ipi_broadcast", vcpus=4, rounds=3, how=how)
    assert results.exits[results.exits["cause"] == "operation"]["count"].sum() == exits
    assert results.accounting["delivered"].sum() == 9


@pytest.mark.parametrize("between", ["work", "halt"])
@pytest.mark.parametrize("mode", ["tsc-deadline", "periodic"])
def test_the_timer_ticks_as_often_as_asked(mode, between):
    results = run("timer_ticks", mode=mode, between=between, ticks=5)
    assert results.latency.set_index("source").loc["timer", "count"] >= 5
    assert results.time_ns >= 5 * 250_000


def written(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("text", "line"), [
    ("x = (", "mine.py:1: SyntaxError"),
    ('"""Why?"""\nPARAMETERS = {}\ny = x\n', "mine.py:3: NameError: name 'x' is not defined"),
    ('"""Why?"""\ndef plan(p): pass\n', "mine.py: has no PARAMETERS"),
    ("PARAMETERS = {}\ndef plan(p): pass\n", "mine.py: has no doc"),
])
def test_a_broken_scenario_is_one_line_with_its_place(tmp_path, text, line):
    with pytest.raises(VirqsimError) as refused:
        Scenario.load(written(tmp_path, text))
    assert line in str(refused.value)


def test_a_plan_that_is_none_is_refused(tmp_path):
    scenario = Scenario.load(written(tmp_path, '"""Why?"""\nPARAMETERS = {}\ndef plan(p): return 3\n'))
    with pytest.raises(VirqsimError, match="returned int, not a Plan"):
        scenario.plan(scenario.values({}, {}))


@pytest.mark.parametrize(("text", "line"), [
    ("PARAMETERS = [1]\ndef plan(p): return 1", "PARAMETERS is a list; a dictionary of Parameter belongs here"),
    ("PARAMETERS = {'a': 3}\ndef plan(p): return 1", "PARAMETERS: 'a': 3 is no Parameter(default, unit, meaning)"),
    ("PARAMETERS = {}", "has no plan(p) that returns a Plan"),
])
def test_what_a_scenario_lacks_is_said_with_what_it_looks_like(tmp_path, text, line):
    path = tmp_path / "wrong.py"
    path.write_text(f'"""Which?"""\n{text}\n')
    with pytest.raises(VirqsimError) as error:
        Scenario.load(str(path))
    assert str(error.value) == f"scenario {path}: {line}"


@pytest.mark.parametrize(("body", "line"), [
    ("import sys; sys.exit(3)", "scenario {path}:4: SystemExit: 3"),
    ("return Plan('x', 3)", "scenario {path}:4: TypeError: Plan: 3 is no Machine"),
    ("m = Machine(); m.vcpu(Program('a'), pin='x'); return Plan('x', m)",
     "plan: machine.vcpus[0].pin: is a string; an integer belongs here"),
    ("m = Machine(); m.vcpu(Program('a'), pin=-1); return Plan('x', m)",
     "plan: machine.vcpus[0].pin: -1 is not a physical CPU (0..0)"),
])
def test_a_plan_that_goes_wrong_is_one_line(tmp_path, body, line):
    path = tmp_path / "wrong.py"
    path.write_text(f'"""Which?"""\nfrom virqsim import *\nPARAMETERS = {{}}\ndef plan(p): {body}\n')
    with pytest.raises(VirqsimError) as error:
        run(str(path))
    assert str(error.value) == line.format(path=path)


def test_a_report_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text('"""Which?"""\nPARAMETERS = {}\ndef plan(p): pass\ndef report(results, p): return 3\n')
    with pytest.raises(VirqsimError, match=r"report\(\) returned int, not a DataFrame"):
        Scenario.load(str(path)).report(None, None)


@pytest.mark.parametrize("value", [1.5, True])
def test_a_whole_number_is_not_made_of_something_else(value):
    with pytest.raises(VirqsimError, match="rounds: .* is not a whole number"):
        run("ipi_ping_pong", rounds=value)
