"""Architectures side by side: `virqsim exits`."""

import json
from pathlib import Path

from matplotlib.text import Text
from virqsim import figures
from virqsim.sidebyside import ROWS


def test_each_cell_is_what_the_probe_of_it_says(virqsim):
    document = json.loads(virqsim("exits", "--tech", "none,epic-sw,epic-hw", "--json").out)
    assert [(row["operation"], row["target"]) for row in document["rows"]] == list(ROWS)
    assert [each["known_from"] for each in document["technologies"]] == ["manuals", "kernel sources", "kernel sources"]
    assert [each["profile_kind"] for each in document["technologies"]] == ["assumed", "assumed throughout", "assumed throughout"]
    for row in document["rows"]:
        for technology, cell in row["exits"].items():
            said = virqsim("probe", row["operation"], "--tech", technology, "--target", row["target"], "--json")
            assert cell == {who: json.loads(said.out)["per_operation"][who] for who in ("sender", "target", "eoi")}


def test_what_no_model_covers_has_no_number(virqsim, monkeypatch):
    monkeypatch.setattr("virqsim.sidebyside.ROWS", (("tpr.write_cr8", "running"), ("ipi.unicast", "running")))
    lines = virqsim("exits", "--tech", "none,epic-sw").out.splitlines()
    assert [line.split()[2:] for line in lines[2:4]] == [["0", "?"], [*"1+1+1", *"2+2+1"]]


def test_the_picture_has_a_panel_for_each_technology_and_the_tables_numbers(virqsim, monkeypatch):
    monkeypatch.setattr("virqsim.sidebyside.ROWS", (("ipi.unicast", "running"), ("ipi.unicast", "halted"), ("tpr.write_cr8", "running")))
    written = []
    save = figures.save

    def watched(figure, *rest):
        written.append([text.get_text() for text in figure.findobj(Text)])
        return save(figure, *rest)

    monkeypatch.setattr(figures, "save", watched)
    said = virqsim("exits", "--tech", "none,epic-sw", "--out", "pictures")
    assert [line.rpartition(".")[2] for line in said.out.splitlines()[-3:]] == ["png", "pdf", "csv"]
    (texts,) = written
    assert {"Intel\nnone", "Elbrus\nepic-sw", "ipi.unicast, halted", "0", "?"} <= set(texts)
    assert any("costs assumed throughout" in text for text in texts)
    rows = Path("pictures/exits_side_by_side.csv").read_text().splitlines()
    assert rows[1:3] == ["ipi.unicast,running,none,1,1,1,",
                         "ipi.unicast,running,epic-sw,2,2,1,elbrus-16c: assumed throughout"]
    assert rows[-1] == "tpr.write_cr8,running,epic-sw,,,,elbrus-16c: assumed throughout"


def test_a_technology_that_there_is_not_is_named(virqsim):
    said = virqsim("exits", "--tech", "none,epicc")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("exits: --tech: ")
