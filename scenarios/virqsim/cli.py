"""The command line. Each command is a thin door to a module that does the work.

Errors are one line on standard error and exit status 2; 1: the run itself went
wrong; 3: no model covers what was asked; 130: interrupted, and what there was
is kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import library
from .errors import VirqsimError, unknown
from .options import with_hypothetical

if TYPE_CHECKING:
    from .hypothetical import Hypothetical
    from .results import Results
    from .scenario import Scenario

_TABLES = {
    "technologies": ("name", "vendor", "title", "features"),
    "features": ("name", "on", "by", "needs", "meaning"),
    "exit-reasons": ("name", "vendor", "number", "meaning"),
    "costs": ("name", "meaning"),
    "inhibits": ("name", "vmx", "svm", "by", "meaning", "where"),
    "checks": ("name", "vendor", "section", "failure", "meaning"),
    "rechecks": ("name", "where", "meaning"),
    "findings": ("name", "meaning"),
    "faults": ("name", "subject", "meaning"),
    "accesses": ("name", "conditions", "effects", "exits", "meaning"),
    "conditions": ("name", "values", "meaning"),
    "effects": ("name", "needs", "meaning"),
    "hypothetical": ("name", "base", "accesses", "title"),
    "operations": ("name", "operands", "meaning"),
    "probes": ("name", "meaning"),
    "stats": ("name", "unit", "by", "meaning"),
    "registers": ("chip", "offset", "name", "access", "reset", "writable", "title"),
    "quirks": ("chip", "id", "qemu", "kvm", "title"),
}
_LISTS = [*_TABLES, "profiles", "scenarios"]
_DESCRIBED_AS = {"exit-reasons": "exit_reasons", "operations": "guest_operations"}

_LATER = {  # commands loaded when they are called
    "anonymize": "virqsim.share.command:anonymize_command",
    "bill": "virqsim.bill.command:bill_command",
    "calibrate": "virqsim.calibrate:calibrate_command",
    "diff": "virqsim.diff.command:diff_command",
    "device": "virqsim.device.command:device_command",
    "exits": "virqsim.sidebyside:exits_command",
    "explain": "virqsim.explain.command:explain_command",
    "race": "virqsim.race.command:race_command",
    "replay": "virqsim.replay.command:replay_command",
    "sensitivity": "virqsim.sensitivity:sensitivity_command",
    "stat": "virqsim.perfstat:stat_command",
    "sweep": "virqsim.sweep:sweep_command",
    "validate": "virqsim.published.command:validate_command",
}


class _Commands(click.Group):
    """The commands here, and those of _LATER as far as they are installed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        later = [name for name in _LATER if self.get_command(ctx, name)]
        return sorted([*super().list_commands(ctx), *later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LATER:
            return super().get_command(ctx, cmd_name)
        module, attribute = _LATER[cmd_name].split(":")
        if find_spec(module.rpartition(".")[0]) is None or find_spec(module) is None:
            return None
        return getattr(import_module(module), attribute)


@click.group(cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="virqsim")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """How many VM exits, and how much interrupt latency, does a guest pay under this
    interrupt hardware and this hypervisor, and what would it pay under another?

    \b
      virqsim list scenarios                  what can be asked
      virqsim run ipi_ping_pong --tech apicv  ask it
      virqsim compare ipi_ping_pong --tech none,apicv,ipiv
      virqsim probe ipi.unicast --tech ipiv   one operation, exit by exit
      virqsim bill out/ipi_ping_pong-none     what its exits cost, and what would spare them
      virqsim explain out/ipi_ping_pong-none  the story of one interrupt, register by register
      virqsim diff RUN_A RUN_B                which interrupts gained or lost what
      virqsim plot out/ipi_ping_pong-apicv    figures for a paper
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Several click options as one decorator, in reading order."""
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command
    return decorate


_with_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
_with_features = click.option("--features", default="", metavar="+A,-B",
                              help="Switch single features on top: +pv-eoi,-posted-interrupts.")
_with_profile = click.option("--profile", show_default="skylake-sp; elbrus-16c on Elbrus", metavar="P",
                             help="Whose costs: a profile's name, or a file of yours (*.toml).")
_with_scenario = _options(
    click.argument("scenario"),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the scenario."),
    _with_features,
    with_hypothetical,
    _with_profile,
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default="1", metavar="N",
                 help="Of the random streams."),
    click.option("--host", type=click.Choice(["c", "systemc"]), default="c", show_default=True,
                 help="Who owns time: the library's own loop, or SystemC."),
    click.option("--trace", is_flag=True, help="Keep every event, in trace.vqt."),
)


# list, describe


@cli.command("list")
@click.argument("what", required=False, type=click.Choice(_LISTS))
@click.argument("chip", required=False)
@click.option("--markdown", is_flag=True, help="A chip's registers, as the table of its page in docs/models.")
@with_hypothetical
@_with_json
def list_command(what: str | None, chip: str | None, markdown: bool, hypothetical: tuple[str, ...], as_json: bool) -> None:
    """Say what there is: technologies, profiles, scenarios, and the names that they use.

    \b
      virqsim list                 every list, by length
      virqsim list technologies    --tech
      virqsim list features        --features
      virqsim list scenarios       questions, and their parameters
      virqsim list registers pit   of one chip; its fields too
      virqsim list registers vmcs  and the structures of virtualization hardware
      virqsim list quirks          where QEMU and KVM depart from the manuals
      virqsim list accesses        what declared features are made of; also conditions, effects
      virqsim list hypothetical    those that are declared: technologies by their names too
    """
    from . import registers, show

    if chip is not None and what not in ("registers", "quirks"):
        raise click.UsageError("CHIP goes with registers and quirks")
    if markdown and (what != "registers" or chip is None or as_json):
        raise click.UsageError("--markdown goes with registers CHIP, and not with --json")
    if what is None:
        rows = [(name, len(_rows(name, None, hypothetical))) for name in _LISTS]
        _print_json(dict(rows)) if as_json else show.table("virqsim list …", ["what", "how many"], rows)
    elif markdown:
        click.echo(registers.markdown(chip), nl=False)
    elif as_json:
        _print_json(registers.chip(chip) if what == "registers" and chip else _rows(what, chip, hypothetical))
    elif what == "registers" and chip:
        show.registers(chip)
    else:
        rows = _rows(what, chip, hypothetical)
        columns = list(_TABLES.get(what) or rows[0])
        show.table(what, columns, [[_cell(row, column) for column in columns] for row in rows])


def _rows(what: str, chip: str | None = None, files: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    if what in ("registers", "quirks"):
        from . import registers

        return registers.quirks(chip) if what == "quirks" else registers.every()
    if what == "profiles":
        from . import profiles

        loaded = map(profiles.load, profiles.available())
        return [{"name": p.name, "core_hz": p.clocks["core_hz"], "weakest": p.known, "title": p.title} for p in loaded]
    if what == "scenarios":
        from .scenario import Scenario

        return [_scenario_row(Scenario.load(name)) for name in Scenario.available()]
    if what in ("hypothetical", "technologies"):
        from .hypothetical import declared

        features = declared(files).values()
        if what == "hypothetical":
            return [{"name": f.name, "base": f.base, "accesses": f.accesses, "title": f.title} for f in features]
        return library.describe()["technologies"] + [_technology_row(f) for f in features]
    if what == "stats":
        from . import stats

        return stats.described()
    if what == "probes":
        from . import probe

        return [{"name": row.name, "meaning": row.meaning} for row in probe.OPERATIONS.values()]
    return library.describe()[_DESCRIBED_AS.get(what, what)]


def _technology_row(feature: Hypothetical) -> dict[str, Any]:
    """A declared feature on its base, as a technology."""
    base = next(row for row in library.describe()["technologies"] if row["name"] == feature.base)
    return {**base, "name": feature.name, "features": [*base["features"], feature.name],
            "title": f"hypothetical: {feature.title}", "source": "declared"}


def _scenario_row(scenario: Scenario) -> dict[str, Any]:
    settings = [f"{key}={parameter.default}" for key, parameter in scenario.parameters.items()]
    return {"name": scenario.name, "question": scenario.question, "parameters": settings}


def _cell(row: dict[str, Any], column: str) -> Any:
    if "offset" in row:
        from . import registers

        return registers.cell(row, column)
    value = row[column]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value) if isinstance(value, list) else value


@cli.command()
def describe() -> None:
    """Print all that the core knows by name, as one JSON document."""
    _print_json(library.describe())


# run, compare


@cli.command()
@_with_scenario
@click.option("--tech", metavar="T", help="The technology; by default the scenario's own.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="The run folder.  [default: out/SCENARIO-TECHNOLOGY]")
@_with_json
@click.pass_context
def run(ctx: click.Context, scenario: str, settings: tuple[str, ...], tech: str | None, out: Path | None,
        as_json: bool, **how: Any) -> None:
    """Run a scenario: a ready one by its name, or a file.

    \b
      virqsim run ipi_ping_pong
      virqsim run scenarios/ipi_ping_pong.py --set rounds=1000 --tech ipiv
      virqsim run ipi_ping_pong --features=+pv-eoi --profile mine.toml --trace
      virqsim run ipi_ping_pong --json | jq .latency

    The run folder holds the plan, the results and a CSV for each table; the
    same plan always gives the same results.
    """
    from . import show
    from .scenario import Scenario, settings_of

    loaded = Scenario.load(scenario)
    results, report = _run_one(loaded, settings_of(settings), tech, out, **how)
    if as_json:
        _print_json(results.document)
    else:
        show.results(results)
        if report is not None:
            show.frame(f"{loaded.question}{show.caveat(results.document)}", report)
        click.echo(f"run folder: {results.folder}")
    ctx.exit(_status(results))


@cli.command()
@_with_scenario
@click.option("--tech", required=True, metavar="A,B,C", help="The technologies to compare.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Run folders go to DIR/TECHNOLOGY.  [default: out/SCENARIO-TECHNOLOGY]")
@_with_json
@click.pass_context
def compare(ctx: click.Context, scenario: str, settings: tuple[str, ...], tech: str, out: Path | None,
            as_json: bool, **how: Any) -> None:
    """Run a scenario under several technologies, side by side.

    \b
      virqsim compare ipi_ping_pong --tech none,apicv,ipiv
      virqsim compare timer_ticks --tech none,apicv --set mode=periodic --out out/timers
      virqsim compare ipi_broadcast --tech ipiv,logical-ipiv          hardware that is declared
      virqsim compare ipi_broadcast --tech ipiv,mine --hypothetical mine.py
    """
    from . import runner, show
    from .hypothetical import declared
    from .scenario import Scenario, settings_of

    loaded, runs, values = Scenario.load(scenario), [], settings_of(settings)
    technologies, known = tech.split(","), declared(how["hypothetical"])
    for name in technologies:
        runner.check_technology(name, known)
    for name in technologies:
        runs.append(_run_one(loaded, values, name, out / name if out else None, **how)[0])
        if runs[-1].partial:
            break
    if as_json:
        _print_json({"scenario": loaded.name, "runs": [results.document for results in runs]})
    else:
        show.comparison(runs)
        click.echo(f"run folders: {' '.join(str(results.folder) for results in runs)}")
    ctx.exit(max(map(_status, runs)))


def _run_one(scenario: Scenario, settings: dict[str, str], technology: str | None, out: Path | None, *, features: str,
             hypothetical: tuple[str, ...], profile: str | None, seed: int, host: str, trace: bool) -> tuple[Results, Any]:
    """One run, and the scenario's own report of it."""
    from . import runner
    from .features import parse
    from .hypothetical import declared

    plan, p, costs = scenario.priced(settings, technology, profile)
    technology = plan.technology if technology is None else technology
    known = declared(hypothetical)
    runner.check_technology(technology, known)
    document = plan.resolve(costs, technology, parse(features, known), seed, known)
    results = runner.run(document, host, out or Path("out", f"{scenario.name}-{technology}"), trace)
    return results, scenario.report(results, p)


def _status(results: Results) -> int:
    """The exit status for a run, and on standard error why it is not 0."""
    if results.partial:
        _complain("interrupted: the results are partial")
        return 130
    if results.document["state"] == "broken":
        _complain(results.document["broken"])
        return 1
    if results.document["state"] == "idle":
        _complain("nothing can happen any more, though programs have not ended: the guests wait for each other")
        return 1
    return 0


# probe


@cli.command("probe")
@click.argument("operation")
@click.option("--tech", required=True, metavar="T", help="The technology.")
@_with_features
@click.option("--guest-apic", show_default="x2apic; epic on Elbrus", type=click.Choice(["xapic", "x2apic", "epic", "none"]),
              help="What the guest's driver uses.")
@click.option("--irqchip", default="kernel", show_default=True, type=click.Choice(["kernel", "split", "userspace"]),
              help="Where the hypervisor keeps its interrupt controllers.")
@click.option("--target", default="running", show_default=True,
              type=click.Choice(["running", "halted", "preempted", "if-off"]), help="What the destination is doing.")
@click.option("--targets", default=1, show_default=True, type=click.IntRange(1, 1023), metavar="N",
              help="Destinations of one operation, where it can have several.")
@click.option("--inhibit", multiple=True, metavar="REASON", help="While KVM does without APICv or AVIC: virqsim list inhibits.")
@with_hypothetical
@_with_profile
@click.option("--repetitions", default=20, show_default=True, type=click.IntRange(1, 100_000), metavar="N",
              help="Operations to take the mean of.")
@_with_json
def probe_command(as_json: bool, **what: Any) -> None:
    """Count the exits of one operation in an otherwise quiet machine.

    \b
      virqsim probe ipi.unicast --tech none --guest-apic xapic
      virqsim probe ipi.unicast --tech ipiv --target halted
      virqsim probe ioapic.level --tech apicv --irqchip split
      virqsim probe ipi.broadcast_pv --tech apicv --features=+pv-ipi --targets 130 --json
      virqsim probe ipi.logical --tech logical-ipiv --targets 3
      virqsim probe msi.irqfd --tech avic --guest-apic xapic --inhibit PIT_REINJ

    What can be probed: virqsim list probes.
    """
    from . import probe, show

    document = probe.probe(probe.Probe(**what))
    if as_json:
        _print_json(document)
        return
    per_operation = document["per_operation"]
    rows = [(who, _counts(per_operation[who])) for who in ("sender", "target", "eoi")]
    rows.append(("to userspace", per_operation["userspace_exits"]))
    inhibited = f", inhibited by {' '.join(document['inhibit'])}" if document["inhibit"] else ""
    show.table(f"{document['operation']}, {document['technology']}, {document['guest_apic']}, "
               f"target {document['condition']}{inhibited}: exits of one operation{show.caveat(document)}", ["who", "exits"],
               [(who, str(counts)) for who, counts in rows])
    show.table(f"latency{show.caveat(document)}", ["p50_ns", "p99_ns", "max_ns"], [list(document["latency_ns"].values())])


def _counts(reasons: dict[str, float]) -> str:
    return " ".join(f"{reason}:{count}" for reason, count in reasons.items()) or "none"


# export, plot


@cli.command("export")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="FORMAT",
              type=click.Choice(["perfetto", "ftrace", "trace.dat", "vcd", "csv", "parquet",
                                 "stats.txt", "stats.csv", "stats.json", "stats.parquet"]))
@click.option("--out", type=click.Path(path_type=Path), metavar="PATH", help="Where to; by default in the run folder.")
def export_command(run_folder: Path, to: str, out: Path | None) -> None:
    """Turn a run's trace, or its numbers, into another program's format.

    \b
      virqsim run ipi_ping_pong --trace
      virqsim export out/ipi_ping_pong-none --to perfetto     a timeline for ui.perfetto.dev
      virqsim export out/ipi_ping_pong-none --to trace.dat    for trace-cmd report and KernelShark
      virqsim export out/ipi_ping_pong-none --to ftrace       KVM's tracepoints as text, for virqsim replay
      virqsim export out/ipi_ping_pong-none --to vcd          a waveform for GTKWave
      virqsim export out/ipi_ping_pong-none --to csv          every record; also parquet

    Without a trace, from the results alone, every number with its unit and what it is:

    \b
      virqsim export out/ipi_ping_pong-none --to stats.txt    as gem5 writes them
      virqsim export out/ipi_ping_pong-none --to stats.json   also stats.csv, stats.parquet
      virqsim list stats                                      which there are
    """
    from .export import export
    from .results import load

    load(run_folder)
    click.echo(_plain_errors(export, run_folder, to, out))


@cli.command("plot")
@click.argument("run_folders", metavar="RUN…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--flow", type=int, metavar="N", help="Draw the path of this interrupt of one run instead.")
@click.option("--request", type=int, metavar="N", help="Draw the path of this request of its first disk.")
@click.option("--out", default=Path("out/figures"), show_default=True, type=click.Path(path_type=Path), metavar="DIR")
def plot_command(run_folders: tuple[Path, ...], flow: int | None, request: int | None, out: Path) -> None:
    """Draw runs side by side, as figures for a paper, each with its numbers as CSV; or the path of one
    interrupt, from where it was raised to its handler and its end.

    \b
      virqsim compare ipi_ping_pong --tech none,apicv,ipiv
      virqsim plot out/ipi_ping_pong-*
      virqsim plot out/ipi_ping_pong-apicv --flow 3    `virqsim explain RUN` says which are worth it
      virqsim plot out/disk_io_path-none --request 3
    """
    from .figures import plot
    from .results import load

    if flow is not None:
        from .pathfigure import plot_flow

        _plot_one(run_folders, "flow", plot_flow, flow, out)
        return
    if request is not None:
        from .diskfigure import plot_request

        _plot_one(run_folders, "request", plot_request, request, out)
        return
    for folder in run_folders:
        load(folder)
    for path in _plain_errors(plot, list(run_folders), out):
        click.echo(path)


def _plot_one(run_folders: tuple[Path, ...], what: str, draw: Callable[..., list[Path]], number: int, out: Path) -> None:
    from .runner import progress_bar

    if len(run_folders) != 1:
        raise click.UsageError(f"--{what} is about one run, and {len(run_folders)} are given")
    with progress_bar("simulating it again") as progress:
        paths = _plain_errors(draw, run_folders[0], number, out, progress)
    for path in paths:
        click.echo(path)


def _plain_errors(work: Callable[..., Any], *arguments: Any) -> Any:
    """Calls `work`, whose errors about files and values become one line."""
    try:
        return work(*arguments)
    except OSError as error:
        raise VirqsimError(f"{error.filename or arguments[-1]}: {error.strerror}") from None
    except ValueError as error:
        raise VirqsimError(str(error)) from None


# The way in and out


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1))


def _complain(line: str) -> None:
    click.echo(f"virqsim: {line}", err=True)


def main(scenario: str | None = None) -> None:
    """`virqsim`, or with a scenario's file `virqsim run` of it; ends the process."""
    arguments = sys.argv[1:] if scenario is None else ["run", scenario, *sys.argv[1:]]
    try:
        status = cli.main(args=arguments, prog_name="virqsim", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except VirqsimError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_status)
    except click.ClickException as error:
        _complain(" ".join(error.format_message().split()))
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # of standard output; files are the business of those who write them
        _complain(f"{error.filename or 'standard output'}: {error.strerror}")
        os._exit(2)  # a plain exit would try once more to write what is left


if __name__ == "__main__":
    main()
