"""The figure of `virqsim exits`: a panel for each technology, a row for each operation, a bar of who leaves."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib

from . import figures
from .profiles import column

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PARTS = (("sender", "at the sender"), ("target", "on the way to the handler"), ("eoi", "for the acknowledgement"))
VENDORS = {"vmx": "Intel", "svm": "AMD", "e2k": "Elbrus"}
_ROW, _FRAME = 0.19, 1.0  # inches


def plot(document: dict[str, Any], note: str, out: Path) -> list[Path]:
    """Draws the document of side_by_side(); gives the paths of the files written."""
    rows, technologies = document["rows"], document["technologies"]
    most = max((sum(_counts(cell)) for row in rows for cell in row["exits"].values() if cell), default=1)
    out.mkdir(parents=True, exist_ok=True)
    with figures.style():
        size = 2 * figures.COLUMN + 0.3, _FRAME + _ROW * len(rows)
        figure, panels = plt.subplots(1, len(technologies), figsize=size, sharey=True, squeeze=False, layout="constrained")
        for axes, technology in zip(panels[0], technologies, strict=True):
            _panel(axes, rows, technology, most)
        panels[0][0].set_yticks(range(len(rows)), [f"{row['operation']}, {row['target']}" for row in rows])
        panels[0][0].invert_yaxis()
        _rule(panels[0], rows)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False,
                      handlelength=1.6)
        figure.supxlabel(f"exits of one operation; 0: nobody leaves{note}", fontsize=6)
        table = [[row["operation"], row["target"], technology["name"], *(_counts(row["exits"][technology["name"]]) or ["", "", ""])]
                 for row in rows for technology in technologies]
        header = ["operation", "target", "technology", *(title for _, title in PARTS)]
        known = [column(technology["profile"], technology["profile_kind"]) for technology in technologies]
        if any(known):
            header.append("profile")
            table = [[*row, said] for row, said in zip(table, known * len(rows), strict=True)]
        return figures.save(figure, out, "exits_side_by_side", header, table)


def _counts(cell: dict[str, dict[str, float]] | None) -> list[float]:
    return [sum(cell[part].values()) for part, _ in PARTS] if cell else []


def _panel(axes: Any, rows: list[dict[str, Any]], technology: dict[str, str], most: float) -> None:
    cells = [_counts(row["exits"][technology["name"]]) for row in rows]
    left = [0.0] * len(rows)
    for n, (_, title) in enumerate(PARTS):
        widths = [cell[n] if cell else 0.0 for cell in cells]
        axes.barh(range(len(rows)), widths, left=left, height=0.62, label=title, linewidth=0.4, **figures.paint(n, title))
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for y, cell in enumerate(cells):
        if not any(cell):
            axes.text(0.12, y, "0" if cell else "?", va="center", fontsize=6)
    axes.set_xlim(0, most + 0.3)
    axes.set_xticks(range(0, int(most) + 1, 2 if most > 3 else 1))
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"{VENDORS[technology['vendor']]}\n{technology['name']}")


def _rule(panels: Any, rows: list[dict[str, Any]]) -> None:
    """A line between operations, so that targets of one stand together."""
    at = -0.5
    for _, group in groupby(rows, key=lambda row: row["operation"]):
        at += len(list(group))
        for axes in panels:
            axes.axhline(at, color="#BBBBBB", linewidth=0.4)
