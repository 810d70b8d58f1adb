"""Each interrupt's life, from the trace; and which of them are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import profiles
from ..nic import devices_of
from ..trace import NOWHERE, Trace

ENDS = ("RETIRED", "TAKEN", "COALESCED", "REFUSED")
"""Events after which an interrupt is nowhere any more."""


@dataclass(frozen=True)
class Flow:
    """One interrupt on its way to one destination."""

    number: int
    parent: int
    """The flow that RAISED named: its own, unless the message went to several."""
    kind: str
    index: int
    """Which one of its kind: the sender, the device, the line."""
    raised_by: int | None
    """The vCPU; None: something outside."""
    vector: int
    vcpu: int
    raised_ps: int
    handler_ps: int | None
    notified: str
    injected: str
    end: str
    """`retired`, `taken` without a handler, `coalesced` with another, `refused`, or `pending` at the end of the run."""

    @property
    def latency_ps(self) -> int | None:
        """From raised to the handler's first instruction."""
        return None if self.handler_ps is None else self.handler_ps - self.raised_ps


class Flows:
    """All of a trace's flows, in columns; a Flow is made of one when it is asked for."""

    def __init__(self, trace: Trace, plan: dict[str, Any]) -> None:
        self._trace = trace
        self._devices = devices_of(plan)
        self.caveat = profiles.caveat_of(plan)
        self.costs = {"profile": plan["costs"]["profile"], "profile_kind": plan["costs"]["kind"]}
        """Whose costs the times are made of, for --json."""
        self.count = int(trace.records["flow"].max(initial=0))
        self._first = {event: self._of_flows(event) for event in
                       ("RAISED", "ROUTED", "NOTIFIED", "INJECTED", "HANDLER", *ENDS)}

    def _of_flows(self, event: str) -> np.ndarray:
        """The index of each flow's first such record, or -1."""
        at = np.flatnonzero(self._trace.records["event"] == self._trace.number[event])[::-1]
        first = np.full(self.count + 1, -1, np.int64)
        first[self._trace.records["flow"][at]] = at
        return first

    def has(self, number: int) -> bool:
        """Was it routed to a vCPU?"""
        return 0 < number <= self.count and self._first["ROUTED"][number] >= 0

    def to(self, vcpu: int, vector: int) -> list[int]:
        """The flows of this vector that were routed there, in the order of the run."""
        routed = self._trace.of("ROUTED")
        chosen = routed[(routed["where"] == vcpu) & (routed["a"] == vector)]
        return [int(number) for number in chosen["flow"]]

    def routed_ps(self, number: int) -> int:
        """When a flow found its destination."""
        return int(self._record("ROUTED", number)["ps"])

    def ended_by(self, number: int, ps: int) -> bool:
        """Was it over?"""
        ends = [self._record(event, number) for event in ENDS]
        return any(end is not None and end["ps"] <= ps for end in ends)

    def _record(self, event: str, number: int) -> np.void | None:
        at = self._first[event][number]
        return None if at < 0 else self._trace.records[at]

    def __getitem__(self, number: int) -> Flow:
        header, routed = self._trace.header, self._record("ROUTED", number)
        parent = int(routed["b"]) & 0xFFFFFFFF
        raised, handler = self._record("RAISED", parent), self._record("HANDLER", number)
        notified, injected = self._record("NOTIFIED", number), self._record("INJECTED", number)
        ends = [event.lower() for event in ENDS if self._record(event, number) is not None]
        return Flow(number, parent, header["sources"][int(raised["b"]) >> 32], int(raised["b"]) & 0xFFFFFFFF,
                    None if raised["where"] == NOWHERE else int(raised["where"]), int(routed["a"]), int(routed["where"]),
                    int(raised["ps"]), None if handler is None else int(handler["ps"]),
                    "" if notified is None else header["notify"][int(notified["b"])],
                    "" if injected is None else header["inject"][int(injected["b"])], ends[0] if ends else "pending")

    def source(self, flow: Flow) -> str:
        """Who raised it, for people."""
        if flow.raised_by is not None:
            return f"{flow.kind} of vCPU {flow.raised_by}"
        if flow.kind == "line":
            where = "pin" if self._trace.epic else "GSI"
            names = [device["name"] for device in self._devices if device.get("gsi") == flow.index]
            return f"{'/'.join(names) or 'a chip'} on {where} {flow.index}"
        name = self._devices[flow.index]["name"] if flow.index < len(self._devices) else "outside"
        return f"{flow.kind} of {name}"

    def is_assigned(self, flow: Flow) -> bool:
        """A device of the host's that belongs to the guest raised it."""
        if flow.kind == "line":
            return any(device.get("assigned") for device in self._devices if device.get("gsi") == flow.index)
        return flow.kind == "msi" and flow.index < len(self._devices) and self._devices[flow.index]["kind"] == "assigned"

    def worth_a_look(self) -> list[tuple[str, Flow]]:
        """The slowest of each source, and the first of each way in and each end: why, and the flow."""
        numbers = np.flatnonzero(self._first["ROUTED"] >= 0)
        if not len(numbers):
            return []
        raised = self._first["RAISED"][self._word("ROUTED", "b")[numbers] & 0xFFFFFFFF]
        kinds = (self._trace.records["b"][raised] >> 32).astype(np.int64)
        ends = sum((self._first[event][numbers] >= 0) << bit for bit, event in enumerate(ENDS))
        ways = np.stack([kinds, self._word("NOTIFIED", "b")[numbers], self._word("INJECTED", "b")[numbers], ends])
        firsts = np.unique(ways, axis=1, return_index=True)[1]
        chosen = {int(numbers[at]): "the first of its way" for at in firsts}
        handled = self._first["HANDLER"][numbers] >= 0
        late = np.where(handled, self._word("HANDLER", "ps")[numbers] - self._trace.records["ps"][raised].astype(np.int64), -1)
        for kind in np.unique(kinds[handled]):
            slowest = np.argmax(np.where(kinds == kind, late, -1))
            chosen[int(numbers[slowest])] = f"the slowest {self._trace.header['sources'][kind]}"
        return [(why, self[number]) for number, why in sorted(chosen.items())]

    def _word(self, event: str, field: str) -> np.ndarray:
        """A field of each flow's first such record, or -1."""
        at = self._first[event]
        return np.where(at >= 0, self._trace.records[field][at].astype(np.int64), -1)
