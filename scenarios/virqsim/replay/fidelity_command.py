"""`virqsim validate --replay`: replays beside what was recorded, as tables or one document."""

from __future__ import annotations

import json

import click

from .. import paths, profiles, show
from ..runner import progress_bar
from . import fidelity
from .fidelity import WRONG, Compared

COLUMNS = ["exits", "recorded", "the host's", "replayed", "error", "verdict"]


def validate_replays(profile: str | None, as_json: bool) -> int:
    """Replays and prints; the exit status: 1 where a replay is outside of what is promised."""
    costs, folder = profiles.load(profile or "skylake-sp"), paths.find("traces")
    files = sorted(folder.glob("*.txt.gz"))
    same = []
    with progress_bar("replays") as progress:
        for n, path in enumerate(files):
            same.append(fidelity.same_hardware(path, costs))
            progress((n + 1) / len(files))
    predicted = fidelity.predictions(folder, costs)
    if as_json:
        click.echo(json.dumps({"same_hardware": [each.document() for each in same],
                               "predictions": [each.document() for each in predicted]}, indent=1))
    else:
        _print(same, predicted)
    return int(any(each.verdict == WRONG for each in (*same, *predicted)))


def _print(same: list[Compared], predicted: list[Compared]) -> None:
    rows = [[each.name.partition(".")[0], *(_cells(each.rows[-1])[n] for n in (1, 3, 4)), _off(each), each.verdict] for each in same]
    show.table("Replayed under the hardware of the recording", ["trace", "recorded", "replayed", "error", "reasons that differ",
                                                             "verdict"], rows)
    for each in predicted:
        show.table(f"{each.name.partition('.')[0]} as {each.under}, of {each.there}: {each.verdict}",
                   COLUMNS, [_cells(row) for row in each.rows])
    click.echo(f"{_tally(same)} of {len(same)} traces within {fidelity.SAME_TOTAL:.0%} in total and "
               f"{fidelity.SAME_REASON:.0%} for each reason; {_tally(predicted)} of {len(predicted)} predictions within "
               f"{fidelity.OTHER_TOTAL:.0%} and {fidelity.OTHER_REASON:.0%}")


def _tally(compared: list[Compared]) -> int:
    return sum(each.verdict == fidelity.RIGHT for each in compared)


def _cells(row: dict[str, object]) -> list[object]:
    error = row["error"]
    return [row["reason"], row["recorded"], row["host"], row["replayed"],
            f"{error:+.1%}" if isinstance(error, float) else "-", row["verdict"]]


def _off(each: Compared) -> str:
    return ", ".join(f"{row['reason']} {row['recorded']} -> {row['replayed']}" for row in each.rows[:-1]
                     if row["recorded"] != row["replayed"])
