"""`virqsim sensitivity`: which orders of technologies the assumed costs can turn round."""

import json
from pathlib import Path

import pytest
from virqsim import features, profiles
from virqsim.scenario import Scenario
from virqsim.sensitivity import Study, drawn, study, varied


def asked(technologies=("none", "apicv"), draws=20, switched="", profile="skylake-sp", **settings):
    return Study(Scenario.load("ipi_ping_pong"), {"rounds": 5, **settings}, tuple(technologies), features.parse(switched),
                 profiles.load(profile), draws, 1)


def conclusions(document, metric):
    return [row for row in document["conclusions"] if row["metric"].startswith(metric)]


def test_a_published_cost_is_not_varied_and_an_assumed_one_is():
    keys = varied(profiles.load("skylake-sp"))
    assert "guest.cr8" not in keys
    assert "hw.exit" in keys


def test_draws_fill_each_range_and_are_those_of_the_seed():
    numbers = varied(profiles.load("skylake-sp"))
    sample = list(drawn(numbers, 10, 7))
    assert sample == list(drawn(numbers, 10, 7)) != list(drawn(numbers, 10, 8))
    for key, number in numbers.items():
        low, width = number.low, number.high - number.low
        values = sorted(costs[key] for costs in sample)
        assert low <= values[0] and values[-1] <= number.high
        for tenth, value in enumerate(values):  # a Latin hypercube: one draw in each tenth
            assert low + width * tenth / 10 - 1 <= value <= low + width * (tenth + 1) / 10 + 1


def test_exits_do_not_depend_on_costs_so_their_order_survives():
    (row,) = conclusions(study(asked()), "exits")
    assert (row["lower"], row["order"], row["higher"], row["held"], row["verdict"]) == ("apicv", "<", "none", 20, "survives")


def test_an_order_that_single_costs_turn_round_does_not_survive_and_they_are_named():
    (row,) = conclusions(study(asked()), "ipi latency")
    assert (row["lower"], row["higher"], row["verdict"]) == ("apicv", "none", "does not survive")
    assert "hw.virtual_deliver high" in row["turned_by"]
    assert row["held"] < row["draws"] == 20


def test_a_row_for_the_same_technology_in_other_words_is_equal_and_stays_so():
    document = study(asked(("apicv", "vtd-pi")))  # nothing is assigned in a ping-pong
    assert {(row["order"], row["verdict"]) for row in document["conclusions"]} == {("=", "survives")}


def test_the_band_of_the_draws_is_within_what_a_run_gives(tmp_path):
    rows = study(asked())["metrics"]
    assert {row["technology"] for row in rows} == {"none", "apicv"}
    for row in rows:
        assert row["low"] <= row["high"]


def test_a_profile_without_ranges_has_one_answer():
    document = study(asked(profile="unit"))
    assert document["varied"] == []
    assert all(row["low"] == row["high"] == row["as_it_stands"] for row in document["metrics"])


def test_the_command_writes_its_folder_and_prints_one_document(virqsim):
    said = virqsim("sensitivity", "ipi_ping_pong", "--set", "rounds=3", "--tech", "none,ipiv", "--draws", 4, "--out", "study",
                   "--json")
    assert said.status == 0
    assert json.loads(said.out) == json.loads(Path("study", "sensitivity.json").read_text())
    assert {path.name for path in Path("study").iterdir()} == {"sensitivity.json", "sensitivity.png", "sensitivity.pdf",
                                                               "sensitivity.csv"}


def test_for_people_it_prints_the_bands_and_the_verdicts(virqsim):
    said = virqsim("sensitivity", "ipi_ping_pong", "--set", "rounds=3", "--tech", "none,ipiv", "--draws", 4)
    assert "ipiv < none" in said.out and "survives" in said.out
    assert said.out.endswith("figure: out/ipi_ping_pong-sensitivity/sensitivity.png\n")


def test_a_folder_of_something_else_is_left_alone(refused):
    Path("thesis").mkdir()
    Path("thesis", "chapter1").write_text("years of work")
    assert refused("sensitivity", "ipi_ping_pong", "--draws", 1, "--out", "thesis") == (
        "out: thesis exists and has no sensitivity.json; name another folder")
    assert Path("thesis", "chapter1").read_text() == "years of work"


@pytest.mark.parametrize(("arguments", "line"), [
    (["--tech", "apicv"], "--tech: apicv: a conclusion takes two technologies"),
    (["--tech", "apicv,apicv"], "--tech: apicv,apicv: a conclusion takes two technologies"),
    (["--tech", "apicv,apivc"], "technology: 'apivc' is unknown; did you mean apicv?"),
    (["--set", "rounds"], "--set: 'rounds': write KEY=VALUE"),
])
def test_a_wrong_question_gets_one_line(refused, arguments, line):
    assert refused("sensitivity", "ipi_ping_pong", *arguments).startswith(line)
