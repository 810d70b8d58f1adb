"""`virqsim replay`: a recorded trace's guest, under other interrupt hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .. import show
from ..errors import VirqsimError
from ..options import with_hypothetical
from .compare import Replay


@click.command("replay")
@click.argument("trace")
@click.option("--tech", default="none,apicv,ipiv", show_default=True, metavar="A,B,C",
              help="What-if technologies.")
@click.option("--features", default="", metavar="+A,-B", help="Features on top of each what-if: +pv-eoi,-posted-interrupts.")
@with_hypothetical
@click.option("--profile", show_default="skylake-sp; elbrus-16c on Elbrus", metavar="P",
              help="Whose costs: a profile's name, or a file of yours (*.toml).")
@click.option("--vm", type=int, metavar="N", help="Of a trace with several VMs that of this process, or of this vCPU's thread.")
@click.option("--undisturbed", is_flag=True, help="What-ifs without what the recording's host did to the guest: its own "
              "interrupts, and exits that it drew out.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Keep a run folder for each replay in this folder.")
@click.option("--trace", "keep", is_flag=True, help="With --out: keep the full trace of each replay.")
@click.option("--survey", "only_survey", is_flag=True,
              help="Replay nothing: count what the trace holds, in one pass, however large it is.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the answer as one page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def replay_command(trace: str, tech: str, features: str, hypothetical: tuple[str, ...], profile: str | None,
                   vm: int | None, undisturbed: bool, out: Path | None, keep: bool, only_survey: bool, html: Path | None, as_json: bool) -> None:
    """Replay the guest of a recorded KVM trace under other interrupt hardware.

    TRACE is the text of tracefs, `trace-cmd report` or `perf script`, or a
    trace.dat; packed with gzip or zstd or not. The first replay is under the
    hardware it was recorded on: how far its exits are from the recorded ones
    is how far the others can be trusted.

    \b
      virqsim replay traces/on2_ppong.txt.gz
      virqsim replay mine.txt --tech apicv --features=-posted-interrupts --json
      virqsim replay huge.txt.zst --survey
      virqsim replay host.txt --vm 4100
      virqsim replay mine.txt --tech none,apicv --html mine.html
      virqsim replay mine.txt --tech none --undisturbed
      virqsim replay mine.txt --tech none,ipiv --out out/mine --trace
      virqsim replay mine.txt --tech ipiv,mine --hypothetical mine.py
    """
    if only_survey:
        _refuse_with_survey(vm=vm is not None, undisturbed=undisturbed, html=html, out=out, trace=keep)
        return _survey(trace, as_json)
    from .. import profiles, runner
    from ..features import parse
    from ..hypothetical import declared
    from . import answer, reader

    technologies, known = [name for name in tech.split(",") if name], declared(hypothetical)
    for name in technologies:
        runner.check_technology(name, known)
    switched = parse(features, known)
    if keep and not out:
        raise VirqsimError("replay: --trace keeps traces in run folders; say where with --out")
    costs = profiles.load(profile) if profile else None
    replay = Replay(reader.read(trace, vm), costs, keep, known)
    here = answer.ask(replay, None, None, out / "recorded" if out else None)
    guest = Replay(replay.trace, costs, keep, known, undisturbed=True) if undisturbed else replay
    what_ifs = [answer.ask(guest, name, switched, out / name if out else None) for name in technologies]
    document = answer.document(replay, here, what_ifs, undisturbed)
    if html:
        _write_page(document, html)
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        _print(document)
        if html:
            click.echo(f"\npage: {html}")


def _refuse_with_survey(**given: object) -> None:
    """What is about a replay says nothing of a survey."""
    options = ", ".join(f"--{name}" for name, value in given.items() if value)
    if options:
        raise click.UsageError(f"--survey replays nothing, and counts the whole trace: it goes without {options}")


def _survey(trace: str, as_json: bool) -> None:
    from . import survey

    found = survey.survey(trace).document()
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(f"{found['trace']}: {found['lines']} lines, {sum(found['events'].values())} events, "
               f"{found['vcpus']} vCPUs, {found['seconds']:.3f} s; in the guest {found['guest_ns'] / 1e9:.3f} s, "
               f"in the host {found['host_ns'] / 1e9:.3f} s of them all{show.caveat(found)}\n")
    rates = found["exits_per_second"]
    show.table(f"VM exits{show.caveat(found)}", ["reason", "count", "a second"],
               [[reason, n, rates.get(reason, 0.0)] for reason, n in found["exits"].items()])
    show.table("Events", ["event", "count"], [[event, n] for event, n in found["events"].items()])
    for sentence in found["obstacles"]:
        click.echo(f"- not to be replayed: {sentence}")
    for sentence in found["doubts"]:
        click.echo(f"- not in the trace: {sentence}")
    if found["record"]:
        click.echo(f"- a recording that would do better: {found['record']}")


def _write_page(document: dict[str, Any], path: Path) -> None:
    from . import page

    try:
        page.write(document, path)
    except OSError as error:
        raise VirqsimError(f"{path}: {error.strerror}") from None


def _print(document: dict[str, Any]) -> None:
    from . import tables

    recorded = document["recorded"]
    switched = "".join(f", {'+' if on else '-'}{name}" for name, on in recorded["features"].items())
    click.echo(f"{document['trace']}: {document['vcpus']} vCPUs, recorded under {recorded['technology']}{switched}\n"
               f"(guest's APIC: {recorded['guest_apic']}, irqchip: {recorded['irqchip']}; costs: {document['profile']}, "
               f"weakest: {document['profile_kind']})\n")
    for table in tables.tables(document):
        show.table(table.title, table.columns, table.rows)
        for line in table.below:
            click.echo(line)
        if table.below:
            click.echo()
    for note in document["notes"]:
        click.echo(f"- {note}")
