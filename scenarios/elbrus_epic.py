"""What does an interrupt cost an EPIC guest, with and without hardware virtualization?

vCPU 0 raises interrupts of all four classes for vCPU 1, one at a time: by IPI, or
as a device does; or vCPU 1 has its own timer. vCPU 1 runs, sleeps, or has lost its
core to another thread. Compare `--tech epic-sw,epic-hw`: with virtualization a
message to a core of the guest that is loaded is a hit of the Destination Address
Table and nobody leaves; to one that is not it is a miss, which interrupts the host
on the sender's core. Every time is assumed: profile elbrus-16c.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, VirqsimError

PARAMETERS = {
    "source": Parameter("ipi", "", "what raises the interrupts", choices=("ipi", "device", "timer")),
    "target": Parameter("running", "", "what vCPU 1 does", choices=("running", "halted", "preempted")),
    "interrupts": Parameter(40, "interrupts", "in all, of the four classes in turn"),
    "gap_us": Parameter(100, "us", "between two"),
}

CLASSES = (0x030, 0x130, 0x230, 0x330)
SLICE_US = 50


def plan(p):
    for name in ("interrupts", "gap_us"):
        if getattr(p, name) < 1:
            raise VirqsimError(f"{name}: {getattr(p, name)} is not at least 1")
    machine = Machine("epic")
    handled = machine.word("handled")
    handlers = {vector: Program(f"on_{vector:x}").eoi().word_add(handled) for vector in CLASSES}
    machine.vcpu(sender(machine, p, handled))
    machine.vcpu(target(p, handled), handlers)
    if p.target == "preempted":
        machine.load(pin=1)
    return Plan("elbrus_epic", machine, Hypervisor(halt_poll_ns=0, time_slice_ns=SLICE_US * 1000), technology="epic-hw")


def sender(machine, p, handled):
    if p.source == "device":
        devices = [machine.device(f"class {vector >> 8}", "msi", 1, vector) for vector in CLASSES]
    program = Program("sender")
    for n in range(p.interrupts if p.source != "timer" else 0):
        program.compute(p.gap_us * (p.core_hz // 1_000_000))
        if p.source == "device":
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
    exits = results.exits.copy()
    exits["vcpu"] = exits["vcpu"].map({0: "sender", 1: "target"})
    rows = exits.groupby(["vcpu", "reason", "cause"], as_index=False)["count"].sum()
    rows["per interrupt"] = rows["count"] / p.interrupts
    return pd.DataFrame(rows)


if __name__ == "__main__":
    virqsim.main(__file__)
