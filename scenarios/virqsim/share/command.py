"""`virqsim anonymize`: a recorded trace that can be given away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from .. import profiles
from ..errors import VirqsimError
from ..replay import reader
from ..replay.compare import by_reason
from ..replay.reader import Trace
from . import properties
from .properties import Look
from .shrink import pieces, shrink
from .skeleton import Skeleton


@click.command("anonymize")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to.  [default: NAME-anonymous.txt, here]")
@click.option("--vm", type=int, metavar="N", help="Of a trace with several VMs that of this process, or of this vCPU's thread.")
@click.option("--shrink", "wanted", metavar="PROPERTY",
              help="Keep only what is needed to show it: "
                   + "; ".join(f"{properties.usage(name)}, {kind.meaning}" for name, kind in properties.KINDS.items()) + ".")
@click.option("--tests", default=2000, show_default=True, type=click.IntRange(1), metavar="N",
              help="With --shrink: how many parts of the trace to try at most.")
def anonymize_command(trace: Path, out: Path | None, vm: int | None, wanted: str | None, tests: int) -> None:
    """Strip a recorded trace of names, addresses and times, so that it can go with a bug report.

    \b
      virqsim anonymize mine.txt
      virqsim anonymize traces/on2_ppong.txt.gz --out bug.txt
      virqsim anonymize mine.dat --shrink infidelity           the replay is off by an exit
      virqsim anonymize mine.txt --shrink 'exits:HLT>=3'
      virqsim anonymize mine.txt --shrink lost:0xec            accepted and never injected

    What is left is text of tracefs with the order of events, exit reasons, vectors and registers of the
    APIC: what the guest's demand is derived from. A replay of it charges what a replay of the
    original does, but for races that the times decided.
    """
    shows = properties.parse(wanted) if wanted else None
    path = out or Path(f"{trace.name.partition('.')[0]}-anonymous.txt")
    if path.exists() and trace.exists() and path.samefile(trace):
        raise VirqsimError(f"{path}: is the trace itself; say another file with --out")
    read = reader.read(trace, vm)
    temporary = path.with_name(path.name + ".part")
    try:
        whole = _write(temporary, Skeleton(read).lines(read.events))
        said = f"{len(whole.events)} of {len(read.events)} events"
        if shows:
            said = f"{_shrink(whole, temporary, shows, str(wanted), tests)} of {len(read.events)} events"
        temporary.replace(path)
    except OSError as error:
        raise VirqsimError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    click.echo(f"{path}: {said}")


def _write(path: Path, lines: Sequence[str]) -> Trace:
    """Writes a trace, and reads it again: what is tested is what is written."""
    path.write_text("\n".join(lines) + "\n")
    return reader.read(path)


def _exits(trace: Trace) -> str:
    return ", ".join(f"{reason} {n}" for reason, n in by_reason(trace.exits()).items()) or "none"


def _shrink(whole: Trace, path: Path, shows: Callable[[Look], bool], wanted: str, tests: int) -> str:
    profile = profiles.load("skylake-sp")
    skeleton = Skeleton(whole)

    def still(part: Sequence[list[int]]) -> bool:
        left = sorted(index for piece in part for index in piece)
        try:
            return shows(Look(_write(path, skeleton.lines([whole.events[index] for index in left])), profile, left))
        except VirqsimError:
            return False

    all_pieces = pieces(whole.events)
    if not still(all_pieces):
        raise VirqsimError(f"--shrink: the trace without names and times does not show {wanted!r} (its exits: {_exits(whole)})")
    kept, smallest = shrink(all_pieces, still, tests)
    still(kept)  # writes it
    end = "" if smallest else f"; stopped after {tests} tests, --tests allows more"
    return f"{sum(map(len, kept))}{end}"
