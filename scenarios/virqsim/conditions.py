"""What a vCPU is doing when an interrupt comes for it: running, preempted or blocked.

Of a preempted one the CPU is shared with a thread that always wants it; the two take turns, a time
slice each, the vCPU the first. What happens in the middle of the second, fourth, ... slice meets it
preempted, for as many slices as the turns' own cost does not add up to half a slice.
"""

from __future__ import annotations

from .guest import Program
from .plan import Hypervisor, Machine

CONDITIONS = ("running", "preempted", "blocked")
SLICE_NS = 2_000_000
GAP_NS = 2 * SLICE_NS
FIRST_NS = SLICE_NS + SLICE_NS // 2


def hypervisor(irqchip: str = "kernel") -> Hypervisor:
    """Its policy: no polling, so that who halts sleeps."""
    return Hypervisor(irqchip=irqchip, halt_poll_ns=0, time_slice_ns=SLICE_NS)


def meet(machine: Machine, condition: str, vcpu: int) -> None:
    """Makes the physical CPU of a vCPU, which has its own number, what the condition asks for."""
    if condition == "preempted":
        machine.load(vcpu)


def wait(program: Program, condition: str, word: int, at_least: int) -> Program:
    """The vCPU waits until the word is at least so much."""
    return program.halt_until(word, at_least) if condition == "blocked" else program.spin_until(word, at_least)


def times_ns(count: int, offset_ns: int = 0) -> list[int]:
    """When something outside is to happen, so many times."""
    return [FIRST_NS + offset_ns + n * GAP_NS for n in range(count)]
