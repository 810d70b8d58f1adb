"""A call on all other vCPUs of a big VM: what the IPI hypercall was measured with.

80 vCPUs on the 80 threads of two sockets, under KVM of 2018: no fast path for
ICR writes yet, mitigations on. The others idle in HLT, which KVM polls for.
"""

from __future__ import annotations

from collections.abc import Callable

from ..guest import Program, icr, logical_x2apic
from ..plan import Hypervisor, Machine, Plan
from ..profiles import Profile
from .calls import in_ns, one_way, whole
from .figure import Figure, Measure, Setting, mean, nanoseconds, ratio, stamped
from .kernel import BUFFERS, CALL, FENCES, LOCKED, PER_CPU, Call

VECTOR = 48
WARM, ROUNDS = 12, 5  # calls until every polling window has grown; and those that count
VCPUS = 80
CALLS = 100_000  # ipi_benchmark's NTIMES

# KVM had no fast path for ICR writes before 2020; and the kernels of 2018 had mitigations.
_KVM_OF_2018, _PROFILE = "-fastpath,-wake-after-post", "skylake-sp-mitigated"
_GROWN = Hypervisor(halt_poll_grow_start_ns=200_000)  # at once, as after some more calls
_SOURCE = "ipi_benchmark, commit 4180bf1b655a, 2018; 100000 broadcasts a run"


def _broadcast(send: Callable[[Program], object], features: str = _KVM_OF_2018, locks: bool = False) -> Measure:
    """Nanoseconds from a call on all others to the last one's answer.

    Args:
        send: how the IPIs are sent.
        features: beside those of `apicv`.
        locks: the function takes a lock, the same for all.
    """
    def measure(profile: Profile) -> float:
        machine, guest = Machine(sockets=2, threads_per_core=2), Program("guest")
        over, lock = machine.word("over"), machine.word("lock")
        calls = [Call(machine, f"cpu {n}") for n in range(1, VCPUS)]
        for n in range(1, WARM + ROUNDS + 1):
            if n == WARM + 1:
                guest.stamp(1)
            _call_all(guest, calls, send, n)
        machine.vcpu(guest.stamp(1).word_add(over).ipi(icr(VECTOR, shorthand="all-but-self")))
        for n, call in enumerate(calls, 1):
            handler = Program(f"handler {n}")
            call.flush(handler)
            if locks:
                handler.word_add(lock).compute(LOCKED)
            call.unlock(handler)
            machine.vcpu(Program(f"idle {n}").halt_until(over, 1), {VECTOR: handler})
        cycles = stamped(Setting("apicv", features).run(profile, Plan("broadcast", machine, hypervisor=_GROWN)))
        return nanoseconds(cycles / ROUNDS, profile)
    return measure


def _call_all(guest: Program, calls: list[Call], send: Callable[[Program], object], turn: int) -> None:
    """smp_call_function_many(). Its last loop only reads, so that a core has as many lines under way as buffers."""
    guest.compute(CALL)
    for call in calls:
        call.enqueue(guest.compute(PER_CPU), reuses=True)
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


# A call is of the first CPU but the caller's own, which is in either socket.
_SETTING, _SOCKETS = Setting("apicv", _KVM_OF_2018), (1, 2)
_UNICASTS = tuple(in_ns(one_way(_SETTING, halts=True, sockets=sockets)) for sockets in _SOCKETS)
_WHOLE = tuple(whole(_SETTING, takes_time=True, halts=True, sockets=sockets) for sockets in _SOCKETS)
_PHYSICAL, _CLUSTER = _broadcast(_one_by_one), _broadcast(_by_cluster)
_PV_IPI = f"+pv-ipi,{_KVM_OF_2018}"
_PV, _PV_LOCK = _broadcast(_by_hypercall, _PV_IPI), _broadcast(_by_hypercall, _PV_IPI, locks=True)


def _row(id: str, what: str, published: float, unit: str, *measures: Measure) -> Figure:
    combine = None if len(measures) == 1 else ratio if unit == "x" else mean
    return Figure(id, what, published, unit, _SOURCE, _PROFILE, measures, combine)


FIGURES = (
    _row("H5.8-unicast", "call of one that halts, x2APIC cluster", 223_910_476 / CALLS, "ns", *_UNICASTS),
    _row("H5.8-whole", "the same, to its end", 251_301_666 / CALLS, "ns", *_WHOLE),
    _row("H5.8-broadcast", "broadcast to 79, x2APIC cluster", 9_282_161_150 / CALLS, "ns", _CLUSTER),
    _row("H5.8-lock", "the same, and a lock", 8_812_934_104 / CALLS, "ns", _broadcast(_by_cluster, locks=True)),
    _row("H5.9-broadcast", "broadcast to 79, hypercall, x2APIC cluster", 7_572_293_590 / CALLS, "ns", _PV),
    _row("H5.9-lock", "the same, and a lock", 8_316_124_651 / CALLS, "ns", _PV_LOCK),
    _row("H5.9-gain", "cluster beside hypercall", 1.22, "x", _CLUSTER, _PV),
    _row("H5.10-physical", "broadcast to 79, x2APIC physical", 19_845_070_887 / CALLS, "ns", _PHYSICAL),
    _row("H5.10-lock", "the same, and a lock", 19_827_383_656 / CALLS, "ns", _broadcast(_one_by_one, locks=True)),
    _row("H5.10-pv", "broadcast to 79, hypercall, x2APIC physical", 7_806_540_019 / CALLS, "ns", _PV),
    _row("H5.10-pv-lock", "the same, and a lock", 9_143_618_799 / CALLS, "ns", _PV_LOCK),
    _row("H5.10-gain", "physical beside hypercall", 2.54, "x", _PHYSICAL, _PV),
)
