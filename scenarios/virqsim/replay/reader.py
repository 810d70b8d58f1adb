"""Reads a recorded KVM trace, whole, or says in one line why it cannot be trusted.

A trace with a gap is refused: a replay across lost events would be a story
about a guest that never was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import VirqsimError
from . import collector, lines, order, payloads, source, vms
from .header import Header
from .lines import Line, Lines

HOLDS_NONE = ("the text of tracefs, trace-cmd report, or perf script -F comm,tid,cpu,time,event,trace can be read")
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
    process: int | None = None


_VCPU = Event._fields.index("vcpu")


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
    vm_note: str = ""
    """Of a file with several VMs: which this is, and how they were told apart."""
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


def read(path: str | Path, vm: int | None = None) -> Trace:
    """Reads and checks a trace, plain or packed; of one with several VMs that of `vm`, a process or a vCPU's thread.

    Raises:
        VirqsimError: it cannot be read or must not be trusted; the line names file and line.
    """
    trace = read_events(path, vm)
    path = trace.path
    if not any(event.name == "kvm_exit" for event in trace.events):
        raise VirqsimError(f"{path}: has no kvm_exit events; record with: trace-cmd record -e kvm")
    if trace.header.again_line:
        raise VirqsimError(f"{path}:{trace.header.again_line}: another recording begins here; replay them one by one")
    if trace.header.gap_line:
        raise VirqsimError(f"{path}:{trace.header.gap_line}: part of the trace was left out here; a replay needs it whole")
    _find_window(trace)
    if not trace.vm_note:  # the file's counts are of all its VMs
        _check_counts(trace)
    return trace


def read_events(path: str | Path, vm: int | None = None) -> Trace:
    """As read(), but an excerpt will do: it may have gaps and no exits, and counts are not checked.

    Raises:
        VirqsimError: it cannot be read; the line names file and line.
    """
    with collector.put_off():
        return _read_events(Path(path), vm)


def _read_events(path: Path, vm: int | None) -> Trace:
    header = Header()
    events = list(_events(path, Lines(source.text(path)), header))
    if not events:
        raise VirqsimError(f"{path}: holds no trace events; {HOLDS_NONE}")
    ordered = order.in_order(path, events)
    header.order_note = ordered.note
    chosen = vms.choose(path, ordered.events, vm)
    numbered = _with_vcpus(chosen.events)
    header.no_entries = not any(event.name == "kvm_entry" for event in numbered)
    if header.no_entries:
        numbered = _with_entries(numbered)
    return Trace(path, numbered, header, 0, len(numbered), chosen.note)


# --- lines to events ---


def _events(path: Path, text: Lines, header: Header) -> Iterator[Event]:
    """The events, folded lines put together. What is no event (prose, a tool's own lines) is passed over."""
    begun: Line | None = None
    gap = 0
    for line in text:
        if begun and not header.again_line and line.kind in (lines.COMMENT, lines.OTHER) and lines.BEGINS.match(line.text):
            header.again_line = line.number
        header.counted += line.counted and line.kind == lines.EVENT
        if line.kind == lines.COMMENT:
            _check_comment(path, line, header)
        elif line.kind == lines.OTHER and lines.LOST.match(line.text):
            raise VirqsimError(f"{path}:{line.number}: {line.text.strip()}: events were lost, so this cannot be "
                               f"replayed; record again with a larger buffer (trace-cmd record -b 20000)")
        elif begun and begun.kind == lines.FOLDED and line.kind != lines.EMPTY:
            begun = _joined(begun, line)
        elif line.kind in (lines.EVENT, lines.FOLDED):
            if begun:
                yield _event(path, begun)
                header.gap_line = header.gap_line or gap
            begun, gap = line, 0
        elif _GAP.match(line.text):
            gap = line.number
        elif begun and line.text[:1].isspace() and line.text.strip()[:1] not in ("", "#"):
            begun = begun._replace(payload=f"{begun.payload} {line.text.strip()}")
    if begun:
        yield _last_event(path, begun, text.complete)


def _joined(first: Line, rest: Line) -> Line:
    """A line that its writer folded behind the time stamp."""
    if rest.kind != lines.EVENT or rest.pid is not None:
        return first
    return first._replace(kind=lines.EVENT, event=rest.event, payload=rest.payload)


def _event(path: Path, line: Line) -> Event:
    if line.event is None:
        raise VirqsimError(f"{path}:{line.number}: the line ends before the event's name")
    fields = _parsed(line.event, line.payload)
    if fields is None:
        raise VirqsimError(f"{path}:{line.number}: {line.event}: cannot read {line.payload[:200]!r}")
    return Event._make((line.number, line.time_ns, line.cpu, line.pid, line.task, line.event, fields.get("vcpu"), fields,
                        line.process))


# What these can be in any trace: KVM_MAX_VCPUS is at most 4096, and kvm_eoi has -1 for none.
_LIMITS = {"vcpu": (0, 4095), "apicid": (0, 4095), "vector": (-1, 255), "irq": (0, 255), "pin": (0, 4095)}


@lru_cache(1 << 16)  # a guest does the same again and again
def _parsed(event: str, text: str) -> payloads.Fields | None:
    """None too for numbers that no trace has."""
    fields = payloads.parse(event, text)
    if fields is None or any(not low <= fields[name] <= high for name, (low, high) in _LIMITS.items()
                             if fields.get(name) is not None):
        return None
    return fields


def _last_event(path: Path, line: Line, complete: bool) -> Event:
    """The last line of a file that does not end with a newline may be half a line."""
    try:
        event = _event(path, line)
    except VirqsimError:
        if complete:
            raise
        raise VirqsimError(f"{path}:{line.number}: the file ends in the middle of this line: it was cut short") from None
    if not complete and event.name == "kvm_exit" and event.fields.get("intr_info") is None and "info1" in line.payload:
        raise VirqsimError(f"{path}:{line.number}: the file ends in the middle of this line: it was cut short")
    return event


def _check_comment(path: Path, line: Line, header: Header) -> None:
    header.read(line.number, line.text)
    written = lines.WRITTEN.search(line.text)
    if written and written[1] != written[2]:
        lost = int(written[2]) - int(written[1])
        raise VirqsimError(f"{path}:{line.number}: {lost} of {written[2]} events were overwritten, so this cannot be "
                           f"replayed; record again with a larger buffer (buffer_size_kb)")


# --- whose event is it ---


def _with_vcpus(events: list[Event]) -> list[Event]:
    """Gives each event the vCPU of its thread, learned from entries and exits.

    A trace whose writer cut the process column is taken for one thread.
    """
    vcpu_of: dict[int | None, int] = {}
    for event in events:
        if event.vcpu is not None and event.pid not in vcpu_of and event.name in ("kvm_entry", "kvm_exit"):
            vcpu_of[event.pid] = event.vcpu
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
        numbered.append(event if vcpu == event.vcpu else Event._make((*event[:_VCPU], vcpu, *event[_VCPU + 1:])))
    return numbered


def _with_entries(events: list[Event]) -> list[Event]:
    """Where entries were not recorded at all, each is put behind the last line of its thread before the next exit.

    A thread that prints is not in the guest. But a paravirtual EOI, whose two lines stand before an exit on AMD,
    happened in the guest.
    """
    last: dict[int | None, list[int]] = {}  # indexes of a thread's lines since its exit
    behind: dict[int, Event] = {}
    for index, event in enumerate(events):
        if event.vcpu is None:
            continue
        mine = last.setdefault(event.pid, [])
        if event.name == "kvm_pv_eoi":
            del mine[max(len(mine) - 1, 1):]  # the kvm_eoi before it
        elif event.name == "kvm_exit":
            if mine:
                behind[mine[-1]] = events[mine[-1]]._replace(name="kvm_entry", fields={
                    "vcpu": event.vcpu, "rip": event.fields.get("rip"), "immediate": False})
            last[event.pid] = [index]
        else:
            mine.append(index)
    return [each for index, event in enumerate(events) for each in (event, *([behind[index]] if index in behind else []))]


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
