"""What KVM does about guests that wait: whom a directed yield helps, and how the window of PAUSE-loop exiting moves."""

import pytest
from virqsim import Hypervisor, Machine, PauseLoop, Plan, Program, VirqsimError, profiles, runner
from virqsim.trace import read

LOOP = PauseLoop(gap=100, window=1000)
PLE = {"pause-loop-exiting": True}


def records(tmp_path, machine, event, technology="none", features=PLE, pause_loop=LOOP, slice_us=1000, until_ns=0):
    """The trace's records of one event, of a run under the profile `unit`."""
    hypervisor = Hypervisor(halt_poll_ns=0, time_slice_ns=slice_us * 1000, pause_loop=pause_loop)
    plan = Plan("waits", machine, hypervisor, until_ns=until_ns).resolve(profiles.load("unit"), technology, features)
    runner.run(plan, folder=tmp_path / "run", trace=True)
    return read(tmp_path / "run" / "trace.vqt").of(event)


def yields(*arguments, **options):
    """(who gave way, to whom), in order."""
    return [(int(row["where"]), int(row["a"])) for row in records(*arguments, "YIELD", **options)]


def spinners(count):
    """vCPUs that spin for a word that nobody sets, on one CPU."""
    machine = Machine()
    for n in range(count):
        machine.vcpu(Program(f"spins{n}").pause_until(machine.word("never"), 1), pin=0)
    return machine


def test_those_that_spin_on_one_cpu_help_each_other_in_turn(tmp_path):
    """Each gives way to the next that has not itself given way while it span, or has been passed over once."""
    order = yields(tmp_path, spinners(3), until_ns=20_000)
    assert order[:2] == [(0, 1), (1, 2)]
    assert all(giver != taker for giver, taker in order)
    assert {taker for _, taker in order[2:]} == {0, 1, 2}


def test_one_that_span_itself_is_passed_over_every_other_time(tmp_path):
    """0 gives way to 1, which finds 0 spinning: passed over. At its next exit it is 0's turn."""
    machine = spinners(2)
    exits = records(tmp_path, machine, "VM_EXIT", until_ns=20_000)
    order = yields(tmp_path, machine, until_ns=20_000)
    by_vcpu = [int(row["where"]) for row in exits]
    assert by_vcpu[:5] == [0, 1, 1, 0, 0]
    assert order[:3] == [(0, 1), (1, 0), (0, 1)]


def test_nobody_is_helped_who_sleeps_or_runs(tmp_path):
    machine = Machine()
    never = machine.word("never")
    machine.vcpu(Program("spins").pause_until(never, 1), pin=0)
    machine.vcpu(Program("runs").spin_until(never, 1), pin=1)
    machine.vcpu(Program("sleeps").halt_until(never, 1), pin=2)
    assert yields(tmp_path, machine, until_ns=500_000) == []


def test_the_window_doubles_with_each_exit_and_is_reset_where_the_thread_is_scheduled(tmp_path):
    machine = spinners(1)
    machine.load(0)
    changes = [(int(row["a"]), int(row["b"])) for row in records(tmp_path, machine, "PLE_WINDOW", slice_us=20,
                                                                until_ns=60_000)]
    assert changes[:4] == [(2000, 1000), (4000, 2000), (8000, 4000), (16000, 8000)]
    assert (1000, 16000) in changes
    assert changes[changes.index((1000, 16000)) + 1] == (2000, 1000)


def test_shrink_divides_or_subtracts_down_to_the_window(tmp_path):
    def first_reset(shrink):
        machine = spinners(1)
        machine.load(0)
        changes = records(tmp_path, machine, "PLE_WINDOW", pause_loop=PauseLoop(gap=100, window=1000, shrink=shrink),
                          slice_us=20, until_ns=60_000)
        return next((int(row["a"]), int(row["b"])) for row in changes if row["a"] < row["b"])

    assert first_reset(2) == (8000, 16000)
    assert first_reset(1500) == (14500, 16000)
    assert first_reset(20000) == (1000, 16000)


def test_without_the_feature_there_is_no_window_to_move(tmp_path):
    assert len(records(tmp_path, spinners(1), "PLE_WINDOW", features={"pause-in-guest": False}, until_ns=60_000)) == 0


@pytest.mark.parametrize(("pause_loop", "line"), [
    (PauseLoop(window=0), "plan: hypervisor.pause_loop.window: 0 is out of range (1..4294967295)"),
    (PauseLoop(max=100, window=101), "plan: hypervisor.pause_loop.window: 101 is out of range (1..100)"),
])
def test_a_window_that_makes_no_sense_is_refused(tmp_path, pause_loop, line):
    with pytest.raises(VirqsimError) as refused:
        records(tmp_path, spinners(1), "YIELD", pause_loop=pause_loop)
    assert str(refused.value) == line


def test_amds_counter_has_sixteen_bits(tmp_path):
    with pytest.raises(VirqsimError, match=r"pause_loop.max: 65536 .*65535"):
        records(tmp_path, spinners(1), "YIELD", technology="svm", features={"pause-filter": True},
                pause_loop=PauseLoop(max=65536))


def test_what_is_left_to_kvm_is_not_in_the_plan():
    assert "pause_loop" not in Hypervisor().document()
    assert Hypervisor(pause_loop=PauseLoop(gap=0)).document()["pause_loop"] == {"gap": 0}


def reported(virqsim, scenario, *words):
    """The one row of a scenario's report."""
    lines = virqsim("run", scenario, *words).out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.split()[:1] in (["slowdown"], ["latency_us"]))
    return dict(zip(lines[at].split(), map(float, lines[at + 1].split())))


def test_a_function_call_is_answered_sooner_where_the_caller_gives_way(virqsim):
    def call(*words):
        return reported(virqsim, "lock_holder_preemption", "--profile", "haswell", "--set", "lock=call", "--set", "rounds=20", *words)

    spins, yields = call(), call("--features=+pv-sched-yield")
    assert spins["round_us"] > 5_900 and yields["round_us"] < 3_300  # two slices, and one
    assert spins["kicks"] == 0 and yields["kicks"] >= 19  # the last call finds nobody without a CPU
    by_hypercall = call("--set", "ipi=pv", "--features=+pv-sched-yield")
    assert by_hypercall["kicks"] == yields["kicks"] + 20
    assert call("--features=+pause-loop-exiting")["pause_exits"] >= 19


def test_an_ipi_wakes_as_a_device_does_and_its_sender_pays(virqsim):
    def waits(*words):
        return reported(virqsim, "halt_polling", "--set", "policy=sleep", "--set", "deepest=C1", "--set", "interrupts=100",
                        "--set", "arrivals=periodic", *words)

    device, ipi, by_hypercall = (waits("--set", f"source={source}") for source in ("device", "ipi", "pv-ipi"))
    assert device["exits"] == ipi["exits"] == by_hypercall["exits"] == 1.0
    assert device["latency_us"] < by_hypercall["latency_us"] < ipi["latency_us"]
