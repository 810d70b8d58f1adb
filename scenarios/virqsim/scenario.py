'''Scenarios: Python files that ask one question.

    """How long does an IPI take, there and back?"""
    import virqsim
    from virqsim import Machine, Parameter, Plan, Program, icr

    PARAMETERS = {"rounds": Parameter(100, "rounds", "how often each pair plays")}

    def plan(p):
        machine = Machine()
        ...                       # p.rounds; p.tsc_hz and the profile's other clocks
        return Plan("ipi_ping_pong", machine)

    if __name__ == "__main__":
        virqsim.main(__file__)

The first paragraph of the module's docstring is the question. `report(results,
p)`, if there is one, returns a pandas DataFrame that is printed below the usual
tables.
'''

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from . import paths, profiles
from .errors import VirqsimError, one_line_errors, unknown
from .plan import Plan

if TYPE_CHECKING:
    import pandas

    from .profiles import Profile
    from .results import Results


_WANTED = {
    "PARAMETERS": 'PARAMETERS = {"rounds": Parameter(100, "rounds", "how often")}; {} where it needs none',
    "plan": "plan(p) that returns a Plan",
    "__doc__": 'docstring; its first paragraph is the question: """How long does an IPI take?"""',
}
"""What a scenario's file must have, and what that looks like."""


@dataclass(frozen=True)
class Parameter:
    """One knob of a scenario; its type is that of the default.

    Args:
        default: an int, a float, a bool or a string.
        unit: of the value, or "".
        meaning: in a few words.
        choices: the values there are, where not all of the type are.
        least, most: of a number, both included; None: no limit.
    """

    default: int | float | bool | str
    unit: str
    meaning: str
    choices: tuple[Any, ...] = ()
    least: int | None = None
    most: int | None = None

    def read(self, place: str, text: Any) -> Any:
        """The value that `text` (or a value of the right type) stands for.

        Raises:
            VirqsimError: it is of another type, out of the limits, or none of the choices.
        """
        wanted = type(self.default)
        try:
            if wanted is int and isinstance(text, (float, bool)):
                raise ValueError
            if wanted is bool:
                value = {"true": True, "false": False}[str(text).lower()]
            else:
                value = wanted(text.replace("_", "") if wanted is int and isinstance(text, str) else text)
        except (KeyError, ValueError, TypeError):
            kind = {int: "a whole number", float: "a number", bool: "true or false"}.get(wanted, "a string")
            raise VirqsimError(f"{place}: {text!r} is not {kind} ({self.meaning})") from None
        if self.choices and value not in self.choices:
            raise unknown(place, value, map(str, self.choices))
        if self.least is not None and value < self.least or self.most is not None and value > self.most:
            limits = f"at least {self.least}" if self.most is None else f"in {self.least}..{self.most}"
            raise VirqsimError(f"{place}: {value} is not {limits}")
        return value


@dataclass(frozen=True)
class Sweep:
    """What `virqsim sweep` runs and draws: the columns of report() against each other.

    Args:
        over: parameter to the values that it takes.
        x: the column of the horizontal axis: of the report, or a parameter, whose points are joined.
        y: those of the vertical one, a row of axes for each.
        points: the parameter or column whose values are told apart by marks; a legend names them.
        panels: the parameter that has a column of axes for each value; None: there is one.
        repeats: with how many seeds each; above 1 the picture has bars from the lowest to the highest.
    """

    over: Mapping[str, Iterable[Any]]
    x: str
    y: Sequence[str]
    points: str
    panels: str | None = None
    repeats: int = 1


@dataclass(frozen=True)
class Scenario:
    """A scenario's file, loaded."""

    path: Path
    question: str
    parameters: dict[str, Parameter]
    sweeps: Sequence[Sweep]
    """Of `virqsim sweep`: pictures side by side."""
    _build: Callable[[SimpleNamespace], Plan]
    _report: Callable[[Results, SimpleNamespace], pandas.DataFrame] | None

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @staticmethod
    def available() -> list[str]:
        """The names of the ready scenarios."""
        return sorted(path.stem for path in paths.find("scenarios").glob("*.py"))

    @classmethod
    def load(cls, scenario: str) -> Scenario:
        """Loads a file, or a ready scenario by its name, with its ending or without.

        Raises:
            VirqsimError: there is none, it does not run, or it is not a scenario.
        """
        path = Path(scenario)
        if path.suffix != ".py":
            if scenario not in cls.available():
                raise unknown("scenario", scenario, cls.available())
            path = paths.find("scenarios") / f"{scenario}.py"
        elif path.parent == Path() and not path.is_file() and path.stem in cls.available():
            path = paths.find("scenarios") / path
        elif not path.is_file():
            raise VirqsimError(f"scenario {path}: there is no such file")
        with one_line_errors("scenario", path):
            module = runpy.run_path(str(path), run_name=path.stem)
        for name in _WANTED:
            if not module.get(name) and module.get(name) != {}:
                raise VirqsimError(f"scenario {path}: has no {_WANTED[name]}")
        _check_parameters(path, module["PARAMETERS"])
        question = " ".join(module["__doc__"].split("\n\n")[0].split())
        sweeps = module.get("SWEEP", ())
        sweeps = (sweeps,) if isinstance(sweeps, Sweep) else tuple(sweeps)
        for name in (name for sweep in sweeps for name in sweep.over):
            if name not in module["PARAMETERS"]:
                raise unknown(f"scenario {path}: SWEEP", name, module["PARAMETERS"])
        return cls(path, question, module["PARAMETERS"], sweeps, module["plan"], module.get("report"))

    def values(self, settings: Mapping[str, Any], clocks: Mapping[str, int]) -> SimpleNamespace:
        """What plan() and report() get: each parameter by its name, as set or at its default.

        Args:
            settings: parameter to value, or to its text.
            clocks: the profile's `core_hz`, `tsc_hz` and `apic_timer_hz`, which come along.

        Raises:
            VirqsimError: no such parameter, or a wrong value.
        """
        for key in settings:
            if key not in self.parameters:
                raise unknown(f"{self.name}: parameter", key, self.parameters)
        return SimpleNamespace(**clocks, **{
            key: parameter.read(f"{self.name}: {key}", settings.get(key, parameter.default))
            for key, parameter in self.parameters.items()})

    def plan(self, p: SimpleNamespace) -> Plan:
        """The plan for these values.

        Raises:
            VirqsimError: the scenario refuses, or its code is wrong; the line names the place.
        """
        with one_line_errors("scenario", self.path):
            plan = self._build(p)
        if not isinstance(plan, Plan):
            raise VirqsimError(f"scenario {self.path}: plan() returned {type(plan).__name__}, not a Plan")
        return plan

    def priced(self, settings: Mapping[str, Any], technology: str | None,
               profile: str | None) -> tuple[Plan, SimpleNamespace, Profile]:
        """The plan, the values that it was made of, and its costs.

        Args:
            settings: as of values().
            technology: None: the plan's own.
            profile: None: that of the technology's machine.

        Raises:
            VirqsimError: as of values(), plan() and profiles.load().
        """
        costs = profiles.load(profile or profiles.default(technology or ""))
        p = self.values(settings, costs.clocks)
        plan = self.plan(p)
        if profile is None and profiles.default(technology or plan.technology) != costs.name:
            return self.priced(settings, technology, profiles.default(technology or plan.technology))
        return plan, p, costs

    def report(self, results: Results, p: SimpleNamespace) -> pandas.DataFrame | None:
        """The scenario's own table, where it has one."""
        if self._report is None:
            return None
        import pandas

        with one_line_errors("scenario", self.path):
            table = self._report(results, p)
        if table is not None and not isinstance(table, pandas.DataFrame):
            raise VirqsimError(f"scenario {self.path}: report() returned {type(table).__name__}, not a DataFrame")
        return table


def settings_of(words: Iterable[str]) -> dict[str, str]:
    """The command line's `--set KEY=VALUE`, each a word.

    Raises:
        VirqsimError: one has no `=`.
    """
    for word in words:
        if "=" not in word:
            raise VirqsimError(f"--set: {word!r}: write KEY=VALUE")
    return dict(word.split("=", 1) for word in words)


def _check_parameters(path: Path, parameters: Any) -> None:
    if not isinstance(parameters, dict):
        raise VirqsimError(f"scenario {path}: PARAMETERS is a {type(parameters).__name__}; "
                           "a dictionary of Parameter belongs here")
    for name, parameter in parameters.items():
        if not isinstance(parameter, Parameter):
            raise VirqsimError(f"scenario {path}: PARAMETERS: {name!r}: {parameter!r} is no Parameter(default, unit, meaning)")
