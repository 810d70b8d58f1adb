"""Interrupts without the hypervisor: ELI, dedicated CPUs, DID, and IPIs that are passed through (docs/models/direct.md)."""

from __future__ import annotations

from ..guest import Program, icr
from ..plan import Machine, Plan
from ..probe import Probe
from ..profiles import Profile
from .calls import benchmark
from .exits import counted
from .figure import Figure, Measure, Setting, change, latency, stamped

VECTOR = 48
ROUNDS = 50
SETTLE = 100_000  # cycles, longer than any exit, entry and handler

_ELI = "Gordon et al., 'ELI: Bare-Metal Performance for I/O Virtualization', ASPLOS 2012"
_SEKIYAMA = "T. Sekiyama, CPU isolation and direct interrupts delivery to guests, LKML and LinuxCon, 2012"
_DID = "Tu et al., 'A Comprehensive Implementation and Evaluation of Direct Interrupt Delivery', VEE 2015"
_LINUX_5_0 = "skylake-sp-mitigated"
_PASSTHROUGH = "'[RFC] KVM: X86: implement Passthrough IPI', 2020"
_PV_IPI = "ByteDance, 'Minimizing VMExits in Private Cloud by Aggressive PV IPI and Passthrough Timer', KVM Forum 2020"

# KVM had no preemption timer for guests before 2016, and did not let timers expire ahead before 2018.
_BEFORE = "-preemption-timer,-timer-advance"


def _all(operation: str, technology: str, features: str = "") -> Measure:
    """The exits of an operation, of the interrupt that it is, and of its acknowledgement."""
    return counted(Probe(operation, technology, features), "sender", "target", "eoi")


def _deadlines() -> Plan:
    """A vCPU that spins until its TSC deadline has been handled, again and again."""
    machine = Machine()
    fired = machine.word("fired")
    guest = Program("guest").timer_mode(VECTOR, 2)
    for n in range(1, ROUNDS + 1):
        guest.tsc_deadline(SETTLE).spin_until(fired, n)
    machine.vcpu(guest, {VECTOR: Program("tick").eoi().word_add(fired)})
    return Plan("deadlines", machine)


def _invocation(setting: Setting) -> Measure:
    """Cycles from the deadline to its handler."""
    def measure(profile: Profile) -> float:
        return latency(setting.run(profile, _deadlines()), "timer", profile)
    return measure


def _one_way(setting: Setting) -> Measure:
    """Cycles from the ICR write to the other's handler; the same source's native IPI is in `hw.ipi`, with its software."""
    def measure(profile: Profile) -> float:
        return latency(setting.run(profile, benchmark()), "ipi", profile)
    return measure


def _sends(sending: bool) -> Plan:
    """IPIs to a vCPU that spins, far apart, between two stamps; or only the time in between."""
    machine = Machine()
    done = machine.word("done")
    guest = Program("guest").compute(SETTLE).stamp(1)
    for _ in range(ROUNDS):
        guest.compute(SETTLE)
        if sending:
            guest.ipi(icr(VECTOR), 1)
    machine.vcpu(guest.stamp(1).word_add(done))
    machine.vcpu(Program("idle").spin_until(done, 1))
    return Plan("sends", machine)


def _send(setting: Setting) -> Measure:
    """Cycles until the sender of an IPI goes on."""
    def measure(profile: Profile) -> float:
        busy, idle = (stamped(setting.run(profile, _sends(sending))) for sending in (True, False))
        return (busy - idle) / ROUNDS
    return measure


_POSTED = Setting("apicv", "+ipi-passthrough")

FIGURES = (
    Figure("ELI-baseline", "exits an interrupt of an assigned device, in software", 2, "exits", _ELI, "nehalem",
           (_all("msi.passthrough", "none"),)),
    Figure("ELI-delivery", "with exit-less delivery only", 1, "exits", _ELI, "nehalem",
           (_all("msi.passthrough", "eli", "-direct-eoi"),)),
    Figure("ELI-both", "with exit-less delivery and completion", 0, "exits", _ELI, "nehalem",
           (_all("msi.passthrough", "eli"),)),
    Figure("E2.10-before", "exits of a timer: set, fire, EOI", 3, "exits", _SEKIYAMA, "westmere",
           (_all("timer.oneshot", "none", _BEFORE),)),
    Figure("E2.10-virtual", "exits of an emulated device's interrupt on a dedicated CPU", 2, "exits", _SEKIYAMA, "westmere",
           (_all("msi.irqfd", "direct"),)),
    Figure("E2.10-after", "exits of an assigned device's interrupt there", 0, "exits", _SEKIYAMA, "westmere",
           (_all("msi.passthrough", "direct"),)),
    Figure("E2.10-timer", "exits of a timer there", 0, "exits", _SEKIYAMA, "westmere", (_all("timer.oneshot", "direct"),)),
    Figure("D3.1-timer", "what DID changes in a timer's way to its handler", -80, "%", _DID, "sandy-bridge",
           (_invocation(Setting("none", _BEFORE)), _invocation(Setting("did"))), change),
    Figure("V4.10-off", "an IPI sent and received", 7000, "cycles", _PASSTHROUGH, _LINUX_5_0,
           (_one_way(Setting("apicv", "-fastpath")),)),  # which Linux 5.0 had not
    Figure("V4.10-on", "an IPI sent and received, passed through", 2000, "cycles", _PASSTHROUGH, _LINUX_5_0,
           (_one_way(_POSTED),)),
    Figure("V4.11-off", "sending an IPI", 11486, "cycles", _PV_IPI, "skylake-sp", (_send(Setting("apicv", "-fastpath")),)),
    Figure("V4.11-on", "sending an IPI, passed through", 412, "cycles", _PV_IPI, "skylake-sp", (_send(_POSTED),)),
)
