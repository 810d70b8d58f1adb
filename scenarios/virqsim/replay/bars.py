"""Stacked bars as SVG with their legend, for the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from html import escape

Values = Mapping[str, Mapping[str, float]]
"""Head of a row to its parts, each with its length."""

_COLOURS = ("#33658a", "#f26419", "#6a994e", "#8e5ea2", "#f6ae2d", "#86bbd8", "#bc4749", "#2f4858", "#c9a227")
_OTHER, _GREY = "other", "#9a9a9a"
_WIDE, _BAR, _ROW, _RIGHT = 640, 20, 30, 90
_CHARACTER = 7.6  # of a head's width, at most


def bars(values: Values, bands: Mapping[str, tuple[float, ...]] | None = None, in_order: bool = False) -> str:
    """A row a head; a whisker where there is a band. The parts that are left when colours are used up become one.

    Args:
        values: the rows.
        bands: head to the ends of its whisker.
        in_order: the parts stand as in the values; else the longest first.
    """
    bands = bands or {}
    shown, colour = _coloured(values, in_order)
    ends = [sum(parts.values()) for parts in shown.values()] + [high for _, high in bands.values()]
    scale, left = _WIDE / max(*ends, 1e-9), 8 + _CHARACTER * max(map(len, shown))
    rows = "".join(_row(head, parts, colour, bands.get(head), left, n * _ROW, scale) for n, (head, parts) in enumerate(shown.items()))
    return (f"<svg viewBox='0 0 {left + _WIDE + _RIGHT:.0f} {len(shown) * _ROW}' role='img'>{rows}</svg>" + _legend(colour))


def _coloured(values: Values, in_order: bool) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """The parts in their order, and the colour of each."""
    longest = {part: max(parts.get(part, 0.0) for parts in values.values()) for row in values.values() for part in row}
    order = list(longest) if in_order else sorted(longest, key=lambda part: -longest[part])
    colour = dict(zip(order, _COLOURS, strict=False))
    shown = {}
    for head, parts in values.items():
        row: dict[str, float] = defaultdict(float)
        for part in order:
            row[part if part in colour else _OTHER] += parts.get(part, 0.0)
        shown[head] = dict(row)
    return shown, colour | ({_OTHER: _GREY} if len(order) > len(colour) else {})


def _row(head: str, parts: Mapping[str, float], colour: Mapping[str, str], band: tuple[float, ...] | None, left: float, y: int,
         scale: float) -> str:
    x, drawn = left, [f"<text x='{left - 8:.1f}' y='{y + 15}' text-anchor='end'>{escape(head)}</text>"]
    for part, length in parts.items():
        width = length * scale
        if width:
            drawn.append(f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{colour[part]}'>"
                         f"<title>{escape(head)}: {escape(part)} {length:,.0f}</title></rect>")
        x += width
    end = x
    if band:
        low, high = (left + at * scale for at in band)
        end = max(x, high)
        drawn.append(f"<path d='M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 5}v10M{high:.1f} {y + 5}v10' stroke='#1d2530' fill='none'/>")
    drawn.append(f"<text x='{end + 6:.1f}' y='{y + 15}'>{sum(parts.values()):,.0f}</text>")
    return "".join(drawn)


def _legend(colour: Mapping[str, str]) -> str:
    if len(colour) < 2:
        return ""
    items = "".join(f"<li><i style='background:{tone}'></i>{escape(part)}</li>" for part, tone in colour.items())
    return f"<ul class='legend'>{items}</ul>"
