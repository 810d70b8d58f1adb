"""A trace as the lines of a bill: what each exit was for, and what was paid for it.

An exit is paid for from VM_EXIT until its vCPU is in the guest again, or leaves
anew: the time of each state of the run loop is one of the LEGS. Time in which
the vCPU only waited is nobody's price. What an exit was for is its cause, the
guest's operation that left (VM_EXIT names it), and the source of the interrupt
whose flow the exit carries.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..nic import devices_of
from ..trace import NOWHERE, Trace

LEGS = {
    "exit": ("EXITING",),
    "handler": ("HANDLE",),
    "entry": ("PREPARE", "COMMIT", "ENTERING"),
    "userspace": ("USERSPACE",),
    "switching": ("PARKING", "LOADING"),
}
"""The parts of an exit's price, and the run loop's states that each is spent in."""

WAITING = ("POLLING", "BLOCKED", "PARKED")
"""States in which a vCPU waits: for an interrupt, or for its physical CPU."""

CAUSES = ("operation", "delivery", "acknowledge", "handler", "host")
"""The causes that are billed, in the invoice's order; the plan's own preparations are not."""

# What an operation's first operand tells of the exit, for those where it tells something.
_OPERANDS = {
    "icr_low": lambda n: f"vector {n & 0xFF}",
    "vector": lambda n: f"vector {n}",
    "port": lambda n: f"port {n:#x}",
    "msr": lambda n: f"MSR {n:#x}",
    "offset": lambda n: f"register {n:#x}",
}
_MMIO = ("mmio_read", "mmio_write")


@dataclass
class Line:
    """Exits of one cause and one guest operation or interrupt."""

    cause: str
    what: str
    reasons: Counter[str] = field(default_factory=Counter)
    ps: Counter[str] = field(default_factory=Counter)
    """Picoseconds by leg."""

    @property
    def count(self) -> int:
        return sum(self.reasons.values())

    @property
    def sum_ps(self) -> int:
        return sum(self.ps.values())


@dataclass
class Account:
    """All of a run's time: the vCPUs' times add up to `vcpus` times `time_ps`."""

    lines: list[Line]
    time_ps: int
    vcpus: int
    guest_ps: int = 0
    waiting_ps: int = 0
    start_ps: int = 0
    """From power-on to each vCPU's first entry."""
    setup_ps: int = 0
    """Paid for exits of the plan's own preparations."""
    setup_exits: int = 0

    @property
    def exits(self) -> int:
        return sum(line.count for line in self.lines)

    @property
    def billed_ps(self) -> int:
        return sum(line.sum_ps for line in self.lines)

    def count(self, line: Line) -> int:
        """How many exits the line of the same cause and operation has here."""
        return sum(each.count for each in self.lines if (each.cause, each.what) == (line.cause, line.what))

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        lines = [{"cause": each.cause, "what": each.what, "reasons": dict(each.reasons), "ps": dict(each.ps)}
                 for each in self.lines]
        return {**vars(self), "lines": lines}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Account:
        """From document()."""
        lines = [Line(each["cause"], each["what"], Counter(each["reasons"]), Counter(each["ps"]))
                 for each in document["lines"]]
        return cls(**{**document, "lines": lines})


def account(trace: Trace, plan: dict[str, Any], operands: dict[str, list[str]], time_ps: int) -> Account:
    """Bills a trace.

    Args:
        trace: of the whole run.
        plan: for the devices' names.
        operands: each guest operation's operands, by name.
        time_ps: when the run ended.
    """
    exits, periods = _exits_and_periods(trace, time_ps)
    billed = Account([], time_ps, len(plan["machine"]["vcpus"]))
    legs = _split(trace, periods, billed, len(exits))
    words = _Words(trace, plan, operands)
    kinds, which = _kinds(trace, exits)
    counts, sums = np.bincount(which, minlength=len(kinds)), np.zeros((len(kinds), len(LEGS)), np.int64)
    np.add.at(sums, which, legs)
    lines: dict[tuple[str, str], Line] = {}
    for kind, count, paid in zip(kinds, counts, sums, strict=True):
        cause, what, reason = words.cause(kind), words.what(kind), words.reason(kind)
        if cause == "setup":
            billed.setup_exits += int(count)
            billed.setup_ps += int(paid.sum())
            continue
        line = lines.setdefault((cause, what), Line(cause, what))
        line.reasons[reason] += int(count)
        line.ps.update({leg: int(ps) for leg, ps in zip(LEGS, paid, strict=True)})
    billed.lines = sorted(lines.values(), key=lambda line: (CAUSES.index(line.cause), -line.sum_ps, line.what))
    return billed


_PERIOD = np.dtype([("state", "<u8"), ("ps", "<i8"), ("exit", "<i8")])


def _exits_and_periods(trace: Trace, time_ps: int) -> tuple[np.ndarray, np.ndarray]:
    """The VM_EXIT records vCPU by vCPU, and each state that a vCPU was in: which, how long, after which exit.

    A period's exit is an index into the first, or -1: before the vCPU's first.
    """
    r = trace.records
    r = r[(r["event"] == trace.number["VM_EXIT"]) | (r["event"] == trace.number["VCPU_STATE"])]
    r = r[np.argsort(r["where"], kind="stable")]
    is_exit = r["event"] == trace.number["VM_EXIT"]
    last = np.cumsum(is_exit) - 1
    first_of_vcpu = np.r_[True, r["where"][1:] != r["where"][:-1]][: len(r)]
    before = np.maximum.accumulate(np.where(first_of_vcpu, last - is_exit, -1))
    after = np.where(last > before, last, -1)[~is_exit]
    states = r[~is_exit]
    ends = np.r_[states["ps"][1:], time_ps].astype(np.int64)[: len(states)]
    ends[np.r_[states["where"][1:] != states["where"][:-1], True][: len(states)]] = time_ps
    periods = np.empty(len(states), _PERIOD)
    periods["state"], periods["ps"], periods["exit"] = states["b"], ends - states["ps"].astype(np.int64), after
    return r[is_exit], periods


def _split(trace: Trace, periods: np.ndarray, billed: Account, exits: int) -> np.ndarray:
    """Puts each period into the account; returns what was paid for each exit, by leg."""
    legs = np.zeros((exits, len(LEGS)), np.int64)
    states = trace.header["states"]
    started = periods["exit"] >= 0

    def spent_in(names: tuple[str, ...]) -> np.ndarray:
        return np.isin(periods["state"], [states.index(name) for name in names])

    for number, names in enumerate(LEGS.values()):
        here = spent_in(names)
        np.add.at(legs[:, number], periods["exit"][here & started], periods["ps"][here & started])
        billed.start_ps += int(periods["ps"][here & ~started].sum())
    billed.guest_ps = int(periods["ps"][spent_in(("GUEST",))].sum())
    all_ps = billed.vcpus * billed.time_ps  # before its first state a vCPU waits for its CPU
    billed.waiting_ps = all_ps - billed.guest_ps - billed.start_ps - int(legs.sum())
    return legs


_KIND = np.dtype([("word", "<u8"), ("source", "<u8"), ("vector", "<u8")])


def _kinds(trace: Trace, exits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exits' kinds (VM_EXIT's first word, RAISED's second and the vector of its interrupt); each exit's."""
    records = trace.records
    flows = int(records["flow"].max(initial=0)) + 1
    source, vector = np.full(flows, NOWHERE << 32, np.uint64), np.zeros(flows, np.uint64)
    raised, routed = trace.of("RAISED"), trace.of("ROUTED")
    source[raised["flow"]] = raised["b"]
    vector[routed["flow"]] = routed["a"]
    source[routed["flow"]] = source[routed["b"] & 0xFFFFFFFF]
    kinds = np.zeros(len(exits), _KIND)
    kinds["word"], kinds["source"], kinds["vector"] = exits["a"], source[exits["flow"]], vector[exits["flow"]]
    return np.unique(kinds, return_inverse=True)


class _Words:
    """What an exit's kind is called."""

    def __init__(self, trace: Trace, plan: dict[str, Any], operands: dict[str, list[str]]) -> None:
        self._trace = trace
        self._devices = devices_of(plan)
        self._operands = operands

    def reason(self, kind: np.void) -> str:
        return self._trace.exit_reason(kind["word"])

    def cause(self, kind: np.void) -> str:
        return self._trace.exit_cause(kind["word"])

    def what(self, kind: np.void) -> str:
        """The guest's operation, and the interrupt that it was done for; or the interrupt alone."""
        operation = self._trace.exit_operation(kind["word"])
        cause = self.cause(kind)
        if cause == "host":
            return "the host's own interrupt"
        if operation is None:
            return self._interrupt(kind)
        done = self._operation(*operation)
        if cause == "acknowledge":
            return f"{done} for {self._interrupt(kind)}"
        return f"{done} in the handler of {self._interrupt(kind)}" if cause == "handler" else done

    def _operation(self, name: str, operand: int) -> str:
        first = next(iter(self._operands[name]), "")
        if name in _MMIO:
            return f"{name} {operand:#x}"
        return f"{name}, {_OPERANDS[first](operand)}" if first in _OPERANDS else name

    def _interrupt(self, kind: np.void) -> str:
        number, index, vector = int(kind["source"]) >> 32, int(kind["source"]) & 0xFFFFFFFF, int(kind["vector"])
        if number == NOWHERE:
            return "an interrupt not told apart"
        source = self._trace.header["sources"][number]
        if source == "line":
            names = [device["name"] for device in self._devices if device.get("gsi") == index]
            return f"{'/'.join(names) or 'a chip'}, GSI {index}"
        if source in ("ipi", "timer"):
            return f"{source}, vector {vector}"
        name = self._devices[index]["name"] if index < len(self._devices) else "from outside"
        return f"{name}, {source} of vector {vector}"
