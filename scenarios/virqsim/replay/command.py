"""`virqsim replay`: a recorded trace's guest, under other interrupt hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .compare import Outcome, Replay, by_reason

# KVM's names of the same exit on the two vendors, AMD's first.
_TWINS = {
    "interrupt": "EXTERNAL_INTERRUPT", "vintr": "INTERRUPT_WINDOW", "hlt": "HLT", "io": "IO_INSTRUCTION",
    "cpuid": "CPUID", "pause": "PAUSE_INSTRUCTION", "wbinvd": "WBINVD", "hypercall": "VMCALL",
}


@click.command("replay")
@click.argument("trace")
@click.option("--tech", default="none,apicv,ipiv", show_default=True, help="What-if technologies, by commas.")
@click.option("--features", default="", help="Features on top of each what-if: +pv-eoi,-posted-interrupts.")
@click.option("--profile", default="skylake-sp", show_default=True, help="Cost profile, a name or a file.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep a run folder for each replay in this folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def replay_command(trace: str, tech: str, features: str, profile: str, out: Path | None, as_json: bool) -> None:
    """Replays the guest of a recorded KVM trace under other interrupt hardware.

    TRACE is the text of tracefs, `trace-cmd report` or `perf script`, gzip'ed
    or not. The first replay is under the hardware it was recorded on: how far
    its exits are from the recorded ones is how far the others can be trusted.
    """
    from .. import profiles, runner
    from ..features import parse
    from . import reader

    technologies = [name for name in tech.split(",") if name]
    for name in technologies:
        runner.check_technology(name)
    switched = parse(features)
    replay = Replay(reader.read(trace), profiles.load(profile))
    here = replay.under(folder=out / "recorded" if out else None)
    what_ifs = [replay.under(name, switched, out / name if out else None) for name in technologies]
    if as_json:
        click.echo(json.dumps(document(replay, here, what_ifs), indent=1))
    else:
        _print(replay, here, what_ifs)


def document(replay: Replay, here: Outcome, what_ifs: list[Outcome]) -> dict[str, Any]:
    """What --json prints."""
    recorded = replay.demand.recorded
    return {
        "recorded": {"technology": recorded.technology, "guest_apic": recorded.guest_apic,
                     "irqchip": recorded.irqchip, "features": recorded.features,
                     "exits": by_reason(replay.recorded_exits)},
        "replayed": {"technology": here.technology, "exits": here.by_reason, "latency_ns": here.latency_ns()},
        "what_if": {each.technology: {"exits": each.by_reason, "latency_ns": each.latency_ns()} for each in what_ifs},
        "notes": notes(replay, here, what_ifs),
    }


def notes(replay: Replay, here: Outcome, what_ifs: list[Outcome]) -> list[str]:
    """How far the numbers can be trusted, a sentence each."""
    recorded, replayed = by_reason(replay.recorded_exits), here.by_reason
    off = sum(abs(recorded.get(r, 0) - replayed.get(r, 0)) for r in recorded.keys() | replayed.keys())
    total = sum(recorded.values())
    said = [f"under the recorded technology the replay is off by {off} of {total} exits ({100 * off / total:.1f} %)"]
    for outcome in (here, *what_ifs):
        said += outcome.notes
    return said + replay.demand.notes


def _print(replay: Replay, here: Outcome, what_ifs: list[Outcome]) -> None:
    from rich.console import Console

    console = Console()
    recorded = replay.demand.recorded
    switched = "".join(f", {'+' if on else '-'}{name}" for name, on in recorded.features.items())
    console.print(f"{replay.trace.path}: recorded under {recorded.technology}{switched}, guest's APIC: "
                  f"{recorded.guest_apic}, irqchip: {recorded.irqchip}, {len(replay.demand.steps)} vCPUs")
    console.print(_exits_table(replay, here, what_ifs))
    if here.latency_ns():
        console.print(_latency_table([here, *what_ifs]))
    for note in notes(replay, here, what_ifs):
        console.print(f"- {note}")


def _exits_table(replay: Replay, here: Outcome, what_ifs: list[Outcome]) -> Any:
    from rich.table import Table

    table = Table("exits", title="VM exits by reason")
    for heading in ("recorded", f"replayed ({here.technology})", "error", "%", *(w.technology for w in what_ifs)):
        table.add_column(heading, justify="right")
    recorded, replayed = by_reason(replay.recorded_exits), here.by_reason
    others = [outcome.by_reason for outcome in what_ifs]
    for names in _rows(recorded, replayed, others):
        was, now, *what_if = (sum(exits.get(name, 0) for name in names) for exits in (recorded, replayed, *others))
        table.add_row(" / ".join(names), *_cells(was, now), *map(str, what_if))
    totals = [sum(exits.values()) for exits in (recorded, replayed, *others)]
    table.add_section()
    table.add_row("all", *_cells(totals[0], totals[1]), *map(str, totals[2:]))
    table.add_row("saved", "", "", "", "", *(f"{totals[1] - n} ({_percent(totals[1] - n, totals[1])})" for n in totals[2:]))
    return table


def _rows(recorded: dict[str, int], replayed: dict[str, int], others: list[dict[str, int]]) -> list[tuple[str, ...]]:
    """Every reason that happened; the two vendors' names of one stand in one row."""
    names = sorted(set().union(recorded, replayed, *others))
    second = {twin for name, twin in _TWINS.items() if name in names and twin in names}
    return [(name, _TWINS[name]) if _TWINS.get(name) in second else (name,) for name in names if name not in second]


def _cells(recorded: int, replayed: int) -> list[str]:
    return [str(recorded), str(replayed), f"{replayed - recorded:+d}" if replayed != recorded else "0",
            _percent(replayed - recorded, recorded)]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _latency_table(outcomes: list[Outcome]) -> Any:
    from rich.table import Table

    stages = list(dict.fromkeys(stage for o in outcomes for stage in o.latency_ns().get("stages", {})))
    table = Table("technology", title="IPI latency, ns: from the ICR write to the handler, and the mean of each stage")
    for heading in ("IPIs", "p50", "p99", "max", "mean", *stages):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        latency = outcome.latency_ns()
        if latency:
            table.add_row(outcome.technology, str(latency["count"]),
                          *(f"{latency[key]:.0f}" for key in ("p50", "p99", "max", "mean")),
                          *(f"{latency['stages'].get(stage, 0):.0f}" for stage in stages))
    return table
