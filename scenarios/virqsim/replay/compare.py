"""Replays a demand under technologies, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .. import library, profiles, runner
from ..errors import VirqsimError
from ..hypothetical import Hypothetical
from ..profiles import Profile
from ..results import Results
from . import demand as demands
from . import collector, program
from .demand import Demand
from .program import Pace
from .reader import Trace

_CPUID = ("cpuid", "CPUID")
_SCALES = (1, 4, 16)
_PS_PER_NS = 1000


@dataclass
class Outcome:
    """What one replay charged: (vCPU, reason) to exits, and the whole results."""

    technology: str
    exits: Counter[tuple[int, str]]
    results: Results
    notes: list[str] = field(default_factory=list)

    @property
    def by_reason(self) -> dict[str, int]:
        """Exit reason to exits of all vCPUs, by name."""
        return by_reason(self.exits)

    def latency_ns(self) -> dict[str, Any]:
        """Of the IPIs: count, p50, p99, max and the mean of each stage, in nanoseconds; {} without any."""
        for row in self.results.document["latency"]:
            if row["source"] == "ipi" and row["count"]:
                return {"count": row["count"],
                        **{key: row[f"{key}_ps"] / _PS_PER_NS for key in ("mean", "p50", "p99", "max")},
                        "stages": {stage["stage"]: stage["sum_ps"] / row["count"] / _PS_PER_NS
                                   for stage in row["stages"]}}
        return {}


@cache
def _default(technology: str) -> Profile:
    return profiles.load(profiles.default(technology))


def by_reason(exits: Counter[tuple[int, str]]) -> dict[str, int]:
    """Exit reason to exits of all vCPUs, by name; reasons that did not happen are left out."""
    total: Counter[str] = Counter()
    for (_, reason), n in exits.items():
        total[reason] += n
    return {reason: total[reason] for reason in sorted(total) if total[reason]}


class Replay:
    """A trace, taken apart once and replayed as often as wanted.

    Args:
        trace: the recording.
        profile: whose costs; None: those of each technology's machine.
        keep_traces: in the folders of under().
        declared: hypothetical features by name.
        undisturbed: without what the recording's host did to the guest.
    """

    def __init__(self, trace: Trace, profile: Profile | None, keep_traces: bool = False,
                 declared: Mapping[str, Hypothetical] | None = None, undisturbed: bool = False) -> None:
        self.trace = trace
        self.profile = profile
        self._end = ""
        self.keep_traces = keep_traces
        self.declared = declared or {}
        with collector.put_off():
            self.demand: Demand = demands.extract(trace, undisturbed)
        self.recorded_exits = trace.exits()

    def under(self, technology: str | None = None, features: dict[str, bool] | None = None,
              folder: str | Path | None = None) -> Outcome:
        """Replays under a technology; without one, under that of the recording.

        Of the recording's features a what-if keeps those that the guest has a
        say in; the others were properties of the recorded hardware.

        Raises:
            VirqsimError: the simulator refuses the plan, or the run cannot come to its end.
        """
        recorded = self.demand.recorded
        e2k = library.vendor(technology or recorded.technology) == "e2k"  # whose guests have no such word to write
        kept = () if e2k else ("pv-eoi",)
        base = recorded.features if technology is None else {k: v for k, v in recorded.features.items() if k in kept}
        switched = {**base, **(features or {})}
        technology = technology or recorded.technology
        notes: list[str] = []
        for scale in _SCALES:
            results = self._run(technology, switched, Pace(scale), folder)
            if results.document["state"] != "idle":
                break
            notes = [f"{technology}: the guests waited for each other; pauses made {_SCALES[-1]} times as long did not help"]
        if results.document["state"] == "broken":
            raise VirqsimError(f"replay under {technology}: {results.document['broken']}")
        if results.document["state"] != "idle":
            notes = []
        return Outcome(technology, self._count(results), results, notes)

    def at(self, end: str) -> Replay:
        """The same demand, with every cost at the `low` or the `high` end of its range."""
        other = copy(self)
        other._end = end
        other.keep_traces = False
        return other

    def costs(self, technology: str) -> Profile:
        """Whose costs a replay under this technology pays."""
        profile = self.profile or _default(technology)
        return profile.at(self._end) if self._end else profile

    def _run(self, technology: str, features: dict[str, bool], pace: Pace, folder: str | Path | None) -> Results:
        costs = self.costs(technology)
        plan = program.build(self.trace.path.name.partition(".")[0], self.demand, technology, features, pace,
                             costs, self._halt_poll_ns())
        try:
            return runner.run(plan.resolve(costs, declared=self.declared), folder=folder,
                              trace=self.keep_traces and folder is not None)
        except VirqsimError as error:
            raise VirqsimError(f"{self.trace.path}: cannot be replayed under {technology}: {error}") from None

    def _halt_poll_ns(self) -> int:
        """As recorded, or Linux's default."""
        return int(self.trace.header.parameters.get("halt_poll_ns", 200_000))

    def _count(self, results: Results) -> Counter[tuple[int, str]]:
        """The replay's exits, stand-ins under their own names."""
        exits = _exits(results)
        for (vcpu, reason), n in self.demand.carried.items():
            stand_in = next((name for name in _CPUID if exits[vcpu, name]), None)
            if stand_in:
                exits[vcpu, stand_in] -= n
                exits[vcpu, reason] += n
        return +exits


def _exits(results: Results) -> Counter[tuple[int, str]]:
    exits: Counter[tuple[int, str]] = Counter()
    for row in results.document["exits"]:
        if row["cause"] != "setup":
            exits[row["vcpu"], row["reason"]] += row["count"]
    return exits
