"""Figures say what the results say, and open where papers are made."""

import csv
import json

import pytest
from PIL import Image

from virqsim.figures import COLUMN, plot


def results(technology, exits, latency):
    return {"name": "pp", "technology": technology,
            "exits": [{"vcpu": 0, "reason": r, "cause": "operation", "count": n} for r, n in exits.items()],
            "latency": [{"source": "ipi", "count": 4, "sum_ps": 4 * latency, "histogram": [[latency, 4]],
                         "stages": [{"stage": "routed", "sum_ps": latency, "max_ps": latency},
                                    {"stage": "handler", "sum_ps": 3 * latency, "max_ps": latency}]}]}


@pytest.fixture
def runs(tmp_path):
    folders = []
    for technology, n in (("none", 90), ("ipiv", 1)):
        reasons = {f"REASON_{i}": n + i for i in range(9)}
        folder = tmp_path / technology
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(results(technology, reasons, n * 1000)))
        folders.append(folder)
    return folders


def test_each_figure_is_a_png_a_pdf_and_a_csv(runs, tmp_path):
    written = plot(runs, tmp_path / "out")
    assert [p.name for p in written] == [f"{name}.{kind}" for name in ("exits", "latency_ipi")
                                         for kind in ("png", "pdf", "csv")]
    assert all(p.stat().st_size for p in written)


def test_a_figure_fills_a_column_and_its_fonts_are_type_42(runs, tmp_path):
    out = tmp_path / "out"
    plot(runs, out)
    for name in ("exits", "latency_ipi"):
        assert Image.open(out / f"{name}.png").width == round(COLUMN * 300)
        pdf = (out / f"{name}.pdf").read_bytes()
        assert b"/CIDFontType2" in pdf and b"/Type3" not in pdf


def test_the_table_beside_a_figure_has_every_reason_even_those_drawn_as_other(runs, tmp_path):
    plot(runs, tmp_path / "out")
    with (tmp_path / "out" / "exits.csv").open() as file:
        rows = {(r["run"], r["reason"]): int(r["count"]) for r in csv.DictReader(file)}
    assert len(rows) == 18 and rows["none", "REASON_0"] == 90 and rows["ipiv", "REASON_8"] == 9


def test_the_steps_of_a_latency_add_up_to_its_mean(runs, tmp_path):
    plot(runs, tmp_path / "out")
    with (tmp_path / "out" / "latency_ipi.csv").open() as file:
        steps = [float(r["ns or count"]) for r in csv.DictReader(file)
                 if r["run"] == "none" and r["what"] == "mean of step"]
    assert sum(steps) == pytest.approx(90)


def test_the_same_runs_give_the_same_pdf(runs, tmp_path):
    one, other = (plot(runs, tmp_path / name) for name in ("one", "other"))
    assert one[1].read_bytes() == other[1].read_bytes()


@pytest.mark.parametrize("nanoseconds", [4_000, 80_000_000])
def test_the_names_on_a_logarithmic_axis_do_not_run_into_each_other(runs, tmp_path, monkeypatch, nanoseconds):
    drawn = []
    monkeypatch.setattr("virqsim.figures.save", lambda figure, *rest: drawn.append(figure) or [])
    for folder, latency in zip(runs, (350, nanoseconds)):
        (folder / "results.json").write_text(json.dumps(results("none", {"REASON_0": 1}, 1000 * latency)))
    plot(runs, tmp_path / "out")
    figure = drawn[-1]
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[1].get_xticklabels(which="both") if label.get_text()]
    boxes = sorted((box.x0, box.x1) for box in boxes)
    assert len(boxes) > 2 and all(a[1] <= b[0] for a, b in zip(boxes, boxes[1:]))
