"""What a trace holds, counted in one pass: at the core's speed, and in memory that does not grow with the file.

Nothing is replayed, so a trace with gaps, of several VMs or without exits is
surveyed too; the survey says what would keep it from being replayed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import VirqsimError
from ..library import NEVER
from ..profiles import ASSUMED_THROUGHOUT, CAVEAT
from . import lines, reasons, source
from .lines import Batch, Lines
from .reader import HOLDS_NONE
from .unknown import RECORD, SILENCE_NS

_KEEP = 5  # places of a kind that are named
_LONGEST = 1000  # of a line that is no event, what is looked at: an export's may name many features


@dataclass
class Survey:
    """The counts. `exits`: (vCPU, or -1 where the line has none; reason) to how often."""

    path: Path
    lines: int = 0
    events: Counter[str] = field(default_factory=Counter)
    exits: Counter[tuple[int, str]] = field(default_factory=Counter)
    threads: dict[int, set[int]] = field(default_factory=dict)
    """vCPU to the threads that entered it; more than one: several VMs, or several recordings."""
    first_ns: int | None = None
    last_ns: int | None = None
    guest_ns: int = 0
    host_ns: int = 0
    lost: list[str] = field(default_factory=list)
    profile: str = ""
    """Of an export whose profile is assumed throughout."""
    again: int = 0
    """The line where another recording begins."""
    back: int = 0
    silent: int = 0

    @property
    def seconds(self) -> float:
        """From the first to the last event with a time."""
        return (self.last_ns - self.first_ns) / 1e9 if self.first_ns is not None and self.last_ns is not None else 0.0

    @property
    def obstacles(self) -> list[str]:
        """Why it cannot be replayed as it is, a sentence each."""
        said = [f"events were lost: {place}" for place in self.lost[:_KEEP]]
        if self.again:
            said.append(f"another recording begins in line {self.again}; replay them one by one")
        if not self.exits:
            said.append("no kvm_exit events")
        said += [f"{reason}: {reasons.OF_ELBRUS}" for reason in sorted({reason for _, reason in self.exits})
                 if reasons.is_elbrus(reason)][:1]
        shared = [vcpu for vcpu, threads in self.threads.items() if len(threads) > 1]
        if shared:
            said.append(f"several VMs: vCPU {min(shared)} is entered by threads "
                        f"{', '.join(map(str, sorted(self.threads[min(shared)])[:_KEEP]))}; choose one with --vm to replay")
        return said

    @property
    def doubts(self) -> list[str]:
        """What it does not tell, a sentence each."""
        missing = sum(n for (vcpu, _), n in self.exits.items() if vcpu < 0)
        rows = ((missing, f"{missing} of {self.exits.total()} exits without a vCPU number"),
                (self.back, f"the clock of a CPU jumps back {self.back} times"),
                (self.silent, f"{self.silent} silences of more than {SILENCE_NS // 10**9} s on a CPU"),
                (self.exits and not self.events["kvm_entry"], "no kvm_entry events: time in the guest is not known"))
        return [said for count, said in rows if count]

    def document(self) -> dict[str, Any]:
        """For --json."""
        exits: Counter[str] = Counter()
        for (_, reason), n in self.exits.items():
            exits[reason] += n
        return {"trace": str(self.path), "profile": self.profile or None,
                "profile_kind": ASSUMED_THROUGHOUT if self.profile else None, "lines": self.lines, "events": dict(sorted(self.events.items())),
                "seconds": self.seconds, "exits": dict(sorted(exits.items())),
                "exits_per_second": {reason: n / self.seconds for reason, n in sorted(exits.items())} if self.seconds else {},
                "vcpus": len({vcpu for vcpu, _ in self.exits}), "guest_ns": self.guest_ns, "host_ns": self.host_ns,
                "obstacles": self.obstacles, "doubts": self.doubts,
                "record": RECORD if self.obstacles or self.doubts else None}


def survey(path: str | Path) -> Survey:
    """Counts a trace of any kind that can be read.

    Raises:
        VirqsimError: it cannot be read, or holds no events.
    """
    path = Path(path)
    found, text = Survey(path), Lines(source.text(path))
    counter = _Counter(found, text)
    for batch in text.batches():
        counter.take(batch)
    counter.name()
    if not found.events:
        raise VirqsimError(f"{path}: holds no trace events; {HOLDS_NONE}")
    return found


class _Counter:
    """Adds batches up; between two it keeps each CPU's and each thread's last event."""

    def __init__(self, found: Survey, text: Lines) -> None:
        self._found = found
        self._text = text
        self._events: Counter[int] = Counter()
        self._exits: Counter[tuple[int, int]] = Counter()
        self._last_on_cpu: dict[int, int] = {}
        self._last_of_thread: dict[int, tuple[int, bool]] = {}  # time, and whether it was an entry

    def take(self, batch: Batch) -> None:
        """Counts some lines."""
        rows = batch.lines
        self._found.lines += len(rows)
        self._read_the_rest(batch, rows)
        events = rows[rows["kind"] == lines.EVENT]
        self._add(self._events, events["event"])
        numbers = {name: number for number, name in enumerate(self._text.names(), 1)}
        exits = events[events["event"] == numbers.get("kvm_exit", -1)]
        keys = (exits["vcpu"].astype(np.int64) << 16) | exits["reason"]
        for key, n in zip(*(a.tolist() for a in np.unique(keys, return_counts=True)), strict=True):
            self._exits[key >> 16, key & 0xffff] += n
        entries = events["event"] == numbers.get("kvm_entry", -1)
        self._threads(events[entries])
        timed = events["time_ns"] != NEVER
        self._clocks(events[timed])
        both = timed & (entries | (events["event"] == numbers.get("kvm_exit", -1)))
        self._lives(events[both], entries[both])

    def _add(self, counts: Counter[int], numbers: np.ndarray) -> None:
        for number, n in enumerate(np.bincount(numbers).tolist()):
            if n:
                counts[number] += n

    def _read_the_rest(self, batch: Batch, rows: np.ndarray) -> None:
        for n in np.flatnonzero((rows["kind"] == lines.OTHER) | (rows["kind"] == lines.COMMENT)).tolist():
            start, length = int(rows["start"][n]), int(rows["length"][n])
            text = batch.text[start:start + min(length, _LONGEST)].decode(errors="replace").strip()
            written = lines.WRITTEN.search(text)
            if rows["kind"][n] == lines.COMMENT and (caveat := CAVEAT.search(text)):
                self._found.profile = caveat[1]
            if lines.BEGINS.match(text) and (self._events or (rows["kind"][:n] == lines.EVENT).any()):
                self._found.again = self._found.again or batch.first + n
            if lines.LOST.match(text) or written and written[1] != written[2]:
                self._found.lost.append(f"line {batch.first + n}: {text}")
                del self._found.lost[_KEEP:]

    def _threads(self, entries: np.ndarray) -> None:
        pairs = np.unique((entries["vcpu"].astype(np.int64) << 32) | entries["pid"].astype(np.uint32))
        for pair in pairs.tolist():
            vcpu, pid = pair >> 32, pair & 0xffff_ffff
            if vcpu >= 0 and pid != 0xffff_ffff and len(self._found.threads.setdefault(vcpu, set())) < _KEEP:
                self._found.threads[vcpu].add(pid)

    def _clocks(self, events: np.ndarray) -> None:
        found, times = self._found, events["time_ns"].astype(np.int64)
        if not len(times):
            return
        low, high = int(times.min()), int(times.max())
        found.first_ns = low if found.first_ns is None else min(found.first_ns, low)
        found.last_ns = high if found.last_ns is None else max(found.last_ns, high)
        for cpu in np.unique(events["cpu"]).tolist():
            mine = times[events["cpu"] == cpu]
            steps = np.diff(mine, prepend=self._last_on_cpu.get(cpu, mine[0]))
            found.back += int((steps < 0).sum())
            found.silent += int((steps > SILENCE_NS).sum())
            self._last_on_cpu[cpu] = int(mine[-1])

    def _lives(self, events: np.ndarray, entries: np.ndarray) -> None:
        """From an entry to the thread's next exit is the guest's time, from an exit to its next entry the host's."""
        times = events["time_ns"].astype(np.int64)
        for pid in np.unique(events["pid"]).tolist():
            here = events["pid"] == pid
            when, entry = times[here], entries[here]
            if pid in self._last_of_thread:
                before, was_entry = self._last_of_thread[pid]
                when, entry = np.concatenate([[before], when]), np.concatenate([[was_entry], entry])
            took = np.maximum(np.diff(when), 0)
            self._found.guest_ns += int(took[entry[:-1] & ~entry[1:]].sum())
            self._found.host_ns += int(took[~entry[:-1] & entry[1:]].sum())
            self._last_of_thread[pid] = int(when[-1]), bool(entry[-1])

    def name(self) -> None:
        """Turns numbers into names."""
        names = self._text.names()
        for number, n in self._events.items():
            self._found.events[names[number - 1]] += n
        for (vcpu, number), n in self._exits.items():
            self._found.exits[vcpu, _reason(names[number - 1]) if number else "unknown"] += n


def _reason(name: str) -> str:
    """By its normal name; `=ISA:NUMBER` is the core's of one that the line gives as a number."""
    isa, colon, number = name.removeprefix("=").partition(":")
    return reasons.by_number(int(isa), int(number)) if name.startswith("=") and colon else reasons.normal(name)
