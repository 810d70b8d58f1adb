"""Exits of one operation after the other, technologies side by side.

Each cell is a probe: what leaves the guest at the sender, on the way to the
handler, and for the acknowledgement.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from . import library, probe, profiles, runner, show
from .errors import NotModelled, VirqsimError

TECHNOLOGIES = "none,apicv,ipiv,svm,x2avic,epic-sw,epic-hw"
_FROM_SOURCES = "kernel sources"
ROWS = (
    ("ipi.unicast", "running"), ("ipi.unicast", "preempted"), ("ipi.unicast", "halted"), ("ipi.unicast", "if-off"),
    ("ipi.self", "running"), ("ipi.all_but_self", "running"), ("timer.oneshot", "running"), ("timer.oneshot", "halted"),
    ("msi.irqfd", "running"), ("msi.irqfd", "halted"), ("tpr.write_register", "running"), ("cpu.hlt", "running"),
    ("pio.user_device", "running"), ("mmio.user_device", "running"),
)
"""What is probed, and what its target does."""


def side_by_side(technologies: list[str]) -> dict[str, Any]:
    """The document that `virqsim exits --json` prints.

    A row has a cell for each technology: `{"sender": {reason: count}, "target": ..., "eoi": ...}`,
    or null where no model covers the operation.

    Raises:
        VirqsimError: there is no such technology.
    """
    for technology in technologies:
        runner.check_technology(technology, place="exits: --tech")
    costs = {technology: profiles.load(profiles.default(technology)) for technology in technologies}
    assumed = [technology for technology in technologies if costs[technology].known == profiles.ASSUMED_THROUGHOUT]
    rows = [{"operation": operation, "target": target,
             "exits": {technology: _cell(operation, target, technology) for technology in technologies}}
            for operation, target in ROWS]
    return {"technologies": [{"name": technology, "vendor": library.vendor(technology),
                              "profile": costs[technology].name, "profile_kind": costs[technology].known,
                              "known_from": _FROM_SOURCES if technology in assumed else "manuals"}
                             for technology in technologies], "rows": rows}


def _cell(operation: str, target: str, technology: str) -> dict[str, dict[str, float]] | None:
    try:
        counts = probe.probe(probe.Probe(operation, technology, target=target, repetitions=4))["per_operation"]
    except NotModelled:
        return None
    return {who: counts[who] for who in ("sender", "target", "eoi")}


def _words(cell: dict[str, dict[str, float]] | None) -> str:
    """`2 + 1 + 1`: how many at the sender, on delivery, for the acknowledgement; 0 where nobody leaves."""
    if cell is None:
        return "?"
    counts = [sum(cell[who].values()) for who in ("sender", "target", "eoi")]
    return " + ".join(map(str, counts)) if any(counts) else "0"


@click.command("exits")
@click.option("--tech", default=TECHNOLOGIES, show_default=True, metavar="A,B,C", help="The technologies to set side by side.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Draw it too, with its numbers as CSV.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
def exits_command(tech: str, out: Path | None, as_json: bool) -> None:
    """Set architectures side by side, operation by operation: who leaves the guest, and how often.

    \b
      virqsim exits
      virqsim exits --tech none,epic-sw --json
      virqsim exits --out out/figures

    A cell is exits at the sender + on the way to the handler + for the
    acknowledgement, of a guest with the machine's modern controller (x2APIC,
    EPIC); 0: nobody leaves. Elbrus' cells follow from its kernel's sources, the
    others from manuals.
    """
    document = side_by_side(tech.split(","))
    paths = _drawn(document, out) if out else []
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    names = [row["name"] for row in document["technologies"]]
    show.table(f"Exits: at the sender + on delivery + for the EOI{_mark(document)}", ["operation", "target", *names],
               [[row["operation"], row["target"], *(_words(row["exits"][name]) for name in names)]
                for row in document["rows"]])
    for path in paths:
        click.echo(path)


def _mark(document: dict[str, Any]) -> str:
    """What stands beside the table and the picture, where a technology is in no manual."""
    inferred = [row["name"] for row in document["technologies"] if row["known_from"] != "manuals"]
    return f"; {', '.join(inferred)}: {_FROM_SOURCES}, costs {profiles.ASSUMED_THROUGHOUT}" if inferred else ""


def _drawn(document: dict[str, Any], out: Path) -> list[Path]:
    from . import exitsfigure

    try:
        return exitsfigure.plot(document, _mark(document), out)
    except OSError as error:
        raise VirqsimError(f"{error.filename or out}: {error.strerror}") from None
