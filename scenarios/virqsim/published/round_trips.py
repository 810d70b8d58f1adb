"""One operation of one vCPU: kvm-unit-tests' `vmexit`, which most costs were taken from.

Of X1.24 two rows set costs: what an eventfd adds to an OUT, and what decoding
adds to that. The other four are predicted, from these and from X1.10's
userspace leg. An eventfd of one value is simulated like one of any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..guest import Program
from ..plan import Machine, Plan
from ..profiles import Profile
from .figure import Figure, Measure, Setting, stamped

ROUNDS = 50
KERNEL_PORT, USER_PORT, EVENT_PORT = 0x4D0, 0xE1, 0x600
USER_MMIO, EVENT_MMIO = 0xD0000000, 0xD0001000

_VMEXIT = "kvm-unit-tests vmexit, commit b7ffc44d5b2e, 2017"
_MITIGATED = "Wanpeng Li, KVM on Skylake-SP, March 2020"
_EVENTFD = "kvm-unit-tests vmexit with pci-testdev, QEMU commit 22773d6066a7, 2013"


def _operation(act: Callable[[Program], object]) -> Measure:
    """Cycles of an operation, repeated."""
    def measure(profile: Profile) -> float:
        machine, guest = Machine(), Program("guest")
        machine.region("port", KERNEL_PORT, KERNEL_PORT + 3, "kernel")
        machine.region("port", EVENT_PORT, EVENT_PORT, "eventfd")
        machine.region("mmio", EVENT_MMIO, EVENT_MMIO + 3, "eventfd")
        guest.stamp(1)
        with guest.repeat(ROUNDS):
            act(guest)
        guest.stamp(1)
        machine.vcpu(guest)
        return stamped(Setting("apicv").run(profile, Plan("operation", machine))) / ROUNDS
    return measure


def _row(id: str, what: str, published: float, source: str, act: Callable[[Program], object],
         profile: str = "skylake-sp") -> Figure:
    return Figure(id, what, published, "cycles", source, profile, (_operation(act),), calibrates=True)


def _predicted(id: str, what: str, published: float, act: Callable[[Program], object]) -> Figure:
    return replace(_row(id, what, published, _EVENTFD, act), calibrates=False)


FIGURES = (
    _row("X1.10-cpuid", "CPUID", 1291, _VMEXIT, lambda guest: guest.cpuid()),
    _row("X1.10-vmcall", "hypercall", 1181, _VMEXIT, lambda guest: guest.hypercall()),
    _row("X1.10-mov_to_cr8", "MOV to CR8", 16, _VMEXIT, lambda guest: guest.cr8(0)),
    _row("X1.10-mov_from_cr8", "MOV from CR8", 11, _VMEXIT, lambda guest: guest.cr8_read()),
    _row("X1.10-outl_to_kernel", "OUT to a device in the kernel", 1391, _VMEXIT, lambda guest: guest.port_out(KERNEL_PORT)),
    _row("X1.10-inl_from_kernel", "IN from a device in the kernel", 2339, _VMEXIT, lambda guest: guest.port_in(KERNEL_PORT)),
    _row("X1.10-inl_from_qemu", "IN from a device in QEMU", 6209, _VMEXIT, lambda guest: guest.port_in(USER_PORT)),
    _row("X1.13-vmcall", "hypercall, mitigations on", 1559, _MITIGATED, lambda guest: guest.hypercall(),
         "skylake-sp-mitigated"),
    _row("X1.24-portio-wildcard-eventfd", "OUT to an ioeventfd", 1762, _EVENTFD, lambda guest: guest.port_out(EVENT_PORT)),
    _row("X1.24-mmio-wildcard-eventfd", "MMIO write to an ioeventfd", 3609, _EVENTFD,
         lambda guest: guest.mmio_write(EVENT_MMIO)),
    _predicted("X1.24-portio-datamatch-eventfd", "OUT to an ioeventfd of one value", 1777,
               lambda guest: guest.port_out(EVENT_PORT)),
    _predicted("X1.24-mmio-datamatch-eventfd", "MMIO write to an ioeventfd of one value", 3685,
               lambda guest: guest.mmio_write(EVENT_MMIO)),
    _predicted("X1.24-portio-no-eventfd", "OUT to a device in QEMU", 5287, lambda guest: guest.port_out(USER_PORT)),
    _predicted("X1.24-mmio-no-eventfd", "MMIO write to a device in QEMU", 8796, lambda guest: guest.mmio_write(USER_MMIO)),
)
