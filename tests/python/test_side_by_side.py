"""Architectures side by side: `virqsim exits`."""

import json

from virqsim.sidebyside import ROWS


def test_each_cell_is_what_the_probe_of_it_says(virqsim):
    document = json.loads(virqsim("exits", "--tech", "none,epic-sw,epic-hw", "--json").out)
    assert [(row["operation"], row["target"]) for row in document["rows"]] == list(ROWS)
    assert [each["known_from"] for each in document["technologies"]] == ["manuals", "kernel sources", "kernel sources"]
    for row in document["rows"]:
        for technology, cell in row["exits"].items():
            said = virqsim("probe", row["operation"], "--tech", technology, "--target", row["target"], "--json")
            assert cell == {who: json.loads(said.out)["per_operation"][who] for who in ("sender", "target", "eoi")}


def test_what_no_model_covers_has_no_number(virqsim, monkeypatch):
    monkeypatch.setattr("virqsim.sidebyside.ROWS", (("tpr.write_cr8", "running"), ("ipi.unicast", "running")))
    lines = virqsim("exits", "--tech", "none,epic-sw").out.splitlines()
    assert [line.split()[2:] for line in lines[2:4]] == [["0", "?"], [*"1+1+1", *"2+2+1"]]


def test_a_technology_that_there_is_not_is_named(virqsim):
    said = virqsim("exits", "--tech", "none,epicc")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("exits: --tech: ")
