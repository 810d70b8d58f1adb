"""Why a row may differ: what races allow, what is explained, what is not modelled."""

from __future__ import annotations

from collections.abc import Callable

from .recorded import Row, rows

# Rows that get no number here, and why; a row belongs to the first that fits.
NOT_MODELLED: tuple[tuple[Callable[[Row], bool], str], ...] = (
    (lambda row: row.configuration == "vmx-noept" and row.operation != "cr8_write",
     "shadow paging: MMIO leaves by a page fault (EXCEPTION_NMI)"),
    (lambda row: "PF excp" in row.exits_per_operation or _partner(row, "PF excp"),
     "shadow paging: MMIO leaves by a page fault (PF excp)"),
)

# Rows that the simulator counts otherwise, and why: operation, vendor, guest APIC.
EXPLAINED: dict[tuple[str, str, str], str] = {
    ("tpr_read", "svm", "xapic"): "two page faults where every other read of the same APIC took one: not understood",
}

# Counts that depend on who is faster: what any machine may give, by operation and vendor.
RACES: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    ("pingpong", "svm"): {"vintr": (0.0, 0.65), "hlt": (0.60, 1.0)},
    ("mixed", "svm"): {"vintr": (0.0, 0.60), "hlt": (0.95, 1.25)},
    ("lapict_fire_spin", "svm"): {"interrupt": (0.90, 1.0)},
}


def _partner(row: Row, reason: str) -> bool:
    """The same recording's other vCPU met this reason."""
    def recording(row: Row) -> tuple[str, ...]:
        return row.configuration, row.guest_apic, row.operation, row.condition
    return any(reason in other.exits_per_operation for other in rows() if recording(other) == recording(row))


def not_modelled(row: Row) -> str | None:
    return next((why for applies, why in NOT_MODELLED if applies(row)), None)


def explained(row: Row) -> str | None:
    return EXPLAINED.get((row.operation, row.vendor, row.guest_apic))


def races(row: Row) -> dict[str, tuple[float, float]]:
    return RACES.get((row.operation, row.vendor), {})
