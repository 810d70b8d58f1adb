"""Options of the command line that several modules' commands share."""

from __future__ import annotations

import click

with_hypothetical = click.option(
    "--hypothetical", multiple=True, metavar="FILE.py",
    help="Features that a file of yours declares: technologies by their names, and to be switched on by --features.")
