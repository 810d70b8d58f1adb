"""`virqsim validate`."""

from __future__ import annotations

import json
from typing import Any

import click

from .. import show
from . import validate

TITLES = {"calibration": "Calibration: these set the profile", "prediction": "Predictions"}
COLUMNS = ["id", "what", "unit", "published", "simulated", "error", "all low", "all high", "verdict"]


def cells(row: dict[str, Any]) -> list[Any]:
    """A row as it is shown to people."""
    return [row["id"], row["what"], row["unit"], *(_number(row[key], row["unit"]) for key in ("published", "simulated")),
            _error(row), *(_number(row[key], row["unit"]) for key in ("all_low", "all_high")), row["verdict"]]


def _number(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit == "x" else f"{value:.1f}"


def _error(row: dict[str, Any]) -> str:
    return f"{100 * row['error']:+.1f} %" if row["published"] else f"{row['error']:+g}"


def summary(document: dict[str, Any]) -> str:
    """One line on all predictions."""
    said = document["summary"]
    return (f"{said['predictions']} predictions: mean absolute error {100 * said['mean_absolute_error']:.1f} % "
            f"(of times {100 * said['mean_absolute_error_of_times']:.1f} %, "
            f"of exits {100 * said['mean_absolute_error_of_counts']:.1f} %), "
            f"{said['within_10_percent']} within 10 %; {said['orders_right']} of {said['orders']} orders right")


@click.command("validate")
@click.option("--profile", metavar="P", help="Whose costs, for every row; by default those of the publication's machine.")
@click.option("--exits", is_flag=True, help="Exits per operation instead, beside those of recorded KVM.")
@click.option("--replay", is_flag=True, help="Replays of recorded traces instead, beside what was recorded.")
@click.option("--configuration", metavar="C", help="With --exits: KVM's configuration in the recording, as svm-default.")
@click.option("--operation", metavar="O", help="With --exits: what the recorded guest repeats, as ipi.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
@click.pass_context
def validate_command(ctx: click.Context, profile: str | None, exits: bool, replay: bool, configuration: str | None,
                     operation: str | None, as_json: bool) -> None:
    """Put published figures beside simulated ones: those that set the profile, and predictions.

    A prediction is within 10 %, or within what the ranges of the assumed costs
    span, or outside of that. Few sources name their machine: an error tells how
    far off the simulator may be, not which cost is wrong.

    \b
      virqsim validate --exits                      each row of the recording
      virqsim validate --exits --operation ipi
      virqsim validate --exits --configuration svm-default --json

    With --exits a row is equal, within what a race allows, explained, not
    modelled, or different; the exit status is 1 if a row is different.

    With --replay each recorded trace is replayed under its own hardware, and,
    where the same guest was recorded on two machines, under the other's.
    """
    if exits and replay:
        raise click.UsageError("--exits and --replay are two things to ask")
    if not exits and (configuration or operation):
        raise click.UsageError("--configuration and --operation go with --exits")
    if exits:
        from ..groundtruth.command import validate_exits

        if profile:
            raise click.UsageError("--profile does not go with --exits: counts do not depend on it")
        ctx.exit(validate_exits(configuration, operation, as_json))
    if replay:
        from ..replay.fidelity_command import validate_replays

        ctx.exit(validate_replays(profile, as_json))
    document = validate(profile)
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    for kind, title in TITLES.items():
        show.table(title, COLUMNS, [cells(row) for row in document["rows"] if row["kind"] == kind])
    show.table("Orders: what falls from one row to the next", ["what", "rows", "simulated"],
               [[order["what"], " > ".join(order["ids"]), "right" if order["right"] else "wrong"]
                for order in document["orders"]])
    click.echo(summary(document))
