"""virqsim: how many VM exits, and how much interrupt latency, a guest pays.

    import virqsim
    run = virqsim.run("ipi_ping_pong", technology="apicv", rounds=50)
    run.exits, run.latency, run.stages

A scenario is a Python file with a question, PARAMETERS and plan(p):
scenarios/ has ready ones, `virqsim.scenario` says what one looks like.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .errors import NotModelled, VirqsimError
from .guest import Program, icr, icr_init, icr_nmi, icr_startup, logical_flat, logical_x2apic
from .hypothetical import Hypothetical, assumed, traps, unchanged, virtualized
from .nic import Arrivals, Moderation, Queue
from .plan import Fault, GuestPoll, Hypervisor, IdleState, Inhibit, Machine, PauseLoop, Plan, Scheduler
from .scenario import Parameter, Scenario, Sweep

if TYPE_CHECKING:
    from .results import Results, load

__all__ = ["Arrivals", "Fault", "GuestPoll", "Hypervisor", "Hypothetical", "IdleState", "Inhibit", "Machine", "Moderation",
           "NotModelled", "Parameter", "PauseLoop", "Plan", "Program", "Queue", "Results", "Scenario", "Scheduler", "Sweep",
           "VirqsimError", "assumed", "icr", "icr_init", "icr_nmi", "icr_startup", "load", "logical_flat", "logical_x2apic", "main",
           "run", "traps", "unchanged", "virtualized"]


def __getattr__(name: str) -> Any:
    """Results and load() bring pandas along, so they come when they are asked for."""
    if name in ("Results", "load"):
        from . import results

        return getattr(results, name)
    raise AttributeError(f"module 'virqsim' has no attribute {name!r}")


def run(scenario: str, *, technology: str | None = None, features: str = "", profile: str | None = None,
        seed: int = 1, hypothetical: Iterable[Hypothetical] = (), **parameters: Any) -> Results:
    """Runs a scenario, by its path or its name, and returns what came out; nothing is stored.

    Args:
        technology: see `virqsim list technologies`; by default the scenario's own.
        features: `+pv-eoi,-posted-interrupts`, on top of the technology.
        profile: the name or the path of a cost profile; by default the one of the technology's machine.
        seed: of the random streams.
        hypothetical: declared features, which `technology` and `features` may name beside the ready ones.
        parameters: the scenario's own.

    Raises:
        VirqsimError: something of this is wrong, in one line.
    """
    from . import runner
    from .features import parse
    from .hypothetical import declared

    loaded = Scenario.load(scenario)
    known = declared() | {feature.name: feature for feature in hypothetical}
    plan, _, costs = loaded.priced(parameters, technology, profile)
    return runner.run(plan.resolve(costs, technology, parse(features, known), seed, known))


def main(scenario: str) -> None:
    """What a scenario's file calls when it is run itself: `virqsim run` with that file."""
    from . import cli

    cli.main(scenario)
