"""A run's plan, simulated again.

The same plan gives the same bytes, so whatever is asked about a run can be
looked up in another one of the same plan: its whole trace, and what was in a
vCPU's registers just before and just after an instant.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from . import trace as vqt
from .errors import VirqsimError
from .library import NEVER, Simulation
from .results import Results
from .trace import Trace

State = dict[str, Any]
"""What virqsim_vcpu_state() says (docs/explain.md)."""


def simulate(plan: dict[str, Any], progress: Callable[[float], None], until_ps: int = NEVER) -> tuple[Trace, dict[str, Any]]:
    """Runs a plan; its whole trace, and its results.

    Raises:
        VirqsimError: the plan is refused.
        KeyboardInterrupt: it was interrupted.
    """
    with Simulation(plan) as simulation, tempfile.TemporaryDirectory(prefix="virqsim-") as folder:
        path = Path(folder, "trace.vqt")
        simulation.keep_trace(path)
        simulation.run(progress, until_ps)
        simulation.close_trace()
        if simulation.interrupted_by:
            raise KeyboardInterrupt
        read = vqt.read(path)
        return Trace(read.header, np.array(read.records)), simulation.results()  # the file goes with its folder


def until(run: Results) -> int:
    """Up to where a run is to be simulated to be whole: not further, should its plan never end today."""
    return run.document["time_ps"] + (not run.partial)


def check_same(run: Results, again: dict[str, Any]) -> None:
    """Raises VirqsimError unless a run's plan gives today what its folder says."""
    compared = ("state", "exits", "accounting", *(("time_ps",) if run.document["state"] == "ended" else ()))
    if not run.partial and any(again[key] != run.document[key] for key in compared):
        raise VirqsimError(f"{run.folder}: was made by another version, and its plan gives something else today; "
                           "run it again")


class Again:
    """A run, simulated again to its end.

    Args:
        run: a run with a folder.
        progress: called with how far the run has come, 0 to 1.

    Raises:
        VirqsimError: the plan is refused today, or gives something else.
        KeyboardInterrupt: it was interrupted.
    """

    def __init__(self, run: Results, progress: Callable[[float], None]) -> None:
        self.plan = run.plan
        self.trace, results = simulate(run.plan, progress, until(run))
        check_same(run, results)
        self.end_ps: int = run.document["time_ps"]
        """When the run ended."""

    @property
    def vcpus(self) -> int:
        """How many there are."""
        return len(self.plan["machine"]["vcpus"])

    def around(self, vcpu: int, instants: Iterable[int]) -> dict[int, tuple[State, State]]:
        """A vCPU just before each instant, and when all that happens in it has happened."""
        states = {}
        with Simulation(self.plan) as simulation:
            for ps in sorted(set(instants)):
                simulation.run(until_ps=ps)
                before = simulation.vcpu_state(vcpu)
                simulation.run(until_ps=ps + 1)
                states[ps] = before, simulation.vcpu_state(vcpu)
        return states

    def at(self, vcpu: int, ps: int) -> State:
        """A vCPU when all that happens in an instant has happened."""
        return self.around(vcpu, [ps])[ps][1]
