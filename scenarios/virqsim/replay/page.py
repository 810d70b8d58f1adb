"""The answer as one HTML page that needs nothing else: the tables, and figures in SVG (bars.py)."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from . import bars, tables
from .life import PARTS
from .tables import Document, Table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1d2530; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.05rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #e3e6ea }
td.n, th.n { text-align: right } tr:last-child td { border-bottom: 0 }
.verdict { padding: .1rem .5rem; border-radius: .3rem; background: #dff0e1 } .outside { background: #f8dcd9 }
.scroll { overflow-x: auto } li, .below { color: #4a5564 } svg { width: 100%; max-width: 54rem; height: auto }
svg text { font: 13px system-ui, sans-serif; fill: #1d2530 }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .3rem 0 0; padding: 0; font-size: 13px }
.legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -1px }
"""

def write(document: Document, path: Path) -> None:
    """Writes the page; a half-written one never stands under its name."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(page(document))
    temporary.replace(path)


def page(document: Document) -> str:
    """The whole page."""
    name, verdict = escape(Path(document["trace"]).name), document["fidelity"]["verdict"]
    recorded = document["recorded"]
    said = (f"{document['vcpus']} vCPUs, recorded under {escape(recorded['technology'])}; guest's APIC: {escape(recorded['guest_apic'])}; "
            f"irqchip: {escape(recorded['irqchip'])}; costs: {escape(document['profile'])}, weakest: {document['profile_kind']}. "
            f"Replay under the recorded hardware: <span class='verdict {verdict}'>{verdict}</span> of what is promised.")
    body = [f"<h1>{name}: what the guest would have paid</h1><p>{said}</p>", _figures(document),
            *(_table(table) for table in tables.tables(document)),
            "<h2>How far this can be trusted</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in document["notes"]) + "</ul>"]
    return (f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<title>{name}: virqsim replay</title><style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n")


def _table(table: Table) -> str:
    numeric = [all(isinstance(row[n], (int, float)) or row[n] in ("-", "") for row in table.rows) for n in range(len(table.columns))]
    heads = "".join(f"<th{_right(number)}>{escape(column)}</th>" for column, number in zip(table.columns, numeric, strict=True))
    rows = "".join("<tr>" + "".join(f"<td{_right(number)}>{_cell(cell)}</td>" for cell, number in zip(row, numeric, strict=True))
                   + "</tr>" for row in table.rows)
    below = "".join(f"<p class='below'>{escape(line)}</p>" for line in table.below)
    return f"<h2>{escape(table.title)}</h2><div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{below}"


def _right(number: bool) -> str:
    return " class='n'" if number else ""


def _cell(cell: Any) -> str:
    return f"{cell:,.1f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else escape(str(cell))


def _figures(document: Document) -> str:
    heads = {"recorded": document["recorded"], **tables.columns(document)}
    exits = {head: column["exits"] for head, column in heads.items()}
    grouped = {head: {" / ".join(names): float(sum(counts.get(name, 0) for name in names))
                      for names in tables.reasons(list(exits.values()))} for head, counts in exits.items()}
    taken = {stage for column in heads.values() for stage, ns in column.get("latency_ns", {}).get("stages", {}).items() if ns}
    stages = {head: {stage: ns for stage, ns in column["latency_ns"]["stages"].items() if stage in taken}
              for head, column in heads.items() if column.get("latency_ns")}
    time = {head: {part: column["time_ns"][part] / 1e3 for part in PARTS if part == "exit"} for head, column in heads.items() if head != "recorded"}
    band = {head: tuple(sorted(column["band"][end]["time_ns"]["exit"] / 1e3 for end in ("low", "high")))
            for head, column in heads.items() if "band" in column}
    mark = escape(tables.caveat(tables.columns(document).values()))
    ipis = f"<h2>Mean IPI latency, ns, by the step it led to{mark}</h2>{bars.bars(stages, in_order=True)}" if stages else ""
    return (f"<h2>Exits{mark}</h2>{bars.bars(grouped)}"
            f"<h2>Time in exits, us, with the band over the costs' ranges{mark}</h2>{bars.bars(time, band)}{ipis}")
