"""Results: what a run measured (docs/results.md), as tables.

Every table is a pandas DataFrame whose columns carry their unit. A run folder
holds the same on disk: `results.json`, `plan.json`, a CSV for each table and,
if it was asked for, `trace.vqt`.
"""

from __future__ import annotations

import json
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import VirqsimError
from .profiles import ASSUMED_THROUGHOUT, caveat, marked
from .runfolder import RunFolder

PS_PER_NS = 1000
_KEYS = ("name", "technology", "profile", "profile_kind", "state", "partial", "time_ps", "exits", "userspace_exits",
         "latency", "accounting", "vcpus", "queues", "inhibits", "stamps")
_FORMATS = ("virqsim-results-1", "virqsim-plan-1")


def known_as(kind: str) -> str:
    """How a profile's numbers are known, in brackets behind its name."""
    return kind if kind == ASSUMED_THROUGHOUT else f"weakest number: {kind}"


TABLES = ("exits", "userspace_exits", "latency", "stages", "histogram", "accounting", "vcpus", "threads", "queues", "inhibits",
          "stamps")
"""The tables of a Results, which save() writes as CSV files of these names."""

_COLUMNS = {
    "exits": ["vcpu", "reason", "cause", "count"],
    "userspace_exits": ["vcpu", "reason", "cause", "count"],
    "latency": ["source", "count", "min_ns", "mean_ns", "p50_ns", "p99_ns", "max_ns"],
    "stages": ["source", "stage", "mean_ns", "max_ns", "share"],
    "histogram": ["source", "up_to_ns", "count"],
    "accounting": ["vcpu", "vector", "raised", "delivered", "coalesced", "refused", "pending"],
    "vcpus": ["vcpu", "state", "time_ns"],
    "threads": ["thread", "kind", "state", "time_ns"],
    "queues": ["queue", "arrived", "taken", "dropped", "waiting", "masked", "mean_ns", "p50_ns", "p99_ns", "max_ns"],
    "inhibits": ["reason", "switches", "time_ns", "share", "exits", "exits_per_ms", "otherwise_per_ms"],
    "stamps": ["vcpu", "id", "count", "mean_cycles", "min_cycles", "max_cycles"],
}


def _table(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=_COLUMNS[name])


class Results:
    """What one run measured.

    Args:
        document: virqsim_results(), as a dictionary.
        plan: the plan that was run.
        folder: the run folder, where there is one.
    """

    def __init__(self, document: dict[str, Any], plan: dict[str, Any], folder: Path | None = None) -> None:
        self.document = document
        self.plan = plan
        self.folder = folder

    @property
    def partial(self) -> bool:
        """The run was interrupted before its end."""
        return bool(self.document["partial"])

    @property
    def time_ns(self) -> float:
        """Simulated time, in nanoseconds."""
        return self.document["time_ps"] / PS_PER_NS

    @cached_property
    def exits(self) -> pd.DataFrame:
        """VM exits: vcpu, reason, cause (operation, delivery, acknowledge, handler, host), count.

        Those of the plan's own preparations (`setup`) are in `document` only.
        """
        return _table("exits", [row for row in self.document["exits"] if row["cause"] != "setup"])

    @cached_property
    def userspace_exits(self) -> pd.DataFrame:
        """Returns of KVM_RUN to userspace: vcpu, reason, cause, count; without those of preparations."""
        return _table("userspace_exits", [row for row in self.document["userspace_exits"] if row["cause"] != "setup"])

    @cached_property
    def latency(self) -> pd.DataFrame:
        """From raised to the handler's first instruction, a row for each source; nanoseconds."""
        return _table("latency", [
            {"source": row["source"], "count": row["count"],
             **{f"{key}_ns": row[f"{key}_ps"] / PS_PER_NS for key in ("min", "mean", "p50", "p99", "max")}}
            for row in self.document["latency"]])

    @cached_property
    def stages(self) -> pd.DataFrame:
        """Where that time went: the mean of each stage over all interrupts of the source; shares add up to 1."""
        return _table("stages", [
            {"source": row["source"], "stage": stage["stage"],
             "mean_ns": stage["sum_ps"] / row["count"] / PS_PER_NS if row["count"] else 0.0,
             "max_ns": stage["max_ps"] / PS_PER_NS,
             "share": stage["sum_ps"] / row["sum_ps"] if row["sum_ps"] else 0.0}
            for row in self.document["latency"] for stage in row["stages"]])

    @cached_property
    def histogram(self) -> pd.DataFrame:
        """Latencies by bucket: source, the bucket's upper bound in nanoseconds, count."""
        return _table("histogram", [
            {"source": row["source"], "up_to_ns": bound / PS_PER_NS, "count": count}
            for row in self.document["latency"] for bound, count in row["histogram"]])

    @cached_property
    def accounting(self) -> pd.DataFrame:
        """Interrupts by destination and vector; raised = delivered + coalesced + refused + pending."""
        return _table("accounting", self.document["accounting"])

    @cached_property
    def vcpus(self) -> pd.DataFrame:
        """How long each vCPU was in each state; nanoseconds."""
        return _table("vcpus", [
            {"vcpu": row["vcpu"], "state": state, "time_ns": ps / PS_PER_NS}
            for row in self.document["vcpus"] for state, ps in row["states_ps"].items()])

    @cached_property
    def threads(self) -> pd.DataFrame:
        """How long each host thread that is no vCPU was in each state; nanoseconds."""
        return _table("threads", [
            {"thread": row["thread"], "kind": row["kind"], "state": state, "time_ns": ps / PS_PER_NS}
            for row in self.document["threads"] for state, ps in row["states_ps"].items()])

    @cached_property
    def queues(self) -> pd.DataFrame:
        """The receive queues of network cards: frames, how often their interrupts went off, and how long a frame
        waited in the ring; nanoseconds."""
        return _table("queues", [
            {**{key: row[key] for key in ("queue", "arrived", "taken", "dropped", "waiting", "masked")},
             **{f"{key}_ns": row[f"{key}_ps"] / PS_PER_NS for key in ("mean", "p50", "p99", "max")}}
            for row in self.document["queues"]])

    @cached_property
    def inhibits(self) -> pd.DataFrame:
        """Why APICv or AVIC was off: how often, how long, and the exits meanwhile.

        The last two columns are exits of all vCPUs in a millisecond while the reason was in force,
        and while it was not. The row `any` is of all reasons together.
        """
        whole_ps, exits = self.document["time_ps"], sum(row["count"] for row in self.document["exits"])

        def per_ms(count: int, ps: int) -> float:
            return count * 1e9 / ps if ps else 0.0

        return _table("inhibits", [
            {"reason": row["reason"], "switches": row["switches"], "time_ns": row["time_ps"] / PS_PER_NS,
             "share": row["time_ps"] / whole_ps if whole_ps else 0.0, "exits": row["exits"],
             "exits_per_ms": per_ms(row["exits"], row["time_ps"]),
             "otherwise_per_ms": per_ms(exits - row["exits"], whole_ps - row["time_ps"])}
            for row in self.document["inhibits"]["reasons"]])

    @cached_property
    def stamps(self) -> pd.DataFrame:
        """Differences between consecutive stamps of one id on one vCPU; TSC cycles."""
        return _table("stamps", [
            {**row, "mean_cycles": row["sum_cycles"] / row["count"] if row["count"] else 0.0}
            for row in self.document["stamps"]])

    def trace(self) -> pd.DataFrame:
        """The full trace: time_ns, flow, event (its name), where, a, b; in the order of the run.

        Raises:
            VirqsimError: the run was not told to keep its trace, or the file is damaged.
        """
        path = self.folder / "trace.vqt" if self.folder else None
        if path is None or not path.is_file():
            raise VirqsimError(f"{self.folder or 'run'}: has no trace.vqt; run with --trace")
        from . import trace

        try:
            read = trace.read(path)
        except ValueError as error:
            raise VirqsimError(str(error)) from None
        frame = pd.DataFrame(read.records[["flow", "event", "where", "a", "b"]])
        frame["event"] = pd.Categorical.from_codes(frame["event"].to_numpy(), read.events)
        frame.insert(0, "time_ns", read.records["ps"] / PS_PER_NS)
        return frame

    def save(self, folder: str | Path) -> Path:
        """Writes the run folder, all of it or nothing, and returns its path.

        Raises:
            VirqsimError: it cannot be written, or something else is there.
        """
        with RunFolder(folder) as files:
            self.write(files)
        return Path(folder)

    def write(self, files: Path) -> None:
        """Writes results.json, plan.json and the CSV files into an existing folder."""
        (files / "results.json").write_text(json.dumps(self.document, indent=1) + "\n")
        (files / "plan.json").write_text(json.dumps(self.plan, indent=1) + "\n")
        for name in TABLES:
            table = marked(getattr(self, name), self.document["profile"], self.document["profile_kind"])
            table.to_csv(files / f"{name}.csv", index=False)

    def summary(self) -> str:
        """One line: what was run with what, and how it ended."""
        d = self.document
        state = "partial: it was interrupted" if self.partial else d["state"]
        if "stopped" in d:
            state += f": vCPU {d['stopped']['vcpu']} stopped the VM by {d['stopped']['kvm_exit']}"
        return (f"{d['name']}: {d['technology']}, profile {d['profile']} ({known_as(d['profile_kind'])}), "
                f"{self.time_ns / 1e6:.3f} ms simulated, {state}")

    @property
    def assumed_throughout(self) -> bool:
        """No number of its profile is known."""
        return self.document["profile_kind"] == ASSUMED_THROUGHOUT

    def __repr__(self) -> str:
        return f"<{self.summary()}>"

    def _repr_html_(self) -> str:
        mark = escape(caveat(self.document["profile"], self.document["profile_kind"]))
        parts = [f"<p>{escape(self.summary())}</p>"]
        for name in ("exits", "latency", "stages", "stamps"):
            table = getattr(self, name)
            if len(table):
                parts.append(f"<h4>{name}{mark}</h4>{table.to_html(index=False, float_format='{:.1f}'.format)}")
        return "\n".join(parts)


def load(folder: str | Path) -> Results:
    """Reads a run folder.

    Raises:
        VirqsimError: it is none, or its files are damaged.
    """
    folder = Path(folder)
    documents = []
    for name in ("results.json", "plan.json"):
        try:
            documents.append(json.loads((folder / name).read_text()))
        except OSError as error:
            raise VirqsimError(f"{folder}: is not a run folder: {name}: {error.strerror}") from None
        except ValueError as error:
            raise VirqsimError(f"{folder / name}: is not JSON: {error}") from None
    for name, document, wanted in zip(("results.json", "plan.json"), documents, _FORMATS, strict=True):
        if not isinstance(document, dict) or document.get("format") != wanted:
            raise VirqsimError(f"{folder / name}: is not of the format {wanted}")
    for key in _KEYS:
        if key not in documents[0]:
            raise VirqsimError(f"{folder / 'results.json'}: has no {key!r}; run it again")
    return Results(documents[0], documents[1], folder)
