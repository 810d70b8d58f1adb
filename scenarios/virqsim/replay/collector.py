"""Python's collector of circles, put off while a trace is taken in.

Events, steps and programs live as long as the replay. The collector would go
through all of them again and again while they grow in number, for nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[None]:
    """Nothing is collected within; outside it is as it was."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
