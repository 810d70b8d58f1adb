"""The operations that can be probed."""

from __future__ import annotations

from dataclasses import dataclass

from . import acts, plans
from .bench import Act, Around


@dataclass(frozen=True)
class Operation:
    """A row of what can be probed.

    `source` is the results' latency source; `interrupts` says that delivery
    and acknowledgement are part of the operation; `many` that it may have
    several targets; `conditions` are those in which --target can ask the sender
    to await the interrupt, where it is its own target; `needs` the feature without which there is none;
    `without_apic` that a guest without a local APIC can do it; `only_epic` that one with an EPIC alone can; `vendor` whose
    processors alone have it.
    """

    name: str
    meaning: str
    act: Act
    around: Around
    source: str | None
    interrupts: bool = True
    many: bool = False
    conditions: tuple[str, ...] = ("running",)
    needs: str | None = None
    without_apic: bool = False
    only_epic: bool = False
    vendor: str | None = None


_ONE_EXPIRY = ("running", "halted", "preempted", "if-off")
_TICKS = ("running", "halted")  # they do not wait for a slice, nor for IF

OPERATIONS = {row.name: row for row in (
    Operation("ipi.unicast", "an IPI to one APIC ID", acts.unicast, plans.to_others, "ipi"),
    Operation("ipi.logical", "an IPI to a logical destination", acts.logical, plans.to_others, "ipi", many=True),
    Operation("ipi.self", "a self-IPI: MSR 83FH, or ICR in xAPIC mode", acts.self_ipi, plans.to_itself, "ipi"),
    Operation("ipi.self_icr", "a self-IPI by the ICR's shorthand", acts.self_icr, plans.to_itself, "ipi"),
    Operation("ipi.user", "a user interrupt: SENDUIPI", acts.senduipi, plans.to_user, "user-ipi", needs="user-interrupts"),
    Operation("ipi.nmi", "an NMI by the ICR; the end of its handler stands for its EOI", acts.nmi, plans.to_others, "ipi"),
    Operation("ipi.all_but_self", "an IPI by the ICR's shorthand", acts.all_but_self, plans.to_others, "ipi", many=True),
    Operation("ipi.broadcast_loop", "an ICR write for each target", acts.broadcast_loop, plans.to_others, "ipi", many=True),
    Operation("ipi.broadcast_pv", "hypercalls for 128 targets each", acts.broadcast_pv, plans.to_others, "ipi", many=True,
              needs="pv-ipi"),
    Operation("cpu.hlt", "HLT; the wake-up is not counted", acts.halt, plans.halting, None, interrupts=False),
    Operation("cpu.pause_loop", "a loop of PAUSEs a little longer than the window after which one exits", acts.pause_loop,
              plans.waiting, None, interrupts=False),
    Operation("cpu.mwait", "MONITOR and MWAIT, ended by a store", acts.mwait, plans.waiting, None, interrupts=False),
    Operation("cpu.clgi_stgi", "CLGI and STGI, as a hypervisor in the guest has them around its VMRUN (SVM)", acts.global_flag,
              plans.alone, None, interrupts=False, vendor="svm"),
    Operation("lock.contended", "a ticket lock that is held for long; the holder's exits are not counted", acts.lock,
              plans.contending, None, interrupts=False),
    Operation("tpr.write_register", "a write to the TPR register", acts.write_tpr, plans.alone, None, interrupts=False),
    Operation("tpr.write_cr8", "MOV to CR8", acts.write_cr8, plans.alone, None, interrupts=False),
    Operation("tpr.read_cr8", "MOV from CR8", acts.read_cr8, plans.alone, None, interrupts=False),
    Operation("msi.irqfd", "an MSI by irqfd, the device's backend on another CPU", acts.device, plans.from_device, "msi"),
    Operation("msi.passthrough", "an assigned device's MSI, which reaches the vCPU's own CPU", acts.device, plans.from_device,
              "msi"),
    Operation("ioapic.edge", "a device's edge at an I/O APIC's pin", acts.device, plans.from_device, "line"),
    Operation("ioapic.level", "a device's level, lowered before the EOI", acts.device, plans.from_device, "line"),
    Operation("ioepic.edge", "a device's edge at an IOEPIC's pin", acts.device, plans.from_device, "line", only_epic=True),
    Operation("ioepic.level", "a device's level there, lowered before the EOI, which is the CEPIC's and the IOEPIC's",
              acts.device, plans.from_device, "line", only_epic=True),
    Operation("ioepic.passthrough", "the same of an assigned device's pin", acts.device, plans.from_device, "line",
              only_epic=True),
    Operation("pic.master", "a device's line at the master 8259A, handled as Linux does", acts.device, plans.from_device, "line",
              without_apic=True),
    Operation("pic.slave", "the same at the slave", acts.device, plans.from_device, "line", without_apic=True),
    Operation("pio.kernel_device", "IN from the 8259A's mask, in the kernel or where the irqchip is", acts.port_of_the_pic,
              plans.alone, None, interrupts=False, without_apic=True),
    Operation("pio.user_device", "OUT to a device of userspace", acts.port_of_qemu, plans.alone, None, interrupts=False,
              without_apic=True),
    Operation("pio.ioeventfd", "OUT to a port that signals an eventfd", acts.port_of_an_eventfd, plans.alone, None,
              interrupts=False, without_apic=True),
    Operation("mmio.user_device", "a store to a device of userspace, not the first", acts.page_of_qemu, plans.alone, None,
              interrupts=False, without_apic=True),
    Operation("mmio.ioeventfd", "a store to an address that signals an eventfd", acts.page_of_an_eventfd, plans.alone, None,
              interrupts=False, without_apic=True),
    Operation("timer.tsc_deadline", "arming the TSC deadline, and its interrupt", acts.tsc_deadline,
              plans.timer(plans.TSC_DEADLINE), "timer", conditions=_ONE_EXPIRY),
    Operation("timer.oneshot", "starting the APIC timer's count, and its interrupt", acts.count,
              plans.timer(plans.ONESHOT), "timer", conditions=_ONE_EXPIRY),
    Operation("timer.periodic", "a tick of the APIC timer's periodic count", acts.next_period,
              plans.timer(plans.PERIODIC), "timer", conditions=_TICKS),
)}

ON_ELBRUS = {"ipi.unicast", "ipi.self", "ipi.self_icr", "ipi.all_but_self", "ipi.broadcast_loop", "cpu.hlt",
             "tpr.write_register", "msi.irqfd", "msi.passthrough", "pio.user_device", "pio.ioeventfd",
             "mmio.user_device", "mmio.ioeventfd", "timer.oneshot", "timer.periodic"}
"""What every guest of Elbrus does too."""

WITH_EPIC = {"timer.tsc_deadline", *(row.name for row in OPERATIONS.values() if row.only_epic)}
"""And one that has an EPIC."""
