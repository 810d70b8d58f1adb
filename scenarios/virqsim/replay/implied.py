"""What a recording leaves out although its other events imply it: injections, by where interrupts came and their EOIs went.

KVM delivers one interrupt at an entry, that of the highest priority, unless the
guest has interrupts masked: then a window's exit comes before its EOI, and delivers
it. A handler that runs holds back its own class and those below up to its EOI.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING

from .actions import WINDOW
from .reader import Event

if TYPE_CHECKING:
    from .steps import Step


def injections(steps: list[Step]) -> None:
    """Adds the lines that KVM would have printed to a vCPU's steps."""
    windows = [step.number for step in steps if step.reason in WINDOW]
    eois: dict[int, list[int]] = defaultdict(list)
    for step in steps:
        for event in step.episode.named("kvm_eoi"):
            eois[event.fields["vector"]].append(step.number)
    pending: set[int] = set()
    running: list[int] = []
    for step in steps:
        for event in step.episode.named("kvm_eoi"):
            if event.fields["vector"] in running:
                running.remove(event.fields["vector"])
        pending |= {arrival.vector for arrival in step.arrivals if arrival.mode in ("Fixed", "LowPrio") and arrival.source != "extint"}
        window = -1 if step.reason in WINDOW else _behind(windows, step.number)
        ready = (vector for vector in sorted(pending, reverse=True)
                 if (window < 0 or window >= _behind(eois[vector], step.number))
                 and not (running and running[-1] >> 4 >= vector >> 4))
        vector = next(ready, None)
        if vector is not None:
            pending.remove(vector)
            running.append(vector)
            step.episode.events.append(_line(step, vector))


def _behind(numbers: list[int], number: int) -> float:
    """The first of ascending numbers above one."""
    at = bisect_right(numbers, number)
    return numbers[at] if at < len(numbers) else inf


def _line(step: Step, vector: int) -> Event:
    before = step.episode.events[-1] if step.episode.events else step.episode.exit
    fields = {"irq": vector, "reinjected": False}
    if before is None:
        return Event(0, None, None, None, "", "kvm_inj_virq", step.vcpu, fields)
    return before._replace(name="kvm_inj_virq", vcpu=step.vcpu, fields=fields)
