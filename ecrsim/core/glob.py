"""Wildcard patterns: `*` is any run of characters, the empty one too; everything else is literal.

The match is anchored at both ends, case sensitive and linear in the text for each star: the leftmost place of each part
is as good as any.
"""

from __future__ import annotations


def matches(pattern: str, text: str) -> bool:
    return has_parts(pattern.split("*"), text)


def has_parts(parts: list[str], text: str) -> bool:
    """Whether the text is these parts with anything between them."""
    first, *rest = parts
    if not rest:
        return text == first
    last = rest.pop()
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in rest:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
