"""How fast the whole simulator is: scenario ipi_ping_pong, through the Python package."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from virqsim import profiles
from virqsim.library import Simulation
from virqsim.scenario import Scenario

VCPUS = (2, 16, 256)


def plan(vcpus: int, rounds: int) -> dict[str, Any]:
    """Pairs of vCPUs that play so many rounds in all."""
    scenario, costs = Scenario.load("ipi_ping_pong"), profiles.load("skylake-sp")
    pairs = vcpus // 2
    values = scenario.values({"pairs": pairs, "rounds": max(1, rounds // pairs)}, costs.clocks)
    return scenario.plan(values).resolve(costs, "apicv")


def run(document: dict[str, Any], trace: Path | None) -> tuple[float, dict[str, Any]]:
    """The seconds that the run itself took, and its results."""
    with Simulation(document) as simulation:
        began = time.perf_counter()
        if trace:
            simulation.keep_trace(trace)
        simulation.run()
        if trace:
            simulation.close_trace()
        return time.perf_counter() - began, simulation.results()


def measure(vcpus: int, rounds: int, repetitions: int) -> dict[str, Any]:
    """One row: rates a wall second without the full trace, and what keeping it costs."""
    document = plan(vcpus, rounds)
    without, traced = [], []
    with tempfile.TemporaryDirectory(prefix="virqsim-bench-") as folder:
        trace = Path(folder, "trace.vqt")
        for _ in range(repetitions):
            seconds, results = run(document, None)
            without.append(seconds)
            traced.append(run(document, trace)[0])
            trace.unlink()  # here, not within the next run's time
    seconds = statistics.median(without)
    exits = sum(row["count"] for row in results["exits"])
    ipis = sum(row["count"] for row in results["latency"] if row["source"] == "ipi")
    return {"vcpus": vcpus, "exits": exits, "ipis": ipis, "events": results["events"], "seconds": seconds,
            "exits_per_s": exits / seconds, "ipis_per_s": ipis / seconds,
            "trace_ratio": statistics.median(traced) / seconds}
