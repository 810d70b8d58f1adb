"""One interrupt, step by step: what the trace says of its flow, and what the registers say of each instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..again import Again, State
from ..features import switched_on
from . import elbrus, sections
from .bits import Change, changes
from .flows import ENDS, Flow, Flows
from .times import us

_TAKEN = "taken"  # from PIR
_STARTUP = {5: "INIT", 6: "a start-up IPI"}  # ICR bits 10:8
_STEPS = ("RAISED", "ROUTED", "PENDING", "COALESCED", "REFUSED", "NOTIFIED", "VM_EXIT", "VM_ENTRY", "INJECTED", "HANDLER",
          "EOI", "TAKEN", "RETIRED")
_DEVICES = {"msi": sections.MSI, "level": sections.MSI, "line": sections.IOAPIC, "extint": sections.PIC, "nmi": sections.NMI,
            "timer": sections.TIMER, "ipi": sections.ICR}


@dataclass
class Step:
    """Something that happened to an interrupt."""

    ps: int
    name: str
    vcpu: int | None
    sentence: str
    section: str
    registers: list[Change] = field(default_factory=list)
    """Of the destination, over the instant; they stand at the instant's first step."""


class Story:
    """One flow's steps.

    Args:
        again: the run.
        flows: its flows.
        flow: the one to tell.
    """

    def __init__(self, again: Again, flows: Flows, flow: Flow) -> None:
        self._trace, self._flows, self.flow = again.trace, flows, flow
        self._features = switched_on(again.plan)
        self._declared = bool(again.plan.get("hypothetical"))
        records = self._records()
        instants = [int(record["ps"]) for record in records]
        arrivals = self._arrivals(again.around(flow.vcpu, instants), instants[-1])
        states = again.around(flow.vcpu, instants + arrivals + self._instants_in_pir(records))
        self.steps: list[Step] = []
        for record in records:
            self._technology = _Technology(states[int(record["ps"])][0])
            self.steps.append(self._step(record))
        self._tell_of_pir(states)
        self.steps.sort(key=lambda step: step.ps)
        for ps, both in states.items():
            self._give([step for step in self.steps if step.ps == ps], changes(*both, flow.vector))

    @property
    def elbrus(self) -> bool:
        """The guest has an EPIC."""
        return self._technology.epic

    @staticmethod
    def _arrivals(states: dict[int, tuple[State, State]], end: int) -> list[int]:
        """When notifications that were on their way reached the destination's CPU."""
        arriving = (state["pcpu"]["arriving_ps"].get("POSTED", end) for _, state in states.values())
        return [ps for ps in arriving if ps < end]

    @staticmethod
    def _give(steps: list[Step], changed: list[Change]) -> None:
        """To each of an instant's steps what it changed; a change that is none of theirs, to the first."""
        for change in changed:
            wanted = next((names for start, names in _CHANGED_BY if str(change).startswith(start)
                           and str(change).endswith(names[0])), ("",))[1:]
            owners = [step for name in wanted for step in steps if step.name == name]
            for step in (owners or steps)[:1]:
                step.registers.append(change)

    def _records(self) -> list[np.void]:
        """The flow's own records, RAISED of the message that it was a part of, and the sender's exit."""
        trace, flow = self._trace, self.flow
        r = trace.records
        own = r[(r["flow"] == flow.number) | (r["flow"] == flow.parent)]
        named = [(trace.events[record["event"]], record) for record in own]
        return [record for name, record in named if name in _STEPS and self._concerns(name, record)]

    def _concerns(self, name: str, record: np.void) -> bool:
        """The message's own records are those of the first of its destinations, too."""
        if name == "RAISED":
            return True
        if name == "VM_EXIT" and record["where"] != self.flow.vcpu:
            return record["flow"] == self.flow.parent and record["where"] == self.flow.raised_by
        return record["flow"] == self.flow.number

    def _instants_in_pir(self, records: list[np.void]) -> list[int]:
        """When it may leave PIR: whenever something happens to its vCPU, until it is injected."""
        trace, r = self._trace, self._trace.records
        named = [(trace.events[record["event"]], record) for record in records]
        posted = [record for name, record in named if name == "PENDING" and trace.header["held"][int(record["b"])] == "PIR"]
        if not posted:
            return []
        last = next((record["ps"] for name, record in named if name == "INJECTED"), r["ps"].max())
        there = r[(r["where"] == self.flow.vcpu) & (r["ps"] >= posted[0]["ps"]) & (r["ps"] <= last)]
        return [int(ps) for ps in np.unique(there["ps"])]

    def _tell_of_pir(self, states: dict[int, tuple[State, State]]) -> None:
        """No record says when a vector goes from PIR to IRR: the registers do."""
        for ps, (before, after) in states.items():
            if not self._has(before, "PIR") or self._has(after, "PIR"):
                continue
            in_guest = before["thread"]["state"] == "GUEST"
            self.steps.append(Step(ps, _TAKEN, self.flow.vcpu,
                                   "the CPU processed the notification: ON cleared, PIR merged into IRR" if in_guest else
                                   "KVM merged PIR into IRR, since it looks before each entry and while the guest is halted",
                                   sections.POSTED if in_guest else sections.kvm("vmx_sync_pir_to_irr")))

    def _has(self, state: State, register: str) -> bool:
        return state["posted"]["flows"][register].get(str(self.flow.vector)) == self.flow.number if "posted" in state else False

    def _step(self, record: np.void) -> Step:
        name = self._trace.events[record["event"]]
        vcpu = None if record["where"] == 0xFFFF else int(record["where"])
        words = self._of_elbrus if self._technology.e2k else getattr(self, f"_{name.lower()}")
        sentence, section = words(record)
        return Step(int(record["ps"]), _NAMES.get(name, name.lower()), vcpu, sentence, section)

    def _of_elbrus(self, record: np.void) -> tuple[str, str]:
        name, header = self._trace.events[record["event"]], self._trace.header
        if name == "VM_EXIT":
            by = self._trace.exit_operation(record["a"])
            return elbrus.interception(self._trace.exit_reason(record["a"]), by[0] if by else None)
        lists = {"PENDING": "held", "NOTIFIED": "notify"}
        word = header[lists[name]][int(record["b"])] if name in lists else ""
        if not self._technology.epic:
            return elbrus.legacy(name, (word,))
        hardware, assigned = self._technology.hardware, self._flows.is_assigned(self.flow)
        passthrough = hardware and "epic-passthrough" in self._features
        way = elbrus.way(self.flow, assigned and passthrough, self._technology.loaded) if hardware else ""
        return elbrus.step(name, self.flow.kind, (word, way) if word else (way,), hardware,
                           "passthrough" if assigned and passthrough else "forwarded" if assigned else "")

    # each event: what happened in a sentence, and where it is written

    def _raised(self, record: np.void) -> tuple[str, str]:
        section = sections.AMD_APIC if self.flow.kind in ("ipi", "timer") and self._technology.svm else _DEVICES[self.flow.kind]
        if self.flow.kind == "ipi" and (what := _STARTUP.get(int(record["a"]) >> 8 & 7)):
            return f"vCPU {self.flow.raised_by} sent {what} by its ICR", sections.MP_INITIALIZATION
        if self.flow.kind == "ipi":
            return f"vCPU {self.flow.raised_by} sent vector {self.flow.vector}: by its ICR, or by a hypercall", section
        if self.flow.kind == "timer":
            return f"the APIC timer of vCPU {self.flow.vcpu} expired", section
        return f"{self._flows.source(self.flow)}: it was asserted, or its message sent", section

    def _routed(self, record: np.void) -> tuple[str, str]:
        others = "" if self.flow.parent == self.flow.number else f", one of the destinations of flow {self.flow.parent}"
        return f"its destination was found: vCPU {self.flow.vcpu}{others}", self._technology.pick(
            sections.DESTINATION, sections.AMD_APIC)

    def _pending(self, record: np.void) -> tuple[str, str]:
        where = self._trace.header["held"][int(record["b"])]
        if where == "PIR":
            section = sections.kvm("vmx_deliver_posted_interrupt") if self._software else self._hardware(
                sections.IPI_VIRTUALIZATION if self.flow.kind == "ipi" else sections.IOMMU_POSTING)
            by = "hypervisor" if self._software else "hardware"
            return f"the {by} set its bit in the PIR of vCPU {self.flow.vcpu}'s posted-interrupt descriptor", section
        if where == "STARTUP":
            return "the APIC that the hypervisor emulates keeps it until the vCPU looks", sections.MP_INITIALIZATION
        if where in ("NMI", "ExtINT"):
            return f"it waits as an {where}", sections.NMI if where == "NMI" else sections.PIC
        if not self._software:
            return "the hardware set its bit in IRR", self._hardware(self._technology.pick(
                sections.GUEST_TIMER if self.flow.kind == "timer" else sections.SELF_IPI, sections.AVIC))
        return "the APIC that the hypervisor emulates accepted it: its bit in IRR is set", self._technology.pick(
            sections.ACCEPTANCE, sections.AMD_APIC)

    @property
    def _software(self) -> bool:
        """The hypervisor's code made it pending: the sender left its guest for it, or nobody's guest sent it."""
        if self.flow.kind == "timer":
            return not self._technology.in_guest
        if self.flow.kind != "ipi":
            return not (self._flows.is_assigned(self.flow) and "vtd-posting" in self._features)
        return any(int(exit_["where"]) == self.flow.raised_by and self._trace.exit_operation(exit_["a"])
                   for exit_ in self._own("VM_EXIT") if self._trace.exit_cause(exit_["a"]) != "acknowledge")

    def _hardware(self, section: str) -> str:
        """The section of what hardware does, unless the plan declares what it does."""
        return sections.DECLARED if self._declared else section

    def _own(self, event: str) -> np.ndarray:
        records = self._trace.of(event)
        return records[(records["flow"] == self.flow.number) | (records["flow"] == self.flow.parent)]

    def _coalesced(self, record: np.void) -> tuple[str, str]:
        return (f"{self._trace.header['held'][int(record['b'])]} had its bit set already: one interrupt will stand for both",
                self._technology.pick(sections.ACCEPTANCE, sections.AMD_APIC))

    def _refused(self, record: np.void) -> tuple[str, str]:
        return f"nobody took it: {self._trace.header['refused'][int(record['b'])]}", self._technology.pick(
            sections.ACCEPTANCE, sections.AMD_APIC)

    def _notified(self, record: np.void) -> tuple[str, str]:
        return _NOTIFIED[self._trace.header["notify"][int(record["b"])]]

    def _vm_exit(self, record: np.void) -> tuple[str, str]:
        reason, cause = self._trace.exit_reason(record["a"]), self._trace.exit_cause(record["a"])
        by = self._trace.exit_operation(record["a"])
        if by is None:
            return f"the guest left for its sake: {reason}", self._technology.pick(
                sections.OTHER_EXITS, sections.AMD_INTERRUPTS)
        for_what = {"acknowledge": "to acknowledge it", "handler": "in its handler"}.get(cause, "to send it")
        return f"the guest left {for_what}, by {by[0]}: {reason}", self._technology.pick(
            sections.INSTRUCTION_EXITS, sections.AMD_INSTRUCTIONS)

    def _vm_entry(self, record: np.void) -> tuple[str, str]:
        return "the entry carries it", self._technology.pick(sections.INJECTION, sections.AMD_INJECTION)

    def _injected(self, record: np.void) -> tuple[str, str]:
        if self._trace.header["inject"][int(record["b"])] == "event injection":
            return ("the hypervisor took it from its controller and wrote it into the control structure, for the next entry",
                    self._technology.pick(sections.INJECTION, sections.AMD_INJECTION))
        if self._technology.hardware:
            return "the CPU delivered it by itself: from IRR to ISR", self._technology.pick(
                sections.VIRTUAL_DELIVERY, sections.AVIC)
        return "the guest took it from the physical APIC, through its shadow IDT", sections.ELI

    def _handler(self, record: np.void) -> tuple[str, str]:
        return "the guest is at the first instruction of the handler", self._technology.pick(
            sections.PROCEDURES, sections.AMD_PROCEDURES)

    def _eoi(self, record: np.void) -> tuple[str, str]:
        left = any(self._trace.exit_cause(each["a"]) == "acknowledge" and each["ps"] <= record["ps"]
                   and int(each["where"]) == self.flow.vcpu for each in self._own("VM_EXIT"))
        if left:
            return "the hypervisor emulated the EOI", self._technology.pick(sections.EOI, sections.AMD_APIC)
        if self._technology.hardware:
            return "the hardware virtualized the EOI, without an exit", self._technology.pick(
                sections.EOI_VIRTUALIZATION, sections.AVIC)
        if self._technology.in_guest:
            return "hardware took the guest's EOI, without an exit", self._hardware(sections.ELI)
        return ("the guest had acknowledged it in memory, without an exit: the hypervisor finds that when the guest leaves",
                sections.kvm("apic_sync_pv_eoi_from_guest"))

    def _taken(self, record: np.void) -> tuple[str, str]:
        held = [self._trace.header["held"][int(each["b"])] for each in self._own("PENDING")]
        if "STARTUP" in held:
            return "the vCPU took it: it is reset, or begins", sections.kvm("kvm_apic_accept_events")
        return "the processor took it for the notification of user interrupts: no handler runs", sections.USER_NOTIFICATION

    def _retired(self, record: np.void) -> tuple[str, str]:
        return "its story is over", self._technology.pick(sections.EOI, sections.AMD_APIC)


class _Technology:
    """Which manual applies to a vCPU just before a step, by its control bits."""

    def __init__(self, state: State) -> None:
        self.svm, self.e2k = "svm" in state, "e2k" in state
        controls = state["vmx"]["controls"] if "vmx" in state else []
        self.hardware = "virtual-interrupt delivery" in controls or (
            self.svm and state["svm"]["AVIC"]) or (self.e2k and state["e2k"]["epic"])
        """Virtual interrupts are delivered by the CPU."""
        self.epic = "epic" in state
        self.loaded = bool(state.get("epic", {}).get("loaded"))
        """It has its core, and with EPIC virtualization a row of the table."""
        self.in_guest = state["thread"]["state"] == "GUEST"

    def pick(self, intel: str, amd: str) -> str:
        return amd if self.svm else intel


# A change's beginning; its end, and the steps that can have made it, the likeliest first.
_CHANGED_BY = (
    ("PIR", ("1", "pending")), ("PIR", ("0", _TAKEN)), ("ON", ("1", "pending")), ("ON", ("0", _TAKEN)),
    ("IRR", ("1", _TAKEN, "pending")), ("IRR", ("0", "injected")), ("ISR", ("1", "injected")), ("ISR", ("0", "eoi")),
    ("TMR", ("", "pending")), ("RVI", ("", _TAKEN, "injected", "pending", "entered")), ("SVI", ("", "injected", "eoi")),
    ("PMIRR", ("1", "pending")), ("PMIRR", ("0", "pending", "handler", "eoi")), ("CIR", ("", "pending", "handler", "eoi")),
    ("CPR", ("", "handler", "eoi")), ("exc_interrupt", ("1", "injected")), ("exc_interrupt", ("0", "exited", "handler")),
    ("PPR", ("", "injected", "eoi")), ("IF", ("", "entered", "injected")), ("vCPU", ("", "exited", "entered")),
)

_NAMES = {"VM_EXIT": "exited", "VM_ENTRY": "entered"}

_NOTIFIED = {
    "not needed": ("nobody need be told: the target looks by itself before its next entry",
                   sections.kvm("kvm_make_request", "kvm_vcpu_kick")),
    "kick": ("a reschedule interrupt was sent to the target's CPU, to make its guest leave", sections.kvm("kvm_vcpu_kick")),
    "posted": ("the notification vector was sent to the target's CPU", sections.POSTED),
    "wake": ("the target's thread, which waits, is woken", sections.kvm("kvm_vcpu_wake_up")),
    "signal": ("userspace sent a signal to the target's thread", 'QEMU: qemu_cpu_kick()'),
    "doorbell": ("the doorbell of the target's CPU was rung", sections.AVIC),
    "later": ("no notification: one is outstanding (ON), or they are suppressed (SN)", sections.IPI_VIRTUALIZATION),
}


def document(story: Story, flows: Flows) -> dict[str, Any]:
    """What --json prints."""
    flow, first = story.flow, story.steps[0].ps
    steps = [{"time_ps": step.ps, "since_raised_ps": step.ps - first, "step": step.name, "vcpu": step.vcpu,
              "sentence": step.sentence, "section": step.section,
              "registers": [vars(change) for change in step.registers]} for step in story.steps]
    return {**flows.costs, "flow": flow.number, "source": flows.source(flow), "vector": flow.vector, "vcpu": flow.vcpu,
            "raised_ps": flow.raised_ps, "latency_ps": flow.latency_ps, "end": flow.end, "steps": steps}


def title(story: Story, flows: Flows) -> str:
    """The story in a line."""
    flow = story.flow
    vector_class = flow.vector >> (8 if story.elbrus else 4)
    said = (f"flow {flow.number}: {flows.source(flow)}, vector {flow.vector} ({flow.vector:02X}H, class {vector_class}), "
            f"to vCPU {flow.vcpu}")
    raised = f"; raised at {us(flow.raised_ps)} us"
    reached = "" if flow.latency_ps is None else f", in its handler {flow.latency_ps / 1000:.1f} ns later"
    return said + raised + reached + f"; {flow.end}"


assert set(ENDS) <= set(_STEPS)
