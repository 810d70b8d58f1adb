"""Devices that interrupt a probe's target: what the driver does first, the vector, and its handler."""

from .. import drivers
from ..guest import Program
from .bench import GSI, PIN, VECTOR, Bench


def _pic(bench: Bench) -> tuple[Program, int, Program]:
    irq = GSI[bench.probe.operation]
    line = bench.machine.line("device", irq)
    prepare = drivers.pic_unmask(drivers.pic_start(Program("driver")), [irq])
    if bench.probe.guest_apic != "none":
        drivers.lint0_extint(prepare)
    handler = drivers.pic_mask_and_acknowledge(Program("on_device"), irq).lower(line)
    return prepare, drivers.PIC_BASE + irq, drivers.pic_unmask_one(handler, irq)


def _ioapic(bench: Bench) -> tuple[Program, int, Program]:
    gsi = GSI[bench.probe.operation]
    line = bench.machine.line("device", gsi)
    prepare = drivers.ioapic_route(Program("driver"), gsi, VECTOR, level=bench.probe.operation == "ioapic.level")
    return prepare, VECTOR, Program("on_device").lower(line).eoi()


def _ioepic(bench: Bench) -> tuple[Program, int, Program]:
    operation = bench.probe.operation
    level = operation != "ioepic.edge"
    line = bench.machine.line("device", PIN, cpu=0 if operation == "ioepic.passthrough" else None)
    handler = Program("on_device").lower(line).eoi()
    return (drivers.ioepic_route(Program("driver"), PIN, VECTOR, level=level), VECTOR,
            drivers.ioepic_level_eoi(handler, PIN) if level else handler)


def _passthrough(bench: Bench) -> tuple[Program, int, Program]:
    bench.machine.assigned("device", 0, VECTOR, cpu=0)
    return Program("driver"), VECTOR, Program("on_device").eoi()


def _msi(bench: Bench) -> tuple[Program, int, Program]:
    bench.machine.device("device", "msi", 0, VECTOR)
    return Program("driver"), VECTOR, Program("on_device").eoi()


DEVICES = {"pic.master": _pic, "pic.slave": _pic, "ioapic.edge": _ioapic, "ioapic.level": _ioapic, "msi.irqfd": _msi,
            "msi.passthrough": _passthrough, "ioepic.edge": _ioepic, "ioepic.level": _ioepic,
            "ioepic.passthrough": _ioepic}
