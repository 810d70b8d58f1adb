"""Probes: the exits of one operation in an otherwise quiet machine.

An operation is repeated by a small guest on a machine like any other, and what
its results count is divided by the repetitions. The same plan without the
operation is run too and taken off, so that setting up (the timer's LVT entry,
say) is not counted. Sender and targets keep step by shared words, which never
leave the guest, and by computing.

`sender` is what vCPU 0's own instructions caused, `target` the delivery of the
interrupt, `eoi` its acknowledgement, each summed over all vCPUs that take part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from . import drivers, features, hypothetical, library, profiles, runner
from .errors import NotModelled, VirqsimError, unknown
from .guest import Program, icr, icr_nmi, logical_flat, logical_x2apic
from .hypothetical import Hypothetical
from .plan import UINV, Hypervisor, Inhibit, Machine, PauseLoop, Plan

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

_LDR = 0x0D0  # the logical destination register's offset in the APIC page


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


class _Bench:
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


Act = Callable[[_Bench], None]
"""What is probed: one operation of the sender's."""

Around = Callable[[_Bench, Act, int], None]
"""The plan around it: `act` repeated so often."""


# What is probed


def _unicast(bench: _Bench) -> None:
    bench.sender.ipi(icr(VECTOR), 1)


def _logical(bench: _Bench) -> None:
    logical = logical_x2apic if bench.probe.guest_apic == "x2apic" else logical_flat
    bench.sender.ipi(icr(VECTOR, logical=True), logical(bench.probe.target_ids))


def _nmi(bench: _Bench) -> None:
    bench.sender.ipi(icr_nmi(), 1)


def _all_but_self(bench: _Bench) -> None:
    bench.sender.ipi(icr(VECTOR, shorthand="all-but-self"))


def _broadcast_loop(bench: _Bench) -> None:
    for apic_id in bench.probe.target_ids:
        bench.sender.ipi(icr(VECTOR), apic_id)


def _broadcast_pv(bench: _Bench) -> None:
    for first in bench.probe.target_ids[::PV_IPI_DESTINATIONS]:
        bench.sender.pv_ipi(VECTOR, first, min(PV_IPI_DESTINATIONS, bench.probe.targets - first + 1))


def _user(bench: _Bench) -> None:
    bench.sender.senduipi(0)


def _self(bench: _Bench) -> None:
    bench.sender.self_ipi(VECTOR)


def _self_icr(bench: _Bench) -> None:
    bench.sender.ipi(icr(VECTOR, shorthand="self"))


def _tsc_deadline(bench: _Bench) -> None:
    bench.sender.tsc_deadline(_timer_cycles(bench))


def _count(bench: _Bench) -> None:
    bench.sender.timer_count(bench.timer_counts(_timer_cycles(bench)))


def _next_period(bench: _Bench) -> None:
    """The timer ticks by itself."""


def _write_tpr(bench: _Bench) -> None:
    bench.sender.tpr(0x20)


def _write_cr8(bench: _Bench) -> None:
    bench.sender.cr8(2)


def _read_cr8(bench: _Bench) -> None:
    bench.sender.cr8_read()


def _device(bench: _Bench) -> None:
    bench.sender.signal(0)


def _port_of_the_pic(bench: _Bench) -> None:
    bench.sender.port_in(PIC_MASK_PORT, 1)


def _port_of_qemu(bench: _Bench) -> None:
    bench.sender.port_out(DEBUG_PORT, 1)


def _port_of_an_eventfd(bench: _Bench) -> None:
    bench.sender.port_out(EVENT_PORT, 2)


def _page_of_qemu(bench: _Bench) -> None:
    bench.sender.mmio_write(DEVICE_PAGE, 4)


def _page_of_an_eventfd(bench: _Bench) -> None:
    bench.sender.mmio_write(EVENT_PAGE, 2)


# The plans around it


def _to_others(bench: _Bench, act: Act, repetitions: int) -> None:
    """The operation interrupts the targets, each in the condition that the probe asks for."""
    probe = bench.probe
    target = _target(bench, repetitions)
    bench.add_sender()
    for apic_id in probe.target_ids:
        main = target if probe.guest_apic != "xapic" else _with_logical_id(target, apic_id)
        bench.machine.vcpu(main, {VECTOR: bench.handler, NMI: bench.nmi_handler})
        if probe.target == "preempted":
            bench.machine.load(pin=apic_id)
    _act_on_targets(bench, act, repetitions)


def _to_user(bench: _Bench, act: Act, repetitions: int) -> None:
    """The operation is a user interrupt; a halted target sleeps in its kernel, as after uintr_wait() on Linux."""
    machine = bench.machine
    bench.add_sender()
    machine.vcpu(_user_target(bench, repetitions), {KERNEL_VECTOR: Program("on_wake_up").eoi()})
    if bench.probe.target == "preempted":
        machine.load(pin=1)
    machine.user_interrupts(0)
    machine.user_interrupts(1, Program("on_user_interrupt").word_add(bench.acknowledged))
    machine.user_target(0, 1, USER_VECTOR)
    _act_on_targets(bench, act, repetitions)


def _user_target(bench: _Bench, repetitions: int) -> Program:
    """Before it sleeps the kernel has notifications come as interrupts of its own; afterwards it takes what was posted."""
    if bench.probe.target != "halted":
        return _target(bench, repetitions)
    main = Program("target").word_add(bench.ready)
    for _ in range(repetitions):
        main.upid_notify(KERNEL_VECTOR).halt().upid_notify(UINV).self_ipi(UINV)
    return main.spin_until(bench.done, 1)


def _from_device(bench: _Bench, act: Act, repetitions: int) -> None:
    """A device interrupts vCPU 0, which an 8259A's INTR reaches; its backend runs beside vCPU 1."""
    machine, (prepare, vector, handler) = bench.machine, _DEVICES[bench.probe.operation](bench)
    machine.vcpu(prepare.follow(_target(bench, repetitions)), {vector: handler.word_add(bench.acknowledged)})
    if bench.probe.target == "preempted":
        machine.load(pin=0)
    bench.add_sender()
    _act_on_targets(bench, act, repetitions)


def _act_on_targets(bench: _Bench, act: Act, repetitions: int) -> None:
    probe, sender = bench.probe, bench.sender
    sender.spin_until(bench.ready, probe.targets)
    for n in range(1, repetitions + 1):
        if probe.target == "if-off":
            sender.spin_until(bench.closed, n * probe.targets)
        sender.compute(_pause_cycles(bench))
        act(bench)
        if probe.target == "if-off":
            sender.compute(SETTLE_CYCLES).word_add(bench.sent)
        sender.spin_until(bench.acknowledged, n * probe.targets)
    sender.word_add(bench.done)


# What a device's driver does first, the vector, and its handler


def _pic(bench: _Bench) -> tuple[Program, int, Program]:
    irq = GSI[bench.probe.operation]
    line = bench.machine.line("device", irq)
    prepare = drivers.pic_unmask(drivers.pic_start(Program("driver")), [irq])
    if bench.probe.guest_apic != "none":
        drivers.lint0_extint(prepare)
    handler = drivers.pic_mask_and_acknowledge(Program("on_device"), irq).lower(line)
    return prepare, drivers.PIC_BASE + irq, drivers.pic_unmask_one(handler, irq)


def _ioapic(bench: _Bench) -> tuple[Program, int, Program]:
    gsi = GSI[bench.probe.operation]
    line = bench.machine.line("device", gsi)
    prepare = drivers.ioapic_route(Program("driver"), gsi, VECTOR, level=bench.probe.operation == "ioapic.level")
    return prepare, VECTOR, Program("on_device").lower(line).eoi()


def _ioepic(bench: _Bench) -> tuple[Program, int, Program]:
    operation = bench.probe.operation
    level = operation != "ioepic.edge"
    line = bench.machine.line("device", PIN, cpu=0 if operation == "ioepic.passthrough" else None)
    handler = Program("on_device").lower(line).eoi()
    return (drivers.ioepic_route(Program("driver"), PIN, VECTOR, level=level), VECTOR,
            drivers.ioepic_level_eoi(handler, PIN) if level else handler)


def _passthrough(bench: _Bench) -> tuple[Program, int, Program]:
    bench.machine.assigned("device", 0, VECTOR, cpu=0)
    return Program("driver"), VECTOR, Program("on_device").eoi()


def _msi(bench: _Bench) -> tuple[Program, int, Program]:
    bench.machine.device("device", "msi", 0, VECTOR)
    return Program("driver"), VECTOR, Program("on_device").eoi()


_DEVICES = {"pic.master": _pic, "pic.slave": _pic, "ioapic.edge": _ioapic, "ioapic.level": _ioapic, "msi.irqfd": _msi,
            "msi.passthrough": _passthrough, "ioepic.edge": _ioepic, "ioepic.level": _ioepic,
            "ioepic.passthrough": _ioepic}


def _target(bench: _Bench, repetitions: int) -> Program:
    main = Program("target").word_add(bench.ready)
    if bench.probe.target == "halted":
        for _ in range(repetitions):
            main.halt()
    elif bench.probe.target == "if-off":
        for n in range(1, repetitions + 1):
            main.mask().word_add(bench.closed).spin_until(bench.sent, n).unmask()
    return main.spin_until(bench.done, 1)


def _with_logical_id(target: Program, apic_id: int) -> Program:
    """The target's program for a flat xAPIC guest, which gives each APIC its own logical ID first."""
    main = Program(f"{target.name}{apic_id}")
    if apic_id <= 7:
        main.apic_write(_LDR, 1 << apic_id << 24)
    return main.follow(target)


def _pause_cycles(bench: _Bench) -> int:
    """How long the sender computes until the target surely is what the probe wants.

    A preempted target starts its time slice where it said that it was ready,
    or where it took the last interrupt: half a slice after that one ended, the
    other thread runs.
    """
    return {"preempted": bench.slice_cycles * 3 // 2, "halted": ASLEEP_CYCLES}.get(bench.probe.target, SETTLE_CYCLES)


def _to_itself(bench: _Bench, act: Act, repetitions: int) -> None:
    """The operation interrupts the sender."""
    bench.add_sender()
    for n in range(1, repetitions + 1):
        act(bench)
        bench.sender.spin_until(bench.acknowledged, n).compute(SETTLE_CYCLES)


_ONESHOT, _PERIODIC, _TSC_DEADLINE = range(3)  # modes of LVT_TIMER


def _timer(mode: int) -> Around:
    """The sender's timer in that mode; until the interrupt it is in the condition that the probe asks for."""
    def around(bench: _Bench, act: Act, repetitions: int) -> None:
        sender, condition = bench.sender, bench.probe.target
        bench.add_sender()
        if condition == "preempted":
            bench.machine.load(pin=0)
        sender.timer_mode(VECTOR, mode).setup(True)
        sender.timer_count(bench.timer_counts(TIMER_CYCLES) if mode == _PERIODIC else 0, 1).setup(False)
        for n in range(1, repetitions + 1):
            if condition == "if-off":
                sender.mask()
            act(bench)
            if condition == "if-off":
                sender.compute(TIMER_CYCLES + SETTLE_CYCLES).unmask()
            (sender.halt_until if condition == "halted" else sender.spin_until)(bench.acknowledged, n)
        sender.setup(True).timer_count(0).setup(False)
    return around


def _timer_cycles(bench: _Bench) -> int:
    """Until the timer expires: where it is to be preempted, half a slice of the other thread's has gone by then."""
    return _pause_cycles(bench) if bench.probe.target == "preempted" else TIMER_CYCLES


def _alone(bench: _Bench, act: Act, repetitions: int) -> None:
    """The operation interrupts nobody."""
    bench.add_sender()
    for _ in range(repetitions):
        act(bench)


def _halting(bench: _Bench, act: Act, repetitions: int) -> None:
    """vCPU 0 halts, and vCPU 1 wakes it; only the HLT is the operation."""
    bench.add_sender()
    waker = Program("waker")
    for n in range(1, repetitions + 1):
        bench.sender.compute(SETTLE_CYCLES).word_add(bench.drowsy)
        act(bench)
        waker.spin_until(bench.drowsy, n).compute(ASLEEP_CYCLES).ipi(icr(VECTOR), 0)
    bench.machine.vcpu(waker)


def _global_flag(bench: _Bench) -> None:
    bench.sender.clgi().stgi()


def _halt(bench: _Bench) -> None:
    bench.sender.halt()


def _waiting(bench: _Bench, act: Callable[[_Bench], None], repetitions: int) -> None:
    """vCPU 0 waits for the word `sent`, which vCPU 1 sets a while later."""
    bench.add_sender()
    waker, cycles = Program("waker"), SPIN_CYCLES if act is _pause_loop else ASLEEP_CYCLES
    for n in range(1, repetitions + 1):
        bench.sender.compute(SETTLE_CYCLES).word_add(bench.drowsy)  # so long that no loop goes on
        act(bench)
        bench.sender.spin_until(bench.acknowledged, n)
        waker.spin_until(bench.drowsy, n).compute(cycles).word_add(bench.sent).word_add(bench.acknowledged)
    bench.machine.vcpu(waker)


def _pause_loop(bench: _Bench) -> None:
    bench.sender.pause_take(bench.sent)


def _mwait(bench: _Bench) -> None:
    bench.sender.mwait(bench.sent, bench.probe.repetitions + 1)  # more than there ever is: a store ends it


def _contending(bench: _Bench, act: Callable[[_Bench], None], repetitions: int) -> None:
    """vCPU 0 takes a lock that vCPU 1 holds."""
    bench.add_sender()
    holder, lock = Program("holder"), bench.machine.lock("lock")
    for n in range(1, repetitions + 1):
        holder.lock(lock).word_add(bench.drowsy).compute(LOCK_CYCLES).unlock(lock).spin_until(bench.acknowledged, n)
        bench.sender.spin_until(bench.drowsy, n)
        act(bench)
        bench.sender.word_add(bench.acknowledged)
    bench.machine.vcpu(holder)


def _lock(bench: _Bench) -> None:
    lock = bench.machine.lock("lock")
    bench.sender.lock(lock).unlock(lock)


@dataclass(frozen=True)
class Operation:
    """A row of what can be probed.

    `source` is the results' latency source; `interrupts` says that delivery
    and acknowledgement are part of the operation; `many` that it may have
    several targets; `conditions` are those in which --target can ask the sender
    to await the interrupt, where it is its own target; `needs` the feature without which there is none;
    `without_apic` that a guest without a local APIC can do it; `only_epic` that one with an EPIC alone can; `vendor` whose
    processors alone have it.
    """

    name: str
    meaning: str
    act: Act
    around: Around
    source: str | None
    interrupts: bool = True
    many: bool = False
    conditions: tuple[str, ...] = ("running",)
    needs: str | None = None
    without_apic: bool = False
    only_epic: bool = False
    vendor: str | None = None


_ONE_EXPIRY = ("running", "halted", "preempted", "if-off")
_TICKS = ("running", "halted")  # they do not wait for a slice, nor for IF

OPERATIONS = {row.name: row for row in (
    Operation("ipi.unicast", "an IPI to one APIC ID", _unicast, _to_others, "ipi"),
    Operation("ipi.logical", "an IPI to a logical destination", _logical, _to_others, "ipi", many=True),
    Operation("ipi.self", "a self-IPI: MSR 83FH, or ICR in xAPIC mode", _self, _to_itself, "ipi"),
    Operation("ipi.self_icr", "a self-IPI by the ICR's shorthand", _self_icr, _to_itself, "ipi"),
    Operation("ipi.user", "a user interrupt: SENDUIPI", _user, _to_user, "user-ipi", needs="user-interrupts"),
    Operation("ipi.nmi", "an NMI by the ICR; the end of its handler stands for its EOI", _nmi, _to_others, "ipi"),
    Operation("ipi.all_but_self", "an IPI by the ICR's shorthand", _all_but_self, _to_others, "ipi", many=True),
    Operation("ipi.broadcast_loop", "an ICR write for each target", _broadcast_loop, _to_others, "ipi", many=True),
    Operation("ipi.broadcast_pv", "hypercalls for 128 targets each", _broadcast_pv, _to_others, "ipi", many=True,
              needs="pv-ipi"),
    Operation("cpu.hlt", "HLT; the wake-up is not counted", _halt, _halting, None, interrupts=False),
    Operation("cpu.pause_loop", "a loop of PAUSEs a little longer than the window after which one exits", _pause_loop,
              _waiting, None, interrupts=False),
    Operation("cpu.mwait", "MONITOR and MWAIT, ended by a store", _mwait, _waiting, None, interrupts=False),
    Operation("cpu.clgi_stgi", "CLGI and STGI, as a hypervisor in the guest has them around its VMRUN (SVM)", _global_flag,
              _alone, None, interrupts=False, vendor="svm"),
    Operation("lock.contended", "a ticket lock that is held for long; the holder's exits are not counted", _lock,
              _contending, None, interrupts=False),
    Operation("tpr.write_register", "a write to the TPR register", _write_tpr, _alone, None, interrupts=False),
    Operation("tpr.write_cr8", "MOV to CR8", _write_cr8, _alone, None, interrupts=False),
    Operation("tpr.read_cr8", "MOV from CR8", _read_cr8, _alone, None, interrupts=False),
    Operation("msi.irqfd", "an MSI by irqfd, the device's backend on another CPU", _device, _from_device, "msi"),
    Operation("msi.passthrough", "an assigned device's MSI, which reaches the vCPU's own CPU", _device, _from_device,
              "msi"),
    Operation("ioapic.edge", "a device's edge at an I/O APIC's pin", _device, _from_device, "line"),
    Operation("ioapic.level", "a device's level, lowered before the EOI", _device, _from_device, "line"),
    Operation("ioepic.edge", "a device's edge at an IOEPIC's pin", _device, _from_device, "line", only_epic=True),
    Operation("ioepic.level", "a device's level there, lowered before the EOI, which is the CEPIC's and the IOEPIC's",
              _device, _from_device, "line", only_epic=True),
    Operation("ioepic.passthrough", "the same of an assigned device's pin", _device, _from_device, "line",
              only_epic=True),
    Operation("pic.master", "a device's line at the master 8259A, handled as Linux does", _device, _from_device, "line",
              without_apic=True),
    Operation("pic.slave", "the same at the slave", _device, _from_device, "line", without_apic=True),
    Operation("pio.kernel_device", "IN from the 8259A's mask, in the kernel or where the irqchip is", _port_of_the_pic,
              _alone, None, interrupts=False, without_apic=True),
    Operation("pio.user_device", "OUT to a device of userspace", _port_of_qemu, _alone, None, interrupts=False,
              without_apic=True),
    Operation("pio.ioeventfd", "OUT to a port that signals an eventfd", _port_of_an_eventfd, _alone, None,
              interrupts=False, without_apic=True),
    Operation("mmio.user_device", "a store to a device of userspace, not the first", _page_of_qemu, _alone, None,
              interrupts=False, without_apic=True),
    Operation("mmio.ioeventfd", "a store to an address that signals an eventfd", _page_of_an_eventfd, _alone, None,
              interrupts=False, without_apic=True),
    Operation("timer.tsc_deadline", "arming the TSC deadline, and its interrupt", _tsc_deadline, _timer(_TSC_DEADLINE),
              "timer", conditions=_ONE_EXPIRY),
    Operation("timer.oneshot", "starting the APIC timer's count, and its interrupt", _count, _timer(_ONESHOT), "timer",
              conditions=_ONE_EXPIRY),
    Operation("timer.periodic", "a tick of the APIC timer's periodic count", _next_period, _timer(_PERIODIC), "timer",
              conditions=_TICKS),
)}


_ON_ELBRUS = {"ipi.unicast", "ipi.self", "ipi.self_icr", "ipi.all_but_self", "ipi.broadcast_loop", "cpu.hlt",
              "tpr.write_register", "msi.irqfd", "msi.passthrough", "pio.user_device", "pio.ioeventfd",
              "mmio.user_device", "mmio.ioeventfd", "timer.oneshot", "timer.periodic"}
"""What every guest of Elbrus does too."""

_WITH_EPIC = {"timer.tsc_deadline", *(row.name for row in OPERATIONS.values() if row.only_epic)}
"""And one that has an EPIC."""


def probe(probe: Probe) -> dict[str, Any]:
    """Probes; the document that `virqsim probe --json` prints.

    Latencies are nanoseconds from raised to the handler's first instruction,
    null where the operation interrupts nobody; where no number of the profile is
    known, its name and `profile_kind` say so.

    Raises:
        NotModelled: no model covers the operation or the technology.
        VirqsimError: there is no such thing, or the options contradict each other.
    """
    probe = replace(probe, guest_apic=probe.guest_apic or _usual_apic(probe.tech))
    declared = hypothetical.declared(probe.hypothetical)
    switched = features.parse(probe.features, declared)
    operation = _checked(probe, switched, declared)
    profile = profiles.load(probe.profile or profiles.default(probe.tech))

    def results(repetitions: int) -> dict[str, Any]:
        bench = _Bench(probe, profile.clocks)
        operation.around(bench, operation.act, repetitions)
        document = runner.run(bench.plan().resolve(profile, probe.tech, switched, declared=declared)).document
        if document["state"] != "ended" or document["partial"]:
            raise VirqsimError(f"probe: {probe.operation}: the run did not end: {document['broken'] or document['state']}")
        return document

    idle, busy = results(0), results(probe.repetitions)
    return {
        "operation": probe.operation,
        "technology": probe.tech,
        "guest_apic": probe.guest_apic,
        "irqchip": probe.irqchip,
        "condition": probe.target,
        "per_operation": _per_operation(operation, _counts(busy, operation) - _counts(idle, operation), probe.repetitions),
        "latency_ns": _latency(busy, operation.source),
        **_caveat(busy),
    }


def _checked(probe: Probe, switched: dict[str, bool], declared: dict[str, Hypothetical]) -> Operation:
    """The operation's row, when the options fit it."""
    if probe.operation not in OPERATIONS:
        raise unknown("probe: operation", probe.operation, OPERATIONS)
    runner.check_technology(probe.tech, declared, "probe: --tech")
    has = "epic, xapic" if library.vendor(probe.tech) == "e2k" else "xapic, x2apic, none"
    if probe.guest_apic not in has.split(", "):
        raise VirqsimError(f"probe: --guest-apic: {probe.guest_apic}: a guest of {probe.tech} has another ({has})")
    on_elbrus = _ON_ELBRUS | (_WITH_EPIC if probe.guest_apic == "epic" else set())
    if library.vendor(probe.tech) == "e2k" and probe.operation not in on_elbrus:
        raise NotModelled(f"probe: {probe.operation} with --guest-apic {probe.guest_apic}: not modelled")
    if OPERATIONS[probe.operation].only_epic and probe.guest_apic != "epic":
        raise VirqsimError(f"probe: {probe.operation}: needs an EPIC guest (--tech epic-sw, epic-hw)")
    if probe.guest_apic == "none" and not OPERATIONS[probe.operation].without_apic:
        raise VirqsimError(f"probe: --guest-apic: {probe.operation} needs a local APIC (xapic, x2apic)")
    for reason in probe.inhibit:
        if reason not in library.names("inhibits"):
            raise unknown("probe: --inhibit", reason, library.names("inhibits"))
    operation = OPERATIONS[probe.operation]
    if operation.vendor and library.vendor(probe.tech) != operation.vendor:
        raise VirqsimError(f"probe: --tech: {probe.operation} is {operation.vendor.upper()}'s; {probe.tech} has none")
    if operation.around not in (_to_others, _to_user, _from_device) and probe.target not in operation.conditions:
        raise VirqsimError(f"probe: --target: {probe.operation} has no target to be {probe.target}")
    if probe.targets > 1 and not operation.many:
        many = ", ".join(row.name for row in OPERATIONS.values() if row.many)
        raise VirqsimError(f"probe: --targets: {probe.operation} has one target at most; several have {many}")
    if operation.needs and not switched.get(operation.needs, operation.needs in _own_features(probe.tech, declared)):
        raise VirqsimError(f"probe: {probe.operation}: needs --features=+{operation.needs}")
    return operation


def _usual_apic(technology: str) -> str:
    """What a modern guest has on a technology's machine."""
    return "epic" if library.vendor(technology) == "e2k" else "x2apic"


def _own_features(technology: str, declared: dict[str, Hypothetical]) -> list[str]:
    """The hardware's features of a technology that exists, or of the one under a technology that is declared."""
    name = declared[technology].base if technology in declared else technology
    return next(row["features"] for row in library.describe()["technologies"] if row["name"] == name)


_HALTS = ("HLT", "hlt", "idle-halt", "cu:wait_trap")  # a target's own is not the operation


class _Tally(Counter):
    """A Counter whose difference keeps what is negative."""

    def __sub__(self, other: Counter) -> _Tally:
        return _Tally({key: self[key] - other[key] for key in {*self, *other}})


def _counts(document: dict[str, Any], operation: Operation) -> _Tally:
    """(part, reason) to how often, over a run."""
    tally = _Tally()
    sender = 1 if operation.around is _from_device else 0
    parts = {"delivery": "target", "acknowledge": "eoi"}
    for row in document["exits"]:
        part = parts.get(row["cause"])
        if row["cause"] == "operation":
            part = "sender" if row["vcpu"] == sender else None if row["reason"] in _HALTS else "target"
        if part:
            tally[part, row["reason"]] += row["count"]
    for row in document["userspace_exits"]:
        of_sender, halts = row["vcpu"] == sender, row["reason"] == "KVM_EXIT_HLT"
        if of_sender and halts if operation.around is _halting else of_sender or not halts:
            tally["userspace", row["reason"]] += row["count"]
    return tally


def _per_operation(operation: Operation, tally: _Tally, repetitions: int) -> dict[str, Any]:
    def of(part: str) -> dict[str, int | float]:
        return {reason: _quotient(count, repetitions)
                for (where, reason), count in sorted(tally.items()) if where == part and count}

    return {
        "sender": of("sender"),
        "target": of("target") if operation.interrupts else {},
        "eoi": of("eoi") if operation.interrupts else {},
        "userspace_exits": _quotient(sum(n for (part, _), n in tally.items() if part == "userspace"), repetitions),
    }


def _caveat(document: dict[str, Any]) -> dict[str, str]:
    """Whose latency it is, where no number of the profile is known."""
    keys = ("profile", "profile_kind") if document["profile_kind"] == profiles.ASSUMED_THROUGHOUT else ()
    return {key: document[key] for key in keys}


def _quotient(count: int, repetitions: int) -> int | float:
    """A whole number where it is one; a fraction says that the machine was not quiet."""
    return count // repetitions if count % repetitions == 0 else count / repetitions


def _latency(document: dict[str, Any], source: str | None) -> dict[str, float | None]:
    row = next((row for row in document["latency"] if row["source"] == source), None)
    return {key: row[f"{key}_ps"] / 1000 if row and row["count"] else None for key in ("p50", "p99", "max")}
