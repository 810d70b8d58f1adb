"""Systems 3, 4 and 6: what interrupts cost with hardware support, by what their target is doing."""

from pathlib import Path

import pytest
from virqsim import Scenario, profiles, run
from virqsim.conditions import CONDITIONS

PASSTHROUGH = [  # technology, features, exits of one interrupt: running, preempted, blocked, migrated (where it can be)
    ("none", "", (2, 1, 1, 1)),
    ("apicv", "", (1, 0, 0, 0)),
    ("vtd-pi", "", (0, 0, 0, 0)),
    ("eli", "-direct-eoi", (1, 1, 1)),
    ("eli", "", (0, 1, 1)),
    ("did", "", (0, 0, 0)),
    ("svm", "", (2, 1, 1, 1)),
    ("x2avic", "", (1, 0, 0, 0)),
    ("x2avic-pi", "", (0, 0, 0, 0)),
]


def table(name, technology, features="", **parameters):
    scenario, costs = Scenario.load(name), profiles.load("skylake-sp")
    results = run(name, technology=technology, features=features, **parameters)
    assert results.document["state"] == "ended"
    return scenario.report(results, scenario.values(parameters, costs.clocks)), results


@pytest.mark.parametrize("technology, features, exits", PASSTHROUGH)
def test_a_passed_through_interrupt_costs_what_was_published_while_its_target_runs_and_else_less(
        technology, features, exits):
    for target, wanted in zip((*CONDITIONS, "migrated"), exits):
        report, _ = table("passthrough", technology, features, interrupts=10, target=target)
        assert report.iloc[0]["exits"] == wanted, target


def test_the_page_has_the_times_that_come_out():
    page = Path(__file__).resolve().parents[2].joinpath("docs/systems/passthrough.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.split("mean time to the handler")[1].split("\n\n")[1].splitlines()]
    assert [row[0] for row in rows[2:]] == ["`none`", "`vtd-pi`", "`x2avic-pi`"]
    for technology, *shown in rows[2:]:
        for target, text in zip(rows[0][1:], shown, strict=True):
            for urgent, said in zip(("no", "yes"), text.split(", urgent ")):
                report, _ = table("passthrough", technology.strip("`"), target=target, urgent=urgent)
                assert report.iloc[0]["mean_us"] == pytest.approx(float(said), abs=0.05 if "." in said else 0.5), (technology, target)


def test_a_preempted_target_waits_for_its_cpu_whoever_delivers():
    for technology in ("none", "vtd-pi", "did"):
        report, results = table("passthrough", technology, interrupts=10, target="preempted")
        assert 900 < report.iloc[0]["mean_us"] < 1100, technology  # half a time slice
        assert results.exits[results.exits["cause"] == "delivery"].empty, technology


def test_a_blocked_target_is_woken_and_sleeps_again():
    for technology in ("none", "vtd-pi"):
        report, _ = table("passthrough", technology, interrupts=10, target="blocked")
        assert report.iloc[0]["halt"] == 1, technology
        assert report.iloc[0]["mean_us"] < 10, technology


def test_an_interrupt_that_lands_elsewhere_is_forwarded_from_there():
    own, _ = table("passthrough", "none", interrupts=10)
    other, _ = table("passthrough", "none", interrupts=10, lands="other")
    assert own.iloc[0]["exits"] == other.iloc[0]["exits"] == 2
    assert own.iloc[0]["mean_us"] < other.iloc[0]["mean_us"]
    posted = [table("passthrough", "vtd-pi", interrupts=10, lands=lands)[0].iloc[0]["mean_us"] for lands in ("own", "other")]
    assert posted[0] == posted[1], "the descriptor says where the vCPU runs"


def test_a_notification_to_the_cpu_that_its_target_has_left_delivers_nothing_and_loses_nothing():
    for technology in ("vtd-pi", "x2avic-pi"):
        running, _ = table("passthrough", technology, interrupts=10)
        report, results = table("passthrough", technology, interrupts=10, target="migrated")
        assert results.latency.iloc[0]["count"] == 10, technology
        assert results.document["vcpus"][0]["migrations"] == 10, technology
        assert running.iloc[0]["mean_us"] + 2 < report.iloc[0]["mean_us"] < 10, technology


def test_an_urgent_interrupt_does_not_wait_for_the_time_slice_of_a_preempted_vcpu():
    report, results = table("passthrough", "vtd-pi", interrupts=10, target="preempted", urgent="yes")
    assert report.iloc[0]["max_us"] < 10
    assert results.exits[results.exits["cause"] == "delivery"].empty
    amd, _ = table("passthrough", "x2avic-pi", interrupts=10, target="preempted", urgent="yes")
    assert amd.iloc[0]["mean_us"] > 900, "its entries have no such bit"


@pytest.mark.parametrize("target", CONDITIONS)
@pytest.mark.parametrize("technology", ["none", "apicv", "vtd-pi", "x2avic-pi"])
def test_a_guest_that_moves_the_interrupt_pays_six_exits_and_loses_none(technology, target):
    report, results = table("passthrough", technology, interrupts=10, target=target, affinity="moves")
    assert report.iloc[0]["exits_of_a_move"] == 6
    handled = results.accounting[results.accounting["vector"] == 65]
    assert list(handled["delivered"]) == [5, 5]
    assert list(handled["refused"]) == [0, 0]


@pytest.mark.parametrize("technology, exits", [("none", [2, 2, 2, 2]), ("apicv", [0, 1, 0, 1]), ("vtd-pi", [0, 1, 0, 0])])
def test_of_external_interrupts_only_a_levels_eoi_and_what_the_host_takes_is_left(technology, exits):
    report, _ = table("external_with_hardware", technology, interrupts=5)
    assert list(report["all"]) == exits


def test_a_split_irqchips_level_is_acknowledged_in_userspace():
    report, _ = table("external_with_hardware", "apicv", interrupts=5, irqchip="split")
    assert list(report["to_userspace"]) == [0, 1, 0, 0]


@pytest.mark.parametrize("technology, features, exits", [
    ("none", "", [3, 2, 3]), ("apicv", "", [1, 0, 2]), ("ipiv", "", [0, 0, 2]), ("apic-timer", "", [0, 0, 0]),
    ("svm", "", [3, 2, 3]), ("x2avic", "", [0, 1, 2])])
def test_of_ipis_and_the_timer_each_feature_takes_its_part(technology, features, exits):
    report, _ = table("ipi_and_timer_with_hardware", technology, features, interrupts=5)
    assert [round(each, 6) for each in report["all"]] == exits


def test_a_timer_that_is_posted_from_elsewhere_leaves_only_its_arming():
    report, _ = table("ipi_and_timer_with_hardware", "apicv", interrupts=5, counts="posted")
    assert report.iloc[2]["deliver"] == 0
    assert report.iloc[2]["raise"] == 1


def test_an_ipi_to_a_vcpu_without_its_cpu_is_posted_all_the_same():
    for target in ("preempted", "blocked"):
        report, _ = table("ipi_and_timer_with_hardware", "ipiv", interrupts=5, target=target)
        assert report.iloc[0]["all"] == 0, target
    report, _ = table("ipi_and_timer_with_hardware", "x2avic", interrupts=5, target="blocked")
    assert report.iloc[0]["raise"] == 1, "AVIC asks KVM to wake a vCPU that does not run"


@pytest.mark.parametrize("name", ["passthrough", "external_with_hardware", "ipi_and_timer_with_hardware"])
def test_how_many_must_be_possible(refused, name):
    assert refused("run", name, "--set", "interrupts=0").endswith("interrupts: 0 is not in 1..200")
