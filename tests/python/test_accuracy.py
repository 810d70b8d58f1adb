"""Published figures beside simulated ones: `virqsim validate`, and docs/accuracy.md, which quotes it."""

import json
from pathlib import Path

import pytest
from virqsim import accuracy

DOCUMENT = accuracy.validate()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "accuracy.md"


def those(calibrated):
    rows = [row for row in DOCUMENT["figures"] if row["calibrated"] == calibrated]
    return pytest.mark.parametrize("row", rows, ids=lambda row: row["what"])


@those(calibrated=True)
def test_a_figure_that_set_the_profile_comes_out_as_it_went_in(row):
    assert row["simulated"] == pytest.approx(row["published"], abs=1, rel=0.01)


@those(calibrated=False)
def test_a_prediction_is_within_what_the_ranges_of_the_costs_span(row):
    assert row["all_low"] <= row["simulated"] <= row["all_high"]


@pytest.mark.parametrize("row", DOCUMENT["figures"], ids=lambda row: row["what"])
def test_the_page_on_accuracy_prints_what_the_command_prints(row):
    cells = [row["what"], row["unit"], f"{row['published']:.1f}", f"{row['simulated']:.1f}", f"{row['error_percent']:+.1f} %",
             f"{row['all_low']:.1f}", f"{row['all_high']:.1f}"]
    assert f"| {' | '.join(cells)} |" in PAGE.read_text()


def test_validate_is_one_document(virqsim):
    said = virqsim("validate", "--json")
    assert said.status == 0
    assert json.loads(said.out) == DOCUMENT


def test_validate_shows_both_groups(virqsim):
    said = virqsim("validate")
    assert said.status == 0
    assert "Calibrated: these set the profile" in said.out
    assert "Predictions" in said.out


def test_a_profile_that_there_is_not_is_refused(refused):
    assert refused("validate", "--profile", "skylake-ps").startswith("profile: 'skylake-ps' is unknown")
