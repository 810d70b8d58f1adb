"""What does an external interrupt still cost where the hardware delivers it?

A vCPU for each way that a device's interrupt can take to an APIC guest: the I/O APIC's edge
and level, the message of a device that the host emulates (irqfd), and that of a real one,
assigned to the guest. `target` is what the vCPUs are doing: working, waiting for their CPU,
asleep. Compare `--tech none,apicv,vtd-pi`, or with `--set guest_apic=xapic` `svm,avic,avic-pi`.
"""

import pandas as pd

import virqsim
from virqsim import Machine, Parameter, Plan, Program, conditions, drivers

PARAMETERS = {
    "interrupts": Parameter(30, "interrupts", "of each path", least=1, most=200),
    "target": Parameter("running", "", "what the vCPUs are doing", choices=conditions.CONDITIONS),
    "irqchip": Parameter("kernel", "", "where the I/O APIC stands", choices=("kernel", "split")),
    "guest_apic": Parameter("x2apic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
}

PATHS = ("I/O APIC, edge", "I/O APIC, level", "irqfd", "assigned")  # path n interrupts vCPU n
EDGE_GSI, LEVEL_GSI = 10, 11
VECTOR = 65


def plan(p):
    machine = Machine(p.guest_apic, chipset="ich9")
    edge, level = (machine.line("card", gsi, at_ns=conditions.times_ns(p.interrupts, n * 100_000))
                   for n, gsi in enumerate((EDGE_GSI, LEVEL_GSI)))
    handlers = (Program("on_edge").lower(edge).eoi(), Program("on_level").lower(level).eoi(),
                Program("on_irqfd").eoi(), Program("on_assigned").eoi())
    for number, handler in enumerate(handlers):
        handled, guest = machine.word(f"handled{number}"), Program(f"guest{number}").setup(True)
        if number == 0:
            drivers.ioapic_route(guest, EDGE_GSI, VECTOR, 0)
            drivers.ioapic_route(guest, LEVEL_GSI, VECTOR, 1, level=True)
        conditions.wait(guest.setup(False), p.target, handled, p.interrupts)
        vcpu = machine.vcpu(guest, {VECTOR: handler.word_add(handled)})
        conditions.meet(machine, p.target, vcpu)
    machine.device("backend", "msi", 2, VECTOR, at_ns=conditions.times_ns(p.interrupts, 200_000))
    machine.assigned("card", 3, VECTOR, at_ns=conditions.times_ns(p.interrupts, 300_000))
    return Plan("external_with_hardware", machine, conditions.hypervisor(p.irqchip))


def report(results, p):
    """Exits for one interrupt of each path, by what they were for; how many went on to userspace."""
    exits = results.exits.groupby(["vcpu", "cause"])["count"].sum()
    users = results.userspace_exits.groupby("vcpu")["count"].sum()
    rows = []
    for number, path in enumerate(PATHS):
        of = {name: exits.get((number, cause), 0) / p.interrupts
              for name, cause in (("deliver", "delivery"), ("acknowledge", "acknowledge"), ("halt", "operation"))}
        rows.append({"path": path, **of, "all": sum(of.values()), "to_userspace": users.get(number, 0) / p.interrupts})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    virqsim.main(__file__)
