"""trace-cmd's trace.dat, versions 6 and 7, as text: through libtracecmd, which knows every kernel's format.

The library reads in a process of its own, `python -m virqsim.replay.tracedat FILE`:
a damaged file may end that one, and not this.
"""

from __future__ import annotations

import heapq
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cffi

from ..errors import VirqsimError

MAGIC = b"\x17\x08\x44tracing"
_PACKAGES = "libtracecmd1 libtraceevent1-plugin"
_PIECE = 1 << 16
_NO_LIBRARY = 3  # the child's exit status
_PATIENCE_S = 600

# From trace-cmd.h, event-parse.h and trace-seq.h: what is needed here.
_HEADER = """
    struct trace_seq { char *buffer; unsigned int buffer_size, len, readpos; int state; };
    void trace_seq_init(struct trace_seq *s);
    void trace_seq_reset(struct trace_seq *s);
    struct tep_record { unsigned long long ts, offset; long long missed_events; int record_size, size; void *data;
                        int cpu, ref_count, locked; void *priv; };
    void tep_print_event(void *tep, struct trace_seq *s, struct tep_record *record, const char *form, ...);
    void *tracecmd_open(const char *file, int flags);
    int tracecmd_cpus(void *handle);
    void *tracecmd_get_tep(void *handle);
    const char *tracecmd_get_uname(void *handle);
    struct tep_record *tracecmd_read_cpu_first(void *handle, int cpu);
    struct tep_record *tracecmd_read_data(void *handle, int cpu);
    void tracecmd_free_record(struct tep_record *record);
"""


def report(name: Path, file: Path) -> Iterator[bytes]:
    """The text of a trace.dat, in pieces.

    Raises:
        VirqsimError: libtracecmd is not here, or cannot read the file; the line says `name`.
    """
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen([sys.executable, "-m", __name__, str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env={**os.environ, "PYTHONPATH": path}) as child:
        assert child.stdout
        try:
            while piece := child.stdout.read(_PIECE):
                yield piece
        finally:
            child.stdout.close()
            status = child.wait(_PATIENCE_S)
    if status == _NO_LIBRARY:
        raise VirqsimError(f"{name}: is a trace.dat file, and libtracecmd is not here; install {_PACKAGES}, or turn it "
                           "into text: trace-cmd report FILE > FILE.txt")
    if status:
        raise VirqsimError(f"{name}: the trace.dat file was cut short or is damaged: libtracecmd cannot read it")


def _print(file: str) -> int:
    """The child: the events of all CPUs by time, in the form of tracefs."""
    ffi = cffi.FFI()
    ffi.cdef(_HEADER)
    try:
        event_library: Any = ffi.dlopen("libtraceevent.so.1")
        library: Any = ffi.dlopen("libtracecmd.so.1")
    except OSError:
        return _NO_LIBRARY
    handle = library.tracecmd_open(file.encode(), 0)
    if handle == ffi.NULL:
        return 1
    tep, line = library.tracecmd_get_tep(handle), ffi.new("struct trace_seq *")
    event_library.trace_seq_init(line)
    # In this order: the thread's name, its number, the event's name, its text.
    form, words = ffi.new("char[]", b"%s-%d|%s: %s"), [ffi.new("char[]", w) for w in (b"COMM", b"NAME", b"INFO")]
    pid = ffi.cast("unsigned int", 1)  # TEP_PRINT_PID
    heap = []
    for cpu in range(library.tracecmd_cpus(handle)):
        record = library.tracecmd_read_cpu_first(handle, cpu)
        if record != ffi.NULL:
            heap.append((record.ts, cpu, record))
    heapq.heapify(heap)
    out = sys.stdout.buffer
    if (uname := library.tracecmd_get_uname(handle)) != ffi.NULL:
        out.write(b"# %s\n" % ffi.string(uname).replace(b"\n", b" "))
    while heap:
        ts, cpu, record = heap[0]
        if record.missed_events:
            lost = f"{record.missed_events} " if record.missed_events > 0 else ""
            out.write(f"CPU:{cpu} [{lost}EVENTS DROPPED]\n".encode())
        event_library.trace_seq_reset(line)
        event_library.tep_print_event(tep, line, record, form, words[0], pid, words[1], words[2])
        thread, _, event = ffi.buffer(line.buffer, line.len)[:].partition(b"|")
        out.write(b"%s [%03d] %d.%09d: %s\n" % (thread, cpu, ts // 10**9, ts % 10**9, event.rstrip().replace(b"\n", b" ")))
        library.tracecmd_free_record(record)
        after = library.tracecmd_read_data(handle, cpu)
        if after == ffi.NULL:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (after.ts, cpu, after))
    return 0


if __name__ == "__main__":
    sys.exit(_print(sys.argv[1]))
