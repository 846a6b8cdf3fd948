"""Opaque page tokens for keyset paging.

A token holds the key of the last entry that was shown and a fingerprint of the request it belongs to, so that a token
given to another request (another repository, another filter) is refused instead of silently skipping entries.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from ecrsim.core.errors import InvalidParameterException

Row = TypeVar("Row")

#: Characters of a token: its key holds a name of 256 and a tag of 300 at most.
_LONGEST = 4096


def refuse_with(member: str, next_token: str | None, max_results: int | None) -> None:
    """InvalidParameterException for a page of what is named by the member (`imageIds`): all of it is the answer."""
    for name, value in (("nextToken", next_token), ("maxResults", max_results)):
        if value is not None:
            raise InvalidParameterException(member=name, constraint=f"{name} cannot be specified with {member}")


def _fingerprint(request: tuple[Any, ...]) -> int:
    return zlib.crc32(orjson.dumps(request))


def encode(request: tuple[Any, ...], key: list[Any]) -> str:
    """The token for the page after `key` of `request` (operation, registry and every parameter but the page's own)."""
    return base64.urlsafe_b64encode(orjson.dumps([_fingerprint(request), key])).decode()


def page_of(
    request: tuple[Any, ...], rows: list[Row], limit: int, key: Callable[[Row], list[Any]]
) -> tuple[list[Row], str | None]:
    """The first `limit` rows, and the token to go on with after them: None when `rows` has no more than these."""
    shown = rows[:limit]
    return shown, encode(request, key(shown[-1])) if len(rows) > limit else None


def decode(request: tuple[Any, ...], token: str | None, first: list[Any]) -> list[Any]:
    """The key to go on after; `first`, a key of the same types, for the first page.

    A foreign, broken or forged token: InvalidParameterException (recorded of tags/list, which hands `last` on as one).
    """
    if token is None:
        return first
    try:
        if len(token) > _LONGEST:
            raise ValueError("no token of ours is so long")
        fingerprint, key = orjson.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError):
        fingerprint, key = None, None
    fits = isinstance(key, list) and [type(part) for part in key] == [type(part) for part in first]
    if fingerprint != _fingerprint(request) or not fits or any(_is_too_big(part) for part in key or ()):
        raise InvalidParameterException(member="NextToken", constraint="Invalid next token provided")
    return list(key)


def _is_too_big(part: Any) -> bool:
    return isinstance(part, int) and not -(1 << 63) <= part < 1 << 63
