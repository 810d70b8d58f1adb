"""One operation of a log in words: what it says, then what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..effects import Bit, Fact, Message, Nmi, RemoteIrr, Starts, Waits
from ..operations import Operation
from ..replay import Answer, Board
from . import ioapic, lapic, pic
from .words import vectors


@dataclass
class _Snapshot:
    """The state of all chips."""

    pic: list[Any]
    ioapic: Any
    lapic: list[Any]


class Explainer:
    """Keeps the state before each operation.

    Args:
        board: at power-on, or as it is when the first operation comes.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._apic_ids = board.chips.apic_ids
        self._before = self._look()

    def _look(self) -> _Snapshot:
        chips = self._board.chips
        return _Snapshot([chips.pic(0), chips.pic(1)], chips.ioapic(),
                         [chips.lapic(n) for n in range(len(self._apic_ids))])

    def explain(self, operation: Operation, answer: Answer) -> str:
        """What the board's last operation did; empty for those that say it themselves."""
        messages = self._messages()
        before, after = self._before, self._look()
        self._before = after
        said = self._says(operation, answer, before, after, bool(messages))
        if operation.name == "take" and answer.result != "none" and not answer.from_pic:
            return said
        sent = [ioapic.message(pin, one, self._apic_ids) for pin, one in messages]
        drives = said and operation.name in ("pin", "pinst")
        said = (": " if drives else "; ").join([*filter(None, [said]), "; ".join(sent)]) if sent else said
        return "; ".join([*filter(None, [said]), *_facts(answer.effects, said), *pic.became(before.pic, after.pic)])

    def _messages(self) -> list[tuple[int, Message]]:
        kind = self._board.chips.lib.VIRQSIM_MESSAGE
        return [(e.where, self._board.message(e)) for e in self._board.chips.effects() if e.kind == kind]

    def _says(self, operation: Operation, answer: Answer, before: _Snapshot, after: _Snapshot, sent: bool) -> str:
        name, arguments = operation.name, operation.arguments
        if name == "outb":
            return pic.write(before.pic, *arguments)
        if name == "inb":
            return pic.read(before.pic, arguments[0], int(answer.result, 16))
        if name == "line":
            return pic.line(before.pic, *arguments)
        if name in ("pin", "pinst"):
            return ioapic.pin(before.ioapic, after.ioapic, *arguments, sent)
        if name in ("take", "ack"):
            return self._took(answer, before, after)
        if name == "msi":
            return lapic.msi(*arguments, self._apic_ids)
        if name in ("rdmsr", "wrmsr"):
            return self._msr(operation, answer, before, after)
        if name[0] == "m":
            return self._memory(operation, answer, before)
        return self._plain(operation, answer)

    def _took(self, answer: Answer, before: _Snapshot, after: _Snapshot) -> str:
        if answer.from_pic:
            return pic.acknowledged(before.pic, after.pic, int(answer.result, 16))
        if not self._apic_ids:
            return pic.why_not(before.pic)
        cpu = self._board.cpu
        if answer.result == "none":
            return lapic.why_not(self._apic_ids[cpu], before.lapic[cpu])
        return lapic.took(self._apic_ids[cpu], after.lapic[cpu], int(answer.result, 16))

    def _msr(self, operation: Operation, answer: Answer, before: _Snapshot, after: _Snapshot) -> str:
        cpu, written = self._board.cpu, operation.name == "wrmsr"
        value = None
        if answer.result != "gp":
            value = operation.arguments[1] if written else int(answer.result, 16)
        return lapic.msr(before.lapic[cpu], after.lapic[cpu], self._apic_ids, operation.arguments[0], value, written)

    def _memory(self, operation: Operation, answer: Answer, before: _Snapshot) -> str:
        written = operation.name.startswith("mw")
        address = operation.arguments[0]
        value = operation.arguments[1] if written else int(answer.result, 16)
        if answer.open_bus:
            return "nobody answers"
        if address >> 12 == 0xfec00:
            return ioapic.access(before.ioapic, address & 0xfff, value, written)
        if not self._apic_ids or before.lapic[self._board.cpu].mode != 1:
            return "nobody hears it"
        return lapic.access(before.lapic[self._board.cpu], self._apic_ids, address & 0xfff, value, written)

    def _plain(self, operation: Operation, answer: Answer) -> str:
        if operation.name == "cpu":
            return f"CPU {self._apic_ids[self._board.cpu]} acts from here on"
        if operation.name == "wait":
            return f"{operation.arguments[0]} ms pass"
        if operation.name == "intr":
            return f"INT is {'high' if answer.result == '1' else 'low'}"
        if operation.name == "lp":
            return "one of these CPUs gets it, takes it and ends it" if answer.result == "one" else answer.result or ""
        return "state is loaded" if operation.name == "set" else ""


def _facts(facts: list[Fact], said: str) -> list[str]:
    """What became of the CPUs and the entries, after what was `said`: of a CPU one phrase."""
    cpus: dict[int, dict[tuple[str, bool], list[int]]] = {}
    for fact in sorted(f for f in facts if isinstance(f, Bit)):
        cpus.setdefault(fact.cpu, {}).setdefault((fact.register, fact.on), []).append(fact.vector)
    phrases = [("its " if said.endswith(f"to CPU {cpu}") else f"CPU {cpu}: ") + " and ".join(_changed(bits))
               for cpu, bits in cpus.items()]
    return phrases + [words for fact in facts if (words := _other(fact))]


def _changed(bits: dict[tuple[str, bool], list[int]]) -> list[str]:
    """`IRR loses 0x31`, `IRR and TMR get 0x31`."""
    together: dict[tuple[bool, str], list[str]] = {}
    for (register, on), found in bits.items():
        together.setdefault((on, vectors(found)), []).append(register.upper())
    return [f"{' and '.join(names)} {('get' if on else 'lose') + ('s' if len(names) == 1 else '')} {found}"
            for (on, found), names in together.items()]


def _other(fact: Fact) -> str:
    if isinstance(fact, RemoteIrr):
        return f"entry {fact.pin}: Remote IRR is {'set' if fact.on else 'cleared'}"
    if isinstance(fact, Nmi):
        return f"CPU {fact.cpu} gets an NMI"
    if isinstance(fact, Waits):
        return f"CPU {fact.cpu} is reset and waits for a start-up IPI"
    if isinstance(fact, Starts):
        return f"CPU {fact.cpu} starts at 0x{fact.page:02x}000"
    return ""
