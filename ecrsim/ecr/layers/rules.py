"""Decisions about layer uploads."""

from __future__ import annotations


def part_follows(first_byte: int, last_byte: int, length: int, received: int) -> bool:
    """Parts are consecutive, and as long as they say."""
    return first_byte == received and last_byte - first_byte + 1 == length


def is_small(length: int, minimum: int) -> bool:
    return length < minimum
