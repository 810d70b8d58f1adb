"""A plan, run for its bill."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import library
from .. import trace as vqt
from ..errors import VirqsimError
from ..library import NEVER, Simulation
from ..results import Results
from . import attribution
from .attribution import Account


def bill(plan: dict[str, Any], progress: Callable[[float], None], until_ps: int = NEVER) -> tuple[Account, dict[str, Any]]:
    """Runs a plan; its account, and its results.

    Raises:
        VirqsimError: the plan is refused, or it cannot come to its end.
        KeyboardInterrupt: it was interrupted.
    """
    with Simulation(plan) as simulation, tempfile.TemporaryDirectory(prefix="virqsim-") as folder:
        path = Path(folder, "trace.vqt")
        simulation.keep_trace(path)
        state = simulation.run(progress, until_ps)
        simulation.close_trace()
        if simulation.interrupted_by:
            raise KeyboardInterrupt
        results = simulation.results()
        if state in ("idle", "broken"):
            raise VirqsimError("the guests wait for each other" if state == "idle" else results["broken"])
        operands = {row["name"]: row["operands"] for row in library.describe()["guest_operations"]}
        return attribution.account(vqt.read(path), plan, operands, results["time_ps"]), results


def until(run: Results) -> int:
    """Where a run ended that was interrupted; NEVER for others, which end by themselves."""
    return run.document["time_ps"] if run.partial else NEVER


def check_same(run: Results, again: dict[str, Any]) -> None:
    """Raises VirqsimError unless a run gives today what its folder says."""
    if not run.partial and any(again[key] != run.document[key] for key in ("time_ps", "exits", "accounting")):
        raise VirqsimError(f"{run.folder}: was made by another version, and its plan gives something else today; run it again")
