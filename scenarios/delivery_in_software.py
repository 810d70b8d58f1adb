"""What does an interrupt cost where the hypervisor delivers it by itself?

A vCPU for each way that an interrupt can take: through the 8259A pair, through
the I/O APIC as an edge and as a level, as a message (MSI), and as an IPI from
another vCPU. A further vCPU, beside which the devices' backends run, raises one
after the other. The report has the exits for one interrupt: the sender's own (a device's
backend has none), those by which it was delivered, those that acknowledged it,
the target's HLT, and how many of all went on to userspace. `--set irqchip=`
moves the controllers to QEMU; `--tech` shows what hardware takes over.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, drivers, icr

PARAMETERS = {
    "rounds": Parameter(50, "rounds", "how often each path is taken", least=1),
    "irqchip": Parameter("kernel", "", "where the controllers stand", choices=("kernel", "split", "userspace")),
    "guest_apic": Parameter("xapic", "", "what the guest's driver uses", choices=("xapic", "x2apic")),
    "wait": Parameter("work", "", "what a target does meanwhile", choices=("work", "halt")),
    "pause": Parameter(100_000, "cycles", "between two interrupts"),
}

PATHS = ("8259A", "I/O APIC, edge", "I/O APIC, level", "MSI", "IPI")  # path n interrupts vCPU n
PIC_IRQ, EDGE_GSI, LEVEL_GSI = 5, 10, 11
VECTOR = 48


def plan(p):
    machine = Machine(p.guest_apic, chipset="82093aa")
    handled, ready = machine.word("handled"), machine.word("ready")
    pic, edge, level = (machine.line("device", gsi) for gsi in (PIC_IRQ, EDGE_GSI, LEVEL_GSI))
    msi = machine.device("device", "msi", PATHS.index("MSI"), VECTOR)

    handlers = (pic_handler(pic), Program("on_edge").lower(edge).eoi(), Program("on_level").lower(level).eoi(),
                Program("on_msi").eoi(), Program("on_ipi").eoi())
    for number, handler in enumerate(handlers):
        add_target(machine, p, number, drivers.PIC_BASE + PIC_IRQ if number == 0 else VECTOR, handler)

    sender = Program("sender").spin_until(ready, len(PATHS))
    raises = [lambda device=device: sender.signal(device) for device in (pic, edge, level, msi)]
    raises.append(lambda: sender.ipi(icr(VECTOR), PATHS.index("IPI")))
    for n in range(p.rounds * len(PATHS)):
        sender.compute(p.pause)
        raises[n % len(PATHS)]()
        sender.spin_until(handled, n + 1)
    machine.vcpu(sender)
    return Plan("delivery_in_software", machine, Hypervisor(irqchip=p.irqchip, halt_poll_ns=0))


def add_target(machine, p, number, vector, handler):
    count, main = machine.word(f"count{number}"), Program(f"target{number}")
    if number == 0:
        prepare_controllers(main)
    main.word_add(machine.word("ready"))
    if p.wait == "halt":
        main.halt_until(count, p.rounds)
    else:
        main.spin_until(count, p.rounds)
    machine.vcpu(main, {vector: handler.word_add(count).word_add(machine.word("handled"))})


def prepare_controllers(program):
    """One vCPU does it: the I/O APIC's registers are reached through an index."""
    drivers.pic_unmask(drivers.pic_start(program.setup(True)), [PIC_IRQ])
    drivers.lint0_extint(program)
    drivers.ioapic_route(program, EDGE_GSI, VECTOR, PATHS.index("I/O APIC, edge"))
    drivers.ioapic_route(program, LEVEL_GSI, VECTOR, PATHS.index("I/O APIC, level"), level=True)
    program.setup(False)


def pic_handler(line):
    program = drivers.pic_mask_and_acknowledge(Program("on_pic"), PIC_IRQ).lower(line)
    return drivers.pic_unmask_one(program, PIC_IRQ)


def report(results, p):
    """Exits for one interrupt of each path, by what they were for; how many went on to userspace."""
    exits = results.exits.groupby(["vcpu", "cause"])["count"].sum()
    users = results.userspace_exits.groupby(["vcpu", "cause"])["count"].sum()
    sender = len(PATHS)
    rows = []
    for number, path in enumerate(PATHS):
        sent = path == "IPI"  # nothing else makes the sender leave
        of = [("send", exits.get((sender, "operation"), 0) if sent else 0)]
        of += [(name, exits.get((number, cause), 0)) for name, cause in
               (("deliver", "delivery"), ("acknowledge", "acknowledge"), ("halt", "operation"))]
        to_user = users[users.index.get_level_values("vcpu") == number].sum()
        to_user += users.get((sender, "operation"), 0) if sent else 0
        of += [("all", sum(count for _, count in of)), ("to_userspace", to_user)]
        rows.append({"path": path, **{name: count / p.rounds for name, count in of}})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    virqsim.main(__file__)
