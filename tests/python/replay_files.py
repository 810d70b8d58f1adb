"""Where the replay tests find recordings, and the one profile that they use."""

from functools import cache
from pathlib import Path

from virqsim import profiles
from virqsim.replay import reader
from virqsim.replay.compare import Replay, by_reason

ROOT = Path(__file__).resolve().parents[2]
TRACES = ROOT / "traces"
FORMS = ROOT / "tests" / "data" / "trace_forms"


def recordings(pattern="*"):
    """The names of the recordings in traces/, without their ending."""
    return sorted(path.name.removesuffix(".txt.gz") for path in TRACES.glob(f"{pattern}.txt.gz"))


def trace(name):
    """A recording, read."""
    return reader.read(TRACES / f"{name}.txt.gz")


@cache
def replay(name):
    """A recording, taken apart."""
    return Replay(trace(name), profiles.load("skylake-sp"))


def replayed(name, technology=None, features=None):
    """Exit reason to exits, of a replay that came to its end."""
    outcome = replay(name).under(technology, features)
    assert outcome.results.document["state"] == "ended", (name, technology, outcome.notes)
    return outcome.by_reason


def recorded(name):
    """Exit reason to exits, as recorded."""
    return by_reason(trace(name).exits())
