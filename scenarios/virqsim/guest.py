"""Guest programs: what a vCPU does, one method an operation.

    ping = Program("sender")
    with ping.repeat(100):
        ping.ipi(icr(48), destination=1)
        ping.halt_until(replies, 1)

The operations are those of models/guest/guest_ops.def; `virqsim list
operations` prints them. A program's end is the end of the vCPU, or the IRET of
a handler.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from .errors import VirqsimError

_LARGEST = 2**63 - 1  # what the integers of a plan can hold
_SHORTHAND = {None: 0, "self": 1, "all": 2, "all-but-self": 3}  # ICR bits 19:18
_NMI = 0b100 << 8  # the delivery mode
_LOGICAL = 1 << 11  # ICR: destination mode


def icr(vector: int, *, logical: bool = False, shorthand: str | None = None) -> int:
    """The low half of an ICR write that sends a fixed, edge-triggered IPI.

    SDM 3A "Interrupt Command Register (ICR)".

    Args:
        vector: 16 to 255.
        logical: the destination is a logical ID or a set of them, else an APIC ID.
        shorthand: `self`, `all` or `all-but-self`; the destination is then ignored.

    Raises:
        VirqsimError: no such vector or shorthand.
    """
    if not 16 <= vector <= 255:
        raise VirqsimError(f"icr: vector: {vector} cannot be sent (16..255)")
    if shorthand not in _SHORTHAND:
        raise VirqsimError(f"icr: shorthand: {shorthand!r} is none of self, all, all-but-self")
    return vector | (_LOGICAL if logical else 0) | _SHORTHAND[shorthand] << 18


def icr_init(*, shorthand: str | None = None) -> int:
    """The low half of an ICR write that sends INIT: its targets are reset, and wait for a start-up IPI.

    SDM 3A "Interrupt Command Register (ICR)": level asserted.

    Args:
        shorthand: as of `icr`.
    """
    return icr(16, shorthand=shorthand) & ~0xFF | 5 << 8 | 1 << 14


def icr_startup(page: int = 0, *, shorthand: str | None = None) -> int:
    """The same for a start-up IPI: targets that wait for one begin.

    Args:
        page: 0 to 255; a processor would begin at `page` * 4096, here it begins its main program.
        shorthand: as of `icr`.

    Raises:
        VirqsimError: no such page.
    """
    if not 0 <= page <= 255:
        raise VirqsimError(f"icr_startup: page: {page} is none of 0..255")
    return icr(16, shorthand=shorthand) & ~0xFF | 6 << 8 | 1 << 14 | page


def icr_nmi(*, shorthand: str | None = None) -> int:
    """The low half of an ICR write that sends an NMI.

    Raises:
        VirqsimError: no such shorthand.
    """
    return icr(16, shorthand=shorthand) & ~0xFF | _NMI


def logical_x2apic(apic_ids: Iterable[int]) -> int:
    """The x2APIC logical destination that names these APIC IDs, all of one cluster of 16.

    SDM 3A "Deriving Logical x2APIC ID from the Local x2APIC ID".

    Raises:
        VirqsimError: they are of several clusters, or there are none.
    """
    apic_ids = list(apic_ids)
    clusters = {apic_id >> 4 for apic_id in apic_ids}
    if len(clusters) != 1:
        raise VirqsimError(f"logical_x2apic: {apic_ids}: one logical destination reaches one cluster of 16 APIC IDs")
    mask = 0
    for apic_id in apic_ids:
        mask |= 1 << (apic_id & 15)
    return clusters.pop() << 16 | mask


def logical_flat(apic_ids: Iterable[int]) -> int:
    """The xAPIC logical destination, flat model, of guests that give APIC n (0..7) the logical ID 1 << n.

    Raises:
        VirqsimError: an APIC ID over 7.
    """
    mask = 0
    for apic_id in apic_ids:
        if apic_id > 7:
            raise VirqsimError(f"logical_flat: {apic_id}: the flat model has 8 logical IDs (0..7)")
        mask |= 1 << apic_id
    return mask


class _Loop:
    """The body of a `repeat`: leaving it closes the loop."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __enter__(self) -> Program:
        return self._program

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._program.end()


class Program:
    """A list of operations under a name. Each method adds one and returns the program.

    Operands are whole numbers, 0 to 2**63 - 1; anything else raises
    VirqsimError and names the program, the operation and the operand.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._operations: list[list[str | int]] = []
        self._open_loops = 0

    @property
    def operations(self) -> list[list[str | int]]:
        """The plan's form: `["name", operand, ...]` each.

        Raises:
            VirqsimError: a `repeat` is still open.
        """
        if self._open_loops:
            raise VirqsimError(f"program {self.name}: {self._open_loops} repeat without its end")
        return self._operations

    def _add(self, operation: str, **operands: int) -> Program:
        for name, value in operands.items():
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
                raise VirqsimError(
                    f"program {self.name}: {operation}: {name}: {value!r} is not a whole number (0..2**63-1)")
        self._operations.append([operation, *operands.values()])
        return self

    def follow(self, other: Program) -> Program:
        """Goes on with the operations of another program, as they are now."""
        self._operations += other.operations
        return self

    # Time and control flow

    def compute(self, cycles: int) -> Program:
        """Work for so many core cycles that touches nothing outside the core."""
        return self._add("compute", cycles=cycles)

    def compute_uniform(self, low: int, high: int) -> Program:
        """As compute, a number of cycles drawn evenly from low..high (the plan's seed decides)."""
        return self._add("compute_uniform", low=low, high=high)

    def repeat(self, times: int) -> _Loop:
        """Does what follows so many times: `with program.repeat(3): ...`, or up to end()."""
        self._add("repeat", times=times)
        self._open_loops += 1
        return _Loop(self)

    def end(self) -> Program:
        """Closes the innermost repeat().

        Raises:
            VirqsimError: none is open.
        """
        if not self._open_loops:
            raise VirqsimError(f"program {self.name}: end: there is no repeat to close")
        self._open_loops -= 1
        return self._add("end")

    def iret(self) -> Program:
        """Returns from a handler; the end of its program does the same."""
        return self._add("iret")

    def uiret(self) -> Program:
        """Returns from the handler of user interrupts; the end of its program does the same."""
        return self._add("uiret")

    def stamp(self, id: int) -> Program:
        """Reads the time stamp counter; results give the differences between stamps of one id."""
        return self._add("stamp", id=id)

    # Shared memory, seen by all vCPUs

    def word_add(self, word: int, amount: int = 1) -> Program:
        """Adds to a shared word (Machine.word)."""
        return self._add("word_add", word=word, amount=amount)

    def word_read(self, word: int) -> Program:
        """Reads a shared word, as data that another vCPU has written."""
        return self._add("word_read", word=word)

    def spin_until(self, word: int, at_least: int) -> Program:
        """Spins, with loads only and no PAUSE, until the word is at least so much."""
        return self._add("spin_until", word=word, at_least=at_least)

    def halt_until(self, word: int, at_least: int) -> Program:
        """The idle loop: CLI; look at the word; STI and HLT, until it is at least so much."""
        return self._add("halt_until", word=word, at_least=at_least)

    def spin_take(self, word: int, amount: int = 1) -> Program:
        """As spin_until, then subtracts the amount: a semaphore, for use within repeat."""
        return self._add("spin_take", word=word, amount=amount)

    def halt_take(self, word: int, amount: int = 1) -> Program:
        """As halt_until, then subtracts the amount."""
        return self._add("halt_take", word=word, amount=amount)

    def pause_until(self, word: int, at_least: int) -> Program:
        """Spins with PAUSE until the word is at least so much."""
        return self._add("pause_until", word=word, at_least=at_least)

    def pause_take(self, word: int, amount: int = 1) -> Program:
        """As pause_until, then subtracts the amount: a test-and-set lock, free while the word is 1."""
        return self._add("pause_take", word=word, amount=amount)

    def mwait(self, word: int, at_least: int) -> Program:
        """Unless the word is at least so much: MONITOR, a second look, MWAIT, which any store to it,
        interrupt or exit ends."""
        return self._add("mwait", word=word, at_least=at_least)

    def mwait_until(self, word: int, at_least: int) -> Program:
        """The idle loop with MONITOR and STI; MWAIT, until the word is at least so much."""
        return self._add("mwait_until", word=word, at_least=at_least)

    def mwait_take(self, word: int, amount: int = 1) -> Program:
        """As mwait_until, then subtracts the amount."""
        return self._add("mwait_take", word=word, amount=amount)

    def lock(self, lock: int) -> Program:
        """Takes a ticket lock (Machine.lock); spins with PAUSE, and with pv-unhalt halts in the end."""
        return self._add("lock", lock=lock)

    def unlock(self, lock: int) -> Program:
        """Hands it on; with pv-unhalt wakes the next by KVM_HC_KICK_CPU, where that halts."""
        return self._add("unlock", lock=lock)

    # The interrupt flag, and waiting

    def mask(self) -> Program:
        """CLI."""
        return self._add("mask")

    def unmask(self) -> Program:
        """STI, and the instruction in its shadow."""
        return self._add("unmask")

    def halt(self) -> Program:
        """HLT as it stands."""
        return self._add("halt")

    def unmask_halt(self) -> Program:
        """STI; HLT: nothing can be taken between the two."""
        return self._add("unmask_halt")

    # The APIC, in the mode of the plan's guest_apic

    def ipi(self, icr_low: int, destination: int = 0) -> Program:
        """Writes the ICR: see icr(). `destination` is an APIC ID or a logical destination."""
        return self._add("ipi", icr_low=icr_low, destination=destination)

    def self_ipi(self, vector: int) -> Program:
        """MSR 83FH in x2APIC mode; the ICR with the self shorthand in xAPIC mode."""
        return self._add("self_ipi", vector=vector)

    def pv_ipi(self, vector: int, first_id: int, count: int) -> Program:
        """KVM_HC_SEND_IPI: one hypercall for the `count` APIC IDs (at most 128) from `first_id` on."""
        return self._add("pv_ipi", vector=vector, first_id=first_id, count=count)

    def pv_yield(self, first_id: int, count: int) -> Program:
        """With pv-sched-yield: KVM_HC_SCHED_YIELD to the first of the `count` APIC IDs from `first_id` on whose
        vCPU is preempted, if one is."""
        return self._add("pv_yield", first_id=first_id, count=count)

    def eoi(self) -> Program:
        """Acknowledges the interrupt in service."""
        return self._add("eoi")

    def tpr(self, value: int) -> Program:
        """Writes the APIC's TPR register (bits 7:4 are the priority class)."""
        return self._add("tpr", value=value)

    def cr8(self, value: int) -> Program:
        """MOV to CR8: the priority class, 0 to 15."""
        return self._add("cr8", value=value)

    def cr8_read(self) -> Program:
        """MOV from CR8."""
        return self._add("cr8_read")

    def apic_read(self, offset: int) -> Program:
        """Reads an APIC register, by its offset in the page."""
        return self._add("apic_read", offset=offset)

    def apic_write(self, offset: int, value: int) -> Program:
        """Writes an APIC register, by its offset in the page."""
        return self._add("apic_write", offset=offset, value=value)

    def epic_ipi(self, vector: int, destination: int) -> Program:
        """An EPIC guest: reads ICR, then writes it. `vector` is one of 1024."""
        return self._add("epic_ipi", vector=vector, destination=destination)

    def senduipi(self, index: int) -> Program:
        """SENDUIPI of an entry of this vCPU's target table: see Machine.user_target()."""
        return self._add("senduipi", index=index)

    def stui(self) -> Program:
        """STUI: user interrupts may be delivered; so they may from the beginning."""
        return self._add("stui")

    def clui(self) -> Program:
        """CLUI: user interrupts wait."""
        return self._add("clui")

    def upid_notify(self, vector: int) -> Program:
        """The guest's kernel says with which vector senders notify this vCPU: UINV while the receiver runs, a vector
        of the kernel's own while it sleeps."""
        return self._add("upid_notify", vector=vector)

    def upid_suppress(self, on: bool) -> Program:
        """The guest's kernel suppresses notifications to this vCPU, or no longer."""
        return self._add("upid_suppress", on=int(on))

    def timer_mode(self, vector: int, mode: int) -> Program:
        """Writes LVT timer: mode 0 one-shot, 1 periodic, 2 TSC-deadline, 3 masked."""
        return self._add("timer_mode", vector=vector, mode=mode)

    def tsc_deadline(self, cycles: int) -> Program:
        """RDTSC, then IA32_TSC_DEADLINE with so many TSC cycles more; 0 disarms."""
        return self._add("tsc_deadline", cycles=cycles)

    def timer_count(self, count: int, divide: int = 0) -> Program:
        """Writes the initial count; divide: the divisor, 1 to 128, or 0 to leave it as it is."""
        return self._add("timer_count", count=count, divide=divide)

    # The rest of the machine

    def port_in(self, port: int, size: int = 4) -> Program:
        """IN of 1, 2 or 4 bytes."""
        return self._add("port_in", port=port, size=size)

    def port_out(self, port: int, size: int = 4, value: int = 0) -> Program:
        """OUT of 1, 2 or 4 bytes."""
        return self._add("port_out", port=port, size=size, value=value)

    def mmio_read(self, address: int, size: int = 4) -> Program:
        """A load from a device, of 1, 2, 4 or 8 bytes."""
        return self._add("mmio_read", address=address, size=size)

    def mmio_write(self, address: int, size: int = 4, value: int = 0) -> Program:
        """A store to a device, of 1, 2, 4 or 8 bytes."""
        return self._add("mmio_write", address=address, size=size, value=value)

    def touch(self, address: int) -> Program:
        """The first touch of a page that the hypervisor has not mapped yet."""
        return self._add("touch", address=address)

    def rdmsr(self, msr: int) -> Program:
        """RDMSR of an MSR that is not the APIC's."""
        return self._add("rdmsr", msr=msr)

    def wrmsr(self, msr: int, value: int = 0) -> Program:
        """WRMSR of an MSR that is not the APIC's."""
        return self._add("wrmsr", msr=msr, value=value)

    def cpuid(self) -> Program:
        """CPUID."""
        return self._add("cpuid")

    def hypercall(self) -> Program:
        """VMCALL or VMMCALL."""
        return self._add("hypercall")

    def pause(self) -> Program:
        """PAUSE."""
        return self._add("pause")

    def wbinvd(self) -> Program:
        """WBINVD."""
        return self._add("wbinvd")

    def clgi(self) -> Program:
        """CLGI: neither interrupts nor NMIs are taken until stgi(), as around a VMRUN of the guest's own (SVM)."""
        return self._add("clgi")

    def stgi(self) -> Program:
        """STGI (SVM)."""
        return self._add("stgi")

    # What the guest does not come back from

    def triple_fault(self) -> Program:
        """A fault that cannot be delivered: QEMU resets the machine, or stops it (Hypervisor.no_reboot)."""
        return self._add("triple_fault")

    def opaque_mmio(self, address: int) -> Program:
        """An access to a device by an instruction that KVM does not emulate: QEMU stops the machine."""
        return self._add("opaque_mmio", address=address)

    def unknown_exit(self) -> Program:
        """An exit for a reason that nobody asked for: QEMU stops the machine."""
        return self._add("unknown_exit")

    def intercept(self, causes: int, events: int, entries: int) -> Program:
        """Of Elbrus: a wide instruction that does several things (drivers.wide() takes their names).

        Args:
            causes: bits of INTC_INFO_CU's header.
            events: event codes of INTC_INFO_MU, five bits each, the first lowest.
            entries: how many.
        """
        return self._add("intercept", causes=causes, events=events, entries=entries)

    # A disk's driver (Machine.ide, Machine.virtio_blk)

    def disk_ask(self, disk: int, depth: int, total: int) -> Program:
        """The application asks for one request after the other until `depth` are under way, or `total` were asked for
        in all."""
        return self._add("disk_ask", disk=disk, depth=depth, total=total)

    def disk_issue(self, disk: int) -> Program:
        """virtio: what was asked for goes into the ring, and the device is notified if it wants to be. IDE: the port
        accesses that follow are those of the next request (drivers.ide_issue)."""
        return self._add("disk_issue", disk=disk)

    def disk_reap(self, disk: int, word: int) -> Program:
        """Takes what is completed, and adds its number to the word."""
        return self._add("disk_reap", disk=disk, word=word)

    # A network card

    def rx_poll(self, word: int, queue: int = 0, budget: int = 0) -> Program:
        """Takes frames out of a receive queue (Machine.nic) until it is empty, or so many; each adds 1 to the word."""
        return self._add("rx_poll", word=word, queue=queue, budget=budget)

    def rx_unmask(self, queue: int = 0) -> Program:
        """Switches a receive queue's interrupts on."""
        return self._add("rx_unmask", queue=queue)

    def tx_send(self, tx_queue: int, word: int, frames: int = 1) -> Program:
        """Gives a transmit queue (Machine.tx_queue) so many frames; the word counts those that were sent and freed."""
        return self._add("tx_send", tx_queue=tx_queue, word=word, frames=frames)

    def tx_reap(self, tx_queue: int, word: int) -> Program:
        """What the handler of a transmit queue's interrupt does: frees what was sent."""
        return self._add("tx_reap", tx_queue=tx_queue, word=word)

    # Marks by which a plan ties the outside world to the guest's progress

    def signal(self, device: int) -> Program:
        """A device outside (Machine.device) acts now."""
        return self._add("signal", device=device)

    def lower(self, device: int) -> Program:
        """A device with a line (Machine.line) lowers it, as when the guest has read its status register."""
        return self._add("lower", device=device)

    def disk_interrupt(self, disk: int) -> Program:
        """A handler of the disk's begins here."""
        return self._add("disk_interrupt", disk=disk)

    def host_interrupt(self) -> Program:
        """An interrupt of the host's own arrives at this vCPU's CPU now."""
        return self._add("host_interrupt")

    def host_until(self, word: int, at_least: int, cycles: int = 0) -> Program:
        """Where the next operation leaves the guest, the host keeps this vCPU until the word is at least so much,
        and so many cycles longer."""
        return self._add("host_until", word=word, at_least=at_least, cycles=cycles)

    def timer_expires(self, cycles: int = 0) -> Program:
        """The APIC timer of this vCPU, where it is armed, expires so many core cycles from now."""
        return self._add("timer_expires", cycles=cycles)

    def inhibit(self, reason: int, on: bool, cycles: int = 0) -> Program:
        """So many core cycles from now KVM has a reason to do without APICv or AVIC (its row in `virqsim list inhibits`,
        from 0), or has it no longer."""
        return self._add("inhibit", reason=reason, on=int(on), cycles=cycles)

    def setup(self, on: bool) -> Program:
        """From here on (or no longer) the program prepares the machine: its exits are counted apart."""
        return self._add("setup", on=int(on))

    def delivery_fault(self) -> Program:
        """The next interrupt delivered here meets an unmapped page."""
        return self._add("delivery_fault")
