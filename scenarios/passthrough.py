"""What does an interrupt of a passed-through device cost, by who takes it?

A real device, assigned to the guest, interrupts its vCPU again and again while that works,
waits for its CPU, or sleeps. Without help the host takes the interrupt and forwards it by
irqfd (`none`, `apicv`); the IOMMU posts it (`vtd-pi`, `avic-pi`); or the guest takes it
itself, through a shadow IDT (`eli`, and `eli` with `--features=-direct-eoi`: delivery only)
or a CPU of its own (`direct`, `did`). `lands=other` has the IOMMU send it to another
physical CPU than the vCPU's, where it sends it to one at all.
"""

import pandas as pd

import virqsim
from virqsim import Machine, Parameter, Plan, Program, VirqsimError, conditions

PARAMETERS = {
    "interrupts": Parameter(50, "interrupts", "of the device"),
    "target": Parameter("running", "", "what the vCPU is doing", choices=conditions.CONDITIONS),
    "lands": Parameter("own", "", "on which physical CPU", choices=("own", "other")),
    "guest_apic": Parameter("x2apic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
}

VECTOR = 65


def plan(p):
    if not 1 <= p.interrupts <= 200:
        raise VirqsimError(f"interrupts: {p.interrupts} is not in 1..200")
    machine = Machine(p.guest_apic, physical_cpus=2)
    handled = machine.word("handled")
    guest = conditions.wait(Program("guest"), p.target, handled, p.interrupts)
    vcpu = machine.vcpu(guest, {VECTOR: Program("on_device").compute(1000).eoi().word_add(handled)})
    conditions.meet(machine, p.target, vcpu)
    machine.assigned("device", vcpu, VECTOR, cpu=1 if p.lands == "other" else 0,
                     at_ns=conditions.times_ns(p.interrupts))
    return Plan("passthrough", machine, conditions.hypervisor())


def report(results, p):
    """For one interrupt: exits, by what they were for, and the time until the handler."""
    exits = results.exits.groupby("cause")["count"].sum()
    of = {"deliver": exits.get("delivery", 0), "acknowledge": exits.get("acknowledge", 0)}
    latency = results.latency.iloc[0]
    return pd.DataFrame([{
        "target": p.target, **{name: count / p.interrupts for name, count in of.items()},
        "exits": sum(of.values()) / p.interrupts, "halt": exits.get("operation", 0) / p.interrupts,
        "mean_us": latency["mean_ns"] / 1e3, "max_us": latency["max_ns"] / 1e3}])


if __name__ == "__main__":
    virqsim.main(__file__)
