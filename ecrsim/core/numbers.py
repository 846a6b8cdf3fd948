"""Whole numbers as strangers write them: read here, each with a bound.

Python refuses to read more than 4,300 digits, by an error that nobody expects, and what it does read may be more than a
column of the database holds.
"""

from __future__ import annotations

import re

#: The greatest number of a column.
LARGEST = (1 << 63) - 1

_DIGITS = re.compile(r"[0-9]+")


def whole(text: str, most: int = LARGEST) -> int | None:
    """The number of `text`: decimal digits and nothing else, 0 to `most`. None for anything else."""
    found = whole_or_more(text, most)
    return None if found is None or found > most else found


def whole_or_more(text: str, most: int = LARGEST) -> int | None:
    """As `whole`, but any number greater than `most` is `most + 1`: for texts that may name a number beyond the end."""
    if _DIGITS.fullmatch(text) is None:
        return None
    digits = text.lstrip("0") or "0"
    return min(int(digits), most + 1) if len(digits) <= len(str(most)) else most + 1
