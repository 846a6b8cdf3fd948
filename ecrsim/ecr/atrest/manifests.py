"""Manifests at rest: sealed under the key of their repository, bound to the digest of their image.

    8 bytes: the form and its version · 8 bytes: the number of the repository · nonce, ciphertext and tag

Which repository's key it is stands in front, so that whoever has the row needs no other. Annotations, which the rows of
images repeat for the pages of referrers, are sealed alike.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import orjson

from ecrsim.core import ids
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.ciphers import NotSealedHere
from ecrsim.ecr.atrest.service import kept_keys, open_keys_now, opened_keys
from ecrsim.ecr.repositories.protection import Protected

_FORM = b"\0ecrsim\x01"
_BEFORE = struct.Struct(">8sQ")


def sealed_manifest(call: Call, repository: Protected, image_digest: str, manifest: bytes) -> bytes:
    """The manifest as it is kept in a row. KmsException, Miss."""
    if call.runtime.keyed_blobs is None:
        return manifest
    content = opened_keys(call, repository).manifests.sealed(manifest, f"manifest {image_digest}", ids.new_secret())
    return _BEFORE.pack(_FORM, repository.id) + content


def opened_manifest(call: Call, stored: bytes, image_digest: str) -> bytes:
    """The manifest of a row. KmsException, Miss, ServiceUnavailableException where it was altered."""
    if call.runtime.keyed_blobs is None:
        return stored
    return _opened(call, stored, f"manifest {image_digest}")


def opened_manifest_now(call: Call, stored: bytes, image_digest: str) -> bytes:
    """The same in a thread that may wait, with no transaction open."""
    if call.runtime.keyed_blobs is not None and (number := _repository_of(stored)) is not None:
        with call.reading():
            kept = kept_keys(call, number)
        if kept is not None:
            open_keys_now(call, kept)
    with call.reading():
        return opened_manifest(call, stored, image_digest)


def sealed_annotations(
    call: Call, repository: Protected, image_digest: str, annotations: Mapping[str, str] | None
) -> Any:
    """Annotations as they are kept in a row: sealed ones as a list of one text. KmsException, Miss."""
    if annotations is None or call.runtime.keyed_blobs is None:
        return annotations
    content = opened_keys(call, repository).manifests.sealed(
        orjson.dumps(annotations), f"annotations {image_digest}", ids.new_secret()
    )
    return [(_BEFORE.pack(_FORM, repository.id) + content).hex()]


def opened_annotations(call: Call, stored: Any, image_digest: str) -> Mapping[str, str] | None:
    """The annotations of a row. KmsException, Miss, ServiceUnavailableException where they were altered."""
    if stored is None or call.runtime.keyed_blobs is None:
        return stored  # type: ignore[no-any-return]
    try:
        sealed = bytes.fromhex(stored[0])
    except (KeyError, TypeError, ValueError):
        raise _damaged(f"annotations {image_digest}") from None
    found: Mapping[str, str] = orjson.loads(_opened(call, sealed, f"annotations {image_digest}"))
    return found


def _repository_of(stored: bytes) -> int | None:
    return int(_BEFORE.unpack_from(stored)[1]) if stored.startswith(_FORM) and len(stored) > _BEFORE.size else None


def _opened(call: Call, stored: bytes, place: str) -> bytes:
    number = _repository_of(stored)
    kept = None if number is None else kept_keys(call, number)
    if kept is None:
        raise _damaged(place)
    try:
        return opened_keys(call, kept).manifests.opened(stored[_BEFORE.size :], place)
    except NotSealedHere as error:
        raise _damaged(place) from error


def _damaged(place: str) -> ServiceUnavailableException:
    return ServiceUnavailableException(f"The {place} is not what was stored: ecrsim fsck says what it means.")
