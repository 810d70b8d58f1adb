"""The guest's APIC timer: from its deadline to its handler."""

from __future__ import annotations

from ..guest import Program
from ..plan import Machine, Plan
from ..profiles import Profile
from .figure import Figure, Measure, Setting, latency

VECTOR = 48
ROUNDS = 50
TIMER = 50_000  # cycles from arming to the deadline

_PREEMPTION = "kvm-unit-tests tscdeadline_latency, commit ce7a058a2117, 2016"


def _spinning(setting: Setting) -> Measure:
    """Cycles from the TSC deadline to the handler, while the vCPU spins."""
    def measure(profile: Profile) -> float:
        machine = Machine(setting.guest_apic)
        ticks, guest = machine.word("ticks"), Program("guest").timer_mode(VECTOR, 2)
        for n in range(1, ROUNDS + 1):
            guest.tsc_deadline(TIMER).spin_until(ticks, n)
        machine.vcpu(guest, {VECTOR: Program("on_tick").word_add(ticks).eoi()})
        return latency(setting.run(profile, Plan("timer", machine)), "timer", profile)
    return measure


_IN_HARDWARE, _ON_THE_HOST = _spinning(Setting("apicv")), _spinning(Setting("apicv", "-preemption-timer"))

FIGURES = (
    Figure("P4.3-before", "timer latency, host timer, spinning", 3200, "cycles", _PREEMPTION, "haswell", (_ON_THE_HOST,)),
    Figure("P4.3-saved", "what the preemption timer saves, spinning", 800, "cycles", _PREEMPTION, "haswell",
           (_ON_THE_HOST, _IN_HARDWARE), lambda before, after: before - after),
)
