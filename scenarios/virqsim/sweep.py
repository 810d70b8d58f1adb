"""`virqsim sweep`: a scenario for every combination of some of its parameters, in one table and one picture.

A scenario says which, and what to draw, beside PARAMETERS:

    SWEEP = Sweep(over={"depth": (1, 2, 4), "arrivals": ("poisson", "bursts")}, x="cpu_percent", y=["latency_us"],
                  points="depth", panels="arrivals")

`x` and `y` are columns of its report(); each row of the table is one combination. Several of them are one
picture, side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import VirqsimError
from .scenario import Scenario, Sweep, settings_of

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas

    from .plan import Plan
    from .profiles import Profile


@click.command("sweep")
@click.argument("scenario")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="A parameter of the scenario; of one that is swept: that value alone.")
@click.option("--tech", metavar="T", help="The technology; by default the scenario's own.")
@click.option("--features", default="", metavar="+A,-B", help="Switch single features on top: +pv-eoi,-posted-interrupts.")
@click.option("--profile", show_default="skylake-sp; elbrus-16c on Elbrus", metavar="P", help="Whose costs.")
@click.option("--seed", default=1, show_default=True, help="Of the random streams; the first, where there are several.")
@click.option("--repeats", type=click.IntRange(1, 1000), metavar="N",
              help="With N seeds each: means, and how low and how high.  [default: the scenario's]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="The picture and its numbers.  [default: out/sweep-SCENARIO]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
def sweep_command(scenario: str, settings: tuple[str, ...], out: Path | None, as_json: bool, **how: Any) -> None:
    """Run a scenario over its own range of parameters: one table, one picture.

    \b
      virqsim sweep halt_polling             latency against burnt CPU time, by policy
      virqsim sweep masked_direct_read       exits, latency and CPU time, by burst length and by rate
      virqsim sweep disk_io_path             exits and time of a request, by depth
      virqsim sweep halt_polling --set arrivals=poisson --tech apicv
    """
    from . import runner, show
    from .profiles import caveat, column
    from .results import known_as
    from .sweepfigure import draw

    loaded = Scenario.load(scenario)
    if not loaded.sweeps:
        raise VirqsimError(f"scenario {scenario}: has no SWEEP; `virqsim run` runs it once")
    with runner.progress_bar(loaded.name) as progress:
        table, costs = run(loaded, settings_of(settings), **how, progress=progress)
    rest_on = "; ".join(f"profile {each.name} ({known_as(each.known)})" for each in costs)
    mark = "".join(caveat(each.name, each.known) for each in costs)
    try:
        paths = draw(table, loaded.sweeps, loaded.parameters, out or Path("out", f"sweep-{loaded.name}"), loaded.name, rest_on,
                     "; ".join(filter(None, (column(each.name, each.known) for each in costs))))
    except OSError as error:
        raise VirqsimError(f"sweep: {error.filename}: {error.strerror}") from None
    table = table.drop(columns="sweep")
    if as_json and mark:
        table = table.assign(costs=rest_on)
    if as_json:
        click.echo(table.to_json(orient="records"))
        return
    show.frame(f"{loaded.question}{mark}", table)
    for path in paths:
        click.echo(path)


@dataclass(frozen=True)
class _Point:
    sweep: int
    values: dict[str, Any]
    seeds: range


def run(scenario: Scenario, settings: dict[str, str], tech: str | None, features: str, profile: str | None, seed: int,
        repeats: int | None, progress: Callable[[float], None] = lambda done: None) -> tuple[pandas.DataFrame, list[Profile]]:
    """Every combination, one after the other: `sweep`, the number of its picture; its values; what the scenario reports.
    And the profiles that this rests on.
    """
    import pandas

    swept = list(dict.fromkeys(name for sweep in scenario.sweeps for name in sweep.over))
    points = [_Point(n, values, range(seed, seed + (repeats or sweep.repeats)))
              for n, sweep in enumerate(scenario.sweeps) for values in _combinations(sweep, settings)]
    tables, profiles = [], {}
    for done, point in enumerate(points):
        progress(done / len(points))
        plan, p, costs = scenario.priced({**settings, **point.values}, tech, profile)
        profiles[costs.name] = costs
        reports = [_report(scenario, plan, p, point.values, tech, features, costs, each) for each in point.seeds]
        row = _mean(reports, scenario.sweeps[point.sweep].y)
        tables.append(row.assign(sweep=point.sweep, **{name: getattr(p, name) for name in swept}))
    table = pandas.concat(tables, ignore_index=True)
    columns = ["sweep", *swept, *(column for column in table.columns if column != "sweep" and column not in swept)]
    return table[columns], list(profiles.values())


def _combinations(sweep: Sweep, settings: dict[str, str]) -> Iterator[dict[str, Any]]:
    over = {name: (settings[name],) if name in settings else tuple(values) for name, values in sweep.over.items()}
    return (dict(zip(over, values, strict=True)) for values in itertools.product(*over.values()))


def _report(scenario: Scenario, plan: Plan, p: SimpleNamespace, chosen: dict[str, Any], tech: str | None, features: str,
            costs: Profile, seed: int) -> pandas.DataFrame:
    from . import runner
    from .features import parse
    from .hypothetical import declared

    known = declared()
    technology = tech or plan.technology
    runner.check_technology(technology, known)
    results = runner.run(plan.resolve(costs, technology, parse(features, known), seed, known))
    if results.document["state"] in ("broken", "idle"):
        raise VirqsimError(f"sweep: {chosen}: the run is {results.document['state']}: {results.document['broken']}")
    report = scenario.report(results, p)
    if report is None:
        raise VirqsimError(f"scenario {scenario.path}: has a SWEEP and no report()")
    return report


def _mean(reports: list[pandas.DataFrame], bars: Sequence[str]) -> pandas.DataFrame:
    """Of the numbers of several seeds; with the lowest and the highest of some."""
    import pandas

    table = reports[0].copy()
    if len(reports) == 1:
        return table
    for column in table.select_dtypes("number"):
        each = pandas.concat([report[column] for report in reports], axis=1)
        table[column] = each.mean(axis=1).round(3)
        if column in bars:
            table[f"{column}_low"], table[f"{column}_high"] = each.min(axis=1), each.max(axis=1)
    return table
