"""Which conclusions survive the assumed costs: `virqsim sensitivity`.

Most costs of a profile are assumed, each with a range. A scenario is run under
several technologies with the costs as they stand, then with every cost of which
no figure was published drawn from its range, many times, and then with each of
them alone at either end. A conclusion is an order of two technologies: one is
below the other. It survives when no draw and no end turns it round, and mostly
when at most every tenth draw does. What a hypothetical feature assumes is varied
with the rest.

All technologies of a draw share its costs, since they would share the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import qmc

from . import features, hypothetical, profiles, runner
from .errors import VirqsimError
from .hypothetical import Hypothetical
from .library import Simulation
from .options import with_hypothetical
from .profiles import Number, Profile
from .scenario import Scenario, settings_of
from .signals import told_to

VARIED_KINDS = ("derived", "assumed")
"""The kinds of numbers that are varied; those measured or published stay."""

_AWAY = ("GUEST", "BLOCKED", "POLLING", "PARKED")  # the states in which no exit is being paid for
_BAND = (5, 95)  # percentiles
_MOSTLY = 0.9  # of the draws

Metrics = dict[str, float]
Costs = Mapping[str, int]


@dataclass(frozen=True)
class Study:
    """What is asked.

    Args:
        scenario: loaded.
        settings: of its parameters.
        technologies: two or more, by name.
        switched: features on top of each.
        profile: whose costs are varied.
        draws: of all varied costs at once.
        seed: of the draws, and of the runs.
        declared: hypothetical features by name.
    """

    scenario: Scenario
    settings: Mapping[str, Any]
    technologies: tuple[str, ...]
    switched: Mapping[str, bool]
    profile: Profile
    draws: int
    seed: int
    declared: Mapping[str, Hypothetical] = field(default_factory=dict)

    def plans(self) -> dict[str, dict[str, Any]]:
        """The whole plan under each technology."""
        plan = self.scenario.plan(self.scenario.values(self.settings, self.profile.clocks))
        return {name: plan.resolve(self.profile, name, self.switched, self.seed, self.declared) for name in self.technologies}


def varied(profile: Profile, plans: Iterable[Mapping[str, Any]] = ()) -> dict[str, Number]:
    """The costs that no publication fixes, and that have a range; those that the plans' declared features assume too."""
    numbers = dict(profile.costs)
    for plan in plans:
        numbers |= hypothetical.assumed_numbers(plan)
    return {key: number for key, number in numbers.items() if number.kind in VARIED_KINDS and number.low < number.high}


def drawn(numbers: Mapping[str, Number], draws: int, seed: int) -> Iterator[dict[str, int]]:
    """Costs drawn evenly from their ranges, as a Latin hypercube, which fills them with fewer draws.

    Each cost has a random stream of its own, so that a new one does not shift the others' draws.
    """
    shares = {key: qmc.LatinHypercube(d=1, rng=np.random.default_rng([seed, *key.encode()])).random(draws)[:, 0]
              for key in numbers}
    for n in range(draws):
        yield {key: round(number.low + shares[key][n] * (number.high - number.low)) for key, number in numbers.items()}


def metrics(document: Mapping[str, Any], ends: bool) -> Metrics:
    """What a run is compared by: the latencies' means, what exits cost, how many, and how long it took."""
    found = {f"{row['source']} latency, mean, ns": row["mean_ps"] / 1e3 for row in document["latency"] if row["count"]}
    handling = sum(ps for vcpu in document["vcpus"] for state, ps in vcpu["states_ps"].items() if state not in _AWAY)
    found["in exits, a vCPU, us"] = handling / 1e6 / len(document["vcpus"])
    found["exits"] = sum(row["count"] for row in document["exits"])
    if ends:
        found["until the programs end, us"] = document["time_ps"] / 1e6
    return found


def study(asked: Study, progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """Runs them all; the document that `virqsim sensitivity --json` prints.

    Ctrl-C and SIGTERM end it between two draws; it is then marked partial.

    Raises:
        VirqsimError: a plan is wrong, or a run ended as no run should.
    """
    plans = asked.plans()
    numbers = varied(asked.profile, plans.values())
    cases: list[tuple[str, Costs]] = [("as it stands", {})]
    cases += [("drawn", costs) for costs in drawn(numbers, asked.draws, asked.seed)]
    cases += [(f"{key} {end}", {key: getattr(number, end)}) for key, number in numbers.items() for end in ("low", "high")]
    done: list[tuple[str, dict[str, Metrics]]] = []
    stopped: list[int] = []
    with told_to(stopped.append):
        for n, (name, costs) in enumerate(cases):
            done.append((name, {technology: _run(plan, costs) for technology, plan in plans.items()}))
            progress((n + 1) / len(cases))
            if stopped:
                break
    return _document(asked, numbers, done, partial=len(done) < len(cases))


def _run(plan: dict[str, Any], costs: Costs) -> Metrics:
    keys = {key: cycles for key, cycles in costs.items() if key in plan["costs"]["cycles"]}
    whole = {**plan, "costs": {**plan["costs"], "cycles": {**plan["costs"]["cycles"], **keys}}}
    with Simulation(hypothetical.with_numbers(whole, costs)) as simulation:
        simulation.run()
        document = simulation.results()
    if document["state"] in ("broken", "idle"):
        raise VirqsimError(f"{plan['name']}: under {plan['technology']} the run ended {document['state']}; "
                           "`virqsim run` with the same options says more")
    return metrics(document, ends=not plan["run"]["until_ns"])


def _document(asked: Study, numbers: Mapping[str, Number], done: list[tuple[str, dict[str, Metrics]]],
              partial: bool) -> dict[str, Any]:
    stands, together = done[0][1], [runs for name, runs in done if name == "drawn"]
    ends = {name: runs for name, runs in done[1:] if name != "drawn"}
    names = [metric for metric in stands[asked.technologies[0]] if all(metric in runs for runs in stands.values())]
    return {
        "scenario": asked.scenario.name,
        "profile": asked.profile.name,
        "profile_kind": asked.profile.known,
        "technologies": list(asked.technologies),
        "draws": len(together),
        "partial": partial,
        "varied": list(numbers),
        "metrics": [_band(metric, technology, stands, together) for metric in names for technology in asked.technologies],
        "conclusions": [_conclusion(metric, *pair, stands, together, ends) for metric in names
                        for pair in _neighbours(metric, stands)],
    }


def _band(metric: str, technology: str, stands: dict[str, Metrics], together: list[dict[str, Metrics]]) -> dict[str, Any]:
    values = [runs[technology][metric] for runs in together] or [stands[technology][metric]]
    low, high = np.percentile(values, _BAND)
    return {"metric": metric, "technology": technology, "as_it_stands": stands[technology][metric],
            "low": float(low), "high": float(high)}


def _neighbours(metric: str, stands: dict[str, Metrics]) -> Iterator[tuple[str, str]]:
    """Technologies side by side in the order of the metric, the lower one first."""
    order = sorted(stands, key=lambda technology: stands[technology][metric])
    return zip(order, order[1:], strict=False)


def _conclusion(metric: str, lower: str, higher: str, stands: dict[str, Metrics], together: list[dict[str, Metrics]],
                ends: dict[str, dict[str, Metrics]]) -> dict[str, Any]:
    same = stands[lower][metric] == stands[higher][metric]

    def gap(runs: dict[str, Metrics]) -> float:
        return runs[higher][metric] - runs[lower][metric]

    def holds(runs: dict[str, Metrics]) -> bool:
        return gap(runs) == 0 if same else gap(runs) > 0

    held = [holds(runs) for runs in together]
    turned_by = [name for name, runs in ends.items() if not holds(runs)]
    swing = {name.rpartition(" ")[0]: abs(gap(runs) - gap(ends[f"{name.rpartition(' ')[0]} low"]))
             for name, runs in ends.items() if name.endswith(" high")}
    return {
        "metric": metric, "lower": lower, "higher": higher, "order": "=" if same else "<",
        "gap": gap(stands), "held": sum(held), "draws": len(held), "turned_by": turned_by,
        "decided_by": max(swing, key=swing.__getitem__) if any(swing.values()) else None,
        "verdict": _verdict(sum(held) / max(len(held), 1), bool(turned_by)),
    }


def _verdict(share: float, turned: bool) -> str:
    if turned or share < _MOSTLY:
        return "does not survive"
    return "survives" if share == 1 else "mostly survives"


def _show(document: Mapping[str, Any]) -> None:
    from . import show

    technologies = document["technologies"]
    cells: dict[str, list[str]] = {}
    for row in document["metrics"]:
        cells.setdefault(row["metric"], []).append(f"{row['as_it_stands']:.1f}  ({row['low']:.1f} to {row['high']:.1f})")
    mark = show.caveat(document)
    show.table(f"{document['scenario']}, {document['profile']}: as it stands (5 to 95 % of {document['draws']} "
               f"draws){mark}",
               ["what", *technologies], [[metric, *row] for metric, row in cells.items()])
    show.table(f"Conclusions{mark}", ["what", "conclusion", "by", "in draws", "turned round by", "decided most by", "verdict"],
               [[row["metric"], f"{row['lower']} {row['order']} {row['higher']}", float(row["gap"]),
                 f"{row['held']} of {row['draws']}", ", ".join(row["turned_by"]) or "-", row["decided_by"] or "-",
                 row["verdict"]] for row in document["conclusions"]])


def _shared(technologies: Iterable[str]) -> str:
    """The profile of all the technologies' machines.

    Raises:
        VirqsimError: their machines have different ones.
    """
    found = {profiles.default(technology): technology for technology in technologies}
    if len(found) > 1:
        of_each = ", ".join(f"{profile} of {technology}" for profile, technology in found.items())
        raise VirqsimError(f"--profile: technologies of a draw share its costs, and these have several ({of_each}); "
                           "name one")
    return next(iter(found))


@click.command("sensitivity")
@click.argument("scenario")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the scenario.")
@click.option("--tech", default="none,apicv,ipiv", show_default=True, metavar="A,B,C", help="The technologies to compare.")
@click.option("--features", "switched", default="", metavar="+A,-B", help="Switch single features on top of each.")
@with_hypothetical
@click.option("--profile", show_default="skylake-sp; elbrus-16c on Elbrus", metavar="P", help="Whose costs are varied.")
@click.option("--draws", default=200, show_default=True, type=click.IntRange(1, 100_000), metavar="N",
              help="How often all costs are drawn anew.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default="1", metavar="N",
              help="Of the draws, and of the runs.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Where the figure and its numbers go.  [default: out/SCENARIO-sensitivity]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
@click.pass_context
def sensitivity_command(ctx: click.Context, scenario: str, settings: tuple[str, ...], tech: str, switched: str,
                        hypothetical: tuple[str, ...], profile: str | None, draws: int, seed: int, out: Path | None,
                        as_json: bool) -> None:
    """Say which conclusions of a comparison survive the costs that are only assumed.

    \b
      virqsim sensitivity ipi_ping_pong
      virqsim sensitivity timer_ticks --tech none,apicv --set mode=periodic
      virqsim sensitivity ipi_broadcast --draws 1000 --json | jq .conclusions
      virqsim sensitivity timer_ticks --tech apicv,exitless-timer

    Every cost that is not published is drawn from its low to its high end, all
    at once, and then each alone is put at either end. `A < B` survives when no
    draw and no end turns it round, and mostly survives when no end does and at
    most every tenth draw.
    """
    import json

    from . import figures
    from .hypothetical import declared
    from .runfolder import RunFolder

    known = declared(hypothetical)
    loaded = Scenario.load(scenario)
    technologies = tuple(dict.fromkeys(tech.split(",")))
    for name in technologies:
        runner.check_technology(name, known)
    if len(technologies) < 2:
        raise VirqsimError(f"--tech: {tech}: a conclusion takes two technologies")
    costs = profiles.load(profile or _shared(technologies))
    asked = Study(loaded, settings_of(settings), technologies, features.parse(switched, known), costs, draws, seed, known)
    folder = out or Path("out", f"{loaded.name}-sensitivity")
    with RunFolder(folder, "sensitivity.json") as files:
        with runner.progress_bar(f"{loaded.name}: sensitivity") as progress:
            document = study(asked, progress)
        (files / "sensitivity.json").write_text(json.dumps(document, indent=1) + "\n")
        figures.bands(document, files)
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        _show(document)
        click.echo(f"figure: {folder / 'sensitivity.png'}")
    if document["partial"]:
        click.echo("virqsim: interrupted: the study is partial", err=True)
        ctx.exit(130)
