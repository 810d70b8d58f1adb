"""The machine on which an operation is probed, and the words by which its programs keep step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..guest import Program
from ..plan import Hypervisor, Inhibit, Machine, PauseLoop, Plan

VECTOR, NMI = 48, 2
USER_VECTOR = 1
KERNEL_VECTOR = 235  # by which Linux has a sleeping receiver woken: UINTR_KERNEL_VECTOR
PV_IPI_DESTINATIONS = 128  # of one KVM_HC_SEND_IPI by a 64-bit guest
SLICE_NS = 1_000_000
SETTLE_CYCLES = 100_000  # longer than any exit, entry and handler
ASLEEP_CYCLES = 1_000_000  # longer than it takes to block, without halt polling
TIMER_CYCLES = 50_000
PAUSE_LOOP, PAUSE_FILTER = PauseLoop(gap=1000, window=50_000, grow=0), PauseLoop(gap=1000, window=300, grow=0)
SPIN_CYCLES = 60_000  # longer than such a loop, and shorter than two
LOCK_CYCLES = 20_000_000  # longer than a paravirtual lock's waiter spins
PIN = 10  # of an IOEPIC
GSI = {"ioapic.edge": 10, "ioapic.level": 11, "pic.master": 5, "pic.slave": 10}  # inputs that no chip of a PC uses

PIC_MASK_PORT, DEBUG_PORT, EVENT_PORT = 0x21, 0x80, 0x600
DEVICE_PAGE, EVENT_PAGE = 0xFEBF_0000, 0xFEBF_1000  # where a PC's firmware puts PCI devices


@dataclass(frozen=True)
class Probe:
    """What to probe: the command line's words."""

    operation: str
    tech: str
    features: str = ""
    guest_apic: str | None = None  # x2apic, and epic on Elbrus
    irqchip: str = "kernel"
    target: str = "running"
    targets: int = 1
    profile: str | None = None  # that of the technology's machine
    repetitions: int = 20
    hypothetical: tuple[str, ...] = ()
    inhibit: tuple[str, ...] = ()

    @property
    def target_ids(self) -> range:
        """The APIC IDs of the targets; the sender is 0."""
        return range(1, self.targets + 1)


class Bench:
    """A machine with a sender on vCPU 0, and the words by which it keeps step with the others."""

    def __init__(self, probe: Probe, clocks: dict[str, int]) -> None:
        core_hz = clocks["core_hz"]
        self.probe = probe
        with_chipset = probe.operation in GSI or probe.operation == "pio.kernel_device"
        chipset = "ioepic-v2" if probe.operation.startswith("ioepic.") else "82093aa" if with_chipset else None
        self.machine = Machine(probe.guest_apic, chipset=chipset)
        self.machine.region("port", EVENT_PORT, EVENT_PORT + 3, "eventfd")
        self.machine.region("mmio", EVENT_PAGE, EVENT_PAGE + 0xFFF, "eventfd")
        self.ready, self.acknowledged, self.done, self.closed, self.sent, self.drowsy = map(
            self.machine.word, ("ready", "acknowledged", "done", "closed", "sent", "drowsy"))
        self.slice_cycles = SLICE_NS * core_hz // 10**9
        self._timer_hz, self._core_hz = clocks["apic_timer_hz"], core_hz
        self.sender = Program("sender")
        self.handler = Program("handler").eoi().word_add(self.acknowledged)
        self.nmi_handler = Program("on_nmi").word_add(self.acknowledged)

    def plan(self) -> Plan:
        counts_pauses = "+pause-filter" in self.probe.features.split(",")
        hypervisor = Hypervisor(irqchip=self.probe.irqchip, halt_poll_ns=0, time_slice_ns=SLICE_NS,
                                pause_loop=PAUSE_FILTER if counts_pauses else PAUSE_LOOP,
                                inhibits=tuple(map(Inhibit, self.probe.inhibit)))
        return Plan(f"probe {self.probe.operation}", self.machine, hypervisor)

    def timer_counts(self, cycles: int) -> int:
        return cycles * self._timer_hz // self._core_hz

    def add_sender(self) -> None:
        self.machine.vcpu(self.sender, {VECTOR: self.handler})


Act = Callable[[Bench], None]
"""What is probed: one operation of the sender's."""

Around = Callable[[Bench, Act, int], None]
"""The plan around it: `act` repeated so often."""


def pause_cycles(bench: Bench) -> int:
    """How long the sender computes until the target surely is what the probe wants.

    A preempted target starts its time slice where it said that it was ready,
    or where it took the last interrupt: half a slice after that one ended, the
    other thread runs.
    """
    return {"preempted": bench.slice_cycles * 3 // 2, "halted": ASLEEP_CYCLES}.get(bench.probe.target, SETTLE_CYCLES)


def timer_cycles(bench: Bench) -> int:
    """Until the timer expires: where it is to be preempted, half a slice of the other thread's has gone by then."""
    return pause_cycles(bench) if bench.probe.target == "preempted" else TIMER_CYCLES
