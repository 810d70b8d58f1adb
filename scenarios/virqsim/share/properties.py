"""What a trace shows, by name: NAME or NAME:ARGUMENT.

A property looks at a trace that was read, and raises VirqsimError where the trace
is none that can be replayed: then it does not show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..errors import VirqsimError
from ..profiles import Profile
from ..replay import demand as demands
from ..replay.compare import Outcome, Replay, by_reason
from ..replay.reader import Trace
from ..replay.tables import TWINS

IDLE = "idle"


class Look:
    """A part of a trace, replayed only if a property asks for it. `origin`: which events of the whole are left."""

    def __init__(self, trace: Trace, profile: Profile, origin: Sequence[int]) -> None:
        self.trace = trace
        self._profile = profile
        self._first_line = trace.events[0].line
        self._origin = origin

    def original(self, line: int) -> int:
        """The index in the whole trace of the event in a line of this one: a line holds an event."""
        return self._origin[line - self._first_line]

    @cached_property
    def replay(self) -> Replay:
        """Taken apart."""
        return Replay(self.trace, self._profile)

    @cached_property
    def outcome(self) -> Outcome:
        """Under the hardware of the recording."""
        return self.replay.under()

    @cached_property
    def demand(self) -> demands.Demand:
        """Without a replay."""
        return demands.extract(self.trace)


@dataclass(frozen=True)
class Kind:
    """A family of properties."""

    argument: str
    meaning: str
    make: Callable[[str], Callable[[Look], bool]]


def _exits(argument: str) -> Callable[[Look], bool]:
    reason, least = _reason_and_count(argument)
    names = {reason, TWINS.get(reason, reason), *(name for name, twin in TWINS.items() if twin == reason)}
    return lambda look: sum(e.fields["reason"] in names for e in look.trace.counted_exits()) >= least


def _infidelity(argument: str) -> Callable[[Look], bool]:
    reason, least = _reason_and_count(argument) if argument else ("", 1)

    def shows(look: Look) -> bool:
        recorded, replayed = by_reason(look.replay.recorded_exits), look.outcome.by_reason
        reasons = [reason] if reason else recorded.keys() | replayed.keys()
        return sum(abs(recorded.get(r, 0) - replayed.get(r, 0)) for r in reasons) >= least
    return shows


def _lost(argument: str) -> Callable[[Look], bool]:
    """Only what is lost in the whole trace counts, or else to take away its injection would do."""
    vector = _number(argument) if argument else None
    in_whole: set[int] = set()

    def shows(look: Look) -> bool:
        lost = _never_injected(look, vector)
        if not in_whole:  # the first look is at the whole
            in_whole.update(lost)
        return bool(lost & in_whole)
    return shows


def _never_injected(look: Look, vector: int | None) -> set[int]:
    """Where the trace shows deliveries at all: accepted, and not injected though the vCPU was in the guest and out again."""
    if look.demand.recorded.hides_deliveries:
        return set()
    return {look.original(arrival.line)
            for steps in look.demand.steps.values() for step in steps[:-2] for arrival in step.arrivals
            if arrival.source != "extint" and vector in (None, arrival.vector)
            and (arrival.delivered is None or arrival.delivered.step >= len(steps))}


def _stuck(argument: str) -> Callable[[Look], bool]:
    return lambda look: look.outcome.results.document["state"] == IDLE


KINDS = {
    "exits": Kind("REASON[>=N]", "that many exits for this reason, by either vendor's name (1)", _exits),
    "infidelity": Kind("[REASON[>=N]]", "a replay under the recorded hardware that is off by that many exits (1)", _infidelity),
    "lost": Kind("[VECTOR]", "an interrupt that a vCPU accepted and that was never injected, though it entered the guest again", _lost),
    "stuck": Kind("", "a replay whose guests wait for each other for ever", _stuck),
}


def parse(text: str) -> Callable[[Look], bool]:
    """The property of a name.

    Raises:
        VirqsimError: there is none of this name, or its argument is wrong.
    """
    name, colon, argument = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise VirqsimError(f"--shrink: {text!r} is no property ({', '.join(map(usage, KINDS))})")
    if not argument and kind.argument and not kind.argument.startswith("[") or colon and not kind.argument:
        raise VirqsimError(f"--shrink: {text!r}: it is {usage(name)}")
    return kind.make(argument)


def usage(name: str) -> str:
    """As it is to be written."""
    argument = KINDS[name].argument
    if not argument:
        return name
    return f"{name}[:{argument[1:]}" if argument.startswith("[") else f"{name}:{argument}"


def _reason_and_count(argument: str) -> tuple[str, int]:
    reason, at_least, count = argument.partition(">=")
    return reason.strip(), _number(count) if at_least else 1


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise VirqsimError(f"--shrink: {text.strip()!r} is not a number") from None
