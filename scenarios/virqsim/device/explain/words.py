"""Small pieces of sentences."""

from __future__ import annotations

from collections.abc import Iterable

DELIVERIES = ("fixed", "lowest priority", "SMI", "reserved mode 3", "NMI", "INIT", "start-up", "ExtINT")
SHORTHANDS = (None, "self", "all including self", "all but self")


def some(things: Iterable[object], nothing: str = "nothing") -> str:
    """`a, b, c`, or `nothing`."""
    return ", ".join(map(str, things)) or nothing


def bits(value: int) -> list[int]:
    """The numbers of the bits that are set."""
    return [n for n in range(value.bit_length()) if value >> n & 1]


def inputs(value: int, nothing: str = "nothing") -> str:
    """`IR0, IR3`: the inputs of an 8259A that a byte names."""
    return some((f"IR{n}" for n in bits(value)), nothing)


def vectors(numbers: Iterable[int]) -> str:
    """`0x31, 0x41`."""
    return some(f"0x{vector:02x}" for vector in numbers)


def level_change(before: int, after: int) -> str:
    """What a line did."""
    if before == after:
        return "stays high" if after else "stays low"
    return "rises" if after else "falls"


def changes(name: str, before: int, after: int) -> list[str]:
    """`master IRR gets IR4`: what became of a byte of an 8259A."""
    gets, loses = after & ~before, before & ~after
    return [f"{name} {verb} {inputs(value)}" for verb, value in (("gets", gets), ("loses", loses)) if value]
