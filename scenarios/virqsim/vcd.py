"""The trace as a waveform (VCD), for GTKWave, Surfer and their like.

A scope for each vCPU: `guest` is high while guest code runs, `state` names the
run loop's state (a string variable, which viewers of today read), `pending`
counts interrupts that wait, `handler` is the vector in service (0: none; 256 and more: a user
interrupt's).
The SystemC host writes waveforms of its own, of wires and registers.
"""

from .trace import NOWHERE

SIGNALS = (("wire", 1, "guest"), ("string", 1, "state"), ("integer", 16, "pending"), ("wire", 9, "handler"))


def identifier(n):
    """The n-th short name: printable characters as digits."""
    name = ""
    while True:
        n, digit = divmod(n, 94)
        name += chr(33 + digit)
        if not n:
            return name


class Vcpu:
    def __init__(self, number):
        self.id = {name: identifier(number * len(SIGNALS) + n) for n, (_, _, name) in enumerate(SIGNALS)}
        self.shown = {}
        self.pending = set()  # flows
        self.in_service = []

    def step(self, trace, flow, event, a, b):
        """The signals after a record, by name; only those that the record is about."""
        if event == "VCPU_STATE":
            state = trace.header["states"][b]
            return {"guest": int(state == "GUEST"), "state": state}
        if event == "PENDING":
            self.pending.add(flow)
        elif event == "HANDLER":
            self.pending.discard(flow)
            self.in_service.append(a)
        elif event in ("TAKEN", "COALESCED") and flow in self.pending:
            self.pending.discard(flow)
        elif event == "RETIRED" and a in self.in_service:
            self.in_service.remove(a)
        else:
            return {}
        return {"pending": len(self.pending), "handler": self.in_service[-1] if self.in_service else 0}

    def changes(self, signals):
        for name, value in signals.items():
            if self.shown.get(name) == value:
                continue
            self.shown[name] = value
            yield f"s{value} {self.id[name]}" if name == "state" else \
                f"{value}{self.id[name]}" if name == "guest" else f"b{value:b} {self.id[name]}"


def write(trace, path):
    where = trace.records["where"]
    count = int(where[where != NOWHERE].max(initial=0)) + 1
    vcpus = [Vcpu(n) for n in range(count)]
    with path.open("w") as file:
        file.write("$timescale 1ps $end\n$scope module virqsim $end\n")
        for n, vcpu in enumerate(vcpus):
            file.write(f"$scope module vcpu{n} $end\n")
            for kind, bits, name in SIGNALS:
                file.write(f"$var {kind} {bits} {vcpu.id[name]} {name} $end\n")
            file.write("$upscope $end\n")
        file.write("$upscope $end\n$enddefinitions $end\n")
        last = -1
        for ps, flow, event, where, a, b in trace.records.tolist():
            if where == NOWHERE:
                continue
            vcpu = vcpus[where]
            changes = list(vcpu.changes(vcpu.step(trace, flow, trace.events[event], a, b)))
            if changes and ps != last:
                file.write(f"#{ps}\n")
                last = ps
            file.writelines(change + "\n" for change in changes)
