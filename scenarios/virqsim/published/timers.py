"""The guest's APIC timer: from its deadline to its handler, as kvm-unit-tests' x86/tscdeadline_latency.c measures it.

The test arms the TSC deadline and waits: it halts, or, as patched for most of
what was published ("busy waits"), spins. Its handler reads the TSC first, arms
the next deadline relative to that, and acknowledges. A latency is the time read
less the deadline; the first one does not count. What APIC-timer virtualization
saves was measured by a selftest of KVM's that does the same at a steady pace.
"""

from __future__ import annotations

from dataclasses import replace

from .. import profiles
from ..guest import Program
from ..plan import Machine, Plan
from ..profiles import Profile
from .figure import Figure, Measure, Setting, latency, stamped

VECTOR = 0xEF
DELTA = 200_000  # cycles of the TSC from the handler to the next deadline, by default
ROUNDS = 400  # of the test's 10000: enough for the tuning of the advance to settle
PERIOD_NS = 10_000  # DEFAULT_TIMER_INC_NS of KVM's selftest timer_latency

_PREEMPTION = "kvm-unit-tests tscdeadline_latency, commit ce7a058a2117, 2016"
_TUNING = "kvm-unit-tests tscdeadline_latency, Skylake server, commit 3b8a5df6c4dc, 2018"
_NARROWED = "kvm-unit-tests tscdeadline_latency, Haswell desktop, commit b6c4bc659c6f, 2019"
_VIRTUALIZED = "KVM selftest timer_latency, '[PATCH v2 00/36] KVM: VMX APIC timer virtualization support', 2026"


def _latency(setting: Setting, halts: bool = False) -> Measure:
    """The mean latency in cycles of the TSC."""
    def measure(profile: Profile) -> float:
        machine = Machine(setting.guest_apic)
        ticks = machine.word("ticks")
        guest = Program("main").timer_mode(VECTOR, 2).tsc_deadline(DELTA)
        (guest.halt_until if halts else guest.spin_until)(ticks, ROUNDS)
        handler = Program("isr").stamp(1).tsc_deadline(DELTA).word_add(ticks).eoi()
        machine.vcpu(guest, {VECTOR: handler})
        return stamped(setting.run(profile, Plan("tscdeadline_latency", machine))) - DELTA - _rdtsc(profile)
    return measure


def _selftest(setting: Setting) -> Measure:
    """The same of KVM's selftest x86/timer_latency.c, busy: its main loop arms a deadline once the one before is handled."""
    def measure(profile: Profile) -> float:
        machine = Machine(setting.guest_apic)
        ticks = machine.word("timer_interrupted")
        guest = Program("hlt_loop").timer_mode(VECTOR, 2)
        for n in range(1, ROUNDS + 1):
            guest.tsc_deadline(PERIOD_NS * profile.clocks["tsc_hz"] // 10**9).spin_until(ticks, n)
        machine.vcpu(guest, {VECTOR: Program("timer_interrupt").stamp(1).word_add(ticks).eoi()})
        return latency(setting.run(profile, Plan("timer_latency", machine)), "timer", profile)
    return measure


def _rdtsc(profile: Profile) -> float:
    """From the value that the handler reads to the deadline it makes of it; the test's is relative to the value."""
    return profile.cycles["guest.rdtsc"] * profile.clocks["tsc_hz"] / profile.clocks["core_hz"]


def _behind_the_wait(profile: Profile, cycles: int) -> Profile:
    """KVM waits so much earlier: what it did before the wait, it does between that and the world switch."""
    costs = dict(profile.costs)
    entry, prepare = costs["hw.entry"], costs["kvm.entry"]
    costs["hw.entry"] = replace(entry, value=entry.value + cycles)
    costs["kvm.entry"] = replace(prepare, value=prepare.value - cycles)
    return replace(profile, costs=costs)


def _waits_before_preparation(measure: Measure) -> Measure:
    """As KVM was before May 2019."""
    return lambda profile: measure(_behind_the_wait(profile, profile.cycles["kvm.entry"]))


def _waits_at_the_switch(measure: Measure) -> Measure:
    """As KVM never did: behind what it does against speculative execution, too, where the profile has that."""
    def measured(profile: Profile) -> float:
        with_it, without = (profiles.load(name).cycles["hw.entry"] for name in (_HASWELL, "haswell"))
        return measure(_behind_the_wait(profile, without - with_it) if profile.name == _HASWELL else profile)
    return measured


# From January 2018 on kernels mitigate speculative execution.
_SKYLAKE, _HASWELL = "skylake-sp-mitigated", "haswell-mitigated"

# Kernels older than 5.7, whose fast path is: no timer goes through it.
_BEFORE_2018 = "-fastpath,-timer-advance"  # lapic_timer_advance_ns was 0 up to commit 3b8a5df6c4dc
_ON_THE_HOST, _IN_HARDWARE = Setting("apicv", f"{_BEFORE_2018},-preemption-timer"), Setting("apicv", _BEFORE_2018)
_TUNED = Setting("apicv", "-fastpath")
_VIRTUAL, _NOT_VIRTUAL = Setting("apic-timer"), Setting("ipiv")

_host, _hardware = _latency(_ON_THE_HOST), _latency(_IN_HARDWARE)
_host_halted, _hardware_halted = _latency(_ON_THE_HOST, halts=True), _latency(_IN_HARDWARE, halts=True)
_tuned = _latency(_TUNED)
_tuned_in_2018 = _waits_before_preparation(_tuned)  # up to commit b6c4bc659c6f


def _saved(before: float, after: float) -> float:
    return before - after


def _reduction(before: float, after: float) -> float:
    """In per cent."""
    return 100 * (before - after) / before


FIGURES = (
    Figure("P4.3-before", "timer latency, host timer, spinning", 3200, "cycles", _PREEMPTION, "haswell", (_host,)),
    Figure("P4.3-saved", "what the preemption timer saves, spinning", 800, "cycles", _PREEMPTION, "haswell",
           (_host, _hardware), _saved),
    Figure("P4.3-halted", "what the preemption timer costs, halted", 20, "cycles", _PREEMPTION, "haswell",
           (_hardware_halted, _host_halted), _saved),
    Figure("P4.4-host", "timer latency, host timer, halted", 5700, "cycles", _TUNING, _SKYLAKE, (_host_halted,)),
    Figure("P4.4-before", "timer latency, preemption timer, spinning", 2600, "cycles", _TUNING, _SKYLAKE, (_hardware,)),
    Figure("P4.4-after", "timer latency, preemption timer, tuned advance, spinning", 1200, "cycles", _TUNING, _SKYLAKE,
           (_tuned_in_2018,)),
    Figure("P4.5-before", "timer latency, tuned advance, the wait before KVM's preparations", 1600, "cycles", _NARROWED,
           _HASWELL, (_tuned_in_2018,)),
    Figure("P4.5-after", "timer latency, tuned advance, the wait next to the entry", 1000, "cycles", _NARROWED, _HASWELL,
           (_tuned,)),
    Figure("P4.5-saved", "from the wait to the world switch, at first", 700, "cycles", _NARROWED, _HASWELL,
           (_tuned_in_2018, _waits_at_the_switch(_tuned)), _saved),
    Figure("ATV-spinning", "what APIC-timer virtualization saves of the timer latency, spinning", 61, "%", _VIRTUALIZED,
           "sapphire-rapids", (_selftest(_NOT_VIRTUAL), _selftest(_VIRTUAL)), _reduction),
)
