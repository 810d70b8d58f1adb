"""The I/O APIC: its registers, entries and messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..effects import Message
from .words import DELIVERIES, level_change

_NAMES = {0x00: "ID", 0x01: "version", 0x02: "arbitration ID"}
_SELECT, _WINDOW, _EOI = 0x00, 0x10, 0x40
_FIRST_ENTRY, _END_OF_ENTRIES = 0x10, 0x40


def access(before: Any, offset: int, value: int, written: bool) -> str:
    """`mw`, `mr` to the I/O APIC's page."""
    if offset == _SELECT:
        return f"IOREGSEL {'selects' if written else 'has selected'} {register(value & 0xff)}"
    if offset == _EOI:
        return f"EOI register: ends vector 0x{value & 0xff:02x}" if written else "EOI register"
    if offset != _WINDOW:
        return "no register of the I/O APIC"
    select = before.select
    said = register(select)
    if not _FIRST_ENTRY <= select < _END_OF_ENTRIES:
        return f"{said} {'=' if written else 'is'} 0x{value:08x}"
    return f"{said}: {f'destination 0x{value >> 24:02x}' if select & 1 else low_half(value)}"


def register(number: int) -> str:
    """The name of what IOREGSEL says."""
    if _FIRST_ENTRY <= number < _END_OF_ENTRIES:
        pin, half = divmod(number - _FIRST_ENTRY, 2)
        return f"entry {pin}, {'high' if half else 'low'} half"
    return _NAMES.get(number, f"reserved register 0x{number:02x}")


def low_half(value: int) -> str:
    """What an entry says, but for its destination."""
    said = [f"vector 0x{value & 0xff:02x}", DELIVERIES[value >> 8 & 7], "logical" if value >> 11 & 1 else "physical",
            "level" if value >> 15 & 1 else "edge"]
    said += [name for bit, name in ((13, "active low"), (14, "Remote IRR"), (16, "masked")) if value >> bit & 1]
    return ", ".join(said)


def pin(before: Any, after: Any, number: int, level: int, sent: bool) -> str:
    """`pin`: what it did, and why no message left if none did."""
    said = f"pin {number} {level_change(before.level >> number & 1, level)}"
    if sent or not level:
        return said
    entry = after.entry[number]
    if entry >> 16 & 1:
        return f"{said}: entry {number} is masked"
    if entry >> 15 & 1:
        waits = f"{said}: Remote IRR is set, the entry waits for EOI of 0x{entry & 0xff:02x}"
        return waits if entry >> 14 & 1 else said
    return f"{said}: no edge" if before.level >> number & 1 else said


def message(pin: int, sent: Message, apic_ids: Sequence[int]) -> str:
    """`entry 4 sends vector 0x31, fixed, to CPU 2`."""
    delivery = DELIVERIES[sent.delivery]
    what = f"vector 0x{sent.vector:02x}, {delivery}" if sent.delivery in (0, 1, 6) else delivery
    to = destination(sent.dest, sent.logical, apic_ids)
    return f"entry {pin} sends {what}, {'level, ' if sent.level else ''}{to}"


def destination(dest: int, logical: bool, apic_ids: Sequence[int]) -> str:
    """`to CPU 2`, `to logical 0x0c`."""
    if logical:
        return f"to logical 0x{dest:02x}"
    if dest in apic_ids:
        return f"to CPU {dest}"
    return "to all" if dest in (0xff, 0xffffffff) and apic_ids else f"to physical 0x{dest:02x}"
