"""What does a guest pay that knows only the old interrupt controllers?

The same work three times: a timer that ticks, and a device that interrupts.
`--set guest=8259a` is a guest without a local APIC: the PIT ticks through the
master 8259A, the device's line goes to the slave. `xapic` has the periodic APIC
timer and the I/O APIC, with MMIO accesses; `x2apic` the TSC deadline and MSI,
with MSRs. The new hardware helps an old guest with the last step or not at all:
compare `--tech none,apicv`.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, drivers

PARAMETERS = {
    "guest": Parameter("8259a", "", "the controller that the guest knows", choices=("8259a", "xapic", "x2apic")),
    "ticks": Parameter(50, "ticks", "of the timer", least=1),
    "hz": Parameter(250, "Hz", "of the timer", least=1),
    "device_interrupts": Parameter(200, "interrupts", "of the device, spread over that time", least=0),
    "irqchip": Parameter("kernel", "", "where the controllers stand", choices=("kernel", "split", "userspace")),
    "wait": Parameter("work", "", "what the vCPU does meanwhile", choices=("work", "halt")),
}

TIMER_VECTOR, DEVICE_VECTOR = 236, 49
TIMER_IRQ, DEVICE_IRQ = 0, 10
PERIODIC, TSC_DEADLINE = 1, 2


def plan(p):
    interrupts = p.ticks + p.device_interrupts
    machine = Machine({"8259a": "none"}.get(p.guest, p.guest), chipset="82093aa")
    handled = machine.word("handled")
    guest, handlers = {"8259a": pic_guest, "xapic": xapic_guest, "x2apic": x2apic_guest}[p.guest](machine, p)
    for handler in handlers.values():
        handler.word_add(handled)
    guest.setup(False)
    if p.wait == "halt":
        guest.halt_until(handled, interrupts)
    else:
        guest.spin_until(handled, interrupts)
    machine.vcpu(guest, handlers)
    return Plan("legacy_guest", machine, Hypervisor(irqchip=p.irqchip))


def device_times(p):
    """Evenly over the ticks' time, away from the ticks themselves."""
    span_ns = p.ticks * 1_000_000_000 // p.hz
    step_ns = max(span_ns // max(p.device_interrupts, 1), 1)
    return [step_ns // 3 + n * step_ns for n in range(p.device_interrupts)]


def pic_guest(machine, p):
    line = machine.line("device", DEVICE_IRQ, at_ns=device_times(p))
    guest = drivers.pic_start(Program("guest").setup(True))
    drivers.pit_periodic(drivers.pic_unmask(guest, [TIMER_IRQ, DEVICE_IRQ]), p.hz)
    tick = drivers.pic_unmask_one(drivers.pic_mask_and_acknowledge(Program("on_tick"), TIMER_IRQ), TIMER_IRQ)
    device = drivers.pic_mask_and_acknowledge(Program("on_device"), DEVICE_IRQ).lower(line)
    drivers.pic_unmask_one(device, DEVICE_IRQ)
    return guest, {drivers.PIC_BASE + TIMER_IRQ: tick, drivers.PIC_BASE + DEVICE_IRQ: device}


def xapic_guest(machine, p):
    line = machine.line("device", DEVICE_IRQ, at_ns=device_times(p))
    guest = drivers.ioapic_route(Program("guest").setup(True), DEVICE_IRQ, DEVICE_VECTOR, level=True)
    guest.timer_mode(TIMER_VECTOR, PERIODIC).timer_count(p.apic_timer_hz // p.hz, 1)
    return guest, {TIMER_VECTOR: Program("on_tick").eoi(), DEVICE_VECTOR: Program("on_device").lower(line).eoi()}


def x2apic_guest(machine, p):
    machine.device("device", "msi", 0, DEVICE_VECTOR, at_ns=device_times(p))
    deadline = p.tsc_hz // p.hz
    guest = Program("guest").setup(True).timer_mode(TIMER_VECTOR, TSC_DEADLINE).tsc_deadline(deadline)
    return guest, {TIMER_VECTOR: Program("on_tick").tsc_deadline(deadline).eoi(),
                   DEVICE_VECTOR: Program("on_device").eoi()}


def report(results, p):
    """Exits for one interrupt, by what they were for."""
    interrupts = results.accounting["delivered"].sum()
    exits = results.exits.groupby("cause", sort=False)["count"].sum()
    rows = [{"for": cause, "exits": int(count), "exits_per_interrupt": count / interrupts}
            for cause, count in exits.items()]
    rows.append({"for": "all", "exits": int(exits.sum()), "exits_per_interrupt": exits.sum() / interrupts})
    users = int(results.userspace_exits["count"].sum())
    rows.append({"for": "to userspace", "exits": users, "exits_per_interrupt": users / interrupts})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    virqsim.main(__file__)
