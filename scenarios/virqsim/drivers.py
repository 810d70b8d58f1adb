"""What a guest's drivers write to a PC's interrupt controllers and timers.

Each function adds the accesses of one driver routine to a program, in the order
in which Linux makes them; a machine needs a chipset for them (Machine).

    guest = Program("guest")
    drivers.pic_start(guest)
    drivers.pic_unmask(guest, [5])
"""

from __future__ import annotations

from collections.abc import Iterable

from . import library
from .errors import VirqsimError
from .guest import Program

PIC_BASE = 0x30
"""The vector of IRQ 0: Linux's ISA_IRQ_VECTOR(0)."""

IOAPIC = 0xFEC00000
IOEPIC = 0xFEC00000
PIT_HZ = 1_193_182

_MASTER, _SLAVE = (0x20, 0x21), (0xA0, 0xA1)  # command port, data port
_CASCADE = 2
_LEVEL, _LOGICAL, _MASKED, _LOW = 1 << 15, 1 << 11, 1 << 16, 1 << 13  # of a redirection entry
_LVT_LINT0, _EXTINT = 0x350, 0x700
_PIN_BYTES, _INT_CTRL, _MSG_DATA, _ADDR_LOW = 0x1000, 0x20, 0x24, 0x2C  # a pin's page of an IOEPIC
_DELIVERY_STATUS = 1 << 12
_MU, _MU_ENTRIES = 0x100, 11  # event codes of INTC_INFO_MU, among the numbers of exit reasons


def pic_start(program: Program, base: int = PIC_BASE) -> Program:
    """Initializes the 8259A pair for 8086 mode with everything masked (8259A data sheet, ICW1 to ICW4).

    IRQ n has vector base + n.

    Raises:
        VirqsimError: base is no multiple of 8, or no vector of a device's.
    """
    if base % 8 or not 16 <= base <= 240:
        raise VirqsimError(f"pic_start: base: {base} is no multiple of 8 in 16..240")
    for (command, data), vector, wiring in ((_MASTER, base, 1 << _CASCADE), (_SLAVE, base + 8, _CASCADE)):
        for port, value in ((command, 0x11), (data, vector), (data, wiring), (data, 0x01), (data, 0xFF)):
            program.port_out(port, 1, value)
    return program


def pic_unmask(program: Program, irqs: Iterable[int]) -> Program:
    """Writes both mask registers: these IRQs, and the cascade where it is needed, are let through."""
    wanted = set(irqs)
    if any(irq >= 8 for irq in wanted):
        wanted.add(_CASCADE)
    mask = 0xFFFF & ~sum(1 << irq for irq in wanted)
    return program.port_out(_MASTER[1], 1, mask & 0xFF).port_out(_SLAVE[1], 1, mask >> 8)


def pic_mask_and_acknowledge(program: Program, irq: int, others: Iterable[int] = ()) -> Program:
    """Linux's mask_and_ack_8259A(): read and write the mask, then a specific EOI (of both chips for IRQ 8 to 15).

    `others` are the IRQs that stay let through.
    """
    command, data = _SLAVE if irq >= 8 else _MASTER
    program.port_in(data, 1).port_out(data, 1, _mask(irq, set(others) - {irq})).port_out(command, 1, 0x60 | irq & 7)
    if irq >= 8:
        program.port_out(_MASTER[0], 1, 0x60 | _CASCADE)
    return program


def pic_unmask_one(program: Program, irq: int, others: Iterable[int] = ()) -> Program:
    """Linux's unmask_8259A_irq(): one write to the mask register that lets this IRQ through, and `others`."""
    return program.port_out((_SLAVE if irq >= 8 else _MASTER)[1], 1, _mask(irq, {irq, *others}))


def _mask(irq: int, let_through: set[int]) -> int:
    """The mask register of the chip that has this IRQ; the cascade stays open."""
    irqs = range(8, 16) if irq >= 8 else range(8)
    bits = {each - irqs.start for each in {*let_through, _CASCADE} if each in irqs}
    return 0xFF & ~sum(1 << bit for bit in bits)


def msix_move(program: Program, table: int, apic_id: int, vector: int) -> Program:
    """Linux's pci_write_msg_msix(): the entry at `table` is masked, says another message, and is unmasked, to which
    a load adds that the stores have arrived."""
    program.mmio_write(table + 12, 4, 1)
    for offset, value in ((0, 0xFEE00000 | apic_id << 12), (4, 0), (8, vector), (12, 0)):
        program.mmio_write(table + offset, 4, value)
    return program.mmio_read(table + 8, 4)


def lint0_extint(program: Program) -> Program:
    """LINT0 takes the 8259A's INTR: virtual wire mode (SDM 3A "Local Vector Table")."""
    return program.apic_write(_LVT_LINT0, _EXTINT)


def ioapic_write(program: Program, register: int, value: int) -> Program:
    """Selects a register of the I/O APIC and writes it: two accesses."""
    return program.mmio_write(IOAPIC, 4, register).mmio_write(IOAPIC + 0x10, 4, value)


def ioapic_route(program: Program, gsi: int, vector: int, destination: int = 0, *, level: bool = False,
                 logical: bool = False, low: bool = False, masked: bool = False) -> Program:
    """Writes the redirection entry of an input: upper half, then lower half (82093AA data sheet, 3.2.4).

    Args:
        gsi: the chipset's input; 0 is pin 2.
        vector: 16 to 255.
        destination: an APIC ID, or with `logical` a set of logical ones; 8 bits.

    Raises:
        VirqsimError: there is no such input or vector, or the destination does not fit.
    """
    if not 0 <= gsi <= 23 or gsi == _CASCADE:
        raise VirqsimError(f"ioapic_route: gsi: {gsi} is no input of the chipset (0..23 without {_CASCADE})")
    if not 16 <= vector <= 255:
        raise VirqsimError(f"ioapic_route: vector: {vector} is not in 16..255")
    if not 0 <= destination <= 0xFF:
        raise VirqsimError(f"ioapic_route: destination: {destination} does not fit the entry's 8 bits")
    pin = 2 if gsi == 0 else gsi
    low_half = vector | (_LEVEL if level else 0) | (_LOGICAL if logical else 0) | (_LOW if low else 0)
    ioapic_write(program, 0x11 + 2 * pin, destination << 24)
    return ioapic_write(program, 0x10 + 2 * pin, low_half | (_MASKED if masked else 0))


def ioepic_route(program: Program, pin: int, vector: int, destination: int = 0, *, level: bool = False,
                 masked: bool = False) -> Program:
    """Writes the registers of an IOEPIC's pin (Linux for e2k: ioepic_write_entry()): message, address, control.

    Args:
        pin: 0 to 31.
        vector: 16 to 1023.
        destination: a vCPU, up to 63.

    Raises:
        VirqsimError: there is no such pin, vector or destination.
    """
    for name, value, low, high in (("pin", pin, 0, 31), ("vector", vector, 16, 1023), ("destination", destination, 0, 63)):
        if not low <= value <= high:
            raise VirqsimError(f"ioepic_route: {name}: {value} is not in {low}..{high}")
    page, cepic = IOEPIC + pin * _PIN_BYTES, destination >> 4 << 8 | destination & 15
    control = (_LEVEL if level else 0) | (_MASKED if masked else 0)
    program.mmio_write(page + _INT_CTRL, 4, _MASKED).mmio_write(page + _MSG_DATA, 4, vector)
    return program.mmio_write(page + _ADDR_LOW, 4, cepic << 6).mmio_write(page + _INT_CTRL, 4, control)


def ioepic_level_eoi(program: Program, pin: int) -> Program:
    """The end of a level's interrupt, after the CEPIC's EOI (Linux for e2k: ioepic_level_eoi_fast(), version 2)."""
    return program.mmio_write(IOEPIC + pin * _PIN_BYTES + _INT_CTRL, 4, _DELIVERY_STATUS)


def wide(program: Program, *causes: str) -> Program:
    """Of Elbrus: one wide instruction that does several things, each with a cause of interception.

    Args:
        causes: by their names (`virqsim list exit-reasons`): `cu:` ones once each, of `mu:` ones up to 11.

    Raises:
        VirqsimError: a cause is unknown, or there are too many.
    """
    numbers = {row["name"]: row["number"] for row in library.describe()["exit_reasons"] if row["vendor"] == "e2k"}
    known = sorted(name for name in numbers if ":" in name and name != "cu:wait_trap")
    for cause in causes:
        if cause not in known:
            raise VirqsimError(f"wide: '{cause}' is no cause of an instruction's (there are: {', '.join(known)})")
    bits = {numbers[cause] for cause in causes if numbers[cause] < _MU}
    events = [numbers[cause] - _MU for cause in causes if numbers[cause] >= _MU]
    if len(events) > _MU_ENTRIES:
        raise VirqsimError(f"wide: {len(events)} entries of INTC_INFO_MU are too many (at most {_MU_ENTRIES})")
    return program.intercept(sum(1 << bit for bit in bits), sum(event << 5 * n for n, event in enumerate(events)),
                             len(events))


def pit_periodic(program: Program, hz: int) -> Program:
    """Counter 0 in mode 2, so many interrupts a second on input 0 (8254 data sheet, "Rate generator").

    Raises:
        VirqsimError: the 16-bit counter cannot divide to that.
    """
    count = round(PIT_HZ / hz) if hz > 0 else 0
    if not 2 <= count <= 0xFFFF:
        raise VirqsimError(f"pit_periodic: {hz} Hz: the PIT's counter makes {PIT_HZ // 0xFFFF + 1} to {PIT_HZ // 2}")
    return program.port_out(0x43, 1, 0x34).port_out(0x40, 1, count & 0xFF).port_out(0x40, 1, count >> 8)


_IDE, _IDE_CONTROL, _BUS_MASTER = 0x1F0, 0x3F6, 0xC000
_ERROR, _COUNT, _LOW, _MID, _HIGH, _DEVICE, _STATUS = range(1, 8)
_READ_DMA, _START, _TO_MEMORY, _BM_INTERRUPT = 0xC8, 1, 8, 4


def ide_issue(program: Program, disk: int, lba: int = 0, sectors: int = 8) -> Program:
    """Linux's libata issues a READ DMA to an IDE disk of the plan: 18 port accesses, as KVM of Linux 6.1 saw them.

    The device is selected by ata_bmdma_dev_select(), its address is written by ata_sff_tf_load(), the bus master is set
    up and started by ata_bmdma_setup() and ata_bmdma_start().

    Raises:
        VirqsimError: the address or the number of sectors does not fit 28 bits, or 8.
    """
    if not 0 <= lba < 1 << 28 or not 1 <= sectors <= 256:
        raise VirqsimError(f"ide_issue: {sectors} sectors from {lba} are not 1 to 256 below 2**28")
    program.disk_issue(disk).port_in(_IDE + _STATUS, 1)
    program.port_out(_IDE + _DEVICE, 1, 0xA0).port_in(_IDE_CONTROL, 1).port_in(_IDE + _STATUS, 1)
    values = (0, sectors & 0xFF, lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF, 0xE0 | lba >> 24)
    for register, value in zip((_ERROR, _COUNT, _LOW, _MID, _HIGH, _DEVICE), values, strict=True):
        program.port_out(_IDE + register, 1, value)
    program.port_in(_IDE + _STATUS, 1).port_out(_BUS_MASTER + 4, 4, 0x57B2000)
    program.port_in(_BUS_MASTER, 1).port_out(_BUS_MASTER, 1, _TO_MEMORY)
    program.port_out(_IDE + _STATUS, 1, _READ_DMA).port_in(_IDE_CONTROL, 1)
    return program.port_in(_BUS_MASTER, 1).port_out(_BUS_MASTER, 1, _TO_MEMORY | _START)


def ide_complete(program: Program, disk: int, word: int) -> Program:
    """Linux's ata_bmdma_interrupt() for a transfer that is over: eight port accesses; then the request is done.

    The number of completed requests is added to the shared word `word`.
    """
    program.disk_interrupt(disk).port_in(_BUS_MASTER + 2, 1).port_in(_BUS_MASTER, 1)
    program.port_out(_BUS_MASTER, 1, _TO_MEMORY).port_in(_IDE_CONTROL, 1).port_in(_IDE_CONTROL, 1)
    program.port_in(_IDE + _STATUS, 1).port_in(_BUS_MASTER + 2, 1).port_out(_BUS_MASTER + 2, 1, _BM_INTERRUPT)
    return program.disk_reap(disk, word)


SERIAL_FIFO = 16
"""Bytes: of a 16550; an 8250 takes one."""

_COM1 = 0x3F8
_IER, _IIR, _FCR, _LCR, _MCR, _LSR, _MSR = 1, 2, 2, 3, 4, 5, 6


def serial_start(program: Program, fifo: bool = True) -> Program:
    """Sets a 16550 up for a terminal: 115200 baud, 8 bits, FIFOs, OUT2; interrupts of received data and line status."""
    for register, value in ((_LCR, 0x83), (0, 1), (_IER, 0), (_LCR, 3), (_FCR, 7 if fifo else 0), (_MCR, 0x0B), (_IER, 5)):
        program.port_out(_COM1 + register, 1, value)
    return program


def serial_write(program: Program) -> Program:
    """Linux's serial8250_start_tx(): the interrupt of an empty transmitter, which brings the bytes, is enabled."""
    return program.port_out(_COM1 + _IER, 1, 7)


def serial_transmit(program: Program, text: bytes, fifo: int = SERIAL_FIFO) -> Program:
    """Linux's serial8250_interrupt() for it: as many bytes at a time as the transmitter takes, after which nothing is left to write.

    QEMU's has sent them before the next look, so that the handler goes round again: IIR, LSR, MSR, and the bytes.

    Raises:
        VirqsimError: there is nothing to write, or the FIFO takes 1 to 16.
    """
    for chunk in _chunks("serial_transmit", text, fifo):
        program.port_in(_COM1 + _IIR, 1).port_in(_COM1 + _LSR, 1).port_in(_COM1 + _MSR, 1)
        for byte in chunk:
            program.port_out(_COM1, 1, byte)
    return program.port_out(_COM1 + _IER, 1, 5).port_in(_COM1 + _IIR, 1)


def serial_print(program: Program, text: bytes, fifo: int = SERIAL_FIFO) -> Program:
    """Linux's serial8250_console_write(), the kernel's own messages: no interrupts, and a look at LSR before each byte, or
    before as many as the FIFO takes.

    Raises:
        VirqsimError: as serial_transmit().
    """
    program.port_in(_COM1 + _IER, 1).port_out(_COM1 + _IER, 1, 0)
    for chunk in _chunks("serial_print", text, fifo):
        program.port_in(_COM1 + _LSR, 1)
        for byte in chunk:
            program.port_out(_COM1, 1, byte)
    return program.port_in(_COM1 + _LSR, 1).port_out(_COM1 + _IER, 1, 5)


def _chunks(who: str, text: bytes, fifo: int) -> list[bytes]:
    if not text:
        raise VirqsimError(f"{who}: there is nothing to write")
    if not 1 <= fifo <= SERIAL_FIFO:
        raise VirqsimError(f"{who}: fifo: {fifo} is not in 1..{SERIAL_FIFO}")
    return [text[at:at + fifo] for at in range(0, len(text), fifo)]


def serial_nothing(program: Program) -> Program:
    """The same for an interrupt that has gone: one look."""
    return program.port_in(_COM1 + _IIR, 1)
