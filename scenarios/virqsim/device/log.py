"""The format of a log: header lines, operations, what came of them.

A recorded log has all of it; one that is typed by hand may leave out the
header, `begin` and `end`, results, side effects and states.
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import VirqsimError, unknown
from . import effects, operations, states
from .chips import Chips
from .effects import Fact
from .operations import Malformed, Operation
from .states import State
from .values import number

VERSION = "# irq-oracle log 1"
KEYS = ("case", "source", "device", "tier", "exercises", "quirks", "config", "ops")
_DEVICES = ("pic", "ioapic", "xapic", "x2apic")
_HEADER = re.compile(r"([a-z]+):(?:\s+(.*))?")
_STEP = re.compile(r"(?P<operation>[^{]*?)(?:\s+->(?P<result>[^{]*))?(?:\s+\{(?P<attributes>[^{}]*)\})?")
_MAX_CPUS = 64


@dataclass
class Config:
    """The machine that a log was recorded on."""

    apic_ids: tuple[int, ...] = (0,)
    x2apic: bool = True
    wait_for_sipi: bool = False
    ioapic_version: int = 0x20
    nmi: bool = False
    receivers: bool = False
    """The config line speaks of CPUs' state: messages of an I/O APIC have receivers."""


@dataclass(slots=True)
class Step:
    """An operation, and what was recorded of it."""

    line: int
    operation: Operation
    result: str | None
    attributes: dict[str, str]
    effects: list[Fact] = field(default_factory=list)
    effect_lines: int = 0
    states: list[tuple[int, State]] = field(default_factory=list)


@dataclass
class Log:
    """A log as it was read."""

    path: str
    header: dict[str, str]
    device: str
    config: Config
    steps: list[Step]

    @property
    def apic_ids(self) -> tuple[int, ...]:
        """Of the CPUs on the board; none where INT or the I/O APIC's messages are what is looked at."""
        return _cpus(self.device, self.config)

    @property
    def recorded(self) -> int:
        """How many lines there are to compare with: results, side effects, states."""
        return sum((step.result is not None) + step.effect_lines + len(step.states) for step in self.steps)

    @property
    def is_recording(self) -> bool:
        """Absent side effects mean that there were none. Not so in what is typed by hand without any."""
        return "source" in self.header or any(step.effects for step in self.steps)

    @property
    def nmis_are_seen(self) -> bool:
        """Where QEMU recorded, NMIs can be seen only with `nmi=1`."""
        return self.config.nmi or not self.header.get("source", "").startswith("qemu")

    def board(self, follows: str) -> Chips:
        """The machine, at power-on."""
        return Chips(self.apic_ids, self.config.x2apic, self.config.wait_for_sipi, self.config.ioapic_version, follows)


def _cpus(device: str, config: Config) -> tuple[int, ...]:
    if device == "pic" or (device == "ioapic" and not config.receivers):
        return ()
    return config.apic_ids


def read(path: str, device: str) -> Log:
    """Reads a log of that device (i8259, ioapic, lapic); `-` is standard input.

    Raises:
        VirqsimError: it cannot be read, or a line is wrong.
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        text = data.decode()
    except OSError as error:
        raise VirqsimError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise VirqsimError(f"{path}: is no text: {error}") from None
    return _Reader("standard input" if path == "-" else path, device).read(text.splitlines())


class _Reader:
    """Where the reading of one log stands."""

    def __init__(self, path: str, device: str) -> None:
        self.path, self.wanted = path, device
        self.header: dict[str, str] = {}
        self.config = Config()
        self.device = {"i8259": "pic", "ioapic": "ioapic", "lapic": "xapic"}[device]
        self.steps: list[Step] = []
        self.begun = self.in_header = False
        self.ended = False

    def read(self, lines: list[str]) -> Log:
        """Raises VirqsimError at the first line that is wrong."""
        self.in_header = True
        for n, line in enumerate(lines, 1):
            try:
                self._line(n, line.strip())
            except Malformed as error:
                shown = line.strip() if len(line) <= 120 else line[:117] + "…"
                raise VirqsimError(f"{self.path}:{n}: {shown!r}: {error}") from None
        self._whole()
        return Log(self.path, self.header, self.device, self.config, self.steps)

    def _whole(self) -> None:
        """Is there an end to what begins?"""
        if self.begun and not self.ended:
            raise VirqsimError(f"{self.path}: is cut short: there is no line `end`")
        if not self.steps:
            raise VirqsimError(f"{self.path}: there is no operation in it; write one a line, as outb 0x20 0x11")
        said = self.header.get("ops")
        if said is not None and int(said) != len(self.steps):
            raise VirqsimError(f"{self.path}: ops: {said}, but there are {len(self.steps)} operations; "
                               "correct that line, or leave it out")

    def _line(self, n: int, line: str) -> None:
        if n == 1 and line.startswith(VERSION[:-1]) and line != VERSION:
            raise Malformed(f"is no version that can be read; this is written as {VERSION!r}")
        if not line or line.startswith("#"):
            return
        if self.ended:
            raise Malformed("stands behind `end`")
        if line == "begin":
            if not self.in_header:
                raise Malformed("stands behind an operation")
            self.begun, self.in_header = True, False
        elif line == "end":
            self.ended, self.in_header = True, False
        elif self.in_header and (pair := _HEADER.fullmatch(line)):
            self._header(pair[1], pair[2] or "")
        else:
            self.in_header = False
            self._body(n, line)

    # ---- header

    def _header(self, key: str, value: str) -> None:
        if key not in KEYS:
            raise Malformed(str(unknown("header", key, KEYS)))
        if key in self.header:
            raise Malformed(f"there is a line `{key}:` before this one")
        self.header[key] = value
        if key == "device":
            self._device(value)
        elif key == "tier" and value not in ("core", "quirk"):
            raise Malformed("there are core and quirk")
        elif key == "ops" and not value.isdecimal():
            raise Malformed("is no number of operations")
        elif key == "config":
            self.config = config(value)

    def _device(self, value: str) -> None:
        if value not in _DEVICES:
            raise Malformed(str(unknown("device", value, _DEVICES)))
        command = {"pic": "i8259", "ioapic": "ioapic"}.get(value, "lapic")
        if command != self.wanted:
            raise Malformed(f"is no log of {self.wanted}; type virqsim device {command}")
        self.device = value

    # ---- operations, and what came of them

    def _body(self, n: int, line: str) -> None:
        if line[0] not in "!=":
            self.steps.append(self._step(n, line))
            return
        if not self.steps:
            raise Malformed("stands before the first operation")
        if line[0] == "!":
            facts = effects.parse(" ".join(line[1:].split()))
            if facts is None:
                raise Malformed(f"is no side effect (there are: {'; '.join(effects.FORMS)})")
            self.steps[-1].effects += facts
            self.steps[-1].effect_lines += 1
        else:
            self._state(n, line)

    def _state(self, n: int, line: str) -> None:
        if self.steps[-1].operation.name != "dump":
            raise Malformed("a state stands behind dump only")
        state = states.parse(" ".join(line[1:].split()))
        if state is None:
            raise Malformed("is no state; virqsim device --write shows how dump prints them")
        self.steps[-1].states.append((n, state))

    def _step(self, n: int, line: str) -> Step:
        if not (parts := _STEP.fullmatch(line)) or not parts["operation"].strip():
            raise Malformed("write OPERATION ARGUMENTS [-> RESULT] [{ATTRIBUTES}]")
        operation = operations.parse(parts["operation"].split(), _cpus(self.device, self.config))
        result = parts["result"]
        if result is not None:
            result = result.strip()
            operations.check_result(operation.name, result)
        return Step(n, operation, result, operations.attributes(parts["attributes"] or ""))


def config(text: str) -> Config:
    """The words of a line `config:`.

    Raises:
        Malformed: one of them is wrong.
    """
    found = Config()
    for word in text.split():
        key, _, value = word.partition("=")
        if key == "apicids":
            found.apic_ids = _apic_ids(value)
        elif key == "ioapic" and number(value) in (0x11, 0x20):
            found.ioapic_version = number(value)
        elif key in ("x2apic", "nmi") and value in ("0", "1"):
            setattr(found, key, value == "1")
        elif key == "ap" and value in ("run", "wait"):
            found.wait_for_sipi = value == "wait"
        elif (key, value) != ("lint0", "masked"):
            raise Malformed(f"{word!r} is unknown (there are apicids=0,1,… x2apic=0|1 ap=run|wait lint0=masked "
                            "ioapic=0x11|0x20 nmi=0|1)")
        found.receivers |= key in ("x2apic", "ap")
    return found


def _apic_ids(text: str) -> tuple[int, ...]:
    ids = tuple(number(word) for word in text.split(","))
    if None in ids or len(set(ids)) != len(ids) or len(ids) > _MAX_CPUS or max(ids) >= 2**32 - 1:
        raise Malformed(f"apicids={text}: write up to {_MAX_CPUS} different numbers with commas between")
    return ids
