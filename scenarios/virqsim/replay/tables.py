"""The answer's tables, from its document: for the terminal and for the page alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .. import profiles
from .life import PARTS

# KVM's names of the same exit on the two vendors, AMD's first.
TWINS = {
    "interrupt": "EXTERNAL_INTERRUPT", "vintr": "INTERRUPT_WINDOW", "hlt": "HLT", "io": "IO_INSTRUCTION",
    "cpuid": "CPUID", "pause": "PAUSE_INSTRUCTION", "wbinvd": "WBINVD", "hypercall": "VMCALL",
}
_BILL_LINES = 12
_RANKED = 12

Document = dict[str, Any]


class Table(NamedTuple):
    """A title, the heads of its columns, its rows, and what it should be read with."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    below: list[str]


def tables(document: Document) -> Iterator[Table]:
    """All of them, in the order in which they are read; those without a row are left out."""
    of_all = [make(document) for make in (exits, rates, times, latencies, ipi_stages)]
    of_recorded = [the_bill(document), ranking(document)]
    mark, marks = caveat([document["replayed"]]), caveat(columns(document).values())
    yield from (table._replace(title=table.title + said) for group, said in ((of_all, marks), (of_recorded, mark))
                for table in group if table.rows)


def caveat(under: Iterable[Document]) -> str:
    """Which of these replays have costs of which none is known."""
    marks = {each["technology"]: profiles.caveat(each["profile"], each["profile_kind"]) for each in under}
    return "".join(f"; {technology}{mark}" for technology, mark in marks.items() if mark)


def columns(document: Document) -> dict[str, Document]:
    """Head to what was replayed under it."""
    return {"replayed": document["replayed"], **document["what_if"]}


def exits(document: Document) -> Table:
    """By reason: recorded, replayed, the error, what-ifs; and what each spares."""
    recorded, heads = document["recorded"]["exits"], columns(document)
    each = [column["exits"] for column in heads.values()]
    rows = []
    for names in reasons([recorded, *each]):
        was, now, *others = (sum(counts.get(name, 0) for name in names) for counts in (recorded, *each))
        rows.append([" / ".join(names), was, now, _error(was, now), *others])
    was, now, *others = (sum(counts.values()) for counts in (recorded, *each))
    rows.append(["all", was, now, _error(was, now), *others])
    below = []
    for (name, column), n in zip(list(heads.items())[1:], others, strict=True):
        low, high = (sum(column["band"][end]["exits"].values()) for end in ("low", "high"))
        saves = f"{name} {'saves' if n <= now else 'adds'} {abs(now - n)} exits ({_percent(abs(now - n), now)})"
        below.append(saves if low == high == n else f"{saves}; {min(low, high, n)} to {max(low, high, n)} are left over the costs' ranges")
    return Table("VM exits by reason: recorded, replayed under the same hardware, and what if",
                 ["exits", "recorded", "replayed", "error", *document["what_if"]], rows, below)


def reasons(counts: list[dict[str, int]]) -> list[tuple[str, ...]]:
    """Every reason that happened; the two vendors' names of one stand in one row."""
    names = sorted(set().union(*counts))
    second = {twin for name, twin in TWINS.items() if name in names and twin in names}
    return [(name, TWINS[name]) if TWINS.get(name) in second else (name,) for name in names if name not in second]


def rates(document: Document) -> Table:
    """The same a second, at the pace of the recording."""
    recorded = document["recorded"]["exits_per_second"]
    each = [recorded, *(column["exits_per_second"] for column in columns(document).values())]
    rows = [[" / ".join(names), *(round(sum(rate.get(name, 0.0) for name in names), 1) for rate in each)]
            for names in reasons([rate for rate in each])] if recorded else []
    if rows:
        rows.append(["all", *(round(sum(rate.values()), 1) for rate in each)])
    return Table(f"Exits a second, at the recording's pace ({document['recorded']['seconds']:.3f} s)",
                 ["exits/s", "recorded", *columns(document)], rows, [])


def times(document: Document) -> Table:
    """All vCPUs' time by what they did; the costs' band of the time in exits."""
    recorded = document["recorded"]["time_ns"]
    heads = columns(document)
    rows: list[list[Any]] = [[part, recorded[part] / 1e3, *(column["time_ns"][part] / 1e3 for column in heads.values())] for part in PARTS]
    for end in ("low", "high"):
        rows.append([f"exit, costs {end}", "-", *(column["band"][end]["time_ns"]["exit"] / 1e3 for column in heads.values())])
    return Table("All vCPUs' time, us: the recording's on its machine; the replays' in exits by the cost profile",
                 ["us", "recorded", *heads], rows, ["time in the guest, blocked and polling is assumed in a replay: it waits as "
                                                    "long as the recording's order needs"])


def latencies(document: Document) -> Table:
    """Interrupts by source."""
    rows = []
    for source in _sources(document):
        for name, column in {"recorded": document["recorded"], **columns(document)}.items():
            row = column["latency_by_source_ns"].get(source)
            if row:
                rows.append([source, name, int(row["count"]), *(round(row[key]) for key in ("mean", "p50", "p99", "max")),
                             _band(column, source)])
    return Table("Interrupt latency by source, ns, raised to handler (recorded: offered to injected)",
                 ["source", "under", "interrupts", "mean", "p50", "p99", "max", "mean, costs low..high"], rows, [])


def _sources(document: Document) -> list[str]:
    found: dict[str, None] = {}
    for column in (*columns(document).values(), document["recorded"]):
        found |= dict.fromkeys(column["latency_by_source_ns"])
    return list(found)


def _band(column: Document, source: str) -> str:
    means = [column["band"][end]["latency_by_source_ns"].get(source, {}).get("mean")
             for end in ("low", "high")] if "band" in column else [None]
    return "" if None in means else f"{means[0]:.0f}..{means[1]:.0f}"


def ipi_stages(document: Document) -> Table:
    """An IPI's way; stages that take no time under any technology are left out."""
    found = {name: column["latency_ns"] for name, column in columns(document).items() if column["latency_ns"]}
    every = dict.fromkeys(stage for latency in found.values() for stage in latency["stages"])
    stages = [stage for stage in every if any(latency["stages"].get(stage) for latency in found.values())]
    rows = [[name, latency["count"], round(latency["mean"]), *(round(latency["stages"].get(stage, 0)) for stage in stages)]
            for name, latency in found.items()]
    return Table("IPI latency, ns, ICR write to handler: the mean by the step it led to", ["under", "IPIs", "mean", *stages], rows, [])


def the_bill(document: Document) -> Table:
    """What the exits of the recorded hardware were for, dearest first."""
    rows = [[line["what"], line["cause"], " ".join(line["reasons"]), line["count"], line["ns"], f"{line['share']:.1%}"]
            for line in document["bill"][:_BILL_LINES]]
    more = len(document["bill"]) - _BILL_LINES
    return Table("The bill under the recorded hardware, dearest first", ["item", "cause", "exits", "count", "ns each", "share"], rows,
                 [f"{more} more lines; `virqsim bill` of a run folder (--out) has them all"] if more > 0 else [])


def ranking(document: Document) -> Table:
    """Features by what they buy."""
    rows = [[",".join(f"+{name}" for name in each["features"]), each["takes"],
             each["exits"], f"{-each['exits_saved']:+d}", f"{-each['saved_ns'] / 1e3:+.1f}"] for each in document["ranking"][:_RANKED]]
    return Table("Which feature buys most: the recorded hardware with one more", ["with", "takes", "exits", "exits +/-", "us in exits +/-"],
                 rows, [])


def _error(recorded: int, replayed: int) -> str:
    return f"{replayed - recorded:+d} ({_percent(replayed - recorded, recorded)})" if replayed != recorded else "0"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
