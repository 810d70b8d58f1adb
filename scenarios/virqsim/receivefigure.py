"""The figure of the receive path: what a frame costs, by who keeps the card from interrupting again.

Exits, the wait in the ring, and the time that the guest's own work loses, each against the length
of a burst and against the rate: scenario masked_direct_read, run once for each point.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

from . import figures, profiles, results, runner
from .scenario import Scenario

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# Label, technology, scheme. The last is what a card gets whose interrupts the IOMMU posts.
LINES = (("an exit each", "none", "each"), ("fixed, 50 us", "none", "fixed"), ("adaptive", "none", "adaptive"),
         ("vIC", "none", "vic"), ("NAPI", "none", "napi"), ("masked delivery", "none", "masked"),
         ("NAPI, posted", "vtd-pi", "napi"))
SWEEPS = (("burst", "frames in a burst", (1, 2, 4, 8, 16, 32, 64)),
          ("rate", "frames/s, in bursts of 16", (10_000, 20_000, 50_000, 100_000, 200_000, 400_000)))
MEASURES = (("exits_per_100_frames", "exits for 100 frames"), ("wait_ns", "mean wait in the ring, ns"),
            ("cpu_ns_per_frame", "CPU time for a frame, ns"))
MARKERS = "os^vDx+"


def receive(profile: str, out: Path, progress: Callable[[float], Any]) -> list[Path]:
    """Runs the sweeps and draws them; gives the paths of the files written."""
    scenario, costs = Scenario.load("masked_direct_read"), profiles.load(profile)
    points = [(sweep, x, line) for sweep, _, values in SWEEPS for x in values for line in LINES]
    rows = []
    for done, (sweep, x, (label, technology, scheme)) in enumerate(points):
        progress(done / len(points))
        p = scenario.values({"scheme": scheme, sweep: x}, costs.clocks)
        results = runner.run(scenario.plan(p).resolve(costs, technology))
        report = scenario.report(results, p)
        assert report is not None
        rows.append({"sweep": sweep, "x": x, "scheme": label, **{key: float(report[key].iloc[0]) for key, _ in MEASURES}})
    out.mkdir(parents=True, exist_ok=True)
    with figures.style():
        return draw(rows, costs, out)


def draw(rows: list[dict[str, Any]], costs: profiles.Profile, out: Path) -> list[Path]:
    """A row of axes for each measure, a column for each sweep."""
    figure, grid = plt.subplots(len(MEASURES), len(SWEEPS), figsize=(2 * figures.COLUMN, 5.2), sharex="col",
                                sharey="row", layout="constrained")
    for n, (measure, title) in enumerate(MEASURES):
        for m, (sweep, unit, values) in enumerate(SWEEPS):
            axes = grid[n][m]
            for k, (label, _, _) in enumerate(LINES):
                ys = [row[measure] for row in rows if row["sweep"] == sweep and row["scheme"] == label]
                axes.plot(values, ys, label=label, color=figures.PALETTE[k % len(figures.PALETTE)], marker=MARKERS[k],
                          linestyle=figures.LINES[k % len(figures.LINES)], linewidth=1, markersize=3)
            axes.set_xscale("log", base=2 if sweep == "burst" else 10)
            axes.set_yscale("symlog" if measure == "exits_per_100_frames" else "log")
            axes.set_xlabel(unit if n == len(MEASURES) - 1 else "")
            axes.set_ylabel(title if m == 0 else "")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False,
                  title=f"profile {costs.name} ({results.known_as(costs.known)})", title_fontsize=6)
    header = ("sweep", "x", "scheme", *(key for key, _ in MEASURES))
    return figures.save(figure, out, "masked_direct_read", header, [[row[key] for key in header] for row in rows])
