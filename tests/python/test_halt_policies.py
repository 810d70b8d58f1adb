"""How a vCPU waits: the guest's own polling, how deep its CPU sleeps, and what `sweep` makes of it."""

import copy
import json

import pytest
from virqsim import GuestPoll, Hypervisor, IdleState, Machine, Plan, Program, VirqsimError, profiles, run, runner
from virqsim.library import Simulation
from virqsim.trace import read

VECTOR = 48
STATES = (IdleState("light", 1_000, 1_000), IdleState("deep", 51_000, 100_000))


def sleeper(at_ns, **machine):
    """A vCPU that a device wakes at these times, and that does nothing else."""
    machine = Machine(**machine)
    word = machine.word("work")
    guest = Program("guest")
    with guest.repeat(len(at_ns)):
        guest.halt_take(word, 1)
    vcpu = machine.vcpu(guest, {VECTOR: Program("handler").word_add(word).eoi()})
    machine.device("device", "msi", vcpu, VECTOR, at_ns=at_ns)
    return machine


def limits(folder, gaps_us, **features):
    """The guest's limit after each change, in ns, where interrupts are so far apart."""
    at_ns = [1000 * sum(gaps_us[: n + 1]) for n in range(len(gaps_us))]
    plan = Plan("polls", sleeper(at_ns), Hypervisor(), features={"guest-halt-poll": True, **features})
    results = runner.run(plan.resolve(profiles.load("unit")), folder=folder, trace=True)
    return [int(a) for a in read(folder / "trace.vqt").of("GUEST_POLL")["a"]], results


def test_the_guests_limit_starts_at_grow_start_and_doubles_while_halts_are_short(tmp_path):
    changes, _ = limits(tmp_path / "run", [70, 130, 190, 250])
    assert changes == [50_000, 100_000, 200_000]


def test_halts_longer_than_all_polling_halve_it(tmp_path):
    changes, _ = limits(tmp_path / "run", [70, 130, 5_000, 5_000])
    assert changes == [50_000, 100_000, 50_000, 25_000]


def test_what_the_guests_polling_catches_leaves_it_not_at_all(tmp_path):
    _, results = limits(tmp_path / "run", [70] + [40] * 20)
    assert results.exits.set_index("reason")["count"].to_dict()["HLT"] == 1


def test_where_the_guest_polls_the_host_does_not(tmp_path):
    _, results = limits(tmp_path / "run", [70, 300, 300, 300])
    assert results.vcpus.set_index("state")["time_ns"]["POLLING"] == 0


def test_a_loop_of_pauses_that_exits_polls_on_afterwards():
    machine = sleeper([70_000, 200_000, 290_000])
    plan = Plan("polls", machine, features={"guest-halt-poll": True, "pause-loop-exiting": True}, technology="none")
    exits = runner.run(plan.resolve(profiles.load("unit"))).exits.groupby("reason")["count"].sum()
    assert exits["PAUSE_INSTRUCTION"] > 3
    assert exits["HLT"] == 2


def latencies(gap_us, **machine):
    at_ns = [1_000 * gap_us * (n + 1) for n in range(20)]
    plan = Plan("sleeps", sleeper(at_ns, **machine), Hypervisor(halt_poll_ns=0))
    return runner.run(plan.resolve(profiles.load("unit")))


@pytest.mark.parametrize(("gap_us", "more_ns"), [(40, 0), (400, 50_000)])
def test_a_cpu_that_sleeps_deeper_takes_that_much_longer_to_wake_up(gap_us, more_ns):
    light, both = (latencies(gap_us, idle_states=states) for states in (STATES[:1], STATES))
    assert both.latency["p50_ns"][0] - light.latency["p50_ns"][0] == pytest.approx(more_ns, rel=0.04, abs=1)


def test_the_lightest_state_is_part_of_the_wake_up_that_everybody_pays():
    assert latencies(40, idle_states=STATES[:1]).latency["max_ns"][0] == latencies(40).latency["max_ns"][0]


def test_results_have_the_time_in_each_idle_state():
    results = latencies(400, idle_states=STATES)
    (cpu,) = results.document["idle"]
    asleep = sum(state["time_ps"] for state in cpu["states"].values())
    assert cpu["states"]["deep"]["wakeups"] > 15
    assert 0.8 < asleep / results.document["time_ps"] < 1


@pytest.mark.parametrize(("states", "line"), [
    ([], "plan: machine.idle_states: has 0 states; 1 to 10 belong here"),
    ([{"name": "a", "exit_ns": 5, "residency_ns": 5}, {"name": "b", "exit_ns": 4, "residency_ns": 5}],
     "plan: machine.idle_states[1]: is lighter than the one before it"),
])
def test_wrong_idle_states_are_refused(states, line):
    plan = copy.deepcopy(Plan("small", sleeper([1_000])).resolve(profiles.load("unit")))
    plan["machine"]["idle_states"] = states
    with pytest.raises(VirqsimError) as refused, Simulation(plan):
        pass
    assert str(refused.value) == line


def test_the_guests_parameters_are_its_own(tmp_path):
    machine = sleeper([70_000, 200_000], guest_poll=GuestPoll(grow_start_ns=7_000))
    plan = Plan("polls", machine, features={"guest-halt-poll": True}).resolve(profiles.load("unit"))
    runner.run(plan, folder=tmp_path / "run", trace=True)
    assert int(read(tmp_path / "run" / "trace.vqt").of("GUEST_POLL")["a"][0]) == 7_000


def test_sooner_awake_is_more_cpu_time():
    policies = ["sleep", "grow", "grow-shrink", "fixed", "hlt-in-guest"]
    rows = [report_of(policy) for policy in policies]
    assert [row["latency_us"] for row in rows] == sorted((row["latency_us"] for row in rows), reverse=True)
    assert [row["cpu_percent"] for row in rows] == sorted(row["cpu_percent"] for row in rows)


def report_of(policy):
    from virqsim.scenario import Scenario

    settings = {"policy": policy, "interrupts": 500}
    loaded = Scenario.load("halt_polling")
    values = loaded.values(settings, profiles.load("skylake-sp").clocks)
    return loaded.report(run("halt_polling", **settings), values).iloc[0]


def test_sweep_runs_every_policy_under_all_arrivals(virqsim, tmp_path):
    table = json.loads(virqsim("sweep", "halt_polling", "--set", "interrupts=20", "--out", tmp_path, "--json").out)
    assert len(table) == 3 * 8
    assert {row["arrivals"] for row in table} == {"poisson", "bursts", "recorded"}
    assert (tmp_path / "halt_polling.png").stat().st_size > 1000
    assert (tmp_path / "halt_polling.csv").read_text().count("\n") == 25


def test_a_swept_parameter_that_is_set_has_one_value(virqsim, tmp_path):
    table = json.loads(virqsim("sweep", "halt_polling", "--set", "interrupts=20", "--set", "arrivals=periodic",
                               "--out", tmp_path, "--json").out)
    assert {row["arrivals"] for row in table} == {"periodic"}


def test_a_scenario_without_a_sweep_says_so(refused):
    assert "has no SWEEP" in refused("sweep", "ipi_ping_pong")
