"""`virqsim race` as a user types it: which orders lose an interrupt, and which do not."""

import json

import pytest

RECHECKS = {
    "kvm_vcpu_exit_request": ("running", "apicv", "notification"),
    "kvm_vcpu_check_block": ("halting", "apicv", "wakeup"),
    "pi_set_on": ("preempted", "vtd-pi", "pending"),
}
INTEL, AMD = ("none", "apicv", "ipiv", "vtd-pi"), ("svm", "avic", "x2avic", "avic-pi", "x2avic-pi")
WITH_PIR = ("apicv", "ipiv", "vtd-pi")
# The table of docs/race.md: what is left out, target, source, and who loses an interrupt without it.
NEEDED_BY = [
    ("kvm_vcpu_exit_request", "running", "msi", ("none", *WITH_PIR, "svm")),
    ("kvm_vcpu_exit_request", "running", "assigned", WITH_PIR),
    ("kvm_vcpu_check_block", "halting", "msi", INTEL + AMD),
    ("kvm_vcpu_check_block", "halting", "assigned", INTEL + AMD),
    ("pi_set_on", "preempted", "ipi", ("ipiv", "vtd-pi")),
    ("pi_set_on", "preempted", "assigned", ("ipiv", "vtd-pi")),
]


@pytest.fixture
def race(virqsim):
    """Calls `virqsim race last_look --json`; its exit status and what it said."""

    def call(*words):
        said = virqsim("race", "last_look", "--out", "race", "--json", *words)
        return said.status, json.loads(said.out)

    return call


@pytest.mark.parametrize("technology", INTEL + AMD)
@pytest.mark.parametrize("source", ["msi", "assigned"])
@pytest.mark.parametrize("target", ["running", "halting", "preempted"])
def test_every_order_was_run_and_none_loses_anything(race, tmp_path, target, source, technology):
    few = ("--window-ns", "500") if target == "preempted" or technology in ("none", "svm") else ()
    status, said = race("--set", f"target={target}", "--set", f"source={source}", "--tech", technology, *few)
    assert status == 0
    assert said["found"] is None and said["complete"] and said["given_up"] == 0
    assert said["runs"] > said["different"] >= 1
    assert not (tmp_path / "race").exists()


@pytest.mark.parametrize("technology", ["none", "apicv", "vtd-pi", "svm"])
@pytest.mark.parametrize("source", ["msi", "assigned"])
def test_nor_does_one_that_goes_to_another_cpu(race, source, technology):
    words = ("--set", "target=moved", "--set", f"source={source}", "--tech", technology)
    status, said = race(*words, "--window-ns", "500", "--hold", "2")
    assert (status, said["late"], said["given_up"]) == (0, 2, 0)


@pytest.mark.parametrize("technology", INTEL + AMD)
@pytest.mark.parametrize(("recheck", "target", "source", "losers"), NEEDED_BY)
def test_without_a_look_those_that_need_it_lose_an_interrupt(race, recheck, target, source, losers, technology):
    words = ("--set", f"target={target}", "--set", f"source={source}", "--tech", technology, "--window-ns", "500")
    status, said = race(*words, "--without", recheck)
    assert (status == 1) == (technology in losers)
    if technology in losers:
        assert said["found"]["findings"][0]["vector"] == 48 and len(said["found"]["late"]) <= 1
    else:
        assert said["complete"]


@pytest.mark.parametrize("recheck", RECHECKS)
def test_what_is_found_has_a_name_and_a_story(race, recheck):
    target, technology, what = RECHECKS[recheck]
    source = "assigned" if recheck == "pi_set_on" else "msi"
    words = ("--set", f"target={target}", "--set", f"source={source}", "--tech", technology)
    status, said = race(*words, "--without", recheck)
    assert status == 1
    assert [finding["what"] for finding in said["found"]["findings"]] == [what]
    assert "PENDING" in [step["event"] for step in said["found"]["sequence"]]


def test_a_notification_to_the_cpu_that_was_left_loses_nothing(race):
    words = ("--set", "target=moved", "--set", "source=assigned", "--tech", "vtd-pi")
    status, said = race(*words, "--hold", "1")
    assert (status, said["late"]) == (0, 1)
    status, said = race(*words, "--without", "pi_set_on")
    assert status == 1
    assert "pending" in [finding["what"] for finding in said["found"]["findings"]]


def test_what_was_found_is_a_run_that_repeats(race, virqsim, tmp_path):
    race("--without", "kvm_vcpu_exit_request")
    plan = json.loads((tmp_path / "race" / "plan.json").read_text())
    assert plan["run"]["schedule"]["hold"] and plan["hypervisor"]["without_rechecks"] == ["kvm_vcpu_exit_request"]
    story = virqsim("explain", "race", "--flow", "1")
    assert story.status == 0
    assert "pending" in story.out and "handler" not in story.out


def test_without_a_window_only_what_is_due_at_once_changes_places(race):
    said = race()[1], race("--window-ns", "0")[1]
    assert said[0]["places"] > said[1]["places"]
    assert said[1]["complete"]


def test_a_search_that_is_cut_short_says_so(race):
    status, said = race("--runs", "5")
    assert status == 0 and (said["runs"], said["late"], said["complete"]) == (5, 0, False)


def test_people_are_shown_what_was_late_and_what_came_of_it(virqsim):
    words = ["race", "last_look"]
    shown = virqsim(*words, "--without", "kvm_vcpu_exit_request").out
    assert "late: device 0: its interrupt arrives" in shown
    assert "ON is set while the guest runs, and no notification is on its way" in shown
    assert "nothing is lost in any order" in virqsim(*words).out


@pytest.mark.parametrize(("words", "message"), [
    (["--without", "kvm_vcpu_exit"], "--without: 'kvm_vcpu_exit' is unknown; did you mean kvm_vcpu_exit_request?"),
    (["--tech", "apicx"], "technology: 'apicx' is unknown"),
    (["--set", "target=asleep"], "last_look: target: 'asleep' is unknown"),
])
def test_bad_words_are_named(refused, words, message):
    assert refused("race", "last_look", *words).startswith(message)
