"""A call on all other vCPUs of a big VM: what the IPI hypercall was measured with."""

from __future__ import annotations

from collections.abc import Callable

from ..guest import Program, icr, logical_x2apic
from ..plan import Machine, Plan
from ..profiles import Profile
from .figure import Figure, Measure, Setting, nanoseconds, ratio, stamped

VECTOR = 48
ROUNDS = 5
SETTLE = 100_000  # cycles, longer than any exit, entry and handler
VCPUS = 80
CALLS = 100_000  # ipi_benchmark's NTIMES

# KVM had no fast path for ICR writes before 2020; and the kernels of 2018 had mitigations.
_KVM_OF_2018, _PROFILE = "-fastpath", "skylake-sp-mitigated"
_SOURCE = "ipi_benchmark, commit 4180bf1b655a, 2018; 100000 broadcasts a run"


def _broadcast(send: Callable[[Program], object], features: str = _KVM_OF_2018) -> Measure:
    """Nanoseconds from a call on all others to the last one's answer."""
    def measure(profile: Profile) -> float:
        machine, guest = Machine(), Program("guest")
        done = machine.word("done")
        guest.compute(SETTLE).stamp(1)
        for n in range(1, ROUNDS + 1):
            send(guest)
            guest.spin_until(done, n * (VCPUS - 1))
        machine.vcpu(guest.stamp(1))
        idle, call = Program("idle").spin_until(done, ROUNDS * (VCPUS - 1)), Program("call").word_add(done).eoi()
        for _ in range(VCPUS - 1):
            machine.vcpu(idle, {VECTOR: call})
        cycles = stamped(Setting("apicv", features).run(profile, Plan("broadcast", machine)))
        return nanoseconds(cycles / ROUNDS, profile)
    return measure


def _one_by_one(guest: Program) -> None:
    for apic_id in range(1, VCPUS):
        guest.ipi(icr(VECTOR), apic_id)


def _by_cluster(guest: Program) -> None:
    for first in range(0, VCPUS, 16):
        guest.ipi(icr(VECTOR, logical=True), logical_x2apic(range(max(first, 1), min(first + 16, VCPUS))))


def _by_hypercall(guest: Program) -> None:
    guest.pv_ipi(VECTOR, 1, VCPUS - 1)


_PHYSICAL, _CLUSTER = _broadcast(_one_by_one), _broadcast(_by_cluster)
_PV = _broadcast(_by_hypercall, f"+pv-ipi,{_KVM_OF_2018}")


def _row(id: str, what: str, published: float, unit: str, *measures: Measure) -> Figure:
    return Figure(id, what, published, unit, _SOURCE, _PROFILE, measures, ratio if len(measures) > 1 else None)


FIGURES = (
    _row("H5.8-broadcast", "broadcast to 79, x2APIC cluster", 9_282_161_150 / CALLS, "ns", _CLUSTER),
    _row("H5.9-broadcast", "broadcast to 79, by hypercall, x2APIC cluster", 7_572_293_590 / CALLS, "ns", _PV),
    _row("H5.9-gain", "cluster beside hypercall", 1.22, "x", _CLUSTER, _PV),
    _row("H5.10-physical", "broadcast to 79, x2APIC physical", 19_845_070_887 / CALLS, "ns", _PHYSICAL),
    _row("H5.10-pv", "broadcast to 79, by hypercall, x2APIC physical", 7_806_540_019 / CALLS, "ns", _PV),
    _row("H5.10-gain", "physical beside hypercall", 2.54, "x", _PHYSICAL, _PV),
)
