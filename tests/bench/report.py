"""Runs the bench programs in turn and reports: tables, out/bench/results.json and a figure."""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

import reading
import simulator

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "build" / "release" / "tests" / "bench"
KERNELS = ("virqsim", "heap", "systemc")  # body, the fourth program, sorts nothing
COLOURS = {"virqsim": "#0072b2", "heap": "#d55e00", "systemc": "#009e73", "body": "#888888"}

console = Console()


class Case(NamedTuple):
    """One workload at one size: vCPUs, or events armed."""

    workload: str
    size: int


CASES = [Case("phold", n) for n in (64, 1024, 16384, 262144)]
CASES += [Case(w, n) for w in ("ping_pong", "ping_pong_timer") for n in (2, 4, 16, 64, 256)]
COUNTED = [Case("phold", 1024), Case("ping_pong", 64), Case("ping_pong_timer", 64)]

TITLES = {
    "phold": "PHOLD, ns an event: each arms itself again after an exponential delay",
    "ping_pong": "IPI ping-pong, ns an interrupt: pairs of vCPUs interrupt each other",
    "ping_pong_timer": "IPI ping-pong, ns an interrupt: each moves the vCPU's timer, too",
}

# (case, kernel) to nanoseconds or instructions an event
Costs = dict[tuple[Case, str], float]


class Effort(NamedTuple):
    """How long to measure: events of a kernel, repetitions, rounds of the simulated ping-pong."""

    events: int
    repetitions: int
    rounds: int


QUICK = Effort(events=150_000, repetitions=3, rounds=40_000)
FULL = Effort(events=1_500_000, repetitions=7, rounds=100_000)


def run_once(case: Case, kernel: str, events: int) -> dict[str, Any]:
    """One measurement by one program; every entity gets its turn, however many they are."""
    program = PROGRAMS / f"bench_{kernel}"
    command = [str(program), case.workload, str(case.size), str(max(events, 2 * case.size))]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def check_agreement(case: Case, runs: dict[str, dict[str, Any]]) -> None:
    """Kernels that fired the same events at the same times have the same checksum."""
    sums = {kernel: (runs[kernel]["events"], runs[kernel]["checksum"]) for kernel in KERNELS}
    if len(set(sums.values())) > 1:
        sys.exit(f"bench: {case.workload} {case.size}: the kernels disagree: {sums}")


def measure(effort: Effort) -> Costs:
    """Nanoseconds an event: medians over repetitions in which all programs take turns."""
    samples: dict[tuple[Case, str], list[float]] = {}
    turns = [case for _ in range(effort.repetitions) for case in CASES]
    for case in track(turns, "measuring", console=Console(stderr=True), transient=True):
        runs = {kernel: run_once(case, kernel, effort.events) for kernel in (*KERNELS, "body")}
        check_agreement(case, runs)
        for kernel, run in runs.items():
            samples.setdefault((case, kernel), []).append(run["seconds"] * 1e9 / run["events"])
    return {key: statistics.median(values) for key, values in samples.items()}


def table(title: str, *columns: str) -> Table:
    """An empty table with numbers to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        made.add_column(column, justify="right")
    return made


def show_ratios(costs: Costs) -> None:
    """A table for each workload: the nanoseconds of an event, and how many times more elsewhere."""
    for workload, title in TITLES.items():
        shown = table(title, "armed" if workload == "phold" else "vCPUs", "body", *KERNELS, "virqsim M/s",
                      "heap / virqsim", "systemc / virqsim")
        for case in (c for c in CASES if c.workload == workload):
            body, virqsim, heap, systemc = (costs[case, kernel] for kernel in ("body", *KERNELS))
            shown.add_row(str(case.size), *(f"{ns:.1f}" for ns in (body, virqsim, heap, systemc)),
                          f"{1e3 / virqsim:.1f}", f"{heap / virqsim:.2f} x", f"{systemc / virqsim:.2f} x")
        console.print(shown)


def show_growth(costs: Costs) -> None:
    """How the cost of an event grows with the number armed, the smallest number being 1."""
    cases = [case for case in CASES if case.workload == "phold"]
    shown = table("Growth of an event's cost with the events armed (PHOLD)", "events armed", *KERNELS)
    for case in cases:
        shown.add_row(str(case.size), *(f"{costs[case, k] / costs[cases[0], k]:.2f}" for k in KERNELS))
    console.print(shown)


def count_instructions(case: Case, kernel: str) -> float:
    """Instructions an event, counted by callgrind in the measured part alone."""
    with tempfile.NamedTemporaryFile() as out:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}",
                   "--toggle-collect=*run_measured*", str(PROGRAMS / f"bench_{kernel}"), case.workload,
                   str(case.size), "20000"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    return int(collected[1]) / json.loads(done.stdout)["events"] if collected else float("nan")


def instructions_section() -> Costs:
    """Instructions do not depend on how busy the machine is, so they compare well between machines."""
    if not shutil.which("valgrind"):
        console.print("Instructions an event were not counted: valgrind is not installed.")
        return {}
    counts = {(case, kernel): count_instructions(case, kernel) for case in COUNTED for kernel in (*KERNELS, "body")}
    shown = table("Instructions an event (callgrind)", "workload", "size", "body", *KERNELS)
    for case in COUNTED:
        shown.add_row(case.workload, str(case.size), *(f"{counts[case, k]:.0f}" for k in ("body", *KERNELS)))
    console.print(shown)
    return counts


def simulator_section(effort: Effort) -> list[dict[str, Any]]:
    """Exits and IPIs that the whole simulator gets through in a second of wall time."""
    measured = [simulator.measure(vcpus, effort.rounds, effort.repetitions) for vcpus in simulator.VCPUS]
    shown = table("The simulator: ipi_ping_pong under apicv, simulated per second of wall time", "vCPUs", "exits/s",
                  "IPIs/s", "ns an event", "full trace takes")
    for row in measured:
        shown.add_row(str(row["vcpus"]), f"{row['exits_per_s']:,.0f}", f"{row['ipis_per_s']:,.0f}",
                      f"{row['seconds'] * 1e9 / row['events']:.1f}", f"{row['trace_ratio']:.2f} x")
    console.print(shown)
    return measured


def reading_section(effort: Effort) -> list[dict[str, Any]]:
    """Events of recorded traces that are read in a second of processor time."""
    measured = reading.measure(effort.rounds // 5)
    shown = table(f"Reading a trace of {measured[0]['events']:,} events", "reader", "events/s", "MiB")
    for row in measured:
        shown.add_row(row["reader"], f"{row['events_per_s']:,.0f}", f"{row['mebibytes']:.0f}")
    console.print(shown)
    return measured


def draw(costs: Costs, path: Path) -> None:
    """Nanoseconds an event against the events armed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(TITLES), figsize=(12, 4), layout="constrained", sharey=True)
    for panel, workload in zip(panels, TITLES):
        cases = [case for case in CASES if case.workload == workload]
        for kernel in (*KERNELS, "body"):
            panel.plot([c.size for c in cases], [costs[c, kernel] for c in cases], "o-", color=COLOURS[kernel],
                       label=kernel)
        panel.set(xscale="log", yscale="log", title=workload,
                  xlabel="events armed" if workload == "phold" else "vCPUs")
    panels[0].set_ylabel("ns an event")
    panels[0].legend()
    figure.savefig(path, dpi=150)


def machine() -> dict[str, str]:
    """Where this was measured: times mean nothing without it."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {"cpu": cpu[1] if cpu else "unknown", "system": platform.platform()}


def rows(costs: Costs, unit: str) -> list[dict[str, Any]]:
    """For the JSON file."""
    return [{"workload": case.workload, "size": case.size, "kernel": kernel, unit: value}
            for (case, kernel), value in costs.items()]


def write(folder: Path, document: dict[str, Any]) -> None:
    """All or nothing: a reader never sees half a file."""
    part = folder / "results.json.part"
    part.write_text(json.dumps(document, indent=1) + "\n")
    part.rename(folder / "results.json")


def main() -> None:
    """Measures everything and shows it."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events and repetitions")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench", help="folder for the results")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    options.out.mkdir(parents=True, exist_ok=True)

    costs = measure(effort)
    show_ratios(costs)
    show_growth(costs)
    counts = instructions_section()
    simulated = simulator_section(effort)
    read = reading_section(effort)
    write(options.out, {"format": "virqsim-bench-1", "machine": machine(), "effort": effort._asdict(),
                        "kernels": rows(costs, "ns"), "instructions": rows(counts, "instructions"),
                        "simulator": simulated, "reading": read})
    draw(costs, options.out / "events.png")
    console.print(f"Medians of {effort.repetitions} interleaved runs. Numbers and figure: {options.out}")


if __name__ == "__main__":
    main()
