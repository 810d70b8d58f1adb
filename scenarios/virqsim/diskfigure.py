"""The picture of one disk request's path, from a run's own trace: each vCPU that has a part in it, QEMU's main loop,
and the worker that serves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import figures, lanes, results
from .again import Again
from .errors import VirqsimError
from .trace import NOWHERE, Trace

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


@dataclass(frozen=True)
class Step:
    """One step of the request: when, which, and in whose lane."""

    ps: int
    stage: str
    lane: str


def plot_request(folder: Path, number: int, out: Path, progress: Callable[[float], None], disk: int = 0) -> list[Path]:
    """Draws the path of request `number` of a disk in a run; gives the paths of the files written.

    Raises:
        VirqsimError: the run has no such request, or it was not done when the run ended.
    """
    run = results.load(folder)
    trace = Again(run, progress).trace
    steps = _steps(run, trace, disk, number)
    out.mkdir(parents=True, exist_ok=True)
    with figures.style():
        figure = _draw(run, trace, steps)
        rows = [[n, step.ps, step.ps - steps[0].ps, step.stage, step.lane, _STAGES[step.stage]] for n, step in enumerate(steps, 1)]
        return figures.save(figure, out, f"request_{number}",
                            ("number", "time (ps)", "since asked for (ps)", "step", "where", "what happened"), rows)


# the request


def _steps(run: results.Results, trace: Trace, disk: int, number: int) -> list[Step]:
    records = trace.of("DISK")
    records = records[records["a"] == (disk << 32 | number)]
    stages = [trace.header["disk_stages"][int(b)] for b in records["b"]]
    if "reaped" not in stages:
        done = sum(row["requests"] for row in run.document.get("disks", []) if row["disk"] == disk)
        raise VirqsimError(f"--request: {number} is no request that was done in this run ({done} were)")
    return [Step(int(record["ps"]), stage, _lane(run, trace, record, stage)) for record, stage in zip(records, stages, strict=True)]


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


def _draw(run: results.Results, trace: Trace, steps: list[Step]) -> Any:
    threads = _threads(run)
    named = list(dict.fromkeys(step.lane for step in steps))
    main_loop = [lane for lane in threads if lane.startswith("main-loop")]
    names = [lane for lane in named if lane not in threads]
    names += list(dict.fromkeys(main_loop + [lane for lane in named if lane in threads]))
    shown = [lanes.of_thread(trace, threads[name], name) if name in threads else lanes.of_vcpu(trace, int(name.split()[1]))
             for name in names]
    marks = [lanes.Mark(step.ps, names.index(step.lane), f"{step.stage}: {_STAGES[step.stage]}") for step in steps]
    return lanes.draw(shown, marks, lanes.US, f"since it was asked for, at {steps[0].ps / 1e6:,.1f} us of the run")
