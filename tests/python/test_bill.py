"""The bill: what each exit was for, what was paid, and which feature would have spared it."""

import json
from collections import Counter
from pathlib import Path

import pytest
from virqsim import Hypervisor, Machine, Plan, Program, icr, load, profiles, runner
from virqsim.bill import counterfactual, simulated
from virqsim.bill.attribution import LEGS, Account, Line
from virqsim.bill.counterfactual import Counterfactuals, Feature, Takes, Tried, features_that_are_off
from virqsim.library import Simulation, describe
from virqsim.results import Results

SELF = 48


def run_of(plan, folder, technology="none", features=None):
    """A run of the plan, every cost one cycle of a nanosecond."""
    return runner.run(plan.resolve(profiles.load("unit"), technology, features), folder=folder)


def billed(plan, folder, technology="none", features=None):
    return Counterfactuals(run_of(plan, folder, technology, features), lambda done: None)


def line(account, cause, what):
    (found,) = [each for each in account.lines if (each.cause, each.what) == (cause, what)]
    return found


def alone(guest, handlers=None, **how):
    machine = Machine()
    machine.vcpu(guest, handlers)
    return Plan("alone", machine, **how)


def self_ipis(count):
    """A guest that interrupts itself; nothing else ever happens."""
    guest = Program("guest")
    with guest.repeat(count):
        guest.self_ipi(SELF).compute(10)
    return alone(guest, {SELF: Program("on_self").eoi()})


# prices


def test_each_exit_is_priced_by_the_costs_on_its_path(tmp_path):
    guest = Program("guest")
    with guest.repeat(3):
        guest.cpuid()
    guest.port_out(0xE1).compute(100)
    account = billed(alone(guest), tmp_path / "run").base
    cpuid, port = line(account, "operation", "cpuid"), line(account, "operation", "port_out, port 0xe1")
    # hw.exit; kvm.exit + kvm.cpuid; kvm.entry + hw.entry: a nanosecond each
    assert (cpuid.count, cpuid.reasons) == (3, {"CPUID": 3})
    assert {leg: ps // 3000 for leg, ps in cpuid.ps.items()} == {"exit": 1, "handler": 2, "entry": 2, "userspace": 0, "switching": 0}
    # and for a port that nobody in the kernel answers user.exit + user.device + user.entry
    assert {leg: ps // 1000 for leg, ps in port.ps.items()} == {"exit": 1, "handler": 2, "entry": 2, "userspace": 3, "switching": 0}
    assert (account.exits, account.billed_ps) == (4, 3 * 5000 + 8000)


def test_a_halted_vcpu_waits_at_nobodys_expense(tmp_path):
    machine = Machine()
    machine.vcpu(Program("guest").halt_until(machine.word("rung"), 1), {SELF: Program("on_bell").eoi().word_add(0)})
    machine.device("bell", "msi", vcpu=0, vector=SELF, at_ns=[1_000_000])
    account = billed(Plan("bell", machine, Hypervisor(halt_poll_ns=0)), tmp_path / "run").base
    assert account.waiting_ps > 990_000_000
    halt = line(account, "operation", "halt_until")
    # off the CPU and on again: host.vcpu_put; host.vcpu_load
    assert halt.ps["switching"] == 2000
    assert halt.sum_ps < 20_000


def test_an_exit_is_told_by_operation_and_by_its_interrupt(tmp_path):
    machine = Machine()
    other = Program("other").ipi(icr(50), 0).tsc_deadline(0).compute(1_000_000)
    on_bell = Program("on_bell").eoi().port_in(0xE1).word_add(machine.word("rung"))
    machine.vcpu(Program("guest").spin_until(machine.word("rung"), 1).compute(1000), {SELF: on_bell})
    machine.vcpu(other)
    machine.device("bell", "msi", vcpu=0, vector=SELF, at_ns=[100_000])
    account = billed(Plan("bell", machine), tmp_path / "run").base
    assert {(each.cause, each.what) for each in account.lines} == {
        ("operation", "ipi, vector 50"), ("operation", "tsc_deadline"),
        ("delivery", "ipi, vector 50"), ("delivery", "bell, msi of vector 48"),
        ("acknowledge", "eoi for ipi, vector 50"), ("acknowledge", "eoi for bell, msi of vector 48"),
        ("handler", "port_in, port 0xe1 in the handler of bell, msi of vector 48")}


@pytest.mark.parametrize("technology", ["none", "apicv", "ipiv", "svm", "avic", "x2avic"])
@pytest.mark.parametrize("scenario", ["ipi_ping_pong", "timer_ticks", "legacy_guest", "delivery_in_software"])
def test_the_bill_has_every_exit_and_all_of_the_time(virqsim, scenario, technology):
    assert virqsim("run", scenario, "--tech", technology, "--out", "run").status == 0
    run = load("run")
    account, _ = simulated.bill(run.plan, lambda done: None)
    assert account.exits == run.exits["count"].sum()
    by_cause = run.exits.groupby("cause")["count"].sum()
    for cause, count in by_cause.items():
        assert sum(each.count for each in account.lines if each.cause == cause) == count
    spent = account.guest_ps + account.billed_ps + account.setup_ps + account.waiting_ps + account.start_ps
    assert spent == account.vcpus * account.time_ps == account.vcpus * run.document["time_ps"]
    states = run.vcpus.groupby("state")["time_ns"].sum()
    assert account.guest_ps / 1000 == pytest.approx(states["GUEST"])
    assert account.waiting_ps / 1000 == pytest.approx(states[["POLLING", "BLOCKED", "PARKED"]].sum())


# the cheapest feature


def test_the_cheapest_feature_of_an_eoi_is_in_software_and_of_its_ipi_in_hardware(tmp_path):
    what_if = billed(self_ipis(7), tmp_path / "run")
    eoi = line(what_if.base, "acknowledge", "eoi for ipi, vector 48")
    ipi = line(what_if.base, "operation", "self_ipi, vector 48")
    assert (eoi.count, ipi.count) == (7, 7)
    # virtual-interrupt delivery spares it, too, and more of the time: but it takes another CPU
    spared = what_if.cheapest(eoi)
    assert (spared.feature.adds, spared.account.count(eoi)) == (("pv-eoi",), 0)
    # SDM 3C "Self-IPI Virtualization": it comes with virtual-interrupt delivery, and nothing else does it
    assert what_if.cheapest(ipi).feature.adds == ("virtual-interrupt-delivery",)
    assert what_if.best().feature.adds == ("virtual-interrupt-delivery",)
    assert what_if.best().account.exits == 0


def test_an_ipi_is_spared_by_hardware_before_it_is_by_cpus_dedicated_to_the_guest(tmp_path):
    machine = Machine()
    machine.vcpu(Program("sender").ipi(icr(SELF), 1).compute(10_000))
    machine.vcpu(Program("target").spin_until(machine.word("rung"), 1), {SELF: Program("on_ipi").eoi().word_add(0)})
    what_if = billed(Plan("one", machine), tmp_path / "run")
    delivery = line(what_if.base, "delivery", "ipi, vector 48")
    # two features either way, posted interrupts or interrupts by IPI; and three for who sends
    assert what_if.cheapest(delivery).feature.adds == ("virtual-interrupt-delivery", "posted-interrupts")
    ipi = line(what_if.base, "operation", "ipi, vector 48")
    assert what_if.cheapest(ipi).feature.adds == ("virtual-interrupt-delivery", "posted-interrupts", "ipi-virtualization")
    by_cpus = next(tried for tried in what_if.tried if tried.feature.name == "direct-ipi")
    assert by_cpus.account.count(ipi) == 0


def test_what_no_feature_spares_has_none(tmp_path):
    what_if = billed(alone(Program("guest").cpuid()), tmp_path / "run")
    assert what_if.cheapest(what_if.base.lines[0]) is None
    assert what_if.best() is None


def test_a_feature_that_spares_a_line_but_costs_more_elsewhere_is_said_to(virqsim):
    # A guest that halts by itself is interrupted for what KVM's polling would have seen; here the host's handler is slow.
    Path("slow.toml").write_text('inherits = "skylake-sp"\n[costs."kvm.host_interrupt"]\n'
                                 'value = 1500\nlow = 1500\nhigh = 1500\nkind = "assumed"\nsource = "slow"\n')
    virqsim("run", "ipi_ping_pong", "--set", "rounds=50", "--profile", "slow.toml", "--out", "run")
    said = virqsim("bill", "run")
    assert "+hlt-in-guest, but others cost more" in said.out


@pytest.mark.parametrize(("technology", "features", "expected"), [
    ("ipiv", {}, {"vtd-posting": ["vtd-posting"]}),
    ("apicv", {"posted-interrupts": False}, {"ipi-virtualization": ["posted-interrupts", "ipi-virtualization"]}),
    ("svm", {}, {"x2avic": ["avic", "x2avic"]}),
    ("svm", {"nested-paging": False}, {"x2avic": ["nested-paging", "avic", "x2avic"], "nested-paging": ["nested-paging"]}),
])
def test_a_feature_comes_with_what_it_needs(technology, features, expected):
    found = {each.name: list(each.adds) for each in features_that_are_off({"technology": technology, "features": features})}
    assert expected.items() <= found.items()


@pytest.mark.parametrize(("technology", "features", "expected"), [
    ("none", {}, {"pv-eoi": Takes.SOFTWARE, "virtual-interrupt-delivery": Takes.HARDWARE, "ipi-passthrough": Takes.HARDWARE,
                  "direct-interrupts": Takes.CPUS, "direct-ipi": Takes.CPUS, "shadow-idt": Takes.SOFTWARE}),
    ("none", {"direct-interrupts": True}, {"direct-ipi": Takes.SOFTWARE}),  # the CPUs are dedicated already
    ("apicv", {}, {"ipi-virtualization": Takes.HARDWARE, "ipi-passthrough": Takes.SOFTWARE}),
])
def test_a_feature_takes_the_dearest_of_what_comes_with_it(technology, features, expected):
    found = {each.name: each.takes for each in features_that_are_off({"technology": technology, "features": features})}
    assert expected.items() <= found.items()


@pytest.mark.parametrize(("technology", "features", "not_offered"), [
    ("none", {}, {"avic", "x2avic", "tpr-shadow", "preemption-timer"}),  # another vendor's; on already
    ("none", {"pv-eoi": True}, {"pv-eoi"}),
    ("svm", {}, {"posted-interrupts", "direct-interrupts"}),
    ("apicv", {}, {"direct-interrupts", "direct-eoi"}),  # excluded by virtual-interrupt delivery
    ("eli", {}, {"virtual-interrupt-delivery", "posted-interrupts"}),
])
def test_what_cannot_be_had_is_not_tried(technology, features, not_offered):
    found = {each.name for each in features_that_are_off({"technology": technology, "features": features})}
    assert not found & not_offered


def test_every_feature_that_is_tried_makes_a_plan_that_the_core_takes(tmp_path):
    for technology in (row["name"] for row in describe()["technologies"]):
        what_if = billed(self_ipis(1), tmp_path / technology, technology)
        assert [tried.refused for tried in what_if.tried if tried.account is None] == []


# the command


def test_the_invoice_adds_up_as_json(virqsim):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=5", "--out", "run")
    said = virqsim("bill", "run", "--json")
    assert (said.status, said.err) == (0, "")
    bill = json.loads(said.out)
    assert bill["total"]["exits"] == sum(each["count"] for each in bill["lines"]) == load("run").exits["count"].sum()
    for each in bill["lines"]:
        assert sum(each["cycles_each"][leg] for leg in LEGS) == pytest.approx(each["cycles"])
        assert each["cycles"] / bill["core_hz"] * 1e9 == pytest.approx(each["ns"])
        assert each["ns"] * each["count"] == pytest.approx(each["sum_ns"])
    assert sum(each["share"] for each in bill["lines"]) == pytest.approx(1)
    assert sum(each["sum_ns"] for each in bill["causes"].values()) == pytest.approx(bill["total"]["sum_ns"])
    assert sum(bill["time_of_all_vcpus_ns"].values()) == pytest.approx(bill["vcpus"] * bill["time_ns"])
    assert bill["best"]["exits"] == bill["total"]["exits"] - bill["best"]["exits_saved"]


def test_the_accounts_are_kept(virqsim, monkeypatch):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=5", "--out", "run")
    first = virqsim("bill", "run").out
    monkeypatch.setattr(counterfactual, "bill", None)  # would fail if it were called
    assert virqsim("bill", "run").out == first


@pytest.mark.parametrize("stale", [{"core": "another"}, {"plan_hash": "another"}, {"partial": True}, {"format": "older"}])
def test_accounts_of_another_core_or_plan_are_not_used(virqsim, stale):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=5", "--out", "run")
    first = virqsim("bill", "run").out
    path = Path("run/bill.json")
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "runs": dict.fromkeys(kept["runs"], kept["runs"]["+hlt-in-guest"]), **stale}))
    assert virqsim("bill", "run").out == first
    path.write_text("{")
    assert virqsim("bill", "run").out == first


def test_a_replay_is_billed_as_a_run_is(virqsim, request):
    trace = request.config.rootpath / "traces" / "on2_ppong.txt.gz"
    virqsim("replay", trace, "--tech", "none", "--out", "out")
    bill = json.loads(virqsim("bill", "out/none", "--json").out)
    assert bill["total"]["exits"] == load("out/none").exits["count"].sum()
    assert any("host_until" in note for note in bill["notes"])
    assert bill["best"]["exits_saved"] == max(tried.get("exits_saved", 0) for tried in bill["tried"]) > 0


def test_a_run_without_exits_has_nothing_to_pay(virqsim, tmp_path):
    run_of(alone(Program("guest").compute(10)), tmp_path / "run")
    said = virqsim("bill", "run")
    assert (said.status, said.err) == (0, "")
    assert "No exits: nothing to pay." in said.out


def test_preparations_are_not_billed(virqsim, tmp_path):
    run_of(alone(Program("guest").setup(True).cpuid().setup(False).compute(10).cpuid()), tmp_path / "run")
    bill = json.loads(virqsim("bill", "run", "--json").out)
    assert (bill["total"]["exits"], bill["setup_exits"]) == (1, 1)
    assert bill["time_of_all_vcpus_ns"]["setup"] == 5


def test_a_folder_without_a_run_is_refused(refused, tmp_path):
    assert refused("bill", "nowhere") == "nowhere: is not a run folder: results.json: No such file or directory"


def test_a_run_of_another_version_is_refused(refused, virqsim):
    virqsim("run", "ipi_ping_pong", "--set", "rounds=5", "--out", "run")
    results = json.loads(Path("run/results.json").read_text())
    results["exits"][0]["count"] += 1
    Path("run/results.json").write_text(json.dumps(results))
    assert refused("bill", "run") == ("run: was made by another version, and its plan gives something else today; "
                                      "run it again")


def test_a_run_that_was_interrupted_is_billed_as_far_as_it_came(virqsim, tmp_path):
    guest = Program("guest")
    with guest.repeat(10**9):
        guest.cpuid()
    plan = alone(guest).resolve(profiles.load("unit"))
    with Simulation(plan) as simulation:
        simulation.run(until_ps=10**9)
        Results({**simulation.results(), "partial": True}, plan).save(tmp_path / "run")
    bill = json.loads(virqsim("bill", "run", "--json").out)
    assert bill["partial"] is True
    assert bill["total"]["exits"] == load("run").exits["count"].sum() > 100
    assert all(tried["time_ns"] == bill["time_ns"] for tried in bill["tried"])


def test_a_feature_with_which_the_plan_does_not_end_is_said_to(tmp_path, monkeypatch):
    monkeypatch.setattr(counterfactual, "_PATIENCE", 0)
    what_if = billed(self_ipis(7), tmp_path / "run")
    assert {tried.refused for tried in what_if.tried} == {"does not come to its end"}
    assert (what_if.best(), what_if.cheapest(what_if.base.lines[0])) == (None, None)


def test_what_a_vcpu_takes_to_start_is_no_exits_price(tmp_path):
    machine = Machine()
    machine.vcpu(Program("first").cpuid().compute(100))
    machine.vcpu(Program("second").compute(50).cpuid())
    account = billed(Plan("two", machine), tmp_path / "run").base
    # host.vcpu_load; user.entry; kvm.entry; hw.entry
    assert account.start_ps == 2 * 4000
    assert [(each.what, each.count, each.sum_ps) for each in account.lines] == [("cpuid", 2, 2 * 5000)]


def test_of_two_that_need_as_much_the_one_that_saves_more_is_cheaper():
    def tried(paid, *adds, takes=Takes.SOFTWARE):
        line = Line("operation", "cpuid", Counter(CPUID=1), Counter(exit=paid))
        return Tried(Feature(adds[-1], adds, takes), Account([line], 1000, 1))

    base = Account([], 1000, 1)
    saves, saves_less = tried(10, "a"), tried(20, "b")
    hardware, two = tried(5, "c", takes=Takes.HARDWARE), tried(1, "d", "e")
    cpus = tried(0, "f", takes=Takes.CPUS)
    assert sorted([cpus, two, hardware, saves_less, saves], key=lambda each: each.price(base)) == [
        saves, saves_less, hardware, two, cpus]
