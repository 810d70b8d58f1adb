"""`virqsim sweep`: a scenario for every combination of some of its parameters, in one table and one picture.

A scenario says which, and what to draw, beside PARAMETERS:

    SWEEP = Sweep(over={"depth": (1, 2, 4)}, x="cpu_percent", y="latency_us",
                  panels="arrivals", points="depth")

`x` and `y` are columns of its report(); each row of the table is one combination.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import VirqsimError
from .scenario import Scenario, settings_of

if TYPE_CHECKING:
    import pandas


@click.command("sweep")
@click.argument("scenario")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="A parameter of the scenario; of one that is swept: that value alone.")
@click.option("--tech", metavar="T", help="The technology; by default the scenario's own.")
@click.option("--features", default="", metavar="+A,-B", help="Switch single features on top: +pv-eoi,-posted-interrupts.")
@click.option("--profile", show_default="skylake-sp; elbrus-16c on Elbrus", metavar="P", help="Whose costs.")
@click.option("--seed", default=1, show_default=True, help="Of the random streams.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="The picture and its numbers.  [default: out/sweep-SCENARIO]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
def sweep_command(scenario: str, settings: tuple[str, ...], out: Path | None, as_json: bool, **how: Any) -> None:
    """Run a scenario over its own range of parameters: one table, one picture.

    \b
      virqsim sweep halt_polling
      virqsim sweep halt_polling --set arrivals=poisson --tech apicv
    """
    from . import runner, show
    from .figures import scatter

    loaded = Scenario.load(scenario)
    if loaded.sweep is None:
        raise VirqsimError(f"scenario {scenario}: has no SWEEP; `virqsim run` runs it once")
    with runner.progress_bar(loaded.name) as progress:
        table = run(loaded, settings_of(settings), **how, progress=progress)
    paths = scatter(table, loaded.sweep, out or Path("out", f"sweep-{loaded.name}"), loaded.name)
    if as_json:
        click.echo(table.to_json(orient="records"))
        return
    show.frame(loaded.question, table)
    for path in paths:
        click.echo(path)


def run(scenario: Scenario, settings: dict[str, str], tech: str | None, features: str, profile: str | None,
        seed: int, progress: Callable[[float], None] = lambda done: None) -> pandas.DataFrame:
    """Every combination, one after the other; its values, and what the scenario reports of it."""
    import pandas

    from . import runner
    from .features import parse
    from .hypothetical import declared

    assert scenario.sweep is not None
    known = declared()
    over = {name: (settings[name],) if name in settings else values for name, values in scenario.sweep.over.items()}
    combinations = list(itertools.product(*over.values()))
    tables = []
    for done, values in enumerate(combinations):
        progress(done / len(combinations))
        chosen = dict(zip(over, values))
        plan, p, costs = scenario.priced({**settings, **chosen}, tech, profile)
        technology = tech or plan.technology
        runner.check_technology(technology, known)
        results = runner.run(plan.resolve(costs, technology, parse(features, known), seed, known))
        if results.document["state"] in ("broken", "idle"):
            raise VirqsimError(f"sweep: {chosen}: the run is {results.document['state']}: {results.document['broken']}")
        report = scenario.report(results, p)
        if report is None:
            raise VirqsimError(f"scenario {scenario.path}: has a SWEEP and no report()")
        tables.append(report.assign(**chosen)[[*over, *report.columns]])
    return pandas.concat(tables, ignore_index=True)
