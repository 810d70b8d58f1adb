"""The lines of a trace in any tool's form, found by the C core (sim/trace_lines.c).

The core says where in a line the time, the CPU, the thread and the event stand;
batches of that come as arrays, for those who count, or line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import library

LOST = re.compile(r"CPU:\d+ \[(?:LOST \d+ EVENTS|(?:\d+ )?EVENTS DROPPED)\]|.*\bPERF_RECORD_LOST|.*\blost \d+ chunks!")
BEGINS = re.compile(r"# tracer:|cpus=\d+$")  # what a tool writes before its first event
WRITTEN = re.compile(r"entries-in-buffer/entries-written:\s*(\d+)/(\d+)")

_COUNTED = 1  # enum virqsim_line_flag
OTHER, EVENT, FOLDED, COMMENT, EMPTY = range(5)  # enum virqsim_line_kind
_BATCH = 8192
_LONGEST = 1 << 22  # of a line; longer ones are no trace's, and would be kept whole
_LINE = np.dtype([("time_ns", "u8"), ("start", "u4"), ("length", "u4"), ("payload", "u4"), ("task", "u4"),
                  ("task_length", "u4"), ("pid", "i4"), ("process", "i4"), ("cpu", "i4"), ("vcpu", "i4"),
                  ("kind", "u2"), ("event", "u2"), ("reason", "u2"), ("flags", "u2")], align=True)


class Line(NamedTuple):
    """What a line says before the event's own text; None where its form leaves something out."""

    number: int
    kind: int
    time_ns: int | None
    cpu: int | None
    pid: int | None
    task: str
    event: str | None
    payload: str
    text: str
    process: int | None = None
    counted: bool = False
    """Its time has no fraction: a clock's count, in what unit nobody says."""


class Batch(NamedTuple):
    """Some lines: the text that they are in, and where in it."""

    text: bytes
    lines: np.ndarray
    first: int
    """The number of the first line in the file."""


class Lines:
    """Takes a text in pieces. `complete`: after the last, whether it ended with a newline."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._ffi, self._lib = library.core()
        self._lines = self._ffi.gc(self._lib.virqsim_lines_open(), self._lib.virqsim_lines_close)
        self._pieces = iter(pieces)
        self._known: list[str] = []
        self.complete = True

    def names(self) -> list[str]:
        """Names so far: an event's or a reason's number, less 1, is its index here."""
        while (name := self._lib.virqsim_lines_name(self._lines, len(self._known))) != self._ffi.NULL:
            self._known.append(self._ffi.string(name).decode(errors="replace"))
        return self._known

    def batches(self) -> Iterator[Batch]:
        """All lines, in arrays of the core's struct virqsim_line."""
        rest, number = b"", 1
        for piece in self._whole():
            rest += piece
            for batch in self._taken(rest, number):
                number += len(batch.lines)
                yield batch
            rest = rest[self._used:]
            if len(rest) > _LONGEST:
                rest = rest[:_LONGEST] + b"\n"

    def _whole(self) -> Iterator[bytes]:
        """The pieces, and a newline behind the last line."""
        last = b"\n"
        for piece in self._pieces:
            last = piece[-1:] or last
            yield piece
        self.complete = last == b"\n"
        if not self.complete:
            yield b"\n"

    def _taken(self, text: bytes, number: int) -> Iterator[Batch]:
        out, used = self._ffi.new("struct virqsim_line[]", _BATCH), self._ffi.new("size_t *")
        view, self._used = self._ffi.from_buffer(text), 0
        while True:
            n = self._lib.virqsim_lines_take(self._lines, view + self._used, len(text) - self._used, out, _BATCH, used)
            if not n:
                return
            found = np.frombuffer(self._ffi.buffer(out, n * _LINE.itemsize), _LINE).copy()
            found["start"] += self._used
            found["payload"] += found["start"]
            found["task"] += found["start"]
            self._used += used[0]
            yield Batch(text, found, number)
            number += n

    def __iter__(self) -> Iterator[Line]:
        """Each line by itself; one that is empty or the rest of a folded one has its text only."""
        for batch in self.batches():
            names = self.names()
            for n, row in enumerate(batch.lines.tolist(), batch.first):
                yield _line(batch.text, names, n, row)


def _line(data: bytes, names: list[str], number: int, row: tuple[Any, ...]) -> Line:
    time_ns, start, length, payload, task, task_length, pid, process, cpu, _, kind, event, _, flags = row
    whole = start + length
    if kind not in (EVENT, FOLDED):
        return Line(number, kind, None, None, None, "", None, "", data[start:whole].decode())
    named, said, text = ((names[event - 1], data[payload:whole].decode().strip(), "") if kind == EVENT else
                         (None, "", data[start:whole].decode()))
    return Line._make((number, kind, None if time_ns == library.NEVER else time_ns, None if cpu < 0 else cpu,
                       None if pid < 0 else pid, data[task:task + task_length].decode(), named, said, text,
                       None if process < 0 else process, bool(flags & _COUNTED)))
