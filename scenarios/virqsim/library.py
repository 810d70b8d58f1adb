"""The C core, through the one door that `sim/virqsim.h` is.

The declarations are read from that header, so no list of functions is kept
twice; `describe()` gives the lists of names that the core knows, so none of
those is either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import cffi

from . import paths
from .errors import VirqsimError
from .signals import told_to

NEVER = 2**64 - 1
"""VIRQSIM_NEVER: no time at all, in picoseconds."""

_SLICE_EVENTS = 100_000  # some 10 ms of wall time: Ctrl-C and a progress bar are prompt
_STATES = ("running", "ended", "idle", "broken")  # enum virqsim_state


def declarations(header: str) -> str:
    """What cffi reads of a C header: no C++ part, no preprocessor lines."""
    header = re.sub(r"#ifdef __cplusplus.*?#endif", "", header, flags=re.S)
    return re.sub(r"^\s*#.*$", "", header, flags=re.M)


@cache
def core() -> tuple[cffi.FFI, Any]:
    """cffi's view of the header, and the library: for the modules that wrap a part of it."""
    ffi = cffi.FFI()
    ffi.cdef(declarations(paths.find("virqsim.h").read_text()))
    library = paths.find("libvirqsim.so")
    try:
        return ffi, ffi.dlopen(str(library))
    except OSError as error:
        raise VirqsimError(f"{library}: cannot be loaded: {error}") from None


def _take_json(ffi: cffi.FFI, lib: Any, string: Any) -> dict[str, Any]:
    """The document in a string that the core made, which is given back."""
    if string == ffi.NULL:
        raise VirqsimError("virqsim: out of memory")
    try:
        return json.loads(ffi.string(string))
    finally:
        lib.virqsim_free(string)


@cache
def describe() -> dict[str, Any]:
    """What the core knows: technologies, features, exit reasons, costs, operations, as lists of rows."""
    ffi, lib = core()
    return _take_json(ffi, lib, lib.virqsim_describe())


def names(table: str) -> list[str]:
    """The `name` column of one of describe()'s tables."""
    return [row["name"] for row in describe()[table]]


def vendor(technology: str) -> str:
    """Whose hardware a technology is: `vmx`, `svm` or `e2k`; "" for one that the core does not know."""
    return next((row["vendor"] for row in describe()["technologies"] if row["name"] == technology), "")


@dataclass(frozen=True)
class Explored:
    """What came of a schedule.

    Args:
        places: how often another event could have overtaken the next one.
        signature: of what every vCPU went through, but for the times.
        findings: of the watchdog.
        past: for each event held back, how many overtook it.
    """

    places: int
    signature: int
    findings: int
    past: tuple[int, ...]


class Simulation:
    """One machine, built from a plan.

    A process may hold many, and threads may run different ones side by side.

    Args:
        plan: the plan (docs/plan.md) as a dictionary.

    Raises:
        VirqsimError: the plan is wrong; the line names the place.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._ffi, self._lib = core()
        self._sim = self._ffi.NULL
        self.state = "running"
        self.interrupted_by = 0
        """The signal that ended run(), or 0."""
        text = json.dumps(plan, sort_keys=True, separators=(",", ":")).encode()
        error = self._ffi.new("struct virqsim_error *")
        self._sim = self._lib.virqsim_open(text, len(text), error)
        if self._sim == self._ffi.NULL:
            raise self._failure(error)

    def _failure(self, error: Any) -> VirqsimError:
        return VirqsimError(self._ffi.string(error.message).decode(errors="replace"))

    @property
    def now_ps(self) -> int:
        """Simulated time since power-on, in picoseconds."""
        return self._lib.virqsim_now(self._sim)

    def keep_trace(self, path: Path) -> None:
        """Writes the full trace (docs/results.md) to `path` from now on, until close().

        Raises:
            VirqsimError: the file cannot be written.
        """
        error = self._ffi.new("struct virqsim_error *")
        if not self._lib.virqsim_trace_open(self._sim, str(path).encode(), error):
            raise self._failure(error)

    def close_trace(self) -> None:
        """Ends the trace file.

        Raises:
            VirqsimError: something of it could not be written.
        """
        error = self._ffi.new("struct virqsim_error *")
        if not self._lib.virqsim_trace_close(self._sim, error):
            raise self._failure(error)

    def run(self, progress: Callable[[float], None] | None = None, until_ps: int = NEVER) -> str:
        """Runs to the end, in slices.

        SIGINT and SIGTERM end the run at the next event boundary between
        slices; results() are then marked partial.

        Args:
            progress: called after each slice with how far the run has come, 0 to 1.
            until_ps: simulated time at which to stop, in picoseconds.

        Returns:
            `ended`, `idle` (a deadlock), `broken` (a law was, or the guest crashed, or the host gave up), or
            `running` when it was interrupted or came to `until_ps`.
        """
        caught: list[int] = []
        with told_to(caught.append):
            self.state = "running"
            while self.state == "running" and not caught:
                self.state = _STATES[self._lib.virqsim_run(self._sim, until_ps, _SLICE_EVENTS)]
                if self.state == "running" and self._lib.virqsim_next(self._sim) >= until_ps:
                    break
                if progress:
                    progress(self._lib.virqsim_progress(self._sim))
        self.interrupted_by = caught[0] if caught else 0
        return self.state

    def results(self) -> dict[str, Any]:
        """Counters, histograms and accounting (docs/results.md), at any time."""
        results = _take_json(self._ffi, self._lib, self._lib.virqsim_results(self._sim))
        if self.interrupted_by:
            results["partial"] = True
        return results

    def hold_back(self, window_ns: int, holds: Sequence[tuple[int, int]]) -> None:
        """Puts a schedule in force (docs/race.md), before the first run().

        Args:
            window_ns: how much later than due an event may fire.
            holds: place, and past how many other events; ascending.

        Raises:
            VirqsimError: there are too many.
        """
        given = self._ffi.new("struct virqsim_hold[]", [list(hold) for hold in holds])
        if not self._lib.virqsim_schedule(self._sim, window_ns * 1000, given, len(holds)):
            raise VirqsimError(f"schedule: {len(holds)} events held back are too many")

    def explored(self) -> Explored:
        """What came of a schedule."""
        found = self._ffi.new("struct virqsim_explored *")
        self._lib.virqsim_exploration(self._sim, found)
        return Explored(found.places, found.signature, found.findings, tuple(found.past))

    def vcpu_state(self, vcpu: int) -> dict[str, Any]:
        """One vCPU's registers and what stands around them (docs/explain.md), as they are now.

        Raises:
            VirqsimError: there is no such vCPU.
        """
        string = self._lib.virqsim_vcpu_state(self._sim, vcpu)
        if string == self._ffi.NULL:
            raise VirqsimError(f"vcpu: {vcpu} is not one of this machine")
        return _take_json(self._ffi, self._lib, string)

    def close(self) -> None:
        """Gives the machine back; a second call does nothing."""
        if self._sim != self._ffi.NULL:
            self._lib.virqsim_close(self._sim)
            self._sim = self._ffi.NULL

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
