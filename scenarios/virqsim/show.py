"""What the command line shows people: tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from .results import Results


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a table; numbers stand to the right, floats with one decimal.

    On a terminal cells are folded to its width; elsewhere a row is a line.
    """
    rows = [list(row) for row in rows]
    shown = Table(box=None, header_style="dim", pad_edge=False)
    for n, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[n], (int, float)) for row in rows)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(f"{cell:.1f}" if isinstance(cell, float) else str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        whole = console.options.update_width(10_000)
        console.width = max(console.width, console.measure(shown, options=whole).maximum)
    console.print(escape(title), style="bold", highlight=False, soft_wrap=True)
    console.print(shown)
    console.print()


def frame(title: str, data: pd.DataFrame) -> None:
    """Prints a DataFrame, if there is anything in it."""
    if len(data):
        table(title, list(data.columns), data.astype(object).values.tolist())


def registers(chip: str) -> None:
    """Prints a chip's registers, and the fields in them."""
    from . import registers as described

    has = described.chip(chip)
    if has["rows"]:
        table(f"registers of {chip}", *described.table(chip, without=("section",)))
    fields = has["fields"]
    if fields:
        table(f"fields of {chip}", ["register", "field", "bits", "meaning"],
              [[f["register"], f["name"], _bits(f), f["meaning"]] for f in fields])


def _bits(field: dict[str, Any]) -> str:
    return str(field["high"]) if field["high"] == field["low"] else f"{field['high']}:{field['low']}"


def results(run: Results) -> None:
    """Prints one run: exits, latency and where it went, stamps."""
    Console().print(escape(run.summary()), highlight=False, soft_wrap=True)
    Console().print()
    mark = caveat(run.document)
    frame(f"VM exits{mark}", run.exits.groupby(["reason", "cause"], as_index=False)["count"].sum())
    frame(f"KVM_RUN returned to userspace{mark}", run.userspace_exits.groupby("reason", as_index=False)["count"].sum())
    frame(f"Latency, raised to handler{mark}", run.latency)
    stages = run.stages.assign(share=[f"{100 * share:.1f} %" for share in run.stages["share"]])
    frame(f"Where it went{mark}", stages[run.stages["max_ns"] > 0])
    inhibits = run.inhibits.assign(share=[f"{100 * share:.1f} %" for share in run.inhibits["share"]])
    frame(f"APICv or AVIC was off{mark}", inhibits)
    frame(f"Stamps, TSC cycles between two{mark}", run.stamps)
    if run.document["findings"]:
        table("The watchdog found", ["finding"], [[each["line"]] for each in run.document["findings"]])


def caveat(document: dict[str, Any]) -> str:
    """What is said beside a title, where no number of the profile is known."""
    from .profiles import caveat

    return caveat(document.get("profile", ""), document.get("profile_kind", ""))


def comparison(runs: Sequence[Results]) -> None:
    """Prints runs side by side: exits by reason, and latencies."""
    names = [run.document["technology"] for run in runs]
    counts = [run.exits.groupby("reason")["count"].sum() for run in runs]
    reasons = sorted({reason for count in counts for reason in count.index})
    rows = [[reason, *(int(count.get(reason, 0)) for count in counts)] for reason in reasons]
    rows.append(["all", *(int(count.sum()) for count in counts)])
    assumed = [f"{name}{caveat(run.document)}" for name, run in zip(names, runs, strict=True) if run.assumed_throughout]
    table("; ".join(["VM exits", *assumed]), ["reason", *names], rows)
    latencies = [[name, *row] for name, run in zip(names, runs, strict=True)
                 for row in run.latency.astype(object).values.tolist()]
    table("; ".join(["Latency, raised to handler", *assumed]), ["technology", *runs[0].latency.columns], latencies)
