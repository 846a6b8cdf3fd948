"""Blobs for another process of this machine: a path, or what opens an encrypted file.

Such a place has the key of its space in it. It is sent through a pipe, and written down nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

_ENCRYPTED = "encrypted:"


def encrypted_place(root: Path, space: str, key: bytes, digest: str) -> str:
    """The place of a blob in an encrypted store under `root`."""
    return _ENCRYPTED + json.dumps([str(root), space, key.hex(), digest])


def open_place(place: str) -> BinaryIO:
    """The blob, open for reading from its start. OSError, of which BlobDamaged is one."""
    if not place.startswith(_ENCRYPTED):
        return Path(place).open("rb")
    # Imported when there is such a place: 40 ms and 9 MB, most of them `cryptography`'s.
    from ecrsim.blobs.spaces import open_blob

    root, space, key, digest = json.loads(place.removeprefix(_ENCRYPTED))
    return open_blob(Path(root), space, bytes.fromhex(key), digest)
