"""The picture of a sweep: a row of axes for each of its measures, a column for each panel, a mark for each of its points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

from . import figures
from .scenario import Parameter, Sweep

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

if TYPE_CHECKING:
    import pandas

_UNITS = ("ns", "us", "percent", "kiops")
_WIDE = 30  # values that spread by more than this get a logarithmic axis
_BESIDE = 1.02  # on a logarithmic axis, so that points that coincide are seen
_MOST_IN_A_LEGEND_ROW = 4


def draw(table: pandas.DataFrame, sweeps: Sequence[Sweep], parameters: dict[str, Parameter], out: Path, name: str,
         costs: str, profile: str = "") -> list[Path]:
    """Draws the table of `virqsim sweep`; gives the paths of the files written.

    `costs` is what its numbers rest on; `profile` what the file says of that in every row, if anything.
    """
    columns = [(sweep, panel) for sweep in sweeps for panel in _panels(table, sweep)]
    measures = list(dict.fromkeys(measure for sweep in sweeps for measure in sweep.y))
    width = figures.COLUMN * max(1.0, len(columns) * (0.62 if len(measures) == 1 else 0.8))
    out.mkdir(parents=True, exist_ok=True)
    with figures.style():
        figure, grid = plt.subplots(len(measures), len(columns), figsize=(width, 1.2 + 1.7 * len(measures)), sharey="row",
                                    squeeze=False, layout="constrained")
        for m, (sweep, panel) in enumerate(columns):
            rows = table[(table["sweep"] == sweeps.index(sweep)) & ((table[sweep.panels] == panel) if sweep.panels else True)]
            for n, measure in enumerate(measures):
                _series(grid[n][m], rows, sweep, measure)
            grid[0][m].set_title(panel if sweep.panels else _elsewhere(rows, sweep, sweeps))
            grid[-1][m].set_xlabel(_of_parameter(parameters, sweep.x))
        for n, measure in enumerate(measures):
            grid[n][0].set_ylabel(_words(measure))
            _scale_y(grid[n][0], (table[measure].min(), table[measure].max()), any(sweep.x in sweep.over for sweep in sweeps))
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=_MOST_IN_A_LEGEND_ROW, frameon=False, columnspacing=1.0,
                      title=costs, title_fontsize=6)
        shown = table.drop(columns="sweep")
        return figures.save(figure, out, name, list(shown.columns), shown.astype(object).values.tolist(), profile)


def _panels(table: pandas.DataFrame, sweep: Sweep) -> Iterable[Any]:
    return dict.fromkeys(table[sweep.panels]) if sweep.panels else ("",)


def _elsewhere(rows: pandas.DataFrame, sweep: Sweep, sweeps: Sequence[Sweep]) -> str:
    """What the other pictures vary, and this one does not."""
    names = dict.fromkeys(name for other in sweeps for name in other.over if name not in sweep.over)
    return ", ".join(f"{name} {rows[name].iloc[0]}" for name in names)


def _series(axes: Axes, rows: pandas.DataFrame, sweep: Sweep, measure: str) -> None:
    """A line where the horizontal axis is a parameter, marks alone where it is an outcome too; bars over the seeds."""
    joined = sweep.x in sweep.over
    points = list(dict.fromkeys(rows[sweep.points]))
    wide = joined and _spread(rows[sweep.x].min(), rows[sweep.x].max())
    for n, point in enumerate(points):
        at = rows[rows[sweep.points] == point]
        bars = None
        if f"{measure}_low" in at:
            bars = [at[measure] - at[f"{measure}_low"], at[f"{measure}_high"] - at[measure]]
        beside = _BESIDE ** (n - (len(points) - 1) / 2) if wide else 1
        axes.errorbar(at[sweep.x] * beside, at[measure], yerr=bars, label=_label(sweep, point), color=figures.PALETTE[n % len(figures.PALETTE)],
                      marker=figures.MARKS[n % len(figures.MARKS)], markersize=3 if joined else 4.5, linewidth=0.9,
                      linestyle=figures.LINES[n % len(figures.LINES)] if joined else "none", elinewidth=0.6, capsize=1.2)
    if wide:
        powers = all(x & (x - 1) == 0 for x in rows[sweep.x])
        axes.set_xscale("log", base=2 if powers else 10)
        if powers:
            axes.set_xticks(sorted(set(rows[sweep.x])), sorted(set(rows[sweep.x])))


def _label(sweep: Sweep, point: Any) -> str:
    """A value that says little by itself is named."""
    return f"{sweep.points} {point}" if point in ("on", "off", "yes", "no") or isinstance(point, int) else str(point)


def _scale_y(axes: Axes, ends: tuple[float, float], joined: bool) -> None:
    if joined and _spread(*ends):
        axes.set_yscale("log" if ends[0] > 0 else "symlog")
    if ends[0] >= 0 and axes.get_yscale() != "log":
        axes.set_ylim(bottom=0)


def _spread(low: float, high: float) -> bool:
    return high > _WIDE * low


def _of_parameter(parameters: dict[str, Parameter], name: str) -> str:
    return f"{name}, {parameters[name].unit}" if name in parameters and parameters[name].unit else _words(name)


def _words(column: str) -> str:
    """The name of a report's column, for an axis."""
    rest, _, unit = column.rpartition("_")
    return f"{rest.replace('_', ' ')}, {unit}" if rest and unit in _UNITS else column.replace("_", " ")
