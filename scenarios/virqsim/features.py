"""Features, switched on top of a technology: `+pv-eoi,-posted-interrupts`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import library
from .errors import VirqsimError, unknown
from .hypothetical import underneath


def parse(text: str, declared: Iterable[str] = ()) -> dict[str, bool]:
    """The plan's `features`: name to on or off.

    `declared` names hypothetical features, which can be switched on.

    Switching one off also switches off those that cannot be without it, but
    for those that are switched on by name: that contradiction is the plan's to
    refuse.

    Raises:
        VirqsimError: no such feature, or neither + nor - before it.
    """
    switched: dict[str, bool] = {}
    known = [*library.names("features"), *declared]
    for word in filter(None, text.split(",")):
        sign, name = word[0], word[1:]
        if sign not in "+-":
            raise VirqsimError(f"features: {word!r}: write +{word} or -{word}")
        if name not in known:
            raise unknown("features", name, known)
        switched[name] = sign == "+"
    return _without_dependents(switched)


def _without_dependents(switched: dict[str, bool]) -> dict[str, bool]:
    """`switched`, and off what needs something that is off; rows come after what they need."""
    whole = dict(switched)
    for row in library.describe()["features"]:
        if any(whole.get(needed) is False for needed in row["needs"]):
            whole.setdefault(row["name"], False)
    return whole


def switched_on(plan: dict[str, Any]) -> set[str]:
    """The features that are on in a plan: its technology's, and what is switched on top."""
    described = library.describe()
    technology = next(row for row in described["technologies"] if row["name"] == underneath(plan))
    switched = plan.get("features", {})
    return {row["name"] for row in described["features"] if switched.get(row["name"], row["name"] in technology["features"])}
