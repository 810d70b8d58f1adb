"""`virqsim validate --exits`: the comparison as a table or one document."""

from __future__ import annotations

import json
from typing import Any

import click

from .. import show
from ..errors import unknown
from ..runner import progress_bar
from . import recorded
from .compare import DIFFERENT, Comparison, Exits, compare_all, tally
from .recorded import Row


def validate_exits(configuration: str | None, operation: str | None, as_json: bool) -> int:
    """Compares and prints the rows asked for; the exit status: 1 where one differs without a reason."""
    with progress_bar("exits of recorded KVM") as progress:
        compared = compare_all(_chosen(configuration, operation), progress)
    if as_json:
        click.echo(json.dumps(document(compared), indent=1))
    else:
        _show(compared)
    return int(any(one.verdict == DIFFERENT for one in compared))


def document(compared: list[Comparison]) -> dict[str, Any]:
    """What --json prints."""
    return {"recording": recorded.PROVENANCE, "rows": [one.document() for one in compared], "summary": tally(compared)}


def _chosen(configuration: str | None, operation: str | None) -> list[Row]:
    rows = list(recorded.rows())
    for name, value in (("configuration", configuration), ("operation", operation)):
        if value is None:
            continue
        known = sorted({getattr(row, name) for row in rows})
        if value not in known:
            raise unknown(name, value, known)
        rows = [row for row in rows if getattr(row, name) == value]
    return rows


def _show(compared: list[Comparison]) -> None:
    show.table("Exits per operation, of recorded KVM and here",
               ["row", "KVM", "virqsim", "verdict", "why"],
               [[one.row.name, _cell(one.row.exits), "" if one.here is None else _cell(one.here), one.verdict,
                 one.why or ""] for one in compared])
    counts = ", ".join(f"{count} {verdict}" for verdict, count in tally(compared).items())
    click.echo(f"recording: {recorded.PROVENANCE}")
    click.echo(f"{len(compared)} rows: {counts}")


def _cell(exits: Exits) -> str:
    return " ".join(f"{reason}:{count:.3g}" for reason, count in exits.items()) or "none"
