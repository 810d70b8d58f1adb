"""One line of a trace, in the form of whichever tool wrote it.

    qemu-8396    [001] d..1.  1404.389421: kvm_exit: vcpu 0 reason ...       tracefs, 5 flags, 4, or none
     qemu-6660  [007]   398.691403: kvm_userspace_exit:   reason ...         trace-cmd report
       CPU 0/KVM 1821753 [015] 4831258.258053: kvm:kvm_msr: msr_write ...    perf script
    87162647182125: kvm_halt_poll_ns: vcpu 0: ...                            cut by hand: time alone,
     kvm_entry:            vcpu 0                                            or nothing at all

Task names contain blanks and dashes, so they are read up to the last thing
that can be a process number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_EVENT = r"(?:(?P<system>[a-z_]\w*):)?(?P<event>[a-z_]\w*):(?:\s+(?P<payload>.*))?$"
_TIME = r"(?P<time>\d+(?:\.\d+)?):"
_FLAGS = r"(?:[.#0-9a-zA-Z]{4,5}\s+)?"
_CPU = r"\[(?P<cpu>\d+)\]"

_FORMS = tuple(re.compile(form) for form in (
    rf"\s*(?P<task>.*?)-(?P<pid>\d+)\s+(?:\(\s*[-\d]+\)\s+)?{_CPU}\s+{_FLAGS}{_TIME}\s*(?:{_EVENT})?",
    rf"\s*(?P<task>.*?)\s+(?P<pid>\d+)(?:/\d+)?\s+{_FLAGS}{_CPU}\s+{_FLAGS}{_TIME}\s*(?:{_EVENT})?",
    rf"\s*(?P<task>\S*)\s+{_CPU}\s+{_FLAGS}{_TIME}\s*(?:{_EVENT})?",
    rf"\s*{_TIME}\s+{_EVENT}",
    rf"\s+{_EVENT}",
))

LOST = re.compile(r"CPU:\d+ \[(?:LOST \d+ EVENTS|(?:\d+ )?EVENTS DROPPED)\]")
WRITTEN = re.compile(r"entries-in-buffer/entries-written:\s*(\d+)/(\d+)")


class Line(NamedTuple):
    """What a line says before the event's own text; None where its form leaves something out."""

    time_ns: int | None
    cpu: int | None
    pid: int | None
    task: str
    event: str | None  # None: the writer folded the line here, the event follows on the next
    payload: str


def parse(text: str) -> Line | None:
    """The line, or None when it is not the beginning of an event."""
    for form in _FORMS:
        match = form.match(text)
        if match:
            found = match.groupdict()
            return Line(_nanoseconds(found.get("time")), _number(found.get("cpu")), _number(found.get("pid")),
                        found.get("task") or "", found.get("event"), found.get("payload") or "")
    return None


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _nanoseconds(text: str | None) -> int | None:
    """Seconds with a fraction, or raw nanoseconds without one."""
    if text is None:
        return None
    seconds, point, fraction = text.partition(".")
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0")) if point else int(seconds)
