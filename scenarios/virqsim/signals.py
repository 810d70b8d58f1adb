"""Ctrl-C and SIGTERM while a run goes on: told to the run, which ends in its own order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def told_to(act: Callable[[int], object]) -> Iterator[None]:
    """Calls `act` with the number of each SIGINT and SIGTERM, instead of what they did before.

    Only the main thread can do so; in another, signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, lambda number, _: act(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
