"""`virqsim device`: logs of interrupt controllers, replayed on the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from .. import show
from ..runner import progress_bar
from . import log as logs
from . import operations, write
from .explain import Explainer
from .log import Log
from .replay import Answer, Board, Difference, Step, compare


@dataclass
class Outcome:
    """One log, replayed."""

    log: Log
    differences: list[Difference] = field(default_factory=list)
    explained: list[dict[str, Any]] = field(default_factory=list)

    def document(self, with_words: bool) -> dict[str, Any]:
        """What --json prints of it."""
        said: dict[str, Any] = {
            "log": self.log.path, "case": self.log.header.get("case"), "tier": self.log.header.get("tier"),
            "operations": len(self.log.steps), "compared": self.log.recorded,
            "differences": [{"line": d.line, "operation": d.operation, "recorded": d.recorded, "ours": d.ours}
                            for d in self.differences],
        }
        return said | ({"explained": self.explained} if with_words else {})


class _Command(click.Command):
    """Its help ends with the operations, from their table."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(form.usage, form.meaning) for form in operations.FORMS.values() if form.meaning]
        with formatter.section("Operations, one a line; numbers are decimal or with 0x"):
            formatter.write_dl(rows, col_max=36)


@click.command("device", cls=_Command)
@click.argument("device", type=click.Choice(["i8259", "ioapic", "lapic"]))
@click.argument("paths", metavar="LOG…", nargs=-1, required=True)
@click.option("--write", "written", is_flag=True, help="Print the log with our own answers instead of comparing.")
@click.option("--explain", is_flag=True, help="Say in words what each operation did.")
@click.option("--quirks", type=click.Choice(["qemu", "kvm"]),
              help="Follow this system where it departs from the manuals.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
@click.pass_context
def device_command(ctx: click.Context, device: str, paths: tuple[str, ...], written: bool, explain: bool,
                   quirks: str | None, as_json: bool) -> None:
    """Replay logs of operations on an interrupt controller, and say where our models
    answer differently. Exit status 0: nowhere, 1: somewhere, 2: a log is wrong.

    \b
      virqsim device i8259 tests/data/device_logs/qemu-pic-core-nested-p.log
      virqsim device lapic --quirks kvm tests/data/device_logs/kvm-xapic-*.log
      virqsim device ioapic --explain mine.log | less

    A log may be typed by hand. No header is needed, no results either; --write
    fills them in, and LOG may be `-`, standard input:

    \b
      printf '%s\\n' 'outb 0x20 0x11' 'outb 0x21 0x20' 'outb 0x21 4' 'outb 0x21 1' \\
                    'line 3 1' take 'inb 0x20' | virqsim device i8259 --write --explain -
    """
    follows = quirks or "manuals"
    if written and as_json:
        raise click.UsageError("--write prints a log, --json a document; take one of them")
    if written and len(paths) > 1:
        raise click.UsageError("--write takes one LOG")
    read = [logs.read(path, device) for path in paths]
    if written:
        click.echo("\n".join(list(_written(read[0], follows, explain))))
        return
    outcomes = _replay(read, follows, explain and not as_json, explain and as_json)
    if as_json:
        click.echo(json.dumps({"device": device, "quirks": quirks,
                               "logs": [outcome.document(explain) for outcome in outcomes]}, indent=1))
    else:
        if not explain:
            _list_differences(outcomes)
        _summary(outcomes)
    ctx.exit(1 if any(outcome.differences for outcome in outcomes) else 0)


# ---- comparing


def _replay(read: list[Log], follows: str, aloud: bool, in_words: bool) -> list[Outcome]:
    """Every log; `aloud` prints each operation as it comes, `in_words` keeps what it did."""
    outcomes, done = [], 0
    total = sum(len(log.steps) for log in read)
    with progress_bar("replay") as progress:
        for log in read:
            outcomes.append(outcome := Outcome(log))
            for step, answer, words in _steps(log, follows, aloud or in_words):
                found = compare(log, step, answer)
                outcome.differences += found
                if in_words:
                    outcome.explained.append({"line": step.line, "operation": step.operation.text, "words": words})
                if aloud:
                    _say(step, answer, words, found)
            done += len(log.steps)
            progress(done / total)
    return outcomes


def _steps(log: Log, follows: str, in_words: bool) -> Iterator[tuple[Step, Answer, str]]:
    """Each operation, our answer, and what it did in words if that is asked for."""
    with Board(log, follows) as board:
        explainer = Explainer(board) if in_words else None
        for step in log.steps:
            answer = board.answer(step)
            yield step, answer, explainer.explain(step.operation, answer) if explainer else ""


def _say(step: Step, answer: Answer, words: str, differences: list[Difference]) -> None:
    """One operation of --explain, and what differs."""
    result = f" -> {answer.shown}" if answer.result is not None else ""
    click.echo(f"{step.line:>5}  {step.operation.text + result:<36}  {words}".rstrip())
    for difference in differences:
        click.echo(f"       differs: {_both(difference)}")


def _both(difference: Difference) -> str:
    return f"recorded {difference.recorded}; ours {difference.ours}"


def _list_differences(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        for difference in outcome.differences:
            click.echo(f"{outcome.log.path}:{difference.line}: {difference.operation}: {_both(difference)}")


def _summary(outcomes: list[Outcome]) -> None:
    """How many of how many: a sentence for one log, a table for several."""
    if len(outcomes) == 1:
        log, count = outcomes[0].log, len(outcomes[0].differences)
        if not log.recorded:
            click.echo(f"{log.path}: {len(log.steps)} operations, and nothing to compare with: --write fills it in")
            return
        differences = "1 difference" if count == 1 else f"{count} differences" if count else "no difference"
        click.echo(f"{log.path}: {len(log.steps)} operations, {log.recorded} results compared: {differences}")
        return
    rows = [[o.log.header.get("case") or o.log.path, len(o.log.steps), o.log.recorded, len(o.differences)]
            for o in outcomes]
    rows.append([f"all {len(rows)}", *(sum(row[n] for row in rows) for n in (1, 2, 3))])
    show.table("logs, replayed", ["log", "operations", "results", "differences"], rows)


# ---- writing


def _written(log: Log, follows: str, explain: bool) -> Iterator[str]:
    """The log with our own answers, line by line."""
    yield from write.header(log, follows)
    for step, answer, words in _steps(log, follows, explain):
        if words:
            yield f"# {words}"
        yield from write.step(step, answer)
    yield "end"
