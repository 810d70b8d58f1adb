'''Hypothetical features: interrupt hardware that nobody has built, declared in rules.

    from virqsim import Hypothetical, traps, virtualized

    logical_ipiv = Hypothetical(
        "logical-ipiv",
        title="IPI virtualization for logical destinations too",
        base="ipiv",
        rules=[
            virtualized("ipi.logical", when="vector=legal, target=running|preempted|halted",
                        effect="post-each", cost={"hw.ipi_virtualized": 1}),
            traps("ipi.logical", when="otherwise", exit="APIC_WRITE"),
        ])

In a file of one's own (`--hypothetical FILE.py`) or among scenarios/features/, a
feature is a technology by its name, and can be switched on top of another one by
`--features=+NAME`. The words are those of `virqsim list accesses`, `conditions`
and `effects`; docs/hypothetical.md says what they mean and what they cannot say.
'''

from __future__ import annotations

import copy
import re
import runpy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from . import library, paths
from .errors import VirqsimError, one_line_errors, unknown
from .profiles import Number

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

When = Mapping[str, Sequence[str]] | str
"""Conditions, each with the values that will do; or `otherwise`."""


@dataclass(frozen=True)
class Rule:
    """What becomes of one access under some conditions; made by virtualized(), traps() and unchanged()."""

    access: str
    verdict: str
    when: When
    effect: str | None = None
    exit: str | None = None
    cost: Mapping[str, int] | None = None
    cycles: Number | None = None

    def document(self) -> dict[str, Any]:
        """The rule as the plan has it."""
        whole = {"access": self.access, "verdict": self.verdict, "when": self.when, "effect": self.effect,
                 "exit": self.exit, "costs": self.cost, "cycles": self.cycles and asdict(self.cycles)}
        return {key: value for key, value in whole.items() if value is not None and (key, value) != ("when", {})}

    def applies(self, values: Mapping[str, str]) -> bool:
        """Is this one of the combinations that it names? A rule for the rest names none."""
        return isinstance(self.when, Mapping) and all(values[c] in allowed for c, allowed in self.when.items())


def virtualized(access: str, *, effect: str, when: str = "always", cost: Mapping[str, int] | None = None,
                cycles: Number | None = None) -> Rule:
    """The guest goes on: the hardware does `effect`, at a cost that stands in place of any other.

    Args:
        access: a row of `virqsim list accesses`.
        effect: a row of `virqsim list effects` that the access can have.
        when: `always`, `otherwise`, or conditions: "target=running|halted, vector=legal".
        cost: cost key to how many times it is paid, at the profile's price.
        cycles: a number that no profile has: assumed().

    Raises:
        VirqsimError: a word is wrong, or there is no cost.
    """
    rule = _rule(access, "virtualized", when, cost, cycles, effect=effect)
    if cost is None and cycles is None:
        raise VirqsimError(f"{access}: virtualized at no cost; give cost= or cycles= (cost={{}} for none)")
    if effect not in library.names("effects"):
        raise unknown(f"{access}: effect", effect, library.names("effects"))
    if effect not in _access(access)["effects"]:
        raise VirqsimError(f"{access}: cannot have the effect {effect} (there are: "
                           f"{', '.join(_access(access)['effects']) or 'none; it can only trap'})")
    return rule


def traps(access: str, *, exit: str, when: str = "always", cost: Mapping[str, int] | None = None,
          cycles: Number | None = None) -> Rule:
    """The guest leaves with a reason, whose handler completes the access; `cost` comes on top of the exit's.

    Whether it leaves before or after the access is the reason's own: APIC_WRITE,
    EOI_INDUCED and TPR_BELOW_THRESHOLD come after it.

    Raises:
        VirqsimError: a word is wrong.
    """
    rule = _rule(access, "traps", when, cost, cycles, exit=exit)
    if exit not in library.names("exit_reasons"):
        raise unknown(f"{access}: exit", exit, library.names("exit_reasons"))
    if exit not in _access(access)["exits"]:
        raise VirqsimError(f"{access}: cannot leave with {exit} (there are: {', '.join(_access(access)['exits'])})")
    return rule


def unchanged(access: str, *, when: str = "always") -> Rule:
    """The technology underneath decides, as if the feature were not there.

    Raises:
        VirqsimError: a word is wrong.
    """
    return _rule(access, "unchanged", when, None, None)


def assumed(value: int, *, low: int, high: int, source: str) -> Number:
    """Cycles that no profile has: with their range, and a sentence why they were assumed.

    Raises:
        VirqsimError: the value is outside of its range, or there is no reason.
    """
    if not 0 <= low <= value <= high:
        raise VirqsimError(f"assumed: {value} is outside of low..high ({low}..{high})")
    if not source.strip():
        raise VirqsimError("assumed: source is empty; say why this number was assumed")
    return Number(value, low, high, "assumed", source)


def _rule(access: str, verdict: str, when: str, cost: Mapping[str, int] | None, cycles: Number | None,
          **what: str) -> Rule:
    if access not in library.names("accesses"):
        raise unknown("access", access, library.names("accesses"))
    for key, times in (cost or {}).items():
        if key not in library.names("costs"):
            raise unknown(f"{access}: cost", key, library.names("costs"))
        if type(times) is not int or times < 0:
            raise VirqsimError(f"{access}: cost: {key}: {times!r} is not a whole number, 0 or more")
    return Rule(access, verdict, _when(access, when), cost=cost, cycles=cycles, **what)


def _when(access: str, text: str) -> When:
    """ "target=running|halted, vector=legal" as conditions with their values."""
    if text.strip() in ("always", "otherwise"):
        return {} if text.strip() == "always" else "otherwise"
    when: dict[str, list[str]] = {}
    for part in text.split(","):
        condition, _, allowed = (word.strip() for word in part.partition("="))
        if not allowed:
            raise VirqsimError(f"{access}: when: {part.strip()!r}: write CONDITION=VALUE, otherwise or always")
        if condition not in _access(access)["conditions"]:
            raise unknown(f"{access}: when", condition, _access(access)["conditions"])
        for value in (word.strip() for word in allowed.split("|")):
            if value not in _values(condition):
                raise unknown(f"{access}: when: {condition}", value, _values(condition))
            when.setdefault(condition, []).append(value)
    return when


def _access(name: str) -> dict[str, Any]:
    return next(row for row in library.describe()["accesses"] if row["name"] == name)


def _values(condition: str) -> list[str]:
    return next(row["values"] for row in library.describe()["conditions"] if row["name"] == condition)


class Hypothetical:
    """A feature that is declared: its rules, and the technology that it stands on.

    An access that a rule names is the feature's, under every combination of the
    conditions that its rules mention: exactly one rule must apply to each. Every
    other access stays with the technology underneath.

    Args:
        name: lower case, digits and hyphens; its name as a technology.
        title: a sentence.
        base: the technology on which it stands when it is named as one itself.
        rules: virtualized(), traps(), unchanged().

    Raises:
        VirqsimError: the declaration is wrong, or leaves something undefined; the line lists what.
    """

    def __init__(self, name: str, *, title: str, base: str, rules: Sequence[Rule]) -> None:
        self.name, self.title, self.base, self.rules = name, title, base, list(rules)
        if not _NAME.fullmatch(name):
            raise VirqsimError(f"feature {name}: the name is not 1 to 40 of a-z, 0-9 and -")
        if name in library.names("technologies") + library.names("features"):
            raise VirqsimError(f"feature {name}: is not hypothetical: there is one of this name")
        if base not in library.names("technologies"):
            raise unknown(f"feature {name}: base", base, library.names("technologies"))
        if not self.rules:
            raise VirqsimError(f"feature {name}: has no rules")
        missing = {access: self._missing(access) for access in self.accesses}
        if any(missing.values()):
            listed = "; ".join(f"{access}: undefined when {', '.join(when)}" for access, when in missing.items() if when)
            raise VirqsimError(f'feature {name}: {listed}; add a rule or when="otherwise"')
        self._check_exits()

    @property
    def accesses(self) -> list[str]:
        """The accesses that it has rules for, in the order of the rules."""
        return list(dict.fromkeys(rule.access for rule in self.rules))

    @property
    def vendor(self) -> str:
        """`vmx` or `svm`, as the technology underneath."""
        return next(row["vendor"] for row in library.describe()["technologies"] if row["name"] == self.base)

    @property
    def assumes(self) -> bool:
        """Does it rest on numbers that no profile has?"""
        return any(rule.cycles for rule in self.rules)

    def document(self) -> dict[str, Any]:
        """An entry of the plan's `hypothetical`."""
        return {"name": self.name, "title": self.title, "base": self.base,
                "rules": [rule.document() for rule in self.rules]}

    def _missing(self, access: str) -> list[str]:
        """The combinations of conditions under which no rule applies.

        Raises:
            VirqsimError: under one of them two apply, or a rule applies under none.
        """
        of_access = [(n, rule) for n, rule in enumerate(self.rules) if rule.access == access]
        rest = [n for n, rule in of_access if rule.when == "otherwise"]
        missing = []
        used = set(rest[1:])  # of several for the rest, the first takes it all
        unused = {n for n, _ in of_access if n not in used}
        for values in self._combinations(access):
            matching = [n for n, rule in of_access if rule.applies(values)]
            if len(matching) > 1:
                raise VirqsimError(f"feature {self.name}: {access}: rules {matching[0]} and {matching[1]} both apply when "
                                   f"{_words(values)}")
            if not matching and not rest:
                missing.append(_words(values))
            unused -= {*matching, *(rest[:1] if not matching else [])}
        if unused | used:
            raise VirqsimError(f"feature {self.name}: {access}: rule {min(unused | used)} never applies")
        return missing

    def _combinations(self, access: str) -> Iterator[dict[str, str]]:
        """Of the conditions that the access's rules mention, in the order of the table."""
        mentioned = {c for rule in self.rules if rule.access == access and rule.when != "otherwise" for c in rule.when}
        conditions = [c for c in library.names("conditions") if c in mentioned]
        for values in product(*map(_values, conditions)):
            yield dict(zip(conditions, values, strict=True))

    def _check_exits(self) -> None:
        vendors = {row["name"]: row["vendor"] for row in library.describe()["exit_reasons"]}
        for rule in self.rules:
            if rule.exit and vendors[rule.exit] != self.vendor:
                raise VirqsimError(f"feature {self.name}: {rule.access}: {rule.exit} is an exit of "
                                   f"{vendors[rule.exit].upper()}, and {self.base} is {self.vendor.upper()}")


def _words(values: Mapping[str, str]) -> str:
    return " and ".join(f"{condition}={value}" for condition, value in values.items()) or "anything"


# The features there are: the ready ones, and those of files that were named


def load(path: str | Path) -> list[Hypothetical]:
    """The features that a Python file declares at its top level.

    Raises:
        VirqsimError: there is no such file, it does not run, or it declares none.
    """
    path = Path(path)
    if not path.is_file():
        raise VirqsimError(f"hypothetical {path}: there is no such file")
    with one_line_errors("hypothetical", path):
        module = runpy.run_path(str(path), run_name=path.stem)
    found = list({id(value): value for value in module.values() if isinstance(value, Hypothetical)}.values())
    if not found:
        raise VirqsimError(f"hypothetical {path}: declares no Hypothetical(…)")
    return found


def declared(files: Iterable[str | Path] = ()) -> dict[str, Hypothetical]:
    """All features by name: the ready ones of scenarios/features/, and those of `files`.

    Raises:
        VirqsimError: a file is wrong, or two features have one name.
    """
    features: dict[str, Hypothetical] = {}
    for path in (*sorted((paths.find("scenarios") / "features").glob("*.py")), *files):
        for feature in load(path):
            if feature.name in features:
                raise VirqsimError(f"hypothetical {path}: {feature.name}: there is another feature of this name")
            features[feature.name] = feature
    return features


def in_force(technology: str, switched: Mapping[str, bool], declared: Mapping[str, Hypothetical]) -> list[Hypothetical]:
    """Of the declared features those that a plan has: its technology, and what is switched on by name."""
    names = dict.fromkeys([technology, *(name for name, on in switched.items() if on)])
    return [declared[name] for name in names if name in declared]


# What others need to know of the features in a plan


def underneath(plan: Mapping[str, Any]) -> str:
    """The built-in technology of a plan, which may name a declared feature as its own."""
    bases = {feature["name"]: feature["base"] for feature in plan.get("hypothetical", [])}
    return bases.get(plan["technology"], plan["technology"])


def _assumed_rules(plan: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rules with numbers of their own, each by a name for people."""
    for feature in plan.get("hypothetical", []):
        for n, rule in enumerate(feature["rules"]):
            if "cycles" in rule:
                yield f"{feature['name']} rule {n} {rule['access']}", rule


def assumed_numbers(plan: Mapping[str, Any]) -> dict[str, Number]:
    """The numbers that a plan's declared features assume, by feature, rule and access."""
    return {name: Number(**rule["cycles"]) for name, rule in _assumed_rules(plan)}


def with_numbers(plan: Mapping[str, Any], values: Mapping[str, int]) -> dict[str, Any]:
    """The plan with other values for some of its assumed_numbers(); other names are left alone."""
    if "hypothetical" not in plan:
        return dict(plan)
    changed = {**plan, "hypothetical": copy.deepcopy(plan["hypothetical"])}
    for name, rule in _assumed_rules(changed):
        value = values.get(name, rule["cycles"]["value"])
        rule["cycles"] |= {"value": value}
    return changed
