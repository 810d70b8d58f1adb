"""Where a vCPU's time went and how long interrupts waited, in a recording as in a replay.

A recording's times are its machine's; those of a replay are the cost profile's,
with the guest's own work and its waits assumed. So the two are shown side by
side, and never subtracted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from .actions import HALT
from .demand import Demand, Step
from .reader import Trace

PARTS = {
    "guest": ("GUEST",),
    "exit": ("EXITING", "HANDLE", "PREPARE", "COMMIT", "ENTERING", "USERSPACE", "PARKING", "LOADING"),
    "blocked": ("BLOCKED", "PARKED"),
    "polling": ("POLLING",),
}
"""Each part of a vCPU's time, and the run loop's states that it is spent in."""

Latency = dict[str, dict[str, float]]


def seconds(trace: Trace) -> float:
    """From the first to the last event that counts; 0 where events have no time."""
    times = [event.time_ns for event in trace.events[trace.begin:trace.end] if event.time_ns is not None]
    return (max(times) - min(times)) / 1e9 if times else 0.0


def recorded_time_ns(trace: Trace, demand: Demand) -> dict[str, float]:
    """The time of all vCPUs, from entries, exits and wake-ups."""
    total: Counter[str] = Counter()
    for steps in demand.steps.values():
        for step in steps:
            total.update(_of_step(trace, step))
    return {part: float(total[part]) for part in PARTS}


def _of_step(trace: Trace, step: Step) -> dict[str, int]:
    life = step.episode
    if life.left is None or life.resumed is None:
        return {"guest": life.guest_ns}
    outside = (trace.events[life.resumed].time_ns or 0) - (trace.events[life.left].time_ns or 0)
    waited = Counter[str]()
    for event in life.named("kvm_vcpu_wakeup"):
        waited["blocked" if event.fields["how"] == "wait" else "polling"] += event.fields["ns"]
    if step.reason in HALT and "KVM_EXIT_HLT" in life.to_userspace():
        waited["blocked"] = outside  # userspace has the irqchip, and waits
    blocked, polling = min(waited["blocked"], outside), min(waited["polling"], max(outside - waited["blocked"], 0))
    return {"guest": life.guest_ns, "exit": max(outside - blocked - polling, 0), "blocked": blocked, "polling": polling}


def recorded_latency(trace: Trace, demand: Demand) -> Latency:
    """From the line that offers an interrupt to the entry that injects it, by source; nothing where hardware delivers."""
    offered = {event.line: event.time_ns for event in trace.events if event.name in ("kvm_apic_accept_irq", "kvm_pic_set_irq")}
    found: dict[str, list[int]] = defaultdict(list)
    for steps in demand.steps.values():
        for step in steps:
            for delivery in step.deliveries:
                raised = offered.get(delivery.arrival.line) if delivery.arrival and delivery.arrival.line else None
                entered = step.episode.resumed and trace.events[step.episode.resumed].time_ns
                if raised is not None and entered and entered >= raised and not demand.recorded.hides_deliveries:
                    found[delivery.arrival.source].append(entered - raised)
    # A replay raises devices' interrupts as messages, whichever wire they took.
    return {{"device": "msi"}.get(source, source): _spread(times) for source, times in sorted(found.items())}


def _spread(times: list[int]) -> dict[str, float]:
    p50, p99 = np.percentile(times, [50, 99])
    return {"count": len(times), "mean": float(np.mean(times)), "p50": float(p50), "p99": float(p99), "max": float(max(times))}


def replayed_time_ns(document: dict[str, Any]) -> dict[str, float]:
    """The time of all vCPUs in a replay's results."""
    total: Counter[str] = Counter()
    for vcpu in document["vcpus"]:
        for state, ps in vcpu["states_ps"].items():
            total[state] += ps
    return {part: sum(total[state] for state in states) / 1000 for part, states in PARTS.items()}


def replayed_latency(document: dict[str, Any]) -> Latency:
    """From raised to the handler's first instruction, by source."""
    return {row["source"]: {"count": row["count"], **{key: row[f"{key}_ps"] / 1000 for key in ("mean", "p50", "p99", "max")}}
            for row in document["latency"] if row["count"]}
