"""The answer as one HTML page that needs nothing else: the tables, and figures in SVG."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from . import tables
from .life import PARTS
from .tables import Document, Table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1d2530; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.05rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #e3e6ea }
td.n, th.n { text-align: right } tr:last-child td { border-bottom: 0 }
.verdict { padding: .1rem .5rem; border-radius: .3rem; background: #dff0e1 } .outside { background: #f8dcd9 }
.scroll { overflow-x: auto } li, .below { color: #4a5564 } svg { max-width: 100%; height: auto }
svg text { font: 13px system-ui, sans-serif; fill: #1d2530 }
"""
_COLOURS = ("#33658a", "#f26419", "#6a994e", "#8e5ea2", "#f6ae2d", "#2f4858", "#86bbd8", "#bc4749", "#7f7f7f")
_LEFT, _WIDE, _BAR, _ROW = 110, 640, 20, 30


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
    numeric = [all(isinstance(row[n], (int, float)) for row in table.rows) for n in range(len(table.columns))]
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
    time = {head: {part: column["time_ns"][part] / 1e3 for part in PARTS if part == "exit"} for head, column in heads.items() if head != "recorded"}
    band = {head: tuple(sorted(column["band"][end]["time_ns"]["exit"] / 1e3 for end in ("low", "high")))
            for head, column in heads.items() if "band" in column}
    mark = escape(tables.caveat(tables.columns(document).values()))
    return (f"<h2>Exits{mark}</h2>{_bars(grouped, {})}"
            f"<h2>Time in exits, us, with the band over the costs' ranges{mark}</h2>{_bars(time, band)}")


def _bars(values: dict[str, dict[str, float]], bands: dict[str, tuple[float, ...]]) -> str:
    """Stacked bars, a row a head; a whisker where there is a band."""
    ends = [sum(parts.values()) for parts in values.values()] + [high for _, high in bands.values()]
    scale = _WIDE / max(*ends, 1e-9)
    order = sorted({part for parts in values.values() for part in parts}, key=lambda part: -max(p.get(part, 0) for p in values.values()))
    colour = {part: _COLOURS[min(n, len(_COLOURS) - 1)] for n, part in enumerate(order)}
    drawn = []
    for row, (head, parts) in enumerate(values.items()):
        x, y = float(_LEFT), row * _ROW
        drawn.append(f"<text x='{_LEFT - 8}' y='{y + 15}' text-anchor='end'>{escape(head)}</text>")
        for part in order:
            width = parts.get(part, 0.0) * scale
            if width:
                drawn.append(f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{colour[part]}'>"
                             f"<title>{escape(head)}: {escape(part)} {parts[part]:,.0f}</title></rect>")
            x += width
        if head in bands:
            low, high = (_LEFT + end * scale for end in bands[head])
            drawn.append(f"<path d='M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 5}v10M{high:.1f} {y + 5}v10' stroke='#1d2530' fill='none'/>")
        drawn.append(f"<text x='{max(x, _LEFT + bands.get(head, (0, 0))[1] * scale) + 6:.1f}' y='{y + 15}'>{sum(parts.values()):,.0f}</text>")
    return (f"<svg viewBox='0 0 {_LEFT + _WIDE + 90} {len(values) * _ROW + _legend_height(order)}' role='img'>{''.join(drawn)}"
            f"{_legend(order, colour, len(values) * _ROW + 14)}</svg>")


def _legend_height(order: list[str]) -> int:
    return 24 * -(-len(order) // 3) if len(order) > 1 else 0


def _legend(order: list[str], colour: dict[str, str], top: int) -> str:
    if len(order) < 2:
        return ""
    return "".join(f"<rect x='{_LEFT + n % 3 * 250}' y='{top + n // 3 * 22 - 10}' width='12' height='12' fill='{colour[part]}'/>"
                   f"<text x='{_LEFT + n % 3 * 250 + 18}' y='{top + n // 3 * 22}'>{escape(part)}</text>" for n, part in enumerate(order))
