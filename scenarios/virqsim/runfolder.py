"""Run folders appear whole or not at all: they are written beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from .errors import VirqsimError


class RunFolder:
    """A context manager: the files go into the folder that it gives; at its end that takes its name.

    An older one of that name, which `marker` in it tells, is replaced; anything
    else is left alone and refused.

    Raises:
        VirqsimError: on entering, so before anything was run: the place cannot
            be written, or something that is no run folder is there.
    """

    def __init__(self, folder: str | Path, marker: str = "results.json") -> None:
        self._folder = Path(folder)
        self._marker = marker
        self._work: Path | None = None

    def __enter__(self) -> Path:
        folder = self._folder
        if folder.exists() and not (folder / self._marker).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise VirqsimError(f"out: {folder} exists and has no {self._marker}; name another folder")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            self._work.chmod(0o777 & ~_umask())
        except OSError as error:
            raise VirqsimError(f"out: {folder} cannot be written: {error.strerror}") from None
        return self._work

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._work
        try:
            if kind is None:
                if self._folder.exists():
                    shutil.rmtree(self._folder)
                self._work.rename(self._folder)
            elif isinstance(error, OSError):
                raise VirqsimError(f"out: {self._folder} cannot be written: {error.strerror}") from None
        except OSError as problem:
            raise VirqsimError(f"out: {self._folder} cannot be written: {problem.strerror}") from None
        finally:
            shutil.rmtree(self._work, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
