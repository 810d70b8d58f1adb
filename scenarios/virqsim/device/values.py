"""The words of a log: numbers, and lists of vectors."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19}")
_VECTORS = re.compile(r"[0-9a-fA-F]{2}(,[0-9a-fA-F]{2})*")


def number(text: str) -> int | None:
    """A number of at most 64 bits, decimal or with 0x; None: it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    value = int(text, 0)
    return value if value < 2**64 else None


def vectors(text: str) -> list[int] | None:
    """Vectors, two hexadecimal digits each, with commas between, ascending; `-`: none of them."""
    if text == "-":
        return []
    if not _VECTORS.fullmatch(text):
        return None
    return sorted({int(vector, 16) for vector in text.split(",")})


def vectors_text(vectors: list[int]) -> str:
    """The other way."""
    return ",".join(f"{vector:02x}" for vector in vectors) or "-"
