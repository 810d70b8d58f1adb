"""The picture of one disk request's path, from a run's own trace.

A lane for each vCPU that has a part in it, one for the worker that serves it and one for QEMU's main loop, painted with
what each was doing; numbers where the request has come a step further, and beneath them what that step was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from . import figures, results
from .again import Again
from .errors import VirqsimError
from .trace import NOWHERE, Trace

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

_STAGES = {
    "asked": "the application asks for it: it waits in the guest's own queue",
    "issued": "the guest's driver begins with it",
    "notified": "the device has heard of it: by the access that starts it, or by the ioeventfd",
    "submitted": "the device model has given it to the pool of workers",
    "done": "a worker's blocking call has returned: the main loop is told",
    "completed": "the main loop has completed it: the device raises its interrupt",
    "seen": "the guest's handler begins",
    "reaped": "the driver has taken the result: the application has it",
}

_KINDS = {
    "guest": ("#009E73", "", ("GUEST",)),
    "entry and exit": ("#E69F00", "////", ("ENTERING", "EXITING")),
    "KVM": ("#0072B2", "", ("PREPARE", "COMMIT", "HANDLE", "LOADING", "PARKING")),
    "userspace": ("#CC79A7", "....", ("USERSPACE", "RUNS")),
    "blocking call": ("#56B4E9", "xxxx", ("SLEEPS",)),
    "waits": ("#F0E442", "", ("LOCKED", "PARKED", "POLLING", "READY", "WAITS")),
}
"""What a thread does: colour, hatch, and states of vCPUs and of other threads; who is idle has no colour."""

_WIDE = 6.9  # inches: both columns of a page


@dataclass(frozen=True)
class Mark:
    """One step of the request: when, which, and in whose lane."""

    ps: int
    stage: str
    lane: str


Spans = Iterable[tuple[int, int, str]]


def plot_request(folder: Path, number: int, out: Path, progress: Callable[[float], None], disk: int = 0) -> list[Path]:
    """Draws the path of request `number` of a disk in a run; gives the paths of the files written.

    Raises:
        VirqsimError: the run has no such request, or it was not done when the run ended.
    """
    run = results.load(folder)
    trace = Again(run, progress).trace
    marks = _marks(run, trace, disk, number)
    out.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(figures.STYLE):
        figure = _draw(run, trace, marks)
        rows = [[n, mark.ps, mark.ps - marks[0].ps, mark.stage, mark.lane, _STAGES[mark.stage]] for n, mark in enumerate(marks, 1)]
        return figures.save(figure, out, f"request_{number}",
                            ("number", "time (ps)", "since asked for (ps)", "step", "where", "what happened"), rows)


# the request


def _marks(run: results.Results, trace: Trace, disk: int, number: int) -> list[Mark]:
    records = trace.of("DISK")
    records = records[records["a"] == (disk << 32 | number)]
    stages = [trace.header["disk_stages"][int(b)] for b in records["b"]]
    if "reaped" not in stages:
        done = sum(row["requests"] for row in run.document.get("disks", []) if row["disk"] == disk)
        raise VirqsimError(f"--request: {number} is no request that was done in this run ({done} were)")
    return [Mark(int(record["ps"]), stage, _lane(run, trace, record, stage)) for record, stage in zip(records, stages, strict=True)]


def _lane(run: results.Results, trace: Trace, record: Any, stage: str) -> str:
    """A vCPU's; else the worker's whose call has returned; else the main loop's."""
    if record["where"] != NOWHERE:
        return f"vCPU {record['where']}"
    ended = trace.of("HOST_WORK")
    ended = ended[(ended["ps"] == record["ps"]) & (ended["b"] & 0xFFFFFFFF == trace.header["work"].index("done"))]
    kind = "aio-worker" if stage == "done" else "main-loop"
    lanes = {n: lane for lane, n in _threads(run).items() if lane.startswith(kind)}
    return next((lanes[int(each["a"])] for each in ended if int(each["a"]) in lanes), min(lanes.values()))


def _threads(run: results.Results) -> dict[str, int]:
    return {f"{row['kind']} {n}": n for n, row in enumerate(run.document["threads"])}


# the picture


def _draw(run: results.Results, trace: Trace, marks: list[Mark]) -> Any:
    threads = _threads(run)
    named = list(dict.fromkeys(mark.lane for mark in marks))
    lanes = [lane for lane in named if lane not in threads]
    main_loop = [lane for lane in threads if lane.startswith("main-loop")]
    lanes += list(dict.fromkeys(main_loop + [lane for lane in named if lane in threads]))
    height = 0.6 + 0.4 * len(lanes)
    figure, (axes, text) = plt.subplots(2, 1, figsize=(_WIDE, height + 0.13 * len(marks) + 0.4), layout="constrained",
                                        height_ratios=[height, 0.13 * len(marks)])
    first, last = marks[0].ps, marks[-1].ps
    margin = max((last - first) // 30, 1000)
    used = {kind for y, lane in enumerate(lanes)
            for kind in _paint(axes, y, _states(trace, threads, lane), (first - margin, last + margin), first)}
    _number(axes, lanes, marks)
    axes.set_xlim(-margin / 1e6, (last - first + margin) / 1e6)
    axes.set_ylim(len(lanes) - 0.5, -0.75)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_xlabel(f"us since it was asked for, at {first / 1e6:,.1f} us of the run")
    handles = [Patch(facecolor=colour, hatch=hatch, edgecolor="black", linewidth=0.4, label=kind)
               for kind, (colour, hatch, _) in _KINDS.items() if kind in used]
    figure.legend(handles=handles, loc="outside upper center", ncols=6, frameon=False, handlelength=1.6)
    text.axis("off")
    for n, mark in enumerate(marks):
        parts = (str(n + 1), f"{(mark.ps - first) / 1e6:,.2f} us", f"{mark.stage}: {_STAGES[mark.stage]}")
        for part, x, align in zip(parts, (0.02, 0.1, 0.115), ("right", "right", "left")):
            text.text(x, 1 - n / len(marks), part, va="top", ha=align, fontsize=6, transform=text.transAxes).set_in_layout(False)
    return figure


def _states(trace: Trace, threads: Mapping[str, int], lane: str) -> Spans:
    """From, to, and the state, of a vCPU or of another thread of the host's."""
    if lane in threads:
        moved = trace.of("HOST_THREAD")
        moved = moved[moved["a"] == threads[lane]]
        names = [trace.header["host_thread_states"][int(b) & 0xFFFFFFFF] for b in moved["b"]]
    else:
        moved = trace.of("VCPU_STATE")
        moved = moved[moved["where"] == int(lane.split()[1])]
        names = [trace.header["states"][int(b)] for b in moved["b"]]
    times = moved["ps"].astype(np.int64).tolist()
    return zip(times, [*times[1:], np.iinfo(np.int64).max], names)


def _paint(axes: Axes, y: int, spans: Spans, window: tuple[int, int], first: int) -> set[str]:
    kind_of = {state: kind for kind, (_, _, states) in _KINDS.items() for state in states}
    used = set()
    for start, end, state in spans:
        start, end = max(start, window[0]), min(end, window[1])
        if end <= start or state not in kind_of:
            continue
        kind = kind_of[state]
        used.add(kind)
        colour, hatch, _ = _KINDS[kind]
        axes.barh(y, (end - start) / 1e6, left=(start - first) / 1e6, height=0.42, color=colour, hatch=hatch,
                  edgecolor="black", linewidth=0.2, zorder=2)
    return used


def _number(axes: Axes, lanes: list[str], marks: list[Mark]) -> None:
    """Numbers where the steps are, side by side where they would cover each other, and the way from lane to lane."""
    first = marks[0].ps
    width = (marks[-1].ps - first) / 1e6
    places = [((mark.ps - first) / 1e6, lanes.index(mark.lane)) for mark in marks]
    for (x, y), (to_x, to_y) in zip(places, places[1:]):
        if y != to_y:
            axes.annotate("", (to_x, to_y), (x, y), zorder=4,
                          arrowprops={"arrowstyle": "->", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0})
    shown: dict[int, float] = {}
    for n, (x, y) in enumerate(places, 1):
        at = max(x, shown.get(y, -width) + 0.02 * width)
        shown[y] = at
        axes.plot(x, y, "o", color="black", markersize=2.2, zorder=5)
        axes.annotate(str(n), (at, y), (0, 11), textcoords="offset points", ha="center", fontsize=6.5, zorder=5,
                      fontweight="bold")
