"""What a run measured, as one table of numbers: a schema, and a row for each number.

SCHEMA says what each statistic is; the rows of a run are the same in every format (stats.txt in
the form of gem5's, CSV, JSON, Parquet). A row has the statistic's name, its labels
(which vCPU, which exit reason, …), the value, its unit and the description.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import show
from .results import Results

LABELS = ("vcpu", "thread", "queue", "vector", "source", "stage", "state", "reason", "cause", "id")
"""All labels, in the order in which a name carries them."""

_VCPU_LABELS = ("vcpu",)  # those that stand before a statistic's name in stats.txt, as gem5 names its objects
_OF_COSTS = ("ns", "cycles")  # units of what a cost profile made
_WIDTH_NAME, _WIDTH_VALUE = 56, 20


@dataclass(frozen=True)
class Stat:
    """One statistic. `rows` gives (labels, value) for each number of a run; None as a value: it has none."""

    name: str
    unit: str
    by: tuple[str, ...]
    meaning: str
    rows: Callable[[Results], Iterator[tuple[dict[str, Any], Any]]]


def _of(table: str, value: str, by: tuple[str, ...]) -> Callable[[Results], Iterator[tuple[dict[str, Any], Any]]]:
    """The numbers of a column of one of the tables of a run."""
    def rows(run: Results) -> Iterator[tuple[dict[str, Any], Any]]:
        for row in getattr(run, table).astype(object).to_dict("records"):
            yield {label: row[label] for label in by}, row[value]
    return rows


def _one(value: Callable[[Results], Any]) -> Callable[[Results], Iterator[tuple[dict[str, Any], Any]]]:
    return lambda run: iter([({}, value(run))])


def _table(table: str, by: tuple[str, ...], *columns: tuple[str, str, str, str]) -> tuple[Stat, ...]:
    """Statistics with the same labels: (name, column, unit, meaning)."""
    return tuple(Stat(name, unit, by, meaning, _of(table, column, by)) for name, column, unit, meaning in columns)


SCHEMA: tuple[Stat, ...] = (
    Stat("sim_time", "ns", (), "simulated time", _one(lambda run: run.time_ns)),
    Stat("events", "count", (), "events of the simulation", _one(lambda run: run.document["events"])),
    *_table("exits", ("vcpu", "reason", "cause"),
            ("exits", "count", "count", "VM exits, by why the guest left and for what")),
    *_table("userspace_exits", ("vcpu", "reason", "cause"),
            ("userspace_exits", "count", "count", "returns of KVM_RUN to userspace")),
    *_table("latency", ("source",),
            ("latency_count", "count", "count", "interrupts whose handler ran"),
            ("latency_min", "min_ns", "ns", "raised to the handler's first instruction: the shortest"),
            ("latency_mean", "mean_ns", "ns", "raised to the handler's first instruction: the mean"),
            ("latency_p50", "p50_ns", "ns", "raised to the handler's first instruction: the median, at most 3.2 % too long"),
            ("latency_p99", "p99_ns", "ns", "raised to the handler's first instruction: 99 of 100 take no longer"),
            ("latency_max", "max_ns", "ns", "raised to the handler's first instruction: the longest")),
    *_table("stages", ("source", "stage"),
            ("stage_mean", "mean_ns", "ns", "part of the latency that led to this step; the parts add up to the mean"),
            ("stage_max", "max_ns", "ns", "the longest such part")),
    *_table("accounting", ("vcpu", "vector"),
            ("raised", "raised", "count", "interrupts for this destination and vector"),
            ("delivered", "delivered", "count", "of them: a handler ran"),
            ("coalesced", "coalesced", "count", "of them: found their bit set already"),
            ("refused", "refused", "count", "of them: nobody took them"),
            ("pending", "pending", "count", "of them: wait at the end of the run")),
    *_table("vcpus", ("vcpu", "state"), ("time", "time_ns", "ns", "time of the vCPU's thread in this state of the run loop")),
    *_table("threads", ("thread", "state"), ("thread_time", "time_ns", "ns", "time of a host thread that is no vCPU's in this state")),
    *_table("queues", ("queue",),
            ("queue_arrived", "arrived", "count", "packets that reached this queue of a network card"),
            ("queue_taken", "taken", "count", "of them: the guest's driver took them"),
            ("queue_dropped", "dropped", "count", "of them: the ring was full"),
            ("queue_waiting", "waiting", "count", "of them: wait at the end of the run"),
            ("queue_wait_mean", "mean_ns", "ns", "from a packet's arrival until it was taken: the mean"),
            ("queue_wait_p99", "p99_ns", "ns", "from a packet's arrival until it was taken: 99 of 100 wait no longer"),
            ("queue_wait_max", "max_ns", "ns", "from a packet's arrival until it was taken: the longest")),
    *_table("inhibits", ("reason",),
            ("inhibit_switches", "switches", "count", "how often this reason switched APICv or AVIC off"),
            ("inhibit_time", "time_ns", "ns", "for how long"),
            ("inhibit_exits", "exits", "count", "VM exits meanwhile")),
    *_table("stamps", ("vcpu", "id"),
            ("stamp_count", "count", "count", "differences between consecutive stamps of this series"),
            ("stamp_mean", "mean_cycles", "cycles", "their mean"),
            ("stamp_min", "min_cycles", "cycles", "the smallest"),
            ("stamp_max", "max_cycles", "cycles", "the largest")),
)


def described() -> list[dict[str, Any]]:
    """The schema, for `virqsim list stats`."""
    return [{"name": s.name, "unit": s.unit, "by": list(s.by), "meaning": s.meaning} for s in SCHEMA]


def rows(run: Results) -> list[dict[str, Any]]:
    """All numbers of a run; labels that a statistic has not are None."""
    mark = show.caveat(run.document)
    return [{"stat": stat.name, **{label: labels.get(label) for label in LABELS}, "value": value, "unit": stat.unit,
             "meaning": stat.meaning + (mark if stat.unit in _OF_COSTS else "")}
            for stat in SCHEMA for labels, value in stat.rows(run)]


def frame(run: Results) -> pd.DataFrame:
    """The same as a table, with a type for each column."""
    table = pd.DataFrame(rows(run), columns=["stat", *LABELS, "value", "unit", "meaning"])
    for label in ("vcpu", "vector", "id"):
        table[label] = table[label].astype("Int64")
    for label in set(LABELS) - {"vcpu", "vector", "id"}:
        table[label] = table[label].astype("string")
    return table.astype({"value": float})


def _name(row: dict[str, Any]) -> str:
    """`vcpu0.exits::MSR_WRITE::operation`, as gem5 names the parts of a vector."""
    before = "".join(f"vcpu{row[label]}." for label in _VCPU_LABELS if row[label] is not None)
    parts = [str(row[label]) for label in LABELS if label not in _VCPU_LABELS and row[label] is not None]
    return "::".join([before + row["stat"], *(part.replace(" ", "_") for part in parts)])


def text(run: Results) -> str:
    """In the form of gem5's stats.txt: name, value, # description (unit)."""
    lines = ["", "---------- Begin Simulation Statistics ----------"]
    for row in rows(run):
        value = f"{row['value']:.6f}" if isinstance(row["value"], float) else str(row["value"])
        lines.append(f"{_name(row):<{_WIDTH_NAME}} {value:>{_WIDTH_VALUE}}"
                     f"                       # {row['meaning']} ({row['unit']})")
    return "\n".join([*lines, "", "---------- End Simulation Statistics   ----------", ""])


def _document(run: Results) -> dict[str, Any]:
    known = [{key: value for key, value in row.items() if value is not None and key not in ("unit", "meaning")}
             for row in rows(run)]
    head = {key: run.document[key] for key in ("name", "technology", "profile", "profile_kind", "plan_hash", "state", "partial")}
    return {"format": "virqsim-stats-1", **head, "schema": described(), "stats": known}


FORMATS: dict[str, Callable[[Results, Path], Any]] = {
    "stats.txt": lambda run, path: path.write_text(text(run)),
    "stats.json": lambda run, path: path.write_text(json.dumps(_document(run), indent=1) + "\n"),
    "stats.csv": lambda run, path: frame(run).to_csv(path, index=False),
    "stats.parquet": lambda run, path: frame(run).to_parquet(path, index=False),
}
"""A file of this name in the run folder, and what writes it."""
