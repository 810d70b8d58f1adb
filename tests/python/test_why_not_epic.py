"""`virqsim explain --why-not` of Elbrus guests: a plan for each reason, in which that one holds the interrupt back."""

import json

import pytest
from test_why_not import US, Asked
from virqsim import Hypervisor, Machine, Plan, Program, icr, profiles, runner

V, SAME, HIGHER = 0x130, 0x140, 0x230  # of classes 1, 1 and 2


def on(vector, us=20):
    return Program(f"on_{vector:x}").compute(us * US).eoi().compute(US)


def plan(target, *devices, sender=None, handlers=(V, SAME, HIGHER), apic="epic", hypervisor=None, load=False):
    """vCPU 0 is the target; vCPU 1 sends, where there is one."""
    machine = Machine(apic)
    machine.vcpu(target, {vector: on(vector) for vector in handlers})
    if sender:
        machine.vcpu(sender)
    for number, (vector, *at_us) in enumerate(devices):
        machine.device(f"card {number}", "msi", 0, vector, 0, [us * 1000 for us in at_us])
    if load:
        machine.load(pin=0)
    return Plan("why", machine, hypervisor or Hypervisor(halt_poll_ns=0))


def runs(us=200):
    return Program("target").compute(us * US)


def sends(vector=V, us=50):
    return Program("sender").compute(us * US).epic_ipi(vector, 0).compute(150 * US)


def soon(asked, event, vector, name):
    """The reason of that name that comes first within a microsecond of an event."""
    start = asked.at(event, vector)
    firsts = (asked.reasons(start + n * 0.05, vector)[0] for n in range(20))
    return next(first for first in firsts if first.name == name)


@pytest.fixture(params=["epic-sw", "epic-hw"])
def technology(request):
    return request.param


# nothing is pending


def test_never_raised_and_already_over(technology):
    asked = Asked(plan(runs(), (V, 50)), technology)
    (reason,) = asked.reasons(10, V)
    assert reason.name == "never raised" and "raised at 50.0000 us (flow 1)" in reason.sentence
    assert reason.evidence == (f"PMIRR[{V}] = 0", "CIR = empty")
    (reason,) = asked.reasons(150, V)
    assert reason.name == "not pending" and "has been retired" in reason.sentence
    assert asked.why(asked.at("EOI", V) + 0.5, V) == ["not pending"]  # though its handler runs on


def test_an_ipi_that_is_sent_later_is_no_reason(technology):
    asked = Asked(plan(runs(), sender=sends()), technology)
    assert asked.why(10, V) == ["never raised"]


def test_the_second_of_several_targets_waits_for_the_first():
    machine = Machine("epic")
    machine.vcpu(Program("sender").compute(50 * US).ipi(icr(48, shorthand="all-but-self"), 0).compute(100 * US))
    for name in ("first", "second"):
        machine.vcpu(Program(name).compute(200 * US), {48: Program(f"on_{name}").eoi()})
    asked = Asked(Plan("several", machine, Hypervisor(halt_poll_ns=0)), "epic-sw")
    (reason,) = asked.reasons(asked.at("ROUTED", 48) + 0.05, 48, vcpu=2)
    assert reason.name == "on its way" and "it was routed" in reason.sentence


def test_its_handler_runs(technology):
    asked = Asked(plan(runs(), (V, 50)), technology)
    (reason,) = asked.reasons(asked.at("HANDLER", V) + 1, V)
    assert reason.name == "its handler runs" and "CPR = 2" in reason.evidence


def test_the_sender_is_intercepted_for_it():
    asked = Asked(plan(runs(), sender=sends()), "epic-sw")
    (reason,) = asked.reasons(int(asked.again.trace.of("RAISED")["ps"][0]) / 10**6 + 0.05, V)
    assert reason.name == "the sender is still sending it" and "vCPU 1 wrote its ICR" in reason.sentence


def test_a_miss_waits_for_the_host_of_the_senders_core():
    asked = Asked(plan(Program("target").halt(), sender=sends()), "epic-hw")
    routed = asked.at("ROUTED", V)
    (reason,) = asked.reasons(routed + 0.01, V)
    assert reason.name == "a miss: the host has not taken it" and "DAT row = invalid" in reason.evidence


@pytest.mark.parametrize(("armed", "name"), [
    (Program("target").timer_mode(V, 0).timer_count(100_000, 1), "the timer has not expired"),
    (Program("target").timer_mode(V, 0), "the timer is not armed"),
    (Program("target").timer_mode(V, 3).timer_count(100_000, 1), "masked in TIMER_LVTT"),
])
def test_the_timer(technology, armed, name):
    asked = Asked(plan(armed.compute(200 * US)), technology)
    (reason,) = asked.reasons(20, V)
    assert reason.name == name and reason.evidence[0].startswith("TIMER_LVTT = ")


# pending


def test_the_cores_priority_holds_its_class_back(technology):
    asked = Asked(plan(runs(), (HIGHER, 50), (V, 60)), technology)
    (first, *_) = asked.reasons(62, V)
    assert first.name == "the core's priority"
    assert "raised by the handler of vector 560 (230H, class 2), to 3, and class 1 counts as 2" in first.sentence


def test_the_same_class_is_held_back_too_and_the_next_one_is_not(technology):
    asked = Asked(plan(runs(), (V, 50), (SAME, 60), (HIGHER, 65)), technology)
    assert asked.why(62, SAME)[0] == "the core's priority"
    assert "the core's priority" not in asked.why(66, HIGHER)


def test_another_is_before_it(technology):
    masked = Program("target").mask().compute(100 * US).unmask().compute(100 * US)
    asked = Asked(plan(masked, (V, 50), (HIGHER, 60)), technology)
    (first, *_) = asked.reasons(70, V)
    assert first.name == "another is before it" and "CIR holds vector 560" in first.sentence
    assert asked.why(70, HIGHER)[0] == "the guest masks interrupts"


def test_the_guest_masks_interrupts(technology):
    masked = Program("target").mask().compute(100 * US).unmask().compute(100 * US)
    asked = Asked(plan(masked, (V, 50)), technology)
    (reason,) = asked.reasons(70, V)
    assert reason.name == "the guest masks interrupts"
    assert reason.evidence == (("IF = 0",) if technology == "epic-hw" else ("IF = 0", "exc_interrupt = 1"))


def test_the_guest_asks_for_the_vector():
    asked = Asked(plan(runs(), (V, 50)), "epic-sw")
    first = soon(asked, "INJECTED", V, "the guest asks for the vector")
    assert "which is intercepted" in first.sentence


def test_what_the_guest_asks_for_is_not_another(technology):
    asked = Asked(plan(runs(), (V, 50), (SAME, 50)), technology)
    instants = (asked.at("INJECTED", V) + n * 0.05 for n in range(20))
    at = next(at for at in instants if asked.why(at, V)[0] == "the guest asks for the vector")
    assert asked.why(at, SAME)[0] == "another is before it"


def test_the_vcpu_sleeps_or_is_preempted_and_its_row_is_invalid():
    asked = Asked(plan(runs(400), (V, 50), load=True, hypervisor=Hypervisor(halt_poll_ns=0, time_slice_ns=40_000)), "epic-hw")
    (reason,) = asked.reasons(55, V)
    assert reason.name == "the vCPU is preempted" and "DAT row = invalid" in reason.evidence
    assert "the copy of PMIRR in memory" in reason.sentence


def test_nobody_tells_a_sleeper_of_an_assigned_devices_interrupt():
    machine = Machine("epic")
    machine.vcpu(Program("target").halt(), {V: on(V)})
    machine.assigned("card", 0, V, cpu=0, at_ns=[50_000])
    asked = Asked(Plan("slept", machine, Hypervisor(halt_poll_ns=0)), "epic-hw")
    (reason,) = asked.reasons(100, V)
    assert reason.name == "the vCPU sleeps, and nobody is told" and "DAT row = invalid" in reason.evidence


def test_the_vcpu_is_in_the_host_with_its_row():
    busy = Program("target")
    with busy.repeat(300):
        busy.cpuid()
    asked = Asked(plan(busy, (V, 50)), "epic-hw")
    reason = soon(asked, "PENDING", V, "the vCPU is not in its guest")
    assert "DAT row = valid" in reason.evidence
    assert "interrupts the guest after the next glaunch" in reason.sentence


def test_a_hit_is_under_way():
    asked = Asked(plan(runs(), sender=sends()), "epic-hw")
    (reason,) = asked.reasons(asked.at("PENDING", V) + 0.05, V)
    assert reason.name == "the message is under way" and "it reaches the core at" in reason.sentence


def test_a_kick_is_under_way():
    asked = Asked(plan(runs(), (V, 50)), "epic-sw")
    (reason,) = asked.reasons(asked.at("PENDING", V) + 0.05, V)
    assert reason.name == "the guest has not left yet" and "RESCHEDULE" in reason.sentence


def test_a_non_maskable_one_waits_for_the_handler_of_another(technology):
    machine = Machine("epic")
    machine.vcpu(runs(), {2: on(2)})
    machine.device("watchdog", "nmi", 0, None, 0, [50_000, 60_000])
    asked = Asked(Plan("nmi", machine, Hypervisor(halt_poll_ns=0)), technology)
    assert asked.why(62, 2)[0] == "non-maskable interrupts are blocked"


def test_every_instant_of_an_interrupts_way_has_a_reason(technology):
    """From before it is raised until it is over, for a target that runs, sleeps, or lost its core."""
    for target in (runs(150), Program("target").halt().compute(50 * US)):
        asked = Asked(plan(target, (HIGHER, 49), (SAME, 50), sender=sends()), technology)
        for at in range(480, 1300, 7):
            assert all(reason.sentence and reason.section for reason in asked.reasons(at / 10, V))


def test_a_legacy_guest_is_told_by_its_local_apic():
    asked = Asked(plan(runs(), (48, 50), handlers=(48,), apic="xapic"), "epic-hw")
    assert asked.why(asked.at("HANDLER", 48) + 1, 48) == ["in service"]
    first = soon(asked, "INJECTED", 48, "the guest asks for the vector")
    assert first.section.startswith("seen: arch/e2k/kvm/lapic.c")
    (reason,) = asked.reasons(asked.at("PENDING", 48) + 0.05, 48)
    assert reason.name == "the guest has not left yet" and "hv_intercepts.c" in reason.section


# the command


@pytest.fixture
def folder(virqsim):
    runner.run(plan(runs(), (V, 50)).resolve(profiles.load("elbrus-16c"), "epic-hw"), folder="run")
    return "run"


def test_the_command_takes_ten_bits_in_hexadecimal(virqsim, folder):
    said = virqsim("explain", folder, "--why-not", "0x130", "--at", "10us")
    assert said.status == 0 and said.out.startswith("vector 304 (130H, class 1) at vCPU 0, at 10.0000 us: never raised")
    document = json.loads(virqsim("explain", folder, "--why-not", "304", "--at", "10us", "--json").out)
    assert document["reasons"][0]["name"] == "never raised" and document["state"]["epic"]["CTRL"] == 0x500


@pytest.mark.parametrize(("vector", "line"), [
    ("1024", "--why-not: 1024 is not a vector of this machine (0..1023)"),
    ("-1", "--why-not: -1 is not a vector of this machine (0..1023)"),
    ("x30", "--why-not: 'x30' is not a vector, as in 48 or 0x30"),
])
def test_what_is_no_vector_is_refused(refused, folder, vector, line):
    assert refused("explain", folder, "--why-not", vector, "--at", "1us") == line

