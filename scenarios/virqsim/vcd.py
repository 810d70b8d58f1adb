"""The trace as a waveform (VCD), for GTKWave, Surfer and their like.

    virqsim.vcpu0.guest     high while guest code runs
                 .state     the run loop's state, by name (a string variable, which viewers of today read)
                 .cpu       the physical CPU of its thread; x: it has none
                 .pending   how many interrupts wait
                 .handler   the vector in service (0: none; 256 and more: a user interrupt's)
                 .kick      an event: somebody told this vCPU of an interrupt
                 .irr.v30   the request bit of vector 30H; there is one for each vector of the run
                 .isr.v30   its in-service bit
                 .pir.v30   its bit in the posted-interrupt descriptor
                 .pmirr.v30 on Elbrus, for irr and pir: pending in the CEPIC, in CIR too
                 .served.v30            for isr: its handler runs; the CEPIC has no register of that
    virqsim.devices.NAME    an event: the device raised an interrupt
           .inputs.gsi5     an event: this input of the chipset made an interrupt

A level is as the trace has it: a request bit falls where the handler begins, not where the
hypervisor takes it for injection. The SystemC host writes waveforms of its own, of wires and registers.
"""

import re
from itertools import count

from . import profiles
from .trace import NOWHERE

SIGNALS = (("wire", 1, "guest"), ("string", 1, "state"), ("wire", 16, "cpu"), ("integer", 16, "pending"),
           ("wire", 10, "handler"), ("event", 1, "kick"))
REGISTERS, EPIC_REGISTERS = ("irr", "isr", "pir"), ("pmirr", "served")
_HELD = {"IRR": "irr", "PIR": "pir", "PMIRR": "pmirr"}


def identifier(n):
    """The n-th short name: printable characters as digits."""
    name = ""
    while True:
        n, digit = divmod(n, 94)
        name += chr(33 + digit)
        if not n:
            return name


def change(kind, value, ident):
    """The line for a new value; None: it has none, x."""
    if kind == "string":
        return f"s{value} {ident}"
    if kind == "event":
        return f"1{ident}"
    if kind == "bit":
        return f"{value}{ident}"
    return f"b{'x' if value is None else f'{value:b}'} {ident}"


class Signals:
    """Variables by their path, in the order in which they were declared."""

    def __init__(self):
        self.numbers = count()
        self.kinds = {}  # path: (kind in the file, bits, kind of its changes, identifier)
        self.shown = {}

    def declare(self, path, kind, bits):
        of_changes = "bit" if kind == "wire" and bits == 1 else kind
        self.kinds[path] = (kind, bits, of_changes, identifier(next(self.numbers)))

    def header(self):
        """The declarations: a scope for each part of a path but the last."""
        at = ()
        for path, (kind, bits, _, ident) in self.kinds.items():
            scope = path[:-1]
            same = next((n for n, (a, b) in enumerate(zip(at, scope, strict=False)) if a != b), min(len(at), len(scope)))
            yield from ["$upscope $end"] * (len(at) - same)
            yield from (f"$scope module {name} $end" for name in scope[same:])
            yield f"$var {kind} {bits} {ident} {path[-1]} $end"
            at = scope
        yield from ["$upscope $end"] * len(at)

    def initial(self):
        """What everything is before the first record."""
        for path, (_, _, kind, ident) in self.kinds.items():
            if kind in ("bit", "integer", "wire") and path[-1] != "cpu":
                self.shown[path] = 0
                yield change(kind, 0, ident)

    def set(self, path, value):
        """The line by which a signal becomes a value; nothing where it has it."""
        if path not in self.kinds:
            return
        _, _, kind, ident = self.kinds[path]
        if kind != "event" and self.shown.get(path, self) == value:
            return
        self.shown[path] = value
        yield change(kind, value, ident)


class Vcpu:
    """What a vCPU's signals are at."""

    def __init__(self, number, signals, epic):
        self.scope = ("virqsim", f"vcpu{number}")
        self.registers = EPIC_REGISTERS if epic else REGISTERS
        self.service = self.registers[1]
        self.signals = signals
        self.waiting = {}  # flow: the register that holds it
        self.in_service = []

    def declare(self, vectors):
        for kind, bits, name in SIGNALS:
            self.signals.declare((*self.scope, name), kind, bits)
        for register in self.registers:
            for vector in vectors:
                self.signals.declare((*self.scope, register, f"v{vector:02x}"), "wire", 1)

    def put(self, name, value):
        return self.signals.set((*self.scope, name), value)

    def bit(self, register, vector, value):
        return self.signals.set((*self.scope, register, f"v{vector:02x}"), value)

    def counts(self):
        yield from self.put("pending", len(self.waiting))
        yield from self.put("handler", self.in_service[-1] if self.in_service else 0)

    def step(self, trace, flow, event, a, b):
        """The changes that a record brings."""
        if event == "VCPU_STATE":
            state = trace.header["states"][b]
            yield from self.put("guest", int(state == "GUEST"))
            yield from self.put("state", state)
        elif event == "THREAD":
            yield from self.put("cpu", a if b else None)
        elif event == "NOTIFIED":
            yield from self.put("kick", 1)
        elif event == "PENDING":
            self.waiting[flow] = _HELD.get(trace.header["held"][b], "")
            yield from self.bit(self.waiting[flow], a, 1)
        elif event == "INJECTED" and self.waiting.get(flow) == "pir":
            self.waiting[flow] = "irr"
            yield from self.bit("pir", a, 0)
            yield from self.bit("irr", a, 1)
        elif event == "HANDLER":
            yield from self.bit(self.waiting.pop(flow, ""), a, 0)
            self.in_service.append(a)
            yield from self.bit(self.service, a, 1)
        elif event in ("TAKEN", "COALESCED") and flow in self.waiting:
            yield from self.bit(self.waiting.pop(flow), a, 0)
        elif event == "RETIRED" and a in self.in_service:
            self.in_service.remove(a)
            yield from self.bit(self.service, a, int(a in self.in_service))
        yield from self.counts()


class Sources:
    """Devices and inputs of the chipset, which raise interrupts."""

    def __init__(self, trace, plan, signals):
        self.kinds, self.signals = trace.header["sources"], signals
        devices = [device["name"] for device in (plan or {}).get("machine", {}).get("devices", [])]
        self.paths = {}
        raised = trace.of("RAISED") if "RAISED" in trace.number else trace.records[:0]
        for b in sorted(set(raised["b"][raised["where"] == NOWHERE].tolist())):
            kind, number = self.kinds[b >> 32], b & 0xFFFFFFFF
            name = re.sub(r"\W+", "_", devices[number]) if number < len(devices) else f"{kind}{number}"
            path = ("virqsim", "inputs", f"gsi{number}") if kind == "line" else ("virqsim", "devices", f"{name}_{number}")
            self.paths[b] = path
        for path in sorted(self.paths.values()):
            signals.declare(path, "event", 1)

    def step(self, event, b):
        if event == "RAISED" and b in self.paths:
            yield from self.signals.set(self.paths[b], 1)


def vectors_of(trace, vcpu):
    """The vectors that this vCPU meets, but for user interrupts."""
    seen = set()
    for event in ("PENDING", "HANDLER"):
        if event in trace.number:
            records = trace.of(event)
            seen |= set(records["a"][records["where"] == vcpu].tolist())
    return sorted(vector for vector in seen if vector < trace.vectors)


def write(trace, path, plan=None):
    where = trace.records["where"]
    signals = Signals()
    vcpus = [Vcpu(n, signals, trace.epic) for n in range(int(where[where != NOWHERE].max(initial=0)) + 1)]
    for number, vcpu in enumerate(vcpus):
        vcpu.declare(vectors_of(trace, number))
    sources = Sources(trace, plan, signals)
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in (f"$comment virqsim: {trace.header['technology']}{profiles.caveat_of(plan)} $end",
                                                 "$timescale 1ps $end", *signals.header(), "$enddefinitions $end",
                                                 "#0", "$dumpvars", *signals.initial(), "$end"))
        last = 0
        for ps, flow, number, where, a, b in trace.rows():
            event = trace.events[number]
            changes = list(sources.step(event, b) if where == NOWHERE else vcpus[where].step(trace, flow, event, a, b))
            if not changes:
                continue
            if ps != last:
                file.write(f"#{ps}\n")
                last = ps
            file.writelines(f"{line}\n" for line in changes)
