"""The records of a run as KVM's tracepoints: which thread hits which, and when.

A vCPU's thread is `CPU n/KVM` with the process number 1000 + n; devices speak
through QEMU's main thread, 999. APIC IDs are vCPU numbers. What hardware does
without KVM (a posted interrupt, a virtual EOI, an IPI that IPI virtualization
or AVIC sends) leaves no tracepoint, here as there.

A run of an Elbrus machine has its interceptions as kvm_exit, so that the same
tools show them: with their own names, isa 3, and as info1 what the hardware says
of the access. (KVM for e2k prints them as cu_intc and mu_intc, registers and all,
many lines each.) Interrupts are in the words of KVM for e2k (formats.py); what it
would say of a legacy guest's local APIC is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..nic import devices_of
from ..trace import NO_VECTOR, NOWHERE, Trace, parent_flow
from . import accesses, formats
from .accesses import Event, Exit

PS_PER_NS = 1000
FIRST_PID = 1000
MAIN_THREAD = FIRST_PID - 1
_IN_GUEST = ("GUEST", "ENTERING")
_OFF_CORE = ("", "PARKED", "BLOCKED", "STOPPED", "LOCKED", "LOADING")
_LEVEL = 1 << 15
_PIC_PORTS = {0x20: 0, 0xa0: 1}
_ELSEWHERE = {  # what is printed by a controller that KVM does not have
    "kernel": frozenset(),
    "split": frozenset({"kvm_pic_set_irq", "kvm_ioapic_set_irq", "kvm_ack_irq"}),
    "userspace": frozenset({"kvm_pic_set_irq", "kvm_ioapic_set_irq", "kvm_ack_irq", "kvm_set_irq", "kvm_msi_set_irq",
                            "kvm_apic", "kvm_apic_ipi", "kvm_apic_accept_irq", "kvm_apicv_accept_irq", "kvm_eoi",
                            "kvm_pv_eoi"}),
}
_OCW2_EOI, _NOT_OCW2, _CASCADE = 0x20, 0x18, 2


class Hit(NamedTuple):
    """One tracepoint that a thread hits."""

    ns: int
    cpu: int
    pid: int
    name: str
    values: dict[str, Any]


def comm(pid: int) -> str:
    """The name of a thread."""
    return f"CPU {pid - FIRST_PID}/KVM" if pid >= FIRST_PID else "qemu-system-x86"


class _Vcpu:
    """What a vCPU's thread is at."""

    def __init__(self) -> None:
        self.cpu = 0
        self.state = ""
        self.exit: dict[str, Any] | None = None  # of VM_EXIT, until what the operation was is known
        self.handling: list[Event] = []  # to be printed when KVM handles the exit
        self.handled: list[Event] = []  # and when it has
        self.injected: int | None = None  # flow that was injected and whose handler has not begun
        self.acknowledges = False  # the guest left for an EOI
        self.served: list[int] = []  # lines of the 8259A pair whose handlers run
        self.acknowledged: int | None = None  # the vector of an EOI in the guest, until the next exit tells whether it was trapped


class Lines:
    """Goes through a trace once."""

    def __init__(self, trace: Trace, plan: dict[str, Any] | None = None) -> None:
        self._trace = trace
        self._h = trace.header
        self._vcpus: dict[int, _Vcpu] = {}
        self._x2apic = (plan or {}).get("machine", {}).get("guest_apic", "x2apic") == "x2apic"
        self._irqchip = (plan or {}).get("hypervisor", {}).get("irqchip", "kernel")
        self._regions = (plan or {}).get("machine", {}).get("regions", [])
        self._assigned = _assigned_vectors(plan or {})
        self._own_timer = bool(plan) and bool(_features(plan) & {"direct-timer", "apic-timer-virtualization"})
        self._raised: dict[int, tuple[str, int]] = {}  # flow that was raised: source, message
        self._routed: dict[int, tuple[int, int]] = {}  # flow that was routed: who raised it, the flow that was raised
        self._extint: dict[int, int] = {}  # flow of an 8259A's interrupt: its line
        self._in_hardware = "epic-virtualization" in _features(plan or {})
        self._levels = self._level_triggered()
        self._virtual = self._flows("INJECTED", "inject", 1)
        self._inhibits = 0
        self._tsc_hz = self._h["tsc_hz"]
        self._svm = formats.exit_reasons()

    def _flows(self, event: str, words: str, number: int) -> set[int]:
        if event not in self._trace.number or len(self._h[words]) <= number:
            return set()
        records = self._trace.of(event)
        return set(records["flow"][records["b"] == number].tolist())

    def _level_triggered(self) -> set[tuple[int, int]]:
        """(vCPU, vector) of the inputs whose acknowledgements leave the guest though hardware does EOIs."""
        left: set[int] = set()  # flows whose EOI did
        for flow, a, b in self._trace.of("VM_EXIT")[["flow", "a", "b"]].tolist():
            if self._trace.exit_reason(a) == "EOI_INDUCED" or (
                    self._trace.exit_reason(a) == "avic_unaccelerated_access" and b == accesses.EOI):
                left.add(flow)
        handlers = self._trace.of("HANDLER")[["flow", "where", "a"]].tolist()
        return {(where, vector) for flow, where, vector in handlers if flow in left}

    def _is_level(self, source: str, where: int, vector: int) -> bool:
        return source == "level" or source == "line" and (where, vector) in self._levels

    def __iter__(self) -> Iterator[Hit]:
        """In order. Where two CPUs hit tracepoints in the same nanosecond the second is told a nanosecond
        late: readers of a trace.dat know the order by the times only."""
        ns, last_cpu = 0, None
        for ps, pid, tracepoint, values in self._hits():
            vcpu = self._vcpus.get(pid - FIRST_PID)
            cpu = vcpu.cpu if vcpu else 0
            ns = max(ns + (cpu != last_cpu), ps // PS_PER_NS)
            last_cpu = cpu
            yield Hit(ns, cpu, pid, tracepoint, values)

    def _hits(self) -> Iterator[tuple[int, int, str, dict[str, Any]]]:
        for ps, flow, event, where, a, b in self._trace.rows():
            take = getattr(self, f"_on_{self._trace.events[event].lower()}", None)
            for pid, tracepoint, values in take(where, flow, a, b, ps) if take else ():
                if tracepoint not in _ELSEWHERE[self._irqchip]:
                    yield ps, pid, tracepoint, values

    def _vcpu(self, where: int) -> _Vcpu:
        return self._vcpus.setdefault(where, _Vcpu())

    # --- the vCPU's thread ---

    def _on_thread(self, where, flow, a, b, ps):
        if b:
            self._vcpu(where).cpu = a
        return ()

    def _on_vm_exit(self, where, flow, a, b, ps):
        vcpu = self._vcpu(where)
        reason = self._trace.exit_reason(a)
        vendor, number = self._svm.get(reason, ("vmx", 0))
        by = self._trace.exit_operation(a)
        info1, info2 = accesses.information(vendor, reason, b, by[0] if by else "")
        line = {"vcpu_id": where, "reason": reason, "exit_reason": number, "isa": formats.ISA[vendor],
                "info1": info1, "info2": info2}
        yield FIRST_PID + where, "kvm_exit", line
        vcpu.acknowledges = reason == "EOI_INDUCED" or by is not None and by[0] == "eoi"
        vcpu.exit = {"reason": reason, "by": by, "qualification": b, "flow": flow, "operands": (0, 0), "ps": ps}
        vcpu.handling, vcpu.handled = [], []
        if reason == "EOI_INDUCED":
            vcpu.handling.append(("kvm_eoi", {"apicid": where, "vector": b}))
        elif vcpu.acknowledged is not None and vcpu.acknowledges:
            vcpu.handling.append(("kvm_eoi", {"apicid": where, "vector": vcpu.acknowledged}))
        vcpu.acknowledged = None

    def _on_operands(self, where, flow, a, b, ps):
        self._vcpu(where).exit["operands"] = (a, b)
        return ()

    def _on_vcpu_state(self, where, flow, a, b, ps):
        vcpu, pid = self._vcpu(where), FIRST_PID + where
        left, vcpu.state = vcpu.state, self._h["states"][b]
        if vcpu.state == "HANDLE" and left != "HANDLE":
            self._settle(where, vcpu)
            yield from ((pid, *event) for event in vcpu.handling)
        elif left == "HANDLE" and vcpu.state != "HANDLE":
            yield from ((pid, *event) for event in vcpu.handled)
            vcpu.handled = []
        if vcpu.state == "ENTERING":
            yield pid, "kvm_entry", {"vcpu_id": where, "rip": 0}

    def _settle(self, where: int, vcpu: _Vcpu) -> None:
        """The exit is known as a whole: what KVM will print for it."""
        known, vcpu.exit = vcpu.exit, None
        if known is None or known["by"] is None:
            return
        operation, first = known["by"]
        e = Exit(where, known["reason"], operation, (first, *known["operands"]), known["qualification"], known["flow"],
                 known["ps"] * self._tsc_hz // 10**12, self._region(operation, known["qualification"] or first), self._x2apic)
        vcpu.handling = [*accesses.before(e), *vcpu.handling]
        vcpu.handled = list(accesses.after(e))
        if operation == "port_out" and self._irqchip == "kernel":
            vcpu.handled += _pic_ended(first, e.operands[2], vcpu.served)

    def _region(self, operation: str, address: int) -> str:
        space = "port" if operation.startswith("port") else "mmio"
        return next((r["handler"] for r in self._regions
                     if r["space"] == space and r["first"] <= address <= r["last"]), "userspace")

    def _on_userspace(self, where, flow, a, b, ps):
        name = self._h["kvm_exits"][a]
        number = formats.KVM_EXITS.get(name, 0)
        yield FIRST_PID + where, "kvm_userspace_exit", {"name": name, "reason": number, "errno": -4 if name == "KVM_EXIT_INTR" else 0}

    def _on_wakeup(self, where, flow, a, b, ps):
        yield FIRST_PID + where, "kvm_vcpu_wakeup", {"ns": a, "waited": not b, "valid": True}

    def _on_halt_poll(self, where, flow, a, b, ps):
        yield FIRST_PID + where, "kvm_halt_poll_ns", {"vcpu_id": where, "new": a, "old": b, "grow": a > b}

    def _on_ple_window(self, where, flow, a, b, ps):
        yield FIRST_PID + where, "kvm_ple_window_update", {"vcpu_id": where, "new": a, "old": b}

    def _on_inhibit(self, where, flow, a, b, ps):
        """A reason's number is that of its row in `virqsim list inhibits`, from 0."""
        self._inhibits = self._inhibits | 1 << a if b else self._inhibits & ~(1 << a)
        pid = MAIN_THREAD if where == NOWHERE else FIRST_PID + where
        yield pid, "kvm_apicv_inhibit_changed", {"reason": a, "set": bool(b), "inhibits": self._inhibits}

    # --- interrupts ---

    def _on_raised(self, where, flow, a, b, ps):
        self._raised[flow] = self._h["sources"][b >> 32], a
        return ()

    def _on_routed(self, where, flow, a, b, ps):
        self._routed[flow] = b >> 32, parent_flow(b)
        if self._trace.epic and not self._in_hardware and self._raised.get(flow, ("",))[0] == "ipi":
            yield FIRST_PID + (b >> 32), "kvm_epic_ipi", {"dest_id": where, "vector": a}

    def _on_pending(self, where, flow, a, b, ps, coalesced=False):
        raiser, parent = self._routed.get(flow, (NOWHERE, flow))
        source, message = self._raised.get(parent, ("", 0))
        held = self._h["held"][b]
        if held == "ExtINT":
            self._extint[flow] = message if source == "line" else a & 7
            yield from _pic_edge(self._extint[flow])
        if held == "PMIRR":
            yield from self._on_pmirr(where, a, source, raiser, coalesced)
        if where == NOWHERE or held not in ("IRR", "PIR") or a >= self._trace.vectors:
            return
        if raiser == NOWHERE and (where, a) in self._assigned:
            return  # the IOMMU posted it
        if raiser != NOWHERE and (source != "timer" or self._own_timer) and self._vcpu(raiser).state in _IN_GUEST:
            return  # the hardware sent it, or its timer is the guest's own
        if self._trace.e2k:
            return
        level = source in ("level", "line")
        pid = MAIN_THREAD if raiser == NOWHERE else FIRST_PID + raiser
        if raiser == NOWHERE and level:
            gsi = message if source == "line" else a & 0x17
            yield pid, "kvm_set_irq", {"gsi": gsi, "level": 1}
        if raiser == NOWHERE and (not level or self._irqchip == "split"):
            yield pid, "kvm_msi_set_irq", {"address": accesses.APIC_PAGE | where << 12, "data": a | (_LEVEL if level else 0)}
        accepted = {"apicid": where, "vec": a, "dm": 0, "tm": self._is_level(source, where, a)}
        yield pid, "kvm_apic_accept_irq", accepted
        if held == "PIR" or flow in self._virtual:
            yield pid, "kvm_apicv_accept_irq", accepted
        if raiser == NOWHERE and level:
            yield pid, "kvm_ioapic_set_irq", {"pin": gsi, "e": a | where << 56 | (_LEVEL if accepted["tm"] else 0)}
            yield pid, "kvm_set_irq", {"gsi": gsi, "level": 0}

    def _on_coalesced(self, *record):
        return self._on_pending(*record, coalesced=True)

    def _on_pmirr(self, where, vector, source, raiser, coalesced):
        """KVM's __epic_accept_irq(), or kvm_irq_delivery_to_hw_epic_single(); what the hardware does has no line."""
        pid = MAIN_THREAD if raiser == NOWHERE else FIRST_PID + raiser
        mode = int(source == "ipi")
        if not self._in_hardware:
            yield pid, "kvm_epic_accept_irq", {"epicid": where, "vec": vector, "dm": mode, "tm": 0, "coalesced": coalesced}
        elif raiser == NOWHERE or source == "ipi" and self._vcpu(raiser).state not in _IN_GUEST:
            active = self._vcpu(where).state not in _OFF_CORE
            yield pid, "irq_delivery", {"vcpu": where, "vector": vector, "dlvm": mode, "dat_active": active}

    def _on_injected(self, where, flow, a, b, ps):
        """Virtual-interrupt delivery is the hardware's own; KVM prints what it injects itself."""
        if self._h["inject"][b] == "event injection" and a != NO_VECTOR and a < self._trace.vectors and not self._trace.e2k:
            if flow in self._extint:
                self._vcpu(where).served.append(self._extint[flow])
            vcpu = self._vcpu(where)
            yield FIRST_PID + where, "kvm_inj_virq", {"vector": a, "reinjected": vcpu.injected == flow}
            vcpu.injected = flow

    def _on_handler(self, where, flow, a, b, ps):
        if self._vcpu(where).injected == flow:
            self._vcpu(where).injected = None
        return ()

    def _on_eoi(self, where, flow, a, b, ps):
        """The guest left for it, or wrote it to memory, which KVM sees at the next exit; or the hardware did it."""
        vcpu = self._vcpu(where)
        if vcpu.state in _IN_GUEST:
            vcpu.acknowledged = a
            return
        if self._trace.epic:
            yield FIRST_PID + where, "kvm_epic_eoi", {"vector": a}
        if self._trace.e2k:
            return
        yield FIRST_PID + where, "kvm_eoi", {"apicid": where, "vector": a}
        if not vcpu.acknowledges:
            yield FIRST_PID + where, "kvm_pv_eoi", {"apicid": where, "vector": a}


def _pic_edge(line: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """A line of the 8259A pair goes up and down again."""
    for level in (1, 0):
        yield MAIN_THREAD, "kvm_set_irq", {"gsi": line, "level": level}
        yield MAIN_THREAD, "kvm_pic_set_irq", {"chip": line >> 3, "pin": line & 7}


def _pic_ended(port: int, value: int, served: list[int]) -> Iterator[Event]:
    """KVM acknowledges the line whose request an end-of-interrupt command ends (8259A data sheet, OCW2)."""
    if port not in _PIC_PORTS or not value & _OCW2_EOI or value & _NOT_OCW2 or not served:
        return
    chip = _PIC_PORTS[port]
    if served[-1] >> 3 > chip:
        yield "kvm_ack_irq", {"irqchip": 0, "pin": _CASCADE}
    elif served[-1] >> 3 == chip:
        yield "kvm_ack_irq", {"irqchip": chip, "pin": served.pop() & 7}


def _assigned_vectors(plan: dict[str, Any]) -> set[tuple[int, int]]:
    """(vCPU, vector) of the devices whose interrupts an IOMMU posts, so that KVM does not see them."""
    features = _features(plan)
    if not features & {"vtd-posting", "iommu-avic"}:
        return set()
    return {(d["vcpu"], d["vector"]) for d in devices_of(plan) if d["kind"] == "assigned"}


def _features(plan: dict[str, Any]) -> set[str]:
    from .. import library

    rows = {row["name"]: row for row in library.describe()["technologies"]}
    base = set(rows.get(plan.get("technology"), {}).get("features", ()))
    switched = plan.get("features", {})
    return (base | {name for name, on in switched.items() if on}) - {name for name, on in switched.items() if not on}
