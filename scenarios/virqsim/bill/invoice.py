"""The invoice: as a document, and as people read it."""

from __future__ import annotations

from typing import Any

import click

from .. import show
from ..results import Results, known_as
from .attribution import CAUSES, LEGS, Account, Line
from .counterfactual import Counterfactuals, Tried

_PS_PER_NS = 1000
_SECTIONS = {
    "operation": "what the guest's programs did",
    "delivery": "interrupts on their way to their handlers",
    "acknowledge": "handlers' acknowledgements",
    "handler": "what else handlers did",
    "host": "the host's own interrupts and scheduling",
}
assert tuple(_SECTIONS) == CAUSES


def document(run: Results, what_if: Counterfactuals) -> dict[str, Any]:
    """What --json prints."""
    base, core_hz = what_if.base, run.plan["machine"]["core_hz"]
    best = what_if.best()
    return {
        "name": run.document["name"], "technology": run.document["technology"],
        "features": run.plan.get("features", {}), "profile": run.document["profile"],
        "profile_kind": run.document["profile_kind"], "plan_hash": run.document["plan_hash"],
        "partial": run.partial, "time_ns": base.time_ps / _PS_PER_NS, "vcpus": base.vcpus, "core_hz": core_hz,
        "lines": [_line(line, what_if, core_hz) for line in base.lines],
        "causes": {cause: _sum(base, cause) for cause in CAUSES if _lines(base, cause)},
        "total": {"exits": base.exits, "sum_ns": base.billed_ps / _PS_PER_NS},
        "best": None if best is None else _effect(best, base),
        "tried": [_effect(tried, base) for tried in what_if.tried],
        "time_of_all_vcpus_ns": {"guest": base.guest_ps / _PS_PER_NS, "exits": base.billed_ps / _PS_PER_NS,
                                 "setup": base.setup_ps / _PS_PER_NS, "waiting": base.waiting_ps / _PS_PER_NS,
                                 "start": base.start_ps / _PS_PER_NS},
        "setup_exits": base.setup_exits,
        "notes": notes(run, base),
    }


def notes(run: Results, base: Account) -> list[str]:
    """What the sums are worth, a sentence each."""
    said = []
    if run.document["profile_kind"].startswith("assumed"):
        share = "All" if run.assumed_throughout else "Some"
        said.append(f"{share} numbers of the profile {run.document['profile']} are assumed, and so are the prices made of "
                    "them: compare lines before you quote one.")
    if run.plan["run"]["until_ns"] or run.partial:
        said.append("The run ends at a time, not with its programs: with fewer exits the guest comes further, and makes new ones.")
    if any(operation[0] == "host_until" for program in run.plan["programs"].values() for operation in program):
        said.append("Where the plan lets the host keep a vCPU (host_until, as replays do), that time is in `entry`.")
    if base.setup_exits:
        said.append(f"{base.setup_exits} exits of the plan's own preparations are not billed.")
    return said


def _lines(account: Account, cause: str) -> list[Line]:
    return [line for line in account.lines if line.cause == cause]


def _sum(account: Account, cause: str) -> dict[str, Any]:
    lines = _lines(account, cause)
    paid = sum(line.sum_ps for line in lines)
    return {"exits": sum(line.count for line in lines), "sum_ns": paid / _PS_PER_NS,
            "share": _share(paid, account.billed_ps)}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _line(line: Line, what_if: Counterfactuals, core_hz: int) -> dict[str, Any]:
    cheapest = what_if.cheapest(line)
    return {
        "cause": line.cause, "what": line.what, "reasons": dict(line.reasons), "count": line.count,
        "cycles_each": {leg: _cycles(line.ps[leg], core_hz) / line.count for leg in LEGS},
        "cycles": _cycles(line.sum_ps, core_hz) / line.count, "ns": line.sum_ps / line.count / _PS_PER_NS,
        "sum_ns": line.sum_ps / _PS_PER_NS, "share": _share(line.sum_ps, what_if.base.billed_ps),
        "cheapest": None if cheapest is None else {
            "features": list(cheapest.feature.adds), "removes": line.count - cheapest.account.count(line),
            "saved_ns": (what_if.base.billed_ps - cheapest.account.billed_ps) / _PS_PER_NS},
    }


def _cycles(ps: int, core_hz: int) -> float:
    return ps * core_hz / 1e12


def _effect(tried: Tried, base: Account) -> dict[str, Any]:
    """What a feature does to the whole bill."""
    effect: dict[str, Any] = {"feature": tried.feature.name, "features": list(tried.feature.adds),
                              "takes": tried.feature.takes.name.lower()}
    if tried.account is None:
        return {**effect, "refused": tried.refused}
    return {**effect, "exits": tried.account.exits, "exits_saved": base.exits - tried.account.exits,
            "sum_ns": tried.account.billed_ps / _PS_PER_NS,
            "saved_ns": (base.billed_ps - tried.account.billed_ps) / _PS_PER_NS,
            "time_ns": tried.account.time_ps / _PS_PER_NS}


# for people


def show_invoice(bill: dict[str, Any]) -> None:
    """Prints the document as an invoice."""
    switched = "".join(f", {'+' if on else '-'}{name}" for name, on in bill["features"].items())
    click.echo(f"{bill['name']}: {bill['technology']}{switched}; profile {bill['profile']} "
               f"({known_as(bill['profile_kind'])}); {bill['time_ns'] / 1e6:.3f} ms, vCPUs: {bill['vcpus']}\n")
    if not bill["lines"]:
        click.echo("No exits: nothing to pay.\n")
    for cause in bill["causes"]:
        _show_section(bill, cause)
    _show_total(bill)
    if any(tried.get("exits_saved") or "refused" in tried for tried in bill["tried"]):
        _show_tried(bill)
    for note in bill["notes"]:
        click.echo(f"- {note}")


def _show_section(bill: dict[str, Any], cause: str) -> None:
    lines = [line for line in bill["lines"] if line["cause"] == cause]
    legs = [leg for leg in LEGS if any(line["cycles_each"][leg] for line in bill["lines"])]
    total = bill["causes"][cause]
    rows = [[line["what"], " ".join(line["reasons"]), line["count"], *(round(line["cycles_each"][leg]) for leg in legs),
             round(line["cycles"]), line["ns"], line["sum_ns"] / 1e3, _percent(line["share"]), _goes_with(line)]
            for line in lines]
    mean = total["sum_ns"] / total["exits"]
    legs_mean = [round(sum(line["cycles_each"][leg] * line["count"] for line in lines) / total["exits"]) for leg in legs]
    rows.append(["subtotal", "", total["exits"], *legs_mean, sum(legs_mean), mean, total["sum_ns"] / 1e3,
                 _percent(total["share"]), ""])
    show.table(f"{cause}: {_SECTIONS[cause]}{show.caveat(bill)}",
               ["item", "exit reasons", "exits", *legs, "cycles each", "ns each", "sum us", "share", "would go with"], rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _goes_with(line: dict[str, Any]) -> str:
    if line["cheapest"] is None:
        return "-"
    features = ",".join(f"+{name}" for name in line["cheapest"]["features"])
    removes = line["cheapest"]["removes"]
    some = "" if removes == line["count"] else f" ({removes} of {line['count']})"
    return features + some + (", but others cost more" if line["cheapest"]["saved_ns"] < 0 else "")


def _show_total(bill: dict[str, Any]) -> None:
    total, time = bill["total"], bill["time_of_all_vcpus_ns"]
    whole = sum(time.values())
    show.table(f"total{show.caveat(bill)}", ["exits", "sum us", "of the vCPUs' time"],
               [[total["exits"], total["sum_ns"] / 1e3, _percent(_share(total["sum_ns"], whole))]])
    best = bill["best"]
    if best:
        features = ",".join(f"+{name}" for name in best["features"])
        click.echo(f"Of this, {_percent(best['exits_saved'] / total['exits'])} of the exits and "
                   f"{_percent(_share(best['saved_ns'], total['sum_ns']))} of the time would go with {features}\n")
    show.table(f"where the vCPUs' time went{show.caveat(bill)}", ["", "us", "share"],
               [[name, ns / 1e3, _percent(_share(ns, whole))] for name, ns in time.items() if ns]
               + [["all", whole / 1e3, _percent(1.0)]])


def _show_tried(bill: dict[str, Any]) -> None:
    """What was asked of the same plan; features without any effect are not shown."""
    rows = []
    for tried in sorted(bill["tried"], key=lambda tried: -tried.get("exits_saved", 0)):
        features = ",".join(f"+{name}" for name in tried["features"])
        if "refused" in tried:
            rows.append([features, tried["takes"], "", "", "", tried["refused"]])
        elif tried["exits_saved"] or tried["saved_ns"]:
            rows.append([features, tried["takes"], tried["exits"], f"{-tried['exits_saved']:+d}",
                         f"{-tried['saved_ns'] / 1e3:+.1f}", ""])
    show.table(f"the same plan with one more feature{show.caveat(bill)}", ["with", "takes", "exits", "exits +/-", "us +/-", ""], rows)
