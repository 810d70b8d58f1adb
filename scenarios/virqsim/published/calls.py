"""Calls of a function on another vCPU, by an IPI: what IPI virtualization was measured with."""

from __future__ import annotations

from ..guest import Program, icr
from ..plan import Machine, Plan
from ..profiles import Profile
from .figure import Figure, Measure, Setting, change, nanoseconds, stamped

VECTOR = 48
ROUNDS = 50
SETTLE = 100_000  # cycles, longer than any exit, entry and handler
CALLS = 100_000  # ipi_benchmark's NTIMES

# IPI virtualization came with this one; the series says no more of its machine.
_MACHINE = "sapphire-rapids"
_IPIV = "kvm-unit-tests vmexit ipi, '[PATCH 0/5] IPI virtualization support for VM', 2021"
_IPI_BENCHMARK = "ipi_benchmark, the same series; 100000 calls a run"


def call_plan(setting: Setting) -> Plan:
    """Calls on another vCPU that spins: an IPI there, a shared word back before its EOI."""
    machine = Machine(setting.guest_apic)
    done = machine.word("done")
    guest = Program("guest").compute(SETTLE).stamp(1)
    for n in range(1, ROUNDS + 1):
        guest.ipi(icr(VECTOR), 1).spin_until(done, n)
    guest.stamp(1)
    machine.vcpu(guest)
    machine.vcpu(Program("idle").spin_until(done, ROUNDS), {VECTOR: Program("call").word_add(done).eoi()})
    return Plan("ipi", machine)


def _call(setting: Setting) -> Measure:
    """Cycles from the IPI to the word back."""
    def measure(profile: Profile) -> float:
        return stamped(setting.run(profile, call_plan(setting))) / ROUNDS
    return measure


def _in_ns(call: Measure) -> Measure:
    def measure(profile: Profile) -> float:
        return nanoseconds(call(profile), profile)
    return measure


_XAPIC, _XAPIC_IPIV = (_call(Setting(technology, guest_apic="xapic")) for technology in ("apicv", "ipiv"))
_X2APIC, _X2APIC_IPIV = (_call(Setting(technology)) for technology in ("apicv", "ipiv"))
_LINUX, _LINUX_IPIV = _in_ns(_X2APIC), _in_ns(_X2APIC_IPIV)

FIGURES = (
    Figure("V4.1-xapic-off", "call by IPI, xAPIC", 6059, "cycles", _IPIV, _MACHINE, (_XAPIC,)),
    Figure("V4.1-xapic-on", "call by IPI, xAPIC, IPI virtualization", 4713.1, "cycles", _IPIV, _MACHINE, (_XAPIC_IPIV,)),
    Figure("V4.1-xapic-change", "what IPI virtualization changes, xAPIC", -22.21, "%", _IPIV, _MACHINE,
           (_XAPIC, _XAPIC_IPIV), change),
    Figure("V4.1-x2apic-off", "call by IPI, x2APIC", 4337.85, "cycles", _IPIV, _MACHINE, (_X2APIC,)),
    Figure("V4.1-x2apic-on", "call by IPI, x2APIC, IPI virtualization", 3644.8, "cycles", _IPIV, _MACHINE, (_X2APIC_IPIV,)),
    Figure("V4.1-x2apic-change", "what IPI virtualization changes, x2APIC", -15.98, "%", _IPIV, _MACHINE,
           (_X2APIC, _X2APIC_IPIV), change),
    Figure("V4.3-off", "call by IPI in Linux", 145_944_306.6 / CALLS, "ns", _IPI_BENCHMARK, _MACHINE, (_LINUX,)),
    Figure("V4.3-on", "call by IPI in Linux, IPI virtualization", 131_742_993.1 / CALLS, "ns", _IPI_BENCHMARK, _MACHINE,
           (_LINUX_IPIV,)),
    Figure("V4.3-change", "what IPI virtualization changes in Linux", -9.73, "%", _IPI_BENCHMARK, _MACHINE,
           (_LINUX, _LINUX_IPIV), change),
)
