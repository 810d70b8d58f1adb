"""The shortest part of a trace that still shows a property, by delta debugging (Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input").

What is taken away at once is never a single line: an exit goes with all that its
thread prints up to its next entry, and what another thread prints goes by the call that it is
part of. So what is left reads like a trace. In the end no single piece can be taken away, unless the
tests were used up before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..replay.reader import Event

_CALLS = ("kvm_set_irq", "kvm_msi_set_irq", "tracing_mark_write")
_T = TypeVar("_T")


def pieces(events: Sequence[Event]) -> list[list[int]]:
    """The indexes of the events that go together, a list for each piece."""
    open_pieces: dict[int | None, list[int]] = {}
    done: list[list[int]] = []
    for index, event in enumerate(events):
        begins = event.name == "kvm_exit" or event.vcpu is None and event.name in _CALLS
        piece = open_pieces.get(event.pid)
        if piece is None or begins:
            piece = []
            open_pieces[event.pid] = piece
            done.append(piece)
        piece.append(index)
        if event.name == "kvm_entry":
            del open_pieces[event.pid]
    return done


def shrink(items: Sequence[_T], shows: Callable[[Sequence[_T]], bool], tests: int) -> tuple[list[_T], bool]:
    """A part of `items` that still shows it, and whether nothing more can be taken away; at most so many tests."""
    kept, parts, left = list(items), 2, tests
    while len(kept) >= 2:
        size = -(-len(kept) // parts)
        taken = False
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size:]
            if not left:
                return kept, False
            left -= 1
            if rest and shows(rest):
                kept, parts, taken = rest, max(parts - 1, 2), True
                break
        if not taken:
            if size == 1:
                return kept, True
            parts = min(2 * parts, len(kept))
    return kept, True
