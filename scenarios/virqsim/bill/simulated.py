"""A plan, run for its bill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import again, library
from ..errors import VirqsimError
from ..library import NEVER
from . import attribution
from .attribution import Account


def bill(plan: dict[str, Any], progress: Callable[[float], None], until_ps: int = NEVER,
         whole: bool = True) -> tuple[Account, dict[str, Any]]:
    """Runs a plan; its account, and its results. A `whole` one must end before `until_ps`.

    Raises:
        VirqsimError: the plan is refused, or it cannot come to its end.
        KeyboardInterrupt: it was interrupted.
    """
    trace, results = again.simulate(plan, progress, until_ps)
    if results["state"] in ("idle", "broken"):
        raise VirqsimError(results["broken"] or "the guests wait for each other")
    if whole and results["state"] == "running":
        raise VirqsimError("does not come to its end")
    operands = {row["name"]: row["operands"] for row in library.describe()["guest_operations"]}
    return attribution.account(trace, plan, operands, results["time_ps"]), results
