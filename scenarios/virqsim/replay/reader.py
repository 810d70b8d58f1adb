"""Reads a recorded KVM trace, whole, or says in one line why it cannot be trusted.

A trace with a gap is refused: a replay across lost events would be a story
about a guest that never was.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import VirqsimError
from . import lines, payloads
from .header import Header

_TRACE_DAT = b"\x17\x08\x44tracing"
_PERF_DATA = b"PERFILE2"
_GAP = re.compile(r"\s*\[?(?:\.\.\.|…)\]?\s*$")


class Event(NamedTuple):
    """One event. `vcpu` is that of the thread that printed it, or None for other threads and the host."""

    line: int
    time_ns: int | None
    cpu: int | None
    pid: int | None
    task: str
    name: str
    vcpu: int | None
    fields: dict[str, Any]


@dataclass
class Trace:
    """A whole recording: its events in order, and the part that counts.

    Recordings made for virqsim have a window, between two marks that the
    program around the guest wrote; others count from end to end.
    """

    path: Path
    events: list[Event]
    header: Header = field(default_factory=Header)
    begin: int = 0
    end: int = 0
    marker: int | None = None
    """Index of the exit by which the guest asked for the END mark: not the workload's, so not counted."""

    def exits(self, as_recorded: bool = False) -> Counter[tuple[int, str]]:
        """(vCPU, reason) to how often, in the window; names as the kernel has them, or as in the file."""
        key = "recorded_reason" if as_recorded else "reason"
        return Counter((event.vcpu or 0, event.fields[key]) for event in self.counted_exits())

    def counted_exits(self) -> Iterator[Event]:
        """The kvm_exit events that count."""
        for index in range(self.begin, self.end):
            if self.events[index].name == "kvm_exit" and index != self.marker:
                yield self.events[index]


def read(path: str | Path) -> Trace:
    """Reads and checks a trace, plain or gzip'ed.

    Raises:
        VirqsimError: it cannot be read or must not be trusted; the line names file and line.
    """
    trace = read_events(path)
    path = trace.path
    if not any(event.name == "kvm_exit" for event in trace.events):
        raise VirqsimError(f"{path}: has no kvm_exit events; record with: trace-cmd record -e kvm")
    if trace.header.gap_line:
        raise VirqsimError(f"{path}:{trace.header.gap_line}: part of the trace was left out here; a replay needs it whole")
    _check_one_vm(trace)
    _find_window(trace)
    _check_counts(trace)
    return trace


def read_events(path: str | Path) -> Trace:
    """As read(), but an excerpt will do: it may have gaps and no exits, and counts are not checked.

    Raises:
        VirqsimError: it cannot be read; the line names file and line.
    """
    path = Path(path)
    header = Header()
    events = list(_events(path, _text(path), header))
    if not events:
        raise VirqsimError(f"{path}: holds no trace events; tracefs, trace-cmd report and perf script text can be read")
    return Trace(path, _with_vcpus(events), header, 0, len(events))


# --- bytes to lines ---


def _text(path: Path) -> list[str]:
    data = _bytes(path)
    if data.startswith(_TRACE_DAT):
        data = _report(path, data)
    elif data.startswith(_PERF_DATA):
        raise VirqsimError(f"{path}: is a perf.data file; turn it into text: perf script -i FILE > FILE.txt")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise VirqsimError(f"{path}:{_line_of(data, error.start)}: binary data, not the text of a trace") from None
    if "\0" in text:
        raise VirqsimError(f"{path}:{_line_of(data, data.index(0))}: binary data, not the text of a trace")
    if not text.strip():
        raise VirqsimError(f"{path}: is empty")
    return text.split("\n")


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except OSError as error:  # gzip.BadGzipFile is one
        raise VirqsimError(f"{path}: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise VirqsimError(f"{path}: the gzip file was cut short or is damaged: {error}") from None


def _report(path: Path, data: bytes) -> bytes:
    """A trace.dat's text, by the tool that can read it."""
    if not shutil.which("trace-cmd"):
        raise VirqsimError(f"{path}: is a trace.dat file; turn it into text: trace-cmd report FILE > FILE.txt")
    with tempfile.NamedTemporaryFile(suffix=".dat") as file:
        file.write(data)
        file.flush()
        report = subprocess.run(["trace-cmd", "report", "-t", "-i", file.name], capture_output=True, check=False)
    if report.returncode:
        said = report.stderr.decode(errors="replace").strip().splitlines()
        raise VirqsimError(f"{path}: trace-cmd report: {said[-1] if said else report.returncode}")
    return report.stdout


# --- lines to events ---


def _events(path: Path, text: list[str], header: Header) -> Iterator[Event]:
    """The events, folded lines put together. What is no event (prose, a tool's own lines) is passed over."""
    begun: tuple[int, lines.Line] | None = None
    gap = 0
    for number, line in enumerate(text, 1):
        if line.startswith("#"):
            _check_comment(path, number, line, header)
        elif lines.LOST.match(line):
            raise VirqsimError(f"{path}:{number}: {line.strip()}: events were lost, so this cannot be replayed; "
                               f"record again with a larger buffer (trace-cmd record -b 20000)")
        elif begun and begun[1].event is None and line.strip():
            begun = begun[0], _joined(begun[1], line)
        elif found := lines.parse(line):
            if begun:
                yield _event(path, *begun)
                header.gap_line = header.gap_line or gap
            begun, gap = (number, found), 0
        elif _GAP.match(line):
            gap = number
        elif begun and line[:1].isspace() and line.strip()[:1] not in ("", "#"):
            begun = begun[0], begun[1]._replace(payload=f"{begun[1].payload} {line.strip()}")
    if begun:
        yield _last_event(path, *begun, complete=text[-1] == "")


def _joined(first: lines.Line, rest: str) -> lines.Line:
    """A line that its writer folded behind the time stamp."""
    second = lines.parse(f" {rest.strip()}")
    if second is None or second.event is None:
        return first
    return first._replace(event=second.event, payload=second.payload)


def _event(path: Path, number: int, line: lines.Line) -> Event:
    if line.event is None:
        raise VirqsimError(f"{path}:{number}: the line ends before the event's name")
    fields = payloads.parse(line.event, line.payload.strip())
    if fields is None:
        raise VirqsimError(f"{path}:{number}: {line.event}: cannot read {line.payload.strip()!r}")
    return Event(number, line.time_ns, line.cpu, line.pid, line.task, line.event, fields.get("vcpu"), fields)


def _last_event(path: Path, number: int, line: lines.Line, complete: bool) -> Event:
    """The last line of a file that does not end with a newline may be half a line."""
    try:
        event = _event(path, number, line)
    except VirqsimError:
        raise VirqsimError(f"{path}:{number}: the file ends in the middle of this line: it was cut short") from None
    if not complete and event.name == "kvm_exit" and event.fields.get("intr_info") is None and "info1" in line.payload:
        raise VirqsimError(f"{path}:{number}: the file ends in the middle of this line: it was cut short")
    return event


def _check_comment(path: Path, number: int, line: str, header: Header) -> None:
    header.read(number, line)
    written = lines.WRITTEN.search(line)
    if written and written[1] != written[2]:
        lost = int(written[2]) - int(written[1])
        raise VirqsimError(f"{path}:{number}: {lost} of {written[2]} events were overwritten, so this cannot be "
                           f"replayed; record again with a larger buffer (buffer_size_kb)")


# --- whose event is it ---


def _with_vcpus(events: list[Event]) -> list[Event]:
    """Gives each event the vCPU of its thread, learned from entries and exits.

    A trace whose writer cut the process column is taken for one thread.
    """
    vcpu_of: dict[int | None, int] = {}
    for event in events:
        if event.vcpu is not None and event.name in ("kvm_entry", "kvm_exit"):
            vcpu_of.setdefault(event.pid, event.vcpu)
    current = next(iter(vcpu_of.values()), 0)
    numbered = []
    for event in events:
        if event.pid is None:
            current = event.vcpu if event.vcpu is not None and event.name in ("kvm_entry", "kvm_exit") else current
            vcpu = current
        else:
            vcpu = vcpu_of.get(event.pid)
            if vcpu is None and event.name == "kvm_exit":
                vcpu = vcpu_of.setdefault(event.pid, len(vcpu_of))
        numbered.append(event._replace(vcpu=vcpu))
    return numbered


def _check_one_vm(trace: Trace) -> None:
    """vCPU numbers are unique within a VM only."""
    thread_of: dict[int, int] = {}
    for event in trace.events:
        number = event.fields.get("vcpu")
        if event.name not in ("kvm_entry", "kvm_exit") or number is None or event.pid is None:
            continue
        if thread_of.setdefault(number, event.pid) != event.pid:
            raise VirqsimError(f"{trace.path}:{event.line}: vCPU {number} is thread {event.pid} here and thread "
                               f"{thread_of[number]} before: several VMs; record one of them (trace-cmd record -P)")
        if event.vcpu != number:
            raise VirqsimError(f"{trace.path}:{event.line}: thread {event.pid} is vCPU {number} here and vCPU "
                               f"{event.vcpu} before: several VMs; record one of them (trace-cmd record -P)")


# --- the window, and the file's own counts ---


def _find_window(trace: Trace) -> None:
    """Between the marks BEGIN and END, where there are any; without an END, to the last line."""
    for index, event in enumerate(trace.events):
        if event.name == "tracing_mark_write" and event.fields["text"].startswith("BEGIN "):
            trace.begin = index + 1
        elif event.name == "tracing_mark_write" and event.fields["text"].startswith("END "):
            trace.end = index
            mine = (i for i in range(index, trace.begin, -1)
                    if trace.events[i].name == "kvm_exit" and trace.events[i].vcpu == event.vcpu)
            last = next(mine, None)
            if last is not None and trace.events[last].fields["reason"] in ("io", "IO_INSTRUCTION"):
                trace.marker = last


def _check_counts(trace: Trace) -> None:
    """The header's counts, where it has them, must be those of the lines."""
    counted = trace.exits(as_recorded=True)
    for (vcpu, reason), expected in trace.header.exits.items():
        found = sum(n for (v, r), n in counted.items() if r == reason and vcpu in (None, v))
        if found != expected:
            whose = "" if vcpu is None else f"vcpu{vcpu} "
            raise VirqsimError(f"{trace.path}:{trace.header.exits_line}: the header counts {whose}{reason}={expected}, "
                               f"the lines {found}: the file was changed or cut")
