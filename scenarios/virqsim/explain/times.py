"""Instants as people write them: 12.5us, 3ms; and as they read them."""

from __future__ import annotations

import re
from decimal import Decimal

from ..errors import VirqsimError

_PS = {"ps": 1, "ns": 10**3, "us": 10**6, "ms": 10**9, "s": 10**12}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ps|ns|us|ms|s)")


def parse(place: str, text: str) -> int:
    """Picoseconds since power-on.

    Raises:
        VirqsimError: it is no number with a unit.
    """
    match = _FORM.fullmatch(text.strip())
    if not match:
        raise VirqsimError(f"{place}: {text!r} is not a time: write a number and {', '.join(_PS)}, as in 12.5us")
    return int(Decimal(match[1]) * _PS[match[2]])


def us(ps: int) -> str:
    """An instant in microseconds, to the picosecond that matters."""
    return f"{ps / _PS['us']:.4f}"


def ns(ps: int) -> str:
    """A duration in nanoseconds."""
    return f"{ps / _PS['ns']:.1f}"
