"""What went wrong, in one line: the place, the value, and what would be right."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any


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


class one_line_errors:
    """Turns whatever a user's own file raises into one line with its place.

    Args:
        what: the kind of file, for the line's beginning.
        path: the file.
    """

    def __init__(self, what: str, path: Path) -> None:
        self._what, self._path = what, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: Any) -> None:
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, VirqsimError):
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(self._path)]
            line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
            raise VirqsimError(f"{self._what} {self._path}:{line}: {type(error).__name__}: {error}") from error
