"""`virqsim race`: the shortest order of events in which an interrupt is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from .. import features, runner, show
from ..again import simulate
from ..errors import unknown
from ..hypothetical import declared
from ..library import names
from ..options import with_hypothetical
from ..results import Results
from ..scenario import Scenario, settings_of
from ..trace import NOWHERE, Trace
from .search import MOST_HELD, Outcome, Space, search

_WATCHED_NS = 50_000
"""The watchdog's limits where the plan has none: a small machine delivers within a few microseconds."""
_LONGEST = 40  # lines of the sequence


@click.command("race")
@click.argument("scenario")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the scenario.")
@click.option("--tech", metavar="T", help="The technology; by default the scenario's own.")
@click.option("--features", "switched", default="", metavar="+A,-B", help="Switch single features on top.")
@with_hypothetical
@click.option("--profile", metavar="P", help="Whose costs.  [default: those of the technology's machine]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default="1", metavar="N", help="Of the random streams.")
@click.option("--without", multiple=True, metavar="RECHECK",
              help="A second look that this KVM does not take: virqsim list rechecks.")
@click.option("--window-ns", default=1_000, show_default=True, type=click.IntRange(0, 10**9), metavar="N",
              help="How much later than it is due an event may happen; 0: only what is due at once changes places.")
@click.option("--hold", "held", default=MOST_HELD, show_default=True, type=click.IntRange(1, MOST_HELD), metavar="N",
              help="The most events that are late in one run.")
@click.option("--runs", default=20_000, show_default=True, type=click.IntRange(1), metavar="N", help="The most runs.")
@click.option("--until-us", default=1_000, show_default=True, type=click.IntRange(1), metavar="N",
              help="Where a run without an end is given up.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="The run folder of what was found.  [default: out/SCENARIO-race]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
@click.pass_context
def race_command(ctx: click.Context, scenario: str, settings: tuple[str, ...], tech: str | None, switched: str,
                 hypothetical: tuple[str, ...], profile: str | None, seed: int, without: tuple[str, ...], window_ns: int,
                 held: int, runs: int, until_us: int, out: Path | None, as_json: bool) -> None:
    """Run a scenario in every order that its events could have, and say whether an interrupt can be
    lost: the exit status is 1 when one can, and the shortest such sequence is shown.

    \b
      virqsim race last_look
      virqsim race last_look --without kvm_vcpu_exit_request
      virqsim race last_look --set target=halting --tech ipiv --hold 3 --json

    No duration is known to the nanosecond: an event may happen up to a window later than it is due,
    and others overtake it. Runs in which one event is late come before those in which two are. What is
    found is kept as a run folder whose plan holds that order, for `virqsim explain`.
    """
    loaded, known = Scenario.load(scenario), declared(hypothetical)
    plan, _, costs = loaded.priced(settings_of(settings), tech, profile)
    technology = tech or plan.technology
    runner.check_technology(technology, known)
    document = plan.resolve(costs, technology, features.parse(switched, known), seed, known)
    document["hypervisor"]["without_rechecks"] += _rechecks(without)
    document.setdefault("watchdog", {f"{what}_ns": _WATCHED_NS for what in ("pending", "notification", "wakeup")})
    space = Space(document, window_ns, held, runs, until_us * 10**6)
    with runner.progress_bar(f"{loaded.name}: race") as progress:
        outcome = search(space, progress)
    said = _said(loaded, technology, space, outcome) | {"profile": costs.name, "profile_kind": costs.known}
    if outcome.schedule is not None:
        said["found"] = _keep(space, outcome, out or Path("out", f"{loaded.name}-race"))
    click.echo(json.dumps(said, indent=1)) if as_json else _show(said)
    ctx.exit(0 if outcome.schedule is None else 1)


def _rechecks(without: tuple[str, ...]) -> list[str]:
    for name in without:
        if name not in names("rechecks"):
            raise unknown("--without", name, names("rechecks"))
    return list(without)


def _said(scenario: Scenario, technology: str, space: Space, outcome: Outcome) -> dict[str, Any]:
    return {
        "scenario": scenario.name, "technology": technology, "window_ns": space.window_ns, "hold": space.held,
        "without_rechecks": space.plan["hypervisor"]["without_rechecks"], "runs": outcome.runs,
        "different": outcome.different, "places": outcome.places, "late": outcome.late,
        "complete": outcome.complete, "given_up": outcome.given_up, "found": None,
    }


def _keep(space: Space, outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Runs what was found once more, as a plan of its own; what there is to tell of it."""
    hold = [{"place": place, "past": past} for place, past in outcome.schedule or ()]
    plan = {**space.plan, "run": {**space.plan["run"], "schedule": {"window_ns": space.window_ns, "hold": hold}}}
    if outcome.endless:
        plan["run"]["until_ns"] = space.until_ps // 1000
    with runner.progress_bar(plan["name"]) as progress:
        trace, document = simulate(plan, progress)
    results = Results(document, plan, folder)
    results.save(folder)
    late = document["schedule"]["hold"]
    since = [each["due_ps"] for each in late] + [each["since_ps"] for each in document["findings"]]
    sequence = list(_sequence(trace, min(since, default=0)))
    return {"late": late, "broken": document["broken"], "findings": document["findings"],
            "sequence": sequence[:_LONGEST], "more": max(0, len(sequence) - _LONGEST), "run_folder": str(folder)}


def _sequence(trace: Trace, since_ps: int) -> Iterator[dict[str, Any]]:
    """What the trace has from then on."""
    for record in trace.records[trace.records["ps"] >= since_ps]:
        where = int(record["where"])
        yield {"ps": int(record["ps"]), "vcpu": None if where == NOWHERE else where, "flow": int(record["flow"]),
               "event": trace.events[record["event"]], "what": trace.words(record["event"], record["a"], record["b"])}


def _show(said: Mapping[str, Any]) -> None:
    found = said["found"]
    without = ", without " + ", ".join(said["without_rechecks"]) if said["without_rechecks"] else ""
    click.echo(f"{said['scenario']}: {said['technology']}{without}; each event up to {said['window_ns']} ns late"
               f"{show.caveat(said)}")
    click.echo(f"{said['runs']} runs, {said['different']} of them different for a vCPU; "
               f"the run as it stands has {said['places']} places")
    if found is None:
        click.echo(_extent(said))
        return
    click.echo()
    for each in found["late"]:
        click.echo(f"late: {each['event']}, due at {each['due_ps'] / 1000:.3f} ns; overtaken by")
        for other in each["overtaken_by"]:
            click.echo(f"  {other}")
    if not found["late"]:
        click.echo("nothing has to be late: the run as it stands is wrong")
    show.table("\nwhat is wrong", ["finding"], [[found["broken"]]] if found["broken"] else
               [[each["line"]] for each in found["findings"]])
    show.table("how it came to that", ["ns", "vcpu", "flow", "event", ""],
               [[f"{step['ps'] / 1000:.3f}", "" if step["vcpu"] is None else step["vcpu"], step["flow"] or "",
                 step["event"], step["what"]] for step in found["sequence"]])
    if found["more"]:
        click.echo(f"and {found['more']} more lines")
    click.echo(f"run folder: {found['run_folder']}")


def _extent(said: Mapping[str, Any]) -> str:
    """How far the search came."""
    if said["complete"]:
        return "nothing is lost in any order: all of them were run"
    if said["late"] == said["hold"]:
        return f"nothing is lost in any order with at most {said['late']} events late; there are more with more"
    late = f"in any order with at most {said['late']} events late" if said["late"] else "so far"
    return f"nothing is lost {late}; there are more orders than --runs {said['runs']}"
