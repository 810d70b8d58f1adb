"""What came of an operation, as facts, and as the lines `! …` of a log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

NO_VECTOR = (2, 4, 5)  # SMI, NMI, INIT: the vector of such a message means nothing

REGISTERS = ("irr", "isr", "tmr")


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """A message left the I/O APIC."""

    dest: int
    logical: bool
    delivery: int
    vector: int
    level: bool

    def __str__(self) -> str:
        return (f"msg dest=0x{self.dest:02x} {'log' if self.logical else 'phys'} del={self.delivery} "
                f"vec=0x{self.vector:02x} {'level' if self.level else 'edge'}")


@dataclass(frozen=True, slots=True, order=True)
class Waits:
    """A CPU received INIT, and waits for a start-up IPI."""

    cpu: int

    def __str__(self) -> str:
        return f"mp {self.cpu} wait-for-sipi"


@dataclass(frozen=True, slots=True, order=True)
class Starts:
    """A CPU left that state, and starts at the page that the IPI named."""

    cpu: int
    page: int

    def __str__(self) -> str:
        return f"mp {self.cpu} run cs=0x{self.page:02x}00 ip=0x0000"


@dataclass(frozen=True, slots=True, order=True)
class Nmi:
    """A CPU got an NMI."""

    cpu: int

    def __str__(self) -> str:
        return f"nmi {self.cpu}"


@dataclass(frozen=True, slots=True, order=True)
class Bit:
    """A bit of IRR, ISR or TMR changed."""

    cpu: int
    register: str
    on: bool
    vector: int

    def __str__(self) -> str:
        return f"lapic {self.cpu} {self.register}{'+' if self.on else '-'}{self.vector:02x}"


@dataclass(frozen=True, slots=True, order=True)
class RemoteIrr:
    """Remote IRR of an entry of the I/O APIC changed."""

    pin: int
    on: bool

    def __str__(self) -> str:
        return f"ioapic pin {self.pin} rirr={self.on:d}"


Fact = Message | Waits | Starts | Nmi | Bit | RemoteIrr
_KINDS = (Message, Waits, Starts, Nmi, Bit, RemoteIrr)

FORMS = ("msg dest=0xDD phys|log del=D vec=0xVV edge|level", "mp ID wait-for-sipi", "mp ID run cs=0xCC00 ip=0x0000",
         "nmi ID", "lapic ID irr+VV,… irr-VV,… isr… tmr…", "ioapic pin N rirr=0|1")

_MESSAGE = re.compile(r"msg dest=0x([0-9a-f]{2,8}) (phys|log) del=([0-7]) vec=0x([0-9a-f]{2}) (edge|level)")
_WAITS = re.compile(r"mp (\d+) wait-for-sipi")
_STARTS = re.compile(r"mp (\d+) run cs=0x([0-9a-f]{2})00 ip=0x0000")
_NMI = re.compile(r"nmi (\d+)")
_BITS = re.compile(r"lapic (\d+)((?: (?:irr|isr|tmr)[+-][0-9a-f]{2}(?:,[0-9a-f]{2})*)+)")
_REMOTE_IRR = re.compile(r"ioapic pin (\d+) rirr=([01])")


def parse(line: str) -> list[Fact] | None:
    """The facts of a line without its `!`; None: it is in none of the FORMS."""
    if bits := _BITS.fullmatch(line):
        cpu, groups = int(bits[1]), bits[2].split()
        return [Bit(cpu, group[:3], group[3] == "+", int(vector, 16))
                for group in groups for vector in group[4:].split(",")]
    if irr := _REMOTE_IRR.fullmatch(line):
        return [RemoteIrr(int(irr[1]), irr[2] == "1")]
    if msg := _MESSAGE.fullmatch(line):
        dest, mode, delivery, vector, trigger = msg.groups()
        return [Message(int(dest, 16), mode == "log", int(delivery), int(vector, 16), trigger == "level")]
    if nmi := _NMI.fullmatch(line):
        return [Nmi(int(nmi[1]))]
    if waits := _WAITS.fullmatch(line):
        return [Waits(int(waits[1]))]
    if starts := _STARTS.fullmatch(line):
        return [Starts(int(starts[1]), int(starts[2], 16))]
    return None


def comparable(facts: Iterable[Fact]) -> list[Fact]:
    """Without what means nothing: the vector of a message that carries none."""
    return [Message(f.dest, f.logical, f.delivery, 0, f.level)
            if isinstance(f, Message) and f.delivery in NO_VECTOR else f for f in facts]


def lines(facts: Iterable[Fact]) -> list[str]:
    """The lines that say so, without their `!`: messages as they left, then CPU by CPU, then the entries."""
    facts = list(facts)
    said = [str(f) for f in facts if isinstance(f, Message)]
    cpus = sorted((f for f in facts if not isinstance(f, Message | RemoteIrr)),
                  key=lambda f: (f.cpu, _KINDS.index(type(f))))
    for (cpu, kind), group in groupby(cpus, key=lambda f: (f.cpu, type(f))):
        said += [_bits(cpu, list(group))] if kind is Bit else map(str, group)
    return said + [str(f) for f in sorted(f for f in facts if isinstance(f, RemoteIrr))]


def _bits(cpu: int, bits: list[Bit]) -> str:
    words = [f"lapic {cpu}"]
    for register in REGISTERS:
        for on in (True, False):
            vectors = sorted(b.vector for b in bits if b.register == register and b.on == on)
            if vectors:
                words.append(f"{register}{'+' if on else '-'}" + ",".join(f"{v:02x}" for v in vectors))
    return " ".join(words)
