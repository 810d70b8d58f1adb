"""The operations of a log: what each one's words must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import unknown
from . import states
from .values import number


class Malformed(ValueError):
    """A line is wrong; the text says what would be right."""


@dataclass(frozen=True)
class Form:
    """One operation: its arguments, each a name and the largest value; and what its result may be."""

    usage: str
    limits: tuple[int, ...]
    results: tuple[str, ...] = ()
    """Words that may stand after `->`, beside a number."""
    number: bool = False
    """A number may stand there."""
    needs_cpu: bool = False
    meaning: str = ""


_32, _64 = 2**32 - 1, 2**64 - 1
_ACCESS_SIZES = {"mw": 4, "mw16": 2, "mw8": 1, "mr": 4, "mr16": 2, "mr8": 1}

FORMS = {
    "outb": Form("outb PORT VALUE", (0xffff, 0xff), meaning="write a byte to a port"),
    "inb": Form("inb PORT", (0xffff,), number=True, meaning="read one"),
    "line": Form("line N LEVEL", (15, 1), meaning="drive input N of the 8259A pair"),
    "intr": Form("intr", (), number=True, meaning="the level of its INT"),
    "ack": Form("ack", (), number=True, meaning="an INTA cycle, whatever INT says: the vector"),
    "pin": Form("pin N LEVEL", (23, 1), meaning="drive input N of the I/O APIC"),
    "pinst": Form("pinst N LEVEL", (23, 1), ("delivered", "coalesced", "ignored"),
                  meaning="the same as KVM_IRQ_LINE_STATUS, which says what became of it"),
    "mr": Form("mr ADDRESS", (_64,), ("gp",), number=True, meaning="read memory: 32 bits; mr16, mr8"),
    "mr16": Form("mr16 ADDRESS", (_64,), ("gp",), number=True),
    "mr8": Form("mr8 ADDRESS", (_64,), ("gp",), number=True),
    "mw": Form("mw ADDRESS VALUE", (_64, _32), ("gp",), meaning="write memory: 32 bits; mw16, mw8"),
    "mw16": Form("mw16 ADDRESS VALUE", (_64, _32), ("gp",)),
    "mw8": Form("mw8 ADDRESS VALUE", (_64, _32), ("gp",)),
    "rdmsr": Form("rdmsr MSR", (_32,), ("gp",), number=True, needs_cpu=True, meaning="read an MSR"),
    "wrmsr": Form("wrmsr MSR VALUE", (_32, _64), ("ok", "gp"), needs_cpu=True, meaning="write one"),
    "msi": Form("msi ADDRESS DATA", (_32, _32), needs_cpu=True, meaning="a device's message-signalled interrupt"),
    "take": Form("take", (), ("none",), number=True, meaning="the CPU takes one interrupt, if there is one"),
    "cpu": Form("cpu ID", (_32,), needs_cpu=True, meaning="whose operations follow, by initial APIC ID"),
    "wait": Form("wait MILLISECONDS", (1_000_000,), meaning="let time pass, for timers"),
    "lp": Form("lp ID,ID,… VECTOR msi|mw|wrmsr …", (), ("one",), needs_cpu=True,
               meaning="lowest priority: one of these CPUs must get it; it takes and ends it"),
    "set": Form("set pic0|pic1|ioapic|lapic ID KEY=VALUE …", (), meaning="load state"),
    "dump": Form("dump [pic|ioapic|lapic]", (), meaning="print state"),
}
_SENDS = ("msi", "mw", "wrmsr")
_ATTRIBUTE = re.compile(r"(pic|open)|(mask|kvm)=(\S+)")
ATTRIBUTES = "{pic}, {open}, {mask=M}"


@dataclass(slots=True)
class Operation:
    """One operation, decoded."""

    name: str
    text: str
    """As it was written, without result and attributes."""
    arguments: tuple[Any, ...]


def size_of(name: str) -> int:
    """How many bytes a memory access moves."""
    return _ACCESS_SIZES[name]


def parse(words: list[str], apic_ids: tuple[int, ...]) -> Operation:
    """Decodes an operation and its arguments.

    Raises:
        Malformed: there is no such operation, or its arguments are not what it wants.
    """
    name = words[0]
    if name not in FORMS:
        raise Malformed(str(unknown("operation", name, FORMS)))
    form = FORMS[name]
    if form.needs_cpu and not apic_ids:
        raise Malformed(f"{name}: there is no CPU on this board; "
                        "a header line gives it some: config: apicids=0,1 ap=run")
    special = _SPECIAL.get(name)
    arguments = special(words, apic_ids) if special else _numbers(words, form)
    return Operation(name, " ".join(words), arguments)


def _numbers(words: list[str], form: Form) -> tuple[int, ...]:
    if len(words) - 1 != len(form.limits):
        raise Malformed(f"{len(words) - 1} arguments; write {form.usage}")
    return tuple(_at_most(word, limit, form.usage.split()[n])
                 for n, (word, limit) in enumerate(zip(words[1:], form.limits, strict=True), 1))


def _at_most(word: str, limit: int, what: str) -> int:
    value = number(word)
    if value is None:
        raise Malformed(f"{what} {word!r} is no number (decimal, or with 0x)")
    if value > limit:
        raise Malformed(f"{what} {word} is too large (0 to {limit if limit < 256 else hex(limit)})")
    return value


def _line(words: list[str], apic_ids: tuple[int, ...]) -> tuple[int, ...]:
    line, level = _numbers(words, FORMS["line"])
    if line == 2:
        raise Malformed("line 2 is the cascade, which the slave drives (0, 1, 3 to 15)")
    return line, level


def _msi(words: list[str], apic_ids: tuple[int, ...]) -> tuple[int, ...]:
    address, data = _numbers(words, FORMS["msi"])
    if address >> 20 != 0xfee:
        raise Malformed(f"ADDRESS {words[1]} is not that of a message (0xfee00000 to 0xfeefffff)")
    return address, data


def _cpu(words: list[str], apic_ids: tuple[int, ...]) -> tuple[int, ...]:
    (apic_id,) = _numbers(words, FORMS["cpu"])
    return (_known_cpu(str(apic_id), apic_ids),)


def _known_cpu(word: str, apic_ids: tuple[int, ...]) -> int:
    """The CPU's index."""
    if (apic_id := number(word)) not in apic_ids:
        raise Malformed(f"CPU {word} is unknown (config: apicids={','.join(map(str, apic_ids))})")
    return apic_ids.index(apic_id)


def _lp(words: list[str], apic_ids: tuple[int, ...]) -> tuple[Any, ...]:
    if len(words) < 4 or words[3] not in _SENDS:
        raise Malformed(f"write {FORMS['lp'].usage}")
    cpus = tuple(_known_cpu(word, apic_ids) for word in words[1].split(","))
    return cpus, _at_most(words[2], 0xff, "VECTOR"), parse(words[3:], apic_ids)


def _dump(words: list[str], apic_ids: tuple[int, ...]) -> tuple[Any, ...]:
    if len(words) > 2 or (len(words) == 2 and words[1] not in states.PARTS):
        raise Malformed(f"write {FORMS['dump'].usage}")
    return (words[1] if len(words) == 2 else None,)


def _set(words: list[str], apic_ids: tuple[int, ...]) -> tuple[Any, ...]:
    subject, rest = (words[1] if len(words) > 1 else ""), words[2:]
    if subject not in ("pic0", "pic1", "ioapic", "lapic"):
        raise Malformed(f"write {FORMS['set'].usage}")
    cpu = None
    if subject == "lapic":
        if not rest:
            raise Malformed(f"write {FORMS['set'].usage}")
        cpu, rest = _known_cpu(rest[0], apic_ids), rest[1:]
    keys = {}
    for word in rest:
        if not (pair := states.set_keys(subject, word)):
            raise Malformed(f"{word!r} is nothing that {subject} can be set to")
        keys[pair[0]] = pair[1]
    if not keys:
        raise Malformed(f"nothing is set; write {FORMS['set'].usage}")
    return subject, cpu, keys


_SPECIAL: dict[str, Callable[[list[str], tuple[int, ...]], tuple[Any, ...]]] = {
    "line": _line, "msi": _msi, "cpu": _cpu, "lp": _lp, "dump": _dump, "set": _set,
}


def check_result(name: str, result: str) -> None:
    """Is that something which this operation can give?

    Raises:
        Malformed: it is not.
    """
    form = FORMS[name]
    if not form.results and not form.number:
        raise Malformed(f"{name} has no result")
    if result in form.results or (form.number and number(result) is not None):
        return
    right = [*(["a number"] if form.number else []), *form.results]
    raise Malformed(f"result {result!r} is none of {name} ({', '.join(right)})")


def attributes(text: str) -> dict[str, str]:
    """What stands in braces behind an operation.

    Raises:
        Malformed: it is no attribute.
    """
    found = {}
    for word in text.split():
        if not (match := _ATTRIBUTE.fullmatch(word)):
            raise Malformed(f"attribute {word!r} is unknown (there are {ATTRIBUTES})")
        found[match[1] or match[2]] = match[3] or ""
        if match[2] == "mask" and number(match[3]) is None:
            raise Malformed(f"mask {match[3]!r} is no number")
    return found
