"""`virqsim stat`: exits and what they took, in the form of `perf kvm stat report`.

As there, an exit takes from kvm_exit to the kvm_entry behind it, whatever happens
meanwhile: the time of a HLT is that until the vCPU runs again.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import click

from . import results, show
from . import trace as vqt
from .errors import VirqsimError
from .tracepoints.lines import FIRST_PID, Lines

_NS_PER_US = 1000
_KEYS = {"sample": "samples", "time": "total_us"}


def durations(trace: vqt.Trace, plan: dict[str, Any], vcpu: int | None = None) -> dict[str, list[int]]:
    """Exit reason to the nanoseconds of each exit that was followed by an entry; of one vCPU or all."""
    took: dict[str, list[int]] = defaultdict(list)
    left: dict[int, tuple[int, str]] = {}
    for hit in Lines(trace, plan):
        if vcpu is not None and hit.pid != FIRST_PID + vcpu:
            continue
        if hit.name == "kvm_exit":
            left[hit.pid] = hit.ns, hit.values["reason"]
        elif hit.name == "kvm_entry" and hit.pid in left:
            ns, reason = left.pop(hit.pid)
            took[reason].append(hit.ns - ns)
    return took


def table(took: dict[str, list[int]], key: str) -> list[dict[str, Any]]:
    """A row for each exit reason, most first."""
    samples, total = sum(map(len, took.values())), sum(map(sum, took.values()))
    rows = []
    for reason, each in took.items():
        mean = sum(each) / len(each)
        spread = sum((ns - mean) ** 2 for ns in each) / (len(each) - 1) if len(each) > 1 else 0.0
        rows.append({
            "reason": reason, "samples": len(each), "samples_percent": 100 * len(each) / samples,
            "time_percent": 100 * sum(each) / total if total else 0.0, "total_us": sum(each) / _NS_PER_US,
            "min_us": min(each) / _NS_PER_US, "max_us": max(each) / _NS_PER_US, "mean_us": mean / _NS_PER_US,
            "error_percent": 100 * math.sqrt(spread / len(each)) / mean if mean else 0.0,
        })
    return sorted(rows, key=lambda row: (-row[_KEYS[key]], row["reason"]))


def text(rows: list[dict[str, Any]], vcpu: int | None, caveat: str = "") -> str:
    """As perf prints it; behind the title, what its times are worth."""
    lines = [f"Analyze events for all VMs, {'all VCPUs' if vcpu is None else f'VCPU {vcpu}'}{caveat}:", "",
             f"{'VM-EXIT':>20} {'Samples':>10} {'Samples%':>9} {'Time%':>9} {'Min Time':>11} {'Max Time':>11} {'Avg time':>16}", ""]
    lines += [f"{row['reason']:>20} {row['samples']:10} {row['samples_percent']:8.2f}% {row['time_percent']:8.2f}% "
              f"{row['min_us']:9.2f}us {row['max_us']:9.2f}us {row['mean_us']:9.2f}us ( +-{row['error_percent']:7.2f}% )"
              for row in rows]
    samples, total = sum(row["samples"] for row in rows), sum(row["total_us"] for row in rows)
    return "\n".join([*lines, "", f"Total Samples:{samples}, Total events handled time:{total:.2f}us."])


@click.command("stat")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--vcpu", type=click.IntRange(0), metavar="N", help="Of one vCPU only.")
@click.option("-k", "--key", type=click.Choice(list(_KEYS)), default="sample", show_default=True,
              help="Sort by the number of exits, or by their time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
def stat_command(run_folder: Path, vcpu: int | None, key: str, as_json: bool) -> None:
    """Show a run's exits as `perf kvm stat report` shows a host's.

    \b
      virqsim run ipi_ping_pong --trace
      virqsim stat out/ipi_ping_pong-none
      virqsim stat out/ipi_ping_pong-none --vcpu 1 -k time

    An exit's time is from where the guest left to its next entry, a HLT's too. Exits of the plan's own
    preparations are among them, as a host would not know them from others.
    """
    run = results.load(run_folder)
    if vcpu is not None and vcpu >= len(run.plan["machine"]["vcpus"]):
        raise VirqsimError(f"--vcpu: {vcpu}: the run has vCPUs 0 to {len(run.plan['machine']['vcpus']) - 1}")
    path = run_folder / "trace.vqt"
    if not path.is_file():
        raise VirqsimError(f"{run_folder}: has no trace.vqt; run with --trace")
    try:
        rows = table(durations(vqt.read(path), run.plan, vcpu), key)
    except ValueError as error:
        raise VirqsimError(str(error)) from None
    document = {"run": str(run_folder), "profile": run.document["profile"], "profile_kind": run.document["profile_kind"],
                "vcpu": vcpu, "exits": rows}
    click.echo(json.dumps(document, indent=1) if as_json else text(rows, vcpu, show.caveat(run.document)))
