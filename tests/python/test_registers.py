"""The chips' registers: the tables of the models against those typed from the manuals, and against the pages.

tests/spec was typed by somebody who did not look at the models' tables. So a
slip of one bit in either is found here, unless both made it.
"""

import csv
import json
from pathlib import Path

import pytest
from virqsim import registers

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "tests/spec"
PAGES = ROOT / "docs/models"


def spec(file):
    """The rows of a table typed from a manual; its comments say which."""
    lines = (SPEC / file).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def typed(what):
    return sorted(path.name.removesuffix(f"_{what}.csv") for path in SPEC.glob(f"*_{what}.csv"))


def one_by_one(rows):
    """A group of equal registers as so many rows."""
    return [{**row, "offset": row["offset"] + n * row.get("stride", 0), "msr": row.get("msr", 0) + n}
            for row in rows for n in range(row.get("count", 1))]


def place(row):
    """Where a register is, and which of those there."""
    return f"{row.get('space', '')} {row['offset']:03X} {row['name']}".strip()


def in_spec(chip):
    return {place(row | {"offset": int(row["offset"], 16)}): row for row in spec(f"{chip}_regs.csv")}


def in_table(chip):
    rows = one_by_one(registers.chip(chip)["rows"])
    if "space" not in spec(f"{chip}_regs.csv")[0]:
        rows = [{key: value for key, value in row.items() if key != "space"} for row in rows]
    return {place(row): row for row in rows}


CHIPS = [chip for chip in registers.chips() if registers.chip(chip)["rows"]]
RESET = [chip for chip in CHIPS if "reset" in registers.chip(chip)["rows"][0]]
"""Those that are chips, and no structures in memory."""


def test_every_chip_was_typed_a_second_time():
    assert sorted(CHIPS) == typed("regs")


@pytest.mark.parametrize("chip", CHIPS)
def test_the_table_has_the_registers_of_the_manual_and_no_others(chip):
    assert sorted(in_table(chip)) == sorted(in_spec(chip))


@pytest.mark.parametrize("chip", CHIPS)
def test_the_table_agrees_with_the_one_typed_from_the_manual(chip):
    ours, theirs = in_table(chip), in_spec(chip)
    differences = [
        f"{where} {column}: {ours[where][column]} in the table, {row[column]} in the manual"
        for where, row in theirs.items() if where in ours
        for column in ("width", "bits", "access", "xapic", "x2apic", "read", "write", "msr", "reset", "writable")
        if column in row and row[column] != "-" and not same(ours[where][column], row[column], column)
    ]
    assert differences == []


def same(ours, theirs, column):
    if column in ("access", "xapic", "x2apic", "read", "write", "bits"):
        return ours == theirs
    if column == "msr":
        return ours == int(theirs, 16)
    return ours == int(theirs) if column == "width" else int(ours, 16) == int(theirs, 16)


@pytest.mark.parametrize("chip", RESET)
def test_reset_and_writable_bits_fit_into_the_register(chip):
    for where, row in in_table(chip).items():
        assert len(row["reset"]) == len(row["writable"]) == 2 * row["width"], where


@pytest.mark.parametrize("chip", [chip for chip in registers.chips() if registers.chip(chip)["fields"]])
def test_the_fields_are_those_of_the_manual(chip):
    ours = {(f["register"], f["high"], f["low"], f["name"]) for f in registers.chip(chip)["fields"]}
    theirs = {(f["register"], int(f["high"]), int(f["low"]), f["name"]) for f in spec(f"{chip}_fields.csv")}
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize("chip", RESET)
def test_the_bits_that_can_be_written_are_those_of_the_manuals_fields(chip):
    """Of every register that has fields, or its two halves have; a field that is only read is in no writable bit."""
    writable = {row["name"]: int(row["writable"], 16) for row in registers.chip(chip)["rows"]}
    halves = [name.removesuffix("_LO") for name in writable if name.endswith("_LO")]
    writable |= {name: writable[f"{name}_HI"] << 32 | writable[f"{name}_LO"] for name in halves}
    named = dict.fromkeys(writable, 0)
    for field in spec(f"{chip}_fields.csv"):
        bits = (2 << int(field["high"])) - (1 << int(field["low"]))
        if field["register"] not in writable or field["access"] == "-":
            continue
        if field["access"] == "RO":
            assert not writable[field["register"]] & bits, field
        else:
            named[field["register"]] |= bits
    assert {name: bits for name, bits in named.items() if bits} == {name: writable[name] for name in named if named[name]}


def tables_of_registers():
    """The tables of registers on all pages, as text: those whose heads have a place and a register."""
    found, table = [], []
    for line in [line for page in sorted(PAGES.glob("*.md")) for line in [*page.read_text().splitlines(), ""]]:
        if line.startswith("|"):
            table.append(line + "\n")
        elif table:
            heads = {head.strip() for head in table[0].split("|")}
            if "register" in heads and heads & {"offset", "encoding"}:
                found.append("".join(table))
            table = []
    return found


@pytest.mark.parametrize("chip", CHIPS)
def test_one_page_has_the_table_that_list_registers_prints(chip, virqsim):
    said = virqsim("list", "registers", chip, "--markdown")
    assert said.status == 0
    assert tables_of_registers().count(said.out) == 1


def test_the_pages_have_no_table_of_registers_that_list_registers_does_not_print():
    printed = [registers.markdown(chip) for chip in CHIPS]
    assert [table for table in tables_of_registers() if table not in printed] == []


@pytest.mark.parametrize("chip", CHIPS)
def test_registers_are_listed_for_people_and_as_json(chip, virqsim):
    said = virqsim("list", "registers", chip)
    assert said.status == 0
    rows = json.loads(virqsim("list", "registers", chip, "--json").out)["rows"]
    assert rows
    assert all(f" {row['name']} " in said.out and row.get("title", "") in said.out for row in rows)


@pytest.mark.parametrize("structure", sorted(set(registers.chips()) - set(CHIPS)))
def test_a_structure_that_has_fields_alone_is_listed_without_registers(structure, virqsim):
    said = virqsim("list", "registers", structure)
    assert (said.status, said.out.splitlines()[0]) == (0, f"fields of {structure}")
    assert all(field["name"] in said.out for field in registers.chip(structure)["fields"])


def test_quirks_have_an_id_and_somebody_who_has_them():
    rows = registers.quirks()
    assert rows
    assert all(row["id"] and (row["qemu"] or row["kvm"]) for row in rows)
    titles = [(row["chip"], row["title"]) for row in rows]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("arguments", [["registers", "i8295"], ["quirks", "i8295"]])
def test_a_chip_that_there_is_not_is_refused(refused, arguments):
    assert "'i8295' is unknown; did you mean i8259?" in refused("list", *arguments)


@pytest.mark.parametrize("arguments", [["costs", "pit"], ["registers", "--markdown"], ["quirks", "i8259", "--markdown"],
                                       ["registers", "i8259", "--markdown", "--json"]])
def test_words_that_do_not_go_together_are_refused(refused, arguments):
    assert refused("list", *arguments)
