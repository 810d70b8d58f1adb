"""Calls of a function on another vCPU, by an IPI: what IPI virtualization was measured with.

Left out are V4.2's dry run and self-IPI: no IPI in either, since Linux calls the
function itself. V4.5, hackbench, is in hackbench.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from .. import features, trace
from ..guest import Program, icr
from ..library import Simulation
from ..plan import Machine, Plan
from ..profiles import Profile
from .figure import Figure, Measure, Setting, change, nanoseconds, stamped
from .kernel import CALL, FENCES, KTIME, LOCKED, Call

VECTOR = 48
ICR = 0x300  # its offset in the APIC page
ROUNDS = 50
SETTLE = 100_000  # cycles, longer than any exit, entry and handler
CALLS = 100_000  # ipi_benchmark's NTIMES
WHOLE, SENT, HANDLED = 1, 2, 3  # stamps

# IPI virtualization came with this one; the series says no more of its machine.
_MACHINE = "sapphire-rapids"
_IPIV = "kvm-unit-tests vmexit ipi, '[PATCH 0/5] IPI virtualization support for VM', 2021"
_IPI_BENCHMARK = "ipi_benchmark, the same series; 100000 calls a run"


def _on_cpu(setting: Setting) -> Measure:
    """Cycles of on_cpu(1, nop) of kvm-unit-tests, the other vCPU idle without HLT.

    Its lock, function, count and flag are neighbours, so one line: the caller
    takes it, the handler reads it, counts down in it and answers in it. The
    caller spins on it all the time, so that each of these has to fetch it.
    """
    def measure(profile: Profile) -> float:
        machine = Machine(setting.guest_apic)
        shared, over = machine.word("ipi_lock to active_cpus"), machine.word("over")
        guest = Program("guest").compute(SETTLE).stamp(WHOLE)
        for n in range(1, ROUNDS + 1):
            guest.word_add(shared).compute(2 * LOCKED)
            if setting.guest_apic == "xapic":
                guest.apic_read(ICR)  # until it is not busy
            else:
                guest.compute(FENCES)
            guest.ipi(icr(VECTOR), 1).spin_until(shared, 3 * n)
        handler = Program("ipi").word_read(shared).word_add(shared).compute(LOCKED).word_add(shared).eoi()
        machine.vcpu(guest.stamp(WHOLE).word_add(over))
        machine.vcpu(Program("idle").spin_until(over, 1), {VECTOR: handler})
        return stamped(setting.run(profile, Plan("on_cpu", machine))) / ROUNDS
    return measure


def benchmark(takes_time: bool = False, locks: bool = False, halts: bool = False, sockets: int = 1) -> Plan:
    """ipi_benchmark on two vCPUs: each call waits for its end.

    Args:
        takes_time: the function takes the time, as a call of one CPU does; a broadcast's does not.
        locks: the function takes a lock that is on the caller's stack.
        halts: the other vCPU's idle loop is HLT, not idle=poll.
        sockets: with two, the other vCPU is in the other one.
    """
    machine = Machine(sockets=sockets)
    call, guest, handler = Call(machine, "cpu 1"), Program("guest"), Program("handler")
    over = machine.word("over")
    guest.compute(SETTLE).stamp(WHOLE)
    for n in range(1, ROUNDS + 1):
        if takes_time:
            guest.stamp(SENT).compute(KTIME)
        if takes_time or locks:
            guest.word_add(call.beside)
        call.enqueue(guest.compute(CALL))
        call.wait(guest.compute(FENCES).ipi(icr(VECTOR), 1), n)
        if takes_time:
            guest.word_read(call.beside)
    call.flush(handler)
    if takes_time:
        handler.stamp(HANDLED).compute(KTIME)
    if takes_time or locks:
        handler.word_add(call.beside).compute(LOCKED)
    call.unlock(handler)
    machine.vcpu(guest.stamp(WHOLE).word_add(over))
    idle = Program("idle")
    machine.vcpu(idle.halt_until(call.data, 2 * ROUNDS) if halts else idle.spin_until(over, 1), {VECTOR: handler})
    return Plan("ipi_benchmark", machine)


def whole(setting: Setting, takes_time: bool = False, locks: bool = False, halts: bool = False, sockets: int = 1) -> Measure:
    """Nanoseconds from a call to its end."""
    def measure(profile: Profile) -> float:
        plan = benchmark(takes_time, locks, halts, sockets)
        return nanoseconds(stamped(setting.run(profile, plan)) / ROUNDS, profile)
    return measure


def one_way(setting: Setting, halts: bool = False, sockets: int = 1) -> Measure:
    """Cycles from the time taken before the call to the time that its function takes."""
    def measure(profile: Profile) -> float:
        plan = benchmark(takes_time=True, halts=halts, sockets=sockets).resolve(
            profile, setting.technology, features.parse(setting.features))
        with tempfile.TemporaryDirectory(prefix="virqsim-") as folder, Simulation(plan) as simulation:
            path = Path(folder, "trace.vqt")
            simulation.keep_trace(path)
            simulation.run()
            simulation.close_trace()
            stamps = trace.read(path).of("STAMP")
            sent, handled = (sum(int(row["b"]) for row in stamps if row["a"] == id) for id in (SENT, HANDLED))
        return (handled - sent) / ROUNDS
    return measure


def in_ns(cycles: Measure) -> Measure:
    def measure(profile: Profile) -> float:
        return nanoseconds(cycles(profile), profile)
    return measure


_OFF, _ON = Setting("apicv"), Setting("ipiv")
_XAPIC, _XAPIC_ON = (_on_cpu(Setting(technology, guest_apic="xapic")) for technology in ("apicv", "ipiv"))
_X2APIC, _X2APIC_ON = _on_cpu(_OFF), _on_cpu(_ON)
_LINUX, _LINUX_ON = in_ns(one_way(_OFF)), in_ns(one_way(_ON))


def _cycles(id: str, what: str, published: float, measure: Measure) -> Figure:
    return Figure(id, what, published, "cycles", _IPIV, _MACHINE, (measure,))


def _ns(id: str, what: str, total: float, measure: Measure) -> Figure:
    return Figure(id, what, total / CALLS, "ns", _IPI_BENCHMARK, _MACHINE, (measure,))


FIGURES = (
    _cycles("V4.1-xapic-off", "call by IPI, xAPIC", 6059, _XAPIC),
    _cycles("V4.1-xapic-on", "the same, IPI virtualization", 4713.1, _XAPIC_ON),
    Figure("V4.1-xapic-change", "what that changes", -22.21, "%", _IPIV, _MACHINE, (_XAPIC, _XAPIC_ON), change),
    _cycles("V4.1-x2apic-off", "call by IPI, x2APIC", 4337.85, _X2APIC),
    _cycles("V4.1-x2apic-on", "the same, IPI virtualization", 3644.8, _X2APIC_ON),
    Figure("V4.1-x2apic-change", "what that changes", -15.98, "%", _IPIV, _MACHINE, (_X2APIC, _X2APIC_ON), change),
    _ns("V4.2-normal-off", "call in Linux, to its end", 174_558_920, whole(_OFF, takes_time=True)),
    _ns("V4.2-normal-on", "the same, IPI virtualization", 173_321_200, whole(_ON, takes_time=True)),
    _ns("V4.2-broadcast-off", "broadcast to the one other", 175_785_384, whole(_OFF)),
    _ns("V4.2-broadcast-on", "the same, IPI virtualization", 155_649_075, whole(_ON)),
    _ns("V4.2-lock-off", "broadcast that takes a lock", 149_076_195, whole(_OFF, locks=True)),
    _ns("V4.2-lock-on", "the same, IPI virtualization", 161_518_031, whole(_ON, locks=True)),
    _ns("V4.3-off", "call in Linux, to the function", 145_944_306.6, _LINUX),
    _ns("V4.3-on", "the same, IPI virtualization", 131_742_993.1, _LINUX_ON),
    Figure("V4.3-change", "what that changes", -9.73, "%", _IPI_BENCHMARK, _MACHINE, (_LINUX, _LINUX_ON), change),
)
