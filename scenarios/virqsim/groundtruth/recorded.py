"""What real KVM did: the rows of ground_truth.csv, and what each asks of the simulator.

tests/data/ground_truth.md says where the recording is from.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from typing import Any

from .. import paths

PROVENANCE = "KVM 6.1.192 (Debian) in emulated virtualization hardware: SVM of QEMU's TCG, VMX of Bochs"


@dataclass(frozen=True)
class Row:
    """One vCPU's exits for an operation under a configuration; columns as in the file."""

    configuration: str
    guest_apic: str
    operation: str
    condition: str
    vcpu: str
    exits_per_operation: str

    @property
    def name(self) -> str:
        return "/".join((self.configuration, self.guest_apic, self.operation, self.condition, self.vcpu))

    @property
    def vendor(self) -> str:
        """`vmx` or `svm`."""
        return self.configuration.partition("-")[0]

    @property
    def exits(self) -> dict[str, float]:
        """Exits of one operation, by KVM's names."""
        pairs = (pair.rsplit(":", 1) for pair in filter(None, self.exits_per_operation.split(";")))
        return {reason: float(count) for reason, count in pairs}


@cache
def rows() -> tuple[Row, ...]:
    """All of the recording."""
    with paths.find("ground_truth.csv").open() as file:
        return tuple(Row(*(row[column] for column in Row.__dataclass_fields__)) for row in csv.DictReader(file))


# Configurations: the recording's words, one by one


@dataclass(frozen=True)
class Configuration:
    """How to simulate a row's KVM."""

    technology: str
    features: str = ""
    irqchip: str = "kernel"
    halt_poll_ns: int = 200_000


WORDS = {
    "vmx": {}, "svm": {"technology": "svm"}, "default": {}, "tick": {},
    "apicv": {"technology": "apicv"},
    "noapicv": {"technology": "none", "features": "-apic-access-page,"},  # KVM 6.1 puts it into effect with APICv only
    "noflexprio": {"features": "-apic-page-slot,"},
    "nopreempt": {"features": "-preemption-timer,"},
    "nopoll": {"halt_poll_ns": 0},
    "hltnoexit": {"features": "+hlt-in-guest,"}, "pveoi": {"features": "+pv-eoi,"},
    "split": {"irqchip": "split"}, "userirqchip": {"irqchip": "userspace"},
    "noept": {"features": "-nested-paging,-apic-access-page,"}, "nonpt": {"features": "-nested-paging,"},
}

# These rows of the recording do not name where the irqchip was or that HLT was left to the guest.
# Their counts say it (CR8 exits only without an APIC in the kernel, say), and one is the sum of two runs.
UNNAMED = {
    ("vmx-apicv-tick", "pio_in_21"): ("split", "userirqchip"), ("vmx-noapicv-tick", "pio_in_21"): ("split", "userirqchip"),
    ("vmx-apicv-tick", "pio_in_40"): ("split",), ("vmx-noapicv-tick", "pio_in_40"): ("split",),
    ("vmx-apicv-tick", "eoi"): ("split",), ("vmx-noapicv-tick", "eoi"): ("split",),
    ("vmx-apicv-tick", "cr8_write"): ("userirqchip",), ("vmx-noapicv-tick", "cr8_write"): ("userirqchip",),
    ("vmx-apicv-tick", "ipi/hlt"): ("hltnoexit",),
}


def configurations(row: Row) -> list[Configuration]:
    """What to simulate for a row: one run, or several whose counts the recording added up."""
    name, operation = row.configuration, row.operation
    more = UNNAMED.get((name, operation)) or UNNAMED.get((name, f"{operation}/{row.condition}")) or (None,)
    return [_configuration([*name.split("-"), *filter(None, [word])]) for word in more]


def _configuration(words: list[str]) -> Configuration:
    settings: dict[str, Any] = {"technology": "none"}
    for word in words:
        for key, value in WORDS[word].items():
            settings[key] = settings.get(key, "") + value if key == "features" else value
    return Configuration(**settings)
