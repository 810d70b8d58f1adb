"""A vector at a vCPU at an instant: all that is to be known of it before one asks what holds it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..again import Again, State
from ..errors import VirqsimError
from . import sections
from .bits import NMI, held
from .flows import Flow, Flows
from .times import us


@dataclass(frozen=True)
class Case:
    """A vector at a vCPU, at an instant."""

    vector: int
    vcpu: int
    ps: int
    state: State
    last: Flow | None
    """The last one of the vector that was routed there until then."""
    done: bool
    """It had ended by then."""
    next: Flow | None
    """The first one that was routed there later."""
    left_out: tuple[str, ...] = ()
    """Of the hypervisor's second looks (`virqsim list rechecks`)."""
    inhibits: tuple[str, ...] = ()
    """Why APICv or AVIC is off at that instant (`virqsim list inhibits`)."""

    caveat: str = ""
    """What the times are worth."""

    @property
    def priority_class(self) -> int:
        return self.vector >> 4

    @property
    def svm(self) -> bool:
        return "svm" in self.state

    @property
    def e2k(self) -> bool:
        return "e2k" in self.state

    @property
    def injection(self) -> str:
        """Where it is written how the hypervisor makes an entry deliver."""
        return sections.E2K_INJECTION if self.e2k else self.vendors(sections.INJECTION, sections.AMD_INJECTION)

    @property
    def delivers(self) -> bool:
        """The CPU delivers virtual interrupts by itself."""
        if self.svm:
            return self.state["svm"]["AVIC"]
        if self.e2k:
            return False
        return "virtual-interrupt delivery" in self.state["vmx"]["controls"]

    @property
    def thread(self) -> dict[str, Any]:
        return self.state["thread"]

    @property
    def posted(self) -> bool:
        return "posted" in self.state and self.vector in self.state["posted"]["PIR"]

    @property
    def requested(self) -> bool:
        """It is in IRR, or waits in another way that the next entry or instruction boundary will see."""
        return self.vector in self.state["apic"]["IRR"]

    @property
    def pic_line(self) -> int | None:
        """The 8259A's input that the next acknowledge cycle would give, if it has this vector."""
        pic = self.state["board"]["pic"] if "board" in self.state else None
        line = pic["next"] if pic else None
        return line if line is not None and pic["vectors"][line] == self.vector else None

    @property
    def extint(self) -> bool:
        """An 8259A asks this vCPU to take it."""
        asked = self.pic_line is not None and self.state["apic"]["extint"]
        return asked or self.vector in self.state["hypervisor"]["extint"]

    @property
    def nmi(self) -> bool:
        return self.vector == NMI and self.state["apic"]["nmi_pending"]

    @property
    def pending(self) -> bool:
        return self.posted or self.requested or self.extint or self.nmi

    def bit(self, *names: str) -> tuple[str, ...]:
        """The named bits, as evidence."""
        bits = held(self.state, self.vector)
        return tuple(f"{name} = {bits[name]}" for name in names if name in bits)

    def vendors(self, intel: str, amd: str = sections.AMD_APIC) -> str:
        """The section in the vendor's manual."""
        return amd if self.svm else intel

    def pick(self, virtual: str, intel: str, avic: str, amd: str) -> str:
        """The section, by who does it: the CPU, or the hypervisor."""
        return self.vendors(virtual, avic) if self.delivers else self.vendors(intel, amd)


class EpicCase(Case):
    """The same of a guest with a CEPIC."""

    @property
    def priority_class(self) -> int:
        return self.vector >> 8

    @property
    def delivers(self) -> bool:
        return self.state["e2k"]["epic"]

    @property
    def epic(self) -> dict[str, Any]:
        return self.state["epic"]

    @property
    def stands(self) -> bool:
        """It stands in CIR: the core's next."""
        return self.epic["CIR"] == self.vector

    @property
    def pending(self) -> bool:
        return self.stands or self.vector in self.epic["PMIRR"] or self.nmi

    @property
    def nmi(self) -> bool:
        return self.vector == NMI and self.epic["nonmaskable"]


def case(again: Again, flows: Flows, vector: int, vcpu: int, ps: int) -> Case:
    """What there is to know.

    Raises:
        VirqsimError: the time is beyond the run's end, or there is no such vCPU.
    """
    if ps > again.end_ps:
        raise VirqsimError(f"--at: {us(ps)}us is beyond the run's end ({us(again.end_ps)}us)")
    if vcpu >= again.vcpus:
        raise VirqsimError(f"--vcpu: {vcpu} is no vCPU of this run (0..{again.vcpus - 1})")
    numbers = flows.to(vcpu, vector)
    until = [number for number in numbers if flows.routed_ps(number) <= ps]
    later = numbers[len(until):]
    open_ = [number for number in until if not flows.ended_by(number, ps)]
    last = flows[(open_ or until)[-1]] if until else None
    state = again.at(vcpu, ps)
    made = EpicCase if "epic" in state else Case
    return made(vector, vcpu, ps, state, last, not open_, flows[later[0]] if later else None,
                tuple(again.plan["hypervisor"].get("without_rechecks", ())), _inhibits(again, ps), flows.caveat)


def _inhibits(again: Again, ps: int) -> tuple[str, ...]:
    """The reasons in force, in the order in which they came."""
    in_force: dict[str, None] = {}
    for record in again.trace.of("INHIBIT"):
        if record["ps"] > ps:
            break
        name = again.trace.header["inhibits"][int(record["a"])]
        in_force[name] = None
        if not record["b"]:
            del in_force[name]
    return tuple(in_force)


def destination(again: Again, flows: Flows, vector: int) -> int:
    """The one vCPU that a vector goes to in a run.

    Raises:
        VirqsimError: there are several.
    """
    vcpus = [vcpu for vcpu in range(again.vcpus) if again.vcpus == 1 or flows.to(vcpu, vector)]
    if len(vcpus) != 1:
        where = f"goes to vCPUs {', '.join(map(str, vcpus))}" if vcpus else "goes nowhere in this run"
        raise VirqsimError(f"--why-not: vector {vector} {where}; say which vCPU you mean with --vcpu")
    return vcpus[0]
