"""A plot of medians as an SVG file that reads well on light and on dark pages, without any library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from bench.figures import Spread

__all__ = ["Row", "plot_rows"]

WIDTH, LEFT, RIGHT = 760, 290, 110
TOP, LINE, BAR, GROUP_HEAD = 40, 26, 14, 30

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2937 }
.title { font-weight: 600; font-size: 15px }
.group { font-weight: 600 }
.bar { fill: #94a3b8 }
.ours { fill: #0f766e }
.span { stroke: #1f2937; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e5e7eb }
.bar { fill: #64748b }
.ours { fill: #2dd4bf }
.span { stroke: #e5e7eb }
}
"""


@dataclass(frozen=True)
class Row:
    """One bar: the group that it is in, whose it is, and how long."""

    group: str
    label: str
    spread: Spread
    is_ours: bool = False


def plot_rows(rows: Sequence[Row], *, title: str, unit: str) -> str:
    """Draw ``rows`` as bars from zero, a scale for each group; the line on a bar goes from the lowest to the highest value."""
    y = TOP
    parts = [f'<text class="title" x="8" y="22">{escape(title)}</text>']
    for group, members in groupby(rows, key=lambda row: row.group):
        y += GROUP_HEAD
        parts.append(f'<text class="group" x="8" y="{y - 8}">{escape(group)}</text>')
        inside = list(members)
        highest = max(row.spread.high for row in inside) or 1
        for row in inside:
            parts.append(_bar(row, y, (WIDTH - LEFT - RIGHT) / highest, unit))
            y += LINE
    height = y + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(row: Row, y: int, scale: float, unit: str) -> str:
    middle, low, high = (round(LEFT + scale * value, 1) for value in (row.spread.median, row.spread.low, row.spread.high))
    centre = y + BAR / 2
    kind = "bar ours" if row.is_ours else "bar"
    return (
        f'<text x="{LEFT - 10}" y="{y + 12}" text-anchor="end">{escape(row.label)}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{round(max(middle - LEFT, 1), 1)}" height="{BAR}"/>'
        f'<line class="span" x1="{low}" x2="{high}" y1="{centre}" y2="{centre}"/>'
        f'<text x="{max(middle, high) + 8}" y="{y + 12}">{_short(row.spread.median)} {escape(unit)}</text>'
    )


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
