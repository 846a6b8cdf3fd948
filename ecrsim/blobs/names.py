"""The names of blobs in a store as a whole: a digest; where spaces are encrypted apart, a digest and its space."""

from __future__ import annotations

import re

from ecrsim.blobs.base import split_digest

_SPACE = re.compile("[0-9a-f]{32}")


def is_space(text: str) -> bool:
    """Whether this may be the name of a key space."""
    return _SPACE.fullmatch(text) is not None


def stored_name(digest: str, space: str) -> str:
    """The name of a space's blob in the store as a whole."""
    return f"{digest}@{space}"


def split_name(name: str) -> tuple[str, str] | None:
    """(digest, space) of a well-formed name of both, else None."""
    digest, _, space = name.partition("@")
    return (digest, space) if is_space(space) and split_digest(digest) else None


def digest_in(name: str) -> str:
    """The digest in a name of either kind."""
    return name.partition("@")[0]
