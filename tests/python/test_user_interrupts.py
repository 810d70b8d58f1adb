"""User interrupts from Python: what a plan says, the trace's words, and the exports."""

import json

import pytest
from virqsim import Machine, Plan, Program, VirqsimError, profiles, runner
from virqsim import trace as vqt
from virqsim.export import export


def machine(sends=1):
    """vCPU 0 sends user vector 5 to vCPU 1, again and again."""
    machine = Machine()
    seen = machine.word("seen")
    sender = Program("sender")
    for n in range(1, sends + 1):
        sender.compute(20_000).senduipi(0).spin_until(seen, n)
    machine.vcpu(sender)
    machine.vcpu(Program("receiver").spin_until(seen, sends))
    machine.user_interrupts(0)
    machine.user_interrupts(1, Program("on_user").word_add(seen))
    assert machine.user_target(0, 1, 5) == 0
    return machine


def run(folder=None, technology="uintr", **options):
    plan = Plan("user", machine(**options)).resolve(profiles.load("unit"), technology)
    return runner.run(plan, folder=folder, trace=folder is not None)


def test_the_results_have_their_source_and_their_vectors():
    document = run(sends=3).document
    assert document["exits"] == []
    assert [(row["source"], row["count"]) for row in document["latency"]] == [("user-ipi", 3)]
    assert [(row["vcpu"], row["vector"], row["raised"], row["delivered"]) for row in document["accounting"]] == [
        (1, 236, 3, 3), (1, 256 + 5, 3, 3)]


def test_a_flow_is_told_from_senduipi_to_uiret(tmp_path):
    run(tmp_path / "run")
    trace = vqt.read(tmp_path / "run" / "trace.vqt")
    told = {}
    for r in trace.records:
        if r["flow"]:
            told.setdefault(int(r["flow"]), []).append(
                (trace.events[r["event"]], trace.words(r["event"], r["a"], r["b"])))
    user, notification = told.values()
    assert user == [
        ("RAISED", "message 0x5 user-ipi"), ("ROUTED", "user vector 5 of flow 1"), ("PENDING", "user vector 5 PUIR"),
        ("INJECTED", "user vector 5 user-interrupt delivery"), ("HANDLER", "user vector 5"), ("RETIRED", "user vector 5")]
    assert [event for event, _ in notification] == ["RAISED", "ROUTED", "PENDING", "NOTIFIED", "TAKEN", "EOI", "RETIRED"]
    assert notification[4] == ("TAKEN", "vector 0xec")


def test_a_timeline_shows_the_users_handler_and_no_interrupt_left_pending(tmp_path):
    run(tmp_path / "run")
    events = json.loads(export(tmp_path / "run", "perfetto").read_text())["traceEvents"]
    assert "user handler 5" in {event.get("name") for event in events}
    pending = [event["args"]["interrupts"] for event in events if event["name"] == "pending, vCPU 1"]
    assert max(pending) == 2 and pending[-1] == 0


def test_a_waveform_has_room_for_a_user_vector(tmp_path):
    run(tmp_path / "run")
    text = export(tmp_path / "run", "vcd").read_text()
    assert "$var wire 10 " in text
    assert f"b{256 + 5:b} " in text


def test_systemc_gives_the_same():
    plan = Plan("user", machine(sends=3)).resolve(profiles.load("unit"), "uintr")
    assert runner.run(plan, host="systemc").document == runner.run(plan).document


def test_another_technology_must_be_given_the_feature():
    with pytest.raises(VirqsimError, match="needs the feature user-interrupts"):
        run(technology="ipiv")
