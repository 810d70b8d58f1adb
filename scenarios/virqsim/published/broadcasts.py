"""A call on all other vCPUs of a big VM: what the IPI hypercall was measured with.

80 vCPUs on the 80 threads of two sockets, under KVM of 2018: no fast path for
ICR writes yet, mitigations on. The others idle in HLT, which KVM polls for.
"""

from __future__ import annotations

from collections.abc import Callable

from ..guest import Program, icr, logical_x2apic
from ..plan import Machine, Plan
from ..profiles import Profile
from .calls import in_ns, one_way
from .figure import Figure, Measure, Setting, nanoseconds, ratio, stamped
from .kernel import BUFFERS, CALL, FENCES, PER_CPU, Call

VECTOR = 48
WARM, ROUNDS = 12, 5  # calls until polling windows have grown; and those that count
VCPUS = 80
CALLS = 100_000  # ipi_benchmark's NTIMES

# KVM had no fast path for ICR writes before 2020; and the kernels of 2018 had mitigations.
_KVM_OF_2018, _PROFILE = "-fastpath", "skylake-sp-mitigated"
_SOURCE = "ipi_benchmark, commit 4180bf1b655a, 2018; 100000 broadcasts a run"


def _broadcast(send: Callable[[Program], object], features: str = _KVM_OF_2018) -> Measure:
    """Nanoseconds from a call on all others to the last one's answer."""
    def measure(profile: Profile) -> float:
        machine, guest = Machine(sockets=2, threads_per_core=2), Program("guest")
        over = machine.word("over")
        calls = [Call(machine, f"cpu {n}") for n in range(1, VCPUS)]
        for n in range(1, WARM + ROUNDS + 1):
            if n == WARM + 1:
                guest.stamp(1)
            _call_all(guest, calls, send, n)
        machine.vcpu(guest.stamp(1).word_add(over).ipi(icr(VECTOR, shorthand="all-but-self")))
        for n, call in enumerate(calls, 1):
            handler = Program(f"handler {n}")
            call.flush(handler)
            call.unlock(handler)
            machine.vcpu(Program(f"idle {n}").halt_until(over, 1), {VECTOR: handler})
        cycles = stamped(Setting("apicv", features).run(profile, Plan("broadcast", machine)))
        return nanoseconds(cycles / ROUNDS, profile)
    return measure


def _call_all(guest: Program, calls: list[Call], send: Callable[[Program], object], turn: int) -> None:
    """smp_call_function_many(). Its last loop only reads, so that a core has as many lines under way as buffers."""
    guest.compute(CALL)
    for call in calls:
        call.enqueue(guest.compute(PER_CPU))
    send(guest.compute(FENCES))
    for call in (*calls[BUFFERS - 1:-1:BUFFERS], calls[-1]):
        call.wait(guest.compute(PER_CPU * BUFFERS), turn)


def _one_by_one(guest: Program) -> None:
    """x2apic_send_IPI_mask_phys()."""
    for apic_id in range(1, VCPUS):
        guest.compute(PER_CPU).ipi(icr(VECTOR), apic_id)


def _by_cluster(guest: Program) -> None:
    """__x2apic_send_IPI_mask() collects each cluster's logical IDs."""
    for first in range(0, VCPUS, 16):
        cluster = range(max(first, 1), min(first + 16, VCPUS))
        guest.compute(PER_CPU * len(cluster)).ipi(icr(VECTOR, logical=True), logical_x2apic(cluster))


def _by_hypercall(guest: Program) -> None:
    """__send_ipi_mask() of the guest's kvm.c collects APIC IDs in a bitmap."""
    guest.compute(PER_CPU * (VCPUS - 1)).pv_ipi(VECTOR, 1, VCPUS - 1)


_PHYSICAL, _CLUSTER = _broadcast(_one_by_one), _broadcast(_by_cluster)
_PV = _broadcast(_by_hypercall, f"+pv-ipi,{_KVM_OF_2018}")


def _row(id: str, what: str, published: float, unit: str, *measures: Measure) -> Figure:
    return Figure(id, what, published, unit, _SOURCE, _PROFILE, measures, ratio if len(measures) > 1 else None)


FIGURES = (
    _row("H5.8-unicast", "call of one that halts, x2APIC cluster", 223_910_476 / CALLS, "ns",
         in_ns(one_way(Setting("apicv", _KVM_OF_2018), halts=True))),
    _row("H5.8-broadcast", "broadcast to 79, x2APIC cluster", 9_282_161_150 / CALLS, "ns", _CLUSTER),
    _row("H5.9-broadcast", "broadcast to 79, hypercall, x2APIC cluster", 7_572_293_590 / CALLS, "ns", _PV),
    _row("H5.9-gain", "cluster beside hypercall", 1.22, "x", _CLUSTER, _PV),
    _row("H5.10-physical", "broadcast to 79, x2APIC physical", 19_845_070_887 / CALLS, "ns", _PHYSICAL),
    _row("H5.10-pv", "broadcast to 79, hypercall, x2APIC physical", 7_806_540_019 / CALLS, "ns", _PV),
    _row("H5.10-gain", "physical beside hypercall", 2.54, "x", _PHYSICAL, _PV),
)
