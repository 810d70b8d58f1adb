"""Whether a file's lines are in the order in which things happened.

Tools print events in the order of time, whatever CPU they are of. A file whose
lines are in order on each CPU, and fall back a few times in all, was put together
from the CPUs' own buffers (`cat per_cpu/*/trace`): those are merged. One that
falls back again and again on its CPUs tells no order at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import VirqsimError

if TYPE_CHECKING:
    from .reader import Event

_MUCH = 0.01  # of the events: a clock that jumps does so seldom


@dataclass(frozen=True)
class Ordered:
    """The events in order. `note`: what was done for that; empty for a file that was in order."""

    events: list[Event]
    note: str = ""


def in_order(path: Path, events: list[Event]) -> Ordered:
    """The events in the order of their times where that is not the file's.

    Raises:
        VirqsimError: the file has no order.
    """
    cpus: dict[int | None, list[int]] = {}
    for event in events:
        if event.time_ns is not None:
            cpus.setdefault(event.cpu, []).append(event.time_ns)
    timed = [event.time_ns for event in events if event.time_ns is not None]
    on_cpu = sum(map(_falls, cpus.values()))
    if on_cpu > max(1, _MUCH * len(timed)):
        raise VirqsimError(f"{path}: {on_cpu} of {len(timed)} events are earlier than the one before them on their CPU: the lines "
                           "are in no order that can be replayed; write them as trace-cmd report or perf script does")
    falls = _falls(timed)
    if on_cpu or not 0 < falls < len(cpus) or len(timed) != len(events):
        return Ordered(events)
    return Ordered(sorted(events, key=lambda event: event.time_ns or 0),
                   f"the lines of {len(cpus)} CPUs stand one behind the other; they were merged by their times")


def _falls(times: Sequence[int]) -> int:
    return sum(after < before for before, after in pairwise(times))
