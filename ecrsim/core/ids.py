"""Every identity and every secret that ecrsim invents is made here."""

from __future__ import annotations

import os
import uuid

#: Version 4, variant of RFC 9562: the bits that are random, and those that are not.
_RANDOM, _VERSION = 0xFFFFFFFF_FFFF_0FFF_3FFF_FFFFFFFFFFFF, 0x4000_8000_000000000000


def new_uuid() -> str:
    """A random identity in the 8-4-4-4-12 form that upload ids and request ids have."""
    # As `uuid.uuid4` makes it, which takes three times as long.
    digits = f"{int.from_bytes(os.urandom(16)) & _RANDOM | _VERSION:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_secret() -> bytes:
    """32 random bytes, for keys that sign tokens and download URLs."""
    return os.urandom(32)


def stable_uuid(*parts: str) -> str:
    """The same identity for the same parts, for things that AWS has one of per account and region."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "ecrsim:" + ":".join(parts)))
