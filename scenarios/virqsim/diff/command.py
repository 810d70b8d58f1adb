"""`virqsim diff`: which interrupts of two runs gained or lost what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .. import results, show
from .. import trace as vqt
from ..errors import VirqsimError
from . import pairs
from .flights import Flight, flights


@click.command("diff")
@click.argument("run_a", metavar="RUN_A", type=click.Path(path_type=Path))
@click.argument("run_b", metavar="RUN_B", type=click.Path(path_type=Path))
@click.option("--worst", default=5, show_default=True, type=click.IntRange(0, 1_000_000), metavar="N",
              help="How many single interrupts to show of those that lost, and of those that gained most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
def diff_command(run_a: Path, run_b: Path, worst: int, as_json: bool) -> None:
    """Lay two runs side by side by what caused each interrupt, and say which gained or lost what.

    \b
      virqsim run ipi_ping_pong --tech none --trace
      virqsim run ipi_ping_pong --tech ipiv --trace
      virqsim diff out/ipi_ping_pong-none out/ipi_ping_pong-ipiv
      virqsim diff RUN_A RUN_B --worst 20 --json | jq '.lost_most[0].stages_ns'

    The n-th interrupt from one raiser to one vCPU with one vector is the same in
    both runs. A row of the first table is all interrupts of one cause: how many
    have a partner, their mean latency in each run, how many became faster and
    slower, the stage that changed most, and the exits of one interrupt. The next
    two name single interrupts by their flows, for `virqsim explain RUN --flow N`.
    """
    a, b = results.load(run_a), results.load(run_b)
    groups = pairs.align(_flights(run_a), _flights(run_b))
    devices = {n: d["name"] for n, d in enumerate(a.plan["machine"]["devices"])}
    document = {"a": _head(run_a, a), "b": _head(run_b, b), **pairs.document(groups, devices, worst)}
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        _print(document, a, b)


def _flights(folder: Path) -> list[Flight]:
    path = folder / "trace.vqt"
    if not path.is_file():
        raise VirqsimError(f"{folder}: has no trace.vqt to compare; run with --trace")
    try:
        return flights(vqt.read(path))
    except ValueError as error:
        raise VirqsimError(str(error)) from None


def _head(folder: Path, run: results.Results) -> dict[str, Any]:
    return {"run": str(folder), **{key: run.document[key] for key in ("technology", "profile", "profile_kind", "plan_hash")}}


def _print(document: dict[str, Any], a: results.Results, b: results.Results) -> None:
    click.echo(f"A  {a.folder}: {a.summary()}\nB  {b.folder}: {b.summary()}\n")
    mark = "".join(f"; {name}{show.caveat(run.document)}" for name, run in (("A", a), ("B", b)) if run.assumed_throughout)
    if not document["causes"]:
        click.echo("no interrupt was raised in either run")
        return
    show.table(f"Interrupts by cause: latency, ns, and the exits of one{mark}",
               ["cause", "pairs", "alone", "A mean", "B mean", "change", "faster", "slower", "most by", "exits A", "exits B"],
               [_row(row) for row in document["causes"]])
    _print_fates(document["causes"])
    for title, key in (("Lost most, ns", "lost_most"), ("Gained most, ns", "gained_most")):
        if document[key]:
            show.table(f"{title}{mark}", ["cause", "the", "flow A", "flow B", "A", "B", "change", "by stage"],
                       [[row["cause"], f"{row['number'] + 1}.", row["flow_a"], row["flow_b"], row["a_ns"], row["b_ns"],
                         f"{row['change_ns']:+.1f}", _stages(row["stages_ns"])] for row in document[key]])


def _row(row: dict[str, Any]) -> list[Any]:
    of_a, of_b = row["pairs"] + row["only_a"], row["pairs"] + row["only_b"]
    alone = " ".join(f"{which}:{row[key]}" for which, key in (("A", "only_a"), ("B", "only_b")) if row[key]) or "-"
    return [row["cause"], row["pairs"], alone, *(_ns(row[key]) for key in ("a_mean_ns", "b_mean_ns")),
            "-" if row["change_mean_ns"] is None else f"{row['change_mean_ns']:+.1f}", row["faster"], row["slower"],
            f"{row['stage']} {row['stages_ns'][row['stage']]:+.1f}" if row["stage"] else "-",
            _each(row["exits_a"], of_a), _each(row["exits_b"], of_b)]


def _ns(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _each(exits: dict[str, int], count: int) -> str:
    return " ".join(f"{reason}:{n / count:.3g}" for reason, n in exits.items()) or "none"


def _stages(stages: dict[str, float]) -> str:
    changed = sorted(((stage, ns) for stage, ns in stages.items() if ns), key=lambda s: -abs(s[1]))
    return ", ".join(f"{stage} {ns:+.1f}" for stage, ns in changed[:3])


def _print_fates(causes: list[dict[str, Any]]) -> None:
    rows = [[row["cause"], fate["a"], fate["b"], fate["count"]] for row in causes for fate in row["fates"]]
    if rows:
        show.table("Ended otherwise", ["cause", "in A", "in B", "how many"], rows)
