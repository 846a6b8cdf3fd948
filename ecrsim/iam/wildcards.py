"""IAM's wildcards: `*` is any run of characters, the empty one too, and `?` any one. Pure, and linear.

A pattern is compiled to the pieces between its stars; each piece is looked for once, from left to right, and stays
where it was found first: whatever can follow a later place can follow the first one as well. An atomic group holds the
regular expression to that, so a match never goes back behind a star.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

#: A pattern as it stands in a policy, or its pieces when some of them are literal: `((text, is it literal), …)`.
Pattern = str | tuple[tuple[str, bool], ...]

#: The parts of `arn:partition:service:region:account:resource`.
ARN_PARTS = 6


def matches(pattern: Pattern, text: str) -> bool:
    """True when the whole text fits the pattern."""
    if isinstance(pattern, str) and "*" not in pattern and "?" not in pattern:
        return pattern == text
    if pattern == "*":
        return True
    return _glob(pattern).fullmatch(text) is not None


def arn_matches(pattern: Pattern, arn: str) -> bool:
    """Whether the pattern matches the ARN, part by part: a wildcard does not reach over a colon of the first five.

    That is how `ArnLike` and `ArnEquals` compare (documented). What has fewer parts is no ARN and fits nothing.
    """
    compiled = _arn_glob(pattern)
    return compiled is not None and compiled.fullmatch(arn) is not None


def literally(pattern: Pattern) -> str:
    """The pattern as a plain text, in which no character is a wildcard."""
    return pattern if isinstance(pattern, str) else "".join(text for text, _ in pattern)


@lru_cache(maxsize=4096)
def _glob(pattern: Pattern) -> re.Pattern[str]:
    return re.compile(_source(list(_elements(pattern)), "."), re.DOTALL)


@lru_cache(maxsize=4096)
def _arn_glob(pattern: Pattern) -> re.Pattern[str] | None:
    parts: list[list[str]] = [[]]
    for element in _elements(pattern):
        if element == ":" and len(parts) < ARN_PARTS:
            parts.append([])
        else:
            parts[-1].append(element)
    # A variable's value that has a colon of its own fits no part but the last.
    if len(parts) < ARN_PARTS or any(r"\:" in part for part in parts[:-1]):
        return None
    # Nothing of the first five parts matches a colon, so each ends at one certain colon and is tried once.
    sources = [_source(part, "[^:]") for part in parts[:-1]]
    return re.compile(":".join([*sources, _source(parts[-1], ".")]), re.DOTALL)


def _elements(pattern: Pattern) -> Iterator[str]:
    """One by one: `*`, `?` and `:` for themselves, any other character as it stands in a regular expression."""
    for text, is_literal in ((pattern, False),) if isinstance(pattern, str) else pattern:
        for character in text:
            if character in "*?:":
                yield rf"\{character}" if is_literal else character
            else:
                yield re.escape(character)


def _source(elements: Sequence[str], any_one: str) -> str:
    """The regular expression for a part of a pattern. `any_one` matches what `?` may stand for."""
    first, *middle = _between_stars(any_one if element == "?" else element for element in elements)
    if not middle:
        return first
    last = middle.pop()
    groups = "".join(f"(?>{any_one}*?{piece})" for piece in middle if piece)
    return f"{first}{groups}{any_one}*{last}"


def _between_stars(elements: Iterable[str]) -> list[str]:
    pieces = [""]
    for element in elements:
        if element == "*":
            pieces.append("")
        else:
            pieces[-1] += element
    return pieces
