"""The picture of one interrupt's path, from a run's own trace.

A lane for whoever raised it and one for each vCPU that has a part in it, painted
with what its thread was doing; numbers where something happened to the
interrupt, and beneath them what that was.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from . import figures, results
from .again import Again
from .errors import VirqsimError
from .explain.flows import Flow, Flows
from .explain.story import Step, Story
from .explain.times import us
from .profiles import ASSUMED_THROUGHOUT
from .trace import Trace

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

_KINDS = {
    "guest": ("#009E73", "", ("GUEST",)),
    "entry and exit": ("#E69F00", "////", ("ENTERING", "EXITING")),
    "KVM": ("#0072B2", "", ("PREPARE", "COMMIT", "HANDLE", "LOADING", "PARKING")),
    "userspace": ("#CC79A7", "....", ("USERSPACE",)),
    "polling": ("#F0E442", "xxxx", ("POLLING",)),
    "asleep, or waiting for a CPU": ("#DDDDDD", "", ("BLOCKED", "PARKED")),
}
"""What a vCPU's thread does, in six kinds: colour, hatch, and the run loop's states."""

_WIDE = 6.9  # inches: both columns of a page
_NOTE_CHARACTERS = 118
_CLOSE = 0.03  # of the width: numbers nearer than that would run into each other
_OUTSIDE = "outside"


def plot_flow(folder: Path, number: int, out: Path, progress: Callable[[float], None]) -> list[Path]:
    """Draws the path of flow `number` of a run; gives the paths of the files written.

    Raises:
        VirqsimError: the run has no such flow.
    """
    again = Again(results.load(folder), progress)
    flows = Flows(again.trace, again.plan)
    if not flows.has(number):
        raise VirqsimError(f"--flow: {number} is no interrupt of this run (1 to {flows.count}; `virqsim explain {folder}` says "
                           "which are worth a look)")
    story = Story(again, flows, flows[number])
    out.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(figures.STYLE):
        figure = _draw(story, flows, again.trace, again.plan["costs"]["kind"])
        rows = [[at + 1, step.ps, step.ps - story.steps[0].ps, step.name, _lane(step), step.sentence, step.section]
                for at, step in enumerate(story.steps)]
        return figures.save(figure, out, f"path_{number}",
                            ("number", "time (ps)", "since raised (ps)", "step", "where", "what happened", "section"), rows)


def _lane(step: Step) -> str:
    return _OUTSIDE if step.vcpu is None else f"vCPU {step.vcpu}"


def _lanes(story: Story) -> list[str]:
    """From the source, at the top, to the destination."""
    named = dict.fromkeys(map(_lane, story.steps))
    last = f"vCPU {story.flow.vcpu}"
    return [lane for lane in named if lane != last] + [last]


def _caveat(kind: str) -> str:
    return f"; costs are {kind}" if kind == ASSUMED_THROUGHOUT else ""


def _draw(story: Story, flows: Flows, trace: Trace, kind: str) -> Any:
    lanes = _lanes(story)
    notes = _notes(story.steps)
    above, below = 0.55 + 0.42 * len(lanes), 0.125 * sum(map(_lines, notes))
    figure, (axes, text) = plt.subplots(2, 1, figsize=(_WIDE, above + below + 0.4), layout="constrained",
                                        height_ratios=[above, below])
    first, last = story.steps[0].ps, story.steps[-1].ps
    margin = max(last - first, 1000) * 0.06
    window = (first - margin, last + margin)
    used = set()
    for y, lane in enumerate(lanes):
        if lane != _OUTSIDE:
            used |= _paint_states(axes, y, trace, int(lane.split()[1]), window, first)
    _mark(axes, lanes, story.steps, first)
    axes.set_xlim((window[0] - first) / 1e3, (window[1] - first) / 1e3)
    axes.set_ylim(len(lanes) - 0.5, -0.75)
    axes.set_yticks(range(len(lanes)), [_name(lane, story.flow, flows) for lane in lanes])
    axes.set_xlabel(f"ns since it was raised, at {us(first)} us of the run{_caveat(kind)}")
    handles = [Patch(facecolor=colour, hatch=hatch, edgecolor="black", linewidth=0.4, label=kind)
               for kind, (colour, hatch, _) in _KINDS.items() if kind in used]
    figure.legend(handles=handles, loc="outside upper center", ncols=6, frameon=False, handlelength=1.6)
    _write(text, notes)
    return figure


def _name(lane: str, flow: Flow, flows: Flows) -> str:
    return textwrap.fill(flows.source(flow), 18) if lane == _OUTSIDE else lane


def _spans(trace: Trace, vcpu: int, window: tuple[float, float]) -> Iterable[tuple[float, float, str]]:
    """What the vCPU's thread did within the window: from, to, and the run loop's state."""
    moved = trace.of("VCPU_STATE")
    moved = moved[moved["where"] == vcpu]
    times = moved["ps"].astype(np.int64)
    first = max(int(np.searchsorted(times, window[0], "right")) - 1, 0)
    for at in range(first, len(moved)):
        start = max(float(times[at]), window[0])
        end = min(float(times[at + 1]) if at + 1 < len(moved) else window[1], window[1])
        if start >= window[1]:
            return
        if end > start:
            yield start, end, trace.header["states"][int(moved["b"][at])]


def _paint_states(axes: Axes, y: int, trace: Trace, vcpu: int, window: tuple[float, float], first: int) -> set[str]:
    kind_of = {state: kind for kind, (_, _, states) in _KINDS.items() for state in states}
    used = set()
    for start, end, state in _spans(trace, vcpu, window):
        kind = kind_of[state]
        used.add(kind)
        colour, hatch, _ = _KINDS[kind]
        axes.barh(y, (end - start) / 1e3, left=(start - first) / 1e3, height=0.42, color=colour, hatch=hatch,
                  edgecolor="black", linewidth=0.3, zorder=2)
    return used


def _mark(axes: Axes, lanes: list[str], steps: list[Step], first: int) -> None:
    """Numbers where the steps are, and the interrupt's way from lane to lane."""
    places = [((step.ps - first) / 1e3, lanes.index(_lane(step))) for step in steps]
    for (x, y), (to_x, to_y) in zip(places, places[1:]):
        if y != to_y:
            axes.annotate("", (to_x, to_y), (x, y), zorder=4,
                          arrowprops={"arrowstyle": "->", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0})
    width = places[-1][0] or 1
    raised = {}
    for place in dict.fromkeys(places):
        x, y = place
        low, near = raised.get(y, (True, -width))
        low = not low if x - near < _CLOSE * width else True
        raised[y] = low, x
        numbers = [n + 1 for n, other in enumerate(places) if other == place]
        axes.plot(x, y, "o", color="black", markersize=2.5, zorder=5)
        axes.annotate(_range(numbers), place, (0, 11 if low else 17), textcoords="offset points", ha="center", fontsize=6.5,
                      zorder=5, fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})


def _range(numbers: list[int]) -> str:
    """Steps of one instant, in the order of the story: `3-5`, `2,4`."""
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]}\u2013{numbers[-1]}" if whole and len(numbers) > 1 else ",".join(map(str, numbers))


def _notes(steps: list[Step]) -> list[tuple[str, str, str]]:
    """A line or more for each step: its number, its time, and what happened."""
    first = steps[0].ps
    return [(str(n), f"{(step.ps - first) / 1e3:,.1f} ns", textwrap.fill(f"{step.sentence} ({step.section})", _NOTE_CHARACTERS))
            for n, step in enumerate(steps, 1)]


def _write(axes: Axes, notes: list[tuple[str, str, str]]) -> None:
    axes.axis("off")
    lines = sum(_lines(note) for note in notes)
    y = 0
    for note in notes:
        for text, x, align in zip(note, (0.015, 0.1, 0.115), ("right", "right", "left")):
            axes.text(x, 1 - y / lines, text, va="top", ha=align, fontsize=6, transform=axes.transAxes).set_in_layout(False)
        y += _lines(note)


def _lines(note: tuple[str, str, str]) -> int:
    return note[2].count("\n") + 1
