"""Pictures of paths through a run: a lane for each who has a part in it, painted with what its thread was doing;
numbers where something happened, and beneath them what that was.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import matplotlib
import numpy as np

from .trace import Trace

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

KINDS = {
    "guest": ("#009E73", "", ("GUEST",)),
    "entry and exit": ("#E69F00", "////", ("ENTERING", "EXITING")),
    "KVM": ("#0072B2", "", ("PREPARE", "COMMIT", "HANDLE", "LOADING", "PARKING")),
    "userspace": ("#CC79A7", "....", ("USERSPACE", "RUNS")),
    "polling": ("#F0E442", "xxxx", ("POLLING",)),
    "blocking call": ("#56B4E9", "xxxx", ("SLEEPS",)),
    "waits for a CPU or a lock": ("#D55E00", "\\\\\\\\", ("PARKED", "LOCKED", "READY", "WAITS")),
    "asleep": ("#DDDDDD", "", ("BLOCKED", "STOPPED", "ASLEEP")),
}
"""What a thread does: colour, hatch, and the states of vCPUs and of the host's other threads."""

_WIDE = 6.9  # inches: both columns of a page
_NOTE_CHARACTERS = 118
_CHARACTER = 0.014  # of the width: of a number beside a mark


@dataclass(frozen=True)
class Scale:
    """The unit of a picture's times."""

    name: str
    ps: int
    digits: int


NS = Scale("ns", 1_000, 1)
US = Scale("us", 1_000_000, 2)


@dataclass(frozen=True)
class Lane:
    """Someone, and what they did: from each of `times` (ps, ascending) on, `names[state]`."""

    name: str
    times: np.ndarray
    states: np.ndarray
    names: list[str]

    def within(self, start: float, end: float) -> Iterator[tuple[float, float, str]]:
        """From, to, and the state, of all that falls between two times."""
        first = max(int(np.searchsorted(self.times, start, "right")) - 1, 0)
        for at in range(first, len(self.times)):
            begins = max(float(self.times[at]), start)
            ends = min(float(self.times[at + 1]), end) if at + 1 < len(self.times) else end
            if begins >= end:
                return
            if ends > begins:
                yield begins, ends, self.names[int(self.states[at])]


@dataclass(frozen=True)
class Mark:
    """Something that happened: when, in which lane (its place from the top), and what it was."""

    ps: int
    lane: int
    note: str


def of_vcpu(trace: Trace, vcpu: int) -> Lane:
    """A vCPU's lane."""
    moved = trace.of("VCPU_STATE")
    moved = moved[moved["where"] == vcpu]
    return Lane(f"vCPU {vcpu}", moved["ps"].astype(np.int64), moved["b"], trace.header["states"])


def of_thread(trace: Trace, thread: int, name: str) -> Lane:
    """The lane of another thread of the host's, by its number in the plan."""
    moved = trace.of("HOST_THREAD")
    moved = moved[moved["a"] == thread]
    return Lane(name, moved["ps"].astype(np.int64), moved["b"] & 0xFFFFFFFF, trace.header["host_thread_states"])


def of_outside(name: str) -> Lane:
    """The lane of someone who has no thread."""
    return Lane(name, np.empty(0, np.int64), np.empty(0, np.int64), [])


def draw(lanes: list[Lane], marks: list[Mark], scale: Scale, since: str) -> Any:
    """The picture, as a matplotlib figure; `since` says what the first mark is."""
    notes = _notes(marks, scale)
    above, below = 0.55 + 0.42 * len(lanes), 0.125 * sum(map(_lines, notes))
    figure, (axes, text) = plt.subplots(2, 1, figsize=(_WIDE, above + below + 0.4), layout="constrained",
                                        height_ratios=[above, below])
    first, last = marks[0].ps, marks[-1].ps
    margin = max(last - first, 1000) * 0.06
    used = {kind for y, lane in enumerate(lanes) for kind in _paint(axes, y, lane, (first - margin, last + margin), first, scale)}
    _number(axes, [((mark.ps - first) / scale.ps, mark.lane) for mark in marks])
    axes.set_xlim(-margin / scale.ps, (last - first + margin) / scale.ps)
    axes.set_ylim(len(lanes) - 0.5, -0.75)
    axes.set_yticks(range(len(lanes)), [textwrap.fill(lane.name, 18) for lane in lanes])
    axes.set_xlabel(f"{scale.name} {since}")
    handles = [Patch(facecolor=colour, hatch=hatch, edgecolor="black", linewidth=0.4, label=kind)
               for kind, (colour, hatch, _) in KINDS.items() if kind in used]
    figure.legend(handles=handles, loc="outside upper center", ncols=6, frameon=False, handlelength=1.6)
    _write(text, notes)
    return figure


def _paint(axes: Axes, y: int, lane: Lane, window: tuple[float, float], first: int, scale: Scale) -> set[str]:
    kind_of = {state: kind for kind, (_, _, states) in KINDS.items() for state in states}
    used = set()
    for start, end, state in lane.within(*window):
        kind = kind_of[state]
        used.add(kind)
        colour, hatch, _ = KINDS[kind]
        axes.barh(y, (end - start) / scale.ps, left=(start - first) / scale.ps, height=0.42, color=colour, hatch=hatch,
                  edgecolor="black", linewidth=0.3, zorder=2)
    return used


def _number(axes: Axes, places: list[tuple[float, int]]) -> None:
    """Numbers where the marks are, and the way from lane to lane."""
    for (x, y), (to_x, to_y) in zip(places, places[1:]):
        if y != to_y:
            axes.annotate("", (to_x, to_y), (x, y), zorder=4,
                          arrowprops={"arrowstyle": "->", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0})
    width = places[-1][0] or 1
    ends: dict[tuple[int, int], float] = {}  # of the last number, by lane and by its height above it
    for place in dict.fromkeys(places):
        x, y = place
        label = _range([n for n, other in enumerate(places, 1) if other == place])
        half = _CHARACTER * len(label) * width / 2
        height = next(height for height in count() if ends.get((y, height), -width) <= x - half)
        ends[y, height] = x + half
        axes.plot(x, y, "o", color="black", markersize=2.5, zorder=5)
        axes.annotate(label, place, (0, 11 + 7 * height), textcoords="offset points", ha="center", fontsize=6.5, zorder=5,
                      fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})


def _range(numbers: list[int]) -> str:
    """Marks of one instant, in the order of the story: `3-5`, `2,4`."""
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]}\u2013{numbers[-1]}" if whole and len(numbers) > 1 else ",".join(map(str, numbers))


def _notes(marks: list[Mark], scale: Scale) -> list[tuple[str, str, str]]:
    """A line or more for each mark: its number, its time, and what happened."""
    first = marks[0].ps
    return [(str(n), f"{(mark.ps - first) / scale.ps:,.{scale.digits}f} {scale.name}", textwrap.fill(mark.note, _NOTE_CHARACTERS))
            for n, mark in enumerate(marks, 1)]


def _write(axes: Axes, notes: list[tuple[str, str, str]]) -> None:
    axes.axis("off")
    lines = sum(map(_lines, notes))
    y = 0
    for note in notes:
        for text, x, align in zip(note, (0.005, 0.1, 0.115), ("right", "right", "left")):
            axes.text(x, 1 - y / lines, text, va="top", ha=align, fontsize=6, transform=axes.transAxes).set_in_layout(False)
        y += _lines(note)


def _lines(note: tuple[str, str, str]) -> int:
    return note[2].count("\n") + 1
