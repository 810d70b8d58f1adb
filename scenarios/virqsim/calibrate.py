"""`virqsim calibrate`: a profile of your machine from what standard tools measured on it.

Read are the output of kvm-unit-tests' vmexit, in cycles of a whole round trip,
and tables of `perf kvm stat report` or perf-prof's kvm-exit, in microseconds
from kvm_exit to kvm_entry. Only rows that are one cost each are used; the
others are named, and stay what they are good for: to be predicted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from . import profiles, show
from .errors import VirqsimError
from .profiles import Profile
from .replay import reasons, source

_HARDWARE, _KVM = ("hw.exit", "hw.entry"), ("kvm.exit", "kvm.entry")
_USERSPACE = ("user.exit", "user.device", "user.entry")
_SPREAD = 0.1  # of a single measurement, which has no range of its own

# vmexit's row: what it pays beside the round trip's base, the last being what the row sets.
_VMEXIT = {
    "vmcall": ("kvm.hypercall",), "cpuid": ("kvm.cpuid",), "outl_to_kernel": ("kvm.pio_out",),
    "inl_from_kernel": ("kvm.pio_in",), "inl_from_qemu": ("kvm.pio_in", *_USERSPACE),
}
_STAT = {"VMCALL": "kvm.hypercall", "hypercall": "kvm.hypercall", "CPUID": "kvm.cpuid", "cpuid": "kvm.cpuid"}

_VMEXIT_ROW = re.compile(r"\s*([a-z][a-z0-9_]*)\s+(\d{1,9})\s*$")
_PERF_ROW = re.compile(r"\s*(\w[\w ]*?)\s+(\d{1,12})\s+[\d.]+%\s+[\d.]+%\s+([\d.]{1,12})us\s+([\d.]{1,12})us\s+([\d.]{1,12})us")
_PROF_ROW = re.compile(r"\s*(\w[\w ]*?)\s+(\d{1,12})\s+[\d.]+\s+([\d.]{1,12})\s+([\d.]{1,12})\s+([\d.]{1,12})\s+[\d.]+\s*$")


@dataclass(frozen=True)
class Measured:
    """A row: vmexit's in cycles, or an exit reason's mean in microseconds."""

    name: str
    mean: float
    microseconds: bool


def read(path: Path) -> list[Measured]:
    """The rows of a table.

    Raises:
        VirqsimError: it cannot be read, or is none of these tables.
    """
    text = b"".join(source.text(path)).decode()
    if "exit_reason" in text or "VM-EXIT" in text:
        rows = [_of_stat(path, line) for line in text.splitlines()]
    else:
        rows = [Measured(m[1], float(m[2]), False) for line in text.splitlines() if (m := _VMEXIT_ROW.match(line))]
    found = [row for row in rows if row]
    if not any(row.microseconds or row.name in _VMEXIT for row in found):
        raise VirqsimError(f"{path}: no table of kvm-unit-tests vmexit, perf kvm stat or perf-prof kvm-exit")
    return found


def _of_stat(path: Path, line: str) -> Measured | None:
    """perf has the mean in the last column, perf-prof between the least and the most."""
    if match := _PERF_ROW.match(line):
        mean = match[5]
    elif match := _PROF_ROW.match(line):
        mean = match[4]
    else:
        return None
    try:
        return Measured(reasons.normal(match[1]), float(mean), True)
    except ValueError:
        raise VirqsimError(f"{path}: {match[1]}: {mean} is no time") from None


def costs(rows: Iterable[Measured], parent: Profile) -> tuple[dict[str, tuple[int, str]], list[str]]:
    """Cost key to (cycles, the row it is from), and the rows that were not used.

    Raises:
        VirqsimError: a row is shorter than the parts that it is made of.
    """
    found: dict[str, tuple[int, str]] = {}
    unused = []
    now = dict(parent.cycles)
    base = (*_HARDWARE, *_KVM)
    # vmcall first: the base of the others is its.
    for row in sorted(rows, key=lambda row: list(_VMEXIT).index(row.name) if row.name in _VMEXIT else len(_VMEXIT)):
        if not row.microseconds and row.name in _VMEXIT:
            parts, cycles = _VMEXIT[row.name], row.mean
            set_here = (*base, *parts) if row.name == "vmcall" else parts[1:] or parts
            fixed = sum(now[key] for key in (*base, *parts) if key not in set_here)
        elif row.microseconds and row.name in _STAT:
            set_here, cycles = (_STAT[row.name],), row.mean * parent.clocks["core_hz"] / 1e6
            fixed = sum(now[key] for key in _KVM)
        else:
            unused.append(row.name)
            continue
        left = cycles - fixed
        if left < len(set_here):
            raise VirqsimError(f"calibrate: {row.name}: {cycles:.0f} cycles are less than its parts outside of "
                               f"{', '.join(set_here)}, which take {fixed}; another --profile is nearer")
        whole = sum(now[key] for key in set_here)
        for key in set_here:
            now[key] = max(1, round(now[key] * left / whole))
            found[key] = now[key], row.name
    return found, unused


def toml(found: dict[str, tuple[int, str]], parent: Profile, path: Path) -> str:
    """The profile's file: what was measured, on top of the parent's costs."""
    text = [f"# From {path.name}, by virqsim calibrate; the rest is {parent.name}'s.", f"inherits = {json.dumps(parent.name)}",
            f"title = {json.dumps(f'measured: {path.name}')}"]
    shared = {row for _, row in found.values() if sum(r == row for _, r in found.values()) > 1}
    for key, (cycles, row) in sorted(found.items()):
        low, high = int(cycles * (1 - _SPREAD)), -int(-cycles * (1 + _SPREAD) // 1)
        kind, how = ("derived", f", divided as in {parent.name}") if row in shared else ("measured", "")
        text += ["", f"[costs.{json.dumps(key)}]", f"value = {cycles}", f"low = {low}", f"high = {high}", f'kind = "{kind}"',
                 f"source = {json.dumps(f'{path.name}: {row}{how}')}"]
    return "\n".join(text) + "\n"


@click.command("calibrate")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--profile", default="skylake-sp", show_default=True, metavar="P",
              help="One of those that come with virqsim, for what the table does not tell.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.toml",
              help="Where to write the profile.")
def calibrate_command(table: Path, profile: str, out: Path) -> None:
    """Make a cost profile from the output of kvm-unit-tests vmexit, perf kvm stat or perf-prof.

    \b
      virqsim calibrate vmexit.txt --out mine.toml
      virqsim replay trace.txt --profile mine.toml
    """
    if out.suffix != ".toml":
        raise VirqsimError(f"calibrate: --out: {out} is no profile's name; end it with .toml")
    parent = profiles.load(profile)
    found, unused = costs(read(table), parent)
    try:
        out.write_text(toml(found, parent, table))
    except OSError as error:
        raise VirqsimError(f"{out}: {error.strerror}") from None
    show.table(f"{out}: what {table.name} sets, cycles", ["cost", parent.name, "here", "from"],
               [[key, parent.cycles[key], cycles, row] for key, (cycles, row) in sorted(found.items())])
    if unused:
        click.echo(f"not used, since each is of several costs: {', '.join(dict.fromkeys(unused))}")
