"""What went wrong, in one line: the place, the value, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class VirqsimError(Exception):
    """A wrong plan, profile, scenario, option or file.

    Its text is one line; the command line prints it on standard error and
    ends with `exit_status`.
    """

    exit_status = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class NotModelled(VirqsimError):
    """Asked for something that exists, but that no model covers yet."""

    exit_status = 3


def unknown(place: str, value: object, known: Iterable[str]) -> VirqsimError:
    """The error for a name that is not in a list: what was given, the nearest, the list."""
    known = list(known)
    near = get_close_matches(str(value), known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return VirqsimError(f"{place}: {value!r} is unknown{hint} (there are: {', '.join(known) or 'none'})")
