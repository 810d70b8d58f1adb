"""A run's numbers: one schema in four formats, and exits as `perf kvm stat` shows them."""

import json

import pandas as pd
import pytest

from virqsim import Machine, Plan, Program, icr, profiles, results, runner, stats
from virqsim import trace as vqt
from virqsim.perfstat import durations, table


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    machine = Machine()
    machine.vcpu(Program("sender").compute(50_000).ipi(icr(48), 1).cpuid().cpuid().stamp(1).stamp(1))
    machine.vcpu(Program("target").halt_until(0, 1), {48: Program("handler").eoi().word_add(0)})
    return runner.run(Plan("numbers", machine).resolve(profiles.load("unit")), folder=tmp_path / "run", trace=True)


def said(path):
    """Name to value of a stats.txt."""
    lines = path.read_text().splitlines()
    assert lines[1] == "---------- Begin Simulation Statistics ----------"
    assert lines[-1] == "---------- End Simulation Statistics   ----------"
    return {line.split()[0]: float(line.split()[1]) for line in lines[2:-2]}


def test_stats_txt_has_a_line_for_each_number_with_its_description_and_unit(virqsim, run, tmp_path):
    assert virqsim("export", "run", "--to", "stats.txt").out == "run/stats.txt\n"
    numbers = said(tmp_path / "run" / "stats.txt")
    assert numbers["vcpu0.exits::CPUID::operation"] == 2
    assert numbers["vcpu1.delivered::48"] == 1
    assert numbers["latency_mean::ipi"] == pytest.approx(run.latency["mean_ns"].iloc[0])
    for line in (tmp_path / "run" / "stats.txt").read_text().splitlines()[2:-2]:
        name, _, rest = line.partition(" ")
        assert " # " in rest and rest.endswith(")"), name


def test_all_formats_hold_the_same_numbers(virqsim, run, tmp_path):
    for name in stats.FORMATS:
        assert virqsim("export", "run", "--to", name).status == 0
    folder = tmp_path / "run"
    csv = pd.read_csv(folder / "stats.csv", dtype={label: "string" for label in stats.LABELS})
    parquet = pd.read_parquet(folder / "stats.parquet")
    document = json.loads((folder / "stats.json").read_text())
    text = said(folder / "stats.txt")
    assert csv["value"].tolist() == pytest.approx(parquet["value"].tolist())
    assert [row["value"] for row in document["stats"]] == pytest.approx(parquet["value"].tolist())
    assert list(text.values()) == pytest.approx(parquet["value"].tolist(), abs=1e-6)
    assert csv["reason"].fillna("").tolist() == [row.get("reason", "") for row in document["stats"]]


def test_names_are_unique(run):
    names = [stats._name(row) for row in stats.rows(run)]
    assert len(names) == len(set(names))


def test_every_table_of_the_results_is_in_the_schema(run):
    """But the histogram, whose percentiles are."""
    columns = {column for stat in stats.SCHEMA for column in stat.by}
    assert columns == set(stats.LABELS)
    for name in set(results.TABLES) - {"histogram"}:
        table = getattr(run, name)
        if len(table):
            value = table.select_dtypes("number").iloc[0].drop(labels=["vcpu", "id", "vector", "share"], errors="ignore")
            mine = [row["value"] for row in stats.rows(run)]
            assert any(v == pytest.approx(float(x)) for x in value for v in mine), name


def test_the_schema_is_listed(virqsim):
    rows = json.loads(virqsim("list", "stats", "--json").out)
    assert [row["name"] for row in rows] == [stat.name for stat in stats.SCHEMA]
    assert all(row["meaning"] and row["unit"] in ("count", "ns", "cycles") for row in rows)


def test_numbers_need_no_trace(virqsim, refused, run, tmp_path):
    (tmp_path / "run" / "trace.vqt").unlink()
    assert virqsim("export", "run", "--to", "stats.json").status == 0
    assert "no such trace" in refused("export", "run", "--to", "csv")


# stat


def test_an_exit_takes_from_the_exit_to_the_next_entry(run, tmp_path):
    trace = vqt.read(tmp_path / "run" / "trace.vqt")
    took = durations(trace, run.plan)
    exits = trace.of("VM_EXIT")
    assert sum(map(len, took.values())) == len(exits)
    states = trace.header["states"]
    records = trace.records.tolist()
    for number, record in enumerate(records):
        if trace.events[record[2]] == "VM_EXIT" and trace.exit_reason(record[4]) == "HLT":
            entry = next(r for r in records[number:] if r[3] == record[3] and trace.events[r[2]] == "VCPU_STATE"
                         and states[r[5]] == "ENTERING")
            assert took["HLT"] == [pytest.approx(entry[0] / 1000 - record[0] / 1000, abs=2)]


def test_the_table_is_perfs(virqsim, run):
    shown = virqsim("stat", "run")
    assert shown.status == 0
    lines = shown.out.splitlines()
    assert lines[0] == "Analyze events for all VMs, all VCPUs (profile unit: assumed throughout):"
    assert lines[2].split() == ["VM-EXIT", "Samples", "Samples%", "Time%", "Min", "Time", "Max", "Time", "Avg", "time"]
    rows = {line.split()[0]: line.split() for line in lines[4:-2]}
    assert rows["CPUID"][1] == "2"
    assert sum(float(row[2].rstrip("%")) for row in rows.values()) == pytest.approx(100, abs=0.1)
    assert sum(float(row[3].rstrip("%")) for row in rows.values()) == pytest.approx(100, abs=0.1)
    assert lines[-1].startswith(f"Total Samples:{sum(int(row[1]) for row in rows.values())}, ")


def test_the_error_is_that_of_the_mean():
    """Of 1 and 3 us the standard deviation is sqrt(2), that of their mean 1, and the mean 2."""
    (row,) = table({"HLT": [1000, 3000]}, "sample")
    assert (row["mean_us"], row["error_percent"]) == (2.0, pytest.approx(50.0))


def test_one_vcpu_and_the_order(virqsim, run):
    rows = json.loads(virqsim("stat", "run", "--vcpu", "0", "-k", "time", "--json").out)["exits"]
    assert {row["reason"] for row in rows} == {"CPUID", "MSR_WRITE"}
    assert [row["total_us"] for row in rows] == sorted((row["total_us"] for row in rows), reverse=True)
    assert virqsim("stat", "run", "--vcpu", "0").out.startswith("Analyze events for all VMs, VCPU 0 (profile ")


def test_a_vcpu_that_is_none_and_a_run_without_a_trace_are_refused(refused, run, tmp_path):
    assert refused("stat", "run", "--vcpu", "2") == "--vcpu: 2: the run has vCPUs 0 to 1"
    (tmp_path / "run" / "trace.vqt").unlink()
    assert refused("stat", "run") == "run: has no trace.vqt; run with --trace"
    assert "is not a run folder" in refused("stat", ".")
