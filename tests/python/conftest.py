"""What the Python tests share: the command line, called in this process."""

import sys
from dataclasses import dataclass

import pytest

from virqsim import cli


def pytest_addoption(parser):
    parser.addoption("--write-docs", action="store_true", help="test_docs.py: put what the commands print into the pages")


@dataclass
class Said:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@pytest.fixture
def virqsim(monkeypatch, capsys, tmp_path):
    """Calls `virqsim` with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["virqsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return Said(end.value.code, said.out, said.err)

    return call


@pytest.fixture
def refused(virqsim):
    """Calls `virqsim`, which must refuse: one line, exit status 2, nothing on standard output; gives the line."""

    def call(*arguments):
        said = virqsim(*arguments)
        assert (said.status, said.out) == (2, "")
        assert said.err.count("\n") == 1
        return said.err.strip()

    return call
