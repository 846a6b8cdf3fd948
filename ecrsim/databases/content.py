"""The bytes of one blob store in another one, and the proof that they are the same.

Blobs that some row names, and the upload sessions of clients that are not done. What nobody names stays behind.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

from ecrsim.blobs.base import CHUNK, BlobNotFound, BlobStore, DigestMismatch, split_digest
from ecrsim.core import ids

#: Blobs that are under way at a time: on a network most of the time is waiting.
_AT_ONCE = 8


class BytesMoved(NamedTuple):
    """`damage`: what the source lacks or has wrong, in words. What is there by an earlier try counts as well."""

    blobs: int
    bytes: int
    damage: list[str]


class BytesDiffer(Exception):
    """What was read again from the destination is not what was written there."""


def copy_blobs(source: BlobStore, destination: BlobStore, digests: Iterable[str]) -> BytesMoved:
    """Copy these blobs and read each again where it came to. BytesDiffer; StoreUnwritable."""
    count, size = 0, 0
    damage: list[str] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in _bounded(pool, lambda digest: _copy_blob(source, destination, digest), digests):
            if isinstance(found, str):
                damage.append(found)
            else:
                count, size = count + 1, size + found
    return BytesMoved(count, size, sorted(damage))


def _bounded(pool: ThreadPoolExecutor, work: Callable[[str], int | str], items: Iterable[str]) -> Iterator[int | str]:
    """`pool.map` that takes of the items only what is about to be worked on: there may be a hundred million."""
    waiting: list[Future[int | str]] = []
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= 4 * _AT_ONCE:
            yield waiting.pop(0).result()
    for each in waiting:
        yield each.result()


def _copy_blob(source: BlobStore, destination: BlobStore, digest: str) -> int | str:
    """The size of the blob, or what is wrong with that of the source."""
    size = source.stat(digest)
    if size is None:
        return f"{digest} is missing"
    # One that an earlier try left is read again as well, and is replaced where it is wrong.
    if not _is_right(destination, digest, size):
        try:
            _bring(source, destination, digest)
        except BlobNotFound:
            return f"{digest} is missing"
        except DigestMismatch:
            return f"{digest} is damaged: its bytes have another digest"
        if not _is_right(destination, digest, size):
            raise BytesDiffer(f"{digest} was copied, and is not read again as it was written")
    return size


def _bring(source: BlobStore, destination: BlobStore, digest: str) -> None:
    upload = ids.new_uuid()
    parts = split_digest(digest)
    with contextlib.closing(source.open(digest)) as blob:
        destination.create_upload(upload)
        try:
            destination.append(upload, blob)
            found, _ = destination.digest_upload(upload, parts[0] if parts else "sha256")
            if found != digest:
                raise DigestMismatch({"": found})
            destination.sync(upload)
            destination.commit(upload, digest)
        except BaseException:
            destination.discard(upload)
            raise


def _is_right(store: BlobStore, digest: str, size: int) -> bool:
    """Whether the store gives back the bytes that the digest names."""
    if store.stat(digest) != size:
        return False
    with contextlib.closing(store.open(digest)) as blob:
        return digest_of_stream(blob, digest.partition(":")[0]) == digest


def digest_of_stream(stream: BinaryIO, algorithm: str = "sha256") -> str:
    """The digest of all that is read from it."""
    running = hashlib.new(algorithm)
    while piece := stream.read(CHUNK):
        running.update(piece)
    return f"{algorithm}:{running.hexdigest()}"


def copy_uploads(source: BlobStore, destination: BlobStore, uploads: Iterable[str]) -> BytesMoved:
    """Copy the sessions of these ids, and read each again where it came to. BytesDiffer; StoreUnwritable."""
    count, size = 0, 0
    damage: list[str] = []
    for upload in uploads:
        length = source.upload_size(upload)
        if length is None:
            damage.append(f"upload {upload} has lost its bytes")
            continue
        # What an earlier try left may end anywhere.
        destination.discard(upload)
        destination.create_upload(upload)
        if length:
            with contextlib.closing(source.read_upload(upload)) as stream:
                destination.append(upload, stream, length=length)
            with contextlib.closing(source.read_upload(upload)) as stream:
                wanted = digest_of_stream(stream)
            with contextlib.closing(destination.read_upload(upload)) as stream:
                if digest_of_stream(stream) != wanted:
                    raise BytesDiffer(f"upload {upload} was copied, and is not read again as it was written")
        count, size = count + 1, size + length
    return BytesMoved(count, size, damage)


def forget_others(store: BlobStore, uploads: set[str]) -> None:
    """Remove sessions that a copy which was cut off has left."""
    for upload, _, _ in list(store.uploads()):
        if upload not in uploads:
            store.discard(upload)
