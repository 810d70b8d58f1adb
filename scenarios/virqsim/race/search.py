"""The search: a plan under every schedule that holds back few events.

A schedule names places of a run and how many events overtake there. The plan is
run again from the start for each, so a schedule is all that has to be kept of a
run. All that hold back one event come before those that hold back two: what is
found first is the shortest.

Each order has exactly one schedule, and each schedule is run: none is left out
because its run looks like another's. So what was searched needs no argument
about which state of the machine another one stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..library import Explored, Simulation

Hold = tuple[int, int]
"""Of a run, the place; and past how many other events."""
Schedule = tuple[Hold, ...]

MOST_HELD = 8
"""VIRQSIM_HOLDS."""


@dataclass(frozen=True)
class Space:
    """What is searched.

    Args:
        plan: the plan, resolved.
        window_ns: how much later than due an event may fire.
        held: the most events that are held back in one run.
        runs: the most runs.
        until_ps: where a run that does not end is given up.
    """

    plan: dict[str, Any]
    window_ns: int
    held: int
    runs: int
    until_ps: int


@dataclass
class Outcome:
    """What the search came to.

    Args:
        schedule: the shortest one under which something is wrong; None: there is none.
        endless: and under it the run did not come to an end.
        runs: how many there were.
        places: of the run as it stands.
        late: every schedule of at most so many late events was run.
        complete: and there is none with more.
        given_up: runs that did not come to an end.
    """

    schedule: Schedule | None = None
    endless: bool = False
    runs: int = 0
    places: int = 0
    late: int = 0
    complete: bool = False
    given_up: int = 0
    _seen: set[int] = field(default_factory=set, repr=False)

    @property
    def different(self) -> int:
        """How many of them took a vCPU through something else than all before."""
        return len(self._seen)


@dataclass(frozen=True)
class _Run:
    explored: Explored
    state: str

    @property
    def wrong(self) -> bool:
        return self.explored.findings > 0 or self.state == "broken"


def search(space: Space, progress: Callable[[float], None] = lambda done: None) -> Outcome:
    """Runs them until one is found, or until there are no more."""
    outcome = Outcome()
    base = _run(space, (), outcome)
    outcome.places = base.explored.places
    if base.wrong:
        return _found(outcome, (), base)
    layer: list[tuple[Schedule, int]] = [((), base.explored.places)]
    for depth in range(space.held):
        following: list[tuple[Schedule, int]] = []
        for done, (schedule, places) in enumerate(layer):
            for longer, run in _longer(space, schedule, places, outcome):
                if run.wrong:
                    return _found(outcome, longer, run)
                following.append((longer, run.explored.places))
                progress(max((depth + done / len(layer)) / space.held, outcome.runs / space.runs))
            if outcome.runs >= space.runs:
                return outcome
        outcome.late = depth + 1
        layer = following
        if not layer:
            outcome.complete = True
            break
    return outcome


def _found(outcome: Outcome, schedule: Schedule, run: _Run) -> Outcome:
    outcome.schedule, outcome.endless = schedule, run.state == "running"
    return outcome


def _longer(space: Space, schedule: Schedule, places: int, outcome: Outcome) -> Iterator[tuple[Schedule, _Run]]:
    """Each schedule with one event more, which comes later than all those that it holds back already."""
    for place in range(schedule[-1][0] + 1 if schedule else 0, places):
        past = 0
        while outcome.runs < space.runs:
            past += 1
            longer = (*schedule, (place, past))
            run = _run(space, longer, outcome)
            if run.explored.past[: len(longer)] != tuple(each[1] for each in longer):
                break  # somebody's window ends before: the same as a schedule with less
            yield longer, run


def _run(space: Space, schedule: Schedule, outcome: Outcome) -> _Run:
    with Simulation(space.plan) as simulation:
        simulation.hold_back(space.window_ns, schedule)
        state = simulation.run(until_ps=space.until_ps)
        run = _Run(simulation.explored(), state)
        if simulation.interrupted_by:
            raise KeyboardInterrupt
    outcome.runs += 1
    outcome.given_up += state == "running"
    outcome._seen.add(run.explored.signature)
    return run
