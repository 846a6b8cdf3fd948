"""Charts of a bill as SVG: columns of days, bars of what costs most. The table beside each has its numbers.

Colours come from the classes, which the page's style gives for light and dark; each part is named in words as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from ecrsim.cost.table import money

WIDTH, LEFT, RIGHT = 960, 76, 12
TOP, HEIGHT, FOOT = 16, 200, 34
_BAR, _LABELS = 26, 320
_MAX_DATES = 6
#: Groups of items that a column is made of, from its foot.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "storage": ("standard", "archive", "archive_minimum", "public_storage", "kms_dsse"),
    "transfer": (
        "archive_retrieval",
        "transfer_same_region",
        "transfer_cross_region",
        "transfer_internet",
        "public_transfer_anonymous",
        "public_transfer_authenticated",
        "public_transfer_aws",
    ),
    "scans": ("scan_basic", "scan_enhanced_initial", "scan_enhanced_rescan"),
    "keys": ("kms_key", "kms_request", "signature"),
}


class Bar(NamedTuple):
    label: str
    amount: float


def group_amounts(items: Mapping[str, float]) -> dict[str, float]:
    """The amounts of a day by group."""
    return {name: sum(items.get(item, 0.0) for item in members) for name, members in GROUPS.items()}


def columns(days: Sequence[Mapping[str, Any]], currency: str) -> str:
    """One `svg` element: a column for each day, in the groups of items."""
    most = max((day["amount"] for day in days), default=0.0)
    step = _step(most)
    ceiling = max(step * math.ceil(most / step - 1e-9), step)

    def y(amount: float) -> float:
        return TOP + HEIGHT - HEIGHT * amount / ceiling

    total = sum(day["amount"] for day in days)
    description = f"{money(total)} {currency} in {len(days)} days, at most {money(most)} on one; see the table."
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {TOP + HEIGHT + FOOT}" role="img" aria-labelledby="daily-title daily-description">',
        '<title id="daily-title">Cost of each day</title>',
        f'<desc id="daily-description">{escape(description)}</desc>',
    ]
    for number in range(round(ceiling / step) + 1):
        height = y(number * step)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        label = f"{number * step:,.6g}"
        parts.append(f'<text text-anchor="end" x="{LEFT - 8}" y="{height + 4:.1f}">{label}</text>')
    width = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    every = -(-len(days) // _MAX_DATES)
    for place, day in enumerate(days):
        x = LEFT + place * width
        below = 0.0
        for name, amount in group_amounts(day["items"]).items():
            if amount > 0:
                top, foot = y(below + amount), y(below)
                below += amount
                text = f"{day['date']}: {name} {money(amount)} {currency}"
                parts.append(
                    f'<rect class="{name}" x="{x:.1f}" y="{top:.1f}" width="{max(width - 1, 0.5):.1f}" '
                    f'height="{foot - top:.2f}"><title>{escape(text)}</title></rect>'
                )
        if place % every == 0:
            parts.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 20}">{day["date"]}</text>')
    return "\n".join([*parts, "</svg>"])


def bars(found: Sequence[Bar], currency: str, title: str, name: str) -> str:
    """One `svg` element: a bar for each, the greatest as wide as the place for it. `name`: part of its ids."""
    most = max((bar.amount for bar in found), default=0.0) or 1.0
    room = WIDTH - _LABELS - 110
    total = sum(bar.amount for bar in found)
    description = f"{len(found)} bars, {money(total)} {currency} together; see the table."
    label = f'aria-labelledby="{name}-title {name}-description"'
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {_BAR * len(found) + 8}" role="img" {label}>',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-description">{escape(description)}</desc>',
        *_bars(found, most, room),
        "</svg>",
    ]
    return "\n".join(parts)


def _bars(found: Sequence[Bar], most: float, room: float) -> Iterator[str]:
    for place, bar in enumerate(found):
        y = 4 + place * _BAR
        width = room * max(bar.amount, 0.0) / most
        label = bar.label if len(bar.label) <= 46 else f"...{bar.label[-43:]}"
        yield f'<text class="label" text-anchor="end" x="{_LABELS - 10}" y="{y + 16}">{escape(label)}</text>'
        yield f'<rect class="bar" x="{_LABELS}" y="{y + 3}" width="{width:.1f}" height="{_BAR - 8}"/>'
        yield f'<text x="{_LABELS + width + 8:.1f}" y="{y + 16}">{money(bar.amount)}</text>'


def _step(most: float) -> float:
    """A round distance of ticks that makes at most five of them."""
    if most <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(most))
    for factor in (0.2, 0.25, 0.5, 1.0, 2.0):
        if factor * unit * 5 >= most:
            return factor * unit
    return 2.0 * unit
