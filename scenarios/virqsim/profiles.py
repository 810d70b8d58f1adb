"""Cost profiles: what a CPU and its host pay, each number with its source.

A profile is a TOML file, models/cost/profiles/NAME.toml or one of the user's
own, with a table for each clock and each cost key:

    [costs."hw.exit"]
    value = 448
    low = 230
    high = 560
    kind = "assumed"
    source = "where the number is from, or why this one was assumed"

`inherits = "NAME"` takes the rest from another profile. A number that was
taken over is about another CPU, so whatever it was there, it is assumed here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import library, paths
from .errors import VirqsimError, unknown

if TYPE_CHECKING:
    import pandas

KINDS = ("measured", "published", "derived", "assumed")
"""How a number is known, from the strongest to the weakest."""

ASSUMED_THROUGHOUT = "assumed throughout"
_DEFAULTS = {"e2k": "elbrus-16c"}  # by vendor; of others skylake-sp

CLOCKS = ("core_hz", "tsc_hz", "apic_timer_hz")
_FIELDS = ("value", "low", "high", "kind", "source")
_TABLES = ("title", "inherits", "clock", "costs")


@dataclass(frozen=True)
class Number:
    """A value with its range, and how it is known. Cycles of the core clock, or hertz for a clock."""

    value: int
    low: int
    high: int
    kind: str
    source: str


@dataclass(frozen=True)
class Profile:
    """A whole profile: every clock and every cost key."""

    name: str
    title: str
    clock: dict[str, Number]
    costs: dict[str, Number]

    @property
    def kind(self) -> str:
        """The weakest kind of any of its numbers."""
        return max((n.kind for n in [*self.clock.values(), *self.costs.values()]), key=KINDS.index)

    def at(self, end: str) -> Profile:
        """The profile with every cost at the `low` or the `high` end of its range."""
        return replace(self, costs={key: replace(n, value=getattr(n, end)) for key, n in self.costs.items()})

    @property
    def known(self) -> str:
        """The weakest kind, and whether there is no other: `assumed throughout`."""
        numbers = [*self.clock.values(), *self.costs.values()]
        return ASSUMED_THROUGHOUT if all(n.kind == "assumed" for n in numbers) else self.kind

    @property
    def cycles(self) -> dict[str, int]:
        """Cost key to cycles of the core clock."""
        return {key: number.value for key, number in self.costs.items()}

    @property
    def clocks(self) -> dict[str, int]:
        """Clock to hertz."""
        return {key: number.value for key, number in self.clock.items()}


def caveat(profile: str, kind: str) -> str:
    """What stands beside every number that a profile made, where none of its own is known; else nothing."""
    return f" (profile {profile}: {kind})" if kind == ASSUMED_THROUGHOUT else ""


def column(profile: str, kind: str) -> str:
    """What every row of a file says in its last column, `profile`, where no number of that is known; else nothing."""
    return f"{profile}: {kind}" if kind == ASSUMED_THROUGHOUT else ""


def marked(table: pandas.DataFrame, profile: str, kind: str) -> pandas.DataFrame:
    """A table for a file, with that column where there is something to say."""
    said = column(profile, kind)
    return table.assign(profile=said) if said else table


def marked_by(table: pandas.DataFrame, plan: Mapping[str, Any] | None) -> pandas.DataFrame:
    """The same by a resolved plan's costs; the table as it is where there is no plan."""
    costs = (plan or {}).get("costs", {})
    return marked(table, costs.get("profile", ""), costs.get("kind", ""))


CAVEAT = re.compile(rf" \(profile (\S+): {ASSUMED_THROUGHOUT}\)")
"""How caveat() is found again, in an export's comments."""


def caveat_of(plan: Mapping[str, Any] | None) -> str:
    """The same of a resolved plan's costs; nothing where there is no plan."""
    costs = (plan or {}).get("costs", {})
    return caveat(costs.get("profile", ""), costs.get("kind", ""))


def available() -> list[str]:
    """The names of the profiles that come with virqsim."""
    return sorted(path.stem for path in paths.find("profiles").glob("*.toml"))


def default(technology: str) -> str:
    """The profile of a technology's machine, where none is asked for."""
    return _DEFAULTS.get(library.vendor(technology), "skylake-sp")


def load(profile: str) -> Profile:
    """Reads a profile by its name, or by the path of its file.

    Raises:
        VirqsimError: there is none, or something in it is wrong.
    """
    path = Path(profile)
    if path.suffix != ".toml":
        if profile not in available():
            raise unknown("profile", profile, available())
        path = paths.find("profiles") / f"{profile}.toml"
    whole = _read(path, ())
    for table, keys in (("clock", CLOCKS), ("costs", library.names("costs"))):
        for key in keys:
            if key not in whole[table]:
                raise VirqsimError(f'profile {path.stem}: {table}."{key}": is missing')
    return Profile(path.stem, whole["title"], whole["clock"], whole["costs"])


def _read(path: Path, heirs: tuple[str, ...]) -> dict[str, Any]:
    """A file's tables on top of those it inherits, each number checked."""
    name = path.stem
    if name in heirs:
        raise VirqsimError(f"profile {heirs[0]}: inherits: {' from '.join((*heirs, name))} is a circle")
    document = _parse(path)
    for key in document:
        if key not in _TABLES:
            raise unknown(f"profile {name}", key, _TABLES)
    whole: dict[str, Any] = {"title": document.get("title", name), "clock": {}, "costs": {}}
    parent = document.get("inherits")
    if parent is not None:
        whole |= {key: _inherited(table, parent) for key, table in _parent(path, parent, (*heirs, name)).items()
                  if key != "title"}
    for table, keys in (("clock", CLOCKS), ("costs", library.names("costs"))):
        for key, fields in document.get(table, {}).items():
            if key not in keys:
                raise unknown(f"profile {name}: {table}", key, keys)
            whole[table][key] = _number(f'profile {name}: {table}."{key}"', fields)
    return whole


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise VirqsimError(f"profile {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise VirqsimError(f"profile {path}: is not TOML: {error}") from None


def _parent(path: Path, parent: object, heirs: tuple[str, ...]) -> dict[str, Any]:
    """The profile inherited: a neighbour of the file, or one of virqsim's own."""
    for folder in (path.parent, paths.find("profiles")):
        candidate = folder / f"{parent}.toml"
        if candidate.is_file():
            return _read(candidate, heirs)
    raise unknown(f"profile {path.stem}: inherits", parent, available())


def _inherited(table: dict[str, Number], parent: object) -> dict[str, Number]:
    return {key: Number(n.value, n.low, n.high, "assumed", f"as in {parent}: {n.source}") for key, n in table.items()}


def _number(place: str, fields: object) -> Number:
    if not isinstance(fields, dict):
        raise VirqsimError(f"{place}: {fields!r} is not a table of {', '.join(_FIELDS)}")
    for key in fields:
        if key not in _FIELDS:
            raise unknown(place, key, _FIELDS)
    for key in _FIELDS:
        if key not in fields:
            raise VirqsimError(f"{place}.{key}: is missing")
    for key in ("value", "low", "high"):
        if type(fields[key]) is not int or fields[key] < 0:
            raise VirqsimError(f"{place}.{key}: {fields[key]!r} is not a whole number, 0 or more")
    number = Number(**fields)
    if not number.low <= number.value <= number.high:
        raise VirqsimError(f"{place}.value: {number.value} is outside of low..high ({number.low}..{number.high})")
    if number.kind not in KINDS:
        raise unknown(f"{place}.kind", number.kind, KINDS)
    if not isinstance(number.source, str) or not number.source.strip():
        raise VirqsimError(
            f'{place}.source: is empty; name where the number is from, or kind = "assumed" with a reason')
    return number
