"""Small things under a key: other keys, manifests. Pure, given the nonce.

AES-256-GCM; what is sealed is bound to its place, and opens nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

_NONCE = 12


class NotSealedHere(ValueError):
    """It was altered, or was sealed with another key or for another place."""


class Sealer:
    """One key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        # Imported on first use: 40 ms and 9 MB that an ecrsim without the setting `encrypt` does without.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher: Any = AESGCM(key)

    def sealed(self, content: bytes, place: str, nonce: bytes) -> bytes:
        """`nonce`: at least 12 bytes that were never used before."""
        return nonce[:_NONCE] + bytes(self._cipher.encrypt(nonce[:_NONCE], content, place.encode()))

    def opened(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for this place. NotSealedHere for any other."""
        try:
            return bytes(self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode()))
        except Exception as error:
            raise NotSealedHere(f"{place} cannot be opened: it was altered, or its key is another") from error


def derived(key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose."""
    return hmac.digest(key, f"ecrsim at rest: {purpose}".encode(), hashlib.sha256)
