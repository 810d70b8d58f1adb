"""The halt-polling window follows KVM's rules (Documentation/virt/kvm/halt-polling.rst)."""

import pytest

from virqsim import Hypervisor, Machine, Plan, Program, profiles, runner
from virqsim.trace import read

VECTOR = 48


def windows(tmp_path, idle_us, **policy):
    """The window after each change, in ns, of a vCPU that halts for each of these times in turn."""
    machine = Machine()
    sleeper, waker = Program("sleeper"), Program("waker")
    for word, us in enumerate(idle_us):
        sleeper.halt_until(machine.word(f"slept{word}"), 1).word_add(machine.word(f"awake{word}"))
        waker.compute(us * 1000).ipi(VECTOR, 0).spin_until(machine.word(f"awake{word}"), 1)
    ticks = [Program(f"tick{n}").eoi().word_add(machine.word(f"slept{n}")) for n in range(len(idle_us))]
    machine.vcpu(sleeper, {VECTOR: ticks})
    machine.vcpu(waker)
    plan = Plan("halts", machine, Hypervisor(**policy)).resolve(profiles.load("unit"))
    runner.run(plan, folder=tmp_path / "run", trace=True)
    return [int(a) for a in read(tmp_path / "run" / "trace.vqt").of("HALT_POLL")["a"]]


def test_the_window_starts_at_grow_start_and_doubles_while_sleeps_are_short(tmp_path):
    changes = windows(tmp_path, [50, 50, 50, 50], halt_poll_ns=200_000)
    assert changes == [10_000, 20_000, 40_000, 80_000]


def test_the_window_stays_once_polling_catches_the_wake_up(tmp_path):
    assert windows(tmp_path, [50] * 8, halt_poll_ns=200_000) == [10_000, 20_000, 40_000, 80_000]


def test_the_window_does_not_grow_past_its_limit(tmp_path):
    assert windows(tmp_path, [25] * 8, halt_poll_ns=30_000) == [10_000, 20_000, 30_000]


def test_a_long_sleep_closes_the_window_where_shrink_is_zero(tmp_path):
    assert windows(tmp_path, [50, 50, 5_000, 5_000], halt_poll_ns=200_000)[-1] == 0


def test_shrink_divides_the_window_down_to_grow_start(tmp_path):
    changes = windows(tmp_path, [50, 50, 50, 5_000], halt_poll_ns=200_000, halt_poll_shrink=2)
    assert changes == [10_000, 20_000, 40_000, 20_000]


@pytest.mark.parametrize("idle", [[50], [50, 5_000]])
def test_without_polling_there_is_no_window(tmp_path, idle):
    assert windows(tmp_path, idle, halt_poll_ns=0) == []
