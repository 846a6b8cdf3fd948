"""Spans of time as people type them: `14d`, `1d12h`, `90s`, `2w`."""

from __future__ import annotations

import re

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:[0-9]{1,12}[wdhms])+")
_PART = re.compile(r"([0-9]+)([wdhms])")


def seconds_of(text: str) -> int:
    """ValueError, with a text that says what would do."""
    if _SPAN.fullmatch(text) is None:
        if text.isascii() and text.isdigit():
            raise ValueError(f"{text} of what? A time has a unit: {text}s, {text}m, {text}h, {text}d, {text}w")
        raise ValueError(f"{text} is not a time such as 14d, 12h, 90s, 2w or 1d12h")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
