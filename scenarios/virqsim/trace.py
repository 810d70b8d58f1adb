"""Reads trace.vqt (docs/results.md): a header that names everything, and 32-byte records."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from . import library

RECORD = np.dtype(
    [("ps", "<u8"), ("flow", "<u4"), ("event", "<u2"), ("where", "<u2"), ("a", "<u8"), ("b", "<u8")]
)
NOWHERE = 0xFFFF
NO_VECTOR = 0xFFFFFFFF
USER_VECTORS = 0x100
EPIC_VECTORS = 0x400  # of Elbrus, which has no user interrupts
MAGIC = b"VIRQTRC1"
_ROWS = 1 << 16


@dataclass
class Trace:
    """The header's lists, and the records as a numpy array."""

    header: dict
    records: np.ndarray

    @cached_property
    def events(self):
        """Event names by number."""
        return [event["name"] for event in self.header["events"]]

    @cached_property
    def number(self):
        """Event numbers by name."""
        return {name: n for n, name in enumerate(self.events)}

    @cached_property
    def e2k(self):
        """It is of an Elbrus machine."""
        return library.vendor(self.header.get("technology", "")) == "e2k"

    @cached_property
    def epic(self):
        """The guest has CEPICs: on such a machine nothing ever pended in a local APIC."""
        return self.e2k and not (self.of("PENDING")["b"] == self.header["held"].index("IRR")).any()

    @cached_property
    def vectors(self):
        """How many vectors there are; numbers from here on are user interrupts'."""
        return EPIC_VECTORS if self.epic else USER_VECTORS

    def vector_words(self, a):
        """A vector for people: of a user interrupt it stands behind those of the IDT."""
        return f"vector {a:#x}" if a < self.vectors else f"user vector {a - self.vectors}"

    def of(self, event):
        """The records of one event, by name."""
        return self.records[self.records["event"] == self.number[event]]

    def rows(self):
        """The records as tuples of Python's numbers, a part of the file at a time: traces may be larger than memory."""
        for begin in range(0, len(self.records), _ROWS):
            yield from self.records[begin : begin + _ROWS].tolist()

    def exit_reason(self, a):
        return self.header["exit_reasons"][int(a) & 0xFFFF]

    def exit_cause(self, a):
        return self.header["causes"][int(a) >> 16 & 0xFF]

    def exit_operation(self, a):
        """The guest's operation that left it, and the low half of its first operand; None: none did."""
        number = int(a) >> 24 & 0xFF
        return (self.header["operations"][number - 1], int(a) >> 32) if number else None

    def words(self, event, a, b):
        """What the payload of a record says, for people; the vocabulary is the header's."""
        h, a, b = self.header, int(a), int(b)
        match self.events[event]:
            case "VM_EXIT":
                by = self.exit_operation(a)
                return f"{self.exit_reason(a)} {self.exit_cause(a)} qualification {b:#x}" + (f" by {by[0]}" if by else "")
            case "INTERCEPTED":
                return f"{h['exit_reasons'][a]} cause {b}"
            case "COMPLETED":
                return f"value {a:#x} {f'entry {b:#x}' if b else 'register'}"
            case "VM_ENTRY":
                return "" if a == NO_VECTOR else f"injects {a:#x}"
            case "VCPU_STATE":
                return f"{h['states'][a]} to {h['states'][b]}"
            case "INHIBIT":
                return f"{h['inhibits'][a]} {'on' if b else 'off'}"
            case "HOST_THREAD":
                return f"thread {a} {h['host_thread_states'][b & 0xFFFFFFFF]} pcpu {b >> 32}"
            case "HOST_WORK":
                return f"thread {a} item {b >> 32} {h['work'][b & 0xFFFFFFFF]}"
            case "DISK":
                return f"disk {a >> 32} request {a & 0xFFFFFFFF} {h['disk_stages'][b]}"
            case "USERSPACE":
                return h["kvm_exits"][a]
            case "PENDING" | "COALESCED":
                return f"{self.vector_words(a)} {h['held'][b]}"
            case "REFUSED":
                return f"{self.vector_words(a)} {h['refused'][b]}"
            case "NOTIFIED":
                return f"{self.vector_words(a)} {h['notify'][b]}"
            case "INJECTED":
                return f"{self.vector_words(a)} {h['inject'][b]}"
            case "HANDLER" | "EOI" | "RETIRED" | "TAKEN":
                return self.vector_words(a)
            case "RAISED":
                return f"message {a:#x} {h['sources'][b >> 32]}"
            case "ROUTED":
                parent = parent_flow(b)
                return self.vector_words(a) + (f" of flow {parent}" if parent else "")
        meaning = h["events"][event]
        return " ".join(f"{meaning[k]} {v}" for k, v in (("a", a), ("b", b)) if meaning[k])


def parent_flow(b):
    """The flow that RAISED named, of ROUTED's second word; who raised it is in the bits above."""
    return b & 0xFFFFFFFF


def read(path):
    """Opens the trace at `path`; ValueError names what is wrong with it. Big files are mapped."""
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(12)
        if len(start) < 12 or start[:8] != MAGIC:
            raise ValueError(f"{path}: not a virqsim trace (it does not start with VIRQTRC1)")
        length = int.from_bytes(start[8:], "little")
        header = _header(path, file.read(length))
    offset = 12 + length
    count, rest = divmod(path.stat().st_size - offset, RECORD.itemsize)
    if rest:
        raise ValueError(f"{path}: was cut short: record {count} has {rest} of its {RECORD.itemsize} bytes")
    if not count:
        return Trace(header, np.empty(0, RECORD))
    trace = Trace(header, np.memmap(path, RECORD, mode="r", offset=offset, shape=(count,)))
    _check(path, trace)
    return trace


_PCPUS_MAX = 1 << 12
_WORDS = (  # an event, one of its words, the bits of it that are an index, and the header's list or the limit
    ("VM_EXIT", "a", (0, 16), "exit_reasons"), ("INTERCEPTED", "a", (0, 16), "exit_reasons"),
    ("VM_EXIT", "a", (16, 8), "causes"),
    ("VCPU_STATE", "a", (0, 64), "states"), ("VCPU_STATE", "b", (0, 64), "states"), ("THREAD", "a", (0, 64), _PCPUS_MAX),
    ("USERSPACE", "a", (0, 64), "kvm_exits"), ("INHIBIT", "a", (0, 64), "inhibits"), ("RAISED", "b", (32, 32), "sources"),
    ("PENDING", "b", (0, 64), "held"), ("COALESCED", "b", (0, 64), "held"), ("REFUSED", "b", (0, 64), "refused"),
    ("NOTIFIED", "b", (0, 64), "notify"), ("INJECTED", "b", (0, 64), "inject"),
    ("HOST_THREAD", "a", (0, 64), "threads"), ("HOST_THREAD", "b", (0, 32), "host_thread_states"),
)


def _check(path, trace):
    """Every number in a record must be one that the header has a name for."""
    events = trace.records["event"]
    _refuse(path, events >= len(trace.events), "has an event without a name")
    _refuse(path, np.diff(trace.records["ps"].astype(np.int64), prepend=0) < 0, "is earlier than the one before")
    for event, word, (shift, bits), known in _WORDS:
        limit = known if isinstance(known, int) else len(trace.header.get(known, ()))
        if event in trace.number and limit:
            part = trace.records[word] >> np.uint64(shift) & np.uint64((1 << bits) - 1)
            _refuse(path, (events == trace.number[event]) & (part >= limit), f"is a {event} with a number that means nothing")
    operation = trace.records["a"] >> np.uint64(24) & np.uint64(0xFF)
    if "VM_EXIT" in trace.number and "operations" in trace.header:
        _refuse(path, (events == trace.number["VM_EXIT"]) & (operation > len(trace.header["operations"])),
                "is a VM_EXIT by an operation without a name")


def _refuse(path, wrong, why):
    if wrong.any():
        raise ValueError(f"{path}: is damaged: record {int(np.argmax(wrong))} {why}")


def _header(path, text):
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"{path}: was cut short, or its header is damaged") from None
