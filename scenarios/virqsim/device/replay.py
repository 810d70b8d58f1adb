"""A log on our models: each operation, and where our answer is another than the recorded one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ..errors import VirqsimError
from . import effects, states
from .chips import Chips
from .effects import Bit, Fact, Message, Nmi, RemoteIrr, Starts, Waits
from .log import Log, Step
from .operations import Operation, size_of
from .states import State
from .values import number

_DIGITS = {"inb": 2, "take": 2, "ack": 2, "rdmsr": 16, "mr": 8, "mr16": 8, "mr8": 8}


@dataclass(slots=True)
class Answer:
    """What our models said to one operation."""

    result: str | None = None
    from_pic: bool = False
    open_bus: bool = False
    effects: list[Fact] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """The result as a log has it."""
        return f"{self.result}{' {pic}' if self.from_pic else ''}{' {open}' if self.open_bus else ''}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was recorded and not ours, or ours and not recorded."""

    line: int
    operation: str
    recorded: str
    ours: str


class Board:
    """The chips that a log speaks of, as it drives them.

    Args:
        log: whose machine it is.
        follows: `manuals`, or with whose quirks (`qemu`, `kvm`).
    """

    def __init__(self, log: Log, follows: str) -> None:
        self.chips: Chips = log.board(follows)
        self.cpu = 0
        """The index of the current CPU."""
        self._path = log.path
        self._apic_ids = log.apic_ids
        self._everything = log.device if log.device in states.PARTS and not log.apic_ids else None
        """What a plain `dump` is of; None: all parts."""
        self._messages_are_seen = log.device == "ioapic" and not log.apic_ids
        lib = self.chips.lib
        self._access = {
            "outb": lib.VIRQSIM_PORT_WRITE, "inb": lib.VIRQSIM_PORT_READ, "line": lib.VIRQSIM_LINE,
            "intr": lib.VIRQSIM_INT, "ack": lib.VIRQSIM_INTA, "pin": lib.VIRQSIM_PIN, "msi": lib.VIRQSIM_MSI,
            "rdmsr": lib.VIRQSIM_MSR_READ, "wrmsr": lib.VIRQSIM_MSR_WRITE, "take": lib.VIRQSIM_TAKE,
        }
        for name in ("mr", "mr16", "mr8"):
            self._access[name] = lib.VIRQSIM_MEMORY_READ
        for name in ("mw", "mw16", "mw8"):
            self._access[name] = lib.VIRQSIM_MEMORY_WRITE
        self._others: dict[str, Callable[[Any], Answer]] = {
            "cpu": self._cpu, "wait": self._wait, "lp": self._lp, "set": self._set, "dump": self._dump,
            "pinst": self._pin_with_status,
        }

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.chips.close()

    def answer(self, step: Step) -> Answer:
        """What our models say to one operation of the log; the steps come in order.

        Raises:
            VirqsimError: it cannot be performed.
        """
        try:
            return self._perform(step.operation)
        except VirqsimError as error:
            raise VirqsimError(f"{self._path}:{step.line}: {step.operation.text!r}: {error}") from None

    def _perform(self, operation: Operation) -> Answer:
        if other := self._others.get(operation.name):
            return other(operation.arguments)
        return self._do(operation)

    # ---- accesses and wires

    def _do(self, operation: Operation) -> Answer:
        name, arguments = operation.name, operation.arguments
        size = size_of(name) if name[0] == "m" and name != "msi" else 4
        status, value = self.chips.do(self._access[name], self.cpu, size, *arguments)
        lib = self.chips.lib
        answer = Answer(effects=self._effects())
        if status in (lib.VIRQSIM_VALUE, lib.VIRQSIM_FROM_PIC, lib.VIRQSIM_OPEN_BUS):
            answer.result = f"0x{value:0{_DIGITS[name]}x}" if name in _DIGITS else str(value)
            answer.from_pic = status == lib.VIRQSIM_FROM_PIC
            answer.open_bus = status == lib.VIRQSIM_OPEN_BUS
        elif status == lib.VIRQSIM_NOTHING:
            answer.result = "none"
        elif status == lib.VIRQSIM_FAULT:
            answer.result = "gp"
        elif name == "wrmsr":
            answer.result = "ok"
        return answer

    def _effects(self) -> list[Fact]:
        return [fact for effect in self.chips.effects() if (fact := self.fact(effect))]

    def fact(self, effect: Any) -> Fact | None:
        """An effect in the words of the log; None: one that such a log does not have."""
        lib, kind = self.chips.lib, effect.kind
        if kind <= lib.VIRQSIM_TMR:
            return Bit(self._apic_ids[effect.where], effects.REGISTERS[kind], effect.on, effect.vector)
        if kind == lib.VIRQSIM_REMOTE_IRR:
            return RemoteIrr(effect.where, effect.on)
        if kind == lib.VIRQSIM_MESSAGE:
            return self.message(effect) if self._messages_are_seen else None
        cpu = self._apic_ids[effect.where]
        if kind == lib.VIRQSIM_NMI:
            return Nmi(cpu)
        return Waits(cpu) if kind == lib.VIRQSIM_INITIALIZED else Starts(cpu, effect.vector)

    @staticmethod
    def message(effect: Any) -> Message:
        """A VIRQSIM_MESSAGE effect."""
        return Message(effect.dest, effect.logical, effect.delivery, effect.vector, effect.on)

    # ---- what a log adds to them

    def _cpu(self, arguments: tuple[int]) -> Answer:
        (self.cpu,) = arguments
        return Answer()

    def _wait(self, arguments: tuple[int]) -> Answer:
        lib = self.chips.lib
        status, _ = self.chips.do(lib.VIRQSIM_WAIT, value=arguments[0])
        if status == lib.VIRQSIM_TOO_BUSY:
            raise VirqsimError("the timers expire too often for so long a wait; wait less, or give them longer periods")
        return Answer(effects=self._effects())

    def _pin_with_status(self, arguments: tuple[int, int]) -> Answer:
        """KVM_IRQ_LINE_STATUS, as KVM's ioapic_set_irq() answers it."""
        pin, level = arguments
        before = self.chips.ioapic()
        is_level_triggered, was_high = before.entry[pin] >> 15 & 1, before.level >> pin & 1
        self.chips.do(self.chips.lib.VIRQSIM_PIN, self.cpu, 4, pin, level)
        sent = any(effect.kind == self.chips.lib.VIRQSIM_MESSAGE for effect in self.chips.effects())
        if not level or sent:
            status = "delivered"
        else:
            status = "coalesced" if was_high and not is_level_triggered else "ignored"
        return Answer(status, effects=self._effects())

    def _lp(self, arguments: tuple[tuple[int, ...], int, Operation]) -> Answer:
        """Exactly one of these CPUs gets the vector, takes it and ends it."""
        cpus, vector, send = arguments
        sent = self._do(send)
        got = [self._apic_ids.index(f.cpu) for f in sent.effects
               if isinstance(f, Bit) and (f.register, f.on, f.vector) == ("irr", True, vector)]
        if len(got) != 1 or got[0] not in cpus:
            return Answer("none" if not got else "not one of them" if len(got) == 1 else f"{len(got)} of them")
        (cpu,) = got
        lib = self.chips.lib
        status, taken = self.chips.do(lib.VIRQSIM_TAKE, cpu)
        if status == lib.VIRQSIM_VALUE and taken == vector:
            self._end(cpu)
            return Answer("one")
        return Answer("one that does not take it")

    def _end(self, cpu: int) -> None:
        lib = self.chips.lib
        if self.chips.lapic(cpu).mode == 2:
            self.chips.do(lib.VIRQSIM_MSR_WRITE, cpu, address=0x80b)
        else:
            self.chips.do(lib.VIRQSIM_MEMORY_WRITE, cpu, address=0xfee000b0)

    def _set(self, arguments: tuple[str, int | None, dict[str, Any]]) -> Answer:
        subject, cpu, keys = arguments
        if subject == "lapic":
            states.set_lapic(self.chips, cpu, keys)
        elif subject == "ioapic":
            states.set_ioapic(self.chips, keys)
        else:
            states.set_pic(self.chips, int(subject[-1]), keys)
        return Answer()

    def _dump(self, arguments: tuple[str | None]) -> Answer:
        return Answer(states=states.dump(self.chips, arguments[0] or self._everything))


# ---- comparison: what must be equal


def compare(log: Log, step: Step, answer: Answer) -> list[Difference]:
    """Where our answer to one operation is another than the recorded one."""
    found = []
    operation = step.operation.text
    if step.result is not None and not _same_result(step, answer):
        recorded = step.result + (" {pic}" if "pic" in step.attributes else "")
        found.append(Difference(step.line, operation, recorded, answer.shown))
    if step.operation.name != "lp" and log.is_recording:
        found += _effects_differ(log, step, answer)
    if step.states:
        found += _states_differ(step, answer)
    return found


def _same_result(step: Step, answer: Answer) -> bool:
    recorded, ours = number(step.result), number(answer.result or "")
    if recorded is None or ours is None:
        return step.result == answer.result
    mask = number(step.attributes["mask"]) if "mask" in step.attributes else 2**64 - 1
    return (recorded ^ ours) & mask == 0 and ("pic" in step.attributes) == answer.from_pic


def _effects_differ(log: Log, step: Step, answer: Answer) -> list[Difference]:
    ours = answer.effects if log.nmis_are_seen else [f for f in answer.effects if not isinstance(f, Nmi)]
    if step.effects == ours:
        return []
    recorded, ours = Counter(effects.comparable(step.effects)), Counter(effects.comparable(ours))
    missing, added = recorded - ours, ours - recorded
    if not missing and not added:
        return []
    return [Difference(step.line, step.operation.text, _shown(missing), _shown(added))]


def _shown(facts: Counter[Fact]) -> str:
    return ", ".join(f"! {line}" for line in effects.lines(facts.elements())) or "no such effect"


def _states_differ(step: Step, answer: Answer) -> list[Difference]:
    ours, found = dict(answer.states), []
    for line, (subject, recorded) in step.states:
        have = ours.get(subject)
        if have is None:
            found.append(Difference(line, f"{step.operation.text}: {subject}", states.text(subject, recorded), "none"))
            continue
        differing = [name for name in recorded if have[name] != recorded[name]]
        if differing:
            said = [states.text(subject, {name: values[name] for name in differing}).removeprefix(f"{subject} ")
                    for values in (recorded, have)]
            found.append(Difference(line, f"{step.operation.text}: {subject}", *said))
    return found
