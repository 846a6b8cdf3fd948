"""Signed URLs for layers: pure, given the key and the time.

`/_download/<digest>?expires=<epoch seconds>&signature=<hex>`: a plain GET without credentials, with ranges, as the URLs
of ECR's bucket are.
"""

from __future__ import annotations

import hashlib
import hmac

from ecrsim.core.durations import SECOND
from ecrsim.core.numbers import whole

PREFIX = "/_download/"


def _signature(secret: bytes, layer_digest: str, expires: int) -> str:
    return hmac.new(secret, f"{layer_digest}\n{expires}".encode(), hashlib.sha256).hexdigest()


def signed_path(secret: bytes, layer_digest: str, now: int, lifetime: int) -> str:
    """The path and query; `now` in epoch milliseconds, `lifetime` in seconds."""
    expires = now // SECOND + lifetime
    return f"{PREFIX}{layer_digest}?expires={expires}&signature={_signature(secret, layer_digest, expires)}"


def verify(secret: bytes, layer_digest: str, expires: str, signature: str, now: int) -> bool:
    """True for a URL of ours, unaltered and not expired."""
    moment = whole(expires)
    if moment is None:
        return False
    wanted = _signature(secret, layer_digest, moment)
    return hmac.compare_digest(wanted.encode(), signature.encode()) and now // SECOND < moment
