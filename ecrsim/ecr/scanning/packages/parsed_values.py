"""Values of JSON, YAML and TOML that were written by others: a member may be missing, or of any type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def members(value: Any) -> dict[str, Any]:
    """The members of an object; nothing of what is none."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list."""
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())


def word(value: Any) -> str:
    """A text without the space around it; "" of what is none."""
    return value.strip() if isinstance(value, str) else ""


def words(value: Any) -> tuple[str, ...]:
    """The texts of a list, or the one text."""
    found = value if isinstance(value, list) else [value]
    return tuple(text for each in found if (text := word(each)))
