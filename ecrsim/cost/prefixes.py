"""Groups of images by what their tags begin with. Pure.

`prod-12` and `prod-13` are `prod*`, `v1.2` is `v*`. Names of other groups are in parentheses, which no tag has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

UNTAGGED, HASHES, NUMBERS = "(untagged)", "(hashes)", "(numbers)"
#: What is not there any more, or is in another storage class since.
EARLIER = "(earlier)"

_FIRST = re.compile(r"[0-9a-zA-Z]+")
_LETTERS = re.compile(r"[a-zA-Z]+")
_HEX = re.compile(r"[0-9a-f]{7,64}")


def is_hash(part: str) -> bool:
    """Whether the letters and digits look like a commit's, and not like a word or a number."""
    return _HEX.fullmatch(part) is not None and (len(part) in (40, 64) or not (part.isdigit() or part.isalpha()))


def prefix_of(image_tags: Sequence[str]) -> str:
    """The group of an image: of several tags the one that was attached first decides."""
    if not image_tags:
        return UNTAGGED
    first = _FIRST.search(image_tags[0])
    if first is None:
        return f"{image_tags[0][:1]}*"
    if is_hash(first[0]):
        return HASHES
    letters = _LETTERS.match(first[0])
    return f"{image_tags[0][: first.start()]}{letters[0]}*" if letters else NUMBERS
