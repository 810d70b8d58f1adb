"""What `virqsim explain` prints for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import show
from .case import Case
from .flows import Flow, Flows
from .story import Story, title
from .times import ns, us
from .whynot import Reason, afterwards


def show_flows(folder: Path, flows: Flows, chosen: list[tuple[str, Flow]]) -> None:
    """The flows worth a look, and how to ask."""
    if not chosen:
        click.echo("No interrupts: nothing to explain.")
        return
    rows = [[flow.number, flows.source(flow), flow.vector, flow.vcpu, us(flow.raised_ps),
             "-" if flow.latency_ps is None else ns(flow.latency_ps), flow.notified or "-", flow.injected or "-", flow.end, why]
            for why, flow in chosen]
    columns = ["flow", "source", "vector", "to vCPU", "raised us", "latency ns", "notified", "injected by", "end", "why"]
    show.table(f"interrupts worth a look{flows.caveat}", columns, rows)
    slowest = max((flow for _, flow in chosen), key=lambda flow: flow.latency_ps or 0)
    click.echo(f"virqsim explain {folder} --flow {slowest.number}\n"
               f"virqsim explain {folder} --why-not {slowest.vector} --at {us(slowest.raised_ps)}us --vcpu {slowest.vcpu}")


def show_story(story: Story, flows: Flows) -> None:
    """The steps of one flow."""
    rows: list[list[Any]] = []
    last = story.steps[0].ps
    for step in story.steps:
        same = bool(rows) and step.ps == last
        rows.append(["" if same else us(step.ps), "" if same else f"+{ns(step.ps - last)}", step.name,
                     "-" if step.vcpu is None else step.vcpu, step.sentence, ", ".join(map(str, step.registers)), step.section])
        last = step.ps
    registers = f"registers of vCPU {story.flow.vcpu}"
    columns = ["us", "ns", "step", "vCPU", "what happened", registers, "where it is written"]
    show.table(f"{title(story, flows)}{flows.caveat}", columns, rows)


def show_reasons(of: Case, found: list[Reason]) -> None:
    """Why a vector is not delivered."""
    click.echo(f"vector {of.vector} ({of.vector:02X}H, class {of.priority_class}) at vCPU {of.vcpu}, at {us(of.ps)} us: "
               f"{found[0].name}{of.caveat}\n")
    said = found[0].sentence
    click.echo(f"{said if said.startswith('vCPU') else said[0].upper() + said[1:]}.\n")
    rows = [["first" if n == 0 else "then", reason.name, ", ".join(reason.evidence), reason.section]
            for n, reason in enumerate(found)]
    show.table(f"in the order of the checks{of.caveat}", ["", "reason", "evidence", "where it is written"], rows)
    if of.inhibits:
        click.echo(f"APICv or AVIC is off: {', '.join(of.inhibits)}.")
    then = afterwards(of)
    if then:
        click.echo(then)
