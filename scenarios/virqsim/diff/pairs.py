"""The interrupts of two runs side by side.

The n-th interrupt of a cause (who raised it, for which vCPU, with which vector)
in one run is the n-th of that cause in the other: a guest's programs do the same
in both, only when differs. Those that one run has more of stand alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .flights import STAGES, Flight

PS_PER_NS = 1000
Cause = tuple[str, int | None, int | None, int, int]


@dataclass
class Pair:
    """One interrupt in both runs."""

    number: int  # of its cause, from 0
    a: Flight
    b: Flight

    @property
    def change(self) -> int | None:
        """Picoseconds that it takes longer in the second; None where a run has no handler for it."""
        if self.a.latency is None or self.b.latency is None:
            return None
        return self.b.latency - self.a.latency

    @property
    def stages(self) -> dict[str, int]:
        """The same by stage."""
        a, b = self.a.stages, self.b.stages
        return {stage: b.get(stage, 0) - a.get(stage, 0) for stage in STAGES if stage in a or stage in b}

    @property
    def stage(self) -> str:
        """The stage that changed most; empty where none did."""
        changes = self.stages
        most = max(changes, key=lambda stage: abs(changes[stage]), default="")
        return most if changes.get(most) else ""


@dataclass
class Group:
    """All interrupts of one cause."""

    cause: Cause
    pairs: list[Pair] = field(default_factory=list)
    only_a: list[Flight] = field(default_factory=list)
    only_b: list[Flight] = field(default_factory=list)

    def measured(self) -> list[Pair]:
        """The pairs that have a latency in both."""
        return [pair for pair in self.pairs if pair.change is not None]

    def stages(self) -> dict[str, float]:
        """The mean change by stage, picoseconds; they add up to the mean change of the latency."""
        pairs, total = self.measured(), Counter()
        for pair in pairs:
            for stage, ps in pair.stages.items():
                total[stage] += ps
        return {stage: total[stage] / len(pairs) for stage in STAGES if stage in total}

    def fates(self) -> dict[tuple[str, str], int]:
        """(in the first, in the second) to how many, where they ended otherwise."""
        return dict(Counter((p.a.fate, p.b.fate) for p in self.pairs if p.a.fate != p.b.fate))

    def exits(self) -> tuple[Counter[str], Counter[str]]:
        """Exits by reason in each run, of all its interrupts."""
        a, b = Counter(), Counter()
        for flight in [*(p.a for p in self.pairs), *self.only_a]:
            a += flight.exits
        for flight in [*(p.b for p in self.pairs), *self.only_b]:
            b += flight.exits
        return a, b


def align(a: Iterable[Flight], b: Iterable[Flight]) -> list[Group]:
    """Groups of pairs, those whose latencies change most in sum first."""
    by_cause: dict[Cause, tuple[list[Flight], list[Flight]]] = defaultdict(lambda: ([], []))
    for flight in a:
        by_cause[flight.cause][0].append(flight)
    for flight in b:
        by_cause[flight.cause][1].append(flight)
    groups = []
    for cause, (left, right) in by_cause.items():
        both = min(len(left), len(right))
        pairs = [Pair(n, x, y) for n, (x, y) in enumerate(zip(left[:both], right[:both], strict=True))]
        groups.append(Group(cause, pairs, left[both:], right[both:]))
    return sorted(groups, key=lambda g: (-sum(abs(p.change or 0) for p in g.pairs), str(g.cause)))


def name(cause: Cause, devices: Mapping[int, str]) -> str:
    """A cause for people: `ipi vCPU 0 to vCPU 1, vector 0x30`."""
    source, raiser, device, target, vector = cause
    if raiser is None:
        who = f"{source} {devices.get(device or 0, device) if source != 'line' else f'input {device}'}"
    elif raiser == target and source != "ipi":
        return f"{source} of vCPU {target}, vector {vector:#x}"
    else:
        who = f"{source} vCPU {raiser}"
    return f"{who} to vCPU {target}, vector {vector:#x}"


def document(groups: list[Group], devices: Mapping[int, str], worst: int) -> dict[str, Any]:
    """What --json prints, and what the tables show."""
    pairs = [(pair, name(group.cause, devices)) for group in groups for pair in group.measured()]
    slower = sorted((p for p in pairs if (p[0].change or 0) > 0), key=lambda p: -(p[0].change or 0))
    faster = sorted((p for p in pairs if (p[0].change or 0) < 0), key=lambda p: p[0].change or 0)
    return {
        "causes": [_group(group, devices) for group in groups],
        "lost_most": [_pair(*pair) for pair in slower[:worst]],
        "gained_most": [_pair(*pair) for pair in faster[:worst]],
    }


def _group(group: Group, devices: Mapping[int, str]) -> dict[str, Any]:
    measured = group.measured()
    changes = [pair.change or 0 for pair in measured]
    stages = group.stages()
    exits_a, exits_b = group.exits()

    def mean(values: list[int]) -> float | None:
        return sum(values) / len(values) / PS_PER_NS if values else None

    return {
        "cause": name(group.cause, devices), "pairs": len(group.pairs),
        "only_a": len(group.only_a), "only_b": len(group.only_b),
        "a_mean_ns": mean([p.a.latency or 0 for p in measured]), "b_mean_ns": mean([p.b.latency or 0 for p in measured]),
        "change_mean_ns": mean(changes),
        "faster": sum(c < 0 for c in changes), "same": sum(c == 0 for c in changes), "slower": sum(c > 0 for c in changes),
        "stages_ns": {stage: ps / PS_PER_NS for stage, ps in stages.items()},
        "stage": max(stages, key=lambda s: abs(stages[s])) if any(stages.values()) else None,
        "fates": [{"a": a, "b": b, "count": n} for (a, b), n in group.fates().items()],
        "exits_a": dict(sorted(exits_a.items())), "exits_b": dict(sorted(exits_b.items())),
    }


def _pair(pair: Pair, cause: str) -> dict[str, Any]:
    return {
        "cause": cause, "number": pair.number, "flow_a": pair.a.flow, "flow_b": pair.b.flow,
        "a_ns": (pair.a.latency or 0) / PS_PER_NS, "b_ns": (pair.b.latency or 0) / PS_PER_NS,
        "change_ns": (pair.change or 0) / PS_PER_NS, "stage": pair.stage,
        "stages_ns": {stage: ps / PS_PER_NS for stage, ps in pair.stages.items()},
    }
