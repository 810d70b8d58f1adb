"""The local APIC: its registers by their table, and what a CPU takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ... import registers
from ..chips import MODES
from ..states import vector_set
from .ioapic import destination
from .words import DELIVERIES, SHORTHANDS, vectors

_APIC_BASE, _TSC_DEADLINE, _ICR, _SELF_IPI = 0x1b, 0x6e0, 0x830, 0x83f
_IRR, _SVR = 0x200, 0xf0
_TIMER_MODES = ("one-shot", "periodic", "TSC deadline", "reserved mode")


@cache
def _row(offset: int) -> dict[str, Any] | None:
    """The register at an offset of the page; a group of eight has many offsets."""
    for row in registers.chip("lapic")["rows"]:
        if row["offset"] <= offset < row["offset"] + row.get("count", 1) * 16:
            return row
    return None


def register(offset: int) -> str:
    """Its name and title; `reserved 0x…`."""
    row = _row(offset)
    if row is None:
        return f"reserved register 0x{offset:03x}"
    if "count" in row:
        first = (offset - row["offset"]) // 16 * 32
        return f"{row['name']}, vectors 0x{first:02x} to 0x{first + 31:02x}"
    return f"{row['name']} ({row['title']})"


def access(state: Any, apic_ids: Sequence[int], offset: int, value: int, written: bool) -> str:
    """`mw`, `mr` in the page."""
    row = _row(offset)
    name = row["name"] if row else ""
    if written and name == "EOI":
        return "EOI"
    if written and name == "ICR_LO":
        return ipi(value, state.page[0x31] >> 24, apic_ids)
    if row and "count" in row:
        first = (offset - row["offset"]) // 16 * 32
        return f"{register(offset)}: {vectors(first + n for n in range(32) if value >> n & 1)}"
    meaning = _meaning(name, value)
    said = f"{register(offset)} {'=' if written else 'is'} 0x{value:08x}"
    return f"{said}: {meaning}" if meaning else said


def _meaning(name: str, value: int) -> str:
    if name == "SVR":
        return f"{'enabled' if value >> 8 & 1 else 'software-disabled'}, spurious vector 0x{value & 0xff:02x}"
    if name in ("TPR", "PPR"):
        return f"classes above {value >> 4 & 15:X} pass"
    if name.startswith("LVT_"):
        return _lvt(name, value)
    return ""


def _lvt(name: str, value: int) -> str:
    masked = ["masked"] if value >> 16 & 1 else []
    if name == "LVT_TIMER":
        return ", ".join([f"vector 0x{value & 0xff:02x}", _TIMER_MODES[value >> 17 & 3], *masked])
    if name == "LVT_ERROR":
        return ", ".join([f"vector 0x{value & 0xff:02x}", *masked])
    delivery = value >> 8 & 7
    what = [f"vector 0x{value & 0xff:02x}"] if delivery == 0 else []
    return ", ".join([*what, DELIVERIES[delivery], *masked])


def ipi(icr: int, dest: int, apic_ids: Sequence[int]) -> str:
    """`ICR: vector 0x41, fixed, to CPU 1`."""
    delivery, shorthand = icr >> 8 & 7, SHORTHANDS[icr >> 18 & 3]
    to = f"to {shorthand}" if shorthand else destination(dest, bool(icr >> 11 & 1), apic_ids)
    deassert = ", level de-assert" if icr >> 14 & 3 == 2 else ""
    what = f"vector 0x{icr & 0xff:02x}, " if delivery in (0, 1, 6) else ""
    return f"ICR: {what}{DELIVERIES[delivery]}{deassert}, {to}"


def msi(address: int, data: int, apic_ids: Sequence[int]) -> str:
    """`MSI: vector 0x41, fixed, edge, to CPU 1`."""
    delivery = data >> 8 & 7
    what = f"vector 0x{data & 0xff:02x}, " if delivery in (0, 1) else ""
    hint = ", redirection hint" if address >> 3 & 1 else ""
    return (f"MSI: {what}{DELIVERIES[delivery]}, {'level' if data >> 15 & 1 else 'edge'}{hint}, "
            f"{destination(address >> 12 & 0xff, bool(address >> 2 & 1), apic_ids)}")


def msr(before: Any, after: Any, apic_ids: Sequence[int], number: int, value: int | None, written: bool) -> str:
    """`wrmsr`, `rdmsr`; without a value it was refused."""
    if value is None:
        return f"#GP(0): {_msr_name(number)}, {MODES[before.mode]} mode"
    if number == _APIC_BASE and written:
        was, now = MODES[before.mode], MODES[after.mode]
        return f"IA32_APIC_BASE: {was} to {now} mode" if was != now else f"IA32_APIC_BASE: stays in {now} mode"
    if number in (_APIC_BASE, _TSC_DEADLINE):
        return f"{_msr_name(number)} {'=' if written else 'is'} 0x{value:x}"
    if number == _ICR and written:
        return ipi(value & 0xffffffff, value >> 32, apic_ids)
    if number == _SELF_IPI and written:
        return f"self IPI: vector 0x{value & 0xff:02x}"
    return access(before, apic_ids, (number - 0x800) << 4, value, written)


def _msr_name(number: int) -> str:
    if number in (_APIC_BASE, _TSC_DEADLINE):
        return "IA32_APIC_BASE" if number == _APIC_BASE else "IA32_TSC_DEADLINE"
    return register((number - 0x800) << 4) if 0x800 <= number < 0x840 else f"MSR 0x{number:x}"


def took(cpu: int, after: Any, vector: int) -> str:
    """`take` of a vector of the local APIC."""
    return f"CPU {cpu} takes 0x{vector:02x}: from IRR to ISR; PPR is 0x{after.ppr:02x}"


def why_not(cpu: int, state: Any) -> str:
    """`take`, and there was nothing."""
    if state.waits_for_sipi:
        return f"CPU {cpu} waits for a start-up IPI"
    requested = vector_set(state, _IRR)
    if not requested:
        return f"nothing is pending in CPU {cpu}"
    if state.mode == 0 or not state.page[_SVR >> 4] >> 8 & 1:
        return f"0x{requested[-1]:02x} is pending in CPU {cpu}, whose APIC is disabled"
    return f"0x{requested[-1]:02x} is pending in CPU {cpu}, but its class is not above PPR, 0x{state.ppr:02x}"
