"""`virqsim explain`: the story of one interrupt."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .. import results, runner
from ..again import Again
from ..errors import VirqsimError
from . import case, pages, story, times, whynot
from .flows import Flow, Flows
from .reason import Reason


@click.command("explain")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--flow", type=int, metavar="N", help="Tell the story of this interrupt.")
@click.option("--why-not", "vector", metavar="VECTOR",
              help="Say why this vector, as in 48 or 0x30, is not delivered; 2: NMI.")
@click.option("--at", metavar="TIME", help="When: a number with ps, ns, us, ms or s, as in 12.5us.")
@click.option("--vcpu", type=click.IntRange(0), metavar="N", help="To which vCPU, where the vector goes to several.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
def explain_command(run_folder: Path, flow: int | None, vector: str | None, at: str | None, vcpu: int | None,
                    as_json: bool) -> None:
    """Tell the story of one interrupt, step by step, with the registers' bits before and after; or say
    why one is not being delivered.

    \b
      virqsim run ipi_ping_pong --tech apicv
      virqsim explain out/ipi_ping_pong-apicv              which interrupts are worth a look
      virqsim explain out/ipi_ping_pong-apicv --flow 1
      virqsim explain out/ipi_ping_pong-apicv --why-not 48 --at 1.5us

    The run's plan is simulated again: no trace need have been kept, and the
    registers are those that the models had at that instant.
    """
    if flow is not None and vector is not None:
        raise click.UsageError("--flow and --why-not are two questions; ask one")
    if (vector is None) != (at is None) or (vcpu is not None and vector is None):
        raise click.UsageError("--why-not VECTOR goes with --at TIME; --vcpu goes with both")
    ps = None if at is None else times.parse("--at", at)
    run = results.load(run_folder)
    with runner.progress_bar(f"{run.document['name']}, again") as progress:
        again = Again(run, progress)
    flows = Flows(again.trace, again.plan)
    if vector is not None:
        _explain_why_not(again, flows, _vector(vector, again.trace.vectors), vcpu, ps, as_json)
    elif flow is not None:
        _explain_flow(again, flows, flow, as_json)
    else:
        _explain_run(run_folder, flows, as_json)


def _vector(text: str, vectors: int) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        raise VirqsimError(f"--why-not: {text!r} is not a vector, as in 48 or 0x30") from None
    if not 0 <= number < vectors:
        raise VirqsimError(f"--why-not: {text} is not a vector of this machine (0..{vectors - 1})")
    return number


def _explain_run(folder: Path, flows: Flows, as_json: bool) -> None:
    chosen = flows.worth_a_look()
    if as_json:
        click.echo(json.dumps([{**flows.costs, **vars(each), "why": why, "latency_ps": each.latency_ps}
                               for why, each in chosen], indent=1))
    else:
        pages.show_flows(folder, flows, chosen)


def _explain_flow(again: Again, flows: Flows, flow: int, as_json: bool) -> None:
    if not flows.has(flow):
        raise VirqsimError(f"--flow: {flow} is no interrupt of this run (1 to {flows.count}; without --flow: which are "
                           "worth a look)")
    told = story.Story(again, flows, flows[flow])
    held = _held_back(again, flows, told.flow)
    if as_json:
        click.echo(json.dumps(story.document(told, flows) | {"held_back": held and held.document()}, indent=1))
    else:
        pages.show_story(told, flows)
        if held:
            click.echo(f"It is pending at the run's end, {times.us(again.end_ps)} us: {held.name}; {held.sentence}.")


def _held_back(again: Again, flows: Flows, flow: Flow) -> Reason | None:
    """Why one that is pending at the run's end is not delivered."""
    if flow.end != "pending":
        return None
    return whynot.reasons(case.case(again, flows, flow.vector, flow.vcpu, again.end_ps))[0]


def _explain_why_not(again: Again, flows: Flows, vector: int, vcpu: int | None, ps: int, as_json: bool) -> None:
    vcpu = case.destination(again, flows, vector) if vcpu is None else vcpu
    asked = case.case(again, flows, vector, vcpu, ps)
    found = whynot.reasons(asked)
    if as_json:
        click.echo(json.dumps(flows.costs | whynot.document(asked, found), indent=1))
    else:
        pages.show_reasons(asked, found)
