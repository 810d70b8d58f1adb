"""As a trace.dat file, version 6 (the manual page trace-cmd.dat.v6): `trace-cmd report` and KernelShark read it.

The event formats, then for each CPU the pages of its ring buffer: a page has its
time and its fill, then records, each behind a word of 5 bits of length and 27 bits of time
since the one before (the format of header_page and header_event).

The events of an Elbrus machine's run are of the system `e2k_kvm`: trace-cmd's plugin for `kvm` knows
the exits of Intel and AMD, and would print no others.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

from .. import profiles
from ..trace import Trace
from . import text
from .formats import COMMON, E2K_TRACEPOINTS, TRACEPOINTS, Tracepoint
from .lines import Hit, Lines, comm

PAGE = 4096
_HEAD = 16  # of a page: its time, and how much of it is used
_FIRST_NUMBER = 1400  # event numbers below belong to the kernel's own
_LENGTH_MAX = 28  # of a record, in words, as its header can say it
_TIME_EXTEND = 30
_TIME_BITS = 27
_CLOCK = "[local] global counter uptime perf mono mono_raw boot"
_OPTION_DONE, _OPTION_TRACECLOCK, _OPTION_UNAME = 0, 4, 5
HEADER_PAGE = """\
\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
"""
HEADER_EVENT = """\
# compressed entry header
\ttype_len    :    5 bits
\ttime_delta  :   27 bits
\tarray       :   32 bits

\tpadding     : type == 29
\ttime_extend : type == 30
\ttime_stamp : type == 31
\tdata max type_len  == 28
"""
NUMBERS = {name: _FIRST_NUMBER + n for n, name in enumerate(E2K_TRACEPOINTS)}


def format_file(tracepoint: Tracepoint, e2k: bool = False) -> str:
    """As tracefs has it in events/kvm/NAME/format."""
    def line(kind: str, name: str, offset: int, size: int, signed: int) -> str:
        return f"\tfield:{kind} {name};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n"

    common = "".join(line(*field) for field in COMMON)
    own = "".join(line(f.type, f.name, f.offset, f.size, int(f.signed)) for f in tracepoint.fields)
    return (f"name: {tracepoint.name}\nID: {NUMBERS[tracepoint.name]}\nformat:\n{common}\n{own}\n"
            f"print fmt: {tracepoint.print_fmt(e2k)}\n")


def _sized(text: str, form: str = "<Q") -> bytes:
    return struct.pack(form, len(text)) + text.encode()


class _Pages:
    """One CPU's ring buffer, as it grows."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self._data = bytearray()
        self._began = self._last = 0

    def add(self, ns: int, record: bytes) -> None:
        """Appends a record; times must not fall."""
        assert len(record) <= 4 * _LENGTH_MAX
        if not self._data:
            self._began = self._last = ns
        words = self._stamped(ns, record)
        if len(self._data) + len(words) > PAGE - _HEAD:
            self.flush()
            self._began = self._last = ns
            words = self._stamped(ns, record)
        self._data += words
        self._last = ns

    def _stamped(self, ns: int, record: bytes) -> bytes:
        delta, extend = ns - self._last, b""
        if delta >> _TIME_BITS:
            low = delta & (1 << _TIME_BITS) - 1
            extend = struct.pack("<II", _TIME_EXTEND | low << 5, delta >> _TIME_BITS)
            delta = 0
        return extend + struct.pack("<I", len(record) // 4 | delta << 5) + record

    def flush(self) -> None:
        """Closes the page that is being filled."""
        if self._data:
            page = struct.pack("<QQ", self._began, len(self._data)) + self._data
            self.done.append(page + bytes(PAGE - len(page)))
            self._data = bytearray()


def _head(pids: set[int], cpus: int, e2k: bool, uname: str) -> bytes:
    """All that stands before the table of the CPUs' data."""
    known = E2K_TRACEPOINTS if e2k else TRACEPOINTS
    parts = [b"\x17\x08\x44tracing6\0", struct.pack("<BBI", 0, 8, PAGE)]
    parts += [b"header_page\0", _sized(HEADER_PAGE), b"header_event\0", _sized(HEADER_EVENT)]
    parts += [struct.pack("<I", 0)]  # ftrace's own events: none
    parts += [struct.pack("<I", 1), b"e2k_kvm\0" if e2k else b"kvm\0", struct.pack("<I", len(known))]
    parts += [_sized(format_file(tracepoint, e2k)) for tracepoint in known.values()]
    parts += [struct.pack("<I", 0), struct.pack("<I", 0)]  # kallsyms, trace_printk: none
    parts += [_sized("".join(f"{pid} {comm(pid)}\n" for pid in sorted(pids)))]
    parts += [struct.pack("<I", cpus), b"options  \0"]
    for number, words in ((_OPTION_TRACECLOCK, _CLOCK), (_OPTION_UNAME, uname)):
        parts += [struct.pack("<H", number), _sized(words + "\0", "<I")]
    parts += [struct.pack("<H", _OPTION_DONE), b"flyrecord\0"]
    return b"".join(parts)


def write(trace: Trace, path: Path, plan: dict[str, Any] | None = None) -> None:
    """Writes the trace's tracepoints."""
    buffers: dict[int, _Pages] = defaultdict(_Pages)
    buffers[0]  # noqa: B018  a file needs a CPU, though nothing happened
    pids: set[int] = set()
    for hit in Lines(trace, plan):
        pids.add(hit.pid)
        buffers[hit.cpu].add(hit.ns, _record(hit))
    cpus = max(buffers) + 1
    said = f" ({text.machine(plan)})" if plan else ""
    uname = f"Linux virqsim 6.1 {'e2k' if trace.e2k else 'x86_64'}{said}{profiles.caveat_of(plan)}"
    head = _head(pids, cpus, trace.e2k, uname)
    offset = len(head) + 16 * cpus
    offset += -offset % PAGE
    table, pages = b"", []
    for cpu in range(cpus):
        buffers[cpu].flush()
        size = PAGE * len(buffers[cpu].done)
        table += struct.pack("<QQ", offset, size)
        offset += size
        pages += buffers[cpu].done
    with path.open("wb") as file:
        file.write(head + table)
        file.write(bytes(-file.tell() % PAGE))
        file.writelines(pages)


def _record(hit: Hit) -> bytes:
    return E2K_TRACEPOINTS[hit.name].pack(NUMBERS[hit.name], hit.pid, hit.values)
