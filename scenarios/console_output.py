"""What does a line of text on the serial console cost a guest?

QEMU's serial port is a 16550: each access to one of its registers is an exit to userspace. A program's text
goes by Linux's driver, interrupt by interrupt (`how=tty`); the kernel's own messages are
written with interrupts off and a look at the line status (`how=printk`). `fifo=off` is an 8250, which
takes one byte at a time. The report has exits and time for a character.
"""

import pandas as pd

import virqsim
from virqsim import Hypervisor, Machine, Parameter, Plan, Program, Sweep, drivers

WAYS = ("tty", "printk")

PARAMETERS = {
    "how": Parameter("tty", "", "who writes: a program, or the kernel", choices=WAYS),
    "fifo": Parameter("on", "", "16 bytes at a time, or 1", choices=("on", "off")),
    "length": Parameter(64, "characters", "of a line", least=1, most=4096),
    "lines": Parameter(10, "lines", "in all, one after the other", least=1, most=1000),
    "irqchip": Parameter("kernel", "", "where the controllers stand", choices=("kernel", "split", "userspace")),
}
SWEEP = Sweep(over={"how": WAYS, "fifo": ("on", "off"), "length": (1, 2, 4, 8, 16, 32, 64, 128)}, x="length",
              y=("exits_per_character", "us_per_character"), points="fifo", panels="how")

VECTOR, INPUT = 0x25, 4


def plan(p):
    text, fifo = bytes(p.length), drivers.SERIAL_FIFO if p.fifo == "on" else 1
    machine = Machine("xapic", chipset="82093aa")
    machine.serial(machine.line("serial", INPUT))
    done = machine.word("done")
    main = drivers.serial_start(Program("main").setup(True), p.fifo == "on")
    drivers.ioapic_route(main, INPUT, VECTOR)
    main.setup(False).stamp(1)
    for line in range(1, p.lines + 1):
        if p.how == "printk":
            drivers.serial_print(main.mask(), text, fifo).unmask()
        else:
            drivers.serial_write(main).spin_until(done, 2 * line)
    transmit = drivers.serial_transmit(Program("transmit").eoi(), text, fifo).word_add(done)
    nothing = drivers.serial_nothing(Program("nothing").eoi()).word_add(done)  # the line rose again meanwhile
    machine.vcpu(main.stamp(1), {VECTOR: [transmit, nothing] * p.lines})
    return Plan("console_output", machine, Hypervisor(irqchip=p.irqchip))


def report(results, p):
    """For one character; and the interrupts of a line."""
    characters = p.length * p.lines
    exits = results.exits[results.exits["cause"] != "setup"]["count"].sum()
    users = results.userspace_exits[results.userspace_exits["cause"] != "setup"]["count"].sum()
    took_us = results.stamps["mean_cycles"].iloc[0] / p.tsc_hz * 1e6
    return pd.DataFrame([{
        "how": p.how, "fifo": p.fifo, "exits_per_line": exits / p.lines, "interrupts_per_line":
        results.accounting["delivered"].sum() / p.lines, "exits_per_character": exits / characters,
        "to_userspace": users / characters, "us_per_character": took_us / characters}]).round(2)


if __name__ == "__main__":
    virqsim.main(__file__)
