"""The ready scenarios run, answer their question, and give the same answer twice."""

import json
import subprocess
import sys

import pytest
from virqsim import Parameter, Program, Scenario, VirqsimError, drivers, paths, profiles, run

SMALL = {
    "guest_run_loop": {"repetitions": 5},
    "ipi_ping_pong": {"rounds": 5},
    "ipi_broadcast": {"vcpus": 4, "rounds": 3},
    "timer_ticks": {"ticks": 5},
    "delivery_in_software": {"rounds": 3},
    "elbrus_epic": {"interrupts": 4, "gap_us": 20},
    "elbrus_guest_launch": {"rounds": 3},
    "disk_io_path": {"requests": 8, "depth": 2},
    "inhibited": {"rounds": 5, "start": 10, "length": 30},
    "legacy_guest": {"ticks": 3, "device_interrupts": 6},
    "masked_direct_read": {"frames": 64},
    "passthrough": {"interrupts": 3},
    "external_with_hardware": {"interrupts": 3},
    "ipi_and_timer_with_hardware": {"interrupts": 3},
    "lock_holder_preemption": {"cpus": 2, "rounds": 40, "slice_us": 100},
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_scenario_asks_a_question_and_explains_its_parameters(name):
    scenario = Scenario.load(name)
    assert scenario.question.endswith("?")
    assert all(parameter.meaning for parameter in scenario.parameters.values())


@pytest.mark.parametrize("technology", ["none", "apicv", "ipiv"])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_scenario_runs_to_its_end_and_loses_no_interrupt(name, technology):
    if name.startswith("elbrus"):
        technology = {"none": "epic-sw"}.get(technology, "epic-hw")
    results = run(name, technology=technology, **SMALL[name])
    assert results.document["state"] == "ended"
    sums = results.accounting
    assert (sums["raised"] == sums["delivered"] + sums["coalesced"] + sums["refused"] + sums["pending"]).all()


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_same_run_gives_the_same_results(name):
    assert run(name, **SMALL[name]).document == run(name, **SMALL[name]).document


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_scenario_is_a_program_of_its_own(name, tmp_path):
    settings = [word for key, value in SMALL[name].items() for word in ("--set", f"{key}={value}")]
    script = paths.find("scenarios") / f"{name}.py"
    done = subprocess.run([sys.executable, script, *settings, "--json"], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["state"] == "ended"


def test_the_guest_run_loop_comes_out_as_published_where_it_was_calibrated():
    scenario = Scenario.load("guest_run_loop")
    p = scenario.values({}, {})
    report = scenario.report(run("guest_run_loop"), p)
    assert len(report) == 6
    for row in report.itertuples():
        assert row.published_cycles <= row.cycles < row.published_cycles + 5, row.operation


@pytest.mark.parametrize("wait", ["halt", "spin"])
@pytest.mark.parametrize("guest_apic", ["xapic", "x2apic"])
def test_ping_pong_delivers_an_ipi_each_way_and_round(wait, guest_apic):
    results = run("ipi_ping_pong", pairs=2, rounds=10, wait=wait, guest_apic=guest_apic)
    assert results.accounting["delivered"].sum() == 2 * 2 * 10
    assert set(results.stamps["count"]) == {10}


def test_ping_pong_costs_the_sender_one_exit_an_ipi_until_ipis_are_virtualized():
    def sent(technology):
        exits = run("ipi_ping_pong", technology=technology, rounds=10, wait="spin").exits
        return exits[exits["cause"] == "operation"]["count"].sum()

    assert (sent("apicv"), sent("ipiv")) == (20, 0)


@pytest.mark.parametrize(("how", "exits"), [("shorthand", 3), ("loop", 9), ("pv", 3)])
def test_a_broadcast_costs_the_sender_an_exit_for_each_write_or_call(how, exits):
    results = run("ipi_broadcast", vcpus=4, rounds=3, how=how)
    assert results.exits[results.exits["cause"] == "operation"]["count"].sum() == exits
    assert results.accounting["delivered"].sum() == 9


@pytest.mark.parametrize("between", ["work", "halt"])
@pytest.mark.parametrize("mode", ["tsc-deadline", "one-shot", "periodic"])
def test_the_timer_ticks_as_often_as_asked(mode, between):
    results = run("timer_ticks", mode=mode, between=between, ticks=5)
    assert results.latency.set_index("source").loc["timer", "count"] >= 5
    assert results.time_ns >= 5 * 250_000


def test_who_counts_decides_what_a_tick_costs_and_how_late_it_comes():
    def tick(counts, technology="apicv", mode="tsc-deadline"):
        results = run("timer_ticks", technology=technology, counts=counts, mode=mode, ticks=50)
        return results.exits["count"].sum(), results.latency.set_index("source").loc["timer", "mean_ns"]

    ways = ("host-at-deadline", "at-deadline", "host", "technology", "posted", "hardware")
    exits, late = zip(*map(tick, ways), strict=True)
    assert exits == (102, 102, 102, 102, 52, 1)  # the mode and the first deadline, the others', expiries
    host, preemption, host_ahead, ahead, posted, hardware = late
    assert hardware < ahead < hardware + 100 < preemption < host
    assert host_ahead < preemption
    assert posted > ahead
    assert tick("hardware", mode="one-shot") == tick("technology", mode="one-shot")


def paths_of(technology="none", rounds=5, **parameters):
    """delivery_in_software's report: path to (send, deliver, acknowledge, halt, all, to_userspace)."""
    scenario = Scenario.load("delivery_in_software")
    p = scenario.values({"rounds": rounds, **parameters}, {})
    report = scenario.report(run("delivery_in_software", technology=technology, rounds=rounds, **parameters), p)
    return {row[0]: row[1:] for row in report.itertuples(index=False, name=None)}


@pytest.mark.parametrize(("irqchip", "rows"), [
    ("kernel", [(0, 1, 4, 0, 5, 0), (0, 1, 1, 0, 2, 0), (0, 1, 1, 0, 2, 0), (0, 1, 1, 0, 2, 0), (2, 1, 1, 0, 4, 0)]),
    # INTR signals the thread, and each port goes on to QEMU; a level's EOI reaches its I/O APIC by KVM_EXIT_IOAPIC_EOI.
    ("split", [(0, 1, 4, 0, 5, 5), (0, 1, 1, 0, 2, 0), (0, 1, 1, 0, 2, 1), (0, 1, 1, 0, 2, 0), (2, 1, 1, 0, 4, 0)]),
    # Every vector by KVM_INTERRUPT, whose exit comes on top of the signal's.
    ("userspace", [(0, 2, 4, 0, 6, 5), (0, 2, 1, 0, 3, 2), (0, 2, 1, 0, 3, 2), (0, 2, 1, 0, 3, 2), (2, 2, 1, 0, 5, 4)]),
])
def test_each_path_costs_what_kvm_and_qemu_do_for_it_by_themselves(irqchip, rows):
    assert list(paths_of(irqchip=irqchip).values()) == rows


def test_apicv_takes_over_every_path_but_the_8259as_and_a_levels_eoi():
    assert list(paths_of("apicv").values()) == [
        (0, 1, 4, 0, 5, 0), (0, 0, 0, 0, 0, 0), (0, 0, 1, 0, 1, 0), (0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 1, 0)]
    assert paths_of("ipiv")["IPI"] == (0, 0, 0, 0, 0, 0)


def test_a_halted_target_pays_an_exit_for_its_hlt_in_place_of_the_kick():
    for path, row in paths_of(wait="halt").items():
        assert row[1:4] == (0, 4 if path == "8259A" else 1, 1), path


def legacy(guest, technology="apicv", **parameters):
    """Exits of legacy_guest for one interrupt, by cause; `all`, and `user`."""
    results = run("legacy_guest", technology=technology, guest=guest, ticks=10, device_interrupts=40, **parameters)
    n = results.accounting["delivered"].sum()
    assert n == 50
    by_cause = results.exits.groupby("cause")["count"].sum() / n
    return {**by_cause, "all": by_cause.sum(), "user": results.userspace_exits["count"].sum() / n}


@pytest.mark.parametrize("wait", ["work", "halt"])
@pytest.mark.parametrize("irqchip", ["kernel", "split"])
def test_the_older_the_controller_the_more_it_costs_on_new_hardware(irqchip, wait):
    pic, xapic, x2apic = (legacy(guest, irqchip=irqchip, wait=wait) for guest in ("8259a", "xapic", "x2apic"))
    assert pic["all"] > xapic["all"] > x2apic["all"]
    assert pic["user"] >= xapic["user"] >= x2apic["user"] == 0


def test_new_hardware_does_nothing_for_a_guest_without_a_local_apic():
    before = legacy("8259a", "none")
    assert all(legacy("8259a", technology) == before for technology in ("apicv", "ipiv"))
    assert before["acknowledge"] == (10 * 4 + 40 * 5) / 50  # the slave's IRQ needs a second EOI
    assert legacy("x2apic", "apicv")["all"] < legacy("x2apic", "none")["all"] / 2


def test_the_pit_ticks_after_a_whole_period_and_not_when_its_mode_is_set():
    results = run("legacy_guest", ticks=10, device_interrupts=0)
    assert results.time_ns == pytest.approx(10 * 4e6, rel=0.01)


@pytest.mark.parametrize(("name", "parameters", "line"), [
    ("delivery_in_software", {"rounds": 0}, "delivery_in_software: rounds: 0 is not at least 1"),
    ("legacy_guest", {"hz": 0}, "legacy_guest: hz: 0 is not at least 1"),
    ("legacy_guest", {"ticks": -1}, "legacy_guest: ticks: -1 is not at least 1"),
    ("legacy_guest", {"hz": 10}, "pit_periodic: 10 Hz: the PIT's counter makes 19 to 596591"),
    ("legacy_guest", {"guest": "x2apic", "irqchip": "userspace"},
     "plan: machine.guest_apic: a userspace irqchip has no x2APIC for its guests, and QEMU takes it away (xapic, none)"),
])
def test_what_the_chips_cannot_do_is_said_in_one_line(name, parameters, line):
    with pytest.raises(VirqsimError) as error:
        run(name, **parameters)
    assert str(error.value) == line


def test_a_parameter_has_limits_and_takes_both():
    limited = Parameter(5, "", "of a test", least=1, most=9)
    assert [limited.read("here", text) for text in ("1", 9)] == [1, 9]
    for value in (0, 10):
        with pytest.raises(VirqsimError, match=rf"^here: {value} is not in 1\.\.9$"):
            limited.read("here", value)


@pytest.mark.parametrize(("act", "line"), [
    (lambda p: drivers.pic_start(p, 0x31), "pic_start: base: 49 is no multiple of 8 in 16..240"),
    (lambda p: drivers.ioapic_route(p, 24, 48), "ioapic_route: gsi: 24 is no input of the chipset (0..23 without 2)"),
    (lambda p: drivers.ioapic_route(p, 2, 48), "ioapic_route: gsi: 2 is no input of the chipset (0..23 without 2)"),
    (lambda p: drivers.ioapic_route(p, 3, 300), "ioapic_route: vector: 300 is not in 16..255"),
    (lambda p: drivers.ioapic_route(p, 3, 48, 256), "ioapic_route: destination: 256 does not fit the entry's 8 bits"),
])
def test_a_driver_refuses_what_its_chip_does_not_have(act, line):
    with pytest.raises(VirqsimError) as error:
        act(Program("guest"))
    assert str(error.value) == line


def test_masking_one_irq_of_a_chip_leaves_its_others_open():
    program = drivers.pic_mask_and_acknowledge(Program("p"), 5, others=[3, 5, 12])
    drivers.pic_unmask_one(program, 5, others=[3, 12])
    masks = [operation[3] for operation in program.operations if operation[:2] == ["port_out", 0x21]]
    assert masks == [0xFF & ~(1 << 3 | 1 << 2), 0xFF & ~(1 << 3 | 1 << 5 | 1 << 2)]


def written(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("text", "line"), [
    ("x = (", "mine.py:1: SyntaxError"),
    ('"""Why?"""\nPARAMETERS = {}\ny = x\n', "mine.py:3: NameError: name 'x' is not defined"),
    ('"""Why?"""\ndef plan(p): pass\n', "mine.py: has no PARAMETERS"),
    ("PARAMETERS = {}\ndef plan(p): pass\n", "mine.py: has no doc"),
])
def test_a_broken_scenario_is_one_line_with_its_place(tmp_path, text, line):
    with pytest.raises(VirqsimError) as refused:
        Scenario.load(written(tmp_path, text))
    assert line in str(refused.value)


def test_a_plan_that_is_none_is_refused(tmp_path):
    scenario = Scenario.load(written(tmp_path, '"""Why?"""\nPARAMETERS = {}\ndef plan(p): return 3\n'))
    with pytest.raises(VirqsimError, match="returned int, not a Plan"):
        scenario.plan(scenario.values({}, {}))


@pytest.mark.parametrize(("text", "line"), [
    ("PARAMETERS = [1]\ndef plan(p): return 1", "PARAMETERS is a list; a dictionary of Parameter belongs here"),
    ("PARAMETERS = {'a': 3}\ndef plan(p): return 1", "PARAMETERS: 'a': 3 is no Parameter(default, unit, meaning)"),
    ("PARAMETERS = {}", "has no plan(p) that returns a Plan"),
])
def test_what_a_scenario_lacks_is_said_with_what_it_looks_like(tmp_path, text, line):
    path = tmp_path / "wrong.py"
    path.write_text(f'"""Which?"""\n{text}\n')
    with pytest.raises(VirqsimError) as error:
        Scenario.load(str(path))
    assert str(error.value) == f"scenario {path}: {line}"


@pytest.mark.parametrize(("body", "line"), [
    ("import sys; sys.exit(3)", "scenario {path}:4: SystemExit: 3"),
    ("return Plan('x', 3)", "scenario {path}:4: TypeError: Plan: 3 is no Machine"),
    ("m = Machine(); m.vcpu(Program('a'), pin='x'); return Plan('x', m)",
     "plan: machine.vcpus[0].pin: is a string; an integer belongs here"),
    ("m = Machine(); m.vcpu(Program('a'), pin=-1); return Plan('x', m)",
     "plan: machine.vcpus[0].pin: -1 is not a physical CPU (0..0)"),
])
def test_a_plan_that_goes_wrong_is_one_line(tmp_path, body, line):
    path = tmp_path / "wrong.py"
    path.write_text(f'"""Which?"""\nfrom virqsim import *\nPARAMETERS = {{}}\ndef plan(p): {body}\n')
    with pytest.raises(VirqsimError) as error:
        run(str(path))
    assert str(error.value) == line.format(path=path)


def test_a_report_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text('"""Which?"""\nPARAMETERS = {}\ndef plan(p): pass\ndef report(results, p): return 3\n')
    with pytest.raises(VirqsimError, match=r"report\(\) returned int, not a DataFrame"):
        Scenario.load(str(path)).report(None, None)


@pytest.mark.parametrize("value", [1.5, True])
def test_a_whole_number_is_not_made_of_something_else(value):
    with pytest.raises(VirqsimError, match="rounds: .* is not a whole number"):
        run("ipi_ping_pong", rounds=value)


def test_an_inhibited_guest_pays_the_difference_to_the_same_guest_uninhibited():
    scenario = Scenario.load("inhibited")
    p = scenario.values({}, {})
    for technology, acknowledge in (("avic", "npf"), ("apicv", "APIC_ACCESS")):
        results = run("inhibited", technology=technology)
        report = scenario.report(results, p).set_index("what")
        free = run("inhibited", technology=technology, start=10**9).exits["count"].sum()
        assert report.loc["exits", "free"] == free
        assert report.loc["exits", "inhibited"] == results.exits["count"].sum()
        assert (report["price"] == report["inhibited"] - report["free"]).all()
        assert report.loc[f"  {acknowledge}", "free"] == 0 < report.loc[f"  {acknowledge}", "inhibited"]
        reasons = results.inhibits.set_index("reason")
        assert reasons.loc["BLOCKIRQ", "time_ns"] == 200_000
        assert set(reasons.index) - {"IRQWIN"} == {"BLOCKIRQ", "any"}  # AVIC is off while a window is open, too
        per_ms = reasons.loc["any", "exits"] / 0.2
        assert reasons.loc["any", "exits_per_ms"] == pytest.approx(per_ms)


def test_a_reason_that_is_not_heeded_costs_nothing():
    scenario = Scenario.load("inhibited")
    for technology, reason in (("apicv", "IRQWIN"), ("none", "BLOCKIRQ"), ("svm", "BLOCKIRQ")):
        report = scenario.report(run("inhibited", technology=technology, reason=reason), scenario.values({}, {}))
        assert (report["price"] == 0).all()


def lock_report(features="", **settings):
    """The one row of lock_holder_preemption's report, on Haswell, whose turns are shorter than KVM's gap."""
    scenario, profile = Scenario.load("lock_holder_preemption"), profiles.load("haswell")
    settings = {"rounds": 200, "slice_us": 1000, "ple_gap": 128, **settings}
    results = run("lock_holder_preemption", features=features, profile="haswell", **settings)
    return scenario.report(results, scenario.values(settings, profile.clocks)).iloc[0]


def test_a_ticket_lock_of_an_overcommitted_guest_waits_for_time_slices_until_somebody_helps():
    plain, ple, pv = (lock_report(features) for features in ("", "+pause-loop-exiting", "+pv-unhalt"))
    assert plain["slowdown"] > 5 * pv["slowdown"] > 5 * ple["slowdown"] > 5
    assert (plain["pause_exits"], plain["kicks"]) == (0, 0)
    assert ple["pause_exits"] > 0 and ple["kicks"] == 0
    assert pv["kicks"] > 0 and pv["pause_exits"] == 0


def test_a_lock_that_anybody_may_take_is_hurt_by_its_holders_preemption_only():
    assert lock_report(lock="test-and-set")["slowdown"] < lock_report()["slowdown"] / 5


def test_where_nobody_loses_its_cpu_a_yield_helps_nobody_and_costs():
    plain, ple = (lock_report(features, slice_us=1_000_000, rounds=50) for features in ("", "+pause-loop-exiting"))
    assert plain["slowdown"] < 1.1
    assert plain["longest_us"] < 100
    assert ple["slowdown"] > plain["slowdown"] + 0.2


@pytest.mark.parametrize(("settings", "line"), [({"cpus": 0}, "cpus: 0 is not at least 1"), ({"rounds": 1}, "rounds: 1 is not at least 2")])
def test_a_lock_needs_cpus_and_rounds(settings, line):
    with pytest.raises(VirqsimError) as refused:
        run("lock_holder_preemption", **settings)
    assert str(refused.value) == f"lock_holder_preemption: {line}"


def counted(technology, **parameters):
    results = run("elbrus_epic", technology=technology, interrupts=8, gap_us=200, **parameters)
    return {(row["vcpu"], row["reason"], row["cause"]): row["count"] / 8 for _, row in results.exits.iterrows()
            if row["cause"] != "setup"}


def test_a_hit_of_the_destination_address_table_leaves_nobody_and_a_miss_interrupts_the_senders_host():
    assert counted("epic-hw", target="running") == {}
    assert counted("epic-hw", target="halted") == {(0, "cu:hv_int", "host"): 1, (1, "cu:wait_trap", "operation"): 1}
    assert counted("epic-hw", target="running", source="device") == {}
    assert counted("epic-hw", target="halted", source="device") == {(1, "cu:wait_trap", "operation"): 1}
    assert counted("epic-hw", target="running", source="timer") == {}


@pytest.mark.parametrize(("source", "running"), [
    ("pin", {(1, "mu:gpa_data", "acknowledge"): 1}),  # the IOEPIC's own EOI
    ("assigned-device", {}),
    ("assigned-pin", {(1, "mu:gpa_data", "acknowledge"): 1}),
])
def test_a_device_of_an_epic_guest_leaves_it_only_for_the_ioepics_eoi(source, running):
    assert counted("epic-hw", target="running", source=source) == running
    taken = counted("epic-hw", target="running", source=source, features="-epic-passthrough")
    by_host = {(1, "cu:hv_int", "delivery"): 1} if source.startswith("assigned") else {}
    assert taken == {**running, **by_host}


def test_an_assigned_device_waits_for_kvms_look_at_a_sleeper():
    waits = run("elbrus_epic", technology="epic-hw", interrupts=4, source="assigned-device", target="halted")
    told = run("elbrus_epic", technology="epic-hw", interrupts=4, source="assigned-device", target="halted",
               features="-epic-passthrough")
    assert waits.latency.iloc[0]["mean_ns"] > 5e6
    assert told.latency.iloc[0]["mean_ns"] < 1e5


def test_an_emulated_cepic_costs_an_interception_an_access():
    assert counted("epic-sw", target="running") == {
        (0, "mu:gpa_data", "operation"): 2, (1, "cu:hv_int", "delivery"): 1, (1, "mu:gpa_data", "delivery"): 1,
        (1, "mu:gpa_data", "acknowledge"): 1}


def test_elbrus_leaves_its_guest_by_the_cause_that_each_operation_has():
    for quantum, cause in ((True, "cu:g_tmr"), (False, "cu:hv_int")):
        results = run("elbrus_guest_launch", rounds=5, features="+guest-quantum" if quantum else "-guest-quantum")
        counts = results.exits.groupby(["vcpu", "reason"])["count"].sum()
        causes = ("cu:rr_idr", "hcall", "mu:gpa_data", "mu:gpa_data", "mu:mas_ioaddr", "mu:cache_flush", "cu:hv_int",
                  "mu:gpa_instr", "mu:gpa_data", "cu:wait_trap")
        assert {key: count for key, count in counts.items() if key[0] < 11} == {
            (vcpu, reason): 5 for vcpu, reason in enumerate(causes, 1)}
        assert {key for key in counts.index if key[0] >= 11} == {(11, cause)}
