"""What does an interrupt cost an EPIC guest, with and without hardware virtualization?

vCPU 0 raises interrupts of all four classes for vCPU 1, one at a time: by IPI, or
as a device does, by MSI or by a pin of the IOEPIC, emulated (`device`, `pin`) or assigned
(`assigned-device`, `assigned-pin`); or vCPU 1 has its own timer. vCPU 1 runs, sleeps, or has lost its
core to another thread. Compare `--tech epic-sw,epic-hw`: with virtualization a
message to a core of the guest that is loaded is a hit of the Destination Address
Table and nobody leaves; to one that is not it is a miss, which interrupts the host
on the sender's core. An assigned device's message finds its target in the same table
(`--features=-epic-passthrough`: the host takes it), and what misses waits in PMIRR's copy
until KVM looks. Every time is assumed: profile elbrus-16c.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, drivers

PARAMETERS = {
    "source": Parameter("ipi", "", "what raises the interrupts", choices=(
        "ipi", "device", "pin", "assigned-device", "assigned-pin", "timer")),
    "target": Parameter("running", "", "what vCPU 1 does", choices=("running", "halted", "preempted")),
    "interrupts": Parameter(40, "interrupts", "in all, of the four classes in turn", least=1),
    "gap_us": Parameter(100, "us", "between two", least=1),
}

CLASSES = (0x030, 0x130, 0x230, 0x330)
SLICE_US = 50
PINS = (5, 6, 7, 8)  # one for each class; 16 to 19 would be INTx, which are never passed through


def plan(p):
    machine = Machine("epic", chipset="ioepic-v2" if p.source.endswith("pin") else None)
    handled = machine.word("handled")
    devices = sources(machine, p)
    handlers = {vector: handler(p, n, devices).word_add(handled) for n, vector in enumerate(CLASSES)}
    machine.vcpu(sender(p, handled, devices))
    machine.vcpu(target(p, handled), handlers)
    if p.target == "preempted":
        machine.load(pin=1)
    return Plan("elbrus_epic", machine, Hypervisor(halt_poll_ns=0, time_slice_ns=SLICE_US * 1000), technology="epic-hw")


def sources(machine, p):
    names = [f"class {vector >> 8}" for vector in CLASSES]
    if p.source == "device":
        return [machine.device(name, "msi", 1, vector) for name, vector in zip(names, CLASSES, strict=True)]
    if p.source == "assigned-device":
        return [machine.assigned(name, 1, vector, cpu=1) for name, vector in zip(names, CLASSES, strict=True)]
    if p.source.endswith("pin"):
        cpu = 1 if p.source == "assigned-pin" else None
        return [machine.line(name, pin, cpu=cpu) for name, pin in zip(names, PINS, strict=True)]
    return []


def handler(p, n, devices):
    """Of a level there are two ends: the CEPIC's, and the IOEPIC's."""
    program = Program(f"on_{CLASSES[n]:x}")
    if not p.source.endswith("pin"):
        return program.eoi()
    return drivers.ioepic_level_eoi(program.lower(devices[n]).eoi(), PINS[n])


def sender(p, handled, devices):
    program = Program("sender").setup(True)
    if p.source.endswith("pin"):
        for pin, vector in zip(PINS, CLASSES, strict=True):
            drivers.ioepic_route(program, pin, vector, 1, level=True)
    program.setup(False)
    for n in range(p.interrupts if p.source != "timer" else 0):
        program.compute(p.gap_us * (p.core_hz // 1_000_000))
        if devices:
            program.signal(devices[n % len(CLASSES)])
        else:
            program.epic_ipi(CLASSES[n % len(CLASSES)], 1)
        program.spin_until(handled, n + 1)
    return program


def target(p, handled):
    program = Program("target")
    if p.source != "timer":
        return wait(program, p, handled, p.interrupts)
    count = p.gap_us * (p.apic_timer_hz // 1_000_000)
    for n in range(p.interrupts):
        program.timer_mode(CLASSES[n % len(CLASSES)], 0).timer_count(count, 1)
        wait(program, p, handled, n + 1)
    return program


def wait(program, p, handled, interrupts):
    return program.halt_until(handled, interrupts) if p.target == "halted" else program.spin_until(handled, interrupts)


def report(results, p):
    """Interceptions for one interrupt: at either vCPU, by cause, and what they were for."""
    exits = results.exits[results.exits["cause"] != "setup"].copy()
    exits["vcpu"] = exits["vcpu"].map({0: "sender", 1: "target"})
    rows = exits.groupby(["vcpu", "reason", "cause"], as_index=False)["count"].sum()
    rows["per interrupt"] = rows["count"] / p.interrupts
    nobody = {"vcpu": "nobody leaves", "reason": "-", "cause": "-", "count": 0, "per interrupt": 0.0}
    return rows if len(rows) else pd.DataFrame([nobody])


if __name__ == "__main__":
    virqsim.main(__file__)
