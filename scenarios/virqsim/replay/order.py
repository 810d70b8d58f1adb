"""Whether a file's lines are in the order in which things happened.

Tools print events in the order of time, whatever CPU they are of. A file whose
lines are in order on each CPU, and fall back a few times in all, was put together
from the CPUs' own buffers (`cat per_cpu/*/trace`): those are merged. One that
falls back again and again on its CPUs tells no order at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    timed = [event.time_ns for event in events if event.time_ns is not None]
    times = np.array(timed, np.uint64)
    on = np.array([-1 if event.cpu is None else event.cpu for event in events if event.time_ns is not None], np.int64)
    cpus = np.unique(on).tolist()
    on_cpu = sum(_falls(times[on == cpu]) for cpu in cpus)
    if on_cpu > max(1, _MUCH * len(timed)):
        raise VirqsimError(f"{path}: {on_cpu} of {len(timed)} events are earlier than the one before them on their CPU: the lines "
                           "are in no order that can be replayed; write them as trace-cmd report or perf script does")
    falls = _falls(times)
    if on_cpu or not 0 < falls < len(cpus) or len(timed) != len(events):
        return Ordered(events)
    return Ordered(sorted(events, key=lambda event: event.time_ns or 0),
                   f"the lines of {len(cpus)} CPUs stand one behind the other; they were merged by their times")


def _falls(times: np.ndarray) -> int:
    return int((times[1:] < times[:-1]).sum())
