"""The timeline of a forecast as SVG: bytes and images over the days, and marks where rules act.

Colours come from the classes, which the page's style gives for light and dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ecrsim.cost.table import size
from ecrsim.simulator.table import action_sentence

WIDTH, LEFT, RIGHT = 960, 84, 12
BYTES_TOP, BYTES_HEIGHT = 26, 170
IMAGES_TOP, IMAGES_HEIGHT = 246, 100
MARKS_TOP = IMAGES_TOP + IMAGES_HEIGHT + 24
HEIGHT = MARKS_TOP + 44
_FACTORS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_MAX_TICKS = 5
_MANY_DAYS = 400


def timeline(found: Mapping[str, Any]) -> str:
    """One `svg` element, with a title and a description for who cannot see it."""
    days = found["days"]
    last = days[-1]
    active, archived, without = (
        f"{last[name]['images']} images of {size(last[name]['bytes'])}"
        for name in ("active", "archived", "withoutPolicy")
    )
    description = (
        f"After {len(days)} days {active} are active and {archived} archived; "
        f"without the policy there would be {without}. The table of days has the numbers."
    )
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="timeline-title timeline-description">',
        f'<title id="timeline-title">{escape(found["source"]["name"])} over {len(days)} days</title>',
        f'<desc id="timeline-description">{escape(description)}</desc>',
        *_chart(days, "bytes", "bytes stored", BYTES_TOP, BYTES_HEIGHT, _size, 1024),
        *_chart(days, "images", "images", IMAGES_TOP, IMAGES_HEIGHT, lambda count: f"{count:,}", 1000),
        *_marks(days),
        *_dates(days),
        "</svg>",
    ]
    return "\n".join(parts)


def _x(day: float, days: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * day / days


def _chart(
    days: Sequence[Mapping[str, Any]],
    member: str,
    label: str,
    top: int,
    height: int,
    shown: Callable[[int], str],
    base: int,
) -> Iterator[str]:
    """Active below, archived on top of it, and a dashed line for what there would be without the policy."""
    active = [day["active"][member] for day in days]
    both = [day["active"][member] + day["archived"][member] for day in days]
    without = [day["withoutPolicy"][member] for day in days]
    step = tick_step(max(*both, *without, 1), base)
    ceiling: int = step * -(-max(*both, *without, 1) // step)

    def y(amount: float) -> float:
        return top + height - height * amount / ceiling

    yield f'<text class="label" x="{LEFT}" y="{top - 10}">{label}</text>'
    for tick in range(0, ceiling + 1, step):
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{y(tick) + 4:.1f}">{shown(tick)}</text>'
    yield f'<path class="active" d="{_area(active, [0] * len(active), y)}"/>'
    if both != active:
        yield f'<path class="archived" d="{_area(both, active, y)}"/>'
    yield f'<path class="without" d="M{_steps(without, y)}"/>'


def _size(count: int) -> str:
    return size(count).replace(".0 ", " ")


def tick_step(largest: int, base: int) -> int:
    """A round distance of ticks that makes at most five of them, in units of a power of `base`."""
    unit = 1
    while True:
        for factor in _FACTORS:
            if factor * unit * _MAX_TICKS >= largest:
                return factor * unit
        unit *= base


def _steps(amounts: Sequence[int], y: Callable[[float], float]) -> str:
    """The points of a line that is level for each day."""
    points = []
    for place, amount in enumerate(amounts):
        points += [f"{_x(edge, len(amounts)):.1f},{y(amount):.1f}" for edge in (place, place + 1)]
    return " L".join(points)


def _area(upper: Sequence[int], lower: Sequence[int], y: Callable[[float], float]) -> str:
    back = " L".join(reversed(_steps(lower, y).split(" L")))
    return f"M{_steps(upper, y)} L{back} Z"


def _marks(days: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f'<text class="label" text-anchor="end" x="{LEFT - 8}" y="{MARKS_TOP + 5}">rules act</text>'
    radius = 4 if len(days) <= _MANY_DAYS else 2
    for day in days:
        if not day["actions"]:
            continue
        kinds = {action["action"] for action in day["actions"]}
        name = "both" if len(kinds) > 1 else "expires" if "EXPIRE" in kinds else "archives"
        text = f"day {day['day']}: {'; '.join(map(action_sentence, day['actions']))}"
        x = _x(day["day"] - 0.5, len(days))
        yield f'<circle class="mark {name}" cx="{x:.1f}" cy="{MARKS_TOP}" r="{radius}">'
        yield f"<title>{escape(text)}</title></circle>"


def _dates(days: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    every = -(-len(days) // 6)
    for day in days[::every]:
        x = _x(day["day"] - 1, len(days))
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{MARKS_TOP + 12}" y2="{MARKS_TOP + 18}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{MARKS_TOP + 34}">{day["at"][:10]}</text>'
