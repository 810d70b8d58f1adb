"""The whole answer to a trace: recorded, replayed and what-ifs, side by side, as one document.

The bands are the same replays with every cost of the profile at the low, and at
the high end of its range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..bill.simulated import bill
from ..errors import VirqsimError
from . import fidelity, life, rank, unknown
from .compare import Outcome, Replay, by_reason

ENDS = ("low", "high")
_FEW = 50  # exits, of which one is more than the 2 % that are promised


@dataclass
class Answer:
    """A replay, and the same at both ends of the costs. `name`: how it is headed."""

    name: str
    outcome: Outcome
    low: Outcome
    high: Outcome

    @property
    def band(self) -> tuple[Outcome, Outcome]:
        """Both ends."""
        return self.low, self.high

    def document(self, seconds: float) -> dict[str, Any]:
        """For --json."""
        return {
            "technology": self.outcome.technology, "profile": self.outcome.results.document["profile"],
            "profile_kind": self.outcome.results.document["profile_kind"], "exits": self.outcome.by_reason,
            "exits_per_second": per_second(self.outcome.by_reason, seconds),
            "latency_ns": self.outcome.latency_ns(),
            "latency_by_source_ns": life.replayed_latency(self.outcome.results.document),
            "time_ns": life.replayed_time_ns(self.outcome.results.document),
            "band": {end: {"exits": outcome.by_reason, "time_ns": life.replayed_time_ns(outcome.results.document),
                           "latency_by_source_ns": life.replayed_latency(outcome.results.document)}
                     for end, outcome in zip(ENDS, self.band, strict=True)},
        }


def ask(replay: Replay, technology: str | None, features: dict[str, bool] | None, folder: Any = None) -> Answer:
    """Replays a trace under a technology, or under that of the recording."""
    outcome = replay.under(technology, features, folder)
    low, high = (replay.at(end).under(technology, features) for end in ENDS)
    return Answer(technology or "replayed", outcome, low, high)


def per_second(exits: dict[str, int], seconds: float) -> dict[str, float]:
    """At the pace of the recording: the demand of its seconds in its seconds."""
    return {reason: n / seconds for reason, n in exits.items()} if seconds else {}


def document(replay: Replay, here: Answer, what_ifs: Sequence[Answer], undisturbed: bool = False) -> dict[str, Any]:
    """What --json prints, and what the tables and the page are made of."""
    recorded, trace, demand = replay.demand.recorded, replay.trace, replay.demand
    costs = replay.costs(recorded.technology)
    seconds, exits = life.seconds(trace), by_reason(replay.recorded_exits)
    hosts = fidelity.hosts(replay, here.outcome)
    return {
        "trace": str(trace.path), "vcpus": len(demand.steps), "profile": costs.name,
        "profile_kind": costs.known,
        "recorded": {"technology": recorded.technology, "guest_apic": recorded.guest_apic,
                     "irqchip": recorded.irqchip, "features": recorded.features, "seconds": seconds,
                     "exits": exits, "exits_per_second": per_second(exits, seconds),
                     "time_ns": life.recorded_time_ns(trace, demand),
                     "latency_by_source_ns": life.recorded_latency(trace, demand)},
        "fidelity": fidelity.of_outcome(replay, here.outcome).document(),
        "replayed": here.document(seconds),
        "undisturbed": undisturbed, "hosts_exits": hosts,
        "what_if": {each.name: each.document(seconds) for each in what_ifs},
        "bill": _bill(here.outcome),
        "ranking": [bought.document() for bought in rank.rank(here.outcome)],
        "unknown": [row.document() for row in unknown.find(trace, demand)],
        "notes": [*notes(replay, [here.outcome, *(each.outcome for each in what_ifs)]), *_of_the_host(hosts, undisturbed)],
    }


def _of_the_host(added: dict[str, int], undisturbed: bool) -> list[str]:
    """What the host of the recording did to the guest's exits, and what the what-ifs make of it."""
    if not added:
        return []
    what = ", ".join(f"{reason} {n:+d}" for reason, n in sorted(added.items()))
    made = "the what-ifs are without that" if undisturbed else "the what-ifs keep that; --undisturbed leaves it out"
    return [f"the recording's host added by its own interrupts, and by exits that it drew out: {what}; {made}"]


def _bill(here: Outcome) -> list[dict[str, Any]]:
    """What the exits of the recorded technology were for, dearest first."""
    try:
        account, _ = bill(here.results.plan, lambda share: None)
    except VirqsimError:
        return []
    return [{"cause": line.cause, "what": line.what, "reasons": dict(line.reasons), "count": line.count,
             "ns": line.sum_ps / line.count / 1000, "share": line.sum_ps / account.billed_ps if account.billed_ps else 0.0}
            for line in sorted(account.lines, key=lambda line: -line.sum_ps)]


def notes(replay: Replay, outcomes: Sequence[Outcome]) -> list[str]:
    """How far the numbers can be trusted, a sentence each."""
    recorded, replayed = by_reason(replay.recorded_exits), outcomes[0].by_reason
    off = sum(abs(recorded.get(r, 0) - replayed.get(r, 0)) for r in recorded.keys() | replayed.keys())
    total = sum(recorded.values())
    verdict = fidelity.of_outcome(replay, outcomes[0]).verdict
    promised = {fidelity.RIGHT: "within what is promised", fidelity.WRONG: "outside of what is promised"}[verdict]
    said = [replay.trace.vm_note] if replay.trace.vm_note else []
    said += [f"under the recorded technology the replay is off by {off} of {total} exits ({100 * off / total:.1f} %): {promised}"
             + (", but so few exits tell little" if total < _FEW else "")]
    for outcome in outcomes:
        said += outcome.notes
    said += replay.demand.notes
    rows = unknown.find(replay.trace, replay.demand)
    said += [f"not in the trace: {row}" for row in rows]
    said += [f"not in the trace: {sentence}" for sentence in unknown.absent(replay.trace, replay.demand.recorded.hides_deliveries)]
    said += [f"record again, to know more: {command}" for command in dict.fromkeys(row.record for row in rows)]
    return said
