"""Signed URLs for layers: pure, given the key and the time.

`/_download/<digest>?repository=<number>&expires=<epoch seconds>&signature=<hex>`: a plain GET without credentials, with
ranges, as the URLs of ECR's bucket are. The number is that of the repository's row: its key opens the layer.
"""

from __future__ import annotations

import hashlib
import hmac

from ecrsim.core.durations import SECOND
from ecrsim.core.numbers import whole

PREFIX = "/_download/"


def _signature(secret: bytes, layer_digest: str, repository_id: int, expires: int) -> str:
    return hmac.new(secret, f"{layer_digest}\n{repository_id}\n{expires}".encode(), hashlib.sha256).hexdigest()


def signed_path(secret: bytes, layer_digest: str, repository_id: int, now: int, lifetime: int) -> str:
    """The path and query; `now` in epoch milliseconds, `lifetime` in seconds."""
    expires = now // SECOND + lifetime
    signature = _signature(secret, layer_digest, repository_id, expires)
    return f"{PREFIX}{layer_digest}?repository={repository_id}&expires={expires}&signature={signature}"


def verify(secret: bytes, layer_digest: str, repository: str, expires: str, signature: str, now: int) -> bool:
    """True for a URL of ours, unaltered and not expired."""
    number, moment = whole(repository), whole(expires)
    if number is None or moment is None:
        return False
    wanted = _signature(secret, layer_digest, number, moment)
    return hmac.compare_digest(wanted.encode(), signature.encode()) and now // SECOND < moment
