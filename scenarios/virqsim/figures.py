"""Figures of runs, ready for a paper's column: exits by reason, and where latency goes.

Every figure is a PNG, a PDF with fonts that editors can search, and a CSV with
the numbers that it shows. Colours are told apart by colour-blind readers, and
hatches by grey printers.
"""

import csv
import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

from . import profiles  # noqa: E402
from .profiles import ASSUMED_THROUGHOUT  # noqa: E402

# Okabe and Ito, "Color Universal Design", 2008; grey for what is left over.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442"]
HATCHES = ["", "////", "....", "\\\\\\\\", "xxxx", "----", "++++"]
REST = ("#BBBBBB", "oo")
LINES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
MARKS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]
WIDE = 10  # latencies that spread by more than this get a logarithmic axis
COLUMN = 3.3  # inches, of a two-column page
TITLES = {"ipi": "IPI", "msi": "MSI", "nmi": "NMI", "extint": "ExtINT", "level": "level-triggered",
          "line": "interrupt line"}

STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "legend.fontsize": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.4,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "savefig.dpi": 300,
}


def style():
    """A context in which figures look alike."""
    return plt.rc_context(STYLE)


def plot(run_dirs, out):
    """Draws what these runs have in common to say; gives the paths of the files written."""
    runs = [json.loads((Path(d) / "results.json").read_text()) for d in run_dirs]
    names = labels(runs)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with style():
        written += exits(runs, names, out)
        for source in sources(runs):
            written += latency(runs, names, source, out)
    return written


def labels(runs):
    """A run's technology; its scenario too, where that is not the same for all; and what its numbers are worth."""
    several = len({run["name"] for run in runs}) > 1
    return [(f"{run['name']}\n" if several else "") + run["technology"] + caveat(run) for run in runs]


def caveat(run):
    """Under a run's label, where no number of its profile is known."""
    return f"\n({ASSUMED_THROUGHOUT})" if run.get("profile_kind") == ASSUMED_THROUGHOUT else ""


def sources(runs):
    return list(dict.fromkeys(x["source"] for run in runs for x in run["latency"] if x["count"]))


def save(figure, out, name, header, rows, profile=""):
    """The PNG, the PDF and the CSV of one figure; `profile` is what a last column says in every row, if anything."""
    paths = [out / f"{name}.{kind}" for kind in ("png", "pdf")]
    for path in paths:
        # No date inside: the same run gives the same file.
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {}
        figure.savefig(path, metadata=metadata)
    plt.close(figure)
    table = out / f"{name}.csv"
    with table.open("w", newline="") as file:
        table_rows = [[*header, "profile"], *([*row, profile] for row in rows)] if profile else [header, *rows]
        csv.writer(file, lineterminator="\n").writerows(table_rows)
    return [*paths, table]


def paint(n, name):
    if name == "other":
        return dict(zip(("color", "hatch"), REST), edgecolor="black")
    return {"color": PALETTE[n % len(PALETTE)], "hatch": HATCHES[n % len(HATCHES)], "edgecolor": "black"}


def exits(runs, names, out):
    """Stacked bars: how often, and why, the guest left."""
    counts = []
    for run in runs:
        by_reason = {}
        for row in (each for each in run["exits"] if each["cause"] != "setup"):
            by_reason[row["reason"]] = by_reason.get(row["reason"], 0) + row["count"]
        counts.append(by_reason)
    total = {}
    for by_reason in counts:
        for reason, n in by_reason.items():
            total[reason] = total.get(reason, 0) + n
    order = sorted(total, key=lambda reason: (-total[reason], reason))
    shown = order[: len(PALETTE)]
    series = {r: [c.get(r, 0) for c in counts] for r in shown}
    if order[len(PALETTE) :]:
        series["other"] = [sum(c.get(r, 0) for r in order[len(PALETTE) :]) for c in counts]

    rows = (len(series) + 1) // 2
    figure, axes = plt.subplots(figsize=(COLUMN, 1.9 + 0.13 * rows), layout="constrained")
    stack(axes.bar, "bottom", names, series, list(series), {"width": 0.62})
    axes.set_ylabel("VM exits")
    axes.margins(y=0.08)
    for x, c in enumerate(counts):
        axes.annotate(f"{sum(c.values()):,}", (x, sum(c.values())), ha="center", va="bottom", fontsize=6)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, handlelength=1.6)
    table = [(name.replace("\n", " "), r, c.get(r, 0)) for name, c in zip(names, counts) for r in order]
    return save(figure, out, "exits", ("run", "reason", "count"), table)


def stack(draw, offset, names, series, order, extra):
    """Stacked bars; a series has the colour of its place in `order`, whichever others are shown."""
    base = [0] * len(names)
    for name, values in series.items():
        draw(range(len(names)), values, label=name, linewidth=0.4, **{offset: base}, **extra, **paint(order.index(name), name))
        base = [b + v for b, v in zip(base, values)]
    axes = plt.gca()
    setter = axes.set_xticks if offset == "bottom" else axes.set_yticks
    setter(range(len(names)), names)


def latency(runs, names, source, out):
    """Above, the mean interrupt's way to its handler, step by step; below, the distribution."""
    found = [(n, x) for n, run in zip(names, runs) for x in run["latency"] if x["source"] == source and x["count"]]
    kept = [name for name, _ in found]
    stages = list(dict.fromkeys(s["stage"] for _, x in found for s in x["stages"]))
    mean = [{s["stage"]: s["sum_ps"] / x["count"] / 1e3 for s in x["stages"]} for _, x in found]
    series = {s: [m.get(s, 0.0) for m in mean] for s in stages if any(m.get(s) for m in mean)}

    title = TITLES.get(source, source)
    height = 1.9 + 0.24 * len(found)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(COLUMN, height), layout="constrained", height_ratios=[0.35 + 0.24 * len(found), 1.35]
    )
    plt.sca(above)
    stack(above.barh, "left", kept, series, stages, {"height": 0.6})
    above.invert_yaxis()
    above.set_xlabel(f"mean {title} latency, ns, by the step that it led to")
    for n, (name, x) in enumerate(found):
        bounds = [bound / 1e3 for bound, _ in x["histogram"]]
        reached = np.cumsum([count for _, count in x["histogram"]]) / x["count"]
        below.step([bounds[0], *bounds], [0, *reached], where="post", label=name, color=PALETTE[n % len(PALETTE)],
                   linestyle=LINES[n % len(LINES)], linewidth=1.1)
    lowest = min(x["histogram"][0][0] for _, x in found)
    highest = max(x["histogram"][-1][0] for _, x in found)
    if highest > WIDE * lowest:
        below.set_xscale("log")
        below.xaxis.set_minor_formatter(NullFormatter())  # they would run into each other
        if highest < 100 * lowest:  # powers of ten alone would be too few
            below.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            below.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: f"{ns:,.0f}"))
    else:
        below.set_xlim(left=0)
    below.set_ylim(0, 1.03)
    below.set_xlabel(f"{title} latency, ns")
    below.set_ylabel("share of interrupts")
    below.legend(frameon=False, loc="best")
    figure.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False,
                  handlelength=1.6)
    table = [(name.replace("\n", " "), "mean of step", s, round(m.get(s, 0.0), 3)) for (name, _), m in zip(found, mean) for s in stages]
    for name, x in found:
        table += [(name.replace("\n", " "), "histogram", bound / 1e3, count) for bound, count in x["histogram"]]
    return save(figure, out, f"latency_{source}", ("run", "what", "step or upper bound (ns)", "ns or count"), table)


def bands(document, out):
    """Of a sensitivity study: each measure under each technology, as the costs stand, in the band of the draws."""
    rows = document["metrics"]
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    names = document["technologies"]
    mark = profiles.caveat(document["profile"], document["profile_kind"]).strip()
    with style():
        figure, all_axes = plt.subplots(len(metrics), 1, figsize=(COLUMN, len(metrics) * (0.45 + 0.16 * len(names))),
                                        layout="constrained", squeeze=False)
        for axes, metric in zip(all_axes[:, 0], metrics):
            shown = [row for row in rows if row["metric"] == metric]
            for y, row in enumerate(shown):
                axes.barh(y, row["high"] - row["low"], left=row["low"], height=0.5, alpha=0.45, color=PALETTE[y % len(PALETTE)])
                axes.plot(row["as_it_stands"], y, "|", color="black", markersize=7)
            axes.set_yticks(range(len(names)), names)
            axes.invert_yaxis()
            axes.set_xlim(left=0)
            axes.set_xlabel(metric)
        if mark:
            figure.suptitle(mark, fontsize=6)
        return save(figure, out, "sensitivity", ("metric", "technology", "as it stands", "low", "high"),
                    [[row[key] for key in ("metric", "technology", "as_it_stands", "low", "high")] for row in rows],
                    profiles.column(document["profile"], document["profile_kind"]))
