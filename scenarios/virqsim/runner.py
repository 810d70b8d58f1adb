"""Runs a plan on one of the two hosts: the C library's own loop, or SystemC."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import library, paths
from .errors import VirqsimError, unknown
from .library import Simulation
from .results import Results
from .runfolder import RunFolder
from .signals import told_to

HOSTS = ("c", "systemc")
_PATIENCE_S = 2.0  # a progress bar appears after so much wall time


def check_technology(name: str, declared: Iterable[str] = (), place: str = "technology") -> None:
    """Raises VirqsimError unless the core knows the technology, or it is one of those declared."""
    known = [*library.names("technologies"), *declared]
    if name not in known:
        raise unknown(place, name, known)


def run(plan: dict[str, Any], host: str = "c", folder: str | Path | None = None, trace: bool = False) -> Results:
    """Runs a plan and returns what came out.

    SIGINT and SIGTERM end it at an event boundary; what there is, is kept and
    marked partial.

    Args:
        plan: Plan.resolve().
        host: `c` or `systemc`.
        folder: the run folder to write; None writes nothing.
        trace: keep the full trace in the run folder.

    Raises:
        VirqsimError: the plan is wrong, or the folder cannot be written.
    """
    if folder is None:
        return Results(_run(plan, host, None), plan)
    with RunFolder(folder) as files:
        results = Results(_run(plan, host, files / "trace.vqt" if trace else None), plan, Path(folder))
        results.write(files)
    return results


def _run(plan: dict[str, Any], host: str, trace: Path | None) -> dict[str, Any]:
    return _run_in_systemc(plan, trace) if host == "systemc" else _run_in_c(plan, trace)


def _run_in_c(plan: dict[str, Any], trace: Path | None) -> dict[str, Any]:
    with Simulation(plan) as simulation, progress_bar(plan["name"]) as progress:
        if trace:
            simulation.keep_trace(trace)
        simulation.run(progress)
        if trace:
            simulation.close_trace()
        return simulation.results()


@contextmanager
def progress_bar(title: str) -> Iterator[Any]:
    """Gives the callback for Simulation.run(): a bar on standard error, for runs that take a while."""
    from rich.console import Console
    from rich.progress import Progress

    began = time.monotonic()
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(title, total=1.0)

    def progress(done: float) -> None:
        if time.monotonic() - began > _PATIENCE_S:
            bar.start()
            bar.update(task, completed=done)

    try:
        yield progress
    finally:
        if bar.live.is_started:  # stopping one that is not prints an empty line
            bar.stop()


def _run_in_systemc(plan: dict[str, Any], trace: Path | None) -> dict[str, Any]:
    """The other host is a program of its own; it gets our signals too, and ends as we would."""
    program = paths.find("virqsim-systemc")
    with tempfile.TemporaryDirectory(prefix="virqsim-") as folder:
        plan_file, results_file = Path(folder, "plan.json"), Path(folder, "results.json")
        plan_file.write_text(json.dumps(plan, sort_keys=True))
        command = [str(program), "--plan", str(plan_file), "--results", str(results_file)]
        if trace:
            command += ["--trace", str(trace)]
        status, said = _wait(plan["name"], command)
        if not results_file.is_file():
            raise VirqsimError(said.strip().splitlines()[-1] if said.strip() else f"{program}: ended with {status}")
        return json.loads(results_file.read_text())


def _wait(title: str, command: list[str]) -> tuple[int, str]:
    """Runs a program, passing SIGINT and SIGTERM on; its exit status and standard error."""
    from rich.console import Console

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as child:
        with told_to(child.send_signal):
            try:
                _, said = child.communicate(timeout=_PATIENCE_S)
            except subprocess.TimeoutExpired:
                with Console(stderr=True).status(f"{title}: running in SystemC"):
                    _, said = child.communicate()
    return child.returncode, said
