"""The manual prints what the commands print.

Each fenced block of README.md and docs/ that shows a command, `$ virqsim …`, is
run, in an empty folder for each page with the recordings beside, and must give
the lines below it; a line `...` stands for any lines, and a command with nothing
below it for any output. A block whose first line is a comment with a file's
name, `# nested.log: …`, makes that file.

`pytest tests/python/test_docs.py --write-docs` puts the present output into the
pages, where there is no `...` in the way.
"""

import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w.-]+\.\w+): ")
ANYTHING = "..."


@dataclass
class Shown:
    """A command, what the page shows below it, and where the page has that."""

    command: str
    output: list[str]
    start: int
    end: int

    def is_met_by(self, lines):
        pattern = "\n".join("(?:.*\n)*?.*" if line == ANYTHING else re.escape(line) for line in self.output)
        return re.fullmatch(pattern, "\n".join(lines)) is not None


def commands(block, at):
    """The commands of a block that starts at this place of its page."""
    shown = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            shown.append(Shown(line[2:].rstrip("\n"), [], at + len(line), at + len(line)))
        elif shown:
            shown[-1].output.append(line.rstrip())
            shown[-1].end = at + len(line)
        at += len(line)
    return shown


def content(page):
    """The files that a page gives, by name, and the commands that it shows."""
    files, shown = {}, []
    for match in BLOCK.finditer(page):
        block = match[1]
        if name := FILE.match(block):
            files[name[1]] = block
        elif block.startswith("$ "):
            shown += commands(block, match.start(1))
    return files, shown


@pytest.fixture
def folder(tmp_path):
    """An empty folder with the recordings, and a `virqsim` that is the one under test."""
    for name in ("traces", "tests", "scenarios"):
        (tmp_path / name).symlink_to(ROOT / name)
    program = tmp_path / ".venv" / "bin" / "virqsim"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m virqsim.cli "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def said(command, folder):
    path = f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(["bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path}, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lines = [line.rstrip() for line in ended.stdout.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def pages_with_commands():
    return [page for page in PAGES if content(page.read_text())[1]]


@pytest.mark.parametrize("page", pages_with_commands(), ids=lambda page: page.name)
def test_a_page_shows_what_its_commands_print(page, folder, request):
    text = page.read_text()
    files, shown = content(text)
    for name, block in files.items():
        (folder / name).write_text(block)
    answers = [said(each.command, folder) for each in shown]
    if request.config.getoption("--write-docs"):
        page.write_text(rewritten(text, shown, answers))
    wrong = [f"$ {each.command}\n" + "\n".join(lines) for each, lines in zip(shown, answers, strict=True)
             if each.output and not each.is_met_by(lines)]
    assert not wrong, f"{page.relative_to(ROOT)} shows something else than:\n" + "\n".join(wrong)


def rewritten(text, shown, answers):
    for each, lines in reversed(list(zip(shown, answers, strict=True))):
        if each.output and ANYTHING not in each.output:
            text = text[:each.start] + "".join(line + "\n" for line in lines) + text[each.end:]
    return text


def test_three_dots_stand_for_any_lines_and_nothing_else():
    shown = Shown("virqsim", ["a", ANYTHING, "z"], 0, 0)
    assert shown.is_met_by(["a", "b", "c", "z"])
    assert not shown.is_met_by(["a", "b", "c"])
    assert not Shown("virqsim", ["a.c"], 0, 0).is_met_by(["abc"])


def test_a_block_is_read_and_written_back():
    page = "words\n```\n$ virqsim one\nold\n$ virqsim two\n```\nwords\n"
    _, shown = content(page)
    assert [(each.command, each.output) for each in shown] == [("virqsim one", ["old"]), ("virqsim two", [])]
    assert rewritten(page, shown, [["new", "newer"], ["not asked for"]]) == page.replace("old", "new\nnewer")
