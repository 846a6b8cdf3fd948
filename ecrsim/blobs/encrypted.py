"""Blobs as encrypted files: one copy for each key space, where a plain store has one for all.

    <root>/
    ├── encrypted/
    │   └── <space>/sha256/ab/abcdef…   a blob of this key space (`spaces.py`)
    ├── damaged/
    └── uploads/                        sessions and what is on its way, encrypted from the first byte

`EncryptedStore` is the store as a whole, for those who look after it: it names blobs `<digest>@<space>`, and needs keys
only to read or add to them. `EncryptedSpace` is what one key opens: the store of the repositories that share it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ecrsim.blobs.base import BlobNotFound, BlobStore, KeyedStore, Sink, UploadNotFound
from ecrsim.blobs.disk import Disk, names_in
from ecrsim.blobs.filesystem import FilesystemStore
from ecrsim.blobs.framing import HEADER, Chance, SpaceKey, space_of
from ecrsim.blobs.names import is_space, split_name, stored_name
from ecrsim.blobs.running import RunningHashes
from ecrsim.blobs.spaces import SPACES, EncryptedSpace, Sessions, SharedFiles, SpaceFiles


class EncryptedStore(KeyedStore):
    """The store under `root`, as a whole. `key_of` gives the key of a space, 32 bytes, and raises what it likes."""

    def __init__(
        self, root: str | os.PathLike[str], durability: str, key_of: Callable[[str], bytes], chance: Chance
    ) -> None:
        disk = Disk(Path(root).absolute(), durability)
        self._shared = SharedFiles(disk, RunningHashes(), Sessions())
        self._key_of, self._chance = key_of, chance
        self._sessions = SpaceFiles(self._shared, "")
        disk.make(disk.root / SPACES, disk.root / "uploads")

    def within(self, space: str, key: bytes) -> BlobStore:
        return EncryptedSpace(self._shared, SpaceKey(space, key, self._chance))

    def open_file(self, name: str) -> BinaryIO:
        parts = split_name(name)
        if parts is None:
            raise BlobNotFound(name)
        return self._files(parts[1]).open(parts[0])

    def _opened(self, space: str) -> BlobStore:
        return self.within(space, self._key_of(space))

    # Blobs

    def stat(self, digest: str) -> int | None:
        parts = split_name(digest)
        return self._files(parts[1]).stat(parts[0]) if parts else None

    def open(self, digest: str, first: int = 0, length: int | None = None) -> BinaryIO:
        parts = split_name(digest)
        if parts is None or self._files(parts[1]).modified_at(parts[0]) is None:
            raise BlobNotFound(digest)
        return self._opened(parts[1]).open(parts[0])

    def path(self, digest: str) -> str | None:
        return None

    def modified_at(self, digest: str) -> float | None:
        parts = split_name(digest)
        return self._files(parts[1]).modified_at(parts[0]) if parts else None

    def blobs(self) -> Iterator[tuple[str, int, float]]:
        for space in names_in(self._shared.disk.root / SPACES):
            if is_space(space):
                for digest, size, modified_at in self._files(space).blobs():
                    yield stored_name(digest, space), size, modified_at

    def delete(self, digest: str) -> bool:
        parts = split_name(digest)
        return parts is not None and self._files(parts[1]).delete(parts[0])

    def set_aside(self, digest: str, blob: BinaryIO) -> bool:
        parts = split_name(digest)
        return parts is not None and self._files(parts[1]).set_aside(parts[0], blob)

    def put(self, digest: str, data: bytes) -> None:
        parts = split_name(digest)
        if parts is None:
            raise ValueError(f"not a digest and its key space: {digest!r}")
        self._opened(parts[1]).put(parts[0], data)

    def _files(self, space: str) -> SpaceFiles:
        return SpaceFiles(self._shared, space)

    # Upload sessions

    def create_upload(self, upload_id: str) -> None:
        raise ValueError(f"a session is one of a key space: {upload_id!r}")

    def upload_size(self, upload_id: str) -> int | None:
        return self._sessions.upload_size(upload_id)

    def read_upload(self, upload_id: str, digest: str | None = None) -> BinaryIO:
        return self._of(upload_id).read_upload(upload_id)

    def receive(
        self, upload_id: str, offset: int | None = None, limit: int | None = None, length: int | None = None
    ) -> Sink:
        return self._of(upload_id).receive(upload_id, offset, limit, length)

    def digest_upload(self, upload_id: str, algorithm: str = "sha256") -> tuple[str, int]:
        return self._of(upload_id).digest_upload(upload_id, algorithm)

    def sync(self, upload_id: str) -> None:
        self._sessions.sync(upload_id)

    def commit(self, upload_id: str, digest: str, keep: bool = False) -> None:
        parts = split_name(digest)
        if parts is None:
            raise ValueError(f"not a digest and its key space: {digest!r}")
        self._opened(parts[1]).commit(upload_id, parts[0], keep)

    def discard(self, upload_id: str) -> bool:
        return self._sessions.discard(upload_id)

    def uploads(self) -> Iterator[tuple[str, int, float]]:
        return self._sessions.uploads()

    def check(self) -> None:
        self._sessions.check()

    def _of(self, upload_id: str) -> BlobStore:
        """The store of the space that a session belongs to, as its header says."""
        with FilesystemStore.read_upload(self._sessions, upload_id) as file:
            space = space_of(file.read(HEADER))
        if space is None:
            raise UploadNotFound(upload_id)
        return self._opened(space)
