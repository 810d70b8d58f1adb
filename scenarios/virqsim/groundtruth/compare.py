"""Simulates rows of the recording, and says of each how the two counts compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from .. import features, profiles, runner
from ..errors import VirqsimError
from ..plan import Hypervisor, Plan
from . import reasons, recorded
from .operations import OPERATIONS, Bench
from .recorded import Configuration, Row

REPETITIONS = 48  # what `mixed` does every 16th turn is done three times
NOISE = 0.05  # the host's own interrupts, and setting up once
PROFILE = "skylake-sp"  # costs decide races, and nothing else here

EQUAL, RACE, EXPLAINED, NOT_MODELLED, DIFFERENT = "equal", "within a race", "explained", "not modelled", "different"
VERDICTS = (EQUAL, RACE, EXPLAINED, NOT_MODELLED, DIFFERENT)

Exits = dict[str, float]


@cache
def _counts(operation: str, condition: str, guest_apic: str, configuration: Configuration,
            times: int) -> Counter[tuple[int, str]]:
    # QEMU gives no x2APIC without an APIC in the kernel; what is counted there does not touch the APIC.
    bench = Bench("xapic" if configuration.irqchip == "userspace" else guest_apic, times, condition)
    OPERATIONS[operation](bench)
    hypervisor = Hypervisor(irqchip=configuration.irqchip, halt_poll_ns=configuration.halt_poll_ns)
    plan = Plan(operation, bench.machine, hypervisor, features=bench.features)
    document = runner.run(plan.resolve(profiles.load(PROFILE), configuration.technology,
                                       features.parse(configuration.features.rstrip(",")))).document
    if document["state"] != "ended":
        raise VirqsimError(f"{operation}: {document['broken'] or document['state']}")
    counts: Counter[tuple[int, str]] = Counter()
    for row in document["exits"]:
        counts[row["vcpu"], row["reason"]] += row["count"]
    return counts


def simulated(row: Row) -> Exits:
    """Exits of the row's vCPU by reason, for one operation: what repeating it adds to not doing it."""
    vcpu, counts = int(row.vcpu.removeprefix("vcpu")), Counter[str]()
    for configuration in recorded.configurations(row):
        what = row.operation, row.condition, row.guest_apic, configuration
        busy, idle = _counts(*what, REPETITIONS), _counts(*what, 0)
        counts.update({reason: n - idle[where, reason] for (where, reason), n in busy.items() if where == vcpu})
    return {reason: n / REPETITIONS for reason, n in sorted(counts.items()) if n}


def equal(there: Exits, here: Exits) -> bool:
    return all(abs(here.get(reason, 0) - there.get(reason, 0)) <= NOISE for reason in {*here, *there})


def agree(row: Row, here: Exits) -> bool:
    """Equal; counts that are a race need only be what the race allows."""
    there, races = row.exits, reasons.races(row)
    certain = [{reason: count for reason, count in counts.items() if reason not in races} for counts in (there, here)]
    return equal(*certain) and all(low <= here.get(reason, 0) <= high for reason, (low, high) in races.items()
                                   if reason in there or reason in here)


@dataclass(frozen=True)
class Comparison:
    """A row, both counts (none where it is not modelled), and how they compare."""

    row: Row
    here: Exits | None
    verdict: str
    why: str | None = None

    def document(self) -> dict[str, Any]:
        row = self.row
        return {"configuration": row.configuration, "guest_apic": row.guest_apic, "operation": row.operation,
                "condition": row.condition, "vcpu": row.vcpu, "recorded": row.exits, "simulated": self.here,
                "verdict": self.verdict, "why": self.why}


def compare(row: Row) -> Comparison:
    """Simulates one row."""
    if row.operation not in OPERATIONS:
        return Comparison(row, None, NOT_MODELLED, "no plan does this operation")
    here = simulated(row)
    if equal(row.exits, here):
        return Comparison(row, here, EQUAL)
    if agree(row, here):
        return Comparison(row, here, RACE, _allowed(row))
    why = reasons.explained(row)
    return Comparison(row, here, EXPLAINED if why else DIFFERENT, why)


def _allowed(row: Row) -> str:
    ranges = (f"{reason} {low:g} to {high:g}" for reason, (low, high) in reasons.races(row).items())
    return f"a race allows {', '.join(ranges)}"


def compare_all(rows: Iterable[Row], progress: Callable[[float], None] = lambda done: None) -> list[Comparison]:
    """Simulates rows in order; `progress` hears how far that is, 0 to 1."""
    chosen, compared = list(rows), []
    for row in chosen:
        compared.append(compare(row))
        progress(len(compared) / len(chosen))
    return compared


def tally(compared: Iterable[Comparison]) -> dict[str, int]:
    """How many rows got each verdict."""
    counts = Counter(one.verdict for one in compared)
    return {verdict: counts[verdict] for verdict in VERDICTS}
