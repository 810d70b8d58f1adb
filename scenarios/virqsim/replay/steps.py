"""One exit with its meaning, the interrupts that met it, and the handlers' runs that it begins and ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from .apic_access import Operation
from .episodes import Episode


@dataclass(eq=False)
class Arrival:
    """One interrupt that was offered to a vCPU.

    `source`: ipi, self, timer, device or extint. `step` is the target's step
    that it met: in the guest part before its exit, or in the host's after it.
    """

    source: str
    target: int
    vector: int
    trigger: str
    mode: str
    line: int
    state: str = "host"
    step: int = 0
    sender: Step | None = None
    armed: bool = False  # of a timer: a step armed it,
    at_once: bool = False  # and it is the step that it met
    delivered: Delivery | None = None
    joins: Delivery | None = None  # the same vector waited already: this one came twice
    pin: int = -1


@dataclass(eq=False)
class Delivery:
    """One run of a handler: from the entry behind `step` to the EOI in step `ended` (None: not seen)."""

    vector: int
    step: int
    arrival: Arrival | None
    extint: bool = False
    ended: int | None = None
    windowed: bool = False
    hidden: bool = False  # by the hardware: its EOI left no line of its own
    last: Arrival | None = None  # of those that joined it: it began behind that


@dataclass(eq=False)
class Step:
    """One episode with its meaning. `eois`: paravirtual EOIs before the exit; `eoi`: the exit is one."""

    vcpu: int
    number: int
    episode: Episode
    operation: Operation | None
    arrivals: list[Arrival] = field(default_factory=list)
    sends: list[Arrival] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    eois: list[Delivery] = field(default_factory=list)
    eoi: Delivery | None = None
    noise: bool = False  # an interrupt of the host's own
    hidden: bool = False  # behind it the hardware delivers, without a line
    switches: list[tuple[int, bool]] = field(default_factory=list)  # a reason against APICv or AVIC came, or went, in the host
    switched_in_guest: list[tuple[int, bool]] = field(default_factory=list)  # or in the guest
    carried: bool = False  # nothing that virqsim models: it is counted unchanged

    @property
    def reason(self) -> str:
        """The exit reason."""
        return self.episode.reason

    def met(self, state: str) -> list[Arrival]:
        """The arrivals that found the vCPU in this state."""
        return [arrival for arrival in self.arrivals if arrival.state == state]
