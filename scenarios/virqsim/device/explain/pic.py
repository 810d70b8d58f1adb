"""The 8259A pair: command words, and what became of them."""

from __future__ import annotations

from typing import Any

from .words import changes, inputs, level_change

_CHIPS = ("master", "slave")
_ELCR_PORTS = (0x4d0, 0x4d1)
_PORTS = (0x20, 0x21, 0xa0, 0xa1)

# OCW2 bits 7 to 5, as the data sheet names them.
_OCW2 = ("rotate in automatic EOI mode is cleared", "non-specific EOI", "no operation", "specific EOI of IR{level}",
         "rotate in automatic EOI mode is set", "rotate on non-specific EOI", "IR{level} gets the lowest priority",
         "rotate on specific EOI of IR{level}")


def write(before: list[Any], port: int, value: int) -> str:
    """`outb`: which command word it is, and what it says."""
    if port in _ELCR_PORTS:
        return f"{_CHIPS[port & 1]} ELCR: level triggered: {inputs(value)}"
    if port not in _PORTS:
        return "no port of the 8259A pair"
    chip = port >> 7 & 1
    return f"{_CHIPS[chip]} {_at_a1(before[chip], chip, value) if port & 1 else _at_a0(value)}"


def _at_a0(value: int) -> str:
    if value & 0x10:
        return (f"ICW1: {'level' if value & 8 else 'edge'} triggered, {'single' if value & 2 else 'cascade'}, "
                f"{'ICW4 follows' if value & 1 else 'no ICW4'}")
    if value & 0x08:
        return f"OCW3: {_ocw3(value)}"
    return f"OCW2: {_OCW2[value >> 5].format(level=value & 7)}"


def _ocw3(value: int) -> str:
    said = []
    if value & 0x40:
        said.append(f"special mask mode is {'set' if value & 0x20 else 'reset'}")
    if value & 0x04:
        said.append("the next read is a poll")
    elif value & 0x02:
        said.append(f"reads give {'ISR' if value & 1 else 'IRR'}")
    return ", ".join(said) or "no operation"


def _at_a1(before: Any, chip: int, value: int) -> str:
    if before.awaits == 2:
        return f"ICW2: vectors 0x{value & 0xf8:02x} to 0x{value | 7:02x}"
    if before.awaits == 3:
        return f"ICW3: identity {value & 7}" if chip else f"ICW3: slaves at {inputs(value)}"
    if before.awaits == 4:
        return f"ICW4: {_icw4(value)}"
    return f"OCW1: masked: {inputs(value)}"


def _icw4(value: int) -> str:
    said = ["8086 mode" if value & 1 else "MCS-80/85 mode"]
    said += [name for bit, name in ((1, "automatic EOI"), (3, "buffered"), (4, "special fully nested"))
             if value >> bit & 1]
    return ", ".join(said)


def read(before: list[Any], port: int, value: int) -> str:
    """`inb`: which register it was, and what that says."""
    if port in _ELCR_PORTS:
        return f"{_CHIPS[port & 1]} ELCR: level triggered: {inputs(value)}"
    if port not in _PORTS:
        return "no port of the 8259A pair"
    chip = port >> 7 & 1
    if before[chip].poll:
        return f"{_CHIPS[chip]} poll word: {f'IR{value & 7}' if value & 0x80 else 'nothing'} wants service"
    if port & 1:
        return f"{_CHIPS[chip]} IMR: masked: {inputs(value)}"
    register = "ISR" if before[chip].read_in_service else "IRR"
    return f"{_CHIPS[chip]} {register}: {inputs(value)}"


def line(before: list[Any], number: int, level: int) -> str:
    """`line`."""
    chip, ir = divmod(number, 8)
    return f"line {number}, {name(number)}, {level_change(before[chip].level >> ir & 1, level)}"


def name(line: int) -> str:
    """`IR1 of the slave`."""
    return f"IR{line % 8} of the {_CHIPS[line // 8]}"


def acknowledged(before: list[Any], after: list[Any], vector: int) -> str:
    """`take`, `ack`: whose vector it was."""
    answering = [chip for chip in (0, 1) if vector & 0xf8 == before[chip].base]
    served = [chip for chip in answering if after[chip].in_service & ~before[chip].in_service
              or after[chip].auto_eoi and after[chip].request != before[chip].request]
    said = f"INTA: the 8259A pair gives 0x{vector:02x}"
    chip = next(iter([*reversed(served), *answering]), None)
    if chip is None:
        return said
    if not before[chip].request >> (vector & 7) & 1:
        return f"{said}: nothing is requested any more, the spurious IR{vector & 7} of the {_CHIPS[chip]}"
    return f"{said}, {name(8 * chip + (vector & 7))}"


def became(before: list[Any], after: list[Any]) -> list[str]:
    """How IRR, ISR and INT changed."""
    said = []
    for chip, (was, now) in enumerate(zip(before, after, strict=True)):
        said += changes(f"{_CHIPS[chip]} IRR", was.request, now.request)
        said += changes(f"{_CHIPS[chip]} ISR", was.in_service, now.in_service)
        if was.highest != now.highest:
            said.append(f"{_CHIPS[chip]} priorities: IR{now.highest} is the highest")
    if before[0].output != after[0].output:
        said.append(f"INT {level_change(before[0].output, after[0].output)}")
    return said


def why_not(state: list[Any]) -> str:
    """`take`, and there was nothing: the chip that holds requests back, the master first."""
    for chip, one in enumerate(state):
        if asking := one.request & ~one.mask:
            return f"INT is low: {_CHIPS[chip]} {inputs(asking)} requested, but what is in service has precedence"
        if one.request:
            return f"INT is low: {_CHIPS[chip]} {inputs(one.request)} masked"
    return "INT is low: nothing is requested"
