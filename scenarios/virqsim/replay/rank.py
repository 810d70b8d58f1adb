"""Which feature buys most: the replay under the recorded technology again, with each feature that is off.

Nothing here knows what a feature does; the guest's demand stays the same and
its exits are counted anew. A feature that needs others brings them along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import runner
from ..bill.counterfactual import Feature, features_that_are_off
from ..errors import VirqsimError
from ..plan import housekept
from . import life
from .compare import Outcome


@dataclass(frozen=True)
class Bought:
    """What a feature spares: exits, and time in exits."""

    feature: Feature
    exits: int
    exits_saved: int
    saved_ns: float

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {"features": list(self.feature.adds), "takes": self.feature.takes.name.lower(), "exits": self.exits,
                "exits_saved": self.exits_saved, "saved_ns": self.saved_ns}


def rank(here: Outcome) -> list[Bought]:
    """Those with an effect, most exits spared first; of equals those that take fewer features, then most time."""
    base = _charged(here.results.document)
    found = []
    for feature in features_that_are_off(here.results.plan):
        switched = {**here.results.plan.get("features", {}), **dict.fromkeys(feature.adds, True)}
        try:
            document = runner.run(housekept({**here.results.plan, "features": switched})).document
        except VirqsimError:
            continue  # not on this machine
        if document["state"] != "ended":
            continue  # the guests' order does not come about with it
        exits, ns = _charged(document)
        if exits != base[0]:
            found.append(Bought(feature, exits, base[0] - exits, base[1] - ns))
    return sorted(found, key=lambda each: (-each.exits_saved, len(each.feature.adds), -each.saved_ns))


def _charged(document: dict[str, Any]) -> tuple[int, float]:
    exits = sum(row["count"] for row in document["exits"] if row["cause"] != "setup")
    return exits, life.replayed_time_ns(document)["exit"]
