"""Why a row may differ: what races allow, and what is explained."""

from __future__ import annotations

from .recorded import Row

# Rows that the simulator counts otherwise, and why: operation, vendor, guest APIC.
EXPLAINED: dict[tuple[str, str, str], str] = {
    ("tpr_read", "svm", "xapic"):
        "not understood: two nested page faults where other reads took one, and KVM's code does not tell them apart",
}

# Counts that depend on who is faster: what any machine may give, by operation and vendor.
RACES: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    ("pingpong", "svm"): {"vintr": (0.0, 0.65), "hlt": (0.60, 1.0)},
    ("mixed", "svm"): {"vintr": (0.0, 0.60), "hlt": (0.95, 1.25)},
    ("lapict_fire_spin", "svm"): {"interrupt": (0.90, 1.0)},
}


def explained(row: Row) -> str | None:
    return EXPLAINED.get((row.operation, row.vendor, row.guest_apic))


def races(row: Row) -> dict[str, tuple[float, float]]:
    return RACES.get((row.operation, row.vendor), {})
