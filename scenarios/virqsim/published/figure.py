"""A published figure, how it is simulated, and what becomes of the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .. import features, profiles, runner
from ..plan import Plan
from ..profiles import Profile

WITHIN = 0.10
"""How far a prediction may be off and still be called right, as a fraction of the published figure."""

Measure = Callable[[Profile], float]
"""Simulates something under a profile, and says how much came out."""


@dataclass(frozen=True)
class Setting:
    """Under what a measurement is repeated."""

    technology: str
    features: str = ""
    guest_apic: str = "x2apic"

    def run(self, profile: Profile, plan: Plan) -> dict[str, Any]:
        """The results of a plan under these."""
        return runner.run(plan.resolve(profile, self.technology, features.parse(self.features))).document


def stamped(document: dict[str, Any]) -> float:
    """The mean between two stamps, in cycles of the TSC."""
    row = next(row for row in document["stamps"] if row["id"] == 1)
    return row["sum_cycles"] / row["count"]


def nanoseconds(cycles: float, profile: Profile) -> float:
    """TSC cycles as time."""
    return cycles * 1e9 / profile.clocks["tsc_hz"]


def latency(document: dict[str, Any], source: str, profile: Profile) -> float:
    """Raised to the handler's first instruction, the mean, in cycles of the TSC."""
    row = next(row for row in document["latency"] if row["source"] == source)
    return row["mean_ps"] * profile.clocks["tsc_hz"] / 1e12


@dataclass(frozen=True)
class Figure:
    """A published figure, and how to simulate it.

    Args:
        id: the figure's number in the sources' list, and which of its figures this is.
        what: for people.
        published: as printed, in `unit`.
        unit: cycles, ns, exits, %, or x (a ratio).
        source: where it was printed.
        profile: the machine of the publication, or the nearest one.
        measures: what is simulated.
        combine: the figure from what was measured, where that is not one number.
        calibrates: it set a cost of the profile, and so predicts nothing.
    """

    id: str
    what: str
    published: float
    unit: str
    source: str
    profile: str
    measures: tuple[Measure, ...]
    combine: Callable[..., float] | None = None
    calibrates: bool = False

    def simulate(self, bench: Bench) -> float:
        measured = [bench.measure(each) for each in self.measures]
        return self.combine(*measured) if self.combine else measured[0]


def change(before: float, after: float) -> float:
    """How much more there is after than before, in per cent."""
    return 100 * (after - before) / before


def ratio(one: float, other: float) -> float:
    """How many times as much the one is."""
    return one / other


def mean(*values: float) -> float:
    """Where the publication does not say which of several, equally likely, it was."""
    return sum(values) / len(values)


class Bench:
    """A profile, and what was measured under it: several figures share a measurement."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._measured: dict[Measure, float] = {}

    def measure(self, measure: Measure) -> float:
        if measure not in self._measured:
            self._measured[measure] = measure(self.profile)
        return self._measured[measure]


class Benches:
    """The benches of the profiles that figures name; one profile for all, if it is given."""

    def __init__(self, profile: str | None) -> None:
        self._profile = profile
        self._of: dict[str, tuple[Bench, Bench, Bench]] = {}

    def of(self, figure: Figure) -> tuple[Bench, Bench, Bench]:
        """The figure's profile as it is, and with every cost at the low and at the high end."""
        name = self._profile or figure.profile
        if name not in self._of:
            profile = profiles.load(name)
            self._of[name] = (Bench(profile), Bench(_at(profile, "low")), Bench(_at(profile, "high")))
        return self._of[name]


def _at(profile: Profile, end: str) -> Profile:
    """The profile with every cost at the `low` or the `high` end of its range."""
    return replace(profile, costs={key: replace(n, value=getattr(n, end)) for key, n in profile.costs.items()})


def compare(figure: Figure, benches: Benches) -> dict[str, Any]:
    """The row of `virqsim validate` for a figure."""
    bench, at_low, at_high = benches.of(figure)
    simulated, low, high = (figure.simulate(each) for each in (bench, at_low, at_high))
    error = (simulated - figure.published) / figure.published if figure.published else simulated
    return {
        "id": figure.id,
        "kind": "calibration" if figure.calibrates else "prediction",
        "what": figure.what,
        "unit": figure.unit,
        "published": figure.published,
        "simulated": round(simulated, 4),
        "error": round(error, 4),
        "verdict": _verdict(figure, error, low, high),
        "all_low": round(low, 4),
        "all_high": round(high, 4),
        "profile": bench.profile.name,
        "source": figure.source,
    }


def _verdict(figure: Figure, error: float, low: float, high: float) -> str:
    if figure.calibrates:
        return "set the profile"
    if abs(error) <= WITHIN:
        return "within 10 %"
    spanned = min(low, high) <= figure.published <= max(low, high)
    return "within the range of the assumptions" if spanned else "outside"
