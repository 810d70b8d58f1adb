"""The demand as guest programs: each vCPU does what it did, in the order it did it.

A vCPU's main program is the sequence of its operations, with work between
them; each run of a handler is a program of its own, from its injection to its
EOI. Where the guest had interrupts masked is not in a trace either, but shows:
an interrupt that waited for a window met a masked guest, one that was injected
at once did not.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..guest import Program
from ..plan import Hypervisor, Inhibit, Machine, Plan
from ..profiles import Profile
from .actions import HALT, WINDOW
from .demand import Arrival, Delivery, Demand, Step
from .sync import Sync, from_other

WAKE_VECTOR = 0xff  # of a wake-up whose cause is not in the trace; its handler does nothing
STAND_IN = ("cpuid",)  # for an exit that virqsim has no cause for: it always exits, and is renamed when counted


@dataclass(frozen=True)
class Pace:
    """How long things are let settle, in core cycles; a deadlock is met with a larger scale.

    All assumed: counts do not depend on them as long as each is longer than
    the work it waits for.
    """

    scale: int = 1
    work_share: int = 8  # of the recorded time in the guest, which ran emulated; two bits of it are enough
    work_least: int = 100
    work_most: int = 20_000
    settle: int = 20_000  # a kick, an exit, an injection
    halt_settle: int = 60_000  # a HLT, up to where its thread sleeps
    late: int = 2_000  # until a timer that was armed too late has expired
    host_delay: int = 100  # from the end of a VM exit to what arrives then
    halt_delay_ns: int = 20_000
    never: int = 0xffff_ffff  # a deadline in TSC cycles, or an initial count, beyond any replay's end: where it expires is written there


@dataclass
class _Frame:
    """The main program or a handler's run, while it is being written."""

    program: Program
    interrupts_enabled: bool
    delivery: Delivery | None = None
    acknowledged: bool = False


class _Devices:
    """Sources of interrupts outside, one for each kind, destination, vector and delay."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._numbers: dict[tuple[str, int, int, int], int] = {}

    def number(self, kind: str, vcpu: int, vector: int, delay_ns: int) -> int:
        key = kind, vcpu, vector, delay_ns
        if key not in self._numbers:
            name = f"{kind} {vector:02x}h to vcpu{vcpu} after {delay_ns} ns"
            self._numbers[key] = self._machine.device(name, kind, vcpu, vector, delay_ns)
        return self._numbers[key]


def build(name: str, demand: Demand, technology: str, features: dict[str, bool], pace: Pace,
          profile: Profile, halt_poll_ns: int) -> Plan:
    """The plan."""
    machine = Machine(demand.recorded.guest_apic)
    sync, devices = Sync(machine, demand), _Devices(machine)
    for vcpu in range(max(demand.steps) + 1):
        steps = demand.steps.get(vcpu, [])
        writer = _Writer(vcpu, steps, demand, sync, devices, pace, profile)
        writer.set_up()
        for step in steps:
            writer.write(step)
        machine.vcpu(writer.main, writer.handlers)
    for (space, address), region in sorted(demand.regions.items()):
        if region.handler != "userspace":
            machine.region(space, address, address, region.handler)
    hypervisor = Hypervisor(irqchip=demand.recorded.irqchip, halt_poll_ns=halt_poll_ns,
                            inhibits=tuple(map(Inhibit, demand.inhibits)))
    return Plan(name, machine, hypervisor, technology=technology, features=features)


class _Writer:
    """Writes one vCPU's programs."""

    def __init__(self, vcpu: int, steps: list[Step], demand: Demand, sync: Sync, devices: _Devices,
                 pace: Pace, profile: Profile) -> None:
        self._vcpu = vcpu
        self._steps = steps
        self._demand = demand
        self._sync = sync
        self._devices = devices
        self._pace = pace
        self._core_hz = profile.clocks["core_hz"]
        self._host_delay_ns = -(-(profile.cycles["hw.exit"] + pace.host_delay) * 10**9 // self._core_hz)
        self.main = Program(f"vcpu{vcpu}")
        self.handlers: dict[int, list[Program]] = {}
        self._same: dict[tuple[tuple[str | int, ...], ...], Program] = {}
        self._frames = [_Frame(self.main, True)]
        self._class_raised = False
        self._held: list[Delivery] = []  # runs whose interrupt is to come twice before they begin
        self._waiting: list[Arrival] = []  # met the vCPU, not delivered yet

    # --- the whole vCPU ---

    def set_up(self) -> None:
        """What the guest had done before the recording began: its exits are not the recording's."""
        self.main.setup(True)
        armed = any(step.operation and step.operation[0] in ("tsc_deadline", "timer_count") for step in self._steps)
        if armed and self._vcpu in self._demand.timers:
            self.main.timer_mode(*self._demand.timers[self._vcpu])
        if self._demand.recorded.guest_apic == "xapic" and self._logical():
            self.main.apic_write(0xd0, 1 << 24 + self._vcpu)  # LDR, flat: one bit a vCPU, as Linux does
        if self._steps and self._began_halted(self._steps[0]):
            self._halt(self._steps[0])
        elif self._steps and self._began_in_exit(self._steps[0]):
            self._meet_before(self._steps[0].arrivals)
        self.main.setup(False)

    def write(self, step: Step) -> None:
        """One step: what met the vCPU in the guest, what it did, what the entry delivered."""
        if self._began_halted(step) or self._began_in_exit(step):
            self._wait_for(step.arrivals)
        else:
            self._work(step)
            for delivery in step.eois:
                self._end_before(delivery)
            self._meet_in_guest(step)
            self._switch(step.switched_in_guest, 0)
            self._operate(step)
        for delivery in step.deliveries:
            self._begin(delivery, step)
        if step.number == len(self._steps) - 1:
            while len(self._frames) > 1:
                self._close()

    def _began_halted(self, step: Step) -> bool:
        """The recording begins in the host's part of a HLT."""
        return step.number == 0 and step.episode.exit is None and bool(step.met("blocked"))

    def _began_in_exit(self, step: Step) -> bool:
        """The recording begins in the host's part of another exit, where interrupts came that the guest masked."""
        return step.number == 0 and step.episode.exit is None and bool(step.met("host"))

    def _meet_before(self, met: list[Arrival]) -> None:
        """They are there when the recording begins."""
        self._hold_back(self._steps[0], met)
        self._sync.announce(self._program, met)
        for arrival in met:
            self._raise(arrival, 0)
        self._sync.wait(self._program, met)
        self._program.compute(self._pace.settle * self._pace.scale)

    def _logical(self) -> bool:
        sent = (step.operation for steps in self._demand.steps.values() for step in steps)
        return any(o and o[0] == "ipi" and int(o[1]) & 0x800 for o in sent)

    @property
    def _frame(self) -> _Frame:
        return self._frames[-1]

    @property
    def _program(self) -> Program:
        return self._frame.program

    # --- in the guest ---

    def _work(self, step: Step) -> None:
        pace = self._pace
        cycles = step.episode.guest_ns * self._core_hz // 10**9 // pace.work_share
        cycles = min(max(cycles, pace.work_least), pace.work_most)
        self._program.compute(cycles >> cycles.bit_length() - 2 << cycles.bit_length() - 2)

    def _meet_in_guest(self, step: Step) -> None:
        """What arrived while the vCPU was in the guest arrives there again."""
        if self._operation(step) is None and step.reason not in HALT and not _own_end(step):
            self._prepare_host(step)
        if step.reason in WINDOW:
            self._open_window()
        for met in self._demand.groups(step):
            late = self._hold_back(step, met)
            if not late and any(a.delivered and a.delivered.step == step.number for a in met):
                self._enable()
            self._sync.announce(self._program, met)
            self._raise_together(met)
            self._sync.wait(self._program, met)
            self._program.compute(self._pace.settle * self._pace.scale)
            self._wait_for(met)
            self._let_go(met)

    def _raise_together(self, met: list[Arrival]) -> None:
        """One of them makes the vCPU leave; the others find it in the host."""
        if len(met) > 1:
            self._sync.hold(self._program, met, self._pace.settle)
        delay_ns = 0
        for arrival in met:
            if not from_other(arrival):
                self._raise(arrival, delay_ns)
                delay_ns = self._host_delay_ns

    def _prepare_host(self, step: Step) -> None:
        """What arrived while the host had the vCPU out arrives behind the next exit."""
        met = step.met("host")
        self._hold_back(step, met)
        self._sync.announce(self._program, met)
        self._sync.before_send(self._program, step, self._pace.halt_settle * self._pace.scale)
        self._sync.hold(self._program, met, self._pace.settle)
        for arrival in met:
            self._raise(arrival, self._host_delay_ns)
        self._switch(step.switches, self._host_delay_ns)

    def _switch(self, changes: list[tuple[int, bool]], delay_ns: int) -> None:
        """A reason against APICv or AVIC comes, or goes."""
        for number, on in changes:
            self._program.inhibit(number, on, delay_ns * self._core_hz // 10**9)

    def _hold_back(self, step: Step, met: list[Arrival]) -> bool:
        """Masks what was delivered late, by the interrupt flag or by CR8, before it arrives."""
        late = [a for a in met if self._late(a, step)]
        self._held += [a.delivered for a in late if a.delivered and a.delivered.last]
        if late and self._by_priority(late[0]):
            if not self._class_raised:
                self._program.cr8(15)
                self._class_raised = True
        elif late and self._frame.interrupts_enabled:
            self._program.mask()
            self._frame.interrupts_enabled = False
        return bool(late)

    def _late(self, arrival: Arrival, step: Step) -> bool:
        """It was not delivered at the next entry, though no handler of its priority ran: it was masked."""
        delivery = arrival.delivered
        if delivery is None or delivery.step == step.number and not delivery.last:
            return False
        running = [f.delivery for f in self._frames if f.delivery and not f.acknowledged]
        return not any(other is not delivery and _blocks(other, delivery) for other in [*running, *step.deliveries])

    def _by_priority(self, arrival: Arrival) -> bool:
        """Its delivery waited for CR8, not for the interrupt flag."""
        assert arrival.delivered
        if arrival.delivered.step >= len(self._steps):
            return False
        then = self._steps[arrival.delivered.step].operation
        return then is not None and then[0] == "cr8"

    def _open_window(self) -> None:
        """The guest can take interrupts again: by STI, or by the return from the handler that runs."""
        while self._frame.acknowledged:
            self._close()
        self._enable()

    def _let_go(self, met: list[Arrival]) -> None:
        """What came twice is there: its handler runs once."""
        there = [a.joins for a in met if a.joins and a.joins.last is a]
        if there:
            self._held = [run for run in self._held if run not in there]
            self._enable()

    def _enable(self) -> None:
        if not self._frame.interrupts_enabled and not self._held:
            self._program.unmask()
            self._frame.interrupts_enabled = True

    # --- the exit ---

    def _operate(self, step: Step) -> None:
        """The guest's own operation, or the stand-in for what is not the guest's."""
        if step.reason in HALT:
            return self._halt(step)
        operation = self._operation(step)
        if operation is not None:
            if step.deliveries and not step.met("guest") and step.reason not in WINDOW:
                self._leave_acknowledged()
                self._enable()
            if operation[0] == "cr8":
                self._class_raised = False
            self._prepare_host(step)
            self._add(operation)
            self._sync.after_send(self._program, step)
        met = step.met("host")
        self._sync.wait(self._program, met)
        self._wait_for(met)
        self._let_go(met)
        if step.eoi:
            self._end(step.eoi, step)
        return None

    def _operation(self, step: Step) -> tuple[str | int, ...] | None:
        if step.noise:
            return ("host_interrupt",)
        operation = step.operation
        if operation is None:
            return STAND_IN if step.carried else None
        if operation[0] in ("tsc_deadline", "timer_count") and operation[1]:
            at_once = any(arrival.at_once for arrival in step.arrivals)
            return (operation[0], 1 if at_once else self._pace.never, *operation[2:])
        return operation

    def _add(self, operation: tuple[str | int, ...]) -> None:
        getattr(self._program, str(operation[0]))(*operation[1:])

    def _halt(self, step: Step) -> None:
        """HLT, with interrupts off up to it, so that no wake-up is lost."""
        met = step.met("blocked")
        self._leave_acknowledged()
        if self._frame.interrupts_enabled:
            self._program.mask()
        self._switch(step.switches, self._pace.halt_delay_ns * self._pace.scale // 2)
        self._prepare_wake(met)
        self._program.unmask_halt()
        self._frame.interrupts_enabled, self._held = True, []
        self._wait_for(met)

    def _prepare_wake(self, met: list[Arrival]) -> None:
        """What ends a HLT: the first that arrives; the others come before the vCPU is in the guest again."""
        self._sync.announce(self._program, met)
        for arrival in met:
            self._raise(arrival, self._pace.halt_delay_ns * self._pace.scale)
        if len(met) > 1:
            self._sync.hold(self._program, met, self._pace.settle)
        if not met and not self._waiting:
            self.handlers.setdefault(WAKE_VECTOR, [Program(f"vcpu{self._vcpu} wake")])
            self._program.signal(
                self._devices.number("extint", self._vcpu, WAKE_VECTOR, self._pace.halt_delay_ns))

    def _wait_for(self, met: list[Arrival]) -> None:
        """What is never delivered, since it came twice, is waited for no longer."""
        self._waiting += [arrival for arrival in met if arrival.delivered]

    # --- handlers ---

    def _begin(self, delivery: Delivery, step: Step) -> None:
        self._waiting = [a for a in self._waiting if a.delivered is not delivery]
        program = Program("")
        self._frames.append(_Frame(program, False, delivery))
        if delivery.hidden:
            if delivery is _own_end(step):
                self._prepare_host(step)
            program.eoi()
            self._close()

    def _end_before(self, delivery: Delivery) -> None:
        """A paravirtual EOI, at the beginning of the guest's turn."""
        self._program.eoi()
        self._end(delivery, None)

    def _end(self, delivery: Delivery, step: Step | None) -> None:
        """Its handler is over; while an interrupt waits for the interrupt flag, it has not returned yet."""
        while len(self._frames) > 1 and self._frame.delivery is not delivery and self._frame.acknowledged:
            self._close()
        if self._frame.delivery is not delivery:
            return
        self._frame.acknowledged = True
        delivered_now = [d.arrival for d in step.deliveries] if step else []
        waits = [a for a in self._waiting if a not in delivered_now]
        if not waits or self._frame.interrupts_enabled:
            self._close()

    def _leave_acknowledged(self) -> None:
        while len(self._frames) > 1 and self._frame.acknowledged:
            self._close()

    def _close(self) -> None:
        """The handler returns. Runs that do the same share one program."""
        frame = self._frames.pop()
        assert frame.delivery
        runs = self.handlers.setdefault(frame.delivery.vector, [])
        key = tuple(tuple(operation) for operation in frame.program.operations)
        if key not in self._same:
            frame.program.name = f"vcpu{self._vcpu} handler {len(self._same)}"
            self._same[key] = frame.program
        runs.append(self._same[key])

    # --- devices and timers ---

    def _raise(self, arrival: Arrival, delay_ns: int) -> None:
        """What is not sent by a guest arrives by a mark in the program of the one that it meets."""
        if arrival.at_once:
            self._program.host_until(self._sync.nothing, 0, self._pace.late)
        elif arrival.armed:
            self._program.timer_expires(delay_ns * self._core_hz // 10**9)
        elif arrival.source not in ("ipi", "self"):
            self._program.signal(self._device(arrival, delay_ns))

    def _device(self, arrival: Arrival, delay_ns: int) -> int:
        kind = "extint" if arrival.source == "extint" or arrival.delivered and arrival.delivered.extint else "msi"
        if arrival.trigger == "level" and kind == "msi":
            kind = "level"
        if arrival.mode == "NMI":
            kind = "nmi"
        return self._devices.number(kind, self._vcpu, arrival.vector, delay_ns)


def _own_end(step: Step) -> Delivery | None:
    """What began in the step, and whose EOI is the step's exit."""
    return next((d for d in step.deliveries if d.ended == step.number and d.arrival and d.arrival.state == "guest"), None)


def _blocks(running: Delivery, waiting: Delivery) -> bool:
    """SDM 3A "Task and Processor Priorities"; an 8259A keeps its own."""
    if running.extint or waiting.extint:
        return running.extint and waiting.extint
    return running.vector >> 4 >= waiting.vector >> 4
