"""What if one more feature were on: the same plan again, for each feature that there is.

Nothing here knows what a feature does. It is switched on, with those that it
needs, and the exits of each line are counted anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import library, paths
from ..again import check_same, until
from ..errors import VirqsimError
from ..features import switched_on
from ..hypothetical import underneath
from ..plan import housekept
from ..results import Results
from .attribution import Account, Line
from .simulated import bill

_FORMAT = "virqsim-bill-1"
_PATIENCE = 10  # a plan that takes so much longer with a feature is taken not to end
_DRIFT = 0.01  # runs under other features differ a little in their timing: so much of a line is none

# Without external-interrupt exiting the guest's IDT would get the host's interrupts, so they must go to other CPUs,
# unless an IDT of the hypervisor's makes them exit.
_DEDICATES, _SHARES = "direct-interrupts", "shadow-idt"


class Takes(IntEnum):
    """What it takes to have a feature, cheapest first."""

    SOFTWARE = 0
    """A hypervisor or a guest that has it."""
    HARDWARE = 1
    """Another CPU or IOMMU."""
    CPUS = 2
    """CPUs that the host keeps its own interrupts from: others can hardly use them, as long as the guest is there."""


@dataclass(frozen=True)
class Feature:
    """A feature that is off, and what it takes to have it."""

    name: str
    adds: tuple[str, ...]
    """The features to switch on: those that it needs and that are off, then itself."""
    takes: Takes

    def __str__(self) -> str:
        return ",".join(f"+{name}" for name in self.adds)


@dataclass(frozen=True)
class Tried:
    """A feature, and the account of the same plan with it; or why there is none."""

    feature: Feature
    account: Account | None
    refused: str = ""

    def price(self, base: Account) -> tuple[bool, int, Takes, int]:
        """The order of cheapness: no dedicated CPUs, fewest features, software before hardware, most saved."""
        feature = self.feature
        return (feature.takes is Takes.CPUS, len(feature.adds), feature.takes, self.account.billed_ps - base.billed_ps)


def features_that_are_off(plan: dict[str, Any]) -> list[Feature]:
    """What could be switched on in a plan: on its vendor's machines, and beside what is on."""
    described = library.describe()
    rows = {row["name"]: row for row in described["features"]}
    technology = next(row for row in described["technologies"] if row["name"] == underneath(plan))
    on = switched_on(plan)
    candidates = []
    homes = ("e2k",) if technology["vendor"] == "e2k" else ("any", technology["vendor"])  # "any" is either of x86
    for name, row in rows.items():
        if name in on or row["on"] not in homes:
            continue
        adds = tuple(each for each in _with_needs(name, rows, on) if rows[each]["on"] in homes)
        together = on.union(adds)
        if not any(together.intersection(rows[each]["excludes"]) for each in together):
            candidates.append(Feature(name, adds, _takes(adds, rows)))
    return candidates


def _takes(adds: tuple[str, ...], rows: dict[str, Any]) -> Takes:
    """The dearest of what the features take; CPUs that are dedicated already cost no more."""
    if _DEDICATES in adds and _SHARES not in adds:
        return Takes.CPUS
    return Takes.HARDWARE if any(rows[each]["by"] == "hardware" for each in adds) else Takes.SOFTWARE


def _with_needs(name: str, rows: dict[str, Any], on: set[str]) -> dict[str, None]:
    """`name` behind all that it needs and that is off, once each."""
    found: dict[str, None] = {}
    for needed in rows[name]["needs"]:
        if needed not in on:
            found |= _with_needs(needed, rows, on)
    return {**found, name: None}


class Counterfactuals:
    """A run's account, and those of the same plan with one more feature each.

    Args:
        run: a run with a folder; the accounts are kept there, for the next time.
        progress: called with how far the work has come, 0 to 1.

    Raises:
        VirqsimError: the run's plan cannot be run any more, or gives something else.
    """

    def __init__(self, run: Results, progress: Callable[[float], None]) -> None:
        self._run = run
        self._kept = _Kept(run)
        candidates = features_that_are_off(run.plan)
        self._steps = _steps(progress, 1 + len(candidates))
        self.base = self._bill_base()
        self.tried = [self._try(feature) for feature in candidates]
        self._kept.write()

    def _bill_base(self) -> Account:
        step = next(self._steps)
        if "" not in self._kept.runs:
            account, again = bill(self._run.plan, step, until(self._run), whole=False)
            check_same(self._run, again)
            self._kept.runs[""] = {"account": account.document()}
        return Account.of(self._kept.runs[""]["account"])

    def _try(self, feature: Feature) -> Tried:
        step = next(self._steps)
        if str(feature) not in self._kept.runs:
            switched = {**self._run.plan.get("features", {}), **dict.fromkeys(feature.adds, True)}
            try:
                plan = housekept({**self._run.plan, "features": switched})
                limit = until(self._run) if self._run.partial else _PATIENCE * until(self._run)
                account, _ = bill(plan, step, limit, whole=not self._run.partial)
                self._kept.runs[str(feature)] = {"account": account.document()}
            except VirqsimError as refused:
                self._kept.runs[str(feature)] = {"account": None, "refused": str(refused)}
        kept = self._kept.runs[str(feature)]
        if kept["account"] is None:
            return Tried(feature, None, kept["refused"])
        return Tried(feature, Account.of(kept["account"]))

    @cached_property
    def _ran(self) -> list[Tried]:
        """Those that came to their end, cheapest first."""
        return sorted((tried for tried in self.tried if tried.account), key=lambda tried: tried.price(self.base))

    def cheapest(self, line: Line) -> Tried | None:
        """Of the features that remove the most of a line's exits, the cheapest; None: no feature removes any."""
        drift = _DRIFT * line.count
        least = min((tried.account.count(line) for tried in self._ran), default=line.count)
        if least >= line.count - drift:
            return None
        return next(tried for tried in self._ran if tried.account.count(line) <= least + drift)

    def best(self) -> Tried | None:
        """The one that spares the most exits in all; of several the cheapest. None: nothing spares any."""
        fewest = min((tried.account.exits for tried in self._ran), default=self.base.exits)
        if fewest >= self.base.exits:
            return None
        return next(tried for tried in self._ran if tried.account.exits == fewest)


def _steps(progress: Callable[[float], None], count: int) -> Iterator[Callable[[float], None]]:
    """For each of `count` pieces of work the callback that says how far it has come."""
    for n in range(count):
        yield lambda done, n=n: progress((n + done) / count)


class _Kept:
    """The accounts in a run's folder, as long as its plan and the core are the same."""

    def __init__(self, run: Results) -> None:
        self._path = run.folder / "bill.json"
        library_file = paths.find("libvirqsim.so")
        self._head = {"format": _FORMAT, "plan_hash": run.document.get("plan_hash"), "partial": run.partial,
                      "core": hashlib.sha256(Path(library_file).read_bytes()).hexdigest()}
        self.runs: dict[str, Any] = self._read()
        self._were = len(self.runs)

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_text())
            return document["runs"] if {**document, "runs": {}} == {**self._head, "runs": {}} else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def write(self) -> None:
        """A folder that cannot be written keeps nothing: the next bill takes as long as this one."""
        if len(self.runs) == self._were:
            return
        temporary = self._path.with_name(".bill.json.part")
        try:
            temporary.write_text(json.dumps({**self._head, "runs": self.runs}))
            temporary.rename(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
