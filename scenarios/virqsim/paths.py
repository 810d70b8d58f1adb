"""Where the files are that are not Python: the library, its header, profiles, scenarios, recordings.

An installed package carries them in its own folder; in a source tree each is
where it is written or built.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import VirqsimError

PACKAGE = Path(__file__).resolve().parent

# What is looked for, and where a source tree has it.
_IN_SOURCE_TREE = {
    "libvirqsim.so": "build/release/libvirqsim.so",
    "virqsim-systemc": "build/release/sim/systemc/virqsim-systemc",
    "virqsim.h": "sim/virqsim.h",
    "profiles": "models/cost/profiles",
    "scenarios": "scenarios",
    "ground_truth.csv": "tests/data/ground_truth.csv",
    "traces": "traces",
}

_RELEASE = "build/release/"


def _source_trees() -> list[Path]:
    """The source tree this package lies in, or else the one whose .venv runs it."""
    candidates = [PACKAGE.parent.parent, Path(sys.prefix).parent]
    return [tree for tree in candidates if (tree / "sim" / "virqsim.h").is_file()]


def find(name: str) -> Path:
    """The path of `name`, one of the files listed above.

    The environment variable VIRQSIM_BUILD names a build folder that comes
    first, for those who test another build than the release.

    Raises:
        VirqsimError: it is nowhere; the message says where it was looked for.
    """
    inside = _IN_SOURCE_TREE[name]
    candidates = [PACKAGE / name, *(tree / inside for tree in _source_trees())]
    build = os.environ.get("VIRQSIM_BUILD")
    if build and inside.startswith(_RELEASE):
        candidates.insert(0, Path(build) / inside.removeprefix(_RELEASE))
    for path in candidates:
        if path.exists():
            return path
    raise VirqsimError(f"{name}: not found in {', '.join(str(p.parent) for p in candidates)}; run scripts/setup")
