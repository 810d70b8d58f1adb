"""A reason why an interrupt is not being delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reason:
    """What holds an interrupt back."""

    name: str
    sentence: str
    evidence: tuple[str, ...]
    section: str

    def document(self) -> dict[str, Any]:
        """As --json has it."""
        return vars(self) | {"evidence": list(self.evidence)}
