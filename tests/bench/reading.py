"""How fast recorded traces are read: a run's own, exported as text and as trace.dat; beside trace-cmd report.

Rates are events in a second of processor time, of the reading process and its
children: other work on the machine does not count.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_READERS = {
    "virqsim, survey of the text": ("ftrace", "survey.survey"),
    "virqsim, read for replay": ("ftrace", "reader.read"),
    "virqsim, survey of trace.dat": ("trace.dat", "survey.survey"),
}
_COUNT = """import sys
from virqsim.replay import reader, survey
{function}(sys.argv[1])
"""


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row for each reader: events, rate, and the largest resident set of its process in MiB."""
    with tempfile.TemporaryDirectory(prefix="virqsim-bench-") as folder:
        run = Path(folder, "run")
        _virqsim("run", "ipi_ping_pong", "--trace", "--set", f"rounds={rounds}", "--out", str(run))
        files = {form: Path(folder, form) for form in ("ftrace", "trace.dat")}
        for form, path in files.items():
            _virqsim("export", str(run), "--to", form, "--out", str(path))
        with files["ftrace"].open("rb") as lines:
            events = sum(not line.startswith(b"#") for line in lines)
        measured = [_row(name, events, _python(function, files[form])) for name, (form, function) in _READERS.items()]
        if shutil.which("trace-cmd"):
            measured.append(_row("trace-cmd report", events, ["trace-cmd", "report", "-i", str(files["trace.dat"])]))
        return measured


def _virqsim(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "virqsim.cli", *arguments], check=True, stdout=subprocess.DEVNULL)


def _python(function: str, path: Path) -> list[str]:
    return [sys.executable, "-c", _COUNT.format(function=function), str(path)]


def _row(name: str, events: int, command: list[str]) -> dict[str, Any]:
    seconds, mebibytes = _spent(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    return {"reader": name, "events": events, "seconds": seconds, "events_per_s": events / seconds, "mebibytes": mebibytes}


def _spent(work: Callable[[], object]) -> tuple[float, float]:
    """Processor time and peak memory of a child, which has a child of this process to itself."""
    before, parent = os.pipe()
    child = os.fork()
    if child == 0:
        work()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.write(parent, f"{used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024}".encode())
        os._exit(0)
    os.close(parent)
    with os.fdopen(before) as said:
        words = said.read().split()
    os.waitpid(child, 0)
    return float(words[0]), float(words[1])
