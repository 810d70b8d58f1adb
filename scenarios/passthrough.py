"""What does an interrupt of a passed-through device cost, by who takes it?

A real device, assigned to the guest, interrupts its vCPU again and again while that works,
waits for its CPU, sleeps, or goes to another CPU (`target`). Without help the host takes the
interrupt and forwards it by irqfd (`none`, `apicv`); the IOMMU posts it (`vtd-pi`, `avic-pi`);
or the guest takes it itself, through a shadow IDT (`eli`, and `eli` with
`--features=-direct-eoi`: delivery only) or a CPU of its own (`direct`, `did`). `lands=other` has
the IOMMU send it to another physical CPU than the vCPU's, where it sends it to one at all;
`urgent=yes` sets URG in its entry; with `affinity=moves` another vCPU of the guest moves the
interrupt to and fro between two, after each.
"""

import pandas as pd

import virqsim
from virqsim import Fault, Machine, Parameter, Plan, Program, conditions, drivers

PARAMETERS = {
    "interrupts": Parameter(50, "interrupts", "of the device", least=1, most=200),
    "target": Parameter("running", "", "what the vCPU is doing", choices=(*conditions.CONDITIONS, "migrated")),
    "lands": Parameter("own", "", "on which physical CPU", choices=("own", "other")),
    "urgent": Parameter("no", "", "URG in the posting entry", choices=("no", "yes")),
    "affinity": Parameter("stays", "", "the guest's own, of the interrupt", choices=("stays", "moves")),
    "guest_apic": Parameter("x2apic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
}

VECTOR = 65
TABLE = 0xFEB00000  # the device's MSI-X table
ON_THE_WAY_NS = 100  # after it was raised: a posted one notifies the CPU that its target is about to leave


def plan(p):
    targets = 2 if p.affinity == "moves" else 1
    machine = Machine(p.guest_apic, physical_cpus=4 if targets == 2 else 2)
    spare = machine.physical_cpus - 1
    handled = machine.word("handled")
    for vcpu in range(targets):
        own = machine.word(f"handled by vCPU {vcpu}")
        guest = conditions.wait(Program(f"guest{vcpu}"), p.target, own, (p.interrupts + targets - 1 - vcpu) // targets)
        machine.vcpu(guest, {VECTOR: Program(f"on_device{vcpu}").compute(1000).eoi().word_add(own).word_add(handled)})
        conditions.meet(machine, p.target, vcpu)
    if targets == 2:
        machine.vcpu(balancer(p, handled))
    times_ns = conditions.times_ns(p.interrupts)
    machine.assigned("device", 0, VECTOR, cpu=spare if p.lands == "other" else 0, at_ns=times_ns, urgent=p.urgent == "yes",
                     table=TABLE if targets == 2 else None)
    faults = migrations(times_ns, spare) if p.target == "migrated" else ()
    return Plan("passthrough", machine, conditions.hypervisor(), faults=faults)


def balancer(p, handled):
    """The guest's irqbalance: after each interrupt the next one goes to the other vCPU."""
    program = Program("irqbalance")
    for n in range(1, p.interrupts):
        drivers.msix_move(program.spin_until(handled, n), TABLE, n % 2, VECTOR)
    return program


def migrations(times_ns, spare):
    """The host moves vCPU 0 to the CPU that nobody else has, or back, while an interrupt is on its way."""
    return [Fault("moved", at + ON_THE_WAY_NS, of={"vcpu": 0, "cpu": (spare, 0)[n % 2]}) for n, at in enumerate(times_ns)]


def report(results, p):
    """For one interrupt: exits, by what they were for, and the time until the handler; and those of one move."""
    exits = results.exits[results.exits["vcpu"] < 2].groupby("cause")["count"].sum()
    of_moves = results.exits[results.exits["vcpu"] == 2]["count"].sum()
    of = {"deliver": exits.get("delivery", 0), "acknowledge": exits.get("acknowledge", 0)}
    latency = results.latency.iloc[0]
    return pd.DataFrame([{
        "target": p.target, **{name: count / p.interrupts for name, count in of.items()},
        "exits": sum(of.values()) / p.interrupts, "halt": exits.get("operation", 0) / p.interrupts,
        "host": exits.get("host", 0) / p.interrupts,
        **({"exits_of_a_move": of_moves / (p.interrupts - 1)} if of_moves else {}),
        "mean_us": latency["mean_ns"] / 1e3, "max_us": latency["max_ns"] / 1e3}])


if __name__ == "__main__":
    virqsim.main(__file__)
