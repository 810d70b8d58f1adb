"""The chips' registers, fields and quirks, as the core describes them, and as tables.

Control structures of virtualization hardware (the VMCS, the VMCB, AVIC's tables) are chips like the others.

The documentation's tables (docs/models) are what `markdown()` gives; a test
compares them.
"""

from __future__ import annotations

from typing import Any

from . import library
from .errors import unknown

_COLUMNS = ("space", "offset", "bits", "msr", "name", "width", "access", "xapic", "x2apic", "read", "write", "reset",
            "writable", "section", "title")
_HEADS = {"name": "register", "msr": "MSR", "xapic": "xAPIC", "x2apic": "x2APIC"}


def chips() -> list[str]:
    """The chips that have a table of registers."""
    return [chip["chip"] for chip in library.describe()["registers"]]


def chip(name: str) -> dict[str, Any]:
    """One chip of describe(): its rows and fields.

    Raises:
        VirqsimError: there is no such chip.
    """
    for one in library.describe()["registers"]:
        if one["chip"] == name:
            return one
    raise unknown("chip", name, chips())


def every() -> list[dict[str, Any]]:
    """The registers of all chips, each row with its chip first."""
    return [{"chip": one["chip"], **row} for one in library.describe()["registers"] for row in one["rows"]]


def quirks(of_chip: str | None = None) -> list[dict[str, Any]]:
    """Where QEMU and KVM depart from the manuals, on request of one chip.

    Raises:
        VirqsimError: there is no such chip.
    """
    rows = library.describe()["quirks"]
    known = list(dict.fromkeys(row["chip"] for row in rows))
    if of_chip is not None and of_chip not in known:
        raise unknown("chip", of_chip, known)
    return [row for row in rows if of_chip in (None, row["chip"])]


def table(name: str, without: tuple[str, ...] = ()) -> tuple[list[str], list[list[str]]]:
    """A chip's registers as people read them: the heads of the columns, and the cells.

    A column that the chip does not have is left out, and so is the width if all registers have the same.

    Raises:
        VirqsimError: there is no such chip.
    """
    described = chip(name)
    rows, heads = described["rows"], _HEADS | {"offset": described.get("place", "offset")}
    if len({row.get("width") for row in rows}) == 1:
        without += ("width",)
    columns = [column for column in _COLUMNS if column not in without and any(column in row for row in rows)]
    digits = max((len(f"{row['offset']:X}") for row in rows), default=0)
    return ([heads.get(column, column) for column in columns],
            [[cell(row, column, max(3, digits)) for column in columns] for row in rows])


def cell(row: dict[str, Any], column: str, digits: int = 3) -> str:
    """One column of one row, as text."""
    if column in ("offset", "msr"):
        return f"{row[column]:0{digits}X}"
    if column == "access" and "read" in row:
        return f"{row['read']}, write {row['write']}"
    if column == "title" and "count" in row:
        return f"{row['title']}, {row['count']} registers, {row['stride']:X}H apart"
    if column == "access" and "xapic" in row:
        return f"{row['xapic']}, x2APIC {row['x2apic']}"
    return str(row.get(column, ""))


def markdown(name: str) -> str:
    """The table that the chip's page in docs/models has.

    Raises:
        VirqsimError: there is no such chip.
    """
    heads, rows = table(name)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
