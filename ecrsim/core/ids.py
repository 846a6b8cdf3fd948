"""Every identity and every secret that ecrsim invents is made here."""

from __future__ import annotations

import os
import uuid


def new_uuid() -> str:
    """A random identity in the 8-4-4-4-12 form that upload ids and request ids have."""
    return str(uuid.uuid4())


def new_secret() -> bytes:
    """32 random bytes, for keys that sign tokens and download URLs."""
    return os.urandom(32)


def stable_uuid(*parts: str) -> str:
    """The same identity for the same parts, for things that AWS has one of per account and region."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "ecrsim:" + ":".join(parts)))
