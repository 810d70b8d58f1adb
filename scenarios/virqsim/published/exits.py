"""Exits that publications count. They do not depend on costs; what is counted is what `virqsim probe` counts."""

from __future__ import annotations

from ..probe import Probe, probe
from ..profiles import Profile
from .figure import Figure, Measure, ratio

_ERRATUM = "commit 8de4a1c8164e"


def counted(what: Probe, *parts: str) -> Measure:
    """Exits of one operation: those of its `sender`, `target` and `eoi`, as far as they are named."""
    def measure(_: Profile) -> float:
        counts = probe(what)["per_operation"]
        return float(sum(sum(counts[part].values()) for part in parts))
    return measure


def _avic(operation: str, *parts: str) -> Measure:
    return counted(Probe(operation, "avic", "+erratum-1235", "xapic"), *parts)


def _exits_of_an_interrupt(features: str) -> Measure:
    return counted(Probe("msi.irqfd", "none", features, "xapic"), "target", "eoi")


_PV_EOI = "M. S. Tsirkin, commit ad56aa1177d6, 2012: 'as much as by half'"

FIGURES = (
    Figure("P4.9", "exits of an interrupt with PV EOI, for each without", 0.5, "exits", _PV_EOI, "sandy-bridge",
           (_exits_of_an_interrupt("+pv-eoi"), _exits_of_an_interrupt("")), ratio),
    Figure("A4.2-send", "exits of sending an IPI under erratum 1235", 1, "exits", _ERRATUM, "zen2",
           (_avic("ipi.unicast", "sender"),)),
    Figure("A4.2-receive", "exits of receiving it", 0, "exits", _ERRATUM, "zen2", (_avic("ipi.unicast", "target", "eoi"),)),
    Figure("A4.2-self", "exits of a self-IPI under erratum 1235", 0, "exits", _ERRATUM, "zen2",
           (_avic("ipi.self", "sender", "target", "eoi"),)),
)
