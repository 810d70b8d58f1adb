"""The chips' state as the lines `= …` that follow a dump, and as the words of `set`."""

from __future__ import annotations

import re
from typing import Any

from .chips import Chips
from .values import number, vectors, vectors_text

# The fields of a line, in order: name, hexadecimal digits; 0: decimal; None: a list of vectors.
_FIELDS: dict[str, dict[str, int | None]] = {
    "pic": {"irr": 2, "isr": 2, "imr": 2, "base": 2, "elcr": 2, "high": 0},
    "ioapic": {"redir": 16},
    "lapic": {"id": 8, "tpr": 2, "ldr": 8, "dfr": 8, "svr": 3, "lvtt": 5, "lint0": 5, "lint1": 5, "lvterr": 5,
              "irr": None, "isr": None, "tmr": None},
}
_LAPIC_OFFSETS = {"tpr": 0x080, "dfr": 0x0e0, "svr": 0x0f0, "lvtt": 0x320, "lint0": 0x350, "lint1": 0x360,
                  "lvterr": 0x370, "isr": 0x100, "tmr": 0x180, "irr": 0x200}

PARTS = ("pic", "ioapic", "lapic")

_SUBJECT = re.compile(r"(?P<pic>pic[01])|(?P<ioapic>ioapic pin \d+)|(?P<lapic>lapic \d+)")

State = tuple[str, dict[str, Any]]


def parse(line: str) -> State | None:
    """What a line without its `=` is about, and its fields; None: there is no such form."""
    if not (subject := _SUBJECT.match(line)):
        return None
    known, fields = _FIELDS[subject.lastgroup], {}
    for word in line[subject.end():].split():
        name, _, text = word.partition("=")
        value = vectors(text) if known.get(name, 0) is None else number(text)
        if name not in known or name in fields or value is None:
            return None
        fields[name] = value
    return (subject[0], fields) if fields else None


def text(subject: str, fields: dict[str, Any]) -> str:
    """The line, without its `=`."""
    known = _FIELDS[subject.rstrip("01") if subject.startswith("pic") else subject.split()[0]]
    words = [f"{name}={field_text(known[name], fields[name])}" for name in known if name in fields]
    return " ".join([subject, *words])


def field_text(digits: int | None, value: Any) -> str:
    """One value, as its field has it."""
    if digits is None:
        return vectors_text(value)
    return f"0x{value:0{digits}x}" if digits else str(value)


def dump(chips: Chips, part: str | None) -> list[State]:
    """What `dump` prints of one part, or of all that the board has."""
    said: list[State] = []
    if part in ("pic", None):
        said += [(f"pic{n}", _pic(chips.pic(n))) for n in (0, 1)]
    if part in ("ioapic", None):
        said += [(f"ioapic pin {n}", {"redir": entry}) for n, entry in enumerate(chips.ioapic().entry)]
    if part in ("lapic", None):
        said += [(f"lapic {apic_id}", _lapic(chips.lapic(n))) for n, apic_id in enumerate(chips.apic_ids)]
    return said


def _pic(state: Any) -> dict[str, int]:
    return {"irr": state.request, "isr": state.in_service, "imr": state.mask, "base": state.base,
            "elcr": state.elcr, "high": state.highest}


def _lapic(state: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": state.id, "ldr": state.logical_id}
    for name, offset in _LAPIC_OFFSETS.items():
        is_set = _FIELDS["lapic"][name] is None
        fields[name] = vector_set(state, offset) if is_set else state.page[offset >> 4]
    return fields


def vector_set(state: Any, offset: int) -> list[int]:
    """The vectors in ISR (100H), TMR (180H) or IRR (200H), ascending."""
    words = [state.page[(offset >> 4) + n] for n in range(8)]
    return [32 * n + bit for n, word in enumerate(words) if word for bit in range(32) if word >> bit & 1]


# ---- set

_PIC_KEYS = {"irr": "request", "last": "level", "isr": "in_service", "imr": "mask", "base": "base",
             "high": "highest", "aeoi": "auto_eoi"}
_PIC_LIMITS = {"high": 7, "aeoi": 1}


def set_keys(subject: str, word: str) -> tuple[str, Any] | None:
    """One `key=value` of `set SUBJECT`; None: not of that subject, or no such value."""
    name, _, text = word.partition("=")
    if subject == "lapic" and name in ("irr", "isr", "tmr"):
        value, limit = vectors(text), None
    else:
        value, limit = number(text), _limit(subject, name)
        if limit is None or value is None or value > limit:
            return None
    return None if value is None else (name, value)


def _limit(subject: str, name: str) -> int | None:
    """The largest value of a number; None: there is no such key."""
    if subject in ("pic0", "pic1"):
        return _PIC_LIMITS.get(name, 0xff) if name in _PIC_KEYS else None
    if subject == "lapic":
        return 0xff if name == "tpr" else None
    if name == "irr":
        return 0xffffff
    return 2**64 - 1 if re.fullmatch(r"redir(\d|1\d|2[0-3])", name) else None


def set_pic(chips: Chips, chip: int, keys: dict[str, int]) -> None:
    """`set pic0|pic1 …`: what is not named stays."""
    state = chips.pic(chip)
    for name, value in keys.items():
        setattr(state, _PIC_KEYS[name], value)
    chips.load_pic(chip, state)


def set_ioapic(chips: Chips, keys: dict[str, int]) -> None:
    """`set ioapic …`: what is not named stays."""
    state = chips.ioapic()
    for name, value in keys.items():
        if name == "irr":
            state.level = value
        else:
            state.entry[int(name.removeprefix("redir"))] = value
    chips.load_ioapic(state)


def set_lapic(chips: Chips, cpu: int, keys: dict[str, Any]) -> None:
    """`set lapic ID …`: what is not named stays."""
    state = chips.lapic(cpu)
    for name, value in keys.items():
        first = _LAPIC_OFFSETS[name] >> 4
        if name == "tpr":
            state.page[first] = value
            continue
        for n in range(8):
            state.page[first + n] = sum(1 << vector % 32 for vector in value if vector // 32 == n)
    chips.load_lapic(cpu, state)
