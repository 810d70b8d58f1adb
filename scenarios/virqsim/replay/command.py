"""`virqsim replay`: a recorded trace's guest, under other interrupt hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .. import show
from ..errors import VirqsimError
from ..options import with_hypothetical
from .compare import Outcome, Replay, by_reason

# KVM's names of the same exit on the two vendors, AMD's first.
_TWINS = {
    "interrupt": "EXTERNAL_INTERRUPT", "vintr": "INTERRUPT_WINDOW", "hlt": "HLT", "io": "IO_INSTRUCTION",
    "cpuid": "CPUID", "pause": "PAUSE_INSTRUCTION", "wbinvd": "WBINVD", "hypercall": "VMCALL",
}


@click.command("replay")
@click.argument("trace")
@click.option("--tech", default="none,apicv,ipiv", show_default=True, metavar="A,B,C",
              help="What-if technologies.")
@click.option("--features", default="", metavar="+A,-B", help="Features on top of each what-if: +pv-eoi,-posted-interrupts.")
@with_hypothetical
@click.option("--profile", default="skylake-sp", show_default=True, metavar="P",
              help="Whose costs: a profile's name, or a file of yours (*.toml).")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Keep a run folder for each replay in this folder.")
@click.option("--trace", "keep", is_flag=True, help="With --out: keep the full trace of each replay.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def replay_command(trace: str, tech: str, features: str, hypothetical: tuple[str, ...], profile: str,
                   out: Path | None, keep: bool, as_json: bool) -> None:
    """Replay the guest of a recorded KVM trace under other interrupt hardware.

    TRACE is the text of tracefs, `trace-cmd report` or `perf script`, gzip'ed
    or not. The first replay is under the hardware it was recorded on: how far
    its exits are from the recorded ones is how far the others can be trusted.

    \b
      virqsim replay traces/on2_ppong.txt.gz
      virqsim replay mine.txt --tech apicv --features=-posted-interrupts --json
      virqsim replay mine.txt --tech none,ipiv --out out/mine --trace
      virqsim replay mine.txt --tech ipiv,mine --hypothetical mine.py
    """
    from .. import profiles, runner
    from ..features import parse
    from ..hypothetical import declared
    from . import reader

    technologies, known = [name for name in tech.split(",") if name], declared(hypothetical)
    for name in technologies:
        runner.check_technology(name, known)
    switched = parse(features, known)
    if keep and not out:
        raise VirqsimError("replay: --trace keeps traces in run folders; say where with --out")
    replay = Replay(reader.read(trace), profiles.load(profile), keep, known)
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
    recorded = replay.demand.recorded
    switched = "".join(f", {'+' if on else '-'}{name}" for name, on in recorded.features.items())
    click.echo(f"{replay.trace.path}: {len(replay.demand.steps)} vCPUs, recorded under {recorded.technology}{switched}\n"
               f"(guest's APIC: {recorded.guest_apic}, irqchip: {recorded.irqchip}; costs: {replay.profile.name}, "
               f"weakest: {replay.profile.kind})\n")
    _exits_table(replay, here, what_ifs)
    if here.latency_ns():
        _latency_table([here, *what_ifs])
    for note in notes(replay, here, what_ifs):
        click.echo(f"- {note}")


def _exits_table(replay: Replay, here: Outcome, what_ifs: list[Outcome]) -> None:
    recorded, replayed = by_reason(replay.recorded_exits), here.by_reason
    others = [outcome.by_reason for outcome in what_ifs]
    rows: list[list[Any]] = []
    for names in _rows(recorded, replayed, others):
        was, now, *what_if = (sum(exits.get(name, 0) for name in names) for exits in (recorded, replayed, *others))
        rows.append([" / ".join(names), was, now, _error(was, now), *what_if])
    was, now, *what_if = (sum(exits.values()) for exits in (recorded, replayed, *others))
    rows.append(["all", was, now, _error(was, now), *what_if])
    show.table("VM exits by reason: recorded, replayed under the same hardware, and what if",
               ["exits", "recorded", "replayed", "error", *(w.technology for w in what_ifs)], rows)
    for outcome, exits in zip(what_ifs, what_if, strict=True):
        fewer = "saves" if exits <= now else "adds"
        click.echo(f"{outcome.technology} {fewer} {abs(now - exits)} exits ({_percent(abs(now - exits), now)})")
    click.echo()


def _error(recorded: int, replayed: int) -> str:
    return f"{replayed - recorded:+d} ({_percent(replayed - recorded, recorded)})" if replayed != recorded else "0"


def _rows(recorded: dict[str, int], replayed: dict[str, int], others: list[dict[str, int]]) -> list[tuple[str, ...]]:
    """Every reason that happened; the two vendors' names of one stand in one row."""
    names = sorted(set().union(recorded, replayed, *others))
    second = {twin for name, twin in _TWINS.items() if name in names and twin in names}
    return [(name, _TWINS[name]) if _TWINS.get(name) in second else (name,) for name in names if name not in second]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _latency_table(outcomes: list[Outcome]) -> None:
    """Stages that take no time under any of them are left out."""
    latencies = {outcome.technology: outcome.latency_ns() for outcome in outcomes if outcome.latency_ns()}
    all_stages = dict.fromkeys(stage for latency in latencies.values() for stage in latency["stages"])
    stages = [s for s in all_stages if any(latency["stages"].get(s) for latency in latencies.values())]
    rows = [[technology, latency["count"], *(round(latency[key]) for key in ("p50", "p99", "max", "mean")),
             *(round(latency["stages"].get(stage, 0)) for stage in stages)]
            for technology, latency in latencies.items()]
    show.table("IPI latency, ns, ICR write to handler; then the mean by the step it led to",
               ["under", "IPIs", "p50", "p99", "max", "mean", *stages], rows)
