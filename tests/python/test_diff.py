"""virqsim diff: the interrupts of two runs side by side."""

import json
from collections import Counter

import pytest

from virqsim import Machine, Plan, Program, icr, profiles, runner
from virqsim import trace as vqt
from virqsim.diff import pairs
from virqsim.diff.flights import flights

PROFILE = profiles.load("skylake-sp")


def run(folder, technology="none", sends=3, features=None, wait=60_000):
    """vCPU 0 sends vCPU 1 some interrupts while a device interrupts both."""
    machine = Machine()
    main = Program("sender")
    for _ in range(sends):
        main.compute(wait).ipi(icr(48), 1)
    machine.vcpu(main.compute(200_000), {64: Program("on_device0").eoi()})
    machine.vcpu(Program("target").compute(900_000), {48: Program("on_ipi").eoi(), 64: Program("on_device1").eoi()})
    machine.device("disk", "msi", 0, 64, 0, [10_000, 40_000])
    machine.device("nic", "msi", 1, 64, 0, [20_000])
    return runner.run(Plan("both", machine, technology=technology, features=features or {}).resolve(PROFILE),
                      folder=folder, trace=True)


def compared(virqsim, *arguments):
    said = virqsim("diff", "a", "b", "--json", *arguments)
    assert said.status == 0, said.err
    return json.loads(said.out)


def causes(document):
    return {row["cause"]: row for row in document["causes"]}


@pytest.mark.parametrize("technology", ["none", "apicv", "ipiv", "svm", "avic", "x2avic"])
def test_the_lives_of_interrupts_add_up_to_the_results(tmp_path, technology):
    results = run(tmp_path / "run", technology)
    lives = flights(vqt.read(tmp_path / "run" / "trace.vqt"))
    for row in results.document["latency"]:
        mine = [f for f in lives if f.source == row["source"] and f.latency is not None]
        assert (len(mine), sum(f.latency for f in mine)) == (row["count"], row["sum_ps"])
        for stage in row["stages"]:
            assert sum(f.stages.get(stage["stage"], 0) for f in mine) == stage["sum_ps"], stage
    by_flow = sum((f.exits for f in lives), Counter())
    assert all(by_flow[r] <= n for r, n in results.exits.groupby("reason")["count"].sum().items())


def test_a_timer_that_is_raised_ahead_counts_from_its_deadline(virqsim, tmp_path):
    assert virqsim("run", "timer_ticks", "--trace", "--out", "run").status == 0
    (row,) = json.loads((tmp_path / "run" / "results.json").read_text())["latency"]
    trace = vqt.read(tmp_path / "run" / "trace.vqt")
    assert len(trace.of("DEADLINE"))
    assert sum(f.latency for f in flights(trace) if f.latency is not None) == row["sum_ps"]


def test_a_run_beside_itself_has_no_difference(virqsim, tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b")
    document = compared(virqsim)
    assert {(row["faster"], row["slower"], row["stage"]) for row in document["causes"]} == {(0, 0, None)}
    assert document["lost_most"] == document["gained_most"] == []


def test_each_cause_says_what_one_interrupt_gained_and_where(virqsim, tmp_path):
    run(tmp_path / "a", "none")
    run(tmp_path / "b", "apicv")
    rows = causes(compared(virqsim))
    assert set(rows) == {"ipi vCPU 0 to vCPU 1, vector 0x30", "msi disk to vCPU 0, vector 0x40", "msi nic to vCPU 1, vector 0x40"}
    ipi = rows["ipi vCPU 0 to vCPU 1, vector 0x30"]
    assert (ipi["pairs"], ipi["faster"], ipi["slower"]) == (3, 3, 0)
    assert ipi["exits_a"] == {"EXTERNAL_INTERRUPT": 3, "MSR_WRITE": 6}
    assert ipi["exits_b"] == {"MSR_WRITE": 3}
    assert ipi["change_mean_ns"] == pytest.approx(ipi["b_mean_ns"] - ipi["a_mean_ns"])
    assert sum(ipi["stages_ns"].values()) == pytest.approx(ipi["change_mean_ns"])
    assert ipi["stages_ns"][ipi["stage"]] == min(ipi["stages_ns"].values())


def test_single_interrupts_are_named_by_their_flows_the_worst_first(virqsim, tmp_path):
    run(tmp_path / "a", "ipiv")
    run(tmp_path / "b", "none")
    lost = compared(virqsim, "--worst", "4")["lost_most"]
    assert len(lost) == 4
    assert [row["change_ns"] for row in lost] == sorted((row["change_ns"] for row in lost), reverse=True)
    lives = {(f.flow, f.vector): f for f in flights(vqt.read(tmp_path / "b" / "trace.vqt"))}
    for row in lost:
        vector = int(row["cause"].rpartition("0x")[2], 16)
        assert lives[row["flow_b"], vector].latency / 1000 == row["b_ns"]
        assert sum(row["stages_ns"].values()) == pytest.approx(row["change_ns"])


def test_interrupts_without_a_partner_are_counted(virqsim, tmp_path):
    run(tmp_path / "a", sends=5)
    run(tmp_path / "b", sends=2)
    ipi = causes(compared(virqsim))["ipi vCPU 0 to vCPU 1, vector 0x30"]
    assert (ipi["pairs"], ipi["only_a"], ipi["only_b"]) == (2, 3, 0)


def test_what_was_delivered_in_one_run_and_coalesced_in_the_other_is_said(virqsim, tmp_path):
    run(tmp_path / "a", sends=2, wait=60_000)
    run(tmp_path / "b", sends=2, wait=0)
    fates = causes(compared(virqsim))["ipi vCPU 0 to vCPU 1, vector 0x30"]["fates"]
    assert fates == [{"a": "delivered", "b": "coalesced", "count": 1}]
    assert "Ended otherwise" in virqsim("diff", "a", "b").out


def test_the_order_within_a_group_is_the_order_of_raising():
    def flight(n, latency):
        from virqsim.diff.flights import Flight
        return Flight("ipi", 0, None, 1, 48, n, 1000 * n, {"routed": 1000 * n, "handler": 1000 * n + latency}, "delivered")

    (group,) = pairs.align([flight(1, 10), flight(2, 20)], [flight(7, 10), flight(8, 50)])
    assert [(p.a.flow, p.b.flow, p.change, p.stage) for p in group.pairs] == [(1, 7, 0, ""), (2, 8, 30, "handler")]


def test_the_tables_show_both_runs(virqsim, tmp_path):
    run(tmp_path / "a", "none")
    run(tmp_path / "b", "ipiv")
    said = virqsim("diff", "a", "b")
    assert said.status == 0
    assert "A  a: both: none" in said.out
    assert "Gained most, ns" in said.out
    assert "ipi vCPU 0 to vCPU 1, vector 0x30" in said.out


def test_runs_without_a_trace_and_folders_that_are_none_are_refused(virqsim, refused, tmp_path):
    run(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    assert "empty: is not a run folder" in refused("diff", "a", "empty")
    run(tmp_path / "b")
    (tmp_path / "b" / "trace.vqt").unlink()
    assert refused("diff", "a", "b") == "b: has no trace.vqt to compare; run with --trace"
    (tmp_path / "b" / "trace.vqt").write_bytes(b"something else")
    assert "b/trace.vqt: not a virqsim trace" in refused("diff", "a", "b")
