"""`virqsim bill`: an invoice for a run's exits."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .. import results, runner
from . import invoice
from .counterfactual import Counterfactuals


@click.command("bill")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
def bill_command(run_folder: Path, as_json: bool) -> None:
    """Bill a run's exits: each to what the guest did, and to the feature that would have spared it.

    \b
      virqsim run ipi_ping_pong --tech none
      virqsim bill out/ipi_ping_pong-none
      virqsim replay traces/on2_ppong.txt.gz --tech none --out out/mine
      virqsim bill out/mine/none --json | jq '.lines[] | {what, count, cheapest}'

    An exit's price is the time that it took: exit, handler and entry, and userspace
    and switching where it came to that. The feature is found by trying: the run's plan
    is run again with each feature that is off, and what that needs, switched on. Of
    those that remove the most of a line the cheapest is named: without CPUs dedicated to
    the guest, the fewest features, software before hardware, the most time saved. The
    accounts are kept in RUN/bill.json.
    """
    run = results.load(run_folder)
    with runner.progress_bar(f"bill of {run.document['name']}") as progress:
        what_if = Counterfactuals(run, progress)
    document = invoice.document(run, what_if)
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        invoice.show_invoice(document)
