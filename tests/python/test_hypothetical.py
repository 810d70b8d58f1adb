"""Hypothetical features: declared in Python, refused when they leave something open, and known by name everywhere."""

import json
import re
from pathlib import Path

import pytest
from virqsim import Hypothetical, Machine, Plan, Program, VirqsimError, assumed, hypothetical, profiles, run, traps, unchanged, virtualized
from virqsim.library import Simulation, describe

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/hypothetical.md"
POST = {"effect": "post", "cost": {"hw.ipi_virtualized": 1}}
MINE = """
from virqsim import Hypothetical, traps, virtualized
mine = Hypothetical("mine", title="mine", base="apicv", rules=[
    virtualized("ipi.unicast", when="vector=legal, target=running|preempted|halted", effect="post",
                cost={"hw.ipi_virtualized": 1}),
    traps("ipi.unicast", when="otherwise", exit="APIC_WRITE")])
"""


def declare(*rules, base="apicv"):
    return Hypothetical("mine", title="mine", base=base, rules=rules)


def unchecked(*rules, base="apicv"):
    """As somebody would write the plan by hand."""
    feature = Hypothetical.__new__(Hypothetical)
    feature.name, feature.title, feature.base, feature.rules = "mine", "mine", base, list(rules)
    return feature


def plan_with(feature):
    machine = Machine()
    machine.vcpu(Program("main").cpuid())
    return Plan("small", machine).resolve(profiles.load("unit"), "mine", declared={"mine": feature})


# declaring


@pytest.mark.parametrize(("rules", "line"), [
    ([virtualized("ipi.unicast", when="target=running", **POST)],
     'ipi.unicast: undefined when target=preempted, target=halted, target=nobody; add a rule or when="otherwise"'),
    ([virtualized("ipi.unicast", when="target=running|preempted, vector=legal", **POST),
      unchanged("ipi.unicast", when="target=halted|nobody")],
     "ipi.unicast: undefined when vector=below-16 and target=running, vector=below-16 and target=preempted; "
     'add a rule or when="otherwise"'),
    ([virtualized("ipi.unicast", when="target=running|preempted|nobody", **POST), unchanged("eoi"),
      traps("timer.deadline", when="deadline=past", exit="MSR_WRITE"), unchanged("timer.deadline", when="deadline=ahead")],
     'ipi.unicast: undefined when target=halted; timer.deadline: undefined when deadline=off; add a rule or when="otherwise"'),
    ([virtualized("ipi.unicast", when="target=running", **POST), unchanged("ipi.unicast", when="vector=legal")],
     "ipi.unicast: rules 0 and 1 both apply when vector=legal and target=running"),
    ([unchanged("eoi"), unchanged("eoi")], "eoi: rules 0 and 1 both apply when anything"),
    ([unchanged("eoi"), unchanged("eoi", when="otherwise")], "eoi: rule 1 never applies"),
    ([unchanged("eoi", when="otherwise"), unchanged("eoi", when="otherwise")], "eoi: rule 1 never applies"),
])
def test_what_is_open_or_contradicts_itself_is_refused_by_python_and_by_the_core_in_the_same_words(rules, line):
    with pytest.raises(VirqsimError) as refused:
        declare(*rules)
    assert str(refused.value) == f"feature mine: {line}"
    with pytest.raises(VirqsimError) as refused, Simulation(plan_with(unchecked(*rules))):
        pass
    assert str(refused.value) == f"plan: hypothetical[0]: feature mine: {line}"


@pytest.mark.parametrize(("make", "line"), [
    (lambda: unchanged("ipi.unicats"), "access: 'ipi.unicats' is unknown; did you mean ipi.unicast?"),
    (lambda: virtualized("eoi", effect="retire"), "eoi: virtualized at no cost; give cost= or cycles="),
    (lambda: virtualized("eoi", effect="retrie", cost={}), "eoi: effect: 'retrie' is unknown; did you mean retire?"),
    (lambda: virtualized("eoi", effect="post", cost={}), "eoi: cannot have the effect post (there are: retire)"),
    (lambda: virtualized("ipi.other", effect="post", cost={}),
     "ipi.other: cannot have the effect post (there are: none; it can only trap)"),
    (lambda: virtualized("eoi", effect="retire", cost={"hw.exti": 1}), "eoi: cost: 'hw.exti' is unknown; did you mean hw.exit?"),
    (lambda: virtualized("eoi", effect="retire", cost={"hw.exit": -1}), "eoi: cost: hw.exit: -1 is not a whole number"),
    (lambda: traps("eoi", exit="EOI_INDUCD"), "eoi: exit: 'EOI_INDUCD' is unknown; did you mean EOI_INDUCED?"),
    (lambda: traps("eoi", exit="HLT"), "eoi: cannot leave with HLT (there are: MSR_WRITE, "),
    (lambda: unchanged("eoi", when="target=running"), "eoi: when: 'target' is unknown"),
    (lambda: unchanged("eoi", when="waiting=yse"), "eoi: when: waiting: 'yse' is unknown; did you mean yes?"),
    (lambda: unchanged("eoi", when="waiting"), "eoi: when: 'waiting': write CONDITION=VALUE, otherwise or always"),
    (lambda: assumed(5, low=6, high=9, source="a guess"), "assumed: 5 is outside of low..high (6..9)"),
    (lambda: assumed(5, low=1, high=9, source=" "), "assumed: source is empty; say why this number was assumed"),
    (lambda: declare(unchanged("eoi"), base="apicw"), "feature mine: base: 'apicw' is unknown; did you mean apicv?"),
    (lambda: declare(), "feature mine: has no rules"),
    (lambda: declare(traps("eoi", exit="msr")), "feature mine: eoi: msr is an exit of SVM, and apicv is VMX"),
    (lambda: Hypothetical("ipiv", title="", base="apicv", rules=[unchanged("eoi")]),
     "feature ipiv: is not hypothetical: there is one of this name"),
    (lambda: Hypothetical("My IPIs", title="", base="apicv", rules=[unchanged("eoi")]),
     "feature My IPIs: the name is not 1 to 40 of a-z, 0-9 and -"),
])
def test_a_word_that_is_wrong_is_refused_where_it_stands(make, line):
    with pytest.raises(VirqsimError) as refused:
        make()
    assert str(refused.value).startswith(line)


def test_every_effect_every_condition_and_every_exit_of_an_access_is_one_that_is_described():
    tables = {key: {row["name"] for row in describe()[key]} for key in ("conditions", "effects", "exit_reasons")}
    for access in describe()["accesses"]:
        assert set(access["conditions"]) <= tables["conditions"]
        assert set(access["effects"]) <= tables["effects"]
        assert set(access["exits"]) <= tables["exit_reasons"]
        assert access["exits"]


@pytest.mark.parametrize("access", describe()["accesses"], ids=lambda row: row["name"])
def test_an_access_can_be_declared_with_each_of_its_effects_and_exits(access):
    vendors = {row["name"]: row["vendor"] for row in describe()["exit_reasons"]}
    expiry = [unchanged("timer.expiry")] if "arm-timer" in access["effects"] else []
    for effect in access["effects"]:
        with Simulation(plan_with(declare(virtualized(access["name"], effect=effect, cost={}), *expiry))) as simulation:
            assert simulation.run() == "ended"
    for reason in access["exits"]:
        base = {"vmx": "apicv", "svm": "svm"}[vendors[reason]]
        with Simulation(plan_with(declare(traps(access["name"], exit=reason), base=base))) as simulation:
            assert simulation.run() == "ended"


# by name, everywhere


def probed(virqsim, *arguments):
    said = virqsim("probe", *arguments, "--json")
    assert said.status == 0, said.err
    return json.loads(said.out)


@pytest.mark.parametrize("target", ["running", "halted", "preempted", "if-off"])
@pytest.mark.parametrize("guest_apic", ["xapic", "x2apic"])
def test_ipis_to_logical_destinations_stay_in_the_guest_under_logical_ipiv(virqsim, target, guest_apic):
    arguments = ["ipi.logical", "--targets", "3", "--target", target, "--guest-apic", guest_apic]
    before, after = (probed(virqsim, *arguments, "--tech", tech) for tech in ("ipiv", "logical-ipiv"))
    assert before["per_operation"]["sender"] == {"APIC_WRITE": 1}
    # xAPIC mode writes ICR2 first, which APIC-register virtualization keeps in the guest.
    assert after["per_operation"] == {**before["per_operation"], "sender": {}}


def test_the_last_destination_of_a_multicast_is_told_a_posting_later_for_each_before_it(virqsim):
    (few, many) = (probed(virqsim, "ipi.logical", "--targets", n, "--tech", "logical-ipiv", "--repetitions", "1",
                          "--profile", "unit")["latency_ns"]["max"] for n in (1, 4))
    assert many - few == 3


def test_an_exitless_timer_has_no_exits_and_is_late_by_what_is_declared(virqsim):
    probe = probed(virqsim, "timer.tsc_deadline", "--tech", "exitless-timer", "--profile", "unit")
    assert probe["per_operation"] == {"sender": {}, "target": {}, "eoi": {}, "userspace_exits": 0}
    assert probe["latency_ns"]["max"] == 300 + 1  # declared; and hw.virtual_deliver


def test_a_quiet_eoi_exits_only_when_somebody_waits(virqsim):
    assert probed(virqsim, "msi.irqfd", "--tech", "none")["per_operation"]["eoi"] == {"MSR_WRITE": 1}
    assert probed(virqsim, "msi.irqfd", "--tech", "quiet-eoi")["per_operation"]["eoi"] == {}
    assert probed(virqsim, "ioapic.level", "--tech", "quiet-eoi")["per_operation"]["eoi"] == {"MSR_WRITE": 1}


def test_what_exists_declared_again_is_what_exists(virqsim, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    said = virqsim("compare", "ipi_ping_pong", "--tech", "apicv,ipiv,mine", "--hypothetical", "mine.py", "--json")
    assert said.status == 0, said.err
    apicv, ipiv, mine = json.loads(said.out)["runs"]
    assert (mine["technology"], mine["exits"], mine["latency"]) == ("mine", ipiv["exits"], ipiv["latency"])
    assert apicv["exits"] != ipiv["exits"]


def test_a_feature_of_a_file_joins_every_command(virqsim, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    files = ["--hypothetical", "mine.py"]
    for command in (["run", "ipi_ping_pong", "--set", "rounds=3", "--tech", "mine"],
                    ["probe", "ipi.unicast", "--tech", "mine"],
                    ["replay", ROOT / "traces/vmx_apicv_x2apic_pingpong_spin.txt.gz", "--tech", "mine"]):
        said = virqsim(*command, *files)
        assert said.status == 0, said.err
        assert "mine" in said.out
    for what in ("hypothetical", "technologies"):
        assert "mine" in virqsim("list", what, *files).out
        assert "mine" not in virqsim("list", what).out
    plan = json.loads((tmp_path / "out/ipi_ping_pong-mine/plan.json").read_text())
    assert plan["technology"] == "mine"
    assert plan["hypothetical"] == [hypothetical.load(tmp_path / "mine.py")[0].document()]


def test_features_go_on_top_of_one_another(virqsim):
    both = probed(virqsim, "timer.tsc_deadline", "--tech", "logical-ipiv", "--features=+exitless-timer")
    assert both["per_operation"]["sender"] == both["per_operation"]["target"] == {}
    assert probed(virqsim, "timer.tsc_deadline", "--tech", "logical-ipiv")["per_operation"]["target"] == {"PREEMPTION_TIMER": 1}
    assert probed(virqsim, "ipi.logical", "--tech", "ipiv", "--features=+logical-ipiv")["per_operation"]["sender"] == {}


def test_a_plan_of_built_in_hardware_says_nothing_of_features_that_are_not_in_it():
    machine = Machine()
    machine.vcpu(Program("main").cpuid())
    plan = Plan("small", machine).resolve(profiles.load("unit"), "apicv", declared=hypothetical.declared())
    assert "hypothetical" not in plan


def test_a_number_that_is_assumed_makes_the_run_as_weak_as_that():
    again = declare(virtualized("cpu.cpuid", effect="nothing", cycles=assumed(7, low=1, high=9, source="a guess")))
    assert plan_with(again)["costs"]["kind"] == "assumed"
    assert run("ipi_ping_pong", technology="mine", hypothetical=[again], rounds=2).document["profile_kind"] == "assumed"


def test_costs_are_the_profiles_and_what_was_assumed_on_top():
    machine = Machine()
    machine.vcpu(Program("main").stamp(1).cpuid().stamp(1))
    plan = Plan("small", machine)
    feature = declare(virtualized("cpu.cpuid", effect="nothing", cost={"hw.exit": 3},
                                  cycles=assumed(40, low=1, high=90, source="a guess")))
    with Simulation(plan.resolve(profiles.load("unit"), "mine", declared={"mine": feature})) as simulation:
        simulation.run()
        (stamps,) = simulation.results()["stamps"]
    assert stamps["sum_cycles"] == 3 + 40 + 1  # 3 × hw.exit, what was assumed, guest.rdtsc


@pytest.mark.parametrize(("text", "line"), [
    (None, "hypothetical mine.py: there is no such file"),
    ("", "hypothetical mine.py: declares no Hypothetical(…)"),
    ("import virqsim\n1 / 0\n", "hypothetical mine.py:2: ZeroDivisionError: division by zero"),
    ("def (", "hypothetical mine.py:1: SyntaxError: "),
    (MINE.replace('"mine"', '"logical-ipiv"'), "hypothetical mine.py: logical-ipiv: there is another feature of this name"),
    (MINE.replace("|halted", ""), "feature mine: ipi.unicast: "),
])
def test_a_file_that_is_wrong_is_refused_in_one_line(refused, tmp_path, text, line):
    if text is not None:
        text = text.replace('traps("ipi.unicast", when="otherwise"', 'traps("ipi.unicast", when="target=nobody"') \
            if line.startswith("feature") else text
        (tmp_path / "mine.py").write_text(text)
    assert refused("probe", "ipi.unicast", "--tech", "mine", "--hypothetical", "mine.py").startswith(line)


def test_names_that_nobody_declares_are_refused_with_those_that_are(refused):
    assert "did you mean logical-ipiv?" in refused("probe", "ipi.unicast", "--tech", "logical-ipi")
    assert "did you mean exitless-timer?" in refused("run", "timer_ticks", "--features=+exitles-timer")
    assert refused("run", "timer_ticks", "--tech", "none", "--features=+exitless-timer").startswith(
        "plan: hypothetical[0].rules[2].effect: expire needs virtual-interrupt-delivery, which none has not")


def test_what_is_assumed_is_varied_with_the_profiles_costs(virqsim):
    said = virqsim("sensitivity", "timer_ticks", "--tech", "apicv,exitless-timer", "--set", "ticks=3", "--draws", "3", "--json")
    assert said.status == 0, said.err
    document = json.loads(said.out)
    assert {"exitless-timer rule 0 timer.deadline", "exitless-timer rule 2 timer.expiry"} <= {*document["varied"]}
    latency = next(row for row in document["conclusions"] if row["metric"] == "timer latency, mean, ns")
    assert latency["decided_by"] == "exitless-timer rule 2 timer.expiry"


def test_a_run_of_declared_hardware_can_be_billed(virqsim):
    assert virqsim("run", "ipi_ping_pong", "--set", "rounds=3", "--tech", "quiet-eoi", "--out", "here").status == 0
    said = virqsim("bill", "here", "--json")
    assert said.status == 0, said.err
    lines = json.loads(said.out)["lines"]
    assert [line["reasons"] for line in lines if line["cause"] == "acknowledge"] == []  # no EOI exits, so none is billed
    assert {"HLT": 6} in [line["reasons"] for line in lines]


# the page; what its commands print is test_docs.py's


def test_the_feature_of_the_page_is_the_one_that_comes_along():
    source = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    names = {}
    exec(source, names)
    assert names["logical_ipiv"].document() == hypothetical.declared()["logical-ipiv"].document()
