"""The page of the hypervisor names KVM's functions and who plays their part: those that play one must exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HYPERVISOR = ROOT / "models/hypervisor"


def parts():
    """(KVM's functions, [(function, file)]) of each row of the table."""
    page = (ROOT / "docs/models/hypervisor.md").read_text()
    table = page.split("## KVM's functions, and who plays their part\n")[1].split("\n## ")[0]
    for row in (line.split("|")[2:4] for line in table.splitlines() if line.startswith("| ") and "`" in line):
        here = [(name, file) for names, file in re.findall(r"((?:`\w+\(\)`(?:, )?)+) in `(\w+\.c)`", row[1])
                for name in re.findall(r"\w+(?=\(\))", names)]
        yield re.findall(r"\w+(?=\(\))", row[0]), here


def test_the_table_has_the_functions_that_the_run_loop_mirrors():
    rows = list(parts())
    assert len(rows) >= 13
    assert all(kvm and here for kvm, here in rows)


@pytest.mark.parametrize(("name", "file"), sorted({part for _, here in parts() for part in here}))
def test_who_plays_a_part_is_there(name, file):
    assert re.search(rf"^(?:static )?[a-z][\w *]*\b{name}\(", (HYPERVISOR / file).read_text(), re.MULTILINE)
