"""What the guest of the recording repeats, operation by operation, as plans.

A bench is built for a number of repetitions; 0 of them leave what is done once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .. import drivers
from ..guest import Program, icr, logical_flat, logical_x2apic
from ..plan import Machine

VECTOR, REPLY, OTHER = 0x31, 0x32, 0x52
SETTLE = 100_000  # cycles: longer than any exit, entry and handler
ASLEEP = 1_000_000  # cycles: longer than it takes to poll and to block
SOON_NS, LATER_NS = 2_000, 500_000  # when a device acts: while the guest spins, after it fell asleep
IN_EXIT_NS = 1_000  # while the vCPU is in userspace for the port access before

PULSE_NS = 1_000  # how long an edge-triggered device asserts its line
GSI = 10  # a device's input of the I/O APIC

MASTER, PIT, USER_PORT, EVENT_PORT = 0x21, 0x40, 0x505, 0x600
IOAPIC, USER_MMIO, EVENT_MMIO = 0xFEC00010, 0xD0000000, 0xD0001000
ID, TPR, LDR, ICR_LO, ICR_HI, LVT_ERROR, CURRENT = 0x20, 0x80, 0xD0, 0x300, 0x310, 0x370, 0x390
ONE_SHOT, PERIODIC, TSC_DEADLINE = 0, 1, 2
APIC_BASE = 0x1B
NMI = 4 << 8  # ICR: the delivery mode


@dataclass
class Bench:
    """The machine on which an operation is repeated: `guest` on vCPU 0, where needed `target` on vCPU 1."""

    guest_apic: str
    times: int
    condition: str = "spin"
    machine: Machine = field(init=False)
    features: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = Machine(self.guest_apic, physical_cpus=2, chipset="82093aa")
        self.taken, self.ready, self.sent, self.done, self.replies = map(
            self.machine.word, ("taken", "ready", "sent", "done", "replies"))
        self.machine.region("port", PIT, PIT + 3, "kernel")
        self.machine.region("port", EVENT_PORT, EVENT_PORT, "eventfd")
        self.machine.region("mmio", EVENT_MMIO, EVENT_MMIO + 3, "eventfd")
        self.guest, self.target = Program("guest"), Program("target")
        self.handler = Program("handler").eoi().word_add(self.taken)
        self.reply = Program("on_reply").eoi().word_add(self.replies)

    @property
    def xapic(self) -> bool:
        return self.guest_apic == "xapic"

    def vcpu(self, handler: Program | None = None, vector: int = VECTOR) -> None:
        """vCPU 0, alone or the first of two."""
        self.machine.vcpu(self.guest, {vector: handler or self.handler, REPLY: self.reply})

    def wait(self, n: int) -> None:
        """Until the n-th interrupt was taken, in the condition of the row."""
        if self.condition == "spin":
            self.guest.spin_until(self.taken, n).compute(SETTLE)
        else:
            self.guest.halt_until(self.taken, n)


def alone(act: Callable[[Program], object]) -> Callable[[Bench], None]:
    """The operation interrupts nobody."""
    def build(bench: Bench) -> None:
        for _ in range(bench.times):
            act(bench.guest)
        bench.vcpu()
    return build


def interrupting(act: Callable[[Bench], object], before: Callable[[Bench], object] = lambda bench: None,
                 waits: str | None = None) -> Callable[[Bench], None]:
    """The operation interrupts vCPU 0 itself, which waits for it."""
    def build(bench: Bench) -> None:
        bench.condition = waits or bench.condition
        before(bench)
        for n in range(1, bench.times + 1):
            act(bench)
            bench.wait(n)
        bench.vcpu()
    return build


def device(prepare: Callable[[Bench, int], tuple[int, Program, int]], sync: bool = False) -> Callable[[Bench], None]:
    """A device raises an interrupt: from outside, or while vCPU 0 is out of the guest for its port.

    `prepare`, given the delay from a signal to the interrupt, returns the device, its handler and its vector.
    """
    def build(bench: Bench) -> None:
        delay = IN_EXIT_NS if sync else SOON_NS if bench.condition == "spin" else LATER_NS
        number, handler, vector = prepare(bench, delay)
        handler.word_add(bench.taken)
        for n in range(1, bench.times + 1):
            bench.guest.signal(number)
            if sync:
                bench.guest.port_out(USER_PORT)
            bench.wait(n)
        bench.vcpu(handler, vector)
    return build


def msi(bench: Bench, delay: int) -> tuple[int, Program, int]:
    return bench.machine.device("device", "msi", 0, VECTOR, delay), Program("on_device").eoi(), VECTOR


def edge(bench: Bench, delay: int) -> tuple[int, Program, int]:
    drivers.ioapic_route(bench.guest, GSI, VECTOR)
    return bench.machine.line("device", GSI, delay, PULSE_NS), Program("on_device").eoi(), VECTOR


def level(bench: Bench, delay: int) -> tuple[int, Program, int]:
    """The handler's access to the device's port lowers the line."""
    drivers.ioapic_route(bench.guest, GSI, VECTOR, level=True)
    number = bench.machine.line("device", GSI, delay)
    return number, Program("on_device").port_out(USER_PORT).lower(number).eoi(), VECTOR


def pic(irq: int) -> Callable[[Bench, int], tuple[int, Program, int]]:
    """Linux's mask_and_ack_8259A() and its way back, and the device's port between them."""
    def prepare(bench: Bench, delay: int) -> tuple[int, Program, int]:
        drivers.lint0_extint(drivers.pic_unmask(drivers.pic_start(bench.guest), [irq]))
        number = bench.machine.line("device", irq, delay)
        handler = drivers.pic_mask_and_acknowledge(Program("on_device"), irq).port_out(USER_PORT).lower(number)
        return number, drivers.pic_unmask_one(handler, irq), drivers.PIC_BASE + irq
    return prepare


def to_other(act: Callable[[Bench], object], before: Callable[[Bench], object] = lambda bench: None,
             many: int = 1) -> Callable[[Bench], None]:
    """The operation interrupts vCPU 1, so many times, in the condition of the row."""
    def build(bench: Bench) -> None:
        target, guest = bench.target, bench.guest
        on_nmi = Program("on_nmi").word_add(bench.taken)
        before(bench)
        target.word_add(bench.ready)
        guest.spin_until(bench.ready, 1)
        for n in range(1, bench.times + 1):
            if bench.condition == "cli":
                target.mask().word_add(bench.ready).spin_until(bench.sent, n).unmask().spin_until(bench.taken, n * many)
                guest.spin_until(bench.ready, n + 1)
            elif bench.condition.startswith("hlt"):
                target.halt_until(bench.taken, n)
            guest.compute(ASLEEP if bench.condition == "hlt" else SETTLE)
            act(bench)
            if bench.condition == "cli":
                guest.compute(SETTLE).word_add(bench.sent)
            guest.spin_until(bench.taken, n * many)
        guest.word_add(bench.done)
        target.spin_until(bench.done, 1)
        bench.vcpu()
        bench.machine.vcpu(target, {2: on_nmi, **{VECTOR + 16 * n: bench.handler for n in range(many)}})
    return build


def unicast(bench: Bench) -> None:
    bench.guest.ipi(icr(VECTOR), 1)


def logical(bench: Bench) -> None:
    bench.guest.ipi(icr(VECTOR, logical=True), logical_flat([1]) if bench.xapic else logical_x2apic([1]))


def with_logical_id(bench: Bench) -> None:
    if bench.xapic:
        bench.target.apic_write(LDR, logical_flat([1]) << 24)


def pv_ipi(bench: Bench) -> None:
    bench.guest.pv_ipi(VECTOR, 1, 1)


def with_pv_ipi(bench: Bench) -> None:
    bench.features["pv-ipi"] = True


def self_ipi(bench: Bench) -> None:
    if bench.xapic:
        bench.guest.apic_write(ICR_HI, 0)
    bench.guest.self_ipi(VECTOR)


def tsc_deadline_mode(bench: Bench) -> None:
    bench.guest.timer_mode(VECTOR, TSC_DEADLINE)


def one_shot_mode(bench: Bench) -> None:
    bench.guest.timer_mode(VECTOR, ONE_SHOT).timer_count(0, 1)


def periodic_timer(bench: Bench) -> None:
    bench.guest.timer_mode(VECTOR, PERIODIC)
    if bench.times:
        bench.guest.timer_count(50_000, 1)


def mask_irq(bench: Bench) -> None:
    """An interrupt arrives that CR8 holds back, then CR8 falls."""
    bench.guest.cr8(15).self_ipi(VECTOR).cr8(0)


def nmi(bench: Bench) -> None:
    bench.guest.ipi(NMI, 1)


def burst(bench: Bench) -> None:
    for vector in (VECTOR, VECTOR + 16, VECTOR + 32, VECTOR + 48):
        bench.guest.ipi(icr(vector), 1)


def ping_pong_turn(bench: Bench, n: int) -> None:
    bench.guest.ipi(icr(VECTOR), 1).halt_until(bench.replies, n)
    bench.target.halt_until(bench.taken, n).ipi(icr(REPLY), 0)


def ping_pong(bench: Bench) -> None:
    for n in range(1, bench.times + 1):
        ping_pong_turn(bench, n)
    bench.vcpu()
    bench.machine.vcpu(bench.target, {VECTOR: bench.handler})


def mixed(bench: Bench) -> None:
    """The turns as the recording's notes have them (tests/data/ground_truth.md)."""
    guest, target, own, line = bench.guest, bench.target, bench.machine.word("own"), bench.machine.word("line")
    drivers.ioapic_route(guest, GSI, OTHER, level=True)
    level = bench.machine.line("level", GSI, IN_EXIT_NS)
    timers = 0
    guest.timer_mode(0x53, TSC_DEADLINE)
    target.timer_mode(OTHER, TSC_DEADLINE)
    for n in range(bench.times):
        ping_pong_turn(bench, n + 1)
        if n % 4 in (0, 2):
            timers += 1
            guest.tsc_deadline(SETTLE)
            (guest.halt_until if n % 4 == 0 else guest.spin_until)(own, timers)
        if n % 8 == 1:
            guest.port_in(MASTER, 1).port_out(USER_PORT).port_out(EVENT_PORT)
            guest.mmio_write(USER_MMIO).mmio_write(EVENT_MMIO)
        if n % 8 == 3:
            guest.self_ipi(0x54).compute(SETTLE)
        if n % 8 == 5:
            target.tsc_deadline(SETTLE).halt_until(bench.sent, n // 8 + 1)
        if n % 16 == 7:
            guest.signal(level).port_out(USER_PORT).spin_until(line, n // 16 + 1)
        if n % 16 == 15:
            guest.cpuid()
    bench.machine.vcpu(guest, {
        REPLY: bench.reply, 0x53: Program("on_own_tick").eoi().word_add(own), 0x54: Program("on_self").eoi(),
        OTHER: Program("on_line").port_out(USER_PORT).lower(level).eoi().word_add(line)})
    bench.machine.vcpu(target, {VECTOR: bench.handler, OTHER: Program("on_tick").eoi().word_add(bench.sent)})


OPERATIONS: dict[str, Callable[[Bench], None]] = {
    "null": alone(lambda guest: guest.compute(1)),
    "eoi": alone(lambda guest: guest.eoi()),
    "tpr_write": alone(lambda guest: guest.tpr(0x10)),
    "tpr_read": alone(lambda guest: guest.apic_read(TPR)),
    "cr8_write": alone(lambda guest: guest.cr8(1)),
    "cr8_read": alone(lambda guest: guest.cr8_read()),
    "lapic_rd_id": alone(lambda guest: guest.apic_read(ID)),
    "lapic_rd_icr": alone(lambda guest: guest.apic_read(ICR_LO)),
    "lapic_rd_tmcct": alone(lambda guest: guest.apic_read(CURRENT)),
    "lapic_wr_lvterr": alone(lambda guest: guest.apic_write(LVT_ERROR, OTHER)),
    "tscd_arm": alone(lambda guest: guest.tsc_deadline(10**9)),
    "lapict_arm": alone(lambda guest: guest.timer_count(10**9)),
    "mmio_write_user": alone(lambda guest: guest.mmio_write(USER_MMIO)),
    "mmio_read_user": alone(lambda guest: guest.mmio_read(USER_MMIO)),
    "mmio_ioeventfd": alone(lambda guest: guest.mmio_write(EVENT_MMIO)),
    "ioapic_rd": alone(lambda guest: guest.mmio_read(IOAPIC)),
    "pio_in_21": alone(lambda guest: guest.port_in(MASTER, 1)),
    "pio_out_21": alone(lambda guest: guest.port_out(MASTER, 1)),
    "pio_in_40": alone(lambda guest: guest.port_in(PIT, 1)),
    "pio_in_user": alone(lambda guest: guest.port_in(USER_PORT)),
    "pio_out_user": alone(lambda guest: guest.port_out(USER_PORT)),
    "pio_out_80": alone(lambda guest: guest.port_out(0x80, 1)),
    "pio_ioeventfd": alone(lambda guest: guest.port_out(EVENT_PORT)),
    "cpuid": alone(lambda guest: guest.cpuid()),
    "hypercall": alone(lambda guest: guest.hypercall()),
    "rdmsr_apicbase": alone(lambda guest: guest.rdmsr(APIC_BASE)),
    "wbinvd": alone(lambda guest: guest.wbinvd()),
    "pause": alone(lambda guest: guest.pause()),
    "rdtsc": alone(lambda guest: guest.stamp(1)),
    "self_ipi": interrupting(self_ipi),
    "self_ipi_shorthand": interrupting(lambda bench: bench.guest.ipi(icr(VECTOR, shorthand="self"))),
    "tscd_fire_spin": interrupting(lambda bench: bench.guest.tsc_deadline(SETTLE), tsc_deadline_mode),
    "tscd_fire_hlt": interrupting(lambda bench: bench.guest.tsc_deadline(ASLEEP), tsc_deadline_mode, "hlt"),
    "lapict_fire_spin": interrupting(lambda bench: bench.guest.timer_count(1_000), one_shot_mode),
    "lapict_periodic": interrupting(lambda bench: None, periodic_timer, "hlt"),
    "msi_signal": device(msi),
    "ioapic_edge": device(edge),
    "ioapic_level": device(level),
    "pic_master": device(pic(5)),
    "pic_slave": device(pic(10)),
    "pic_master_sync": device(pic(5), sync=True),
    "ipi": to_other(unicast),
    "ipi_logical": to_other(logical, with_logical_id),
    "pv_send_ipi": to_other(pv_ipi, with_pv_ipi),
    "nmi_ipi": to_other(nmi),
    "ipi_burst": to_other(burst, many=4),
    "cr8_mask_irq": interrupting(mask_irq),
    "pingpong": ping_pong,
    "mixed": mixed,
}
