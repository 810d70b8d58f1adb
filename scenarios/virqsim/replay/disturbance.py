"""Takes out of a demand what the host of the recording did to the guest, so that it can be asked of another host.

Two things are the host's: its own interrupts, and exits that it drew out. A
thread of the host that is preempted, or that stands still while it wakes
another, comes back late: an interrupt that the guest would have halted for is
there already, and is delivered by a window exit, or without the HLT. What tells
is the recording itself: the same exit, at the same instruction, has its usual
time up to the HLT behind it. Where an interrupt met the host in the exit later
than that, an undisturbed guest would have been in its HLT.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from .actions import HALT, KICK, WINDOW
from .episodes import Episode
from .reader import Trace

if TYPE_CHECKING:
    from .steps import Arrival, Step

_ENOUGH = 5  # times that an exit was seen undisturbed, before anything is called usual
_Place = tuple[str, object]


@dataclass
class _Usual:
    """What follows an exit at one place as a rule: a HLT of this kind, so long after the exit."""

    ns: float
    halt: Step


def is_noise(step: Step) -> bool:
    """An interrupt exit that no interrupt of the guest's explains was the host's."""
    return step.reason in KICK and not step.episode.immediate and not step.met("guest")


class Disturbance:
    """Finds and takes out what the host did to one vCPU. `new_step`: makes one, of a HLT that it spared the guest."""

    def __init__(self, trace: Trace, steps: list[Step], offered_ns: dict[int, int], new_step: Callable[..., Step]) -> None:
        self._trace = trace
        self._steps = steps
        self._offered_ns = offered_ns
        self._new_step = new_step
        self._usual = self._learn()

    def taken_out(self) -> list[Step]:
        """The steps as an undisturbed host would have had them."""
        kept: list[Step] = []
        spared: set[int] = set()
        for step in self._steps:
            if step.number in spared or self._passes(step):
                continue
            kept.append(step)
            late = self._late(step)
            halt = self._steps[step.number + 1] if step.number + 1 < len(self._steps) else None
            if not late:
                continue
            if halt and halt.reason in HALT and not halt.arrivals:
                spared |= self._wait_in(halt, step, late)
            elif all(arrival.delivered in step.deliveries for arrival in late):
                kept.append(self._halted(step, late))
        return _renumbered(kept, len(self._steps))

    def _passes(self, step: Step) -> bool:
        """An interrupt of the host's own, with nothing else to it: the guest does not leave for it.

        What it took along from the host's side would have found the guest running.
        """
        if not is_noise(step) or step.deliveries and not step.arrivals or step.eois:
            return False
        for arrival in step.arrivals:
            arrival.state = "guest"
        if step.arrivals or step.number + 1 == len(self._steps):
            return False
        self._steps[step.number + 1].episode.guest_ns += step.episode.guest_ns
        return True

    # --- what is usual ---

    def _learn(self) -> dict[_Place, _Usual]:
        """Each place from which the guest halts as a rule, and how long it takes to."""
        behind: dict[_Place, list[Step]] = defaultdict(list)
        for step, following in pairwise(self._steps):
            if self._left_ns(step) is not None and self._left_ns(following) is not None and not _met_in_host(step):
                behind[_place(step)].append(following)
        usual = {}
        for place, those in behind.items():
            halts = [halt for halt in those if halt.reason in HALT]
            if len(those) >= _ENOUGH and 2 * len(halts) > len(those):
                usual[place] = _Usual(median(self._between_ns(halt) for halt in halts), halts[0])
        return usual

    def _between_ns(self, step: Step) -> int:
        return (self._left_ns(step) or 0) - (self._left_ns(self._steps[step.number - 1]) or 0)

    def _left_ns(self, step: Step) -> int | None:
        return None if step.episode.left is None else self._trace.events[step.episode.left].time_ns

    # --- what came later than that ---

    def _late(self, step: Step) -> list[Arrival]:
        """What met the vCPU in this exit when it would have been in its HLT; nothing if other things met it there too."""
        usual, left, met = self._usual.get(_place(step)), self._left_ns(step), step.met("host")
        if usual is None or left is None or met != _met_in_host(step):
            return []
        late = [arrival for arrival in met if self._offered_ns.get(arrival.line, 0) - left > usual.ns]
        return late if late == met else []

    def _wait_in(self, halt: Step, step: Step, late: list[Arrival]) -> set[int]:
        """The guest went into its HLT although it was there already: now it waits there. The window behind it is spared."""
        window = self._steps[halt.number + 1] if halt.number + 1 < len(self._steps) else None
        delivered = [arrival.delivered for arrival in late if arrival.delivered]
        windowed = window is not None and window.reason in WINDOW and not window.arrivals and window.deliveries == delivered
        if not delivered or not (windowed or all(each in halt.deliveries for each in delivered)):
            return set()
        _move(late, step, halt)
        if not windowed or window is None:
            return set()
        for delivery in delivered:
            delivery.step, delivery.windowed = halt.number, False
        halt.deliveries, window.deliveries = [*halt.deliveries, *delivered], []
        return {window.number}

    def _halted(self, step: Step, late: list[Arrival]) -> Step:
        """The HLT that the guest would have come to."""
        pattern = self._usual[_place(step)].halt
        halt = self._new_step(step.vcpu, len(self._steps), Episode(
            step.vcpu, step.number, exit=pattern.episode.exit, guest_ns=pattern.episode.guest_ns), pattern.operation)
        _move(late, step, halt)
        halt.deliveries = [arrival.delivered for arrival in late if arrival.delivered]
        step.deliveries = [delivery for delivery in step.deliveries if delivery not in halt.deliveries]
        for delivery in halt.deliveries:
            delivery.step = halt.number
        return halt


def _place(step: Step) -> _Place:
    """An instruction of the guest, or as much as the trace tells of it."""
    rip = step.episode.exit.fields.get("rip") if step.episode.exit else None
    return step.reason, step.operation and step.operation[0] if rip is None else rip


def _met_in_host(step: Step) -> list[Arrival]:
    return [arrival for arrival in step.met("host") if arrival.source in ("ipi", "timer")]


def _move(arrivals: list[Arrival], step: Step, halt: Step) -> None:
    step.arrivals = [arrival for arrival in step.arrivals if arrival not in arrivals]
    halt.arrivals = [*halt.arrivals, *arrivals]
    for arrival in arrivals:
        arrival.step, arrival.state = halt.number, "blocked"


def _renumbered(kept: list[Step], count: int) -> list[Step]:
    """Numbers are places in the list; what ended in a step that is gone ends in the one behind."""
    number = {step.number: n for n, step in enumerate(kept)}
    for old in range(count - 1, -1, -1):
        number.setdefault(old, number.get(old + 1, len(kept)))
    deliveries = {delivery: None for step in kept for delivery in
                  [*step.deliveries, *(a.delivered for a in step.arrivals if a.delivered)]}
    for delivery in deliveries:
        delivery.step = number.get(delivery.step, len(kept))
        delivery.ended = None if delivery.ended is None else number[delivery.ended]
    for step in kept:
        step.number = number[step.number]
        for arrival in step.arrivals:
            arrival.step = step.number
    return kept
