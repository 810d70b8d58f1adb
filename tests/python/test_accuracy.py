"""Published figures beside simulated ones: `virqsim validate`, which docs/accuracy.md quotes."""

import json
from pathlib import Path

import pytest
from virqsim import published
from virqsim.published.figure import Bench, Figure, Measure

DOCUMENT = published.validate()
ROWS = {row["id"]: row for row in DOCUMENT["rows"]}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "accuracy.md"


def of_kind(kind):
    return pytest.mark.parametrize("row", [row for row in ROWS.values() if row["kind"] == kind], ids=lambda row: row["id"])


@of_kind("calibration")
def test_a_figure_that_set_the_profile_comes_out_as_it_went_in(row):
    assert row["simulated"] == pytest.approx(row["published"], abs=1, rel=0.01)
    assert row["verdict"] == "set the profile"


def test_only_what_an_exit_costs_and_hardware_primitives_calibrate():
    assert {row["id"].split(".")[0] for row in ROWS.values() if row["kind"] == "calibration"} == {"X1"}


@of_kind("prediction")
def test_an_error_is_a_fraction_of_the_published_figure_and_the_verdict_is_its(row):
    off = row["simulated"] - row["published"]
    assert row["error"] == pytest.approx(off / row["published"] if row["published"] else off, abs=1e-3)
    low, high = sorted((row["all_low"], row["all_high"]))
    expected = "within the range of the assumptions" if low <= row["published"] <= high else "outside"
    assert row["verdict"] == ("within 10 %" if abs(row["error"]) <= 0.1 else expected)


def test_ids_are_unique_and_rows_have_what_a_reader_needs():
    assert len(ROWS) == len(DOCUMENT["rows"])
    for row in ROWS.values():
        assert row["source"] and row["profile"] and row["what"]
        assert row["unit"] in ("cycles", "ns", "exits", "%", "x")


def test_the_publications_asked_about_are_there():
    assert {"V4.1", "V4.2", "V4.3", "V4.5", "H5.8", "H5.9", "H5.10", "P4.3", "P4.4", "P4.5", "A4.2", "E2.10", "ELI",
            "X1.24"} <= {id.split("-")[0] for id in ROWS}


@pytest.mark.parametrize("order", DOCUMENT["orders"], ids=lambda order: order["what"])
def test_an_order_falls_in_what_was_published_and_is_right_if_it_does_in_what_was_simulated(order):
    of_published = [ROWS[id]["published"] for id in order["ids"]]
    assert of_published == sorted(of_published, reverse=True) and len({ROWS[id]["unit"] for id in order["ids"]}) == 1
    simulated = [ROWS[id]["simulated"] for id in order["ids"]]
    assert order["right"] == (len(set(simulated)) == len(simulated) and simulated == sorted(simulated, reverse=True))


def test_every_change_has_the_sign_that_was_published():
    changes = [row for row in ROWS.values() if row["unit"] == "%"]
    assert changes
    assert all(row["simulated"] * row["published"] > 0 for row in changes)


@pytest.mark.parametrize("ipiv", ["off", "on"])
def test_a_longer_sequence_of_the_benchmark_takes_longer(ipiv):
    """A function is reached before its call ends; a lock is one line more than a broadcast without it."""
    simulated = {part: ROWS[f"V4.{part}-{ipiv}"]["simulated"] for part in ("3", "2-normal", "2-broadcast", "2-lock")}
    assert simulated["3"] < simulated["2-normal"]
    assert simulated["2-broadcast"] < simulated["2-lock"]


def test_the_summary_is_of_the_predictions():
    errors = [abs(row["error"]) for row in ROWS.values() if row["kind"] == "prediction"]
    said = DOCUMENT["summary"]
    assert said["predictions"] == len(errors)
    assert said["mean_absolute_error"] == pytest.approx(sum(errors) / len(errors), abs=1e-3)
    assert said["within_10_percent"] == sum(error <= 0.1 for error in errors)
    assert said["orders_right"] == sum(order["right"] for order in DOCUMENT["orders"])


def test_figures_share_what_is_measured_once():
    profiles = []
    measure: Measure = lambda profile: profiles.append(profile) or 3.0  # noqa: E731
    one = Figure("T-1", "one", 3, "cycles", "here", "unit", (measure,))
    two = Figure("T-2", "two", 6, "cycles", "here", "unit", (measure, measure), lambda a, b: a + b)
    bench = Bench(object())
    assert (one.simulate(bench), two.simulate(bench)) == (3.0, 6.0)
    assert len(profiles) == 1


def test_one_profile_for_all_rows():
    rows = published.validate("unit")["rows"]
    assert {row["profile"] for row in rows} == {"unit"}
    assert {row["profile"] for row in ROWS.values()} > {"skylake-sp", "sapphire-rapids"}


def test_validate_is_one_document(virqsim):
    said = virqsim("validate", "--json")
    assert said.status == 0
    assert json.loads(said.out) == DOCUMENT


def test_validate_shows_all_rows_the_orders_and_the_summary(virqsim):
    said = virqsim("validate")
    assert said.status == 0
    for words in ("Calibration: these set the profile", "Predictions", "Orders", *ROWS):
        assert words in said.out
    assert said.out.splitlines()[-1].startswith(f"{DOCUMENT['summary']['predictions']} predictions: mean absolute error")


def test_the_page_on_accuracy_shows_what_the_command_says(virqsim):
    said = virqsim("validate").out.splitlines()
    page = PAGE.read_text().splitlines()
    at = page.index("$ virqsim validate") + 1
    assert page[at:at + len(said)] == [line.rstrip() for line in said]


def test_a_profile_that_there_is_not_is_refused(refused):
    assert refused("validate", "--profile", "skylake-ps").startswith("profile: 'skylake-ps' is unknown")


def test_a_profile_does_not_go_with_exits(refused):
    assert refused("validate", "--exits", "--profile", "unit").endswith("counts do not depend on it")
