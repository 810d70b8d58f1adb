"""The life of each interrupt of a trace: who raised it, for whom, how long each stage took, which exits it caused.

Stages are those of the results (docs/results.md): each is named after the
step that it led to, and they add up to the latency, exactly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..trace import NOWHERE, Trace, parent_flow

STAGES = ("routed", "pending", "notified", "exited", "injected", "handler")
_REACHES = {"ROUTED": "routed", "PENDING": "pending", "NOTIFIED": "notified", "INJECTED": "injected", "HANDLER": "handler"}
_ENDS = {"HANDLER": "delivered", "COALESCED": "coalesced", "REFUSED": "refused", "TAKEN": "taken"}


@dataclass
class Flight:
    """One interrupt on its way to one vCPU. `raiser`: a vCPU, or a device or an input of the chipset by `device`."""

    source: str
    raiser: int | None
    device: int | None
    target: int
    vector: int
    flow: int
    raised: int
    at: dict[str, int] = field(default_factory=dict)
    fate: str = "pending"
    exits: Counter[str] = field(default_factory=Counter)

    @property
    def cause(self) -> tuple[str, int | None, int | None, int, int]:
        """What it has in common with the same interrupt of another run."""
        return self.source, self.raiser, self.device, self.target, self.vector

    @property
    def stages(self) -> dict[str, int]:
        """Picoseconds by stage; a step that was skipped took none."""
        parts, before = {}, self.raised
        for stage in STAGES:
            if stage in self.at and self.at[stage] >= before:
                parts[stage] = self.at[stage] - before
                before = self.at[stage]
        return parts

    @property
    def latency(self) -> int | None:
        """Picoseconds from raised to its handler; None: no handler of its own ran."""
        return sum(self.stages.values()) if self.fate == "delivered" else None


def flights(trace: Trace) -> list[Flight]:
    """All interrupts, in the order in which they were routed."""
    return _Reader(trace).read()


class _Reader:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._raised: dict[int, tuple[int, str, int | None, int | None]] = {}  # flow: when, source, vCPU, device
        self._open: dict[tuple[int, int, int], Flight] = {}  # (target, vector, flow)
        self._first: dict[tuple[int, int], Flight] = {}  # (vCPU, flow): whose exits those are
        self._exits: list[tuple[int, int, str]] = []  # (vCPU, flow, reason), of ICR writes: before the message is routed
        self._told: dict[int, int] = {}  # vCPU: the vector that it was told of last, for which it exits
        self._all: list[Flight] = []

    def read(self) -> list[Flight]:
        special = {"RAISED": self._raise, "ROUTED": self._route, "DEADLINE": self._deadline, "VM_EXIT": self._exit}
        takes = [special.get(name, self._step if name in _REACHES or name in _ENDS else None) for name in self._trace.events]
        for ps, flow, event, where, a, b in self._trace.rows():
            take = takes[event]
            if take and flow:
                take(self._trace.events[event], ps, flow, where, a, b)
        for where, flow, reason in self._exits:
            flight = self._first.get((where, flow))
            if flight:
                flight.exits[reason] += 1
        return self._all

    def _step(self, name: str, ps: int, flow: int, where: int, a: int, b: int) -> None:
        flight = self._open.get((where, a, flow))
        if name == "NOTIFIED":
            self._told[where] = a
        if not flight:
            return
        if name in _REACHES:
            flight.at[_REACHES[name]] = ps
        if name in _ENDS:
            flight.fate = _ENDS[name]
            del self._open[where, a, flow]

    def _raise(self, name: str, ps: int, flow: int, where: int, a: int, b: int) -> None:
        device = b & 0xffffffff if where == NOWHERE else None
        self._raised[flow] = ps, self._trace.header["sources"][b >> 32], None if where == NOWHERE else where, device

    def _route(self, name: str, ps: int, flow: int, where: int, a: int, b: int) -> None:
        parent = parent_flow(b)
        if where == NOWHERE or parent not in self._raised:
            return
        raised, source, raiser, device = self._raised[parent]
        flight = Flight(source, raiser, device, where, a, flow, raised, {"routed": ps})
        self._open[where, a, flow] = flight
        self._all.append(flight)
        self._first.setdefault((where, flow), flight)
        if raiser is not None:
            self._first.setdefault((raiser, parent), flight)
        if source == "timer":
            self._told[where] = a

    def _deadline(self, name: str, ps: int, flow: int, where: int, a: int, b: int) -> None:
        flight = self._open.get((where, a, flow))
        if flight:
            flight.raised = b

    def _exit(self, name: str, ps: int, flow: int, where: int, a: int, b: int) -> None:
        self._exits.append((where, flow, self._trace.exit_reason(a)))
        if self._trace.exit_cause(a) == "delivery":
            flight = self._open.get((where, self._told.get(where, -1), flow))
            if flight:
                flight.at["exited"] = ps
